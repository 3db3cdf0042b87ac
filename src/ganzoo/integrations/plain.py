"""A row of a stranger's layers as a network of the DCGAN family, beside the same row as a plain `nn.Sequential`.

A table of tensors tells which layers there are, and neither strides nor activations. A kernel of even size k is taken
to double or halve (stride 2, padding (k - 2) / 2), one of odd size to keep the size (to halve it in a discriminator
that has no others), and an activation to stand between two layers; what is assumed is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.blocks import make_activation
from ganzoo.config import POSITIVE, convert_value
from ganzoo.errors import ConfigError, WeightsError, quote, shown
from ganzoo.integrations.layers import Layer
from ganzoo.models import DCGANDiscriminator, DCGANDiscriminatorConfig, DCGANGenerator, DCGANGeneratorConfig, Generator
from ganzoo.models.contract import Network

_RANGES = {"-1,1": "tanh", "0,1": "sigmoid"}
_LEAKY = "leaky_relu(slope=0.2)"
IN_A_ROW = "layers in a row"  # of no library that is known
# by the names of all layers: whose they are, and the activations of generator and discriminator there
_LAYOUTS = (
    (r"main\.\d+", "the DCGAN of pytorch/examples and of PyTorch's tutorial", "relu", _LEAKY),
    (r"\d+", IN_A_ROW, "relu", _LEAKY),
    (r"\d+(\.(conv2d_trans|conv2d|batch_norm))?", 'the DCGAN of "Dive into Deep Learning"', "relu", _LEAKY),
    (r"(model|disc)\.\d+(\.\d+)?", "torchgan's DCGAN", _LEAKY, _LEAKY),
    (r".*", IN_A_ROW, "relu", _LEAKY),
)


@dataclass(frozen=True)
class Assumptions:
    """What no table of tensors tells.

    Args:
        latent_scale: the generator was trained on latents of this deviation; ganzoo draws them with 1, so the first
            layer's weights are multiplied by it.
        output_range: "-1,1" for a generator that ends in tanh, "0,1" for sigmoid. 2 sigmoid(x) - 1 = tanh(x / 2), so
            the last layer's weights are halved.
        activation: of the generator, by name with options; None: what its layout is known for, else relu.
        discriminator_activation: of the discriminator; None: leaky_relu(slope=0.2).
    """

    latent_scale: float = 1.0
    output_range: str = "-1,1"
    activation: str | None = None
    discriminator_activation: str | None = None

    def __post_init__(self) -> None:
        convert_value(self.latent_scale, float, "--latent-scale", POSITIVE)
        if self.output_range not in _RANGES:
            known = " or ".join(f"{text} ({end})" for text, end in _RANGES.items())
            raise ConfigError(f"--output-range must be {known}, got {quote(self.output_range)}")

    @property
    def half(self) -> float:
        """What the last layer of a generator is multiplied by, so that it can end in tanh."""
        return 0.5 if self.output_range == "0,1" else 1.0

    @property
    def end(self) -> nn.Module:
        """What ends the plain generator."""
        return SigmoidToRange() if self.output_range == "0,1" else nn.Tanh()

    @property
    def of_generator(self) -> list[str]:
        """What was not said of a generator's two ends, in words."""
        said = ["latents of deviation 1 (--latent-scale)"] if self.latent_scale == 1 else []
        end = ["tanh at the end, images in [-1, 1] (--output-range)"] if self.output_range == "-1,1" else []
        return said + end


@dataclass(frozen=True)
class Reading:
    """A network that was recognised.

    Args:
        network: ours, with the weights.
        plain: the same layers as torch's modules, from latents (N, latent_size, 1, 1) or images to images or logits.
        layout: whose layout it is, in words.
        assumed: a line for each thing that the file doesn't tell.
    """

    network: Network
    plain: nn.Module
    layout: str
    assumed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Unit:
    """A convolution or linear layer, and the norm behind it if there is one."""

    layer: Layer
    norm: Layer | None

    @property
    def norm_name(self) -> str:
        """By the name that a config has for it."""
        if self.norm is None:
            return "spectral" if self.layer.spectral else "none"
        return "batch" if "weight" in self.norm.tensors else "batch(affine=false)"

    def modules(self, channels: int, activation: str, reshaped: bool = False) -> list[nn.Module]:
        """What stands behind the layer, which gives `channels`: torch's own batch norm, if any, and the activation.

        Args:
            reshaped: a layer without weights may stand before the norm, which brings its channels about.
        """
        norms = [] if self.norm is None else [self.norm.batch_norm()]
        if self.norm and self.norm.channels != channels:
            raise self.norm.refuse(f"the layer before gives {channels} channels")
        if self.norm and (self.norm.between or 0) > reshaped:
            raise self.norm.refuse(f"an activation or a dropout seems to stand between it and {shown(self.layer.name)}")
        return [*norms, make_activation(activation)]


