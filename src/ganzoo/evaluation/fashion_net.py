"""fashion-net: a small classifier of Fashion-MNIST, bundled, so that grey images can be judged offline.

It was trained by `benchmarks/fashion_net.py` on the 60,000 training images alone; its accuracy on the test images
stands in the header of its weights. What it was not trained on (colour, other sizes, other things) it can't judge well.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

IMAGE_SIZE, FEATURES, CLASSES = 28, 128, 10
_WIDTHS = (32, 64, 96, FEATURES)


class Residual(nn.Module):
    """x + f(x), with batch norm: the basic block of He et al. 2015 (arXiv:1512.03385, figure 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(convolution(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.convolve(x)))


class FashionNet(nn.Module):
    """Images (N, 1, 28, 28) in [-1, 1] to logits (N, 10) of the classes of Fashion-MNIST."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = _WIDTHS
        self.stages = nn.Sequential(
            convolution(1, first),
            convolution(first, second, stride=2),  # 14 pixels a side
            Residual(second),
            convolution(second, third, stride=2),  # 7
            Residual(third),
            convolution(third, last),
        )
        self.classify = nn.Linear(last, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """What is classified: the last activations, averaged over the image, (N, 128), none negative."""
        return self.stages(images).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


@cache
def fashion_net() -> FashionNet:
    """The bundled network, float32, in evaluation mode; one for all callers, not to be trained."""
    network = FashionNet()
    network.load_state_dict(load_file(Path(str(files("ganzoo.evaluation"))) / "files" / "fashion-net.safetensors"))
    return network.eval().requires_grad_(False)
