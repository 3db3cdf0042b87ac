"""Measure memorisation: the training images nearest to samples, compared with those nearest to unseen real images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganzoo.data.image_data import first_of_each
from ganzoo.errors import DataError
from ganzoo.seeds import permutation

QUANTILE = 0.01  # a sample nearer to the training set than this part of unseen real images is suspect
SUSPECT = 0.1  # and if so many samples are, the generator memorises
FEWEST = 100  # unseen real images, or the quantile means nothing
UNSEEN = 1000  # real images that are compared, at most
BLOCK = 4096  # training images that are compared at once
ANY = 0  # the fingerprint of a query that is compared with all


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each query.

    Args:
        distances: Euclidean, (n,).
        indices: into the training set, (n,).
    """

    distances: Tensor
    indices: Tensor


@dataclass(frozen=True)
class Memorisation:
    """How near samples come to the training set, in one space (pixels or features).

    Args:
        samples: their nearest training images, of samples as they are or mirrored.
        unseen: distances of unseen real images to their nearest, (m,).
        suspect: part of the samples that come nearer than `QUANTILE` of the unseen images do. For a generator that
            draws as nature does it is near `QUANTILE`, with mirrored samples up to twice that.
        ratio: median distance of samples as they are over that of unseen images; under 1, samples lie nearer.
        part: of the training set that was looked at.
    """

    samples: Nearest = field(repr=False)
    unseen: Tensor = field(repr=False)
    suspect: float
    ratio: float
    part: float = 1.0

    @property
    def memorised(self) -> bool:
        """Whether more than `SUSPECT` of the samples are suspect."""
        return self.suspect > SUSPECT


def different(prints: Tensor, seed: int) -> Tensor:
    """Places of up to `UNSEEN` images that differ from each other, chosen by `seed` from a set with these `prints`."""
    first = first_of_each(prints)
    return first[permutation(len(first), seed, "unseen")[:UNSEEN]]


def nearest(
    queries: Tensor, references: Tensor | Iterable[Tensor], prints: tuple[Tensor, Tensor] | None = None
) -> Nearest:
    """The nearest of `references` for each of `queries` (n, d), a block at a time, so that memory stays small.

    Args:
        references: (m, d), or blocks of such rows one after another.
        prints: `fingerprints` of all queries (n,) and references (m,). Equal ones are one picture and aren't compared:
            a training image with itself and its duplicates. A query with `ANY` is compared with all.

    Returns:
        A distance is infinite if there was nothing to compare with.

    Raises:
        DataError: a number is not finite.
    """
    queries = _finite(queries)
    blocks = references.flatten(1).split(BLOCK) if isinstance(references, Tensor) else references
    best = queries.new_full((len(queries),), float("inf"))
    found, rows, start = torch.zeros_like(best, dtype=torch.long), torch.zeros_like(queries), 0
    for block in blocks:
        block = _finite(block)
        squared = _squared_distances(queries, block)
        if prints is not None:
            squared[prints[0][:, None] == prints[1][start : start + len(block)]] = float("inf")
        values, places = squared.min(1)
        nearer = values < best
        best[nearer], found[nearer], rows[nearer] = values[nearer], places[nearer] + start, block[places[nearer]]
        start += len(block)
    exact = (queries - rows).norm(dim=1)  # sums of large squares lose what small distances are made of
    return Nearest(exact.where(best.isfinite(), best), found)


def memorisation(
    samples: Tensor,
    training: Tensor | Iterable[Tensor],
    real: Tensor,
    prints: tuple[Tensor, Tensor] | None = None,
    mirrored: Tensor | None = None,
) -> Memorisation:
    """Compare `samples` (n, ...) and real images with the `training` set, all as pixels or features.

    Args:
        training: (m, ...), or blocks of it one after another.
        real: (k, ...), the yardstick: images that were not trained on, such as a test split; else some of the training
            set (`different`).
        prints: `fingerprints` of `real` (k,) and `training` (m,). An image is not compared with its equals, which would
            make all distances 0 and hide copies; one without other images beside it is no yardstick. Without `prints`
            all are compared.
        mirrored: `samples`, mirrored before features were made of them: the nearer way counts, so that mirrored copies
            are found. Real images are taken as they are: one that faces the other way than a training image is no
            copy, and a few of them would hide all copies.

    Raises:
        DataError: there are fewer than `FEWEST` real images to compare with.
    """
    drawn = [each.flatten(1) for each in (samples, mirrored) if each is not None]
    real = real.flatten(1)
    if drawn[0].shape[1] != real.shape[1]:
        raise DataError("images of other sizes have no distance; compare images that are square.")
    count = len(drawn) * len(samples)
    if prints is not None:
        prints = torch.cat([prints[0].new_full((count,), ANY), prints[0]]), prints[1]
    near = nearest(torch.cat([*drawn, real]), training, prints)
    distances = near.distances[count:]
    distances = distances[distances.isfinite()]
    if len(distances) < FEWEST:
        raise DataError(f"{len(distances)} real images are too few to tell copies from chance; {FEWEST} are needed.")
    ways, indices = (each[:count].view(len(drawn), -1) for each in (near.distances, near.indices))
    nearer = ways.min(0)
    found = Nearest(nearer.values, indices.gather(0, nearer.indices[None])[0])
    ratio = float(ways[0].median() / distances.median().clamp(min=1e-12))
    suspect = found.distances < distances.quantile(QUANTILE)
    if distances.quantile(QUANTILE) == 0:  # different images that look the same here: only exact copies are suspect
        suspect = found.distances == 0
    return Memorisation(found, distances, float(suspect.float().mean()), ratio)


def _finite(rows: Tensor) -> Tensor:
    if not rows.isfinite().all():
        raise DataError("a picture or feature is NaN or infinite, and has no neighbours; look at the generator.")
    return rows.flatten(1).float()


def _squared_distances(queries: Tensor, references: Tensor) -> Tensor:
    squares = queries.square().sum(1)[:, None] + references.square().sum(1)[None]
    return squares.addmm_(queries, references.T, alpha=-2)
