"""Hidden classes: kinds of images that are found without labels.

A generator is continuous and data are not: between two garments it draws what is neither. Labels cure most of it. Where
there are none, dividing the images into parts that are alike and telling the networks which part is meant does the same
(Liu et al. 2020, "Diverse Image Generation via Self-Conditioned GANs", with k-means on features). Here parts are halved
at the median of their largest principal component, again and again (Boley 1998, "Principal Direction Divisive
Partitioning", section 3), so that all are equally large: the signs of a few normal numbers choose one fairly.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ganzoo.data.image_data import ImageData

FEWEST = 16  # images of a part
THUMBNAIL = 16  # pixels a side, at most, of what is compared
COMPONENTS = 64
_FINE = 2**12  # steps of a unit vector's components
_COARSE = 2**15  # steps of a coordinate


def divide(data: ImageData, count: int) -> Tensor:
    """Halve the images until there are `count` parts, equal in size to one image; those of each label apart.

    Parts keep `FEWEST` images, so that a small set has fewer; a stream, which nobody has seen whole, is one part. Sums
    are of whole numbers that float64 holds exactly, so that the parts don't depend on the number of threads.

    Args:
        count: a power of two.

    Returns:
        The part of each image as a place in the tree of halves, int64 (N,): 1 for all images, 2k and 2k + 1 for the
        halves of k. All are equally deep.
    """
    labels = data.labels if data.labels is not None else torch.zeros(len(data), dtype=torch.long)
    fewest = 1 if data.stream is not None else int(torch.bincount(labels)[labels].min())
    count = min(count, 1 << max(0, (fewest // FEWEST).bit_length() - 1))
    if count == 1:
        return torch.ones(len(data), dtype=torch.long)
    coordinates = _coordinates(data)
    parts = torch.zeros(len(data), dtype=torch.long)
    for label in labels.unique():
        rows = (labels == label).nonzero().squeeze(1)
        parts[rows] = _halve(coordinates[rows], count)
    return count + parts


def _coordinates(data: ImageData) -> Tensor:
    """Each thumbnail's place along the largest principal components of all: whole numbers, float64 (N, components)."""
    found = []
    for rows in torch.arange(len(data)).split(1000):
        pixels = data.pixels(rows).float()
        size = min(THUMBNAIL, pixels.shape[-1])
        found.append((4 * adaptive_avg_pool2d(pixels, size)).flatten(1).round().double())
    thumbnails = torch.cat(found)
    thumbnails -= thumbnails.mean(0).round()
    places = thumbnails @ _directions(thumbnails, COMPONENTS)
    return (places * (_COARSE / places.abs().max().clamp_min(1))).round()


def _directions(rows: Tensor, count: int) -> Tensor:
    """The first `count` principal directions of centred `rows` (N, d), as whole numbers (d, count)."""
    _, vectors = np.linalg.eigh((rows.T @ rows).numpy())
    largest = torch.from_numpy(vectors).flip(1)[:, :count]
    signs = largest.gather(0, largest.abs().argmax(0, keepdim=True)).sign()
    return (largest * signs * _FINE).round()


def _halve(places: Tensor, count: int) -> Tensor:
    """The part of each row, by halving all parts until there are `count`."""
    if count == 1:
        return torch.zeros(len(places), dtype=torch.long)
    centred = places - places.mean(0).round()
    order = (centred @ _directions(centred, 1)).squeeze(1).argsort(stable=True)
    parts = torch.empty(len(places), dtype=torch.long)
    for digit, rows in enumerate(order.tensor_split(2)):
        parts[rows] = digit * (count // 2) + _halve(places[rows], count // 2)
    return parts
