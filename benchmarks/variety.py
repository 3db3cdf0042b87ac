"""Does a generator draw one picture a label? How much two samples of one class or cluster differ, beside real images.

    python benchmarks/variety.py emoji-64 emoji --least 5
    python benchmarks/variety.py fashion-mnist fashion-mnist --by shape

The mean absolute difference of two images in [-1, 1]. (The doctor's finding `label-collapse` compares thumbnails.)
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

import ganzoo
from ganzoo.data import open_data
from ganzoo.latents import sample_latents
from ganzoo.settings import Settings
from ganzoo.training.classes import attach_labels

PAIRS = 60  # of each label


def difference(images: Tensor, labels: Tensor) -> tuple[float, int]:
    """The mean over labels of how much two of their images differ, and how many labels have two or more."""
    random, found = torch.Generator().manual_seed(0), []
    for label in labels.unique():
        rows = (labels == label).nonzero().squeeze(1)
        if len(rows) > 1:
            first = torch.randint(len(rows), (PAIRS,), generator=random)
            second = (first + torch.randint(1, len(rows), (PAIRS,), generator=random)) % len(rows)
            found.append((images[rows[first]] - images[rows[second]]).abs().mean())
    return float(torch.stack(found).mean()), len(found)


def compare(
    gan: ganzoo.GAN, source: str, settings: Settings, count: int
) -> tuple[tuple[float, int], tuple[float, int]]:
    """`difference` of `count` samples, and of the training images, at most as many."""
    size, channels = gan.image_size, gan.image_channels
    data = attach_labels(open_data(source, image_size=size, image_channels=channels), gan, settings)
    latents, labels = sample_latents(count, gan.latent_size, 0, num_classes=gan.num_classes)
    chosen = gan.network_labels(latents, labels)
    if data.labels is None or chosen is None:
        raise SystemExit("the model has neither classes nor clusters")
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    return difference(gan.sample(latents=latents, labels=labels), chosen), difference(
        data.batch(rows), data.labels[rows]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data", help="what it was trained on")
    parser.add_argument("--by", default="pixels", help="how its clusters were found: pixels or shape")
    parser.add_argument("--least", type=int, default=16, help="min_cluster_size of its run")
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    settings = Settings(cluster_by=options.by, min_cluster_size=options.least)
    samples, real = compare(ganzoo.from_pretrained(options.model), options.data, settings, options.images)
    print(f"two samples of one of {samples[1]} labels differ by {samples[0]:.3f}")
    print(f"two training images of one of {real[1]} labels differ by {real[0]:.3f}")
