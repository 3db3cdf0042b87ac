"""Facts and images as HTML: what objects show of themselves in a notebook, and parts of pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape
from PIL import Image
from torch import Tensor

from ganzoo import images as pictures


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> Markup:
    """A table with a line of `head`, if there is one; cells are escaped unless they are `Markup`."""
    lines = [("th", head), *(("td", row) for row in rows)]
    cells = ("".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in line) for kind, line in lines if line)
    return Markup(f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>")


def image(picture: Image.Image, alt: str, scale: int = 1) -> Markup:
    """`picture` as an element that holds all of it, shown `scale` times as large, pixel by pixel."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    size = f'width="{scale * picture.width}" height="{scale * picture.height}"'
    return Markup(f'<img alt="{escape(alt)}" {size} style="image-rendering: pixelated" src="{source}">')


def grid(images: Tensor, columns: int | None = None, side: int = 56) -> Markup:
    """Images, as for `ganzoo.images.grid`, as one picture; each is enlarged to `side` pixels or a little less."""
    sheet = pictures.grid(images, columns=columns or len(images), scale=max(1, side // images.shape[-1]))
    return image(sheet, f"{len(images)} images")


def summary(title: str, rows: Iterable[tuple[str, object]], picture: str = "") -> str:
    """What an object shows of itself in a notebook: its title, its facts, a picture."""
    left = Markup('<div style="text-align: left">{}</div>')  # where notebooks set numbers, right
    return f"<div><b>{escape(title)}</b>{table((name, left.format(value)) for name, value in rows)}{picture}</div>"
