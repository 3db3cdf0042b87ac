"""Recipes by name, each with a version: networks, data and settings of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from ganzoo.config import Config
from ganzoo.errors import BlockError, ConfigError, quote
from ganzoo.gan import GAN
from ganzoo.latents import check_clusters, label_count
from ganzoo.models import (
    MODELS,
    DCGANDiscriminatorConfig,
    DCGANGeneratorConfig,
    FewShotDiscriminatorConfig,
    FewShotGeneratorConfig,
    Generator,
    R3GANDiscriminatorConfig,
    R3GANGeneratorConfig,
)
from ganzoo.registry import Registry, matching
from ganzoo.seeds import seeded
from ganzoo.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A recipe. A saved model holds its whole config, so a preset may improve from version to version.

    Args:
        version: goes up whenever the recipe changes.
        description: one line for `ganzoo list presets`.
        generator, discriminator: configs of the two networks.
        generator_model, discriminator_model: names in `MODELS`.
        data: what `ganzoo.data.open_data` takes.
        settings: of a run.
        baseline: it is there to compare with, not to use; lists and cards say so.
    """

    version: int
    description: str
    generator: Config
    discriminator: Config
    data: str
    settings: Settings
    generator_model: str = "dcgan-generator"
    discriminator_model: str = "dcgan-discriminator"
    baseline: bool = False


PRESETS: Registry[Preset] = Registry(
    "preset",
    "ganzoo.presets",
    "a ganzoo.presets.Preset",
    lambda item: isinstance(item, Preset),
    describe=lambda preset: "baseline: " * preset.baseline + preset.description,
)


def list_presets(pattern: str | Sequence[str] = "*", exclude: str | Sequence[str] = ()) -> list[str]:
    """Names of presets, plug-ins' included, as `create` and `Trainer` take them.

    Args:
        pattern: with wildcards, as "pokemon*"; or several of them.
        exclude: patterns of names to leave out, as "*-d2l".
    """
    return matching(PRESETS, pattern, exclude)


def create(
    preset: str | Preset,
    image_size: int | None = None,
    generator: Mapping[str, Any] | None = None,
    discriminator: Mapping[str, Any] | None = None,
    seed: int | None = None,
    clusters: int | None = None,
) -> GAN:
    """A GAN of a preset with fresh weights.

    Args:
        preset: its name, or a recipe that is not registered; the GAN does not keep its settings, so give the recipe
            itself to `Trainer`.
        image_size: another size, if the networks' family offers it. DCGAN adds or drops stages where the channels are
            widest; if `generator` gives widths, `start_size` follows from them instead.
        generator, discriminator: changes of the two configs, by field.
        seed: of the weights, which are then on the CPU; None takes torch's global random state, and its default device,
            as they are.
        clusters: that training finds in the images of each class, or in all; 0 for none, None for the preset's.

    Raises:
        UnknownNameError: no such preset.
        ConfigError: a field is unknown or wrong, or `image_size` can't be reached.
    """
    name, preset = (None, preset) if isinstance(preset, Preset) else (preset, PRESETS[preset])
    generator_changes, discriminator_changes = _changes_of_both(generator, discriminator)
    clusters = preset.settings.clusters if clusters is None else check_clusters(clusters)
    num_classes = None  # the generator says it, if there are no clusters
    if clusters:
        num_classes = _classes_of(preset.generator, generator_changes)
        labels = {"num_classes": label_count(num_classes, clusters)}
        generator_changes, discriminator_changes = generator_changes | labels, discriminator_changes | labels
    # a seed is of the CPU's random numbers, whatever torch.set_default_device says
    with seeded(seed), nullcontext() if seed is None else torch.device("cpu"):
        config = _varied(preset.generator, generator_changes, image_size, "generator")
        fresh_generator = MODELS[preset.generator_model](config)
        drawn = fresh_generator.image_size if isinstance(fresh_generator, Generator) else None
        if image_size is None and drawn and "image_size" in preset.discriminator.to_dict():
            discriminator_changes.setdefault("image_size", drawn)
        if image_size is not None and drawn not in (None, image_size):
            raise ConfigError(f"image_size {image_size} was asked for, the generator's options make {drawn}")
        config = _varied(preset.discriminator, discriminator_changes, image_size, "discriminator")
        fresh_discriminator = MODELS[preset.discriminator_model](config)
    return GAN(fresh_generator, fresh_discriminator, num_classes=num_classes, clusters=clusters, preset=name)


def _classes_of(config: Config, changes: Mapping[str, Any]) -> int:
    """How many classes a user of the generator chooses among."""
    asked = {name: value for name, value in changes.items() if name == "num_classes"}
    return int(_varied(config, asked, None, "generator").to_dict().get("num_classes", 0))


