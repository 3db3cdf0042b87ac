"""The command that goes back in a run and on with what the doctor advises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganzoo.errors import GanzooError
from ganzoo.runs.checkpoint import checkpoint_steps
from ganzoo.runs.folder import resume_command
from ganzoo.schedules import SCHEDULES
from ganzoo.settings import Settings

LOWERED = {  # by finding: the rates to lower
    "discriminator-saturated": ("discriminator_lr",),
    "generator-starved": ("discriminator_lr",),
    "mode-collapse": ("generator_lr", "discriminator_lr"),
    "divergence": ("generator_lr", "discriminator_lr"),
    "generator-saturated": ("generator_lr", "discriminator_lr"),
    "white-noise": ("generator_lr",),
}
BY = 4  # how many times lower
EARLIER = 3  # checks of the doctor before the finding: until then the run was healthy, or seemed so


def remedy(run: Path, finding: str, step: int, settings: Settings) -> tuple[int, str] | None:
    """The step of a checkpoint from before the `finding` of `step`, and the command that goes on from there.

    Returns:
        None if lower rates are no remedy, or there is no earlier checkpoint.
    """
    names = LOWERED.get(finding, ())
    changes = {name: rate for name in names if (rate := _lowered(getattr(settings, name))) is not None}
    steps = [each for each in checkpoint_steps(run) if each < step]
    if not changes or len(changes) < len(names) or not steps:
        return None
    healthy = [each for each in steps if each <= step - EARLIER * settings.doctor_every]
    at = healthy[-1] if healthy else steps[0]
    return at, resume_command(run, at, **changes)


def _lowered(rate: float | str) -> float | str | None:
    """`rate`, a number or a schedule of ours, `BY` times lower; None for a schedule of others."""
    if not isinstance(rate, str):
        return float(f"{rate / BY:.3g}")
    name, options = SCHEDULES.read(rate)
    if name not in ("constant", "linear", "cosine"):
        return None
    lower = {key: f"{value / BY:.3g}" if key in ("value", "start", "end") else value for key, value in options.items()}
    return f"{name}({','.join(f'{key}={value}' for key, value in lower.items())})"


def remedy_of_entry(run: Path, entry: dict[str, Any], settings: dict[str, Any]) -> str:
    """The command for a finding as a line of the log tells it; nothing if there is none, or a file is damaged."""
    try:
        found = remedy(run, entry["remark"], int(entry["step"]), Settings.from_dict(settings))
    except (GanzooError, TypeError, ValueError):
        return ""
    return found[1] if found else ""
