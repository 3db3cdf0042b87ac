"""Numbers and times as a person reads them, how far a long work has come, and the version of ganzoo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

T = TypeVar("T")


def number(value: float, digits: int = 3) -> str:
    """12,000, 0.0066, 1.2e+09: all of an integer, else `digits` digits, but no fewer than stand before the point."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if min(1000, 10**digits - 0.5) <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def with_spread(value: float | None, spread: float | None = None) -> str:
    """A measured value with its spread, if there are any: 0.9466, 0.0007122 ± 0.00031, -0.000044."""
    if value is None:
        return "not measured"
    return _plain(value, 4) + (f" ± {_plain(spread, 2)}" if spread is not None else "")


def _plain(value: float, digits: int) -> str:
    """`number`, but a small one has two digits and no exponent."""
    return f"{Decimal(f'{value:.2g}'):f}" if 1e-7 < abs(value) < 1e-4 else number(value, digits)


def in_words(value: Any, exact: bool = False) -> str:
    """A value of JSON for a person; a number with three digits, or `exact`, as it is given to a setting."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (int, float)) and not exact:
        return number(value)
    if isinstance(value, (list, tuple)):  # between whose numbers are commas, so that within them are none
        words = (str(each) if isinstance(each, (int, list)) else in_words(each, exact) for each in value)
        return ", ".join(words) or "none"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def counted(count: int, noun: str) -> str:
    """1 image, 2,000 images."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: columns as wide as their widest cells, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def duration(seconds: float) -> str:
    """`seconds` for people: "42 s", "74.4 min" or "3 h 20 min"."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.1f} min" if round(minutes) < 120 else f"{round(minutes) // 60:,} h {round(minutes) % 60} min"


def track(parts: Iterable[T], what: str, total: int, wanted: bool = True) -> Iterator[T]:
    """The `parts` of a work, `total` of them, with a bar on the terminal or in the notebook, gone at the end."""
    if not wanted:
        return iter(parts)
    from rich.console import Console
    from rich.progress import track as bar

    console = Console(stderr=True)
    disable = not (console.is_terminal or console.is_jupyter)
    return iter(bar(parts, what, total, console=console, transient=True, disable=disable))


UNKNOWN_VERSION = "0+unknown"  # of a clone that pip did not install


def own_version() -> str:
    """The version of ganzoo, or `UNKNOWN_VERSION`."""
    try:
        return version("ganzoo-torch")
    except PackageNotFoundError:
        return UNKNOWN_VERSION
