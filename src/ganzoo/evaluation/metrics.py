"""METRICS by name: how far samples are from real images, as features. Distances of two clouds, and how they overlap.

A metric of your own is a function of features `(real, fake)`, (n, d) and (m, d) on the CPU, finite, not all alike, to a
number. Its attribute `better` says which way is better; its keyword-only arguments are options; with an option `seed`
it gets the evaluation's:

    @METRICS.register("brightness")
    @better("lower")
    def brightness(real: Tensor, fake: Tensor) -> float:
        return float((real.mean() - fake.mean()).abs())

It may give a `Score`, if it knows its spread, or several figures, each under its name.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, DataError, PluginError, blame, quote, shown
from ganzoo.registry import Registry
from ganzoo.seeds import derive_seed, permutation

K = 5  # the neighbour whose distance is the radius of a point's ball
MOST_NEIGHBOURS = 5000  # points of each side whose balls are compared, at most
PER_FEATURE = 2  # points a feature under which a Fréchet distance is mostly bias
LARGEST = 1e12  # of all features: the kernel takes their sixth powers
GROUPS = 8  # of points, from which the spread of neighbourhoods' figures is estimated
BLOCK = 500  # points whose distances to all others are held at once

Count = Annotated[int, Bounds(1, 10**6)]
Function = TypeVar("Function", bound=Callable[..., Any])


class Score(NamedTuple):
    """A figure, its standard deviation if that is known, and which way it is better (an evaluation fills that in)."""

    value: float
    spread: float | None = None
    better: str = ""


Measured = float | Score | Mapping[str, float | Score]


METRICS: Registry[Any] = Registry(
    "metric",
    "ganzoo.metrics",
    'a function of (real, fake) with the attribute better, "lower" or "higher"',
    lambda item: callable(item) and getattr(item, "better", None) in ("lower", "higher"),
    functions=True,
)
DEFAULT = ("fd", "kd", "prdc", "variety")


def better(way: Literal["lower", "higher"]) -> Callable[[Function], Function]:
    """Mark a metric: its `way` figures are the better ones."""

    def mark(metric: Function) -> Function:
        metric.__dict__["better"] = way
        return metric

    return mark


@dataclass(frozen=True)
class NamedMetric:
    """A metric as an evaluation calls it.

    Args:
        text: its name with all its options, also those that were not given.
        name: it alone, which its figure has, unless the metric names its figures.
        suffix: the options that were given, a part of each figure's name.
    """

    text: str
    name: str
    suffix: str
    better: str
    function: Callable[[Tensor, Tensor], Measured]

    def __call__(self, real: Tensor, fake: Tensor) -> dict[str, Score]:
        """Each figure by its name.

        Raises:
            PluginError: the metric fails, or gives anything but finite numbers.
        """
        with blame(f"metric {self.text}"):
            found = self.function(real, fake)
            named = found if isinstance(found, Mapping) else {self.name: found}
            scores = {
                f"{key}{self.suffix}": Score(float(value.value), value.spread, self.better)
                if isinstance(value, Score)
                else Score(float(value), better=self.better)
                for key, value in named.items()
            }
        for name, score in scores.items():
            if not math.isfinite(score.value):
                raise PluginError(f"metric {self.text} gives {score.value} as {name}; only finite numbers are figures")
        return scores


def make_metrics(texts: str | Sequence[str], seed: int = 0) -> list[NamedMetric]:
    """The metrics of these names, as "fd" or "prdc(k=3)"; those with an option `seed` get `seed` if it is not given.

    Raises:
        UnknownNameError, ConfigError: a name or option is unknown, or there is no name.
    """
    made = []
    for text in [texts] if isinstance(texts, str) else texts:
        name, given = METRICS.read(text)
        values = {"seed": seed, **given}
        options = [
            replace(each, default=values.get(each.name, each.default)) for each in METRICS.options(name).values()
        ]
        whole, suffix = (
            f"({','.join(map(str, some))})" if some else ""
            for some in (options, [option for option in options if option.name in given])
        )
        made.append(NamedMetric(name + whole, name, suffix, METRICS[name].better, METRICS.make(name + whole)))
    if not made:
        raise ConfigError(f"metrics must name at least one, as {quote(DEFAULT[0])}")
    return made


def compare(real: Tensor, fake: Tensor, metrics: Sequence[NamedMetric]) -> dict[str, Score]:
    """All figures of samples `fake` (m, d) against `real` (n, d), both as features, by their names.

    Raises:
        DataError: NaN or infinity, or all rows of a side alike. PluginError: a metric fails.
    """
    _check(real, "real images")
    _check(fake, "samples")
    return {name: score for metric in metrics for name, score in metric(real, fake).items()}


def warn_of_few(metrics: Sequence[NamedMetric], dimension: int, counts: Mapping[str, int]) -> None:
    """Warn, in one message, if FD is among `metrics` and fewer than two images for each of `dimension` features are
    compared: of all (the count under ""), or else of some classes (the counts under their names)."""
    wanted = PER_FEATURE * dimension
    few = [name for name, count in counts.items() if count < wanted]
    if not few or not any(metric.name == "fd" for metric in metrics):
        return
    more = f" and {len(few) - 5} more" if len(few) > 5 else ""
    classes = f" of each of the classes {', '.join(map(shown, few[:5]))}{more}" if few[0] else ""
    warnings.warn(
        f"fewer than {wanted} images{classes} are compared, for {dimension} features: the Fréchet distance is far too "
        f"high there; trust the kernel distance, or take more images (samples=, --samples)",
        stacklevel=3,
    )


@METRICS.register("fd")
@better("lower")
def fd(real: Tensor, fake: Tensor) -> dict[str, float]:
    """FD, the Fréchet distance: squared, of two Gaussians (Heusel et al. 2017, eq. 6).

    Too high for few images: look at the real reference. If n or m is under 2 d, it is mostly bias (`warn_of_few`).
    """
    return {"FD": frechet_distance(real, fake)}


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^1/2) of the means and covariances of features (n, d) and (m, d).

    arXiv:1706.08500, equation 6. The trace of the root is the sum of the roots of the eigenvalues of C C'.
    """
    means = [features.double().mean(0) for features in (real, fake)]
    covariances = [torch.atleast_2d(torch.cov(features.double().T)) for features in (real, fake)]
    root = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    found = (means[0] - means[1]).square().sum() + covariances[0].trace() + covariances[1].trace() - 2 * root
    return max(0.0, float(found))  # rounding may lead under it


