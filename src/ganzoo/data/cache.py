"""Decoded pictures on disk, one array mapped into memory: decoded once, and larger than memory if need be."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import Timeout

from ganzoo.errors import ConfigError, DataError, SeveralSizesError, reason
from ganzoo.files import digest_of, expand_user, file_state, locked, new_folder, write_file

VERSION = 1  # of decoding; a new one makes all sets anew
HASHED = 256_000_000  # bytes of an entry that is hashed whenever it is opened; a larger one if it was touched
LARGEST_RATIO = 1000  # of decoded pictures to their files, if they take more than SMALL_ARRAY bytes
SMALL_ARRAY = 1_000_000_000

Pictures = Generator["np.ndarray | None", None, None]


def cache_dir() -> Path:
    """$GANZOO_CACHE, else $XDG_CACHE_HOME/ganzoo, else ~/.cache/ganzoo.

    Raises:
        ConfigError: neither is set, and this user has no home folder.
    """
    if os.environ.get("GANZOO_CACHE"):
        return expand_user(os.environ["GANZOO_CACHE"])
    try:
        return expand_user(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ganzoo"
    except ConfigError as error:
        raise ConfigError(
            "there is no place for the cache: this user has no home folder; set GANZOO_CACHE to a folder."
        ) from error


def data_folders(root: str) -> list[Path]:
    """Where data sets are looked for, in this order: `root`, $GANZOO_DATA, the cache if there is a place for one."""
    folders = [expand_user(each) for each in (root, os.environ.get("GANZOO_DATA")) if each]
    with suppress(ConfigError):
        folders.append(cache_dir())
    return folders


def cached_images(
    key: Any, pictures: Pictures, count: int, most: int | None = None
) -> tuple[np.ndarray, list[int], str]:
    """The array of all `pictures`, made on the first call for `key` and mapped into memory on later ones.

    An entry that is damaged is made again. What killed processes left half-made is removed.

    Args:
        key: what the array depends on, as JSON types; for an equal one `pictures` are not asked for. None if nothing
            tells them from others before they are read: they then lie in a file without a name, which is gone when
            the array is, or the process.
        pictures: uint8 (C, H, W) of one shape, or None for one that is left out.
        count: how many `pictures` gives.
        most: bytes that the array may have; None for as many as the disk has room for.

    Returns:
        uint8 (N, C, H, W), read-only; the positions of those left in; a hash of the pixels.

    Raises:
        DataError: shapes differ, all are left out, the array is too large, or the cache can't be written.
    """
    place = cache_dir() / "data"
    _remove_half_made(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
        if key is None:
            with tempfile.TemporaryFile(dir=place) as file:
                return _mapped(file, _pack(file, pictures, count, most))
        folder = place / hashlib.sha256(json.dumps([VERSION, key]).encode()).hexdigest()[:24]
        facts = _facts(folder) or _make(folder, pictures, count, most)
        with open(folder / "images.bin", "rb") as file:
            return _mapped(file, facts)
    except OSError as error:
        raise DataError(unwritable(error)) from error


def most_decoded(packed: int, image_size: int | None) -> int | None:
    """Bytes that pictures of `packed` bytes may take decoded; None for any: an `image_size` that was asked for."""
    return None if image_size else max(SMALL_ARRAY, LARGEST_RATIO * packed)


def _make(folder: Path, pictures: Pictures, count: int, most: int | None) -> dict[str, Any]:
    """Write the entry `folder`, or wait until another process that writes it has done so; what is written of it."""
    with locked(_lock(folder), waiting=f"another process decodes these pictures into {folder}: waiting for it"):
        if (facts := _facts(folder)) is None:
            if folder.exists():
                warnings.warn(f"{folder} in the cache is damaged or of an older ganzoo: it is made again", stacklevel=4)
            with new_folder(folder) as new:
                with open(new / "images.bin", "wb", buffering=1 << 20) as file:
                    facts = _pack(file, pictures, count, most)
                    facts["state"] = file_state(file.fileno())
                (new / "facts.json").write_text(_with_check(facts))
        return facts


def unwritable(error: OSError) -> str:
    """Why the cache can't be written, and what to do."""
    return f"the cache {cache_dir()} can't be written ({reason(error)}); or set GANZOO_CACHE to another folder."


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _remove_half_made(data: Path) -> None:
    """Remove what processes that are no longer there left aside in the folder `data`."""
    for aside in data.glob(".*.tmp"):
        digest = aside.name.split(".")[1]
        with suppress(Timeout, OSError), locked(_lock(data / digest), wait=False) as held:
            if held:  # without locks nothing tells whether another process is writing it
                shutil.rmtree(aside)


