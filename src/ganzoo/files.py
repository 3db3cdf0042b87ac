"""Files and folders that are there whole or not at all: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from ganzoo.errors import ConfigError, quote

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
# the answers of a place that offers no fsync or no locks: of network folders, FUSE and (EBADF) Windows
_NOT_OFFERED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.ENOLCK)
DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")  # macOS and Windows put them into folders that are looked at

# How files begin that stand under another's name; HEIC and videos are known by what follows their length.
_KINDS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; run `git lfs pull` there",
    b"<!doctype html": "a web page, perhaps the error page of a download; get the file again",
    b"<html": "a web page, perhaps the error page of a download; get the file again",
    b"<svg": "an SVG drawing; convert it to PNG",
    b"<?xml": "an XML file; if it is an SVG drawing, convert it to PNG",
    b"%pdf": "a PDF file; convert it to PNG",
    b"8bps": "a Photoshop file; convert it to PNG",
    b"pk\x03\x04": "a zip file (unpack it), or a pickle of torch.save, which may run any code and is never opened here",
    b"\x80": "a pickle, which may run any code and is never opened here",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x93numpy": "a NumPy array; in Python, give open_data the array",
    b"par1": "a parquet file; name it with hf: before it",
    b"\x00\x00\x00\x0cjp  ": "a JPEG 2000 file, which is not read here; convert it to PNG",
    b"\xff\x0a": "a JPEG XL file, which is not read here; convert it to PNG",
}
_HEIC = (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1")


def what_else(content: bytes) -> str | None:
    """What a file is that begins with `content` and is not what it should be, and what to do; None if unknown."""
    if not content.strip(b"\0"):
        return "empty, or holds only zeros; get the file again"
    if content[4:8] == b"ftyp":
        kind = "HEIC picture" if content[8:12] in _HEIC else "video, or a picture of a kind"
        return f"a {kind}, which Pillow does not read; convert it to JPEG or PNG"
    start = content[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for mark, words in _KINDS.items() if start.startswith(mark)), None)


def expand_user(path: str | Path) -> Path:
    """`path` with ~ or ~name at its start replaced by that home folder; ConfigError if there is none, or no path."""
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fspath(path):
        raise ConfigError(f"{quote(path)} is not a path; give a text or Path without a NUL")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{quote(str(path))} names no place: no such home folder; give a path without ~") from error


def name_of(path: str | Path) -> str:
    """The last part of `path`; of "." and ".." the name of the folder that it is."""
    return os.path.basename(os.path.abspath(path))


def written_as_path(source: object) -> bool:
    """Whether `source` is a path by the way it is written, as ./x, ../x, /x or ~/x, and so no name of anything."""
    text = str(source)
    return isinstance(source, Path) or text.startswith(("./", "../", "/", "~")) or text in (".", "..")


def fsync(path: Path) -> None:
    """Wait until what was written at `path`, a file or a folder's list of names, is on the disk.

    A place that does not offer this (folders on Windows, CIFS, sshfs) is passed over: files can be saved there too.
    """
    folder = path.is_dir()
    writable = not folder and os.access(path, os.W_OK)  # Windows flushes only what is open for writing
    try:
        descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        closed = folder and isinstance(error, (PermissionError, IsADirectoryError))  # Windows opens no folder
        if error.errno not in _NOT_OFFERED and not closed:
            raise


def check_writable(folder: Path) -> None:
    """Make `folder`, and a file in it for a moment, so that an OSError comes before the work and not behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{uuid4().hex[:8]}.tmp"
    aside.touch()
    aside.unlink()


def is_empty(folder: Path) -> bool:
    """Whether `folder` holds nothing but what macOS and Windows put there."""
    return all(entry.name in DESKTOP_FILES for entry in folder.iterdir())


