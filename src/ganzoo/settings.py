"""The settings of a run: one dataclass, the same names in Python, in `--set` and in a run's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ganzoo.augment import AUGMENTATIONS
from ganzoo.callbacks import CALLBACKS
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, UnknownNameError, quote
from ganzoo.latents import check_clusters
from ganzoo.losses import LOSSES
from ganzoo.penalties import GENERATOR_PENALTIES, LARGEST_WEIGHT, PENALTIES
from ganzoo.registry import Registry
from ganzoo.schedules import SCHEDULES, make_schedule, value_at

SCHEDULED = ("generator_lr", "discriminator_lr", "beta2", "ema_half_life")  # numbers, or the names of schedules
NAMED: dict[str, Registry[Any]] = {  # lists of names
    "penalties": PENALTIES,
    "generator_penalties": GENERATOR_PENALTIES,
    "augmentations": AUGMENTATIONS,
    "callbacks": CALLBACKS,
}


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """How a run trains. 0 switches off what has a period."""

    steps: int = option(10_000, "each updates both networks", low=1, high=10**9)
    batch_size: int = option(64, "real images of one update, over all processes", low=1, high=65536)
    seed: int = option(0, "seed of weights, latents, order of images and samples", low=0, high=2**63 - 1)
    precision: Literal["auto", "float32", "bf16", "fp16"] = option(
        "auto", "auto: bf16 if the device is fast at it, else float32"
    )
    speed: Literal["auto", "exact"] = option(
        "auto",
        "auto: memory format, fused optimizers and graphs by rule; exact: plain arithmetic, on a GPU deterministic",
    )
    loss: str = option("non-saturating", "by name, as hinge or non-saturating(smoothing=0.1)")
    penalties: tuple[str, ...] = option((), "by name, as r1(weight=1,every=4)")
    generator_penalties: tuple[str, ...] = option((), "by name, as path-length(weight=2,every=4)")
    augmentations: tuple[str, ...] = option((), "of real and generated images, by name, as translation(strength=1)")
    callbacks: tuple[str, ...] = option((), "called after each step, by name, as early-stopping(patience=5)")
    mismatched_labels: float = option(
        0.0,
        "weight of the mismatched-label term: a real image with a wrong label counts as fake",
        low=0,
        high=0.9,
    )
    clusters: int = option(
        0,
        "labels found in the images of each class, or of all: at most so many, a power of two; 0: none",
        low=0,
        high=1024,
    )
    cluster_by: Literal["pixels", "shape"] = option(
        "pixels", "what images of a cluster have in common: pixels of thumbnails, or the directions of edges"
    )
    min_cluster_size: int = option(
        16, "images of a cluster, at least: a small class has fewer clusters", low=2, high=10_000
    )
    discriminator_steps: int = option(1, "discriminator updates in a step, each on its own images", low=1, high=100)
    generator_steps: int = option(1, "generator updates in a step, each on its own latents", low=1, high=100)
    updates: Literal["alternating", "one-stage"] = option(
        "alternating",
        "the generator learns from the updated discriminator; one-stage: both learn from one pass over the fakes",
    )
    generator_lr: float | str = option(
        2e-4,
        "learning rate of the generator, or a schedule: cosine(start=2e-4,warm_up=1000), linear(start=2e-4,end=1e-5)",
        low=1e-9,
        high=10,
    )
    discriminator_lr: float | str = option(2e-4, "learning rate of the discriminator, or a schedule", low=1e-9, high=10)
    optimizer: str = option("adam", "by name: torch's, or any that timm knows")
    beta1: float = option(0.5, "decay of the optimizer's first moment", low=0, high=0.9999)
    beta2: float | str = option(0.999, "decay of the optimizer's second moment, or a schedule", low=0, high=0.999999)
    clip_gradients: float = option(0.0, "largest norm of a network's gradient; 0: no limit", low=0, high=1e6)
    accumulate: int = option(1, "parts in which a batch is computed, to save memory", low=1, high=1024)
    ema_half_life: float | str = option(
        10_000.0,
        "half-life of the weight average (EMA), in images, at most a twentieth of those so far; 0: no averaging",
        low=0,
        high=1e9,
    )
    flip: bool = option(False, "mirror real images at random")
    keep_last_batch: bool = option(False, "train on the last, smaller batch of an epoch too")
    checkpoint_every: int = option(1000, "steps between checkpoints", low=0, high=10**9)
    sample_every: int = option(500, "steps between sample grids", low=0, high=10**9)
    score_every: int = option(500, "steps between scores", low=0, high=10**9)
    keep: Literal["best", "last"] = option("best", "the run's model: the state with the best score, or the last one")
    report_every: int = option(30, "seconds between refreshes of the report; 0: no report", low=0, high=10**9)
    doctor_every: int = option(200, "steps between the doctor's checks", low=0, high=10**9)
    stop_on_collapse: bool = option(False, "stop when the doctor finds mode collapse")
    log_every: int = option(20, "steps between lines of the log", low=1, high=10**9)
    trackers: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = option(
        (), "log there too: tensorboard, trackio, wandb"
    )

    def check(self) -> None:
        try:
            self._check_names()
        except UnknownNameError as error:
            raise ConfigError(str(error)) from None
        check_clusters(self.clusters)
        if self.updates == "one-stage" and (self.discriminator_steps, self.generator_steps) != (1, 1):
            raise ConfigError(
                f"updates=one-stage updates both networks once, from the same fakes: discriminator_steps and "
                f"generator_steps must be 1, got {self.discriminator_steps} and {self.generator_steps}"
            )
        if self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate {self.accumulate} must divide batch_size {self.batch_size}")

    def check_used(self) -> None:
        """Raise ConfigError if a setting has no effect without another one."""
        if self.stop_on_collapse and not self.doctor_every:
            raise ConfigError("stop_on_collapse wants the doctor, who sees it: set doctor_every above 0")
        if not self.score_every and any(name == "early-stopping" for name, _ in self._read_lists()["callbacks"]):
            raise ConfigError("early-stopping counts scores: set score_every above 0")

    def _check_names(self) -> None:
        """Read all names with their options, and try schedules from the first step to the last."""
        LOSSES.read(self.loss, "loss")
        read = self._read_lists()
        for setting, entries in read.items():
            names = [name for name, _ in entries]
            for index, name in enumerate(names):
                if name in names[:index]:
                    raise ConfigError(f"{setting}[{index}] names {quote(name)} a second time; once is enough")
        for place, (text, high) in self._schedules(read).items():
            schedule = make_schedule(text, place)
            for step in {*range(0, self.steps, max(1, self.steps // 32)), self.steps - 1}:
                value_at(schedule, step, self.steps, place, high)

    def _read_lists(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """The names in each list of names, with their options."""
        return {
            setting: [registry.read(text, f"{setting}[{index}]") for index, text in enumerate(getattr(self, setting))]
            for setting, registry in NAMED.items()
        }

    def _schedules(self, read: dict[str, list[tuple[str, dict[str, Any]]]]) -> dict[str, tuple[str, float]]:
        """The schedules in these settings, of which `read` are the lists, by place, each with its upper bound."""
        fields = type(self).__dataclass_fields__
        given = {name: (getattr(self, name), fields[name].metadata["bounds"].high) for name in SCHEDULED}
        for setting in ("penalties", "generator_penalties"):
            for index, (_, options) in enumerate(read[setting]):
                given[f"{setting}[{index}]: weight"] = options.get("weight"), LARGEST_WEIGHT
        return {place: (text, high) for place, (text, high) in given.items() if isinstance(text, str)}

    def registered(self) -> list[tuple[Registry[Any], str]]:
        """The registries' names that a run of these settings uses."""
        read = self._read_lists()
        schedules = [(SCHEDULES, SCHEDULES.read(text)[0]) for text, _ in self._schedules(read).values()]
        lists = [(NAMED[setting], name) for setting, entries in read.items() for name, _ in entries]
        return [(LOSSES, LOSSES.read(self.loss)[0]), *schedules, *lists]
