"""Images that are read as they are trained on: sets larger than memory and disk, through `datasets` in its streamed
mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.decode import decode
from ganzoo.errors import DataError, quote


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of a `datasets.IterableDataset`, undecoded, and how to make pictures of them.

    Args:
        rows: with a column `image` of bytes or paths, and perhaps a column `label` of ints.
        size, channels: of the pictures; None keeps their own.
        source: for messages.
        root: the folder that rows may name files of; None where they must hold their pictures.
    """

    rows: Any
    image: str
    label: str | None
    size: int | None
    channels: int | None
    source: str
    root: Path | None = None

    def read(self, rows: Any) -> Iterator[tuple[np.ndarray, int]]:
        """Pictures (C, H, W), uint8, and labels (0 without a column) of `rows`."""
        for number, row in enumerate(rows):
            yield self._picture(row, number), self.label_of(row)

    def label_of(self, row: dict[str, Any]) -> int:
        """The label of `row`, 0 where the set has none."""
        return int(row[self.label]) if self.label else 0

    def _picture(self, row: dict[str, Any], number: int) -> np.ndarray:
        place, value = f"{self.source}: row {number}", row.get(self.image)
        if not isinstance(value, dict):
            raise DataError(f"{place} holds no image; name their column with ?image=.")
        content = value.get("bytes")
        if content is None:
            content = self._file(str(value.get("path")), place)
        return decode(content, place, self.size, self.channels)

    def _file(self, path: str, place: str) -> bytes:
        """The file that a row names, which must lie in the set's own folder: a stranger wrote the row."""
        root = self.root.resolve() if self.root else None
        if root is None or not (root / path).resolve().is_relative_to(root) or not (root / path).is_file():
            raise DataError(f"{place} names {quote(path)}, which is no file of this set; pack the pictures into it.")
        return (root / path).read_bytes()
