"""Images through the `datasets` library: from the Hugging Face Hub, or from local folders, Parquet files and shards.

    hf:owner/name                                  a data set on the Hub
    hf:./folder                                    of pictures, Parquet files, or WebDataset's shards (.tar);
                                                   train-*.parquet and test-*.parquet (or .tar) are splits
    hf:./images.parquet  hf:./shards/train-*.tar   one file, or all that a pattern of * and [0-9] names, as one set
    hf:owner/name?split=test&image=picture&label=kind&classes=10&config=small&stream=yes

`image` and `label` name columns. Without them the first of images, and the first of class labels, are taken, else those
of usual names (image, img, ...; label, target, ...). `classes` is their number if the column does not name them: its
labels are then whole numbers from 0 to classes - 1. Pictures are decoded into the cache a block at a time and mapped
into memory, so that a set need not fit into it. With `stream=yes` nothing is stored: rows are read and decoded as they
are trained on, and a set need not fit on the disk.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.bounded import check_shard, read_bounded
from ganzoo.data.cache import cached_images, differing, most_decoded
from ganzoo.data.decode import read_pictures, with_channels
from ganzoo.data.given import IMAGE_NAMES, LABEL_NAMES, is_plain_subset, open_items
from ganzoo.data.image_data import ImageData, assemble
from ganzoo.data.labels import number_labels
from ganzoo.data.passed_over import SAVED_TO_DISK
from ganzoo.data.reading import Reading
from ganzoo.data.sources import path_name
from ganzoo.data.stream import BUFFER_BYTES, Stream
from ganzoo.errors import DataError, HubConnectionError, did_you_mean, first_line, needs, quote, shown
from ganzoo.files import expand_user, written_as_path
from ganzoo.hub_errors import offline_if_unreachable
from ganzoo.models.contract import MOST_CLASSES

HEAD = 2000  # rows of a stream that are kept, if they fit into BUFFER_BYTES: for scores, the doctor, and a hash
OPTIONS = ("config", "image", "label", "classes", "split", "stream")
_BUILDERS = {".parquet": "parquet", ".tar": "webdataset"}  # of `datasets`, by the ending of their files


def open_hf(source: str, reading: Reading) -> ImageData:
    """The images that `source` (see above) names.

    Raises:
        MissingExtraError: `datasets` is not installed.
        DataError: no such data set, split or column.
    """
    datasets, name, options = _parse(source)
    streamed = options.get("stream", "no")
    if streamed not in ("yes", "no"):
        raise DataError(f"{source}: stream must be yes or no, got {quote(streamed)}.")
    split = options.get("split", reading.split)
    rows = _load(datasets, source, name, options.get("config"), split, streamed == "yes")
    return _open(datasets, rows, source, name, options, reading)


def rows_of(source: Any) -> Any:
    """`source` as a data set of the `datasets` library, if it is one or a torch Subset of one; else None."""
    if is_plain_subset(source):
        rows = rows_of(source.dataset)
        return None if rows is None else rows.select(source.indices)
    # by its module's name: the library need not be here, and a module of the user's own may be called datasets
    modules = ("datasets.arrow_dataset", "datasets.dataset_dict", "datasets.iterable_dataset")
    return source if type(source).__module__ in modules else None


def open_rows(rows: Any, reading: Reading) -> ImageData:
    """The images of a data set that the `datasets` library opened: one split, or all by their names.

    Raises:
        DataError: no such split, or no column of images.
    """
    import datasets

    name = type(rows).__name__
    if isinstance(rows, dict):
        if reading.split not in rows:
            known = ", ".join(map(str, rows))
            raise DataError(f"{name} has no split {quote(reading.split)}; give one of it: {known}.")
        rows = rows[reading.split]
    if not isinstance(rows, (datasets.Dataset, datasets.IterableDataset)):
        raise DataError(f"{name} holds no images; give a Dataset of the datasets library.")
    if isinstance(rows, datasets.Dataset) and rows.format["type"] == "custom":  # a transform of the user's
        classes = [key for key, each in rows.features.items() if isinstance(each, datasets.ClassLabel)]
        label = classes[0] if classes else None
        names = tuple(rows.features[label].names) if label else ()
        return open_items(rows, None, reading, names, label=label)
    return _open(datasets, rows, name, name, {}, reading)


def _open(datasets: Any, rows: Any, source: str, name: str, options: dict[str, str], reading: Reading) -> ImageData:
    columns = _columns(datasets, rows, source, name, options, reading)
    named = source.startswith("hf:")  # and not opened by the caller
    known_as = path_name(expand_user(name)) if named and is_here(name) else name
    if isinstance(rows, datasets.IterableDataset):
        return _open_stream(datasets, columns, known_as)
    chosen = "label" in options or bool(columns.names)
    labels, names = _labels(rows, columns.label, columns.names, source, chosen)
    image, rows = columns.image, rows.select_columns([columns.image])
    encoded = _is_encoded(datasets, rows.features[image])
    rows = _undecoded(datasets, rows.with_format(None), image, source) if encoded else rows.with_format("numpy")
    if not (encoded and named):  # the caller's rows may name files that change, the fingerprint not
        return dataclasses.replace(open_items(rows, labels, reading, names, known_as), source=source)
    # a folder's fingerprint follows from all files in it; files that rows of one Parquet file name may change unseen
    table = rows.data.table.flatten()
    inside, paths = table.column(f"{image}.bytes"), table.column(f"{image}.path")
    unseen = _files(name) and inside.null_count
    key = None if unseen else ["hf", rows._fingerprint, image, *reading.key, reading.broken]
    beside = [columns.root / path for path in paths.filter(inside.is_null()).drop_null().to_pylist() if columns.root]
    packed = inside.nbytes + sum(os.path.getsize(path) for path in beside if os.path.isfile(path))
    return _decoded(dataclasses.replace(columns, rows=rows, names=names), key, labels, known_as, packed)


def _columns(datasets: Any, rows: Any, source: str, name: str, options: dict[str, str], reading: Reading) -> Stream:
    """`rows` with the columns of its images and of its labels, and the names of its classes."""
    if rows.features is None:
        raise DataError(f"{source} does not say what its columns hold; give a set with features.")
    named, streamed = source.startswith("hf:"), isinstance(rows, datasets.IterableDataset)
    image = _column(source, rows, options.get("image"), datasets.Image, IMAGE_NAMES)
    if image is None:
        remedy = "name one with ?image=COLUMN" if named else 'rename one to "image"'
        raise DataError(f"{source} has no column of images but {', '.join(rows.column_names)}; {remedy}.")
    label = _column(source, rows, options.get("label"), datasets.ClassLabel, () if streamed else LABEL_NAMES)
    names = _class_names(datasets, rows, label, options.get("classes"), source)
    return Stream(rows, image, label, names, source, reading, _folder(name) if named else None)


def _decoded(columns: Stream, key: list[Any] | None, labels: Tensor | None, name: str, packed: int) -> ImageData:
    """All pictures of `columns`, whose files take `packed` bytes, decoded into the cache under `key`."""
    rows, count, place = columns.rows, len(columns.rows), f"{columns.source}: row "
    reading = with_channels(
        columns.reading, count, lambda index, own: columns.picture(rows[index], f"{place}{index}", own)
    )

    def fetch(pair: tuple[int, dict[str, Any]]) -> tuple[bytes, str]:
        return columns.encoded(pair[1], f"{place}{pair[0]}"), f"{place}{pair[0]}"

    pictures = read_pictures(fetch, enumerate(rows), count, reading)
    decoded = cached_images(key, pictures, count, most_decoded(packed, reading.image_size))
    labels = None if labels is None else labels[decoded[1]]
    return assemble(decoded, labels, columns.names, name, columns.source, range(count), reading)


def _class_names(datasets: Any, rows: Any, label: str | None, classes: str | None, source: str) -> tuple[str, ...]:
    """The names that the column `label` gives its classes, or numbers if it gives none and `classes` says how many."""
    feature: Any = rows.features[label] if label else None
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()
    if classes is None:
        return names
    if label is None:
        known = ", ".join(rows.column_names)
        raise DataError(
            f"{source}: classes={shown(classes)} counts the classes of a column of labels, and no such column was "
            f"found; name it with label=COLUMN. Columns: {known}."
        )
    if names:
        raise DataError(
            f"{source}: column {quote(label)} names its {len(names)} classes itself; "
            f"leave classes={shown(classes)} out."
        )
    if not (classes.isdecimal() and len(classes) < 9 and 1 <= int(classes) <= MOST_CLASSES):
        raise DataError(
            f"{source}: classes must be a number from 1 to {MOST_CLASSES:,}, got {quote(classes)}; "
            f"give the largest label of column {quote(label)}, plus 1."
        )
    return tuple(map(str, range(int(classes))))


def _is_encoded(datasets: Any, feature: Any) -> bool:
    """Whether a column of `feature` holds pictures as files, or their paths; else it holds numbers."""
    if isinstance(feature, datasets.Value):
        return "string" in feature.dtype or "binary" in feature.dtype
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and bool({"bytes", "path"} & {*feature}))


def _undecoded(datasets: Any, rows: Any, image: str, source: str) -> Any:
    """`rows` whose column `image` gives bytes or paths."""
    try:
        return rows.cast_column(image, datasets.Image(decode=False))
    except Exception as error:  # of pyarrow
        reason = quote(str(error), 200)
        raise DataError(f"{source}: column {quote(image)} holds no pictures ({reason}); name another.") from error


def _folder(name: str) -> Path | None:
    """The folder of files that rows of the set `name` may name; None for one of the Hub."""
    path = expand_user(name)
    return path if path.is_dir() else path.parent if path.is_file() else None


def _labels(
    rows: Any, label: str | None, names: tuple[str, ...], source: str, chosen: bool
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The labels of `rows` and the names of their classes.

    Args:
        chosen: the column was named, or is of class labels; else one without labels in it is left out aloud.
    """
    try:
        return number_labels(rows.with_format(None)[label][:] if label else [], names, source)
    except DataError as error:
        if chosen:
            raise
        warnings.warn(f"column {quote(label)} is not taken for labels: {error}", stacklevel=5)
        return None, ()


