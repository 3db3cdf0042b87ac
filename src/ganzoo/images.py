"""Image tensors to pictures and back: PIL images, grids, animations, files.

Tensors are (N, C, H, W) or (C, H, W), floating in [-1, 1] or uint8 in 0..255. The channels say the kind of picture:
1 grey, 2 grey with transparency, 3 colour, 4 colour with transparency. Nothing here imports torchvision.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ganzoo.config import Bounds, checked_int, convert_value
from ganzoo.errors import ConfigError, DataError, GanzooError, ShapeError, did_you_mean, quote, writing
from ganzoo.files import expand_user, write_file

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_MOVING = {".gif": "GIF", ".webp": "WEBP"}
_MARKS = {"image": "ganzoo: an image", "sheet": "ganzoo: a sheet of images"}  # the Software of what is written here


def to_uint8(images: Tensor) -> Tensor:
    """Bring images to uint8 of the same shape: -1 becomes 0 and 1 becomes 255, rounded, values outside are cut off.

    Raises:
        ShapeError: not (N, C, H, W) or (C, H, W) with 1 to 4 channels and at least one pixel.
        ConfigError: neither floating nor uint8.
        DataError: there is NaN among them.
    """
    if not isinstance(images, Tensor):
        raise ShapeError(f"images must be a tensor (N, C, H, W) or (C, H, W), got {quote(images)}.")
    if images.dim() not in (3, 4) or images.shape[-3] not in MODES or not images.numel():
        raise ShapeError(
            f"images must be (N, C, H, W) or (C, H, W) with 1 to 4 channels, not empty, got {tuple(images.shape)}."
        )
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ConfigError(f"images must be floating in [-1, 1] or uint8 in 0..255, got {images.dtype}")
    images = images.detach()
    if images.dtype in (torch.float16, torch.bfloat16):
        images = images.float()
    if torch.isnan(images).any():
        bad = torch.isnan(images).reshape(-1, *images.shape[-3:]).flatten(1).any(1).nonzero()
        raise DataError(
            f"{len(bad)} image(s) hold NaN, the first is number {int(bad[0])}: what made them has diverged."
        )
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_pil(images: Tensor) -> list[Image.Image]:
    """Turn images into PIL's, of mode L, LA, RGB or RGBA; one (C, H, W) gives a list of one. Raises as `to_uint8`."""
    pixels = to_uint8(images).cpu().reshape(-1, *images.shape[-3:]).permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(each[:, :, 0] if each.shape[2] == 1 else each) for each in pixels]


def from_pil(
    images: Image.Image | Sequence[Image.Image],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
) -> Tensor:
    """Turn PIL images into float32 (N, C, H, W) in [-1, 1]; one image has N = 1. Undoes `to_pil` exactly.

    Args:
        images: one or several.
        size: resize to this height and width (an int for both); None keeps what they have.
        channels: 1 to 4; None takes the first image's own. Transparency is laid on white if `channels` has none.

    Raises:
        ShapeError: the images differ in size and no `size` is given, or there is none.
    """
    several = [images] if isinstance(images, Image.Image) else list(images)
    if not several:
        raise ShapeError("from_pil takes one image or more, got none.")
    if channels not in (None, *MODES):
        raise ConfigError(f"channels must be 1 to 4 or None, got {quote(channels)}")
    channels, wanted = channels or _channels(several[0]), _size(size)
    pictures = [to_mode(image, channels) for image in several]
    if wanted is not None:
        pictures = [
            image if image.size == wanted else image.resize(wanted, Image.Resampling.BICUBIC) for image in pictures
        ]
    arrays = [np.array(image).reshape(image.height, image.width, -1) for image in pictures]
    sizes = {array.shape[:2] for array in arrays}
    if len(sizes) > 1:
        raise ShapeError(f"images differ in size (height, width): {sorted(sizes)[:4]}; give size= to resize them.")
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Width and height of `size`, which is one for both or (height, width)."""
    sides = size if isinstance(size, (tuple, list)) or size is None else (size, size)
    if sides is None:
        return None
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(f"size must be a positive int or two (height, width), got {quote(size)}")
    return sides[1], sides[0]


def _channels(image: Image.Image) -> int:
    if is_grey(image):
        return 2 if image.mode in ("LA", "La") else 1
    return 4 if image.has_transparency_data else 3


def to_mode(image: Image.Image, channels: int, ground: str = "white") -> Image.Image:
    """Any `image` in the mode of 1 to 4 `channels`: 16 bits as 8, transparency laid on `ground` unless it is kept."""
    image = to_8_bits(image)
    if channels in (2, 4):
        return image.convert("RGBA").convert(MODES[channels])
    opaque = on_ground(image, ground) if image.has_transparency_data else image
    return opaque if opaque.mode == MODES[channels] else opaque.convert(MODES[channels])  # which would copy


def is_grey(image: Image.Image) -> bool:
    """Whether the mode of `image` has no colour; a palette counts as colour."""
    return image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")


def to_8_bits(image: Image.Image) -> Image.Image:
    """A grey `image` of 16 bits, or of floats from 0 to 255, as 8 bits, rounded: PIL would cut off. Others stay."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).clip(0, 65535).astype(np.uint32)
        clear = values == image.info.get("transparency")  # of 65,536 levels that one alone, as a PNG has it
        values += 128
        values //= 257  # v / 257, rounded
        grey = Image.fromarray(values.astype(np.uint8))
        if np.any(clear):
            grey.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        return grey
    if image.mode == "F":
        if np.isnan(np.asarray(image)).any():
            raise DataError("the picture holds NaN, which is no grey; mend what wrote it.")
        return Image.fromarray(np.asarray(image).round().clip(0, 255).astype(np.uint8))
    return image


