"""torch-mimicry's SNGAN (Lee and Town 2020, arXiv 2005.02494) as networks of ours, beside torch's own modules."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks import make_activation
from ganzoo.errors import WeightsError
from ganzoo.integrations.layers import Layer
from ganzoo.integrations.plain import (
    Assumptions,
    Reading,
    SigmoidToRange,
    Unit,
    batch_norm,
    convolution,
    norm_tensors,
    weight_tensors,
)
from ganzoo.models import DCGANDiscriminator, DCGANDiscriminatorConfig, DCGANGenerator, DCGANGeneratorConfig

LAYOUT = "torch-mimicry's SNGAN"
_BLOCK = re.compile(r"block(\d)\.(c1|c2|c_sc|b1|b2)\..+")
# by the number of blocks and the name of the logit's layer: pixels a side, and which blocks halve them
_DISCRIMINATORS = {
    (4, "l5"): (32, (True, True, False, False)),
    (5, "l5"): (48, (True, True, True, True, False)),
    (5, "l6"): (64, (True, True, True, True, True)),
    (6, "l7"): (128, (True, True, True, True, True, False)),
}
_OURS = {"c1": "convolution_1", "c2": "convolution_2", "c_sc": "shortcut", "b1": "norm_1", "b2": "norm_2"}
Parts = dict[str, Layer]


def is_mimicry(names: Iterable[str]) -> bool:
    """Whether tensors of these names are a network of residual blocks as torch-mimicry calls them."""
    return any(map(_BLOCK.fullmatch, names))


def read_mimicry(row: Sequence[Layer], assumptions: Assumptions) -> Reading:
    """The network of `row`: a generator if it has a linear layer `l1`, else a discriminator.

    Raises:
        WeightsError: the first layer that does not fit, and why.
    """
    layers = {layer.name: layer for layer in row}
    blocks: dict[str, Parts] = {}
    for layer in sorted(row, key=lambda each: each.name):
        place, _, part = layer.name.partition(".")
        if part in _OURS and place.startswith("block"):
            blocks.setdefault(place, {})[part] = layers.pop(layer.name)
    for parts in blocks.values():
        if {"c1", "c2"} - parts.keys():
            raise next(iter(parts.values())).refuse("a residual block has two convolutions, c1 and c2")
    return (_generator if "l1" in layers else _discriminator)(layers, list(blocks.values()), assumptions)


def _generator(layers: Parts, blocks: list[Parts], assumptions: Assumptions) -> Reading:
    stem = layers.pop("l1")
    norm, head = (layers.pop(f"{kind}{len(blocks) + 2}", None) for kind in "bc")
    if norm is None or head is None or layers:
        raise (next(iter(layers.values()), stem)).refuse(f"{LAYOUT} has l1, blocks, a norm and a convolution alone")
    for parts in blocks:
        if parts.keys() != _OURS.keys():
            raise parts["c1"].refuse("a generator's block has two norms, two convolutions and a shortcut")
    widths = [_weight(blocks[0]["c1"]).shape[1], *(len(_weight(parts["c2"])) for parts in blocks)]
    weight, end = _weight(stem), _weight(head)
    start_size = math.isqrt(len(weight) // widths[0])
    half = 0.5 if assumptions.output_range == "0,1" else 1.0
    activation = assumptions.activation or "relu"
    network = DCGANGenerator(
        DCGANGeneratorConfig(
            latent_size=weight.shape[1],
            start_size=start_size,
            widths=tuple(widths),
            stem="linear",
            block="residual-up(interpolation=bilinear)",
            activation=activation,
            head="same",
            image_channels=len(end),
        )
    )
    state = {"project.linear.weight": weight * assumptions.latent_scale, "project.linear.bias": _bias(stem)}
    for index, parts in enumerate(blocks):
        state |= _state(f"stages.{index}", parts)
    state |= {f"final_norm.0.{key}": value for key, value in norm_tensors(norm).items()}
    state |= {"to_image.convolution.weight": end * half, "to_image.convolution.bias": _bias(head) * half}
    _fill(network, state, head)
    linear = nn.Linear(weight.shape[1], len(weight))
    linear.load_state_dict({"weight": weight, "bias": _bias(stem)})
    plain = nn.Sequential(
        nn.Flatten(),
        linear,
        nn.Unflatten(1, (widths[0], start_size, start_size)),
        *(_Block(parts, "up", activation) for parts in blocks),
        *batch_norm(Unit(head, norm)),
        make_activation(activation),
        convolution(nn.Conv2d, end, Unit(head, None), 1, 1),
        nn.Tanh() if half == 1 else SigmoidToRange(),
    )
    assumed = [f"{activation} in the blocks (--activation), which double bilinearly", *assumptions.of_generator]
    return Reading(network, plain, LAYOUT, assumed)


def _discriminator(layers: Parts, blocks: list[Parts], assumptions: Assumptions) -> Reading:
    name, head = next(iter(layers.items()), ("", None))
    if head is None or len(layers) > 1 or (len(blocks), name) not in _DISCRIMINATORS:
        wrong = head if head and not re.fullmatch(r"l\d", name) else [*layers.values(), *blocks[0].values()][-1]
        raise wrong.refuse(f"{LAYOUT} has 4 to 6 blocks and one linear layer behind them, l5, l6 or l7")
    size, halves = _DISCRIMINATORS[len(blocks), name]
    activation = assumptions.discriminator_activation or "relu"
    names: list[str] = []
    state: dict[str, Tensor] = {}
    for index, (parts, half) in enumerate(zip(blocks, halves)):
        names.append(_discriminator_block(parts, "down" if half else "same", first=index == 0))
        state |= _state(f"stages.{index}", parts)
    weight = _weight(head)[:, :, None, None]
    state |= weight_tensors("to_logit.convolution.", weight, head) | {"to_logit.convolution.bias": _bias(head)}
    network = DCGANDiscriminator(
        DCGANDiscriminatorConfig(
            image_size=size,
            image_channels=_weight(blocks[0]["c1"]).shape[1],
            widths=tuple(len(_weight(parts["c2"])) for parts in blocks),
            block=tuple(names),
            norm="spectral",
            activation=activation,
            pool="sum",
            head_bias=True,
        )
    )
    _fill(network, state, head)
    steps = ["first" if index == 0 else "down" if half else "" for index, half in enumerate(halves)]
    plain = nn.Sequential(
        *(_Block(parts, step, activation) for parts, step in zip(blocks, steps)),
        make_activation(activation),
        _Sum(),
        convolution(nn.Conv2d, weight, Unit(head, None)),
    )
    assumed = f"{activation} in the blocks (--discriminator-activation), {size}x{size} images, as the names have there"
    return Reading(network, plain, LAYOUT, [assumed])


def _discriminator_block(parts: Parts, way: str, *, first: bool) -> str:
    """Our block that computes what `parts` do, by name with options."""
    made, inner, given = len(_weight(parts["c2"])), *_weight(parts["c1"]).shape[:2]
    if inner not in (made, given):
        raise parts["c1"].refuse(f"a block from {given} to {made} channels has as many of one of them between")
    options = (["hidden=in"] if inner != made else []) + ([] if first else ["shortcut=activated"])
    return f"residual-{way}" + (f"({','.join(options)})" if options else "")


class _Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3), keepdim=True)


class _Block(nn.Module):
    """A residual block of torch's own modules; `step` is up, down, "" or first (down, and what sees the image)."""

    def __init__(self, parts: Mapping[str, Layer], step: str, activation: str) -> None:
        super().__init__()
        self.step, self.activation = step, make_activation(activation)
        self.parts = nn.ModuleDict()
        for name, layer in parts.items():
            if name.startswith("b"):
                self.parts[name] = nn.Sequential(*batch_norm(Unit(parts["c1"], layer)))
            else:
                padding = _weight(layer).shape[-1] // 2
                self.parts[name] = convolution(nn.Conv2d, _weight(layer), Unit(layer, None), 1, padding)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.step == "first" else self._activated("b1", x)
        if self.step in ("down", ""):  # its ReLU works in place, so that the shortcut sees what it makes
            x = y
        y = self.parts["c2"](self._activated("b2", self.parts["c1"](self._up(y))))
        y = F.avg_pool2d(y, 2) if self.step in ("down", "first") else y
        x = self._up(F.avg_pool2d(x, 2) if self.step == "first" else x)
        x = self.parts["c_sc"](x) if "c_sc" in self.parts else x
        return y + (F.avg_pool2d(x, 2) if self.step == "down" else x)

    def _activated(self, norm: str, x: Tensor) -> Tensor:
        return self.activation(self.parts[norm](x) if norm in self.parts else x)

    def _up(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear") if self.step == "up" else x


def _state(place: str, parts: Parts) -> dict[str, Tensor]:
    """The state of one of our residual blocks; c1 has no bias before a norm: it moves into the mean."""
    state: dict[str, Tensor] = {}
    for name, layer in parts.items():
        ours = f"{place}.{_OURS[name]}."
        if name.startswith("b"):
            tensors = norm_tensors(layer)
            if name == "b2":
                tensors["running_mean"] = tensors["running_mean"] - _bias(parts["c1"])
            state |= {f"{ours}{key}": value for key, value in tensors.items()}
        else:
            state |= weight_tensors(ours, _weight(layer), layer)
            state |= {} if name == "c1" and "b2" in parts else {f"{ours}bias": _bias(layer)}
    return state


def _weight(layer: Layer) -> Tensor:
    if layer.weight is None:
        raise layer.refuse("it has no weight")
    return layer.weight


def _bias(layer: Layer) -> Tensor:
    if layer.bias is None:
        raise layer.refuse("it has no bias")
    return layer.bias


def _fill(network: nn.Module, state: dict[str, Tensor], layer: Layer) -> None:
    """Load `state` into `network`; shapes that a table of tensors does not keep are a WeightsError."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"it is no {LAYOUT}: {str(error).splitlines()[1].strip()}") from error
