"""Does a block keep the block contract? Every promise is one small function that raises where it is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.blocks.contract import BlockFactory, check_announced, factory_name, make_block, needs_context, takes_context
from ganzoo.errors import BlockError, ShapeError
from ganzoo.seeds import seeded

Build = Callable[[], Any]
CONTEXT = 6  # numbers in the context of a trial


def check_block(factory: BlockFactory, in_channels: int = 8, out_channels: int | None = None) -> None:
    """Try every promise of the block contract on the blocks of `factory`; torch's random state stays as it was.

    Promises: the channels and scale it announces, the output's shape, one tensor out, the input left as it was, dtype
    (float32, float64, bfloat16), device, gradients to the input and every parameter (not None, finite, and not zero
    after at most one step), equal outputs after a state round trip, rows independent of their batch mates in eval
    mode, no noise in eval mode, odd sizes (they work, or raise ShapeError), and that it takes the options it declares.
    A block that declares `context` is tried with one, which gradients must reach too, and without if it has a default.

    Args:
        factory: a callable `(in_channels, out_channels)`: a class, a function, a partial; the block need not inherit
            `ImageBlock`.
        in_channels: channels to try it with.
        out_channels: the same for the output; by default 12, or `in_channels` if the factory refuses that.

    Raises:
        BlockError: the block, the promise it breaks, and how.
    """
    name = factory_name(factory)
    contexts = [0] if not takes_context(factory) else [CONTEXT] if needs_context(factory) else [0, CONTEXT]
    with seeded(0), torch.device("cpu"):
        for context in contexts:
            options = {"context": context} if context else {}
            fitting = out_channels or _fitting_channels(factory, in_channels, options)
            _check(factory, name, in_channels, fitting, options)


def _check(factory: BlockFactory, name: str, in_channels: int, out_channels: int, options: dict[str, int]) -> None:
    """Try every promise of the blocks of `factory` made with `options`: a context, or nothing."""
    context = options.get("context", 0)
    name += f" with context={context}" if context else ""

    def build() -> Any:
        try:
            block = factory(in_channels, out_channels, **options)
        except Exception as error:
            raise _broken(name, f"can't be made with ({in_channels}, {out_channels})", error) from error
        check_announced(block, in_channels, out_channels, name)
        return block

    for check in (_shape, _dtype, _device, _gradients, _noise, _batch, _state, _odd_sizes):
        check(name, build, context)
    for first in (False, True):  # the options that it declares are taken
        block = make_block(
            factory, in_channels, out_channels, norm="group", activation="silu", first=first, context=context
        )
        _run(name, block, _inputs(block, context), "its options")


def _fitting_channels(factory: BlockFactory, in_channels: int, options: dict[str, int]) -> int:
    try:
        factory(in_channels, 12, **options)
    except Exception:  # whatever a stranger raises to demand equal channels; else the next build says what is wrong
        return in_channels
    return 12


def _broken(name: str, how: str, error: Exception | None = None) -> BlockError:
    cause = f" ({type(error).__name__}: {' '.join(str(error).split())})" if error else ""
    return BlockError(f"Block {name} {how}{cause}.")


def _inputs(block: Any, context: int, height: int = 8, width: int = 8, **options: Any) -> tuple[Tensor, ...]:
    """What `block` is called with: features of four images, and their context if it takes one."""
    x = torch.randn(4, block.in_channels, height, width, **options)
    return (x, torch.randn(4, context, **options)) if context else (x,)


def _run(name: str, block: nn.Module, inputs: tuple[Tensor, ...], promise: str) -> Tensor:
    """What `block` makes of `inputs`: one tensor, and no exception."""
    try:
        y = block(*inputs)
    except Exception as error:
        raise _broken(name, f"breaks the promise of {promise}: it fails on {_say(inputs[0])}", error) from error
    if not isinstance(y, Tensor):
        raise _broken(name, f"breaks the promise of one tensor in and one out: it gives a {type(y).__name__}")
    return y


def _say(x: Tensor) -> str:
    return f"an input of shape {tuple(x.shape)}, {x.dtype}, {x.device}"


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


@torch.no_grad()
def _move(block: nn.Module) -> None:
    """Change all parameters, away from a start such as zeros, which two blocks share and which hides what follows."""
    for parameter in block.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))


def _shape(name: str, build: Build, context: int) -> None:
    block = build()
    for training in (True, False):
        block.train(training)
        for height, width in ((8, 8), (16, 16), (8, 12)):
            inputs = _inputs(block, context, height, width)
            before = [each.clone() for each in inputs]
            with torch.no_grad():
                y = _run(name, block, inputs, "shape")
            scale = block.scale_factor
            wanted = (len(before[0]), block.out_channels, int(height * scale), int(width * scale))
            if tuple(y.shape) != wanted:
                found = f"of {tuple(before[0].shape)} it makes {tuple(y.shape)}, its scale_factor says {wanted}"
                raise _broken(name, f"breaks the promise of shape: {found}")
            if not all(map(torch.equal, inputs, before)):
                raise _broken(name, "breaks the promise to leave its input alone: it changes it in place")


def _dtype(name: str, build: Build, context: int) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        block = build().to(dtype)
        inputs = _inputs(block, context, dtype=dtype)
        try:
            y = _run(name, block, inputs, "dtype")
        except BlockError as error:
            if dtype == torch.bfloat16 and "not implemented for" in str(error):
                continue  # an operation that torch itself lacks here is not the block's fault
            raise
        if y.dtype != dtype:
            raise _broken(name, f"breaks the promise of dtype: it makes {y.dtype} of {dtype}")


def _device(name: str, build: Build, context: int) -> None:
    try:
        with torch.device("meta"):
            build()
    except BlockError as error:
        how = "its constructor fails on the meta device, where saved models are tried before memory is spent"
        raise _broken(name, f"breaks the promise of device: {how}", error) from error
    if torch.accelerator.is_available():
        accelerator = torch.accelerator.current_accelerator()
        block = build().to(accelerator)
        inputs = tuple(each.to(accelerator) for each in _inputs(block, context))
        y = _run(name, block, inputs, "device")
    else:  # torch's device without memory serves as a second one
        block = build().to("meta")
        inputs = _inputs(block, context, device="meta")
        try:
            y = _run(name, block, inputs, "device")
        except BlockError as error:
            cause = error.__cause__
            mixed = " device" in str(cause) and not isinstance(cause, NotImplementedError)
            if mixed or "out of meta tensor" in str(cause):
                raise
            return  # the block looks at values, which the meta device has not
    given = inputs[0].device
    if y.device.type != given.type:
        raise _broken(name, f"breaks the promise of device: it gives a tensor on {y.device} for one on {given}")


def _gradients(name: str, build: Build, context: int) -> None:
    block = build()
    missing = [key for key, parameter in block.named_parameters() if parameter.requires_grad]
    if context:
        missing.append("its context")
    for _attempt in range(2):  # what starts behind a zero, such as a gate, has one after one step
        gradients = _backward(name, block, context)
        missing = [key for key in missing if gradients[key] is None or not gradients[key].any()]
        with torch.no_grad():
            for parameter in block.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    if missing:
        raise _broken(name, f"breaks the promise of gradients: none reaches {', '.join(missing)}")


def _backward(name: str, block: nn.Module, context: int) -> dict[str, Any]:
    """The gradients of the parameters, "its input" and "its context"; all finite, and one for the input."""
    promise = "breaks the promise of gradients:"
    inputs = [each.requires_grad_() for each in _inputs(block, context)]
    block.zero_grad()
    with torch.enable_grad():  # products, since torch forbids any change in place of a leaf
        y = _run(name, block, tuple(each * 1 for each in inputs), "gradients")
        try:
            (y * torch.randn(y.shape)).sum().backward()
        except RuntimeError as error:
            raise _broken(name, f"{promise} the backward pass fails", error) from error
    learned = {**dict(zip(("its input", "its context"), inputs)), **dict(block.named_parameters())}
    gradients = {key: value.grad for key, value in learned.items()}
    for key, gradient in gradients.items():
        if gradient is not None and not gradient.isfinite().all():
            raise _broken(name, f"{promise} that of {key} is not finite")
    if gradients["its input"] is None or not gradients["its input"].any():
        raise _broken(name, f"{promise} none reaches its input")
    return gradients


@torch.no_grad()
def _noise(name: str, build: Build, context: int) -> None:
    block = build().eval()
    _move(block)
    inputs = _inputs(block, context)
    if not _close(_run(name, block, inputs, "no noise"), _run(name, block, inputs, "no noise")):
        raise _broken(name, "breaks the promise of no noise: in eval mode two calls with one input differ")


@torch.no_grad()
def _batch(name: str, build: Build, context: int) -> None:
    block = build().eval()
    _move(block)
    inputs = _inputs(block, context)
    row = tuple(each[:1].contiguous() for each in inputs)
    promise = "batch independence"
    if not _close(_run(name, block, inputs, promise)[:1], _run(name, block, row, promise)):
        raise _broken(name, f"breaks the promise of {promise}: in eval mode a row depends on its batch mates")


@torch.no_grad()
def _state(name: str, build: Build, context: int) -> None:
    block, fresh = build(), build()
    _move(block)
    for _call in range(3):
        _run(name, block.train(), tuple(each + 1 for each in _inputs(block, context)), "state")  # statistics move
    try:
        fresh.load_state_dict(block.state_dict())
    except Exception as error:
        raise _broken(name, "breaks the promise of state: a fresh block refuses its state_dict", error) from error
    inputs = _inputs(block, context)
    if not _close(_run(name, block.eval(), inputs, "state"), _run(name, fresh.eval(), inputs, "state")):
        raise _broken(name, "breaks the promise of state: a fresh block with its state_dict gives other outputs")


@torch.no_grad()
def _odd_sizes(name: str, build: Build, context: int) -> None:
    block = build().eval()
    for height, width in ((7, 7), (6, 9), (9, 6)):
        inputs = _inputs(block, context, height, width)
        try:
            y = block(*inputs)
        except ShapeError:
            continue
        except Exception as error:
            how = f"it fails on {_say(inputs[0])} with another error than ShapeError"
            raise _broken(name, f"breaks the promise of odd sizes: {how}", error) from error
        exact = [size * block.scale_factor for size in (height, width)]
        if y.dim() != 4 or any(abs(size - scaled) > 0.5 for size, scaled in zip(y.shape[2:], exact)):
            how = f"of {_say(inputs[0])} it makes {tuple(y.shape)}, against its scale_factor; raise ShapeError instead"
            raise _broken(name, f"breaks the promise of odd sizes: {how}")
