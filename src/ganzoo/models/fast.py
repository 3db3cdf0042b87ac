"""`precision="fast"`: a generator's copy for sampling, kept until the weights change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn

from ganzoo.hardware import fast_bfloat16
from ganzoo.models.contract import Generator

LARGE = 2048  # numbers; a smaller matrix costs less to copy than to multiply


class FastCopy:
    """A copy of a generator to call for sampling alone: nearly the same numbers.

    If the device is fast at bfloat16, a `Generator` computes in it, the channels of a pixel side by side in memory. A
    custom module may not bear that: it is called as it is, in eval mode.
    """

    def __init__(self) -> None:
        self._made: tuple[nn.Module, Tensor, Callable[..., Tensor]] | None = None

    def of(self, generator: nn.Module) -> Callable[..., Tensor]:
        """What to call in place of `generator`, with its weights as they are now."""
        device = next((value.device for value in generator.parameters()), torch.device("cpu"))
        narrow = fast_bfloat16(device)
        if not isinstance(generator, Generator) or not (narrow or _has_preparation(generator)):
            return generator
        mark = _mark(generator)
        if self._made is None or self._made[0] is not generator or not _equal(self._made[1], mark):
            self._made = generator, mark, _prepared(generator, narrow)
        return self._made[2]


def _equal(one: Tensor, other: Tensor) -> bool:
    return (one.device, one.dtype) == (other.device, other.dtype) and torch.equal(one, other)


def _has_preparation(generator: Generator) -> bool:
    return type(generator).prepared_for_sampling is not Generator.prepared_for_sampling


def _prepared(generator: Generator, narrow: bool) -> Callable[..., Tensor]:
    twin = generator.prepared_for_sampling()
    if not narrow:
        return twin
    twin = twin.to(torch.bfloat16).to(memory_format=torch.channels_last)
    return partial(_call_narrow, twin)


def _call_narrow(twin: Generator, latents: Tensor, *labels: Tensor) -> Tensor:
    return twin(latents.to(torch.bfloat16), *labels)


@torch.no_grad()
def _mark(network: nn.Module) -> Tensor:
    """Some thousand numbers that change with the weights of `network`, by whatever way they were written.

    torch counts writes, but not those through `.data`. So each large matrix is multiplied by a fixed random vector,
    which reads it once; a change that this does not show is below float32's rounding. All else is taken as it is, and
    on another device than the CPU all is: there starting a product takes longer than copying what it reads.
    """
    marks = []
    for value in (*network.parameters(), *network.buffers()):
        if value.device.type == "cpu" and value.dim() > 1 and value.numel() > LARGE and value.is_floating_point():
            rows = value.flatten(1)
            marks.append(rows @ _random(rows.shape[1], value.dtype))
        else:
            marks.append(value.flatten())
    return torch.cat(marks)


@cache
def _random(size: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype)
