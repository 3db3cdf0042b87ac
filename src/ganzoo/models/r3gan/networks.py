"""The R3GAN pair (Huang et al. 2024, "The GAN is dead; long live the GAN!", arXiv 2501.05441), of registered blocks.

Its training is the loss `relativistic` (equation 2) with the penalties `r1` and `r2` (equations 3 and 4) at every step,
Adam without a first moment, and schedules: see the presets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganzoo.blocks.r3gan import R3GANDown, R3GANSame, R3GANUp, draw_by_fan_in
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError
from ganzoo.models.contract import MODELS, MOST_CLASSES, Discriminator, Generator, check_labels
from ganzoo.models.stages import PyramidConfig, check_image_size, each_output, from_the_image, halved, stretch


@dataclass(frozen=True, kw_only=True)
class R3GANConfig(PyramidConfig):
    """What both networks share. `widths` are channels of the stages, from the smallest size to the largest."""

    start_size: int = option(4, "pixels a side of the smallest stage", low=2, high=64)
    widths: tuple[int, ...] = option((256, 128, 64, 32), "channels of the stages, smallest first", low=1, high=8192)
    blocks: int = option(2, "residual blocks a stage", low=1, high=16)
    expansion: int = option(2, "channels inside a residual block over those outside", low=1, high=8)
    group_size: int = option(16, "channels of a group of the 3x3 convolutions", low=1, high=8192)
    num_classes: int = option(0, "classes of a conditional model; 0: no labels", low=0, high=MOST_CLASSES)

    def check(self) -> None:
        self.check_stages(self.expansion)

    @property
    def stage_options(self) -> dict[str, int]:
        """What every stage's block is made with."""
        depth = self.blocks * len(self.widths)
        return {"blocks": self.blocks, "expansion": self.expansion, "group_size": self.group_size, "depth": depth}

    def resized(self, image_size: int) -> R3GANConfig:
        """For images of `image_size`: stages are added or dropped where the channels are widest."""
        check_image_size(image_size)
        start_size, doublings = halved(image_size, self.start_size)
        if not 2 <= start_size <= 64:
            raise ConfigError(f"image_size {image_size} can't be halved down to a start of 2 to 64 pixels")
        return self.replace(start_size=start_size, widths=stretch(self.widths, doublings + 1))


@dataclass(frozen=True, kw_only=True)
class R3GANGeneratorConfig(R3GANConfig):
    """A generator: a learned basis weighed by the latent, one stage for each width, a 1x1 convolution."""

    latent_size: int = option(64, "numbers in a latent", low=1, high=8192)


@dataclass(frozen=True, kw_only=True)
class R3GANDiscriminatorConfig(R3GANConfig):
    """A discriminator: the generator's mirror image, with a learned basis that ends in one logit."""


