"""DCGAN's blocks, stems and heads (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ganzoo.blocks.activations import Activation
from ganzoo.blocks.contract import BLOCKS, ImageBlock
from ganzoo.blocks.conv import ConvolutionBlock, SameConvolution
from ganzoo.blocks.norms import Norm, with_weight_norm
from ganzoo.config import Bounds, check_counts, convert_value
from ganzoo.errors import ShapeError

Mode = Literal["doubling", "same"]


class StridedConvolution(ConvolutionBlock):
    """A `ConvolutionBlock` whose kernel, stride and padding decide the size.

    `scale_factor` is None if no single number says the size of the output; a network can't stack such a block.

    Args: as of `ConvolutionBlock`, and in place of `convolution`
        kernel_size: pixels a side of the kernel.
        stride: pixels of input for one of output; of output for one of input if the convolution is transposed.
        padding: pixels of zeros added on each side of the input; cut off the output if it is transposed.
    """

    kind: ClassVar[type[nn.Conv2d | nn.ConvTranspose2d]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 4,
        stride: int = 2,
        padding: int = 1,
        norm: Norm = "batch",
        activation: Activation | None = None,
        slope: float = 0.2,
    ) -> None:
        check_counts(type(self).__name__, kernel_size=kernel_size, stride=stride)
        check_counts(type(self).__name__, 0, padding=padding)
        convolution = partial(self.kind, in_channels, out_channels, kernel_size, stride, padding)
        super().__init__(in_channels, out_channels, convolution, norm=norm, activation=activation, slope=slope)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.scale_factor = self.scale()

    @abstractmethod
    def scale(self) -> float | None:
        """Output size over input size, if it is the same for every size that the block takes."""

    @abstractmethod
    def output_size(self, size: int) -> int:
        """Pixels of output for `size` pixels of input."""

    def convolve(self, x: Tensor) -> Tensor:
        """Raises ShapeError if nothing would be left of `x`."""
        if min(map(self.output_size, x.shape[2:])) < 1:
            kernel = f"kernel {self.kernel_size}, stride {self.stride}, padding {self.padding}"
            place = f"{type(self).__name__} with {kernel}"
            raise ShapeError(f"{place} leaves nothing of an input of {tuple(x.shape)}; give a larger one.")
        return super().convolve(x)


@BLOCKS.register("dcgan-up")
class DCGANUp(StridedConvolution):
    """Transposed convolution, norm, activation: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W).

    In general a size n becomes k + s(n - 1) - 2p, k, s and p being `kernel_size`, `stride` and `padding` (Dumoulin and
    Visin 2016, arXiv 1603.07285, the chapter on transposed convolution): 4, 1 and 0 take 1x1 to 4x4. If k - s = 2p,
    that is s * n and `scale_factor` is s. Args: as of `StridedConvolution`.
    """

    scale_factor: float | None = 2.0
    default_activation = "relu"
    kind = nn.ConvTranspose2d

    def scale(self) -> float | None:
        return float(self.stride) if self.kernel_size - self.stride == 2 * self.padding else None

    def output_size(self, size: int) -> int:
        return self.kernel_size + self.stride * (size - 1) - 2 * self.padding


@BLOCKS.register("dcgan-down")
class DCGANDown(StridedConvolution):
    """Convolution, norm, activation: (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2).

    In general a size n becomes floor((n - k + 2p + s) / s), k, s and p being `kernel_size`, `stride` and `padding`
    (Dumoulin and Visin 2016, arXiv 1603.07285, relationship 6). If that is n / s for every multiple n of s,
    `scale_factor` is 1 / s and other sizes are refused. Args: as of `StridedConvolution`.
    """

    scale_factor: float | None = 0.5
    kind = nn.Conv2d

    def scale(self) -> float | None:
        return 1 / self.stride if self.kernel_size - self.stride <= 2 * self.padding < self.kernel_size else None

    def output_size(self, size: int) -> int:
        return (size - self.kernel_size + 2 * self.padding + self.stride) // self.stride


@BLOCKS.register("dcgan-same")
class DCGANSame(SameConvolution):
    """3x3 convolution, norm, activation, at the same size: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Behind a discriminator's stages (`last_blocks`) it lets places see each other before their logits are summed.
    Args: as of `SameConvolution`.
    """

    scale_factor: float | None = 1.0


class Projection(ConvolutionBlock):
    """Latents to the generator's first features: transposed convolution, norm, activation.

    (N, latent_size) or (N, latent_size, 1, 1) -> (N, channels, size, size). Radford et al. 2015, figure 1.

    Args:
        latent_size: numbers in a latent.
        channels: channels of the output, announced as `out_channels`.
        size: pixels a side of the output.
        norm: name or callable, see `make_norm`.
        activation: name or callable, see `make_activation`.
    """

    scale_factor = None

    def __init__(
        self, latent_size: int, channels: int, size: int, *, norm: Norm = "batch", activation: Activation = "relu"
    ) -> None:
        check_counts("Projection", latent_size=latent_size, channels=channels, size=size)
        convolution = partial(nn.ConvTranspose2d, latent_size, channels, size)
        super().__init__(latent_size, channels, convolution, norm=norm, activation=activation)
        self.latent_size, self.size = latent_size, size

    def forward(self, latents: Tensor) -> Tensor:
        """Raises ShapeError on latents of another shape."""
        return super().forward(_flat(latents, self.latent_size, "Projection")[:, :, None, None])


class LinearProjection(nn.Module):
    """Latents to the generator's first features: a linear layer alone, for blocks that begin with norm and activation.

    (N, latent_size) or (N, latent_size, 1, 1) -> (N, channels, size, size). Miyato et al. 2018 (arXiv 1802.05957),
    appendix B.4.

    Args:
        latent_size: numbers in a latent.
        channels: channels of the output, announced as `out_channels`.
        size: pixels a side of the output.
        norm: "spectral" normalises the weight; any other changes nothing.
    """

    def __init__(self, latent_size: int, channels: int, size: int, *, norm: Norm = "none") -> None:
        super().__init__()
        check_counts("LinearProjection", latent_size=latent_size, channels=channels, size=size)
        self.latent_size, self.out_channels, self.size = latent_size, channels, size
        self.linear = with_weight_norm(nn.Linear(latent_size, channels * size * size), norm)

    def forward(self, latents: Tensor) -> Tensor:
        """Raises ShapeError on latents of another shape."""
        flat = _flat(latents, self.latent_size, "LinearProjection")
        return self.linear(flat).unflatten(1, (self.out_channels, self.size, self.size))


def _flat(latents: Tensor, size: int, place: str) -> Tensor:
    """`latents` as (N, size); ShapeError unless they are (N, size) or (N, size, 1, 1)."""
    if tuple(latents.shape[1:]) not in ((size,), (size, 1, 1)):
        shapes = f"(N, {size}) or (N, {size}, 1, 1)"
        raise ShapeError(f"{place} wants latents {shapes}, got {tuple(latents.shape)}.")
    return latents.reshape(-1, size)


class ToImage(ImageBlock):
    """Features to an image in [-1, 1]: convolution and tanh.

    Args:
        in_channels: channels of the features.
        image_channels: channels of the image, announced as `out_channels`.
        mode: "doubling": transposed convolution, kernel 4, stride 2, padding 1, no bias (Radford et al. 2015,
            figure 1): (N, in_channels, H, W) -> (N, image_channels, 2H, 2W). "same": 3x3 convolution with bias,
            to (N, image_channels, H, W).
        bias: give the transposed convolution one too.
    """

    def __init__(self, in_channels: int, image_channels: int, *, mode: Mode = "doubling", bias: bool = False) -> None:
        check_counts("ToImage", image_channels=image_channels)
        super().__init__(in_channels, image_channels)
        convert_value(mode, Mode, "ToImage: mode", Bounds())
        self.scale_factor = 2.0 if mode == "doubling" else 1.0
        self.convolution: nn.Module
        if mode == "doubling":
            self.convolution = nn.ConvTranspose2d(in_channels, image_channels, 4, 2, 1, bias=bias)
        else:
            self.convolution = nn.Conv2d(in_channels, image_channels, 3, padding=1)
        self.activation = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        return self.activation(self.convolution(x))


class ToLogit(nn.Module):
    """Features to one logit: a convolution as large as they are: (N, in_channels, size, size) -> (N, 1, 1, 1).

    Args:
        in_channels: channels of the features.
        size: their pixels a side.
        spectral: normalise the weight by its largest singular value.
        bias: add a number to every logit.
    """

    def __init__(self, in_channels: int, size: int, *, spectral: bool = False, bias: bool = False) -> None:
        super().__init__()
        check_counts("ToLogit", in_channels=in_channels, size=size)
        self.in_channels, self.size = in_channels, size
        convolution = nn.Conv2d(in_channels, 1, size, bias=bias)
        self.convolution = with_weight_norm(convolution, "spectral" if spectral else "none")

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, size, size)."""
        if x.dim() != 4 or tuple(x.shape[1:]) != (self.in_channels, self.size, self.size):
            wanted = f"(N, {self.in_channels}, {self.size}, {self.size})"
            raise ShapeError(f"ToLogit wants an input of shape {wanted}, got {tuple(x.shape)}.")
        return self.convolution(x)


