"""Modulation: scale and shift channels by what an image should show."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo.blocks.initialisation import OwnStart
from ganzoo.blocks.norms import Norm, make_norm
from ganzoo.config import check_counts


class ClassModulation(OwnStart):
    """Scale and shift every channel by class: x * (1 + scale[label]) + shift[label]; the identity at first.

    De Vries et al. 2017 (arXiv 1707.00683) change a norm's scale and shift so; here it stands behind any block.

    Args:
        num_classes: number of classes.
        channels: channels of the input.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        check_counts("ClassModulation", num_classes=num_classes, channels=channels)
        self.num_classes, self.channels = num_classes, channels
        self.scale = nn.Embedding(num_classes, channels)
        self.shift = nn.Embedding(num_classes, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale and shift become zero, so that the module is the identity."""
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Modulate `x` (N, channels, H, W) by `labels` (N,), int64, from 0 to num_classes - 1, as its network has
        checked them."""
        return x * (1 + self.scale(labels)[:, :, None, None]) + self.shift(labels)[:, :, None, None]


class ConditionalNorm(OwnStart):
    """A norm whose scale and shift follow from a context: norm(x) * (1 + scale(context)) + shift(context).

    Conditional batch norm (de Vries et al. 2017, arXiv 1707.00683, section 3; Miyato and Koyama 2018, arXiv 1802.05637,
    appendix A) if `norm` is "batch": with a one-hot context, each class has a scale and shift of its own.

    Args:
        norm: name or callable, see `make_norm`; its own scale and shift are left out if it has the option `affine`.
        channels: channels of the input.
        context: numbers in an image's context.
    """

    def __init__(self, norm: Norm, channels: int, context: int) -> None:
        super().__init__()
        check_counts("ConditionalNorm", context=context)
        self.norm = make_norm(norm, channels, affine=False)
        self.scale = nn.Linear(context, channels, bias=False)
        self.shift = nn.Linear(context, channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale and shift become zero, so that the module is the norm alone."""
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, channels, H, W) and (N, context) to (N, channels, H, W)."""
        scale, shift = self.scale(context)[:, :, None, None], self.shift(context)[:, :, None, None]
        return self.norm(x) * (1 + scale) + shift
