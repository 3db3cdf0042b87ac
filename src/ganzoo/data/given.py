"""Images that the caller holds: arrays and tensors, lists of pictures, Datasets.

Each becomes bytes as soon as it is read, by the way that files take (`decode.prepare`, `decode.convert`), so that a
picture gives the same pixels through every door, and a set need not fit into memory.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from ganzoo.data.archives import read_file
from ganzoo.data.cache import cached_images
from ganzoo.data.decode import convert, decode, prepare, with_channels
from ganzoo.data.image_data import ImageData, assemble
from ganzoo.data.labels import number_labels
from ganzoo.data.reading import Reading
from ganzoo.errors import DataError, GanzooError, quote, words_of

IMAGE_NAMES = ("image", "img", "picture", "pixel_values", "images")
LABEL_NAMES = ("label", "labels", "target", "class", "fine_label", "cls")
TWICE = 16  # times an item is read twice, to see whether it is random: one flip in two is missed in 1 of 65,536
BY_HAND = "given by hand"  # where it comes from


def open_given(source: Any, reading: Reading) -> ImageData:
    """The images of `source`; see `ganzoo.data.open_data`.

    Raises:
        DataError: it is nothing of the kind; the message names its type and the remedy.
    """
    labels = None
    if isinstance(source, tuple) and len(source) == 2 and _is_pair(*source):
        source, labels = source
        labels = _listed(labels, len(source))
    if isinstance(source, np.ndarray) and source.dtype == object and source.ndim:
        source = list(source)
    if isinstance(source, (Tensor, np.ndarray)):
        kind = "tensor" if isinstance(source, Tensor) else "array"
        images = _planes(source, f"{'a tensor' if kind == 'tensor' else 'an array'} of images", whole=True)
        return open_items(images, labels, reading, name=kind)
    if isinstance(source, (list, tuple, Dataset)):
        return open_items(source, labels, reading)
    remedy = _remedy(source)
    raise DataError(f"{quote(source)} ({type(source).__name__}) holds no images ganzoo can open; {remedy}")


def _remedy(source: Any) -> str:
    if isinstance(source, torch.utils.data.DataLoader):
        return "give the DataLoader's dataset: loader.dataset."
    if isinstance(source, Image.Image):
        return "give a list of pictures: [picture]."
    if isinstance(source, dict):
        return 'give the pair: (source["images"], source["labels"]).'
    if isinstance(source, Iterator):
        return "give a list: list(source)."
    return "give a name, a folder, a zip, an array or tensor, a list of pictures, a Dataset, or (images, labels)."


def _is_pair(images: Any, labels: Any) -> bool:
    """Whether these are images and their labels, and not two pictures, nor two items of a tuple."""
    if isinstance(labels, (list, tuple)) and any(map(_is_image, labels)):
        return False
    if isinstance(images, (Tensor, np.ndarray)):
        return getattr(labels, "ndim", 0) < images.ndim and not isinstance(labels, Image.Image)
    return isinstance(images, (list, tuple))


def _is_file(value: Any) -> bool:
    """Whether it is the content of a picture file, as bytes or as the `datasets` library has it: bytes or a path."""
    return isinstance(value, bytes) or (isinstance(value, dict) and value.keys() == {"bytes", "path"})


def _is_image(value: Any) -> bool:
    return _has_mode(value) or (isinstance(value, (Tensor, np.ndarray)) and value.ndim > 1)


def _listed(labels: Any, count: int) -> list[Any] | None:
    """Labels of `count` images, as a list; None for none."""
    if labels is None:
        return None
    wanted = f"labels must be {count} ints from 0, or {count} names"
    shape: Sequence[int] = getattr(labels, "shape", ())
    if isinstance(labels, (Tensor, np.ndarray)):
        whole = not labels.is_floating_point() if isinstance(labels, Tensor) else labels.dtype.kind in "iubUO"
        if tuple(shape) not in ((count,), (count, 1)) or not whole:
            hint = "; of one-hot rows give labels.argmax(1)" if len(shape) == 2 and shape[1] > 1 else ""
            raise DataError(f"{wanted}, got {tuple(shape)}, {labels.dtype}{hint}.")
        labels = labels.reshape(-1).tolist()
    if isinstance(labels, (str, bytes, dict, set, frozenset)):
        raise DataError(f"{wanted}, got {quote(labels)}.")
    try:
        found = list(labels)
    except Exception as error:  # no list, or one of the user's own kind
        raise DataError(f"{wanted}, got {quote(labels)}.") from error
    if len(found) != count:
        raise DataError(f"{wanted}, got {len(found)}.")
    return found


def _planes(values: Tensor | np.ndarray, place: str, whole: bool = False) -> Tensor:
    """A picture (H, W), (C, H, W) or (H, W, C), seen as (C, H, W), or a `whole` set of them, seen as (N, C, H, W).

    Nothing is copied.

    Raises:
        DataError: of an array that may have its channels first or last; of all other shapes.
    """
    images = _tensor(values, place)

    def refused(more: str = "") -> DataError:
        lead, got = "N, " if whole else "", tuple(images.shape)
        shapes = f"({lead}H, W), ({lead}1 to 4, H, W) or ({lead}H, W, 1 to 4)"
        return DataError(f"{place} must have shape {shapes} and not be empty, got {got}{more}.")

    axes = images.dim() - whole
    if axes not in (2, 3) or not images.numel():
        raise refused()
    if axes == 2:
        if whole and (images.shape[-1] <= 4 or len(images) in (3, 4)):
            raise refused("; of one picture give images[None], of grey ones images[:, None]")
        return images.unsqueeze(-3)
    first, last = images.shape[-3] <= 4, images.shape[-1] <= 4
    if not first and not last:
        raise refused()
    if first and last and isinstance(values, np.ndarray):
        raise refused(", which may be either of two; give a tensor with channels first")
    return images if first else images.movedim(-1, -3)


def _tensor(values: Tensor | np.ndarray, place: str) -> Tensor:
    try:
        if isinstance(values, Tensor):
            return values.detach().cpu().to_dense()
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing is written to it
            return torch.from_numpy(native if min(native.strides, default=0) >= 0 else native.copy())
    except (TypeError, RuntimeError) as error:  # text, objects; a tensor without values
        raise DataError(f"{place} must be uint8 (0 to 255) or floating ([-1, 1]), got {values.dtype}.") from error


def to_bytes(images: Tensor, place: str) -> Tensor:
    """Images of any shape as uint8: as they are; floats in [-1, 1]; 16 bits of 0 to 65535; others of 0 to 255.

    Raises:
        DataError: they are of another kind or beyond that range; names `place`.
    """
    if images.dtype == torch.uint8:
        return images
    if images.dtype == torch.bool:
        return images.to(torch.uint8) * 255
    if images.is_complex():
        raise DataError(f"{place} must be uint8 (0 to 255) or floating ([-1, 1]), got {images.dtype}.")
    if images.dtype == torch.uint16:  # as a picture of 16 bits in a file
        return ((images.int() + 128) // 257).to(torch.uint8)
    values = images.float() if images.is_floating_point() else images.long()
    low, high = (bound.item() for bound in values.aminmax())
    if not images.is_floating_point():
        if not 0 <= low <= high <= 255:
            raise DataError(
                f"{place} must be uint8 (0 to 255) or floating ([-1, 1]), got {images.dtype} of {low} to {high}."
            )
        return values.to(torch.uint8)
    if not -1.001 <= low <= high <= 1.001:  # a little more comes of resampling and rounding
        hint = "give uint8: images.astype('uint8'), or images.byte()" if 0 <= low < 100 < high <= 255 else "scale it"
        raise DataError(f"{place} is floating and must lie in [-1, 1], got {low:g} to {high:g}; {hint}.")
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


@dataclass
class _Items:
    """Items of a list or Dataset: which part of each is the image, and which the label."""

    name: str
    read: Callable[[int], Any]
    image: Any = None  # index or key; None: the item itself
    label: Any = None
    floating: bool = False

    def item(self, index: int) -> tuple[Any, Any]:
        """Image and label, as they are."""
        try:
            item = self.read(index)
        except GanzooError:
            raise
        except Exception as error:  # of code of the user's
            raise DataError(f"{self.name}: item {index} can't be read ({words_of(error)}).") from error
        if self.image is None:
            return item, None
        try:
            return item[self.image], None if self.label is None else item[self.label]
        except Exception as error:  # of a kind of item of the user's
            parts = f"{quote(self.image)} and {quote(self.label)}"
            raise DataError(f"{self.name}: item {index} has not the parts {parts} that the first item has.") from error

    def choose(self, index: int, label: str | None = None) -> None:
        """Find image and label in the item `index`, the label at the key `label` if it has it; all others have the same
        parts."""
        item, _ = self.item(index)
        if not isinstance(item, (dict, tuple, list)):
            return
        parts = list(item) if isinstance(item, dict) else list(range(len(item)))
        images = [part for part in _by_name(parts, IMAGE_NAMES) if _is_image(item[part])]
        if not images and len(parts) not in (1, 2):
            raise DataError(
                f"{self.name}: item {index} holds no image among its {len(parts)} parts; give (image, label) with a "
                f"PIL image, an array or a tensor."
            )
        self.image = images[0] if images else parts[0]  # one that is no image is named when it is read
        self.label = _label_part(item, [part for part in parts if part != self.image], self.image, label)
        left = [part for part in parts if part not in (self.image, self.label)]
        if left:
            taken = "nothing as the label" if self.label is None else f"{quote(self.label)} as the label"
            warnings.warn(
                f"{self.name}: of the parts of an item, {quote(self.image)} is taken as the image and {taken}; left "
                f"out: {quote(left)}. Give pairs (image, label) to choose others.",
                stacklevel=5,
            )

    def picture(self, index: int, reading: Reading) -> np.ndarray:
        """The image of an item as uint8 (C, H, W)."""
        return self.pixels(self.item(index)[0], index, reading)

    def pixels(self, value: Any, index: int, reading: Reading) -> np.ndarray:
        """`value`, the image of item `index`, as uint8 (C, H, W)."""
        place = f"{self.name}: item {index}"
        if _is_file(value):
            return decode(value if isinstance(value, bytes) else _content(value, place), place, reading)
        if isinstance(value, Image.Image):
            if 0 in value.size:
                raise DataError(f"{place} is a picture without pixels; leave it out.")
            try:
                return prepare(value, reading)
            except Exception as error:  # a closed or damaged file
                raise DataError(f"{place} can't be read as a picture ({words_of(error)}); leave it out.") from error
        if isinstance(value, (Tensor, np.ndarray)):
            pixels = _planes(value, place)
            self.floating = self.floating or pixels.is_floating_point()
            return convert(to_bytes(pixels, place).numpy(), reading)
        path = isinstance(value, (str, Path))
        remedy = "open it with PIL.Image.open, or give the folder" if path else "give PIL images, arrays or tensors"
        raise DataError(f"{place} is not an image but {quote(value)} ({type(value).__name__}); {remedy}.")


def _by_name(parts: list[Any], names: Sequence[Any]) -> list[Any]:
    """`parts` (keys or indices of an item), those of `names` first, in the order of `names`."""
    return sorted(parts, key=lambda part: names.index(part) if part in names else len(names))


def _label_part(item: Any, parts: list[Any], image: Any, label: str | None) -> Any:
    """Which of `parts`, all of an item but its image, is the label: by name, else a number, else a text; or None."""
    names = (label, *LABEL_NAMES)
    others = _by_name([part for part in parts if not _is_image(item[part])], names)
    named = [part for part in others if part in names]
    numbers = [part for part in others if is_integer(item[part])]
    if not isinstance(item, dict):  # what stands before the image is its index as a rule
        numbers.sort(key=lambda part: part < image)
    texts = [part for part in others if isinstance(item[part], str)]
    only = others if len(parts) == 1 else []  # whatever it is: a wrong label is named
    return next(iter([*named, *numbers, *texts, *only]), None)


def _has_mode(value: Any) -> bool:
    return isinstance(value, Image.Image) or _is_file(value)


def _content(value: dict[str, Any], place: str) -> bytes:
    """The bytes of a picture, or of the file that it names."""
    if isinstance(value["bytes"], bytes):
        return value["bytes"]
    try:
        return read_file(Path(value["path"]))
    except (DataError, TypeError) as error:
        raise DataError(f"{place} names {quote(value['path'])}, which can't be read ({error}).") from error


def is_integer(value: Any) -> bool:
    """Whether `value` is one integer, as a label is."""
    return isinstance(value, (int, np.integer)) or (
        isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0 and "int" in str(value.dtype)
    )


def open_items(
    source: Any,
    labels: list[Any] | Tensor | None,
    reading: Reading,
    names: tuple[str, ...] = (),
    name: str = "",
    label: str | None = None,
) -> ImageData:
    """The images of what has a length and items.

    Args:
        source: items are images, pairs (image, label), longer tuples, or dicts.
        labels: one for each item, or checked ones as int64 (N,); None takes those of the items.
        names: of the classes; empty takes the source's own.
        name: for messages and records; empty takes its type's.
        label: the key of the label, if items are dicts that have it.
    """
    name = name or type(source).__name__
    try:
        count = len(source)
    except (TypeError, NotImplementedError) as error:
        raise DataError(
            f"{name} does not say how long it is; give a Dataset with __len__, or stream one of the Hub or of files "
            f"(hf:...?stream=yes)."
        ) from error
    if count == 0:
        raise DataError(f"{name} is empty; give one image or more.")
    items = _Items(name, _reader(source))
    first = _first_readable(items, count) if reading.broken == "skip" else 0
    items.choose(first, label)
    if _has_mode(items.item(first)[0]):
        reading = with_channels(reading, count, items.picture)
    if not isinstance(source, (list, tuple, Tensor)):
        _remark_random(items, count, reading)
    found: list[Any] = [None] * count

    def pictures() -> Generator[np.ndarray | None, None, None]:
        for index in range(count):
            try:
                value, found[index] = items.item(index)
                yield items.pixels(value, index, reading)
            except DataError:
                if reading.broken == "stop":
                    raise
                yield None

    decoded = _as_it_is(source, reading) or cached_images(None, pictures(), count)
    if isinstance(labels, Tensor):
        numbers: Tensor | None = labels[decoded[1]]
    else:
        names = names or (_class_names(source) if labels is None else ())
        chosen = found if labels is None else labels
        numbers, names = number_labels([chosen[index] for index in decoded[1]], names, name, "item", decoded[1])
    return assemble(decoded, numbers, names, name, BY_HAND, range(count), reading, items.floating)


def _first_readable(items: _Items, count: int) -> int:
    """The first item that can be read; 0 if none can, whose error is then raised."""
    for index in range(count):
        try:
            items.item(index)
        except DataError:
            continue
        return index
    return 0


def _as_it_is(images: Any, reading: Reading) -> tuple[np.ndarray, list[int], str] | None:
    """The tensor `images` (N, C, H, W), with its hash, if it is what `cached_images` would make of it; else None."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or not images.is_contiguous():
        return None
    own, *sides = images.shape[1:]
    if reading.image_channels not in (None, own) or sides != [reading.image_size or side for side in sides]:
        return None
    array = images.numpy()
    return array, list(range(len(array))), hashlib.sha256(array.data).hexdigest()


