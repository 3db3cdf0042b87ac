"""benchmarks/recipes.py: families and variants of presets, trained for as long and measured alike."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.evaluation import Features

SPEC = importlib.util.spec_from_file_location("recipes", Path(__file__).parents[1] / "benchmarks" / "recipes.py")
recipes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(recipes)

TOY = {
    "preset": "fashion-mnist",
    "size": 8,
    "clusters": 0,
    "generator.widths": (4, 4),
    "discriminator.widths": (4,),
    "discriminator.last_blocks": (),
    "batch_size": 8,
}


@pytest.mark.parametrize("group", ["garments", "sprites", "emoji", "cifar10"])
def test_every_family_can_be_made_for_every_set_of_pictures(group):
    sizes = {"garments": 28, "cifar10": 32}
    for arm in recipes.ARMS[group]:
        gan, settings = recipes.build(group, arm, seed=0)
        assert gan.image_size == gan.discriminator.image_size == sizes.get(group, 64), arm
        assert settings.keep == "last", arm


def test_families_are_the_four_on_each_set_of_pictures(tmp_path):
    (tmp_path / "emoji.zip").touch()
    options = recipes.parse(["families", "--data", str(tmp_path)])
    asked = recipes.wanted(options)
    assert [(each["group"], each["arm"]) for each in asked] == [
        (group, arm) for group in recipes.SETS for arm in ("dcgan", "sngan", "r3gan", "few-shot")
    ]
    images = {each["group"]: recipes.images_of(each, options) for each in asked}
    assert images == {**recipes.SETS, "emoji": str(tmp_path / "emoji.zip")}


@pytest.mark.parametrize("length", [("--images", "64", "--seeds", "0", "1"), ("--quick",)])
def test_recipes_train_measure_and_write_one_line_for_each_run(tmp_path, monkeypatch, capsys, length):
    pixels = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    monkeypatch.setitem(recipes.ARMS, "toy", {"tiny": TOY})
    images = torch.randint(0, 256, (220, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = Features("acme.pixels", 8, 1, 4, "1", pixels)
    with (
        ganzoo.FEATURES.temporarily("acme.pixels", lambda: features),
        ganzoo.SOURCES.temporarily("acme.noise", lambda: images),
    ):
        words = ["toy", "--data", "acme.noise", "--features", "acme.pixels", "--samples", "100", *length]
        words += ["--output", str(tmp_path)]
        if "--quick" in length:  # in two steps, perhaps on two machines
            recipes.main([*words, "--train-only"])
            assert {path.name for path in tmp_path.iterdir()} >= {"trained.jsonl", "toy-tiny-0.safetensors"}
            words.append("--measure")
        recipes.main(words)
        recipes.main(words)  # all is done
    lines = [json.loads(line) for line in (tmp_path / "recipes.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == ([0, 1] if "--seeds" in length else [0])
    assert all(line["images"] == 8 * line["steps"] and line["FD"] > 0 for line in lines)
    capsys.readouterr()
    recipes.main(["--table", str(tmp_path)])
    assert f"| tiny | {len(lines)} | 0 k |" in capsys.readouterr().out
