"""Blocks that change the size without a strided kernel's checkerboard or aliasing."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.initialisation import OwnStart, plain_weight
from ganzoo.blocks.parts import (
    Activation,
    Norm,
    check_count,
    make_activation,
    make_norm,
    wants_bias,
    with_weight_norm,
)
from ganzoo.errors import ConfigError, did_you_mean, quote


@BLOCKS.register("resize-up")
class ResizeUp(ImageBlock):
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
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")

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
        super().__init__(in_channels, out_channels)
        if mode not in ("nearest", "bilinear"):
            known = did_you_mean(mode, ("nearest", "bilinear"))
            raise ConfigError(f"ResizeUp: mode {quote(mode)} is unknown.{known}")
        self.mode = mode
        convolution = _same_size(in_channels, out_channels, kernel_size, norm, "ResizeUp")
        self.convolution = with_weight_norm(convolution, norm)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation, slope)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        x = F.interpolate(x, scale_factor=2.0, mode=self.mode)
        return self.activation(self.norm(self.convolution(x)))


@BLOCKS.register("pixelshuffle-up")
class PixelShuffleUp(OwnStart, ImageBlock):
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
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")

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
        super().__init__(in_channels, out_channels)
        self.convolution = _same_size(in_channels, 4 * out_channels, kernel_size, norm, "PixelShuffleUp")
        self.restore_start()
        self.convolution = with_weight_norm(self.convolution, norm)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation, slope)

    @torch.no_grad()
    def restore_start(self) -> None:
        """ICNR: the kernels (and biases) of each 2x2 cell become equal to its first."""
        for parameter in (plain_weight(self.convolution), self.convolution.bias):
            if parameter is not None:
                parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        return self.activation(self.norm(self.shuffle(self.convolution(x))))


@BLOCKS.register("blur-down")
class BlurDown(ImageBlock):
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
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")
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
        super().__init__(in_channels, out_channels)
        convolution = _same_size(in_channels, out_channels, kernel_size, norm, "BlurDown")
        self.convolution = with_weight_norm(convolution, norm)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation, slope)
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W) with even H and W."""
        self.check_input(x)
        x = self.activation(self.norm(self.convolution(x)))
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        kernel = self.blur.to(x.dtype).expand(self.out_channels, 1, 3, 3)  # under autocast x may be half as wide
        return F.conv2d(x, kernel, stride=2, groups=self.out_channels)


def _same_size(in_channels: int, out_channels: int, kernel_size: int, norm: Norm, place: str) -> nn.Conv2d:
    """A convolution that keeps the size."""
    check_count("kernel_size", kernel_size, place)
    if kernel_size % 2 == 0:
        raise ConfigError(f"{place}: kernel_size must be odd to keep the size, got {kernel_size}")
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=wants_bias(norm))
