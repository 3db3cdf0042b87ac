"""A loss, a penalty on each network, and an augmentation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganzoo.losses import Loss
from ganzoo.seeds import uniform


def margin(margin: float = 1.0) -> Loss:
    """The hinge loss with rounded corners: D: E softplus(margin - r) + E softplus(margin + f). G: -E f.

    Logits beyond `margin` cost hardly anything.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(margin - real_logits).mean() + softplus(margin + fake_logits).mean()

    def for_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits.mean()  # real_logits is None, as the loss does not declare `generator_sees_real`

    return Loss(for_discriminator, for_generator)


def drift(
    discriminate: Callable[[Tensor], Tensor],
    real_images: Tensor,
    fake_images: Tensor,
    random: torch.Generator | None = None,
) -> Tensor:
    """Keeps the logits of real images near 0: E D(real)^2 (Karras et al. 2018, appendix A.1)."""
    return discriminate(real_images).float().square().mean()


def pull(
    generate: Callable[..., Tensor], latents: Tensor, labels: Tensor | None, random: torch.Generator | None
) -> Tensor:
    """Pulls images towards their mirror images: E |G(z) - mirror(G(z))|^2."""
    images = generate(latents, labels)
    return (images - images.flip(-1)).square().mean()


def dim(images: Tensor, random: torch.Generator | None = None, *, strength: float = 0.5) -> Tensor:
    """Darken each image towards black (-1) by its own share, up to `strength`."""
    share = strength * uniform(len(images), 1, 1, 1, random=random, device=images.device).to(images)
    return images - share * (images + 1)
