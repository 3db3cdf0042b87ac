"""The contract that every block keeps, the registry of blocks, and how a network makes its blocks.

A block maps (N, in_channels, H, W) to (N, out_channels, H * s, W * s), s being its `scale_factor`: 2, 1 or 0.5. It
keeps dtype and device, takes one tensor and gives one, holds no noise, and is initialised by its constructor (which
must run on torch's meta device too). A DCGAN then draws torch's layers in it anew, by its config's `initialisation`;
what must start in its own way, such as a branch at zero, inherits `OwnStart`. Sizes it can't take are a ShapeError. It
need not inherit `ImageBlock`: any nn.Module that announces `in_channels`, `out_channels` and `scale_factor` will do;
`check_block` tells. A block *factory* is any callable `(in_channels, out_channels)`; its further arguments are options
of its name, as in `dcgan-up(kernel_size=6,padding=2)`, which `BLOCKS.make` binds with `functools.partial`.

What a block takes of its network beside the channels, it declares in `options`: norm, activation, whether it sees the
image, and `context`. If a network has a context (a vector for each image, such as a label's embedding), a block that
declares it is made with `context=C` and called `block(x, context)` with a (N, C) tensor. All others are called
`block(x)`, and a conditional network modulates what they give. A block whose `context` has no default, such as a
modulated convolution, works in networks with a context alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from inspect import Parameter, signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganzoo.blocks.activations import Activation
from ganzoo.blocks.norms import Norm
from ganzoo.config import check_counts
from ganzoo.errors import BlockError, ShapeError, quote
from ganzoo.registry import Registry

BlockFactory = Callable[..., nn.Module]
OPTIONS = ("norm", "activation", "first", "context")
BLOCKS: Registry[BlockFactory] = Registry(
    "block", "ganzoo.blocks", "a class or function that makes a block", callable, given=(*OPTIONS, "slope")
)
_SCALES = (2.0, 1.0, 0.5)
_SAME_SCALE = {*OPTIONS, "slope"}  # bound arguments that leave a block's scale alone


class ImageBlock(nn.Module, ABC):
    """Base of ganzoo's blocks: announces its channels and scale, and checks what it is given.

    A subclass sets `scale_factor`, on the class or in its constructor, and writes `forward`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        context: numbers in an image's context; 0: the block takes none.

    Attributes:
        scale_factor: output size over input size: 2, 1 or 0.5; None if no single number says it for every size.
        options: which of "norm", "activation", "first" and "context" the constructor takes, as keywords, from a
            network: its norm, its activation, whether this is the block that sees the image, and the numbers in an
            image's context.
        output_activated: False if norm and activation come first in the block, so that what follows the last block
            must add them.
    """

    scale_factor: float | None = None
    options: ClassVar[tuple[str, ...]] = ()
    output_activated: bool = True

    def __init__(self, in_channels: int, out_channels: int, *, context: int = 0) -> None:
        super().__init__()
        check_counts(type(self).__name__, in_channels=in_channels, out_channels=out_channels)
        check_counts(type(self).__name__, 0, context=context)
        self.in_channels, self.out_channels, self.context = in_channels, out_channels, context

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H * s, W * s), s being `scale_factor`.

        A block with a context is called `forward(x, context)`, the context (N, `context`).
        """

    def check_input(self, x: Tensor, context: Tensor | None = None) -> None:
        """Raise ShapeError unless `x` is (N, in_channels, H, W), with H and W even if the block halves them, and
        `context` is (N, `self.context`), or None if that is 0."""
        part = round(1 / self.scale_factor) if self.scale_factor and self.scale_factor < 1 else 1
        if x.dim() != 4 or x.shape[1] != self.in_channels or x.shape[2] % part or x.shape[3] % part:
            sizes = f" with H and W divisible by {part}" if part > 1 else ""
            wanted = f"(N, {self.in_channels}, H, W){sizes}"
            raise ShapeError(f"{type(self).__name__} wants an input of shape {wanted}, got {tuple(x.shape)}.")
        wanted_context = (x.shape[0], self.context) if self.context else None
        found = None if context is None else tuple(context.shape)
        if found != wanted_context:
            wanted = f"a context of shape {wanted_context}" if wanted_context else "no context"
            raise ShapeError(f"{type(self).__name__} wants {wanted}, got {found}.")


