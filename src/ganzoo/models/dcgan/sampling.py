"""A DCGAN generator as sampling wants it: the same function of eval mode, in fewer and quicker operations.

On a CPU a transposed convolution is quickest with the channels of a pixel side by side and without a bias, which sends
it another way in oneDNN; from one pixel, or to few channels, a product of matrices is quicker still.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ganzoo.blocks import DCGANUp, Projection, ToImage


class _Shift(nn.Module):
    """What a batch norm still has to do once the weight before it holds its scale: x + shift, in place."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.shift = nn.Parameter(shift.detach()[:, None, None], requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.add_(self.shift)


class _OnePixel(nn.Module):
    """A transposed convolution of one pixel, (N, latent_size, 1, 1) -> (N, C, size, size): a linear layer."""

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.shape = (*convolution.kernel_size, convolution.out_channels)
        weight = convolution.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)  # (size * size * C, latent_size)
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight).unflatten(1, self.shape).permute(0, 3, 1, 2)


class _Patches(nn.Module):
    """A transposed convolution to few channels: each pixel's patch by one product, then patches are summed where they
    overlap, in float32."""

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.kernel, self.stride = convolution.kernel_size, convolution.stride
        self.padding = tuple(map(int, convolution.padding))
        weight = convolution.weight.detach().flatten(1).T.contiguous()  # (C * kernel * kernel, in_channels)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if convolution.bias is None else nn.Parameter(convolution.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        size = tuple(
            (side - 1) * step - 2 * cut + kernel
            for side, step, cut, kernel in zip(x.shape[2:], self.stride, self.padding, self.kernel)
        )
        patches = (self.weight @ x.flatten(2)).float()
        images = F.fold(patches, size, self.kernel, padding=self.padding, stride=self.stride)
        return images if self.bias is None else images + self.bias[:, None, None]


def prepare(generator: nn.Module) -> None:
    """Rewrite `generator`, a DCGAN's in eval mode that nobody trains, in place.

    Batch norms behind a transposed convolution are folded into it (Jacob et al. 2018, arXiv 1712.05877, section 3.2).
    """
    for module in [*generator.modules()]:
        if type(module) not in (DCGANUp, Projection, ToImage):  # a subclass may compute something else
            continue
        convolution = module.convolution
        if type(convolution) is not nn.ConvTranspose2d:  # which a parametrized one is not
            continue
        if isinstance(module, ToImage):
            module.convolution = _Patches(convolution)
            continue
        if type(module.norm) is nn.BatchNorm2d and module.norm.running_mean is not None:
            convolution = fuse_conv_bn_eval(convolution, module.norm, transpose=True)
            module.norm = nn.Identity()
        if isinstance(module.norm, nn.Identity) and convolution.bias is not None:
            module.norm, convolution.bias = _Shift(convolution.bias), None
        alone = isinstance(module, Projection) and convolution.bias is None
        module.add_module("convolution", _OnePixel(convolution) if alone else convolution)
    generator.to(memory_format=torch.channels_last)
