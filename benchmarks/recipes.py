"""Which recipe is best? Each is trained for equal minutes and measured by the project's own evaluator.

    python benchmarks/recipes.py fashion-mnist --minutes 5 --output results [--seeds 0 1 2] [ARM ...]
    python benchmarks/recipes.py fashion-mnist --steps 6000 --output results [ARM ...]
    python benchmarks/recipes.py --table results          (benchmarks: those of docs/experiments.md)

An arm is a preset with changes. A short trial tells how many steps it makes in a second, and its number of steps
follows, so that what decays by the step decays within the minutes; with `--steps` all arms make as many, for recipes
whose speed hardly differs on a machine whose own does. One line for each run is added to
`results/results.jsonl`; a run that stands there already is not made again. To use two cores well, start two with
OMP_NUM_THREADS=1 and different arms: all arms then have one core each.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import ganzoo
from ganzoo.hardware import name_of
from ganzoo.training import Callback

USUAL = {
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "batch_size": 64,
    "ema_half_life": 0,
    "precision": "float32",
    "speed": "exact",
    "loss": "non-saturating",
    "clusters": 0,
    "discriminator.last_blocks": (),
    "mismatched_labels": 0.0,
    "keep": "best",
    "penalties": (),
    "augmentations": (),
    "flip": False,
    "generator.block": "dcgan-up",
    "discriminator.norm": "batch",
}
FAST = {**USUAL, "precision": "auto", "speed": "auto", "ema_half_life": 20_000}
SMALL = {"generator.widths": (128, 64), "discriminator.widths": (64, 128)}  # for 28x28
FASHION = {**FAST, **SMALL, "generator_lr": 1e-3, "discriminator_lr": 1e-3}
HALF = {"generator.widths": (256, 128, 64, 32), "discriminator.widths": (32, 64, 128, 256)}  # 64x64
POKEMON = {**FAST, **HALF, "generator_lr": 5e-4, "discriminator_lr": 5e-4, "flip": True}
R1 = {"discriminator.norm": "none", "penalties": ("r1(weight=0.1,every=8)",)}


def falling(schedule: str, generator: float, discriminator: float) -> dict[str, str]:
    """Learning rates that fall to 0 until the last step."""
    return {
        "generator_lr": f"{schedule}(start={generator})",
        "discriminator_lr": f"{schedule}(start={discriminator})",
    }


EVERY_AUGMENTATION = ("color", "translation", "cutout")

ARMS: dict[str, dict[str, dict[str, Any]]] = {  # changes of the preset, as --set takes them
    "fashion-mnist": {
        "usual": {**USUAL, **SMALL},
        "plain": FASHION,
        "cosine": {**FASHION, **falling("cosine", 1e-3, 1e-3)},
        "linear": {**FASHION, **falling("linear", 1e-3, 1e-3)},
        "relativistic": {**FASHION, "loss": "relativistic"},
        "half-g": {**FASHION, "generator_lr": 5e-4},
        "half-d": {**FASHION, "discriminator_lr": 5e-4},
        "half-both": {**FASHION, "generator_lr": 5e-4, "discriminator_lr": 5e-4},
        "double-g": {**FASHION, "generator_lr": 2e-3},
        "quad-g": {**FASHION, "generator_lr": 4e-3},
        "quad-g-double-d": {**FASHION, "generator_lr": 4e-3, "discriminator_lr": 2e-3},
        "quad-g-r1": {**FASHION, **R1, "generator_lr": 4e-3},
        "double-both": {**FASHION, "generator_lr": 2e-3, "discriminator_lr": 2e-3},
        "batch-128": {**FASHION, "batch_size": 128},
        "wide-g": {**FASHION, "generator.widths": (256, 128)},
        "wide-d": {**FASHION, "discriminator.widths": (128, 256)},
        "wide-both": {**FASHION, "generator.widths": (256, 128), "discriminator.widths": (128, 256)},
        "narrow-both": {**FASHION, "generator.widths": (64, 32), "discriminator.widths": (32, 64)},
        "d-none": {**FASHION, "discriminator.norm": "none"},
        "d-none-r1": {**FASHION, **R1},
        "no-classes": {"clusters": 0, "mismatched_labels": 0.0},
        "hidden-16": {"clusters": 16, "mismatched_labels": 0.0},
        "hidden-64": {"mismatched_labels": 0.0},
        "hidden-256": {"clusters": 256, "mismatched_labels": 0.0},
        "hidden-256-wrong": {"clusters": 256},
        "wrong-half": {"mismatched_labels": 0.5},
        "equal-rates": {"generator_lr": "cosine(start=1e-3)"},
        "shape": {"cluster_by": "shape"},
        "hinge": {"loss": "hinge"},
        "preset-relativistic": {"loss": "relativistic"},
        "not-averaged": {"ema_half_life": 0},
        "translation": {"augmentations": ("translation",)},
        "shift-1": {"augmentations": ("translation(strength=0.3)",)},  # by a pixel at most
        "d-spectral": {"discriminator.norm": "spectral"},
        "r1-r2": {**R1, "penalties": (*R1["penalties"], "r2(weight=0.1,every=8)")},
        "resize-up": {"generator.block": "resize-up"},
        "pixelshuffle-up": {"generator.block": "pixelshuffle-up"},
        "residual-up": {"generator.block": "residual-up"},
        "two-last": {"discriminator.last_blocks": ("dcgan-same", "dcgan-same")},
        "no-last": {"discriminator.last_blocks": ()},
        "last-attention": {"discriminator.last_blocks": ("self-attention",)},
        "wide": {"generator.widths": (256, 128)},
        "two-step-head": {"generator.head_channels": 32},
        "wide-head": {"generator.widths": (256, 128), "generator.head_channels": 64},
        "beta1-0": {"beta1": 0.0, "beta2": 0.99},
    },
    "pokemon-64": {
        "usual": {**USUAL, "generator.widths": (512, 256, 128, 64), "discriminator.widths": (64, 128, 256, 512)},
        "plain": POKEMON,
        "cosine": {**POKEMON, **falling("cosine", 5e-4, 5e-4)},
        "relativistic": {**POKEMON, "loss": "relativistic"},
        "hinge": {**POKEMON, "loss": "hinge"},
        "translation": {**POKEMON, "augmentations": ("translation",)},
        "all-augmentations": {**POKEMON, "augmentations": EVERY_AUGMENTATION},
        "double-g": {**POKEMON, "generator_lr": 1e-3},
        "quad-g": {**POKEMON, "generator_lr": 2e-3},
        "slow-d": {**POKEMON, "discriminator_lr": 2e-4},
        "double-both": {**POKEMON, "generator_lr": 1e-3, "discriminator_lr": 1e-3},
        "d-none-r1": {**POKEMON, **R1},
        "d-spectral": {**POKEMON, "discriminator.norm": "spectral"},
        "no-classes": {"clusters": 0, "mismatched_labels": 0.0, "generator_lr": "cosine(start=5e-4)"},
        "equal-rates": {"generator_lr": "cosine(start=5e-4)"},
        "last-same": {"discriminator.last_blocks": ("dcgan-same",)},
        "not-augmented": {"augmentations": ()},
        "two-step-head": {"generator.head_channels": 16},
        "double-rates": falling("cosine", 4e-3, 1e-3),
        "hidden-256": {"clusters": 256},
        "shape-32": {"cluster_by": "shape", "batch_size": 32},
        "resize-up": {**POKEMON, "generator.block": "resize-up"},
        "residual-up": {**POKEMON, "generator.block": "residual-up"},
        "narrow-both": {
            **POKEMON,
            "generator.widths": (128, 64, 32, 16),
            "discriminator.widths": (16, 32, 64, 128),
        },
    },
    "fashion-mnist-quick": {
        "batch-64": {"batch_size": 64},
        "head-at-once": {"generator.head_channels": 0},
        "head-at-once-64": {"generator.head_channels": 0, "batch_size": 64},
        "equal-rates": {"generator_lr": "cosine(start=1e-3)"},
        "hidden-16": {"clusters": 16},
    },
    "fashion-mnist-conditional": {
        "no-wrong": {"mismatched_labels": 0.0},
        "hidden-16-no-wrong": {"clusters": 16, "mismatched_labels": 0.0},
    },
    "fashion-mnist-d2l": {},
    "pokemon-64-d2l": {},
    "pokemon-64-projected": {},
}
for arms in ARMS.values():
    arms["preset"] = {}  # as it is


class Moments(Callback):
    """Notes when each line of the log is written."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_log(self, run, entry) -> None:
        self.seconds.append(time.perf_counter())