def layout_of(row: Sequence[Layer]) -> tuple[str, str, str]:
    """Whose layout the names of `row` are, and its activations in generator and discriminator."""
    fits = (tuple(rest) for pattern, *rest in _LAYOUTS if all(re.fullmatch(pattern, layer.name) for layer in row))
    return next(fits)  # type: ignore[return-value]  # three texts; the last pattern fits all names


def read_row(row: Sequence[Layer], assumptions: Assumptions) -> Reading:
    """The network of `row`: a discriminator if it takes the channels of an image to one number, else a generator.

    Raises:
        WeightsError: the first layer that does not fit, and why.
    """
    units, (layout, *usual) = _units(row), layout_of(row)
    first, last = units[0].layer, units[-1].layer
    read, kind, activation = _read_generator, "generator", assumptions.activation or usual[0]
    if first.kind == "convolution" and first.weight.shape[1] <= 4 and len(last.weight) == 1:
        read, kind = _read_discriminator, "discriminator"
        activation = assumptions.discriminator_activation or usual[1]
    try:
        return read(units, layout, activation, assumptions)
    except WeightsError as error:
        raise WeightsError(f"{error} The file seems to hold a {kind} ({layout}).") from error


def _units(row: Sequence[Layer]) -> list[Unit]:
    units: list[Unit] = []
    for layer in row:
        if layer.kind in ("convolution", "linear layer"):
            if units and layer.between == 0:
                raise layer.refuse("no activation stands between it and the layer before")
            units.append(Unit(layer, None))
        elif layer.kind == "norm" and units and units[-1].norm is None:
            units[-1] = Unit(units[-1].layer, layer)
        else:
            raise layer.refuse("convolutions and linear layers are expected, each with a norm behind it or without")
    if len(units) < 2:
        raise row[0].refuse("a network has two layers or more")
    for unit in units:
        if unit.layer.kind == "convolution" and unit.layer.weight.shape[2] != unit.layer.weight.shape[3]:
            raise unit.layer.refuse("its kernel is not square")
    return units


def _read_generator(units: list[Unit], layout: str, activation: str, assumptions: Assumptions) -> Reading:
    stem, *stages, head = units
    if stem.norm_name == "spectral":
        raise stem.layer.refuse("spectral norm in a generator is not read")
    first = _stem(stem, (stages or [head])[0].layer)
    latent_size, width, size = first.weight.shape[:3]
    start = [first.convolution(nn.ConvTranspose2d), *stem.modules(width, activation, stem.layer.kind != "convolution")]
    modules, names, widths = _stages(stages, width, _up, activation, stem)
    last, mode, channels = _to_image(head.layer, widths[-1], head.norm)
    config = DCGANGeneratorConfig(
        latent_size=latent_size,
        start_size=size,
        widths=tuple(widths),
        block=_one_or_all(names, "dcgan-up"),
        norm=stem.norm_name,
        activation=activation,
        head=mode,
        head_bias=mode == "doubling" and "bias" in head.layer.tensors,
        image_channels=channels,
    )
    plain = nn.Sequential(*start, *modules, last, assumptions.end)
    assumed = [f"{activation} between the layers (--activation)", *_strides(names)]
    assumed += [
        f"an upsampling to double the size before {shown(unit.layer.name)}: two layers without weights stand there"
        for unit, name in zip(stages, names)
        if name.startswith("resize-up")
    ]
    assumed += [*_norms(units), *assumptions.of_generator]
    return filled(DCGANGenerator(config), plain, layout, assumed, assumptions)


def _read_discriminator(units: list[Unit], layout: str, activation: str, assumptions: Assumptions) -> Reading:
    *stages, head = units
    normed = next((unit for unit in stages[:2] if unit.norm_name != "none"), stages[0])
    odd_halves = all(unit.layer.weight.shape[-1] % 2 for unit in stages)
    channels = stages[0].layer.weight.shape[1]
    modules, names, widths = _stages(stages, channels, partial(_down, odd_halves=odd_halves), activation, normed)
    last = _to_logit(head, widths[-1], normed.norm_name)
    config = DCGANDiscriminatorConfig(
        image_size=last.weight.shape[-1] * 2 ** sum(name.startswith("dcgan-down") for name in names),
        image_channels=channels,
        widths=tuple(widths[1:]),
        block=_one_or_all(names, "dcgan-down"),
        norm=normed.norm_name,
        first_norm=stages[0].norm is not None,
        activation=activation,
        head_bias="bias" in last.tensors,
    )
    assumed = [
        f"{activation} between the layers (--discriminator-activation)",
        *_strides(names, odd_halves),
        *_norms(units),
    ]
    if any((unit.layer.between or 0) > 1 for unit in stages):
        assumed.append("layers without weights beside the activations, as dropout, do nothing")
    assumed.append("logits at the end: an activation there (a sigmoid, torchgan's leaky_relu) is left out")
    return filled(DCGANDiscriminator(config), nn.Sequential(*modules, last.convolution()), layout, assumed, assumptions)


