"""Images through the `datasets` library: from the Hugging Face Hub, or from local folders and parquet files.

    hf:owner/name                                  a data set on the Hub
    hf:./folder  hf:./images.parquet               files on this machine
    hf:owner/name?split=test&image=picture&label=kind&config=small

`image` and `label` name columns; without them the first of images, and the first of class labels, are taken. Pictures
are decoded into the cache a block at a time and mapped into memory, so that a set need not fit into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import torch

from ganzoo.data.cache import cached_images
from ganzoo.data.decode import decode
from ganzoo.data.image_data import ImageData, hash_of
from ganzoo.errors import DataError, MissingExtraError, did_you_mean, quote

_OPTIONS = ("config", "image", "label", "split")


def open_hf(source: str, size: int | None, channels: int | None, split: str) -> ImageData:
    """The images that `source` (see above) names.

    Raises:
        MissingExtraError: `datasets` is not installed.
        DataError: no such data set, split or column.
    """
    name, _, query = source.removeprefix("hf:").partition("?")
    options = dict(parse_qsl(query))
    for option in options:
        if option not in _OPTIONS:
            raise DataError(f"{source}: {quote(option)} is unknown.{did_you_mean(option, _OPTIONS)}")
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(f"{source} needs the datasets library: pip install 'ganzoo-torch[datasets]'") from error
    rows = _load(datasets, source, name, options.get("config"), options.get("split", split))
    image = _column(source, rows, options.get("image"), datasets.Image, ("image", "img", "picture"))
    if image is None:
        raise DataError(f"{source} has no column of images; name one with ?image=, of {', '.join(rows.column_names)}.")
    label = _column(source, rows, options.get("label"), datasets.ClassLabel, ())
    rows = rows.cast_column(image, datasets.Image(decode=False))

    def pictures() -> Iterator[np.ndarray]:
        for number, row in enumerate(rows.select_columns([image])):
            value = row[image] or {}
            try:
                content = value.get("bytes") or Path(value["path"]).read_bytes()
            except (KeyError, TypeError, OSError) as error:
                raise DataError(f"{source}: row {number} holds no image ({error}).") from error
            yield decode(content, f"{source}: row {number}", size, channels)

    array, _, pixels = cached_images(["hf", rows._fingerprint, image, size, channels], pictures(), len(rows))
    labels = torch.tensor(rows[label]) if label else None
    feature: Any = rows.features[label] if label else None
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()
    if labels is not None and not names:
        names = tuple(str(number) for number in range(int(labels.max()) + 1))
    return ImageData(name, array, labels, names, hash_of(pixels, array.shape, labels), source)


def _load(datasets: Any, source: str, name: str, config: str | None, split: str) -> Any:
    path = Path(name).expanduser()
    local = name.startswith(("./", "../", "/", "~")) or path.exists()
    try:
        if local and (path.suffix == ".parquet" or list(path.glob("*.parquet"))):
            found = [str(path)] if path.is_file() else sorted(map(str, path.glob("*.parquet")))
            return datasets.load_dataset("parquet", data_files={split: found}, split=split)
        if local:
            return datasets.load_dataset("imagefolder", data_dir=str(path), split=split)
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:  # datasets raises its own, the Hub client's, pyarrow's and OSError
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{source} can't be opened ({first[:200]}); check the name, the split and the network."
        ) from error


def _column(source: str, rows: Any, asked: str | None, kind: type, usual: tuple[str, ...]) -> str | None:
    if asked is not None:
        if asked not in rows.column_names:
            raise DataError(f"{source}: no column {quote(asked)}.{did_you_mean(asked, rows.column_names)}")
        return asked
    for name, feature in rows.features.items():
        if isinstance(feature, kind):
            return str(name)
    return next((name for name in usual if name in rows.column_names), None)
