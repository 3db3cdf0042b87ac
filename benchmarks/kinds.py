"""How alike are the images of a hidden class? The share of the features' variance that the parts explain.

    python benchmarks/kinds.py fashion-mnist
    python benchmarks/kinds.py pokemon.zip --size 64 --channels 3 --features 'timm:MODEL?weights=FILE'

0 for parts drawn by lot (corrected for their number), 1 where all images of a part are one; higher is better.
"""

from __future__ import annotations

import argparse
import dataclasses

import torch

from ganzoo.data import open_data
from ganzoo.data.clusters import divide
from ganzoo.evaluation.features import features


def explained(found: torch.Tensor, parts: torch.Tensor) -> float:
    """Adjusted R squared of features (n, d) by their part, int64 (n,)."""
    centred, count = found - found.mean(0), len(parts.unique())
    within = sum((rows - rows.mean(0)).square().sum() for rows in (centred[parts == part] for part in parts.unique()))
    return float(1 - within / centred.square().sum() * (len(parts) - 1) / (len(parts) - count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--features", default="fashion-net")
    parser.add_argument("--by", choices=("pixels", "shape"), default="pixels")
    parser.add_argument("--looked-at", type=int, default=6000, help="images of which features are taken")
    options = parser.parse_args()
    data = open_data(options.data, image_size=options.size, image_channels=options.channels)
    data = dataclasses.replace(data, labels=None)
    rows = torch.linspace(0, len(data) - 1, min(len(data), options.looked_at)).long()
    network = features(options.features)
    found = torch.cat([network(data.batch(some)) for some in rows.split(100)])
    for count in (16, 64, 256):
        print(f"{count} parts: {explained(found, divide(data, count, options.by)[rows]):.3f}", flush=True)
