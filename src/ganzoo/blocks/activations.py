"""Activations by name, with options: torch's, plug-ins', and any that timm knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from torch import nn

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, UnknownNameError, did_you_mean, quote
from ganzoo.options import called_name
from ganzoo.registry import Registry

Activation = str | Callable[[], nn.Module]
ACTIVATIONS: Registry[Callable[..., nn.Module]] = Registry(
    "activation", "ganzoo.activations", "a function that makes a torch.nn.Module", callable, makes=nn.Module
)


def _register(name: str, module: type[nn.Module]) -> None:
    def make() -> nn.Module:
        return module()

    make.__doc__ = f"torch.nn.{module.__name__}."
    ACTIVATIONS.register(name, make)


_register("relu", nn.ReLU)


@ACTIVATIONS.register("leaky_relu")
def leaky_relu(slope: Annotated[float, Bounds(0, 1)] = 0.2) -> nn.Module:
    """torch.nn.LeakyReLU; without options, a network's `slope` is its slope below zero."""
    return nn.LeakyReLU(slope)


@ACTIVATIONS.register("elu")
def elu(alpha: Annotated[float, Bounds(0)] = 1.0) -> nn.Module:
    """torch.nn.ELU: alpha (exp(x) - 1) below zero."""
    return nn.ELU(alpha)


for _name, _module in {
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "none": nn.Identity,
}.items():
    _register(_name, _module)


def make_activation(activation: Activation, slope: float = 0.2) -> nn.Module:
    """An activation; never in place, so that a tensor that two readers share stays as it is.

    Args:
        activation: a callable `() -> nn.Module`, or a name of `ACTIVATIONS` with or without options, as `relu` or
            `leaky_relu(slope=0.1)`, or a name `timm.layers` knows.
        slope: of `leaky_relu` without options, below zero: 0 makes it ReLU, 1 the identity. Others don't use it.

    Raises:
        UnknownNameError: nobody knows the name. ConfigError: an option is wrong, or the callable makes no module.
    """
    if activation == "leaky_relu":
        return nn.LeakyReLU(slope)
    if isinstance(activation, str):
        return find_named(ACTIVATIONS, activation, _timm_activation)
    if not callable(activation) or isinstance(activation, nn.Module):
        raise ConfigError(f"activation must be a name or a callable () -> nn.Module, got {quote(activation)}")
    made = activation()
    if not isinstance(made, nn.Module):
        raise ConfigError(f"activation {quote(activation)} made {quote(made)}; it must make an nn.Module")
    return made


def check_activation_name(name: str) -> None:
    """Raise UnknownNameError or ConfigError unless `make_activation` knows the name and its options."""
    find_named(ACTIVATIONS, name, _timm_activation)


def find_named(registry: Registry[Any], text: Any, other: Callable[[str], Any]) -> Any:
    """What `text`, a name with or without options, stands for in `registry`; `other` is asked for any other name."""
    name = called_name(text) if isinstance(text, str) else text
    if isinstance(text, str) and text != text.strip():  # others compare names as they stand
        raise UnknownNameError(f"Unknown {registry.kind} {quote(text)}.{did_you_mean(name, registry)}")
    if name in registry:
        if text.endswith("()"):
            raise ConfigError(f"{registry.kind} {quote(text)} has no options in its parentheses; write {name}")
        return registry.make(text)
    if isinstance(text, str) and name == text:
        return other(text)
    raise UnknownNameError(f"Unknown {registry.kind} {quote(name)}.{did_you_mean(name, registry)}")


def timm_layer(registry: Registry[Any], get: str, name: str) -> Any:
    """What makes the layer `name` of timm, found by its function `get`; an error says what `registry` has besides."""
    from timm import layers

    try:
        build = getattr(layers, get)(name)
    except (KeyError, AssertionError, AttributeError):
        build = None
    if build is None:
        known = did_you_mean(name, registry)
        raise UnknownNameError(
            f"Unknown {registry.kind} {quote(name)}.{known} Any other goes to timm.layers, which has none."
        )
    return build


def _timm_activation(name: str) -> nn.Module:
    return timm_layer(ACTIVATIONS, "get_act_layer", name)()