def _facts(folder: Path) -> dict[str, Any] | None:
    """What is written of the entry `folder`, if it is there and its files are what was written."""
    try:
        facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
        if facts.pop("check") != _check(facts):
            return None
        with open(folder / "images.bin", "rb") as file:
            state = file_state(file.fileno())
            if (state != facts["state"] or state[0] <= HASHED) and digest_of(file, "sha256") != facts["hash"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, no JSON, or another's
        return None
    if state != facts["state"]:  # the same content, copied or touched: it is not hashed again the next time
        with suppress(OSError):
            write_file(folder / "facts.json", _with_check({**facts, "state": state}))
    return facts


def _with_check(facts: dict[str, Any]) -> str:
    return json.dumps({**facts, "check": _check(facts)})


def _check(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _mapped(file: IO[bytes], facts: dict[str, Any]) -> tuple[np.ndarray, list[int], str]:
    images = np.memmap(file, np.uint8, "r", shape=tuple(facts["shape"]))
    if isinstance(images.base, mmap.mmap) and sys.platform != "win32":
        images.base.madvise(mmap.MADV_RANDOM)
    return images, facts["kept"], facts["hash"]


def fetch_ahead(images: np.ndarray, indices: Sequence[int]) -> None:
    """Let the system fetch those of `images` at `indices`, all at once, in the background, if they lie in a file.

    Without it, each page of a set larger than memory is waited for by itself; with the system's own guess of what
    comes next, most of what is read is never looked at.
    """
    mapping = images.base  # a slice or copy has another
    if not isinstance(mapping, mmap.mmap) or sys.platform == "win32":
        return
    size = images[0].nbytes
    for index in indices:
        first = index % len(images) * size  # -1 is the last image
        start = first - first % mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, start, first + size - start)


def _pack(file: IO[bytes], pictures: Pictures, count: int, most: int | None = None) -> dict[str, Any]:
    """Write `pictures` one after another; their shape (N, C, H, W), the positions of those kept, their hash."""
    kept: list[int] = []
    shape: tuple[int, ...] | None = None
    hashed = hashlib.sha256()
    try:
        for position, picture in enumerate(pictures):
            if picture is None:
                continue
            if shape is None:
                _check_room(picture, count, most)
            elif picture.shape != shape:
                raise differing(shape, picture.shape)
            shape = picture.shape
            content = picture.tobytes()
            file.write(content)
            hashed.update(content)
            kept.append(position)
    except RuntimeError as error:  # torch raises it wherever this process is when one that decodes is ended
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that decodes pictures was ended, most often for want of memory; free some, or make the "
            "pictures smaller."
        ) from error
    finally:
        pictures.close()  # ends processes that decode, even if a traceback keeps this frame
    file.flush()
    if shape is None:
        raise DataError(f"none of the {count} images can be read.")
    return {"shape": [len(kept), *shape], "kept": kept, "hash": hashed.hexdigest()}


def _check_room(first: np.ndarray, count: int, most: int | None) -> None:
    """Raise DataError if `count` pictures like the `first` are more than the disk, or the caller, allows."""
    size, free = count * first.nbytes, shutil.disk_usage(cache_dir()).free
    remedy = "take smaller ones with image_size=64 (--size 64)"
    if most is not None and size > most:
        raise DataError(
            f"{count:,} images of {_size(first.shape)} take {size / 1e6:,.0f} MB when they are decoded, and their "
            f"files are so small that this can't be meant; {remedy}."
        )
    if size > free:
        raise DataError(
            f"{count:,} images of {_size(first.shape)} take {size / 1e6:,.0f} MB in the cache {cache_dir()}, where "
            f"{free / 1e6:,.0f} MB are free; make room, set GANZOO_CACHE to another disk, or {remedy}."
        )


def differing(one: tuple[int, ...], other: tuple[int, ...]) -> DataError:
    """The error of pictures of two shapes (C, H, W): in what they differ, and the option that makes them alike."""
    if one[0] != other[0]:
        return DataError(f"images have {one[0]} and {other[0]} channels; choose with image_channels=3 (--channels 3).")
    sizes = f"images have several sizes ({_size(one)}, {_size(other)})"
    return SeveralSizesError(f"{sizes}; choose one with image_size=64 (--size 64).")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"
