"""Networks made of one config each, by name in `MODELS`."""

from ganzoo.models.check import check_model
from ganzoo.models.contract import (
    MODELS,
    Discriminator,
    Generator,
    build_like_file,
    config_of,
    evaluating,
    parameter_count,
)
from ganzoo.models.dcgan.networks import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
)
from ganzoo.models.fast import FastCopy
from ganzoo.models.few_shot.networks import (
    FewShotDiscriminator,
    FewShotDiscriminatorConfig,
    FewShotGenerator,
    FewShotGeneratorConfig,
)
from ganzoo.models.graphed import GraphedPasses
from ganzoo.models.projected.discriminator import ProjectedDiscriminator, ProjectedDiscriminatorConfig
from ganzoo.models.r3gan.networks import (
    R3GANDiscriminator,
    R3GANDiscriminatorConfig,
    R3GANGenerator,
    R3GANGeneratorConfig,
)

__all__ = [
    "MODELS",
    "DCGANDiscriminator",
    "DCGANDiscriminatorConfig",
    "DCGANGenerator",
    "DCGANGeneratorConfig",
    "Discriminator",
    "FastCopy",
    "FewShotDiscriminator",
    "FewShotDiscriminatorConfig",
    "FewShotGenerator",
    "FewShotGeneratorConfig",
    "Generator",
    "GraphedPasses",
    "ProjectedDiscriminator",
    "ProjectedDiscriminatorConfig",
    "R3GANDiscriminator",
    "R3GANDiscriminatorConfig",
    "R3GANGenerator",
    "R3GANGeneratorConfig",
    "build_like_file",
    "check_model",
    "config_of",
    "evaluating",
    "parameter_count",
]
