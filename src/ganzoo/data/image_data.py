"""Images in memory or mapped into it, as bytes; batches as numbers in [-1, 1]."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.cache import MappedImages
from ganzoo.data.stream import Stream


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set, ready to train on.

    Args:
        name: for messages and records.
        images: uint8 (N, C, H, W), 0 to 255; perhaps mapped from a file.
        labels: int64 (N,), or None.
        class_names: one for each label from 0.
        hash: sha256 of pixels and labels.
        source: where it came from.
        licence: of the images, where it is known.
        skipped: files that could not be read and were left out.
        stream: where all images come from when `images` are but the first of them.
    """

    name: str
    images: np.ndarray
    labels: Tensor | None
    class_names: tuple[str, ...]
    hash: str
    source: str
    licence: str = "not known"
    skipped: int = 0
    stream: Stream | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[-1])

    @property
    def image_channels(self) -> int:
        """Channels of an image."""
        return int(self.images.shape[1])

    @property
    def num_classes(self) -> int:
        """Classes of the labels; 0 without labels."""
        return len(self.class_names)

    def batch(self, indices: Tensor) -> Tensor:
        """The images at `indices` (n,), as float32 (n, C, H, W) in [-1, 1]: the pixel divided by 127.5, minus 1."""
        return scale(self.pixels(indices))

    def pixels(self, indices: Tensor) -> Tensor:
        """The images at `indices` (n,), as they are: uint8 (n, C, H, W)."""
        if isinstance(self.images, MappedImages):
            self.images.ask(indices.tolist())
        return torch.from_numpy(np.take(self.images, indices.numpy(), axis=0))


def scale(pixels: Tensor) -> Tensor:
    """uint8 of 0 to 255, as float32 in [-1, 1]."""
    return pixels.to(torch.float32).div_(127.5).sub_(1)


def hash_of(pixels: str, shape: Sequence[int], labels: Tensor | None) -> str:
    """One hash of the pixels' own, the shape and the labels."""
    digest = hashlib.sha256(f"{pixels} {tuple(shape)}".encode())
    if labels is not None:
        digest.update(labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def describe(data: ImageData) -> dict[str, Any]:
    """What `ganzoo data` prints: count, size, classes with their counts, hash, source, licence."""
    facts: dict[str, Any] = {
        "name": data.name,
        "images": f"{len(data):,}" if data.stream is None else f"streamed; the first {len(data):,} are looked at here",
        "size": f"{data.images.shape[3]}x{data.images.shape[2]}, {data.image_channels} channels",
    }
    if data.labels is not None:
        counts = torch.bincount(data.labels, minlength=data.num_classes).tolist()
        facts["classes"] = dict(zip(data.class_names, counts))
    facts |= {"hash": data.hash[:16], "source": data.source, "licence": data.licence}
    if data.skipped:
        facts["skipped"] = f"{data.skipped:,} files that can't be read"
    return facts
