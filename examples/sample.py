"""Sample the bundled model: a grid, single pictures, a path through latent space."""

import argparse

import torch

import ganzoo

argparse.ArgumentParser(description=__doc__).parse_args()
gan = ganzoo.from_pretrained("fashion-mnist")

images = gan.sample(64, seed=0)  # (64, 1, 28, 28) in [-1, 1]; image i of seed 0 is the same wherever it is drawn
ganzoo.images.save(ganzoo.images.grid(images, columns=8), "pictures/grid.png")
ganzoo.images.save_each(gan.batches(1000, seed=0, batch_size=100), "pictures/single")  # holds one batch in memory

corners = torch.randn(4, gan.latent_size)
path = ganzoo.latents.walk(gan.with_cluster(corners, corners[0]), steps=15, closed=True)  # no jump to another cluster
frames = gan.sample(latents=path)
ganzoo.images.animate(list(frames), "pictures/walk.gif")
print("pictures: pictures/grid.png, pictures/walk.gif, and 1,000 in pictures/single")
