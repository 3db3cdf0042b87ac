"""Where the pictures of a folder or zip are, in a fixed order; a zip is read member by member, never unpacked."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ganzoo.data.decode import SUFFIXES
from ganzoo.data.passed_over import (
    LINKS,
    OURS,
    hidden,
    nothing_found,
    output_folders,
    own_pictures,
    parents,
    reason_by_name,
)
from ganzoo.data.reading import SKIP
from ganzoo.errors import DataError, quote, shown
from ganzoo.files import what_else

MOST_MEMBERS = 250_000  # of a zip; each takes half a kilobyte of memory
DEEPEST = 100  # folders in folders
LARGEST_NAME = 1000  # characters of a member's path
LARGEST_FILE = 64_000_000  # bytes of one picture file, unpacked
LARGEST_RATIO = 200  # of a zip member's size to its packed size, if it is larger than a megabyte
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)  # NotImplementedError is a RuntimeError


@dataclass(frozen=True)
class Listing:
    """The pictures of a source.

    Args:
        names: their paths inside it, sorted.
        read: gives the bytes of one of them, or of one of `others`; so many from the start if a number follows.
        facts: what tells this state of the source from another, for the cache's key.
        passed_over: how many files are left out, by reason.
        others: paths of files that are no pictures by their names.
        folders: paths of the folders that data could lie in; some may be empty.
        train: the pictures of the split to train on, if these are of another split.
        depth: how many folders of each path lead to its split, and say nothing of its class.
    """

    names: list[str]
    read: Callable[..., bytes]
    facts: Sequence[tuple[Any, ...]]
    passed_over: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    depth: int = 0

    def only(self, names: Collection[str], passed_over: Mapping[str, int]) -> Listing:
        """The part of it that `names` has; `passed_over` counts what that leaves out."""
        facts = [fact for fact in self.facts if fact[0] in names]
        counted = {**self.passed_over, **{reason: count for reason, count in passed_over.items() if count}}
        return replace(self, names=[name for name, *_ in facts], facts=facts, passed_over=counted)


def list_folder(folder: Path, broken: str = "stop") -> Listing:
    """The pictures below `folder`; hidden ones, what ganzoo wrote and most links are passed over and counted.

    Args:
        broken: "stop" at a folder in it that can't be read, or "skip" and count it.

    Raises:
        DataError: it holds no pictures, or can't be read.
    """
    found: list[_File] = []
    passed: Counter[str] = Counter()
    folders: list[str] = []

    def unreadable(error: OSError) -> None:
        if broken == "stop" or Path(error.filename) == folder:
            raise DataError(
                f"{shown(error.filename, 300)} can't be read ({error.strerror or error}); get the right to read it"
                f"{'' if Path(error.filename) == folder else f', or {SKIP}'}."
            ) from error
        passed["unreadable folders"] += 1

    try:
        root = folder.resolve()
        for place, below, names in os.walk(folder, onerror=unreadable):
            inside = Path(place).relative_to(folder)
            if len(inside.parts) > DEEPEST:
                raise DataError(f"{folder} has folders in folders, over {DEEPEST} deep; name the one with the images.")
            folders.append(inside.as_posix())
            passed[LINKS] += sum(os.path.islink(os.path.join(place, name)) for name in below)
            found += [_file(folder, (inside / name).as_posix(), root) for name in names]
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror or error}).") from error

    return _listing(folder, found, passed, folders, lambda name, size=None: read_file(folder / name, size))


def read_file(path: Path, size: int | None = None) -> bytes:
    """The content of the file `path`, or its first `size` bytes.

    Raises:
        DataError: it can't be read, or all of it is more than a picture may have.
    """
    try:
        if size is not None:
            with open(path, "rb", buffering=0) as file:
                return file.read(size)
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise DataError(f"{path} is no file.")
        if state.st_size <= LARGEST_FILE:
            return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise DataError(f"{path} can't be read ({getattr(error, 'strerror', None) or error}).") from error
    raise DataError(f"{path} has {state.st_size:,} bytes; {LARGEST_FILE:,} is the most for a picture.")


@dataclass(frozen=True)
class _File:
    """A file of a source: its path there, what changes with its content, and why it can't be data, if so."""

    path: str
    size: int
    stamp: tuple[int, ...]
    reason: str = ""


def _file(folder: Path, path: str, root: Path) -> _File:
    state = os.lstat(folder / path)
    if stat.S_ISLNK(state.st_mode):
        target = Path(os.path.realpath(folder / path))  # resolve() is an error of its own for a link to itself
        if not target.is_relative_to(root) or not target.exists():
            return _File(path, 0, (), LINKS)
        state = os.stat(folder / path)
    # st_ctime changes with any writing: other bytes of the same number and time are seen
    stamp = (state.st_mtime_ns, state.st_ctime_ns)
    return _File(path, state.st_size, stamp, "" if stat.S_ISREG(state.st_mode) else "not plain files")


