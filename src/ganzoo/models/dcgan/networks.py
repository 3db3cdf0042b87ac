"""The DCGAN pair (Radford, Metz, Chintala 2015, arXiv 1511.06434), built of registered blocks alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks import (
    BLOCKS,
    ClassModulation,
    LinearProjection,
    Projection,
    ToImage,
    ToLogit,
    initialise,
    make_activation,
    make_block,
    takes_context,
    with_weight_norm,
)
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, quote
from ganzoo.models.contract import MODELS, MOST_CLASSES, Discriminator, Generator, check_labels
from ganzoo.models.dcgan.sampling import prepare
from ganzoo.models.dcgan.stages import block_names, check_names, final_norm, has_start, scale_of, stage_sizes
from ganzoo.models.stages import (
    LARGEST_IMAGE,
    check_image_size,
    check_memory,
    check_widths,
    each_output,
    from_the_image,
    halved,
    stretch,
)


@dataclass(frozen=True, kw_only=True)
class DCGANGeneratorConfig(Config):
    """A generator: a projection to `start_size`, one stage for each step between two widths, a head.

    `image_size` follows: `start_size`, times the stages' scales, times two if the head doubles.
    """

    latent_size: int = option(100, "numbers in a latent", low=1, high=8192)
    start_size: int = option(4, "pixels a side after the projection", low=1, high=64)
    widths: tuple[int, ...] = option(
        (512, 256, 128, 64), "channels after the projection and each stage", low=1, high=8192
    )
    stem: Literal["activated", "linear"] = option(
        "activated",
        "activated: a transposed convolution, norm, activation; linear: a linear layer alone, for residual blocks",
    )
    block: str | tuple[str, ...] = option(
        "dcgan-up", "block of the stages: one name, as resize-up(kernel_size=5), or one a stage"
    )
    norm: str = option("batch", "normalisation, by name")
    activation: str = option("relu", "activation, by name")
    head: Literal["doubling", "same"] = option(
        "doubling", "doubling: the last layer doubles the size; same: it keeps it"
    )
    head_channels: int = option(
        0,
        "if above 0: the last upsampling is one more block with this many channels, then a 3x3 convolution",
        low=0,
        high=8192,
    )
    head_bias: bool = option(False, "if the head doubles: its transposed convolution has a bias")
    image_channels: int = option(3, "channels of an image", low=1, high=4)
    num_classes: int = option(0, "classes of a conditional model; 0: no labels", low=0, high=MOST_CLASSES)
    context_size: int = option(
        0,
        "numbers in a label's embedding, for blocks that take a context, as residual-up; 0: one a class (one-hot)",
        low=0,
        high=8192,
    )
    initialisation: str = option("dcgan", "how weights are drawn, by name")

    def check(self) -> None:
        check_widths(self.widths)
        if self.head_channels and self.head != "doubling":
            raise ConfigError(f'head_channels {self.head_channels} goes with head "doubling"; give 0 or a width more')
        if self.head_bias and self.last_layer != "doubling":
            raise ConfigError('head_bias goes with head "doubling"; the other head always has a bias')
        check_names(self.block, len(self.stage_widths) - 1, self.norm, self.activation, self.initialisation)
        self._check_context()
        if not 1 <= self.image_size <= LARGEST_IMAGE:
            raise ConfigError(
                f"widths make images of {self.image_size} pixels a side; {LARGEST_IMAGE} is the most: give fewer widths"
            )
        check_memory(self.stage_widths, self._sizes)

    def _check_context(self) -> None:
        """Raise ConfigError unless the stem and the size of the context fit the blocks and classes."""
        names = block_names(self.block, len(self.stage_widths) - 1)
        if self.stem == "linear" and not names:
            raise ConfigError('stem "linear" needs a stage behind it; give widths two items or more')
        taken = any(takes_context(BLOCKS.make(name)) for name in names)
        if self.context_size and not (self.num_classes and taken):
            what = "blocks that take a context, as residual-up" if self.num_classes else "num_classes"
            raise ConfigError(f"context_size {self.context_size} goes with {what}; there are none")

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Channels after the projection and each stage, with the stage that the head may have."""
        return (*self.widths, self.head_channels) if self.head_channels else self.widths

    @property
    def last_layer(self) -> Literal["doubling", "same"]:
        """What the last convolution does to the size."""
        return "same" if self.head_channels else self.head

    @property
    def image_size(self) -> int:
        """Pixels a side of an image."""
        return int(self._sizes[-1] * (2 if self.last_layer == "doubling" else 1))

    @cached_property  # blocks are made for it
    def _sizes(self) -> list[float]:
        names = block_names(self.block, len(self.stage_widths) - 1)
        return stage_sizes(self.start_size, names, self.stage_widths, "up")

    def resized(self, image_size: int) -> DCGANGeneratorConfig:
        """For images of `image_size`: stages are added or dropped where the channels are widest."""
        check_image_size(image_size)
        if not has_start(image_size, self.start_size):
            able = (size for size in range(1, LARGEST_IMAGE + 1) if has_start(size, self.start_size))
            near = ", ".join(map(str, sorted(able, key=lambda size: abs(size - image_size))[:3]))
            raise ConfigError(f"image_size {image_size} can't be halved down to a start; near it: {near}")
        start_size, doublings = halved(image_size, self.start_size)
        widths = stretch(self.widths, doublings + (self.head != "doubling"))
        changed = self.replace(start_size=start_size, widths=widths)
        if changed.image_size != image_size:  # not every block doubles
            raise ConfigError(
                f"image_size {image_size}: the blocks {', '.join(block_names(self.block, len(widths) - 1))} make "
                f"{changed.image_size} pixels of {start_size}; give widths and blocks for it yourself"
            )
        return changed

    def varied(self, changes: Mapping[str, Any], image_size: int | None = None) -> DCGANGeneratorConfig:
        """With `changes`, and resized; if they give the stages, `start_size` follows from them."""
        if image_size is None or not {"widths", "start_size", "block"} & changes.keys():
            return super().varied(changes, image_size)
        check_image_size(image_size)
        scale = self.replace({**changes, "start_size": 1}).image_size
        if image_size % scale:
            raise ConfigError(f"image_size {image_size} is not a multiple of {scale}, which the widths multiply by")
        return self.replace({"start_size": image_size // scale, **changes})


@MODELS.register("dcgan-generator")
class DCGANGenerator(Generator):
    """Latents (N, latent_size) or (N, latent_size, 1, 1) to images (N, C, H, H) in [-1, 1].

    Radford et al. 2015, section 3 and figure 1. With `num_classes`, blocks that take a context get the label's
    embedding; a scale and shift by class stands behind every other block, and behind a projection that is activated,
    so that these need not know of labels.
    """

    config_class: ClassVar[type[Config]] = DCGANGeneratorConfig

    def __init__(self, config: DCGANGeneratorConfig) -> None:
        super().__init__(config)
        self.latent_size, self.num_classes = config.latent_size, config.num_classes
        widths = config.stage_widths
        self.project = _stem(config)
        names = block_names(config.block, len(widths) - 1)
        self._takes_context = [self.num_classes > 0 and takes_context(BLOCKS.make(name)) for name in names]
        self.context = nn.Embedding(self.num_classes, config.context_size) if config.context_size else None
        self.stages = nn.ModuleList(
            make_block(
                BLOCKS.make(name),
                before,
                after,
                norm=config.norm,
                activation=config.activation,
                context=config.context_size or self.num_classes,
            )
            for name, before, after in zip(names, widths, widths[1:])
        )
        taking = (config.stem == "linear", *self._takes_context)
        self.modulations = nn.ModuleList(  # behind the projection and each stage
            nn.Identity() if takes else ClassModulation(self.num_classes, width)
            for width, takes in zip(widths if self.num_classes else (), taking)
        )
        self.final_norm = final_norm(self.stages, widths[-1], config.norm, partial(make_activation, config.activation))
        self.to_image = ToImage(widths[-1], config.image_channels, mode=config.last_layer, bias=config.head_bias)
        initialise(self, config.initialisation)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, image_channels, image_size, image_size) of `latents`; raises ShapeError on other shapes."""
        check_labels(labels, latents.shape[0], self.num_classes, "DCGANGenerator")
        x = self._modulated(0, self.project(latents), labels)
        context = self._context(labels, x) if any(self._takes_context) else None
        for index, (stage, takes) in enumerate(zip(self.stages, self._takes_context), start=1):
            x = stage(x, context) if takes else self._modulated(index, stage(x), labels)
        return self.to_image(self.final_norm(x))

    def first_layer(self) -> Tensor:
        """The weight of the projection, (outputs, latent_size)."""
        if isinstance(self.project, LinearProjection):
            return self.project.linear.weight
        return self.project.convolution.weight.flatten(1).T

    def prepared_for_sampling(self) -> Generator:
        """See `ganzoo.models.dcgan.sampling`."""
        twin = super().prepared_for_sampling()
        prepare(twin)
        return twin

    def matching_weights(self, other: nn.Module) -> Mapping[str, Tensor]:
        """See `from_the_image`."""
        return from_the_image(self, other, ("stages", "modulations"))

    def counterpart(self) -> DCGANDiscriminator:
        """A mirror of this generator: as many halvings as it has doublings, of its widths."""
        config = self.config
        halvings = max(1, halved(config.image_size, config.start_size)[1])
        with _mirroring("generator"):
            mirror = DCGANDiscriminatorConfig(
                image_size=config.image_size,
                image_channels=config.image_channels,
                num_classes=config.num_classes,
                widths=config.stage_widths[::-1][:halvings],
            )
        return DCGANDiscriminator(mirror)

    def _modulated(self, index: int, x: Tensor, labels: Tensor | None) -> Tensor:
        modulation = self.modulations[index] if self.num_classes else None
        return modulation(x, labels) if isinstance(modulation, ClassModulation) else x

    def _context(self, labels: Tensor | None, x: Tensor) -> Tensor:
        """The embeddings of `labels`, one-hot if the config gives no size, in the dtype of `x`."""
        assert labels is not None
        if self.context is not None:
            return self.context(labels)
        return F.one_hot(labels, self.num_classes).to(x.dtype)


@contextmanager
def _mirroring(kind: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"this {kind} has no mirror ({error}); give the other network yourself") from error


def _stem(config: DCGANGeneratorConfig) -> Projection | LinearProjection:
    sizes = (config.latent_size, config.stage_widths[0], config.start_size)
    if config.stem == "linear":
        return LinearProjection(*sizes, norm=config.norm)
    return Projection(*sizes, norm=config.norm, activation=config.activation)


@dataclass(frozen=True, kw_only=True)
class DCGANDiscriminatorConfig(Config):
    """A discriminator: one stage for each width, each halving the image, last blocks if wanted, a head to one logit."""

    image_size: int = option(64, "pixels a side of an image", low=1, high=LARGEST_IMAGE)
    image_channels: int = option(3, "channels of an image", low=1, high=4)
    widths: tuple[int, ...] = option((64, 128, 256, 512), "channels after each stage", low=1, high=8192)
    block: str | tuple[str, ...] = option(
        "dcgan-down", "block of the stages: one name, as resize-up(kernel_size=5), or one a stage"
    )
    last_blocks: tuple[str, ...] = option((), "blocks behind the stages, which keep the size, by name, as dcgan-same")
    norm: str = option("batch", "normalisation, by name")
    activation: str = option("leaky_relu", "activation, by name")
    slope: float = option(0.2, "slope of leaky_relu below zero", low=0, high=1)
    first_norm: bool = option(False, "normalise in the first stage too, as the chapter does")
    num_classes: int = option(0, "classes of a conditional model; 0: no labels", low=0, high=MOST_CLASSES)
    class_head: Literal["pooled", "spatial"] = option(
        "pooled", "pooled: a label weighs the summed last features; spatial: those of each place, as the logit does"
    )
    pool: Literal["full", "sum"] = option(
        "full", "from the last features to the logit: full: each place has its weights; sum: places are summed first"
    )
    head_bias: bool = option(False, "the last convolution has a bias, a number that is added to every logit")
    initialisation: str = option("dcgan", "how weights are drawn, by name")

    def check(self) -> None:
        check_widths(self.widths)
        check_names(self.block, len(self.widths), self.norm, self.activation, self.initialisation, self.last_blocks)
        if len(self.last_blocks) > 12:
            raise ConfigError(f"last_blocks must have 0 to 12 items, got {len(self.last_blocks)}")
        for name in self.last_blocks:
            if scale_of("last_blocks", name, self.widths[-1], self.widths[-1]) != 1:
                raise ConfigError(f"last_blocks must keep the size, as dcgan-same does; {quote(name)} does not")
        check_memory(self.widths, self._sizes[1:])
        if self.last_size < 1 or self.last_size != int(self.last_size):
            raise ConfigError(
                f"image_size {self.image_size} can't be halved {len(self.widths)} times (widths has "
                f"{len(self.widths)} items); give fewer widths or another size"
            )

    @property
    def last_size(self) -> float:
        """Pixels a side after the last stage."""
        return self._sizes[-1]

    @cached_property  # blocks are made for it
    def _sizes(self) -> list[float]:
        names = block_names(self.block, len(self.widths))
        return stage_sizes(self.image_size, names, (self.image_channels, *self.widths), "down")

    def resized(self, image_size: int) -> DCGANDiscriminatorConfig:
        """For images of `image_size`: stages are added or dropped where the channels are widest."""
        check_image_size(image_size)
        least = int(self.last_size) if self.pool == "sum" else 4
        widths = stretch(self.widths[::-1], max(1, halved(image_size, least)[1]))[::-1]
        return self.replace(image_size=image_size, widths=widths)

    def varied(self, changes: Mapping[str, Any], image_size: int | None = None) -> DCGANDiscriminatorConfig:
        """With `changes`, and resized; widths that they give stay."""
        if image_size is None or "widths" not in changes:
            return super().varied(changes, image_size)
        return self.replace({**changes, "image_size": image_size})


@MODELS.register("dcgan-discriminator")
class DCGANDiscriminator(Discriminator):
    """Images (N, C, H, H) in [-1, 1] to logits (N, 1, 1, 1).

    Radford et al. 2015, section 3. With `num_classes`, the logit gains the inner product of the label's embedding
    with the summed last features (projection, Miyato and Koyama 2018, equation 3), or with all of them, place by place
    (`class_head="spatial"`): a coat differs from a pullover by where its zip is. The norm "spectral" normalises the
    embedding too.
    """

    config_class: ClassVar[type[Config]] = DCGANDiscriminatorConfig
    takes_other_labels = True

    def __init__(self, config: DCGANDiscriminatorConfig) -> None:
        super().__init__(config)
        self.num_classes = config.num_classes
        activation = partial(make_activation, config.activation, slope=config.slope)
        spectral = config.norm == "spectral"
        first_norm = config.norm if config.first_norm or spectral else "none"
        last = config.last_blocks
        channels = (config.image_channels, *config.widths, *(config.widths[-1:] * len(last)))
        names = (*block_names(config.block, len(config.widths)), *last)
        self.stages = nn.ModuleList(
            make_block(
                BLOCKS.make(name),
                before,
                after,
                norm=config.norm if index else first_norm,
                activation=activation,
                first=index == 0,
            )
            for index, (name, before, after) in enumerate(zip(names, channels, channels[1:]))
        )
        self.final_norm = final_norm(self.stages, config.widths[-1], config.norm, activation)
        self.to_logit = ToLogit(
            config.widths[-1],
            1 if config.pool == "sum" else int(config.last_size),
            spectral=spectral,
            bias=config.head_bias,
        )
        places = int(config.last_size) ** 2 if config.class_head == "spatial" else 1
        weighed = config.widths[-1] * places
        self.embedding = (
            with_weight_norm(nn.Embedding(self.num_classes, weighed), config.norm) if self.num_classes else None
        )
        initialise(self, config.initialisation)

    def counterpart(self) -> DCGANGenerator:
        """A mirror of this discriminator, of latents of 100 numbers."""
        config = self.config
        with _mirroring("discriminator"):
            mirror = DCGANGeneratorConfig(
                start_size=int(config.last_size),
                image_channels=config.image_channels,
                num_classes=config.num_classes,
                widths=config.widths[::-1][: max(1, halved(config.image_size, int(config.last_size))[1])],
            )
        return DCGANGenerator(mirror)

    def features(self, images: Tensor) -> list[Tensor]:
        """What each stage, then each last block, gives for `images`: tensors (N, widths[i], h, h), first to last."""
        self.check_images(images)
        return each_output(self.stages, images)

    def forward(self, images: Tensor, labels: Tensor | None = None, other_labels: Tensor | None = None) -> Tensor:
        """Logits (N, 1, 1, 1), above 0 for real; raises ShapeError on images or labels of other shapes.

        With `other_labels` of the same images, logits (2N, 1, 1, 1): those under them come second, and cost next to
        nothing.
        """
        x = self.final_norm(self.features(images)[-1])
        summed = x.sum(dim=(2, 3), keepdim=True)
        logits = self.to_logit(summed if self.config.pool == "sum" else x)
        asked = [labels] if other_labels is None else [labels, other_labels]
        for each in asked:
            check_labels(each, x.shape[0], self.num_classes, "DCGANDiscriminator")
        if self.embedding is None:
            return logits
        x = x.flatten(1) if self.config.class_head == "spatial" else summed.flatten(1)
        weight = self.embedding.weight  # once: spectral norm takes a step each time it is asked for
        projections = [
            (F.embedding(each, weight) * x).sum(dim=1).view(-1, 1, 1, 1) for each in asked if each is not None
        ]
        return torch.cat([logits + projection for projection in projections])
