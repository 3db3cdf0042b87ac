"""The bundled networks, by which images are judged offline: fashion-net for grey ones, color-net for colour.

fashion-net classifies garments: `benchmarks/fashion_net.py` trained it on the 60,000 training images of Fashion-MNIST
alone. color-net knows emoji and ten kinds of photographs: `benchmarks/color_net.py` trained it to tell emoji apart
whoever drew them, and to name the ten classes of CIFAR-10. Their accuracy stands in the header of their weights;
`files/NOTICE.md` says whose pictures these are. What they never saw (other things, faces, scenes, details finer than
their images) they can't judge well. `benchmarks/rank.py` compares color-net's ranks with other features'.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

FASHION_SIZE, COLOR_SIZE, COLOR_FEATURES = 28, 64, 256
Net = TypeVar("Net", bound=nn.Module)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """x + f(x), with batch norm: the basic block of He et al. 2015 (arXiv:1512.03385, figure 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(convolution(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.convolve(x)))


class FashionNet(nn.Module):
    """Images (N, 1, 28, 28) in [-1, 1] to features (N, 128), none negative: the last activations, averaged.

    `classify` gives logits (N, 10) of the classes of Fashion-MNIST for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            convolution(1, 32),
            convolution(32, 64, stride=2),  # 14 pixels a side
            Residual(64),
            convolution(64, 96, stride=2),  # 7
            Residual(96),
            convolution(96, 128),
        )
        self.classify = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images).mean((2, 3))


class ColorNet(nn.Module):
    """Images (N, 3, 64, 64) in [-1, 1] to features (N, 256), none negative: the last activations, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            convolution(3, 32, stride=2),  # 32 pixels a side
            Residual(32),
            convolution(32, 64, stride=2),  # 16
            Residual(64),
            convolution(64, 128, stride=2),  # 8
            Residual(128),
            Residual(128),
            convolution(128, COLOR_FEATURES),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images).mean((2, 3))


def fashion_net() -> FashionNet:
    """A new copy of the bundled network, float32, in evaluation mode."""
    return _filled(FashionNet(), "fashion-net.safetensors")


def color_net() -> ColorNet:
    """A new copy of the bundled network, float32, in evaluation mode."""
    return _filled(ColorNet(), "color-net.safetensors")


def _filled(network: Net, file: str) -> Net:
    network.to_empty(device="cpu").float()  # whatever torch's default device and dtype are
    network.load_state_dict(load_file(Path(str(files("ganzoo.evaluation"))) / "files" / file))
    return network.eval().requires_grad_(False)
