"""lightweight-gan's generator, trained by our Trainer: python examples/with_lightweight_gan.py [STEPS]

    pip install lightweight-gan

Its generator has no tanh at its end, and its discriminator gives three things at once: a tanh is put behind the one,
and the discriminator is ours. Any modules of latents to images and of images to logits go the same way. The package
wants a CUDA device when it is imported, for its own trainer; its generator does without: that moment is given one.
"""

import argparse
from unittest.mock import patch

from torch import nn

with patch("torch.cuda.is_available", return_value=True):
    from lightweight_gan.lightweight_gan import Generator

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=500)
steps = parser.parse_args().steps
generator = nn.Sequential(Generator(image_size=32, latent_dim=64, fmap_max=128, greyscale=True), nn.Tanh())
discriminator = ganzoo.create("fashion-mnist", image_size=32, clusters=0).discriminator
gan = ganzoo.GAN(generator, discriminator, latent_size=64)
result = ganzoo.Trainer(
    gan,
    ganzoo.data.open_data("fashion-mnist-mini", image_size=32),
    output_dir="runs/lightweight-gan",
    overwrite=True,
    steps=steps,
    batch_size=16,
    loss="hinge",
    augmentations=("color", "translation", "cutout"),
).fit()
ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/lightweight-gan.png")
print("picture: pictures/lightweight-gan.png")
