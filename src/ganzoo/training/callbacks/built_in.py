"""The trainer's own callbacks that write files: score, samples, trackers, report and card."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganzoo.callbacks import Callback, Run
from ganzoo.errors import GanzooError, shell
from ganzoo.gan import GAN
from ganzoo.runs.card import run_card
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.runs.export import ModelExporter
from ganzoo.runs.folder import RunFolder
from ganzoo.runs.report import write_report
from ganzoo.training.callbacks import Note
from ganzoo.training.callbacks.progress import say
from ganzoo.training.runtime import Runtime

MOST = 50  # a report that takes a second is written every 50 seconds, at most


class Score(Callback):
    """Scores the average, and asks for a checkpoint of the best: going back must not go behind a model that is saved.

    Args:
        exporter: on the main process, if it can score; else None.
    """

    def __init__(self, exporter: ModelExporter | None, state: TrainingState, runtime: Runtime, note: Note) -> None:
        self._exporter, self._state, self._runtime, self._note = exporter, state, runtime, note

    def on_step(self, run: Run) -> None:
        if run.due(run.settings.score_every):
            entry = self._exporter.keep_best(self._state) if self._exporter else {}
            if entry:
                self._note(entry)
            if run.settings.keep == "best" and self._runtime.agree(entry.get("best")):
                run.save()


class Samples(Callback):
    """Draws real images, then a grid of the same latents each time: at step 0, when due, and where the run stops; on
    the main process."""

    def __init__(self, exporter: ModelExporter, state: TrainingState) -> None:
        self._exporter, self._state, self._drawn = exporter, state, -1

    def on_start(self, run: Run) -> None:
        if run.settings.sample_every:
            self._exporter.draw_real()
            if run.step == 0:
                self._draw(run)

    def on_step(self, run: Run) -> None:
        if run.due(run.settings.sample_every):
            self._draw(run)

    def on_end(self, run: Run) -> None:
        if run.settings.sample_every and self._drawn != run.step:
            self._draw(run)

    def _draw(self, run: Run) -> None:
        self._exporter.draw_samples(self._state)
        self._drawn = run.step


class Trackers(Callback):
    """Hands each line of the log to the trackers of the settings; on the main process."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime, self._name = runtime, name

    def on_start(self, run: Run) -> None:
        self._runtime.begin_tracking(self._name, run.settings)

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        self._runtime.track(entry, run.step)


class Report(Callback):
    """Writes `report.html` when the run begins or goes on, by the clock, and when it ends; on the main process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._next = folder, 0.0

    def on_start(self, run: Run) -> None:
        if run.settings.report_every:
            self._write(run)

    def on_step(self, run: Run) -> None:
        if run.settings.report_every and time.monotonic() >= self._next:
            self._write(run)

    def _write(self, run: Run) -> None:
        begun = time.monotonic()
        write_report(self._folder, under_way=True)
        took = time.monotonic() - begun
        self._next = begun + max(run.settings.report_every, MOST * took)

    def on_end(self, run: Run) -> None:
        if run.settings.report_every:
            write_report(self._folder)

    def on_error(self, run: Run) -> None:
        """The run ends in an error, which the report shows; another one, of a full disk, counts less."""
        with suppress(GanzooError, OSError):
            self.on_end(run)


class Card(Callback):
    """Takes the time of a sample and writes the model's card, at the end; on the main process."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_end(self, run: Run) -> None:
        try:
            self._folder.time(step=run.step, sample_seconds=_sample_seconds(run.averaged))
            run_card(self._folder.path)
        except (GanzooError, OSError) as error:  # the model is safe
            say(f"The card can't be written ({error}). Later: {shell('ganzoo', 'card', self._folder.path)}")


def _sample_seconds(gan: GAN, count: int = 16) -> float:
    """Seconds an image takes, in a batch of `count`: the least of three tries, as other work only adds to it."""
    tries = []
    for _ in range(3):
        begun = time.perf_counter()
        gan.sample(count, seed=0).cpu()
        tries.append(time.perf_counter() - begun)
    return min(tries) / count