# what a stage is taken for: our block, plain modules, and the channels behind them
Stage = tuple[str, list[nn.Module], int]


def _stages(
    units: Sequence[Unit], channels: int, read: Callable[[Unit, int], Stage], activation: str, normed: Unit
) -> tuple[list[nn.Module], list[str], list[int]]:
    """The plain modules of `units` behind `channels`, our blocks for them, and the channels before and behind each.

    All must have the norm of `normed`, but for the first stage of a discriminator, which may have none.
    """
    modules: list[nn.Module] = []
    names: list[str] = []
    widths = [channels]
    for unit in units:
        name, convolution, made = read(unit, widths[-1])
        free = unit is units[0] and normed in units
        if unit.norm_name != normed.norm_name and not free:
            others = f"{normed.layer.name} has {normed.norm_name}, this one {unit.norm_name}"
            raise unit.layer.refuse(f"one norm must serve all stages; {others}")
        modules += [*convolution, *unit.modules(made, activation, isinstance(convolution[-1], nn.PixelShuffle))]
        names.append(name)
        widths.append(made)
    return modules, names, widths


def _one_or_all(names: list[str], usual: str) -> str | tuple[str, ...]:
    """Blocks as a config names them: once if all are the same."""
    return next(iter({*names}), usual) if len({*names}) < 2 else tuple(names)


@torch.no_grad()
def filled(network: Network, plain: nn.Module, layout: str, assumed: list[str], assumptions: Assumptions) -> Reading:
    """`network` with the weights of `plain`, whose layers stand in the same order.

    What lacks a bias there gets zeros; a bias that has no place here moves into the mean of the norm behind.

    Raises:
        WeightsError: their shapes differ.
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
    ours = [(name, module) for name, module in network.named_modules() if isinstance(module, kinds)]
    theirs = [module for module in plain.modules() if isinstance(module, kinds)]
    state: dict[str, Tensor] = {}
    moved: Tensor | None = None
    try:
        for (name, module), other in zip(ours, theirs):
            found = other.state_dict()
            if isinstance(module, nn.BatchNorm2d):
                found["running_mean"] = found["running_mean"] - (0 if moved is None else moved)
                moved = None
            elif module.bias is None:
                moved = found.pop("bias", None)
            else:
                found.setdefault("bias", torch.zeros_like(module.bias))
            state |= {f"{name}.{key}": value for key, value in found.items()}
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"it is not {layout}: {str(error).splitlines()[:2][-1].strip()}") from error
    if isinstance(network, Generator):
        ours[0][1].get_parameter("weight").mul_(assumptions.latent_scale)
        for parameter in ours[-1][1].parameters():
            parameter.mul_(assumptions.half)
    return Reading(network, plain, layout, assumed)


class SigmoidToRange(nn.Module):
    """What ends a generator of images in [0, 1], brought to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.sigmoid() - 1


