"""A file from the network: resumed or restarted, checked by its hash, moved into place whole."""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.data.cache import cache_dir, data_folders
from ganzoo.errors import DataError, writing
from ganzoo.files import digest_of, locked, rename

TIMEOUT = 30  # seconds without a byte
TRIES = 3


@dataclass(frozen=True)
class Published:
    """A file on the network.

    Args:
        url: where it is.
        digest: its hash, as "sha1:c065...".
        largest: bytes that it may have.
    """

    url: str
    digest: str
    largest: int


def download(file: Published, path: Path) -> Path:
    """Fetch `file` to `path`, unless it is there; the part that an earlier try left is gone on with.

    Of several processes that want it, one fetches it and the others wait.

    Raises:
        DataError: its address does not give it, or gives more bytes or another file than it should, or it can't be
            written.
    """
    if path.is_file():
        return path
    with writing(path, DataError, ", or set GANZOO_CACHE."):
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another process downloads {path}: waiting for it"
        with locked(path.with_name(f".{path.name}.lock"), waiting=waiting):
            if not path.is_file():
                _fetch_whole(file, path)
    return path


def find_or_download(names: Sequence[str], root: str, file: Published, allowed: bool) -> Path:
    """The first file or folder of `names` in `root`, $GANZOO_DATA or the cache; else `file`, fetched as the first name.

    Raises:
        DataError: it is on no disk and is not `allowed` to be fetched; or as `download`.
    """
    for folder in data_folders(root):
        for name in names:
            if (path := folder / name).exists():
                return path
    path = cache_dir() / names[0]
    if not allowed:
        raise DataError(f"{path} is not there; allow the download, or put {file.url} there.")
    return download(file, path)


def _fetch_whole(file: Published, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    problems: list[str] = []
    for _ in range(TRIES):
        try:
            _fetch(file, part)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            problems.append(str(error))
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                part.unlink(missing_ok=True)  # a part longer than the file
        else:
            _check(file, part)
            rename(part, path)
            return
    reasons = "; ".join(dict.fromkeys(problems))
    raise DataError(f"{file.url} can't be downloaded ({reasons}); try again, or put it at {path} by hand.")


def _fetch(file: Published, part: Path) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "ganzoo", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(file.url, headers=headers)
    with _line():
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    with response:
        have = have if response.status == 206 else 0  # 206: it goes on where the part ends
        length = response.headers.get("Content-Length")
        left = int(length) if length and length.isdecimal() and len(length) < 20 else None
        if left is not None:
            _check_room(file, have + left, left, part.parent)
        _receive(file, response, part, bool(have), left)


@contextmanager
def _line() -> Iterator[None]:
    """Raise what the network fails with (TLS, a lost route) as a ConnectionError: other OSErrors are of writing."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _receive(file: Published, response: Any, part: Path, goes_on: bool, left: int | None) -> None:
    """Write what comes to `part`, behind what is there if it `goes_on`, with a bar; `left` bytes are announced."""
    from rich.console import Console
    from rich.progress import wrap_file

    console = Console(stderr=True)
    hidden = not (console.is_terminal or console.is_jupyter)
    bar = wrap_file(response, left or file.largest, description=part.stem, console=console, disable=hidden)
    with open(part, "ab" if goes_on else "wb") as opened, bar as body:
        while opened.tell() <= file.largest:
            with _line():
                block = body.read(1 << 16)
            if not block:
                break
            opened.write(block)
            left = None if left is None else left - len(block)
    if part.stat().st_size > file.largest:
        part.unlink()
        raise DataError(f"{file.url} gives more than {file.largest:,} bytes, which was deleted; tell its owner.")
    if left:
        raise ConnectionError(f"the line broke {left:,} bytes before the end")


def _check_room(file: Published, total: int, left: int, folder: Path) -> None:
    """Raise DataError if the file is too large, or what is `left` of it too much for the disk of `folder`."""
    if total > file.largest:
        raise DataError(f"{file.url} has {total:,} bytes; {file.largest:,} is the most.")
    free = shutil.disk_usage(folder).free
    if left > free:
        raise DataError(f"{file.url} has {total:,} bytes, and {free:,} are free at {folder}; make room.")


def _check(file: Published, part: Path) -> None:
    kind, _, wanted = file.digest.partition(":")
    with open(part, "rb") as opened:
        found = digest_of(opened, kind)
    if found != wanted:
        part.unlink()
        raise DataError(f"{file.url} gave a file with {kind} {found}, not {wanted}; it was deleted, try again.")
