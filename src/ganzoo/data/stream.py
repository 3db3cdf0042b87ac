"""Images that are read as they are trained on: sets larger than memory and disk, through `datasets` in its streamed
mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.data.archives import LARGEST_FILE, read_file
from ganzoo.data.bounded import ROWS
from ganzoo.data.decode import decode
from ganzoo.data.labels import check_label
from ganzoo.data.reading import Reading
from ganzoo.errors import DataError, GanzooError, quote, words_of
from ganzoo.seeds import derive_seed

BUFFER = 2000  # rows among which the next one is chosen at random, if they fit into BUFFER_BYTES
BUFFER_BYTES = 1_000_000_000
OPEN_PIECES = 10  # of a stream, read in turns
MOST_PIECES = 1024  # of a stream; of more files, neighbours are one piece


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of a `datasets.IterableDataset`, undecoded, and how to make pictures of them.

    Args:
        rows: with a column `image` of bytes or paths, and perhaps a column `label` of ints.
        names: of the classes; empty if they are not known.
        source: for messages.
        reading: how the pictures are read.
        root: the folder that rows may name files of; None if they must hold their pictures.
    """

    rows: Any
    image: str
    label: str | None
    names: tuple[str, ...]
    source: str
    reading: Reading
    root: Path | None = None

    def read(self, rows: Any, numbered: bool = True) -> Iterator[tuple[np.ndarray, int]]:
        """Pictures (C, H, W), uint8, and labels (0 without a column) of `rows`.

        Args:
            numbered: these are the set's rows from the first on, so that a message can tell which one is meant.
        """
        for number, row in enumerate(rows):
            place = f"{self.source}: row {number}" if numbered else f"{self.source}: {self._name(row)}"
            label = check_label(row[self.label], self.names, place) if self.label else 0
            yield self.picture(row, place, self.reading), label

    def undecoded(self, piece: Any = None) -> Iterator[dict[str, Any]]:
        """The rows of a piece, or all, as they are stored.

        Raises:
            DataError: they can't be read: a damaged file, a broken connection.
        """
        try:
            for columns in (self.rows if piece is None else piece).iter(ROWS):  # twice as fast as row by row
                for values in zip(*columns.values()):
                    yield dict(zip(columns, values))
        except GanzooError:
            raise
        except Exception as error:  # pyarrow's, the Hub client's, OSError
            raise DataError(
                f"{self.source} can't be read ({words_of(error)}); check its files and the network."
            ) from error

    def _pieces(self) -> list[Any]:
        """The parts that can be read by themselves: the files of a set, or groups of neighbouring ones.

        Made anew for each pass: `datasets` notes in a part how far it was read, so two threads must not share one.
        """
        count = min(self.rows.num_shards, MOST_PIECES)
        return [self.rows.shard(count, number) for number in range(count)]

    def epoch(self, number: int, seed: int, rank: int, processes: int) -> Iterator[dict[str, Any]]:
        """The rows that process `rank` has of pass `number`, shuffled; the order follows from the seed.

        Each process has pieces of its own. If they can't be shared equally, each has every n-th row, and reads all.

        `IterableDataset.shuffle` is not used: its order is another one in other versions of `datasets`, it takes any
        memory for large pictures, and its threads wait five seconds at the end of an epoch.
        """
        generator = np.random.default_rng(derive_seed(seed, "stream", number))
        parts = self._pieces()
        pieces = [self.undecoded(parts[index]) for index in generator.permutation(len(parts))]
        if len(pieces) % processes == 0:
            rows = _in_turns(pieces[rank::processes])
        else:
            rows = islice(_in_turns(pieces), rank, None, processes)
        return self._shuffled(rows, generator)

    def _shuffled(self, rows: Iterable[dict[str, Any]], generator: np.random.Generator) -> Iterator[dict[str, Any]]:
        buffer: list[dict[str, Any]] = []
        held = 0
        for row in rows:
            buffer.append(row)
            held += self._bytes(row)
            while len(buffer) >= BUFFER or (held > BUFFER_BYTES and len(buffer) > 1):
                index = generator.integers(len(buffer))
                buffer[index], buffer[-1] = buffer[-1], buffer[index]
                held -= self._bytes(buffer[-1])
                yield buffer.pop()
        for index in generator.permutation(len(buffer)):
            yield buffer[index]

    def _bytes(self, row: dict[str, Any]) -> int:
        value = row.get(self.image)
        return len(value.get("bytes") or b"") if isinstance(value, dict) else 0

    def _name(self, row: dict[str, Any]) -> str:
        """What tells a row of a shuffled stream from others: its picture's path, if it has one."""
        value = row.get(self.image)
        path = value.get("path") if isinstance(value, dict) else None
        return f"a row ({quote(path)})" if path else "a row"

    def picture(self, row: dict[str, Any], place: str, reading: Reading) -> np.ndarray:
        """The picture of a row, as uint8 (C, H, W)."""
        return decode(self.encoded(row, place), place, reading)

    def encoded(self, row: dict[str, Any], place: str) -> bytes:
        """The file of a row's picture."""
        value = row.get(self.image)
        if not isinstance(value, dict):
            raise DataError(f"{place} holds no image; name their column with ?image=.")
        content = value.get("bytes")
        return self._file(str(value.get("path")), place) if content is None else content

    def _file(self, path: str, place: str) -> bytes:
        """The file that a row names, which must lie in the set's own folder: a stranger wrote the row."""
        with suppress(DataError, OSError, ValueError, RuntimeError):  # a name too long, or a link to itself
            if self.root and (found := (self.root / path).resolve()).is_relative_to(self.root.resolve()):
                return read_file(found)
        raise DataError(
            f"{place} names {quote(path)}, which is not a readable file of this set "
            f"(at most {LARGEST_FILE:,} bytes); pack the pictures into it."
        )


def _in_turns(pieces: Sequence[Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The rows of `pieces`, one of each of the first ten in turn; when one ends, the next takes its place."""
    waiting = map(iter, pieces)
    opened = list(islice(waiting, OPEN_PIECES))
    while opened:
        for piece in list(opened):
            row = next(piece, None)
            if row is not None:
                yield row
            else:
                opened.remove(piece)
                opened += islice(waiting, 1)
