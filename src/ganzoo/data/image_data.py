"""Images in memory or mapped into it, as bytes; batches as numbers in [-1, 1]."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from ganzoo import markup
from ganzoo.data.cache import fetch_ahead
from ganzoo.data.labels import say_gaps
from ganzoo.data.reading import Reading
from ganzoo.data.stream import Stream
from ganzoo.errors import ShapeError, quote, shown

DARK, FLAT = 80, 32  # levels of 255: the brightest pixel, and the span of all, below which a set is remarked


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
        licence: of the images, if it is known.
        skipped: files that could not be read and were left out.
        passed_over: how many files are no images of this set, by reason.
        stream: the source of all images, if `images` are only the first of them.
        clusters: how many each class has (one number without classes); `labels` then count them. () if none were
            looked for (`ganzoo.data.clusters.cluster_images`).
    """

    name: str
    images: np.ndarray
    labels: Tensor | None
    class_names: tuple[str, ...]
    hash: str
    source: str
    licence: str = "not known"
    skipped: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    stream: Stream | None = None
    clusters: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        streamed = "streamed, the first " if self.stream else ""
        return f"<ImageData {self.name}: {streamed}{len(self):,} images {shape}{classes}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what `ganzoo data` says of the set, and its first images."""
        first = self.batch(range(min(16, len(self))))
        facts = {name: value for name, value in _facts(self).items() if value is not False}
        facts["images"] = f"{len(self):,}"
        if self.labels is not None:
            facts["classes"] = ", ".join(self.class_names[:50]) + ", …" * (self.num_classes > 50)
        return markup.summary(f"Data {self.name}", facts.items(), markup.grid(first, columns=8))

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

    @cached_property
    def fingerprints(self) -> Tensor:
        """`fingerprints` of all images; the first call reads them all."""
        parts = torch.arange(len(self), device="cpu").split(1000)
        return torch.cat([fingerprints(self.pixels(part)) for part in parts])

    @cached_property
    def duplicates(self) -> Tensor:
        """Indices, int64 (n,), of the images that equal an earlier one; the first call reads all images."""
        later = torch.ones(len(self), dtype=torch.bool, device="cpu")
        later[first_of_each(self.fingerprints)] = False
        return later.nonzero().squeeze(1)

    def batch(self, indices: Tensor | Sequence[int]) -> Tensor:
        """The images at `indices` (n,), as float32 (n, C, H, W) in [-1, 1]: the pixel divided by 127.5, minus 1."""
        return scale(self.pixels(indices))

    def pixels(self, indices: Tensor | Sequence[int]) -> Tensor:
        """The images at `indices` (n,), as they are: uint8 (n, C, H, W).

        Raises:
            ShapeError: `indices` are no ints; a mask is none, which NumPy would take for the numbers 0 and 1.
        """
        rows = torch.as_tensor(indices, device="cpu")
        if rows.dtype == torch.bool or (rows.is_floating_point() and rows.numel()):
            raise ShapeError("indices must be the numbers of images; of a mask give mask.nonzero().squeeze(1)")
        rows = rows.long()
        fetch_ahead(self.images, rows.tolist())
        return torch.from_numpy(np.take(self.images, rows.numpy(), axis=0))


def fingerprints(images: Tensor) -> Tensor:
    """A number for each of `images` (n, ...), int64 (n,): the same for images that are equal, and never 0."""
    rows = images.cpu().contiguous().numpy()
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    found = torch.from_numpy(np.frombuffer(digests, dtype="<i8").astype(np.int64))
    return found.masked_fill(found == 0, 1)


def first_of_each(prints: Tensor) -> Tensor:
    """Where each of the different numbers `prints` stands first, int64, rising; on the CPU."""
    return torch.from_numpy(np.sort(np.unique(prints.numpy(), return_index=True)[1]))


def scale(pixels: Tensor) -> Tensor:
    """uint8 of 0 to 255, as float32 in [-1, 1]."""
    return pixels.to(torch.float32).div_(127.5).sub_(1)


