"""Class labels: validated as integers from 0 to num_classes - 1, numbered by name, matched between two sets."""

from __future__ import annotations

import operator
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import DataError, did_you_mean, quote, shown
from ganzoo.models.contract import MOST_CLASSES


def say_gaps(labels: Tensor, names: Sequence[str], source: str) -> None:
    """Warn of classes that have no images; of labels that seem to count from 1."""
    gaps = (torch.bincount(labels, minlength=len(names)) == 0).nonzero().flatten().tolist() if len(labels) else []
    if not gaps:
        return
    if not names and int(labels.min()) > 0:
        text = f"labels start at {int(labels.min())}: class 0 has no images; if they count from 1, subtract 1 from each"
    else:
        shares = [shown(names[gap]) if names else str(gap) for gap in gaps[:10]]
        more = f" and {len(gaps) - 10:,} more" if len(gaps) > 10 else ""
        text = f"no images of {'class' if len(gaps) == 1 else 'the classes'} {', '.join(shares)}{more}"
    warnings.warn(f"{shown(source, 300)}: {text}", stacklevel=2)


def number_labels(
    values: Sequence[Any], names: Sequence[str], source: str, item: str = "row", places: Sequence[int] = ()
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels int64 (N,) and a name for each class, of whole numbers or of names.

    Args:
        values: numbers from 0; or strings, which are numbered in the order of `names`, else of the alphabet; or None
            or -1 (hidden) for every item, which gives no labels and no names.
        names: of the classes; empty if they are not known.
        places: the number that each item has in `source`, for messages; empty if these are all items.

    Raises:
        DataError: as `check_label`; or a string is not among `names`, or stands among numbers.
    """
    if all(value is None for value in values):
        return None, ()
    if all(_whole(value) == -1 for value in values):
        warnings.warn(f"{source}: all labels are -1, which hides them, so there are no classes", stacklevel=5)
        return None, ()
    places = places or range(len(values))
    if any(isinstance(value, str) for value in values):
        return _number_names(values, names, source, item, places)
    pairs = zip(places, values)
    checked = torch.tensor([check_label(value, names, f"{source}: {item} {place}") for place, value in pairs])
    say_gaps(checked, names, source)
    if not names and len(checked) > 10:  # a few images may well be of different classes
        _say_distinct(checked.tolist(), source)
    return checked, tuple(names) or class_names(checked)


def _number_names(
    values: Sequence[Any], names: Sequence[str], source: str, item: str, places: Sequence[int]
) -> tuple[Tensor, tuple[str, ...]]:
    """As `number_labels`, of strings."""
    for place, value in zip(places, values):
        if not isinstance(value, str):
            name = next(value for value in values if isinstance(value, str))
            raise DataError(
                f"{source}: {item} {place} has the label {quote(value)}, others have names ({quote(name)}); give "
                f"each a name, or each a number."
            )
    known = tuple(names) or tuple(sorted(set(values)))
    numbers = {name: number for number, name in enumerate(known)}
    if len(known) > MOST_CLASSES:
        raise DataError(
            f"{source} has {len(known):,} different labels; {MOST_CLASSES:,} classes are the most. Are they file "
            f"names or captions? Leave them out, or give class labels."
        )
    if not names:
        _say_distinct(values, source)
    labels = []
    for place, value in zip(places, values):
        if value not in numbers:
            raise DataError(f"{source}: {item} {place} has the label {quote(value)}.{did_you_mean(value, known)}")
        labels.append(numbers[value])
    return torch.tensor(labels), known


def _say_distinct(labels: Sequence[Any], source: str) -> None:
    """Warn if no two of several items have the same label."""
    known = sorted(set(labels))
    if len(known) == len(labels) > 1:
        warnings.warn(
            f"{source}: each image has a label of its own ({quote(known[0])}, {quote(known[1])}, ...), so each is a "
            f"class of one image. If these are file names or captions, or the images' numbers, leave them out: give "
            f"the images alone.",
            stacklevel=6,
        )


def _whole(value: Any) -> int | None:
    """`value` as an int; None if it is no whole number."""
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_label(value: Any, names: Sequence[str], place: str) -> int:
    """The label `value` of what stands at `place`, as an int.

    Args:
        names: of the classes; empty if they are not known.

    Raises:
        DataError: it is no whole number, negative, or beyond the names, or beyond what a network can have.
    """
    most = (len(names) or MOST_CLASSES) - 1
    label = _whole(value)
    if label is None or not 0 <= label <= most:
        remedy = "Mend it"
        if getattr(value, "ndim", 0) > 0:  # a one-hot row, or attributes
            remedy = "Give one number of it, such as its argmax()"
        elif not names and (label or 0) > most:
            remedy += "; if it is the image's number, leave the labels out: give the images alone"
        kind = f"one for each of its {len(names)} classes" if names else "the class's"
        raise DataError(
            f"{place} has the label {quote(value)}; labels are whole numbers from 0 to {most}, {kind}. "
            f"{remedy}{', or take others: label=COLUMN, or a larger classes=N' * place.startswith('hf:')}."
        )
    return label


def class_names(labels: Tensor) -> tuple[str, ...]:
    """Names for classes that have none: their numbers, up to the largest label."""
    return tuple(str(number) for number in range(int(labels.max()) + 1))


def one_form(name: str) -> str:
    """`name` with accents as parts of letters (NFC): another system may write them behind the letters (NFD)."""
    return unicodedata.normalize("NFC", name)


def same_classes(names: Sequence[str], others: Sequence[str]) -> Tensor:
    """The numbers that the classes `names` have among `others`, int64 (len(names),): matched by name.

    Classes without names, on either side, are matched by number; without names on both, `others` may lack the last.

    Raises:
        DataError: the classes differ; the message names both.
    """
    numbers = [str(number) for number in range(len(names))]
    names, others = ([one_form(name) for name in side] for side in (names, others))
    if names != others and sorted(names) == sorted(others):
        places = {name: number for number, name in enumerate(others)}
        return torch.tensor([places[name] for name in names], dtype=torch.long, device="cpu")
    numbered = numbers in (names, others) and len(names) == len(others)
    if names == others or numbered or (names == numbers and others == numbers[: len(others)]):
        return torch.arange(len(names), device="cpu")
    one, other = (f"{len(side)} classes ({quote(', '.join(side[:10]))})" for side in (names, others))
    raise DataError(f"{one} against {other}.")
