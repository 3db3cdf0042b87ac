"""Facts and images as HTML: what objects show of themselves in a notebook, parts of pages, and whole pages."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import time
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from PIL import Image
from torch import Tensor

from ganzoo import images as pictures
from ganzoo.text import number, with_spread

if TYPE_CHECKING:
    from jinja2 import Environment


LONGEST = 4000  # characters of a text of others on a page


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> Markup:
    """A table with a line of `head`, if there is one; cells are escaped unless they are `Markup`."""
    lines = [("th", head), *(("td", row) for row in rows)]
    cells = ("".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in line) for kind, line in lines if line)
    return Markup(f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>")


def image(picture: Image.Image, alt: str, scale: int = 1) -> Markup:
    """`picture` as an element that holds all of it, shown `scale` times as large, pixel by pixel."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    source = data_uri("png", buffer.getvalue())
    size = f'width="{scale * picture.width}" height="{scale * picture.height}"'
    return Markup(f'<img alt="{escape(alt)}" {size} style="image-rendering: pixelated" src="{source}">')


def data_uri(kind: str, content: bytes) -> Markup:
    """An image file as an address that holds all of it."""
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")


def grid(images: Tensor, columns: int | None = None, side: int = 56) -> Markup:
    """Images, as for `ganzoo.images.grid`, as one picture; each is enlarged to `side` pixels or a little less."""
    sheet = pictures.grid(images, columns=columns or len(images), scale=max(1, side // images.shape[-1]))
    return image(sheet, f"{len(images)} images")


def summary(title: str, rows: Iterable[tuple[str, object]], picture: str = "") -> str:
    """What an object shows of itself in a notebook: its title, its facts, a picture."""
    left = Markup('<div style="text-align: left">{}</div>')  # where notebooks set numbers, right
    return f"<div><b>{escape(title)}</b>{table((name, left.format(value)) for name, value in rows)}{picture}</div>"


def templates(**options: Any) -> Environment:
    """The files of `templates/`, with more `options` of jinja2's Environment; autoescaping, and strict of names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("ganzoo", "templates")
    environment = Environment(autoescape=True, undefined=StrictUndefined, loader=loader, **options)
    environment.filters.update(number=number, with_spread=with_spread)
    return environment


@functools.cache  # it keeps the templates that it has compiled
def _pages() -> Environment:
    return templates(finalize=_shortened)


def _shortened(value: object) -> object:
    """`value` as a page shows it: a text that is not the page's own may be endless."""
    text = "none" if value is None else value
    return text if isinstance(text, Markup) or len(str(text)) <= LONGEST else f"{str(text)[:LONGEST]}…"


def page(template: str, **facts: Any) -> str:
    """The page of a file in `templates/`, which extends page_template.html: one head and style for all pages. It needs
    nothing else, and allows its own script alone.

    All `facts` are shown as text unless they are `Markup`: names, settings and remarks may be of a stranger's run.
    """
    text = (files("ganzoo") / "templates" / template).read_text("utf-8")
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = Markup(f"script-src 'sha256-{digest}'; " if script else "")
    written = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return str(part(template, script_policy=policy, written=written, **facts))


def part(template: str, **facts: Any) -> Markup:
    """What a file in `templates/` makes of `facts`, which are shown as text unless they are `Markup`."""
    return Markup(_pages().get_template(template).render(**facts))
