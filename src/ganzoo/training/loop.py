"""The loop of a training: step, callbacks, log, checkpoint; back to the last checkpoint after NaN; Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

import torch

from ganzoo.callbacks import FIGURES, RESERVED, Callback, Requests, Run
from ganzoo.data import ImageData
from ganzoo.errors import PluginError, TrainingError
from ganzoo.losses import without_smoothing
from ganzoo.runs.export import ModelExporter, averaged
from ganzoo.runs.folder import RunFolder, resume_command
from ganzoo.runs.stretches import Stretch
from ganzoo.training.callbacks.built_in import Card, Report, Samples, Score, Trackers
from ganzoo.training.callbacks.diagnostics import Diagnostics
from ganzoo.training.callbacks.doctor import Doctor
from ganzoo.training.callbacks.given import GivenCallbacks
from ganzoo.training.callbacks.progress import Clock, say
from ganzoo.training.checkpoint_manager import CheckpointManager
from ganzoo.training.step import TrainingStep


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """A `with` block in which Ctrl-C and SIGTERM are noted in a list; a second one stops at once, as it always does.

    Outside the main thread Python lets nobody catch signals, and nothing is changed. Nor is a handler that a host
    program installed in C (R, Julia): Python could not put it back.
    """
    noted: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is threading.main_thread():
        own = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not None]
        before = {number: signal.signal(number, note) for number in own}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _NotFinite(Exception):
    """Losses or weights hold NaN or infinity, on all processes alike."""


class TrainingLoop:
    """Brings a run to its last step.

    Args:
        step: brings its state from one step to the next.
        data: images with the labels that the discriminator gets.
        exporter: on the main process; else None.

    Attributes:
        stopped: why a callback stopped the run; None if none did.
    """

    def __init__(
        self,
        step: TrainingStep,
        data: ImageData,
        folder: RunFolder,
        exporter: ModelExporter | None,
        given: GivenCallbacks,
    ) -> None:
        self._step, self._state, self._settings, self._runtime = step, step.state, step.settings, step.runtime
        self._folder, self._given = folder, given
        self._checkpoints = CheckpointManager(folder, step.runtime, exporter)
        self._run = Run(step.gan, averaged(step.gan, step.state), step.settings, step.runtime.is_main)
        self._run.reserved = RESERVED | step.method.figures().keys()
        self._sums = torch.zeros(len(FIGURES), device=step.runtime.device)
        self._own: list[Callback] = self._own_callbacks(data, exporter)
        self.stopped: str | None = None
        self._saved = -1  # the step of the newest checkpoint

    def _own_callbacks(self, data: ImageData, exporter: ModelExporter | None) -> list[Callback]:
        """The trainer's own, in the order in which a step calls them."""
        settings, state = self._settings, self._state
        self._doctor: Doctor | None = None
        self._report = Report(self._folder.path)
        score = Score(exporter if exporter and exporter.can_score else None, state, self._runtime, self._note)
        if exporter is None:
            return [score]
        own: list[Callback] = [Clock(self._folder, state)]
        if settings.trackers:
            own.append(Trackers(self._runtime, self._folder.path.name))
        if settings.doctor_every:
            loss = without_smoothing(settings.loss, self._step.method.loss)
            diagnostics = Diagnostics(self._step.gan, data, settings, self._runtime, loss)
            self._doctor = Doctor(self._folder.path, diagnostics, state, self._note)
            own.append(self._doctor)
        return [*own, score, Samples(exporter, state), self._report, Card(self._folder)]

    @property
    def collapsed(self) -> bool:
        """Whether the doctor stopped the run on mode collapse."""
        return self._doctor is not None and self._doctor.collapsed

    def folder_held(self) -> AbstractContextManager[None]:
        """A `with` block in which no other process trains in the run's folder."""
        return self._checkpoints.held()

    def begin(self, facts: Callable[[], dict[str, Any]], overwrite: bool) -> None:
        """Write the run's first checkpoint and its record."""
        self._collect()
        self._checkpoints.begin(self._state, facts, overwrite)
        self._saved = self._state.step

    def restore(self, stretch: Stretch | None = None) -> None:
        """Go on from the newest checkpoint, or as `stretch` says."""
        self._checkpoints.restore(self._state, stretch)
        self._spread()

    def _collect(self) -> None:
        """Bring all that stands outside the run's state into it; sums as all processes will read them."""
        self._sums = self._runtime.mean(self._sums)
        self._state.sums, self._state.logged = self._sums.tolist(), dict(self._run.logged)
        self._state.callbacks = self._given.state()

    def _spread(self) -> None:
        """The other way round, after a checkpoint was loaded."""
        self._sums = torch.tensor(self._state.sums, device=self._runtime.device)
        self._run.requests, self._run.logged = Requests(), dict(self._state.logged)
        self._run.step = self._saved = self._state.step
        self._given.load_state(self._state.callbacks)
        self._step.state_loaded()

    def complete(self) -> None:
        """Write again what a run writes at its end: this finished one may have been killed there, or has changed."""
        self._run.step = self._state.step
        for each in self._own:
            each.on_end(self._run)

    def run(self, interrupted: Sequence[int], shown: Sequence[Callback]) -> None:
        """Train until the last step, an interruption, or a callback's wish; `shown` are callbacks of the terminal."""
        self._own += shown
        self._run.step = self._state.step
        try:
            self._call(lambda each: each.on_start(self._run))
            self._settle()
            self._raise_failure()
            going_on = True
            while going_on and self._state.step < self._settings.steps:
                self._sums += self._step()
                self._state.summed += 1
                self._run.step = self._state.step
                try:
                    going_on = self._after_step(interrupted)
                except _NotFinite:
                    self._raise_failure()
                    line = self._checkpoints.roll_back(self._state)
                    self._spread()
                    self._note(line)
            self._call(lambda each: each.on_end(self._run))
            self._settle()
            self._raise_failure()
        except Exception as error:
            if self._runtime.is_main:
                self._report.on_error(self._run)
            if isinstance(error, PluginError):
                raise PluginError(f"{error}. {self._way_on()}") from error
            raise

    def _after_step(self, interrupted: Sequence[int]) -> bool:
        """What follows step `run.step`; whether the training goes on."""
        run, settings = self._run, self._settings
        self._given.call(run, lambda each: each.on_step(run))
        if self._given:
            self._settle()
        if run.due(settings.log_every) or (self._given and run.requests.stop):
            self._write_losses()
        self._call_own()
        stopping = self._stopping(interrupted)
        if stopping and run.requests.stop and self.stopped is None:
            self._write_losses()
        if stopping or run.requests.save or run.due(settings.checkpoint_every) or run.step == settings.steps:
            self._check_sound()
            run.requests.save = False
            self._save()
        self._raise_failure()
        if stopping and run.is_main:
            self._say_stopped()
        return not stopping

    def _call_own(self) -> None:
        """Call the trainer's own callbacks; if they use the weights, these are checked first."""
        run, settings = self._run, self._settings
        if any(map(run.due, (settings.doctor_every, settings.score_every, settings.sample_every))):
            self._runtime.average_buffers(self._state.networks().values())
            self._check_sound()  # losses show NaN only at the step after
        for each in self._own:
            each.on_step(run)

    def _stopping(self, interrupted: Sequence[int]) -> bool:
        """Whether the run ends with this step, on all processes alike; several ask that only when they log."""
        if not self._given and self._runtime.processes > 1 and not self._run.due(self._settings.log_every):
            return False
        self._settle()
        # A callback that failed stops the run too, but first the step gets its line, score, samples and checkpoint.
        asked = self._run.requests.stop is not None or self._run.requests.failure is not None
        return bool(self._runtime.agree(bool(interrupted))) or asked

    def _say_stopped(self) -> None:
        run, early = self._run, self._run.step < self._settings.steps
        if early or self.stopped:
            why = f": {self.stopped}" if self.stopped else ""
            on = f" Go on with: {resume_command(self._folder.path)}" if early else ""
            say(f"Stopped at step {run.step:,} and saved{why}.{on}")

    def _call(self, call: Callable[[Callback], None]) -> None:
        """Make `call` on the given callbacks, then on the trainer's own."""
        self._given.call(self._run, call)
        for each in self._own:
            call(each)

    def _settle(self) -> None:
        """Make the requests of all processes one, and scale learning rates as they ask."""
        every: list[Requests] = self._runtime.gather(self._run.requests)
        self._run.requests = Requests(
            stop=next((each.stop for each in every if each.stop), None),
            save=any(each.save for each in every),
            failure=next((each.failure for each in every if each.failure), None),
        )
        self._step.method.scale_learning_rates(every[0].generator, every[0].discriminator)

    def _raise_failure(self) -> None:
        """Raise TrainingError if a callback failed; the run is saved before."""
        if self._run.requests.failure is None:
            return
        if self._state.step != self._saved and self._checkpoints.is_sound(self._state, self._sums):
            self._save()
        raise TrainingError(f"{self._run.requests.failure}. {self._way_on()}") from self._given.error

    def _way_on(self) -> str:
        """What a message says of a run that can't go on as it is."""
        return f"The run is saved as of step {self._saved}; go on with: {resume_command(self._folder.path)}"

    def _save(self) -> None:
        self._collect()
        self._checkpoints.save(self._state)
        self._saved = self._state.step

    def _check_sound(self) -> None:
        """Raise _NotFinite if losses or weights are not finite."""
        if not self._checkpoints.is_sound(self._state, self._sums):
            raise _NotFinite

    def _write_losses(self) -> None:
        """A line of the log: mean losses since the last one, what callbacks log, and why the run stops, if it does."""
        entry: dict[str, Any] = {"step": self._run.step}
        if self._state.summed:
            figures = self._runtime.mean(self._sums / self._state.summed).tolist()
            if not all(map(math.isfinite, figures)):
                raise _NotFinite
            entry |= {**dict(zip(FIGURES, figures)), **self._step.method.figures()}
        entry |= self._run.logged
        self._run.logged.clear()
        if (reason := self._run.requests.stop) is not None:
            entry["stopped"] = self.stopped = reason
        self._note(entry)
        self._sums.zero_()
        self._state.summed = 0

    def _note(self, entry: dict[str, Any]) -> None:
        """Write a line of the log, and show it to callbacks; on the main process."""
        if self._runtime.is_main:
            self._state.log_bytes = self._folder.log(**entry)
            self._call(lambda each: each.on_log(self._run, entry))
