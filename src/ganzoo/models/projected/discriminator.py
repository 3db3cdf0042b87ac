"""A discriminator that looks through the eyes of a pretrained network (Sauer et al. 2021, arXiv 2111.01007).

What a network has learned of a million photographs need not be learned again of a few hundred drawings: small sets
converge in fewer steps. It wants outside weights and costs many times a DCGAN's discriminator a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.blocks import DCGANDown, check_activation_name, initialise, make_activation, with_weight_norm
from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, first_line, nearest, quote
from ganzoo.models.contract import MODELS, Discriminator, check_labels

LEVELS = 4  # of the backbone, from the finest to the coarsest
LOGITS = 4  # pixels a side, at most, of the logits of a level


@dataclass(frozen=True, kw_only=True)
class ProjectedDiscriminatorConfig(Config):
    """A frozen backbone, random mixing of its levels, and a small discriminator on each."""

    image_size: int = option(64, "pixels a side of an image", low=32, high=512)
    image_channels: int = option(3, "channels of an image: 1 or 3", low=1, high=3)
    backbone: str = option("timm:tf_efficientnet_lite0", "a convolutional model of timm, as timm:resnet18 or resnet18")
    width: int = option(64, "channels of a mixed level, and of its head", low=1, high=2048)
    activation: str = option("leaky_relu", "activation of the heads, by name")
    slope: float = option(0.2, "slope of leaky_relu below zero", low=0, high=1)

    def check(self) -> None:
        check_activation_name(self.activation)
        if self.image_channels == 2:
            raise ConfigError("image_channels must be 1 or 3 for a pretrained backbone, got 2")
        if self.image_size % 32:
            raise ConfigError(f"image_size must be a multiple of 32 for a backbone's levels, got {self.image_size}")

    @property
    def timm_name(self) -> str:
        """The backbone by timm's own name."""
        return self.backbone.removeprefix("timm:")

    def resized(self, image_size: int) -> ProjectedDiscriminatorConfig:
        """For images of `image_size`; the backbone takes any multiple of 32."""
        return self.replace(image_size=image_size)


