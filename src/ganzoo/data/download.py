"""A file from the network: resumed or restarted, checked by its hash, moved into place whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ganzoo.errors import DataError

LARGEST = 20_000_000_000  # bytes
TIMEOUT = 30  # seconds without a byte
TRIES = 3


def download(
    urls: Sequence[str], path: Path, *, md5: str | None = None, sha1: str | None = None, progress: bool = False
) -> Path:
    """Fetch `path` from the first of `urls` that gives it; the part that an earlier try left is gone on with.

    Raises:
        DataError: no address gives it, or gives another file than its hash says, or it can't be written.
    """
    if path.is_file():
        return path
    part = path.with_name(path.name + ".part")
    problems: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for url in [url for url in urls for _ in range(TRIES)]:
            try:
                _fetch(url, part, progress)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                problems.append(f"{url}: {error}")
                if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                    part.unlink(missing_ok=True)  # a part longer than the file
                continue
            _check(part, url, md5, sha1)
            os.replace(part, path)
            return path
    except OSError as error:
        raise DataError(
            f"{path} can't be written ({error.strerror or error}); make room or set GANZOO_CACHE."
        ) from error
    reasons = "; ".join(dict.fromkeys(problems))
    raise DataError(f"{path.name} can't be downloaded ({reasons}); try again, or put it at {path} by hand.")


def _fetch(url: str, part: Path, progress: bool) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "ganzoo", **({"Range": f"bytes={have}-"} if have else {})}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        if total is not None and total > LARGEST:
            raise DataError(f"{url} has {total:,} bytes; {LARGEST:,} is the most.")
        with open(part, "ab" if resumed else "wb") as file, _bar(part.stem, have, total, progress) as advance:
            while block := response.read(1 << 16):
                file.write(block)
                have += len(block)
                if have > LARGEST:
                    raise DataError(f"{url} gives more than {LARGEST:,} bytes.")
                advance(len(block))
    if total is not None and have < total:
        raise ConnectionError(f"the line broke after {have:,} of {total:,} bytes")


def _check(part: Path, url: str, md5: str | None, sha1: str | None) -> None:
    for kind, wanted in (("md5", md5), ("sha1", sha1)):
        if wanted is None:
            continue
        with open(part, "rb") as file:
            found = _digest(file, kind)
        if found != wanted:
            part.unlink()
            raise DataError(f"{url} gave a file with {kind} {found}, not {wanted}; it was deleted, try again.")


def _digest(file: Any, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _bar(name: str, have: int, total: int | None, progress: bool) -> Any:
    """A context that gives a function to call with bytes as they come."""
    if not progress:
        return nullcontext(lambda count: None)
    return _Bar(name, have, total)


class _Bar:
    def __init__(self, name: str, have: int, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(name, total=total, completed=have)

    def __enter__(self) -> Any:
        self._progress.start()
        return lambda count: self._progress.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