def hf_splits(source: str) -> tuple[str, ...]:
    """Which of train and test `source` has; the split that it names, if it does; none if it is one set of files.

    Raises:
        MissingExtraError, DataError: as `open_hf`.
    """
    datasets, name, options = _parse(source)
    if "split" in options:
        return (options["split"],)
    with _opening(source, name):
        if _files(name):
            return ()
        place, config, folder = _place(name, options.get("config"))
        if folder:  # datasets' own way would unpack the first rows of shards
            found = [*(datasets.load_dataset_builder(place, data_dir=folder).config.data_files or ())]
        else:
            found = datasets.get_dataset_split_names(place, config)
    return tuple(split for split in ("train", "test") if split in found)


def _open_stream(datasets: Any, stream: Stream, name: str) -> ImageData:
    """A streamed set: its first rows, and the stream."""
    if stream.reading.broken == "skip":
        warnings.warn(
            f"{stream.source}: broken=skip is not used: a row that can't be read stops a stream, at whatever step it "
            f"comes, and the run with it. Leave stream=yes out to skip such rows",
            stacklevel=4,
        )
    if stream.label and not stream.names:
        raise DataError(
            f"{stream.source}: column {quote(stream.label)} names no classes, and a stream can't be counted; add "
            f"&classes=N if its labels are whole numbers from 0 to N - 1, or leave stream=yes out."
        )
    rows = stream.rows.select_columns([stream.image, *([stream.label] if stream.label else [])])
    stream = dataclasses.replace(stream, rows=_undecoded(datasets, rows, stream.image, stream.source))
    first = list(islice(stream.undecoded(), 100 if stream.reading.image_channels is None else 0))
    reading = with_channels(
        stream.reading, len(first), lambda k, own: stream.picture(first[k], f"{stream.source}: row {k}", own)
    )
    stream = dataclasses.replace(stream, reading=reading)
    # `datasets` makes a column of nulls of folders train and test without folders of classes; mostly one row is read
    if stream.label and all(row[stream.label] is None for row in islice(stream.undecoded(), HEAD)):
        stream = dataclasses.replace(stream, label=None, names=())
    array, labels = _first_rows(stream)
    decoded = array, list(range(len(array))), hashlib.sha256(array.tobytes()).hexdigest()
    data = assemble(decoded, labels, stream.names, name, stream.source, range(len(array)), reading)
    return dataclasses.replace(data, stream=stream)


