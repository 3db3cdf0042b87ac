"""A projected GAN (Sauer et al. 2021): python examples/projected_gan.py DATA BACKBONE WEIGHTS [STEPS]

DATA is a folder of images, or what else `ganzoo train --data` takes. BACKBONE is a name of timm, as resnet18. WEIGHTS
is a file of its weights; "hub" fetches timm's own, "random" goes without, to try it out. docs/experiments.md says what
came of it.
"""

import argparse

import ganzoo
from ganzoo.models import ProjectedDiscriminator, ProjectedDiscriminatorConfig
from ganzoo.models.backbones import timm_network

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
for name in ("data", "backbone", "weights"):
    parser.add_argument(name)
parser.add_argument("steps", type=int, nargs="?", default=4000)
given = parser.parse_args()
settings = {
    **{"steps": given.steps, "loss": "hinge", "generator_lr": 1e-3, "beta1": 0.0, "beta2": 0.99},
    **{"ema_half_life": 20_000, "flip": True, "augmentations": ("color", "translation", "cutout")},
}
try:
    discriminator = ProjectedDiscriminator(ProjectedDiscriminatorConfig(backbone=given.backbone))
    if given.weights != "random":
        network, _ = timm_network(given.backbone, "" if given.weights == "hub" else given.weights)
        discriminator.load_backbone(network.model.state_dict())
    generator = ganzoo.create("pokemon-64", generator={"widths": (256, 128, 64, 32)}, clusters=0).generator
    gan = ganzoo.GAN(generator, discriminator)
    result = ganzoo.Trainer(gan, given.data, output_dir="runs/projected", overwrite=True, **settings).fit()
    gan.load_weights(result.model)  # the averaged generator, in place of the one that was trained
    ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/projected.png")
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")
print("picture: pictures/projected.png")
