"""The data sets of torchvision by the names of their classes: `torchvision:CelebA?root=DIR`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from ganzoo.data.cache import cache_dir
from ganzoo.data.given import is_integer
from ganzoo.errors import ConfigError, DataError, first_line, nearest, quote
from ganzoo.files import expand_user

_SPLITS = ("split", "image_set", "classes")  # torchvision's words for which part of a set is meant
_TESTS = ("test", "val", "valid")  # what it calls the part that is not trained on; the default is the other


class _Images(Dataset[Any]):
    """The images of a set whose targets are no classes: attributes, boxes, texts."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.classes = ()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][0]


def torchvision_set(dataset: str, root: str = "", split: str = "", download: bool = False) -> Any:
    """A data set of torchvision by its class, as `torchvision:CelebA?root=DIR`.

    Classes are taken if the target is one number, and left out otherwise (CelebA's 40 attributes). torchvision itself
    reads some sets by `pickle` (CIFAR10), after it has compared their hashes.

    Args:
        dataset: the class, as CIFAR10, Food101 or ImageFolder.
        root: the folder that torchvision's documentation calls so; "" takes $GANZOO_DATA, else ganzoo's cache.
        split: one of the set's own, as letters of EMNIST; "" takes its training and its test split.
        download: let torchvision fetch the files if they are not there.

    Raises:
        ConfigError: torchvision has no such set, or it wants more than these options. DataError: its files are missing.
    """
    from torchvision import datasets

    known = [name for name in datasets.__all__ if inspect.isclass(getattr(datasets, name))]
    if dataset not in known:
        raise ConfigError(f"torchvision has no data set {quote(dataset)}.{nearest(dataset, known)}")
    maker = getattr(datasets, dataset)
    takes = _parameters(maker)
    part = next((name for name in _SPLITS if name in takes), None)
    given = _given(dataset, takes, root, {part or "split": split} if split else {}, download)
    if "train" in takes and (part or not split):  # EMNIST's `split` names a set, which has both
        ways = {"train": [given], "test": [{**given, "train": False}]}
    elif not split and part:
        first = given if "train" in str(takes[part].default) else {**given, part: "train"}  # LFW's is all people
        ways = {"train": [first], "test": [{**given, part: name} for name in _TESTS]}
    else:
        return _open(maker, dataset, [given])
    return {name: partial(_open, maker, dataset, each) for name, each in ways.items()}


def _parameters(maker: type) -> dict[str, inspect.Parameter]:
    """What `maker` takes, with what it passes on to the class that it is made from (EMNIST to MNIST)."""
    own = dict(inspect.signature(maker).parameters)
    base = maker.__base__ if any(each.kind is each.VAR_KEYWORD for each in own.values()) else None
    return {**_parameters(base), **own} if base else own


def _given(
    dataset: str, takes: Mapping[str, inspect.Parameter], root: str, part: dict[str, str], download: bool
) -> dict[str, Any]:
    """The arguments of a set that `takes` some, with its `part` if one is asked for; ConfigError if more are needed."""
    given: dict[str, Any] = {}
    if "root" in takes:
        given["root"] = str(expand_user(root or os.environ.get("GANZOO_DATA") or cache_dir() / "torchvision"))
    if "download" in takes:
        given["download"] = download
    given |= part
    needed = [each.name for each in takes.values() if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    if wanted := [name for name in needed if name not in given]:
        raise ConfigError(
            f"torchvision:{dataset} needs {', '.join(wanted)}: "
            + (f"add {wanted[0]}=" if wanted == ["split"] else "open it in Python and give the Dataset itself as data")
        )
    return given


def _open(maker: Callable[..., Any], name: str, ways: list[dict[str, Any]]) -> Any:
    """The first of the `ways` to call `maker` whose split it knows."""
    for number, given in enumerate(ways, 1):
        try:
            made = maker(**given)
            item = made[0] if len(made) else None
            classes = not isinstance(item, tuple) or (len(item) == 2 and is_integer(item[1]))
            return made if classes else _Images(made)
        except Exception as error:  # RuntimeError, OSError, ModuleNotFoundError, ValueError for an unknown split
            if isinstance(error, ValueError) and number < len(ways):
                continue
            remedy = "" if given.get("download") or "root" not in given else "; name its folder with root="
            remedy += "" if given.get("download", True) else ", or fetch it with download=yes"
            raise DataError(f"torchvision can't open {name} ({quote(first_line(error), 200)}){remedy}.") from error
    raise AssertionError("the last way returns or raises")