def _first_rows(stream: Stream) -> tuple[np.ndarray, Tensor | None]:
    """The first pictures (N, C, H, W) of `stream`, as many as are kept, and their labels if it has some."""
    pictures, labels, held = [], [], 0
    for picture, label in stream.read(islice(stream.undecoded(), HEAD)):
        pictures.append(picture)
        labels.append(label)
        held += picture.nbytes
        if held > BUFFER_BYTES:
            break
    if not pictures:
        raise DataError(f"{stream.source} holds no rows.")
    shapes = list(dict.fromkeys(picture.shape for picture in pictures))
    if len(shapes) > 1:
        raise differing(*shapes[:2])
    return np.stack(pictures), torch.tensor(labels) if stream.label else None


def _parse(source: str) -> tuple[Any, str, dict[str, str]]:
    """The library; the name or path that `source` begins with; its options."""
    name, _, query = source.removeprefix("hf:").partition("?")
    if not name or len(name) > 1000:
        raise DataError(f"{quote(source)} names no data set; give hf:owner/name, hf:./folder or hf:./images-*.parquet.")
    query = query.strip("&").replace("+", "%2B")  # "train+test" is a split
    try:
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise DataError(f"{source}: options are written as ?NAME=VALUE&NAME=VALUE ({error}).") from error
    options = dict(given)
    for option, value in given:
        if option not in OPTIONS:
            raise DataError(f"{source}: {quote(option)} is unknown.{did_you_mean(option, OPTIONS)}")
        if not value or [name for name, _ in given].count(option) > 1:
            raise DataError(f"{source}: {option} must be given once, with a value.")
    with needs(f"{source} needs the datasets library", "datasets"):
        import datasets
    return datasets, name, options


