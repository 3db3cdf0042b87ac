"""The settings of a run: one dataclass, the same names in Python, in `--set` and in a run's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ganzoo.augment import AUGMENTATIONS
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, did_you_mean, quote
from ganzoo.losses import LOSSES, smooth
from ganzoo.penalties import PENALTIES
from ganzoo.registry import Registry

_CALL = re.compile(r"\s*([\w.-]+)\s*(?:\(([^()]*)\))?\s*")


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """How a run trains. 0 switches off what has a period."""

    steps: int = option(10_000, "generator updates", low=1, high=10**9)
    batch_size: int = option(64, "real images of one update, over all processes", low=1, high=65536)
    seed: int = option(0, "of weights, latents, order of images and samples", low=0, high=2**63 - 1)
    precision: Literal["auto", "float32", "bf16", "fp16"] = option(
        "auto", "auto: bf16 where the device is quick at it, else float32"
    )
    speed: Literal["auto", "exact"] = option(
        "auto", "auto: memory format and fused optimizers by rule; exact: the plain textbook arithmetic"
    )
    loss: str = option("non-saturating", "by name")
    penalties: tuple[str, ...] = option((), "by name, as r1(weight=1,every=4)")
    augmentations: tuple[str, ...] = option((), "of real and fake alike, by name, as translation(strength=1)")
    label_smoothing: float = option(0.0, "real targets are 1 minus this (cross-entropy losses)", low=0, high=0.5)
    wrong_labels: float = option(
        0.0,
        "share of the discriminator's loss on real images under a wrong label, where there are classes",
        low=0,
        high=0.9,
    )
    divide_by: Literal["pixels", "shape"] = option(
        "pixels", "what images of one hidden class have in common: pixels of thumbnails, or the directions of edges"
    )
    d_steps: int = option(1, "discriminator updates to one of the generator", low=1, high=100)
    generator_lr: float = option(2e-4, "learning rate of the generator", low=1e-9, high=10)
    discriminator_lr: float = option(2e-4, "learning rate of the discriminator", low=1e-9, high=10)
    optimizer: str = option("adam", "by name: torch's, or any that timm knows")
    beta1: float = option(0.5, "decay of the optimizer's first moment", low=0, high=0.9999)
    beta2: float = option(0.999, "decay of the optimizer's second moment", low=0, high=0.999999)
    warmup_steps: int = option(0, "updates over which learning rates rise from 0", low=0, high=10**9)
    decay: Literal["none", "linear", "cosine"] = option("none", "how learning rates fall to 0 until the last step")
    clip_gradients: float = option(0.0, "largest norm of a network's gradient; 0: any", low=0, high=1e6)
    accumulate: int = option(1, "parts in which a batch is computed, to save memory", low=1, high=1024)
    ema_half_life: float = option(
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
        if self.loss not in LOSSES:
            raise ConfigError(f"loss {quote(self.loss)} is unknown.{did_you_mean(self.loss, LOSSES)}")
        smooth(self.loss, self.label_smoothing)
        if self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate {self.accumulate} must divide batch_size {self.batch_size}")
        self.parsed_penalties()
        self.parsed_augmentations()

    def registered(self) -> list[tuple[Registry[Any], str]]:
        """The registries' names that a run of these settings uses."""
        return [
            (LOSSES, self.loss),
            *((PENALTIES, name) for name in self.parsed_penalties()),
            *((AUGMENTATIONS, name) for name in self.parsed_augmentations()),
        ]

    def parsed_penalties(self) -> dict[str, dict[str, float]]:
        """{name: {"weight": w, "every": k}}; a penalty is added every k steps, k times as strong."""
        return _calls(self.penalties, "penalties", PENALTIES, {"weight": 1.0, "every": 1.0})

    def parsed_augmentations(self) -> dict[str, dict[str, float]]:
        """{name: {"strength": s}}."""
        return _calls(self.augmentations, "augmentations", AUGMENTATIONS, {"strength": 1.0})


def _calls(
    texts: tuple[str, ...], place: str, registry: Registry[Any], options: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Understand `name` or `name(option=number, ...)`, with `options` and their defaults."""
    parsed: dict[str, dict[str, float]] = {}
    for index, text in enumerate(texts):
        where = f"{place}[{index}]"
        match = _CALL.fullmatch(text)
        if not match:
            example = ",".join(f"{name}={value:g}" for name, value in options.items())
            raise ConfigError(f"{where} must look like name or name({example}), got {quote(text)}")
        name, inside = match.groups()
        if name not in registry:
            raise ConfigError(f"{where} {quote(name)} is unknown.{did_you_mean(name, registry)}")
        if name in parsed:
            raise ConfigError(f"{where} names {quote(name)} a second time; once is enough")
        parsed[name] = dict(options)
        for part in filter(None, (inside or "").replace(" ", "").split(",")):
            key, _, number = part.partition("=")
            if key not in options:
                raise ConfigError(f"{where}: {quote(key)} is unknown.{did_you_mean(key, options)}")
            try:
                parsed[name][key] = float(number)
            except ValueError:
                raise ConfigError(f"{where}: {key} must be a number, got {quote(number)}") from None
            low, high = {"every": (1, 10**9), "strength": (0, 1)}.get(key, (0, 1e9))
            if not low <= parsed[name][key] <= high or (key == "every" and parsed[name][key] % 1):
                raise ConfigError(f"{where}: {key} must be {low} to {high:g}, got {number}")
    return parsed
