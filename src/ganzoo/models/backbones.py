"""Pretrained models of timm, with weights from the Hub or from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import ConfigError, WeightsError, nearest, quote, words_of
from ganzoo.files import expand_user
from ganzoo.hub_errors import hub_errors, offline_if_unreachable
from ganzoo.models.state_file import read_tables

_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class TimmNetwork(nn.Module):
    """A model without its classifier, behind the normalisation it was trained with: [-1, 1] to features."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        from timm.data import resolve_model_data_config

        wanted = resolve_model_data_config(model)
        self.model = model
        self.image_size = int(wanted["input_size"][-1])
        self.interpolation = "bicubic" if wanted["interpolation"] == "bicubic" else "bilinear"
        self.register_buffer("mean", torch.tensor(wanted["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(wanted["std"])[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return self.model(((images + 1) / 2 - self.mean) / self.std)


def timm_network(name: str, weights: str = "") -> tuple[TimmNetwork, str]:
    """The model of timm's registry called `name`, and its name with the tag of its weights.

    Args:
        weights: a file of its weights, whole, with or without the classifier; "": those of the Hub.

    Raises:
        ConfigError: no such model, or none with weights. WeightsError: the file is damaged or does not fit.
        HubError: the Hub does not give them.
    """
    import timm
    from timm.models import is_model_pretrained

    if not timm.is_model(name):
        near = nearest(name.partition(".")[0], timm.list_models())
        raise ConfigError(f"timm has no model {quote(name)}.{near} timm.list_models() names all.")
    if weights:
        architecture = name.partition(".")[0]
        model: Any = timm.create_model(architecture, pretrained=False, num_classes=0)
        _load(model, expand_user(weights), model.pretrained_cfg.get("classifier") or ())
        return TimmNetwork(model), architecture
    if not is_model_pretrained(name):
        near = nearest(name, timm.list_pretrained())
        raise ConfigError(f"timm has no weights for {quote(name)}.{near} timm.list_pretrained() names all that have.")
    with hub_errors(f"timm/{name}"), offline_if_unreachable(f"timm/{name}"):
        try:
            model = timm.create_model(name, pretrained=True, num_classes=0)
        except RuntimeError as error:
            if "state_dict" not in str(error):
                raise  # of the transfer
            raise WeightsError(f"timm/{name}: its weights do not fit timm's model ({words_of(error)}).") from error
    tag = model.pretrained_cfg.get("tag")
    return TimmNetwork(model), f"{model.pretrained_cfg['architecture']}{'.' if tag else ''}{tag or ''}"


def lite_names(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Weights of the EfficientNet-Lite `model` by timm's names; in the usual port to PyTorch theirs begin with "_"."""
    places = [(stage, block) for stage, blocks in enumerate(model.blocks) for block in range(len(blocks))]
    renamed = {}
    for key, tensor in state.items():
        if found := re.fullmatch(r"_blocks\.(\d{1,2})\.(\w+)\.(.+)", key):
            index, part, rest = int(found[1]), found[2], found[3]
            names = _OTHERS if index else _FIRST
            if index >= len(places) or part not in names:
                raise WeightsError(f"{quote(key)} is not a weight of this EfficientNet-Lite; give its own.")
            stage, block = places[index]
            renamed[f"blocks.{stage}.{block}.{names[part]}.{rest}"] = tensor
        else:
            part, _, rest = key.partition(".")
            renamed[f"{_STEM.get(part, part)}.{rest}"] = tensor
    return renamed


def _load(model: nn.Module, path: Path, classifier: str | tuple[str, ...]) -> None:
    """Fill `model` with the weights at `path`, but for those of the `classifier`, which it lacks; all must fit."""
    tables = read_tables(path)
    state = tables.get("state_dict") or tables.get("")
    if state is None:
        raise WeightsError(f"{path} holds no table of tensors; save model.state_dict() of a model of timm.")
    if "_conv_stem.weight" in state and hasattr(model, "blocks"):
        state = lite_names(state, model)
    heads = tuple(f"{head}." for head in ([classifier] if isinstance(classifier, str) else classifier))
    state = {key: tensor for key, tensor in state.items() if not key.startswith(heads)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit ({words_of(error)}); give the weights of this very model.") from error
