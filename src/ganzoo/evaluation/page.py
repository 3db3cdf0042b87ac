"""An evaluation as one self-contained page: samples, figures and what they say, classes, nearest training images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from markupsafe import Markup, escape
from torch import Tensor

from ganzoo.evaluation.per_class import ClassQuality
from ganzoo.evaluation.result import Evaluation
from ganzoo.files import write_file
from ganzoo.markup import grid, table
from ganzoo.text import with_spread

_SAMPLES, _NEAREST, _ROW = 50, 16, 8  # samples shown; beside their nearest training images; of those in a row
_LARGE, _SMALL = 90, 60  # pixels a side of an image, at most
_STYLE = """
:root { color-scheme: light dark; --page: #f6f6f3; --card: #fff; --text: #1b1b19; --quiet: #5f5e59; --line: #e0dfd9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #141413; --card: #1e1e1c; --text: #eeede8; --quiet: #a9a79f; --line: #35342f; } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; overflow-wrap: anywhere; } h2 { margin: 0 0 .4rem; font-size: 1.1rem; }
h3 { margin: 1.2rem 0 .2rem; font-size: 1rem; }
p { margin: .3rem 0; color: var(--quiet); }
code { font: .875rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .4rem 1rem; }
section { margin: 1rem 0; padding: 1rem 1.1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { padding: .25rem .8rem .25rem 0;
  text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
td { font-size: .9375rem; } b { white-space: normal; }
th:first-child, td:first-child { text-align: left; }
small { color: var(--quiet); } th { color: var(--quiet); font-weight: 600; }
img { display: block; border-radius: .2rem; max-width: 100%; height: auto; }
b { font-weight: 650; }
@media (max-width: 40rem) { table, tbody { display: block; }
  tr { display: grid; grid-template-columns: repeat(4, 1fr); border-bottom: 1px solid var(--line); }
  th, td { padding-right: .3rem; border: 0; font-size: .8125rem; white-space: normal; }
  th:first-child, td:first-child { grid-column: 1 / -1; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_page(found: Evaluation, path: Path, title: str, command: str = "") -> Path:
    """Write the page of `found`; it asks for nothing from any network.

    Args:
        title: names the generator. command: that measured it.
    """
    parts = "".join(Markup("<section><h2>{}</h2>{}</section>").format(*each) for each in _sections(found))
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items())
    made = Markup("<p>{}; by <code>{}</code></p>").format(time.strftime("%Y-%m-%d %H:%M %Z"), command)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(found.headline())} The data's hash is "
        f"{escape(found.data_hash[:12])}.</p>{made if command else ''}{parts}<p>{escape(took)}</p></body></html>\n"
    )
    write_file(path, page)
    return path


def _sections(found: Evaluation) -> Iterator[tuple[str, Markup]]:
    """Heading and content of each part of the page."""
    if found.drawn is not None:
        yield "Samples", Markup("<p>The first ones, not chosen.</p>") + grid(found.drawn[:_SAMPLES], 10, _LARGE)
    yield f"Figures, in features of {found.features}", Markup("<p>{}</p>").format(found.limits) + found.figure_table()
    if found.classes:
        yield "By class", _classes(found)
    for space in found.memorised:
        if found.drawn is not None and found.training is not None:
            yield f"Nearest training images, by {space}", _nearest(found, space)


def _classes(found: Evaluation) -> Markup:
    """The figures of all classes as a table, and below it of each class its best and worst samples."""
    names, recognised = found.class_figures(), any(each.agreement is not None for each in found.classes)
    rows = []
    for each in found.classes:
        cells = [with_spread(each.scores[name].value) if each.scores else "" for name in names]
        if recognised:
            cells.append(f"{each.agreement:.1%}" if each.agreement is not None else "")
        few = "" if each.scores else Markup("<br><small>{}</small>").format(each.too_few())
        rows.append([Markup("{}{}").format(each.name, few), f"{each.share:.1%}", *cells])
    figures = table(rows, ["class", "share", *names, *["recognised"] * recognised])
    return figures + Markup("").join(_extremes(found, each) for each in found.classes if each.best)


def _extremes(found: Evaluation, of: ClassQuality) -> Markup:
    assert found.drawn is not None
    sides = zip(("Nearest to real images:", "Farthest:"), (of.best, of.worst))
    shown = [(words, grid(found.drawn[list(indices)], _ROW, _SMALL)) for words, indices in sides]
    strips = Markup("").join(Markup("<div><p>{}</p>{}</div>").format(*each) for each in shown)
    return Markup('<h3>{}</h3><div class="sides">{}</div>').format(of.name, strips)


def _nearest(found: Evaluation, space: str) -> Markup:
    """The samples that come nearest to a training image, each row of them above a row of those images."""
    memorised = found.memorised[space]
    assert found.drawn is not None and found.training is not None
    order = memorised.samples.distances.argsort()[:_NEAREST]
    samples, training = found.drawn[order], found.training.pixels(memorised.samples.indices[order])
    rows: list[Tensor] = [part for both in zip(samples.split(_ROW), training.split(_ROW)) for part in both]
    said = f"The {len(order)} samples that come nearest, each row above the training images they are nearest to:"
    return Markup("<p>{}</p><p>{}</p>{}").format(found.verdict(space), said, grid(torch.cat(rows), _ROW, _LARGE))
