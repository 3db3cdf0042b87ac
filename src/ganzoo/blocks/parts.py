"""Small parts that blocks and networks share: norms, activations, modulation by label."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganzoo.blocks.initialisation import OwnStart
from ganzoo.errors import ConfigError, ShapeError, UnknownNameError, did_you_mean, quote

Norm = str | Callable[[int], nn.Module]
Activation = str | Callable[[], nn.Module]
M = TypeVar("M", bound=nn.Module)


def check_count(name: str, value: object, place: str, low: int = 1) -> None:
    """Raise ConfigError unless `value`, the argument `name` of `place`, is an int of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{place}: {name} must be an int of at least {low}, got {quote(value)}")


# --- norms ---------------------------------------------------------------------------------------------------


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(max(n for n in range(1, 33) if channels % n == 0), channels)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "group": _group_norm,
    "layer": partial(nn.GroupNorm, 1),
    "none": lambda channels: nn.Identity(),
    "spectral": lambda channels: nn.Identity(),  # the weights are wrapped instead: `with_weight_norm`
}


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of (N, channels, H, W).

    Args:
        norm: a callable `(channels) -> nn.Module`, or a name: `batch`, `instance` (with scale and shift), `group` (as
            many groups as divide `channels`, at most 32), `layer` (over channels and places: one group), `none`,
            `spectral` (nothing here: the weights of convolutions are normalised), or a name `timm.layers` knows.
        channels: channels of what it normalises.

    Raises:
        UnknownNameError: nobody knows the name.
        ConfigError: the norm can't be made for so many channels.
    """
    check_count("channels", channels, "make_norm")
    build = _find_norm(norm) if isinstance(norm, str) else norm
    if not callable(build) or isinstance(build, nn.Module):
        raise ConfigError(f"norm must be a name or a callable (channels) -> nn.Module, got {quote(norm)}")
    try:
        made = build(channels)
    except ValueError as error:
        raise ConfigError(f"norm {quote(norm)} does not fit {channels} channels: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"norm {quote(norm)} made {quote(made)}; it must make an nn.Module")
    return made


def check_norm_name(name: str) -> None:
    """Raise UnknownNameError unless `make_norm` knows `name`; imports timm only if it is none of torch's."""
    _find_norm(name)


def _find_norm(name: str) -> Callable[[int], nn.Module]:
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
    """Whether a convolution before `norm` has use for a bias: most norms take it away again, or add their own."""
    return norm in ("none", "spectral")


def with_weight_norm(module: M, norm: Norm) -> M:
    """`module` with its weight divided by its largest singular value if `norm` is "spectral", else as it is.

    Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", equation 8.
    """
    if norm == "spectral":
        parametrizations.spectral_norm(module)
    return module


# --- activations ---------------------------------------------------------------------------------------------

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


# --- modulation by label -------------------------------------------------------------------------------------


class ClassModulation(OwnStart):
    """Scale and shift every channel by class: x * (1 + scale[label]) + shift[label]; the identity at first.

    De Vries et al. 2017 (arXiv 1707.00683) change a norm's scale and shift so; here it stands behind any block.

    Args:
        num_classes: how many classes there are.
        channels: channels of the input.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        check_count("num_classes", num_classes, "ClassModulation")
        check_count("channels", channels, "ClassModulation")
        self.num_classes, self.channels = num_classes, channels
        self.scale = nn.Embedding(num_classes, channels)
        self.shift = nn.Embedding(num_classes, channels)
        self.restore_start()

    def restore_start(self) -> None:
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Modulate `x` (N, channels, H, W) by `labels` (N,), int64, from 0 to num_classes - 1.

        Raises:
            ShapeError: another shape or dtype, or (where labels are on the CPU) a label out of range.
        """
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ShapeError(f"ClassModulation wants images (N, {self.channels}, H, W), got {tuple(x.shape)}.")
        if labels.shape != x.shape[:1] or labels.dtype not in (torch.int64, torch.int32):
            found = f"{tuple(labels.shape)}, {labels.dtype}"
            raise ShapeError(f"ClassModulation wants labels of shape ({len(x)},) and dtype int64, got {found}.")
        check_range(labels, self.num_classes)
        return x * (1 + self.scale(labels)[:, :, None, None]) + self.shift(labels)[:, :, None, None]


def check_range(labels: Tensor, num_classes: int) -> None:
    """Raise ShapeError unless `labels` are 0 to `num_classes` - 1, where they are on the CPU.

    Elsewhere the look would wait for the device; nor can a compiled graph branch on values.
    """
    if labels.device.type == "cpu" and labels.numel() and not torch.compiler.is_compiling():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= num_classes:
            raise ShapeError(f"Labels must be 0 to {num_classes - 1}, got {low if low < 0 else high}.")
