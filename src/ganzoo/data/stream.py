"""Images that are read as they are trained on: sets larger than memory and disk, through `datasets` in its streamed
mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.decode import decode
from ganzoo.data.labels import check_label
from ganzoo.errors import DataError, quote


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of a `datasets.IterableDataset`, undecoded, and how to make pictures of them.

    Args:
        rows: with a column `image` of bytes or paths, and perhaps a column `label` of ints.
        names: of the classes; empty where they are not known.
        size, channels: of the pictures; None keeps their own.
        source: for messages.
        root: the folder that rows may name files of; None where they must hold their pictures.
    """

    rows: Any
    image: str
    label: str | None
    names: tuple[str, ...]
    size: int | None
    channels: int | None
    source: str
    root: Path | None = None

    def read(self, rows: Any, numbered: bool = True) -> Iterator[tuple[np.ndarray, int]]:
        """Pictures (C, H, W), uint8, and labels (0 without a column) of `rows`.

        Args:
            numbered: these are the set's rows from the first on, so that a message can tell which one is meant.
        """
        for number, row in enumerate(rows):
            place = f"{self.source}: row {number}" if numbered else f"{self.source}: {self._name(row)}"
            label = check_label(row[self.label], self.names, place) if self.label else 0
            yield self._picture(row.get(self.image), place), label

    def _name(self, row: dict[str, Any]) -> str:
        """What tells a row of a shuffled stream from others: its picture's path, where it has one."""
        value = row.get(self.image)
        path = value.get("path") if isinstance(value, dict) else None
        return f"a row ({quote(path)})" if path else "a row"

    def _picture(self, value: Any, place: str) -> np.ndarray:
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
