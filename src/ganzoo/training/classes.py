"""What a run tells its networks of an image's class: its label, its hidden class (`ganzoo.data.divide`), or both.

The discriminator is told labels (N,), or (N, 2) with hidden classes: the label (0 without), the hidden class. The
generator is told labels (N,); its hidden class it reads off the latent.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ganzoo.data import ImageData
from ganzoo.data.divide import divide
from ganzoo.errors import ConfigError
from ganzoo.gan import GAN
from ganzoo.latents import with_sign_class


def classify(data: ImageData, gan: GAN) -> ImageData:
    """`data`, its labels as the discriminator of `gan` is told them: none where it has no classes.

    Raises:
        ConfigError: data and GAN differ in classes, or there are too few images for the hidden ones.
    """
    if gan.num_classes and data.num_classes != gan.num_classes:
        raise ConfigError(
            f"the GAN has {gan.num_classes} classes, {data.name} has {data.num_classes}; make it with "
            f'generator={{"num_classes": {data.num_classes}}} (--set generator.num_classes={data.num_classes})'
        )
    labels = data.labels if gan.num_classes else None
    if gan.hidden_classes:
        hidden = divide(dataclasses.replace(data, labels=labels), gan.hidden_classes)
        labels = torch.stack([torch.zeros_like(hidden) if labels is None else labels, hidden], dim=1)
    return dataclasses.replace(data, labels=labels)


def for_generator(labels: Tensor | None, gan: GAN) -> Tensor | None:
    """What the generator is told, of what the discriminator is."""
    if labels is None or not gan.hidden_classes:
        return labels
    return labels[:, 0] if gan.num_classes else None


def fitted(latents: Tensor, labels: Tensor | None, gan: GAN) -> Tensor:
    """`latents` (N, latent_size) with the signs that say the labels' hidden classes."""
    if labels is None or not gan.hidden_classes:
        return latents
    return with_sign_class(latents, labels[:, 1], gan.hidden_classes)


def wrong(labels: Tensor, gan: GAN, chance: Tensor) -> Tensor:
    """Another class for each image, chosen evenly by `chance`, numbers (N,) in [0, 1)."""
    hidden = max(1, gan.hidden_classes)
    count = max(1, gan.num_classes) * hidden
    shift = 1 + (chance * (count - 1)).long()
    if not gan.hidden_classes:
        return (labels + shift) % count
    other = (labels[:, 0] * hidden + labels[:, 1] + shift) % count
    return torch.stack([other // hidden, other % hidden], dim=1)
