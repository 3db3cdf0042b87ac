"""Losses: what the discriminator and the generator each minimise, as functions of logits.

A loss of your own is a function that makes a `Loss`. Registered under a name, it trains by that name, and its keywords
are options (`loss="acme.margin(margin=2)"`)::

    @LOSSES.register("margin")
    def margin(margin: float = 1.0) -> Loss:
        return Loss(for_discriminator=..., for_generator=...)

Below, r are the logits of real images, f those of fakes, and E is the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, ShapeError, failure, quote
from ganzoo.registry import Registry

Smoothing = Annotated[float, Bounds(0, 0.5)]
_Role = Callable[[Tensor, Tensor], Tensor]  # of real and fake logits


@dataclass(frozen=True)
class Loss:
    """A pair of functions from logits to a number to minimise.

    Logits have any shape (N, ...), one or more an image; a large logit says "real". The functions keep no state and
    draw no random numbers. The built-in losses compute in float32 at least (half precision is raised to it) and stay
    finite at logits of 10,000. A loss can't be pickled: give another process its name.

    Args:
        for_discriminator: called as (real_logits, fake_logits), gives a scalar tensor.
        for_generator: called as (fake_logits, real_logits), gives a scalar tensor; `real_logits` is None unless
            `generator_sees_real`.
        generator_sees_real: the generator's loss needs real logits, which costs a pass of the discriminator.
        reduction: the losses are means over the batch or sums; to compare figures, sums are divided by its size.
        undecided_at_zero: a logit of 0 says neither "real" nor "fake". False if the losses see only differences of
            logits, to all of which a number may be added: the sign of one logit means nothing then.
    """

    for_discriminator: Callable[[Tensor, Tensor], Tensor]
    for_generator: Callable[[Tensor, Tensor | None], Tensor]
    generator_sees_real: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    undecided_at_zero: bool = True


LOSSES: Registry[Callable[..., Loss]] = Registry(
    "loss", "ganzoo.losses", "a function that makes a ganzoo.losses.Loss", callable, makes=Loss
)


def full(numbers: Tensor) -> Tensor:
    """`numbers` in float32 at least: means and squares of half precision lose digits, or overflow."""
    return numbers.float() if numbers.dtype in (torch.float16, torch.bfloat16) else numbers


def without_smoothing(text: str, made: Loss) -> Loss:
    """The loss `made` of `text`, a name with or without options; one of ours without its label smoothing."""
    name, options = LOSSES.read(text, "loss")
    if name not in ("non-saturating", "minimax", "d2l") or not options.get("smoothing"):
        return made
    sharp: Loss = LOSSES.make(name, "loss")  # whose only option it is
    return sharp


def _cross_entropy(smoothing: float, reduction: Literal["mean", "sum"] = "mean") -> Callable[[Tensor, Tensor], Tensor]:
    """The discriminator's cross-entropy on logits, with targets 1 - smoothing for real images and 0 for fakes.

    One-sided label smoothing: the discriminator stops at sigmoid(r) = 1 - smoothing instead of growing without end.
    Salimans et al. 2016, section 3.4.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = full(real_logits), full(fake_logits)
        on_real = softplus(-real) + smoothing * real if smoothing else softplus(-real)
        if reduction == "sum":
            return (on_real.sum() + softplus(fake).sum()) / 2
        return on_real.mean() + softplus(fake).mean()

    return for_discriminator


@LOSSES.register("non-saturating")
def non_saturating(smoothing: Smoothing = 0.0) -> Loss:
    """Cross-entropy, the usual one (Goodfellow et al. 2014, section 3).

    D: E softplus(-r) + E softplus(f). G: E softplus(-f). That is cross-entropy: softplus(-r) = -log sigmoid(r),
    softplus(f) = -log(1 - sigmoid(f)). The generator maximises log D(G(z)), so its gradient is largest if its fakes
    are recognised.

    Args:
        smoothing: real targets are 1 minus this.
    """
    return Loss(_cross_entropy(smoothing), lambda fake_logits, _: softplus(-full(fake_logits)).mean())


