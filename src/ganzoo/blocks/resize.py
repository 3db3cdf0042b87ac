"""Blocks that change the size without a strided kernel's checkerboard or aliasing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.activations import Activation
from ganzoo.blocks.contract import BLOCKS
from ganzoo.blocks.conv import Convolution, ConvolutionBlock, same_size
from ganzoo.blocks.initialisation import OwnStart, plain_weight
from ganzoo.blocks.norms import Norm
from ganzoo.errors import ConfigError, did_you_mean, quote


@BLOCKS.register("resize-up")
class ResizeUp(ConvolutionBlock):
    """Resize, convolution, norm, activation: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    Every output pixel meets the kernel equally often, so no checkerboard arises (Odena, Dumoulin, Olah 2016,
    "Deconvolution and Checkerboard Artifacts").

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        mode: how to resize, "nearest" or "bilinear".
        kernel_size: pixels a side of the kernel, odd.
        norm: name or callable, see `make_norm`; with "none" and "spectral" the convolution has a bias.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
    """

    scale_factor: float | None = 2.0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        mode: Literal["nearest", "bilinear"] = "nearest",
        kernel_size: int = 3,
        norm: Norm = "batch",
        activation: Activation = "relu",
        slope: float = 0.2,
    ) -> None:
        if mode not in ("nearest", "bilinear"):
            known = did_you_mean(mode, ("nearest", "bilinear"))
            raise ConfigError(f"ResizeUp: mode {quote(mode)} is unknown.{known}")
        convolution = same_size(in_channels, out_channels, kernel_size, "ResizeUp")
        super().__init__(in_channels, out_channels, convolution, norm=norm, activation=activation, slope=slope)
        self.mode = mode

    def convolve(self, x: Tensor) -> Tensor:
        """Twice the size first, then the convolution."""
        return super().convolve(F.interpolate(x, scale_factor=2.0, mode=self.mode))


@BLOCKS.register("pixelshuffle-up")
class PixelShuffleUp(OwnStart, ConvolutionBlock):
    """Convolution to four times the channels, laid out as 2x2 pixels, norm, activation; twice the size.

    (N, in_channels, H, W) -> (N, out_channels, 2H, 2W). Sub-pixel convolution is Shi et al. 2016 (arXiv 1609.05158);
    it starts as ICNR: the four kernels of a 2x2 cell are equal, so that the first outputs are those of a
    nearest-neighbour resize, without a checkerboard (Aitken et al. 2017, arXiv 1707.02937).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: pixels a side of the kernel, odd.
        norm: name or callable, see `make_norm`; with "none" and "spectral" the convolution has a bias.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
    """

    scale_factor: float | None = 2.0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        norm: Norm = "batch",
        activation: Activation = "relu",
        slope: float = 0.2,
    ) -> None:
        convolution = same_size(in_channels, 4 * out_channels, kernel_size, "PixelShuffleUp")
        super().__init__(
            in_channels,
            out_channels,
            lambda bias: _icnr(convolution(bias=bias)),  # before spectral norm measures the weight
            norm=norm,
            activation=activation,
            slope=slope,
        )
        self.shuffle = nn.PixelShuffle(2)

    def reset_parameters(self) -> None:
        """ICNR: the kernels (and biases) of each 2x2 cell become equal to its first."""
        _icnr(self.convolution)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution first, then four channels become 2x2 pixels."""
        return self.shuffle(super().convolve(x))


@torch.no_grad()
def _icnr(convolution: Convolution) -> Convolution:
    for parameter in (plain_weight(convolution), convolution.bias):
        if parameter is not None:
            parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))
    return convolution


@BLOCKS.register("blur-down")
class BlurDown(ConvolutionBlock):
    """Convolution, norm, activation, then a fixed blur of stride 2; half the size.

    (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2). The blur takes out what the smaller image can't show,
    before it is sampled (Zhang 2019, arXiv 1904.11486, section 3); its kernel is the outer product of (1, 2, 1) / 4
    with itself, its border a reflection.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: pixels a side of the convolution's kernel, odd.
        norm: name or callable, see `make_norm`; with "none" and "spectral" the convolution has a bias.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
    """

    scale_factor: float | None = 0.5
    blur: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        slope: float = 0.2,
    ) -> None:
        convolution = same_size(in_channels, out_channels, kernel_size, "BlurDown")
        super().__init__(in_channels, out_channels, convolution, norm=norm, activation=activation, slope=slope)
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W) with even H and W."""
        x = F.pad(super().forward(x), (1, 1, 1, 1), mode="reflect")
        kernel = self.blur.to(x.dtype).expand(self.out_channels, 1, 3, 3)  # under autocast x may be half as wide
        return F.conv2d(x, kernel, stride=2, groups=self.out_channels)
