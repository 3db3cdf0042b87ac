"""FastGAN's pair for small sets (Liu et al. 2021, arXiv 2101.04775), without labels, of registered blocks.

The generator's early features weigh the channels of its late ones (section 3.1), so that gradients have a short way.
The discriminator learns to redraw real images from its features (section 3.2), which keeps it from looking at a few
pixels alone: the loss of that is `auxiliary_loss`. The paper compares by a pretrained network (LPIPS); here it is the
mean absolute difference of pixels, which needs no weights from outside. Its training is the loss `hinge` with the
augmentations `color` and `translation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks import check_norm_name, initialise, make_norm, wants_bias, with_weight_norm
from ganzoo.blocks.few_shot import GLUUp, SkipExcitation, TwoPathDown
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError
from ganzoo.models.contract import MODELS, Discriminator, Generator, check_labels
from ganzoo.models.stages import (
    LARGEST_IMAGE,
    PyramidConfig,
    check_image_size,
    check_memory,
    check_widths,
    each_output,
    from_the_image,
    halved,
    stretch,
)
from ganzoo.seeds import Random, integers

LEAST = 4  # pixels a side that excitation and the head's 4x4 convolution need


@dataclass(frozen=True, kw_only=True)
class FewShotGeneratorConfig(PyramidConfig):
    """A generator: a projection to `start_size`, a doubling stage for each step between two widths, a 3x3 head."""

    latent_size: int = option(256, "numbers in a latent", low=1, high=8192)
    start_size: int = option(4, "pixels a side after the projection", low=LEAST, high=64)
    widths: tuple[int, ...] = option(
        (512, 256, 128, 64, 32), "channels after the projection and each stage", low=1, high=8192
    )
    norm: str = option("batch", "normalisation, by name")
    skip: int = option(3, "stages between the features that excite and those that are excited; 0: none", low=0, high=12)

    def check(self) -> None:
        check_norm_name(self.norm)
        self.check_stages(2)

    def resized(self, image_size: int) -> FewShotGeneratorConfig:
        """For images of `image_size`: stages are added or dropped where the channels are widest."""
        start_size, doublings = _start(image_size)
        return self.replace(start_size=start_size, widths=stretch(self.widths, doublings + 1))


@dataclass(frozen=True, kw_only=True)
class FewShotDiscriminatorConfig(Config):
    """A discriminator: one stage that halves for each width, a head to a map of logits, decoders."""

    image_size: int = option(64, "pixels a side of an image", low=8, high=LARGEST_IMAGE)
    image_channels: int = option(3, "channels of an image", low=1, high=4)
    widths: tuple[int, ...] = option((64, 128, 256), "channels after each stage", low=1, high=8192)
    norm: str = option("batch", "normalisation, by name")
    reconstruction: float = option(1.0, "weight of redrawing real images; 0: no decoders", low=0, high=1000)

    def check(self) -> None:
        check_widths(self.widths, 2)
        check_norm_name(self.norm)
        part = 2 ** len(self.widths)
        if self.image_size % part or self.last_size < LEAST:
            raise ConfigError(
                f"image_size {self.image_size} can't be halved {len(self.widths)} times down to {LEAST} pixels or more "
                f"(widths has {len(self.widths)} items); give fewer widths or another size"
            )
        check_memory(self.widths, [self.image_size / 2 ** (stage + 1) for stage in range(len(self.widths))])

    @property
    def last_size(self) -> int:
        """Pixels a side after the last stage."""
        return int(self.image_size // 2 ** len(self.widths))

    def resized(self, image_size: int) -> FewShotDiscriminatorConfig:
        """For images of `image_size`: stages are added or dropped where the channels are widest."""
        widths = stretch(self.widths[::-1], _halvings(image_size))[::-1]
        return self.replace(image_size=image_size, widths=widths)


def _start(image_size: int) -> tuple[int, int]:
    """The smallest size, LEAST or more, that `image_size` halves down to, and how often."""
    check_image_size(image_size)
    size, times = halved(image_size, LEAST)
    if times < 2 or size > 64:
        raise ConfigError(f"image_size {image_size} can't be halved twice or more, down to {LEAST} to 64 pixels")
    return size, times


def _halvings(image_size: int) -> int:
    """Stages of a discriminator that leave a map of 8 pixels or so, of whose 4x4 patches it judges each."""
    last, times = _start(image_size)
    return max(2, times - (last < 7))


@MODELS.register("few-shot-generator")
class FewShotGenerator(Generator):
    """Latents (N, latent_size) to images (N, C, H, H) in [-1, 1]: Liu et al. 2021, section 3.1 and figure 3.

    The paper's published code also adds noise to features; here an image follows from its latent alone.
    """

    config_class: ClassVar[type[Config]] = FewShotGeneratorConfig

    def __init__(self, config: FewShotGeneratorConfig) -> None:
        super().__init__(config)
        self.latent_size = config.latent_size
        widths = config.widths
        bias = wants_bias(config.norm)
        project = nn.ConvTranspose2d(config.latent_size, 2 * widths[0], config.start_size, bias=bias)
        self.project = with_weight_norm(project, config.norm)
        self.project_norm = make_norm(config.norm, 2 * widths[0])
        self.stages = nn.ModuleList(GLUUp(*pair, norm=config.norm) for pair in zip(widths, widths[1:]))
        pairs = zip(widths, widths[config.skip :]) if config.skip else ()
        self.excitations = nn.ModuleList(SkipExcitation(small, large) for small, large in pairs)
        self.to_image = nn.Conv2d(widths[-1], config.image_channels, 3, padding=1)
        initialise(self, "dcgan")

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, image_channels, image_size, image_size) of `latents`; raises ShapeError on other shapes."""
        self.check_latents(latents)
        check_labels(labels, len(latents), 0, "FewShotGenerator")
        x = F.glu(self.project_norm(self.project(latents.reshape(len(latents), -1, 1, 1))), dim=1)
        features = [x]
        for index, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if self.config.skip and index >= self.config.skip:
                x = self.excitations[index - self.config.skip](x, features[index - self.config.skip])
            features.append(x)
        return torch.tanh(self.to_image(x))

    def first_layer(self) -> Tensor:
        """The weight of the projection, (outputs, latent_size)."""
        return self.project.weight.flatten(1).T

    def matching_weights(self, other: nn.Module) -> Mapping[str, Tensor]:
        """See `from_the_image`."""
        return from_the_image(self, other, ("stages", "excitations"))

    def counterpart(self) -> FewShotDiscriminator:
        """A discriminator of this generator's widths, those of the last stages first."""
        config, halvings = self.config, _halvings(self.config.image_size)
        return FewShotDiscriminator(
            FewShotDiscriminatorConfig(
                image_size=config.image_size,
                image_channels=config.image_channels,
                widths=stretch(config.widths[:-1], halvings)[::-1],
            )
        )


