"""`ganzoo show`, `compare` and `doctor`, and lists with filters."""

import json
import shutil

import pytest

import ganzoo
from ganzoo.cli import run
from ganzoo.saving.results import weights_hash
from ganzoo.text import in_words

TINY = ["--set", "generator.widths=8,4", "--set", "discriminator.widths=4,8", "--set", "log_every=1", "-q"]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, more in {"one & a half": ["--steps", "2"], "other": ["--steps", "4", "--lr", "1e-3"]}.items():
        words = ["train", "fashion-mnist", "--data", "fashion-mnist-mini", "-o", str(root / name), "--batch-size", "4"]
        assert run([*words, *more, *TINY, "--set", "sample_every=2", "--set", "score_every=2"]) == 0
    return root / "one & a half", root / "other"


def shown(capsys, *words):
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lists_are_filtered_by_patterns():
    assert ganzoo.list_models("fashion*", exclude="*-d2l") == ["fashion-mnist", "fashion-mnist-conditional"]
    assert ganzoo.list_presets(("cifar10-s*", "pokemon-64"), "*-conditional") == ["pokemon-64", "cifar10-sngan"]
    assert ganzoo.list_presets() == list(ganzoo.PRESETS) and ganzoo.list_models("none*") == []
    assert all(ganzoo.from_pretrained(name) for name in ganzoo.list_models("fashion-mnist"))


