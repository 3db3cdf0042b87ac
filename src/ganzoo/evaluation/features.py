"""FEATURES by name, the spaces to compare images in: last activations of a network that recognises things.

Features of your own are a function that makes a `Features`; its keywords are options:

    @FEATURES.register("tiny")
    def tiny() -> Features:
        return Features(name="tiny", image_size=8, image_channels=1, dimension=64, key="1", network=nn.Flatten())
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ganzoo.errors import ConfigError, DataError, ShapeError, blame, first_line, needs, quote
from ganzoo.evaluation.nets import COLOR_SIZE, FASHION_SIZE, color_net, fashion_net
from ganzoo.hardware import checked_device, full_float32
from ganzoo.images import to_uint8
from ganzoo.models.backbones import timm_network
from ganzoo.models.contract import evaluating
from ganzoo.registry import Registry

VERSION = 1  # of what stands before the networks: resampling, colours
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as PIL makes grey
BATCH, PIXELS = 256, 2**21  # images, and pixels of a channel, that are computed at once at most
INCEPTION_URL = (  # the FID network of 2015 as torch-fidelity converted it; it downloads the same file
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


@dataclass(frozen=True, eq=False)
class Features:
    """A network that turns images into features; `FEATURES.make` makes them by name.

    Args:
        name: a part of the name of every figure that is measured with it.
        image_size: pixels a side that the network sees; images of other sizes are resampled.
        image_channels: 1 or 3, which it sees; grey is repeated for three, colour weighed by `LUMA` for one.
        dimension: numbers an image becomes.
        key: a hash of weights and preparation. Features with the same key are taken from the cache, so it must change
            with all that changes them.
        network: images of that size in [-1, 1] to (N, dimension); it is called in evaluation mode.
        interpolation: "bilinear" or "bicubic", antialiased; "" for a network that resamples itself.
        device: where it computes.
        limits: one sentence for those who read the figures: what the network knows, and what it can't tell.
    """

    name: str
    image_size: int
    image_channels: int
    dimension: int
    key: str
    network: nn.Module = field(repr=False)
    interpolation: str = "bilinear"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    limits: str = ""

    def name_for(self, image_size: int, image_channels: int) -> str:
        """The name of the space for images of this size and number of channels: what is done to them stands in it.

        `fashion-net` for what fits, else as `fashion-net@28 from 64` or `fashion-net@28 from 64 colour`.
        """
        resized, recoloured = image_size != self.image_size, image_channels != self.image_channels
        was = [str(image_size)] * resized + ["grey" if image_channels == 1 else "colour"] * recoloured
        return self.name + (f"@{self.image_size}" if resized else "") + (f" from {' '.join(was)}" if was else "")

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """The features of `images` (N, C, H, W) in [-1, 1], C = 1 or 3: float32 (N, dimension) on the CPU.

        What lies beyond [-1, 1] is cut off.

        Raises:
            ShapeError: other shapes, or none; or the network gives other shapes than it announces.
            ConfigError: not floating. DataError: NaN or infinity. PluginError: the network fails.
        """
        if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[1] not in (1, 3) or not images.numel():
            got = tuple(images.shape) if isinstance(images, Tensor) else quote(images)
            raise ShapeError(f"features are of images (N, C, H, W), N > 0, grey (C = 1) or colour (C = 3); got {got}.")
        if not images.is_floating_point():
            raise ConfigError(
                f"features are of floating images in [-1, 1], got {images.dtype}; divide by 127.5, minus 1"
            )
        if not images.isfinite().all():
            bad = (~images.isfinite()).flatten(1).any(1).sum()
            raise DataError(f"{int(bad)} of {len(images)} images hold NaN or infinity; look at what made them.")
        self.network.to(self.device)  # it may be elsewhere: `to` shares it
        step = max(1, min(BATCH, PIXELS // self.image_size**2))
        told = blame(f"the network of the features {self.name}")
        with told, full_float32(self.device), evaluating(self.network):
            found = torch.cat([self.network(self._prepare(batch)).float().cpu() for batch in images.split(step)])
        if found.shape != (len(images), self.dimension):
            raise ShapeError(
                f"the network of the features {self.name} gives {tuple(found.shape)} for {len(images)} images, not "
                f"{(len(images), self.dimension)}, rows of its dimension; tell its author, or take other features."
            )
        return found

    def to(self, device: torch.device | str) -> Features:
        """The same features, computed on `device`; the network itself is moved there.

        Raises:
            ConfigError: the device can't be used.
        """
        found = checked_device(device)
        self.network.to(found)
        return replace(self, device=found)

    def _prepare(self, images: Tensor) -> Tensor:
        images = images.to(self.device, torch.float32).clamp(-1, 1)
        if images.shape[1] > self.image_channels:
            weights = torch.tensor(LUMA, dtype=torch.float32, device=self.device)
            images = (images * weights[:, None, None]).sum(1, keepdim=True)
        images = images.expand(-1, self.image_channels, -1, -1)
        size = (self.image_size, self.image_size)
        if self.interpolation and images.shape[2:] != size:
            images = nn.functional.interpolate(images, size, mode=self.interpolation, antialias=True)
        return images.clamp(-1, 1)  # bicubic overshoots


FEATURES: Registry[Callable[..., Features]] = Registry(
    "feature network",
    "ganzoo.features",
    "a function that makes a ganzoo.evaluation.Features",
    callable,
    makes=Features,
)


@FEATURES.register("fashion-net")
def fashion_net_features() -> Features:
    """The bundled classifier of Fashion-MNIST, the default for grey images: (1, 28, 28) to 128 numbers."""
    limits = "fashion-net, the default for grey images, learned only from garments of 28x28 pixels."
    return _make("fashion-net", fashion_net(), FASHION_SIZE, 1, "bilinear", limits)


@FEATURES.register("color-net")
def color_net_features() -> Features:
    """The bundled network of emoji and CIFAR-10, the default for colour: (3, 64, 64) to 256 numbers."""
    limits = (
        "color-net, the default for colour, learned from emoji and CIFAR-10 at 64x64 pixels; it overlooks a light "
        "blur. Before you publish figures, also measure with inception or timm:NAME."
    )
    return _make("color-net", color_net(), COLOR_SIZE, 3, "bilinear", limits)


@FEATURES.register("inception")
def inception() -> Features:
    """The network of the Fréchet Inception Distance, from torch-fidelity: (3, 299, 299) to 2048 numbers.

    Its weights are downloaded once; it resamples as TensorFlow 1 did.

    Raises:
        MissingExtraError: torch-fidelity is not installed. DataError: the weights can't be had.
    """
    return _make("inception", _Inception(), 299, 3, "")


@FEATURES.register("timm")
def timm(model: str, weights: str = "") -> Features:
    """A pretrained model of timm, as `timm:resnet18`, with its weights from the Hub or from a file.

    Images are resampled to the whole of the model's own size, none is cropped, and normalised as it wants.

    Args:
        model: its name, as tf_efficientnet_lite0.
        weights: a .safetensors, or a .pth of plain tensors; "" takes those of the Hub.

    Raises:
        ConfigError: timm has no such model, or no weights. WeightsError: the file is damaged, or of another model.
        HubError: the Hub does not give them.
    """
    network, tagged = timm_network(model, weights)
    made = _make(f"timm:{tagged}", network, network.image_size, 3, network.interpolation)
    # other weights of one model give other figures, which their name must tell
    return replace(made, name=f"{made.name}#{made.key[:6]}") if weights else made


def _make(
    name: str, network: nn.Module, image_size: int, channels: int, interpolation: str, limits: str = ""
) -> Features:
    network.cpu().float().eval().requires_grad_(False)  # whatever torch's default device and dtype are
    digest = hashlib.sha256(f"{VERSION} {name} {image_size} {channels} {interpolation}".encode())
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
    with torch.no_grad():
        found = network(torch.zeros(1, channels, image_size, image_size, dtype=torch.float32, device="cpu"))
    if not isinstance(found, Tensor) or found.dim() != 2:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(f"{name} gives {what} for an image, not one row of features; take another")
    key, dimension = digest.hexdigest(), found.shape[1]
    return Features(name, image_size, channels, dimension, key, network, interpolation, limits=limits)


class _Inception(nn.Module):
    """torch-fidelity's, which takes bytes of any size."""

    def __init__(self) -> None:
        super().__init__()
        with needs("inception needs torch-fidelity", "metrics"):
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        path = f"{torch.hub.get_dir()}/checkpoints/{INCEPTION_URL.rsplit('/', 1)[1]}"
        try:  # torch-fidelity would unpickle whatever stands there, so tensors alone are let through first
            torch.hub.load_state_dict_from_url(INCEPTION_URL, map_location="cpu", check_hash=True, weights_only=True)
            self.network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=path)
        except Exception as error:  # no network, half a file, or one that is no plain table of tensors
            raise DataError(
                f"the weights of inception can't be had ({quote(first_line(error))}): download {INCEPTION_URL} to "
                f"{path}, or take fashion-net or timm:NAME."
            ) from error

    def forward(self, images: Tensor) -> Tensor:
        return self.network(to_uint8(images))[0]