def _remark_random(items: _Items, count: int, reading: Reading) -> None:
    """Warn if some of the items differ from one reading to the next."""
    for number in range(TWICE):  # of a few items each comes several times
        index = number * count // TWICE
        try:
            one, other = (items.picture(index, reading) for _ in range(2))
        except DataError:  # said when it is read for good
            continue
        if not np.array_equal(one, other):
            warnings.warn(
                f"{items.name}: item {index} is another image each time it is read, as random transforms make it. All "
                f"are read once, so that a run sees this one draw of it, and can't be resumed with the next. Take "
                f"random transforms out; flip=True and augmentations=(...) of the Trainer draw anew at every step.",
                stacklevel=5,
            )
            return


def _reader(source: Any) -> Callable[[int], Any]:
    """How to read an item. Pictures that torchvision would open just as they are in their files (an ImageFolder without
    transforms) are given as the files' bytes, since its loader cuts 16 bits off and drops transparency."""
    if is_plain_subset(source):
        inner, indices = _reader(source.dataset), source.indices
        return lambda index: inner(indices[index])
    if not isinstance(source, (list, tuple)):
        from torchvision.datasets import DatasetFolder
        from torchvision.datasets.folder import default_loader

        plain = isinstance(source, DatasetFolder) and type(source).__getitem__ is DatasetFolder.__getitem__
        if plain and source.loader is default_loader and source.transforms is None:
            samples = source.samples
            return lambda index: (read_file(Path(samples[index][0])), samples[index][1])
    return lambda index: source[index]


