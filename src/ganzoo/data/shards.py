"""WebDataset's shards: tar files whose members of one name, as 0001.jpg and 0001.cls, are one row."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ganzoo.data.archives import LARGEST_FILE
from ganzoo.data.decode import SUFFIXES
from ganzoo.errors import DataError, quote

CLASS = "cls"  # the field of a class, by WebDataset's convention: its number or name as text


def read_small_members(builder: Any) -> Any:
    """Make a builder of the `datasets` library take pictures and classes from shards; others stay as they are.

    By itself it reads all members whole, and decodes arrays, JSON and compressed files among them.
    """
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    if isinstance(builder, WebDataset):
        builder._get_pipeline_from_tar = _rows
    return builder


def check_shard(path: Path) -> None:
    """Raise DataError unless the file `path` is a tar file that is not compressed, so that no member outgrows it."""
    try:
        tarfile.open(path, "r:").close()
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path} is not a plain tar file ({error}); unpack .tar.gz to .tar.") from error


def _rows(tar_path: str, members: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """As `WebDataset._get_pipeline_from_tar`: neighbours of one name, without its endings, are a row."""
    row: dict[str, Any] = {}
    for name, file in members:
        path = PurePosixPath(name)
        stem, _, field = path.name.lower().partition(".")
        if not (field == CLASS or f".{field}".endswith(SUFFIXES)):
            continue
        key = path.with_name(path.name[: len(stem)]).as_posix() if stem else name
        if row and row["__key__"] != key:
            yield row
            row = {}
        if field in row:
            raise DataError(f"{tar_path} holds {quote(name)} twice; keep one of them.")
        content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise DataError(f"{tar_path}: {quote(name)} takes more than {LARGEST_FILE:,} bytes; leave it out.")
        row |= {"__key__": key, "__url__": tar_path, field: _class(content) if field == CLASS else content}
    if row:
        yield row


def _class(content: bytes) -> int | str:
    text = content[:1000].decode("utf-8", "replace").strip()
    return int(text) if text.isdecimal() else text
