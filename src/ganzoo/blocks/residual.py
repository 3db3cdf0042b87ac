"""Residual blocks as in SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv 1802.05957, appendix B).

Norm and activation come before each convolution and nothing after the sum, so `output_activated` is False.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.activations import Activation, make_activation
from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.norms import Norm, make_norm, wants_bias, with_weight_norm


class ResidualBlock(ImageBlock):
    """Norm, activation, 3x3 convolution, norm, activation, 3x3 convolution; plus a 1x1 convolution of the input.

    The block that sees the image (`first`) leaves out the initial norm and activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`; by default a discriminator's, on the weights alone.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
        first: whether the input is the image itself.
    """

    options: ClassVar[tuple[str, ...]] = ("norm", "activation", "first")
    output_activated = False

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

    def enlarge(self, x: Tensor) -> Tensor:
        """What the block does to the size before its first convolution."""
        return x

    def reduce(self, x: Tensor) -> Tensor:
        """What the block does to the size after its second convolution."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W), with H and W even if the block halves them."""
        self.check_input(x)
        y = self.convolution_1(self.enlarge(self.activation_1(self.norm_1(x))))
        y = self.reduce(self.convolution_2(self.activation_2(self.norm_2(y))))
        # a 1x1 convolution gives the same before doubling or after averaging, four times cheaper
        return y + self.enlarge(self.shortcut(self.reduce(x)))


@BLOCKS.register("residual-up")
class ResidualUp(ResidualBlock):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W): a `ResidualBlock` that doubles (nearest) first.

    Args: as of `ResidualBlock`; `norm` is a generator's by default.
    """

    scale_factor: float | None = 2.0
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "relu",
        slope: float = 0.2,
    ) -> None:
        super().__init__(in_channels, out_channels, norm=norm, activation=activation, slope=slope)

    def enlarge(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


@BLOCKS.register("residual-down")
class ResidualDown(ResidualBlock):
    """(N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2): a `ResidualBlock` that ends in a 2x2 average."""

    scale_factor: float | None = 0.5

    def reduce(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


def _convolution(in_channels: int, out_channels: int, kernel_size: int, norm: Norm, bias: bool) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
    return with_weight_norm(convolution, norm)
