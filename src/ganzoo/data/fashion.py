"""Fashion-MNIST (Xiao et al. 2017) from its four idx files, wherever they lie, checked by their bytes."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.cache import cache_dir, data_folders
from ganzoo.data.download import Published, download
from ganzoo.errors import ConfigError, DataError
from ganzoo.files import expand_user

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# md5 of the unpacked bytes, their number, and md5 of the .gz as it is published
FILES = {
    "train-images-idx3-ubyte": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", 47_040_016, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "train-labels-idx1-ubyte": ("9018921c3c673c538a1fc5bad174d6f9", 60_008, "25c81989df183df01b3e8a0aad5dffbe"),
    "t10k-images-idx3-ubyte": ("8181f5470baa50b63fa0f6fddb340f0a", 7_840_016, "bef4ecab320f06d8554ea6380940ec79"),
    "t10k-labels-idx1-ubyte": ("15d484375f8d13e6eb1aabb0c3f46965", 10_008, "bb300cfdad3c16e7a12a480ee83cd310"),
}


def places(root: str) -> list[Path]:
    """Where the files are looked for, in this order."""
    found = [*data_folders(root), Path("data")]
    with suppress(ConfigError):  # a user without a home folder
        found.append(expand_user("~/.cache/torchvision"))
    found.append(Path("/usr/share/datasets"))
    inside = ("", "fashion-mnist", "FashionMNIST/raw")
    return [place / name for place in found for name in inside]


def load_fashion_mnist(split: str, root: str, fetch: bool) -> tuple[Tensor, Tensor, str]:
    """Images (N, 1, 28, 28) uint8, labels (N,) int64, and where they come from.

    Raises:
        DataError: they are nowhere and can't be downloaded, or are not the published bytes.
    """
    prefix = {"train": "train", "test": "t10k"}[split]
    names = [name for name in FILES if name.startswith(prefix)]
    for place in places(root):
        paths = [path for name in names if (path := _either(place / name))]
        if len(paths) == len(names):
            break
    else:
        if not fetch:
            looked = ", ".join(dict.fromkeys(str(place) for place in places(root)))
            raise DataError(f"fashion-mnist is on none of {looked}; allow the download, or put its idx files there.")
        place = cache_dir() / "fashion-mnist"
        paths = [_download(name, place) for name in names]
    images, labels = (np.frombuffer(_read(path, name), np.uint8) for path, name in zip(paths, names))
    pixels = torch.from_numpy(images[16:].reshape(-1, 1, 28, 28).copy())
    return pixels, torch.from_numpy(labels[8:].astype(np.int64)), str(place)


def _download(name: str, folder: Path) -> Path:
    _, size, packed = FILES[name]
    return download(Published(f"{URL}{name}.gz", f"md5:{packed}", size + 1000), folder / f"{name}.gz")


def _either(path: Path) -> Path | None:
    """`path`, or the gzipped file beside it."""
    return next((each for each in (path, path.with_name(path.name + ".gz")) if each.is_file()), None)


def _read(path: Path, name: str) -> bytes:
    md5, size, _ = FILES[name]
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} can't be read ({error}); remove it, and it is downloaded again.") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path} is not Fashion-MNIST's {name}: md5 of its unpacked bytes is {found}, not {md5}; "
            f"remove it, and it is downloaded again."
        )
    return content
