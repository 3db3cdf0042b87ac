"""Networks made of one config each, by name in `MODELS`."""

from ganzoo.models.base import MODELS, Discriminator, Generator, build_like_file, parameter_count
from ganzoo.models.dcgan import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
)

__all__ = [
    "MODELS",
    "DCGANDiscriminator",
    "DCGANDiscriminatorConfig",
    "DCGANGenerator",
    "DCGANGeneratorConfig",
    "Discriminator",
    "Generator",
    "build_like_file",
    "parameter_count",
]
