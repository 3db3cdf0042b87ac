"""The command line: what it does, and what it says when it can't."""

import errno
import gc
import importlib
import io
import json
import math
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path, PureWindowsPath

import pytest
import torch
import typer
from PIL import Image

import ganzoo
from ganzoo.__main__ import main as load_and_run
from ganzoo.cli import _LESS, app, main, run
from ganzoo.integrations.onnx import ExportedONNX

QUICK = ["--set", "batch_size=8", "--set", "log_every=1", "--set", "score_every=0"]
TINY = ["--set", "generator.widths=8,4", "--set", "discriminator.widths=4,8"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    gan.class_names = ("T-shirt/top", "Trouser", *"cdefghij")
    return gan.save_pretrained(tmp_path_factory.mktemp("model") / "saved")


@pytest.fixture(scope="session")
def a_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    data = ["--data", "fashion-mnist-mini", "--output", str(folder), "--steps", "3"]
    assert run(["train", "fashion-mnist", *data, *QUICK, *TINY]) == 0
    return folder


def drawings(folder, count=12):
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (20, 20), (index * 20, 100, 50)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("name", ganzoo.REGISTRIES)
def test_list_shows_all_that_is_registered_with_a_line_of_what_it_is(name, capsys):
    kind = name.lower().replace("_", "-")
    assert run(["list", kind, "--json"]) == 0
    (entries,) = json.loads(capsys.readouterr().out).values()
    typed = ["hf"] * (name == "SOURCES")  # which is no name of the registry
    assert [entry["name"] for entry in entries] == [*getattr(ganzoo, name), *typed]
    assert all(entry["description"] for entry in entries), "an entry does not say what it is"
    assert run(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("(")[0].split()[0] for line in lines if line[0] != " "] == [entry["name"] for entry in entries]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("kind", ["presets", "metrics", "zoo"])
@pytest.mark.parametrize("columns", [20, 40])
def test_a_table_on_a_narrow_terminal_has_every_word_whole(columns, kind, capsys, monkeypatch):
    words = []
    for wide in (200, columns):
        monkeypatch.setenv("COLUMNS", str(wide))
        assert run(["list", kind]) == 0
        words.append(capsys.readouterr().out.split())
    wide, narrow = words
    assert wide == narrow if kind != "zoo" else {*wide} - {"model"} == {*narrow}  # each figure has its title


def test_list_alone_shows_every_kind(capsys):
    assert run(["list"]) == 0
    kinds = [name.lower().replace("_", "-") for name in ganzoo.REGISTRIES]
    assert re.findall(r"^([\w-]+):$", capsys.readouterr().out, re.MULTILINE) == [*kinds, "zoo"]


@pytest.mark.parametrize(
    "kind, name, options",
    [
        ("losses", "minimax", "smoothing=0.0"),
        ("penalties", "r1", "weight=1.0, every=1"),
        ("augmentations", "color", "strength=1.0"),
    ],
)
def test_list_shows_the_options_of_a_name_and_one_line_of_what_it_is(kind, name, options, capsys):
    assert run(["list", kind]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(name))
    assert line.startswith(f"{name}({options})  ")


def test_list_zoo_names_the_bundled_models(capsys):
    assert run(["list", "zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert re.search(r"^model +MB +FD +KD +precision +recall +coverage$", "\n".join(lines), re.MULTILINE)
    assert [line for line in lines if re.match(r"fashion-mnist +[\d.]+ +[\d.]+ ", line)]


def test_data_says_what_is_in_a_set_and_draws_it(here, capsys):
    assert run(["data", "fashion-mnist-mini", "--output", "deep/first.png"]) == 0
    out = capsys.readouterr().out
    assert "2000" in out.replace(",", "") and "Trouser" in out and "28" in out
    assert max(map(len, out.splitlines())) <= 100 and out.count("\n              ") == 1, "the classes take two lines"
    assert Image.open("deep/first.png").size[0] > 28 * 5


def test_data_reads_a_folder_at_another_size(here, capsys):
    drawings(here / "drawings")
    assert run(["data", "./drawings", "--size", "16", "--channels", "1"]) == 0
    assert "12" in capsys.readouterr().out and Path("data.png").exists()


DRAWING = {  # each command that writes a file whose name nobody gave, and that file
    "data.png": ["data", "."],
    "grid.png": ["sample", "{model}", "-n", "2"],
    "walk.png": ["walk", "{run}", "--points", "2", "--steps", "2"],
    "directions.png": ["directions", "{run}", "--count", "1"],
    "arithmetic.png": ["arithmetic", "{run}", "--plus", "1", "--minus", "2"],
    "invert.png": ["invert", "{run}", "one.png", "--steps", "1"],
    "compare.html": ["compare", "{run}", "{run}"],
}


@pytest.mark.parametrize("name", DRAWING)
def test_a_file_of_the_user_s_is_replaced_only_if_it_is_named(name, here, model, a_run, capsys):
    words = [word.format(model=model, run=a_run) for word in DRAWING[name]]
    for own in ("one.png", name):
        Image.new("L", (28, 28)).save(own, "PNG")
    before = Path(name).read_bytes()
    assert run(words) == 2
    said = f"{name} is here already, and ganzoo did not write it; choose a file with --output FILE"
    assert said in capsys.readouterr().err and Path(name).read_bytes() == before
    assert run([*words, "--output", f"./{name}"]) == 0
    assert run(words) == 0, "ganzoo wrote it"
    assert Path(name).read_bytes() != before


def test_sample_draws_a_grid_and_makes_missing_folders(here, model, capsys):
    options = ["--count", "6", "--columns", "3", "--output", "a/b/my grid.png"]
    assert run(["sample", str(model), *options, "--scale", "1"]) == 0
    assert Image.open("a/b/my grid.png").size == (3 * 28 + 4 * 2, 2 * 28 + 3 * 2)
    assert capsys.readouterr().out == "6 images in 'a/b/my grid.png'\n"
    assert run(["sample", str(model), *options]) == 0
    assert Image.open("a/b/my grid.png").size == (4 * (3 * 28 + 4 * 2), 4 * (2 * 28 + 3 * 2))
    assert "each pixel as 4x4 (--scale)" in capsys.readouterr().out


def test_one_sample_is_the_bare_image_which_invert_finds_again(here, capsys):
    assert run(["sample", "fashion-mnist", "-n", "1", "-s", "3", "-o", "one.png"]) == 0
    assert capsys.readouterr().out == "1 image in one.png\n"
    expected = ganzoo.images.to_pil(ganzoo.from_pretrained("fashion-mnist").sample(1, seed=3))[0]
    assert Image.open("one.png").tobytes() == expected.tobytes()
    assert run(["invert", "fashion-mnist", "one.png", "--steps", "60"]) == 0
    assert float(re.search(r"one.png: ([\d.]+) dB", capsys.readouterr().out)[1]) > 15
    assert run(["sample", "fashion-mnist", "-n", "4", "-o", "four.png"]) == 0
    assert run(["invert", "fashion-mnist", "four.png"]) == 2
    assert "four.png is a sheet of several images" in capsys.readouterr().err


@pytest.fixture
def two_splits(tmp_path):
    for split, count in (("train", 12), ("test", 5)):
        for name in ("a", "b"):
            drawings(tmp_path / "set" / split / name, count)
    return ["--data", "set"]


def printed_json(words, capsys):
    """What the command `words` prints, which is JSON and nothing else."""
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_prints_facts_prints_them_as_json(here, a_run, two_splits, capsys, monkeypatch):
    facts = printed_json(["data", "fashion-mnist-mini"], capsys)
    assert (facts["images"], facts["size"], facts["channels"], facts["duplicates"]) == (2000, "28x28", 1, 0)
    assert facts["classes"]["Trouser"] == 200 and Path(facts["picture"]).exists()
    assert run(["sample", str(a_run), "-n", "1", "-o", "one.png"]) == 0
    capsys.readouterr()
    facts = printed_json(["invert", str(a_run), "one.png", "--steps", "2"], capsys)
    assert facts["psnr"]["one.png"] > 0 and Path(facts["picture"]).exists() and facts["label"] is None
    gan, target = ganzoo.from_pretrained(a_run), ganzoo.images.from_pil(Image.open("one.png"))
    drawn = gan.sample(latents=torch.tensor([facts["latents"]["one.png"]]))
    assert 10 * math.log10(4 / (drawn - target).square().mean()) == pytest.approx(facts["psnr"]["one.png"], abs=0.01)
    facts = printed_json(["probe", str(a_run), *two_splits], capsys)
    assert facts["images"] == 24 and 0 <= facts["discriminator"] <= 1 and facts["test_images"] == 10
    done = ExportedONNX(Path("a.onnx"), 9, {"latents": "float32 (N, 4)"}, {"images": "float32 (N, 1)"}, 18, 1e-6)
    monkeypatch.setattr("ganzoo.integrations.onnx.export_onnx", lambda *_, **__: done)
    facts = printed_json(["export", str(a_run)], capsys)
    assert facts["path"] == "a.onnx" and facts["opset"] == 18


def test_json_is_json_whatever_names_it_holds(here, capsys):
    names = ["no\u00a0break", "\U0001f600", "del\x7f", "bidi\u202e"]
    for name in names:
        drawings(here / "set" / name, 1)
    assert [*printed_json(["data", "./set"], capsys)["classes"]] == sorted(names)


def test_long_work_shows_how_far_it_is(here, a_run, two_splits, monkeypatch):
    shown = []

    def noting(parts, what, total, wanted=True):
        shown.append((what, wanted))
        done = [*parts]
        assert len(done) == total
        return done

    for module in ("ganzoo.text", "ganzoo.explore.inversion", "ganzoo.explore.probe"):
        monkeypatch.setattr(importlib.import_module(module), "track", noting)
    assert run(["sample", str(a_run), "-n", "1", "-o", "one.png"]) == 0
    assert run(["invert", str(a_run), "one.png", "--steps", "2"]) == 0
    assert run(["probe", str(a_run), *two_splits]) == 0
    assert all(wanted for _, wanted in shown)
    assert [what.split(":")[0] for what, _ in shown] == [
        *("sampling", "inverting", "discriminator", "discriminator", "untrained", "untrained", "pixels", "pixels")
    ]


def test_a_checkpoint_of_a_run_is_sampled(here, a_run):
    for step in (0, 3):
        assert run(["sample", str(a_run), "-n", "4", "--at", str(step), "-o", f"{step}.png"]) == 0
    assert run(["sample", str(a_run), "-n", "4", "-o", "model.png"]) == 0
    assert run(["sample", str(a_run / "model"), "-n", "4", "--at", "0", "-o", "of-model.png"]) == 0
    start, last, model, named = (Path(f"{name}.png").read_bytes() for name in ("0", "3", "model", "of-model"))
    assert start != last == model and named == start


def test_sample_streams_into_a_folder(here, model):
    assert run(["sample", str(model), "--count", "5", "--folder", "out", "--batch-size", "2", "--fast"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *(f"{index:05}.png" for index in range(5)),
        "labels.csv",
    ]
    assert run(["sample", str(model), "--count", "3", "--folder", "out", "--balanced", "--overwrite"]) == 0
    assert sorted(path.name for path in Path("out").glob("*.png")) == [f"{index:05}.png" for index in range(3)]
    names = "T-shirt/top", "Trouser", "c"
    rows = [f"{index:05}.png,{index},{name}" for index, name in enumerate(names)]
    assert Path("out/labels.csv").read_text().splitlines() == ["file,label,name", *rows]


def test_samples_without_labels_that_replace_others_leave_no_labels(here, model, a_run):
    assert run(["sample", str(model), "--count", "2", "--folder", "out"]) == 0
    assert run(["sample", str(a_run), "--count", "2", "--folder", "out", "--overwrite"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["00000.png", "00001.png"]


def test_a_grid_beside_samples_stays_when_these_are_replaced(here, model):
    assert run(["sample", str(model), "--count", "2", "--folder", "out"]) == 0
    assert run(["sample", str(model), "--count", "2", "--output", "out/grid.png"]) == 0
    assert run(["sample", str(model), "--count", "1", "--folder", "out", "--overwrite"]) == 0
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["00000.png", "grid.png"]


def test_a_folder_that_holds_a_grid_alone_takes_samples(here, a_run):
    assert run(["sample", str(a_run), "--count", "2", "--output", "out/grid.png"]) == 0
    assert run(["sample", str(a_run), "--count", "1", "--folder", "out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["00000.png", "grid.png"]


def test_labels_of_samples_that_are_gone_do_not_stay_beside_others(here, model, a_run):
    assert run(["sample", str(model), "--count", "1", "--folder", "out"]) == 0
    Path("out/00000.png").unlink()
    assert run(["sample", str(a_run), "--count", "1", "--folder", "out"]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["00000.png"]


@pytest.mark.parametrize("name", ["1.png", "00000.png", "cat.png", "labels.csv"])
def test_samples_replace_no_file_of_the_user_s(here, model, capsys, name):
    assert run(["sample", str(model), "--count", "2", "--folder", "out"]) == 0
    own = Path("out", name)
    own.write_text("a,b") if name == "labels.csv" else Image.new("RGB", (9, 9)).save(own)
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    for more in ([], ["--overwrite"]):
        assert run(["sample", str(model), "--count", "1", "--folder", "out", *more]) == 2
        assert f"out holds files that are no samples of ganzoo ({name})" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before


def test_samples_are_replaced_if_that_is_asked_for(here, model, capsys):
    assert run(["sample", str(model), "--count", "2", "--folder", "out"]) == 0
    assert run(["sample", str(model), "--count", "1", "--folder", "out"]) == 2
    assert "out holds samples already (00000.png, ...)" in capsys.readouterr().err


def test_labels_of_samples_are_those_that_the_seed_draws(here, model):
    assert run(["sample", str(model), "--count", "6", "--seed", "4", "--folder", "out"]) == 0
    labels = ganzoo.latents.sample_latents(6, 100, 4, num_classes=10)[1].tolist()
    assert [int(line.split(",")[1]) for line in Path("out/labels.csv").read_text().splitlines()[1:]] == labels
    drawn = ganzoo.images.to_pil(ganzoo.from_pretrained(model).sample(6, seed=4))
    assert [Image.open(f"out/{index:05}.png").tobytes() for index in range(6)] == [each.tobytes() for each in drawn]


def test_sample_takes_a_class_by_name_or_number(here, model):
    for label, name in (("trouser", "a.png"), ("1", "b.png"), ("0", "c.png")):
        assert run(["sample", str(model), "--count", "2", "--label", label, "--output", name]) == 0
    pixels = [Path(name).read_bytes() for name in ("a.png", "b.png")]
    assert pixels[0] == pixels[1]


def test_train_begins_resumes_and_goes_on_from_a_model(here, a_run, capsys):
    assert run(["train", "--resume", str(a_run)]) == 0
    said = capsys.readouterr().err
    assert "is finished" in said and f"To train on from it: ganzoo train --from {a_run} --data DATA" in said
    more = ["--data", "fashion-mnist-mini", "--output", "on", "--steps", "2", *QUICK]
    assert run(["train", "--from", str(a_run), *more]) == 0
    assert ganzoo.from_pretrained("on").config.generator.widths == (8, 4)
    assert run(["sample", "on", "--count", "1"]) == 0
    told = {folder: (Path(folder) / "model" / "README.md").read_text() for folder in ("on", a_run)}
    assert f"| trained on from | {a_run} |" in told["on"] and "trained on from" not in told[a_run]
    assert "Trained on from" in Path("on/report.html").read_text()


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_run_is_not_trained_on_into_its_own_folder(here, a_run, capsys, overwrite):
    before = {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()}
    more = ["--data", "fashion-mnist-mini", "--output", str(a_run), "--steps", "2", *QUICK, *overwrite]
    assert run(["train", "--from", str(a_run), *more]) == 2
    said = capsys.readouterr().err
    assert f"{a_run} holds the model that is trained on; name another folder for the new run" in said
    assert {path: path.read_bytes() for path in a_run.rglob("*") if path.is_file()} == before


def test_going_on_from_a_run_starts_with_the_generator_before_averaging(a_run):
    from ganzoo.training.finetuning import continued

    gan, remarks = continued(a_run)
    assert remarks == []
    averaged = ganzoo.from_pretrained(a_run)
    pairs = zip(gan.generator.parameters(), averaged.generator.parameters())
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_going_on_as_another_size_keeps_what_fits_and_says_what_does_not(here, a_run, capsys):
    folder = drawings(here / "drawings")
    more = ["--data", str(folder), "--output", "on", "--steps", "1", "--size", "56", *QUICK]
    assert run(["train", "--from", str(a_run), *more]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "generator: 12 of 25 tensors kept; new: project" in said and "discriminator: " in said
    assert ganzoo.from_pretrained("on").image_size == 56


def test_set_speaks_of_the_networks_of_the_model_that_one_goes_on_from(here, capsys):
    from ganzoo.models import ProjectedDiscriminator, ProjectedDiscriminatorConfig

    judge = ProjectedDiscriminatorConfig(backbone="test_efficientnet", image_size=32, width=8, image_channels=1)
    generator = ganzoo.create("fashion-mnist", 32, {"widths": (8, 4)}, clusters=0).generator
    ganzoo.GAN(generator, ProjectedDiscriminator(judge)).save_pretrained("projected")
    more = ["--data", "fashion-mnist-mini", "--output", "on", "--steps", "1", *QUICK]
    assert run(["train", "--from", "./projected", *more, "--set", "discriminator.width=4"]) == 0
    assert ganzoo.from_pretrained("on", discriminator=True).config.discriminator.width == 4
    assert run(["train", "--from", "./projected", *more, "--set", "discriminator.widths=4"]) == 2
    assert 'discriminator.widths is unknown. Did you mean "width"' in capsys.readouterr().err


CHANGES = [
    ({"image_size": 56}, {"stages.1": "stages.0", "to_image": "to_image"}, {"stages.0": "stages.0"}),
    ({"generator": {"image_channels": 3}}, {"project": "project", "stages.0": "stages.0"}, {"stages.1": "stages.1"}),
    ({"generator": {"num_classes": 3}}, {"to_image": "to_image"}, {"to_logit": "to_logit"}),
    ({"generator": {"widths": (8, 6)}}, {"project": "project"}, {"stages.0": "stages.0", "stages.1": "stages.1"}),
]


@pytest.mark.parametrize("changes, of_generator, of_discriminator", CHANGES, ids=lambda each: "+".join(map(str, each)))
def test_weights_of_the_same_place_and_shape_are_kept(a_run, changes, of_generator, of_discriminator):
    from ganzoo.training.finetuning import continued

    old, _ = continued(a_run)
    new, remarks = continued(a_run, **changes)
    assert new.sample(2, seed=0).isfinite().all() and remarks
    for name, kept in (("generator", of_generator), ("discriminator", of_discriminator)):
        before, after = getattr(old, name).state_dict(), getattr(new, name).state_dict()
        for there, here in kept.items():
            pairs = [(after[key], before[here + key.removeprefix(there)]) for key in after if key.startswith(there)]
            assert pairs and all(torch.equal(one, other) for one, other in pairs), (name, there)


def test_settings_from_the_command_line_reach_the_run(here):
    changes = ["--set", "penalties=r1(weight=2,every=4),r2", "--set", "flip=yes", "--set", "generator_lr=3e-4"]
    arguments = ["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "run", "--steps", "1"]
    assert run([*arguments, *QUICK, *TINY, *changes]) == 0
    settings = json.loads(Path("run/run.json").read_text())["settings"]
    assert settings["penalties"] == ["r1(weight=2,every=4)", "r2"]
    assert (settings["flip"], settings["generator_lr"], settings["batch_size"]) == (True, 3e-4, 8)


def test_options_of_their_own_reach_the_run(here, capsys):
    options = ["--batch-size", "4", "--seed", "5", "--lr", "1e-3", "--loss", "hinge", "--name", "first"]
    quick = ["--steps", "1", "--set", "score_every=0", *TINY]
    assert run(["train", "fashion-mnist", "--data", "fashion-mnist-mini", *options, *quick]) == 0
    settings = json.loads(Path("runs/first/run.json").read_text())["settings"]
    names = ("batch_size", "seed", "generator_lr", "discriminator_lr", "loss", "steps")
    assert [settings[name] for name in names] == [4, 5, 1e-3, 1e-3, "hinge", 1]
    said = " ".join(capsys.readouterr().err.split())
    start = r"Training fashion-mnist on \w+ \(\w+\): generator of [\d,]+ and discriminator of [\d,]+ parameters; "
    assert re.search(start + r"fashion-mnist-mini: 2,000 images of 1x28x28; batches of 4; steps 1 to 1\.", said), said


def test_a_run_goes_on_for_more_steps_from_the_command_line(here, a_run, capsys):
    shutil.copytree(a_run, "run")
    assert run(["train", "--resume", "run", "--steps", "5", "--lr", "1e-4"]) == 0
    assert "From step 3 on: steps 5 (before: 3), generator_lr 0.0001" in capsys.readouterr().err
    assert run(["train", "--resume", "run", "--at", "3", "--steps", "4"]) == 0
    facts = json.loads(Path("run/run.json").read_text())
    assert facts["settings"]["steps"] == 4 and [each["step"] for each in facts["stretches"]] == [3, 3]


@pytest.mark.parametrize("words", [["--quiet", "train"], ["train", "--quiet"], ["train", "-q"]])
def test_quiet_leaves_results_alone(here, capsys, words):
    assert run([*words, *TRAIN[1:], *QUICK, *TINY]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.splitlines()[0].startswith("model")
    assert run([*words, "fashion-mnits"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


COMMANDS = dict(typer.main.get_command(app).commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_help_has_a_short_sentence_and_examples_that_can_be_typed(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    (said,) = re.findall(rf"^  {name} .*\n(?:    .*\n)*", capsys.readouterr().out, re.MULTILINE)
    assert re.search(r"[a-z]\.$", said.strip()) and "et al" not in said, said
    monkeypatch.setenv("COLUMNS", "100")
    assert COMMANDS[name].epilog, f"{name} has no example"
    for example in COMMANDS[name].epilog.splitlines():
        program, command, *words = shlex.split(example)
        assert program == "ganzoo" and COMMANDS[command].make_context(command, words).params
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100 and f"  {COMMANDS[name].epilog.splitlines()[0]}\n" in text
    blocks = re.split(r"\n(?=  -)", re.split(r"Arguments:|Examples:", text)[-2])
    assert all(block.split("\n\n")[0].rstrip().endswith((".", "]")) for block in blocks[1:]), "no whole sentence"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_the_first_prints_warnings(rank, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr("warnings.formatwarning", None)
    monkeypatch.setattr("ganzoo.cli.run", lambda words: warnings.warn("dark", stacklevel=1) or 0)
    with pytest.raises(SystemExit), warnings.catch_warnings(record=True) as said:
        main(["data", "mixed"])
    assert len(said) == (rank == "0")


def test_remarks_of_pillow_that_name_no_file_are_not_printed(here, monkeypatch):
    (here / "set").mkdir()
    Image.new("RGB", (20, 20)).save("set/a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08")
    monkeypatch.setattr("warnings.formatwarning", None)
    with pytest.raises(SystemExit, match="0"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        main(["data", "./set"])
    assert not [str(each.message) for each in said if "EXIF" in str(each.message)]


TYPED = {  # a line so far: what completes it, and what does not
    "ganzoo dir": ("directions", "evaluate"),
    "ganzoo list pre": ("presets", "losses"),
    "ganzoo train pok": ("pokemon-64", "fashion-mnist"),
    "ganzoo train --from fash": ("fashion-mnist-conditional", "fashion-mnist-quick"),
    "ganzoo train few-shot-64 --data fash": ("fashion-mnist-mini", "emoji"),
    "ganzoo train few-shot-64 --loss rel": ("relativistic", "hinge"),
    "ganzoo sample em": ("emoji-64", "fashion-mnist"),
    "ganzoo show em": ("emoji-64", "fashion-mnist"),
    "ganzoo data em": ("emoji", "fashion-mnist"),
    "ganzoo evaluate emoji-64 --features col": ("color-net", "fashion-net"),
    "ganzoo evaluate emoji-64 --metric prd": ("prdc", "variety"),
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("line", TYPED)
def test_the_shell_completes_commands_and_names(line, shell, capsys, monkeypatch):
    for name, value in {
        "_GANZOO_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": f"{line.count(' ')}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        run([])
    found, other = TYPED[line]
    said = capsys.readouterr().out
    assert re.search(rf"\b{found}\b", said) and not re.search(rf"\b{other}\b", said)


def test_what_the_library_below_prints_to_a_terminal_has_no_codes(capsys, monkeypatch, here):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    with pytest.raises(SystemExit):
        run(["--install-completion"])
    said = capsys.readouterr().out
    assert said.startswith("bash completion installed in ") and "x1b" not in said
    assert "ganzoo_completion" in (here / ".bash_completions" / "ganzoo.sh").read_text()


def test_the_class_of_samples_stands_among_their_other_options(capsys):
    assert run(["sample", "--help"]) == 0
    assert "--label <str>" in capsys.readouterr().out.partition("Images:")[2].partition("One picture:")[0]


def test_train_settings_prints_tables_of_100_columns(capsys):
    assert run(["train", "settings"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert re.search(r"^ema_half_life +10000.0 +half-life of the weight average", said, re.MULTILINE)
    assert (
        re.search(r"^generator.widths +512,256,128,64 +channels", said, re.MULTILINE) and "else float32 (auto," in said
    )
    assert "spectral" in said and "d2l" in said


def test_help_and_version(capsys):
    assert run(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == ganzoo.__version__


def test_the_command_alone_prints_its_help_as_it_is(capsys):
    assert run(["--help"]) == 0
    help_text = capsys.readouterr().out.strip()
    assert run([]) == 2
    said = capsys.readouterr()
    assert said.err.strip() == help_text and not said.out and len(help_text.splitlines()) > 15


def test_the_module_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "ganzoo", "list", "presets"], capture_output=True, text=True)
    assert done.returncode == 0 and "pokemon-64" in done.stdout
    done = subprocess.run([sys.executable, "-m", "ganzoo", "lsit"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_ctrl_c_is_said_and_gives_130(here, model, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ganzoo.GAN, "batches", interrupted)
        assert run(["sample", str(model)]) == 130
        assert capsys.readouterr().err == "ganzoo: interrupted.\n"
    monkeypatch.setattr("ganzoo.cli.main", interrupted)
    with pytest.raises(SystemExit, match="130"):
        load_and_run()
    assert capsys.readouterr().err == "ganzoo: interrupted.\n"


def shell_with(line):
    """What a shell does with `line`, in which G is the command; its output is buffered, as Python does it by itself."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = f'set -o pipefail; G() {{ {shlex.quote(sys.executable)} -m ganzoo "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("line", ["G --version | true", "G list | head -1", "G --version >&-"])
def test_a_reader_that_stops_or_is_not_there_is_no_mistake(line):
    done = shell_with(line)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_onto_a_full_disk_is_one_clear_line():
    done = shell_with("G --version > /dev/full")
    assert done.stderr == "ganzoo: the output: No space left on device; free disk space there.\n"
    assert done.returncode == 2


@pytest.mark.parametrize("words", [["--debug", "sample", "./nowhere"], ["sample", "./nowhere", "--debug"]])
def test_debug_shows_the_traceback(words, capsys):
    assert run(words) == 2
    assert "Traceback" in capsys.readouterr().err


NASTY = "a\x1b[31mb\u202ec\udcff"  # colours a terminal, turns text around, is no character


def test_no_name_of_a_file_reaches_the_terminal_as_a_code(here, capsys):
    drawings(here / NASTY)
    Image.new("RGB", (20, 20)).save(here / NASTY / f"{NASTY}.png")
    assert run(["data", f"./{NASTY}"]) == 0
    assert run(["sample", "fashion-mnist", "--count", "1", "--folder", NASTY + "/out"]) == 0
    assert run(["sample", f"./{NASTY}"]) == 2
    assert run(["--debug", "data", f"./{NASTY}/none"]) == 2
    said = capsys.readouterr()
    assert "\\x1b[31m" in said.out and "\\x1b[31m" in said.err
    assert not [letter for letter in said.out + said.err if not letter.isprintable() and letter not in "\n\t"]


def test_a_library_user_s_message_is_free_of_codes_and_tokens():
    error = ganzoo.errors.HubError(f"{NASTY} and hf_{'x' * 30}")
    assert str(error) == "a\\x1b[31mb\\u202ec\\udcff and ***" and str(error).isprintable()


def test_debug_prints_no_token_of_whatever_cause(here, capsys, monkeypatch):
    ganzoo.errors.keep_secret("my-own-mirror-token")

    def refused(*_, **__):
        secret = "hf_" + "a1B2" * 6
        raise ganzoo.errors.HubError("no") from ValueError(f"header 'Bearer {secret}x' my-own-mirror-token")

    monkeypatch.setattr(ganzoo.pretrained, "from_pretrained", refused)
    assert run(["--debug", "sample", "owner/model"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and "ValueError: header 'Bearer ***' ***" in said and "a1B2" not in said


def test_output_in_letters_that_the_terminal_does_not_know_is_escaped(here):
    drawings(here / "\u0440\u0438\u0441")
    command = [sys.executable, "-m", "ganzoo", "data", "./\u0440\u0438\u0441"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "\\u0440\\u0438\\u0441" in done.stdout, done.stderr


@pytest.mark.parametrize(("platform", "status"), [("win32", 0), ("linux", 2)])
def test_on_windows_a_reader_that_leaves_is_no_error(monkeypatch, capsys, platform, status):
    class Pipe(io.StringIO):
        def flush(self):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "stdout", Pipe())
    assert run(["list"]) == status
    assert bool(capsys.readouterr().err) == (platform == "linux")


def test_an_output_that_is_no_file_may_fail_too(monkeypatch, capsys):
    class Notebook(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Notebook())
    assert run(["list"]) == 2
    assert "ganzoo: the output: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'a "b" $HOME', "-x;y", NASTY])
def test_a_printed_command_can_be_pasted(name):
    line = ganzoo.errors.shell("printf", "%s", name)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert done.stdout == name.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (PureWindowsPath("runs/garments"), r"runs\garments"),
        (PureWindowsPath("C:/my runs/x"), r'"C:\my runs\x"'),
        ("steps=10", "steps=10"),
        ("penalties=r1(weight=5)", '"penalties=r1(weight=5)"'),
        ('a "b"', r'"a \"b\""'),
        ("", '""'),
    ],
)
def test_on_windows_a_printed_command_has_the_quotes_of_its_shells(name, expected, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    assert ganzoo.errors.shell("ganzoo", name) == f"ganzoo {expected}"


def _other_images(*_):
    (Path("other") / "boots").mkdir(parents=True)
    Image.new("L", (28, 28)).save("other/boots/0.png")


def _a_sheet(folder, _):
    assert run(["sample", str(folder), "-n", "4", "-o", "sheet.png"]) == 0


def _no_model(folder, _):
    (folder / "model" / "model.safetensors").unlink()


def _no_card(_, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganzoo.training.callbacks.built_in.run_card", full)


def _a_state_file(*_):
    first = torch.nn.ConvTranspose2d(4, 8, 4), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
    network = torch.nn.Sequential(*first, torch.nn.ConvTranspose2d(8, 1, 4, 2, 1), torch.nn.Tanh())
    torch.save(network.state_dict(), "netG.pth")


SAYING = {  # what prints a command that goes on: the words, and what to do before
    "begin again": (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "{run}"], None),
    "resume": (["train", "--resume", "{run}"], None),
    "resume as another": (["train", "--resume", "{run}", "--size", "56"], None),
    "resume from another seed": (["train", "--resume", "{run}", "--seed", "9"], None),
    "resume with other images": (["train", "--resume", "{run}", "--data", "other"], _other_images),
    "resume without a card": (["train", "--resume", "{run}", "--steps", "4"], _no_card),
    "a checkpoint": (["sample", "{run}/checkpoints/step-00000003"], None),
    "no model": (["card", "{run}"], _no_model),
    "a sheet": (["invert", "{run}", "sheet.png"], _a_sheet),
    "convert": (["convert", "netG.pth", "{new}"], _a_state_file),
    "a Space": (["demo", "{run}", "--export-space", "{new}"], None),
}


@pytest.mark.parametrize("name", SAYING)
def test_a_command_that_is_printed_has_its_paths_quoted(name, here, a_run, capsys, monkeypatch):
    words, before = SAYING[name]
    folders = {"run": here / "my run", "new": here / "my own"}
    shutil.copytree(a_run, folders["run"])
    if before:
        before(folders["run"], monkeypatch)
    capsys.readouterr()
    run([word.format(**folders) for word in words])
    said = "".join(capsys.readouterr())
    found = re.findall(rf"(ganzoo|python|with) (?:[a-z-]+ )*?(?=('?){re.escape(str(here))}/my )", said)
    assert found and all(quote for _, quote in found), said


QUIET = {
    "sample": ["sample", "fashion-mnist", "-n", "2"],
    "data": ["data", "drawings"],
    "train": ["train", "fashion-mnist", "--data", "drawings", "--size", "28", "--steps", "3", *QUICK, *TINY],
    "evaluate": [
        "evaluate", "drawings", "--data", "drawings", "-n", "100", "--metric", "fd", "--features", "fashion-net",
        "--no-memorised",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_a_command_leaves_no_file_or_process_open(name, here):
    drawings(here / "drawings", 200)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResourceWarning)
        assert run(QUIET[name]) == 0
        gc.collect()
    assert not [str(each.message) for each in said] and not multiprocessing.active_children()


TRAIN = ["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "run", "--steps", "1"]
BAD = [
    # unknown commands, options, names
    (["lsit"], "lsit"),
    (["sample"], "Missing argument 'source'"),
    (["sample", "fashion-mnist", "--cuont", "3"], "--cuont"),
    (["list", "preset"], 'Did you mean "presets"'),
    (["list", "data"], 'Did you mean "sources"'),
    (["train", "fashion-mnits"], 'Did you mean "fashion-mnist"'),
    (["train"], "one of PRESET, --from and --resume"),
    (["train", "pokemon-64", "--resume", "run"], "one of PRESET, --from and --resume"),
    (["sample", "fashion"], 'No model "fashion"'),
    (["sample", "fashion-mnits"], 'Did you mean "fashion-mnist"'),
    (["data", "fashion-mnist-min"], 'Did you mean "fashion-mnist-mini"'),
    # wrong types and ranges
    (["sample", "{model}", "--count", "x"], 'got "x"'),
    (["sample", "{model}", "--count=x"], 'got "x"'),
    (["sample", "{model}", "-n", "x"], 'got "x"'),
    (["sample", "{model}", "-nx"], 'got "x"'),
    (["sample", "{model}", "--count", "0"], "--count must be an int of at least 1, got 0"),
    (["sample", "{model}", "--count", "-5"], "--count must be an int of at least 1, got -5"),
    (["sample", "{model}", "--scale", "0"], "scale must be an int from 1"),
    (["sample", "{model}", "--scale", "2", "--folder", "b"], "--scale and --folder are both given"),
    (["sample", "{model}", "--columns", "8", "--folder", "b"], "--columns and --folder are both given"),
    (
        ["sample", "{model}", "--folder", "{drawings}"],
        "drawings holds files that are no samples of ganzoo (0.png, ...)",
    ),
    (["sample", "{model}", "--label", "1", "--balanced"], "choose one class or all in turn"),
    (["sample", "{run}", "--balanced"], "has no classes"),
    (["sample", "{run}", "--at", "2"], "has no checkpoint of step 2; it has those of 0, 3"),
    (["sample", "{model}", "--at", "3"], "holds no run"),
    (["sample", "{run}", "--at", "3", "--revision", "main"], "leave --revision and --endpoint out"),
    (["sample", "{run}", "--at", "3", "--endpoint", "http://127.0.0.1:9"], "leave --revision and --endpoint out"),
    (["sample", "{model}", "--count", "5000"], "--folder"),
    (["sample", "{model}", "--seed", "1.5"], 'got "1.5"'),
    (["sample", "{model}", "--seed", "-1"], "seed"),
    (["sample", "{model}", "--batch-size", "0"], "batch_size must be an int of at least 1"),
    (["sample", "{model}", "--columns", "0"], "columns"),
    (["sample", "{model}", "--label", "hat"], 'label "hat"'),
    (["sample", "{model}", "--label", "10"], 'label "10"'),
    (["sample", "{run}", "--label", "1"], "no class"),
    (["sample", "{model}", "--device", "cdua"], "cdua"),
    (["sample", "{model}", "--device", "meta"], 'device "meta" can\'t be used'),
    (["sample", "{model}", "--count", "600", "--columns", "1", "--output", "a.webp"], "a.webp can't be a WEBP"),
    (["sample", "{model}", "--count", "2500", "--columns", "1", "--output", "a.gif"], "a.gif can't be a GIF"),
    (["probe", "{run}", "--data", "fashion-mnist-mini", "--images", "0"], "images must be an int from 2"),
    (["probe", "{run}", "--data", "fashion-mnist-mini", "--images", "-1"], "images must be an int from 2"),
    (["probe", "{run}", "--data", "fashion-mnist-mini", "--seed", "-1"], "seed must be an int from 0"),
    (["sample", "{model}", "--output", "a.png", "--folder", "b"], "choose a grid or single pictures"),
    (["sample", "{model}", "--output", "grid.xyz"], "xyz"),
    # files and folders
    (["sample", "./nowhere"], "nowhere does not exist"),
    (["sample", "/nowhere/at/all"], "/nowhere/at/all does not exist"),
    (["sample", "~/nowhere-at-all"], "does not exist"),
    (["sample", "{model}", "--output", "~nobodyx/a.png"], '"~nobodyx/a.png" names no place'),
    (["sample", "{model}", "--folder", "~nobodyx/a"], "names no place"),
    (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "~nobodyx/a"], "names no place"),
    (["train", "fashion-mnist", "--data", "~nobodyx/a"], '"~nobodyx/a" names no place'),
    (["train", "--resume", "~nobodyx/a"], "names no place"),
    (["card", "~nobodyx/a"], "names no place"),
    (["pull", "a/b", "~nobodyx/x"], "names no place"),
    (["push", "~nobodyx/x", "a/b"], "names no place"),
    (["push", "{latin}", "a/b"], "README.md is not UTF-8 text"),
    (["sample", "~nobodyx/a"], '"~nobodyx/a" names no place'),
    (["sample", "{empty}"], "holds no saved model"),
    (["sample", "{run}/checkpoints/step-00000003"], "is a checkpoint, to resume from, and no saved model. The run's"),
    (
        ["sample", "{run}/checkpoints/step-00000003/tensors.safetensors"],
        "step-00000003 is a checkpoint, to resume from",
    ),
    (["sample", "{text}"], "is a file, but not .safetensors"),
    (["sample", "{fake}"], "is not an intact safetensors file"),
    (["sample", "{broken}"], "is not valid JSON"),
    (["sample", ""], "names no model"),
    (["sample", "{model}", "--output", "{text}/grid.png"], "notes.txt"),
    (["sample", "{model}", "--folder", "{text}"], "notes.txt"),
    (["data", "./nowhere"], "nowhere"),
    (["data", "{empty}"], "no image"),
    (["data", "{text}"], "notes.txt"),
    (["data", "{zip}"], "broken.zip"),
    (["data", "{spoiled}", "--size", "16"], "spoiled.png"),
    (["data", "{drawings}", "--size", "0"], "image_size"),
    (["data", "{drawings}", "--size", "16", "--channels", "7"], "channels"),
    (["data", "{drawings}", "--size", "16", "--broken", "maybe"], "maybe"),
    (["data", "{drawings}", "--size", "16", "--output", "{text}/x.png"], "notes.txt"),
    # training
    ([*TRAIN, "--set", "stpes=3"], 'Did you mean "steps"'),
    ([*TRAIN, "--set", "batch_size"], "must look like key=value"),
    ([*TRAIN, "--set", "batch_size=many"], 'batch_size must be an int, got "many"'),
    ([*TRAIN, "--set", "batch_size=0"], "batch_size must be at least 1"),
    ([*TRAIN, "--set", "generator_lr=nan"], "generator_lr"),
    ([*TRAIN, "--set", "precision=half"], "precision must be one of"),
    ([*TRAIN, "--set", "precision=fp16"], "choose bf16"),
    ([*TRAIN, "--set", "loss=hinges"], 'Did you mean "hinge"'),
    ([*TRAIN, "--set", "penalties=r3"], "penalties[0]"),
    ([*TRAIN, "--set", "augmentations=colour"], 'Did you mean "color"'),
    ([*TRAIN, "--set", "optimizer=adamm"], 'Did you mean "adam"'),
    ([*TRAIN, "--set", "generator.widths=8,x"], 'generator.widths[1] must be an int, got "x"'),
    ([*TRAIN, "--set", "generator.width=8"], 'Did you mean "widths"'),
    ([*TRAIN, "--set", "generater.widths=8"], 'Did you mean "generator"'),
    ([*TRAIN, "--set", "generator.block=dcgan-upp"], 'Did you mean "dcgan-up"'),
    ([*TRAIN, "--set", "generator.norm=bacth"], 'Did you mean "batch"'),
    ([*TRAIN, "--set", "generator.head=trippling"], "doubling, same"),
    ([*TRAIN, "--size", "75"], "near it"),
    ([*TRAIN, "--size", "0"], "image_size must be an int from 1"),
    ([*TRAIN, "--size", "56", "--set", "seed=abc"], 'seed must be an int from 0 to 9223372036854775807, got "abc"'),
    ([*TRAIN, "--size", "56", "--set", f"seed={10**20 - 1}"], "seed must be an int from 0"),
    ([*TRAIN, "--epochs", "1"], "steps and epochs are both given"),
    (["train", "fashion-mnist", "--data", "./nowhere", "--output", "run"], "nowhere"),
    (["train", "fashion-mnist", "--data", "{empty}", "--output", "run"], "no image"),
    (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "{text}"], "is a file"),
    (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "{text}/run"], "notes.txt"),
    (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "{pictures}"], "is not empty"),
    (["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", "{run}"], "--overwrite"),
    (["train", "fashion-mnist-conditional", "--data", "{drawings}", "--output", "run"], "classes"),
    (["train", "--resume", "./nowhere"], "holds no run"),
    (["train", "--resume", "{empty}"], "holds no run"),
    (["train", "--resume", "{run}", "--size", "56"], "--size can't be used with --resume; to train its networks on"),
    (["train", "--resume", "{run}", "--seed", "9"], "begin a new one: ganzoo train --from "),
    (["train", "--resume", "{run}", "--set", "generator.norm=none"], "a run that goes on keeps its networks"),
    (["train", "--resume", "{run}", "--overwrite"], "--overwrite can't be used with --resume"),
    (["train", "--resume", "{run}", "--at", "1"], "has no checkpoint of step 1; it has those of 0, 3"),
    (["train", "fashion-mnist", "--at", "1"], "--at goes back in a run; name it with --resume"),
    ([*TRAIN, "--name", "x"], "--name and --output are both given"),
    (["train", "fashion-mnist", "--name", "a/b"], '--name "a/b" must be a plain name; give a path with --output'),
    (["train", "fashion-mnist", "--name", ".."], '--name ".." must be a plain name; give a path with --output'),
    ([*TRAIN, "--lr", "fast"], 'unknown schedule "fast"'),
    ([*TRAIN, "--lr", "1e-4", "--set", "generator_lr=1"], "--lr and --set generator_lr=... are both given"),
    ([*TRAIN, "--steps", "2", "--set", "steps=3"], "--steps and --set steps=... are both given"),
    ([*TRAIN, "--batch-size", "0"], "batch_size must be at least 1"),
    ([*TRAIN, "--loss", "hinges"], 'Did you mean "hinge"'),
    ([*TRAIN, "--ema-half-life", "5"], "It is a setting: --set ema_half_life=5"),
    ([*TRAIN, "--penalties", "r1(weight=5)"], "It is a setting: --set 'penalties=r1(weight=5)'"),
    ([*TRAIN, "--generator.widths=8,4"], "It is a setting: --set generator.widths=VALUE"),
    ([*TRAIN, "--clip", "5"], 'Did you mean "clip_gradients"'),
    ([*TRAIN, "--image-size", "28"], "Pixels a side are set with --size"),
    ([*TRAIN, "--set", "image_size=2 8"], "--set 'image_size=2 8': it is not a setting; set pixels a side with --size"),
    (["train", "--resume", "{run}", "--data", "{drawings}"], "is not the data"),
    (["train", "--from", "./nowhere", "--data", "{drawings}"], "nowhere does not exist"),
    (["train", "--from", "{model}", "--size", "32", "--data", "{drawings}"], "--set generator.num_classes=0"),
    (["train", "--from", "{model}", "--set", "generator.widths=x"], "generator.widths"),
    (["train", "--from", "{generator}", "--data", "fashion-mnist-mini"], "the GAN has 64 classes"),
    (["train", "--from", "{generator}/model.safetensors", "--data", "fashion-mnist-mini"], "the GAN has 64 classes"),
]


@pytest.fixture(scope="session")
def places(tmp_path_factory, model, a_run):
    root = tmp_path_factory.mktemp("places")
    (root / "empty").mkdir()
    (root / "notes.txt").write_text("notes")
    (root / "fake.safetensors").write_bytes(b"\x80\x04not safetensors")
    (root / "broken.zip").write_bytes(b"PK\x03\x04 but no zip")
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{")
    drawings(root / "drawings")
    drawings(root / "spoiled")
    (root / "spoiled" / "spoiled.png").write_bytes(b"\x89PNG but no picture")
    drawings(root / "pictures")
    Image.new("RGB", (9, 9)).save(root / "pictures" / "other-size.png")
    generator = ganzoo.GAN(ganzoo.create("fashion-mnist").generator).save_pretrained(root / "generator")
    latin = ganzoo.from_pretrained(model).save_pretrained(root / "latin")
    (latin / "README.md").write_bytes(b"caf\xe9")
    names = {"text": "notes.txt", "fake": "fake.safetensors", "zip": "broken.zip"}
    found = {
        name: str(root / names.get(name, name))
        for name in (*names, "empty", "broken", "latin", "drawings", "spoiled", "pictures")
    }
    return {**found, "model": str(model), "run": str(a_run), "generator": str(generator)}


def test_there_are_many_bad_inputs():
    assert len(BAD) >= 60


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(row[0])[:60] or "empty" for row in BAD])
def test_a_mistake_is_one_clear_line_and_status_2(here, places, capsys, arguments, said):
    before = sorted(path.name for path in here.iterdir())
    status = run([argument.format(**places) if "{" in argument else argument for argument in arguments])
    printed = capsys.readouterr()
    assert status == 2, printed.err
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("ganzoo: ") and said in last
    assert "Traceback" not in printed.err and len(last) < 600
    assert sorted(path.name for path in here.iterdir()) == before, "something half-written is left"


SHORT = [
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.mark.parametrize("error", SHORT, ids=lambda error: str(error)[-50:] or "of Python")
def test_short_memory_is_said_whatever_names_it(here, model, capsys, monkeypatch, error):
    def short(*_, **__):
        raise error

    monkeypatch.setattr(ganzoo.GAN, "batches", short)
    assert run(["sample", str(model)]) == 2
    assert "Out of memory: reduce --batch-size or --count." in capsys.readouterr().err
    error.args = ("something else",)
    assert run(["sample", str(model)]) == (2 if isinstance(error, MemoryError) else 1)


def test_the_remedy_of_a_command_that_has_too_little_memory_names_options_that_it_has():
    for name, less in _LESS.items():
        known = {word for each in COMMANDS[name].params for word in each.opts}
        assert {*re.findall(r"--[a-z-]+", less)} <= known, name


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ([*TRAIN, *QUICK, *TINY], "--resume RUN --set accumulate=4"),
        (["evaluate", "fashion-mnist", "--data", "fashion-mnist-mini"], "take fewer --samples, or another --device."),
    ],
)
def test_what_takes_less_memory_is_something_that_the_command_has(here, capsys, monkeypatch, command, remedy):
    def short(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ganzoo.Trainer, "fit", short)
    monkeypatch.setattr(ganzoo.GAN, "batches", short)
    assert run(command) == 2
    said = capsys.readouterr().err
    assert "Out of memory: " in said and remedy in said and "--count" not in said


def test_no_space_is_one_clear_line(here, model, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run([*TRAIN, *QUICK, *TINY]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device; free disk space there" in said and "no right" not in said


def test_a_folder_without_permission_is_one_clear_line(here, model, capsys, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied", "out")

    monkeypatch.setattr(os, "replace", refused)
    assert run(["sample", str(model), "--count", "1", "--output", "grid.png"]) == 2
    assert "Permission denied; this user has no right to do that there" in capsys.readouterr().err
    assert not list(here.iterdir())