@LOSSES.register("minimax")
def minimax(smoothing: Smoothing = 0.0) -> Loss:
    """Cross-entropy as a zero-sum game; the generator's gradient vanishes (Goodfellow et al. 2014, eq. 1).

    D as non-saturating. G: -E softplus(f), which is E log(1 - D(G(z))). For study more than for use: the derivative by
    f is -sigmoid(f)/N, so the generator's gradient vanishes exactly if the discriminator is sure of the fakes, as it is
    early in training.

    Args:
        smoothing: real targets are 1 minus this.
    """
    return Loss(_cross_entropy(smoothing), lambda fake_logits, _: -softplus(full(fake_logits)).mean())


@LOSSES.register("d2l")
def d2l(smoothing: Smoothing = 0.0) -> Loss:
    """Non-saturating, summed over the batch (Dive into Deep Learning, DCGAN).

    The discriminator's is (real + fake)/2.

    The size of a step then depends on the batch size (with Adam hardly, as it divides by the gradient's size).

    Args:
        smoothing: real targets are 1 minus this.
    """
    return Loss(
        _cross_entropy(smoothing, "sum"), lambda fake_logits, _: softplus(-full(fake_logits)).sum(), reduction="sum"
    )


def _raise_fakes(fake_logits: Tensor, _: Tensor | None) -> Tensor:
    return -full(fake_logits).mean()


@LOSSES.register("hinge")
def hinge() -> Loss:
    """A margin of 1; goes with spectral norm (Lim & Ye 2017, "Geometric GAN").

    D: E max(0, 1 - r) + E max(0, 1 + f). G: -E f.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return relu(1 - full(real_logits)).mean() + relu(1 + full(fake_logits)).mean()

    return Loss(for_discriminator, _raise_fakes)


@LOSSES.register("least-squares")
def least_squares() -> Loss:
    """Squared distance from the targets 1 and 0 (Mao et al. 2017, "Least Squares GAN", halves included).

    D: E (r - 1)^2 / 2 + E f^2 / 2. G: E (f - 1)^2 / 2.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return ((full(real_logits) - 1).square().mean() + full(fake_logits).square().mean()) / 2

    return Loss(for_discriminator, lambda fake_logits, _: (full(fake_logits) - 1).square().mean() / 2)


