"""Blocks of FastGAN (Liu et al. 2021, "Towards Faster and Stabilized GAN Training", arXiv 2101.04775, section 3)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.activations import Activation, make_activation
from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.norms import Norm, make_norm, wants_bias, with_weight_norm
from ganzoo.config import check_counts
from ganzoo.errors import ShapeError


@BLOCKS.register("glu-up")
class GLUUp(ImageBlock):
    """Doubling, 3x3 convolution, norm, gated linear unit: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    The unit halves the channels: one half is multiplied by the sigmoid of the other (Dauphin et al. 2017, arXiv
    1612.08083, equation 1). Liu et al. 2021, figure 3.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`.
    """

    scale_factor: float | None = 2.0
    options: ClassVar[tuple[str, ...]] = ("norm",)

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm = "batch") -> None:
        super().__init__(in_channels, out_channels)
        convolution = nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=wants_bias(norm))
        self.convolution = with_weight_norm(convolution, norm)
        self.norm = make_norm(norm, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        return F.glu(self.norm(self.convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))), dim=1)


@BLOCKS.register("two-path-down")
class TwoPathDown(ImageBlock):
    """The mean of a strided and a pooled path: (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2).

    One path is a 4x4 convolution of stride 2 and a 3x3 convolution, the other a 2x2 average and a 1x1 convolution, each
    convolution with norm and activation behind it. Liu et al. 2021, figure 4.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
    """

    scale_factor: float | None = 0.5
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        slope: float = 0.2,
    ) -> None:
        super().__init__(in_channels, out_channels)

        def layer(channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
            convolution = nn.Conv2d(channels, out_channels, kernel_size, stride, padding, bias=wants_bias(norm))
            return nn.Sequential(
                with_weight_norm(convolution, norm), make_norm(norm, out_channels), make_activation(activation, slope)
            )

        self.strided = nn.Sequential(layer(in_channels, 4, stride=2, padding=1), layer(out_channels, 3, padding=1))
        self.pooled = nn.Sequential(nn.AvgPool2d(2), layer(in_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W) with even H and W."""
        self.check_input(x)
        return (self.strided(x) + self.pooled(x)) / 2


class SkipExcitation(nn.Module):
    """Skip-layer excitation (Liu et al. 2021, equation 1): small features weigh the channels of large ones.

    Args:
        small_channels: of the small features (N, small_channels, h, w), h and w 4 or more.
        channels: of the large features (N, channels, H, W), which keep their shape.
    """

    def __init__(self, small_channels: int, channels: int) -> None:
        check_counts("SkipExcitation", small_channels=small_channels, channels=channels)
        super().__init__()
        self.small_channels, self.channels = small_channels, channels
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(small_channels, channels, 4),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor, small: Tensor) -> Tensor:
        """Raises ShapeError on features of other shapes."""
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ShapeError(
                f"SkipExcitation wants features of shape (N, {self.channels}, H, W), got {tuple(x.shape)}."
            )
        if small.dim() != 4 or small.shape[:2] != (len(x), self.small_channels) or min(small.shape[2:]) < 4:
            wanted = f"({len(x)}, {self.small_channels}, h, w) with h and w 4 or more"
            raise ShapeError(f"SkipExcitation wants small features of shape {wanted}, got {tuple(small.shape)}.")
        return x * self.weigh(small)
