"""The preset "acme.tiny": the smallest pair that uses this package's block and loss."""

from __future__ import annotations

from ganzoo.models import DCGANDiscriminatorConfig, DCGANGeneratorConfig
from ganzoo.presets import Preset
from ganzoo.settings import Settings

tiny = Preset(
    version=1,
    description="grey 28x28 images by a very small network (tutorial)",
    generator=DCGANGeneratorConfig(
        latent_size=16, start_size=7, widths=(16, 8), head="doubling", block="acme.up", image_channels=1
    ),
    discriminator=DCGANDiscriminatorConfig(widths=(8, 16), image_size=28, image_channels=1),
    data="fashion-mnist-mini",
    settings=Settings(loss="acme.soft-hinge", steps=200, batch_size=16),
)
