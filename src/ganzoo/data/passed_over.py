"""Which files of a folder or zip are passed over, why, and the words for it: nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from ganzoo.data.decode import SUFFIXES
from ganzoo.errors import shown
from ganzoo.files import DESKTOP_FILES
from ganzoo.images import written_here

OURS = "written by ganzoo"
LINKS = "links to folders, out of the folder or to nothing"
HIDDEN = "hidden"
NO_ENDING = "without an ending"
LABELS = "dataset.json"  # of labels: see ganzoo.data.layout

_CONVERT = "Pillow does not read them: convert them to JPEG or PNG"
_UNPACK = "unpack them"
_ARRAY = "in Python, give open_data the array that they hold"
SAVED_TO_DISK = (
    "save_to_disk of the datasets library wrote them: in Python, give open_data what "
    "datasets.load_from_disk gives, or write it with to_parquet and open hf:FILE.parquet"
)
_REMEDIES = {
    LINKS: "copy their files into it",
    NO_ENDING: "give pictures an ending, as .jpg",
    **dict.fromkeys((".heic", ".heif", ".svg", ".psd", ".pdf", ".raw", ".cr2", ".nef", ".arw", ".dng"), _CONVERT),
    **dict.fromkeys((".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"), _UNPACK),
    **dict.fromkeys((".npy", ".npz", ".mat", ".h5", ".hdf5", ".pt"), _ARRAY),
    ".zip": "name the zip itself, or unpack it",
    ".parquet": "write hf: before the folder's name",
    ".tar": "write hf: before the folder's name if they are shards of WebDataset, else unpack them",
    ".arrow": SAVED_TO_DISK,
}
_OUTPUT_MARKS = {"run.json": b'"ganzoo-torch"', "config.json": b'"library": "ganzoo"'}  # what each of ours holds
_LONGEST_CONFIG = 1_000_000  # bytes
_ENDS = 2048  # bytes of a picture that hold its metadata


def reason_by_name(path: str) -> str | None:
    """Why the file `path` is no data by its name; None for a picture, "" for what nobody takes for one."""
    if path.lower().endswith(SUFFIXES):
        return HIDDEN if hidden(path) else None
    name = PurePosixPath(path)
    if hidden(path) or name.name in (LABELS, *DESKTOP_FILES):
        return ""
    return shown(name.suffix.lower(), 20) or NO_ENDING


def hidden(path: str) -> bool:
    """Whether `path` is hidden, or below something hidden."""
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in path.split("/"))


def folders_of(path: str) -> tuple[str, ...]:
    """The names of the folders that hold `path`, the outermost first."""
    return tuple(part for part in path.split("/")[:-1] if part not in ("", "."))


def parents(path: str) -> list[str]:
    """The folders that hold `path`, from the nearest to "."."""
    names = folders_of(path.rstrip("/"))
    return ["/".join(names[:depth]) for depth in range(len(names), 0, -1)] + ["."]


def output_folders(paths: Iterable[str], start: Callable[[str, int], bytes]) -> set[str]:
    """The folders among `paths` that are runs or saved models of ganzoo; `start` gives the first bytes of a file."""
    marks = ((path, _OUTPUT_MARKS.get(path.rpartition("/")[2])) for path in paths)
    return {parents(path)[0] for path, mark in marks if mark and mark in start(path, _LONGEST_CONFIG)}


def own_pictures(paths: list[str], start: Callable[[str, int], bytes]) -> set[str]:
    """Those of the pictures `paths` that ganzoo wrote: sheets of several images; and single ones, which are data where
    there are no others, as in a folder of samples."""
    marks: dict[str, str] = {}
    for path in paths:
        content = start(path, _ENDS)
        # It has EXIF data, which stand at its end.
        if content[8:16] == b"WEBPVP8X" and len(content) > 20 and content[20] & 8:
            content = start(path, 1 << 26)[-_ENDS:]
        if mark := written_here(content):
            marks[path] = mark
    singles_are_data = len(marks) == len(paths)
    return {path for path, mark in marks.items() if mark == "sheet" or not singles_are_data}


def passed_over_words(passed: Mapping[str, int]) -> str:
    """What was passed over, by reason; each with its remedy, if there is one."""
    parts = []
    for reason, count in sorted(passed.items(), key=lambda item: -item[1]):
        remedy = _REMEDIES.get(reason, "")
        parts.append(f"{reason} {count:,}" + (f" ({remedy})" if remedy else ""))
    return ", ".join(parts[:10]) + (f", others {sum(sorted(passed.values())[:-10]):,}" if len(parts) > 10 else "")


def nothing_found(place: Path, passed: Mapping[str, int]) -> str:
    """The message for a folder or zip without pictures."""
    endings = ", ".join(suffix.removeprefix(".") for suffix in SUFFIXES)
    return f"{shown(str(place), 300)} holds no images ({endings}). Its files: {passed_over_words(passed) or 'none'}."
