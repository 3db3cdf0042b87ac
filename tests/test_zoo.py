"""Bundled models are what their cards say: the figures are of these weights, and measured again they come out so."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganzoo
from ganzoo.cli import run
from ganzoo.data import fashion
from ganzoo.evaluation.result import Evaluation
from ganzoo.saving.resolve import bundled_models
from ganzoo.saving.results import EVALUATION, evaluated, weights_hash
from ganzoo.text import with_spread

MODELS = bundled_models()
LARGEST, ALL = 8e6, 45e6  # bytes: of a model without its discriminator, and of the wheel
DOCS = Path(__file__).parent.parent / "docs"
REAL = any((place / "train-labels-idx1-ubyte.gz").is_file() for place in fashion.places(""))
LICENCES = {"fashion": "MIT", "pokemon": "© The Pokémon Company", "emoji": "Apache-2.0"}  # of the images
each = pytest.mark.parametrize("name", MODELS)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def facts(name: str) -> dict:
    return json.loads((MODELS[name] / EVALUATION).read_text())


@each
def test_it_is_small(name):
    assert size(MODELS[name]) - size(MODELS[name] / "discriminator") <= LARGEST


def test_all_fit_into_the_wheel():
    assert sum(map(size, MODELS.values())) <= ALL


@each
def test_its_figures_are_of_these_very_weights(name):
    assert facts(name)["weights"] == weights_hash(MODELS[name])


@each
def test_its_card_tells_figures_commands_licence_and_no_path(name):
    card = (MODELS[name] / "README.md").read_text().replace("\\_", "_").replace("\\#", "#")
    for figure in evaluated(MODELS[name], MODELS[name]):
        assert f"| {figure.name.partition('(')[0]} | {with_spread(figure.value)}" in card
        assert f" of {figure.features}," in card
    assert ("A baseline, to compare with: a GAN that draws" in card) is ganzoo.PRESETS[name].baseline
    assert weights_hash(MODELS[name]) in card and f'from_pretrained("{name}")' in card
    assert f"ganzoo train {name}" in card and f"ganzoo evaluate {name}" in card
    assert LICENCES[name.partition("-")[0]] in card
    assert "Whoever trained them" not in card
    assert not re.search(r"(?<![\w.:/])/(work|tmp|home|root|usr)\b", card)


@each
def test_its_grid_shows_the_samples_of_seed_0(name):
    shown = np.asarray(Image.open(MODELS[name] / "samples/grid.png").convert("RGB"), dtype=float)
    drawn = ganzoo.images.grid(ganzoo.from_pretrained(name).sample(64, seed=0), columns=8).convert("RGB")
    assert shown.shape == np.asarray(drawn).shape
    assert np.abs(shown - np.asarray(drawn, dtype=float)).mean() < 1


@pytest.mark.parametrize(
    ("picture", "name", "count", "columns", "scale"),
    [
        ("garments-beside-real", "fashion-mnist", 24, 6, 3),
        ("sprites", "pokemon-64", 12, 6, 2),
        ("emoji", "emoji-64", 12, 6, 2),
    ],
)
def test_a_picture_of_readme_begins_with_the_samples_of_seed_0(picture, name, count, columns, scale):
    shown = np.asarray(Image.open(DOCS / f"pictures/{picture}.png").convert("RGB"), dtype=float)
    samples = ganzoo.from_pretrained(name).sample(count, seed=0)
    drawn = np.asarray(ganzoo.images.grid(samples, columns=columns, scale=scale).convert("RGB"), dtype=float)
    assert np.abs(shown[:, : drawn.shape[1]] - drawn).mean() < 1


def test_list_zoo_shows_size_and_figures(capsys):
    assert run(["list", "zoo"]) == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"^{name}( \(baseline\))? +\d\.\d +[\d.]+ ", told, re.MULTILINE) for name in MODELS)
    assert not re.search(r"\de-\d", told)  # small figures have no exponent


@pytest.mark.parametrize("what", ["zoo", "presets"])
def test_baselines_are_called_so_wherever_they_are_listed(capsys, what):
    assert run(["list", what]) == 0
    told = {line.split()[0] for line in capsys.readouterr().out.splitlines() if "baseline" in line}
    assert told == {"fashion-mnist-d2l", "pokemon-64-d2l"}


@each
def test_models_carry_their_discriminator_and_baselines_do_not(name):
    assert (MODELS[name] / "discriminator").is_dir() is not ganzoo.PRESETS[name].baseline


def check(found: Evaluation, stored: dict) -> None:
    """Rounding differs from machine to machine, and thus which images are neighbours, at the third digit."""
    spread = {figure["name"]: figure for figure in stored["figures"]}
    for figure in found.figures():
        was = spread[figure["name"]]
        tolerance = max(was.get("spread") or 0, 0.02 * abs(was["value"]), 0.002)
        assert figure["value"] == pytest.approx(was["value"], abs=tolerance), figure["name"]


@pytest.mark.nightly
@pytest.mark.real_data
@pytest.mark.skipif(not REAL, reason="the real Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
@pytest.mark.parametrize("name", [name for name in MODELS if "fashion" in name])
def test_measured_again_the_figures_come_out_as_stored(name):
    stored = facts(name)
    found = ganzoo.evaluate(ganzoo.from_pretrained(name), "fashion-mnist", samples=stored["samples"], memorised=False)
    check(found, stored)
    if not ganzoo.PRESETS[name].baseline:
        assert all(0.07 <= quality.share <= 0.13 for quality in found.classes)


@pytest.mark.nightly
@pytest.mark.skipif("GANZOO_POKEMON" not in os.environ, reason="GANZOO_POKEMON and GANZOO_LITE0 name no files")
@pytest.mark.parametrize("name", [name for name in MODELS if "pokemon" in name])
def test_measured_again_the_figures_of_sprites_come_out_as_stored(name):
    stored, features = facts(name), f"timm:tf_efficientnet_lite0?weights={os.environ['GANZOO_LITE0']}"
    gan, data = ganzoo.from_pretrained(name), os.environ["GANZOO_POKEMON"]
    check(ganzoo.evaluate(gan, data, samples=stored["samples"], features=features, memorised=False), stored)
