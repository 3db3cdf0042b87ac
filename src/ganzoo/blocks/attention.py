"""Self-attention over the places of an image."""

from __future__ import annotations

from contextlib import nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.initialisation import OwnStart
from ganzoo.blocks.norms import Norm, make_norm, with_weight_norm
from ganzoo.config import check_counts
from ganzoo.errors import ConfigError


@BLOCKS.register("self-attention")
class SelfAttention(OwnStart, ImageBlock):
    """Every place looks at all others: (N, C, H, W) -> (N, C, H, W), the identity at first.

    x + gate * o(x), the gate a number that starts at zero (Zhang, Goodfellow, Metaxas, Odena 2019, arXiv 1805.08318,
    equations 1 to 3). Cost grows with (H * W) squared: put it where images are 32x32 or smaller.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; must be `in_channels`.
        reduction: queries, keys and values have in_channels / reduction channels, at least one.
        norm: name or callable, see `make_norm`; by default the paper's: on the weights alone. A norm of activations is
            applied to what is looked at, not to the sum.
    """

    scale_factor: float | None = 1.0
    options: ClassVar[tuple[str, ...]] = ("norm",)
    output_activated = False

    def __init__(self, in_channels: int, out_channels: int, *, reduction: int = 8, norm: Norm = "spectral") -> None:
        super().__init__(in_channels, out_channels)
        check_counts("SelfAttention", reduction=reduction)
        if in_channels != out_channels:
            raise ConfigError(f"SelfAttention: out_channels must be {in_channels} like in_channels, got {out_channels}")
        inner = max(1, in_channels // reduction)
        self.norm = make_norm(norm, in_channels)
        self.query = with_weight_norm(nn.Conv2d(in_channels, inner, 1, bias=False), norm)
        self.key = with_weight_norm(nn.Conv2d(in_channels, inner, 1, bias=False), norm)
        self.value = with_weight_norm(nn.Conv2d(in_channels, inner, 1, bias=False), norm)
        self.output = with_weight_norm(nn.Conv2d(inner, in_channels, 1, bias=False), norm)
        self.gate = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The gate becomes zero, so that the block is the identity."""
        nn.init.zeros_(self.gate)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        y = self.norm(x)
        query, key, value = (part(y).flatten(2).mT.unsqueeze(1) for part in (self.query, self.key, self.value))
        # torch's fused kernels can't be differentiated twice, as gradient penalties need; the plain one can
        plain = sdpa_kernel(SDPBackend.MATH) if torch.is_grad_enabled() else nullcontext()
        with plain:
            seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        seen = seen.squeeze(1).mT.unflatten(2, x.shape[2:])
        return x + self.gate * self.output(seen)
