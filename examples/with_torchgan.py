"""ganzoo and torchgan, mixed (pip install torchgan): python examples/with_torchgan.py [STEPS]

A block of ours inside torchgan's generator, and our Trainer with torchgan's loss. torchgan's own trainer asks make_grid
for `range`, which torchvision has renamed to `value_range`; three lines put that right for whoever wants it too.
"""

import argparse

import torchvision

import ganzoo
from ganzoo.losses import LOSSES, Loss

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=500)
steps = parser.parse_args().steps
try:
    from torchgan.losses import functional as theirs
    from torchgan.models import DCGANDiscriminator, DCGANGenerator
except ImportError as error:
    parser.exit(2, f"{error}: pip install torchgan\n")
make_grid = torchvision.utils.make_grid
torchvision.utils.make_grid = lambda *images, range=None, **options: make_grid(*images, value_range=range, **options)


@LOSSES.register("torchgan-least-squares")
def least_squares() -> Loss:
    """torchgan's least squares."""
    return Loss(
        lambda real_logits, fake_logits: theirs.least_squares_discriminator_loss(real_logits, fake_logits),
        lambda fake_logits, real_logits: theirs.least_squares_generator_loss(fake_logits),
    )


generator = DCGANGenerator(encoding_dims=64, out_size=32, out_channels=1, step_channels=16)
generator.model[1] = ganzoo.BLOCKS["resize-up"](64, 32)  # in place of a transposed convolution, norm, activation
gan = ganzoo.GAN(generator, DCGANDiscriminator(in_size=32, in_channels=1, step_channels=16), latent_size=64)
data = ganzoo.data.open_data("fashion-mnist-mini", image_size=32)
settings = {"steps": steps, "loss": "torchgan-least-squares"}
try:
    result = ganzoo.Trainer(gan, data, output_dir="runs/torchgan", overwrite=True, **settings).fit()
    gan.load_weights(result.model)  # the averaged generator, in place of the one that was trained
    ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/torchgan.png")
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")
print("picture: pictures/torchgan.png")
