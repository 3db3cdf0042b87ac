"""Normalisations of (N, channels, H, W), by name, and of the weights of convolutions: spectral norm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrizations

from ganzoo.config import check_count
from ganzoo.errors import ConfigError, UnknownNameError, did_you_mean, quote

Norm = str | Callable[[int], nn.Module]
M = TypeVar("M", bound=nn.Module)


def _group_norm(channels: int, affine: bool = True) -> nn.Module:
    return nn.GroupNorm(max(n for n in range(1, 33) if channels % n == 0), channels, affine=affine)


NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "group": _group_norm,
    "layer": partial(nn.GroupNorm, 1),
    "none": lambda channels: nn.Identity(),
    "spectral": lambda channels: nn.Identity(),  # the weights are wrapped instead: `with_weight_norm`
}
_AFFINE = ("batch", "instance", "group", "layer")


def make_norm(norm: Norm, channels: int, *, affine: bool = True) -> nn.Module:
    """A normalisation of (N, channels, H, W).

    Args:
        norm: a callable `(channels) -> nn.Module`, or a name: `batch`, `instance` (with scale and shift), `group` (as
            many groups as divide `channels`, at most 32), `layer` (over channels and places: one group), `none`,
            `spectral` (nothing here: the weights of convolutions are normalised), or a name `timm.layers` knows.
        channels: channels of its input.
        affine: False leaves out the scale and shift of `batch`, `instance`, `group` and `layer`; others stay as they
            are.

    Raises:
        UnknownNameError: nobody knows the name.
        ConfigError: the norm can't be made for so many channels.
    """
    check_count("channels", channels, "make_norm")
    build: Callable[..., nn.Module] = _find_norm(norm) if isinstance(norm, str) else norm
    if not callable(build) or isinstance(build, nn.Module):
        raise ConfigError(f"norm must be a name or a callable (channels) -> nn.Module, got {quote(norm)}")
    try:
        made = build(channels) if affine or norm not in _AFFINE else build(channels, affine=False)
    except ValueError as error:
        raise ConfigError(f"norm {quote(norm)} does not fit {channels} channels: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"norm {quote(norm)} made {quote(made)}; it must make an nn.Module")
    return made


def check_norm_name(name: str) -> None:
    """Raise UnknownNameError unless `make_norm` knows `name`; imports timm only if it is none of torch's."""
    _find_norm(name)


def _find_norm(name: str) -> Callable[..., nn.Module]:
    if isinstance(name, str):
        return NORMS[name] if name in NORMS else _timm_norm(name)
    raise UnknownNameError(f"Unknown norm {quote(name)}.{did_you_mean(name, NORMS)}")


@functools.cache
def _timm_norm(name: str) -> Callable[[int], nn.Module]:
    from timm.layers import get_norm_layer

    known = f"{did_you_mean(name, NORMS)} Any other goes to timm.layers, "
    try:
        build = get_norm_layer(name)
    except (KeyError, AssertionError, AttributeError):
        build = None
    if build is None:
        raise UnknownNameError(f"Unknown norm {quote(name)}.{known}which has no such norm.")
    try:  # some of timm's norm the last axis, or wants no images at all
        build(32)(torch.zeros(2, 32, 2, 2))
    except Exception as error:
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
