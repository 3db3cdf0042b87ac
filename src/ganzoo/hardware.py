"""Which devices are here, and what they compute fast: rules by device and instruction set, no stopwatch."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import ConfigError, quote


def checked_device(device: torch.device | str) -> torch.device:
    """`device`, if tensors can be put there.

    Raises:
        ConfigError: torch has no such device here.
    """
    try:
        found = torch.device(device)
        if found.type == "meta":
            raise RuntimeError("it holds shapes and no numbers")
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).split("\n")[0].split(" at start of device string")[0]
        raise ConfigError(f"device {quote(str(device))} can't be used ({reason}); take cpu") from error
    return found


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
    """A `with` block in which CUDA's convolutions keep all 23 bits of float32, or 10 (TF32, torch's default)."""
    if torch.device(device).type != "cuda":
        yield
        return
    cudnn: Any = torch.backends.cudnn  # torch declares not all of it
    parts = cudnn.conv, cudnn.rnn
    before = [part.fp32_precision for part in parts]

    def choose(precisions: list[str]) -> None:
        # torch's older switch too: reading it is an error while it contradicts the newer ones
        cudnn.allow_tf32 = precisions[0] == "tf32"
        for part, precision in zip(parts, precisions):
            part.fp32_precision = precision

    choose(["ieee" if wanted else "tf32"] * 2)
    try:
        yield
    finally:
        choose(before)


def fast_bfloat16(device: torch.device | str) -> bool:
    """Whether `device` has instructions for matrices in bfloat16 (AVX512-BF16, AMX, NVIDIA's from Ampere on)."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
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
