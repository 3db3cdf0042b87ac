"""One picture file to pixels: every mode of PIL, oriented, on a ground, square, at the size asked for."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageOps

from ganzoo.errors import ConfigError, DataError, quote, shown
from ganzoo.images import MODES, is_transparent, on_ground, to_8_bits

LARGEST_PICTURE = 40_000_000  # pixels, which take 160 MB while they are decoded
# PIL's other formats want programs (EPS: Ghostscript) or trust
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF")
SUFFIXES = (
    ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp", ".avif",
)  # fmt: skip
WHITE = "white"
# How files begin that stand under a picture's name and are none; HEIC and videos by what follows their length.
_OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the picture itself; run `git lfs pull` there",
    b"<!doctype html": "a web page, perhaps the error page of a download; get the picture again",
    b"<html": "a web page, perhaps the error page of a download; get the picture again",
    b"<svg": "an SVG drawing; convert it to PNG",
    b"<?xml": "an XML file; if it is an SVG drawing, convert it to PNG",
    b"%pdf": "a PDF file; convert it to PNG",
    b"8bps": "a Photoshop file; convert it to PNG",
    b"pk\x03\x04": "a zip file; unpack it",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x93numpy": "a NumPy array; in Python, give open_data the array",
    b"par1": "a parquet file; name it with hf: before it",
    b"\x00\x00\x00\x0cjp  ": "a JPEG 2000 file, which is not read here; convert it to PNG",
    b"\xff\x0a": "a JPEG XL file, which is not read here; convert it to PNG",
}
_HEIC = (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1")


def decode(content: bytes, place: str, size: int | None, channels: int | None, ground: str = WHITE) -> np.ndarray:
    """The picture in `content` as uint8 (C, H, W).

    Rotated as its EXIF says, transparency laid on the colour `ground` (unless `channels` keeps it), 16-bit greys scaled
    to 8 bits, palettes and CMYK converted. With `size`, cut to the middle square and resized to it.

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
        return prepare(picture, size, channels, ground)
    except DataError:
        raise
    except Exception as error:  # PIL's decoders raise a dozen kinds on damaged files
        if other := what_else(content):
            raise DataError(f"{place} is {other}.") from error
        reason = quote(f"{type(error).__name__}: {error}", 200)
        raise DataError(f"{place} is no readable picture ({reason}); remove it, or put a whole one there.") from error


def prepare(picture: Image.Image, size: int | None, channels: int | None, ground: str = WHITE) -> np.ndarray:
    """A picture that is open, as uint8 (C, H, W); see `decode`. The picture itself stays as it is."""
    return _to_array(_to_mode(ImageOps.exif_transpose(picture), channels, ground), size)


def common_channels(count: int, read: Callable[[int], np.ndarray]) -> int:
    """1 if a first look at up to 100 of `count` pictures, spread over the set, finds grey alone; else 3.

    Args:
        read: gives the picture at a position, with its own channels; one that raises DataError is passed over here,
            since it is said when it is decoded for good.
    """
    for position in range(0, count, -(-count // 100) or 1):
        try:
            if read(position).shape[0] != 1:
                return 3
        except DataError:
            continue
    return 1


def what_else(content: bytes) -> str | None:
    """What a file is that begins with `content` and is no picture, and what to do; None if that is not known."""
    if not content.strip(b"\0"):
        return "empty, or holds only zeros; get the picture again"
    if content[4:8] == b"ftyp":
        return (
            "a HEIC picture, which Pillow does not read; convert it to JPEG or PNG"
            if content[8:12] in _HEIC
            else "a video, or a picture of a kind that Pillow does not read; convert it to JPEG or PNG"
        )
    start = content[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for mark, words in _OTHERS.items() if start.startswith(mark)), None)


def convert(pixels: np.ndarray, size: int | None, channels: int | None, ground: str = WHITE) -> np.ndarray:
    """Pixels uint8 (C, H, W) as `decode` gives them, at another size or with other channels."""
    if channels in (None, len(pixels)) and (size is None or pixels.shape[1:] == (size, size)):
        return np.ascontiguousarray(pixels)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return _to_array(picture if channels in (None, len(pixels)) else _to_mode(picture, channels, ground), size)


def check_ground(ground: str) -> None:
    """Raise ConfigError unless `ground` is a colour."""
    try:
        ImageColor.getrgb(ground)
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f'ground must be a colour such as white, black or "#808080", got {quote(ground)}') from error


def _to_array(picture: Image.Image, size: int | None) -> np.ndarray:
    if size is not None and picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(picture)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def _to_mode(picture: Image.Image, channels: int | None, ground: str) -> Image.Image:
    picture = to_8_bits(picture)
    if channels is None:
        grey = picture.mode in ("1", "L", "LA", "La")
        channels = 1 if grey else 3
    if channels in (2, 4):
        return picture.convert("RGBA").convert(MODES[channels])
    return (on_ground(picture, ground) if is_transparent(picture) else picture).convert(MODES[channels])
