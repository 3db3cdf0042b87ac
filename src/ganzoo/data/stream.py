"""Images that are read as they are trained on: sets larger than memory and disk, through `datasets` in its streamed
mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.decode import decode
from ganzoo.errors import DataError


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of a `datasets.IterableDataset`, undecoded, and how to make pictures of them.

    Args:
        rows: with a column `image` of bytes or paths, and perhaps a column `label` of ints.
        size, channels: of the pictures; None keeps their own.
        source: for messages.
    """

    rows: Any
    image: str
    label: str | None
    size: int | None
    channels: int | None
    source: str

    def read(self, rows: Any) -> Iterator[tuple[np.ndarray, int]]:
        """Pictures (C, H, W), uint8, and labels (0 without a column) of `rows`."""
        for number, row in enumerate(rows):
            yield picture_of(row, self.image, number, self.source, self.size, self.channels), self.label_of(row)

    def label_of(self, row: dict[str, Any]) -> int:
        """The label of `row`, 0 where the set has none."""
        return int(row[self.label]) if self.label else 0


def picture_of(
    row: dict[str, Any], image: str, number: int, source: str, size: int | None, channels: int | None
) -> np.ndarray:
    """The picture in the column `image` of a row of `datasets`, or DataError."""
    value = row.get(image) or {}
    try:
        content = value.get("bytes") or Path(value["path"]).read_bytes()
    except (KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{source}: row {number} holds no image ({error}).") from error
    return decode(content, f"{source}: row {number}", size, channels)
