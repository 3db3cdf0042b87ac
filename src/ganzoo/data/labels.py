"""Labels that others wrote: whole numbers from 0, one for each class, or a clear word."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import DataError, quote
from ganzoo.models.base import MOST_CLASSES


def check_labels(values: Iterable[Any], names: Sequence[str], source: str, item: str = "row") -> Tensor:
    """The labels `values` of the items of `source`, as int64 (N,); see `check_label`."""
    return torch.tensor(
        [check_label(value, names, f"{source}: {item} {number}") for number, value in enumerate(values)],
        dtype=torch.long,
    )


def check_label(value: Any, names: Sequence[str], place: str) -> int:
    """The label `value` of what stands at `place`, as an int.

    Args:
        names: of the classes; empty where they are not known.

    Raises:
        DataError: it is no whole number, negative, or beyond the names, or beyond what a network can have.
    """
    most = (len(names) or MOST_CLASSES) - 1
    try:
        label = operator.index(value)
    except TypeError:
        label = -1
    if not 0 <= label <= most:
        kind = f"one for each of its {len(names)} classes" if names else "the class's"
        raise DataError(
            f"{place} has the label {quote(value)}; labels are whole numbers from 0 to {most}, {kind}. "
            f"Mend it, or take others (of an hf: set with ?label=COLUMN)."
        )
    return label


def class_names(labels: Tensor) -> tuple[str, ...]:
    """Names for classes that have none: their numbers, up to the largest label."""
    return tuple(str(number) for number in range(int(labels.max()) + 1))
