"""Blocks that change the size without a strided kernel's checkerboard or aliasing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.blocks.activations import Activation
from ganzoo.blocks.contract import BLOCKS
from ganzoo.blocks.conv import Convolution, SameConvolution
from ganzoo.blocks.initialisation import OwnStart, plain_weight
from ganzoo.blocks.norms import Norm
from ganzoo.config import Bounds, convert_value

Mode = Literal["nearest", "bilinear"]


@BLOCKS.register("resize-up")
class ResizeUp(SameConvolution):
    """Resize, convolution, norm, activation: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    Every output pixel meets the kernel equally often, so no checkerboard arises (Odena, Dumoulin, Olah 2016,
    "Deconvolution and Checkerboard Artifacts").

    Args: as of `SameConvolution`, and
        mode: how to resize, "nearest" or "bilinear".
    """

    scale_factor: float | None = 2.0
    default_activation = "relu"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        mode: Mode = "nearest",
        kernel_size: int = 3,
        norm: Norm = "batch",
        activation: Activation | None = None,
        slope: float = 0.2,
    ) -> None:
        convert_value(mode, Mode, "ResizeUp: mode", Bounds())
        super().__init__(
            in_channels, out_channels, kernel_size=kernel_size, norm=norm, activation=activation, slope=slope
        )
        self.mode = mode

    def convolve(self, x: Tensor) -> Tensor:
        """Twice the size first, then the convolution."""
        return super().convolve(F.interpolate(x, scale_factor=2.0, mode=self.mode))


@BLOCKS.register("pixelshuffle-up")
class PixelShuffleUp(OwnStart, SameConvolution):
    """Convolution to four times the channels, laid out as 2x2 pixels, norm, activation; twice the size.

    (N, in_channels, H, W) -> (N, out_channels, 2H, 2W). Sub-pixel convolution is Shi et al. 2016 (arXiv 1609.05158);
    it starts as ICNR: the four kernels of a 2x2 cell are equal, so that the first outputs are those of a
    nearest-neighbour resize, without a checkerboard (Aitken et al. 2017, arXiv 1707.02937).
    Args: as of `SameConvolution`.
    """

    scale_factor: float | None = 2.0
    default_activation = "relu"
    expansion = 4

    def reset_parameters(self) -> None:
        """ICNR: the kernels (and biases) of each 2x2 cell become equal to its first."""
        self.started(self.convolution)

    @torch.no_grad()
    def started(self, convolution: Convolution) -> Convolution:
        for parameter in (plain_weight(convolution), convolution.bias):
            if parameter is not None:
                parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))
        return convolution

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution first, then four channels become 2x2 pixels."""
        return F.pixel_shuffle(super().convolve(x), 2)


@BLOCKS.register("blur-down")
class BlurDown(SameConvolution):
    """Convolution, norm, activation, then a fixed blur of stride 2; half the size.

    (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2). The blur takes out what the smaller image can't show,
    before it is sampled (Zhang 2019, arXiv 1904.11486, section 3); its kernel is the outer product of (1, 2, 1) / 4
    with itself, its border a reflection. Args: as of `SameConvolution`.
    """

    scale_factor: float | None = 0.5

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W) with even H and W."""
        x = F.pad(super().forward(x), (1, 1, 1, 1), mode="reflect")
        line = (2 - (torch.arange(3, dtype=x.dtype, device=x.device) - 1).abs()) / 4  # a list would wait for the device
        kernel = torch.outer(line, line).expand(self.out_channels, 1, 3, 3)
        return F.conv2d(x, kernel, stride=2, groups=self.out_channels)
