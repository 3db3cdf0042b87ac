"""Recipes by name, each with a version: networks, data and settings of a run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ganzoo.config import Config
from ganzoo.errors import ConfigError, quote
from ganzoo.gan import GAN
from ganzoo.models import (
    MODELS,
    DCGANDiscriminatorConfig,
    DCGANGeneratorConfig,
    ProjectedDiscriminator,
    ProjectedDiscriminatorConfig,
)
from ganzoo.models.dcgan.networks import LARGEST_IMAGE
from ganzoo.registry import Registry
from ganzoo.seeds import seeded
from ganzoo.settings import Settings

WIDEST = 512  # channels of a stage that is added to reach a larger image


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A recipe. A saved model holds its whole config, so a preset may improve from version to version.

    Args:
        version: goes up whenever the recipe changes.
        description: one line for `ganzoo list presets`.
        generator, discriminator: configs of the two networks.
        generator_model, discriminator_model: names in `MODELS`.
        start: called with the fresh networks, for weights that come from outside.
        data: what `ganzoo.data.open_data` takes.
        settings: of a run.
    """

    version: int
    description: str
    generator: Config
    discriminator: Config
    data: str
    settings: Settings
    generator_model: str = "dcgan-generator"
    discriminator_model: str = "dcgan-discriminator"
    start: Callable[[nn.Module, nn.Module], None] | None = None


PRESETS: Registry[Preset] = Registry(
    "preset",
    "ganzoo.presets",
    "a ganzoo.presets.Preset",
    lambda item: isinstance(item, Preset),
    describe=lambda preset: preset.description,
)


