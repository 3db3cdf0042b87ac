"""Losses: what the discriminator and the generator each minimise, as functions of logits.

A loss of your own is a `Loss` object; registered under a name, it trains by that name:

    LOSSES.register("my-loss", Loss(for_discriminator=..., for_generator=...))

Below, r are the logits of real images, f those of fakes, and E is the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganzoo.errors import ConfigError, ShapeError, did_you_mean, quote
from ganzoo.registry import Registry


@dataclass(frozen=True)
class Loss:
    """A pair of functions from logits to a number to minimise.

    Logits have any shape (N, ...), one or more an image; a large logit says "real". The built-in losses compute in
    float32 at least (half precision is raised to it) and stay finite at logits of 10,000.

    Args:
        for_discriminator: called as (real_logits, fake_logits), gives a scalar tensor.
        for_generator: called as (fake_logits, real_logits), gives a scalar tensor; `real_logits` is None unless
            `generator_sees_real`.
        generator_sees_real: the generator's loss needs real logits, which costs a pass of the discriminator.
        summed: the losses are sums over the batch, not means; to compare figures, divide them by its size.
        description: one line for lists.
    """

    for_discriminator: Callable[[Tensor, Tensor], Tensor]
    for_generator: Callable[[Tensor, Tensor | None], Tensor]
    generator_sees_real: bool = False
    summed: bool = False
    description: str = ""


LOSSES: Registry[Loss] = Registry("loss", "ganzoo.losses", "a ganzoo.losses.Loss", lambda item: isinstance(item, Loss))


def _full(logits: Tensor) -> Tensor:
    """Logits in float32 at least: means and squares of half precision lose digits, or overflow."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _cross_entropy(smoothing: float, summed: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """The discriminator's cross-entropy on logits, with targets 1 - smoothing for real images and 0 for fakes."""

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = _full(real_logits), _full(fake_logits)
        on_real = softplus(-real) + smoothing * real if smoothing else softplus(-real)
        if summed:
            return (on_real.sum() + softplus(fake).sum()) / 2
        return on_real.mean() + softplus(fake).mean()

    return for_discriminator


def _non_saturating(smoothing: float) -> Loss:
    """D: E softplus(-r) + E softplus(f). G: E softplus(-f). Goodfellow et al. 2014, section 3.

    That is cross-entropy: softplus(-r) = -log sigmoid(r), softplus(f) = -log(1 - sigmoid(f)). The generator maximises
    log D(G(z)), so its gradient is largest where its fakes are found out.
    """
    return Loss(
        _cross_entropy(smoothing),
        lambda fake_logits, _: softplus(-_full(fake_logits)).mean(),
        description="cross-entropy, the usual one (Goodfellow 2014)",
    )


def _minimax(smoothing: float) -> Loss:
    """D as non-saturating. G: -E softplus(f), which is E log(1 - D(G(z))). Goodfellow et al. 2014, eq. 1.

    For study more than for use: the derivative by f is -sigmoid(f)/N, so the generator's gradient vanishes exactly
    where the discriminator is sure of the fakes, as it is early in training.
    """
    return Loss(
        _cross_entropy(smoothing),
        lambda fake_logits, _: -softplus(_full(fake_logits)).mean(),
        description="cross-entropy as a zero-sum game; the generator's gradient vanishes (Goodfellow 2014)",
    )


def _d2l(smoothing: float) -> Loss:
    """Non-saturating, summed over the batch; the discriminator's is (real + fake)/2. "Dive into Deep Learning", DCGAN.

    The size of a step then depends on the batch size (with Adam hardly, as it divides by the gradient's size).
    """
    return Loss(
        _cross_entropy(smoothing, summed=True),
        lambda fake_logits, _: softplus(-_full(fake_logits)).sum(),
        summed=True,
        description="non-saturating, summed over the batch (Dive into Deep Learning)",
    )


SMOOTHABLE: Mapping[str, Callable[[float], Loss]] = {
    "non-saturating": _non_saturating,
    "minimax": _minimax,
    "d2l": _d2l,
}
"""The losses that take label smoothing: those with targets of a cross-entropy."""

