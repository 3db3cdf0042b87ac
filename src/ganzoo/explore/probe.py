"""What a discriminator has learned without labels: a linear classifier on its features (Radford et al. 2015,
arXiv:1511.06434, section 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.config import checked_int
from ganzoo.data import ImageData
from ganzoo.errors import ConfigError, DataError, needs
from ganzoo.hardware import full_float32, off_mps
from ganzoo.models import Discriminator, config_of, evaluating
from ganzoo.seeds import permutation, seeded
from ganzoo.text import track

POOLED = 4  # each stage's features are max-pooled to 4x4, as in the paper
BATCH = 500
SPREAD = 1e-4  # a feature that varies less than this in the training images is not scaled


@dataclass(frozen=True)
class Probe:
    """Accuracy on the test images, 0 to 1, of linear classifiers trained on the training images' features.

    Args:
        discriminator: features of the trained discriminator.
        untrained: of the same network with fresh weights: what its shape alone gives. Its batch norm, if it has
            some, is as new too, and scales nothing.
        pixels: raw pixels.
        images: training images used.
    """

    discriminator: float
    untrained: float
    pixels: float
    images: int


def discriminator_features(discriminator: nn.Module, images: Tensor) -> Tensor:
    """The discriminator's features of `images` (N, C, H, W) in [-1, 1], max-pooled to 4x4, flattened and joined.

    It is computed where the discriminator is, in the type of its numbers. Labels are never asked for.

    Returns:
        float32 (N, F), on the CPU.

    Raises:
        ConfigError: the discriminator does not offer features.
    """
    offering, weight = _checked(discriminator), next(discriminator.parameters())
    with evaluating(discriminator), torch.no_grad(), full_float32(weight.device):
        stages = offering.features(images.to(weight))
        pooled = [nn.functional.adaptive_max_pool2d(off_mps(features), POOLED).flatten(1) for features in stages]
    return torch.cat(pooled, 1).float().cpu()


def _checked(discriminator: nn.Module) -> Discriminator:
    if not isinstance(discriminator, Discriminator):
        raise ConfigError(f"a {type(discriminator).__name__} does not offer features; a dcgan-discriminator does")
    return discriminator


def probe(
    discriminator: nn.Module,
    train: ImageData,
    test: ImageData,
    images: int = 60_000,
    seed: int = 0,
    progress: bool = False,
) -> Probe:
    """Train a linear classifier on the discriminator's features, and on two things beside it.

    The classifier is a linear SVM: scikit-learn's `SGDClassifier` with the hinge loss, which the paper's L2-SVM has
    squared, on features brought to mean 0 and variance 1.

    Args:
        train, test: labelled images of the discriminator's size.
        images: of `train` that are used at most, from 2, chosen by `seed`, 0 to 2**32 - 1.
        progress: show a bar for each pass over images.

    Raises:
        DataError: no labels, other classes in `test`, or the same images in both.
        MissingExtraError: scikit-learn is not installed.
        ConfigError: the discriminator does not offer features, or a number is out of bounds.
    """
    images, seed = checked_int("images", images, 2, 10**9), checked_int("seed", seed, 0, 2**32 - 1)
    with needs("the probe needs scikit-learn", "metrics"):  # before minutes of work
        import sklearn.linear_model  # noqa: F401
    train_labels, test_labels = _labels(train, test)
    chosen = permutation(len(train), seed, "probe")[:images]
    if len(train_labels[chosen].unique()) < 2:
        raise DataError(
            f"{len(chosen)} images of {train.name} are all of one class; take more of them, or another set."
        )
    if train.hash == test.hash:
        raise DataError(f"{train.name} gives the same images to train and to test on; take a set with two splits.")
    with seeded(seed):
        fresh = type(_checked(discriminator))(config_of(discriminator)).to(next(discriminator.parameters()))
    views: dict[str, Callable[[Tensor], Tensor]] = {
        "discriminator": lambda batch: discriminator_features(discriminator, batch),
        "untrained": lambda batch: discriminator_features(fresh, batch),
        "pixels": lambda batch: batch.flatten(1),
    }
    accuracies = {}
    for name, view in views.items():
        inputs = []
        for data, indices in ((train, chosen), (test, torch.arange(len(test)))):
            parts = indices.split(BATCH)
            shown = track(parts, f"{name}: {len(indices):,} images", len(parts), progress)
            inputs.append(torch.cat([view(data.batch(part)) for part in shown]))
        accuracies[name] = _accuracy(inputs[0], train_labels[chosen], inputs[1], test_labels, seed)
    return Probe(**accuracies, images=len(chosen))


def _labels(train: ImageData, test: ImageData) -> tuple[Tensor, Tensor]:
    """The labels of both sets; DataError unless they have some, of the same classes."""
    for data in (train, test):
        if data.labels is None:
            raise DataError(f"{data.name} has no labels to classify by; take a set with classes.")
    if train.class_names != test.class_names:
        raise DataError(f"{train.name} and {test.name} have other classes: {train.class_names}, {test.class_names}.")
    assert train.labels is not None and test.labels is not None  # seen above
    return train.labels, test.labels


def _accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, seed: int) -> float:
    from sklearn.linear_model import SGDClassifier

    mean, spread = train.mean(0), train.std(0)
    spread = torch.where(spread < SPREAD, 1, spread)  # else what never varies, and then does, counts for all others
    classifier = SGDClassifier(loss="hinge", alpha=1e-3, average=True, max_iter=8, tol=None, random_state=seed)
    classifier.fit(((train - mean) / spread).numpy(), train_labels.numpy())
    return float(classifier.score(((test - mean) / spread).numpy(), test_labels.numpy()))
