"""Where the pictures of a folder or zip are, in a fixed order; a zip is read member by member, never unpacked."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ganzoo.data.decode import SUFFIXES
from ganzoo.errors import DataError

MOST_FILES = 2_000_000
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
    facts: list[tuple[str, int, int]]

    def classes(self) -> tuple[tuple[str, ...], list[int]] | None:
        """Names of the classes and each picture's class, where all lie in folders of the same depth; else None."""
        folders = [PurePosixPath(name).parent for name in self.names]
        common = folders[0]
        while not all(folder.is_relative_to(common) for folder in folders):
            common = common.parent
        heads = [folder.relative_to(common).parts[:1] for folder in folders]
        if not all(heads):
            return None
        names = sorted({head[0] for head in heads})
        numbers = {name: number for number, name in enumerate(names)}
        return tuple(names), [numbers[head[0]] for head in heads]


def list_folder(folder: Path) -> Listing:
    """The pictures below `folder`; hidden ones and links out of it are passed over."""
    try:
        paths = sorted(path for path in folder.rglob("*") if _wanted(path.relative_to(folder).as_posix()))
        kept = [path for path in paths if path.is_file() and path.resolve().is_relative_to(folder.resolve())]
        facts = [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in kept]
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror or error}).") from error
    if not kept:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}); it holds {found}.")

    def read(name: str) -> bytes:
        path = folder / name
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; {LARGEST_FILE:,} is the most for a picture.")
        return path.read_bytes()

    return Listing([name for name, _, _ in facts], read, facts)


def list_zip(path: Path) -> Listing:
    """The pictures in the zip `path`.

    Raises:
        DataError: it is no zip, or has a member that no honest zip of pictures has.
    """
    try:
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is no zip that can be read ({error}); name a folder or zip of images.") from error
    if len(members) > MOST_FILES:
        raise DataError(f"{path} has {len(members):,} members; {MOST_FILES:,} is the most.")
    wanted = {}
    for member in members:
        _check_member(member, path)
        if not member.is_dir() and _wanted(member.filename):
            if member.filename in wanted:
                raise DataError(f"{path} holds {member.filename} twice; pack it again.")
            wanted[member.filename] = member
    if not wanted:
        found = ", ".join(member.filename for member in members[:5]) or "nothing"
        raise DataError(f"{path} holds no images ({', '.join(SUFFIXES)}); it holds {found}.")

    def read(name: str) -> bytes:
        try:
            with archive.open(wanted[name]) as file:
                content = file.read(LARGEST_FILE + 1)
        except (
            zipfile.BadZipFile,
            OSError,
            RuntimeError,
            ValueError,
            EOFError,
            NotImplementedError,
            zlib.error,
        ) as error:
            raise DataError(f"{path}: {name} can't be unpacked ({error}); get the zip again.") from error
        if len(content) > LARGEST_FILE:
            raise DataError(f"{path}: {name} unpacks to more than {LARGEST_FILE:,} bytes, the most for a picture.")
        return content

    names = sorted(wanted)
    return Listing(names, read, [(name, wanted[name].file_size, wanted[name].CRC) for name in names])


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    problem = ""
    if name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
        problem = "leads out of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        problem = "is a link"
    elif member.flag_bits & 1:
        problem = "is encrypted"
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
