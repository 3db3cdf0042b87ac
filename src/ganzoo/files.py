"""Files and folders that are there whole or not at all: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ganzoo.errors import ConfigError, quote

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def expanded(path: str | Path) -> Path:
    """`path` with ~ or ~name at its start replaced by that home folder; ConfigError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{quote(str(path))} names no place: no such home folder; give a path without ~") from error


def flush(path: Path) -> None:
    """Wait until what was written at `path`, a file or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Make `folder`, and a file in it for a moment, so that an OSError comes before the work and not behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{uuid4().hex[:8]}.tmp"
    aside.touch()
    aside.unlink()


def write_file(path: Path, content: bytes | str) -> None:
    """Put `content` at `path`: after a crash the old file is there or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def usual_mode(path: Path) -> Iterator[Path]:
    """Give what the block puts at `path` the mode of any new file: safetensors lets the owner alone read."""
    path.touch()
    mode = path.stat().st_mode
    yield path
    path.chmod(mode)


@contextmanager
def new_folder(path: Path, *, keep_others: bool = False, drop: Collection[str] = ()) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of `path`, old content and all.

    Args:
        path: where the folder shall be. After a crash the old one is there or the new one.
            Where it is a link to a folder, the link stays, and what it leads to is replaced.
        keep_others: carry files over that the new one does not have, those in its subfolders too.
        drop: files and folders that are not carried over, as paths below `path` with slashes.

    Raises:
        ConfigError: the working directory is at or in `path`; what is written there later would be lost.
    """
    path = Path(os.path.realpath(path))
    if _is_here(path):
        raise ConfigError(f"{path} can't be replaced: this process works in it; name another folder, or one in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    aside.mkdir()
    try:
        yield aside
        if keep_others and path.is_dir():
            _carry_over(path, aside, drop)
        for folder, _, names in os.walk(aside):
            for name in names:
                if not os.path.islink(os.path.join(folder, name)):
                    flush(Path(folder, name))
            flush(Path(folder))
        if path.exists():
            _exchange(aside, path)
        else:
            os.rename(aside, path)
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left aside in `folder`."""
    for entry in folder.glob(".*.tmp"):
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(missing_ok=True)


def _is_here(path: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(path)
    except OSError:  # the working directory is gone
        return False


def _carry_over(old: Path, new: Path, drop: Collection[str], within: str = "") -> None:
    for entry in old.iterdir():
        target = new / entry.name
        if within + entry.name in drop or (target.exists() and not target.is_dir()):
            continue
        if entry.is_dir() and not entry.is_symlink():
            target.mkdir(exist_ok=True)
            _carry_over(entry, target, drop, f"{within}{entry.name}/")
            shutil.copystat(entry, target)
        elif not target.exists():
            shutil.copy2(entry, target, follow_symlinks=False)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders' names at one stroke where Linux can; elsewhere in two renames, the old one kept aside."""
    if sys.platform == "linux":
        renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        names = os.fsencode(one), os.fsencode(other)
        if renameat2 and renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    old = other.with_name(f"{other.name}.old-{uuid4().hex[:8]}")
    os.rename(other, old)
    os.rename(one, other)
    os.rename(old, one)
