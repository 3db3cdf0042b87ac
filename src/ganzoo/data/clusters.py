"""Clusters: images that are alike, found without labels (Liu et al. 2020, "Diverse Image Generation via
Self-Conditioned GANs").

A generator is continuous and data are not: between two garments it draws what is neither. Labels cure most of it. Where
there are none, labels that are found do the same; the paper takes k-means on features. Here clusters are halved at the
median of their largest principal component, again and again (Boley 1998, "Principal Direction Divisive Partitioning",
section 3), so that all are equally large: the signs of a few normal numbers choose one fairly. Images are compared by
pixels, or by shape: histograms of oriented gradients (Dalal and Triggs 2005, section 6), with which each cut goes on by
2-means with halves of one size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ganzoo.data.image_data import ImageData

ClusterBy = Literal["pixels", "shape"]
THUMBNAIL = {"pixels": 16, "shape": 32}  # pixels a side, at most, of what is compared
CELLS = 7  # a side, each with a histogram
DIRECTIONS = 8  # of an edge, over half a turn
COMPONENTS = 64
ROUNDS = {"pixels": 1, "shape": 10}  # of cuts of one cluster at most: the median's, then those of 2-means
BLOCK = 2**14  # images that are worked on at once: a million take 2 GB in colour, 1 GB in grey, and not 6 to 12
_FINE = 2**12  # steps of a unit vector's components
_COARSE = 2**15  # steps of a coordinate


def cluster_images(data: ImageData, count: int, by: ClusterBy = "pixels", min_size: int = 16) -> ImageData:
    """Find up to `count` clusters, equal in size to one image, among the images of each class, or among all.

    A cluster keeps `min_size` images, so a small class has fewer clusters than a large one. In a stream, which nobody
    has seen whole, each class is one cluster. Sums are of whole numbers that float64 holds exactly, so that clusters
    don't depend on the number of threads.

    Args:
        count: a power of two.
        by: what images of a cluster have in common.
        min_size: images of a cluster, at least.

    Returns:
        `data` with `clusters`, how many each class has, all powers of two, and labels int64 (N,), which count the
        clusters of all classes, class by class. Within a class, clusters 2k and 2k + 1 are the halves of k. `hash` is
        of the new labels too.
    """
    classes = data.labels if data.labels is not None else torch.zeros(len(data), dtype=torch.long)
    sizes = torch.bincount(classes, minlength=data.num_classes).tolist()
    possible = [1 if data.stream is not None else max(1, size // min_size) for size in sizes]
    found = torch.tensor([min(count, 1 << (most.bit_length() - 1)) for most in possible])
    clusters = torch.zeros(len(data), dtype=torch.long)
    if found.max() > 1:
        coordinates = _coordinates(data, by)
        for label, number in enumerate(found.tolist()):
            rows = (classes == label).nonzero().squeeze(1)
            clusters[rows] = _halve(coordinates, rows, number, ROUNDS[by])
    labels = (found.cumsum(0) - found)[classes] + clusters
    hashed = hashlib.sha256(data.hash.encode() + labels.numpy().astype("<i8").tobytes()).hexdigest()
    return dataclasses.replace(data, labels=labels, class_names=(), clusters=tuple(found.tolist()), hash=hashed)


def _coordinates(data: ImageData, by: ClusterBy) -> Tensor:
    """Where each image lies along the largest principal components: whole numbers, float64 (N, components)."""
    look = {"pixels": _thumbnails, "shape": _shapes}[by]
    looks = _filled((look(data.pixels(rows)).short() for rows in torch.arange(len(data)).split(1000)), len(data))
    centre, directions = _principal(_blocks(looks), COMPONENTS)
    places = _filled(((rows - centre) @ directions for rows in _blocks(looks)), len(data))
    return places.mul_(_COARSE / places.abs().max().clamp_min(1)).round_()


def _filled(blocks: Iterator[Tensor], count: int) -> Tensor:
    """The rows of `blocks`, `count` together, in one tensor; never held twice as torch.cat would."""
    first = next(blocks)
    whole = first.new_empty(count, *first.shape[1:])
    whole[: len(first)], start = first, len(first)
    for block in blocks:
        whole[start : start + len(block)], start = block, start + len(block)
    return whole


def _blocks(rows: Tensor, chosen: Tensor | None = None) -> Iterator[Tensor]:
    """Rows, all or those `chosen`, as float64, a block at a time."""
    if chosen is None:
        return (block.double() for block in rows.split(BLOCK))
    return (rows[block].double() for block in chosen.split(BLOCK))


def _thumbnails(pixels: Tensor) -> Tensor:
    """Small copies, in quarters of a grey level: whole numbers, float64 (n, values)."""
    size = min(THUMBNAIL["pixels"], pixels.shape[-1])
    return (4 * adaptive_avg_pool2d(pixels.float(), size)).flatten(1).round().double()


def _shapes(pixels: Tensor) -> Tensor:
    """Histograms of the gradients' directions in each cell, as unit vectors of whole numbers, float64 (n, values)."""
    size = min(THUMBNAIL["shape"], max(3, pixels.shape[-1]))  # a gradient needs three pixels
    grey = (4 * adaptive_avg_pool2d(pixels.float(), size)).round().sum(1)
    across = (grey[:, :, 2:] - grey[:, :, :-2])[:, 1:-1]
    down = (grey[:, 2:] - grey[:, :-2])[:, :, 1:-1]
    angles = [math.pi * k / DIRECTIONS for k in range(DIRECTIONS)]
    along = [(round(16 * math.cos(a)) * across + round(16 * math.sin(a)) * down).abs() for a in angles]
    nearest = torch.stack(along, dim=1).max(1, keepdim=True).indices  # five times as quick as argmax
    lengths = (across.square() + down.square()).sqrt().unsqueeze(1)
    histograms = lengths.new_zeros(len(grey), DIRECTIONS, *lengths.shape[2:]).scatter_(1, nearest, lengths)
    # roots, lest the strongest edges outweigh all else
    roots = (16 * adaptive_avg_pool2d(histograms, CELLS).flatten(1)).double().sqrt().round()
    return (roots * (_FINE / roots.square().sum(1, keepdim=True).sqrt().clamp_min(1))).round()


