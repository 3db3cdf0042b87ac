"""How alike are the images of a cluster? The share of the features' variance that the clusters explain.

    python benchmarks/clusters.py fashion-mnist
    python benchmarks/clusters.py pokemon.zip --size 64 --channels 3 --features "timm:NAME?weights=FILE"
    python benchmarks/clusters.py emoji --size 64 --channels 3 --features color-net --classes

0 for random clusters (corrected for their number), 1 if all images of a cluster are one; higher is better.
"""

from __future__ import annotations

import argparse
import dataclasses

import torch

from ganzoo.data import open_data
from ganzoo.data.clusters import cluster_images
from ganzoo.evaluation import FEATURES


def explained(found: torch.Tensor, clusters: torch.Tensor) -> float:
    """Adjusted R squared of features (n, d) by their cluster, int64 (n,)."""
    centred, count = found - found.mean(0), len(clusters.unique())
    within = sum(
        (rows - rows.mean(0)).square().sum() for rows in (centred[clusters == each] for each in clusters.unique())
    )
    return float(1 - within / centred.square().sum() * (len(clusters) - 1) / (len(clusters) - count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--features", default="fashion-net")
    parser.add_argument("--by", choices=("pixels", "shape"), default="pixels")
    parser.add_argument("--classes", action="store_true", help="cluster the images of each class apart")
    parser.add_argument("--looked-at", type=int, default=6000, help="images of which features are taken")
    options = parser.parse_args()
    data = open_data(options.data, image_size=options.size, image_channels=options.channels)
    if not options.classes:
        data = dataclasses.replace(data, labels=None)
    rows = torch.linspace(0, len(data) - 1, min(len(data), options.looked_at)).long()
    network = FEATURES.make(options.features)
    found = torch.cat([network(data.batch(some)) for some in rows.split(100)])
    for count in (4, 16, 64, 256):
        clustered = cluster_images(data, count, options.by)
        assert clustered.labels is not None  # just made
        print(f"{count} asked for, {sum(clustered.clusters)} in all: {explained(found, clustered.labels[rows]):.3f}")
