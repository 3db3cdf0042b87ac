"""Networks made of one config each, by name in `MODELS`."""

from ganzoo.models.base import MODELS, Discriminator, Generator, build_like_file, config_of, evaluating, parameter_count
from ganzoo.models.dcgan import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
)
from ganzoo.models.fast import fast_copy
from ganzoo.models.projected import ProjectedDiscriminator, ProjectedDiscriminatorConfig

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
    "config_of",
    "evaluating",
    "fast_copy",
    "parameter_count",
]