def _principal(blocks: Iterable[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The rounded mean of the rows in `blocks`, and their first `count` principal directions (d, count): whole numbers.

    All sums are of whole numbers too, so that they come out the same however the rows are cut into blocks.
    """
    number, total, products = 0, torch.zeros(()), torch.zeros(())
    for rows in blocks:
        number, total, products = number + len(rows), total + rows.sum(0), products + rows.T @ rows
    centre = (total / number).round()
    across = centre[:, None] * total
    scatter = products - across - across.T + number * centre[:, None] * centre  # of the rows minus their centre
    _, vectors = np.linalg.eigh(scatter.numpy())
    largest = torch.from_numpy(vectors).flip(1)[:, :count]
    signs = largest.gather(0, largest.abs().argmax(0, keepdim=True)).sign()
    return centre, (largest * signs * _FINE).round()


def _halve(places: Tensor, chosen: Tensor, count: int, rounds: int) -> Tensor:
    """The cluster of each of the rows `chosen` of `places`, by halving all clusters until there are `count`.

    Each cut is made `rounds` times at most.
    """
    if count == 1:
        return torch.zeros(len(chosen), dtype=torch.long)
    centre, directions = _principal(_blocks(places, chosen), 1)
    direction = directions.squeeze(1)
    signs = torch.zeros(len(chosen), dtype=torch.float64)
    for _ in range(rounds):
        along = torch.cat([(rows - centre) @ direction for rows in _blocks(places, chosen)])
        before, halves = signs, along.argsort(stable=True).tensor_split(2)
        signs = torch.ones_like(before).index_fill_(0, halves[0], -1)
        if torch.equal(signs, before):
            break
        # from one half's mean to the other's
        apart = sum(sign @ (rows - centre) for sign, rows in zip(signs.split(BLOCK), _blocks(places, chosen)))
        direction = (apart * (16 / len(chosen))).round()
    clusters = torch.empty(len(chosen), dtype=torch.long)
    for digit, half in enumerate(halves):
        clusters[half] = digit * (count // 2) + _halve(places, chosen[half], count // 2, rounds)
    return clusters