def _sorted(found: list[_File], outputs: set[str], passed: Counter[str]) -> tuple[list[_File], list[str]]:
    """The pictures among `found`, and paths of files that are none by name; `passed` counts what is left out."""
    kept, others = [], []
    for file in sorted(found, key=lambda file: file.path):
        reason = reason_by_name(file.path)
        if outputs and not outputs.isdisjoint(parents(file.path)):
            reason = OURS if reason is None else ""
        elif reason is None:
            reason = file.reason or None
        if reason is None:
            kept.append(file)
        elif reason:
            passed[reason] += 1
        if reason not in (None, OURS) and not file.reason:
            others.append(file.path)
    return kept, others


def _listing(
    place: Path,
    found: list[_File],
    passed: Counter[str],
    folders: list[str],
    read: Callable[..., bytes],
) -> Listing:
    """The pictures among the files `found`; `passed` counts the others."""

    def start(name: str, size: int) -> bytes:
        try:
            return read(name, size)
        except DataError:
            return b""  # said when it is decoded

    outputs = output_folders((file.path for file in found if not file.reason), start)
    kept, others = _sorted(found, outputs, passed)
    own = own_pictures([file.path for file in kept], start)
    passed[OURS] += len(own)
    facts: list[tuple[Any, ...]] = [(file.path, file.size, *file.stamp) for file in kept if file.path not in own]
    if not facts:
        raise DataError(nothing_found(place, +passed))
    above = {parent for output in outputs for parent in (output, *parents(output))}
    inhabitable = [
        folder
        for folder in folders
        if folder not in above and not hidden(folder) and outputs.isdisjoint(parents(folder))
    ]
    return Listing([name for name, *_ in facts], read, facts, dict(+passed), others, inhabitable)


def list_zip(path: Path) -> Listing:
    """The pictures in the zip `path`.

    Raises:
        DataError: it is no zip, or has a member that no honest zip of pictures has.
    """
    content = None
    try:
        with path.open("rb") as beginning:
            content = beginning.read(100)
        file = _Counted(open(path, "rb", buffering=0))  # noqa: SIM115  # open as long as the listing is used
        archive = zipfile.ZipFile(file)
        file.counts = False
        beginnings = open(path, "rb")  # noqa: SIM115  # as well; `archive` moves in the other
        members = archive.infolist()
    except _ZIP_ERRORS as error:
        cut = content is not None and content.startswith(b"PK")
        other = None if content is None or cut else what_else(content)
        if path.name.lower().endswith(SUFFIXES):
            other = "one picture; name its folder"
        remedy = "get it again" if cut else "name a folder or zip of images"
        text = f"is {other}" if other else f"can't be read as a zip ({error}); {remedy}"
        raise DataError(f"{shown(str(path), 300)} {text}.") from error
    by_name = _by_name(members, path)

    def read(name: str, size: int | None = None) -> bytes:
        if size is not None:
            with suppress(*_ZIP_ERRORS):
                return _start_of(beginnings, by_name[name], size)
        most = by_name[name].file_size + 1  # no more than was checked, whatever is packed
        try:
            with archive.open(by_name[name]) as file:
                return file.read(min(most, size or most))
        except _ZIP_ERRORS as error:
            raise DataError(f"{path}: {quote(name)} can't be unpacked ({error}); get the zip again.") from error

    files = [_File(member.filename, member.file_size, (member.CRC,)) for member in members if not member.is_dir()]
    folders = {parent for name in by_name for parent in parents(name)}
    return _listing(path, files, Counter(), sorted(folders), read)


def _by_name(members: list[zipfile.ZipInfo], path: Path) -> dict[str, zipfile.ZipInfo]:
    """The checked `members` of a zip by their names; DataError if two files have one name."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        if not member.flag_bits & 0x800:  # names that are UTF-8, as macOS writes them, without the mark of it
            with suppress(UnicodeError):
                member.filename = member.filename.encode("cp437").decode("utf-8")
    if not any("/" in member.filename for member in members):  # packed on Windows by a program that kept its own mark
        for member in members:
            member.filename = member.filename.replace("\\", "/")
    for member in members:
        _check_member(member, path)
        if member.filename in found and not member.is_dir():
            raise DataError(f"{path} holds {quote(member.filename)} twice; pack it again.")
        found[member.filename] = member
    return found


def _start_of(file: IO[bytes], member: zipfile.ZipInfo, size: int) -> bytes:
    """The first `size` bytes of a zip's `member`, in a tenth of the time of `ZipFile.open`."""
    file.seek(member.header_offset)
    header = file.read(30)
    if not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"{member.filename} does not begin where it should")
    file.seek(sum(struct.unpack("<HH", header[26:])), os.SEEK_CUR)  # its name and more
    packed = file.read(min(member.compress_size, size + 64))  # what can't be packed gets longer
    if member.compress_type == zipfile.ZIP_STORED:
        return packed[:size]
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size)


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
    elif member.file_size > LARGEST_FILE and reason_by_name(name) in (None, ""):
        problem = f"unpacks to {member.file_size:,} bytes, {LARGEST_FILE:,} is the most"
    elif member.file_size > 1_000_000 and member.file_size > LARGEST_RATIO * max(1, member.compress_size):
        problem = f"unpacks to {member.file_size / max(1, member.compress_size):,.0f} times its size, a bomb"
    if problem:
        raise DataError(f"{path}: the member {name[:100]!r} {problem}; ganzoo does not read such a zip.")


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