def run_arm(preset: str, arm: str, seed: int, options: argparse.Namespace) -> dict:
    """Train and measure one arm; its figures."""
    folder, data = options.output, options.data or ganzoo.PRESETS[preset].data
    changes: dict[str, dict[str, Any]] = {"": {}, "generator": {}, "discriminator": {}}
    for key, value in ARMS[preset][arm].items():
        place, _, name = key.rpartition(".")
        changes[place][name] = value
    base = ganzoo.PRESETS[preset].settings.replace(**changes.pop(""), seed=seed, checkpoint_every=0, sample_every=0)
    base = base.replace(report_every=0, doctor_every=0)

    def trainer(output: Path, settings: ganzoo.Settings, *callbacks: Callback) -> ganzoo.Trainer:
        gan = ganzoo.create(preset, **changes, seed=seed, clusters=base.clusters)
        return ganzoo.Trainer(gan, data, output, settings=settings, callbacks=callbacks, progress=False, overwrite=True)

    steps = options.steps
    if not steps:
        moments = Moments()
        tried, probe = options.trial_steps, folder / "probe" / f"{arm}-{seed}"
        short = base.replace(steps=tried, score_every=0, log_every=tried // 4)
        trainer(probe, short, moments).fit()
        shutil.rmtree(probe)
        steps = max(10, int(tried // 4 * 3 / (moments.seconds[3] - moments.seconds[0]) * options.minutes * 60))
    output = folder / f"{preset}-{arm}-{seed}"
    start = time.perf_counter()
    result = trainer(output, base.replace(steps=steps, score_every=max(100, steps // 10))).fit()
    if not result.finished:
        raise SystemExit(130)
    seconds = time.perf_counter() - start
    gan = ganzoo.from_pretrained(str(output))
    given = {"samples": options.samples, "features": options.features}
    found = ganzoo.evaluate(gan, data, **given, classes=False, memorised=False)
    figures = {name: getattr(found.scores, name) for name in FIGURES}
    facts = {"preset": preset, "version": ganzoo.PRESETS[preset].version, "arm": arm, "seed": seed}
    facts |= {"minutes": options.minutes, "threads": torch.get_num_threads(), "machine": name_of("cpu")}
    counts = {"steps": steps, "images": steps * base.batch_size, "seconds": round(seconds), "features": found.features}
    return {**facts, **counts, **figures}


def table(results: list[dict]) -> str:
    """Means over seeds, best first, as Markdown."""
    groups: dict[tuple, list[dict]] = {}
    for line in results:
        length = f"{line['minutes']:g} min" if line["minutes"] else f"{line['steps']:,} steps"
        machine = line.get("machine", "") if line["minutes"] else ""  # equal steps are alike but for rounding
        groups.setdefault((line["preset"], line["version"], length, machine, line["arm"]), []).append(line)
    rows = ["| preset | version | length | machine | arm | runs | images | " + " | ".join(FIGURES) + " |"]
    rows.append("|---" * (7 + len(FIGURES)) + "|")
    for (*facts, arm), lines in sorted(
        groups.items(), key=lambda item: (*item[0][:4], statistics.mean(line["frechet"] for line in item[1]))
    ):
        known = [[line[name] for line in lines if name in line] for name in FIGURES]
        means = [f"{statistics.mean(values):.3g}" if values else "" for values in known]
        images = f"{statistics.mean(line['images'] for line in lines) / 1000:,.0f} k"
        cells = [*map(str, facts), arm, str(len(lines)), images, *means]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


FIGURES = ("frechet", "kernel", "precision", "recall", "density", "coverage", "variety")

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("preset", nargs="?", choices=sorted(ARMS))
    parser.add_argument("arms", nargs="*")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--steps", type=int, default=0, help="of every arm, in place of minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--trial-steps", type=int, default=160, help="of the trial for speed; fewer for a slow preset")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--features")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--data", help="the preset's own by default")
    parser.add_argument("--table", type=Path)
    options = parser.parse_intermixed_args()
    if options.steps:
        options.minutes = 0
    if options.table:
        lines = (options.table / "results.jsonl").read_text().splitlines()
        print(table([json.loads(line) for line in lines]))
        raise SystemExit
    options.output.mkdir(parents=True, exist_ok=True)
    kept = options.output / "results.jsonl"
    for seed in options.seeds:
        for arm in options.arms or ARMS[options.preset]:
            done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
            facts = {"preset": options.preset, "version": ganzoo.PRESETS[options.preset].version, "arm": arm}
            facts |= {"seed": seed, "minutes": options.minutes}
            facts |= {"steps": options.steps} if options.steps else {"machine": name_of("cpu")}
            if any(facts.items() <= line.items() for line in done):
                continue
            found = run_arm(options.preset, arm, seed, options)
            with kept.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(table([found]).splitlines()[-1], flush=True)
