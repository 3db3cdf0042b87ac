"""What a person sees in a terminal while a run goes on, and what the clock says of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
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
from ganzoo.training.callbacks.notebook import NotebookDisplay

ENOUGH = 2  # seconds of steps that tell a run's speed
PLAIN = 30  # seconds between plain lines if no terminal draws a bar
MEMORY_GROWTH = 1000  # megabytes
_bars: list[ProgressBar] = []  # that are drawn


class Clock(Callback):
    """Writes speed and memory in use beside each line of losses; says once if memory has grown by a gigabyte.

    That is of the machine, not of the run, so it stands in no log that a resumed run must match.
    """

    def __init__(self, folder: RunFolder, state: TrainingState) -> None:
        self._folder, self._state = folder, state
        self._first_megabytes, self._said = 0, False

    def on_start(self, run: Run) -> None:
        self._before = self._state.summed  # steps since the last line of the log, which another process made
        self._start = time.perf_counter()

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        if "generator_loss" not in entry:
            return
        now, state, memory = time.perf_counter(), self._state, psutil.Process().memory_info()
        speed = round((state.summed - self._before) * run.settings.batch_size / (now - self._start), 1)
        self._folder.time(step=state.step, images_per_second=speed, memory_mb=memory.rss >> 20)
        self._start, self._before = now, 0
        # images mapped from the cache are shared: the machine takes them back at need; Linux alone tells them apart
        if run.settings.doctor_every and hasattr(memory, "shared"):
            self.watch((memory.rss - memory.shared) >> 20)

    def watch(self, megabytes: int) -> None:
        """Say once that this process holds too many `megabytes`."""
        first = self._first_megabytes = self._first_megabytes or megabytes
        if not self._said and megabytes >= first + MEMORY_GROWTH:
            self._said = True
            say(
                f"Step {self._state.step:,}, memory: this process has grown from {first:,} to {megabytes:,} MB since "
                f"its first steps. Try: look for a custom callback that keeps tensors; a resumed run starts with free "
                f"memory."
            )


class StartLine(Callback):
    """Says once what is trained and how long it will take: after `ENOUGH` seconds of steps, or with the last one.

    Args:
        what: is trained, on what, where.
    """

    def __init__(self, what: str) -> None:
        self._what = what
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
        say(f"{self._what}; steps {step:,} to {last:,}" + (f", about {duration(left)} more." if left >= 1 else "."))


class ProgressBar(Callback):
    """Shows steps, both losses, images a second and the time left on the terminal."""

    def __init__(self, steps: int, batch_size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._batch_size, console = batch_size, Console(stderr=True)
        narrow = console.width < 70  # too narrow for all: the figures are cut off, not the steps or the time
        self._bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            *([] if narrow else [BarColumn(bar_width=None)]),
            TextColumn("{task.fields[figures]}", table_column=Column(ratio=1 if narrow else None, no_wrap=True)),
            TimeRemainingColumn(),
            console=console,
            expand=narrow,
            refresh_per_second=2,
            speed_estimate_period=3600,  # seconds: lines of the log may be far apart
        )
        self._task = self._bar.add_task("", total=steps, figures="")
        self._said = time.perf_counter()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        _bars.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        _bars.remove(self)

    def print(self, text: str) -> None:
        """Print a line above the bar, never broken: there may be a command to copy in it."""
        self._bar.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        self._bar.update(self._task, completed=run.step)
        if "discriminator_loss" in entry:
            speed = self._bar.tasks[0].speed  # None before two lines of the log
            figures = f"D {entry['discriminator_loss']:.3f}  G {entry['generator_loss']:.3f}"
            figures += f"  {speed * self._batch_size:,.0f} images/s" if speed else ""
            self._bar.update(self._task, figures=figures)
        if not self._bar.console.is_terminal and (now := time.perf_counter()) - self._said > PLAIN:
            self._said = now
            say(f"step {run.step}  {self._bar.tasks[0].fields['figures']}")

    def on_end(self, run: Run) -> None:
        self._bar.update(self._task, completed=run.step)


@contextmanager
def shown(what: str | None, settings: Settings, samples: Path) -> Iterator[list[Callback]]:
    """What shows a person that `what` is trained and how far it is, for a `with` block; nothing if that is None."""
    from rich.console import Console

    if what is None:
        yield []
    elif Console().is_jupyter:
        yield [StartLine(what), NotebookDisplay(settings.steps, settings.batch_size, samples)]
    else:
        with ProgressBar(settings.steps, settings.batch_size) as bar:
            yield [StartLine(what), bar]


def say(text: str) -> None:
    """Print a line for a person, on stderr, above the bar if there is one."""
    if _bars:
        _bars[-1].print(clean(text))
    else:
        print(clean(text), file=sys.stderr)
