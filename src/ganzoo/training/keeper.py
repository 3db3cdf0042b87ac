"""Keeps a run's state safe: its first checkpoint, the newest one again, and back to it after losses went astray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ganzoo.errors import TrainingError, WeightsError
from ganzoo.training.checkpoint import TrainingState, checkpoints, load_checkpoint, save_checkpoint
from ganzoo.training.machine import Machine
from ganzoo.training.outputs import Outputs
from ganzoo.training.run import RunFolder

ROLLBACKS = 3  # how often a run goes back to its last checkpoint after NaN, each time at half the learning rates


class Keeper:
    """Saves and restores `TrainingState` in the folder `run`; of several processes the main one writes.

    Args:
        outputs: of the main process; None on others.
        say: tells a person.
    """

    def __init__(self, run: RunFolder, machine: Machine, outputs: Outputs | None, say: Callable[[str], None]) -> None:
        self._run, self._machine, self._outputs, self._say = run, machine, outputs, say

    def begin(self, state: TrainingState, facts: Callable[[], dict[str, Any]], overwrite: bool) -> None:
        """Begin a run with its first checkpoint; only then it has a `run.json`, and can be resumed."""
        if self._machine.is_main:
            self._run.begin(overwrite)
        self.save(state)
        if self._machine.is_main:
            self._run.record(facts())

    def restore(self, state: TrainingState) -> None:
        """Bring `state` to the newest checkpoint that can be read, and the log to what it held then.

        Raises:
            TrainingError: none can be read.
        """
        if self._machine.is_main:
            self._run.tidy()
        problems = []
        for folder in checkpoints(self._run.path):
            try:
                load_checkpoint(state, folder)
            except WeightsError as error:
                problems.append(str(error))
                self._say(f"{error} Trying the one before.")
            else:
                if self._machine.is_main:
                    self._run.cut_log(state.log_bytes)
                return
        raise TrainingError(f"{self._run.path} has no checkpoint that can be read. {' '.join(problems)}".strip())

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint, and the model while no score has chosen a best one."""
        self._machine.average_buffers(list(state.networks().values()))
        if self._outputs:
            if state.best_step is None:
                self._outputs.save_model(state)
            self._run.flush_log()
            save_checkpoint(state, self._run.path)
        self._machine.wait()

    def is_sound(self, state: TrainingState) -> bool:
        """Whether all weights are finite; losses show NaN only at the step after."""
        weights = [value for network in state.networks().values() for value in network.parameters()]
        norms = torch.stack(torch._foreach_norm([weight.detach() for weight in weights]))
        return bool(self._machine.mean(norms.sum()).isfinite())

    def roll_back(self, state: TrainingState) -> dict[str, Any]:
        """After NaN: the last checkpoint again, at half the learning rates. Returns a line for the log.

        Raises:
            TrainingError: it has been done three times already.
        """
        step, rollbacks = state.step, state.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise TrainingError(
                f"losses are not finite at step {step}, again after {ROLLBACKS} returns to a checkpoint with learning "
                f"rates {2**ROLLBACKS} times lower in the end; lower generator_lr and discriminator_lr, or add the "
                f"penalty r1. The last good state is kept in {self._run.path}"
            )
        self.restore(state)
        state.rollbacks = rollbacks
        text = f"losses are not finite; back to step {state.step}, at learning rates {2**rollbacks} times lower"
        self._say(f"Step {step}: {text}.")
        return {"step": step, "remark": "not-finite", "text": text}
