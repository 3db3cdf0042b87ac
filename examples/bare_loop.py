"""A loop of your own in plain PyTorch, WGAN-GP, that borrows three blocks and a penalty from ganzoo.

python examples/bare_loop.py [STEPS]
"""

import argparse

import torch
from torch import nn

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=2000)
steps = parser.parse_args().steps
PixelShuffleUp, BlurDown, SelfAttention = (ganzoo.BLOCKS[n] for n in ("pixelshuffle-up", "blur-down", "self-attention"))

generator = nn.Sequential(
    nn.Linear(64, 128 * 7 * 7),
    nn.Unflatten(1, (128, 7, 7)),
    PixelShuffleUp(128, 64),  # 14x14
    SelfAttention(64, 64),
    PixelShuffleUp(64, 32),  # 28x28
    nn.Conv2d(32, 1, 3, padding=1),
    nn.Tanh(),
)
critic = nn.Sequential(
    BlurDown(1, 64, norm="none"),  # 14x14
    BlurDown(64, 128, norm="layer"),  # 7x7; a batch norm would tie the images of a batch to each other
    nn.Flatten(),
    nn.Linear(128 * 7 * 7, 1),
)
optimizers = [torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.9)) for network in (generator, critic)]
data = ganzoo.data.open_data("fashion-mnist-mini")

for step in range(steps):
    for _ in range(3):
        real = data.batch(torch.randint(len(data), (64,)))
        fake = generator(torch.randn(64, 64)).detach()
        loss = critic(fake).mean() - critic(real).mean() + 10 * ganzoo.PENALTIES["wgan-gp"](critic, real, fake)
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
    score = critic(generator(torch.randn(64, 64))).mean()
    optimizers[0].zero_grad()
    (-score).backward()
    optimizers[0].step()
    if step % 100 == 0:
        print(f"step {step}: critic {loss.item():.2f}, score of fakes {score.item():.2f}")

# Your own modules sample and train like any preset from here on.
gan = ganzoo.GAN(generator, critic, latent_size=64)
ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0), columns=8), "pictures/wgan-gp.png")
print("picture: pictures/wgan-gp.png")
