"""Differentiable augmentations: shown altered images, real and fake alike, a discriminator can't learn few by heart.

From DiffAugment (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"): the generator's
gradient passes through them, so what they do never shows in its images. Strength 1 is the paper's, 0 is the identity.
"""

from __future__ import annotations

from typing import Annotated, Protocol

import torch
from torch import Tensor

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, ShapeError, quote
from ganzoo.registry import Registry

Strength = Annotated[float, Bounds(0, 1)]


class Augmentation(Protocol):
    """A function from a batch of images to one of the same shape and dtype; its keyword-only arguments are options."""

    def __call__(self, images: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Alter each image in its own random way, whatever the others of the batch are.

        Args:
            images: (N, C, H, W), floating, in [-1, 1].
            random: a CPU generator that all random numbers are drawn from, so that a run does not depend on the
                device; None: torch's global one.
        """


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation", "ganzoo.augmentations", "a function", callable, functions=True
)


def random_flip(images: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Mirror each of (N, C, H, W) left to right with probability 1/2; of any dtype. For real images."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=random) < 0.5
    return torch.where(mirrored.to(images.device), images.flip(-1), images)


def _check(images: Tensor, strength: float) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise ShapeError(
            f"an augmentation takes floating images (N, C, H, W), got {tuple(images.shape)} of {images.dtype}."
        )
    if not 0 <= strength <= 1:  # NaN too
        raise ConfigError(f"strength of an augmentation must be 0 to 1, got {quote(strength)}")


@AUGMENTATIONS.register("color")
def color(images: Tensor, random: torch.Generator | None = None, *, strength: Strength = 1.0) -> Tensor:
    """Brightness, then saturation, then contrast, each by a uniform draw an image.

    Brightness adds up to 0.5*strength either way; saturation scales the distance from the mean of a pixel's channels
    by 1 +- strength (nothing happens to grey); contrast scales that from the image's mean by 1 +- 0.5*strength.
    Values may leave [-1, 1]: cutting them off would cut the gradient.
    """
    _check(images, strength)
    draws = 2 * torch.rand(3, len(images), 1, 1, 1, generator=random) - 1
    brightness, saturation, contrast = strength * draws.to(images)
    images = images + 0.5 * brightness
    # x + (x - mean)*change is exactly x where the change is 0, mean + (x - mean)*factor is not
    images = images + (images - images.mean(1, keepdim=True)) * saturation
    return images + (images - images.mean((1, 2, 3), keepdim=True)) * (0.5 * contrast)


@AUGMENTATIONS.register("translation")
def translation(images: Tensor, random: torch.Generator | None = None, *, strength: Strength = 1.0) -> Tensor:
    """Shift by whole pixels, up to strength/8 of the height and of the width, rounded, either way.

    What comes in from outside is 0, the middle grey, as in the paper.
    """
    _check(images, strength)
    count, channels, height, width = images.shape
    rows, rows_inside = _shifted(count, height, strength, random)
    columns, columns_inside = _shifted(count, width, strength, random)
    sources = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1).to(images.device)
    inside = (rows_inside[:, None, :, None] & columns_inside[:, None, None, :]).to(images.device)
    moved = images.flatten(2).gather(2, sources.expand(-1, channels, -1)).view_as(images)
    return moved.masked_fill(~inside, 0)


def _shifted(count: int, size: int, strength: float, random: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """For each image, where its pixels along one axis come from (count, size), and whether that is inside."""
    furthest = int(size * strength / 8 + 0.5)
    shifts = torch.randint(-furthest, furthest + 1, (count, 1), generator=random)
    sources = torch.arange(size) - shifts
    return sources.clamp(0, size - 1), (sources >= 0) & (sources < size)


@AUGMENTATIONS.register("cutout")
def cutout(images: Tensor, random: torch.Generator | None = None, *, strength: Strength = 1.0) -> Tensor:
    """Set a rectangle of strength/2 of the height and of the width, rounded, to 0, the middle grey.

    Its centre falls everywhere alike, so at the border a part of it lies outside.
    """
    _check(images, strength)
    count, _, height, width = images.shape
    rows = _hole(count, height, strength, random)
    columns = _hole(count, width, strength, random)
    return images.masked_fill((rows[:, None, :, None] & columns[:, None, None, :]).to(images.device), 0)


def _hole(count: int, size: int, strength: float, random: torch.Generator | None) -> Tensor:
    """For each image, which places along one axis a hole covers: (count, size)."""
    length = int(size * strength / 2 + 0.5)
    # an even length has its centre between two pixels, or at either end: one place more
    starts = torch.randint(size + 1 - length % 2, (count, 1), generator=random) - length // 2
    places = torch.arange(size)
    return (places >= starts) & (places < starts + length)
