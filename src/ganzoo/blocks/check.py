"""Does a block keep the block contract? Every promise is one small function that raises where it is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.blocks.contract import BlockFactory, check_announced, factory_name, make_block
from ganzoo.errors import BlockError, ShapeError
from ganzoo.seeds import seeded

Build = Callable[[], Any]


def check_block(factory: BlockFactory, in_channels: int = 8, out_channels: int | None = None) -> None:
    """Try every promise of the block contract on the blocks of `factory`; torch's random state stays as it was.

    Promises: the channels and scale it announces, the output's shape, one tensor out, the input left as it was, dtype
    (float32, float64, bfloat16), device, gradients to the input and every parameter (not None, finite, and not zero
    after at most one step), equal outputs after a state round trip, rows independent of their batch mates in eval
    mode, no noise in eval mode, odd sizes (they work, or raise ShapeError), and that it takes the options it declares.

    Args:
        factory: a callable `(in_channels, out_channels)`: a class, a function, a partial; the block need not inherit
            `ImageBlock`.
        in_channels: channels to try it with.
        out_channels: the same for the output; by default 12, or `in_channels` if the factory refuses that.

    Raises:
        BlockError: the block, the promise it breaks, and how.
    """
    name = factory_name(factory)
    with seeded(0), torch.device("cpu"):
        if out_channels is None:
            out_channels = _fitting_channels(factory, in_channels)

        def build() -> Any:
            try:
                block = factory(in_channels, out_channels)
            except Exception as error:
                raise _broken(name, f"can't be made with ({in_channels}, {out_channels})", error) from error
            check_announced(block, in_channels, out_channels, name)
            return block

        for check in (_shape, _dtype, _device, _gradients, _noise, _batch, _state, _odd_sizes):
            check(name, build)
        _declared_options(name, factory, in_channels, out_channels)


def _fitting_channels(factory: BlockFactory, in_channels: int) -> int:
    try:
        factory(in_channels, 12)
    except Exception:  # whatever a stranger raises to demand equal channels; else the next build says what is wrong
        return in_channels
    return 12


def _broken(name: str, how: str, error: Exception | None = None) -> BlockError:
    cause = f" ({type(error).__name__}: {' '.join(str(error).split())})" if error else ""
    return BlockError(f"Block {name} {how}{cause}.")


def _input(block: Any, height: int = 8, width: int = 8, **options: Any) -> Tensor:
    return torch.randn(4, block.in_channels, height, width, **options)


def _run(name: str, block: nn.Module, x: Tensor, promise: str) -> Tensor:
    """What `block` makes of `x`: one tensor, and no exception."""
    try:
        y = block(x)
    except Exception as error:
        raise _broken(name, f"breaks the promise of {promise}: it fails on {_say(x)}", error) from error
    if not isinstance(y, Tensor):
        raise _broken(name, f"breaks the promise of one tensor in and one out: it gives a {type(y).__name__}")
    return y


def _say(x: Tensor) -> str:
    return f"an input of shape {tuple(x.shape)}, {x.dtype}, {x.device}"


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


def _shape(name: str, build: Build) -> None:
    block = build()
    for training in (True, False):
        block.train(training)
        for height, width in ((8, 8), (16, 16), (8, 12)):
            x = _input(block, height, width)
            before = x.clone()
            with torch.no_grad():
                y = _run(name, block, x, "shape")
            scale = block.scale_factor
            wanted = (len(x), block.out_channels, int(height * scale), int(width * scale))
            if tuple(y.shape) != wanted:
                found = f"of {tuple(x.shape)} it makes {tuple(y.shape)}, its scale_factor says {wanted}"
                raise _broken(name, f"breaks the promise of shape: {found}")
            if not torch.equal(x, before):
                raise _broken(name, "breaks the promise to leave its input alone: it changes it in place")


def _dtype(name: str, build: Build) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        block = build().to(dtype)
        x = _input(block, dtype=dtype)
        try:
            y = _run(name, block, x, "dtype")
        except BlockError as error:
            if dtype == torch.bfloat16 and "not implemented for" in str(error):
                continue  # an operation that torch itself lacks here is not the block's fault
            raise
        if y.dtype != dtype:
            raise _broken(name, f"breaks the promise of dtype: it makes {y.dtype} of {dtype}")


def _device(name: str, build: Build) -> None:
    try:
        with torch.device("meta"):
            build()
    except BlockError as error:
        how = "its constructor fails on the meta device, where saved models are tried before memory is spent"
        raise _broken(name, f"breaks the promise of device: {how}", error) from error
    if torch.accelerator.is_available():
        accelerator = torch.accelerator.current_accelerator()
        block = build().to(accelerator)
        x = _input(block).to(accelerator)
        y = _run(name, block, x, "device")
    else:  # torch's device without memory serves as a second one
        block = build().to("meta")
        x = _input(block, device="meta")
        try:
            y = _run(name, block, x, "device")
        except BlockError as error:
            cause = error.__cause__
            mixed = " device" in str(cause) and not isinstance(cause, NotImplementedError)
            if mixed or "out of meta tensor" in str(cause):
                raise
            return  # the block looks at values, which the meta device has not
    if y.device.type != x.device.type:
        raise _broken(name, f"breaks the promise of device: it gives a tensor on {y.device} for one on {x.device}")


def _gradients(name: str, build: Build) -> None:
    block = build()
    missing = [key for key, parameter in block.named_parameters() if parameter.requires_grad]
    promise = "breaks the promise of gradients:"
    for _attempt in range(2):  # what starts behind a zero, such as a gate, has one after one step
        x = _input(block).requires_grad_()
        block.zero_grad()
        with torch.enable_grad():
            y = _run(name, block, x * 1, "gradients")  # a product, since torch forbids any change in place of a leaf
            try:
                (y * torch.randn(y.shape)).sum().backward()
            except RuntimeError as error:
                raise _broken(name, f"{promise} the backward pass fails", error) from error
        everything = [("its input", x), *block.named_parameters()]
        for key, value in everything:
            if value.grad is not None and not value.grad.isfinite().all():
                raise _broken(name, f"{promise} that of {key} is not finite")
        if x.grad is None or not x.grad.any():
            raise _broken(name, f"{promise} none reaches its input")
        gradients = {key: parameter.grad for key, parameter in block.named_parameters()}
        missing = [key for key in missing if gradients[key] is None or not gradients[key].any()]
        with torch.no_grad():
            for parameter in block.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    if missing:
        raise _broken(name, f"{promise} none reaches {', '.join(missing)}")


@torch.no_grad()
def _noise(name: str, build: Build) -> None:
    block = build().eval()
    x = _input(block)
    if not _close(_run(name, block, x, "no noise"), _run(name, block, x, "no noise")):
        raise _broken(name, "breaks the promise of no noise: in eval mode two calls with one input differ")


@torch.no_grad()
def _batch(name: str, build: Build) -> None:
    block = build().eval()
    x = _input(block)
    promise = "batch independence"
    if not _close(_run(name, block, x, promise)[:1], _run(name, block, x[:1].contiguous(), promise)):
        raise _broken(name, f"breaks the promise of {promise}: in eval mode a row depends on its batch mates")


@torch.no_grad()
def _state(name: str, build: Build) -> None:
    block, fresh = build(), build()
    for parameter in block.parameters():  # away from a start that two blocks would share, such as zeros
        parameter += 0.1 * torch.randn(parameter.shape)
    for _call in range(3):
        _run(name, block.train(), _input(block) + 1, "state")  # running statistics move
    try:
        fresh.load_state_dict(block.state_dict())
    except Exception as error:
        raise _broken(name, "breaks the promise of state: a fresh block refuses its state_dict", error) from error
    x = _input(block)
    if not _close(_run(name, block.eval(), x, "state"), _run(name, fresh.eval(), x, "state")):
        raise _broken(name, "breaks the promise of state: a fresh block with its state_dict gives other outputs")


@torch.no_grad()
def _odd_sizes(name: str, build: Build) -> None:
    block = build().eval()
    for height, width in ((7, 7), (6, 9), (9, 6)):
        x = _input(block, height, width)
        try:
            y = block(x)
        except ShapeError:
            continue
        except Exception as error:
            how = f"it fails on {_say(x)} with another error than ShapeError"
            raise _broken(name, f"breaks the promise of odd sizes: {how}", error) from error
        exact = [size * block.scale_factor for size in (height, width)]
        if y.dim() != 4 or any(abs(size - scaled) > 0.5 for size, scaled in zip(y.shape[2:], exact)):
            how = f"of {_say(x)} it makes {tuple(y.shape)}, against its scale_factor; raise ShapeError instead"
            raise _broken(name, f"breaks the promise of odd sizes: {how}")


def _declared_options(name: str, factory: BlockFactory, in_channels: int, out_channels: int) -> None:
    """A network's norm, activation and place are taken where the block declares that it takes them."""
    for first in (False, True):
        block = make_block(factory, in_channels, out_channels, norm="group", activation="silu", first=first)
        _run(name, block, _input(block), "its options")
