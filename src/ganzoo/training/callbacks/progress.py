"""What a person sees in a terminal while a run goes on, and what the clock says of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from ganzoo.callbacks import Callback, Run
from ganzoo.errors import clean
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.runs.folder import RunFolder
from ganzoo.settings import Settings
from ganzoo.text import duration
from ganzoo.training.callbacks.doctor import MemoryWatch
from ganzoo.training.callbacks.notebook import NotebookDisplay

ENOUGH = 2  # seconds of steps that tell a run's speed
PLAIN = 30  # seconds between plain lines if no terminal draws a bar


class Clock(Callback):
    """Writes speed and memory in use beside each line of losses; says so if memory grows too much."""

    def __init__(self, folder: RunFolder, settings: Settings, state: TrainingState, say: Callable[[str], None]) -> None:
        self._folder, self._settings, self._state, self._say = folder, settings, state, say
        self._memory_watch = MemoryWatch()

    def on_start(self, run: Run) -> None:
        self._before = self._state.summed  # steps since the last line of the log, which another process made
        self._start = time.perf_counter()

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        if "generator_loss" not in entry:
            return
        now, state = time.perf_counter(), self._state
        memory = psutil.Process().memory_info()._asdict()
        mapped = memory.get("shared", 0)  # images mapped from the cache among it, which the machine takes back at need
        speed = round((state.summed - self._before) * self._settings.batch_size / (now - self._start), 1)
        self._folder.time(step=state.step, images_per_second=speed, memory_mb=memory["rss"] >> 20)
        self._start, self._before = now, 0
        if self._settings.doctor_every and (remark := self._memory_watch(state.step, (memory["rss"] - mapped) >> 20)):
            self._say(remark.sentence())


class StartLine(Callback):
    """Says once what is trained and how long it will take: after `ENOUGH` seconds of steps, or with the last one.

    Args:
        what: is trained, on what, where.
    """

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._first: tuple[int, float] | None = None  # step and time, of the first step's end: that one is slow
        self._said = False

    def on_step(self, run: Run) -> None:
        now, last = time.perf_counter(), run.settings.steps
        if self._said:
            return
        self._first = self._first or (run.step, now)
        step, then = self._first
        if now - then < ENOUGH and run.step < last:
            return
        self._said = True
        left = (last - run.step) * (now - then) / (run.step - step) if run.step > step else 0.0
        self._say(f"{self._what}; steps {step} to {last:,}" + (f", about {duration(left)} more." if left >= 1 else "."))


class ProgressBar(Callback):
    """Shows steps, both losses, images a second and the time left on the terminal."""

    def __init__(self, steps: int, batch_size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._batch_size = batch_size
        self._figures = ""
        self._bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=2,
        )
        self._task = self._bar.add_task("", total=steps, figures="")
        self._mark = (time.perf_counter(), -1)
        self._said = time.perf_counter()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar, never broken: there may be a command to copy in it."""
        self._bar.console.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        now, (then, step) = time.perf_counter(), self._mark
        speed = f"  {(run.step - step) * self._batch_size / (now - then):,.0f} images/s" if step >= 0 else ""
        self._mark = (now, run.step)
        if "discriminator_loss" in entry:
            self._figures = f"D {entry['discriminator_loss']:.3f}  G {entry['generator_loss']:.3f}{speed}"
        self._bar.update(self._task, completed=run.step, figures=self._figures)
        if not self._bar.console.is_terminal and now - self._said > PLAIN:
            self._said = now
            say(f"step {run.step}  {self._figures}")


@contextmanager
def shown(wanted: bool, settings: Settings, samples: Path) -> Iterator[list[ProgressBar | NotebookDisplay]]:
    """What suits where this Python runs, if anything is wanted, for the length of a `with` block."""
    if not wanted:
        yield []
    elif in_notebook():
        yield [NotebookDisplay(settings.steps, settings.batch_size, samples)]
    else:
        with ProgressBar(settings.steps, settings.batch_size) as bar:
            yield [bar]


def say(text: str) -> None:
    """Print a line for a person, on stderr."""
    print(clean(text), file=sys.stderr)


def in_notebook() -> bool:
    """Whether this Python draws in a notebook."""
    shell = sys.modules.get("IPython")
    return bool(shell and shell.get_ipython() and "IPKernelApp" in shell.get_ipython().config)
