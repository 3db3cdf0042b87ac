"""Residual blocks as in SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv 1802.05957, appendix B).

Norm and activation come before each convolution and nothing after the sum, so `ends_activated` is False.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.parts import Activation, Norm, make_activation, make_norm, wants_bias, with_weight_norm


@BLOCKS.register("residual-up")
class ResidualUp(ImageBlock):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    Norm, activation, doubling (nearest), 3x3 convolution, norm, activation, 3x3 convolution; plus the doubled
    1x1 convolution of the input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
    """

    scale_factor: float | None = 2.0
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")
    ends_activated = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "relu",
        slope: float = 0.2,
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.norm_1 = make_norm(norm, in_channels)
        self.activation_1 = make_activation(activation, slope)
        self.convolution_1 = _convolution(in_channels, out_channels, 3, norm, bias=wants_bias(norm))
        self.norm_2 = make_norm(norm, out_channels)
        self.activation_2 = make_activation(activation, slope)
        self.convolution_2 = _convolution(out_channels, out_channels, 3, norm, bias=True)
        self.shortcut = _convolution(in_channels, out_channels, 1, norm, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        y = _double(self.activation_1(self.norm_1(x)))
        y = self.convolution_2(self.activation_2(self.norm_2(self.convolution_1(y))))
        return y + _double(self.shortcut(x))  # a 1x1 convolution gives the same before doubling, four times cheaper


@BLOCKS.register("residual-down")
class ResidualDown(ImageBlock):
    """(N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2).

    Norm, activation, 3x3 convolution, norm, activation, 3x3 convolution, 2x2 average; plus the 1x1 convolution of
    the averaged input. The block that sees the image (`first`) leaves out the initial norm and activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`; by default the paper's: on the weights alone.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
        first: whether the input is the image itself.
    """

    scale_factor: float | None = 0.5
    options: ClassVar[tuple[str, ...]] = ("norm", "activation", "first")
    ends_activated = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm = "spectral",
        activation: Activation = "relu",
        slope: float = 0.2,
        first: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.norm_1 = nn.Identity() if first else make_norm(norm, in_channels)
        self.activation_1 = nn.Identity() if first else make_activation(activation, slope)
        self.convolution_1 = _convolution(in_channels, out_channels, 3, norm, bias=wants_bias(norm))
        self.norm_2 = make_norm(norm, out_channels)
        self.activation_2 = make_activation(activation, slope)
        self.convolution_2 = _convolution(out_channels, out_channels, 3, norm, bias=True)
        self.shortcut = _convolution(in_channels, out_channels, 1, norm, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W) with even H and W."""
        self.check_input(x)
        y = self.convolution_1(self.activation_1(self.norm_1(x)))
        y = self.convolution_2(self.activation_2(self.norm_2(y)))
        return F.avg_pool2d(y, 2) + self.shortcut(F.avg_pool2d(x, 2))  # averaging first is four times cheaper


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _convolution(in_channels: int, out_channels: int, kernel_size: int, norm: Norm, bias: bool) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
    return with_weight_norm(convolution, norm)