def on_ground(image: Image.Image, ground: str) -> Image.Image:
    """A transparent `image` laid on the colour `ground`, in mode RGB."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")


def grid(
    images: Tensor, columns: int | None = None, padding: int = 2, background: int = 255, scale: int = 1
) -> Image.Image:
    """Lay images out in rows, left to right, as one picture.

    It is `scale * (columns*W + (columns + 1)*padding)` pixels wide, and as high with rows: every image has `padding`
    pixels of background on each side, and places left over in the last row are background.

    Args:
        images: as for `to_pil`.
        columns: images a row, kept even when there are fewer; None makes it about square.
        padding: pixels between images and around them.
        background: 0 (black) to 255 (white).
        scale: makes each pixel a square of scale by scale.
    """
    padding, scale = checked_int("padding", padding, 0, 1000), checked_int("scale", scale, 1, 100)
    background = checked_int("background", background, 0, 255)
    columns = None if columns is None else checked_int("columns", columns, 1, 10_000)
    pictures = to_pil(images)
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width, height = (side + padding for side in pictures[0].size)
    mode = pictures[0].mode
    colour: Any = tuple(255 if band == "A" else background for band in mode)  # "LA" and "RGBA" are opaque there
    sheet = Image.new(mode, (columns * width + padding, rows * height + padding), colour if mode != "L" else background)
    sheet.info["ganzoo"] = "sheet"
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(picture, (column * width + padding, row * height + padding))
    return sheet if scale == 1 else sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)


def save(image: Image.Image | Tensor, path: str | Path) -> Path:
    """Write a picture, in the format of the path's ending; several images are written as a grid.

    Missing parent folders are made. The file is there whole or not at all; an older one stays until then. Its metadata
    name ganzoo as the software (all formats but BMP), so that `ganzoo.data.open_data` does not take it for data. A GIF
    knows no half transparency: a picture with an alpha channel is laid on white.

    Raises:
        ConfigError: the ending is not known, or its format can't hold the picture.
        DataError: the file can't be written.
    """
    path = expand_user(path)
    return _write(path, _encode(path, _FORMATS, _picture(image)))


def animate(
    frames: Iterable[Image.Image | Tensor], path: str | Path, frames_per_second: float = 12, loop: bool = True
) -> Path:
    """Write frames as a moving picture, .gif or .webp; frames may be a generator, and a batch as one frame is a grid.

    Args:
        frames: PIL images or tensors, all of one size; one or more.
        path: as for `save`.
        frames_per_second: 0.1 to 50, which is as fast as browsers play a GIF. A GIF counts in hundredths of a second:
            the time of a frame is rounded to them.
        loop: play it again and again.
    """
    path = expand_user(path)
    frames_per_second = convert_value(frames_per_second, float, "frames_per_second", Bounds(0.1, 50))
    pictures = _one_size(frames)
    first = next(pictures, None)
    if first is None:
        raise ConfigError(f"{path}: an animation needs one frame or more, got none")
    duration = round(1000 / frames_per_second)  # in milliseconds
    if path.suffix.lower() == ".gif":
        pictures = map(_without_alpha, pictures)
        duration = 10 * round(100 / frames_per_second)  # Pillow would cut 29 ms to 20: 34 frames a second became 50
    options: dict[str, Any] = {"save_all": True, "append_images": pictures, "duration": duration}
    if path.suffix.lower() == ".webp":
        options["lossless"] = True
        options["loop"] = 0 if loop else 1
    elif loop:
        options["loop"] = 0  # a GIF without the entry plays once
    first.info["ganzoo"] = "sheet"
    return _write(path, _encode(path, _MOVING, first, **options))


def written_here(content: bytes) -> str | None:
    """What this module wrote, if a picture file's `content` says so: an "image" or a "sheet" of several; else None."""
    return next((kind for kind, mark in _MARKS.items() if mark.encode() in content), None)


