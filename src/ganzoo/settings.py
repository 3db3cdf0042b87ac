"""The settings of a run: one dataclass, the same names in Python, in `--set` and in a run's file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ganzoo.augment import AUGMENTATIONS
from ganzoo.callbacks import CALLBACKS
from ganzoo.config import Bounds, Config, option
from ganzoo.errors import ConfigError, UnknownNameError, quote
from ganzoo.latents import check_clusters
from ganzoo.losses import LOSSES
from ganzoo.penalties import GENERATOR_PENALTIES, PENALTIES
from ganzoo.registry import Registry
from ganzoo.schedules import SCHEDULES, make_schedule, value_at

SCHEDULED = ("generator_lr", "discriminator_lr", "beta2", "ema_half_life")  # numbers, or the names of schedules


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """How a run trains. 0 switches off what has a period."""

    steps: int = option(10_000, "each updates both networks", low=1, high=10**9)
    batch_size: int = option(64, "real images of one update, over all processes", low=1, high=65536)
    seed: int = option(0, "of weights, latents, order of images and samples", low=0, high=2**63 - 1)
    precision: Literal["auto", "float32", "bf16", "fp16"] = option(
        "auto", "auto: bf16 where the device is quick at it, else float32"
    )
    speed: Literal["auto", "exact"] = option(
        "auto", "auto: memory format and fused optimizers by rule; exact: the plain textbook arithmetic"
    )
    loss: str = option("non-saturating", "by name, as hinge or non-saturating(smoothing=0.1)")
    penalties: tuple[str, ...] = option((), "by name, as r1(weight=1,every=4)")
    generator_penalties: tuple[str, ...] = option((), "by name, as path-length(weight=2,every=4)")
    augmentations: tuple[str, ...] = option((), "of real and fake alike, by name, as translation(strength=1)")
    callbacks: tuple[str, ...] = option((), "called after each step, by name, as early-stopping(patience=5)")
    mismatched_labels: float = option(
        0.0,
        "weight of the mismatched-label term: a real image with a wrong label counts as fake",
        low=0,
        high=0.9,
    )
    clusters: int = option(
        0, "labels found in the images, for each class or without classes: a power of two; 0: none", low=0, high=1024
    )
    cluster_by: Literal["pixels", "shape"] = option(
        "pixels", "what images of a cluster have in common: pixels of thumbnails, or the directions of edges"
    )
    discriminator_steps: int = option(1, "discriminator updates in a step, each on images of its own", low=1, high=100)
    generator_steps: int = option(1, "generator updates in a step, each on latents of its own", low=1, high=100)
    generator_lr: float | str = option(
        2e-4, "of the generator; or a schedule: cosine(start=2e-4,end=1e-6)", low=1e-9, high=10
    )
    discriminator_lr: float | str = option(2e-4, "learning rate of the discriminator, or a schedule", low=1e-9, high=10)
    optimizer: str = option("adam", "by name: torch's, or any that timm knows")
    beta1: float = option(0.5, "decay of the optimizer's first moment", low=0, high=0.9999)
    beta2: float | str = option(0.999, "decay of the optimizer's second moment, or a schedule", low=0, high=0.999999)
    warmup_steps: int = option(0, "updates over which learning rates rise from 0", low=0, high=10**9)
    decay: Literal["none", "linear", "cosine"] = option("none", "how learning rates fall to 0 until the last step")
    clip_gradients: float = option(0.0, "largest norm of a network's gradient; 0: any", low=0, high=1e6)
    accumulate: int = option(1, "parts in which a batch is computed, to save memory", low=1, high=1024)
    ema_half_life: float | str = option(
        10_000.0, "images after which half of the averaged generator is new; 0: no averaging", low=0, high=1e9
    )
    flip: bool = option(False, "mirror real images at random")
    keep_last_batch: bool = option(False, "train on the last, smaller batch of an epoch too")
    checkpoint_every: int = option(1000, "steps between checkpoints", low=0, high=10**9)
    sample_every: int = option(500, "steps between sample grids", low=0, high=10**9)
    score_every: int = option(500, "steps between scores", low=0, high=10**9)
    keep: Literal["best", "last"] = option("best", "the model of a run: of the best score, or of the last step")
    report_every: int = option(1000, "steps between refreshes of the report", low=0, high=10**9)
    doctor_every: int = option(200, "steps between the doctor's looks", low=0, high=10**9)
    stop_on_collapse: bool = option(False, "stop when the doctor finds mode collapse")
    log_every: int = option(20, "steps between lines of the log", low=1, high=10**9)
    trackers: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = option(
        (), "beside the log: tensorboard, trackio, wandb"
    )

    def check(self) -> None:
        _name(LOSSES, self.loss, "loss")
        _check_names(self.penalties, PENALTIES, "penalties")
        _check_names(self.generator_penalties, GENERATOR_PENALTIES, "generator_penalties")
        _check_names(self.augmentations, AUGMENTATIONS, "augmentations")
        _check_names(self.callbacks, CALLBACKS, "callbacks")
        check_clusters(self.clusters)
        for name, text in self._schedules().items():
            _name(SCHEDULES, text, name)
            schedule, high = make_schedule(text, name), _highest(name)
            for step in {*range(0, self.steps, max(1, self.steps // 32)), self.steps - 1}:
                value_at(schedule, step, self.steps, name, high)
        if self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate {self.accumulate} must divide batch_size {self.batch_size}")

    def _schedules(self) -> dict[str, str]:
        return {name: text for name in SCHEDULED if isinstance(text := getattr(self, name), str)}

    def registered(self) -> list[tuple[Registry[Any], str]]:
        """The registries' names that a run of these settings uses."""
        return [
            (LOSSES, LOSSES.read(self.loss)[0]),
            *((PENALTIES, PENALTIES.read(text)[0]) for text in self.penalties),
            *((SCHEDULES, SCHEDULES.read(text)[0]) for text in self._schedules().values()),
            *((GENERATOR_PENALTIES, GENERATOR_PENALTIES.read(text)[0]) for text in self.generator_penalties),
            *((AUGMENTATIONS, AUGMENTATIONS.read(text)[0]) for text in self.augmentations),
            *((CALLBACKS, CALLBACKS.read(text)[0]) for text in self.callbacks),
        ]


def _highest(name: str) -> float:
    """The upper bound of the setting `name`, which holds for its schedule too."""
    bounds: Bounds = Settings.__dataclass_fields__[name].metadata["bounds"]
    return math.inf if bounds.high is None else bounds.high


def _check_names(texts: tuple[str, ...], registry: Registry[Any], place: str) -> None:
    names = [_name(registry, text, f"{place}[{index}]") for index, text in enumerate(texts)]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(f"{place}[{index}] names {quote(name)} a second time; once is enough")


def _name(registry: Registry[Any], text: str, place: str) -> str:
    """The name in `text`, whose options are checked."""
    try:
        return registry.read(text, place)[0]
    except UnknownNameError as error:
        raise ConfigError(str(error)) from None
