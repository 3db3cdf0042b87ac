"""A cheap score during training, to keep the best: a kernel distance in a small space of random features.

Random convolutional features separate real images from fakes well enough to rank the states of one run; for figures
to publish, use `ganzoo.evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ganzoo.evaluation.metrics import kernel_distance
from ganzoo.hardware import off_mps
from ganzoo.seeds import derive_seed, seeded

SAMPLES = 1000
LEAST = 0.02  # of the range from -1 to 1: less is hardly seen
_WIDTHS = (32, 64, 128)


class KernelScore:
    """`kernel_distance` to fixed real images; lower is better, and two samples of one distribution have 0 on average.

    Features are the mean and deviation of each channel of a random network of three strided convolutions, beside an
    8x8 thumbnail; they are standardised by the real images'. A deviation counts as `LEAST` at least: on white paper or
    a black border, which no real image changes, differences that nobody sees would count for all others.

    Args:
        real: float images (N, C, H, W) in [-1, 1], batch by batch.
        channels: of an image.
    """

    def __init__(self, real: Iterable[Tensor], channels: int) -> None:
        widths = (channels, *_WIDTHS)
        # whatever torch's default device and dtype are
        with seeded(derive_seed(0, "score")), torch.device("cpu"):
            pairs = zip(widths, widths[1:])
            convolutions = [nn.Conv2d(a, b, 3, stride=2, padding=1, dtype=torch.float32) for a, b in pairs]
            self._layers = nn.ModuleList(convolutions)
            for layer in convolutions:
                nn.init.kaiming_normal_(layer.weight)
        features = self._features(real)
        self._mean, self._deviation = features.mean(0), features.std(0).clamp_min(LEAST)
        self._real = (features - self._mean) / self._deviation

    def __call__(self, fake: Iterable[Tensor]) -> float:
        """The distance of `fake`, float images (M, C, H, W) in [-1, 1], batch by batch."""
        return float(kernel_distance(self._real, (self._features(fake) - self._mean) / self._deviation))

    @torch.no_grad()
    def _features(self, batches: Iterable[Tensor]) -> Tensor:
        found = []
        for batch in batches:
            batch = off_mps(batch).float()
            self._layers.to(batch.device)
            parts = [nn.functional.adaptive_avg_pool2d(batch, 8).flatten(1)]
            for layer in self._layers:
                batch = nn.functional.leaky_relu(layer(batch), 0.2)
                parts += [batch.mean((2, 3)), batch.std((2, 3), unbiased=False)]
            found.append(torch.cat(parts, dim=1).cpu())
        return torch.cat(found)
