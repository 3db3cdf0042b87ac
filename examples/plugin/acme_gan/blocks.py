"""The block "acme.up"."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ganzoo.blocks import ImageBlock, make_activation, make_norm


class AcmeUp(ImageBlock):
    """Doubles the size with few weights: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    Each channel is enlarged and convolved by itself, then the channels are mixed. `norm` and `activation` are the
    network's: they reach the block because `options` names them. `kernel` is odd, as in "acme.up(kernel=5)".
    """

    scale_factor = 2.0
    options: ClassVar[tuple[str, ...]] = ("norm", "activation")

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 3, norm: str = "batch", activation: str = "relu"
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.each = nn.Conv2d(in_channels, in_channels, kernel, padding=kernel // 2, groups=in_channels)
        self.mix = nn.Conv2d(in_channels, out_channels, 1)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        return self.activation(self.norm(self.mix(self.each(self.enlarge(x)))))
