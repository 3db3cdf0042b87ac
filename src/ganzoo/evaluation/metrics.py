"""How far samples are from real images, as features: distances of the two clouds, and how well they overlap."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.errors import DataError, MissingExtraError, ShapeError, quote
from ganzoo.seeds import derive_seed, generator_for

K = 5  # the neighbour whose distance is the radius of a point's ball
MOST_NEIGHBOURS = 5000  # points of each side whose balls are compared, at most
FEWEST = K + 1  # points of each side: one and its neighbours
PER_FEATURE = 2  # points a feature under which a Fréchet distance is mostly bias
SUBSETS, SUBSET = 50, 1000  # of the kernel distance, and points in each at most; half of those there are, at most
LARGEST = 1e12  # of all features: the kernel takes their sixth powers
BLOCK = 500  # points whose distances to all others are held at once


@dataclass(frozen=True)
class Scores:
    """Samples against real images, in one feature space. For the first three lower is better, for the others higher.

    Args:
        frechet: squared Fréchet distance of two Gaussians with the clouds' means and covariances (Heusel et al. 2017,
            arXiv:1706.08500, equation 6); 0 for equal ones. Too high for few images: look at its floor.
        kernel: squared maximum mean discrepancy with the kernel (x·y/d + 1)^3 (Bińkowski et al. 2018,
            arXiv:1801.01401), mean over `SUBSETS` random subsets; unbiased, so it may be under 0.
        kernel_spread: standard deviation over the subsets.
        precision: part of the samples that lie in a real image's ball, which reaches to its K-th neighbour
            (Kynkäänniemi et al. 2019, arXiv:1904.06991).
        recall: part of the real images that lie in a sample's ball.
        density: real images' balls around a sample, mean, over K (Naeem et al. 2020, arXiv:2002.09797); may be over 1.
        coverage: part of the real images whose ball holds a sample (same).
        variety: how far two samples lie apart, over how far two real images do, as root mean squares; far under 1 the
            samples are too much alike.
    """

    frechet: float
    kernel: float
    kernel_spread: float
    precision: float
    recall: float
    density: float
    coverage: float
    variety: float


def compare(real: Tensor, fake: Tensor, seed: int = 0) -> Scores:
    """All measures of samples `fake` (m, d) against `real` (n, d), both as features.

    Neighbourhoods are compared between equal numbers: min(n, m, `MOST_NEIGHBOURS`) of each, chosen by `seed`, as are
    the subsets of the kernel distance. Warns when n or m is under 2 d, where the Fréchet distance is mostly bias.

    Raises:
        ShapeError: not rows of equally many numbers. DataError: fewer than `FEWEST` rows, NaN or infinity, or all rows
            of a side alike. MissingExtraError: torch-fidelity is not installed.
    """
    real, fake = _checked(real, "real images"), _checked(fake, "samples")
    if real.shape[1] != fake.shape[1]:
        raise ShapeError(
            f"real images have {real.shape[1]} features, samples {fake.shape[1]}; take both from one network."
        )
    if min(len(real), len(fake)) < PER_FEATURE * real.shape[1]:
        warnings.warn(
            f"fewer than {PER_FEATURE * real.shape[1]} images on a side, for {real.shape[1]} features: the Fréchet "
            "distance is far too high; trust the kernel distance, or take more images",
            stacklevel=2,
        )
    scores = (frechet_distance(real, fake), *kernel_distance(real, fake, seed), *neighbourhoods(real, fake, seed))
    return Scores(*scores, variety(real, fake))


def variety(real: Tensor, fake: Tensor) -> float:
    """Of features (n, d) and (m, d); see `Scores`. The mean square over all pairs is twice the total variance."""
    return float((fake.double().var(0).sum() / real.double().var(0).sum()).sqrt())


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Of features (n, d) and (m, d), by torch-fidelity; see `Scores`."""
    try:
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
    except ImportError as error:
        raise _missing() from error
    both = [nn.functional.pad(features.double(), (0, 1)) for features in (fake, real)]  # a 0: NumPy wants two features
    found = fid_statistics_to_metric(*map(fid_features_to_statistics, both), verbose=False)[KEY_METRIC_FID]
    return max(0.0, float(found))  # rounding may lead under it


def kernel_distance(real: Tensor, fake: Tensor, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation over subsets, of features (n, d) and (m, d), by torch-fidelity; see `Scores`."""
    try:
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
    except ImportError as error:
        raise _missing() from error
    found = kid_features_to_metric(
        fake.double(),
        real.double(),
        kid_subsets=SUBSETS,
        kid_subset_size=min(SUBSET, len(real) // 2, len(fake) // 2),  # of all of them no two subsets differ
        rng_seed=derive_seed(seed, "kernel") % 2**32,
        verbose=False,
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]


def neighbourhoods(real: Tensor, fake: Tensor, seed: int = 0) -> tuple[float, float, float, float]:
    """Precision and recall, by torch-fidelity, density and coverage, of features (n, d) and (m, d); see `Scores`."""
    try:
        from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric
    except ImportError as error:
        raise _missing() from error
    count = min(len(real), len(fake), MOST_NEIGHBOURS)
    real, fake = _chosen(real, count, seed).double(), _chosen(fake, count, seed).double()
    found = prc_features_to_metric(  # samples first: of those it takes precision
        fake, real, prc_neighborhood=K, prc_batch_size=BLOCK, save_cpu_ram=True, verbose=False
    )
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL], *density_and_coverage(real, fake)


def density_and_coverage(real: Tensor, fake: Tensor, k: int = K) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, arXiv:2002.09797, section 3) of features (n, d) and (m, d).

    A real image's ball reaches to its k-th nearest other real image, its rim belongs to it. For samples drawn as the
    real images are, density is near 1, coverage near 1 - 2^-k when n = m.
    """
    inside, covered = 0, 0
    for block in real.split(BLOCK):
        radii = torch.cdist(block, real).kthvalue(k + 1, dim=1).values  # the nearest is the image itself
        within = torch.cdist(block, fake) <= radii[:, None]
        inside += int(within.sum())
        covered += int(within.any(1).sum())
    return inside / (k * len(fake)), covered / len(real)


def _chosen(features: Tensor, count: int, seed: int) -> Tensor:
    """`count` rows, the same of equally many on both sides."""
    if count == len(features):
        return features
    return features[torch.randperm(len(features), generator=generator_for(seed, "neighbourhoods"))[:count]]


def _checked(features: Tensor, what: str) -> Tensor:
    if not isinstance(features, Tensor) or features.dim() != 2:
        got = tuple(features.shape) if isinstance(features, Tensor) else quote(features)
        raise ShapeError(f"features of {what} must be a tensor (n, d), got {got}.")
    if len(features) < FEWEST or not features.shape[1]:
        raise DataError(
            f"{len(features)} {what} with {features.shape[1]} features each can't be measured: {K} neighbours need "
            f"{FEWEST} images; take more."
        )
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
    return features.detach().cpu()


def _missing() -> MissingExtraError:
    return MissingExtraError("these measures need torch-fidelity: pip install 'ganzoo-torch[metrics]'")
