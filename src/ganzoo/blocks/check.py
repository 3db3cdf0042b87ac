"""Does a block keep the block contract?"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganzoo.blocks.contract import (
    BLOCKS,
    BlockFactory,
    check_announced,
    factory_name,
    make_block,
    needs_context,
    takes_context,
)
from ganzoo.blocks.promises import Promises
from ganzoo.errors import BlockError, ShapeError, words_of
from ganzoo.seeds import seeded

CONTEXT = 6  # numbers in the context of a trial


def check_block(factory: str | BlockFactory, in_channels: int = 8, out_channels: int | None = None) -> None:
    """Try every promise of the block contract on the blocks of `factory`; torch's random state stays as it was.

    Promises: the channels and scale it announces, the output's shape, one tensor out, the input left as it was, dtype
    (float32, float64, bfloat16), device, gradients to the input and every parameter (not None, finite, and not zero
    after at most one step), equal outputs after a state round trip, rows independent of their batch mates in eval
    mode, no noise in eval mode, odd sizes (they work, or raise ShapeError), and that it takes the options it declares.
    A block that declares `context` is tried with one, which gradients must reach too, and without if it has a default.

    Args:
        factory: a registered name, with or without options, or a callable `(in_channels, out_channels)`: a class, a
            function, a partial; the block need not inherit `ImageBlock`.
        in_channels: channels to try it with.
        out_channels: the same for the output; by default 12, or `in_channels` if the factory refuses that.

    Raises:
        UnknownNameError, ConfigError: no such name, or its options are wrong.
        BlockError: the block, the promise it breaks, and how.
    """
    name = factory if isinstance(factory, str) else factory_name(factory)
    factory = BLOCKS.make(factory) if isinstance(factory, str) else factory
    contexts = [0] if not takes_context(factory) else [CONTEXT] if needs_context(factory) else [0, CONTEXT]
    with seeded(0), torch.device("cpu"), torch.no_grad():
        for context in contexts:
            make = partial(factory, context=context) if context else factory
            channels = in_channels, out_channels or _fitting_channels(make, in_channels)
            trial = _BlockPromises(make, name, channels, context)
            promises = trial.shape, trial.dtype, trial.meta, trial.device, trial.gradients, trial.noise, trial.batch
            for promise in (*promises, trial.state, trial.odd_sizes, trial.options):
                promise()


def _fitting_channels(factory: BlockFactory, in_channels: int) -> int:
    try:
        factory(in_channels, 12)
    except Exception:  # whatever a stranger raises to demand equal channels; else the next build says what is wrong
        return in_channels
    return 12


class _BlockPromises(Promises):
    """Those of the blocks of `factory`, made with these channels, which take a context of so many numbers, or none."""

    kind = ("Block", "block")
    error = BlockError
    tolerance = 1e-4

    def __init__(self, factory: BlockFactory, name: str, channels: tuple[int, int], context: int) -> None:
        super().__init__(f"{name} with context={context}" if context else name)
        self.factory, self.channels, self.context = factory, channels, context

    def build(self) -> Any:
        try:
            with torch.enable_grad():  # as a user builds it
                block = self.factory(*self.channels)
        except Exception as error:
            raise BlockError(f"Block {self.name} can't be made with {self.channels} ({words_of(error)}).") from error
        check_announced(block, *self.channels, self.name)
        return block

    def moved(self) -> Any:
        block = self.build()
        for parameter in block.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
        return block

    def inputs(self, module: Any, height: int = 8, width: int = 8) -> tuple[Tensor, ...]:
        """Features of four images, and their context if the block takes one."""
        x = torch.randn(4, module.in_channels, height, width)
        return (x, torch.randn(4, self.context)) if self.context else (x,)

    def shape(self) -> None:
        block = self.build()
        for training in (True, False):
            for height, width in ((8, 8), (16, 16), (8, 12)):
                inputs = self.inputs(block, height, width)
                y = self.call(block.train(training), inputs, "shape")
                wanted = (4, block.out_channels, int(height * block.scale_factor), int(width * block.scale_factor))
                if tuple(y.shape) != wanted:
                    made = f"of {tuple(inputs[0].shape)} it makes {tuple(y.shape)}"
                    raise self.broken("shape", f"{made}, its scale_factor says {wanted}")

    def odd_sizes(self) -> None:
        block = self.build().eval()
        for height, width in ((7, 7), (6, 9), (9, 6)):
            inputs = self.inputs(block, height, width)
            given = f"an input of shape {tuple(inputs[0].shape)}"
            try:
                y = block(*inputs)
            except ShapeError:
                continue
            except Exception as error:
                how = f"it fails on {given} with another error than ShapeError"
                raise self.broken("odd sizes", how, error) from error
            exact = [size * block.scale_factor for size in (height, width)]
            if y.dim() != 4 or any(abs(size - scaled) > 0.5 for size, scaled in zip(y.shape[2:], exact)):
                how = f"of {given} it makes {tuple(y.shape)}, against its scale_factor; raise ShapeError instead"
                raise self.broken("odd sizes", how)

    def options(self) -> None:
        """The options that it declares are taken."""
        for first in (False, True):
            block = make_block(self.factory, *self.channels, norm="group", activation="silu", first=first)
            self.call(block, self.inputs(block), "its options")
