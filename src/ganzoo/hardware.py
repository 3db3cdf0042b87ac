"""Which devices are here, and what they compute fast: rules by device and instruction set, no stopwatch."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import ConfigError, quote

_lock, _switched = Lock(), ExitStack()  # torch's switches are the process's, so they are guarded and put back here
_blocks: list[bool] = []  # of `full_float32` that run now in all threads: whether they want all bits


def checked_device(device: torch.device | str) -> torch.device:
    """`device`, if tensors can be put there.

    Raises:
        ConfigError: torch has no such device here.
    """
    try:
        found = torch.device(device)
        if found.type == "meta":
            raise RuntimeError("it holds shapes and no numbers")
        return torch.empty(1, device=found).device  # with its number, as the device of a network: cuda is cuda:0
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).split("\n")[0].split(" at start of device string")[0]
        raise ConfigError(f"device {quote(str(device))} can't be used ({reason}); take cpu") from error


def send(
    tensor: Tensor, device: torch.device | str, memory_format: torch.memory_format = torch.preserve_format
) -> Tensor:
    """`tensor` on `device`, without waiting for it if that is safe."""
    # Only CUDA copies pageable memory aside first: MPS would read it later, when it holds the next batch.
    at_once = torch.device(device).type == "cuda"
    return tensor.to(device, memory_format=memory_format, non_blocking=at_once)


def off_mps(tensor: Tensor) -> Tensor:
    """`tensor`, on the CPU if it was on MPS, whose adaptive pooling takes no sizes that don't divide, as 28 by 8."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


@contextmanager
def full_float32(device: torch.device | str, wanted: bool = True) -> Iterator[None]:
    """A `with` block in which CUDA keeps all 23 bits of float32, or convolutions keep 10 (TF32, torch's default).

    If blocks of several threads overlap, all bits are kept while one of them wants that.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    _count(_blocks.append, wanted)
    try:
        yield
    finally:
        _count(_blocks.remove, wanted)


def _count(change: Callable[[bool], None], wanted: bool) -> None:
    """Let `change` add a block to those that run, or take it away; switch if they want something else by that."""
    with _lock:
        before = max(_blocks, default=None)
        change(wanted)
        now = max(_blocks, default=None)
        if now != before:
            _switched.close()
            if now is not None:
                _switched.enter_context(_float32(now))


@contextmanager
def _float32(full: bool) -> Iterator[None]:
    """Switch to all bits, also of matrix products, or to convolutions in TF32; put back what was there.

    torch has older and newer switches, and reading an older one is an error while it contradicts the newer ones. So
    both are written, but only if they change something: what was written no longer follows `backends.fp32_precision`.
    """
    backends: Any = torch.backends  # torch declares not all of it
    cudnn, products = backends.cudnn, backends.cuda.matmul
    parts = cudnn.conv, cudnn.rnn, products, backends.mkldnn.matmul  # an older switch moves the last one too
    before = [part.fp32_precision for part in parts]
    of_convolutions = any((precision == "tf32") == full for precision in before[:2])
    of_products = full and before[2] == "tf32"
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:
        older = None
    if of_convolutions:
        cudnn.allow_tf32 = not full
        _write(parts[:2], ["ieee" if full else "tf32"] * 2)
    if of_products:
        if older:
            torch.set_float32_matmul_precision("highest")
        _write(parts[2:3], ["ieee"])
    yield
    if of_convolutions:
        cudnn.allow_tf32 = before[0] == "tf32"
        _write(parts[:2], before[:2])
    if of_products:
        if older:
            torch.set_float32_matmul_precision(older)
        _write(parts[2:], before[2:])


def _write(parts: Sequence[Any], precisions: Sequence[str]) -> None:
    for part, precision in zip(parts, precisions):
        if part.fp32_precision != precision:
            part.fp32_precision = precision


def fast_bfloat16(device: torch.device | str) -> bool:
    """Whether `device` has instructions for matrices in bfloat16 (AVX512-BF16, AMX, NVIDIA's from Ampere on)."""
    kind = torch.device(device).type
    if kind == "cuda":
        # torch.cuda.is_bf16_supported asks the current device, perhaps another one
        return torch.cuda.is_available() and bool(torch.version.hip or torch.cuda.get_device_capability(device)[0] >= 8)
    if kind == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def name_of(device: torch.device | str) -> str:
    """What a person calls `device`: the model of a GPU, or of the processor and its number of cores."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # Linux; others name it above
            name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores" + (f" ({kind})" if kind != "cpu" else "")