def create(
    name: str,
    image_size: int | None = None,
    generator: Mapping[str, Any] | None = None,
    discriminator: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> GAN:
    """A GAN of the preset `name` with fresh weights.

    Args:
        image_size: another size: stages are added or dropped where the channels are widest. Where `generator` gives
            widths of its own, `start_size` follows instead.
        generator, discriminator: changes of the two configs, by field.
        seed: of the weights; None takes torch's global random state as it is.

    Raises:
        UnknownNameError: no such preset.
        ConfigError: a field is unknown or wrong, or `image_size` can't be reached.
        HubError, WeightsError: weights from outside, which a preset wants, can't be had.
    """
    return build(PRESETS[name], name, image_size, generator, discriminator, seed)


def build(
    preset: Preset,
    name: str | None,
    image_size: int | None = None,
    generator: Mapping[str, Any] | None = None,
    discriminator: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> GAN:
    """A GAN as `create` makes it, of any recipe; `name` is what it says of itself."""
    for place, given in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(given, (Mapping, type(None))):
            raise ConfigError(f"{place} must be a mapping of config fields, got {quote(given)}")
    made, judged = dict(generator or {}), dict(discriminator or {})
    if image_size is not None:
        _resize(preset, image_size, made, judged)
    for shared in ("image_channels", "num_classes", "hidden_classes"):
        if shared in made:
            judged.setdefault(shared, made[shared])
        elif shared in judged:
            made[shared] = judged[shared]
    generator_config = _changed(preset.generator, made, "generator")
    if isinstance(generator_config, DCGANGeneratorConfig) and isinstance(
        preset.discriminator, DCGANDiscriminatorConfig
    ):
        judged.setdefault("image_size", generator_config.image_size)
    discriminator_config = _changed(preset.discriminator, judged, "discriminator")
    with seeded(seed):
        networks: list[nn.Module] = [
            MODELS[preset.generator_model](generator_config),
            MODELS[preset.discriminator_model](discriminator_config),
        ]
        if preset.start:
            preset.start(*networks)
    return GAN(*networks, preset=name)


def _changed(config: Config, changes: dict[str, Any], place: str) -> Config:
    try:
        return config.replace(changes)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from None


def _resize(preset: Preset, image_size: int, made: dict[str, Any], judged: dict[str, Any]) -> None:
    """Add what brings a DCGAN preset to `image_size` to the changes of its networks that are asked for."""
    generator, discriminator = preset.generator, preset.discriminator
    if not isinstance(generator, DCGANGeneratorConfig) or not isinstance(discriminator, DCGANDiscriminatorConfig):
        raise ConfigError("image_size can't be changed for a preset of other models than DCGAN; give their configs")
    if type(image_size) is not int or not 1 <= image_size <= LARGEST_IMAGE:
        raise ConfigError(f"image_size must be an int from 1 to {LARGEST_IMAGE}, got {quote(image_size)}")
    if "widths" in made or "start_size" in made or "block" in made:
        asked = _changed(generator, {**made, "start_size": 1}, "generator")
        scale = asked.image_size  # type: ignore[attr-defined]  # a DCGANGeneratorConfig like `generator`
        if image_size % scale:
            raise ConfigError(f"image_size {image_size} is no multiple of {scale}, which generator.widths multiply by")
        made.setdefault("start_size", image_size // scale)
    else:
        if not _has_start(image_size, generator.start_size):
            able = (size for size in range(1, LARGEST_IMAGE + 1) if _has_start(size, generator.start_size))
            near = sorted(able, key=lambda size: abs(size - image_size))[:3]
            raise ConfigError(f"image_size {image_size} can't be halved down to a start; near it: {near}")
        made["start_size"], doublings = _halved(image_size, generator.start_size)
        made["widths"] = _stretch(generator.widths, doublings + (made.get("head", generator.head) != "doubling"))
    if "widths" not in judged:
        least = int(discriminator.last_size) if discriminator.pool == "sum" else 4
        judged["widths"] = _stretch(discriminator.widths[::-1], max(1, _halved(image_size, least)[1]))[::-1]
    judged["image_size"] = image_size


def _halved(size: int, least: int) -> tuple[int, int]:
    """What is left of `size` when it has been halved as often as it can be, down to `least`; and how often."""
    times = 0
    while size % 2 == 0 and size >= 2 * least:
        size, times = size // 2, times + 1
    return size, times


def _has_start(size: int, least: int) -> bool:
    start, times = _halved(size, least)
    return times > 0 and start <= 4 * least


def _stretch(widths: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`widths`, falling, with `count` items: doubled (to WIDEST at most) or dropped at the wide end."""
    while len(widths) < count:
        widths = (max(widths[0], min(WIDEST, widths[0] * 2)), *widths)
    return widths[len(widths) - count :]


def _fill_backbone(_: nn.Module, discriminator: nn.Module) -> None:
    from ganzoo.models.backbones import timm_network

    assert isinstance(discriminator, ProjectedDiscriminator)
    network, _name = timm_network(discriminator.config.backbone, os.environ.get("GANZOO_BACKBONE", ""))
    discriminator.load_backbone(network.model.state_dict())


_TEXTBOOK = Settings(
    steps=3180,
    batch_size=256,
    precision="float32",
    loss="d2l",
    generator_lr=0.005,
    discriminator_lr=0.005,
    ema_half_life=0,
    keep_last_batch=True,
    score_every=0,
)
_SPRITES = DCGANGeneratorConfig(widths=(256, 128, 64, 32))
_AUGMENTED = ("color", "translation", "cutout")
_GARMENTS = DCGANDiscriminatorConfig(image_size=28, image_channels=1, widths=(64, 128), class_head="spatial")
_FASHION = Settings(
    steps=22_000,
    generator_lr=4e-3,
    discriminator_lr=1e-3,
    decay="cosine",
    ema_half_life=40_000,
    mismatched_labels=0.3,
    keep="last",  # the rates have fallen to 0: of four runs the last state was each time the better by the evaluator
    checkpoint_every=2000,
)

PRESETS.register(
    "pokemon-64",
    Preset(
        version=3,
        description="Pokemon sprites, 64x64 in colour; averaged, augmented, with kinds that are found without labels",
        generator=_SPRITES.replace(hidden_classes=64),
        discriminator=DCGANDiscriminatorConfig(widths=(32, 64, 128, 256), hidden_classes=64, class_head="spatial"),
        data="pokemon",
        settings=Settings(
            steps=20_000,
            generator_lr=2e-3,
            discriminator_lr=5e-4,
            decay="cosine",
            ema_half_life=40_000,
            flip=True,
            augmentations=_AUGMENTED,
            mismatched_labels=0.3,
            keep="last",
        ),
    ),
)
PRESETS.register(
    "pokemon-64-projected",
    Preset(
        version=2,
        description="judged through a pretrained EfficientNet-Lite0, fetched once or GANZOO_BACKBONE; an experiment",
        generator=_SPRITES,
        discriminator=ProjectedDiscriminatorConfig(),
        discriminator_model="projected-discriminator",
        start=_fill_backbone,
        data="pokemon",
        settings=Settings(
            steps=4000,
            loss="hinge",
            generator_lr=1e-3,
            beta1=0.0,
            beta2=0.99,
            ema_half_life=20_000,
            flip=True,
            augmentations=_AUGMENTED,
            checkpoint_every=500,
        ),
    ),
)
PRESETS.register(
    "fashion-mnist",
    Preset(
        version=4,
        description="Fashion-MNIST at its own 28x28, grey; averaged, with kinds that are found without labels",
        generator=DCGANGeneratorConfig(start_size=7, widths=(128, 64), image_channels=1, hidden_classes=64),
        discriminator=_GARMENTS.replace(hidden_classes=64, last_blocks=("dcgan-same",)),
        data="fashion-mnist",
        settings=_FASHION,
    ),
)
PRESETS.register(
    "fashion-mnist-quick",
    Preset(
        version=1,
        description="Fashion-MNIST in ten minutes: kinds by shape, small batches; of less recall than fashion-mnist",
        generator=PRESETS["fashion-mnist"].generator.replace(head_channels=32),
        discriminator=_GARMENTS.replace(hidden_classes=64),
        data="fashion-mnist",
        settings=_FASHION.replace(steps=3600, batch_size=32, cluster_by="shape", checkpoint_every=500),
    ),
)
PRESETS.register(
    "fashion-mnist-conditional",
    Preset(
        version=4,
        description="Fashion-MNIST by class: ask for a trouser, get a trouser",
        generator=DCGANGeneratorConfig(start_size=7, widths=(128, 64), image_channels=1, num_classes=10),
        discriminator=_GARMENTS.replace(num_classes=10),
        data="fashion-mnist",
        settings=_FASHION.replace(generator_lr=2e-3, mismatched_labels=0.2),
    ),
)
PRESETS.register(
    "pokemon-64-d2l",
    Preset(
        version=1,
        description="the chapter of Dive into Deep Learning to the letter: Pokemon, 20 epochs of its 40,597 images",
        generator=DCGANGeneratorConfig(initialisation="d2l"),
        discriminator=DCGANDiscriminatorConfig(first_norm=True, initialisation="d2l"),
        data="pokemon",
        settings=_TEXTBOOK,
    ),
)
PRESETS.register(
    "fashion-mnist-d2l",
    Preset(
        version=1,
        description="the chapter's networks and settings on Fashion-MNIST resized to 64x64, 20 epochs",
        generator=DCGANGeneratorConfig(image_channels=1, initialisation="d2l"),
        discriminator=DCGANDiscriminatorConfig(image_channels=1, first_norm=True, initialisation="d2l"),
        data="fashion-mnist",
        settings=_TEXTBOOK.replace(steps=4700),
    ),
)
_SNGAN = Preset(
    version=1,
    description="SNGAN at 32x32 (Miyato et al. 2018, appendix B.4) on CIFAR-10 from the Hub; for a GPU",
    generator=DCGANGeneratorConfig(
        latent_size=128,
        stem="linear",
        widths=(256, 256, 256, 256),
        block="residual-up",
        head="same",
        initialisation="xavier",
    ),
    discriminator=DCGANDiscriminatorConfig(
        image_size=32,
        widths=(128, 128),
        block="residual-down",
        last_blocks=("residual-same", "residual-same"),
        norm="spectral",
        activation="relu",
        pool="sum",
        initialisation="xavier",
    ),
    data="hf:uoft-cs/cifar10",
    settings=Settings(
        steps=50_000,
        loss="hinge",
        discriminator_steps=5,
        beta1=0.0,
        beta2=0.9,
        decay="linear",
        ema_half_life=0,
        keep="last",
    ),
)
PRESETS.register("cifar10-sngan", _SNGAN)
PRESETS.register(
    "cifar10-sngan-conditional",
    dataclasses.replace(
        _SNGAN,
        description="cifar10-sngan by class: conditional batch norm, projection (Miyato and Koyama 2018)",
        generator=_SNGAN.generator.replace({"num_classes": 10}),
        discriminator=_SNGAN.discriminator.replace({"num_classes": 10}),
    ),
)
