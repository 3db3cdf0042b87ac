"""The textbook's training loop, written out as a chapter would: float32, fakes made twice, nothing left out.

A yardstick for `throughput.py`, which imports `make_step`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def make_step(
    generator: nn.Module,
    discriminator: nn.Module,
    latent_size: int,
    rate: float = 2e-4,
    device: torch.device | str = "cpu",
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function that trains both networks on one batch of real images (N, C, H, W): 12.9 units of work.

    A unit is one pass of one network over one image: the discriminator's update costs 1 (fakes), 2 (real and fake) and
    4 (their gradients); the generator's 1 (fakes anew), 1 and 2 (through the whole discriminator), 2 (its own), less
    what first layers save.
    """
    loss = nn.BCEWithLogitsLoss()
    for_generator = torch.optim.Adam(generator.parameters(), lr=rate, betas=(0.5, 0.999))
    for_discriminator = torch.optim.Adam(discriminator.parameters(), lr=rate, betas=(0.5, 0.999))

    def step(real: Tensor) -> tuple[Tensor, Tensor]:
        latents = torch.randn(len(real), latent_size, device=device)
        for_discriminator.zero_grad()
        real_logits = discriminator(real)
        fake_logits = discriminator(generator(latents).detach())
        discriminator_loss = (
            loss(real_logits, torch.ones_like(real_logits)) + loss(fake_logits, torch.zeros_like(fake_logits))
        ) / 2
        discriminator_loss.backward()
        for_discriminator.step()

        for_generator.zero_grad()
        logits = discriminator(generator(latents))
        generator_loss = loss(logits, torch.ones_like(logits))
        generator_loss.backward()
        for_generator.step()
        return discriminator_loss, generator_loss

    return step
