"""How good is a generator? Every figure beside two yardsticks of the same run: real images against real, and noise."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor, nn

from ganzoo.data import ImageData, cache_dir, open_data
from ganzoo.data.fashion import CLASSES
from ganzoo.data.hf import hf_splits
from ganzoo.errors import ConfigError, DataError, quote
from ganzoo.evaluation.fashion_net import fashion_net
from ganzoo.evaluation.features import Features, features
from ganzoo.evaluation.neighbours import Memorisation, memorisation
from ganzoo.evaluation.per_class import by_class
from ganzoo.evaluation.result import Evaluation
from ganzoo.evaluation.scores import Scores, compare
from ganzoo.files import write_file
from ganzoo.gan import GAN
from ganzoo.images import to_uint8
from ganzoo.seeds import stream

VERSION = 2  # of what is kept in the cache
FEWEST, BATCH = 100, 250
COMPARED = 1000  # samples that are compared with the training set
THUMBNAIL = 32  # pixels a side, at most, of the pictures compared there
OTHER = {"train": "test", "test": "train"}  # split of a set that has both


def evaluate(
    gan: GAN,
    data: Any,
    *,
    samples: int = 10_000,
    features: str | None = None,
    split: str = "test",
    seed: int = 0,
    classes: bool = True,
    memorised: bool = True,
    progress: bool = False,
) -> Evaluation:
    """Measure `gan` against real images, with real images against real and noise against real beside it.

    Args:
        data: what `ganzoo.data.open_data` takes. Where a set (fashion-mnist, `hf:...`) has a train and a test split, it
            is compared by `split`, and the other one serves as other real images; of any other set, and of a split that
            `hf:...?split=` names, one half serves each.
        samples: images to draw, and real ones at most.
        features: "fashion-net", "inception", "timm:MODEL" (see `ganzoo.evaluation.features`); None: fashion-net for
            grey images.
        seed: of samples and choices. A conditional model draws its classes in equal numbers.
        classes: measure class by class too, where labels are asked for, or can be recognised (Fashion-MNIST).
        memorised: look for training images among the samples: those of the train split, else all of `data`.
        progress: show bars.

    Raises:
        ConfigError, DataError, ShapeError: too few images, other classes, or numbers that are not finite.
    """
    if type(samples) is not int or samples < FEWEST:
        raise ConfigError(f"samples must be an int from {FEWEST}, got {quote(samples)}")
    chosen = _choose(features, gan)
    real = _Real(data, chosen, gan, split, samples, seed, progress)
    seconds = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = round(time.perf_counter() - start, 2), time.perf_counter()

    real.measure()
    lap("real images and yardsticks")
    labels = torch.arange(samples) % gan.num_classes if gan.num_classes else None
    # a batch at a time, and bytes: 10,000 floating images in colour of 256 pixels a side take 8 GB
    drawn: list[Tensor] = []
    rows: list[Tensor] = []
    small: list[Tensor] = []  # the first ones, for pixels' sake before they are bytes
    batches = gan.batches(samples, seed, labels=labels, batch_size=BATCH, precision="fast")
    for batch in _shown(batches, "samples", progress, -(-samples // BATCH)):
        batch = batch.cpu()
        if not batch.isfinite().all():
            raise DataError(
                "the generator draws NaN or infinity: its weights are damaged, or its training went astray."
            )
        drawn.append(to_uint8(batch))
        rows.append(chosen(batch))
        if memorised and len(small) * BATCH < COMPARED:
            small.append(_thumbnails(batch))
    fake = torch.cat(rows)
    lap("samples and their features")
    scores = compare(real.features, fake, seed)
    lap("scores")
    qualities, agreement = [], None
    if classes and real.labels is not None:
        recognised = None
        if chosen.name == "fashion-net" and real.data.class_names == CLASSES:
            recognised = fashion_net().classify(fake).argmax(1)
        given = recognised if labels is None else labels
        if given is not None:
            asked = recognised if labels is not None else None
            if asked is not None:
                right = fashion_net().classify(real.features).argmax(1) == real.labels
                agreement = float((asked == given).float().mean()), float(right.float().mean())
            qualities = by_class(
                real.features, real.labels, fake, given, real.data.class_names, recognised=asked, seed=seed
            )
        lap("classes")
    found = {}
    if memorised:
        found = real.memorised(torch.cat(small)[:COMPARED], fake[:COMPARED])
        lap("memorisation")
    return Evaluation(
        features=chosen.name_for(gan.image_size, gan.image_channels), samples=samples, data=real.data.name,
        split=real.split, data_hash=real.data.hash, scores=scores, floor=real.floor, ceiling=real.ceiling,
        classes=tuple(qualities), agreement=agreement, memorised=found, seconds=seconds,
        drawn=torch.cat(drawn), training=real.training,
    )  # fmt: skip


def _choose(name: str | None, gan: GAN) -> Features:
    if name is None and gan.image_channels != 1:
        raise ConfigError(
            "features must be named for images in colour: inception, or timm:MODEL, as "
            "timm:tf_efficientnet_lite0?weights=FILE (--features)"
        )
    return features(name or "fashion-net")


class _Real:
    """Real images of two kinds: those that are compared with, and others; their features and yardsticks."""

    def __init__(
        self, data: Any, chosen: Features, gan: GAN, split: str, samples: int, seed: int, progress: bool
    ) -> None:
        # Real images are brought to the generator's size, so that both sides are resampled alike for the features.
        options: dict[str, Any] = {"image_size": gan.image_size, "image_channels": gan.image_channels}
        splits = _splits(data)
        if splits and split not in splits:
            split = OTHER.get(split, split)  # what there is
        both = len(splits) == 2
        self.data = open_data(data, split=split, progress=progress, **options)
        self.other = open_data(data, split=OTHER[split], progress=progress, **options) if both else self.data
        self.split = split if both else f"{splits[0] if splits else 'all'}, in halves"
        self._held_out = both and split == "test"  # `data` was not trained on
        self.training = self.other if self._held_out else self.data
        if gan.num_classes and gan.num_classes != self.data.num_classes:
            raise ConfigError(f"the GAN has {gan.num_classes} classes, {self.data.name} has {self.data.num_classes}")
        self._chosen, self._samples, self._seed, self._progress = chosen, samples, seed, progress
        order = torch.randperm(len(self.data), generator=stream(seed, "real"))
        if both:
            self._indices = order[:samples]
            self._others = torch.randperm(len(self.other), generator=stream(seed, "other"))[:samples]
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
        """Make `features`, `floor` and `ceiling`, or take them from the cache."""
        path = self._cache("real", self.data.hash, self.other.hash, self._samples, self._seed)
        if path.is_file():
            content = path.read_bytes()
            kept = load_tensors(content)
            self.features = kept["features"]
            self.floor, self.ceiling = (Scores(*kept[name].tolist()) for name in ("floor", "ceiling"))
            return
        self.features = self._of(self.data, self._indices, "features of real images")
        others = self._of(self.other, self._others, "features of other real images")
        self.floor = compare(self.features, others, self._seed)
        draws, shape = stream(self._seed, "noise"), self.data.images.shape[1:]
        noise = (torch.rand(len(part), *shape, generator=draws) * 2 - 1 for part in self._indices.split(BATCH))
        noisy = _extract(self._chosen, noise, "features of noise", self._progress, len(self._indices))
        self.ceiling = compare(self.features, noisy, self._seed)
        yardsticks = {
            name: torch.tensor(list(asdict(scores).values()), dtype=torch.float64)
            for name, scores in (("floor", self.floor), ("ceiling", self.ceiling))
        }
        _keep(path, {"features": self.features, **yardsticks})

    def memorised(self, drawn: Tensor, fake: Tensor) -> dict[str, Memorisation]:
        """Whether the training set is among samples, by their thumbnails `drawn` and by their features `fake`."""
        everything = torch.arange(len(self.training))
        path = self._cache("training", self.training.hash)
        if path.is_file():
            training = load_tensors(path.read_bytes())["features"]
        else:
            training = self._of(self.training, everything, "features of training images")
            _keep(path, {"features": training})
        thumbnails = torch.cat([_thumbnails(self.training.batch(part)) for part in everything.split(BATCH)])
        unseen = self.data.batch(self._indices[:COMPARED]) if self._held_out else None
        return {
            "pixels": memorisation(drawn, thumbnails, _thumbnails(unseen) if unseen is not None else None, self._seed),
            "features": memorisation(fake, training, self.features[:COMPARED] if self._held_out else None, self._seed),
        }

    def _of(self, data: ImageData, indices: Tensor, text: str) -> Tensor:
        batches = (data.batch(part) for part in indices.split(BATCH))
        return _extract(self._chosen, batches, text, self._progress, len(indices))

    def _cache(self, *what: Any) -> Path:
        key = [VERSION, self._chosen.key, *what]
        return cache_dir() / "evaluation" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.safetensors"


def _keep(path: Path, tensors: dict[str, Tensor]) -> None:
    """Into the cache, which saves time and no more: where it can't be written, evaluation goes on."""
    try:
        write_file(path, save(tensors))
    except OSError as error:
        warnings.warn(
            f"{path} can't be written ({error.strerror or error}), so these features will be computed again next "
            f"time; make room or set GANZOO_CACHE",
            stacklevel=2,
        )


def _splits(data: Any) -> tuple[str, ...]:
    """The splits that `data` can be opened by; none where it is one set."""
    if isinstance(data, str) and data == "fashion-mnist":
        return ("train", "test")
    return hf_splits(data) if isinstance(data, str) and data.startswith("hf:") else ()


def _thumbnails(images: Tensor) -> Tensor:
    """`images` at 32 pixels a side or less, as rows."""
    if images.shape[-1] > THUMBNAIL:
        images = nn.functional.interpolate(images, (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True)
    return images.flatten(1)


def _extract(chosen: Features, batches: Any, text: str, progress: bool, count: int) -> Tensor:
    return torch.cat([chosen(batch) for batch in _shown(batches, text, progress, -(-count // BATCH))])


def _shown(batches: Any, text: str, progress: bool, count: int) -> Iterator[Tensor]:
    if not progress:
        return iter(batches)
    from rich.console import Console
    from rich.progress import track

    return iter(track(batches, text, count, console=Console(stderr=True), transient=True))
