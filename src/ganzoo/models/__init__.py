"""Networks made of one config each, by name in `MODELS`."""

from ganzoo.models.check import check_model
from ganzoo.models.contract import (
    MODELS,
    Discriminator,
    Generator,
    build_like_file,
    config_of,
    evaluating,
    fast_copy,
    parameter_count,
)
from ganzoo.models.dcgan.networks import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
)
from ganzoo.models.projected.discriminator import ProjectedDiscriminator, ProjectedDiscriminatorConfig

__all__ = [
    "MODELS",
    "DCGANDiscriminator",
    "DCGANDiscriminatorConfig",
    "DCGANGenerator",
    "DCGANGeneratorConfig",
    "Discriminator",
    "Generator",
    "ProjectedDiscriminator",
    "ProjectedDiscriminatorConfig",
    "build_like_file",
    "check_model",
    "config_of",
    "evaluating",
    "fast_copy",
    "parameter_count",
]