def remark_range(data: ImageData, ground: str, floating: bool = False) -> None:
    """Warn if the pixels of up to 500 images, spread over the set, use so little of 0 to 255 that it is a mistake.

    Args:
        ground: the colour that transparency was laid on.
        floating: the pixels were given as numbers in [-1, 1].
    """
    if data.image_channels in (2, 4):  # all that is drawn may be in the transparency
        return
    looked = [data.images[index] for index in range(0, len(data), -(-len(data) // 500))]
    low, high = min(int(image.min()) for image in looked), max(int(image.max()) for image in looked)
    if floating and low >= 128 and high > 191 and len(data) > 1:
        text = (
            f"the images have values from {_unit(low)} to {_unit(high)}, as if black were 0 (ToTensor makes them so); "
            f"here black is -1: give 2 * images - 1"
        )
    elif (blank := _count_blank(looked, ground)) > len(looked) / 2:
        other = "black" if ImageColor.getcolor(ground, "L") > 127 else "white"  # type: ignore[operator]
        text = (
            f"{blank} of {len(looked)} pictures looked at are wholly {ground}; if they are drawings in {ground} on a "
            f'transparent background, choose another: --ground {other}, in Python ground="{other}"'
        )
    elif high < DARK:
        text = (
            f"no pixel is above {high} of 255, so the images are nearly black. If they hold 0 to 1 (floats, masks) or "
            f"12 bits in 16, scale them: their white must be 255 (65535 of 16 bits, 1 of floats in [-1, 1])"
        )
    elif high - low < FLAT:
        text = f"all pixels lie from {low} to {high} of 255, so the images are nearly blank; look at the pictures"
    else:
        return
    warnings.warn(f"{quote(data.name)}: {text}.", stacklevel=3)


def _count_blank(looked: list[np.ndarray], ground: str) -> int:
    """How many pictures (1 or 3, H, W) show nothing but the ground."""
    colour = ImageColor.getrgb(ground)[:3] if len(looked[0]) == 3 else ImageColor.getcolor(ground, "L")
    return sum(bool((picture == np.reshape(colour, (-1, 1, 1))).all()) for picture in looked)


def _unit(level: int) -> str:
    """A pixel's level of 0 to 255, as the number in [-1, 1] that it came from, roughly."""
    return f"{round(level / 127.5 - 1, 2):g}"


def hash_of(pixels: str, shape: Sequence[int], labels: Tensor | None) -> str:
    """One hash of the pixels' own, the shape and the labels."""
    digest = hashlib.sha256(f"{pixels} {tuple(shape)}".encode())
    if labels is not None:
        digest.update(labels.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def assemble(
    decoded: tuple[np.ndarray, list[int], str],
    labels: Tensor | None,
    class_names: Sequence[str],
    name: str,
    source: str,
    names: Sequence[Any],
    reading: Reading,
    floating: bool = False,
) -> ImageData:
    """The set of pictures that `cached_images` has `decoded`; what is odd about it is said.

    Args:
        labels: of those that were kept, int64 (N,).
        names: of all pictures: paths, or numbers of items.
        floating: see `remark_range`.
    """
    images, kept, pixels = decoded
    if skipped := len(names) - len(kept):
        left = sorted({*range(len(names))} - {*kept})[:3]
        which = ", ".join(shown(f"item {names[k]}" if isinstance(names[k], int) else names[k]) for k in left)
        text = f"{skipped:,} of {len(names):,} pictures can't be read ({which}{', ...' * (skipped > 3)}): left out"
        warnings.warn(f"{name}: {text}", stacklevel=3)
        if labels is not None:
            say_gaps(labels, class_names, name)
    hashed = hash_of(pixels, images.shape, labels)
    data = ImageData(name, images, labels, tuple(class_names), hashed, source, skipped=skipped)
    remark_range(data, reading.ground, floating)
    return data


def describe(data: ImageData) -> dict[str, Any]:
    """What `ganzoo data` says of a set, as JSON types; reads all images."""
    odd = {"duplicates": len(data.duplicates), "skipped": data.skipped, "passed_over": dict(data.passed_over)}
    return {"name": data.name, **_facts(data), **odd}


def _facts(data: ImageData) -> dict[str, Any]:
    """What a look at the first images tells."""
    facts: dict[str, Any] = {
        "images": len(data),
        "streamed": data.stream is not None,
        "size": f"{data.images.shape[3]}x{data.images.shape[2]}",
        "channels": data.image_channels,
    }
    if data.labels is not None:
        counts = torch.bincount(data.labels, minlength=data.num_classes).tolist()
        facts["classes"] = dict(zip(data.class_names, counts))
    return {**facts, "hash": data.hash[:16], "source": data.source, "licence": data.licence}
