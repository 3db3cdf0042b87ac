"""The doctor: says in plain words when a run goes wrong, what shows it, and what to try.

A finding is reported when its counter (+1 for a check that shows it, -1 for one that does not) reaches `PATIENCE`, and
once until the counter is 0 again. A network made for other numbers (a last sigmoid, say) is reported at the first
check, and nothing else beside it: it is the cause. The bounds lie between what broken runs showed on Fashion-MNIST and
Pokemon (learning rates of 0.05, a discriminator ten times too quick, one image many times, a saturating loss) and what
healthy runs showed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganzoo.callbacks import Callback, Run
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.runs.remedies import remedy
from ganzoo.training.callbacks import Note
from ganzoo.training.callbacks.diagnostics import Diagnostics, Snapshot
from ganzoo.training.callbacks.progress import say

PATIENCE = 3  # checks that show it, minus those that don't
_PENALTY = (  # r1 alone replaces others
    "a penalty on the discriminator (penalties=r1, or a larger weight of the one it has; if it has batch norm, only in "
    "a new run with discriminator.norm=layer)"
)
FIRST_CHECKS = 1  # that are ignored: every generator begins with grey noise


@dataclass(frozen=True)
class Finding:
    """What is wrong with a run at a step, with the figure that shows it, and what to try."""

    name: str
    step: int
    text: str
    advice: str


@dataclass(frozen=True)
class _Symptom:
    shows: Callable[[Snapshot], bool]
    text: Callable[[Snapshot], str]
    advice: str
    made_wrong: bool = False  # the network itself: no patience, and no other finding beside it


SYMPTOMS = {
    "discriminator-activated": _Symptom(
        lambda seen: seen.activated,
        lambda seen: (
            "all logits are in [0, 1], also those of strong noise: the discriminator seems to end in a sigmoid, but "
            "every loss here takes plain logits"
        ),
        "remove nn.Sigmoid() from the end of the discriminator",
        made_wrong=True,
    ),
    "generator-range": _Symptom(
        lambda seen: seen.never_negative or seen.outside > 0.25,
        lambda seen: (
            "the generator never draws a number below 0, but real images are numbers in [-1, 1]"
            if seen.never_negative
            else f"{seen.outside:.0%} of the generator's numbers are outside [-1, 1]; samples are cut off there"
        ),
        "end the generator in nn.Tanh(), not in a sigmoid or ReLU",
        made_wrong=True,
    ),
    "discriminator-saturated": _Symptom(
        # A loss that is 0 when undecided (wasserstein) is below 0 in any run.
        lambda seen: seen.overlap < 0.005 and seen.discriminator_loss < 0.005 * seen.undecided_loss > 0,
        lambda seen: (
            f"the discriminator tells all fakes from all real images and is sure of it (its loss is "
            f"{seen.discriminator_loss:.2g}; undecided, it would be {seen.undecided_loss:.2g}), so the generator "
            f"learns little"
        ),
        f"lower discriminator_lr, or set {_PENALTY}, or, with few images, add ada to the augmentations",
    ),
    "generator-starved": _Symptom(
        lambda seen: seen.generator_gradient < (1e-2 if seen.overlap < 0.05 else 1e-5),  # undecided: it may be small
        lambda seen: (
            f"hardly any gradient reaches the generator (its norm is {seen.generator_gradient:.1e}, "
            f"the discriminator's {seen.discriminator_gradient:.1e})"
        ),
        f"use the loss non-saturating or relativistic, or weaken the discriminator: lower its rate, or set {_PENALTY}",
    ),
    "mode-collapse": _Symptom(
        lambda seen: (
            seen.real_variety > 0.01
            and seen.fake_variety <= max(seen.earlier_variety, 0.01 * seen.real_variety)  # growing: a beginning
            and (seen.fake_variety < 0.2 * seen.real_variety or seen.fake_nearest < 0.1 * seen.real_nearest)
        ),
        lambda seen: (
            f"the samples are nearly all alike, or of few kinds: they differ by {seen.fake_variety:.2g} on average "
            f"(real images: {seen.real_variety:.2g}), and from the most similar sample by {seen.fake_nearest:.2g} "
            f"(real images: {seen.real_nearest:.2g})"
        ),
        f"go back to an earlier checkpoint with lower learning rates, or set {_PENALTY}, or loss=relativistic",
    ),
    "label-collapse": _Symptom(
        lambda seen: (
            seen.real_label_variety > 0.01
            and seen.fake_label_variety <= max(seen.earlier_label_variety, 0.01 * seen.real_label_variety)
            and seen.fake_label_variety < 0.35 * seen.real_label_variety
            and seen.fake_variety >= 0.2 * seen.real_variety  # else it is mode collapse
        ),
        lambda seen: (
            f"the samples of one class or cluster are nearly all alike: they differ by {seen.fake_label_variety:.2g} "
            f"on average (real images of one: {seen.real_label_variety:.2g})"
        ),
        "set 'generator_penalties=diversity(weight=30,every=2)', or a larger weight, or fewer clusters",
    ),
    "divergence": _Symptom(
        lambda seen: (
            # A loss that is 0 when undecided (wasserstein) gives logits no scale.
            abs(seen.real_logit - seen.fake_logit) + seen.real_logit_spread + seen.fake_logit_spread
            > (100 if seen.undecided_loss else 1000)
            or 0 < 10 * seen.undecided_loss < seen.discriminator_loss
            or max(seen.generator_gradient, seen.discriminator_gradient) > 1e4
        ),
        lambda seen: (
            f"logits or gradients grow without limit (real logits {seen.real_logit:.3g} ± "
            f"{seen.real_logit_spread:.3g}, fake logits {seen.fake_logit:.3g} ± {seen.fake_logit_spread:.3g}; "
            f"the discriminator's gradient is {seen.discriminator_gradient:.1e} and its loss "
            f"{seen.discriminator_loss:.3g}, the generator's gradient {seen.generator_gradient:.1e})"
        ),
        f"lower both learning rates, or set {_PENALTY}, or clip_gradients=1",
    ),
    "generator-saturated": _Symptom(
        lambda seen: seen.real_between > 0.1 and seen.fake_between < 0.5 * seen.real_between,
        lambda seen: (
            f"the samples are hard black and white, in blots or stripes: {1 - seen.fake_between:.0%} of their numbers "
            f"are close to -1 or 1 (real images: at most {1 - seen.real_between:.0%})"
        ),
        "lower both learning rates",
    ),
    "white-noise": _Symptom(
        lambda seen: seen.real_smoothness > 0.5 and seen.fake_smoothness < 0.35 * seen.real_smoothness,
        lambda seen: (
            f"the samples look like noise: neighbouring pixels agree by {seen.fake_smoothness:.2f} (in real "
            f"images by {seen.real_smoothness:.2f})"
        ),
        "train longer if it has just begun; else lower generator_lr, or use the block resize-up",
    ),
    "one-image": _Symptom(
        lambda seen: seen.real_variety < 0.01,
        lambda seen: f"the real images are nearly all alike: they differ by {seen.real_variety:.2g} on average",
        "look at the data with `ganzoo data`: is it one image many times?",
    ),
}


def diagnose(seen: Snapshot, memory: dict[str, Any]) -> list[Finding]:
    """The new findings of this check; `memory`, of JSON types, is changed and kept in checkpoints."""
    checks = memory["checks"] = memory.get("checks", 0) + 1
    earlier = memory.get("variety", 0.0), memory.get("label_variety", 0.0)
    seen = replace(seen, earlier_variety=earlier[0], earlier_label_variety=earlier[1])
    memory["variety"] = max(earlier[0], seen.fake_variety)
    memory["label_variety"] = max(earlier[1], seen.fake_label_variety)
    findings = []
    made_wrong = any(symptom.made_wrong and symptom.shows(seen) for symptom in SYMPTOMS.values())
    for name, symptom in SYMPTOMS.items():
        noted = memory.setdefault(name, {"count": 0, "said": False})
        shows = symptom.shows(seen) if symptom.made_wrong else checks > FIRST_CHECKS and symptom.shows(seen)
        noted["count"] = min(noted["count"] + 1, 2 * PATIENCE) if shows else max(0, noted["count"] - 1)
        if made_wrong and not symptom.made_wrong:
            continue
        if noted["count"] >= (1 if symptom.made_wrong else PATIENCE) and not noted["said"]:
            noted["said"] = True
            findings.append(Finding(name, seen.step, symptom.text(seen), symptom.advice))
        elif noted["count"] == 0:
            noted["said"] = False
    return findings


class Doctor(Callback):
    """Says what goes wrong, and stops a run on mode collapse if that is set; on the main process."""

    def __init__(self, folder: Path, diagnostics: Diagnostics, state: TrainingState, note: Note) -> None:
        self._folder, self._diagnostics, self._state, self._note = folder, diagnostics, state, note
        self.collapsed = False

    def on_step(self, run: Run) -> None:
        if run.due(run.settings.doctor_every):
            for found in diagnose(self._diagnostics(self._state), self._state.memory):
                said = f"Step {found.step:,}, {found.name}: {found.text}. Try: {found.advice}."
                if advised := remedy(self._folder, found.name, found.step, run.settings):
                    self._state.memory.setdefault("advised_steps", {})[found.name] = advised[0]  # it is kept
                    said += f" Command: {advised[1]}"
                say(said)
                self._note({"step": found.step, "remark": found.name, "text": found.text, "advice": found.advice})
                if found.name == "mode-collapse" and run.settings.stop_on_collapse:
                    self.collapsed = True
                    run.stop("mode collapse")
