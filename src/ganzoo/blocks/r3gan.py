"""Stages of R3GAN (Huang et al. 2024, arXiv 2501.05441, section 3 and appendix A): no norms, grouped residual blocks.

Without a norm, training is stable because each block begins as the identity: its last convolution starts at zero, the
others are scaled down by the network's depth (fix-up, Zhang, Dauphin and Ma 2019, arXiv 1901.09321, section 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.initialisation import OwnStart
from ganzoo.config import check_counts

SLOPE = 0.2  # of the leaky ReLU below zero
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance behind it (He et al. 2015, arXiv 1502.01852, eq. 15)


def draw_by_fan_in(module: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Weights from N(0, gain^2 / fan in), biases 0; the fan in is the inputs of one output."""
    nn.init.normal_(module.weight, 0.0, gain / math.sqrt(module.weight[0].numel()))
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class GroupedResidual(OwnStart):
    """x + 1x1, leaky ReLU, grouped 3x3, leaky ReLU, 1x1 (Huang et al. 2024, figure 4): (N, C, H, W) to the same.

    Args:
        channels: C; `expansion` times as many inside.
        group_size: channels of a group of the 3x3 convolution; the greatest common divisor with `expansion` * C, if it
            does not divide that.
        depth: residual blocks of the whole network, for the fix-up start.
    """

    def __init__(self, channels: int, *, expansion: int = 2, group_size: int = 16, depth: int = 8) -> None:
        super().__init__()
        inner = channels * expansion
        self.gain = GAIN * depth ** (-1 / 4)  # three layers: the exponent is -1 / (2 * 3 - 2)
        self.widen = nn.Conv2d(channels, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // math.gcd(inner, group_size))
        self.narrow = nn.Conv2d(inner, channels, 1, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The fix-up start: the block is the identity, and its first two layers are small in a deep network."""
        draw_by_fan_in(self.widen, self.gain)
        draw_by_fan_in(self.mix, self.gain)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.widen(x), SLOPE)
        y = F.leaky_relu(self.mix(y), SLOPE)
        return x + self.narrow(y)


class R3GANStage(OwnStart, ImageBlock):
    """`GroupedResidual` blocks and a transition: a 1x1 convolution if the channels change, and a change of size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        blocks: residual blocks.
        expansion, group_size, depth: as of `GroupedResidual`.
    """

    residual_first = False  # else the transition comes first

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int = 2,
        expansion: int = 2,
        group_size: int = 16,
        depth: int = 8,
    ) -> None:
        super().__init__(in_channels, out_channels)
        check_counts(type(self).__name__, blocks=blocks, expansion=expansion, group_size=group_size, depth=depth)
        width = in_channels if self.residual_first else out_channels
        self.residual = nn.Sequential(
            *(GroupedResidual(width, expansion=expansion, group_size=group_size, depth=depth) for _ in range(blocks))
        )
        self.convolution = (
            nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The transition keeps the variance; the residual blocks restore their own start."""
        if isinstance(self.convolution, nn.Conv2d):
            draw_by_fan_in(self.convolution)

    def transition(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H * s, W * s)."""
        return self.convolution(x)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W), or H and W are odd and the stage halves them."""
        self.check_input(x)
        if self.residual_first:
            return self.transition(self.residual(x))
        return self.residual(self.transition(x))


@BLOCKS.register("r3gan-up")
class R3GANUp(R3GANStage):
    """1x1 convolution, bilinear doubling, residual blocks: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W)."""

    scale_factor: float | None = 2.0

    def transition(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        return F.conv_transpose2d(x, 4 * _bilinear(x), stride=2, padding=1, groups=x.shape[1])


@BLOCKS.register("r3gan-down")
class R3GANDown(R3GANStage):
    """Residual blocks, low-pass filter, 1x1 convolution: (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2)."""

    scale_factor: float | None = 0.5
    residual_first = True

    def transition(self, x: Tensor) -> Tensor:
        return self.convolution(F.conv2d(x, _bilinear(x), stride=2, padding=1, groups=x.shape[1]))


@BLOCKS.register("r3gan-same")
class R3GANSame(R3GANStage):
    """Residual blocks at the same size: (N, in_channels, H, W) -> (N, out_channels, H, W)."""

    scale_factor: float | None = 1.0


def _bilinear(x: Tensor) -> Tensor:
    """The filter (1, 3, 3, 1) on both axes, of sum 1, for each channel of `x`; beyond the border are zeros."""
    # Counted on the device: numbers from a list would be sent there, and a CUDA graph can't wait for them.
    line = (4 - 2 * (torch.arange(4, dtype=x.dtype, device=x.device) - 1.5).abs()) / 8
    return torch.outer(line, line).expand(x.shape[1], 1, 4, 4)
