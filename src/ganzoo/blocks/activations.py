"""Activations by name: torch's, and any that timm knows."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import nn

from ganzoo.errors import ConfigError, UnknownNameError, did_you_mean, quote

Activation = str | Callable[[], nn.Module]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "none": nn.Identity,
}


def make_activation(activation: Activation, slope: float = 0.2) -> nn.Module:
    """An activation; never in place, so that a tensor that two readers share stays as it is.

    Args:
        activation: a callable `() -> nn.Module`, or a name: `relu`, `leaky_relu`, `elu`, `selu`, `gelu`, `silu`,
            `mish`, `prelu`, `tanh`, `sigmoid`, `softplus`, `none`, or a name `timm.layers` knows.
        slope: of `leaky_relu` below zero: 0 makes it ReLU, 1 the identity. Others don't use it.

    Raises:
        UnknownNameError: nobody knows the name.
        ConfigError: the callable makes something other than a module.
    """
    if activation == "leaky_relu":
        return nn.LeakyReLU(slope)
    build = _find_activation(activation) if isinstance(activation, str) else activation
    if not callable(build) or isinstance(build, nn.Module):
        raise ConfigError(f"activation must be a name or a callable () -> nn.Module, got {quote(activation)}")
    made = build()
    if not isinstance(made, nn.Module):
        raise ConfigError(f"activation {quote(activation)} made {quote(made)}; it must make an nn.Module")
    return made


def check_activation_name(name: str) -> None:
    """Raise UnknownNameError unless `make_activation` knows `name`; imports timm only if it is none of torch's."""
    _find_activation(name)


def _find_activation(name: str) -> Callable[[], nn.Module]:
    if isinstance(name, str):
        return ACTIVATIONS[name] if name in ACTIVATIONS else _timm_activation(name)
    raise UnknownNameError(f"Unknown activation {quote(name)}.{did_you_mean(name, ACTIVATIONS)}")


@functools.cache
def _timm_activation(name: str) -> Callable[[], nn.Module]:
    from timm.layers import get_act_layer

    try:
        build = get_act_layer(name)
    except (KeyError, AttributeError):
        build = None
    if not isinstance(build, type):
        known = did_you_mean(name, ACTIVATIONS)
        raise UnknownNameError(
            f"Unknown activation {quote(name)}.{known} Any other goes to timm.layers, which has none."
        )
    return build
