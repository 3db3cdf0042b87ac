"""The base of blocks made of one convolution, a norm and an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from ganzoo.blocks.activations import Activation, make_activation
from ganzoo.blocks.contract import ImageBlock
from ganzoo.blocks.norms import Norm, make_norm, wants_bias, with_weight_norm
from ganzoo.config import check_counts
from ganzoo.errors import ConfigError

Convolution = nn.Conv2d | nn.ConvTranspose2d


class ConvolutionBlock(ImageBlock):
    """Convolution, norm, activation: the base of every block that is these three.

    A subclass says which convolution, sets `scale_factor`, and overrides `convolve` if the convolution alone does not
    change the size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        convolution: makes the convolution, called with `bias=`: True with the norms "none" and "spectral".
        norm: name or callable, see `make_norm`.
        activation: name or callable, see `make_activation`; None: the class's `default_activation`.
        slope: of "leaky_relu" below zero.
    """

    options: ClassVar[tuple[str, ...]] = ("norm", "activation")
    default_activation: ClassVar[str] = "leaky_relu"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        convolution: Callable[..., Convolution],
        *,
        norm: Norm = "batch",
        activation: Activation | None = None,
        slope: float = 0.2,
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.convolution: Convolution = with_weight_norm(convolution(bias=wants_bias(norm)), norm)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(self.default_activation if activation is None else activation, slope)

    def convolve(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W'), before norm and activation."""
        return self.convolution(x)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W), or its size does not fit."""
        self.check_input(x)
        return self.activation(self.norm(self.convolve(x)))


class SameConvolution(ConvolutionBlock):
    """A `ConvolutionBlock` whose convolution keeps the size; what changes it comes before or behind.

    Args: as of `ConvolutionBlock`, with `kernel_size`, odd, in place of `convolution`.
    """

    expansion: ClassVar[int] = 1  # channels that the convolution makes for one of the output

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        norm: Norm = "batch",
        activation: Activation | None = None,
        slope: float = 0.2,
    ) -> None:
        place = type(self).__name__
        check_counts(place, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ConfigError(f"{place}: kernel_size must be odd to keep the size, got {kernel_size}")

        def convolution(bias: bool) -> Convolution:
            width = self.expansion * out_channels
            return self.started(nn.Conv2d(in_channels, width, kernel_size, padding=kernel_size // 2, bias=bias))

        super().__init__(in_channels, out_channels, convolution, norm=norm, activation=activation, slope=slope)

    def started(self, convolution: Convolution) -> Convolution:
        """The new `convolution` as it starts, before spectral norm measures its weight."""
        return convolution
