"""Sample grids through time and the real images beside them, as pictures inside a page: few and small, however long a
run is."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from ganzoo.markup import data_uri

REAL = "real.png"  # beside the sample grids
SHOWN = 604  # pixels that a small picture is enlarged to, by a whole number
GRIDS = 24  # sample grids on a page
LARGEST = 64 * 1024  # bytes of one grid; 24 of them, as text, are 2.1 MB
_SHRINK = ((1.0, 80), (1.0, 60), (0.75, 50), (0.5, 40), (0.25, 30), (0.1, 10))  # of the size, and WebP's quality


def sample_grids(folder: Path, until: float | None = None) -> dict[int, Path]:
    """Sample grids by step: the first, every second (fourth, eighth, ...) after it, and the last; at most GRIDS.

    Powers of two, so that most of those chosen are chosen again when the run has gone on. Those after step `until`
    are left out: a run that went back to a checkpoint draws them again.
    """
    found = {}
    for path in sorted(folder.glob("step-*.png")):
        if match := re.fullmatch(r"step-(\d{1,12})\.png", path.name):
            found[int(match[1])] = path
    order = sorted(step for step in found if until is None or step <= until)
    stride = 1
    while len(order[::stride]) > GRIDS - 1:
        stride *= 2
    return {step: found[step] for step in [*order[::stride], *order[-1:]]}


def shown(path: Path) -> tuple[Markup, int, int] | None:
    """The picture `path` as a data URI, with the width and height to show it at; None if it can't be read."""
    try:
        status = path.stat()
        uri, width, height = _picture(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises on damaged files
        return None
    scale = max(1, SHOWN // width)
    return uri, scale * width, scale * height


@lru_cache(maxsize=2 * GRIDS)
def _picture(path: Path, changed: int, size: int) -> tuple[Markup, int, int]:
    """A picture as a data URI of at most LARGEST bytes, and its size in pixels; kept, as a page is written often."""
    with Image.open(path, formats=("PNG",)) as image:
        width, height = image.size
        if width * height > 2**25:
            raise ValueError(f"{path} has {width} x {height} pixels")
        image.load()
        if size <= LARGEST:
            return data_uri("png", path.read_bytes()), width, height
        shown = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    shown.thumbnail((2048, 2048))
    for scale, quality in _SHRINK:
        content = io.BytesIO()
        smaller = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
        smaller.save(content, "WEBP", quality=quality, method=2)
        if content.tell() <= LARGEST:
            return data_uri("webp", content.getvalue()), width, height
    raise ValueError(f"{path} does not shrink to {LARGEST} bytes")
