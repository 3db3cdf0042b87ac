"""Random streams by name: every draw of a run follows from its seed, a purpose and a count, and from nothing before it.

So a run resumes exactly at any step without saving the state of any random generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import torch

from ganzoo.errors import ConfigError, quote


def derive_seed(seed: int, *parts: str | int) -> int:
    """A seed for the stream that `parts` name, as unrelated to its neighbours as a hash can make it.

    Of its 63 bits torch's generator on the CPU uses 32, so in a run of 100,000 steps a pair of them may draw alike.
    """
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(seed: int, *parts: str | int) -> torch.Generator:
    """A generator on the CPU, seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *parts))


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from torch's global random state as from a fresh `seed`, and leave it as it was; None: as it is.

    It is the CPU's: torch.manual_seed would seed those of all CUDA devices too, which nobody brings back.

    Raises:
        ConfigError: `seed` is no int from 0 to 2**63 - 1.
    """
    if seed is not None and not (isinstance(seed, Integral) and 0 <= seed < 2**63):
        raise ConfigError(f"seed must be an int from 0 to {2**63 - 1}, got {quote(seed)}")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(int(seed))
        yield
