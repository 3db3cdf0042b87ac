"""How parameters start: initialisations by name, and modules that keep a start of their own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError
from ganzoo.registry import Registry

Draw = Callable[[nn.Module], None]


class OwnStart(nn.Module, ABC):
    """A module whose parameters must start in a way of their own, such as a gate at zero.

    Its constructor calls `reset_parameters`, and so does `initialise` after it has drawn all weights anew.
    """

    @abstractmethod
    def reset_parameters(self) -> None:
        """Bring this module's freshly drawn parameters into the state it starts from."""


_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


class BranchConvolution(nn.Conv2d):
    """A convolution in the branch of a residual block, next to an activation: `xavier` draws it with ReLU's gain."""


def _drawing(weights: Callable[[nn.Module, Tensor], object], scales: Callable[[Tensor], object]) -> Draw:
    """Draws the weights of a module, or the scale of a norm; biases and shifts become zero."""

    def draw(module: nn.Module) -> None:
        if isinstance(module, _WEIGHTED):
            weight = plain_weight(module)
            if weight is not None:
                weights(module, weight)
        elif isinstance(module, _NORMS) and module.weight is not None:
            scales(module.weight)
        else:
            return
        if not isinstance(module, nn.Embedding) and module.bias is not None:
            nn.init.zeros_(module.bias)

    return draw


INITIALISATIONS: Registry[Callable[..., Draw]] = Registry(
    "initialisation",
    "ganzoo.initialisations",
    "a function that makes a function of a torch.nn.Module",
    callable,
    makes=Callable,  # type: ignore[arg-type]  # what isinstance takes
)


@INITIALISATIONS.register("dcgan")
def dcgan(deviation: Annotated[float, Bounds(0)] = 0.02) -> Draw:
    """Weights from N(0, deviation), the scales of norms from N(1, deviation), biases and shifts 0.

    Radford et al. 2015, section 4.
    """
    return _drawing(
        lambda _, weight: nn.init.normal_(weight, 0.0, deviation), lambda scale: nn.init.normal_(scale, 1.0, deviation)
    )


@INITIALISATIONS.register("d2l")
def d2l(deviation: Annotated[float, Bounds(0)] = 0.02) -> Draw:
    """Every parameter from N(0, deviation), the norms' too (Dive into Deep Learning, DCGAN)."""

    def draw(module: nn.Module) -> None:
        for parameter in module.parameters(recurse=False):
            nn.init.normal_(parameter, 0.0, deviation)

    return draw


@INITIALISATIONS.register("orthogonal")
def orthogonal(gain: Annotated[float, Bounds(0)] = 1.0) -> Draw:
    """Weights with orthogonal rows or columns, biases 0, norms 1 and 0 (Saxe et al. 2014, arXiv 1312.6120)."""
    return _drawing(lambda _, weight: nn.init.orthogonal_(weight, gain), nn.init.ones_)


@INITIALISATIONS.register("xavier")
def xavier() -> Draw:
    """Weights uniform in +-g sqrt(6 / (fan in + fan out)), biases 0, norms 1 and 0 (Glorot and Bengio 2010).

    As in SNGAN's code, g is the root of 2 in the branches of residual blocks, else 1.
    """

    def weights(module: nn.Module, weight: Tensor) -> None:
        nn.init.xavier_uniform_(weight, math.sqrt(2) if isinstance(module, BranchConvolution) else 1)

    return _drawing(weights, nn.init.ones_)


def _leave(module: nn.Module) -> None:
    """Draws nothing."""


@INITIALISATIONS.register("torch")
def as_constructed() -> Draw:
    """All stays as constructors drew it."""
    return _leave


def initialise(module: nn.Module, name: str) -> None:
    """Draw the parameters of `module` and all it holds anew, from torch's global random numbers.

    Every `OwnStart` in it then restores its own start (attention's gate, a modulation's zeros, ICNR), and spectral
    norms find the singular values of their new weights. A module of yours that must start in its own way and holds
    convolutions, linear layers or norms of torch's inherits `OwnStart`.

    Args:
        module: what to initialise.
        name: a name of `INITIALISATIONS` with or without options, as `dcgan` or `orthogonal(gain=1.4)`. They draw the
            weights of torch's convolutions, linear layers and embeddings, and the scales of its norms.

    Raises:
        UnknownNameError: no initialisation has this name. ConfigError: an option is wrong.
    """
    draw = INITIALISATIONS.make(name)
    if isinstance(draw, nn.Module):  # callable, but it would draw nothing
        raise ConfigError(f"initialisation {name} makes a module ({type(draw).__name__}), not a function of one")
    if draw is _leave:
        return
    for part in module.modules():
        draw(part)
    for part in module.modules():
        if isinstance(part, OwnStart):
            part.reset_parameters()
    for part in module.modules():
        if parametrize.is_parametrized(part):
            _refresh(part)


def plain_weight(module: nn.Module) -> nn.Parameter | None:
    """The parameter behind `module.weight`, which spectral norm hides; None if several are."""
    own = dict(module.named_parameters())
    places = "weight", "weight_orig", "parametrizations.weight.original"  # the second by torch's older function
    return next((own[place] for place in places if place in own), None)


@torch.no_grad()
def _refresh(module: nn.Module) -> None:
    """Let spectral norm's power iteration catch up with a new weight: it takes one step each time it is asked."""
    hidden = module.get_submodule("parametrizations")
    was_training = hidden.training
    hidden.train()
    for _ in range(15):  # as many as torch itself takes for a new module
        for name, _unused in hidden.named_children():
            getattr(module, name)
    hidden.train(was_training)
