"""Networks made of one config each, by name in `MODELS`."""

import ganzoo.exports as _exports
from ganzoo.models.check import check_model as check_model
from ganzoo.models.contract import MODELS as MODELS
from ganzoo.models.contract import Discriminator as Discriminator
from ganzoo.models.contract import Generator as Generator
from ganzoo.models.contract import check_labels as check_labels
from ganzoo.models.contract import config_of as config_of
from ganzoo.models.contract import evaluating as evaluating
from ganzoo.models.contract import parameter_count as parameter_count
from ganzoo.models.dcgan.networks import DCGANDiscriminator as DCGANDiscriminator
from ganzoo.models.dcgan.networks import DCGANDiscriminatorConfig as DCGANDiscriminatorConfig
from ganzoo.models.dcgan.networks import DCGANGenerator as DCGANGenerator
from ganzoo.models.dcgan.networks import DCGANGeneratorConfig as DCGANGeneratorConfig
from ganzoo.models.few_shot.networks import FewShotDiscriminator as FewShotDiscriminator
from ganzoo.models.few_shot.networks import FewShotDiscriminatorConfig as FewShotDiscriminatorConfig
from ganzoo.models.few_shot.networks import FewShotGenerator as FewShotGenerator
from ganzoo.models.few_shot.networks import FewShotGeneratorConfig as FewShotGeneratorConfig
from ganzoo.models.projected.discriminator import ProjectedDiscriminator as ProjectedDiscriminator
from ganzoo.models.projected.discriminator import ProjectedDiscriminatorConfig as ProjectedDiscriminatorConfig
from ganzoo.models.r3gan.networks import R3GANDiscriminator as R3GANDiscriminator
from ganzoo.models.r3gan.networks import R3GANDiscriminatorConfig as R3GANDiscriminatorConfig
from ganzoo.models.r3gan.networks import R3GANGenerator as R3GANGenerator
from ganzoo.models.r3gan.networks import R3GANGeneratorConfig as R3GANGeneratorConfig

_exports.without_submodules(globals())
