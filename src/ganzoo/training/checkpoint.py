"""All of a run's state at one step, as safetensors and JSON: written whole, found again, read without pickle.

A checkpoint is a folder `checkpoints/step-00001000` of two files: `tensors.safetensors` and `state.json`. Random
generators have no state to save: every draw follows from the seed and the step (`ganzoo.seeds`).
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import GanzooError, TrainingError, WeightsError, quote, reason
from ganzoo.files import new_folder, usual_mode
from ganzoo.hub.folder import is_finite, read_header, read_json, read_tensors
from ganzoo.hub.tensors import apart
from ganzoo.training.average import AveragedGenerator
from ganzoo.training.run import resume_command

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
    found = (path for path in (run / "checkpoints").glob("step-*") if path.is_dir() and path.name[5:].isdecimal())
    return sorted(found, reverse=True)


def remedy(run: Path) -> str:
    """What to do when `run` stops because something could not be written."""
    begun = (run / "run.json").is_file()  # stands there from the first checkpoint on
    return f"Then: {resume_command(run)}" if begun else "Then begin the run again."


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
                {
                    key: value.item() if isinstance(value, Tensor) else value
                    for key, value in group.items()
                    if key != "params"
                }
                for group in values["param_groups"]
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
            with usual_mode(new / "tensors.safetensors") as path:
                save_file(apart(tensors), path)
            (new / "state.json").write_text(json.dumps(numbers, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint {folder} can't be written ({reason(error)}); earlier ones are untouched. {remedy(run)}"
        ) from error
    best = checkpoint_folder(run, state.best_step) if state.best_step is not None else None
    for old in checkpoints(run)[KEEP:]:
        if old != best:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def saved_shapes(run: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the weights in the newest checkpoint of `run` that can be read: {network: {weight: shape}}.

    Raises:
        TrainingError: there is none.
    """
    problems = []
    for folder in checkpoints(run):
        try:
            shapes, _ = read_header(folder / "tensors.safetensors")
        except GanzooError as error:
            problems.append(str(error))
            continue
        names = ("generator", "discriminator")
        return {name: {k[len(name) + 1 :]: v for k, v in shapes.items() if k.startswith(f"{name}/")} for name in names}
    raise TrainingError(f"{run} has no checkpoint that can be read. {' '.join(problems)}".strip())


def load_checkpoint(state: TrainingState, folder: Path) -> None:
    """Bring `state` to what `folder` holds; its networks and optimizers must be made alike.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to other networks; `state` may be changed in part.
    """
    numbers = read_json(folder / "state.json")
    try:
        _check_numbers(numbers, state, folder)
        tensors = read_tensors(folder / "tensors.safetensors")
        for name, network in state.networks().items():
            weights = {key for key, _ in network.named_parameters()}
            with torch.no_grad():
                for key, value in network.state_dict().items():
                    saved = tensors.pop(f"{name}/{key}")
                    if saved.shape != value.shape or saved.is_floating_point() != value.is_floating_point():
                        raise ValueError(f"{name}/{key} is {_kind(saved)}, not {_kind(value)}")
                    if key in weights and not is_finite(saved):
                        raise ValueError(f"{name}/{key} holds NaN or infinity")
                    value.copy_(saved)
        for name, optimizer in state.optimizers().items():
            _load_optimizer(optimizer, name, numbers[name], tensors)
        if tensors:
            raise ValueError(f"{quote(min(tensors))} belongs to nothing")
        for name in _NUMBERS:
            setattr(state, name, numbers[name])
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise WeightsError(f"the checkpoint {folder} is damaged or of other networks ({quote(str(error))}).") from error


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _check_numbers(numbers: dict[str, Any], state: TrainingState, folder: Path) -> None:
    """Raise ValueError or KeyError unless `state.json` holds what `save_checkpoint` writes there."""
    for name in ("step", "rollbacks", "log_bytes", "summed", "best_step"):
        value = numbers[name]
        if not (type(value) is int and 0 <= value < 2**53) and not (name == "best_step" and value is None):
            raise ValueError(f"{name} is {quote(value)}")
    if checkpoint_folder(Path(), numbers["step"]).name != folder.name or numbers["rollbacks"] > 100:
        raise ValueError(f"step is {numbers['step']}, rollbacks {numbers['rollbacks']}")
    sums, score, memory = numbers["sums"], numbers["best_score"], numbers["memory"]
    if not isinstance(sums, list) or len(sums) != len(state.sums or sums) or not all(map(_is_number, sums)):
        raise ValueError(f"sums are {quote(sums)}")
    if not (score is None or _is_number(score)) or not isinstance(memory, dict):
        raise ValueError(f"best_score is {quote(score)}, memory {quote(memory)}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _load_optimizer(optimizer: Optimizer, name: str, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    current = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in numbers["state"].items()}
    for key in [key for key in tensors if key.startswith(f"{name}/")]:
        _, index, entry = key.split("/", 2)
        value = tensors.pop(key)
        if not 0 <= int(index) < len(parameters):
            raise ValueError(f"{name} has no parameter {index}")
        like = parameters[int(index)]
        if value.dim() and not value.is_floating_point():
            raise ValueError(f"{key} is {_kind(value)}")
        if value.shape == like.shape:  # a moment must lie in memory as its parameter does, for the fused update
            value = torch.empty_like(like).copy_(value)
        entries.setdefault(int(index), {})[entry] = value
    if len(numbers["groups"]) != len(current["param_groups"]):
        raise ValueError(f"{name} has {len(numbers['groups'])} groups, not {len(current['param_groups'])}")
    for group, saved in zip(current["param_groups"], numbers["groups"]):
        for key, value in saved.items():
            if key in group and not _alike(value, group[key]):
                raise ValueError(f"{name}: {key} is {quote(value)}, not as {quote(group[key])}")
    for number, values in entries.items():
        sound = all(isinstance(each, Tensor) or _alike(each, None) for each in values.values())
        if not 0 <= number < len(parameters) or not sound:
            raise ValueError(f"{name}: the state of parameter {number} is damaged")
    groups = [{**group, **saved} for group, saved in zip(current["param_groups"], numbers["groups"])]
    for group, saved in zip(groups, current["param_groups"]):
        group["params"] = saved["params"]
        for key, value in group.items():  # JSON has no tuples
            if isinstance(value, list) and key != "params":
                group[key] = tuple(value)
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def _alike(value: Any, like: Any) -> bool:
    """Whether `value` can stand where an optimizer has `like`: a number, a switch, a text, or several."""
    if isinstance(like, (tuple, list)):
        return isinstance(value, list) and len(value) == len(like) and all(map(_alike, value, like))
    if isinstance(like, str):
        return isinstance(value, str)
    if like is None or isinstance(like, bool):
        return value is None or isinstance(value, bool) or _is_number(value)
    return _is_number(value)
