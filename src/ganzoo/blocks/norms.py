"""Normalisations of (N, channels, H, W), by name with options, and of the weights of convolutions: spectral norm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrizations

from ganzoo.blocks.activations import find_named, timm_layer
from ganzoo.config import Bounds, check_counts
from ganzoo.errors import ConfigError, UnknownNameError, did_you_mean, quote
from ganzoo.options import called_name
from ganzoo.registry import Registry

Norm = str | Callable[[int], nn.Module]
M = TypeVar("M", bound=nn.Module)


NORMS: Registry[Callable[..., nn.Module]] = Registry(
    "norm", "ganzoo.norms", "a function (channels) -> torch.nn.Module", callable, functions=True
)


@NORMS.register("batch")
def _batch(channels: int, *, momentum: Annotated[float, Bounds(0, 1)] = 0.1, affine: bool = True) -> nn.Module:
    """torch.nn.BatchNorm2d."""
    return nn.BatchNorm2d(channels, momentum=momentum, affine=affine)


@NORMS.register("instance")
def _instance(channels: int, *, affine: bool = True) -> nn.Module:
    """torch.nn.InstanceNorm2d, with scale and shift."""
    return nn.InstanceNorm2d(channels, affine=affine)


@NORMS.register("group")
def _group(channels: int, *, groups: Annotated[int, Bounds(0)] = 0, affine: bool = True) -> nn.Module:
    """torch.nn.GroupNorm; 0 groups: as many as divide the channels, at most 32."""
    return nn.GroupNorm(groups or max(n for n in range(1, 33) if channels % n == 0), channels, affine=affine)


@NORMS.register("layer")
def _layer(channels: int, *, affine: bool = True) -> nn.Module:
    """Over channels and places: torch.nn.GroupNorm with one group."""
    return nn.GroupNorm(1, channels, affine=affine)


@NORMS.register("none")
def _none(channels: int) -> nn.Module:
    """No normalisation."""
    return nn.Identity()


@NORMS.register("spectral")
def _spectral(channels: int) -> nn.Module:
    """On the weights of convolutions, by their largest singular value: see `with_weight_norm`."""
    return nn.Identity()


def make_norm(norm: Norm, channels: int, *, affine: bool = True) -> nn.Module:
    """A normalisation of (N, channels, H, W).

    Args:
        norm: a callable `(channels) -> nn.Module`, or a name of `NORMS` with or without options, as `batch` or
            `group(groups=8)`, or a name `timm.layers` knows.
        channels: channels of its input.
        affine: False leaves out the scale and shift of norms that have the option `affine`; others stay as they are.

    Raises:
        UnknownNameError: nobody knows the name.
        ConfigError: an option is wrong, or the norm can't be made for so many channels.
    """
    check_counts("make_norm", channels=channels)
    build: Callable[..., nn.Module] = find_named(NORMS, norm, _timm_norm) if isinstance(norm, str) else norm
    if not callable(build) or isinstance(build, nn.Module):
        raise ConfigError(f"norm must be a name or a callable (channels) -> nn.Module, got {quote(norm)}")
    name = called_name(norm) if isinstance(norm, str) else ""
    try:
        plain = not affine and name in NORMS and "affine" in NORMS.options(name)
        made = build(channels, affine=False) if plain else build(channels)
    except ValueError as error:
        raise ConfigError(f"norm {quote(norm)} does not fit {channels} channels: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"norm {quote(norm)} made {quote(made)}; it must make an nn.Module")
    return made


def check_norm_name(name: str) -> None:
    """Raise UnknownNameError or ConfigError unless `make_norm` knows the name and its options."""
    find_named(NORMS, name, _timm_norm)


@functools.cache
def _timm_norm(name: str) -> Callable[[int], nn.Module]:
    build: Callable[[int], nn.Module] = timm_layer(NORMS, "get_norm_layer", name)
    try:  # some of timm's norm the last axis, or wants no images at all
        build(32)(torch.zeros(2, 32, 2, 2))
    except Exception as error:
        known = f"{did_you_mean(name, NORMS)} Any other goes to timm.layers, "
        raise UnknownNameError(f"Unknown norm {quote(name)}.{known}where it does not norm (N, C, H, W).") from error
    return build


def wants_bias(norm: Norm) -> bool:
    """Whether a convolution before `norm` needs a bias: most norms subtract it again, or add their own."""
    return norm in ("none", "spectral")


def with_weight_norm(module: M, norm: Norm) -> M:
    """`module` with its weight divided by its largest singular value if `norm` is "spectral", else as it is.

    Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", equation 8.
    """
    if norm == "spectral":
        parametrizations.spectral_norm(module)
    return module
