"""Do two feature networks rank generators alike? Kernel distances of models and of spoiled real images, in both.

    python benchmarks/rank.py pokemon-64 pokemon-64-d2l --data pokemon.zip \
        --beside "timm:tf_efficientnet_lite0?weights=lite0.pth"

Half of the chosen real images are compared with; the other half is spoiled, each way for itself. Prints a table for
docs/evaluate.md and the rank correlation (Spearman's) of the two columns.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor
from torch.nn import functional as F

import ganzoo
from ganzoo.data import open_data
from ganzoo.evaluation import FEATURES
from ganzoo.evaluation.metrics import kernel_distance
from ganzoo.seeds import generator_for


def blurred(images: Tensor, size: int) -> Tensor:
    small = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return F.interpolate(small, images.shape[2:], mode="bilinear").clamp(-1, 1)


def noisy(images: Tensor, deviation: float) -> Tensor:
    return (images + deviation * torch.randn(images.shape, generator=generator_for(0, "noise"))).clamp(-1, 1)


def shuffled(images: Tensor, size: int) -> Tensor:
    """Each image's squares of `size` pixels in one other order."""
    squares = F.unfold(images, size, stride=size)
    order = torch.randperm(squares.shape[2], generator=generator_for(0, "squares"))
    return F.fold(squares[:, :, order], images.shape[2:], size, stride=size)


def faded(images: Tensor, share: float) -> Tensor:
    return images.lerp(images.mean((2, 3), keepdim=True), share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="what from_pretrained takes")
    parser.add_argument("--data", required=True, help="real images")
    parser.add_argument("--features", default="color-net")
    parser.add_argument("--beside", required=True, help="features to compare with")
    parser.add_argument("--count", type=int, default=500, help="images of each")
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    data = open_data(options.data, image_size=options.size, image_channels=3)
    order = torch.randperm(len(data), generator=generator_for(0, "real"))
    real, other = (data.batch(part) for part in order[: 2 * options.count].split(options.count))
    sets = {
        "other real images": other,
        "blurred to a half": blurred(other, options.size // 2),
        "blurred to a quarter": blurred(other, options.size // 4),
        "a little noise (deviation 0.1)": noisy(other, 0.1),
        "much noise (deviation 0.4)": noisy(other, 0.4),
        "faded by a third": faded(other, 1 / 3),
        "squares of a quarter shuffled": shuffled(other, options.size // 4),
        "20 images, again and again": other[torch.arange(options.count) % 20],
    }
    for name in options.models:
        sets[f"`{name}`"] = ganzoo.from_pretrained(name).sample(options.count, seed=0)
    columns = []
    for name in (options.features, options.beside):
        space = FEATURES.make(name)
        reference = space(real)
        columns.append([float(kernel_distance(reference, space(images))) for images in sets.values()])
    rows = sorted(zip(sets, *columns), key=lambda row: row[2])
    print(f"| {options.count} images each | KD({options.features}) | KD({options.beside.partition('?')[0]}) |")
    print("|---|---|---|")
    for name, first, second in rows:
        print(f"| {name} | {first:.4g} | {second:.4g} |")
    ranks = torch.tensor(columns).argsort(1).argsort(1).double()
    print(f"\nRank correlation: {float(torch.corrcoef(ranks)[0, 1]):.2f}")


if __name__ == "__main__":
    main()
