"""The images that are measured: drawn by a GAN, or made elsewhere and read from a folder, a zip, or memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ganzoo.data import ImageData, open_data, source_name
from ganzoo.errors import ConfigError, DataError, quote
from ganzoo.files import expand_user
from ganzoo.gan import GAN
from ganzoo.images import to_uint8
from ganzoo.pretrained import from_pretrained
from ganzoo.saving.format import CONFIG
from ganzoo.saving.resolve import bundled_models
from ganzoo.seeds import permutation

BATCH = 250  # images that are held as floats at once, at most
NUMBERS = 2**24  # and numbers in them: 64 MB


@dataclass(frozen=True)
class Generated:
    """Images to measure, a batch at a time.

    Args:
        source: a GAN, or images.
        count: how many images.
        labels: int64 (count,), the class that each image was asked for, or its folder's; None without classes.
        indices: int64 (count,), which images of an ImageData.
        seed: of a GAN's latents.
    """

    source: GAN | ImageData
    count: int
    labels: Tensor | None
    indices: Tensor
    seed: int

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes, numbers if they have none; empty without classes."""
        return self.source.class_names or [str(number) for number in range(self.source.num_classes)]

    @property
    def at_once(self) -> int:
        """Images in a batch."""
        return at_once(self.source.image_size, self.source.image_channels)

    @property
    def device(self) -> torch.device:
        """Where to compute, which is the GAN's device."""
        return self.source.device if isinstance(self.source, GAN) else torch.device("cpu")

    def batches(self) -> Iterator[Tensor]:
        """The images as bytes, as they are seen and saved: uint8 (n, C, H, W) on the CPU.

        Raises:
            DataError: a GAN draws NaN or infinity.
        """
        if isinstance(self.source, ImageData):
            yield from map(self.source.pixels, self.indices.split(self.at_once))
            return
        for batch in self.source.batches(self.count, self.seed, labels=self.labels, batch_size=self.at_once):
            if not batch.isfinite().all():
                raise DataError(
                    "the generator draws NaN or infinity: its weights are damaged, or its training went astray."
                )
            yield to_uint8(batch.cpu())


def at_once(image_size: int, image_channels: int) -> int:
    """How many images of this size are in memory at once."""
    return max(1, min(BATCH, NUMBERS // (image_size**2 * image_channels)))


def generated(
    source: Any,
    samples: int,
    seed: int,
    image_size: int | None = None,
    reading: Mapping[str, str] = MappingProxyType({}),
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Generated:
    """What `source` holds or draws, `samples` images at most.

    Args:
        source: a GAN; else images, if `is_images` or `open_data` takes them; else what `from_pretrained` takes.
        seed: of a GAN's latents, and of the choice among images.
        image_size: pixels a side to bring images to; None keeps their own.
        reading: how files are read: `broken`, `ground` and `fit`, as `open_data` takes them.
        device: of a model that is loaded here; None: the CPU.

    Raises:
        ConfigError: `image_size` is given for a GAN. SourceError, DataError, ...: as `from_pretrained`, `open_data`.
    """
    if isinstance(source, (str, Path)) and not is_images(source):
        source = from_pretrained(source, device=device or "cpu")
    if isinstance(source, GAN):
        if image_size is not None:
            raise ConfigError(
                f"image_size is for images that are read; a GAN is measured at its own size, {source.image_size}"
            )
        indices = torch.arange(samples, device="cpu")
        return Generated(source, samples, indices % source.num_classes if source.num_classes else None, indices, seed)
    try:
        data = open_data(source, image_size=image_size, progress=progress, **reading)  # type: ignore[arg-type]
    except DataError as error:
        if isinstance(source, (str, Path)):
            raise DataError(f"{quote(str(source))} contains neither a saved model nor images: {error}") from error
        raise
    height, width = data.images.shape[2:]
    if height != width:
        raise DataError(
            f"{data.name}: images of {width}x{height} pixels are not square, and features are of square ones; give a "
            f"size to bring them to (image_size=, --size), and how (fit=, --fit)"
        )
    chosen = permutation(len(data), seed, "generated")[:samples]
    return Generated(data, len(chosen), None if data.labels is None else data.labels[chosen], chosen, seed)


def in_proportion(counts: Tensor, samples: int) -> Tensor:
    """Labels int64 (samples,) in the proportions of `counts` (classes,), those of a class spread evenly.

    Else a model that draws each class perfectly would have bad figures on classes of unequal size.
    """
    if bool((counts == counts[0]).all()):
        return torch.arange(samples, device="cpu") % len(counts)
    shares = counts.double() * samples / counts.sum()
    whole = shares.long()
    left = samples - int(whole.sum())
    whole[(shares - whole).argsort(descending=True, stable=True)[:left]] += 1  # the largest remainders
    labels = torch.arange(len(counts), device="cpu").repeat_interleave(whole)
    places = torch.cat([(torch.arange(int(count), device="cpu") + 0.5) / int(count) for count in whole if count])
    return labels[places.argsort(stable=True)]


def is_images(source: str | Path) -> bool:
    """Whether `source` names images: a name of `SOURCES`, `hf:...`, a zip, or a folder without a saved model or run."""
    if isinstance(source, str) and (source in bundled_models() or source.startswith("hf:")):
        return source.startswith("hf:")
    if source_name(source):
        return True
    try:
        path = expand_user(source)
        if path.is_dir():
            return not any((path / name).exists() for name in (CONFIG, f"model/{CONFIG}", "run.json", "state.json"))
        return path.is_file() and path.suffix.lower() == ".zip"
    except OSError:
        return False