def _one_size(frames: Iterable[Image.Image | Tensor]) -> Iterator[Image.Image]:
    size = None
    for index, frame in enumerate(frames):
        picture = _picture(frame)
        size = size or picture.size
        if picture.size != size:
            raise ShapeError(f"frame {index} is {picture.size} pixels (width, height), those before it {size}.")
        yield picture


def save_each(batches: Iterable[Tensor], folder: str | Path) -> int:
    """Write each image as a PNG, `00000.png` and on, holding one batch in memory; return how many.

    Args:
        batches: tensors as for `to_pil`.
        folder: made if it is missing; files of these names are replaced.
    """
    folder = expand_user(folder)
    number = 0
    for batch in batches:
        for picture in to_pil(batch):
            path = folder / f"{number:05d}.png"
            _write(path, _encode(path, _FORMATS, picture))
            number += 1
    return number


def _picture(image: Image.Image | Tensor) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    return to_pil(image)[0] if isinstance(image, Tensor) and image.dim() == 3 else grid(image)


def format_of(path: Path, formats: dict[str, str] = _FORMATS) -> str:
    """The format that the ending of `path` names, one of `formats`; ConfigError if it names none."""
    name = formats.get(path.suffix.lower())
    if name is None:
        said = f"{quote(path.suffix)} is an unsupported ending" if path.suffix else "a picture's name needs an ending"
        raise ConfigError(f"{path}: {said}.{did_you_mean(path.suffix, formats)}")
    return name


def _encode(path: Path, formats: dict[str, str], picture: Image.Image, **options: Any) -> bytes:
    name, buffer = format_of(path, formats), io.BytesIO()
    options |= _marked(name, _MARKS["sheet" if picture.info.get("ganzoo") == "sheet" else "image"])
    try:
        (_without_alpha(picture) if name == "GIF" else picture).save(buffer, name, **options)
    except GanzooError:  # of a frame that is made while the picture is written
        raise
    except (OSError, KeyError, ValueError, OverflowError, struct.error) as error:
        # a JPEG of a transparent picture; a PIL built without WebP; more pixels a side than the format counts
        raise ConfigError(f"{path} can't be a {name} ({error}); a .png takes every picture") from error
    return buffer.getvalue()


def _without_alpha(picture: Image.Image) -> Image.Image:
    """`picture` for a GIF, in which all that is not wholly transparent is opaque, and frames lie on those before."""
    return on_ground(picture, "white") if picture.mode in ("LA", "RGBA") else picture


def _marked(name: str, mark: str) -> dict[str, Any]:
    """Options of PIL's `save` that put `mark` into the metadata of a file of the format `name`."""
    if name == "PNG":
        text = PngInfo()
        text.add_text("Software", mark)
        return {"pnginfo": text}
    if name == "WEBP":
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = mark
        return {"exif": exif}
    option = {"TIFF": "software", "JPEG": "comment", "GIF": "comment"}.get(name)
    return {option: mark} if option else {}


def _write(path: Path, content: bytes) -> Path:
    with writing(path, DataError):
        write_file(path, content, sync=False)  # a disk would be waited for at every one of many pictures
    return path
