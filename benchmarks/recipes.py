"""Which recipe is best? Each is trained for equal minutes and measured by the project's own evaluator.

    python benchmarks/recipes.py fashion-mnist --minutes 5 --output results [--seeds 0 1 2] [ARM ...]
    python benchmarks/recipes.py fashion-mnist --images 384000 --output results [ARM ...]
    python benchmarks/recipes.py --table results          (benchmarks/results: those of docs/experiments.md)
    python benchmarks/recipes.py families --minutes 0.2 --device cuda --train-only --output trained --data pictures/
    python benchmarks/recipes.py families --measure --output trained --data pictures/

An arm is a preset with changes. A short trial tells how many steps it makes in a second, and its number of steps
follows, so that what decays by the step decays within the minutes; with `--images` all arms see as many, for recipes
whose speed hardly differs on a machine whose own does. One line for each run is added to
`results/recipes.jsonl`; a run that stands there already is not made again. To use two cores well, start two with
OMP_NUM_THREADS=1 and different arms: all arms then have one core each.

`families` are the four families on the four sets of pictures; `pictures/` may hold the sets as garments.zip,
sprites.zip, emoji.zip and cifar10.zip. With `--train-only` a machine with a GPU does what only a GPU can: it writes the
generators, in half precision, and `trained.jsonl`. Any other machine measures them later, with `--measure`.
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


def families(
    size: int, channels: int, dcgan: dict[str, Any], stages: int, **settings: Any
) -> dict[str, dict[str, Any]]:
    """One arm a family, each a preset brought to `size` pixels, as wide as a CPU can train it, with `settings`.

    `stages` double: R3GAN's widths are twice as many from stage to stage, SNGAN's all alike (half the paper's).
    """
    image = {"size": size, "generator.image_channels": channels, "keep": "last", **settings}
    sngan = {"preset": "cifar10-sngan", "ema_half_life": 20_000, **image}
    sngan |= {"generator.widths": (128,) * (stages + 1), "discriminator.widths": (64,) * max(2, stages - 1)}
    r3gan = {"preset": "fashion-mnist-r3gan", "ema_half_life": 20_000, **image}
    for network in ("generator", "discriminator"):
        r3gan[f"{network}.widths"] = tuple((16 if size > 32 else 32) * 2**stage for stage in range(stages, -1, -1))
        r3gan[f"{network}.start_size"] = size // 2**stages
    few_shot = {"preset": "few-shot-64", **image}
    return {
        "dcgan": {**dcgan, **image},
        "sngan": sngan,  # averaged, half as wide as the paper's
        "sngan-one-step": {**sngan, "discriminator_steps": 1, **falling("linear", 1e-4, 4e-4)},
        "r3gan": r3gan,
        "few-shot": few_shot,
        "few-shot-ada": {**few_shot, "augmentations": ("ada",)},
    }


SETS = {"garments": "fashion-mnist", "sprites": "pokemon", "emoji": "emoji", "cifar10": "hf:uoft-cs/cifar10"}
FAMILIES = ("dcgan", "sngan", "r3gan", "few-shot")  # the arms that `families` compares
GARMENTS = families(28, 1, {"preset": "fashion-mnist"}, 2)
SPRITES = families(64, 3, {"preset": "pokemon-64"}, 4, flip=True)
EMOJI = families(64, 3, {"preset": "pokemon-64"}, 4, flip=False)
WIDER = {"generator.widths": (256, 128, 64), "discriminator.widths": (64, 128, 256)}
CIFAR = families(32, 3, {"preset": "pokemon-64", **WIDER}, 3, flip=True)
CLASSES = {"generator.num_classes": 10, "clusters": 0}


ARMS: dict[str, dict[str, dict[str, Any]]] = {  # changes of the preset, as --set takes them
    "garments": {**GARMENTS, "dcgan-quick": {"preset": "fashion-mnist-quick"}},
    "sprites": SPRITES,
    "emoji": EMOJI,
    "cifar10": {
        **CIFAR,
        "dcgan-conditional": {**CIFAR["dcgan"], **CLASSES},
        "r3gan-conditional": {**CIFAR["r3gan"], **CLASSES},
    },
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
        "pixels": {"cluster_by": "pixels"},
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
}
for group, arms in ARMS.items():
    if group in ganzoo.PRESETS:
        arms["preset"] = {}  # as it is


class Speed(Callback):
    """Stops a run once its steps, but for the first ones, have taken `seconds`, and knows their number in a second."""

    def __init__(self, seconds: float, device: str) -> None:
        self.seconds, self.ends = seconds, []
        self.every = 20 if device == "cuda" else 1  # a GPU works behind: waiting for it at every step would slow it

    def on_step(self, run) -> None:
        if run.step % self.every:
            return
        if self.every > 1:
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        if len(self.ends) > 4 and self.ends[-1] - self.ends[2] > self.seconds:
            run.stop("timed")

    @property
    def steps_a_second(self) -> float:
        return self.every * (len(self.ends) - 3) / (self.ends[-1] - self.ends[2])


def arm_facts(group: str, arm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """What tells a run from all others: one with the same facts needn't be made again."""
    preset = ARMS[group][arm].get("preset", group)
    facts = {"group": group, "preset": preset, "version": ganzoo.PRESETS[preset].version, "arm": arm, "seed": seed}
    if options.images:
        return facts | {"minutes": 0, "asked": options.images}
    return facts | {"minutes": options.minutes, **hardware(options)}


def hardware(options: argparse.Namespace) -> dict[str, Any]:
    """On what a run is trained."""
    return {"machine": name_of(options.device), "threads": torch.get_num_threads()}


def images_of(facts: dict[str, Any], options: argparse.Namespace) -> str:
    """The images of a run, as `open_data` takes them."""
    if options.data and options.group != "families":
        return options.data
    group, usual = facts["group"], ganzoo.PRESETS[facts["preset"]].data
    found = Path(options.data or "") / f"{group}.zip"
    return str(found.absolute()) if found.is_file() else SETS.get(group, usual)


def build(group: str, arm: str, seed: int) -> tuple[ganzoo.GAN, ganzoo.Settings]:
    """The fresh networks of an arm, and its settings."""
    changes: dict[str, dict[str, Any]] = {"": {}, "generator": {}, "discriminator": {}}
    for key, value in ARMS[group][arm].items():
        place, _, name = key.rpartition(".")
        changes[place][name] = value
    settings = {"seed": seed, "checkpoint_every": 0, "sample_every": 0, "report_every": 0, "doctor_every": 0}
    settings |= changes.pop("")
    preset, size = settings.pop("preset", group), settings.pop("size", None)
    base = ganzoo.PRESETS[preset].settings.replace(settings)
    return ganzoo.create(preset, size, **changes, seed=seed, clusters=base.clusters), base


def train(facts: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train one arm, into a folder of `options.output`; what is known of it then."""
    group, arm, seed, folder = facts["group"], facts["arm"], facts["seed"], options.output
    data = images_of(facts, options)
    _, base = build(group, arm, seed)
    batch_size = 8 if options.quick else base.batch_size

    def trainer(output: Path, *callbacks: Callback, **settings: Any) -> ganzoo.Trainer:
        gan, base = build(group, arm, seed)
        base = base.replace({**settings, "batch_size": batch_size})
        return ganzoo.Trainer(
            gan, data, output, settings=base, callbacks=callbacks, progress=False, device=options.device, overwrite=True
        )

    steps = options.images // batch_size
    if not steps:
        speed, probe = Speed(min(30, 6 * options.minutes), options.device), folder / "probe" / name_of_run(facts)
        trainer(probe, speed, steps=100_000, score_every=0).fit()
        shutil.rmtree(probe)
        steps = 2 if options.quick else max(10, int(speed.steps_a_second * options.minutes * 60))
    start = time.perf_counter()
    score_every = max(100, steps // 10) if base.keep == "best" else 0
    result = trainer(folder / name_of_run(facts), steps=steps, score_every=score_every).fit()
    if not result.finished:
        raise SystemExit(130)
    seconds = time.perf_counter() - start
    return {**facts, **hardware(options), "steps": steps, "images": steps * batch_size, "seconds": round(seconds)}


def name_of_run(facts: dict[str, Any]) -> str:
    return f"{facts['group']}-{facts['arm']}-{facts['seed']}"


def keep_generator(facts: dict[str, Any], folder: Path) -> None:
    """Leave of a run's folder one file, its generator in half precision."""
    run = folder / name_of_run(facts)
    half = ganzoo.from_pretrained(str(run)).save_pretrained(run / "half", dtype="float16")
    (half / "model.safetensors").replace(folder / f"{run.name}.safetensors")
    shutil.rmtree(run)


def measure(trained: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What is known of a run, and its figures."""
    source = options.output / name_of_run(trained)
    if not source.is_dir():
        source = source.with_name(f"{source.name}.safetensors")
    given = {"samples": options.samples, "features": options.features}
    found = ganzoo.evaluate(str(source), images_of(trained, options), **given, classes=False, memorised=False)
    figures = {name: round(found.scores[name].value, 6) for name in FIGURES}
    return {**trained, "features": found.features, **figures}


def table(results: list[dict]) -> str:
    """Means over seeds (± their standard deviation), best first, as Markdown."""
    groups: dict[tuple, list[dict]] = {}
    for line in results:
        length = f"{line['minutes']:g} min" if line["minutes"] else f"{line['images'] / 1000:,.0f} k images"
        machine = line.get("machine", "") if line["minutes"] else ""  # equal images are alike but for rounding
        group = line.get("group", line["preset"])
        groups.setdefault((group, line["version"], length, machine, line["arm"]), []).append(line)
    rows = ["| of | version | length | machine | arm | runs | images | " + " | ".join(FIGURES) + " |"]
    rows.append("|---" * (7 + len(FIGURES)) + "|")

    def place(item: tuple[tuple, list[dict]]) -> tuple:
        group, _, *length, _ = item[0]
        return group, *length, statistics.mean(line["FD"] for line in item[1])

    for (*facts, arm), lines in sorted(groups.items(), key=place):
        figures = [_mean([line[name] for line in lines if name in line]) for name in FIGURES]
        images = f"{statistics.mean(line['images'] for line in lines) / 1000:,.0f} k"
        rows.append(f"| {' | '.join([*map(str, facts), arm, str(len(lines)), images, *figures])} |")
    return "\n".join(rows)


def _mean(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}" if values else ""


FIGURES = ("FD", "KD", "precision", "recall", "density", "coverage", "variety")


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def add_line(file: Path, line: dict[str, Any]) -> None:
    with file.open("a") as opened:
        opened.write(json.dumps(line) + "\n")


def wanted(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that are asked for."""
    if options.measure:
        return lines_of(options.output / "trained.jsonl")
    groups = SETS if options.group == "families" else [options.group]
    usual = FAMILIES if options.group == "families" else ARMS[options.group]
    arms = options.arms or usual
    return [arm_facts(group, arm, seed, options) for seed in options.seeds for group in groups for arm in arms]


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("group", nargs="?", choices=["families", *sorted(ARMS)])
    parser.add_argument("arms", nargs="*")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--images", type=int, default=0, help="that every arm sees, in place of minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--features")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--data", help="the preset's own by default; of families: a folder of sets")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--train-only", action="store_true", help="keep generators, to be measured with --measure")
    parser.add_argument("--measure", action="store_true", help="measure what --train-only left in --output")
    parser.add_argument("--quick", action="store_true", help="a few steps of 8 images, to try the script")
    parser.add_argument("--table", type=Path)
    options = parser.parse_intermixed_args(words)
    if options.quick:
        options.minutes = 1e-4
    return options


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    kept = (options.table or options.output) / "recipes.jsonl"
    if options.table:
        print(table(lines_of(kept)))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    if options.train_only:
        kept = options.output / "trained.jsonl"
    for facts in wanted(options):
        if any(facts.items() <= line.items() for line in lines_of(kept)):
            continue
        line = facts if options.measure else train(facts, options)
        if options.train_only:
            keep_generator(line, options.output)
            print(f"{name_of_run(line)}: {line['steps']:,} steps in {line['seconds']} s", flush=True)
        else:
            line = measure(line, options)
            print(table([line]).splitlines()[-1], flush=True)
        add_line(kept, line)


if __name__ == "__main__":
    main()
