"""What a run reads: real images and labels, batch by batch, for any step and process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.batches import Batches, shard
from ganzoo.data.image_data import ImageData, scale
from ganzoo.data.stream import Stream
from ganzoo.errors import DataError


def open_loader(data: ImageData, batch_size: int, seed: int, drop_last: bool = True) -> Loader:
    """The batches of `data`, in an order that follows from the seed."""
    if data.stream is not None:
        return StreamLoader(data.stream, batch_size, seed)
    return ArrayLoader(data, batch_size, seed, drop_last)


class ArrayLoader:
    """The batches of a run, from images in memory, or mapped into it: the next one is read while one is trained on."""

    def __init__(self, data: ImageData, batch_size: int, seed: int, drop_last: bool = True) -> None:
        self._data, self._batches = data, Batches(len(data), batch_size, seed, drop_last)
        self.batches_per_epoch: float | None = self._batches.batches_per_epoch
        self.sizes = self._batches.sizes  # of the batches that come, in images
        self._reader: ThreadPoolExecutor | None = None  # while batches are drawn
        self._ahead: tuple[Tensor, Future[Tensor]] | None = None

    def check_shared(self, processes: int) -> None:
        """Raise ConfigError where a batch of an epoch can't be shared equally."""
        for size in self.sizes:
            shard(torch.arange(size), 0, processes)

    def draw(self, step: int, rank: int = 0, processes: int = 1) -> tuple[int, Tensor, Tensor | None]:
        """Batch `step`, counted from 0: how many images all processes have of it; those of process `rank`, float32
        (n, C, H, W) in [-1, 1]; and their labels, int64 (n,)."""
        indices = self._batches.indices(step)
        mine = shard(indices, rank, processes)
        if self._ahead is not None and torch.equal(self._ahead[0], mine):
            pixels = self._ahead[1].result()
        else:
            pixels = self._data.pixels(mine)
        self._reader = self._reader or ThreadPoolExecutor(1, "ganzoo-read")
        following = shard(self._batches.indices(step + 1), rank, processes)
        self._ahead = following, self._reader.submit(self._data.pixels, following)
        labels = self._data.labels[mine] if self._data.labels is not None else None
        return len(indices), scale(pixels), labels

    def close(self) -> None:
        """End the thread that reads ahead; the next batch begins another."""
        if self._reader is not None:
            self._reader.shutdown()
        self._reader = self._ahead = None


class StreamLoader:
    """The batches of a run from a stream: shuffled within a buffer, anew every epoch, each process rows of its own.

    A resumed run passes over the rows that it has seen, without decoding them.
    """

    batches_per_epoch: float | None = None  # nobody knows how long a stream is

    def __init__(self, stream: Stream, batch_size: int, seed: int) -> None:
        self._stream, self._batch_size, self._seed = stream, batch_size, seed
        self.sizes = [batch_size]
        self._next = -1
        self._rows: Iterator[dict[str, Any]] = iter(())

    def check_shared(self, processes: int) -> None:
        """As `ArrayLoader.check_shared`."""
        shard(torch.arange(self._batch_size), 0, processes)

    def draw(self, step: int, rank: int = 0, processes: int = 1) -> tuple[int, Tensor, Tensor | None]:
        """As `ArrayLoader.draw`."""
        size = len(shard(torch.arange(self._batch_size), rank, processes))
        if step != self._next:
            self._rows = self._from(step * size, rank, processes)
        self._next = step + 1
        pairs = list(self._stream.read((next(self._rows) for _ in range(size)), numbered=False))
        images = torch.from_numpy(np.stack([picture for picture, _ in pairs]))
        labels = torch.tensor([label for _, label in pairs]) if self._stream.label else None
        return self._batch_size, scale(images), labels

    def close(self) -> None:
        """As `ArrayLoader.close`."""
        self._next, self._rows = -1, iter(())

    def _from(self, position: int, rank: int, processes: int) -> Iterator[dict[str, Any]]:
        """Rows of this process for ever, from its row `position` on."""
        epoch = passed = 0
        while True:
            found = False
            for row in self._stream.epoch(epoch, self._seed, rank, processes):
                found = True
                if passed < position:
                    passed += 1
                else:
                    yield row
            if not found:
                raise DataError(f"{self._stream.source} gives process {rank} of {processes} no rows; use fewer.")
            epoch += 1


Loader = ArrayLoader | StreamLoader