@MODELS.register("projected-discriminator")
class ProjectedDiscriminator(Discriminator):
    """Images (N, C, H, H) in [-1, 1] to logits (N, L), those of all places of all levels.

    Section 3.2 of the paper: the levels of a frozen `backbone` are mixed across channels by random 1x1 convolutions,
    then across scales by random 3x3 convolutions, coarse to fine, which are never trained; each level has a head of
    spectrally and batch normed blocks that ends in 4x4 logits or fewer, or in a size that can't be halved. A fresh one
    has a random backbone, for `load_backbone` to fill. All weights are saved, so that it wants nothing from outside.
    """

    config_class: ClassVar[type[Config]] = ProjectedDiscriminatorConfig
    backbone: Any  # a model of timm with `feature_info`
    mean: Tensor
    std: Tensor

    def __init__(self, config: ProjectedDiscriminatorConfig) -> None:
        super().__init__(config)
        self.backbone, mean, std = _backbone(config.timm_name)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        channels = self.backbone.feature_info.channels()
        sizes = [config.image_size // reduction for reduction in self.backbone.feature_info.reduction()]
        _check_levels(self.backbone, config, sizes)
        width, activation = config.width, partial(make_activation, config.activation, slope=config.slope)
        self.mix_channels = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mix_scales = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        heads = []
        for size in sizes:
            stages: list[nn.Module] = []
            while size > LOGITS and size % 2 == 0:
                stages += [
                    DCGANDown(width, width, norm="spectral", activation=nn.Identity),
                    *_normed(width, activation),
                ]
                size //= 2
            stages += [with_weight_norm(nn.Conv2d(width, width, 3, padding=1), "spectral"), *_normed(width, activation)]
            heads.append(nn.Sequential(*stages, with_weight_norm(nn.Conv2d(width, 1, 1), "spectral")))
        self.heads = nn.ModuleList(heads)
        initialise(self.heads, "dcgan")
        for mixing in (*self.mix_channels, *self.mix_scales):
            nn.init.kaiming_normal_(mixing.weight)
            nn.init.zeros_(mixing.bias)
        for frozen in (self.backbone, self.mix_channels, self.mix_scales):
            frozen.requires_grad_(False)

    def train(self, mode: bool = True) -> ProjectedDiscriminator:
        """As of any module, but that the backbone stays as it was trained."""
        super().train(mode)
        self.backbone.eval()
        return self

    def load_backbone(self, state: dict[str, Tensor]) -> None:
        """Fill the backbone from the state dict of the whole model of timm; ConfigError if a part is missing."""
        wanted = self.backbone.state_dict()
        missing = [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]
        if missing:
            raise ConfigError(f"the weights do not fit {self.config.backbone}: {missing[0]} (one of {len(missing)})")
        self.backbone.load_state_dict({key: state[key] for key in wanted})

    def features(self, images: Tensor) -> list[Tensor]:
        """The mixed levels of `images`, fine to coarse: (N, width, h, h) each."""
        self.check_images(images)
        images = ((images + 1) / 2).expand(-1, len(self.mean), -1, -1)
        levels = self.backbone((images - self.mean) / self.std)
        mixed: list[Tensor] = []
        for level, channels, scales in reversed(list(zip(levels, self.mix_channels, self.mix_scales))):
            level = channels(level)
            if mixed:
                level = level + F.interpolate(mixed[0], size=level.shape[2:], mode="bilinear", align_corners=False)
            mixed.insert(0, scales(level))
        return mixed

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (N, L), above 0 for real; raises ShapeError on images of other shapes, or labels."""
        check_labels(labels, images.shape[0], 0, "ProjectedDiscriminator")
        return torch.cat([head(level).flatten(1) for head, level in zip(self.heads, self.features(images))], dim=1)


def _normed(width: int, activation: partial[nn.Module]) -> tuple[nn.Module, nn.Module]:
    """Batch norm beside the spectral one, which alone let all samples become one image: it shows how a batch varies."""
    return nn.BatchNorm2d(width), activation()


def _backbone(name: str) -> tuple[Any, Any, Any]:
    """The model without weights, giving its four coarsest levels, and the mean and deviation of colours it wants."""
    import timm

    if not timm.is_model(name):
        raise ConfigError(f"backbone: timm has no model {quote(name)}.{nearest(name, timm.list_models())}")
    try:
        model: Any = timm.create_model(name, pretrained=False, features_only=True, out_indices=tuple(range(-LEVELS, 0)))
        reductions = model.feature_info.reduction()
    except Exception as error:  # each family of timm says it in a way of its own
        raise ConfigError(f"backbone {quote(name)} gives no levels of features ({error}); take another") from error
    if len(set(reductions)) != LEVELS or reductions[-1] > 32:
        raise ConfigError(f"backbone {quote(name)} has levels of scale {reductions}; {LEVELS} up to 32 are wanted")
    return model, model.pretrained_cfg["mean"], model.pretrained_cfg["std"]


def _check_levels(backbone: Any, config: ProjectedDiscriminatorConfig, sizes: list[int]) -> None:
    """Raise ConfigError unless `backbone` takes images of the config's size and gives the maps that it announces.

    Transformers may want a size of their own, or put channels last.
    """
    wanted = [(1, channels, size, size) for channels, size in zip(backbone.feature_info.channels(), sizes)]
    side, own = config.image_size, backbone.pretrained_cfg["input_size"][-1]
    place, remedy = f"backbone {quote(config.backbone)}", "take another, as timm:tf_efficientnet_lite0 or timm:resnet18"
    try:
        with torch.no_grad():
            found = [tuple(level.shape) for level in backbone.eval()(torch.zeros(1, 3, side, side))]
    except Exception as error:  # each family of timm says it in a way of its own
        fixed = f"it is made for {own}x{own} alone"
        reason = fixed if backbone.pretrained_cfg.get("fixed_input_size") else quote(first_line(error))
        raise ConfigError(f"{place} can't take images of {side}x{side} ({reason}); {remedy}") from error
    if found != wanted:
        last = " (channels last)" if found == [(1, size, size, channels) for _, channels, size, _ in wanted] else ""
        raise ConfigError(f"{place} gives {found[0]}{last} for images of {side}x{side}, not {wanted[0]}; {remedy}")
