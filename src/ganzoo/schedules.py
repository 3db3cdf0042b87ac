"""Schedules: numbers of a run that change with its steps, as `cosine(start=2e-4,end=1e-6,warm_up=1000)`.

A schedule of your own is a function that makes one. Its value depends on the step alone: resuming needs no state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, PluginError, blame, quote
from ganzoo.registry import Registry

Schedule = Callable[[int, int], float]  # of the steps done and the steps of the run
Number = Annotated[float, Bounds(0, 1e9)]
Steps = Annotated[int, Bounds(0, 10**9)]

SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule",
    "ganzoo.schedules",
    "a function that makes a schedule",
    callable,
    makes=Callable,  # type: ignore[arg-type]  # an abstract class when it runs
)


def make_schedule(value: float | str, place: str) -> Schedule:
    """The schedule that `value` names; a number alone is constant.

    Raises:
        ConfigError, UnknownNameError: it is none; the message begins with `place`.
    """
    if isinstance(value, str):
        schedule: Schedule = SCHEDULES.make(value, place)
        return schedule
    return constant(value)


def value_at(schedule: Schedule, step: int, steps: int, place: str, high: float = math.inf) -> float:
    """What `schedule`, which serves for `place`, gives after `step` of `steps` steps.

    Raises:
        PluginError: it fails, or gives no finite number. ConfigError: the number is under 0 or above `high`.
    """
    with blame(f"{place}: the schedule at step {step}"):
        value = schedule(step, steps)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PluginError(f"{place}: the schedule gives {quote(value)} at step {step}, no number; tell its author")
    if not 0 <= value <= high:
        raise ConfigError(f"{place}: the schedule gives {value:g} at step {step}; it must stay from 0 to {high:g}")
    return value


def _fall(step: int, steps: int, warm_up: int) -> tuple[float, float]:
    """How much of the warm-up is done, and of what follows it, each 0 to 1."""
    warm = min(1.0, (step + 1) / warm_up) if warm_up else 1.0
    return warm, min(1.0, max(0.0, (step - warm_up) / max(1, steps - warm_up)))


@SCHEDULES.register("constant")
def constant(value: Number, warm_up: Steps = 0) -> Schedule:
    """`value`, after a rise from 0 over `warm_up` steps."""
    return lambda step, steps: value * _fall(step, steps, warm_up)[0]


@SCHEDULES.register("linear")
def linear(start: Number, end: Number = 0.0, warm_up: Steps = 0) -> Schedule:
    """From `start` to `end` in a straight line, after a rise from 0 over `warm_up` steps."""

    def schedule(step: int, steps: int) -> float:
        warm, done = _fall(step, steps, warm_up)
        return warm * (start * (1 - done) + end * done)

    return schedule


@SCHEDULES.register("cosine")
def cosine(start: Number, end: Number = 0.0, warm_up: Steps = 0) -> Schedule:
    """From `start` to the floor `end` along half a cosine (Loshchilov & Hutter 2017), after `warm_up` steps of rise."""

    def schedule(step: int, steps: int) -> float:
        warm, done = _fall(step, steps, warm_up)
        return warm * (end + (start - end) * (1 + math.cos(math.pi * done)) / 2)

    return schedule
