"""Which images each batch of a run holds, for any step at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo.errors import ConfigError
from ganzoo.seeds import generator_for


class Batches:
    """The order of a data set's images: a new permutation every epoch, cut into batches.

    Everything follows from the seed and the step, so a run resumes anywhere without state. A data set smaller than a
    batch is repeated, permutation after permutation, until batches are full.

    Args:
        length: images in the data set.
        drop_last: leave out an epoch's last, smaller batch.

    Attributes:
        batches_per_epoch: what one pass over the images takes; less than 1 where they are fewer than a batch.
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
            positions = torch.arange(step * self._batch_size, (step + 1) * self._batch_size)
            return torch.stack([self._permutation(int(p) // self._length)[int(p) % self._length] for p in positions])
        epoch, batch = divmod(step, self._whole_epoch)
        return self._permutation(epoch)[batch * self._batch_size : (batch + 1) * self._batch_size]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(self._length, generator=generator_for(self._seed, "epoch", epoch))
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
