"""A file from the network: resumed or restarted, checked by its hash, moved into place whole."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ganzoo.data.cache import cache_dir
from ganzoo.errors import DataError, writing
from ganzoo.files import digest_of, expand_user, locked

LARGEST = 20_000_000_000  # bytes
TIMEOUT = 30  # seconds without a byte
TRIES = 3


def download(
    urls: Sequence[str],
    path: Path,
    *,
    md5: str | None = None,
    sha1: str | None = None,
    largest: int = LARGEST,
    progress: bool = False,
) -> Path:
    """Fetch `path` from the first of `urls` that gives it; the part that an earlier try left is gone on with.

    Of several processes that want it, one fetches it and the others wait.

    Raises:
        DataError: no address gives it, or gives more than `largest` bytes or another file than its hash says, or it
            can't be written.
    """
    if path.is_file():
        return path
    with writing(path, DataError, ", or set GANZOO_CACHE."):
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another process downloads {path}: waiting for it"
        with locked(path.with_name(f".{path.name}.lock"), waiting=waiting):
            if not path.is_file():
                _fetch_whole(urls, path, md5, sha1, largest, progress)
    return path


def find_or_download(
    names: Sequence[str],
    root: str,
    urls: Sequence[str],
    *,
    allowed: bool,
    missing: str,
    sha1: str,
    largest: int,
    progress: bool,
) -> Path:
    """The first file or folder of `names` in `root`, $GANZOO_DATA or the cache; else the first name, fetched there.

    Raises:
        DataError: it is on no disk and is not `allowed` to be fetched (the message is `missing`, with its {path}); or
            as `download`.
    """
    folders: list[str | Path] = [each for each in (root, os.environ.get("GANZOO_DATA"), cache_dir()) if each]
    for folder in folders:
        for name in names:
            if (path := expand_user(folder) / name).exists():
                return path
    path = cache_dir() / names[0]
    if not allowed:
        raise DataError(missing.format(path=path))
    return download(urls, path, sha1=sha1, largest=largest, progress=progress)


def _fetch_whole(
    urls: Sequence[str], path: Path, md5: str | None, sha1: str | None, largest: int, progress: bool
) -> None:
    part = path.with_name(path.name + ".part")
    problems: list[str] = []
    for url in [url for url in urls for _ in range(TRIES)]:
        try:
            _fetch(url, part, largest, progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problems.append(f"{url}: {error}")
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                part.unlink(missing_ok=True)  # a part longer than the file
            continue
        _check(part, url, md5, sha1)
        os.replace(part, path)
        return
    reasons = "; ".join(dict.fromkeys(problems))
    raise DataError(f"{path.name} can't be downloaded ({reasons}); try again, or put it at {path} by hand.")


def _fetch(url: str, part: Path, largest: int, progress: bool) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "ganzoo", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        have = have if response.status == 206 else 0  # 206: it goes on where the part ends
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() and len(length) < 20 else None
        if total is not None:
            _check_room(url, total, total - have, largest, part.parent)
        with open(part, "ab" if have else "wb") as file, _bar(part.stem, have, total, progress) as advance:
            while block := response.read(1 << 16):
                file.write(block)
                have += len(block)
                if have > largest:
                    part.unlink()
                    raise DataError(f"{url} gives more than {largest:,} bytes, which was deleted; tell its owner.")
                advance(len(block))
    if total is not None and have < total:
        raise ConnectionError(f"the line broke after {have:,} of {total:,} bytes")


def _check_room(url: str, total: int, left: int, largest: int, folder: Path) -> None:
    """Raise DataError if a file is too large, or what is `left` of it too much for the disk of `folder`."""
    if total > largest:
        raise DataError(f"{url} has {total:,} bytes; {largest:,} is the most.")
    free = shutil.disk_usage(folder).free
    if left > free:
        raise DataError(f"{url} has {total:,} bytes, and {free:,} are free at {folder}; make room.")


def _check(part: Path, url: str, md5: str | None, sha1: str | None) -> None:
    for kind, wanted in (("md5", md5), ("sha1", sha1)):
        if wanted is None:
            continue
        with open(part, "rb") as file:
            found = digest_of(file, kind)
        if found != wanted:
            part.unlink()
            raise DataError(f"{url} gave a file with {kind} {found}, not {wanted}; it was deleted, try again.")


@contextmanager
def _bar(name: str, have: int, total: int | None, progress: bool) -> Iterator[Callable[[int], None]]:
    """A function to call with bytes as they come."""
    if not progress:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total, completed=have)
        yield lambda count: bar.advance(task, count)
