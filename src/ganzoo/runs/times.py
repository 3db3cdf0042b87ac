"""How long a run took, read from its `timing.jsonl`: one answer for card and report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def seconds(times: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> float:
    """Seconds that all steps took; steps that a resumed run made again count once, as they were made last.

    Args:
        times: lines of `timing.jsonl`; those without a step or a speed are left out.
        settings: of the run; 0 seconds without their `batch_size`.
    """
    latest = {entry["step"]: entry["images_per_second"] for entry in times if _sound(entry)}
    steps, size = sorted(latest), settings.get("batch_size")
    if not isinstance(size, (int, float)):
        return 0.0
    return float(sum((step - before) * size / latest[step] for before, step in zip([0, *steps], steps)))


def duration(seconds: float) -> str:
    """`seconds` for people: "42 s", "74.4 min" or "3 h 20 min"."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.1f} min" if round(minutes) < 120 else f"{round(minutes) // 60:,} h {round(minutes) % 60} min"


def _sound(entry: Mapping[str, Any]) -> bool:
    numbers = entry.get("step"), entry.get("images_per_second")
    return all(isinstance(value, (int, float)) and 0 < value < 1e15 for value in numbers)
