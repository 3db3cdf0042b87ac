"""The averaged generator: what one samples and ships."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

RAMP = 0.05  # the half-life is at most this part of all images seen, so that early averages forget their start


class AveragedGenerator:
    """Exponential moving average of a generator's weights (Yazici et al. 2019; ramped up as in Karras et al. 2020).

    Batch norm's running statistics are averaged with the same weight as the parameters: copied ones would belong to
    other weights. All other buffers are copied. A tied weight has several names and is averaged once.

    Args:
        generator: the network to follow.
        half_life: images after which half of the average is new; 0 follows the generator exactly.
    """

    def __init__(self, generator: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self.network = copy.deepcopy(generator).eval().requires_grad_(False)
        mine, theirs = self.network.state_dict(keep_vars=True), generator.state_dict(keep_vars=True)
        names = {id(value): name for name, value in theirs.items()}.values()  # of a tied weight one name alone
        statistics = ("running_mean", "running_var")
        averaged = [
            name for name in names if isinstance(theirs[name], nn.Parameter) or name.rpartition(".")[2] in statistics
        ]
        self._averaged: tuple[list[Tensor], list[Tensor]] = (
            [mine[name].data for name in averaged],
            [theirs[name].data for name in averaged],
        )
        self._copied = [(mine[name], theirs[name]) for name in names if name not in averaged]

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Take in the generator's weights after an update on `batch_size` images, `images_seen` in all."""
        half_life = min(self.half_life, images_seen * RAMP)
        weight = 1 - 0.5 ** (batch_size / half_life) if half_life else 1.0
        torch._foreach_lerp_(*self._averaged, weight)
        for mine, theirs in self._copied:
            mine.copy_(theirs)
