"""Tensors as safetensors takes them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` on the CPU, contiguous, each in memory of its own: tied weights share it, and safetensors refuses them.

    What is tied is written twice; the network that reads it ties it again.
    """
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found
