"""One-stage updates: one pass of the discriminator over the fakes, forward and backward, trains both networks.

Shen et al. 2021, "Training Generative Adversarial Networks in One Stage" (arXiv 2103.00430, section 3). Let f be the
logit of the fake x, and d = dL_D/df, g = dL_G/df. The discriminator's backward pass gives dL_D/dx = d df/dx on its way
to the weights; the generator needs dL_G/dx = g df/dx, which is (g/d) times that. A step then takes 9 passes of one
network over one image where alternating updates take 11, and the generator learns from the discriminator as it was
before the step.

That is exact for any discriminator if g/d is the same for all images, as with minimax (-1) and wasserstein (-1).
Otherwise a logit must depend on its own image alone: batch norm mixes images, and a ratio of exp(-f), as of
non-saturating, blows up what the others leave in an image's gradient (in trained networks a billion times).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzoo.losses import Loss
from ganzoo.models.contract import call_with
from ganzoo.training.step_functions import (
    CallDiscriminator,
    DiscriminatorTerm,
    GeneratorTerm,
    MicroBatch,
    discriminator_figures,
    discriminator_loss,
    real_images,
)


def one_stage_step(
    discriminate: CallDiscriminator,
    optimizers: tuple[Optimizer, Optimizer],
    loss: Loss,
    parts: Iterable[MicroBatch],
    *,
    mismatched_share: float,
    penalty: DiscriminatorTerm | None,
    generator_penalty: GeneratorTerm | None,
    processes: int,
    backward: Callable[[Tensor], None],
    step: Callable[[Optimizer], None],
) -> Tensor:
    """Update both networks on a batch in parts, whose fakes have their graphs.

    Args:
        optimizers: of the discriminator and the generator.
        penalty, generator_penalty: of each network. Others as of `discriminator_step`.

    Returns:
        The five means of `discriminator_step`, then the generator's mean loss, in one row.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    figures = []
    for part in parts:
        fake = part.fake.detach().requires_grad_()
        value, real_logits, fake_logits = discriminator_loss(discriminate, loss, part, fake, mismatched_share)
        extra = penalty(real_images(part), fake.detach(), part.labels) if penalty else torch.zeros_like(value)
        weight = processes if loss.reduction == "sum" else part.share
        backward(value * weight + extra * part.share)

        ratios = gradient_ratios(loss, real_logits, fake_logits)
        if part.mismatched_labels is not None:
            ratios = ratios / (1 - mismatched_share)  # the fakes' share of the discriminator's loss
        assert fake.grad is not None
        gradient = fake.grad * ratios.view(-1, *[1] * (fake.dim() - 1))
        of_generator = generator_penalty(part) * part.share if generator_penalty else 0.0
        backward((part.fake * gradient).sum() + of_generator)  # whose derivative by a fake is `gradient`

        drawn = _for_generator(loss, real_logits.detach(), fake_logits.detach())
        drawn = drawn / len(fake) if loss.reduction == "sum" else drawn
        seen = discriminator_figures(loss, value, real_logits, fake_logits, extra)
        figures.append(torch.cat([seen, drawn.reshape(1)]) * part.share)
    for optimizer in optimizers:
        step(optimizer)
    return torch.stack(figures).sum(dim=0)


def gradient_ratios(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(dL_G/df) / (dL_D/df) of each fake, (N,); of several logits of an image, at the one that moves L_D most.

    0 if the discriminator's loss does not move: float32 rounds non-saturating's slope to 0 at f < -100.
    """
    d, g = _slopes(loss, real_logits, fake_logits)
    place = d.abs().argmax(dim=1, keepdim=True)
    d, g = d.gather(1, place)[:, 0], g.gather(1, place)[:, 0]
    return torch.where(d == 0, 0.0, g / d)


def _slopes(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """d and g: derivatives (N, logits of an image) of both losses by the fakes' logits."""
    real, fake = real_logits.detach(), fake_logits.detach().requires_grad_()
    values = loss.for_discriminator(real, fake), _for_generator(loss, real, fake)
    d, g = (torch.autograd.grad(value, fake)[0].reshape(len(fake), -1) for value in values)
    return d, g


def _for_generator(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return loss.for_generator(fake_logits, real_logits if loss.generator_sees_real else None)


def obstacle(loss: Loss, discriminator: nn.Module, fake: Tensor, labels: Tensor | None) -> str | None:
    """Why one pass of `discriminator` over `fake` (N, C, H, W) can't serve both networks, and what to take instead."""
    images = fake.detach().requires_grad_()
    logits = call_with(discriminator, images, labels)
    random = torch.Generator().manual_seed(0)
    real, tried = (torch.randn(logits.shape, generator=random, device="cpu").to(fake.device) * 5 for _ in range(2))
    d, g = _slopes(loss, real, tried)
    ratios = gradient_ratios(loss, real, tried)
    if not torch.allclose(g, ratios[:, None] * d, rtol=1e-3, atol=0):
        return (
            "the generator's gradient does not follow from the discriminator's, which is 0 for some fakes (as hinge's "
            "beyond the margin) or weighs the logits of an image otherwise; choose wasserstein or minimax"
        )
    # Twice the weight on every other image must double its gradient and leave the rest (exact in any precision).
    weights = (1 + torch.arange(len(images), device=fake.device) % 2).view(-1, *[1] * (logits.dim() - 1))
    plain, weighted = (
        torch.autograd.grad(logits, images, each.expand_as(logits).to(logits.dtype), retain_graph=True)[0]
        for each in (torch.ones_like(weights), weights)
    )
    mixed = not torch.allclose(weighted, plain * weights.view(-1, 1, 1, 1), rtol=1e-3, atol=1e-3 * float(plain.std()))
    if mixed and not torch.allclose(ratios, ratios[0], rtol=1e-3):
        return (
            "the discriminator's logit of an image depends on the others of its batch (batch norm), and the loss "
            "weighs images one by one; choose discriminator.norm=layer, or loss=minimax"
        )
    return None
