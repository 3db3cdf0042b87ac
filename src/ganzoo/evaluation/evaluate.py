"""How good is a generator? Every figure beside two references of the same run: real images against real, and noise."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor, nn

from ganzoo.config import checked_int
from ganzoo.data import ImageData, cache_dir, open_data
from ganzoo.data.cache import unwritable
from ganzoo.data.fashion import CLASSES
from ganzoo.data.image_data import fingerprints, scale
from ganzoo.data.labels import same_classes
from ganzoo.data.open import splits_of
from ganzoo.errors import ConfigError, DataError
from ganzoo.evaluation.features import FEATURES, Features
from ganzoo.evaluation.generated import Generated, generated, in_proportion
from ganzoo.evaluation.metrics import DEFAULT, METRICS, NamedMetric, Score, compare, make_metrics, warn_of_few
from ganzoo.evaluation.neighbours import Memorisation, different, memorisation
from ganzoo.evaluation.nets import fashion_net
from ganzoo.evaluation.per_class import ClassQuality, by_class
from ganzoo.evaluation.result import Evaluation
from ganzoo.files import write_file
from ganzoo.gan import GAN
from ganzoo.images import to_uint8
from ganzoo.options import split_call
from ganzoo.registry import Registry, used_plugins
from ganzoo.seeds import generator_for, permutation
from ganzoo.text import track

VERSION = 4  # of what is kept in the cache
SIDES = ("scores", "real_reference", "noise_reference")  # whose figures an Evaluation holds
FEWEST = 100
COMPARED = 1000  # samples that are compared with the training set
THUMBNAIL = 32  # pixels a side, at most, of the pictures compared there
TRAINING_IMAGES = 100_000  # training images that samples are compared with, at most, unless another number is given
KEPT = 2**29  # bytes of the training images' features that are held at once, and kept in the cache, at most
OTHER = {"train": "test", "test": "train"}  # split of a set that has both


def evaluate(
    gan: Any,
    data: Any,
    *,
    samples: int = 10_000,
    features: str | Features | None = None,
    metrics: str | Sequence[str] = DEFAULT,
    split: str = "test",
    seed: int = 0,
    classes: bool = True,
    memorised: bool = True,
    training_images: int = TRAINING_IMAGES,
    image_size: int | None = None,
    broken: str = "stop",
    ground: str = "white",
    fit: str = "crop",
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure `gan` against real images, with real images against real and noise against real beside it.

    A GAN is sampled in float32, on its device, as `GAN.sample` does it. All sides are compared as bytes.

    Args:
        gan: a GAN, what `from_pretrained` takes, or images of any generator: a folder without a saved model, a zip, or
            whatever else `ganzoo.data.open_data` takes.
        data: real images, what `open_data` takes. If a set (fashion-mnist, `hf:...`, a folder) has a train and a test
            split, it is compared by `split`, and the other one serves as other real images; of any other set, and of a
            split that `hf:...?split=` names, one half serves each.
        samples: images to draw (or to take), and real ones at most.
        features: a name in `ganzoo.FEATURES` with its options, as "inception" or "timm:NAME", or a `Features`;
            None: fashion-net for grey images, color-net for colour.
        metrics: names in `ganzoo.METRICS` with their options, as ("fd", "prdc(k=3)").
        seed: of samples and choices. A conditional model draws its classes in the proportions of `data`; in equal
            numbers without `classes`, or if `data` has no labels.
        classes: measure class by class too, if labels are asked for, or can be recognised (Fashion-MNIST). Classes are
            matched by name; those without names, by number.
        memorised: look for training images, as they are or mirrored, among the samples: those of the train split, else
            all of `data`.
        training_images: how many of these at most, chosen by `seed`.
        image_size: pixels a side at which images in place of a GAN are compared; None: their own.
        broken, ground, fit: how pictures are read, as `open_data` takes them; give those that the GAN was trained with.
        device: where features are computed, and where a model that is named is loaded; None: where the GAN is.
        progress: show bars.

    Raises:
        UnknownNameError, ConfigError, DataError, ShapeError: too few images, other classes, numbers that are not
            finite, a name or an option that is unknown. PluginError: a network or metric of another package fails.
    """
    samples = checked_int("samples", samples, FEWEST)
    training_images = checked_int("training_images", training_images, FEWEST)
    seed = checked_int("seed", seed, 0)
    chosen_metrics = make_metrics(metrics, seed)
    reading = {"broken": broken, "ground": ground, "fit": fit}
    made = generated(gan, samples, seed, image_size, reading, device, progress)
    if made.count < FEWEST:
        raise DataError(f"{made.count} images to measure are too few; {FEWEST} are needed.")
    image_size, image_channels = made.source.image_size, made.source.image_channels
    if image_channels not in (1, 3):
        raise DataError(
            f"images of {image_channels} channels can't be measured: features are of grey or colour ones. Take "
            f"transparency out of them."
        )
    space, used = _space(features, image_channels, device or made.device)
    real = _Real(data, made, space, reading, split, samples, training_images, seed, progress)
    made, labels = _with_labels(made, real.data) if classes else (made, None)
    seconds = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = round(time.perf_counter() - start, 2), time.perf_counter()

    real.measure()
    lap("features of real images")
    pixels, fake = _drawn(made, space, progress)
    lap("samples and their features")
    sides = zip(SIDES, (fake, real.others, real.noise))
    figures = {side: compare(real.features, rows_of_side, chosen_metrics) for side, rows_of_side in sides}
    lap("scores and references")
    qualities: list[ClassQuality] = []
    if classes and real.labels is not None:
        qualities, agreement = _by_class(real.features, real.labels, real.data, fake, labels, space, chosen_metrics)
        for side, score in agreement.items():
            figures[side]["agreement"] = score
        lap("classes")
    counts = _fewer_side(qualities, len(real.features))
    warn_of_few(chosen_metrics, space.dimension, {"": min(made.count, len(real.features), len(real.others)), **counts})
    found: dict[str, Memorisation] = {}
    if memorised:
        try:
            found = real.memorised(pixels[:COMPARED], fake[:COMPARED])
        except DataError as error:
            warnings.warn(f"memorisation is not measured: {error}", stacklevel=2)
        lap("memorisation")
    used += [(METRICS, metric.name) for metric in chosen_metrics]
    return Evaluation(
        features=space.name_for(image_size, image_channels), limits=space.limits,
        metrics=tuple(metric.text for metric in chosen_metrics), samples=made.count, data=real.data.name,
        split=real.split, data_hash=real.data.hash, **figures,
        classes=tuple(qualities), memorised=found, seconds=seconds, plugins=used_plugins(used),
        drawn=pixels, training=real.training,
    )  # fmt: skip