def make_block(
    factory: BlockFactory,
    in_channels: int,
    out_channels: int,
    *,
    norm: Norm,
    activation: Activation,
    first: bool = False,
    context: int = 0,
) -> nn.Module:
    """The block of `factory` for a network: it gets those of the network's options that it declares.

    Args:
        factory: a callable `(in_channels, out_channels)`; if it (or what a partial binds) has a tuple `options`,
            the options named there are passed as keywords, save those a partial has bound.
        in_channels: channels of the block's input.
        out_channels: channels of its output.
        norm: the network's norm, a name or a callable (see `make_norm`).
        activation: the network's activation, a name or a callable (see `make_activation`).
        first: whether the block sees the image itself.
        context: numbers in an image's context, which a block that declares `context` is then called with; 0: none.

    Raises:
        BlockError: the factory can't be called so, or its block does not announce fitting channels and scale.
    """
    name = factory_name(factory)
    if not context and needs_context(factory):
        raise BlockError(f"Block {name} needs a context, which a generator with classes gives: set num_classes.")
    offered = {"norm": norm, "activation": activation, "first": first, **({"context": context} if context else {})}
    passed = {option: offered[option] for option in _declared(factory) if option in offered}
    try:
        block = factory(in_channels, out_channels, **passed)
    except TypeError as error:
        keywords = "".join(f", {option}=..." for option in passed)
        raise BlockError(
            f"Block {name} can't be made with ({in_channels}, {out_channels}{keywords}): {error}."
        ) from error
    check_announced(block, in_channels, out_channels, name)
    return block


def takes_context(factory: BlockFactory) -> bool:
    """Whether blocks that `make_block` makes with a context are called with it; BlockError as `make_block`."""
    return "context" in _declared(factory)


def needs_context(factory: BlockFactory) -> bool:
    """Whether blocks of `factory` can't be made without a context: the argument has no default."""
    # if it declares a context that it does not take, making the block will say so
    parameter = signature(factory).parameters.get("context") if takes_context(factory) else None
    return parameter is not None and parameter.default is Parameter.empty


def check_announced(block: object, in_channels: int, out_channels: int, name: str) -> None:
    """Raise BlockError unless `block` is a module that announces these channels and a scale of 2, 1 or 0.5."""
    if not isinstance(block, nn.Module):
        raise BlockError(f"Block {name} made {quote(block)}; a factory must make an nn.Module.")
    for attribute, wanted in (("in_channels", in_channels), ("out_channels", out_channels)):
        value = getattr(block, attribute, None)
        if value != wanted:
            raise BlockError(f"Block {name} must announce {attribute}={wanted} for its neighbours, got {quote(value)}.")
    scale = getattr(block, "scale_factor", None)
    if scale not in _SCALES:
        raise BlockError(f"Block {name} must announce a scale_factor of 2, 1 or 0.5, got {quote(scale)}.")


def block_scale(factory: BlockFactory, in_channels: int, out_channels: int) -> float:
    """Output size over input size of `factory`'s blocks; read off the class if that is safe.

    Otherwise a block is made, on torch's meta device and so without memory.

    Raises:
        BlockError: as `make_block`.
    """
    target, bound = _unwrap(factory)
    if isinstance(target, type) and issubclass(target, ImageBlock) and bound <= _SAME_SCALE:
        scale = getattr(target, "scale_factor", None)
        if scale in _SCALES:
            return float(scale)
    with torch.device("meta"):
        block: Any = make_block(factory, in_channels, out_channels, norm="none", activation="none", context=1)
    return float(block.scale_factor)


def factory_name(factory: BlockFactory) -> str:
    """What messages call a factory: the name of its class or function."""
    target, _bound = _unwrap(factory)
    return getattr(target, "__name__", quote(target))


def _declared(factory: BlockFactory) -> list[str]:
    """The options that `factory` takes from a network: those it declares, save what a partial has bound."""
    target, bound = _unwrap(factory)
    declared = getattr(target, "options", ())
    if not isinstance(declared, tuple) or any(option not in OPTIONS for option in declared):
        raise BlockError(
            f"Block {factory_name(factory)}: options must be a tuple of some of {', '.join(OPTIONS)}, "
            f"got {quote(declared)}."
        )
    return [option for option in declared if option not in bound]


def _unwrap(factory: BlockFactory) -> tuple[BlockFactory, set[str]]:
    """The callable inside all partials, and the names of the arguments that they bind."""
    bound: set[str] = set()
    while isinstance(factory, partial):
        bound |= set(factory.keywords)
        factory = factory.func
    return factory, bound