def _load(datasets: Any, source: str, name: str, config: str | None, split: str, stream: bool) -> Any:
    with _opening(source, name):
        if files := _files(name):
            given = {split: [glob.escape(str(file)) for file in files]}
            builder = datasets.load_dataset_builder(_builder(files), _state(files), data_files=given)
        else:
            place, config, folder = _place(name, config)
            state = _state([expand_user(name)]) if folder else config
            builder = datasets.load_dataset_builder(place, state, data_dir=folder)
        read_bounded(builder)
        if stream:
            return builder.as_streaming_dataset(split=split)
        builder.download_and_prepare()
        return builder.as_dataset(split=split)


def _files(name: str) -> list[Path]:
    """The local files that `name` means, if it is a file or a pattern of some; none for a folder or one of the Hub."""
    path = expand_user(name)
    if path.suffix not in _BUILDERS or path.is_dir():
        return []
    found = [path] if path.exists() else [Path(each) for each in sorted(glob.glob(str(path)))]
    if not found:
        raise DataError(f"hf:{name} can't be opened: there is no such file; in a pattern * is any text, [0-9] a digit.")
    return found


def _builder(files: list[Path]) -> str:
    """The builder of `datasets` for `files` of one kind; DataError for a shard that is compressed."""
    for file in files:
        if file.suffix == ".tar":
            check_shard(file)
    return _BUILDERS[files[0].suffix]


def _state(paths: list[Path]) -> str:
    """A name for the state of local files, and of all in folders: `datasets` takes other files of equal times for the
    same, and gives what it read before."""
    inside = [Path(folder, name) for path in paths for folder, _, names in os.walk(path) for name in names]
    files = inside or paths
    states = [(str(file), os.stat(file, follow_symlinks=False)) for file in sorted(files)]
    facts = [(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states]
    return "files-" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _place(name: str, config: str | None) -> tuple[str, str | None, str | None]:
    """What `datasets` calls a set: its name, its config, its folder."""
    path = expand_user(name)
    if not is_here(name):
        return name, config, None
    if any(path.glob("*.arrow")):
        raise DataError(f"{quote(str(path), 300)} holds .arrow files: {SAVED_TO_DISK}.")
    for ending, builder in _BUILDERS.items():
        files = [*path.glob(f"*{ending}"), *path.glob(f"data/*{ending}")]  # data: as the Hub lays them out
        if files and _builder(files):
            return builder, None, glob.escape(str(path))  # [v1] in a name is no pattern
    return "imagefolder", None, glob.escape(str(path))


def is_here(name: str) -> bool:
    """Whether the set `name` is a path, and none of the Hub."""
    path = expand_user(name)
    return written_as_path(name) or path.suffix in _BUILDERS or path.exists()


@contextmanager
def _opening(source: str, name: str) -> Iterator[None]:
    try:
        with nullcontext() if is_here(name) else offline_if_unreachable(source):
            yield
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and OSError
        _raise_ours(error)
        cause = error.__cause__ or error  # datasets' own words are "An error occurred while generating the dataset"
        raise DataError(
            f"{source} can't be opened ({first_line(cause)}); check the name, the split and the network."
        ) from error


def _raise_ours(error: BaseException | None) -> None:
    """Raise the error of ours that is behind `error`, if one is."""
    while error is not None:
        if isinstance(error, (DataError, HubConnectionError)):
            raise error
        error = error.__cause__ or error.__context__


def _column(source: str, rows: Any, asked: str | None, kind: type, usual: tuple[str, ...]) -> str | None:
    if asked is not None:
        if asked not in rows.column_names:
            raise DataError(f"{source}: no column {quote(asked)}.{did_you_mean(asked, rows.column_names)}")
        return asked
    for name, feature in rows.features.items():
        if isinstance(feature, kind):
            return str(name)
    return next((name for name in usual if name in rows.column_names), None)
