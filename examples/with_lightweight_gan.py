"""lightweight-gan's generator, trained by our Trainer: python examples/with_lightweight_gan.py [STEPS]

    pip install lightweight-gan

Its generator has no tanh at its end, so we add one. Its discriminator returns three things at once, so we use ours. The
package refuses to be imported without a CUDA device, though its generator needs none: during the import we pretend that
there is one.
"""

import argparse
from unittest.mock import patch

from torch import nn

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=500)
steps = parser.parse_args().steps
try:
    with patch("torch.cuda.is_available", return_value=True):
        from lightweight_gan.lightweight_gan import Generator
except ImportError as error:
    parser.exit(2, f"{error}: pip install lightweight-gan\n")

generator = nn.Sequential(Generator(image_size=32, latent_dim=64, fmap_max=64, greyscale=True), nn.Tanh())
discriminator = ganzoo.create("fashion-mnist", image_size=32, clusters=0).discriminator
gan = ganzoo.GAN(generator, discriminator, latent_size=64)
data = ganzoo.data.open_data("fashion-mnist-mini", image_size=32)
settings = {"steps": steps, "batch_size": 16, "loss": "hinge", "augmentations": ("color", "translation", "cutout")}
try:
    result = ganzoo.Trainer(gan, data, output_dir="runs/lightweight-gan", overwrite=True, **settings).fit()
    gan.load_weights(result.model)  # the averaged generator, in place of the one that was trained
    ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/lightweight-gan.png")
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")
print("picture: pictures/lightweight-gan.png")
