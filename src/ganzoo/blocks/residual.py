"""Residual blocks as in SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv 1802.05957, appendix B).

Norm and activation come before each convolution and nothing after the sum, so `output_activated` is False.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks.activations import Activation, make_activation
from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.initialisation import BranchConvolution
from ganzoo.blocks.modulation import ConditionalNorm
from ganzoo.blocks.norms import Norm, make_norm, wants_bias, with_weight_norm
from ganzoo.blocks.resize import Mode
from ganzoo.config import Bounds, convert_value

Hidden = Literal["out", "in"]
Shortcut = Literal["input", "activated"]


class ResidualBlock(ImageBlock):
    """Norm, activation, 3x3 convolution, norm, activation, 3x3 convolution; plus a shortcut.

    The shortcut is a 1x1 convolution, or the input itself in a `ResidualSame` whose channels do not change. The block
    that sees the image (`first`) leaves out the initial norm and activation. With a context, the norms are conditional.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: name or callable, see `make_norm`; by default a discriminator's, on the weights alone.
        activation: name or callable, see `make_activation`.
        slope: of "leaky_relu" below zero.
        first: whether the input is the image itself.
        context: numbers in an image's context, see `ConditionalNorm`; 0: none.
        hidden: between the convolutions there are as many channels as come "out", as in the paper, or "in", as in
            Chainer's code of it and in torch-mimicry.
        shortcut: it takes the block's "input", as in the paper, or the "activated" input, as in torch-mimicry, whose
            activation works in place.
    """

    options: ClassVar[tuple[str, ...]] = ("norm", "activation", "first", "context")
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
        context: int = 0,
        hidden: Hidden = "out",
        shortcut: Shortcut = "input",
    ) -> None:
        convert_value(hidden, Hidden, f"{type(self).__name__}: hidden", Bounds())
        convert_value(shortcut, Shortcut, f"{type(self).__name__}: shortcut", Bounds())
        super().__init__(in_channels, out_channels, context=context)
        between = out_channels if hidden == "out" else in_channels
        self.norm_1 = nn.Identity() if first else _norm(norm, in_channels, context)
        self.activation_1 = nn.Identity() if first else make_activation(activation, slope)
        # a bias is of no use in front of a norm that subtracts the mean
        convolution = BranchConvolution(in_channels, between, 3, padding=1, bias=wants_bias(norm))
        self.convolution_1 = with_weight_norm(convolution, norm)
        self.norm_2 = _norm(norm, between, context)
        self.activation_2 = make_activation(activation, slope)
        self.convolution_2 = with_weight_norm(BranchConvolution(between, out_channels, 3, padding=1), norm)
        self.shortcut_activated = shortcut == "activated"
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels or self.scale_factor != 1:
            self.shortcut = with_weight_norm(nn.Conv2d(in_channels, out_channels, 1), norm)

    def enlarge(self, x: Tensor) -> Tensor:
        """What the block does to the size before its first convolution."""
        return x

    def reduce(self, x: Tensor) -> Tensor:
        """What the block does to the size after its second convolution."""
        return x

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W), and (N, context) if there is one, to (N, out_channels, H * s, W * s).

        Raises:
            ShapeError: another shape, or H and W are odd and the block halves them.
        """
        self.check_input(x, context)
        y = self.activation_1(_normed(self.norm_1, x, context))
        x = y if self.shortcut_activated else x
        y = self.convolution_1(self.enlarge(y))
        y = self.reduce(self.convolution_2(self.activation_2(_normed(self.norm_2, y, context))))
        # a 1x1 convolution gives the same before doubling or after averaging, four times cheaper
        return y + self.enlarge(self.shortcut(self.reduce(x)))


@BLOCKS.register("residual-up")
class ResidualUp(ResidualBlock):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W): a `ResidualBlock` that doubles first.

    It takes `norm` (a generator's), `activation`, `slope` and `context` as `ResidualBlock` does, and `interpolation`:
    how it doubles.
    """

    scale_factor: float | None = 2.0
    options: ClassVar[tuple[str, ...]] = ("norm", "activation", "context")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "relu",
        slope: float = 0.2,
        context: int = 0,
        interpolation: Mode = "nearest",
    ) -> None:
        convert_value(interpolation, Mode, "ResidualUp: interpolation", Bounds())
        super().__init__(in_channels, out_channels, norm=norm, activation=activation, slope=slope, context=context)
        self.interpolation = interpolation

    def enlarge(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode=self.interpolation)


@BLOCKS.register("residual-down")
class ResidualDown(ResidualBlock):
    """(N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2): a `ResidualBlock` that ends in a 2x2 average."""

    scale_factor: float | None = 0.5

    def reduce(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


@BLOCKS.register("residual-same")
class ResidualSame(ResidualBlock):
    """(N, in_channels, H, W) -> (N, out_channels, H, W): a `ResidualBlock` that keeps the size."""

    scale_factor: float | None = 1.0


def _norm(norm: Norm, channels: int, context: int) -> nn.Module:
    return ConditionalNorm(norm, channels, context) if context else make_norm(norm, channels)


def _normed(norm: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    return norm(x, context) if isinstance(norm, ConditionalNorm) else norm(x)
