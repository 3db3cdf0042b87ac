"""What an evaluation found: figures by name, as JSON types and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ganzoo.data import ImageData
from ganzoo.evaluation.metrics import MOST_NEIGHBOURS, K, Scores
from ganzoo.evaluation.neighbours import QUANTILE, Memorisation
from ganzoo.evaluation.per_class import ClassQuality

FORMAT = 1


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured.

    Args:
        features: the space of all figures, with the resampling that led there; a part of their names.
        samples: how many images of the generator, and at most of each yardstick.
        data, split, data_hash: the real images.
        scores: of the generator. floor: of other real images. ceiling: of noise.
        classes: quality by class; empty where the data has none.
        agreement: how often the classifier finds the label that was asked for, and how often a real image's own; None
            for a model without classes, or without a classifier of them.
        memorised: by space, "pixels" and "features"; empty where it was not asked for.
        seconds: what took how long.
        drawn: the samples, uint8. training: what they were compared with; for pages, not in `to_dict`.
    """

    features: str
    samples: int
    data: str
    split: str
    data_hash: str
    scores: Scores
    floor: Scores
    ceiling: Scores
    classes: tuple[ClassQuality, ...] = ()
    agreement: tuple[float, float] | None = None
    memorised: dict[str, Memorisation] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    drawn: Tensor | None = field(default=None, repr=False)
    training: ImageData | None = field(default=None, repr=False)

    def figures(self) -> list[dict[str, Any]]:
        """Each measure with its name, spread, floor, ceiling, and which way is better."""
        columns = {
            "FD": ("frechet", None, True),
            "KD": ("kernel", "kernel_spread", True),
            "precision": ("precision", None, False),
            "recall": ("recall", None, False),
            "density": ("density", None, False),
            "coverage": ("coverage", None, False),
            "variety": ("variety", None, False),
        }
        figures = [
            {
                "name": f"{short}({self.features})",
                "value": getattr(self.scores, name),
                "spread": getattr(self.scores, spread) if spread else None,
                "floor": getattr(self.floor, name),
                "ceiling": getattr(self.ceiling, name),
                "lower_is_better": lower,
            }
            for short, (name, spread, lower) in columns.items()
        ]
        if self.agreement:
            value, floor = self.agreement
            guess = {"floor": floor, "ceiling": 1 / len(self.classes), "lower_is_better": False}
            figures.append({"name": f"agreement({self.features})", "value": value, "spread": None, **guess})
        return figures

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        return {
            "format": FORMAT,
            "features": self.features,
            "samples": self.samples,
            "neighbours": {"k": K, "images": MOST_NEIGHBOURS},
            "data": self.data,
            "split": self.split,
            "data_hash": self.data_hash,
            "figures": self.figures(),
            "classes": [asdict(each) for each in self.classes],
            "memorised": {
                space: {"memorised": found.memorised, "suspect": found.suspect, "ratio": found.ratio}
                for space, found in self.memorised.items()
            },
            "seconds": self.seconds,
        }

    def neighbourhood(self) -> str:
        """What the measures with neighbours count as near."""
        return f"Neighbourhoods: k = {K}, on at most {MOST_NEIGHBOURS:,} images of each kind."

    def verdict(self, space: str) -> str:
        """Whether training images were found among the samples, in plain words."""
        found = self.memorised[space]
        said = "It gives training images back" if found.memorised else "No sign of memorising"
        return (
            f"{said}: {found.suspect:.1%} of the samples lie nearer to a training image than all but {QUANTILE:.0%} of "
            f"unseen real images do; their median distance is {found.ratio:.2f} of theirs."
        )

    def table(self) -> str:
        """All figures as text."""
        width = max(len(figure["name"]) for figure in self.figures()) + 2
        lines = [
            f"{self.samples:,} samples against {self.data} ({self.split}). {self.neighbourhood()}",
            f"{'':{width}}{'generator':>18}{'real':>10}{'noise':>10}",
        ]
        for figure in self.figures():
            value = number(figure["value"]) + (f" ± {number(figure['spread'])}" if figure["spread"] is not None else "")
            yardsticks = "".join(f"{number(figure[name]):>10}" for name in ("floor", "ceiling"))
            better = "lower" if figure["lower_is_better"] else "higher"
            lines.append(f"{figure['name']:{width}}{value:>18}{yardsticks}  {better} is better")
        if self.classes:
            lines.append(f"\n{'class':16}{'share':>8}{'FD':>10}{'precision':>11}{'recall':>9}{'coverage':>10}")
        for each in self.classes:
            lines.append(f"{each.name:16}{each.share:>8.1%}{_row(each)}")
        return "\n".join([*lines, *(f"\nMemorising, by {space}: {self.verdict(space)}" for space in self.memorised)])


def _row(quality: ClassQuality) -> str:
    scores = quality.scores
    if scores is None:
        return f"  too few to measure ({quality.samples} samples, {quality.real_share:.1%} of the real images)"
    figures = f"{number(scores.frechet):>10}{scores.precision:>11.3f}{scores.recall:>9.3f}{scores.coverage:>10.3f}"
    return figures + (f"  recognised {quality.agreement:.1%}" if quality.agreement is not None else "")


def number(value: float) -> str:
    """`value` in four digits."""
    return f"{value:.4g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.1e}"