@LOSSES.register("wasserstein")
def wasserstein() -> Loss:
    """Difference of means; needs the penalty wgan-gp(weight=10) (Arjovsky et al. 2017, "Wasserstein GAN").

    D: E f - E r. G: -E f. The discriminator's loss has no lower bound of its own: it wants the penalty wgan-gp (of
    weight 10 in Gulrajani et al. 2017) and no batch norm.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return full(fake_logits).mean() - full(real_logits).mean()

    return Loss(for_discriminator, _raise_fakes, undecided_at_zero=False)


@LOSSES.register("relativistic")
def relativistic() -> Loss:
    """Real against fake in pairs; goes with the penalties r1 and r2 (Jolicoeur-Martineau 2018; R3GAN 2024).

    D: E softplus(f - r). G: E softplus(r - f). The i-th real image is compared with the i-th fake. The pairing form
    (RpGAN) of "The relativistic discriminator"; with r1 and r2 it is the loss of R3GAN (Huang et al. 2024).
    """

    def compare(high: Tensor, low: Tensor) -> Tensor:
        if high.shape != low.shape:
            raise ShapeError(
                f"relativistic compares real and fake logits one by one: they must have one shape, got "
                f"{tuple(high.shape)} and {tuple(low.shape)}."
            )
        return softplus(full(low) - full(high)).mean()

    def for_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        if real_logits is None:
            raise ConfigError(
                "relativistic: for_generator needs real_logits too (generator_sees_real is True), got None"
            )
        return compare(fake_logits, real_logits)

    return Loss(compare, for_generator, generator_sees_real=True, undecided_at_zero=False)


def check_loss(loss: str | Loss) -> None:
    """Check that a loss keeps the contract, on a few logits.

    Args:
        loss: a registered name, with or without options, or the loss itself.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: one of its functions fails, gives anything but one number, or another one in a second call, has a
            value or gradient that is not finite (at logits of 10,000 neither), no gradient, or one that lowers real
            logits or raises fakes' in the discriminator, or lowers fakes' in the generator; or it reduces a batch
            otherwise than `reduction` says, or does not take logits of shapes (N,) and (N, 1, H, W).
    """
    made: Loss = LOSSES.make(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise ConfigError(f"check_loss takes a name or a ganzoo.losses.Loss, got {quote(loss)}")
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(8, 1, device="cpu", generator=random).requires_grad_() for _ in range(2))
    roles: dict[str, _Role] = {
        "for_discriminator": made.for_discriminator,
        "for_generator": lambda real, fake: made.for_generator(fake, real if made.generator_sees_real else None),
    }
    for role, compute in roles.items():
        place = f"loss {loss if isinstance(loss, str) else 'given'} ({role})"
        learns = (real, fake) if role == "for_discriminator" else (fake,)
        value = _checked_values(place, compute, real, fake, learns)
        _check_push(place, compute, real, fake, learns)
        for shape in ((8,), (8, 1, 1, 1), (2, 1, 2, 2)):
            checked_number(
                f"{place}, for logits of shape {shape},", partial(compute, real.reshape(shape), fake.reshape(shape))
            )
        twice = checked_number(place, partial(compute, real.repeat(2, 1), fake.repeat(2, 1)))
        if not torch.allclose(twice, value * (2 if made.reduction == "sum" else 1), rtol=1e-4, atol=1e-5):
            raise ConfigError(
                f"{place}: its reduction is not {quote(made.reduction)}; that of a batch taken twice must be "
                f"{'twice as large' if made.reduction == 'sum' else 'the same'}"
            )


def _checked_values(place: str, compute: _Role, real: Tensor, fake: Tensor, learns: tuple[Tensor, ...]) -> Tensor:
    """What `compute` gives; ConfigError unless that and its gradient by `learns` are finite, and the same each time."""
    value, again = (checked_number(place, partial(compute, real, fake)) for _ in range(2))
    huge = checked_number(place, partial(compute, -10_000 * real, 10_000 * fake), " at logits of 10,000")
    if not (value.isfinite() and huge.isfinite()):
        raise ConfigError(f"{place} is not finite, at logits of 10,000 at least")
    if not torch.equal(value, again):
        raise ConfigError(f"{place} gives another number in a second call: a loss can't keep state or draw numbers")
    if not all(each.isfinite().all() and each.any() for each in _gradients(value, learns)):
        raise ConfigError(f"{place}: no gradient passes through it, or one that is not finite")
    if not all(each.isfinite().all() for each in _gradients(huge, learns)):
        raise ConfigError(f"{place}: its gradient is not finite at logits of 10,000")
    return value


def _check_push(place: str, compute: _Role, real: Tensor, fake: Tensor, learns: tuple[Tensor, ...]) -> None:
    """Raise ConfigError if `compute` pushes logits the wrong way.

    The discriminator must raise real images' logits and lower fakes' where it is wrong about both, the generator raise
    fakes' at 0 or at -3: the gradient of some zero-sum losses turns.
    """
    of_both = len(learns) == 2
    signs = torch.tensor([-1, 1] if of_both else [-1])
    tried = [(real - 3, fake + 3)] if of_both else [(real, fake), (real, fake - 3)]
    pushes = [torch.stack([each.sum() for each in _gradients(compute(*logits), learns)]) for logits in tried]
    if all((push * signs < 0).any() for push in pushes):
        raise ConfigError(f"{place}: it pushes logits the wrong way; a large logit says that an image is real")


def _gradients(value: Tensor, logits: tuple[Tensor, ...]) -> list[Tensor]:
    """Gradients of `value` by each of `logits`, zeros where there is none."""
    found = torch.autograd.grad(value, logits, allow_unused=True) if value.requires_grad else [None] * len(logits)
    return [torch.zeros_like(by) if each is None else each for each, by in zip(found, logits)]


def checked_number(place: str, compute: Callable[[], Any], when: str = "") -> Tensor:
    """What `compute` gives: one number, and not NaN (`when`, for the message); else a ConfigError that begins with
    `place`."""
    try:
        value = compute()
    except Exception as error:
        raise failure(error, f"{place} fails") from error
    if not isinstance(value, Tensor) or value.numel() != 1 or value.dim() or not value.is_floating_point():
        raise ConfigError(f"{place} gives {kind_of(value)}; it must be one number, a tensor of shape (), as by .mean()")
    if value.isnan():
        raise ConfigError(f"{place} gives NaN{when}; mend it or take another")
    return value


def kind_of(value: object) -> str:
    """Type and shape of a tensor, or what else `value` is, for messages."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__} ({quote(value, 40)})"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
