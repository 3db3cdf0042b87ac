"""A row of a stranger's layers as a network of the DCGAN family, beside the same row as a plain `nn.Sequential`.

A table of tensors tells which layers there are, and neither strides nor activations. A kernel of even size k is taken
to double or halve (stride 2, padding (k - 2) / 2), one of odd size to keep the size, and an activation to stand between
two layers; what is assumed is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganzoo.blocks import make_activation
from ganzoo.errors import ConfigError, WeightsError, quote
from ganzoo.integrations.layers import Layer
from ganzoo.models import DCGANDiscriminator, DCGANDiscriminatorConfig, DCGANGenerator, DCGANGeneratorConfig
from ganzoo.models.contract import Network

_RANGES = {"-1,1": "tanh", "0,1": "sigmoid"}
_LEAKY = "leaky_relu(slope=0.2)"
# by the names of all layers: whose they are, and the activations of generator and discriminator there
_LAYOUTS = (
    (r"main\.\d+", "the DCGAN of pytorch/examples and of PyTorch's tutorial", "relu", _LEAKY),
    (r"\d+", "layers in a row", "relu", _LEAKY),
    (r"\d+(\.(conv2d_trans|conv2d|batch_norm))?", 'the DCGAN of "Dive into Deep Learning"', "relu", _LEAKY),
    (r"(model|disc)\.\d+(\.\d+)?", "torchgan's DCGAN", _LEAKY, _LEAKY),
    (r".*", "layers in a row", "relu", _LEAKY),
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
        if not 0 < self.latent_scale < math.inf:
            raise ConfigError(f"--latent-scale must be a number above 0, got {quote(self.latent_scale)}")
        if self.output_range not in _RANGES:
            known = " or ".join(f"{text} ({end})" for text, end in _RANGES.items())
            raise ConfigError(f"--output-range must be {known}, got {quote(self.output_range)}")

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
    def weight(self) -> Tensor:
        assert self.layer.weight is not None
        return self.layer.weight

    @property
    def norm_name(self) -> str:
        """By the name that a config has for it."""
        if self.norm is None:
            return "spectral" if "original" in self.layer.tensors else "none"
        if "running_mean" not in self.norm.tensors:
            raise self.norm.refuse("an instance, group or layer norm, which the file doesn't tell apart")
        return "batch" if "weight" in self.norm.tensors else "batch(affine=false)"


def layout_of(row: Sequence[Layer]) -> tuple[str, str, str]:
    """Whose layout the names of `row` are, and its activations in generator and discriminator."""
    for pattern, *rest in _LAYOUTS:
        if all(re.fullmatch(pattern, layer.name) for layer in row):
            return tuple(rest)  # type: ignore[return-value]  # three texts
    raise AssertionError("the last pattern fits all names")


def read_row(row: Sequence[Layer], assumptions: Assumptions) -> Reading:
    """The network of `row`: a discriminator if it takes the channels of an image to one number, else a generator.

    Raises:
        WeightsError: the first layer that does not fit, and why.
    """
    units = _units(row)
    first, last = units[0], units[-1]
    to_logit = first.layer.kind == "convolution" and first.weight.shape[1] <= 4 and len(last.weight) == 1
    try:
        return (_read_discriminator if to_logit else _read_generator)(row, units, assumptions)
    except WeightsError as error:
        kind = "discriminator" if to_logit else "generator"
        raise WeightsError(f"{error} The file seems to hold a {kind} ({layout_of(row)[0]}).") from error


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
        if unit.layer.kind == "convolution" and unit.weight.shape[2] != unit.weight.shape[3]:
            raise unit.layer.refuse("its kernel is not square")
    return units


def _check_norm(unit: Unit, first: Unit) -> None:
    """Raise WeightsError unless `unit` has the norm of the `first` of its network."""
    if unit.norm_name != first.norm_name:
        names = f"{first.layer.name} has {first.norm_name}, this one {unit.norm_name}"
        raise unit.layer.refuse(f"one norm must serve all stages; {names}")


def _one_or_all(names: list[str], usual: str) -> str | tuple[str, ...]:
    """Blocks as a config names them: once if all are the same."""
    return next(iter({*names}), usual) if len({*names}) < 2 else tuple(names)


def _read_generator(row: Sequence[Layer], units: list[Unit], assumptions: Assumptions) -> Reading:
    layout, activation, _ = layout_of(row)
    activation = assumptions.activation or activation
    stem, *stages, head = units
    if stem.norm_name == "spectral":
        raise stem.layer.refuse("spectral norm in a generator is not read")
    weight = _stem(stem, stages[0] if stages else head)
    modules = [convolution(nn.ConvTranspose2d, weight, stem), *batch_norm(stem), make_activation(activation)]
    state = _state("project", weight * assumptions.latent_scale, stem, weight.shape[1])
    names, widths, size = [], [weight.shape[1]], weight.shape[2]
    for index, unit in enumerate(stages):
        up = _up(unit, widths[-1])
        _check_norm(unit, stem)
        modules += [*up.modules, *batch_norm(unit), make_activation(activation)]
        state |= _state(f"stages.{index}", up.weight, unit, up.channels)
        names.append(up.block)
        widths.append(up.channels)
    last = _to_image(head, widths[-1])
    half = 0.5 if assumptions.output_range == "0,1" else 1.0
    bias = head.layer.bias
    state["to_image.convolution.weight"] = last.weight * half
    if bias is not None or last.block == "same":
        state["to_image.convolution.bias"] = (torch.zeros(last.channels) if bias is None else bias) * half
    config = DCGANGeneratorConfig(
        latent_size=weight.shape[0],
        start_size=size,
        widths=tuple(widths),
        block=_one_or_all(names, "dcgan-up"),
        norm=stem.norm_name,
        activation=activation,
        head=last.block,
        head_bias=bias is not None and last.block == "doubling",
        image_channels=last.channels,
    )
    network = DCGANGenerator(config)
    network.load_state_dict(state)
    end = nn.Tanh() if half == 1 else SigmoidToRange()
    assumed = [f"{activation} between the layers (--activation)", *_strides(names)]
    plain = nn.Sequential(*modules, *last.modules, end)
    return Reading(network, plain, layout, [*assumed, *assumptions.of_generator])


class SigmoidToRange(nn.Module):
    """What ends a generator of images in [0, 1], brought to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.sigmoid() - 1