def _stem(unit: Unit, following: Layer) -> Layer:
    """A first transposed convolution (latent_size, channels, size, size), also of a linear layer."""
    layer, weight = unit.layer, unit.layer.weight
    if layer.kind == "convolution":
        return layer
    channels = unit.norm.channels if unit.norm else 0
    if not channels or channels == len(weight):
        channels = following.weight.shape[0 if following.weight.shape[-1] % 2 == 0 else 1]
    size = math.isqrt(len(weight) // channels)
    if following.kind != "convolution" or channels * size**2 != len(weight):
        raise layer.refuse("it makes no square features for the layer behind it")
    if unit.norm and unit.norm.channels != channels:
        raise unit.norm.refuse("behind a linear layer it must norm channels, not single numbers")
    tensors = {"weight": weight.T.reshape(-1, channels, size, size)}
    if "bias" in layer.tensors:
        bias = layer.fill(nn.Linear(weight.shape[1], len(weight))).get_parameter("bias").detach()
        tensors["bias"] = bias[:: size**2]
        if not torch.equal(tensors["bias"].repeat_interleave(size**2), bias):
            raise layer.refuse("its bias differs from place to place; a dcgan-generator's is one for each channel")
    return replace(layer, tensors=tensors)


def _up(unit: Unit, channels: int) -> Stage:
    """A stage of a generator, behind `channels` channels."""
    layer = unit.layer
    if layer.kind != "convolution":
        raise layer.refuse("a linear layer can only be the first of a generator")
    given, made, kernel = layer.weight.shape[:3]
    if kernel % 2 == 0:
        _check_channels(layer, channels, given)
        padding = (kernel - 2) // 2
        block = "dcgan-up" if kernel == 4 else f"dcgan-up(kernel_size={kernel},padding={padding})"
        return block, [layer.convolution(nn.ConvTranspose2d, 2, padding)], made
    given, made = made, given
    if channels == made != given:
        raise layer.refuse(f"no block is a transposed convolution of kernel {kernel}; it must be even, as 4")
    _check_channels(layer, channels, given)
    module, options = layer.convolution(padding=kernel // 2), _kernel(kernel)
    if unit.norm and 4 * unit.norm.channels == made:
        if "bias" in layer.tensors:
            raise layer.refuse("a bias before its pixels are shuffled and normed")
        return f"pixelshuffle-up{options}", [module, nn.PixelShuffle(2)], made // 4
    if (layer.between or 0) > 1:  # an activation, and what doubles the size
        return f"resize-up{options}", [nn.Upsample(scale_factor=2), module], made
    return f"dcgan-same{options}", [module], made


def _to_image(layer: Layer, channels: int, norm: Layer | None) -> tuple[nn.Module, Literal["doubling", "same"], int]:
    """The last layer of a generator, behind `channels` channels: a plain module, our head, and the image's channels."""
    kernel = layer.weight.shape[-1]
    if layer.kind != "convolution" or kernel not in (3, 4):
        raise layer.refuse("the last layer must be a transposed convolution of kernel 4 or a convolution of kernel 3")
    given, made = layer.weight.shape[:2] if kernel == 4 else (layer.weight.shape[1], layer.weight.shape[0])
    _check_channels(layer, channels, given)
    if made > 4 or norm:
        raise (norm or layer).refuse("an image has 1 to 4 channels, and no norm behind it")
    if kernel == 4:
        return layer.convolution(nn.ConvTranspose2d, 2, 1), "doubling", made
    if (layer.between or 0) > 1:
        raise layer.refuse("something that doubles the size seems to stand before it, which only a stage can")
    return layer.convolution(padding=1), "same", made


def _down(unit: Unit, channels: int, *, odd_halves: bool) -> Stage:
    """A stage of a discriminator, behind `channels` channels."""
    layer = unit.layer
    if layer.kind != "convolution":
        raise layer.refuse("a linear layer can only be the last of a discriminator")
    made, given, kernel = layer.weight.shape[:3]
    _check_channels(layer, channels, given)
    if kernel % 2 and not odd_halves:
        return f"dcgan-same{_kernel(kernel)}", [layer.convolution(padding=kernel // 2)], made
    padding = (kernel - 1) // 2
    block = "dcgan-down" if kernel == 4 else f"dcgan-down(kernel_size={kernel},padding={padding})"
    return block, [layer.convolution(stride=2, padding=padding)], made


def _to_logit(unit: Unit, channels: int, norm: str) -> Layer:
    """A discriminator's last layer, behind `channels` channels, as a convolution (1, channels, size, size)."""
    layer, weight = unit.layer, unit.layer.weight
    if unit.norm:
        raise unit.norm.refuse("no norm can stand behind the logit")
    if layer.spectral is not (norm == "spectral"):
        raise layer.refuse("spectral norm must be on all layers or on none")
    if layer.kind == "convolution":
        _check_channels(layer, channels, weight.shape[1])
        return layer
    size = math.isqrt(weight.shape[1] // channels)
    if channels * size**2 != weight.shape[1]:
        raise layer.refuse(f"its inputs must be the {channels} channels before, times a square")
    return layer.reshaped(1, channels, size, size)


def _check_channels(layer: Layer, before: int, taken: int) -> None:
    if before != taken:
        raise layer.refuse(f"it takes {taken} channels, the layer before gives {before}")


def _kernel(size: int) -> str:
    """The option of a block whose kernel is of another `size` than 3."""
    return "" if size == 3 else f"(kernel_size={size})"


def _strides(names: Sequence[str], odd_halves: bool = False) -> list[str]:
    if odd_halves and names:
        return ["kernels of odd size halve the size (stride 2), since no kernel is even"]
    return ["kernels of even size double or halve the size, those of odd size keep it"] if names else []


def _norms(units: Sequence[Unit]) -> list[str]:
    return ["batch norms with eps 1e-5, torch's default"] if any(unit.norm for unit in units) else []