@MODELS.register("few-shot-discriminator")
class FewShotDiscriminator(Discriminator):
    """Images (N, C, H, H) in [-1, 1] to logits (N, 1, h, h), one for each patch: Liu et al. 2021, section 3.2."""

    config_class: ClassVar[type[Config]] = FewShotDiscriminatorConfig

    def __init__(self, config: FewShotDiscriminatorConfig) -> None:
        super().__init__(config)
        widths, norm = config.widths, config.norm
        first = nn.Sequential(
            with_weight_norm(nn.Conv2d(config.image_channels, widths[0], 4, 2, 1), norm), nn.LeakyReLU(0.2)
        )
        later = [TwoPathDown(*pair, norm=norm) for pair in zip(widths, widths[1:])]
        self.stages = nn.ModuleList([first, *later])
        self.to_logits = nn.Sequential(
            with_weight_norm(nn.Conv2d(widths[-1], widths[-1], 1, bias=wants_bias(norm)), norm),
            make_norm(norm, widths[-1]),
            nn.LeakyReLU(0.2),
            with_weight_norm(nn.Conv2d(widths[-1], 1, LEAST), norm),
        )
        self.decoders = nn.ModuleList()
        if config.reconstruction:  # of the last features, to the whole image; of those before, to a quarter of it
            for width, doublings in ((widths[-1], len(widths)), (widths[-2], len(widths) - 1)):
                self.decoders.append(_decoder(width, doublings, config.image_channels, norm))
        initialise(self, "dcgan")

    def matching_weights(self, other: nn.Module) -> Mapping[str, Tensor]:
        """Stages are counted from the image, as they are numbered; decoders, which end there, move theirs."""
        return from_the_image(self, other, ("decoders.0", "decoders.1"))

    def counterpart(self) -> FewShotGenerator:
        """A generator of this discriminator's widths, and half the first behind them, of latents of 256 numbers."""
        config = self.config
        start_size, doublings = _start(config.image_size)
        return FewShotGenerator(
            FewShotGeneratorConfig(
                start_size=start_size,
                image_channels=config.image_channels,
                widths=stretch((*config.widths[::-1], max(1, config.widths[0] // 2)), doublings + 1),
            )
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """What each stage gives for `images`: (N, widths[i], h, h) each, first to last."""
        self.check_images(images)
        return each_output(self.stages, images)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, above 0 for real; raises ShapeError on images of other shapes, or labels."""
        check_labels(labels, len(images), 0, "FewShotDiscriminator")
        return self.to_logits(self.features(images)[-1])

    def auxiliary_loss(self, images: Tensor, random: Random = None) -> Tensor | None:
        """How badly real `images` are redrawn from the last features, and a quarter of them from those before."""
        if not self.config.reconstruction:
            return None
        *_, before, last = self.features(images)
        whole, part = self.decoders
        side = last.shape[-1]  # the window's, of twice as many pixels
        corner = integers(0, before.shape[-1] - side + 1, 2, random=random, device=images.device)
        scale = images.shape[-1] // before.shape[-1]  # pixels of the image for one of the features
        window, redrawn = _window(images, scale * corner, scale * side), part(_window(before, corner, side))
        return self.config.reconstruction * ((whole(last) - images).abs().mean() + (redrawn - window).abs().mean())


def _window(images: Tensor, corner: Tensor, side: int) -> Tensor:
    """`side` pixels a side of `images`, from row and column `corner` on, without waiting for a device."""
    rows, columns = corner[:, None] + torch.arange(side, device=images.device)
    return images.index_select(2, rows).index_select(3, columns)


def _decoder(channels: int, doublings: int, image_channels: int, norm: str) -> nn.Sequential:
    """Features (N, channels, h, w) to images that are 2^`doublings` times as large, in [-1, 1]."""
    widths = [channels, *(max(8, channels // 2 ** (stage + 1)) for stage in range(doublings))]
    stages = [GLUUp(*pair, norm=norm) for pair in zip(widths, widths[1:])]
    return nn.Sequential(*stages, nn.Conv2d(widths[-1], image_channels, 3, padding=1), nn.Tanh())
