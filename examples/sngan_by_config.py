"""SNGAN (Miyato et al. 2018) by options of two networks alone: python examples/sngan_by_config.py [STEPS]"""

import argparse

import ganzoo
from ganzoo.models import (
    DCGANDiscriminator,
    DCGANDiscriminatorConfig,
    DCGANGenerator,
    DCGANGeneratorConfig,
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=2000)
steps = parser.parse_args().steps
generator = DCGANGeneratorConfig(
    latent_size=64, start_size=7, widths=(64, 64, 64), image_channels=1, block="residual-up", stem="linear", head="same"
)
discriminator = DCGANDiscriminatorConfig(
    image_size=28,
    image_channels=1,
    widths=(64, 64),
    block="residual-down",
    last_blocks=("residual-same",),
    norm="spectral",
    activation="relu",
    pool="sum",
)
gan = ganzoo.GAN(DCGANGenerator(generator), DCGANDiscriminator(discriminator))
settings = {"loss": "hinge", "discriminator_steps": 2, "generator_lr": 2e-4, "discriminator_lr": 2e-4}
settings |= {"steps": steps, "batch_size": 32}
try:
    result = ganzoo.Trainer(gan, "fashion-mnist-mini", output_dir="runs/sngan", overwrite=True, **settings).fit()
    gan.load_weights(result.model)  # the averaged generator, in place of the one that was trained
    ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/sngan.png")
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")
print("picture: pictures/sngan.png")