class MinibatchStandardDeviation(ImageBlock):
    """Append a channel that says how much the batch varies: (N, in_channels, H, W) -> (N, in_channels + 1, H, W).

    The standard deviation of each feature at each place over a group of images, averaged to one number (Karras et
    al. 2018, arXiv 1710.10196, section 3). A batch that `group_size` does not divide is cut into groups as even as
    can be. A row depends on its batch mates by intent, which `check_block` does not allow.

    Args:
        in_channels: channels of the input; `out_channels` announces one more.
        group_size: images in a group, at most.
    """

    scale_factor: float | None = 1.0

    def __init__(self, in_channels: int, *, group_size: int = 4) -> None:
        check_counts("MinibatchStandardDeviation", in_channels=in_channels, group_size=group_size)
        super().__init__(in_channels, in_channels + 1)
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Raises ShapeError if `x` is not (N, in_channels, H, W)."""
        self.check_input(x)
        added = []
        for group in x.tensor_split(max(1, -(-len(x) // self.group_size))):
            # in float32 at least: 1e-8 is 0 in half precision
            variance = group.to(torch.promote_types(group.dtype, torch.float32)).var(dim=0, unbiased=False)
            deviation = (variance + 1e-8).sqrt().mean()  # the constant keeps the root's slope finite at zero
            added.append(deviation.to(x.dtype).expand(len(group), 1, *x.shape[2:]))
        return torch.cat([x, torch.cat(added)], dim=1)
