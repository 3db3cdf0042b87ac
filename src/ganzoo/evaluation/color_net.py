"""color-net: a small network that knows emoji and ten kinds of photographs, bundled, so that colour is judged offline.

`benchmarks/color_net.py` trained it to tell emoji apart whoever drew them, and to name the ten classes of CIFAR-10; its
accuracy stands in the header of its weights. `files/NOTICE.md` says whose pictures these are. What it never saw (faces,
scenes, details finer than 64 pixels) it can't judge well. `benchmarks/rank.py` compares its ranks with other features'.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from ganzoo.evaluation.fashion_net import Residual, convolution

IMAGE_SIZE, FEATURES = 64, 256


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
            convolution(128, FEATURES),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images).mean((2, 3))


@cache
def color_net() -> ColorNet:
    """The bundled network, float32, in evaluation mode; one for all callers, not to be trained."""
    network = ColorNet()
    network.load_state_dict(load_file(Path(str(files("ganzoo.evaluation"))) / "files" / "color-net.safetensors"))
    return network.eval().requires_grad_(False)
