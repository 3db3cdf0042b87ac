"""Random streams by name: every draw of a run follows from its seed, a purpose and a count, and from nothing before it.

So a run resumes exactly at any step without saving the state of any random generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganzoo.config import checked_int
from ganzoo.hardware import send


def derive_seed(seed: int, *parts: str | int) -> int:
    """A seed for the stream that `parts` name, as unrelated to its neighbours as a hash can make it.

    Of its 63 bits torch's generator on the CPU uses 32, so in a run of 100,000 steps a pair of them may draw alike.
    """
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(seed: int, *parts: str | int) -> torch.Generator:
    """A generator on the CPU, seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *parts))


def permutation(count: int, seed: int, *parts: str | int) -> Tensor:
    """The numbers from 0 to `count` - 1, int64 (count,) on the CPU, in an order that `parts` name."""
    return torch.randperm(count, device="cpu", generator=generator_for(seed, *parts))


def stream(seed: int, step: int, purpose: str, per_step: int, turn: int, *more: int) -> torch.Generator:
    """That of update `turn` after `step` steps of `per_step` updates each, which are counted from the run's first."""
    return generator_for(seed, purpose, step * per_step + turn, *more)


Streams = Callable[..., torch.Generator]  # `stream` of one step
Random = torch.Generator | None  # None: torch's global random state
Draw = Callable[[Random], Tensor]


class Draws(torch.Generator):
    """A generator that hands out what the functions below draw from it in a way of its own."""

    def take(self, draw: Draw, device: torch.device) -> Tensor:
        """What `draw` gives, on `device`."""
        return send(draw(self), device)


def uniform(*shape: int, random: Random, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers in [0, 1), drawn on the CPU from `random` (None: torch's global state), on `device` without waiting.

    Numbers of a run come from the CPU so that they do not depend on the device. A CUDA graph of a training step gets
    those that are drawn by these functions anew in each step.
    """
    return _taken(lambda source: torch.rand(shape, generator=source, dtype=dtype, device="cpu"), random, device)


def normal(*shape: int, random: Random, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, as `uniform`."""
    return _taken(lambda source: torch.randn(shape, generator=source, dtype=dtype, device="cpu"), random, device)


def normal_each(count: int, *shape: int, random: Random, device: torch.device) -> Tensor:
    """Standard normal numbers (count, *shape), as `normal`, those of a row from one number of `random`.

    So processes and parts of a batch, which draw for their own images, draw as one would for all.
    """

    def draw(source: Random) -> Tensor:
        # one number a row; randint may take two
        seeds = (torch.rand(count, generator=source, device="cpu") * 2**24).long().tolist()
        sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.randn(shape, generator=source, device="cpu") for source in sources])

    return _taken(draw, random, device)


def integers(low: int, high: int, *shape: int, random: Random, device: torch.device) -> Tensor:
    """int64 from `low` to `high` - 1, as `uniform`."""
    return _taken(lambda source: torch.randint(low, high, shape, generator=source, device="cpu"), random, device)


def number(
    read: Callable[[], float], random: Random, device: torch.device, dtype: torch.dtype = torch.float64
) -> Tensor:
    """What `read` gives, a number that changes from step to step, as a tensor of no dimensions, as `uniform`."""
    return _taken(lambda source: torch.tensor(read(), dtype=dtype, device="cpu"), random, device)


def _taken(draw: Draw, random: Random, device: torch.device) -> Tensor:
    return random.take(draw, device) if isinstance(random, Draws) else send(draw(random), device)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from torch's global random state as from a fresh `seed`, and leave it as it was; None: as it is.

    It is the CPU's: torch.manual_seed would seed those of all CUDA devices too, which nobody brings back.

    Raises:
        ConfigError: `seed` is no int from 0 to 2**63 - 1.
    """
    seed = None if seed is None else checked_int("seed", seed, 0)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        yield
