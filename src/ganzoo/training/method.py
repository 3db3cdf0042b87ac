"""The method of a run: loss, penalties, augmentations and learning rates, made once from its settings, with state."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from ganzoo.augment import Augmentation
from ganzoo.callbacks import RESERVED
from ganzoo.config import is_number
from ganzoo.errors import PluginError, blame, quote
from ganzoo.losses import LOSSES, Loss
from ganzoo.penalties import WeightedPenalty
from ganzoo.schedules import make_schedule, value_at
from ganzoo.settings import NAMED, SCHEDULED, Settings
from ganzoo.stateful import Stateful, check_restored, json_state

LISTS = ("penalties", "generator_penalties", "augmentations")  # settings whose names are parts of the method


class Method(Stateful):
    """The objects that the names in `settings` stand for.

    Args:
        scaler: of losses, with precision fp16; its state is the method's.
    """

    def __init__(self, settings: Settings, scaler: GradScaler | None = None) -> None:
        self.scaler = scaler
        self.loss: Loss = LOSSES.make(settings.loss, "loss")
        made = {name: [NAMED[name].make(text, name) for text in getattr(settings, name)] for name in LISTS}
        self.penalties: list[WeightedPenalty] = made["penalties"]
        self.generator_penalties: list[WeightedPenalty] = made["generator_penalties"]
        self.augmentations: list[Augmentation] = made["augmentations"]
        self._settings = settings
        self._schedules = {name: make_schedule(getattr(settings, name), name) for name in SCHEDULED}
        self.scales = {"generator": 1.0, "discriminator": 1.0}  # of learning rates
        parts = {
            f"{name}[{index}]": each.penalty if isinstance(each, WeightedPenalty) else each
            for name, several in made.items()
            for index, each in enumerate(several)
        }
        self._stateful = {place: part for place, part in parts.items() if isinstance(part, Stateful)}

    def augment(self, images: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) after all augmentations, in the order of the settings."""
        for augmentation in self.augmentations:
            images = augmentation(images, random)
        return images

    def now(self, name: str, step: int) -> float:
        """The setting `name`, a number or a schedule, at the update after `step` steps."""
        return value_at(self._schedules[name], step, self._settings.steps, name)

    def set_rates(self, optimizers: dict[str, Optimizer], step: int, rollbacks: int) -> None:
        """Give optimizers ("generator", "discriminator") what holds for the update after `step` steps."""
        for name, optimizer in optimizers.items():
            rate = self.now(f"{name}_lr", step) * self.scales[name] * 0.5**rollbacks
            for group in optimizer.param_groups:
                group["lr"] = rate
                if isinstance(self._settings.beta2, str):
                    beta2 = self.now("beta2", step)
                    if "betas" in group:
                        group["betas"] = (group["betas"][0], beta2)
                    elif self._settings.optimizer.startswith("rmsprop"):
                        group["alpha"] = beta2

    def take_rates(self, changed: Collection[str], rollbacks: int) -> int:
        """A learning rate among the settings that were `changed` holds as it is given, though rates were lower after so
        many `rollbacks`, or by a callback; how many count from here on."""
        if not {f"{name}_lr" for name in self.scales}.intersection(changed):
            return rollbacks
        for name, scale in self.scales.items():
            self.scales[name] = 1.0 if f"{name}_lr" in changed else scale * 0.5**rollbacks
        return 0

    def scale_learning_rates(self, generator: float = 1.0, discriminator: float = 1.0) -> None:
        """Multiply the learning rates from the next step on, on top of earlier calls."""
        self.scales["generator"] *= generator
        self.scales["discriminator"] *= discriminator

    def end_step(self, real_sign: float, images: int, mean: Callable[[Tensor], Tensor]) -> None:
        for place, part in self._stateful.items():
            with blame(f"{place}: end_step of {type(part).__name__}"):
                part.end_step(real_sign, images, mean)

    def figures(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for place, part in self._stateful.items():
            for name, value in part.figures().items():
                if name in RESERVED or not is_number(value):
                    raise PluginError(
                        f"{place}: the figure {quote(name)} must be a finite number under a name that the log does not "
                        f"use itself, got {quote(value)}; tell its author"
                    )
                found[name] = value
        return found

    @property
    def obstacle(self) -> str | None:
        """What of it keeps a step from being repeated by a CUDA graph."""
        place = next((place for place, part in self._stateful.items() if not part.in_graph), None)
        if place is not None:
            return f"{place} keeps numbers that a graph would not see change"
        if self.scaler is not None:
            return "precision fp16 leaves out steps that overflow; bf16 has none"
        return None

    @property
    def changes(self) -> bool:
        """Whether a part of it changes from step to step by itself."""
        return bool(self._stateful)

    def check_restored(self) -> None:
        """Raise PluginError if a part of it would not go on from its state in a checkpoint."""
        for place, part in self._stateful.items():
            check_restored(part, _named(place, part))

    def state_dict(self) -> dict[str, Any]:
        return {
            "scales": dict(self.scales),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            **{place: json_state(part, _named(place, part)) for place, part in self._stateful.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        scales, scaler = state["scales"], state["scaler"]
        if scales.keys() != self.scales.keys() or not all(is_number(each) and each >= 0 for each in scales.values()):
            raise ValueError(f"scales of learning rates are {quote(scales)}")
        wanted = self.scaler.state_dict() if self.scaler else None
        if scaler != wanted and not (
            wanted
            and isinstance(scaler, dict)
            and scaler.keys() == wanted.keys()
            and all(map(is_number, scaler.values()))
        ):
            raise ValueError(f"scaler is {quote(scaler)}, not as {quote(wanted)}")
        for place, part in self._stateful.items():
            part.load_state_dict(state[place])
        self.scales = dict(scales)
        if self.scaler:
            self.scaler.load_state_dict(scaler)


def _named(place: str, part: Stateful) -> str:
    return f"{place}, a {type(part).__name__}"