@dataclass(frozen=True)
class Part:
    """What a layer is taken for: our block (of a head its kind), plain modules, our weight, and channels after it."""

    block: Any
    modules: list[nn.Module]
    weight: Tensor
    channels: int


def _stem(unit: Unit, following: Unit) -> Tensor:
    """The weight of a first transposed convolution (latent_size, channels, size, size), also of a linear layer."""
    weight = unit.weight
    if unit.layer.kind == "convolution":
        return weight
    channels = len(unit.norm.tensors["running_mean"]) if unit.norm else 0
    if not channels or channels == len(weight):
        channels = following.weight.shape[0 if following.weight.shape[-1] % 2 == 0 else 1]
    size = math.isqrt(len(weight) // channels)
    if following.layer.kind != "convolution" or channels * size**2 != len(weight):
        raise unit.layer.refuse("it makes no square features for the layer behind it")
    if unit.norm and len(unit.norm.tensors["running_mean"]) != channels:
        raise unit.norm.refuse("behind a linear layer it must norm channels, not single numbers")
    bias = _channel_bias(unit.layer, channels)
    if bias is not None and not torch.equal(bias.repeat_interleave(size**2), unit.layer.tensors["bias"]):
        raise unit.layer.refuse("its bias differs from place to place; a dcgan-generator's is one for each channel")
    return weight.T.reshape(-1, channels, size, size)


def _up(unit: Unit, channels: int) -> Part:
    """A stage of a generator, behind `channels` channels."""
    weight, layer = unit.weight, unit.layer
    if layer.kind != "convolution":
        raise layer.refuse("a linear layer can only be the first of a generator")
    given, made, kernel = weight.shape[0], weight.shape[1], weight.shape[2]
    if kernel % 2 == 0:
        _check_channels(layer, channels, given)
        options = {"kernel_size": kernel, "padding": (kernel - 2) // 2}
        block = "dcgan-up" if kernel == 4 else _call("dcgan-up", options)
        return Part(block, [convolution(nn.ConvTranspose2d, weight, unit, 2, (kernel - 2) // 2)], weight, made)
    given, made = made, given
    if channels == made != given:
        raise layer.refuse(f"no block is a transposed convolution of kernel {kernel}; it must be even, as 4")
    _check_channels(layer, channels, given)
    module = convolution(nn.Conv2d, weight, unit, 1, kernel // 2)
    options = {} if kernel == 3 else {"kernel_size": kernel}
    if unit.norm and 4 * len(unit.norm.tensors["running_mean"]) == made:
        if layer.bias is not None:
            raise layer.refuse("a bias before its pixels are shuffled and normed")
        return Part(_call("pixelshuffle-up", options), [module, nn.PixelShuffle(2)], weight, made // 4)
    if (layer.between or 0) > 1:  # an activation, and what doubles the size
        return Part(_call("resize-up", options), [nn.Upsample(scale_factor=2), module], weight, made)
    return Part(_call("dcgan-same", options), [module], weight, made)


def _to_image(unit: Unit, channels: int) -> Part:
    """The last layer of a generator."""
    weight, layer = unit.weight, unit.layer
    kernel = weight.shape[-1]
    if layer.kind != "convolution" or kernel not in (3, 4):
        raise layer.refuse("the last layer must be a transposed convolution of kernel 4 or a convolution of kernel 3")
    given, made = (weight.shape[0], weight.shape[1]) if kernel == 4 else (weight.shape[1], weight.shape[0])
    _check_channels(layer, channels, given)
    if made > 4 or unit.norm:
        raise (unit.norm or layer).refuse("an image has 1 to 4 channels, and no norm behind it")
    if kernel == 4:
        return Part("doubling", [convolution(nn.ConvTranspose2d, weight, unit, 2, 1)], weight, made)
    if (layer.between or 0) > 1:
        raise layer.refuse("something that doubles the size seems to stand before it, which only a stage can")
    return Part("same", [convolution(nn.Conv2d, weight, unit, 1, 1)], weight, made)


def _read_discriminator(row: Sequence[Layer], units: list[Unit], assumptions: Assumptions) -> Reading:
    layout, _, activation = layout_of(row)
    activation = assumptions.discriminator_activation or activation
    *stages, head = units
    normed = next((unit for unit in stages[:2] if unit.norm_name != "none"), stages[0])
    even = any(unit.weight.shape[-1] % 2 == 0 for unit in stages)
    modules: list[nn.Module] = []
    names: list[str] = []
    state: dict[str, Tensor] = {}
    widths = [stages[0].weight.shape[1]]
    for index, unit in enumerate(stages):
        down = _down(unit, widths[-1], odd_halves=not even)
        if index:
            _check_norm(unit, normed)
        modules += [*down.modules, *batch_norm(unit), make_activation(activation)]
        state |= _state(f"stages.{index}", down.weight, unit, down.channels)
        names.append(down.block)
        widths.append(down.channels)
    weight = _to_logit(head, widths[-1], normed.norm_name)
    state |= weight_tensors("to_logit.convolution.", weight, head.layer)
    if (bias := _channel_bias(head.layer, 1)) is not None:
        state["to_logit.convolution.bias"] = bias
    halvings = sum(name.startswith("dcgan-down") for name in names)
    config = DCGANDiscriminatorConfig(
        image_size=weight.shape[-1] * 2**halvings,
        image_channels=widths[0],
        widths=tuple(widths[1:]),
        block=_one_or_all(names, "dcgan-down"),
        norm=normed.norm_name,
        first_norm=stages[0].norm is not None,
        activation=activation,
        head_bias=bias is not None,
    )
    network = DCGANDiscriminator(config)
    network.load_state_dict(state)
    assumed = [f"{activation} between the layers (--discriminator-activation)", *_strides(names)]
    if any((unit.layer.between or 0) > 1 for unit in stages):
        assumed.append("layers without weights beside the activations, as dropout, do nothing")
    assumed.append("logits at the end: an activation there (a sigmoid, torchgan's leaky_relu) is left out")
    plain = nn.Sequential(*modules, convolution(nn.Conv2d, weight, head))
    return Reading(network, plain, layout, assumed)


def _down(unit: Unit, channels: int, *, odd_halves: bool) -> Part:
    """A stage of a discriminator, behind `channels` channels."""
    weight, layer = unit.weight, unit.layer
    if layer.kind != "convolution":
        raise layer.refuse("a linear layer can only be the last of a discriminator")
    made, given, kernel = weight.shape[:3]
    _check_channels(layer, channels, given)
    if kernel % 2 and not odd_halves:
        block = _call("dcgan-same", {} if kernel == 3 else {"kernel_size": kernel})
        return Part(block, [convolution(nn.Conv2d, weight, unit, 1, kernel // 2)], weight, made)
    padding = (kernel - 1) // 2
    block = _call("dcgan-down", {} if kernel == 4 else {"kernel_size": kernel, "padding": padding})
    return Part(block, [convolution(nn.Conv2d, weight, unit, 2, padding)], weight, made)


def _to_logit(unit: Unit, channels: int, norm: str) -> Tensor:
    """The weight of a discriminator's last layer as that of a convolution (1, channels, size, size)."""
    weight = unit.weight
    if unit.norm:
        raise unit.norm.refuse("no norm can stand behind the logit")
    if ("original" in unit.layer.tensors) is not (norm == "spectral"):
        raise unit.layer.refuse("spectral norm must be on all layers or on none")
    if unit.layer.kind == "convolution":
        _check_channels(unit.layer, channels, weight.shape[1])
        return weight
    size = math.isqrt(weight.shape[1] // channels)
    if channels * size**2 != weight.shape[1]:
        raise unit.layer.refuse(f"its inputs must be the {channels} channels before, times a square")
    return weight.reshape(1, channels, size, size)


def _check_channels(layer: Layer, before: int, taken: int) -> None:
    if before != taken:
        raise layer.refuse(f"it takes {taken} channels, the layer before gives {before}")


def _call(name: str, options: dict[str, int]) -> str:
    """`name` with `options`, as configs write it."""
    return f"{name}({','.join(f'{key}={value}' for key, value in options.items())})" if options else name


def _strides(names: Sequence[str]) -> list[str]:
    return ["kernels of even size double or halve the size, those of odd size keep it"] if names else []


def convolution(
    kind: type[nn.Conv2d | nn.ConvTranspose2d], weight: Tensor, unit: Unit, stride: int = 1, padding: int = 0
) -> nn.Module:
    """Torch's own convolution with the unit's weights."""
    outputs, inputs = weight.shape[:2] if kind is nn.Conv2d else (weight.shape[1], weight.shape[0])
    bias = _channel_bias(unit.layer, outputs)
    module = kind(inputs, outputs, weight.shape[2], stride, padding, bias=bias is not None)
    if "original" in unit.layer.tensors:
        parametrizations.spectral_norm(module)
    module.load_state_dict(weight_tensors("", weight, unit.layer) | ({} if bias is None else {"bias": bias}))
    return module


def _channel_bias(layer: Layer, channels: int) -> Tensor | None:
    """The bias of a convolution to `channels`; a linear layer's is one for each place of a channel, all alike."""
    weight, bias = layer.weight, layer.bias
    if bias is None or weight is None:
        return None
    wanted = channels if layer.kind == "convolution" else len(weight)
    if tuple(bias.shape) != (wanted,):
        raise layer.refuse(f"its bias must have the shape ({wanted},), got {tuple(bias.shape)}")
    return bias.view(channels, -1)[:, 0]


def batch_norm(unit: Unit) -> list[nn.Module]:
    """Torch's own batch norm with the unit's statistics, scale and shift."""
    if unit.norm is None:
        return []
    tensors = norm_tensors(unit.norm)
    module = nn.BatchNorm2d(len(tensors["running_mean"]), affine="weight" in tensors)
    module.load_state_dict(tensors)
    return [module]


def norm_tensors(norm: Layer) -> dict[str, Tensor]:
    """Statistics, scale and shift of a batch norm by torch's names."""
    tensors = {"num_batches_tracked": torch.tensor(0), **norm.tensors}  # which torch before 1.0 did not count
    names = ("running_mean", "running_var", *(("weight", "bias") if "weight" in tensors else ()))
    if any(name not in tensors or tensors[name].shape != tensors["running_mean"].shape for name in names):
        raise norm.refuse("a batch norm has a mean and a variance, and a scale and a shift or none of them")
    return tensors


def weight_tensors(place: str, weight: Tensor, layer: Layer) -> dict[str, Tensor]:
    """The weight of a convolution, or the weight and singular vectors of one under spectral norm, by torch's names."""
    if "original" not in layer.tensors:
        return {f"{place}weight": weight}
    parts = {"original": weight, "0._u": layer.tensors.get("u"), "0._v": layer.tensors.get("v")}
    if parts["0._u"] is None or parts["0._v"] is None:
        raise layer.refuse("its spectral norm lacks a singular vector")
    return {f"{place}parametrizations.weight.{name}": value for name, value in parts.items() if value is not None}


def _state(place: str, weight: Tensor, unit: Unit, channels: int) -> dict[str, Tensor]:
    """The state of one of our blocks, which have no bias before a norm: subtracted again, it moves into the mean."""
    state, bias = weight_tensors(f"{place}.convolution.", weight, unit.layer), _channel_bias(unit.layer, channels)
    if unit.norm is None:
        return state | {f"{place}.convolution.bias": torch.zeros(channels) if bias is None else bias}
    tensors = norm_tensors(unit.norm)
    if len(tensors["running_mean"]) != channels:
        raise unit.norm.refuse(f"the layer before gives {channels} channels")
    if bias is not None:
        tensors["running_mean"] = tensors["running_mean"] - bias
    return state | {f"{place}.norm.{name}": value for name, value in tensors.items()}
