"""The loss "acme.soft-hinge"."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from ganzoo.losses import Loss


def soft_hinge(margin: float = 1.0) -> Loss:
    """The hinge loss with its corners rounded off.

    D: E softplus(margin - r) + E softplus(margin + f). G: -E f.

    Args:
        margin: logits beyond it cost hardly anything; an option, as in `loss="acme.soft-hinge(margin=2)"`.
    """

    def for_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(margin - real_logits).mean() + softplus(margin + fake_logits).mean()

    def for_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits.mean()  # real_logits is None, as the loss does not declare `generator_sees_real`

    return Loss(for_discriminator, for_generator)
