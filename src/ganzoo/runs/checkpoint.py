"""All of a run's state at one step, as safetensors and JSON: written whole, found again, read without pickle.

A checkpoint is a folder `checkpoints/step-00001000` of two files: `tensors.safetensors` and `state.json`, which holds
the sha256 of the first. Random generators have no state to save: every draw follows from the seed and the step
(`ganzoo.seeds`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.config import is_number
from ganzoo.errors import GanzooError, TrainingError, WeightsError, quote, writing
from ganzoo.files import default_mode, new_folder, sha256_of, write_file
from ganzoo.runs.folder import resume_command
from ganzoo.saving.format import read_json
from ganzoo.saving.weights import MOST_OWN, WeightsFile, is_finite, untie
from ganzoo.stateful import Stateful

KEEP = 2  # of the newest checkpoints, beside the best
ENTRIES = 20  # of a parameter's state in an optimizer, at most
TENSORS, STATE = "tensors.safetensors", "state.json"


@dataclass
class TrainingState:
    """What a run is at one step; a checkpoint holds all of it."""

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module  # the averaged generator
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    method: Stateful = field(default_factory=Stateful)
    step: int = 0
    best_score: float | None = None
    best_step: int | None = None
    rollbacks: int = 0
    log_bytes: int = 0
    sums: list[float] = field(default_factory=list)
    summed: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    logged: dict[str, float] = field(default_factory=dict)  # by callbacks, since the last line of the log
    callbacks: list[dict[str, Any]] = field(default_factory=list)  # name and state of each
    changed_until: dict[str, int] = field(default_factory=dict)  # settings: checkpoints up to this step had others
    stretches: list[int] = field(default_factory=list)  # the steps at which settings were changed

    def __post_init__(self) -> None:
        self.method_begun = self.method.state_dict()

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}

    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by name."""
        return {
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of `step` stands."""
    return run / "checkpoints" / f"step-{step:08d}"


def checkpoint_steps(run: Path) -> list[int]:
    """The steps that `run` has a checkpoint of, from the first to the newest."""
    names = (path.name.removeprefix("step-") for path in (run / "checkpoints").glob("step-*") if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal() and len(name) < 13)


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of `run`, newest first."""
    return [checkpoint_folder(run, step) for step in reversed(checkpoint_steps(run))]


def check_step(run: Path, step: int) -> None:
    """Raise TrainingError, which names those that there are, unless `run` has a checkpoint of `step`."""
    steps = checkpoint_steps(run)
    if step not in steps:
        raise TrainingError(f"{run} has no checkpoint of step {step}; it has those of {', '.join(map(str, steps))}")


def way_on(run: Path) -> str:
    """What to do when `run` stops because something could not be written."""
    begun = (run / "run.json").is_file()  # stands there from the first checkpoint on
    return f"Then: {resume_command(run)}" if begun else "Then begin the run again."


def save_checkpoint(state: TrainingState, run: Path) -> Path:
    """Write `state`, then delete all checkpoints but the newest two, those that the doctor advised to go back to, those
    that a stretch began with, and the best one, as of now and as of each of these, so that going back finds it.

    Raises:
        TrainingError: the disk is full or not writable; all earlier checkpoints are untouched.
    """
    tensors, numbers = _collected(state)
    folder = checkpoint_folder(run, state.step)
    then = f"; earlier ones are untouched. {way_on(run)}"
    with writing(f"the checkpoint {folder}", TrainingError, then, (SafetensorError,)), new_folder(folder) as new:
        with default_mode(new / TENSORS) as path:
            save_file(untie(tensors), path)
        numbers["sha256"] = {TENSORS: sha256_of(path)}
        (new / STATE).write_text(json.dumps(numbers, indent=1) + "\n")
    steps = state.best_step, *state.memory.get("advised_steps", {}).values(), *state.stretches
    kept = [checkpoint_folder(run, step) for step in steps if type(step) is int] + checkpoints(run)[:KEEP]
    kept += [checkpoint_folder(run, best) for each in kept if (best := _best_step(each)) is not None]
    for old in checkpoints(run):
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def forget_best(state: TrainingState, run: Path) -> None:
    """Take the best step out of `state` and out of the checkpoint that it was loaded from: it is lost."""
    path = checkpoint_folder(run, state.step) / STATE
    numbers = {**read_json(path, own=True), "best_score": None, "best_step": None}
    with writing(str(path), TrainingError, f". {way_on(run)}"):
        write_file(path, json.dumps(numbers, indent=1) + "\n")
    state.best_score = state.best_step = None


def _best_step(folder: Path) -> int | None:
    """The best step when the checkpoint at `folder` was written."""
    with suppress(GanzooError, OSError):  # one that can't be read names none
        best = read_json(folder / STATE, own=True).get("best_step")
        return best if type(best) is int else None
    return None


def _collected(state: TrainingState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of `state`, and all else of it as JSON types."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {name: getattr(state, name) for name in _FORMS}
    numbers["method"] = state.method.state_dict()
    for name, network in state.networks().items():
        tensors.update({f"{name}/{key}": value for key, value in network.state_dict().items()})
    for name, optimizer in state.optimizers().items():
        values = optimizer.state_dict()
        numbers[name] = {"groups": _options(optimizer), "state": {}}
        for index, entries in values["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{index}/{key}"] = value
                else:
                    numbers[name]["state"].setdefault(str(index), {})[key] = value
    return tensors, numbers


def saved_shapes(run: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the weights in the newest checkpoint of `run` that can be read: {network: {weight: shape}}.

    Raises:
        TrainingError: there is none.
    """
    problems = []
    for folder in checkpoints(run):
        try:
            shapes = WeightsFile.open(folder / TENSORS, own=MOST_OWN).shapes
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
    try:
        for name in (STATE, TENSORS):
            if not (folder / name).is_file():
                raise ValueError(f"{name} is {'not a plain file' if os.path.lexists(folder / name) else 'missing'}")
        numbers = read_json(folder / STATE, own=True)
        _check_numbers(numbers, state, folder)
        tensors = _tensors(folder, numbers, _most_tensors(state))
        for name, optimizer in state.optimizers().items():
            _load_optimizer(optimizer, name, numbers[name], tensors)
        for name, network in state.networks().items():
            _load_network(network, name, tensors)
        if tensors:
            raise ValueError(f"{quote(min(tensors))} belongs to nothing")
        state.method.load_state_dict(_method_state(numbers, state))
        for name in _FORMS:
            setattr(state, name, numbers[name])
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        said = quote(str(error), 200)
        raise WeightsError(f"the checkpoint {folder} is damaged or of other networks ({said}).") from error


def load_networks(networks: Mapping[str, nn.Module], folder: Path) -> None:
    """Give `networks`, some of those of a state by their names there, their weights in the checkpoint at `folder`.

    Raises:
        WeightsError: the checkpoint is damaged or of other networks; `networks` may be changed in part.
    """
    try:
        tensors = _tensors(folder, read_json(folder / STATE, own=True), MOST_OWN)
        for name, network in networks.items():
            _load_network(network, name, tensors)
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"the checkpoint {folder} is damaged ({quote(str(error), 200)}).") from error


def _tensors(folder: Path, numbers: dict[str, Any], most: int) -> dict[str, Tensor]:
    """The tensors of the checkpoint at `folder`, `most` at most; ValueError unless they are those that its `numbers`,
    of `state.json`, belong to."""
    tensors = WeightsFile.open(folder / TENSORS, own=most).tensors()
    if sha256_of(folder / TENSORS) != numbers["sha256"][TENSORS]:
        raise ValueError(f"{TENSORS} has another sha256 than {STATE} says")
    return tensors


def _method_state(numbers: dict[str, Any], state: TrainingState) -> dict[str, Any]:
    """The method's state in a checkpoint; penalties and augmentations that were changed since begin afresh."""
    changed = tuple(f"{name}[" for name, until in state.changed_until.items() if numbers["step"] <= until)
    saved = {key: value for key, value in numbers["method"].items() if not key.startswith(changed)}
    return saved | {key: value for key, value in state.method_begun.items() if key.startswith(changed)}


def _load_network(network: nn.Module, name: str, tensors: dict[str, Tensor]) -> None:
    """Take the weights of `network`, called `name` in a checkpoint, out of `tensors`; ValueError unless they fit."""
    weights, wanted = {key for key, _ in network.named_parameters()}, network.state_dict()
    saved = {key: tensors.pop(f"{name}/{key}") for key in wanted}
    for key, value in wanted.items():
        if _kind(saved[key]) != _kind(value):
            raise ValueError(f"{name}/{key} is {_kind(saved[key])}, not {_kind(value)}")
        if key in weights and not is_finite(saved[key]):
            raise ValueError(f"{name}/{key} holds NaN or infinity")
    network.load_state_dict(saved)


def _most_tensors(state: TrainingState) -> int:
    """More than a checkpoint of `state` has."""
    groups = [group for optimizer in state.optimizers().values() for group in optimizer.param_groups]
    moments = ENTRIES * sum(len(group["params"]) for group in groups)
    return moments + sum(len(network.state_dict()) for network in state.networks().values())


def _kind(value: Any) -> str:
    """The type and shape of a tensor; anything else as it is."""
    if not isinstance(value, Tensor):
        return quote(value)
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


_FORMS: dict[str, Callable[[Any], bool]] = {  # what a number of `state.json` looks like
    **dict.fromkeys(("step", "log_bytes", "summed"), _is_count),
    "rollbacks": lambda value: _is_count(value) and value <= 100,
    "best_step": lambda value: value is None or _is_count(value),
    "best_score": lambda value: value is None or is_number(value),
    "sums": lambda value: isinstance(value, list) and all(map(is_number, value)),
    "memory": lambda value: isinstance(value, dict),
    "logged": lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    "callbacks": lambda value: (
        isinstance(value, list) and all(isinstance(each, dict) and "state" in each for each in value)
    ),
}


def _check_numbers(numbers: dict[str, Any], state: TrainingState, folder: Path) -> None:
    """Raise ValueError or KeyError unless `state.json` holds what `save_checkpoint` writes there."""
    for name, fits in _FORMS.items():
        if not fits(numbers[name]):
            raise ValueError(f"{name} is {quote(numbers[name])}")
    if checkpoint_folder(Path(), numbers["step"]).name != folder.name:
        raise ValueError(f"step is {numbers['step']}")
    if state.sums and len(numbers["sums"]) != len(state.sums):
        raise ValueError(f"sums are {quote(numbers['sums'])}")


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Rates and switches of each group of parameters, as JSON types."""
    return [
        {key: value.item() if isinstance(value, Tensor) else value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def _load_optimizer(optimizer: Optimizer, name: str, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Bring `optimizer` to what was saved under `name`, and take it out of `tensors`; its parameters are changed.

    What its state must look like is found by a step with gradients of 0: fused updates would write behind the ends of
    tensors that are too short.
    """
    options = _options(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    found: dict[int, dict[str, Any]] = {int(place): dict(values) for place, values in numbers["state"].items()}
    for key in [key for key in tensors if key.startswith(f"{name}/")]:
        _, place, entry = key.split("/", 2)
        found.setdefault(int(place), {})[entry] = tensors.pop(key)
    for index, parameter in enumerate(parameters):
        state, saved = optimizer.state.pop(parameter, {}), found.pop(index, {})
        if saved:
            if saved.keys() != state.keys():
                raise ValueError(f"{name}/{index} holds {quote(sorted(saved))}, not {quote(sorted(state))}")
            _fill(state, saved, f"{name}/{index}")
            optimizer.state[parameter] = state
    if found:
        raise ValueError(f"{name} has no parameter {max(found)}")
    whole = optimizer.state_dict()
    for group, mine, saved in zip(whole["param_groups"], options, numbers["groups"], strict=True):
        _fill(mine, saved, f"{name}: options")
        mine["params"] = group["params"]
    optimizer.load_state_dict({"state": whole["state"], "param_groups": options})  # some turn options into tensors


def _fill(mine: dict[str, Any], saved: dict[str, Any], place: str) -> None:
    """Put what was `saved` of an optimizer into `mine`, tensors into their own memory; ValueError unless it fits."""
    for key, value in saved.items():
        like = mine.get(key)
        if isinstance(like, Tensor) and isinstance(value, Tensor) and _kind(like) == _kind(value):
            like.copy_(value)
        elif isinstance(like, Tensor) or not _alike(value, like):
            raise ValueError(f"{place}/{key} is {_kind(value)}, not as {_kind(like)}")
        else:
            mine[key] = tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _alike(value: Any, like: Any) -> bool:
    """Whether `value` can stand where an optimizer has `like`: a number, a switch, a text, or several."""
    if isinstance(like, (tuple, list)):
        return isinstance(value, list) and len(value) == len(like) and all(map(_alike, value, like))
    if isinstance(like, str):
        return isinstance(value, str)
    if like is None or isinstance(like, bool):
        return value is None or isinstance(value, bool) or is_number(value)
    return is_number(value)
