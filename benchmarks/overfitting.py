"""Does the discriminator know its training images? How often it gives one of them a higher logit than a test image.

    python benchmarks/overfitting.py emoji-64 emoji
    python benchmarks/overfitting.py runs/mine drawings/

50 % if it has memorised nothing, 100 % if it tells them apart always. The cluster of an image is not known here: of the
labels that its class has, the one with the highest logit counts.
"""

from __future__ import annotations

import argparse

import torch

import ganzoo
from ganzoo.data import open_data


@torch.no_grad()
def logits(gan: ganzoo.GAN, source: str, split: str, count: int) -> torch.Tensor:
    """The logits of `count` images of a split at most, (n,)."""
    data = open_data(source, split=split, image_size=gan.image_size, image_channels=gan.image_channels)
    found = []
    for rows in torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count].split(50):
        images, each = data.batch(rows), max(1, gan.clusters)
        classes = data.labels[rows] if gan.num_classes else torch.zeros(len(rows), dtype=torch.long)
        labels = [classes * each + cluster for cluster in range(each)] if gan.num_classes or gan.clusters else [None]
        found.append(torch.stack([gan.discriminator(images, label).flatten(1).mean(1) for label in labels]).amax(0))
    return torch.cat(found)


def share(gan: ganzoo.GAN, source: str, count: int) -> tuple[float, int, int]:
    """The share of pairs whose training image has the higher logit, and how many images of either split were taken."""
    train, test = (logits(gan, source, split, count) for split in ("train", "test"))
    return (train[:, None] > test).double().mean().item(), len(train), len(test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data", help="with a train and a test split")
    parser.add_argument("--images", type=int, default=600, help="of each split, at most")
    options = parser.parse_args()
    gan = ganzoo.from_pretrained(options.model, discriminator=True)
    found, train, test = share(gan, options.data, options.images)
    print(f"{found:.0%} of all pairs of {train} training and {test} test images")