@pytest.mark.parametrize("name", ganzoo.list_presets())
def test_show_tells_a_preset_s_own_values(name, capsys):
    preset, facts = ganzoo.PRESETS[name], shown(capsys, "show", name)["preset"]
    settings = facts["settings"]
    assert all(preset.settings.to_dict()[key] == value for key, value in settings.items())
    assert ganzoo.Settings().replace(settings) == preset.settings
    assert facts["generator"]["parameters"] > 10_000 and facts["data"] == preset.data
    assert run(["show", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"preset {name}" and max(map(len, lines)) <= 100


def test_show_counts_the_parameters_that_a_preset_makes(capsys):
    gan, facts = ganzoo.create("fashion-mnist"), shown(capsys, "show", "fashion-mnist")
    assert facts["preset"]["generator"]["parameters"] == sum(each.numel() for each in gan.generator.parameters())
    assert set(facts) == {"preset", "model", "data"}  # the name means all three
    assert facts["model"]["clusters"] == 64 and facts["model"]["figures"]["FD(fashion-net)"] > 0


def test_show_tells_what_a_run_did(two_runs, capsys):
    facts = shown(capsys, "show", str(two_runs[1]))["run"]
    assert (facts["step"], facts["steps"], facts["data"]) == (4, 4, "fashion-mnist-mini")
    assert facts["settings"]["generator_lr"] == 1e-3 and "beta1" not in facts["settings"]
    networks = facts["networks"]
    assert networks["generator.widths"] == [8, 4] and networks["generator.model"] == "dcgan-generator"
    assert "generator.norm" not in networks and facts["generator_loss"] > 0  # batch is the default
    assert run(["show", str(two_runs[1])]) == 0
    assert "settings.batch_size" in capsys.readouterr().out


def test_show_tells_of_a_run_whose_block_is_not_registered_here(two_runs, tmp_path, capsys):
    shutil.copytree(two_runs[0], tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    facts["gan"]["generator"]["config"]["block"] = "mine-up"
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    assert shown(capsys, "show", str(tmp_path / "run"))["run"]["networks"]["generator.block"] == "mine-up"


def test_show_tells_what_is_in_a_folder_and_in_a_saved_model(two_runs, tmp_path, capsys):
    ganzoo.images.save_each(ganzoo.from_pretrained("fashion-mnist").batches(5, seed=0), tmp_path / "pictures")
    assert shown(capsys, "show", str(tmp_path / "pictures"))["data"]["images"] == 5
    assert shown(capsys, "show", str(two_runs[0] / "model"))["model"]["images"] == "1x28x28"


def test_figures_come_with_what_they_were_measured_on(two_runs, tmp_path, capsys):
    runs, words = [], []
    for name, samples, split in (("one", 10_000, "test"), ("other", 500, "train")):
        runs.append(shutil.copytree(two_runs[0], tmp_path / name))
        found = {"format": 1, "samples": samples, "data": "fashion-mnist", "split": split, "features": "fashion-net"}
        found |= {"figures": [{"name": "FD", "value": 5.1}], "command": "", "weights": weights_hash(runs[-1] / "model")}
        (runs[-1] / "evaluation.json").write_text(json.dumps(found))
        words.append(f"{samples:,} samples against fashion-mnist ({split})")
    page = tmp_path / "page.html"
    facts = shown(capsys, "compare", *map(str, runs), "-o", str(page))["runs"]
    assert [each["measured on"] for each in facts] == words and all(each in page.read_text() for each in words)
    assert shown(capsys, "show", str(runs[1]))["run"]["measured on"] == words[1]
    assert shown(capsys, "show", "fashion-mnist")["model"]["measured on"] == words[0]


@pytest.mark.parametrize("words", [["show", "fashion-mnits"], ["show", "./nowhere"]])
def test_what_means_nothing_is_one_line(words, capsys):
    assert run(words) == 2
    assert "is not a preset, model, run or data set" in capsys.readouterr().err


def test_compare_tells_what_differs_and_writes_a_page(two_runs, tmp_path, capsys):
    page, words = tmp_path / "page.html", ["compare", *map(str, two_runs), "-o", str(tmp_path / "page.html")]
    facts = shown(capsys, *words)
    schedules = ["cosine(start=4e-3)", 1e-3]
    assert facts["differing"]["steps"] == [2, 4] and facts["differing"]["generator_lr"] == schedules
    assert "batch_size" not in facts["differing"] and [each["step"] for each in facts["runs"]] == [2, 4]
    text = page.read_text()
    assert text.count('<figure><img src="data:image/png') == 2 and text.count("<svg") == 3
    assert "one &amp; a half" in text and "one & a half" not in text
    assert "http" not in text.replace('http-equiv="', "")
    assert run(words) == 0
    assert "generator_lr" in capsys.readouterr().out
    assert run(["compare", str(two_runs[0]), str(two_runs[0]), "-o", str(page)]) == 0
    assert "\n\nNo settings differ.\n\n" in capsys.readouterr().out


def test_compare_tells_runs_apart_by_their_images_their_first_model_and_what_changed_on_the_way(
    two_runs, tmp_path, capsys
):
    other = shutil.copytree(two_runs[0], tmp_path / "other")
    facts = json.loads((other / "run.json").read_text())
    hashes = facts["data"]["hash"][:12], "c0ffee" * 2
    facts["data"]["hash"], facts["from"] = "c0ffee" * 10, "fashion-mnist"
    facts["stretches"] = [{"step": 1, "changed": {"flip": [True, False]}, "command": "ganzoo train --resume other"}]
    (other / "run.json").write_text(json.dumps(facts))
    words = ["compare", str(two_runs[0]), str(other), "-o", str(tmp_path / "page.html")]
    assert shown(capsys, *words)["differing"] == {
        "hash of the data": list(hashes),
        "trained on from": [None, "fashion-mnist"],
        "changed on the way": [None, "from step 1: flip false (before: true)"],
    }
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "No settings differ" not in said and "c0ffeec0ffee" in said and "c0ffeec0ffeec" not in said
    found = shown(capsys, "show", str(other))["run"]
    assert found["trained on from"] == "fashion-mnist" and found["hash of the data"] == "c0ffee" * 10


def test_settings_that_differ_late_are_told_apart():
    assert in_words([0.5, 0.9995], exact=True) == "0.5, 0.9995" and in_words(0.9995) == "1"
    assert in_words(10**10 + 1, exact=True) == "10000000001" and in_words([1024, 64]) == "1024, 64"


@pytest.mark.parametrize("count", [1, 5])
def test_compare_takes_two_to_four_runs(two_runs, count, capsys):
    assert run(["compare", *[str(two_runs[0])] * count]) == 2
    assert f"compare takes 2 to 4 runs, got {count}" in capsys.readouterr().err


def test_a_damaged_run_is_one_line(two_runs, tmp_path, capsys):
    for name in ("run.json", "log.jsonl"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "run.json").write_text((two_runs[0] / "run.json").read_text())
        (tmp_path / "run" / name).write_text('{"format": 1, "settings": 3}\n' if name == "run.json" else "{\n")
        assert run(["show", str(tmp_path / "run")]) == 2
        assert "damaged" in capsys.readouterr().err, name


def test_doctor_tells_what_the_machine_offers(capsys):
    facts = shown(capsys, "doctor")
    assert facts["packages"]["torch"] and "precision auto: " in facts["devices"]["cpu"]
    assert {"datasets", "metrics", "onnx", "demo", "trackers"} <= set(facts["extras"])
    assert run(["doctor"]) == 0
    assert "devices:" in capsys.readouterr().out


def test_doctor_names_the_extra_to_install(monkeypatch, capsys):
    from ganzoo.cli import doctor_command

    monkeypatch.setattr(doctor_command, "_installed", lambda package: package != "datasets")
    assert shown(capsys, "doctor")["extras"]["datasets"] == 'no: pip install "ganzoo-torch[datasets]" (datasets)'
