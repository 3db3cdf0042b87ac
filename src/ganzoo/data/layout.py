"""What the folders of a set mean: splits (train, test), classes, or numbered parts with a file of labels."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from ganzoo.data.archives import LARGEST_FILE, Listing
from ganzoo.data.labels import check_label, class_names, one_form, say_gaps
from ganzoo.data.passed_over import LABELS, folders_of
from ganzoo.errors import DataError, quote, shown
from ganzoo.models.contract import MOST_CLASSES

_TAIL = r"([-_ ]?(set|data|images|split|\d+|[ab]))?"  # trainA, trainB: the two sides of a CycleGAN's set
_SPLITS = {
    "train": re.compile(rf"(train|training){_TAIL}", re.IGNORECASE),
    "test": re.compile(rf"(test|testing){_TAIL}", re.IGNORECASE),
    "validation": re.compile(rf"(val|valid|validation|dev){_TAIL}", re.IGNORECASE),
}
_NUMBERED = re.compile(r"\d{4,}")  # a part of a large set, as 00000; the classes of digits are folders 0 to 9


def heads(paths: list[str]) -> list[str | None]:
    """For each of `paths` the folder in which they first differ; None for one that lies in no such folder."""
    folders = [folders_of(path) for path in paths]
    depth = _shared(folders)
    return [parts[depth] if len(parts) > depth else None for parts in folders]


def _shared(folders: list[tuple[str, ...]]) -> int:
    """How many folders, from the outermost, are the same for all."""
    first, last = min(folders), max(folders)  # what these two share all between them share
    return next((i for i, (one, other) in enumerate(zip(first, last)) if one != other), min(len(first), len(last)))


def splits(listing: Listing, place: Path) -> dict[str, list[str]]:
    """The folders of each split of a set that is laid out in splits, by "train", "test" and "validation"; else {}.

    A folder `train` alone among others is a class: it may hold trains.

    Raises:
        DataError: folders of splits stand beside others, or beside pictures alone, or below others.
    """
    found: dict[str, list[str]] = {}
    others = []
    chosen = heads(listing.names)
    for head in sorted({head for head in chosen if head is not None}):
        kind = _kind(head)
        if kind is None:
            others.append(head)
        else:
            found.setdefault(kind, []).append(head)
    named = sorted(folder for folders in found.values() for folder in folders)
    if not found.keys() - {"train"}:
        _refuse_below(listing, place)
        return {}
    if others:
        raise DataError(
            f"{shown(str(place), 300)} holds the folders {_some(named)}, which are named as splits "
            f"are, beside {_some(others)}. Name the folder to open, as {place}/{others[0]}; or, if all are classes, "
            f"rename them."
        )
    if len(named) == 1:
        stray = [name for name, head in zip(listing.names, chosen) if head is None]
        raise DataError(
            f"{shown(str(place), 300)} holds the folder {shown(named[0])}, which is named as splits are, beside "
            f"{len(stray):,} pictures ({_some(stray)}). Put those into a folder train beside it; or, if all are one "
            f"set, rename the folder."
        )
    return found


def _refuse_below(listing: Listing, place: Path) -> None:
    """Raise DataError if folders named as train and as another split stand side by side anywhere."""
    inside: dict[tuple[str, ...], dict[str | None, str]] = {}
    for parts in sorted({folders_of(name) for name in listing.names}):
        for depth, folder in enumerate(parts):
            inside.setdefault(parts[:depth], {})[_kind(folder)] = folder
    for parent, kinds in inside.items():
        named = [kinds[kind] for kind in _SPLITS if kind in kinds]
        if "train" in kinds and len(named) > 1:
            raise DataError(
                f"{shown('/'.join((str(place), *parent)), 300)} holds the folders {_some(named)}, which are named as "
                f"splits are, and other pictures of the set lie outside of it. Name one folder to open, or put the "
                f"folders of the splits outermost, as train/cat and test/cat; or, if all are one set, rename them."
            )


def _kind(folder: str) -> str | None:
    """The split that `folder` is named as; None if it is not."""
    return next((kind for kind, pattern in _SPLITS.items() if pattern.fullmatch(folder)), None)


def take_split(listing: Listing, split: str, place: Path) -> Listing:
    """The pictures of `split`, "train" or "test", if the set is laid out in splits; else all of them.

    A set without `test` is tested with its `val`.

    Raises:
        DataError: it has splits, and not this one.
    """
    found = splits(listing, place)
    if not found:
        return listing
    folders = _folders_of_split(found, split, place)
    chosen = dict(zip(listing.names, heads(listing.names)))
    kept = {name for name, head in chosen.items() if head in folders}
    train = [name for name, head in chosen.items() if head in found.get("train", []) and name not in kept]
    aside = sorted({head for head in chosen.values() if head is not None and head not in folders})
    stray = sum(head is None for head in chosen.values())
    if len(folders) > 1:
        _say(place, f"the folders {_some(folders)} are read as one set; to read one alone, name it")
    passed = {
        f"in other splits ({_some(aside)})": len(chosen) - len(kept) - stray,
        "beside the folders of the splits": stray,
    }
    depth = _shared([folders_of(name) for name in listing.names]) + 1
    return replace(listing.only(kept, passed), train=train, depth=depth)


def _folders_of_split(found: dict[str, list[str]], split: str, place: Path) -> list[str]:
    folders = found.get(split) or (found.get("validation") if split == "test" else None)
    if folders is None:
        all_folders = sorted(folder for folders in found.values() for folder in folders)
        raise DataError(
            f"{shown(str(place), 300)} holds the splits {_some(all_folders)} and none to {split} with; name the folder "
            f"of one, as {place}/{all_folders[0]}"
        )
    return folders


def labels_of(listing: Listing, place: Path) -> tuple[Tensor, tuple[str, ...]] | None:
    """The label of each picture, int64 (N,), and the names of the classes; None if the set has no classes.

    From `dataset.json` (StyleGAN's, {"labels": [[path, label], ...]}) if there is one; else from folders. What
    looks like classes and is not taken for them is said.
    """
    if found := _from_file(listing, place):
        return found
    chosen, names = _classes(listing)
    stray = [name for name, head in zip(listing.names, chosen) if head is None]
    if not names:
        return None
    if stray:
        if len(names) == 1:  # in which the folders of classes may lie
            inner = heads([name for name, head in zip(listing.names, chosen) if head is not None])
            names = sorted({head for head in inner if head is not None})
        if len(names) > 1:
            _say(
                place,
                f"{len(stray):,} pictures ({_some(stray)}) lie outside of the folders {_some(names)}, so that "
                f"these are not taken for classes; if they are, put those pictures into them, or elsewhere",
            )
        return None
    if all(map(_NUMBERED.fullmatch, names)):
        _say(
            place,
            f"the folders {_some(names)} are taken for numbered parts, not for classes; labels would be read "
            f"from {LABELS} beside them; if they are classes, give them names, as class-{names[0]}",
        )
        return None
    _say_empty(listing, names, place)
    numbers = {name: number for number, name in enumerate(names)}
    return torch.tensor([numbers[str(head)] for head in chosen]), tuple(names)


def _classes(listing: Listing) -> tuple[list[str | None], list[str]]:
    """The folder of each picture that may be its class, and the classes; those of train for another split too."""
    names, train = (["/".join(_below(name, listing)) for name in part] for part in (listing.names, listing.train))
    if train:  # a split may lack classes: numbers must be those that a model was trained with
        found = _spelled_alike(heads(train + names))
        if None not in found:
            return found[len(train) :], sorted(set(map(str, found)))
    found = _spelled_alike(heads(names))
    return found, sorted({head for head in found if head is not None})


def _spelled_alike(heads: list[str | None]) -> list[str | None]:
    """`heads`, each as the first is written that is the same text: see `one_form`."""
    first: dict[str, str] = {}
    return [None if head is None else first.setdefault(one_form(head), head) for head in heads]


def _below(name: str, listing: Listing) -> tuple[str, ...]:
    """The path `name` below the folder of its split."""
    return (*folders_of(name), name.rpartition("/")[2])[listing.depth :]


def _say_empty(listing: Listing, names: list[str], place: Path) -> None:
    """Say which folders beside those of the classes `names` hold no pictures."""
    depth = listing.depth + _shared([_below(name, listing)[:-1] for name in listing.names])
    above = {folders_of(name)[:depth] for name in listing.names}
    beside = {PurePosixPath(folder).parts for folder in listing.folders}
    empty = sorted({parts[depth] for parts in beside if len(parts) == depth + 1 and parts[:depth] in above})
    known = {one_form(name) for name in names}
    if empty := [name for name in empty if one_form(name) not in known]:
        _say(
            place,
            f"these folders hold no images, so they are not classes: {_some(empty)}; if they should be, "
            f"put images into them",
        )


def _from_file(listing: Listing, place: Path) -> tuple[Tensor, tuple[str, ...]] | None:
    """What the `dataset.json` above all pictures says; None if there is none, or it is of another kind."""
    above = folders_of(listing.names[0])[: _shared([folders_of(name) for name in listing.names])]
    roots = ["/".join([*above[:depth], LABELS]) for depth in range(len(above), -1, -1)]
    path = next((path for path in roots if path in listing.others), None)
    if path is None:
        return None
    where = f"{place}: {path}"
    pairs = _pairs(listing.read, path, where)
    if not pairs:
        return None
    prefix = path.removesuffix(LABELS)
    missing = [name for name in listing.names if name.removeprefix(prefix) not in pairs]
    if missing:
        raise DataError(f"{shown(where, 300)} has no label for {_some(missing)}; add it, or remove the file.")
    numbers = [
        check_label(pairs[name.removeprefix(prefix)], (), f"{shown(where, 300)}: {shown(name.removeprefix(prefix))}")
        for name in listing.names
    ]
    labels = torch.tensor(numbers)
    known = [label for label in pairs.values() if type(label) is int and label < MOST_CLASSES]
    names = class_names(torch.tensor([*numbers, *known]))  # also those that another split has alone
    say_gaps(labels, () if min(numbers) else names, where)
    return labels, names


def _pairs(read: Callable[[str], bytes], path: str, where: str) -> dict[str, object] | None:
    """The labels in StyleGAN's file at `path`, by the picture's path; None if it holds none."""
    content = read(path)
    if len(content) > LARGEST_FILE:
        raise DataError(f"{shown(where, 300)} has over {LARGEST_FILE:,} bytes; it is not a list of labels.")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown(where, 300)} is no JSON ({quote(str(error))}); mend it, or remove it.") from error
    pairs = facts.get("labels") if isinstance(facts, dict) else facts
    if not isinstance(pairs, list) or facts is pairs:
        if pairs is not None:
            _say(where, 'it is not {"labels": [[path, label], ...]}, so no labels are read from it; mend or remove it')
        return None
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise DataError(f'{shown(where, 300)}: "labels" must be a list of [path, label]; mend it, or remove it.')
    found: dict[str, object] = {}
    for name, label in pairs:
        if found.setdefault(name, label) != label:
            both = f"{quote(found[name])} and {quote(label)}"
            raise DataError(f"{shown(where, 300)}: {shown(name)} has two labels, {both}; mend it, or remove it.")
    return found


def _say(place: Path | str, text: str) -> None:
    warnings.warn(f"{shown(str(place), 300)}: {text}", stacklevel=2)


def _some(names: list[str]) -> str:
    """The first three of `names`, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(shown(name) for name in names[:3]) + more
