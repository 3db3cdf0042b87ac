"""Callbacks: objects that a training calls after each step, with state that goes through its checkpoints.

A callback of your own is a subclass of `Callback`; registered (or offered by a package, in the entry-point group
`ganzoo.callbacks`), it serves by name, and its keyword arguments are its options: `early-stopping(patience=5)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Annotated, Any

from ganzoo.config import Bounds, convert_value
from ganzoo.errors import ConfigError, quote
from ganzoo.gan import GAN
from ganzoo.registry import Registry

FIGURES = ("discriminator_loss", "real_logits", "fake_logits", "penalty", "generator_loss")  # of a step
RESERVED = frozenset(  # names of the log
    {"step", "score", "best", "best_lost", "remark", "text", "advice", "stopped", "stretch", *FIGURES}
)


@dataclass
class Requests:
    """What callbacks have asked for since the trainer last looked."""

    stop: str | None = None
    save: bool = False
    generator: float = 1.0
    discriminator: float = 1.0
    failure: str | None = None


@dataclass
class Run:
    """What a callback sees of a training, and may ask of it.

    Attributes:
        gan: the networks that are trained, in place.
        averaged: the averaged generator, which a run saves, with the same discriminator.
        settings: a `ganzoo.Settings`.
        is_main: whether this process writes the run's files; of several processes one does.
        step: steps done, from 1; 0 in `on_start` of a new run.
    """

    gan: GAN
    averaged: GAN
    settings: Any
    is_main: bool = True
    step: int = 0
    requests: Requests = field(default_factory=Requests)
    logged: dict[str, float] = field(default_factory=dict)
    reserved: frozenset[str] = RESERVED

    def due(self, every: int) -> bool:
        """Whether this step is one of each `every` steps, or the last one. 0: never."""
        return bool(every) and (self.step % every == 0 or self.step == self.settings.steps)

    def stop(self, reason: str) -> None:
        """End the training after this step, on all processes: it is saved, says `reason`, and can be resumed."""
        said = " ".join(str(reason or "").split()) or "a callback asked for it"
        self.requests.stop = self.requests.stop or said

    def save(self) -> None:
        """Write a checkpoint at this step."""
        self.requests.save = True

    def scale_learning_rates(self, generator: float = 1.0, discriminator: float = 1.0) -> None:
        """Multiply both networks' learning rates from the next step on. Of several processes the first one's count.

        Raises:
            ConfigError: a factor is no number from 0 to 1e9.
        """
        factors = {"generator": generator, "discriminator": discriminator}
        for name, factor in factors.items():
            factors[name] = convert_value(factor, float, f"scale_learning_rates: {name}", Bounds(0, 10**9))
        self.requests.generator *= factors["generator"]
        self.requests.discriminator *= factors["discriminator"]

    def log(self, name: str, number: float) -> None:
        """Put `number` under `name` into the next line of `log.jsonl`; the last value of a name counts.

        No line comes after that of the last step: call it in `on_step`, not in `on_end`.

        Raises:
            ConfigError: the log or the method (ADA's "ada_p") uses `name` itself, or `number` is not a finite number.
        """
        if not isinstance(name, str) or name in self.reserved:
            raise ConfigError(f"log: {quote(name)} is a name of the log's own; choose another")
        if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
            raise ConfigError(f"log: {quote(name)} must be a finite number, got {quote(number)}")
        self.logged[name] = int(number) if isinstance(number, Integral) else float(number)  # NumPy's too


class Callback:
    """Called by a training, on every process alike. All methods may be left out.

    An exception in one ends the training: the last finished step is saved first, and the error says how to go on.
    """

    def on_start(self, run: Run) -> None:
        """Training begins or goes on, with the step after `run.step`."""

    def on_step(self, run: Run) -> None:
        """A step is done; its line of the log and its checkpoint are still to come."""

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        """A line of the log is written; on the main process alone."""

    def on_end(self, run: Run) -> None:
        """The run is finished or stopped, and saved."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback, as JSON types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


CALLBACKS: Registry[Callable[..., Callback]] = Registry(
    "callback",
    "ganzoo.callbacks",
    "a subclass of Callback, or a function that makes one",
    callable,
    makes=Callback,
)


@CALLBACKS.register("early-stopping")
class EarlyStopping(Callback):
    """Stop when so many scores in a row were not better than the best one (setting `score_every`)."""

    def __init__(self, patience: Annotated[int, Bounds(1, 10**6)] = 10) -> None:
        self._patience, self._best, self._worse = patience, math.inf, 0

    def on_log(self, run: Run, entry: dict[str, Any]) -> None:
        if "score" not in entry:
            return
        self._worse = 0 if entry["score"] < self._best else self._worse + 1
        self._best = min(self._best, entry["score"])
        if self._worse >= self._patience:
            self._worse = 0  # a resumed run gets as many scores again
            run.stop(f"the last {self._patience} scores were not better than {self._best:.4g}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if math.isinf(self._best) else self._best, "worse": self._worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best, self._worse = math.inf if state["best"] is None else state["best"], state["worse"]
