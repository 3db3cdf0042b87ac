"""How good is a generator? Every figure beside two references of the same run: real images against real, and noise."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
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
from ganzoo.evaluation.generated import Generated, at_once, generated
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
from ganzoo.seeds import generator_for
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
        seed: of samples and choices. A conditional model draws its classes in equal numbers.
        classes: measure class by class too, if labels are asked for, or can be recognised (Fashion-MNIST). Classes are
            matched by name; those without names, by number.
        memorised: look for training images among the samples: those of the train split, else all of `data`.
        training_images: how many of these at most, chosen by `seed`.
        image_size: pixels a side at which images in place of a GAN are compared; None: their own.
        broken, ground, fit: how pictures are read, as `open_data` takes them.
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
    space, used = _space(features, image_channels, device or made.device)
    real = _Real(data, space, image_size, image_channels, reading, split, samples, training_images, seed, progress)
    labels = _labels(made, real.data)
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
    warn_of_few(chosen_metrics, space.dimension, {"": min(made.count, len(real.features)), **counts})
    found = {}
    if memorised:
        found = real.memorised(_thumbnails(scale(pixels[:COMPARED])), fake[:COMPARED])
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


def _labels(made: Generated, data: ImageData) -> Tensor | None:
    """The class of each image to measure, by the numbers of `data`; None if either has no classes.

    Raises:
        ConfigError: a GAN's classes are not those of `data`.
    """
    if made.labels is None or data.labels is None:
        return None
    try:
        numbers = same_classes(made.class_names, data.class_names)
    except DataError as error:
        if isinstance(made.source, GAN):
            raise ConfigError(
                f"the model's classes are not those of {data.name}: {error} Measure it against images of its classes"
            ) from error
        warnings.warn(f"classes are not compared: those of {made.source.name} and {data.name} differ", stacklevel=3)
        return None
    if not torch.equal(numbers, torch.arange(len(numbers))):
        warnings.warn(f"classes are matched by name: {data.name} has them in another order", stacklevel=3)
    return numbers[made.labels]


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
        recognised = fashion_net().classify(fake).argmax(1)
    if labels is None:
        return ([] if recognised is None else by_class(real, real_labels, fake, recognised, names, metrics)), {}
    agreement = {}
    if recognised is not None:
        own = fashion_net().classify(real).argmax(1) == real_labels
        shares = float((recognised == labels).float().mean()), float(own.float().mean()), 1 / len(names)
        agreement = {side: Score(share, better="higher") for side, share in zip(SIDES, shares)}
    return by_class(real, real_labels, fake, labels, names, metrics, recognised), agreement


class _Real:
    """Real images of two kinds: those that are compared with, and others; their features and those of noise."""

    def __init__(
        self,
        data: Any,
        chosen: Features,
        image_size: int,
        image_channels: int,
        reading: dict[str, Any],
        split: str,
        samples: int,
        training_images: int,
        seed: int,
        progress: bool,
    ) -> None:
        # Real images are brought to the generator's size, so that both sides are resampled alike for the features.
        options: dict[str, Any] = {"image_size": image_size, "image_channels": image_channels, **reading}
        splits = splits_of(data, reading["broken"])
        if splits and split not in splits:
            split = OTHER.get(split, split)  # what there is
        both = len(splits) == 2
        self.data = open_data(data, split=split, progress=progress, **options)
        self.other = open_data(data, split=OTHER[split], progress=progress, **options) if both else self.data
        self.split = split if both else f"{splits[0] if splits else 'all'}, in halves"
        if self.data.stream is not None:
            self.split += f", the first {len(self.data):,} images of a stream"
        self._held_out = both and split == "test"  # `data` was not trained on
        self.training = self.other if self._held_out else self.data
        self._at_once = at_once(image_size, image_channels)
        looked_at = torch.randperm(len(self.training), generator=generator_for(seed, "training"))[:training_images]
        self._looked_at = looked_at.sort().values
        self._chosen, self._samples, self._seed, self._progress = chosen, samples, seed, progress
        order = torch.randperm(len(self.data), generator=generator_for(seed, "real"))
        if both:
            self._indices = order[:samples]
            self._others = torch.randperm(len(self.other), generator=generator_for(seed, "other"))[:samples]
        else:
            half = len(order) // 2
            self._indices, self._others = order[:half][:samples], order[half:][:samples]
        if len(self._indices) < FEWEST:
            count, halved = len(self.data), "" if both else ", which are halved"
            least = FEWEST if both else 2 * FEWEST
            raise DataError(f"{self.data.name} has {count} images{halved}; {least} are needed to compare with.")

    @property
    def labels(self) -> Tensor | None:
        """Of the images whose features are `features`."""
        return self.data.labels[self._indices] if self.data.labels is not None else None

    def measure(self) -> None:
        """Make `features`, those of `others` and of `noise`, or take them from the cache."""
        path = self._cache("real", self.data.hash, self.other.hash, self._samples, self._seed)
        kept = _kept(path)
        if kept is None:
            draws, shape = generator_for(self._seed, "noise"), self.data.images.shape[1:]
            noise = (
                torch.rand(len(part), *shape, generator=draws) * 2 - 1 for part in self._indices.split(self._at_once)
            )
            kept = {
                "features": torch.cat([*self._of(self.data, self._indices, "features of real images")]),
                "others": torch.cat([*self._of(self.other, self._others, "features of other real images")]),
                "noise": torch.cat([self._chosen(scale(to_uint8(batch))) for batch in noise]),
            }
            _keep(path, kept)
        self.features, self.others, self.noise = kept["features"], kept["others"], kept["noise"]

    def memorised(self, drawn: Tensor, fake: Tensor) -> dict[str, Memorisation]:
        """Whether the training set is among samples, by their thumbnails `drawn` and by their features `fake`.

        They are compared with real images that were not trained on, else with some of the training set; none is
        compared with its duplicates there.
        """
        looked_at = self._looked_at
        trained = self.training.fingerprints[looked_at]
        unseen = self._indices[:COMPARED] if self._held_out else looked_at[different(trained, self._seed)]
        prints = fingerprints(self.data.pixels(unseen)), trained
        thumbnails = (_thumbnails(self.training.batch(part)) for part in looked_at.split(self._at_once))
        features = self._training_features()
        if self._held_out:
            seen = self.features[:COMPARED]
        elif isinstance(features, Tensor):
            seen = features[torch.searchsorted(looked_at, unseen)]
        else:
            seen = torch.cat([*self._of(self.data, unseen, "features of unseen images")])
        found = {
            "pixels": memorisation(drawn, thumbnails, _thumbnails(self.data.batch(unseen)), prints),
            "features": memorisation(fake, features, seen, prints),
        }
        part = len(looked_at) / len(self.training)
        return {
            space: replace(each, samples=replace(each.samples, indices=looked_at[each.samples.indices]), part=part)
            for space, each in found.items()
        }

    def _training_features(self) -> Tensor | Iterable[Tensor]:
        """Features of the training images looked at, from the cache if it holds them; in blocks if more than `KEPT`."""
        count = len(self._looked_at)
        path = self._cache("training", self.training.hash, *[count, self._seed] * (count < len(self.training)))
        kept = _kept(path)
        if kept is not None:
            return kept["features"]
        blocks = self._of(self.training, self._looked_at, "features of training images")
        if count * self._chosen.dimension * 4 > KEPT:
            return blocks
        found = torch.cat([*blocks])
        _keep(path, {"features": found})
        return found

    def _of(self, data: ImageData, indices: Tensor, text: str) -> Iterator[Tensor]:
        parts = indices.split(self._at_once)
        batches = (self._chosen(data.batch(part)) for part in parts)
        return track(batches, text, len(parts), self._progress)

    def _cache(self, *what: Any) -> Path:
        key = [VERSION, self._chosen.key, self._chosen.device.type, *what]
        return cache_dir() / "evaluation" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.features"


def _keep(path: Path, tensors: dict[str, Tensor]) -> None:
    """Into the cache, which saves time and no more: if it can't be written, evaluation goes on."""
    content = save(tensors)
    try:
        write_file(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        warnings.warn(f"{unwritable(error)} These features will be computed again next time.", stacklevel=2)


def _kept(path: Path) -> dict[str, Tensor] | None:
    """What `_keep` wrote; None if there is nothing, or if it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:32], content[32:]
    return load_tensors(content) if hashlib.sha256(content).digest() == digest else None


def _thumbnails(images: Tensor) -> Tensor:
    """`images` at 32 pixels a side or less, as rows."""
    if images.shape[-1] > THUMBNAIL:
        images = nn.functional.interpolate(images, (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True)
    return images.flatten(1)
