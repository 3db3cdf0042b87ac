"""Where the pictures of a folder or zip are, in a fixed order; a zip is read member by member, never unpacked."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ganzoo.data.decode import SUFFIXES
from ganzoo.errors import DataError, quote

MOST_MEMBERS = 250_000  # of a zip; each takes half a kilobyte of memory
DEEPEST = 100  # folders in folders
LARGEST_NAME = 1000  # characters of a member's path
LARGEST_FILE = 64_000_000  # bytes of one picture file, unpacked
LARGEST_RATIO = 200  # of a zip member's size to its packed size, where it is larger than a megabyte


@dataclass(frozen=True)
class Listing:
    """The pictures of a source.

    Args:
        names: their paths inside it, sorted.
        read: gives one's bytes.
        facts: what tells this state of the source from another, for the cache's key.
    """

    names: list[str]
    read: Callable[[str], bytes]
    facts: Sequence[tuple[Any, ...]]

    def classes(self) -> tuple[tuple[str, ...], list[int]] | None:
        """Names of the classes and each picture's class: the folders in which their paths first differ, whatever lies
        deeper; None where a picture lies in no such folder."""
        folders = [PurePosixPath(name).parent.parts for name in self.names]
        first, last = min(folders), max(folders)  # what these two share all between them share
        shared = next((i for i, (one, other) in enumerate(zip(first, last)) if one != other), len(first))
        heads = [parts[shared : shared + 1] for parts in folders]
        if not all(heads):
            return None
        names = sorted({head[0] for head in heads})
        numbers = {name: number for number, name in enumerate(names)}
        return tuple(names), [numbers[head[0]] for head in heads]


def list_folder(folder: Path) -> Listing:
    """The pictures below `folder`; hidden ones and links out of it are passed over."""
    try:
        root = folder.resolve()
        paths = sorted(path for path in _files(folder) if _wanted(path.as_posix()))
        kept = [path for path in paths if (folder / path).is_file() and (folder / path).resolve().is_relative_to(root)]
        states = [(path.as_posix(), (folder / path).stat()) for path in kept]
        # st_ctime changes with any writing: other bytes of the same number and time are seen
        facts = [(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states]
        found = [] if kept else sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror or error}).") from error
    if not kept:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}); it holds {_first(found)}.")

    def read(name: str) -> bytes:
        path = folder / name
        try:
            size = path.stat().st_size
            if size <= LARGEST_FILE:
                return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} can't be read ({error.strerror or error}).") from error
        raise DataError(f"{path} has {size:,} bytes; {LARGEST_FILE:,} is the most for a picture.")

    return Listing([name for name, *_ in facts], read, facts)


def _files(folder: Path) -> Iterator[Path]:
    """All that is below `folder` but folders, as paths from there; no link to a folder is followed."""
    for place, _, names in os.walk(folder):
        inside = Path(place).relative_to(folder)
        if len(inside.parts) > DEEPEST:
            raise DataError(f"{folder} has folders in folders, over {DEEPEST} deep; name the one with the images.")
        yield from (inside / name for name in names)


def list_zip(path: Path) -> Listing:
    """The pictures in the zip `path`.

    Raises:
        DataError: it is no zip, or has a member that no honest zip of pictures has.
    """
    try:
        file = _Counted(open(path, "rb", buffering=0))  # noqa: SIM115  # open as long as the listing is used
        archive = zipfile.ZipFile(file)
        file.counts = False
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError, struct.error) as error:
        raise DataError(f"{path} is no zip that can be read ({error}); name a folder or zip of images.") from error
    wanted = {}
    for member in members:
        _check_member(member, path)
        if not member.is_dir() and _wanted(member.filename):
            if member.filename in wanted:
                raise DataError(f"{path} holds {quote(member.filename)} twice; pack it again.")
            wanted[member.filename] = member
    if not wanted:
        found = [member.filename for member in members]
        raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)}); it holds {_first(found)}.")

    def read(name: str) -> bytes:
        try:
            with archive.open(wanted[name]) as file:
                content = file.read(wanted[name].file_size + 1)  # no more than was checked, whatever is packed
        except (
            zipfile.BadZipFile,
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
            NotImplementedError,
            OverflowError,
            struct.error,
            zlib.error,
        ) as error:
            raise DataError(f"{path}: {quote(name)} can't be unpacked ({error}); get the zip again.") from error
        return content

    names = sorted(wanted)
    return Listing(names, read, [(name, wanted[name].file_size, wanted[name].CRC) for name in names])


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    problem = ""
    if len(name) > LARGEST_NAME:
        problem = f"has a name of {len(name):,} characters, {LARGEST_NAME:,} is the most"
    elif name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
        problem = "leads out of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        problem = "is a link"
    elif member.flag_bits & 1:
        problem = "is encrypted"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = "is packed otherwise than by deflate"  # the others unpack without a limit that zipfile could set
    elif member.file_size > LARGEST_FILE and _wanted(name):
        problem = f"unpacks to {member.file_size:,} bytes, {LARGEST_FILE:,} is the most"
    elif member.file_size > 1_000_000 and member.file_size > LARGEST_RATIO * max(1, member.compress_size):
        problem = f"unpacks to {member.file_size / max(1, member.compress_size):,.0f} times its size, a bomb"
    if problem:
        raise DataError(f"{path}: the member {name[:100]!r} {problem}; ganzoo does not read such a zip.")


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and name.lower().endswith(SUFFIXES)


def _first(names: list[str]) -> str:
    return ", ".join(name if len(name) < 80 and name.isprintable() else quote(name) for name in names[:5]) or "nothing"


class _Counted(io.BufferedReader):
    """A zip's file, whose table of contents is counted before `zipfile` makes an object of each member."""

    counts = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.counts and size is not None and size > MOST_MEMBERS * 200:
            raise zipfile.BadZipFile(f"its table of contents has {size:,} bytes, {MOST_MEMBERS * 200:,} is the most")
        content = super().read(size)
        if self.counts and (count := content.count(b"PK\x01\x02")) > MOST_MEMBERS:
            raise zipfile.BadZipFile(f"it has {count:,} members, {MOST_MEMBERS:,} is the most")
        return content
