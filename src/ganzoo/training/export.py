"""What a run makes of its averaged generator: the saved model, sample grids, and a score to keep the best by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganzoo import images as pictures
from ganzoo.data import ImageData
from ganzoo.errors import TrainingError, WeightsError
from ganzoo.gan import GAN
from ganzoo.seeds import generator_for
from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState, remedy
from ganzoo.training.selection_score import SAMPLES, KernelScore

GRID = 64  # images in a sample grid


def averaged(gan: GAN, state: TrainingState) -> GAN:
    """The averaged generator and the discriminator of `state`, as a GAN like `gan`, which is trained."""
    return GAN(
        state.average.network,
        state.discriminator,
        **gan.facts,
    )


class ModelExporter:
    """Writes into the folder `run`; only the main process of several makes one."""

    def __init__(self, gan: GAN, data: ImageData, settings: Settings, run: Path) -> None:
        self._gan, self._seed, self._keep, self._run = gan, settings.seed, settings.keep, run
        self._score: KernelScore | None = None
        if settings.score_every and len(data) > 1:  # one image has no spread to score by
            chosen = torch.randperm(len(data), generator=generator_for(settings.seed, "score"))[:SAMPLES]
            self._score = KernelScore(data.batch(chosen))

    @property
    def keeps_best(self) -> bool:
        """Whether `model/` is that of the best score; else it is that of the newest checkpoint."""
        return self._keep == "best"

    @property
    def can_score(self) -> bool:
        """Whether there is something to score by."""
        return self._score is not None

    def save_model(self, state: TrainingState) -> None:
        """Write `model/`, with what training on from it needs; TrainingError where that can't be done."""
        gan = averaged(self._gan, state)
        try:
            gan.save_pretrained(self._run / "model", generator_raw=state.generator)
            pictures.save(self._grid(gan), self._run / "model" / "samples" / "grid.png")
        except (WeightsError, OSError) as error:
            raise TrainingError(f"{error} {remedy(self._run)}") from error

    def draw_samples(self, state: TrainingState) -> Path:
        """Write a grid of the same latents each time."""
        path = self._run / "samples" / f"step-{state.step:08d}.png"
        pictures.save(self._grid(averaged(self._gan, state)), path)
        return path

    def keep_best(self, state: TrainingState) -> dict[str, Any]:
        """Score the average; save the model if the best is kept and it is that. Returns a line for the log."""
        assert self._score is not None
        fakes = averaged(self._gan, state).sample(SAMPLES, seed=self._seed, batch_size=250, precision="fast")
        value = self._score(fakes)
        best = not self.keeps_best or state.best_score is None or value < state.best_score
        if best:
            state.best_score, state.best_step = value, state.step
        if best and self.keeps_best:
            self.save_model(state)
        return {"step": state.step, "score": value, "best": best}

    def _grid(self, gan: GAN) -> Any:
        """Samples of fixed latents; of a conditional model, one class a column."""
        columns = gan.num_classes if 1 < gan.num_classes <= 16 else 8
        count = GRID // columns * columns
        labels = torch.arange(count) % columns if gan.num_classes == columns else None
        return pictures.grid(gan.sample(count, seed=self._seed, labels=labels), columns=columns)
