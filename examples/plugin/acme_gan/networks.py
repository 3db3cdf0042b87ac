"""A family of networks, "acme.generator" and "acme.discriminator", and the preset "acme.preset" made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acme_gan.blocks import AcmeUp
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError
from ganzoo.models import Discriminator, Generator, check_labels
from ganzoo.presets import Preset
from ganzoo.settings import Settings


@dataclass(frozen=True, kw_only=True)
class AcmeConfig(Config):
    """Options of both networks."""

    image_size: int = option(16, "pixels a side, a multiple of 4", low=4, high=256)
    image_channels: int = option(1, "1 grey, 3 colour", low=1, high=4)
    num_classes: int = option(0, "classes of the data; 0: none", low=0, high=1000)
    latent_size: int = option(16, "length of a latent", low=1, high=4096)

    def check(self) -> None:
        if self.image_size % 4:
            raise ConfigError(f"image_size must be a multiple of 4, got {self.image_size}")

    def resized(self, image_size: int) -> AcmeConfig:
        """The same network for images of another size: what `--size` and `create(image_size=)` call."""
        return self.replace(image_size=image_size)


class AcmeGenerator(Generator):
    """Latents (N, latent_size) to images (N, image_channels, image_size, image_size) in [-1, 1]."""

    config_class: ClassVar[type[Config]] = AcmeConfig

    def __init__(self, config: AcmeConfig) -> None:
        super().__init__(config)
        self.latent_size, self.num_classes = config.latent_size, config.num_classes
        self.embedding = nn.Embedding(config.num_classes, config.latent_size) if config.num_classes else None
        self.start = nn.Linear(config.latent_size, 8 * (config.image_size // 4) ** 2)
        self.stages = nn.Sequential(*(AcmeUp(8, 8) for _ in range(2)))
        self.end = nn.Conv2d(8, config.image_channels, 3, padding=1)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        check_labels(labels, len(latents), self.num_classes, "acme.generator")
        latents = latents if self.embedding is None else latents + self.embedding(labels)
        side = self.image_size // 4
        return self.end(self.stages(self.start(latents).view(len(latents), -1, side, side))).tanh()


class AcmeDiscriminator(Discriminator):
    """Images (N, image_channels, image_size, image_size) to a logit each, (N, 1)."""

    config_class: ClassVar[type[Config]] = AcmeConfig

    def __init__(self, config: AcmeConfig) -> None:
        super().__init__(config)
        self.num_classes = config.num_classes
        self.patches = nn.Conv2d(config.image_channels, 8, 4, stride=4)
        self.end = nn.Linear(8 * (config.image_size // 4) ** 2, max(1, config.num_classes))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        check_labels(labels, len(images), self.num_classes, "acme.discriminator")
        logits = self.end(nn.functional.leaky_relu(self.patches(images), 0.2).flatten(1))
        return logits if labels is None else logits.gather(1, labels[:, None])


preset = Preset(
    version=1,
    description="grey 16x16 images by a very small network of acme's own",
    generator=AcmeConfig(),
    discriminator=AcmeConfig(),
    generator_model="acme.generator",
    discriminator_model="acme.discriminator",
    data="acme.blobs",
    settings=Settings(loss="acme.margin", augmentations=("acme.dim",), steps=200, batch_size=16),
)
