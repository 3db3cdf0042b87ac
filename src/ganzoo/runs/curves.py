"""Curves over the steps of a run: for a page of HTML, as SVG that stretches to any width; for a card, as a picture.

On a page, colours come from its style (`--first`, `--second`), so the same drawing serves dark and light.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from ganzoo.markup import part
from ganzoo.text import number

Point = tuple[float, float]
Curves = Mapping[str, Sequence[Point]]  # by name: (step, value), finite, in order of their steps
BUCKETS = 300  # a longer curve is drawn as the mean, least and greatest of so many stretches: 900 points at most
PLACES = ("first", "second", "third", "fourth")  # classes of curves on a page, each with its colour
_EDGE = 1000  # width and height of the drawing in its own units
_WIDTH, _HEIGHT, _FINE = 770, 286, 3  # of `picture`, in pixels; drawn so many times as large, for smooth lines
_INNER = 64, 30, 740, 256  # the rectangle of its curves: left, top, right, bottom
_COLOURS = ("#2a6fc9", "#cfdef3"), ("#cf5620", "#f5d8cc")  # of a line, of the band behind it


def chart(
    title: str,
    curves: Curves,
    *,
    last_step: float,
    hint: str = "",
    dot: Point | None = None,
    axis: Literal["linear", "from zero", "logarithmic"] = "linear",
) -> Markup:
    """A `<section>` with up to four curves over the steps 0 to `last_step`; empty if there are no points.

    Args:
        title, hint: plain text; the hint stands below the drawing.
        dot: a point to mark, as the best score.
        axis: logarithmic only if values are above 0 and the greatest is 20 times the least; else linear, and a few
            points far from all others are cut off and the worst is named.
    """
    curves, last_step = {name: points for name, points in curves.items() if points}, max(last_step, 1)
    if not curves:
        return Markup("")
    scale, note = _scale([*curves.values()], axis)
    drawn = [
        (place, name, points, _draw([(step / last_step * _EDGE, (1 - scale(y)) * _EDGE) for step, y in points], place))
        for place, (name, points) in zip(PLACES, curves.items())
    ]
    return part(
        "chart_template.html",
        title=title,
        curves=drawn,
        scale=scale,
        steps=_ticks(0, last_step, 4, least=1),
        last_step=last_step,
        edge=_EDGE,
        dot=dot,
        hint=" ".join(filter(None, (hint, note))),
    )


def picture(curves: Curves, *, last_step: float) -> Image.Image:
    """One or two curves over the steps 0 to `last_step`, for pages and notebooks that show pictures alone."""
    curves, last_step = {name: points for name, points in curves.items() if points}, max(last_step, 1)
    scale, note = _scale([*curves.values()], "linear") if curves else (_Scale(0.0, 1.0, False, pad=False), "")
    image = Image.new("RGB", (_FINE * _WIDTH, _FINE * _HEIGHT), "white")
    draw, (left, top, right, bottom) = ImageDraw.Draw(image), _INNER

    def place(point: Point) -> Point:
        height = min(max(scale(point[1]), 0.0), 1.0)
        return left + (right - left) * point[0] / last_step, bottom + (top - bottom) * height

    def path(points: Iterable[Point]) -> list[float]:
        return [_FINE * size for point in points for size in place(point)]

    heights = [(place((0, value))[1], text) for value, text in scale.ticks()]
    for y, _ in heights:
        draw.line([_FINE * left, _FINE * y, _FINE * right, _FINE * y], "#e0dfd9", _FINE)
    thinned = [_thinned(points, 60) for points in curves.values()]
    for (_, lower, upper), (_, light) in zip(thinned, _COLOURS):
        if lower:
            draw.polygon(path([*upper, *reversed(lower)]), light)
    for (line, _, _), (dark, _) in zip(thinned, _COLOURS):
        draw.line(path(line), dark, 2 * _FINE, "curve")
        draw.circle(path(line[-1:]), 3 * _FINE, dark)  # a single point is seen too
    image = image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    draw, font, quiet = ImageDraw.Draw(image), ImageFont.load_default(13), "#5f5e59"
    for y, text in heights:
        draw.text((left - 8, y), text, quiet, font, "rm")
    for step, text in _ticks(0, last_step, 6, least=1):
        draw.text((place((step, 0.0))[0], bottom + 8), text, quiet, font, "mt")
    for index, (name, (dark, _)) in enumerate(zip(curves, _COLOURS)):
        draw.text((left + 180 * index, 4), name, dark, font)
    draw.text((right, 4), note, quiet, font, "ra")
    return image


def _draw(points: Sequence[Point], place: str) -> Markup:
    """A line; behind a thinned one, the band between its least and greatest; few points stand as dots too."""
    line, lower, upper = _thinned(points, BUCKETS)
    path = Markup('<path class="{}" d="{}"/>').format
    drawn = path(f"{place} band", f"{_line([*lower, *reversed(upper)])}z") if lower else Markup("")
    drawn += path(place, _line(line))
    if len(points) <= 40:
        drawn += path(f"{place} dots", "".join(f"{_line([point])}h0" for point in points))
    return drawn


def _thinned(points: Sequence[Point], most: int) -> tuple[list[Point], list[Point], list[Point]]:
    """Mean, least and greatest of `most` stretches of a curve; all its points, and no least and greatest, if fewer."""
    if len(points) <= most:
        return list(points), [], []
    stretches = [points[len(points) * index // most : len(points) * (index + 1) // most] for index in range(most)]
    steps = [sum(x for x, _ in part) / len(part) for part in stretches]
    values = [[y for _, y in part] for part in stretches]
    means = [sum(part) / len(part) for part in values]
    return list(zip(steps, means)), list(zip(steps, map(min, values))), list(zip(steps, map(max, values)))


def _line(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:.0f} {min(max(y, -_EDGE), 2 * _EDGE):.0f}" for x, y in points)


def _scale(curves: Sequence[Sequence[Point]], axis: str) -> tuple[_Scale, str]:
    """The scale that suits `curves`, and what there is to say of it."""
    points = [point for curve in curves for point in curve]
    values = sorted(value for _, value in points)
    low, high, zero, note = values[0], values[-1], axis == "from zero", ""
    if axis == "logarithmic" and low > 0 and high > 20 * low:
        return _Scale(low, high, True, pad=True), "Logarithmic axis."
    # the bounds of all but the outermost hundredth at either end, with some room about them
    inner_low, inner_high = values[len(values) // 100], values[-1 - len(values) // 100]
    room = 0.1 * (inner_high - inner_low)
    inner_low, inner_high = inner_low - room, inner_high + room
    if high - low > 4 * (inner_high - inner_low) > 0:
        worst = max(points, key=lambda point: max(inner_low - point[1], point[1] - inner_high))
        note = f"Cut off: as far as {number(worst[1])}, at step {number(worst[0])}."
        low, high = inner_low, inner_high
    return _Scale(min(low, 0.0) if zero else low, high, False, pad=not zero), note


class _Scale:
    """Values to heights in 0..1."""

    def __init__(self, low: float, high: float, logarithmic: bool, pad: bool) -> None:
        self._logarithmic = logarithmic
        low, high = (math.log10(low), math.log10(high)) if logarithmic else (low, high)
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        self._low, self._high = low - room * pad, high + room

    def __call__(self, value: float) -> float:
        if self._logarithmic:
            value = math.log10(value)
        return (value - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        if not self._logarithmic:
            return _ticks(self._low, self._high, 5)
        decades = range(math.floor(self._low), math.ceil(self._high) + 1)
        digits = (1, 2, 5) if len(decades) <= 3 else (1,)
        found = [digit * 10.0**decade for decade in decades[:: len(decades) // 8 + 1] for digit in digits]
        return [(value, number(value)) for value in found if self._low <= math.log10(value) <= self._high]


def _ticks(low: float, high: float, wanted: int, least: float = 0.0) -> list[tuple[float, str]]:
    """Round numbers from `low` to `high`, about `wanted` of them, `least` or more apart, and as text."""
    rough = max((high - low) / wanted, least)
    power = math.floor(math.log10(rough))
    step = next(digit * 10.0**power for digit in (1, 2, 5, 10) if digit * 10.0**power >= 0.99 * rough)
    values = [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    most = max(map(abs, values), default=0.0)
    if not 1e-4 < most < 1e9:
        digits = max(3, math.floor(math.log10(most / step)) + 1) if most else 3  # that tell the values apart
        return [(value, number(value, digits)) for value in values]
    decimals = max(0, -math.floor(math.log10(step)))
    return [(value, f"{value:,.{decimals}f}") for value in values]
