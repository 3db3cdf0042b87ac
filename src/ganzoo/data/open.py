"""`open_data`: whatever holds images, to an `ImageData`."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from ganzoo.data.archives import Listing, list_folder, list_zip
from ganzoo.data.cache import cached_images, most_decoded
from ganzoo.data.decode import convert, decode, read_pictures, with_channels
from ganzoo.data.given import open_given
from ganzoo.data.hf import hf_splits, open_hf, open_rows, rows_of
from ganzoo.data.image_data import ImageData, assemble, hash_of
from ganzoo.data.layout import labels_of, splits, take_split
from ganzoo.data.passed_over import passed_over_words
from ganzoo.data.reading import WHITE, Reading
from ganzoo.data.sources import SOURCES, SPLITS, Licensed, make_source, path_name, source_name, take_made
from ganzoo.errors import DataError, did_you_mean, quote
from ganzoo.files import expand_user, file_state, written_as_path
from ganzoo.text import track


def open_data(
    source: Any,
    *,
    image_size: int | None = None,
    image_channels: int | None = None,
    split: str = "train",
    broken: str = "stop",
    ground: str = WHITE,
    fit: str = "crop",
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
            Images that are uint8 (N, C, H, W) already are used in place, without a copy: don't change them.
            The names of classes of a torch Dataset are its `classes`, or those of the `dataset` that it is a part of.
        image_size: pixels a side to resize to; None keeps their own, which must then agree.
        image_channels: 1 grey, 3 colour, 2 and 4 with transparency; None: pictures (of files or PIL) are grey if a
            first look at up to 100 of them, spread over the set, finds grey alone, else in colour; arrays and tensors
            keep their own.
        split: "train" or "test", of a set that has both; `val` is the test of a folder without `test`.
        broken: "stop" at a picture, file or folder that can't be read, or "skip" it: it is left out, counted and named.
            A stream always stops.
        ground: the colour that transparency is laid on, by name or as "#808080".
        fit: how pictures that are not square become so when they are resized: "crop" takes the middle square, "pad"
            adds a border in `ground` (transparent if the channels keep that), "squash" changes the proportions.
        progress: show a bar if it takes long.

    Raises:
        DataError: nothing is found, or what is found can't be used; the message names the file.
        ConfigError: an argument, or an option of a source, is wrong. PluginError: a source fails.
    """
    wanted = {"image_size": image_size, "image_channels": image_channels, "fit": fit, "ground": ground}
    reading = Reading.from_dict({**wanted, "split": split, "broken": broken, "progress": progress})
    with torch.device("cpu"):  # labels and random states, whatever torch.set_default_device says
        return _open(source, reading)


def _open(source: Any, reading: Reading) -> ImageData:
    if source_name(source):
        return _open_source(source, reading)
    if isinstance(source, ImageData):
        return _fit(source, reading)
    if isinstance(source, (str, Path)):
        return _open_path(source, reading)
    rows = rows_of(source)
    return open_given(source, reading) if rows is None else open_rows(rows, reading)


def _open_source(text: str, reading: Reading) -> ImageData:
    """The images of a name of `SOURCES`."""
    if os.path.exists(text) and not os.path.exists(os.path.join(text, "run.json")):  # a run is no data
        said = f"{text} is the data set of that name, not what is called so in this folder; for that give ./{text}"
        warnings.warn(said, stacklevel=2)
    made, origin = take_made(make_source(text), reading.split, text), SOURCES.origin(source_name(text) or "")
    try:
        data = _open(made.images, reading)
    except DataError as error:
        raise type(error)(f"{text}: {error}") from error
    place = f"{text} of {origin.distribution} {origin.version}" if origin else data.source
    licence = data.licence if made.licence == Licensed.licence else made.licence
    return dataclasses.replace(data, name=text, source=place, licence=licence)


def _open_path(source: str | Path, reading: Reading) -> ImageData:
    text, local = str(source), written_as_path(source)
    if not local and text.startswith("hf:"):
        return open_hf(text, reading)
    path = _path_of(source)
    if not path.exists():
        names = "no such path" if local else f"no folder or zip here ({Path.cwd()}), no name of a data set"
        raise DataError(f"No data {quote(text)}: {names}.{did_you_mean(re.split('[(:]', text)[0], SOURCES)}")
    listing = take_split(_listed(path, reading.broken), reading.split, path)
    return _from_listing(listing, path, reading, path_name(path) if local else text)


def _path_of(source: str | Path) -> Path:
    if not str(source).strip():
        raise DataError('data is empty text; name a folder or zip of images, or "." for the folder that you are in.')
    try:
        path = expand_user(source)
        path.is_dir()  # a name too long, or a folder that may not be read, is an error of the system
    except OSError as error:
        said = f"{quote(str(source))} can't be opened ({error.strerror}); name a folder or zip of images."
        raise DataError(said) from error
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


def _from_listing(listing: Listing, path: Path, reading: Reading, name: str) -> ImageData:
    if listing.passed_over:
        warnings.warn(f"{path}: files passed over: {passed_over_words(listing.passed_over)}", stacklevel=2)
    names = listing.names

    def fetch(name: str) -> tuple[bytes, str]:
        return listing.read(name), f"{path}: {name}"

    reading = with_channels(reading, len(names), lambda index, own: decode(*fetch(names[index]), own))

    tracked = track(names, "decoding", len(names), reading.progress and len(names) >= 1000)
    pictures = read_pictures(fetch, tracked, len(names), reading)
    key = [str(path.resolve()), listing.facts, *reading.key, reading.broken]
    if path.is_file() and reading.broken == "skip":  # a whole zip lists the same members as a damaged one
        key += file_state(path)
    packed = path.stat().st_size if path.is_file() else sum(bytes_ for _, bytes_, *_ in listing.facts)
    decoded = cached_images(key, pictures, len(names), most_decoded(packed, reading.image_size))
    labels, classes = labels_of(listing, path) or (None, ())
    labels = None if labels is None else labels[decoded[1]]
    data = assemble(decoded, labels, classes, name, str(path.resolve()), names, reading)
    return dataclasses.replace(data, passed_over=listing.passed_over)


def _fit(data: ImageData, reading: Reading) -> ImageData:
    """`data` at another size or with other channels, picture by picture, if it is not so already."""
    own, size, channels = data.images.shape[2:], reading.image_size, reading.image_channels
    if own == (size or own[0], size or own[1]) and channels in (None, data.image_channels):
        return data
    pictures = (convert(picture, reading) for picture in data.images)
    images, _, pixels = cached_images([data.hash, *reading.key], pictures, len(data))
    stream = data.stream
    if stream is not None:
        held = stream.reading
        changes: dict[str, Any] = {
            "image_size": size or held.image_size,
            "image_channels": channels or held.image_channels,
        }
        if held.image_size is None:  # else the pictures are square already
            changes["fit"] = reading.fit
        if held.image_channels in (2, 4):  # else their transparency is laid on a ground already
            changes["ground"] = reading.ground
        stream = dataclasses.replace(stream, reading=held.replace(changes))
    return dataclasses.replace(data, images=images, hash=hash_of(pixels, images.shape, data.labels), stream=stream)