def _space(
    asked: str | Features | None, image_channels: int, device: str | torch.device
) -> tuple[Features, list[tuple[Registry[Any], str]]]:
    """The features `asked` for, or those for images of so many channels, on `device`; and their name, if by name."""
    if isinstance(asked, Features):
        return asked.to(device), []
    chosen = "fashion-net" if image_channels == 1 else "color-net"
    text = chosen if asked is None else asked
    return FEATURES.make(text).to(device), [(FEATURES, split_call(text, "features")[0])]


def _drawn(made: Generated, space: Features, progress: bool) -> tuple[Tensor, Tensor]:
    """All images to measure, as bytes (N, C, H, W), and their features."""
    pixels: list[Tensor] = []
    rows: list[Tensor] = []
    for batch in track(made.batches(), "samples", -(-made.count // made.at_once), progress):
        pixels.append(batch)
        rows.append(space(scale(batch)))
    return torch.cat(pixels), torch.cat(rows)


def _fewer_side(qualities: Sequence[ClassQuality], real_images: int) -> dict[str, int]:
    """Of each class that was measured: how many samples or real images there were, whichever are fewer."""
    measured = [each for each in qualities if each.scores]
    return {each.name: min(each.samples, round(each.real_share * real_images)) for each in measured}


def _with_labels(made: Generated, data: ImageData) -> tuple[Generated, Tensor | None]:
    """The images to measure, a GAN's with classes in the proportions of `data`, and the class of each by the numbers of
    `data`; None if either has no classes.

    Raises:
        ConfigError: a GAN's classes are not those of `data`.
    """
    if made.labels is None or data.labels is None:
        return made, None
    try:
        numbers = same_classes(made.class_names, data.class_names)
    except DataError as error:
        if isinstance(made.source, GAN):
            raise ConfigError(
                f"the model's classes are not those of {data.name}: {error} Measure it against images of its "
                f"classes, or without classes (classes=False, --no-classes)"
            ) from error
        warnings.warn(f"classes are not compared: those of {made.source.name} and {data.name} differ", stacklevel=3)
        return made, None
    if not torch.equal(numbers, torch.arange(len(numbers), device="cpu")):
        warnings.warn(f"classes are matched by name: {data.name} has them in another order", stacklevel=3)
    labels = made.labels
    if isinstance(made.source, GAN):
        labels = in_proportion(data.labels.bincount(minlength=len(numbers))[numbers], made.count)
    return replace(made, labels=labels), numbers[labels]


def _by_class(
    real: Tensor,
    real_labels: Tensor,
    data: ImageData,
    fake: Tensor,
    labels: Tensor | None,
    space: Features,
    metrics: Sequence[NamedMetric],
) -> tuple[list[ClassQuality], dict[str, Score]]:
    """Quality by class, and how often the classifier agrees with the label asked for, a real image's own, and chance.

    Without `labels`, samples are of the class that the classifier finds.
    """
    names, recognised = data.class_names, None
    if space.name == "fashion-net" and names == CLASSES:
        classify = fashion_net().classify
        recognised = classify(fake).argmax(1)
    if labels is None:
        return ([] if recognised is None else by_class(real, real_labels, fake, recognised, names, metrics)), {}
    agreement = {}
    if recognised is not None:
        own = classify(real).argmax(1) == real_labels
        shares = float((recognised == labels).float().mean()), float(own.float().mean()), 1 / len(names)
        agreement = {side: Score(share, better="higher") for side, share in zip(SIDES, shares)}
    return by_class(real, real_labels, fake, labels, names, metrics, recognised), agreement


@dataclass
class _Real:
    """Real images of two kinds: those that are compared with, and others; their features and those of noise."""

    source: Any
    made: Generated
    space: Features
    reading: dict[str, Any]
    split: str
    samples: int
    training_images: int
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        splits, split = splits_of(self.source, self.reading["broken"]), self.split
        if splits and split not in splits:
            split = OTHER.get(split, split)  # what there is
        both = len(splits) == 2
        self.data = self._open(split)
        self.other = self._open(OTHER[split]) if both else self.data
        self.split = split if both else f"{splits[0] if splits else 'all'}, in halves"
        if self.data.stream is not None:
            self.split += f", the first {len(self.data):,} images of a stream"
        self._held_out = both and split == "test"  # `data` was not trained on
        self.training = self.other if self._held_out else self.data
        self._looked_at = self._shuffled(self.training, "training")[: self.training_images].sort().values
        order, half = self._shuffled(self.data, "real"), len(self.data) // 2
        self._others = (self._shuffled(self.other, "other") if both else order[half:])[: self.samples]
        self._indices = (order if both else order[:half])[: self.samples]
        if len(self._indices) < FEWEST:
            count, halved = len(self.data), "" if both else ", which are halved"
            least = FEWEST if both else 2 * FEWEST
            raise DataError(f"{self.data.name} has {count} images{halved}; {least} are needed to compare with.")

    def _open(self, split: str) -> ImageData:
        """A split at the generator's size, so that both sides are resampled alike for the features."""
        size: dict[str, Any] = {
            "image_size": self.made.source.image_size,
            "image_channels": self.made.source.image_channels,
        }
        return open_data(self.source, split=split, progress=self.progress, **size, **self.reading)

    def _shuffled(self, data: ImageData, purpose: str) -> Tensor:
        return permutation(len(data), self.seed, purpose)

    @property
    def labels(self) -> Tensor | None:
        """Of the images whose features are `features`."""
        return self.data.labels[self._indices] if self.data.labels is not None else None

    def measure(self) -> None:
        """Make `features`, those of `others` and of `noise`, or take them from the cache."""

        def made() -> dict[str, Tensor]:
            draws, shape = generator_for(self.seed, "noise"), self.data.images.shape[1:]
            parts = self._indices.split(self.made.at_once)
            noise = (torch.rand(len(part), *shape, device="cpu", generator=draws) * 2 - 1 for part in parts)
            return {
                "features": torch.cat([*self._of(self.data, self._indices, "features of real images")]),
                "others": torch.cat([*self._of(self.other, self._others, "features of other real images")]),
                "noise": torch.cat([self.space(scale(to_uint8(batch))) for batch in noise]),
            }

        kept = self._cached(made, "real", self.data.hash, self.other.hash, self.samples, self.seed)
        self.features, self.others, self.noise = kept["features"], kept["others"], kept["noise"]

    def memorised(self, drawn: Tensor, fake: Tensor) -> dict[str, Memorisation]:
        """Whether the training set is among samples, by their pixels `drawn` (bytes) and by their features `fake`.

        They are compared with real images that were not trained on, else with some of the training set; none is
        compared with its duplicates there. Samples are compared as they are and mirrored: a generator that was trained
        on mirrored images too (`flip`) gives those back. Features of mirrored samples take the place of those of
        mirrored training images, which are many more.
        """
        looked_at, at_once = self._looked_at, self.made.at_once
        trained = torch.cat([_prints(self.training.pixels(part)) for part in looked_at.split(at_once)])
        unseen = self._indices[:COMPARED] if self._held_out else looked_at[different(trained, self.seed)]
        prints = _prints(self.data.pixels(unseen)), trained
        thumbnails = (_thumbnails(self.training.batch(part)) for part in looked_at.split(at_once))
        small, small_unseen = _thumbnails(scale(drawn)), _thumbnails(self.data.batch(unseen))
        mirrored = [self.space(scale(part.flip(-1))) for part in drawn.split(at_once)]
        features = self._training_features()
        if self._held_out:
            seen = self.features[:COMPARED]
        elif isinstance(features, Tensor):
            seen = features[torch.searchsorted(looked_at, unseen)]
        else:
            seen = torch.cat([*self._of(self.data, unseen, "features of unseen images")])
        found = {
            "pixels": memorisation(small, thumbnails, small_unseen, prints, small.flip(-1)),
            "features": memorisation(fake, features, seen, prints, torch.cat(mirrored)),
        }
        part = len(looked_at) / len(self.training)
        return {
            space: replace(each, samples=replace(each.samples, indices=looked_at[each.samples.indices]), part=part)
            for space, each in found.items()
        }

    def _training_features(self) -> Tensor | Iterable[Tensor]:
        """Features of the training images looked at, which the cache keeps; in blocks if they are more than `KEPT`."""
        count, blocks = len(self._looked_at), self._of(self.training, self._looked_at, "features of training images")
        if count * self.space.dimension * 4 > KEPT:
            return blocks
        chosen = [count, self.seed] * (count < len(self.training))
        made = self._cached(lambda: {"features": torch.cat([*blocks])}, "training", self.training.hash, *chosen)
        return made["features"]

    def _of(self, data: ImageData, indices: Tensor, text: str) -> Iterator[Tensor]:
        parts = indices.split(self.made.at_once)
        batches = (self.space(data.batch(part)) for part in parts)
        return track(batches, text, len(parts), self.progress)

    def _cached(self, make: Callable[[], dict[str, Tensor]], *what: Any) -> dict[str, Tensor]:
        """Features of `what`, of the cache if it has them whole; else `make` makes them, and they are kept there, which
        saves time and no more: if it can't be written, evaluation goes on."""
        key = json.dumps([VERSION, self.space.key, self.space.device.type, *what])
        path = cache_dir() / "evaluation" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.features"
        with suppress(OSError):
            content = path.read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                return load_tensors(content[32:])
        found = make()
        content = save(found)
        try:
            write_file(path, hashlib.sha256(content).digest() + content)
        except OSError as error:
            warnings.warn(f"{unwritable(error)} These features will be computed again next time.", stacklevel=2)
        return found


def _thumbnails(images: Tensor) -> Tensor:
    """`images` at 32 pixels a side or less."""
    if images.shape[-1] > THUMBNAIL:
        return nn.functional.interpolate(images, (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True)
    return images


def _prints(pixels: Tensor) -> Tensor:
    """`fingerprints` that are the same for an image and its mirror image."""
    return torch.minimum(fingerprints(pixels), fingerprints(pixels.flip(-1)))
