"""Random streams by name: every draw of a run follows from its seed, a purpose and a count, and from nothing before it.

So a run resumes exactly at any step without saving the state of any random generator.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *parts: str | int) -> int:
    """A seed for the stream that `parts` name, as unrelated to its neighbours as a hash can make it.

    Of its 63 bits torch's generator on the CPU uses 32, so in a run of 100,000 steps a pair of them may draw alike.
    """
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *parts: str | int) -> torch.Generator:
    """A generator on the CPU, seeded by `derive`."""
    return torch.Generator().manual_seed(derive(seed, *parts))
