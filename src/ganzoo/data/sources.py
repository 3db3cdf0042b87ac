"""`SOURCES`: data sets by name. A source is a function whose keywords are its options, as `pokemon(download=false)`.

It returns what `open_data` takes, but for another source's name: an array or tensor, a Dataset, a list, a pair (images,
labels), an ImageData, or a path (as `Path` or text, also `hf:...`). Or it returns a dict with one or both of the splits
"train" and "test": each of these is such a thing too, or a function without arguments that gives it, so that only the
split in use is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ganzoo.data.download import Published, find_or_download
from ganzoo.data.emoji import load_emoji
from ganzoo.data.fashion import CLASSES, load_fashion_mnist
from ganzoo.data.given import open_given
from ganzoo.data.image_data import ImageData
from ganzoo.data.reading import Reading
from ganzoo.data.torchvision_sets import torchvision_set
from ganzoo.errors import ConfigError, DataError, PluginError, blame, quote
from ganzoo.options import split_call
from ganzoo.registry import Registry

POKEMON = Published(
    "http://d2l-data.s3-accelerate.amazonaws.com/pokemon.zip",
    "sha1:c065c0e2593b8b161a2d7873e42418bf6a21106c",
    59_824_621,
)
SPLITS = ("train", "test")

SOURCES: Registry[Callable[..., Any]] = Registry("source", "ganzoo.sources", "a function", callable, makes=object)


@dataclass(frozen=True)
class Licensed:
    """What a source returns if its licence is known: `images` as above, and the licence in words."""

    images: Any
    licence: str = "not known"


def source_name(source: Any) -> str | None:
    """The name in `source` if it is a name of `SOURCES`, with or without options; None for all else, paths too."""
    try:
        name, _ = split_call(source, "data")
    except ConfigError:
        return None
    return name if name in SOURCES else None


def path_name(path: Path) -> str:
    """What a set at `path` is called: by its last part, which is written as a path if a source is called so."""
    return f"./{path.name}" if path.name in SOURCES else path.name or str(path)


def make_source(text: str) -> dict[str, Any] | Licensed:
    """What the source `text`, as "acme.blobs(count=300)", gives: splits, or one set.

    Raises:
        ConfigError: an option is wrong. PluginError: the source fails.
    """
    made = SOURCES.make(text)
    return made if type(made) is dict else _licensed(made, text)  # a DatasetDict of the `datasets` library is one set


def take_made(made: dict[str, Any] | Licensed, split: str, text: str) -> Licensed:
    """The `split` of what `make_source` gave; one set is all splits.

    Raises:
        DataError: the source has splits, and not this one. PluginError: it fails to give it.
    """
    if isinstance(made, Licensed):
        return made
    if split not in made:
        known = ", ".join(map(str, made)) or "nothing"
        raise DataError(f'{text} has no split {split}, but {known}; a source gives "train", "test" or both')
    with blame(f"{text}: its split {split}"):
        return _licensed(made[split]() if callable(made[split]) else made[split], text)


def _licensed(made: Any, text: str) -> Licensed:
    made = made if isinstance(made, Licensed) else Licensed(made)
    if name := source_name(made.images):  # a source that gave its own name would never end
        raise PluginError(
            f"{text} gives {quote(made.images)}, the name of a source; give what that gives, "
            f'ganzoo.SOURCES["{name}"](), or, if a folder here is meant, Path("{name}")'
        )
    return made


@SOURCES.register("fashion-mnist")
def fashion_mnist(root: str = "", download: bool = True) -> dict[str, Callable[[], ImageData]]:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 grey images, 28x28, of 10 classes of clothes.

    Args:
        root: a folder to look in before all others.
        download: fetch the files if they are on no disk.
    """
    return {split: partial(_fashion_mnist, split, root, download) for split in SPLITS}


def _fashion_mnist(split: str, root: str, download: bool) -> ImageData:
    return _of_fashion(*load_fashion_mnist(split, root, download))


def _of_fashion(images: torch.Tensor, labels: torch.Tensor, place: str) -> ImageData:
    data = open_given((images, labels), Reading())
    return dataclasses.replace(data, class_names=CLASSES, source=place, licence="MIT, Zalando SE")


@SOURCES.register("fashion-mnist-mini")
def fashion_mnist_mini() -> ImageData:
    """200 training images of each class of Fashion-MNIST, which come with ganzoo: no download."""
    place = files("ganzoo.data") / "files" / "fashion-mnist-mini.npz"
    with np.load(place.open("rb"), allow_pickle=False) as file:  # type: ignore[arg-type]
        images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"].astype(np.int64))
    where = "bundled with ganzoo: 200 training images of each class of Fashion-MNIST"
    return _of_fashion(images[:, None], labels, where)


@SOURCES.register("pokemon")
def pokemon(root: str = "", download: bool = True) -> Licensed:
    """40,597 sprites of Pokemon, of several sizes: the data of the DCGAN chapter of "Dive into Deep Learning".

    Args:
        root: a folder to look in before all others.
        download: fetch the zip if it is on no disk.
    """
    path = find_or_download(("pokemon.zip", "pokemon"), root, POKEMON, download)
    return Licensed(path, "© The Pokémon Company: for research and teaching")


@SOURCES.register("emoji")
def emoji(skin_tones: Literal["one", "all"] = "one", root: str = "", download: bool = True) -> dict[str, Any]:
    """Noto Emoji of Google (Apache-2.0), 64x64 in colour, in 9 categories: faces, animals, food, flags and so on.

    The split "test" holds one emoji in eight, chosen by its name.

    Args:
        skin_tones: one of the forms that a person's emoji has, or all of them: then 3 in 5 pictures are of people.
        root: a folder that holds the package of npm (74 MB), looked in before all others.
        download: fetch the package if it is on no disk.
    """

    def split(name: str) -> Licensed:
        folder = load_emoji(root, skin_tones, download)
        return Licensed(folder / name, "Apache-2.0, Google LLC (Noto Emoji)")

    return {name: partial(split, name) for name in SPLITS}


SOURCES.register("torchvision", torchvision_set)
