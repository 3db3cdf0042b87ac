"""Decoded pictures on disk, one array mapped into memory: decoded once, and larger than memory if need be."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ganzoo.errors import DataError
from ganzoo.files import expanded, new_folder

VERSION = 1  # of decoding; a new one makes all sets anew
BLOCK = 256  # pictures that are decoded before they are written


def cache_dir() -> Path:
    """$GANZOO_CACHE, else $XDG_CACHE_HOME/ganzoo, else ~/.cache/ganzoo."""
    if os.environ.get("GANZOO_CACHE"):
        return expanded(os.environ["GANZOO_CACHE"])
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ganzoo"


def cached_images(key: Any, pictures: Iterator[np.ndarray | None], count: int) -> tuple[np.ndarray, list[int], str]:
    """The array of all `pictures`, made on the first call for `key` and mapped into memory on later ones.

    Args:
        key: what the array depends on, as JSON types; for an equal one `pictures` are not asked for.
        pictures: uint8 (C, H, W) of one shape, or None for one that is left out.
        count: how many `pictures` gives.

    Returns:
        uint8 (N, C, H, W), read-only; the positions of those left in; a hash of the pixels.

    Raises:
        DataError: shapes differ, all are left out, or the cache can't be written.
    """
    digest = hashlib.sha256(json.dumps([VERSION, key]).encode()).hexdigest()[:24]
    folder = cache_dir() / "data" / digest
    if not (folder / "facts.json").is_file():
        try:
            with new_folder(folder) as new:
                _write(new, pictures, count)
        except OSError as error:
            raise _unwritable(error) from error
    facts = json.loads((folder / "facts.json").read_text())
    with open(folder / "images.bin", "rb") as file:
        return _map(file, facts["shape"]), facts["kept"], facts["hash"]


def unnamed_images(pictures: Iterator[np.ndarray | None], count: int) -> tuple[np.ndarray, list[int], str]:
    """As `cached_images`, for pictures that nothing tells from others before they are read.

    They lie in a file without a name in the cache's folder, which is gone when the array is, or the process.
    """
    folder = cache_dir() / "data"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            facts = _pack(file, pictures, count)
            file.flush()
            return _map(file, facts["shape"]), facts["kept"], facts["hash"]
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> DataError:
    return DataError(
        f"the cache {cache_dir()} can't be written ({error.strerror or error}); make room or set GANZOO_CACHE."
    )


class MappedImages(np.ndarray):
    """Images (N, C, H, W) mapped from a file, which can be asked for before they are read."""

    mapping: mmap.mmap | None = None  # a slice or copy has none

    def ask(self, indices: Sequence[int]) -> None:
        """Let the system fetch the images at `indices`, all at once, in the background.

        Without it, each page of a set larger than memory is waited for by itself; with the system's own guess of what
        comes next, most of what is read is never looked at.
        """
        if self.mapping is None or sys.platform == "win32":
            return
        size = self[0].nbytes
        for index in indices:
            start = index * size - index * size % mmap.PAGESIZE
            self.mapping.madvise(mmap.MADV_WILLNEED, start, (index + 1) * size - start)


def _map(file: IO[bytes], shape: Sequence[int]) -> MappedImages:
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if sys.platform != "win32":
        mapping.madvise(mmap.MADV_RANDOM)
    images = np.frombuffer(mapping, np.uint8).reshape(shape).view(MappedImages)
    images.mapping = mapping
    return images


def _write(folder: Path, pictures: Iterator[np.ndarray | None], count: int) -> None:
    with open(folder / "images.bin", "wb", buffering=1 << 20) as file:
        facts = _pack(file, pictures, count)
    (folder / "facts.json").write_text(json.dumps(facts))


def _pack(file: IO[bytes], pictures: Iterator[np.ndarray | None], count: int) -> dict[str, Any]:
    """Write `pictures` one after another; their shape (N, C, H, W), the positions of those kept, their hash."""
    kept: list[int] = []
    shape: tuple[int, ...] | None = None
    hashed = hashlib.sha256()
    for position, picture in enumerate(pictures):
        if picture is None:
            continue
        if shape is not None and picture.shape != shape:
            raise DataError(difference(shape, picture.shape))
        shape = picture.shape
        content = picture.tobytes()
        file.write(content)
        hashed.update(content)
        kept.append(position)
    if shape is None:
        raise DataError(f"none of the {count} images can be read.")
    return {"shape": [len(kept), *shape], "kept": kept, "hash": hashed.hexdigest()}


def difference(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    """In which way pictures of two shapes (C, H, W) differ, and the option that makes them alike."""
    if one[0] != other[0]:
        return f"images have {one[0]} and {other[0]} channels; choose with image_channels=3 (--channels 3)."
    return f"images have several sizes ({_size(one)}, {_size(other)}); choose one with image_size=64 (--size 64)."


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"
