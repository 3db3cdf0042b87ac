"""Builders of the `datasets` library that read what a stranger packed a little at a time: Parquet files by few rows,
WebDataset's shards (tar files whose members of one name, as 0001.jpg and 0001.cls, are one row) by small members."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ganzoo.data.archives import LARGEST_FILE, LARGEST_RATIO
from ganzoo.data.decode import SUFFIXES
from ganzoo.errors import DataError, quote

ROWS = 8  # of a Parquet file that are unpacked at once
CLASS = "cls"  # the field of a class, by WebDataset's convention: its number or name as text


def read_bounded(builder: Any) -> None:
    """Make a builder of Parquet files or of shards read so; one of other files stays as it is.

    By itself the first unpacks a group of rows at once: 400 rows that name one value of 4 MB are a file of 1 KB, and
    take 4 GB of memory. The other reads all members whole, and decodes arrays, JSON and compressed files among them.
    """
    from datasets.packaged_modules.parquet.parquet import Parquet
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    if isinstance(builder, Parquet):
        builder._generate_tables = partial(_tables, builder)
    elif isinstance(builder, WebDataset):
        builder._get_pipeline_from_tar = _rows


def _tables(builder: Any, files: Sequence[str], row_groups_list: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """As `Parquet._generate_tables`, whose part it takes."""
    import fsspec
    import pyarrow
    import pyarrow.parquet
    from datasets.builder import Key

    for number, (file, groups) in enumerate(zip(files, row_groups_list)):
        with fsspec.open(file, "rb") as opened:
            parquet = pyarrow.parquet.ParquetFile(opened)
            _check(file, parquet.metadata)
            for index, batch in enumerate(parquet.iter_batches(ROWS, row_groups=groups)):
                yield Key(number, index), builder._cast_table(pyarrow.Table.from_batches([batch]))


def _check(file: str, metadata: Any) -> None:
    """Raise DataError for a column that unpacks to much more than its bytes: its values are unpacked whole."""
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            size, packed = chunk.total_uncompressed_size, chunk.total_compressed_size
            if size > LARGEST_FILE and size > LARGEST_RATIO * max(1, packed):
                raise DataError(
                    f"{quote(str(file), 300)}: column {quote(chunk.path_in_schema)} unpacks to {size / packed:,.0f} "
                    f"times its size, {size:,} bytes; ganzoo does not read such a file."
                )


def check_shard(path: Path) -> None:
    """Raise DataError unless the file `path` is a tar file that is not compressed, so that no member outgrows it."""
    try:
        tarfile.open(path, "r:").close()
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path} is not a plain tar file ({error}); unpack .tar.gz to .tar.") from error


def _rows(tar_path: str, members: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """As `WebDataset._get_pipeline_from_tar`: neighbours of one name, without its endings, are a row."""
    row: dict[str, Any] = {}
    for name, file in members:
        path = PurePosixPath(name)
        stem, _, field = path.name.lower().partition(".")
        if not (field == CLASS or f".{field}".endswith(SUFFIXES)):
            continue
        key = path.with_name(path.name[: len(stem)]).as_posix() if stem else name
        if row and row["__key__"] != key:
            yield row
            row = {}
        if field in row:
            raise DataError(f"{tar_path} holds {quote(name)} twice; keep one of them.")
        content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise DataError(f"{tar_path}: {quote(name)} takes more than {LARGEST_FILE:,} bytes; leave it out.")
        row |= {"__key__": key, "__url__": tar_path, field: _class(content) if field == CLASS else content}
    if row:
        yield row


def _class(content: bytes) -> int | str:
    text = content[:1000].decode("utf-8", "replace").strip()
    return int(text) if text.isdecimal() else text
