"""A source, a feature network and a metric."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo.evaluation import Features


def blobs(count: int = 200) -> Tensor:
    """Soft white spots on black: uint8 (count, 1, 16, 16). The same in every call, so that a run can be resumed."""
    y, x = torch.rand(2, count, 1, 1, generator=torch.Generator().manual_seed(0)) * 16
    places = torch.arange(16.0)
    distance = (places[:, None] - y) ** 2 + (places - x) ** 2
    return (255 * torch.exp(-distance / 8))[:, None].to(torch.uint8)


def tiny() -> Features:
    """Images at 4x4 pixels: no weights, so it serves tests and nothing else."""
    network = nn.Sequential(nn.AvgPool2d(2), nn.Flatten()).eval()
    return Features("acme.tiny", image_size=8, image_channels=1, dimension=16, key="acme.tiny-1", network=network)


def brightness(real: Tensor, fake: Tensor) -> float:
    """Difference between the mean features of real and of fake images."""
    return abs(float(real.mean() - fake.mean()))


brightness.better = "lower"  # or "higher"