def is_plain_subset(source: Any) -> bool:
    """Whether `source` gives items of another data set as they are there: a subclass may change them on the way."""
    return isinstance(source, Subset) and type(source).__getitem__ is Subset.__getitem__


def _class_names(dataset: Any) -> tuple[str, ...]:
    """The names of the classes of a Dataset, or of that of which it is a part; none if it has none."""
    if isinstance(dataset, ConcatDataset):
        parts = [_class_names(part) for part in dataset.datasets]
        if any(part != parts[0] for part in parts):
            raise DataError(
                f"{type(dataset).__name__}: its parts have different classes ({quote(parts, 200)}), so that a label "
                f"means two things; give parts of the same classes."
            )
        return parts[0]
    binary = getattr(dataset, "_target_types", None) == ["binary-category"]  # of OxfordIIITPet: cats and dogs
    classes = getattr(dataset, "bin_classes" if binary else "classes", None)  # as torchvision's have them
    if isinstance(classes, (list, tuple)):
        names = tuple(", ".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in classes)
        return names if _keeps(getattr(dataset, "target_transform", None), len(names)) else ()
    return _class_names(dataset.dataset) if isinstance(dataset, Subset) else ()  # another may change labels


def _keeps(change: Any, count: int) -> bool:
    """Whether a target_transform leaves each class its number."""
    try:
        return change is None or all(int(change(number)) == number for number in range(count))
    except Exception:  # of code of the user's; it may want more than a number
        return False
