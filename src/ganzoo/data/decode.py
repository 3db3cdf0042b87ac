"""One picture file to pixels: every mode of PIL, oriented, on a ground, square, at the size asked for."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageColor, ImageOps

from ganzoo.data.reading import SKIP, Reading
from ganzoo.errors import DataError, quote, shown
from ganzoo.files import what_else
from ganzoo.images import is_grey, to_mode

LARGEST_PICTURE = 40_000_000  # pixels, which take 160 MB while they are decoded
MOST_THREADS = 8  # each holds one picture, and two wait for it to be taken
# PIL's other formats want programs (EPS: Ghostscript) or trust
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF")
SUFFIXES = (
    ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp", ".avif",
)  # fmt: skip

Item = TypeVar("Item")


def read_pictures(
    read: Callable[[Item], np.ndarray], items: Iterable[Item], reading: Reading
) -> Iterator[np.ndarray | None]:
    """`read(item)` of all `items` in their order, with a thread a core; None for one that is broken and skipped.

    Pillow lets go of Python's lock while it decodes and resizes, so threads do what processes would, and need no second
    import of torch, no pickling and no `if __name__ == "__main__"` in the user's script.

    Raises:
        DataError: of the first item that can't be read, unless `reading.broken` is "skip".
    """

    def read_or_skip(item: Item) -> np.ndarray | None:
        try:
            return read(item)
        except DataError as error:
            if reading.broken == "stop":
                raise DataError(f"{error} Or {SKIP}.") from error
            return None

    items = iter(items)
    yield from map(read_or_skip, islice(items, 1))  # alone: its size may tell that there is no room for all
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque[Future[np.ndarray | None]] = deque()
    with ThreadPoolExecutor(threads, "ganzoo-decode") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(read_or_skip, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error nobody takes the rest
            pool.shutdown(cancel_futures=True)


def decode(content: bytes, place: str, reading: Reading) -> np.ndarray:
    """The picture in `content` as uint8 (C, H, W).

    Rotated as its EXIF says, transparency laid on the ground (unless the channels keep it), 16-bit greys scaled to 8
    bits, palettes and CMYK converted. With an `image_size`, made square as `fit` says, and resized to it.

    Raises:
        DataError: `content` is no picture that PIL reads, or larger than 40 million pixels; names `place`, and what
            the file is.
    """
    place = shown(place, 300)
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.width * picture.height > LARGEST_PICTURE:
            raise DataError(
                f"{place} has {picture.width}x{picture.height} pixels, more than {LARGEST_PICTURE:,}; make it smaller."
            )
        picture.load()
        return prepare(picture, reading)
    except DataError:
        raise
    except Exception as error:  # PIL's decoders raise a dozen kinds on damaged files
        if other := what_else(content):
            raise DataError(f"{place} is {other}.") from error
        reason = quote(f"{type(error).__name__}: {error}", 200)
        raise DataError(
            f"{place} can't be read as a picture ({reason}); remove it, or put a whole one there."
        ) from error


def prepare(picture: Image.Image, reading: Reading) -> np.ndarray:
    """A picture that is open, as uint8 (C, H, W); see `decode`. The picture itself stays as it is."""
    return _to_array(_to_mode(ImageOps.exif_transpose(picture), reading), reading)


def with_channels(reading: Reading, count: int, read: Callable[[int, Reading], np.ndarray]) -> Reading:
    """`reading` with its channels; without, with 1 if a first look at up to 100 of `count` pictures, spread over the
    set, finds grey alone, else with 3.

    Args:
        read: gives the picture at a position; one that raises DataError is passed over here, since it is said when it
            is decoded for good.
    """
    if reading.image_channels is not None:
        return reading
    own = replace(reading, image_size=None)
    for position in range(0, count, -(-count // 100) or 1):
        with suppress(DataError):
            if len(read(position, own)) != 1:
                return replace(reading, image_channels=3)
    return replace(reading, image_channels=1)


def convert(pixels: np.ndarray, reading: Reading) -> np.ndarray:
    """Pixels uint8 (C, H, W) as `decode` gives them, at another size or with other channels."""
    size, channels = reading.image_size, reading.image_channels
    if channels in (None, len(pixels)) and (size is None or pixels.shape[1:] == (size, size)):
        return np.ascontiguousarray(pixels)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return _to_array(picture if channels in (None, len(pixels)) else _to_mode(picture, reading), reading)


def _to_array(picture: Image.Image, reading: Reading) -> np.ndarray:
    sides, resample = (reading.image_size or 0, reading.image_size or 0), Image.Resampling.BILINEAR
    if reading.image_size is None or picture.size == sides:
        pass
    elif reading.fit == "crop":
        picture = ImageOps.fit(picture, sides, resample)
    elif reading.fit == "squash":
        picture = picture.resize(sides, resample)
    else:  # transparency that is kept goes on around the picture
        colour: Any = None if "A" in picture.mode else ImageColor.getcolor(reading.ground, picture.mode)
        picture = ImageOps.pad(picture, sides, resample, colour)
    array = np.asarray(picture)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def _to_mode(picture: Image.Image, reading: Reading) -> Image.Image:
    return to_mode(picture, reading.image_channels or (1 if is_grey(picture) else 3), reading.ground)
