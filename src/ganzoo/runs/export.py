"""What a run makes of its averaged generator: the saved model, sample grids, and a score to keep the best by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganzoo import images as pictures
from ganzoo.data import ImageData
from ganzoo.errors import ConfigError, TrainingError, WeightsError
from ganzoo.evaluation.generated import at_once, in_proportion
from ganzoo.gan import GAN
from ganzoo.runs.checkpoint import TrainingState, way_on
from ganzoo.runs.gallery import REAL
from ganzoo.runs.selection_score import SAMPLES, KernelScore
from ganzoo.saving.format import GRID
from ganzoo.seeds import permutation
from ganzoo.settings import Settings

IN_GRID = 64  # images in a grid of samples


def averaged(gan: GAN, state: TrainingState) -> GAN:
    """The averaged generator and the discriminator of `state`, as a GAN like `gan`, which is trained."""
    return GAN(state.average, state.discriminator, **gan.facts)


class ModelExporter:
    """Writes into the folder `run`; only the main process of several makes one.

    Args:
        gan: the averaged generator of the run, whose weights training changes in place, with its discriminator.

    Attributes:
        keeps_best: whether `model/` is that of the best score; else it is that of the newest checkpoint.
        can_score: whether there is something to score by.
    """

    def __init__(self, gan: GAN, data: ImageData, settings: Settings, run: Path) -> None:
        self._gan, self._data, self._seed, self._run = gan, data, settings.seed, run
        self._columns = gan.num_classes if 1 < gan.num_classes <= 16 else 8  # of a grid
        self._count = IN_GRID // self._columns * self._columns
        one_each = gan.num_classes == self._columns  # a class a column
        self._labels = torch.arange(self._count, device="cpu") % self._columns if one_each else None
        self.keeps_best = settings.keep == "best"
        self._score: KernelScore | None = None
        self.can_score = settings.score_every > 0 and len(data) > 1  # one image has no spread to score by
        if self.can_score:
            chosen = permutation(len(data), settings.seed, "score")[:SAMPLES]
            self._at_once = at_once(data.image_size, data.image_channels)
            self._score = KernelScore(map(data.batch, chosen.split(self._at_once)), data.image_channels)
            # Samples of classes in the same proportions: else they were far from the real images, however good each is.
            counts = None if data.labels is None else data.labels[chosen].bincount(minlength=gan.num_classes)
            self._scored = in_proportion(counts, SAMPLES) if gan.num_classes and counts is not None else None

    def save_model(self, state: TrainingState) -> None:
        """Write `model/`, with what training on from it needs; TrainingError if that can't be done."""
        try:
            self._gan.save_pretrained(self._run / "model", generator_raw=state.generator)
            pictures.save(self._grid(), self._run / "model" / GRID)
        except (ConfigError, WeightsError, OSError) as error:  # a ConfigError if its config is gone
            raise TrainingError(f"{error} {way_on(self._run)}") from error

    def draw_samples(self, state: TrainingState) -> Path:
        """Write a grid of the same latents each time."""
        path = self._run / "samples" / f"step-{state.step:08d}.png"
        pictures.save(self._grid(), path)
        return path

    def keep_best(self, state: TrainingState) -> dict[str, Any]:
        """Score the average; save the model if the best is kept and it is that. Returns a line for the log."""
        assert self._score is not None
        drawn: dict[str, Any] = {"seed": self._seed, "labels": self._scored, "batch_size": self._at_once}
        fakes = self._gan.batches(SAMPLES, **drawn, precision="fast")
        value = self._score(fakes)
        best = not self.keeps_best or state.best_score is None or value < state.best_score
        if best:
            state.best_score, state.best_step = value, state.step
        if best and self.keeps_best:
            self.save_model(state)
        return {"step": state.step, "score": value, "best": best}

    def draw_real(self) -> None:
        """Write a grid of real images, once, laid out as the samples are, to look at beside them."""
        path = self._run / "samples" / REAL
        if path.exists():
            return
        chosen = permutation(len(self._data), self._seed, "real images")
        if self._labels is not None and self._data.labels is not None:
            of_class = [chosen[self._data.labels[chosen] == label] for label in range(self._columns)]
            if all(map(len, of_class)):
                rows = range(self._count // self._columns)
                chosen = torch.stack([each[row % len(each)] for row in rows for each in of_class])
        pictures.save(pictures.grid(self._data.batch(chosen[: self._count]), columns=self._columns), path)

    def _grid(self) -> Any:
        """Samples of fixed latents."""
        return pictures.grid(self._gan.sample(self._count, seed=self._seed, labels=self._labels), columns=self._columns)
