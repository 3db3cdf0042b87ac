"""Parquet files a few rows at a time, whatever a stranger packed into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ganzoo.data.archives import LARGEST_FILE, LARGEST_RATIO
from ganzoo.errors import DataError, quote

ROWS = 8  # that are unpacked at once


def read_few_rows(builder: Any) -> Any:
    """Make a builder of the `datasets` library read parquet files by few rows; one of other files stays as it is.

    By itself it unpacks a group of rows at once: 400 rows that name one value of 4 MB are a file of 1 KB, and take 4 GB
    of memory.
    """
    from datasets.packaged_modules.parquet.parquet import Parquet

    if isinstance(builder, Parquet):
        builder._generate_tables = partial(_tables, builder)
    return builder


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
