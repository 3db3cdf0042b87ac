"""Labels of a run: attached to its images, given to latents, and mismatched on purpose. They are int64 (N,)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.data import ImageData
from ganzoo.data.clusters import cluster_images
from ganzoo.errors import ConfigError, quote, shown
from ganzoo.gan import GAN
from ganzoo.latents import sign_class, with_sign_class
from ganzoo.settings import Settings


def attach_labels(data: ImageData, gan: GAN, settings: Settings) -> ImageData:
    """`data` with the labels that training tells apart: of classes, of clusters, of both; without, if `gan` has none.

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
    if not gan.clusters:
        return data
    with torch.device("cpu"):  # where images are, whatever torch.set_default_device says
        return cluster_images(data, gan.clusters, settings.cluster_by, settings.min_cluster_size)


def are_names(names: Sequence[str]) -> bool:
    """Whether `names` say more than the numbers of classes."""
    return bool(names) and list(names) != [str(number) for number in range(len(names))]


def take_names(data: ImageData, gan: GAN) -> str | None:
    """Give `gan` the names of the data's classes, which it will draw; a sentence for a person if it had others.

    Data whose classes are only numbered leaves the names that there are.
    """
    old, new = gan.class_names, tuple(data.class_names)
    if not gan.num_classes or old == new or (old and not are_names(new) and sorted(old) != sorted(new)):
        return None
    gan.class_names = new
    if not are_names(old):
        return None
    pairs = [(number, *names) for number, names in enumerate(zip(old, new)) if names[0] != names[1]]
    told = ", ".join(f"{number} from {quote(before)} to {quote(after)}" for number, before, after in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    same = "; the names are the same in another order: each class begins with the weights of another"
    return f"The model takes the names of the data's classes: {told}{more}{same if set(old) == set(new) else ''}."


def few_clusters(data: ImageData, gan: GAN, min_size: int) -> str | None:
    """A sentence for a person if a class of `data`, from `attach_labels`, has fewer clusters than `gan` has for it."""
    low, high = min(data.clusters, default=0), max(data.clusters, default=0)
    if low == gan.clusters:
        return None
    found = f"{low} to {high}" if low < high else str(low)
    of_each = " of each class" if gan.num_classes else ""
    reason = "a stream is not divided" if data.stream else f"min_cluster_size is {min_size} images"
    return f"Clusters{of_each}: {found} ({gan.clusters} asked for), since {reason}."


def unused_mismatch(data: ImageData, gan: GAN, share: float) -> str | None:
    """A sentence for a person if `share` (`mismatched_labels`) does nothing with `data` from `attach_labels`."""
    if not share or (sum(data.clusters) or gan.num_classes) > 1:
        return None
    return f"mismatched_labels={share} is not used: the images have no two classes or clusters."


def labelled(gan: GAN, latents: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Latents (N, ...) of a penalty and labels of the networks (N,) that go together: a latent that is given a label
    gets the signs of its cluster, one without chooses by its signs."""
    if labels is None or not gan.clusters:
        return latents, gan.network_labels(latents, None) if labels is None else labels
    return with_sign_class(latents.flatten(1), labels % gan.clusters, gan.clusters).view_as(latents), labels


class LabelMap:
    """From the labels of the data, which count classes or clusters, to those of the networks.

    A latent chooses among `gan.clusters` in every class. If the data have fewer of a class, each of these stands for
    several labels of the networks, among which the signs that are left choose.

    Args:
        clusters: those found in each class (`ImageData.clusters`).
    """

    def __init__(self, gan: GAN, clusters: Sequence[int]) -> None:
        self._gan = gan
        found = torch.tensor(clusters or (1,) * max(1, gan.num_classes), device="cpu")
        self._each = (max(1, gan.clusters) // found).repeat_interleave(found)  # networks' labels to one of the data
        self._first = self._each.cumsum(0) - self._each
        self._of_data = torch.arange(len(self._each), device="cpu").repeat_interleave(self._each)

    def align_latents(self, labels: Tensor | None, latents: Tensor) -> tuple[Tensor | None, Tensor]:
        """The labels that both networks take, (N,), and latents (N, latent_size) that choose their image's cluster.

        Args:
            labels: of real images, of the data from `attach_labels`; None if nothing is known of them.
            latents: fakes are drawn from them, under the labels of the real images.
        """
        count = self._gan.clusters
        if not count or labels is None:
            return self._gan.network_labels(latents, labels), latents
        chosen = self._first[labels] + sign_class(latents, count) % self._each[labels]
        return chosen, with_sign_class(latents, chosen % count, count)

    def draw_mismatched(self, labels: Tensor | None, chance: Tensor) -> Tensor | None:
        """Another class or cluster than each image has, drawn evenly; None if there is only one (Reed et al. 2016).

        Clusters that the data don't tell apart are no mismatch.

        Args:
            labels: (N,), as `align_latents` gives them.
            chance: numbers (N,) in [0, 1).
        """
        count = len(self._each)
        if labels is None or count < 2:
            return None
        other = (self._of_data[labels] + 1 + (chance * (count - 1)).long()) % count
        return self._first[other] + labels % self._each[other]
