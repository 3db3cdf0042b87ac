"""A projected GAN (Sauer et al. 2021) on a backbone of timm: python examples/projected_gan.py BACKBONE WEIGHTS [STEPS]

BACKBONE is a name of timm, as resnet18, and WEIGHTS a file of its weights; "random" goes without, to try it out.
"""

import argparse

import ganzoo
from ganzoo.models import ProjectedDiscriminator, ProjectedDiscriminatorConfig
from ganzoo.models.backbones import timm_network

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("backbone")
parser.add_argument("weights")
parser.add_argument("steps", type=int, nargs="?", default=1000)
given = parser.parse_args()
generator = ganzoo.create("fashion-mnist", image_size=32, clusters=0).generator
data = ganzoo.data.open_data("fashion-mnist-mini", image_size=32)
settings = {"steps": given.steps, "batch_size": 16, "loss": "hinge"}
try:
    config = ProjectedDiscriminatorConfig(backbone=given.backbone, image_size=32, image_channels=1, width=32)
    discriminator = ProjectedDiscriminator(config)
    if given.weights != "random":
        discriminator.load_backbone(timm_network(given.backbone, given.weights)[0].model.state_dict())
    gan = ganzoo.GAN(generator, discriminator)
    ganzoo.Trainer(gan, data, output_dir="runs/projected", overwrite=True, **settings).fit()
    ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/projected.png")
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")
print("picture: pictures/projected.png")