@MODELS.register("r3gan-generator")
class R3GANGenerator(Generator):
    """Latents (N, latent_size) to images (N, C, H, H) in [-1, 1].

    Section 3.3 and figure 4 of the paper, but for the last tanh, which keeps images in [-1, 1]; there the output is
    linear. A label's embedding, as long as a latent, stands behind the latent (appendix A).
    """

    config_class: ClassVar[type[Config]] = R3GANGeneratorConfig

    def __init__(self, config: R3GANGeneratorConfig) -> None:
        super().__init__(config)
        self.latent_size, self.num_classes = config.latent_size, config.num_classes
        widths, options = config.widths, config.stage_options
        self.embedding = _embedding(self.num_classes, self.latent_size) if self.num_classes else None
        inputs = self.latent_size * (2 if self.num_classes else 1)
        self.basis = nn.Parameter(torch.empty(widths[0], config.start_size, config.start_size))
        nn.init.normal_(self.basis)
        self.linear = nn.Linear(inputs, widths[0], bias=False)
        stages = [R3GANUp(before, after, **options) for before, after in zip(widths, widths[1:])]
        self.stages = nn.ModuleList([R3GANSame(widths[0], widths[0], **options), *stages])
        self.to_image = nn.Conv2d(widths[-1], config.image_channels, 1, bias=False)
        draw_by_fan_in(self.linear)
        draw_by_fan_in(self.to_image)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, image_channels, image_size, image_size) of `latents`; raises ShapeError on other shapes."""
        self.check_latents(latents)
        check_labels(labels, len(latents), self.num_classes, "R3GANGenerator")
        x = latents.flatten(1)
        if self.embedding is not None:
            x = torch.cat([x, self.embedding(labels)], dim=1)
        x = self.basis * self.linear(x)[:, :, None, None]
        for stage in self.stages:
            x = stage(x)
        return torch.tanh(self.to_image(x))

    def first_layer(self) -> Tensor:
        """The weights of the basis by the latent, (outputs, latent_size)."""
        return self.linear.weight[:, : self.latent_size]

    def matching_weights(self, other: nn.Module) -> Mapping[str, Tensor]:
        """See `from_the_image`."""
        return from_the_image(self, other)

    def counterpart(self) -> R3GANDiscriminator:
        """The discriminator that mirrors this generator."""
        return R3GANDiscriminator(R3GANDiscriminatorConfig(**_shared(self.config)))


@MODELS.register("r3gan-discriminator")
class R3GANDiscriminator(Discriminator):
    """Images (N, C, H, H) in [-1, 1] to logits (N, 1).

    Section 3.3 and figure 4 of the paper. With `num_classes` the logit is the inner product of the label's embedding
    and the last features (projection, Miyato and Koyama 2018, equation 3, without its unconditional term).
    """

    config_class: ClassVar[type[Config]] = R3GANDiscriminatorConfig

    def __init__(self, config: R3GANDiscriminatorConfig) -> None:
        super().__init__(config)
        self.num_classes = config.num_classes
        widths, options = config.widths[::-1], config.stage_options
        self.from_image = nn.Conv2d(config.image_channels, widths[0], 1, bias=False)
        stages = [R3GANDown(before, after, **options) for before, after in zip(widths, widths[1:])]
        self.stages = nn.ModuleList([*stages, R3GANSame(widths[-1], widths[-1], **options)])
        self.basis = nn.Conv2d(widths[-1], widths[-1], config.start_size, groups=widths[-1], bias=False)
        self.linear = nn.Linear(widths[-1], widths[-1] if self.num_classes else 1, bias=False)
        for module in (self.from_image, self.basis, self.linear):
            draw_by_fan_in(module)
        self.embedding = _embedding(self.num_classes, widths[-1], gain=widths[-1] ** -0.5) if self.num_classes else None

    def counterpart(self) -> R3GANGenerator:
        """The generator that mirrors this discriminator, of latents of 64 numbers."""
        return R3GANGenerator(R3GANGeneratorConfig(**_shared(self.config)))

    def features(self, images: Tensor) -> list[Tensor]:
        """What each stage gives for `images`, (N, C, h, h) each, from the largest size to the smallest."""
        self.check_images(images)
        return each_output(self.stages, self.from_image(images))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (N, 1), above 0 for real; raises ShapeError on images or labels of other shapes."""
        check_labels(labels, len(images), self.num_classes, "R3GANDiscriminator")
        x = self.linear(self.basis(self.features(images)[-1]).flatten(1))
        return x if self.embedding is None else (x * self.embedding(labels)).sum(dim=1, keepdim=True)


def _shared(config: R3GANConfig) -> dict[str, Any]:
    """What both networks' configs say."""
    return {field.name: getattr(config, field.name) for field in fields(R3GANConfig)}


def _embedding(count: int, size: int, gain: float = 1.0) -> nn.Embedding:
    """One row a class, drawn as the weights of a linear layer on one-hot labels."""
    embedding = nn.Embedding(count, size)
    nn.init.normal_(embedding.weight, 0.0, gain / count**0.5)
    return embedding
