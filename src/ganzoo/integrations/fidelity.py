"""Our features inside torch-fidelity, so that its own functions and commands can measure with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import needs
from ganzoo.evaluation.features import Features

LAYER = "features"  # the one that an extractor offers


def register(features: Features) -> str:
    """Make `features` known to torch-fidelity; give the name to pass as its `feature_extractor`.

    From then on `torch_fidelity.calculate_metrics(..., feature_extractor=NAME)` computes its distances, precision and
    recall in this space, of data sets of bytes (3, H, W), of folders, or of generators.

    Registered a second time, the same features keep their name.

    Raises:
        MissingExtraError: torch-fidelity is not installed.
    """
    with needs("this needs torch-fidelity", "metrics"):
        from torch_fidelity import register_feature_extractor
        from torch_fidelity.feature_extractor_base import FeatureExtractorBase
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    name = f"{features.name}-{features.key[:12]}"

    class Extractor(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **_: Any) -> None:  # it passes all options of a call
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return (LAYER,)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return LAYER

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (features(images.to(torch.float32) / 127.5 - 1).to(images.device),)

    if name not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(name, Extractor)
    return name
