"""`open_data`: whatever holds images, to an `ImageData`."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.archives import Listing, list_folder, list_zip
from ganzoo.data.cache import cached_images
from ganzoo.data.decode import WHITE, check_ground, common_channels, convert, decode
from ganzoo.data.given import open_given
from ganzoo.data.hf import hf_splits, open_hf, open_rows, rows_of
from ganzoo.data.image_data import ImageData, hash_of, remark_range
from ganzoo.data.labels import say_gaps
from ganzoo.data.layout import labels_of, splits, take_split
from ganzoo.data.passed_over import SKIP, passed_over_words
from ganzoo.data.sources import SOURCES, SPLITS, Licensed, make_source, source_name, take_made, unknown_source
from ganzoo.errors import ConfigError, DataError, quote

LARGEST_SIZE = 4096
LARGEST_RATIO = 1000  # of decoded pictures to their files, if they take more than SMALL_ARRAY bytes
SMALL_ARRAY = 1_000_000_000


def open_data(
    source: Any,
    *,
    image_size: int | None = None,
    image_channels: int | None = None,
    split: str = "train",
    broken: str = "stop",
    ground: str = WHITE,
    progress: bool = False,
) -> ImageData:
    """Open images to train on or compare with.

    Args:
        source: a name of `SOURCES`, with or without options ("pokemon", "acme.blobs(count=300)"); a folder or zip of
            images, flat, with a folder for each class, or with folders `train` and `test` of either; `hf:...` (see
            `ganzoo.data.hf`); a Dataset of the `datasets` library; a tensor or NumPy array (N, C, H, W), (N, H, W) or
            (N, H, W, C), uint8 of 0 to 255 or floating in [-1, 1]; a list or torch Dataset of PIL pictures, arrays or
            tensors, alone, in pairs (image, label), in longer tuples, or in dicts; a pair (images, labels), labels
            being numbers from 0 or names, in a list, array or tensor; an ImageData.
            The names of classes of a torch Dataset are its `classes`, or those of the `dataset` that it is a part of.
        image_size: pixels a side to resize to, the middle square of pictures that are not square; None keeps their
            own, which must then agree.
        image_channels: 1 grey, 3 colour, 2 and 4 with transparency; None: pictures (of files or PIL) are grey if a
            first look at up to 100 of them, spread over the set, finds grey alone, else in colour; arrays and tensors
            keep their own.
        split: "train" or "test", of a set that has both; `val` is the test of a folder without `test`.
        broken: "stop" at a file or folder that can't be read, or "skip" and count it.
        ground: the colour that transparency is laid on, by name or as "#808080".
        progress: show a bar where it takes long.

    Raises:
        DataError: nothing is found, or what is found can't be used; the message names the file.
        ConfigError: an argument, or an option of a source, is wrong. PluginError: a source fails.
    """
    _check(image_size, image_channels, split, broken)
    check_ground(ground)
    if source_name(source):
        reading: dict[str, Any] = {
            "image_size": image_size,
            "image_channels": image_channels,
            "broken": broken,
            "ground": ground,
        }
        return _open_source(source, split, partial(open_data, split=split, progress=progress, **reading))
    if isinstance(source, ImageData):
        return _fit(source, image_size, image_channels, ground)
    if isinstance(source, (str, Path)):
        data = _open_path(source, image_size, image_channels, split, broken, ground, progress)
    elif (rows := rows_of(source)) is not None:
        data = open_rows(rows, image_size, image_channels, ground, split)
    else:
        return open_given(source, image_size, image_channels, ground)
    remark_range(data, ground)
    return data


def _check(image_size: int | None, image_channels: int | None, split: str, broken: str) -> None:
    if image_size is not None and (type(image_size) is not int or not 1 <= image_size <= LARGEST_SIZE):
        raise ConfigError(f"image_size must be an int from 1 to {LARGEST_SIZE}, got {quote(image_size)}")
    if image_channels not in (None, 1, 2, 3, 4):
        raise ConfigError(f"image_channels must be 1 to 4, got {quote(image_channels)}")
    if split not in ("train", "test"):
        raise ConfigError(f"split must be train or test, got {quote(split)}")
    if broken not in ("stop", "skip"):
        raise ConfigError(f"broken must be stop or skip, got {quote(broken)}")


def _open_source(text: str, split: str, open_images: Callable[[Any], ImageData]) -> ImageData:
    """The `split` of a name of `SOURCES`, whose images `open_images` opens."""
    made, origin = take_made(make_source(text), split, text), SOURCES.origin(source_name(text) or "")
    try:
        data = open_images(made.images)
    except DataError as error:
        raise DataError(f"{text}: {error}") from error
    place = f"{text} of {origin.distribution} {origin.version}" if origin else data.source
    licence = data.licence if made.licence == Licensed.licence else made.licence
    return dataclasses.replace(data, name=text, source=place, licence=licence)


def _open_path(
    source: str | Path,
    size: int | None,
    channels: int | None,
    split: str,
    broken: str,
    ground: str,
    progress: bool,
) -> ImageData:
    text = str(source)
    local = isinstance(source, Path) or text.startswith(("./", "../", "/", "~")) or text in (".", "..")
    if not local and text.startswith("hf:"):
        return open_hf(text, size, channels, ground, split)
    path = _path_of(source)
    if not path.exists():
        names = "no such path" if local else f"no folder or zip here ({Path.cwd()}), no name of a data set"
        raise DataError(f"No data {quote(text)}: {names}.{unknown_source(text)}")
    listing = take_split(_listed(path, broken), split, path)
    data = _from_listing(listing, path, size, channels, broken, ground, progress)
    return dataclasses.replace(data, name=text if not local else path.name or str(path))


def _path_of(source: str | Path) -> Path:
    try:
        path = Path(source).expanduser()
        path.is_dir()  # a name too long, or a folder that may not be read, is an error of the system
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{quote(str(source))} can't be opened ({reason}); name a folder or zip of images.") from error
    return path


def _listed(path: Path, broken: str = "stop") -> Listing:
    if path.is_dir():
        return list_folder(path, broken)
    if not path.is_file():  # a pipe or device never ends
        raise DataError(f"{quote(str(path))} is neither a folder nor a plain file; name a folder or zip of images.")
    return list_zip(path)


def splits_of(source: Any, broken: str = "stop") -> tuple[str, ...]:
    """Which of train and test `source` can be opened by; none if it is one set. `broken` is as `open_data` takes it.

    Raises:
        DataError, MissingExtraError: as `open_data`.
    """
    if source_name(source):
        made = make_source(source)
        return splits_of(made.images, broken) if isinstance(made, Licensed) else _splits_in(made)
    if (rows := rows_of(source)) is not None:
        return _splits_in(rows) if isinstance(rows, dict) else ()
    if not isinstance(source, (str, Path)):
        return ()
    if str(source).startswith("hf:"):
        return hf_splits(str(source))
    path = _path_of(source)
    found = splits(_listed(path, broken), path) if path.exists() else {}
    return tuple(split for split, kinds in (("train", {"train"}), ("test", {"test", "validation"})) if kinds & {*found})


def _splits_in(parts: dict[str, Any]) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if split in parts)


def _from_listing(
    listing: Listing, path: Path, size: int | None, channels: int | None, broken: str, ground: str, progress: bool
) -> ImageData:
    if listing.passed_over:
        warnings.warn(f"{path}: files passed over: {passed_over_words(listing.passed_over)}", stacklevel=2)
    if channels is None:
        channels = common_channels(
            len(names := listing.names), lambda k: decode(listing.read(names[k]), f"{path}: {names[k]}", None, None)
        )

    def pictures() -> Iterator[np.ndarray | None]:
        for name in _shown(listing.names, progress):
            try:
                yield decode(listing.read(name), f"{path}: {name}", size, channels, ground)
            except DataError as error:
                if broken == "stop":
                    raise DataError(f"{error} Or {SKIP}.") from error
                yield None

    key = [str(path.resolve()), listing.facts, size, channels, broken, ground]
    packed = path.stat().st_size if path.is_file() else sum(bytes_ for _, bytes_, *_ in listing.facts)
    most = None if size else max(SMALL_ARRAY, LARGEST_RATIO * packed)  # a size that was asked for is meant
    images, kept, pixels = cached_images(key, pictures(), len(listing.names), most)
    if len(kept) < len(listing.names):
        skipped = len(listing.names) - len(kept)
        warnings.warn(f"{path}: {skipped:,} of {len(listing.names):,} files can't be read: left out", stacklevel=2)
    labels, classes = labels_of(listing, path) or (None, ())
    if labels is not None and len(kept) < len(listing.names):
        labels = labels[kept]
        say_gaps(labels, classes, str(path))
    return ImageData(
        name=path.name,
        images=images,
        labels=labels,
        class_names=classes,
        hash=hash_of(pixels, images.shape, labels),
        source=str(path.resolve()),
        skipped=len(listing.names) - len(kept),
        passed_over=listing.passed_over,
    )


def _shown(names: list[str], progress: bool) -> Any:
    if not progress or len(names) < 1000:
        return names
    from rich.console import Console
    from rich.progress import track

    return track(names, "decoding", console=Console(stderr=True), transient=True)


def _fit(data: ImageData, size: int | None, channels: int | None, ground: str) -> ImageData:
    """`data` at another size or with other channels, picture by picture, if it is not so already."""
    own = data.images.shape[2:]
    if own == (size or own[0], size or own[1]) and channels in (None, data.image_channels):
        return data

    def pictures() -> Iterator[np.ndarray]:
        for picture in data.images:
            yield convert(picture, size, channels, ground)

    images, _, pixels = cached_images([data.hash, size, channels, ground], pictures(), len(data))
    stream = data.stream and dataclasses.replace(
        data.stream, size=size or data.stream.size, channels=channels or data.stream.channels
    )
    return dataclasses.replace(data, images=images, hash=hash_of(pixels, images.shape, data.labels), stream=stream)
