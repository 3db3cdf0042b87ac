"""Quality by class: which classes come out well, and which don't."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ganzoo.errors import DataError, shown
from ganzoo.evaluation.metrics import K, NamedMetric, Score, compare
from ganzoo.evaluation.neighbours import nearest
from ganzoo.text import counted

SHOWN = 8  # best and worst samples of a class
FEWEST = 3 * K  # images of a class: in fewer, the K-th neighbour is among the farthest, and each ball spans the class


@dataclass(frozen=True)
class ClassQuality:
    """One class of the real images, and the samples that fell into it.

    Args:
        name: of the class.
        share: part of all samples, 0 to 1.
        real_share: part of all real images.
        samples: how many fell into it.
        scores: of its samples against its real images; None if they could not be measured.
        agreement: part of the samples asked for with this label that the classifier takes for it; None for a model
            without labels.
        best, worst: indices of the samples nearest to, and farthest from, a real image of the class; empty without one.
        unmeasured: why there are no scores: "too few to measure", or else "can't be measured".
    """

    name: str
    share: float
    real_share: float
    samples: int
    scores: dict[str, Score] | None
    agreement: float | None
    best: tuple[int, ...]
    worst: tuple[int, ...]
    unmeasured: str = ""

    def not_measured(self) -> str:
        """What stands in place of the scores."""
        return f"{self.unmeasured} ({counted(self.samples, 'sample')}, {self.real_share:.1%} of the real images)"


def by_class(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    class_names: Sequence[str],
    metrics: Sequence[NamedMetric],
    recognised: Tensor | None = None,
) -> list[ClassQuality]:
    """Compare samples with real images class by class.

    Args:
        real, fake: features (n, d) and (m, d).
        real_labels: classes (n,) of the real images.
        fake_labels: classes (m,) of the samples: what was asked for, or what a classifier takes them for.
        recognised: (m,) what a classifier takes the samples for, if labels were asked for.
    """
    qualities = []
    for index, name in enumerate(class_names):
        real_of_class, chosen = real[real_labels == index], (fake_labels == index).nonzero()[:, 0]
        scores, unmeasured = None, "too few to measure"
        if min(len(real_of_class), len(chosen)) >= FEWEST:
            try:
                scores, unmeasured = compare(real_of_class, fake[chosen], metrics), ""
            except DataError as error:  # one class must not lose the others' figures
                unmeasured = "can't be measured"
                warnings.warn(f"class {shown(name)} is not measured: {error}", stacklevel=4)
        order = chosen[:0]
        if len(chosen) and len(real_of_class):
            order = chosen[nearest(fake[chosen], real_of_class).distances.argsort()]
        qualities.append(
            ClassQuality(
                name=name,
                share=len(chosen) / max(1, len(fake)),
                real_share=len(real_of_class) / len(real),
                samples=len(chosen),
                scores=scores,
                agreement=float((recognised[chosen] == index).float().mean())
                if recognised is not None and len(chosen)
                else None,
                best=tuple(order[: (len(order) + 1) // 2][:SHOWN].tolist()),  # none is among both
                worst=tuple(order.flip(0)[: len(order) // 2][:SHOWN].tolist()),
                unmeasured=unmeasured,
            )
        )
    return qualities
