"""`precision="fast"`: a generator's copy for sampling, which follows its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.graphs import BakedIn
from ganzoo.hardware import fast_bfloat16
from ganzoo.models.contract import Generator

LARGE = 2048  # numbers; a smaller matrix costs less to copy than to multiply


class FastCopy:
    """A copy of a generator to call for sampling alone: nearly the same numbers.

    If the device is fast at bfloat16, a `Generator` computes in it, the channels of a pixel side by side in memory; on
    the CPU it is also prepared for sampling. A custom module may not bear that: it is called as it is, in eval mode.
    """

    def __init__(self) -> None:
        self._made: tuple[nn.Module, Tensor, Callable[..., Tensor]] | None = None
        self._following: tuple[BakedIn, Generator] | None = None

    def __reduce__(self) -> Any:
        return FastCopy, ()  # a copy of it begins anew

    @torch.no_grad()
    def of(self, generator: nn.Module) -> Callable[..., Tensor]:
        """What to call in place of `generator`, in eval mode, with its weights as they are now."""
        device = next((value.device for value in generator.parameters()), torch.device("cpu"))
        narrow = fast_bfloat16(device)
        if not isinstance(generator, Generator):
            return generator
        if device.type != "cpu":
            return partial(_call_narrow, self._follower(generator)) if narrow else generator
        if not narrow and type(generator).prepared_for_sampling is Generator.prepared_for_sampling:
            return generator
        mark = _mark(generator)
        if self._made is None or self._made[0] is not generator or not _equal(self._made[1], mark):
            twin = generator.prepared_for_sampling()
            self._made = generator, mark, partial(_call_narrow, _narrowed(twin)) if narrow else twin
        return self._made[2]

    def _follower(self, generator: Generator) -> Generator:
        """A copy that takes the weights anew at each call: a device copies them at once, but to compare them waits."""
        if self._following is None or not self._following[0].holds():
            twin = copy.deepcopy(generator).requires_grad_(False).eval()
            self._following = BakedIn(generator), _narrowed(twin)
        twin = self._following[1]
        mine, theirs = ([*each.parameters(), *each.buffers()] for each in (twin, generator))
        torch._foreach_copy_(mine, theirs)
        return twin


def _equal(one: Tensor, other: Tensor) -> bool:
    return (one.device, one.dtype) == (other.device, other.dtype) and torch.equal(one, other)


def _narrowed(twin: Generator) -> Generator:
    return twin.to(torch.bfloat16).to(memory_format=torch.channels_last)


def _call_narrow(twin: Generator, latents: Tensor, *labels: Tensor) -> Tensor:
    return twin(latents.to(torch.bfloat16), *labels)


@torch.no_grad()
def _mark(network: nn.Module) -> Tensor:
    """Some thousand numbers that change with the weights of `network`, by whatever way they were written.

    torch counts writes, but not those through `.data`. So each large matrix is multiplied by a fixed random vector,
    which reads it once; a change that this does not show is below float32's rounding. All else is taken as it is.
    """
    marks = []
    for value in (*network.parameters(), *network.buffers()):
        if value.dim() > 1 and value.numel() > LARGE and value.is_floating_point():
            rows = value.flatten(1)
            marks.append(rows @ _random(rows.shape[1], value.dtype))
        else:
            marks.append(value.flatten())
    return torch.cat(marks)


@cache
def _random(size: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0), device="cpu").to(dtype)
