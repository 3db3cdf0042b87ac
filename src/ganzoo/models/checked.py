"""Call the networks of a GAN and check what they give, so that a mistake in a custom module is named with its remedy.

A generator turns latents into images (N, C, H, W), a discriminator turns images into logits, N first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganzoo.errors import ConfigError, is_out_of_memory, words_of


def checked_images(generator: Callable[..., Tensor], latents: Tensor, labels: Tensor | None = None) -> Tensor:
    """Images (N, C, H, W) of `latents` (N, *latent_shape), and of `labels` (N,) if there are any.

    Raises:
        ConfigError: the generator fails, or gives something else; the message names shape and remedy.
    """
    given = (latents,) if labels is None else (latents, labels)
    try:
        images = generator(*given)
    except Exception as error:
        if isinstance(error, ConfigError) or is_out_of_memory(error):
            raise
        remedy = _fitting_latents(generator, *given) or "mend its forward, or the arguments that GAN(...) was given"
        raise ConfigError(f"the generator fails on latents {_shapes(given)}: {words_of(error)}; {remedy}") from error
    _check_tensor(images, "generator", "images")
    count, shape = len(latents), tuple(images.shape)
    if len(shape) != 4 or shape[0] != count or not 1 <= shape[1] <= 4:
        raise ConfigError(
            f"the generator gives {shape} for latents {_shapes(given)}; images must be ({count}, C, H, W) with 1 to 4 "
            f"channels{_unflatten(shape, count)}"
        )
    return images


def checked_logits(discriminator: Callable[..., Tensor], images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Logits (N, ...) of `images` (N, C, H, W), and of `labels` if there are any: one or more an image, (N,) too.

    Raises:
        ConfigError: the discriminator fails, or gives something else; the message names shape and remedy.
    """
    given = (images,) if labels is None else (images, labels)
    try:
        logits = discriminator(*given)
    except Exception as error:
        if isinstance(error, ConfigError) or is_out_of_memory(error):
            raise
        raise ConfigError(
            f"the discriminator fails on images {_shapes(given)}: {words_of(error)}; make it for images of "
            f"{images.shape[1]} channels and {images.shape[3]} pixels a side, which the generator draws"
        ) from error
    _check_tensor(logits, "discriminator", "logits")
    if not logits.dim() or len(logits) != len(images) or not logits.numel():
        raise ConfigError(
            f"the discriminator gives {tuple(logits.shape)} for {len(images)} images; logits must be "
            f"({len(images)}, ...), one or more an image: keep the first axis (squeeze(1), not squeeze())"
        )
    return logits


def _check_tensor(value: object, network: str, kind: str) -> None:
    if not isinstance(value, Tensor):
        raise ConfigError(f"the {network} returns a {type(value).__name__}; return {kind} alone, as one tensor")
    if not value.is_floating_point():
        name = str(value.dtype).removeprefix("torch.")
        raise ConfigError(f"the {network} gives {kind} of type {name}; they must be floating point, as float32")


def _shapes(given: tuple[Tensor, ...]) -> str:
    return " and labels ".join(f"of shape {tuple(each.shape)}" for each in given)


def _unflatten(shape: tuple[int, ...], count: int) -> str:
    """A layer that would mend flat images, if they can be square."""
    if len(shape) == 2 and shape[0] == count:
        for channels in (1, 3):
            side = math.isqrt(shape[1] // channels)
            if channels * side**2 == shape[1]:
                return f": end it in nn.Unflatten(1, ({channels}, {side}, {side}))"
    return ""


@torch.no_grad()
def _fitting_latents(generator: Callable[..., Tensor], latents: Tensor, *labels: Tensor) -> str:
    """The other usual shape of latents, if the generator takes that one."""
    size = latents[0].numel()
    for shape in ((size,), (size, 1, 1)):
        if shape != tuple(latents.shape[1:]):
            try:
                generator(latents.reshape(-1, *shape), *labels)
            except Exception:
                continue
            return f"it takes latents of shape (N, {str(shape)[1:].rstrip(',)')}): give GAN(..., latent_shape={shape})"
    return ""
