"""Save checkpoints, restore the newest readable one, roll back after NaN."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from ganzoo.errors import TrainingError, WeightsError
from ganzoo.files import fsync
from ganzoo.runs.checkpoint import (
    TrainingState,
    checkpoint_folder,
    checkpoint_steps,
    checkpoints,
    forget_best,
    load_checkpoint,
    load_networks,
    save_checkpoint,
)
from ganzoo.runs.export import ModelExporter
from ganzoo.runs.folder import RunFolder, model_scores, train_on_command, whole_lines
from ganzoo.runs.stretches import Stretch
from ganzoo.saving.format import WEIGHTS
from ganzoo.saving.model import holds_model, remove_damaged
from ganzoo.training.callbacks.progress import say
from ganzoo.training.method import Method
from ganzoo.training.runtime import Runtime

PATIENCE = 90  # seconds until a file of one machine is seen by the others: NFS keeps a "not there" for 60
ROLLBACKS = 3  # how often a run goes back to its last checkpoint after NaN, each time at half the learning rates


class CheckpointManager:
    """Saves and restores `TrainingState` in the folder `run`; of several processes the main one writes.

    Args:
        outputs: of the main process; None on others.
    """

    def __init__(self, run: RunFolder, runtime: Runtime, outputs: ModelExporter | None) -> None:
        self._run, self._runtime, self._outputs = run, runtime, outputs

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run's folder for a `with` block, against other trainings.

        Raises:
            TrainingError: another process trains there, or not all processes of this run see the folder.
        """
        with self._run.held() if self._runtime.is_main else nullcontext():
            holder, patience = self._runtime.agree(self._run.holder()), time.monotonic() + PATIENCE
            while self._run.holder() != holder and time.monotonic() < patience:
                time.sleep(0.1)
            seen = torch.tensor(float(self._run.holder() == holder), device=self._runtime.device)
            if self._runtime.mean(seen) < 1:
                raise TrainingError(
                    f"the processes of this run do not all see {self._run.path} as one folder: they read checkpoints "
                    f"there that the first one writes. Put the run on a disk that all machines share."
                )
            yield

    def begin(self, state: TrainingState, facts: Callable[[], dict[str, Any]], overwrite: bool) -> None:
        """Begin a run with its first checkpoint; only then it has a `run.json`, and can be resumed.

        Raises:
            TrainingError: the folder can't be written, or what was written can't be read back.
        """
        if self._runtime.is_main:
            self._run.begin(overwrite)
        self.save(state)
        if self._runtime.is_main:
            try:
                load_checkpoint(state, checkpoint_folder(self._run.path, state.step))
            except WeightsError as error:
                raise TrainingError(f"the run could not be resumed, so it does not begin: {error}") from error
            self._run.record(facts())

    def restore(self, state: TrainingState, stretch: Stretch | None = None) -> None:
        """Bring `state` to the newest checkpoint that can be read, or to that of the `stretch`, and the log to what it
        held then.

        Raises:
            TrainingError: none can be read. WeightsError: that of the stretch can't be read.
        """
        known = self._run.stretches() if stretch is None else stretch.kept  # others are undone
        state.changed_until = {name: each["step"] for each in known for name in each["changed"]}
        state.changed_until |= dict.fromkeys(stretch.changed if stretch else (), 2**53)
        changed = self._restore_folder(state, stretch, self._outputs) if self._outputs else []
        step = self._runtime.agree(state.step)  # all take the one that the main process can read
        if not self._outputs:
            load_checkpoint(state, checkpoint_folder(self._run.path, step))
        if isinstance(state.method, Method):
            state.rollbacks = state.method.take_rates(self._runtime.agree(changed), state.rollbacks)
        state.best_score, state.best_step = self._runtime.agree((state.best_score, state.best_step))

    def _restore_folder(self, state: TrainingState, stretch: Stretch | None, outputs: ModelExporter) -> list[str]:
        """Load the checkpoint, and bring the folder to what it held then; the settings that were changed since."""
        self._run.tidy()
        if stretch is None or stretch.at is None:
            self._load_newest(state)
        else:
            self._go_back(state, stretch, stretch.at)
        if stretch is not None:
            if "keep" in stretch.changed:
                self._run.remove_weights()
            stretch.record(self._run, state.step)
        stretches = self._run.stretches()
        state.stretches = [each["step"] for each in stretches]
        if not self._run.cut_log(state.log_bytes):
            say(f"{self._run.path / 'log.jsonl'} has lost lines, which reports will lack.")
        self._run.remove_after(state.step)
        self._mend_model(state, outputs, stretch)
        changed: list[str] = []
        for each in stretches:
            if each["step"] >= state.step:  # the checkpoint is of before
                state.log_bytes = self._run.log(step=state.step, stretch=each["changed"])
                changed += each["changed"]
        if outputs.keeps_best:
            self._check_best(state, "keep" in changed)
        return changed

    def _load_newest(self, state: TrainingState) -> None:
        problems = []
        for folder in checkpoints(self._run.path):
            try:
                return load_checkpoint(state, folder)
            except WeightsError as error:
                problems.append(str(error))
                say(f"{error} Trying the one before.")
        said = " ".join([f"{self._run.path} has no checkpoint that can be read.", *problems])
        if (self._run.path / "model" / WEIGHTS).is_file():
            said += f" Its model is there; to train on from that: {train_on_command(self._run.path)}"
        raise TrainingError(said)

    def _go_back(self, state: TrainingState, stretch: Stretch, step: int) -> None:
        """Load the checkpoint of `step`, and remove all later ones and the model's weights, which are written again."""
        load_checkpoint(state, checkpoint_folder(self._run.path, step))
        stretch.record(self._run, step, going_back=True)
        for later in reversed(checkpoint_steps(self._run.path)):  # whenever it ends, the rest is a whole run
            if later > step:
                shutil.rmtree(checkpoint_folder(self._run.path, later))
        self._run.remove_weights()

    def _mend_model(self, state: TrainingState, outputs: ModelExporter, stretch: Stretch | None) -> None:
        """Write `model/` again if it was lost or is no model any more, or if its weights were removed for the
        `stretch`: of the best step, or if that is lost too, of this one."""
        model = self._run.path / "model"
        if (model / WEIGHTS).is_file() and holds_model(model):
            return
        # No copy takes the best weights: networks with torch's old weight norm can't be copied after a call.
        networks, here = state.networks(), checkpoint_folder(self._run.path, state.step)
        best = state.best_step if outputs.keeps_best else None
        if best not in (None, state.step):
            try:
                if not (folder := checkpoint_folder(self._run.path, best)).is_dir():
                    raise WeightsError(f"{folder} is no longer kept.")
                load_networks(networks, folder)
            except WeightsError as error:
                say(f"{error} The best model is lost with it: the scores that come choose another.")
                load_networks(networks, here)
                forget_best(state, self._run.path)
                best = None
        if model.is_dir():
            remove_damaged(model)
        outputs.save_model(state)
        load_networks(networks, here)
        anew = stretch is not None and ("keep" in stretch.changed or stretch.at is not None)
        why = "is written anew" if anew else "is missing or damaged; it is written again"
        say(f"{model} {why}, of step {state.step if best is None else best}.")

    def _check_best(self, state: TrainingState, chosen_now: bool) -> None:
        """Note in the log that the best model is lost, if no score of it has chosen this one.

        Args:
            chosen_now: the last state was kept until here, so that the best score may be that of other weights.
        """
        log = whole_lines(self._run.path / "log.jsonl")
        if chosen_now and state.best_step not in [entry.get("step") for entry in log if "score" in entry]:
            state.best_score = state.best_step = None
        if state.best_step is None and model_scores(log, {"keep": "best"}):
            state.log_bytes = self._run.log(step=state.step, best_lost=True)

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint, and the model while no score has chosen a best one, or if the last is kept."""
        self._runtime.average_buffers(state.networks().values())
        if self._outputs:
            if state.best_step is None or not self._outputs.keeps_best:
                self._outputs.save_model(state)
                state.best_step = None if state.best_step is None else state.step
            fsync(self._run.path / "log.jsonl")  # the checkpoint says how long it is
            save_checkpoint(state, self._run.path)
        self._runtime.wait()

    def is_sound(self, state: TrainingState, sums: torch.Tensor) -> bool:
        """Whether all weights are finite, and `sums`, the losses since the last line of the log."""
        weights = [value.detach() for network in state.networks().values() for value in network.parameters()]
        norms = torch.stack(torch._foreach_norm([weight for weight in weights if weight.is_floating_point()]))
        return bool(self._runtime.mean(norms.sum() + sums.sum()).isfinite())

    def roll_back(self, state: TrainingState) -> dict[str, Any]:
        """After NaN: the last checkpoint again, at half the learning rates. Returns a line for the log.

        Raises:
            TrainingError: it has been done three times already.
        """
        step, rollbacks = state.step, state.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise TrainingError(
                f"losses are not finite at step {step}, again after {ROLLBACKS} returns to a checkpoint, each at half "
                f"the learning rates; lower generator_lr and discriminator_lr, or add the penalty r1. "
                f"The last good state is kept in {self._run.path}"
            )
        self.restore(state)
        state.rollbacks = rollbacks
        text = f"losses are not finite; back to step {state.step} (return {rollbacks} of {ROLLBACKS}), at "
        text += f"{0.5**rollbacks:g} of the learning rates"
        say(f"Step {step}: {text}.")
        return {"step": step, "remark": "not-finite", "text": text}
