"""The averaged generator: what one samples and ships."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ganzoo.errors import ConfigError, words_of

STATISTICS = ("running_mean", "running_var")
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
        try:
            self.network = copy.deepcopy(generator).eval().requires_grad_(False)
        except Exception as error:
            raise ConfigError(
                f"the generator can't be copied, which its average needs: {words_of(error)}; make it anew, and let it "
                f"keep no results of earlier calls"
            ) from error
        self._places = [
            (self.network.get_submodule(path), generator.get_submodule(path), name)
            for path, name in _names_once(generator)
        ]

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Take in the generator's weights after an update on `batch_size` images, `images_seen` in all."""
        half_life = min(self.half_life, images_seen * RAMP)
        weight = 1 - 0.5 ** (batch_size / half_life) if half_life else 1.0
        averages: list[Tensor] = []
        weights: list[Tensor] = []
        for mine, theirs, name in self._places:
            # looked up each time: a module may put a new buffer in an old one's place
            average, value = getattr(mine, name), getattr(theirs, name)
            if value.is_floating_point() and (isinstance(value, nn.Parameter) or name in STATISTICS):
                averages.append(average)
                weights.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, weights, weight)


def _names_once(network: nn.Module) -> list[tuple[str, str]]:
    """Module and name of each parameter and saved buffer of `network`; of a tied one a single name."""
    found = {id(value): name for name, value in network.state_dict(keep_vars=True).items()}
    held = {id(value) for value in (*network.parameters(), *network.buffers())}
    pairs = (name.rpartition(".") for key, name in found.items() if key in held)
    return [(path, name) for path, _, name in pairs]
