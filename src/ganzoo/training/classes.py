"""Labels of a run: attached to its images, given to latents, and mismatched on purpose. They are int64 (N,)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torch import Tensor

from ganzoo.data import ImageData
from ganzoo.data.clusters import ClusterBy, cluster_images
from ganzoo.errors import ConfigError, quote, shown
from ganzoo.gan import GAN
from ganzoo.latents import with_sign_class


def attach_labels(data: ImageData, gan: GAN, cluster_by: ClusterBy) -> ImageData:
    """`data` with the labels that training tells apart: of classes, of clusters, of both; without, if `gan` has none.

    Args:
        cluster_by: what images of a cluster have in common.

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
    if not gan.num_classes:
        stream = data.stream and dataclasses.replace(data.stream, label=None, names=())
        data = dataclasses.replace(data, labels=None, class_names=(), stream=stream)
    return cluster_images(data, gan.clusters, cluster_by) if gan.clusters else data


def are_names(names: Sequence[str]) -> bool:
    """Whether `names` say more than the numbers of classes."""
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


def align_latents(labels: Tensor | None, latents: Tensor, gan: GAN, found: int) -> tuple[Tensor | None, Tensor]:
    """The labels that both networks take, (N,), and latents (N, latent_size) that choose the cluster of their image.

    Args:
        labels: of real images, of the data from `attach_labels`; None if nothing is known of them.
        latents: fakes are drawn from them, under the labels of the real images.
        found: `clusters` of that data. If there are fewer than the GAN has, each stands for several, among which
            the signs that are left choose.
    """
    if not gan.clusters or labels is None:
        return gan.network_labels(latents, labels), latents
    latents = with_sign_class(latents, labels % found, found)
    return gan.network_labels(latents, labels // found if gan.num_classes else None), latents


def draw_mismatched(labels: Tensor | None, chance: Tensor, gan: GAN, found: int) -> Tensor | None:
    """Another class or cluster than each image has, drawn evenly; None if there is only one (Reed et al. 2016).

    Args:
        labels: (N,), as `align_latents` gives them.
        chance: numbers (N,) in [0, 1).
        found: as for `align_latents`; images that nobody can tell apart are no mismatch.
    """
    each = max(1, gan.clusters) // found  # labels of the GAN to one that the data tell apart
    others = gan.label_count // each - 1
    if labels is None or others < 1:
        return None
    return (labels + each * (1 + (chance * others).long())) % gan.label_count
