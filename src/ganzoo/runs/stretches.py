"""Stretches of a run: it goes on with other settings, or from an earlier checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganzoo.errors import ConfigError
from ganzoo.runs.checkpoint import check_step, checkpoint_steps
from ganzoo.runs.folder import RunFolder, command, damage_said, train_on_command
from ganzoo.settings import Settings

FIXED = (  # what data, states and draws of a run rest on
    "batch_size",
    "seed",
    "clusters",
    "cluster_by",
    "min_cluster_size",
    "keep_last_batch",
    "discriminator_steps",
    "optimizer",
    "beta1",
    "beta2",
    "precision",
    "speed",
    "callbacks",
)
GOING_BACK = "going_back"  # in `run.json`: the step of the checkpoint, while what came later is being removed


@dataclass(frozen=True)
class Stretch:
    """How a run goes on.

    Args:
        settings: all of them, from here on.
        changed: {setting: [before, after]} in JSON types.
        kept: stretches in `run.json` that came before.
        at: the step of the checkpoint to go back to; None for the newest.
        undone: {setting: [as it was, as it is again]}, of stretches that going back undoes.
    """

    settings: Settings
    changed: dict[str, list[Any]] = field(default_factory=dict)
    kept: tuple[dict[str, Any], ...] = ()
    at: int | None = None
    undone: dict[str, list[Any]] = field(default_factory=dict)

    def record(self, run: RunFolder, step: int, *, going_back: bool = False) -> None:
        """Write into `run.json` that the stretch begins after `step`; if `going_back`, that what came later is about to
        be removed: a run killed meanwhile goes back there when it is resumed."""
        added = [{"step": step, "changed": self.changed, "command": command()}] if self.changed else []
        facts = {**run.facts(), "settings": self.settings.to_dict(), "stretches": [*self.kept, *added]}
        facts.pop(GOING_BACK, None)
        run.record({**facts, GOING_BACK: step} if going_back else facts)


def open_stretch(run: RunFolder, settings: Settings, changes: Mapping[str, Any], at: int | None) -> Stretch | None:
    """How `run`, of `settings`, goes on with `changes` from its checkpoint of step `at`; None: as it was.

    Going back undoes the stretches that began later. A run that was killed while it went back does so first.

    Raises:
        ConfigError: a setting can't be changed, or has a wrong value. TrainingError: no such checkpoint.
    """
    for name in changes:
        if name in FIXED:
            raise ConfigError(
                f"{name} can't be changed in a run that goes on; begin a new one: {train_on_command(run.path)}"
            )
    at = _back_to(run, at)
    stretches, latest = run.stretches(), settings.to_dict()
    kept = [each for each in stretches if at is None or each["step"] <= at]
    for undone in reversed(stretches[len(kept) :]):
        settings = settings.replace({name: before for name, (before, _) in undone["changed"].items()})
    after = settings.replace(changes)
    old, new = settings.to_dict(), after.to_dict()
    changed = {name: [old[name], new[name]] for name in new if new[name] != old[name]}
    done = at if at is not None else max(checkpoint_steps(run.path), default=0)
    if "steps" in changed and after.steps < done:
        raise ConfigError(f"steps={after.steps}: {run.path} has done {done} already; go back with --at STEP (at=STEP)")
    undone = {name: [latest[name], old[name]] for name in old if old[name] != latest[name] and name not in changes}
    return Stretch(after, changed, tuple(kept), at, undone) if changed or at is not None else None


def _back_to(run: RunFolder, at: int | None) -> int | None:
    """The step to go back to: `at`, but no later one than `run` was killed on the way back to."""
    with damage_said(run.path):
        steps = [int(step) for step in (at, run.facts().get(GOING_BACK)) if step is not None]
    if not steps:
        return None
    check_step(run.path, min(steps))
    return min(steps)
