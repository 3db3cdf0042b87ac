"""One picture file to pixels: every mode of PIL, oriented, on a ground, square, at the size asked for."""

from __future__ import annotations

import ctypes
import io
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from traceback import clear_frames
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, ImageColor, ImageOps
from torch.utils.data import DataLoader, Dataset

from ganzoo.data.reading import SKIP, Reading
from ganzoo.errors import DataError, shown, words_of
from ganzoo.files import what_else
from ganzoo.hardware import cores
from ganzoo.images import is_grey, to_mode

_TURNS = {  # by the EXIF tag Orientation: how to turn a picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LARGEST_PICTURE = 40_000_000  # pixels, which take 160 MB while they are decoded
MOST_WORKERS = 8  # each has a few chunks of files and pictures in memory
MOST_IN_CHUNK = 32  # files that a process gets at once
LARGEST_CHUNK = 4_000_000  # bytes of files, and of pictures, that are handed over at once
# PIL's other formats want programs (EPS: Ghostscript) or trust
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF")
SUFFIXES = (
    ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp", ".avif",
)  # fmt: skip

Item = TypeVar("Item")
Encoded = tuple[bytes, str]  # a picture's file, and what it is called in messages


def read_pictures(
    fetch: Callable[[Item], Encoded], items: Iterable[Item], count: int, reading: Reading
) -> Generator[np.ndarray | None, None, None]:
    """The pictures of all `count` `items` in their order, uint8 (C, H, W); None for one that is broken and skipped.

    `fetch` is called here. On Linux processes decode, by torch's `DataLoader`; without semaphores threads do, and
    elsewhere, where a process would import torch again and run the user's script. With small files threads gain
    nothing, as Pillow holds Python's lock for half of the time.

    Raises:
        DataError: of the first item that can't be read, unless `reading.broken` is "skip".
    """

    def fetched(item: Item) -> Encoded | DataError:
        try:
            return fetch(item)
        except DataError as error:
            return error

    contents, pictures = map(fetched, items), _Pictures(reading)
    first = [pictures[content] for content in islice(contents, 1)]  # alone: it may tell that there is no room for all
    size = max((picture.nbytes for picture in first if not isinstance(picture, DataError)), default=0)
    # without a size others may be larger, up to 160 MB
    most = 2 if reading.image_size is None else max(1, min(MOST_IN_CHUNK, LARGEST_CHUNK // max(1, size)))
    for picture in chain(first, _decoded(contents, pictures, count, most)):
        if isinstance(picture, DataError) and reading.broken == "stop":
            raise DataError(f"{picture} Or {SKIP}.") from picture
        yield None if isinstance(picture, DataError) else picture


class _Pictures(Dataset[Any]):
    """A map from a fetched file to its picture, or to the error."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __getitem__(self, content: Encoded | DataError) -> np.ndarray | DataError:
        if isinstance(content, DataError):
            return content
        try:
            return decode(*content, self._reading)
        except DataError as error:
            return error


def _has_semaphores() -> bool:
    """Whether processes can make queues: not without /dev/shm, as on AWS Lambda."""
    try:
        multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError):
        return False
    return True


def _decoded(
    contents: Iterator[Encoded | DataError], pictures: _Pictures, count: int, most: int
) -> Iterator[np.ndarray | DataError]:
    workers = min(MOST_WORKERS, cores(), count // 8)  # a fork takes as long as a hundred small pictures
    if workers < 2 or multiprocessing.current_process().daemon:  # a daemon may have no children
        yield from map(pictures.__getitem__, contents)
    elif sys.platform == "linux" and _has_semaphores():
        loader = DataLoader(
            pictures,
            batch_sampler=_chunks(contents, min(most, count // workers)),
            num_workers=workers,
            collate_fn=list,
            multiprocessing_context="fork",
            worker_init_fn=partial(_end_with_parent, os.getpid()),
            generator=torch.Generator(),  # or it draws from the global one
        )
        chunks = iter(loader)
        try:
            for chunk in chunks:
                yield from chunk
        except Exception as error:
            clear_frames(error.__traceback__)  # they hold the loader, whose end is that of the processes
            raise
        finally:
            del chunks
    else:
        yield from _in_threads(contents, pictures, workers)


def _end_with_parent(parent: int, _: int) -> None:
    """Let the system end this process once its parent is killed: torch's would wait for ever to hand pictures over, and
    hold the cache's lock."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)


def _chunks(contents: Iterator[Encoded | DataError], most: int) -> Iterator[list[Encoded | DataError]]:
    """Lists of up to `most` files, of a few megabytes together."""
    chunk: list[Encoded | DataError] = []
    held = 0
    for content in contents:
        chunk.append(content)
        held += 0 if isinstance(content, DataError) else len(content[0])
        if len(chunk) == most or held > LARGEST_CHUNK:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _in_threads(
    contents: Iterator[Encoded | DataError], pictures: _Pictures, threads: int
) -> Iterator[np.ndarray | DataError]:
    waiting: deque[Future[np.ndarray | DataError]] = deque()
    with ThreadPoolExecutor(threads, "ganzoo-decode") as pool:
        try:
            for content in contents:
                waiting.append(pool.submit(pictures.__getitem__, content))
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
        if picture.width * picture.height <= LARGEST_PICTURE:
            picture.load()
            return prepare(picture, reading)
    except Exception as error:  # PIL's decoders raise a dozen kinds on damaged files
        if other := what_else(content):
            raise DataError(f"{place} is {other}.") from error
        raise DataError(
            f"{place} can't be read as a picture ({words_of(error)}); remove it, or put a whole one there."
        ) from error
    size = f"{picture.width}x{picture.height}"
    raise DataError(f"{place} has {size} pixels, more than {LARGEST_PICTURE:,}; make it smaller.")


def prepare(picture: Image.Image, reading: Reading) -> np.ndarray:
    """A picture that is open, as uint8 (C, H, W); see `decode`. The picture itself stays as it is."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # PIL raises several kinds on damaged EXIF data; the pixels are whole
        turn = None
    if turn is not None:  # PIL's exif_transpose would write the rest of the data anew, and fail if that is damaged
        picture = picture.transpose(turn)
    return _to_array(_to_mode(picture, reading), reading)


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
        shares = (each / max(picture.size) for each in picture.size)
        inner = [max(1, round(share * reading.image_size)) for share in shares]  # PIL's own would round to 0
        picture = ImageOps.pad(picture.resize((inner[0], inner[1]), resample), sides, resample, colour)
    array = np.asarray(picture)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def _to_mode(picture: Image.Image, reading: Reading) -> Image.Image:
    return to_mode(picture, reading.image_channels or (1 if is_grey(picture) else 3), reading.ground)
