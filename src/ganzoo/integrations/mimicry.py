"""torch-mimicry's SNGAN (Lee and Town 2020, arXiv 2005.02494) as networks of ours, beside torch's own modules."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks import make_activation
from ganzoo.integrations.layers import Layer
from ganzoo.integrations.plain import Assumptions, Reading, filled
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
_PARTS = ("b1", "c1", "b2", "c2", "c_sc")  # of a block, in the order of our residual blocks
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
        if part in _PARTS and place.startswith("block"):
            blocks.setdefault(place, {})[part] = layers.pop(layer.name)
    for parts in blocks.values():
        if {"c1", "c2"} - parts.keys():
            raise next(iter(parts.values())).refuse("a residual block has two convolutions, c1 and c2")
    return (_generator if "l1" in layers else _discriminator)(layers, list(blocks.values()), assumptions)


def _check_whole(layers: Iterable[Layer]) -> None:
    kinds = {"b": "norm", "c": "convolution", "l": "linear layer"}
    for layer in layers:
        wanted = kinds[layer.name.rpartition(".")[2][0]]
        if layer.kind != wanted:
            raise layer.refuse(f"it has no weight of a {wanted}")
        if "bias" not in layer.tensors:
            raise layer.refuse("it has no bias")


def _generator(layers: Parts, blocks: list[Parts], assumptions: Assumptions) -> Reading:
    stem = layers.pop("l1")
    norm, head = (layers.pop(f"{kind}{len(blocks) + 2}", None) for kind in "bc")
    if norm is None or head is None or layers:
        raise (next(iter(layers.values()), stem)).refuse(f"{LAYOUT} has l1, blocks, a norm and a convolution alone")
    for parts in blocks:
        if parts.keys() != {*_PARTS}:
            raise parts["c1"].refuse("a generator's block has two norms, two convolutions and a shortcut")
    _check_whole([stem, *(layer for parts in blocks for layer in parts.values()), norm, head])
    widths = [blocks[0]["c1"].weight.shape[1], *(len(parts["c2"].weight) for parts in blocks)]
    start_size = math.isqrt(len(stem.weight) // widths[0])
    activation = assumptions.activation or "relu"
    config = DCGANGeneratorConfig(
        latent_size=stem.weight.shape[1],
        start_size=start_size,
        widths=tuple(widths),
        stem="linear",
        block="residual-up(interpolation=bilinear)",
        activation=activation,
        head="same",
        image_channels=len(head.weight),
    )
    plain = nn.Sequential(
        nn.Flatten(),
        stem.fill(nn.Linear(stem.weight.shape[1], len(stem.weight))),
        nn.Unflatten(1, (widths[0], start_size, start_size)),
        *(_Block(parts, "up", activation) for parts in blocks),
        norm.batch_norm(),
        make_activation(activation),
        head.convolution(padding=1),
        assumptions.end,
    )
    assumed = [f"{activation} in the blocks (--activation), which double bilinearly", *assumptions.of_generator]
    return filled(DCGANGenerator(config), plain, LAYOUT, assumed, assumptions)


def _discriminator(layers: Parts, blocks: list[Parts], assumptions: Assumptions) -> Reading:
    name, head = next(iter(layers.items()), ("", None))
    if head is None or len(layers) > 1 or (len(blocks), name) not in _DISCRIMINATORS:
        parts = next(iter(blocks), {})
        wrong = head if head and not re.fullmatch(r"l\d", name) else [*layers.values(), *parts.values()][-1]
        raise wrong.refuse(f"{LAYOUT} has 4 to 6 blocks and one linear layer behind them, l5, l6 or l7")
    _check_whole([*(layer for parts in blocks for layer in parts.values()), head])
    size, halves = _DISCRIMINATORS[len(blocks), name]
    steps = ["down" if half else "same" for half in halves]
    activation = assumptions.discriminator_activation or "relu"
    config = DCGANDiscriminatorConfig(
        image_size=size,
        image_channels=blocks[0]["c1"].weight.shape[1],
        widths=tuple(len(parts["c2"].weight) for parts in blocks),
        block=tuple(_discriminator_block(parts, step, first=parts is blocks[0]) for parts, step in zip(blocks, steps)),
        norm="spectral",
        activation=activation,
        pool="sum",
        head_bias=True,
    )
    plain = nn.Sequential(
        *(_Block(parts, step, activation) for parts, step in zip(blocks, ["first", *steps[1:]])),
        make_activation(activation),
        nn.LPPool2d(1, size // 2 ** sum(halves)),  # the sum of all places
        head.reshaped(*head.weight.shape, 1, 1).convolution(),
    )
    assumed = f"{activation} in the blocks (--discriminator-activation), {size}x{size} images, as the names have there"
    return filled(DCGANDiscriminator(config), plain, LAYOUT, [assumed], assumptions)


def _discriminator_block(parts: Parts, step: str, *, first: bool) -> str:
    """Our block that computes what `parts` do, by name with options."""
    made, inner, given = len(parts["c2"].weight), *parts["c1"].weight.shape[:2]
    if inner not in (made, given):
        raise parts["c1"].refuse(f"a block from {given} to {made} channels has as many of one of them between")
    options = (["hidden=in"] if inner != made else []) + ([] if first else ["shortcut=activated"])
    return f"residual-{step}" + (f"({','.join(options)})" if options else "")


class _Block(nn.Module):
    """A residual block of torch's own modules; `step` is up, down, same or first (down, and what sees the image)."""

    def __init__(self, parts: Mapping[str, Layer], step: str, activation: str) -> None:
        super().__init__()
        self.step, self.activation = step, make_activation(activation)
        self.parts = nn.ModuleDict()
        for name in _PARTS:
            if layer := parts.get(name):
                self.parts[name] = (
                    layer.batch_norm() if name in ("b1", "b2") else layer.convolution(padding=int(name != "c_sc"))
                )

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.step == "first" else self._activated("b1", x)
        if self.step in ("down", "same"):  # its ReLU works in place, so that the shortcut sees what it makes
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
