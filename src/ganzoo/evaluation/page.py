"""An evaluation as one self-contained page: figures, classes with their best and worst samples, nearest images."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

from torch import Tensor

from ganzoo import images as pictures
from ganzoo.evaluation.result import Evaluation
from ganzoo.files import write_file
from ganzoo.text import with_spread

_SHOWN = 16  # samples beside their nearest training images
_STYLE = """
:root { color-scheme: light dark; --page: #f6f6f3; --card: #fff; --text: #1b1b19; --quiet: #5f5e59; --line: #e0dfd9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #141413; --card: #1e1e1c; --text: #eeede8; --quiet: #a9a79f; --line: #35342f; } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 0 0 .4rem; font-size: 1.1rem; }
p { margin: .3rem 0; color: var(--quiet); }
section { margin: 1rem 0; padding: 1rem 1.1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { padding: .25rem .8rem .25rem 0;
  text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: middle; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 600; }
img { display: block; image-rendering: pixelated; border-radius: .2rem; max-width: none; }
b { font-weight: 650; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_page(found: Evaluation, path: Path, title: str) -> Path:
    """Write the page of `found`; `title` names the generator. It asks for nothing from any network."""
    parts = [_figures(found)]
    if found.classes:
        parts.append(_classes(found))
    parts += [_nearest(found, space) for space in found.memorised]
    took = ", ".join(f"{escape(name)} {seconds:.1f} s" for name, seconds in found.seconds.items())
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1><p>{escape(found.headline())} The data's hash is {escape(found.data_hash[:12])}.</p>"
        f"{''.join(parts)}<p>{took}</p></body></html>\n"
    )
    write_file(path, page)
    return path


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; cells are markup."""
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _figures(found: Evaluation) -> str:
    head = "measure", "generator", "real images", "noise", "better"
    rows = (
        (
            escape(each["name"]), f"<b>{with_spread(each['value'], each['spread'])}</b>",
            with_spread(each["real_reference"]), with_spread(each["noise_reference"]), each["better"],
        )
        for each in found.figures()
    )  # fmt: skip
    return f"<section><h2>Figures</h2>{_table(head, rows)}</section>"


def _classes(found: Evaluation) -> str:
    names, recognised = found.class_figures(), any(each.agreement is not None for each in found.classes)
    head = ["class", "share", *map(escape, names), *["recognised"] * recognised, "nearest to real ones", "farthest"]
    rows = []
    for each in found.classes:
        cells = [with_spread(score.value) for score in each.scores.values()] if each.scores else [each.too_few()]
        cells += [""] * (len(names) - len(cells))
        if recognised:
            cells.append(f"{each.agreement:.1%}" if each.agreement is not None else "")
        pictures_of = [_strip(found, indices) for indices in (each.best, each.worst)]
        rows.append([escape(each.name), f"{each.share:.1%}", *cells, *pictures_of])
    return f"<section><h2>By class</h2>{_table(head, rows)}</section>"


def _strip(found: Evaluation, indices: tuple[int, ...]) -> str:
    return _picture(found.drawn[list(indices)]) if found.drawn is not None and indices else ""


def _nearest(found: Evaluation, space: str) -> str:
    memorised = found.memorised[space]
    if found.drawn is None or found.training is None:
        return ""
    order = memorised.samples.distances.argsort()[:_SHOWN]
    samples, training = found.drawn[order], found.training.batch(memorised.samples.indices[order])
    return (
        f"<section><h2>Nearest training images, by {escape(space)}</h2><p>{escape(found.verdict(space))}</p>"
        f"<p>The {len(order)} samples that come nearest:</p>{_picture(samples)}<p>and the training images they are "
        f"nearest to:</p>{_picture(training)}</section>"
    )


def _picture(images: Tensor) -> str:
    """One row of images, at least 40 pixels high each, as an element."""
    row = pictures.grid(images, columns=len(images), scale=max(1, round(40 / images.shape[-1])))
    buffer = io.BytesIO()
    row.save(buffer, "PNG", optimize=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    size = f'width="{row.width}" height="{row.height}"'
    return f'<img alt="{len(images)} images" {size} src="data:image/png;base64,{content}">'
