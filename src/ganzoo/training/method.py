"""What a run trains by: its loss, penalties and augmentations, made once of the names in its settings."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo.augment import AUGMENTATIONS, Augmentation
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

    def augment(self, images: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) after all augmentations, in the order of the settings."""
        for augmentation in self.augmentations:
            images = augmentation(images, random)
        return images
