"""An evaluation as one self-contained page: samples, figures and what they say, classes, nearest training images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor

from ganzoo.evaluation.per_class import ClassQuality
from ganzoo.evaluation.result import Evaluation
from ganzoo.files import write_file
from ganzoo.markup import grid, page, table

_SAMPLES, _NEAREST, _ROW = 50, 16, 8  # samples shown; beside their nearest training images; of those in a row
_LARGE, _SMALL = 90, 60  # pixels a side of an image, at most


def write_page(found: Evaluation, path: Path, title: str, command: str = "") -> Path:
    """Write the page of `found`; it asks for nothing from any network.

    Args:
        title: names the generator. command: that measured it.
    """
    content = page(
        "evaluation_template.html",
        title=title,
        headline=found.headline(),
        data_hash=found.data_hash[:12],
        command=command,
        sections=_sections(found),
        seconds=", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items()),
    )
    write_file(path, content)
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
    head, *rows = found.class_rows()
    cells: list[list[object]] = [
        [name if of.scores else Markup("{}<br><small>{}</small>").format(name, of.not_measured()), *others]
        for of, (name, *others) in zip(found.classes, rows)
    ]
    return table(cells, head) + Markup("").join(_extremes(found, each) for each in found.classes if each.best)


def _extremes(found: Evaluation, of: ClassQuality) -> Markup:
    assert found.drawn is not None
    sides = zip(("Nearest to real images:", "Farthest:"), (of.best, of.worst))
    shown = [(words, grid(found.drawn[list(indices)], _ROW, _SMALL)) for words, indices in sides if indices]
    strips = Markup("").join(Markup("<div><p>{}</p>{}</div>").format(*each) for each in shown)
    return Markup('<h3>{}</h3><div class="sides">{}</div>').format(of.name, strips)


def _nearest(found: Evaluation, space: str) -> Markup:
    """The samples that come nearest to a training image, each row of them above a row of those images."""
    memorised = found.memorised[space]
    assert found.drawn is not None and found.training is not None
    order = memorised.samples.distances.argsort()[:_NEAREST]
    samples, training = found.drawn[order], found.training.pixels(memorised.samples.indices[order])
    rows: list[Tensor] = [part for both in zip(samples.split(_ROW), training.split(_ROW)) for part in both]
    said = f"The {len(order)} samples that come nearest, each row above the training images they are nearest to"
    return Markup("<p>{}</p><p>{} (as they are or mirrored):</p>{}").format(
        found.verdict(space), said, grid(torch.cat(rows), _ROW, _LARGE)
    )
