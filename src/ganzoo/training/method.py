"""What a run trains by: its loss, penalties and augmentations, made once of the names in its settings."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganzoo.augment import AUGMENTATIONS, Augmentation
from ganzoo.errors import WeightsError, quote
from ganzoo.losses import LOSSES, Loss
from ganzoo.penalties import PENALTIES, WeightedPenalty
from ganzoo.settings import Settings


class Method:
    """The objects that the names in `settings` stand for."""

    def __init__(self, settings: Settings) -> None:
        self.loss: Loss = LOSSES.make(settings.loss, "loss")
        self.penalties: list[WeightedPenalty] = [PENALTIES.make(text, "penalties") for text in settings.penalties]
        self.augmentations: list[Augmentation] = [
            AUGMENTATIONS.make(text, "augmentations") for text in settings.augmentations
        ]
        self.generator_scale = self.discriminator_scale = 1.0  # of learning rates

    def scale_learning_rates(self, generator: float = 1.0, discriminator: float = 1.0) -> None:
        """Multiply the learning rates from the next step on, over what was asked before."""
        self.generator_scale *= generator
        self.discriminator_scale *= discriminator

    def state_dict(self) -> dict[str, Any]:
        """What changes during a run, as JSON types."""
        return {"generator_scale": self.generator_scale, "discriminator_scale": self.discriminator_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            WeightsError: it is damaged.
        """
        scales = state.get("generator_scale"), state.get("discriminator_scale")
        if not all(isinstance(scale, (int, float)) and 0 <= scale < math.inf for scale in scales):
            raise WeightsError(f"the checkpoint's learning-rate scales are damaged: {quote(state, 200)}")
        self.generator_scale, self.discriminator_scale = map(float, scales)  # type: ignore[arg-type]

    def augment(self, images: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) after all augmentations, in the order of the settings."""
        for augmentation in self.augmentations:
            images = augmentation(images, random)
        return images
