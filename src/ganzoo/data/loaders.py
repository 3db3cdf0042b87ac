"""What a run reads: real images and labels, batch by batch, for any step and process."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.image_data import ImageData
from ganzoo.data.stream import Stream
from ganzoo.errors import ConfigError, DataError
from ganzoo.hardware import send
from ganzoo.seeds import permutation

Batch = tuple[int, Tensor, Tensor | None]  # images of all processes; pixels and labels of this one


class Batches:
    """The order of a data set's images: a new permutation every epoch, cut into batches.

    Everything follows from the seed and the step, so a run resumes anywhere without state. A data set smaller than a
    batch is repeated, permutation after permutation, until batches are full.

    Args:
        length: images in the data set.
        drop_last: leave out an epoch's last, smaller batch.

    Attributes:
        batches_per_epoch: what one pass over the images takes; less than 1 if they are fewer than a batch.
        sizes: of the batches that there are, in images.
    """

    def __init__(self, length: int, batch_size: int, seed: int, drop_last: bool = True) -> None:
        if length < 1 or batch_size < 1:
            raise ConfigError(f"batches need at least one image and a batch_size of 1, got {length} and {batch_size}")
        self._length, self._batch_size, self._seed = length, batch_size, seed
        self._small = length < batch_size
        whole, rest = divmod(length, batch_size)
        kept = rest if whole and not drop_last else 0
        self._whole_epoch = whole + (kept > 0)
        self.batches_per_epoch = length / batch_size if self._small else float(self._whole_epoch)
        self.sizes = [batch_size, kept] if kept else [batch_size]
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def indices(self, step: int) -> Tensor:
        """Indices (batch_size,), int64, of batch `step`, counted from 0; the last of an epoch may be smaller."""
        if self._small:
            positions = range(step * self._batch_size, (step + 1) * self._batch_size)
            return torch.stack([self._permutation(p // self._length)[p % self._length] for p in positions])
        epoch, batch = divmod(step, self._whole_epoch)
        return self._permutation(epoch)[batch * self._batch_size : (batch + 1) * self._batch_size]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = permutation(self._length, self._seed, "epoch", epoch)
        return self._order


def shard(indices: Tensor, rank: int, processes: int) -> Tensor:
    """The part of a batch that process `rank` computes: equal, contiguous parts without overlap."""
    if len(indices) % processes:
        raise ConfigError(
            f"a batch of {len(indices)} images can't be shared by {processes} processes; change batch_size, or leave "
            f"an epoch's last, smaller batch out (keep_last_batch=false)"
        )
    size = len(indices) // processes
    return indices[rank * size : (rank + 1) * size]


def open_loader(data: ImageData, batch_size: int, seed: int, drop_last: bool = True) -> Loader:
    """The batches of `data`, in an order that follows from the seed."""
    if data.stream is not None:
        if not drop_last:
            warnings.warn("keep_last_batch=true is not used: batches of a stream go on over its end", stacklevel=2)
        return StreamLoader(data.stream, batch_size, seed)
    return ArrayLoader(data, batch_size, seed, drop_last)


class Loader(ABC):
    """The batches of a run: the next one is read by a thread while one is trained on.

    Attributes:
        batches_per_epoch: None if nobody knows how many images there are.
        sizes: of the batches that come, in images.
    """

    batches_per_epoch: float | None = None
    sizes: list[int]
    _reader: ThreadPoolExecutor | None = None  # while batches are drawn
    _ahead: tuple[tuple[int, int, int], Future[Batch]] | None = None
    _pinned = False

    @abstractmethod
    def _read(self, step: int, rank: int, processes: int) -> Batch:
        """What `draw` gives, read in the thread."""

    def check_shared(self, processes: int) -> None:
        """Raise ConfigError if a batch of an epoch can't be shared equally."""
        for size in self.sizes:
            shard(torch.arange(size), 0, processes)

    def place(self, device: torch.device, memory: int) -> None:
        """Give batches to `device`, whose `memory` for images is so many bytes.

        Images that fit lie there whole. Others are sent batch by batch; CUDA reads them from pinned memory, since it
        then copies while it computes.
        """
        self._pinned = device.type == "cuda"

    def draw(self, step: int, rank: int = 0, processes: int = 1) -> Batch:
        """Batch `step`, counted from 0: how many images all processes have of it; those of process `rank`, uint8
        (n, C, H, W), on the device if all lie there; and their labels, int64 (n,), on the CPU."""
        self._reader = self._reader or ThreadPoolExecutor(1, "ganzoo-read")
        wanted = step, rank, processes
        if self._ahead is None or self._ahead[0] != wanted:
            self._ahead = wanted, self._reader.submit(self._read, *wanted)
        count, pixels, labels = self._ahead[1].result()
        following = step + 1, rank, processes
        self._ahead = following, self._reader.submit(self._read, *following)
        return count, pixels, labels

    def close(self) -> None:
        """End the thread that reads ahead, and free the device; the next batch begins anew."""
        if self._reader is not None:
            self._reader.shutdown()
        self._reader = self._ahead = None


