"""Class labels: validated as integers from 0 to num_classes - 1, numbered by name, matched between two sets."""

from __future__ import annotations

import operator
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import DataError, did_you_mean, quote, shown
from ganzoo.models.contract import MOST_CLASSES


def check_labels(values: Iterable[Any], names: Sequence[str], source: str, item: str = "row") -> Tensor:
    """The labels `values` of the items of `source`, as int64 (N,); see `check_label` and `say_gaps`."""
    labels = torch.tensor(
        [check_label(value, names, f"{source}: {item} {number}") for number, value in enumerate(values)],
        dtype=torch.long,
    )
    say_gaps(labels, names, source)
    return labels


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
    values: Sequence[Any], names: Sequence[str], source: str, item: str = "row"
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels int64 (N,) and a name for each class, of whole numbers or of names.

    Args:
        values: numbers from 0; or strings, which are numbered in the order of `names`, else of the alphabet; or None
            for every item, which gives no labels and no names.
        names: of the classes; empty if they are not known.

    Raises:
        DataError: as `check_label`; or a string is not among `names`.
    """
    if all(value is None for value in values):
        return None, ()
    if not all(isinstance(value, str) for value in values):
        checked = check_labels(values, names, source, item)
        return checked, tuple(names) or class_names(checked)
    known = tuple(names) or tuple(sorted(set(values)))
    numbers = {name: number for number, name in enumerate(known)}
    if len(known) > MOST_CLASSES:
        raise DataError(
            f"{source} has {len(known):,} different labels; {MOST_CLASSES:,} classes are the most. Are they file "
            f"names or captions? Leave them out, or give class labels."
        )
    if not names and len(known) == len(values) > 1:
        warnings.warn(
            f"{source}: each image has a label of its own ({quote(known[0])}, {quote(known[1])}, ...), so each is a "
            f"class of one image. If these are file names or captions, leave them out: give the images alone.",
            stacklevel=5,
        )
    labels = []
    for number, value in enumerate(values):
        if value not in numbers:
            raise DataError(f"{source}: {item} {number} has the label {quote(value)}.{did_you_mean(value, known)}")
        labels.append(numbers[value])
    return torch.tensor(labels), known


def check_label(value: Any, names: Sequence[str], place: str) -> int:
    """The label `value` of what stands at `place`, as an int.

    Args:
        names: of the classes; empty if they are not known.

    Raises:
        DataError: it is no whole number, negative, or beyond the names, or beyond what a network can have.
    """
    most = (len(names) or MOST_CLASSES) - 1
    try:
        label = operator.index(value)
    except TypeError:
        label = -1
    if not 0 <= label <= most:
        several = getattr(value, "ndim", 0) > 0  # a one-hot row, or attributes
        remedy = "Give one number of it, such as its argmax()" if several else "Mend it"
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

    Classes without names, on either side, are matched by number.

    Raises:
        DataError: the classes differ; the message names both.
    """
    numbers = [str(number) for number in range(len(names))]
    names, others = ([one_form(name) for name in side] for side in (names, others))
    if list(names) == list(others) or (len(names) == len(others) and numbers in (list(names), list(others))):
        return torch.arange(len(names))
    if sorted(names) == sorted(others):
        places = {name: number for number, name in enumerate(others)}
        return torch.tensor([places[name] for name in names], dtype=torch.long)
    one, other = (f"{len(side)} classes ({quote(', '.join(side[:10]))})" for side in (names, others))
    raise DataError(f"{one} against {other}.")
