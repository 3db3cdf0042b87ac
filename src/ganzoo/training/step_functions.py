"""One update of each network, as plain functions: the whole of GAN training (Goodfellow et al. 2014, algorithm 1).

They serve a custom loop as well as the `Trainer`::

    fake = generator(latents)
    discriminator_step(discriminator, discriminator_optimizer, loss, [MicroBatch(real, fake)])
    generator_step(discriminator, generator_optimizer, loss, [MicroBatch(real, fake)])

The fakes of the discriminator's step serve the generator's too, with logits of the updated discriminator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.errors import ConfigError
from ganzoo.losses import Loss
from ganzoo.models.contract import call_with, frozen


class MicroBatch(NamedTuple):
    """A batch, or a part of one that is computed at a time: real (N, C, H, W), fake (N, C, H, W), labels (N,) of both,
    labels that the real images don't have, its share of the batch's images, and the latents (N, ...) of the fakes.

    `real` may be None in the generator's update if its loss does not look at real images (`generator_sees_real`).
    """

    real: Tensor | None
    fake: Tensor
    labels: Tensor | None = None
    mismatched_labels: Tensor | None = None
    share: float = 1.0
    latents: Tensor | None = None


def real_images(part: MicroBatch) -> Tensor:
    """The part's real images; ConfigError if it has none."""
    if part.real is None:
        raise ConfigError("MicroBatch(None, ...): this update looks at real images; give them as its first argument")
    return part.real


class CallDiscriminator(Protocol):
    """Images and labels to logits: a discriminator, or one behind augmentation and autocast.

    With other labels of the same images as a third argument, the logits under them follow the first; that is
    needed if parts have wrong labels.
    """

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, other_labels: Tensor | None = None, /
    ) -> Tensor: ...


DiscriminatorTerm = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
GeneratorTerm = Callable[[MicroBatch], Tensor]


def discriminator_step(
    discriminate: CallDiscriminator,
    optimizer: Optimizer,
    loss: Loss,
    parts: Iterable[MicroBatch],
    *,
    mismatched_share: float = 0.0,
    penalty: DiscriminatorTerm | None = None,
    processes: int = 1,
    backward: Callable[[Tensor], None] = Tensor.backward,
    step: Callable[[Optimizer], None] = lambda optimizer: optimizer.step(),
) -> Tensor:
    """Update the discriminator on a batch in parts; the fakes' own graphs are left alone.

    Args:
        mismatched_share: of the loss, in which real images under the parts' `mismatched_labels` stand for the fakes, so
            that a discriminator must look at labels (Reed et al. 2016, "Generative Adversarial Text to Image
            Synthesis", section 4.2, with a half).
        penalty: called as (real, fake, labels) for each part, gives a number to add. With one of `PENALTIES`:
            `lambda real, fake, labels: 10 * r1(discriminator, real, fake)`.
        processes: that share the batch, and whose gradients are averaged: a summed loss weighs as many times as much.
        backward: called with each part's loss; Accelerate and Lightning have their own.
        step: called with the optimizer when all parts are done.

    Returns:
        Five means over the batch, detached (loss without penalty, real logits, fake logits, penalty, and the sign of
        the real logits, which tells overfitting: Karras et al. 2020, "Training GANs with Limited Data", eq. 1; of their
        differences to the fake ones if the loss sees only these, `undecided_at_zero`).
    """
    optimizer.zero_grad(set_to_none=True)
    figures = []
    for part in parts:
        fake = part.fake.detach()
        value, real_logits, fake_logits = discriminator_loss(discriminate, loss, part, fake, mismatched_share)
        extra = penalty(real_images(part), fake, part.labels) if penalty else torch.zeros_like(value)
        backward(value * (processes if loss.reduction == "sum" else part.share) + extra * part.share)
        figures.append(discriminator_figures(loss, value, real_logits, fake_logits, extra) * part.share)
    step(optimizer)
    return torch.stack(figures).sum(dim=0)


def discriminator_loss(
    discriminate: CallDiscriminator, loss: Loss, part: MicroBatch, fake: Tensor, mismatched_share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss on the part's real images and on `fake`, with both logits; arguments as of `discriminator_step`."""
    real = real_images(part)
    if part.mismatched_labels is None:
        real_logits = call_with(discriminate, real, part.labels)
    else:
        real_logits, wrong_logits = discriminate(real, part.labels, part.mismatched_labels).chunk(2)
    fake_logits = call_with(discriminate, fake, part.labels)
    value = loss.for_discriminator(real_logits, fake_logits)
    if part.mismatched_labels is not None:
        wrong = loss.for_discriminator(real_logits, wrong_logits)
        value = (1 - mismatched_share) * value + mismatched_share * wrong
    return value, real_logits, fake_logits


def discriminator_figures(
    loss: Loss, value: Tensor, real_logits: Tensor, fake_logits: Tensor, penalty: Tensor
) -> Tensor:
    """The five means that `discriminator_step` returns, of one part."""
    per_image = value / len(fake_logits) if loss.reduction == "sum" else value
    real, fake = real_logits.detach(), fake_logits.detach()
    if loss.undecided_at_zero:
        sign = real.sign()
    else:  # a logit says "real" if it is above a fake's: in pairs, if there are as many of both
        sign = (real - (fake if fake.shape == real.shape else fake.mean())).sign()
    return torch.stack([per_image, real.mean(), fake.mean(), penalty, sign.mean()]).detach()


def generator_step(
    discriminator: nn.Module,
    optimizer: Optimizer,
    loss: Loss,
    parts: Iterable[MicroBatch],
    *,
    discriminate: CallDiscriminator | None = None,
    penalty: GeneratorTerm | None = None,
    processes: int = 1,
    backward: Callable[[Tensor], None] = Tensor.backward,
    step: Callable[[Optimizer], None] = lambda optimizer: optimizer.step(),
) -> Tensor:
    """Update the generator through the discriminator, whose parameters are frozen meanwhile (their gradients are not
    needed, and cost a ninth of a step).

    Args:
        parts: fakes with their graphs; made one by one if the iterable is lazy, so that one graph is held at a time.
        discriminate: how to call the discriminator, if there is augmentation or autocast before it.
        penalty: called with each part, gives a number to add.
        processes, backward, step: as of `discriminator_step`.

    Returns:
        The mean loss without penalty, detached, of shape (1,).
    """
    discriminate = discriminate or discriminator
    optimizer.zero_grad(set_to_none=True)
    figures = []
    with frozen(discriminator):
        for part in parts:
            real_logits = None
            if loss.generator_sees_real:
                with torch.no_grad():
                    real_logits = call_with(discriminate, real_images(part), part.labels)
            value = loss.for_generator(call_with(discriminate, part.fake, part.labels), real_logits)
            extra = penalty(part) * part.share if penalty else 0.0
            backward(value * (processes if loss.reduction == "sum" else part.share) + extra)
            figures.append((value / len(part.fake) if loss.reduction == "sum" else value).detach() * part.share)
    step(optimizer)
    return torch.stack(figures).sum().reshape(1)
