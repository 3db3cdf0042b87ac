"""All of a run's state at one step, as safetensors and JSON: written whole, found again, read without pickle.

A checkpoint is a folder `checkpoints/step-00001000` of two files: `tensors.safetensors` and `state.json`. Random
generators have no state to save: every draw follows from the seed and the step (`ganzoo.seeds`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import TrainingError, WeightsError, quote
from ganzoo.files import new_folder
from ganzoo.hub.folder import read_json
from ganzoo.training.average import AveragedGenerator

KEEP = 2  # of the newest checkpoints, beside the best


@dataclass
class TrainingState:
    """What a run is at one step; a checkpoint holds all of it."""

    generator: nn.Module
    discriminator: nn.Module
    average: AveragedGenerator
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    step: int = 0
    best_score: float | None = None
    best_step: int | None = None
    rollbacks: int = 0
    log_bytes: int = 0
    sums: list[float] = field(default_factory=list)
    summed: int = 0
    memory: dict[str, Any] = field(default_factory=dict)

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average.network}

    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by name."""
        return {
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }


_NUMBERS = ("step", "best_score", "best_step", "rollbacks", "log_bytes", "sums", "summed", "memory")


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of `step` stands."""
    return run / "checkpoints" / f"step-{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of `run`, newest first."""
    return sorted((path for path in (run / "checkpoints").glob("step-*") if path.is_dir()), reverse=True)


def save_checkpoint(state: TrainingState, run: Path) -> Path:
    """Write `state`, then delete the checkpoints that are neither among the newest two nor the best.

    Raises:
        TrainingError: the disk is full or not writable; all earlier checkpoints are untouched.
    """
    tensors, numbers = {}, {name: getattr(state, name) for name in _NUMBERS}
    for name, network in state.networks().items():
        tensors.update({f"{name}/{key}": value for key, value in network.state_dict().items()})
    for name, optimizer in state.optimizers().items():
        values = optimizer.state_dict()
        numbers[name] = {
            "groups": [
                {key: value for key, value in group.items() if key != "params"} for group in values["param_groups"]
            ],
            "state": {},
        }
        for index, entries in values["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{index}/{key}"] = value
                else:
                    numbers[name]["state"].setdefault(str(index), {})[key] = value
    folder = checkpoint_folder(run, state.step)
    try:
        with new_folder(folder) as new:
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, new / "tensors.safetensors"
            )
            (new / "state.json").write_text(json.dumps(numbers, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint {folder} can't be written ({error}); earlier ones are untouched. "
            f"Make room, then: ganzoo train --resume {run}"
        ) from error
    best = checkpoint_folder(run, state.best_step) if state.best_step is not None else None
    for old in checkpoints(run)[KEEP:]:
        if old != best:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def load_checkpoint(state: TrainingState, folder: Path) -> None:
    """Bring `state` to what `folder` holds; its networks and optimizers must be made alike.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to other networks; `state` may be changed in part.
    """
    numbers = read_json(folder / "state.json")
    try:
        tensors = load_file(folder / "tensors.safetensors")
        for name, network in state.networks().items():
            with torch.no_grad():
                wanted = network.state_dict()
                for key, value in wanted.items():
                    saved = tensors.pop(f"{name}/{key}")
                    if saved.shape != value.shape:
                        raise ValueError(f"{name}/{key} has shape {tuple(saved.shape)}, not {tuple(value.shape)}")
                    value.copy_(saved)
        for name, optimizer in state.optimizers().items():
            _load_optimizer(optimizer, name, numbers[name], tensors)
        for name in _NUMBERS:
            setattr(state, name, numbers[name])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"the checkpoint {folder} is damaged or of other networks ({quote(str(error))}).") from error


def _load_optimizer(optimizer: Optimizer, name: str, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    current = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in numbers["state"].items()}
    for key in [key for key in tensors if key.startswith(f"{name}/")]:
        _, index, entry = key.split("/", 2)
        value = tensors.pop(key)
        like = parameters[int(index)]
        if value.shape == like.shape:  # a moment must lie in memory as its parameter does, for the fused update
            value = torch.empty_like(like).copy_(value)
        entries.setdefault(int(index), {})[entry] = value
    groups = [{**group, **saved} for group, saved in zip(current["param_groups"], numbers["groups"])]
    for group, saved in zip(groups, current["param_groups"]):
        group["params"] = saved["params"]
        for key, value in group.items():  # JSON has no tuples
            if isinstance(value, list) and key != "params":
                group[key] = tuple(value)
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
