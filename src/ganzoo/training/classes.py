"""What a run tells its networks of an image's class: its label, its hidden class, or both.

The discriminator is told labels (N,), or (N, 2) with hidden classes: the label (0 without), the hidden class. The
generator is told labels (N,); its hidden class it reads off the latent. Hidden classes follow from the parts that
`ganzoo.data.clusters` finds; where images are too few for as many parts, each has several.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.data import ImageData
from ganzoo.data.clusters import Likeness, divide
from ganzoo.errors import ConfigError, quote, shown
from ganzoo.gan import GAN
from ganzoo.latents import sign_class, with_sign_class


def classify(data: ImageData, gan: GAN, by: Likeness) -> ImageData:
    """`data` with labels (N,) where `gan` has classes, none where it has not, or (N, 2) with hidden ones: label, part.

    Args:
        by: what images of a part have in common.

    Raises:
        ConfigError: data and GAN differ in classes.
    """
    if gan.num_classes and data.num_classes != gan.num_classes:
        if not data.num_classes:
            raise ConfigError(
                f"the GAN has {gan.num_classes} classes, {data.name} has none; put the images of each class into a "
                f'folder of its own, or train without classes: generator={{"num_classes": 0}} '
                f"(--set generator.num_classes=0)"
            )
        names = ", ".join(map(shown, data.class_names[:10]))
        raise ConfigError(
            f"the GAN has {gan.num_classes} classes, {data.name} has {data.num_classes} ({names}). Give images of as "
            f"many classes; or, if these are the classes that you mean, set generator.num_classes to their number"
        )
    labels = data.labels if gan.num_classes else None
    if gan.hidden_classes:
        hidden = divide(dataclasses.replace(data, labels=labels), gan.hidden_classes, by)
        labels = torch.stack([torch.zeros_like(hidden) if labels is None else labels, hidden], dim=1)
    return dataclasses.replace(data, labels=labels)


def are_names(names: Sequence[str]) -> bool:
    """Whether `names` tell more than the numbers of classes."""
    return bool(names) and list(names) != [str(number) for number in range(len(names))]


def take_names(data: ImageData, gan: GAN) -> str | None:
    """Give `gan` the names of the data's classes, which it will draw; a sentence for a person if it had others.

    Data whose classes are only numbered leaves the names that there are.
    """
    old, new = gan.class_names, tuple(data.class_names)
    if not gan.num_classes or old == new or (old and not are_names(new)):
        return None
    gan.class_names = new
    if not are_names(old):
        return None
    pairs = [(number, *names) for number, names in enumerate(zip(old, new)) if names[0] != names[1]]
    told = ", ".join(f"{number} from {quote(before)} to {quote(after)}" for number, before, after in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    same = "; the names are the same in another order: each class begins with the weights of another"
    return f"The model takes the names of the data's classes: {told}{more}{same if set(old) == set(new) else ''}."


def for_generator(told: Tensor | None, gan: GAN) -> Tensor | None:
    """What the generator is told, of what the discriminator is."""
    if told is None or not gan.hidden_classes:
        return told
    return told[:, 0] if gan.num_classes else None


def meet(labels: Tensor | None, latents: Tensor, gan: GAN) -> tuple[Tensor | None, Tensor]:
    """What the discriminator is told of images with `labels` from `classify`, and `latents` (N, latent_size) to match.

    Their first signs become those of the images' parts; the signs that are left choose among the classes of a part.
    """
    if not gan.hidden_classes:
        return labels, latents
    first, parts = _columns(labels, len(latents))
    latents = with_sign_class(latents, parts - _count(parts), _count(parts))
    return torch.stack([first, sign_class(latents, gan.hidden_classes)], dim=1), latents


def wrong(labels: Tensor | None, told: Tensor | None, chance: Tensor, gan: GAN) -> Tensor | None:
    """Another label or part for each image than it is `told` of, chosen evenly by `chance`, numbers (N,) in [0, 1).

    None where there is only one.
    """
    if told is None:
        return None
    first, parts = _columns(labels, len(told))
    halves, several = _count(parts), gan.hidden_classes // _count(parts) or 1
    count = max(1, gan.num_classes) * halves
    if count == 1:
        return None
    other = first * halves + parts - halves + 1 + (chance * (count - 1)).long()
    label, part = other // halves % max(1, gan.num_classes), other % halves
    return torch.stack([label, part * several + told[:, 1] % several], dim=1) if gan.hidden_classes else label


def _columns(labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """Labels and parts; zeros, and the whole, where they are not told (a stream tells at most labels)."""
    if labels is not None and labels.dim() == 2:
        return labels[:, 0], labels[:, 1]
    nothing = torch.zeros(count, dtype=torch.long)
    return (nothing if labels is None else labels), nothing + 1


def _count(parts: Tensor) -> int:
    """How many parts there are, from places in a tree of halves that are equally deep."""
    return 1 << (int(parts[0]).bit_length() - 1)
