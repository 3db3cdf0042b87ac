"""Numbers as a person reads them."""

from __future__ import annotations


def number(value: float, digits: int = 3) -> str:
    """12,000, 0.0066, 1.2e+09: all of an integer, else `digits` digits, but no fewer than stand before the point."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def with_spread(value: float | None, spread: float | None = None) -> str:
    """A measured value with its spread, if there are any: 0.9466, 0.0007122 ± 0.00031."""
    if value is None:
        return "not measured"
    return number(value, 4) + (f" ± {number(spread, 2)}" if spread is not None else "")