for _name, _build in SMOOTHABLE.items():
    LOSSES.register(_name, _build(0.0))


def smooth(name: str, amount: float) -> Loss:
    """The loss `name` with one-sided label smoothing: real targets are 1 - amount, fake ones stay 0.

    The discriminator then stops at sigmoid(r) = 1 - amount instead of growing without end. Salimans et al. 2016,
    section 3.4. With amount 0 it is the registered loss itself, whatever the name.

    Raises:
        UnknownNameError: no such loss.
        ConfigError: the loss has no targets to smooth, or `amount` is not in 0 to 0.5.
    """
    loss = LOSSES[name]
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= 0.5:
        raise ConfigError(f"label_smoothing must be 0 to 0.5, got {quote(amount)}")
    if amount == 0:
        return loss
    if name not in SMOOTHABLE:
        raise ConfigError(f"label_smoothing has no meaning for {name}.{did_you_mean(name, SMOOTHABLE)}")
    return SMOOTHABLE[name](amount)


def _raise_fakes(fake_logits: Tensor, _: Tensor | None) -> Tensor:
    return -_full(fake_logits).mean()


def _hinge(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D: E max(0, 1 - r) + E max(0, 1 + f). G: -E f. Lim & Ye 2017, "Geometric GAN"."""
    return relu(1 - _full(real_logits)).mean() + relu(1 + _full(fake_logits)).mean()


def _least_squares(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D: E (r - 1)^2 / 2 + E f^2 / 2. G: E (f - 1)^2 / 2. Mao et al. 2017, "Least Squares GAN", halves included.

    The targets are 1 for real and 0 for fake; the generator wants its fakes at 1.
    """
    return ((_full(real_logits) - 1).square().mean() + _full(fake_logits).square().mean()) / 2


def _least_squares_generator(fake_logits: Tensor, _: Tensor | None) -> Tensor:
    return (_full(fake_logits) - 1).square().mean() / 2


def _wasserstein(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """D: E f - E r. G: -E f. Arjovsky et al. 2017, "Wasserstein GAN".

    The discriminator's loss has no lower bound of its own: it wants the penalty wgan-gp (of weight 10 in Gulrajani et
    al. 2017) and no batch norm.
    """
    return _full(fake_logits).mean() - _full(real_logits).mean()


def _relativistic(high: Tensor, low: Tensor) -> Tensor:
    """D: E softplus(f - r). G: E softplus(r - f). The i-th real image is compared with the i-th fake.

    The pairing form (RpGAN) of Jolicoeur-Martineau 2018, "The relativistic discriminator"; with the penalties r1 and
    r2 it is the loss of R3GAN (Huang et al. 2024).
    """
    if high.shape != low.shape:
        raise ShapeError(
            f"relativistic compares real and fake logits one by one: they must have one shape, got "
            f"{tuple(high.shape)} and {tuple(low.shape)}."
        )
    return softplus(_full(low) - _full(high)).mean()


def _relativistic_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    if real_logits is None:
        raise ConfigError("relativistic: for_generator needs real_logits too (generator_sees_real is True), got None")
    return _relativistic(fake_logits, real_logits)


LOSSES.register("hinge", Loss(_hinge, _raise_fakes, description="a margin of 1; with spectral norm (Lim 2017)"))
LOSSES.register(
    "least-squares",
    Loss(_least_squares, _least_squares_generator, description="squared distance from targets 1 and 0 (Mao 2017)"),
)
LOSSES.register(
    "wasserstein",
    Loss(_wasserstein, _raise_fakes, description="difference of means; wants wgan-gp (Arjovsky 2017)"),
)
LOSSES.register(
    "relativistic",
    Loss(
        _relativistic,
        _relativistic_generator,
        generator_sees_real=True,
        description="real against fake in pairs; with r1 and r2 (Jolicoeur-Martineau 2018, R3GAN 2024)",
    ),
)
