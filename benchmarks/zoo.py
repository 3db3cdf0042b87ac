"""Make a bundled model: train its preset, measure what came out, write it into `src/ganzoo/zoo`.

    python benchmarks/zoo.py fashion-mnist
    python benchmarks/zoo.py pokemon-64 --data pokemon.zip --samples 2000 --licence TEXT --features FEATURES

With `--then 18000 '12000 augmentations=translation'` the model is trained on for so many steps, the rates from their
start again, first with the preset's settings and then with these changed, in `runs/NAME-2` and `runs/NAME-3`, and the
last is kept. `--latent-scale 1.2` multiplies the first layer of a DCGAN generator after training, so that latents count
as 1.2 times as long: more variety, less precision (the reverse of truncation, Brock et al. 2019, section 3.1). Run,
figures and pages are left in `runs/NAME` here; begun anew it goes on where it stopped. The weights are kept in half
precision, and it is those that are measured. Paths are best given as seen from here: they stand in the card.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import torch

import ganzoo
from ganzoo.runs.card import run_card
from ganzoo.saving.resolve import bundled_models

GRID = 64  # samples of seed 0
SCALED = """

## After training

The first layer of the generator was multiplied by {scale} after training, as if latents were {scale} times as long.
Samples vary more, and are a little less precise."""


def call(*words: str) -> None:
    """A command of ganzoo, as a user types it, so that it is the user's command that is recorded."""
    subprocess.run([sys.executable, "-m", "ganzoo", *words], check=True)


def train(run: Path, *words: str) -> None:
    """Begin the run, or go on with it."""
    call("train", *(["--resume", str(run)] if (run / "run.json").is_file() else words))


def make(options: argparse.Namespace) -> Path:
    """Train, keep and measure the preset of this name; the folder of the bundled model."""
    name, data = options.name, options.data or ganzoo.PRESETS[options.name].data
    told = ["--licence", options.licence] if options.licence else []
    told += [word for setting in options.set for word in ("--set", setting)]
    run, earlier = Path("runs") / name, []
    train(run, name, "--data", data, *told, *(["--steps", str(options.steps)] if options.steps else []))
    for count, words in enumerate(options.then, 2):
        steps, *settings = words.split()
        earlier.append(run)
        run = Path("runs") / f"{name}-{count}"
        change = [word for setting in settings for word in ("--set", setting)]
        train(run, "--from", f"./{earlier[-1]}", "--data", data, *told, "--steps", steps, "--output", str(run), *change)
    folder = next(iter(bundled_models().values())).parent / name
    gan = ganzoo.from_pretrained(f"./{run}", discriminator=not ganzoo.PRESETS[name].baseline)
    if options.latent_scale != 1:
        with torch.no_grad():
            gan.generator.project.convolution.weight.mul_(options.latent_scale)
    gan.save_pretrained(folder, dtype="float16")
    (folder / "samples").mkdir(exist_ok=True)
    gan = ganzoo.from_pretrained(name)
    ganzoo.images.grid(gan.sample(GRID, seed=0), columns=8).save(folder / "samples/grid.png", optimize=True)
    chosen = ["--features", options.features] if options.features else []
    call("evaluate", name, "--data", data, "--samples", str(options.samples), *chosen)
    shutil.move(f"{name}-evaluation.json", folder / "evaluation.json")
    shutil.move(f"{name}-evaluation.html", run / "evaluation-of-the-bundled.html")
    run_card(run, folder, name, earlier)
    card = folder / "README.md"
    if ganzoo.PRESETS[name].baseline:
        card.write_text(card.read_text().replace("\nA GAN that", "\nA baseline, to compare with: a GAN that"))
    if options.latent_scale != 1:
        said = SCALED.format(scale=options.latent_scale)
        card.write_text(card.read_text().replace("\n\n## Intended use", f"{said}\n\n## Intended use"))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(ganzoo.PRESETS))
    parser.add_argument("--data", help="the preset's own by default")
    parser.add_argument("--features", help="of the evaluation; for grey images fashion-net by default")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--licence", help="of images that are given by a path; stands in the card")
    parser.add_argument("--steps", type=int, help="fewer than the preset's")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as of ganzoo train")
    parser.add_argument("--latent-scale", type=float, default=1.0, help="of the finished generator's first layer")
    parser.add_argument("--then", nargs="+", default=[], metavar="'STEPS [SETTING=VALUE ...]'", help="to train on")
    print(make(parser.parse_args()))
