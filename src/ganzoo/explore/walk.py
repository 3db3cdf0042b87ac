"""Images along a path through latents, and along the directions that a generator's first layer amplifies most."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo import latents as paths
from ganzoo.config import POSITIVE, checked_int, convert_value
from ganzoo.errors import ConfigError, did_you_mean
from ganzoo.gan import GAN
from ganzoo.models import Generator

MOVES = 9  # images along a direction; the one in the middle is the sample itself


def walk(
    gan: GAN,
    points: int = 5,
    steps: int = 8,
    *,
    seed: int = 0,
    label: int | None = None,
    closed: bool = False,
    across: bool = False,
) -> Tensor:
    """Walk along the sphere (`ganzoo.latents.walk`) through the first `points` latents of a seed.

    Args:
        points: latents to pass through, from 2.
        steps: frames from one to the next.
        label: the class of all frames; a conditional model needs it.
        closed: return to the first latent.
        across: let frames jump from cluster to cluster; otherwise all stay in the first latent's.

    Returns:
        Frames, float32 ((points - 1)*steps + 1, C, H, W) in [-1, 1]; (points*steps, C, H, W) when closed.

    Raises:
        ConfigError: an argument is out of range, or a label is missing.
    """
    points = checked_int("points", points, 2)
    check_label(gan, label)
    keys, _ = paths.sample_latents(points, gan.latent_size, seed)
    keys = keys if across else gan.with_cluster(keys, keys[0])
    return gan.sample(latents=paths.walk(keys, steps, closed), labels=label)


def directions(
    gan: GAN, count: int = 6, strength: float = 4.0, *, seed: int = 0, label: int | None = None, across: bool = False
) -> Tensor:
    """Move a seed's first sample along the directions that the generator's first layer amplifies most.

    Shen and Zhou 2021, "SeFa", section 3.2: see `ganzoo.latents.directions`.

    Args:
        count: directions, strongest first.
        strength: how far to go both ways, above 0 to 1e6.
        label, across: as for `walk`.

    Returns:
        Images, float32 (count, MOVES, C, H, W) in [-1, 1].

    Raises:
        ConfigError: an argument is out of range, a label is missing, or the generator has no first layer to take apart.
    """
    strength = convert_value(strength, float, "strength", POSITIVE)
    if not isinstance(gan.generator, Generator):
        raise ConfigError(f"a {type(gan.generator).__name__} has no first layer to take apart; a dcgan-generator has")
    check_label(gan, label)
    found, _ = paths.directions(gan.generator.first_layer(), count)
    start, _ = paths.sample_latents(1, gan.latent_size, seed)
    moves = torch.linspace(-strength, strength, MOVES)
    moved = (start + moves[None, :, None] * found[:, None].to(start)).flatten(0, 1)
    moved = moved if across else gan.with_cluster(moved, start[0])
    return gan.sample(latents=moved, labels=label).unflatten(0, (count, MOVES))


def check_label(gan: GAN, label: object, remedy: str = "choose one with label= (--label)") -> None:
    """Raise ConfigError, with the `remedy` and all classes, if `gan` has classes and none is chosen."""
    if gan.num_classes and label is None:
        known = gan.class_names or [f"0 to {gan.num_classes - 1}"]
        raise ConfigError(f"a class is needed: {remedy}.{did_you_mean('', known)}")
