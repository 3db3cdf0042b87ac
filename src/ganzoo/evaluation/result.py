"""What an evaluation found: figures by name, as JSON types and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from markupsafe import Markup, escape
from torch import Tensor

from ganzoo import markup
from ganzoo.data import ImageData
from ganzoo.evaluation.metrics import METRICS, Score
from ganzoo.evaluation.neighbours import QUANTILE, Memorisation
from ganzoo.evaluation.per_class import ClassQuality
from ganzoo.saving.format import FORMAT
from ganzoo.text import aligned, with_spread

SENTENCES = {
    "FD": "How far the samples as a whole are from real images: their mean and their spread. Far too high if there are "
    "few images.",
    "KD": "How far the samples as a whole are from real images, also if there are few images.",
    "precision": "The share of the samples that look like a real image.",
    "recall": "The share of the real images that look like a sample; the model does not draw the others.",
    "density": "How many real images a sample is like; low if samples lie where few real images are.",
    "coverage": "The share of the real images that have a sample near them.",
    "variety": "How different two samples are, divided by how different two real images are; far below 1: too alike.",
    "agreement": "How often a classifier sees the class that was asked for.",
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` measured.

    Args:
        features: the space of all figures, with the resampling that led there; a part of their names.
        metrics: what was measured, with all options.
        samples: how many images of the generator, and at most of each reference.
        data, split, data_hash: the real images.
        scores: of the generator, by the figure's name. real_reference: of other real images. noise_reference: of noise.
            "agreement" is among them if labels were asked for and fashion-net knows the classes: how often it finds the
            label that was asked for (a real image's own, a label by chance).
        classes: quality by class; empty if the data has none.
        memorised: by space, "pixels" and "features"; empty if it was not asked for, or if there were too few images.
        limits: what these features know, in a sentence.
        seconds: what took how long.
        plugins: kind, name, package and version of all that came from other packages.
        drawn: the samples, uint8. training: what they were compared with; for pages, not in `to_dict`.
    """

    features: str
    metrics: tuple[str, ...]
    samples: int
    data: str
    split: str
    data_hash: str
    scores: Mapping[str, Score]
    real_reference: Mapping[str, Score]
    noise_reference: Mapping[str, Score]
    classes: tuple[ClassQuality, ...] = ()
    memorised: dict[str, Memorisation] = field(default_factory=dict)
    limits: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    plugins: list[dict[str, str]] = field(default_factory=list)
    drawn: Tensor | None = field(default=None, repr=False)
    training: ImageData | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {with_spread(score.value)}" for name, score in self.scores.items())
        return f"<Evaluation of {self.compared()} in {self.features}: {figures}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures beside those of real images and of noise, and whether any are copies."""
        verdicts = "".join(f"<p>{escape(self.verdict(space))}</p>" for space in self.memorised)
        title = f"{self.compared()}, in features of {self.features}"
        return f"<div><b>{escape(title)}</b>{self.figure_table()}{verdicts}</div>"

    def figure_table(self) -> Markup:
        """All figures as a table of HTML, with a sentence of what each says."""
        rows = []
        for name, score in self.scores.items():
            references = (with_spread(*side[name][:2]) for side in (self.real_reference, self.noise_reference))
            value = Markup("<b>{}</b>").format(with_spread(score.value, score.spread))
            rows.append((_explained(name), value, *references, score.better))
        return markup.table(rows, ("measure", "generator", "real images", "noise", "better"))

    def figures(self) -> list[dict[str, Any]]:
        """Each figure with its name, value, real and noise reference, their spreads, and which way is better."""
        return [
            {
                "name": f"{name}({self.features})",
                "value": score.value,
                "spread": score.spread,
                "real_reference": self.real_reference[name].value,
                "real_reference_spread": self.real_reference[name].spread,
                "noise_reference": self.noise_reference[name].value,
                "noise_reference_spread": self.noise_reference[name].spread,
                "better": score.better,
            }
            for name, score in self.scores.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        same = ("features", "limits", "samples", "data", "split", "data_hash", "seconds", "plugins")
        memorised = ("memorised", "suspect", "ratio", "part")
        return {
            "format": FORMAT,
            **{name: getattr(self, name) for name in same},
            "metrics": list(self.metrics),
            "figures": self.figures(),
            "classes": [
                {**asdict(each), "scores": each.scores and {name: score.value for name, score in each.scores.items()}}
                for each in self.classes
            ],
            "memorised": {
                space: {name: getattr(found, name) for name in memorised} for space, found in self.memorised.items()
            },
        }

    def headline(self) -> str:
        """What was measured, against what, and how."""
        return f"{self.compared()}, by {', '.join(self.metrics)}."

    def compared(self) -> str:
        """How many samples, and against what."""
        return f"{self.samples:,} samples against {self.data} ({self.split})"

    def verdict(self, space: str) -> str:
        """Whether training images were found among the samples, in plain words."""
        found = self.memorised[space]
        said = "Likely memorisation" if found.memorised else "No sign of memorising"
        part = f" Only {found.part:.1%} of the training images were compared (--training-images)." * (found.part < 1)
        return (
            f"{said}: {found.suspect:.1%} of the samples are nearer to a training image than {1 - QUANTILE:.0%} of "
            f"unseen real images are. Their median distance is {found.ratio:.2f} times that of unseen images.{part}"
        )

    def class_rows(self) -> list[list[str]]:
        """The figures of all classes as text: the names of the columns, then a line a class."""
        names = next((list(each.scores) for each in self.classes if each.scores), [])
        recognised = any(each.agreement is not None for each in self.classes)
        rows = [["class", "share", *names, *["recognised"] * recognised]]
        for each in self.classes:
            figures = [with_spread(each.scores[name].value) if each.scores else "" for name in names]
            agreement = "" if each.agreement is None else f"{each.agreement:.1%}"
            rows.append([each.name, f"{each.share:.1%}", *figures, *[agreement] * recognised])
        return rows

    def table(self) -> str:
        """All figures as text."""
        rows = [["", "generator", "real", "noise", ""]]
        for each in self.figures():
            references = (with_spread(each[name]) for name in ("real_reference", "noise_reference"))
            value = with_spread(each["value"], each["spread"])
            rows.append([each["name"], value, *references, f"{each['better']} is better"])
        lines = [self.headline(), *[self.limits] * bool(self.limits), *aligned(rows)]
        if self.classes:
            few = ["", *("" if each.scores else f"  {each.not_measured()}" for each in self.classes)]
            lines += ["", *map("".join, zip(aligned(self.class_rows()), few))]
        return "\n".join([*lines, *(f"\nMemorising, by {space}: {self.verdict(space)}" for space in self.memorised)])


def _explained(figure: str) -> Markup:
    """The name of a figure above a sentence of what it says, as a cell."""
    name = figure.partition("(")[0]
    plugin = METRICS.describe(name) if name in METRICS and name not in SENTENCES else ""
    style = "min-width: 10rem; text-align: left; white-space: normal"
    return Markup('<div style="{}">{}<br><small>{}</small></div>').format(style, figure, SENTENCES.get(name, plugin))
