"""Does a generator give training images back? Its samples' nearest training images, beside those of real images that it
has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.errors import DataError, ShapeError

QUANTILE = 0.01  # a sample nearer to the training set than this part of unseen real images is suspect
SUSPECT = 0.1  # and where so many samples are, the generator memorises
FEWEST = 100  # unseen real images, or the quantile means nothing
BLOCK = 8192  # training images that are compared at once


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
        samples: their nearest training images.
        unseen: distances of unseen real images to their nearest, (m,).
        suspect: part of the samples that come nearer than `QUANTILE` of the unseen images do; near `QUANTILE` for a
            generator that draws as nature does.
    """

    samples: Nearest
    unseen: Tensor
    suspect: float

    @property
    def memorised(self) -> bool:
        """Whether more than `SUSPECT` of the samples are suspect."""
        return self.suspect > SUSPECT

    @property
    def ratio(self) -> float:
        """Median distance of samples over that of unseen real images: under 1, samples lie nearer."""
        return float(self.samples.distances.median() / self.unseen.median().clamp(min=1e-12))


def nearest(queries: Tensor, references: Tensor, leave_out: Tensor | None = None) -> Nearest:
    """The nearest of `references` (m, d) for each of `queries` (n, d), in blocks, so that memory stays small.

    Args:
        leave_out: (n,) one index of `references` a query that is not compared with it: itself, mostly.

    Raises:
        ShapeError: the dimensions differ. DataError: there is nothing to compare, or a number is not finite.
    """
    queries, references = queries.flatten(1).float(), references.flatten(1).float()
    if queries.shape[1] != references.shape[1]:
        raise ShapeError(f"queries have {queries.shape[1]} numbers each, references {references.shape[1]}.")
    if len(queries) == 0 or len(references) <= (leave_out is not None):
        raise DataError(f"{len(queries)} images can't be compared with {len(references)}; give more.")
    if not (queries.isfinite().all() and references.isfinite().all()):
        raise DataError("a picture or feature is NaN or infinite, and has no neighbours; look at the generator.")
    best = torch.full((len(queries),), float("inf"))
    found = torch.zeros(len(queries), dtype=torch.long)
    for start in range(0, len(references), BLOCK):
        squared = _squared_distances(queries, references[start : start + BLOCK])
        if leave_out is not None:
            inside = (leave_out >= start) & (leave_out < start + squared.shape[1])
            squared[inside.nonzero()[:, 0], leave_out[inside] - start] = float("inf")
        values, positions = squared.min(1)
        nearer = values < best
        best[nearer], found[nearer] = values[nearer], positions[nearer] + start
    exact = (queries - references[found]).norm(dim=1)  # sums of large squares lose what small distances are made of
    return Nearest(exact, found)


def memorisation(samples: Tensor, training: Tensor, unseen: Tensor | None = None, seed: int = 0) -> Memorisation:
    """Compare `samples` (n, ...) and unseen real images (m, ...) with the `training` set, all as pixels or features.

    Args:
        unseen: real images that were not trained on, such as a test split. None: up to 1,000 training images, each
            compared with all others; duplicates in the set then hide copies of them.
        seed: of that choice.

    Raises:
        DataError: there are fewer than `FEWEST` real images to compare with.
    """
    if unseen is not None:
        real = nearest(unseen, training).distances
    else:
        chosen = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))[:1000]
        real = nearest(training[chosen], training, leave_out=chosen).distances
    if len(real) < FEWEST:
        raise DataError(f"{len(real)} real images are too few to tell copies from chance; {FEWEST} are needed.")
    near = nearest(samples, training)
    suspect = (near.distances < real.quantile(QUANTILE)).float().mean()
    if real.quantile(QUANTILE) == 0:  # the set holds duplicates: only exact copies are nearer than they
        suspect = (near.distances == 0).float().mean()
    return Memorisation(near, real, float(suspect))


def _squared_distances(queries: Tensor, references: Tensor) -> Tensor:
    squares = queries.square().sum(1)[:, None] + references.square().sum(1)[None]
    return squares.addmm_(queries, references.T, alpha=-2)