class ArrayLoader(Loader):
    """Batches of images in memory, or mapped into it."""

    def __init__(self, data: ImageData, batch_size: int, seed: int, drop_last: bool = True) -> None:
        self._data, self._batches = data, Batches(len(data), batch_size, seed, drop_last)
        self.batches_per_epoch = self._batches.batches_per_epoch
        self.sizes = self._batches.sizes
        self._on_device: Tensor | None = None

    def place(self, device: torch.device, memory: int) -> None:
        super().place(device, memory)
        if self._data.images.nbytes <= memory:
            self._pinned = False
            self._on_device = torch.empty(self._data.images.shape, dtype=torch.uint8, device=device)
            # of images that are mapped, no second copy
            for rows in torch.arange(len(self._data), device="cpu").split(1000):
                self._on_device[rows[0] : rows[-1] + 1] = self._data.pixels(rows).to(device)

    def draw(self, step: int, rank: int = 0, processes: int = 1) -> Batch:
        if self._on_device is None:
            return super().draw(step, rank, processes)
        count, mine, labels = self._rows(step, rank, processes)
        return count, self._on_device[send(mine, self._on_device.device)], labels

    def _read(self, step: int, rank: int, processes: int) -> Batch:
        count, mine, labels = self._rows(step, rank, processes)
        pixels = self._data.pixels(mine)
        return count, pixels.pin_memory() if self._pinned else pixels, labels

    def _rows(self, step: int, rank: int, processes: int) -> Batch:
        """As `draw`, with places in the data in place of their pixels."""
        indices = self._batches.indices(step)
        mine = shard(indices, rank, processes)
        return len(indices), mine, self._data.labels[mine] if self._data.labels is not None else None

    def close(self) -> None:
        super().close()
        self._on_device = None


class StreamLoader(Loader):
    """Batches of a stream: shuffled within a buffer, anew every epoch, each process rows of its own.

    A resumed run passes over the rows that it has seen, without decoding them.
    """

    def __init__(self, stream: Stream, batch_size: int, seed: int) -> None:
        self._stream, self._batch_size, self._seed = stream, batch_size, seed
        self.sizes = [batch_size]
        self._next = -1
        self._rows: Iterator[dict[str, Any]] = iter(())

    def _read(self, step: int, rank: int, processes: int) -> Batch:
        size = len(shard(torch.arange(self._batch_size), rank, processes))
        if step != self._next:
            self._rows = self._from(step * size, rank, processes)
        self._next = step + 1
        pairs = list(self._stream.read((next(self._rows) for _ in range(size)), numbered=False))
        pixels = torch.from_numpy(np.stack([picture for picture, _ in pairs]))
        labels = torch.tensor([label for _, label in pairs]) if self._stream.label else None
        return self._batch_size, pixels.pin_memory() if self._pinned else pixels, labels

    def close(self) -> None:
        super().close()
        self._next, self._rows = -1, iter(())

    def _from(self, position: int, rank: int, processes: int) -> Iterator[dict[str, Any]]:
        """Rows of this process for ever, from its row `position` on."""

        def rows() -> Iterator[dict[str, Any]]:
            for epoch in count():
                following = self._stream.epoch(epoch, self._seed, rank, processes)
                first = next(following, None)
                if first is None:
                    raise DataError(f"{self._stream.source} gives process {rank} of {processes} no rows; use fewer.")
                yield first
                yield from following

        return islice(rows(), position, None)
