"""The loss "acme.soft-hinge"."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from ganzoo.losses import Loss


def _for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E softplus(1 - r) + E softplus(1 + f): the hinge loss with its corners rounded off."""
    return softplus(1 - real_logits).mean() + softplus(1 + fake_logits).mean()


def _for_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    """-E f. `real_logits` is None, as the loss does not declare `generator_sees_real`."""
    return -fake_logits.mean()


soft_hinge = Loss(_for_discriminator, _for_generator, description="hinge with its corners rounded off")
