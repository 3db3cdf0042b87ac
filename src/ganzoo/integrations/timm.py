"""Discriminators as models of timm: what a GAN has learned from images without labels, for any other task.

    ganzoo.integrations.timm.register()
    model = timm.create_model("ganzoo_dcgan_disc_64", pretrained=True, num_classes=10)

Radford et al. 2015 (section 5) classify images by a discriminator's features. Here the last ones are pooled and a
linear layer follows; with `features_only=True` those of all stages are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from huggingface_hub import ModelCard
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, is_model, register_model
from torch import Tensor, nn

from ganzoo.models import DCGANDiscriminator, DCGANDiscriminatorConfig
from ganzoo.saving.format import CARD, CONFIG, WEIGHTS, read_description, read_json
from ganzoo.saving.resolve import bundled_models


class DiscriminatorBackbone(nn.Module):
    """A DCGAN's discriminator without its logit, with timm's methods: images (N, C, H, W) to (N, num_classes).

    Any H and W that the stages can halve will do.

    Args:
        config: of the discriminator; its classes and image size are of no account here.
        in_chans: channels of the images.
        num_classes: of the classifier; 0: none, the pooled features are given.
        global_pool: as `timm.layers.ClassifierHead` takes it; "" keeps the places.
        drop_rate: of pooled features before the classifier.
    """

    def __init__(
        self,
        config: DCGANDiscriminatorConfig,
        in_chans: int,
        num_classes: int = 0,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        whole = DCGANDiscriminator(config.replace(image_channels=in_chans, num_classes=0))
        self.stages = nn.Sequential(*whole.stages)
        self.final_norm = whole.final_norm
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = config.widths[-1]
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.feature_info, reduction = [], 1.0
        for index, stage in enumerate(whole.stages):
            reduction /= stage.scale_factor  # type: ignore[operator, assignment]  # blocks announce a number
            info = {"num_chs": stage.out_channels, "reduction": int(reduction), "module": f"stages.{index}"}
            self.feature_info.append(info)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last features, (N, num_features, h, w)."""
        return self.final_norm(self.stages(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled features, and the classifier's logits of them unless only those before it are asked for."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Another classifier, with fresh weights; 0 classes: none."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Names of weights by stage, for learning rates that fall from layer to layer."""
        return {"stem": r"^stages\.0", "blocks": r"^stages\.(\d+)"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Not offered: the network is small."""
        assert not enable, "a discriminator of ganzoo has no gradient checkpointing"


def _architectures() -> dict[str, dict[str, DCGANDiscriminatorConfig]]:
    """Names in timm, each with the bundled models that have weights for it (timm's tags, the first by default)."""
    found: dict[str, dict[str, DCGANDiscriminatorConfig]] = {}
    for model, folder in bundled_models().items():
        if not (folder / "discriminator").is_dir():
            continue
        config = read_description(read_json(folder / "discriminator" / CONFIG), str(folder)).config
        if isinstance(config, DCGANDiscriminatorConfig):
            labelled = "_conditional" * bool(read_json(folder / CONFIG)["num_classes"])
            found.setdefault(f"ganzoo_dcgan_disc_{config.image_size}{labelled}", {})[model] = config
    return found


ARCHITECTURES = _architectures()


def _pretrained_cfg(model: str, config: DCGANDiscriminatorConfig) -> dict[str, Any]:
    folder = bundled_models()[model]
    size, channels, places = config.image_size, config.image_channels, int(config.last_size)
    return {
        "file": str(folder / "discriminator" / WEIGHTS),
        "num_classes": 0,
        "input_size": (channels, size, size),
        "pool_size": (places, places),
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": (0.5,) * channels,  # which takes images to [-1, 1]
        "std": (0.5,) * channels,
        "first_conv": "stages.0.convolution",
        "classifier": "head.fc",
        "license": ModelCard.load(folder / CARD).data.license,
    }


def _backbone_weights(state: dict[str, Tensor], _: nn.Module) -> dict[str, Tensor]:
    """A discriminator's weights without those of its logit and labels."""
    return {name: value for name, value in state.items() if name.startswith(("stages.", "final_norm."))}


def _entry(name: str) -> Callable[..., nn.Module]:
    """The function that timm calls to make the model `name`, for all of its tags."""
    config = next(iter(ARCHITECTURES[name].values()))

    def make(pretrained: bool = False, **options: Any) -> nn.Module:
        stages = len(config.widths) + len(config.last_blocks)
        return build_model_with_cfg(
            DiscriminatorBackbone,
            name,
            pretrained,
            pretrained_filter_fn=_backbone_weights,
            feature_cfg={
                "out_indices": tuple(range(stages)),
                "flatten_sequential": True,
            },
            config=config,
            **{"in_chans": config.image_channels, **options},
        )

    make.__name__ = make.__qualname__ = name
    return make


default_cfgs: dict[str, Any] = {}  # where timm looks for what a model was trained on


def register() -> tuple[str, ...]:
    """Make the bundled discriminators known to timm; give their names. A second call changes nothing.

    They serve as all models of timm do: `pretrained=True` (from the files that come with ganzoo, no network),
    `features_only=True`, `num_classes`, `in_chans`, `reset_classifier`, `forward_features`, `forward_head`. Images are
    in [-1, 1], as `timm.data.resolve_model_data_config` says.
    """
    cfgs: dict[str, Any] = {
        f"{name}.{model}": _pretrained_cfg(model, config)
        for name, tags in ARCHITECTURES.items()
        for model, config in tags.items()
    }
    default_cfgs.update(generate_default_cfgs(cfgs))
    for name in ARCHITECTURES:
        if not is_model(name):
            register_model(_entry(name))
    return tuple(ARCHITECTURES)