@METRICS.register("kd")
@better("lower")
def kd(
    real: Tensor,
    fake: Tensor,
    *,
    subsets: Count = 50,
    subset: Annotated[int, Bounds(2, 10**6)] = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """KD, the kernel distance: its mean over random subsets, unbiased, so it may be under 0 (Bińkowski et al. 2018).

    arXiv:1801.01401. A subset holds half of the images at most: of all of them no two subsets differ. Its spread is the
    standard deviation over the subsets, not that of their mean.

    Args:
        subsets: how many. subset: images in each, at most.
    """
    random = np.random.RandomState(derive_seed(seed, "kernel") % 2**32)
    size = min(subset, len(real) // 2, len(fake) // 2)
    if size < 2:
        raise DataError(f"KD compares 4 images or more of each side; there are {len(real)} and {len(fake)}")
    found = []
    for _ in range(subsets):
        ours = fake[random.choice(len(fake), size, replace=False)]
        found.append(float(kernel_distance(real[random.choice(len(real), size, replace=False)], ours)))
    return {"KD": Score(float(np.mean(found)), float(np.std(found)))}


def kernel_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of features (n, d) and (m, d), with the kernel (x·y/d + 1)^3.

    Bińkowski et al. 2018, arXiv:1801.01401, equation 4: unbiased, since no row is compared with itself.
    """

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one.double() @ other.double().T / one.shape[1] + 1) ** 3

    within = [kernel(rows, rows) for rows in (real, fake)]
    means = [(each.sum() - each.trace()) / (len(each) * (len(each) - 1)) for each in within]
    return means[0] + means[1] - 2 * kernel(real, fake).mean()


@METRICS.register("prdc")
@better("higher")
def prdc(
    real: Tensor, fake: Tensor, *, k: Annotated[int, Bounds(1, 100)] = K, most: Count = MOST_NEIGHBOURS, seed: int = 0
) -> dict[str, Score]:
    """Precision, recall, density and coverage: overlap of neighbourhoods (Kynkäänniemi 2019, Naeem 2020).

    A ball around each image reaches to its k-th nearest other one of its own side; its rim belongs to it. Equal numbers
    are compared: n, m or `most` of each, whichever is least.

    precision: part of the samples that lie in a real image's ball (Kynkäänniemi et al. 2019, arXiv:1904.06991).
    recall: part of the real images that lie in a sample's ball.
    density: real images' balls around a sample, mean, over k (Naeem et al. 2020, arXiv:2002.09797, section 3); may be
        over 1. coverage: part of the real images whose ball holds a sample; near 1 - 2^-k for samples drawn as the real
        images are.

    Their spreads are standard deviations over other draws of the images, estimated from `GROUPS` disjoint groups of
    those compared: the groups' deviation over the root of `GROUPS`. It is not known if a group has no k neighbours, or
    if all groups have the same figure.

    Args:
        k: which neighbour. most: images of each side that are compared.

    Raises:
        DataError: there are no k neighbours.
    """
    count = min(len(real), len(fake), most)
    if count <= k:
        more = "a larger most" if count == most else "more images"
        raise DataError(f"{count} images have no {k} neighbours each; take {more}, or a smaller k.")
    real, fake = _some(real, count, seed).double(), _some(fake, count, seed).double()
    figures, spreads = _overlap(real, fake, k), [None] * 4
    if count // GROUPS > k:
        order = permutation(count, seed, "groups")
        groups = torch.stack([_overlap(real[group], fake[group], k) for group in order.tensor_split(GROUPS)])
        spreads = [spread or None for spread in (groups.std(0) / math.sqrt(GROUPS)).tolist()]
    names = ("precision", "recall", "density", "coverage")
    return {name: Score(*pair) for name, *pair in zip(names, figures.tolist(), spreads)}


def _overlap(real: Tensor, fake: Tensor, k: int) -> Tensor:
    """Precision, recall, density and coverage of equally many rows, (4,)."""
    around_samples, covered = _balls(real, fake, k)
    around_real, _ = _balls(fake, real, k)
    parts = around_samples > 0, around_real > 0, around_samples.double() / k, covered
    return torch.stack([part.double().mean() for part in parts])


def _balls(centres: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """In how many balls around `centres` each of `points` lies, and whether each ball holds a point."""
    inside, holds = torch.zeros(len(points), dtype=torch.long, device=points.device), []
    for block in centres.split(BLOCK):
        radii = torch.cdist(block, centres).kthvalue(k + 1, dim=1).values  # the nearest is the centre itself
        within = torch.cdist(block, points) <= radii[:, None]
        inside += within.sum(0)
        holds.append(within.any(1))
    return inside, torch.cat(holds)


def _some(features: Tensor, count: int, seed: int) -> Tensor:
    """`count` rows, the same of equally many on both sides."""
    if count == len(features):
        return features
    return features[permutation(len(features), seed, "neighbourhoods")[:count]]


@METRICS.register("variety")
@better("higher")
def variety(real: Tensor, fake: Tensor) -> float:
    """How far two samples lie apart, over how far two real images do; far under 1 samples are too much alike.

    Root mean squares over all pairs; the mean square is twice the total variance.
    """
    return float((fake.double().var(0).sum() / real.double().var(0).sum()).sqrt())


def _check(features: Tensor, what: str) -> None:
    bad = int((~features.isfinite()).any(1).sum())
    if bad:
        raise DataError(
            f"{bad} of {len(features)} {what} have features that are NaN or infinite; look at these images."
        )
    largest = float(features.abs().max())
    if largest > LARGEST:
        raise DataError(f"{what} have features up to {largest:.0e}, {LARGEST:.0e} is the most; scale both sides down.")
    if bool((features == features[0]).all()):
        raise DataError(
            f"all {len(features)} {what} have the very same features, so there is no spread to measure: they are one "
            "image over and over, or blank. Look at them."
        )