def _changes_of_both(generator: Any, discriminator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The changes of the two configs; what both must have alike goes from one to the other."""
    for place, given in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(given, (Mapping, type(None))):
            raise ConfigError(f"{place} must be a mapping of config fields, got {quote(given)}")
    of_generator, of_discriminator = dict(generator or {}), dict(discriminator or {})
    for shared in ("image_channels", "num_classes"):
        if shared in of_generator:
            of_discriminator.setdefault(shared, of_generator[shared])
        elif shared in of_discriminator:
            of_generator[shared] = of_discriminator[shared]
    return of_generator, of_discriminator


def _varied(config: Config, changes: Mapping[str, Any], image_size: int | None, place: str) -> Config:
    try:
        return config.varied(changes, image_size)
    except (BlockError, ConfigError) as error:
        raise type(error)(f"{place}.{error}") from None


_D2L = Preset(
    version=1,
    description="the chapter of Dive into Deep Learning as it stands: Pokemon, 20 epochs of its 40,597 images",
    generator=DCGANGeneratorConfig(initialisation="d2l"),
    discriminator=DCGANDiscriminatorConfig(first_norm=True, initialisation="d2l"),
    data="pokemon",
    settings=Settings(
        steps=3180,
        batch_size=256,
        precision="float32",
        loss="d2l",
        generator_lr=0.005,
        discriminator_lr=0.005,
        ema_half_life=0,
        keep_last_batch=True,
        score_every=0,
    ),
    baseline=True,
)
_AUGMENTED = ("color", "translation", "cutout")
_BY_CLUSTERS = Settings(  # the last state is kept: on garments it was the better one in each of four long runs
    generator_lr="cosine(start=2e-3)",
    discriminator_lr="cosine(start=5e-4)",
    ema_half_life=40_000,
    mismatched_labels=0.3,
    keep="last",
)
_TWO_STAGES = DCGANGeneratorConfig(start_size=7, widths=(128, 64), image_channels=1)
_GARMENTS = DCGANDiscriminatorConfig(image_size=28, image_channels=1, widths=(64, 128), class_head="spatial")
_FASHION = _BY_CLUSTERS.replace(
    steps=22_000,
    generator_lr="cosine(start=4e-3)",
    discriminator_lr="cosine(start=1e-3)",
    checkpoint_every=2000,
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
        generator_lr="linear(start=2e-4)",
        discriminator_lr="linear(start=2e-4)",
        beta1=0.0,
        beta2=0.9,
        ema_half_life=0,
        keep="last",
    ),
)
_GREY: dict[str, Any] = {"start_size": 7, "widths": (128, 64, 32), "blocks": 1, "image_channels": 1}
_COLOUR: dict[str, Any] = {"widths": (768, 768, 768, 768)}
_R3GAN = Preset(
    version=2,
    description="R3GAN (Huang et al. 2024) at 28x28: no norms, relativistic loss, R1 and R2; three times the work",
    generator=R3GANGeneratorConfig(**_GREY),
    discriminator=R3GANDiscriminatorConfig(**_GREY),
    generator_model="r3gan-generator",
    discriminator_model="r3gan-discriminator",
    data="fashion-mnist",
    settings=Settings(  # as published: no first moment, rates and penalties fall, the second moment lengthens
        steps=20_000,
        loss="relativistic",
        penalties=("r1(weight=cosine(start=0.5,end=0.05))", "r2(weight=cosine(start=0.5,end=0.05))"),
        generator_lr="cosine(start=2e-4,end=5e-5)",
        discriminator_lr="cosine(start=2e-4,end=5e-5)",
        beta1=0.0,
        beta2="cosine(start=0.9,end=0.99)",
        keep="last",
    ),
)

_BUILT_IN = {
    "pokemon-64": Preset(
        version=4,
        description="Pokemon sprites, 64x64 in colour; averaged, augmented, with clusters in place of labels",
        generator=DCGANGeneratorConfig(widths=(384, 192, 96, 48)),
        discriminator=DCGANDiscriminatorConfig(widths=(32, 64, 128, 256), class_head="spatial"),
        data="pokemon",
        settings=_BY_CLUSTERS.replace(steps=20_000, flip=True, augmentations=_AUGMENTED, clusters=128),
    ),
    "emoji-64": Preset(
        version=2,
        description="Noto Emoji, 64x64 in colour, by category: faces, animals, food, flags and more; free to share",
        generator=DCGANGeneratorConfig(widths=(320, 160, 80, 40), num_classes=9),
        discriminator=DCGANDiscriminatorConfig(widths=(32, 64, 128, 256), class_head="spatial", num_classes=9),
        data="emoji",
        settings=_BY_CLUSTERS.replace(steps=12_000, batch_size=128, augmentations=_AUGMENTED, clusters=16),
    ),
    "cifar10-32": Preset(
        version=1,
        description="CIFAR-10 from the Hub, 32x32 in colour, by class: a plain conditional DCGAN; minutes on a GPU",
        generator=DCGANGeneratorConfig(start_size=4, widths=(512, 256, 128), num_classes=10),
        discriminator=DCGANDiscriminatorConfig(
            image_size=32, widths=(128, 256, 512), last_blocks=("dcgan-same",), class_head="spatial", num_classes=10
        ),
        data="hf:uoft-cs/cifar10",
        settings=_BY_CLUSTERS.replace(
            steps=17_000,
            batch_size=128,
            generator_lr="cosine(start=1.5e-3)",
            discriminator_lr="cosine(start=4e-4)",
            flip=True,
            augmentations=("translation", "cutout"),
            clusters=16,
        ),
    ),
    "fashion-mnist": Preset(
        version=5,
        description="Fashion-MNIST at its own 28x28, grey; averaged, with clusters by shape in place of labels",
        generator=_TWO_STAGES,
        discriminator=_GARMENTS.replace(last_blocks=("dcgan-same",)),
        data="fashion-mnist",
        settings=_FASHION.replace(steps=13_500, clusters=64, cluster_by="shape"),
    ),
    "fashion-mnist-quick": Preset(
        version=1,
        description="Fashion-MNIST in ten minutes: clusters by shape, small batches; of less recall than fashion-mnist",
        generator=_TWO_STAGES.replace(head_channels=32),
        discriminator=_GARMENTS,
        data="fashion-mnist",
        settings=_FASHION.replace(steps=3600, batch_size=32, clusters=64, cluster_by="shape", checkpoint_every=500),
    ),
    "fashion-mnist-conditional": Preset(
        version=5,
        description="Fashion-MNIST by class: ask for a trouser, get a trouser; with clusters within each class",
        generator=DCGANGeneratorConfig(start_size=7, widths=(256, 128), image_channels=1, num_classes=10),
        discriminator=_GARMENTS.replace(num_classes=10, last_blocks=("dcgan-same",)),
        data="fashion-mnist",
        settings=_FASHION.replace(
            generator_lr="cosine(start=2e-3)",
            mismatched_labels=0.2,
            clusters=8,
            augmentations=("translation(strength=0.3)",),
        ),
    ),
    "pokemon-64-d2l": _D2L,
    "fashion-mnist-d2l": replace(
        _D2L,
        description="the chapter's networks and settings on Fashion-MNIST resized to 64x64, 20 epochs",
        generator=_D2L.generator.replace({"image_channels": 1}),
        discriminator=_D2L.discriminator.replace({"image_channels": 1}),
        data="fashion-mnist",
        settings=_D2L.settings.replace(steps=4700),
    ),
    "cifar10-sngan": _SNGAN,
    "cifar10-sngan-conditional": replace(
        _SNGAN,
        description="cifar10-sngan by class: conditional batch norm, projection (Miyato and Koyama 2018)",
        generator=_SNGAN.generator.replace({"num_classes": 10}),
        discriminator=_SNGAN.discriminator.replace({"num_classes": 10}),
    ),
    "fashion-mnist-r3gan": _R3GAN,
    "cifar10-r3gan": replace(
        _R3GAN,
        description="R3GAN (Huang et al. 2024) at 32x32, the paper's size, on CIFAR-10 from the Hub; for a GPU",
        generator=R3GANGeneratorConfig(**_COLOUR),
        discriminator=R3GANDiscriminatorConfig(**_COLOUR),
        data="hf:uoft-cs/cifar10",
        settings=_R3GAN.settings.replace(
            batch_size=512,
            steps=40_000,
            penalties=("r1(weight=cosine(start=0.05,end=0.005))", "r2(weight=cosine(start=0.05,end=0.005))"),
            augmentations=("ada",),
            flip=True,
            ema_half_life=500_000,
        ),
    ),
    "few-shot-64": Preset(
        version=1,
        description="FastGAN (Liu et al. 2021) at 64x64, for hundreds of pictures: give it yours with --data",
        generator=FewShotGeneratorConfig(widths=(256, 128, 64, 32, 16)),
        discriminator=FewShotDiscriminatorConfig(widths=(32, 64, 128)),
        generator_model="few-shot-generator",
        discriminator_model="few-shot-discriminator",
        data="pokemon",
        settings=Settings(
            steps=20_000,
            batch_size=16,
            loss="hinge",
            augmentations=("color", "translation"),
            ema_half_life=10_000,
            flip=True,
            score_every=1000,
        ),
    ),
}
for _name, _preset in _BUILT_IN.items():
    PRESETS.register(_name, _preset)