def digest_of(file: IO[bytes], kind: str) -> str:
    """The hash of what an open file holds from here on, in hexadecimal; `kind` as `hashlib` names it."""
    digest = hashlib.new(kind, usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def file_state(file: int | Path) -> list[int]:
    """What changes with any writing to a file, its time of change even if somebody sets the others back."""
    state = os.stat(file)
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def sha256_of(path: Path) -> str:
    """The sha256 of the file `path`, in hexadecimal digits."""
    with path.open("rb") as file:
        return digest_of(file, "sha256")


def rename(one: Path, other: Path) -> None:
    """Rename a file or folder, also to the name of a file that is there.

    Windows refuses it while a file of `one` or `other` is open, if only in a virus scanner: it is tried again for two
    seconds.
    """
    for _ in range(20 if sys.platform == "win32" else 0):
        with suppress(PermissionError):
            return os.replace(one, other)
        time.sleep(0.1)
    os.replace(one, other)


def write_file(path: Path, content: bytes | str, sync: bool = True) -> None:
    """Put `content` at `path`: the old file is there or the new one, never a part; with `sync` also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        _keep_rights(path, aside)
        if sync:
            fsync(aside)
        rename(aside, path)
    except OSError as error:
        error.filename = str(path)  # nobody knows the file aside
        raise
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool = True, waiting: str = "") -> Iterator[bool]:
    """Hold the file `path` as a lock, which also ends with its process; the file is removed in the end.

    A place that offers no locks (NFS without its lock service) is passed over: the block runs without one.

    Args:
        wait: until another process that holds it lets go.
        waiting: a warning to give before waiting.

    Yields:
        Whether it is held.

    Raises:
        filelock.Timeout: another process holds it, and `wait` is False.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not wait:
            raise
        if waiting:
            warnings.warn(waiting, stacklevel=3)
        lock.acquire()
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
    try:
        yield lock.is_locked
    finally:
        with suppress(OSError):  # Windows removes no open file; filelock does it there
            path.unlink()  # while it is held: a process that waits for it sees this, and makes it again
        lock.release()


@contextmanager
def default_mode(path: Path) -> Iterator[Path]:
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
            Where the file system can't exchange folders (off Linux, NFS, FUSE) a crash can leave it aside: the next
            writer, or `recover`, brings it back.
            If it is a link to a folder, the link stays, and what it leads to is replaced.
            Of several processes that write it at once, each replaces what the one before it wrote.
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
        with locked(_beside(path, "lock")):
            _bring_back(path)
            if keep_others and path.is_dir():
                _carry_over(path, aside, drop)
            for folder, _, names in os.walk(aside):
                for name in ("", *names):
                    if not os.path.islink(new := Path(folder, name)):
                        _keep_rights(path / new.relative_to(aside), new)
                        fsync(new)
            if path.exists():
                _exchange(aside, path)
            else:
                rename(aside, path)
        fsync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def recover(path: Path) -> None:
    """Bring back the folder `path` if a crash within an exchange of `new_folder` left it aside."""
    try:
        path = Path(os.path.realpath(path))
    except ValueError:  # no file can have such a name
        return
    if not path.name:  # a file system's root
        return
    if os.path.exists(_beside(path, "new")) or (not path.exists() and os.path.exists(_beside(path, "old"))):
        with locked(_beside(path, "lock")):
            _bring_back(path)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left aside in `folder`, and bring back what it was about to replace."""
    for entry in (*folder.glob(".*.old.tmp"), *folder.glob(".*.new.tmp")):  # as `_beside` names them
        recover(folder / entry.name[1 : -len(".old.tmp")])
    for entry in folder.glob(".*.tmp"):
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(missing_ok=True)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}.tmp")


def _bring_back(path: Path) -> None:
    old, new = _beside(path, "old"), _beside(path, "new")
    if new.exists():  # whole; what is at `path` may be half deleted
        shutil.rmtree(path, ignore_errors=True)
        rename(new, path)  # if something could not be deleted, the error names both
    elif path.exists():
        shutil.rmtree(old, ignore_errors=True)
    elif old.exists():
        rename(old, path)


def _keep_rights(old: Path, new: Path) -> None:
    """Give `new`, which takes the place of `old`, its mode: what one user alone could read stays so."""
    if old.exists() and old.is_dir() == new.is_dir() and old.stat().st_mode != new.stat().st_mode:
        shutil.copymode(old, new)


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
    """Put the folder `one` in the place of `other`: at one stroke if the system can, else in two renames, the old one
    kept aside. If that can't be renamed, as a folder that lies in a container's image, it is deleted once the new one
    stands beside it."""
    if sys.platform == "linux":
        renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        names = os.fsencode(one), os.fsencode(other)
        if renameat2 and renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    old = _beside(other, "old")
    try:
        rename(other, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        rename(one, _beside(other, "new"))
        _bring_back(other)
        return
    try:
        rename(one, other)
    except OSError:
        rename(old, other)
        raise
    rename(old, one)
