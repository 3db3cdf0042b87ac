"""Evaluation as a whole: yardsticks beside every figure, classes, memorising, and what can't be measured."""

import importlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo.cli import run
from ganzoo.cli.options import as_trained
from ganzoo.errors import ConfigError, DataError, PluginError, ShapeError, UnknownNameError
from ganzoo.evaluation import Features, Score, better
from ganzoo.evaluation.generated import at_once, generated, in_proportion
from ganzoo.evaluation.metrics import make_metrics
from ganzoo.evaluation.page import write_page
from ganzoo.evaluation.per_class import by_class
from ganzoo.evaluation.result import Evaluation

module = importlib.import_module("ganzoo.evaluation.evaluate")  # the package has the function under this name
MINI = ganzoo.data.open_data("fashion-mnist-mini")
FEW = ganzoo.data.open_data((torch.from_numpy(MINI.images[::5].copy()), MINI.labels[::5]))  # 400 of all classes


class Copies(nn.Module):
    """Gives training images back."""

    def __init__(self, images):
        super().__init__()
        self.register_buffer("images", images)

    def forward(self, latents):
        return self.images[(latents[:, 0].abs() * 1000).long() % len(self.images)]


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, latents):
        return self.value.expand(len(latents), 1, 28, 28)


@pytest.fixture(scope="module")
def measured():
    return ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), "fashion-mnist-mini", samples=600, seed=1)


def test_samples_are_kept_as_bytes(measured):
    assert measured.drawn.dtype == torch.uint8 and len(measured.drawn) == measured.samples


def test_a_generator_of_images_that_are_not_square_is_measured():
    gan = ganzoo.GAN(Copies(MINI.batch(torch.arange(200))[..., :20]), latent_size=2)
    with pytest.warns(UserWarning, match="memorisation is not measured: images of other sizes"):
        found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=100)
    assert found.drawn.shape == (100, 1, 28, 20) and not found.memorised


def test_images_that_are_not_square_ask_for_a_size():
    images = torch.randint(0, 256, (200, 1, 20, 28), dtype=torch.uint8)
    with pytest.raises(DataError, match=r"28x20 pixels are not square.*image_size=, --size"):
        ganzoo.evaluate(images, "fashion-mnist-mini", samples=100)
    assert ganzoo.evaluate(images, "fashion-mnist-mini", samples=100, image_size=28, memorised=False).samples == 100


def test_images_with_transparency_are_refused_before_anything_is_measured():
    with pytest.raises(DataError, match="images of 4 channels can't be measured"):
        ganzoo.evaluate(torch.zeros(200, 4, 8, 8, dtype=torch.uint8), torch.zeros(200, 4, 8, 8, dtype=torch.uint8))


def test_one_class_that_can_t_be_measured_costs_the_others_no_figure():
    torch.manual_seed(0)
    real, fake = (torch.randint(0, 256, (400, 1, 8, 8), dtype=torch.uint8) for _ in range(2))
    labels = torch.arange(400) % 2
    fake[labels == 1] = 7  # a collapse in one class
    with pytest.warns(UserWarning, match="class 1 is not measured: all 200 samples have the very same features"):
        found = ganzoo.evaluate((fake, labels), (real, labels), samples=400, memorised=False)
    assert [each.scores is None for each in found.classes] == [False, True]
    assert "can't be measured (200 samples, " in found.table()


def test_too_few_pictures_to_look_for_copies_cost_no_other_figure():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8)
    with pytest.warns(UserWarning, match="memorisation is not measured: 60 real images are too few"):
        found = ganzoo.evaluate(images, images[:60].repeat(5, 1, 1, 1), samples=300)
    assert found.scores and not found.memorised


def test_without_classes_their_names_need_not_agree():
    torch.manual_seed(0)
    real = torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8), ["cat", "dog"] * 100
    with pytest.raises(ConfigError, match="--no-classes"):
        ganzoo.evaluate("fashion-mnist-conditional", real, samples=100)
    assert not ganzoo.evaluate("fashion-mnist-conditional", real, samples=100, classes=False, memorised=False).classes


def test_the_bundled_model_lies_between_the_yardsticks(measured):
    figures = measured.figures()
    assert [figure["name"] for figure in figures] == [
        f"{name}(fashion-net)" for name in ("FD", "KD", "precision", "recall", "density", "coverage", "variety")
    ]
    for figure in figures:
        if figure["name"].startswith(("FD", "KD", "recall", "coverage")):
            better, worse = figure["real_reference"], figure["noise_reference"]
            assert min(better, worse) < figure["value"] < max(better, worse), figure


def test_all_figures_are_json_and_stand_in_the_table(measured):
    again = json.loads(json.dumps(measured.to_dict()))
    assert again["samples"] == 600 and again["metrics"][2] == "prdc(k=5,most=5000,seed=1)"
    assert again["data_hash"] == MINI.hash and again["split"] == "all, in halves"
    table = measured.table()
    assert all(figure["name"] in table for figure in again["figures"]) and again["metrics"][2] in table


def test_each_class_has_its_share_and_its_best_and_worst(measured):
    assert [each.name for each in measured.classes] == list(MINI.class_names)
    assert sum(each.share for each in measured.classes) == pytest.approx(1)
    assert sum(each.samples for each in measured.classes) == 600
    for each in measured.classes:
        assert len(each.best) == min(8, (each.samples + 1) // 2) and len(each.worst) == min(8, each.samples // 2)
        assert not {*each.best} & {*each.worst}
        assert each.agreement is None
    assert "agreement" not in measured.scores


def test_a_conditional_model_is_asked_for_each_class_and_judged_by_the_classifier():
    gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=200, memorised=False)
    assert {each.samples for each in found.classes} == {20}
    assert all(each.agreement is not None and 0 <= each.agreement <= 1 for each in found.classes)
    value, of_real_images = (each["agreement"].value for each in (found.scores, found.real_reference))
    assert found.noise_reference["agreement"].value == 0.1
    assert value == pytest.approx(sum(each.agreement for each in found.classes) / 10) and of_real_images > 0.8
    table = found.table()
    assert "agreement(fashion-net)" in table and len(table[table.index("class  ") :].splitlines()[0]) <= 100


def test_a_class_without_samples_is_said_and_not_averaged_away():
    image = MINI.batch(torch.tensor([int((MINI.labels == 1).nonzero()[0])]))
    noisy = (image + 0.05 * torch.randn(400, 1, 28, 28)).clamp(-1, 1)
    found = ganzoo.evaluate(
        ganzoo.GAN(Copies(noisy), latent_size=2), "fashion-mnist-mini", samples=200, memorised=False
    )
    boots = next(each for each in found.classes if each.name == "Ankle boot")
    assert boots.samples == 0 and boots.scores is None
    assert "too few to measure (0 samples, " in found.table()


def test_a_class_that_is_not_among_the_chosen_real_images_is_said_and_the_others_are_measured(tmp_path):
    labels = torch.cat([torch.zeros(1990), torch.arange(10) + 1]).long()
    data = ganzoo.data.open_data((torch.from_numpy(MINI.images.copy()), labels))  # ten classes of one image each
    gan = ganzoo.create(
        "fashion-mnist-conditional", generator={"widths": (8, 4), "num_classes": 11}, discriminator={"num_classes": 11}
    )
    found = ganzoo.evaluate(gan, data, samples=120, memorised=False)
    absent = [each for each in found.classes if each.real_share == 0]
    assert absent and all(each.scores is None and each.best == each.worst == () for each in absent)
    assert found.classes[0].scores is not None
    assert "too few to measure (0 samples, 0.0% of the real images)" in found.table()
    assert (
        "too few to measure (0 samples, 0.0% of the real images)"
        in write_page(found, tmp_path / "page.html", "x").read_text()
    )


def test_copies_of_training_images_are_called_so():
    found = ganzoo.evaluate(
        ganzoo.GAN(Copies(MINI.batch(torch.arange(1000))), latent_size=2), "fashion-mnist-mini", samples=300
    )
    assert all(each.memorised for each in found.memorised.values())
    assert found.table().count("Likely memorisation") == 2


@pytest.mark.parametrize("held_out", [False, True], ids=["of a set in halves", "of a set with splits"])
def test_mirrored_copies_of_training_images_are_found_by_pixels_and_by_features(held_out, tmp_path):
    images, source = torch.from_numpy(MINI.images[:600].copy()), tmp_path / "set"
    for number, picture in enumerate(ganzoo.images.to_pil(images)):
        place = source / ("train" if number < 400 or not held_out else "test")
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number}.png")
    found, honest = (
        ganzoo.evaluate(each, source, samples=200, classes=False, metrics="kd")
        for each in (images[:200].flip(-1).contiguous(), torch.from_numpy(MINI.images[600:800].copy()))
    )
    for space in ("pixels", "features"):
        assert found.memorised[space].suspect > 0.9 and honest.memorised[space].suspect < 0.06


def test_in_a_set_that_holds_each_image_mirrored_too_copies_are_found_and_other_samples_are_none():
    images = torch.from_numpy(MINI.images[:300].copy())
    both = torch.cat([images, images.flip(-1)])
    near = (MINI.batch(torch.arange(300)) + 0.02 * torch.randn(300, 1, 28, 28)).clamp(-1, 1)
    options = {"samples": 100, "classes": False, "metrics": "kd"}
    found = ganzoo.evaluate(ganzoo.GAN(Copies(near), latent_size=2), both, **options)
    assert all(each.memorised and each.unseen.min() > 0 for each in found.memorised.values())
    honest = ganzoo.evaluate(torch.from_numpy(MINI.images[600:800].copy()), both, **options)
    assert not any(each.memorised for each in honest.memorised.values())


@pytest.fixture(scope="module")
def two_splits(tmp_path_factory):
    """A folder of training and test images for `datasets`, the training images, and what `datasets` keeps of them."""
    pytest.importorskip("datasets", reason="pip install 'ganzoo-torch[datasets]'")
    folder, order = (
        tmp_path_factory.mktemp("set"),
        torch.randperm(len(MINI), generator=torch.Generator().manual_seed(0)),
    )
    for split, part in (("train", order[:300]), ("test", order[300:500])):
        (folder / split).mkdir()
        for number, picture in enumerate(ganzoo.images.to_pil(MINI.batch(part))):
            picture.save(folder / split / f"{number}.png")
    return folder, MINI.batch(order[:300])


@pytest.mark.parametrize(
    "query, split, said, trained_on",
    [
        ("", "test", "test", 300),
        ("", "train", "train", 300),
        ("?split=train", "test", "train, in halves", 300),
        ("?split=test", "train", "test, in halves", 200),
    ],
)
def test_copies_are_looked_for_in_the_train_split_of_an_hf_set(two_splits, monkeypatch, query, split, said, trained_on):
    folder, training = two_splits
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder.parent / "hf")
    gan = ganzoo.GAN(Copies(training), latent_size=2)
    found = ganzoo.evaluate(gan, f"hf:{folder}{query}", samples=100, split=split, classes=False)
    assert (found.split, len(found.training)) == (said, trained_on)
    if trained_on == 300:
        assert all(each.memorised for each in found.memorised.values())


def test_an_hf_set_without_a_test_split_is_halved(two_splits, monkeypatch):
    folder, training = two_splits
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder.parent / "hf")
    gan = ganzoo.GAN(Copies(training), latent_size=2)
    found = ganzoo.evaluate(gan, f"hf:{folder / 'train'}", samples=100, classes=False)
    assert found.split == "train, in halves" and found.memorised["pixels"].memorised
    with pytest.raises(ConfigError, match="split must be one of train, test"):
        ganzoo.evaluate(gan, f"hf:{folder}", samples=100, split="tset")
    with pytest.raises(DataError, match="nowhere can't be opened"):
        ganzoo.evaluate(gan, f"hf:{folder / 'nowhere'}", samples=100)


def test_the_float32_model_that_sample_gives_is_measured(monkeypatch):
    monkeypatch.setattr("ganzoo.models.fast.FastCopy.of", lambda *_: pytest.fail("another model"))
    gan = ganzoo.from_pretrained("fashion-mnist-conditional")
    numbers = {"samples": np.int64(120), "seed": np.int64(3)}
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", **numbers, classes=False, memorised=False)
    drawn = gan.sample(120, seed=3, labels=torch.arange(120) % 10, batch_size=250)
    assert torch.equal(found.drawn, ganzoo.images.to_uint8(drawn))


def test_samples_are_compared_as_bytes_as_real_images_are():
    images, options = FEW.batch(torch.arange(200)), {"samples": 100, "classes": False}
    exact, between = (
        ganzoo.evaluate(ganzoo.GAN(Copies(each), latent_size=2), FEW, **options)
        for each in (images, (images + 0.003).clamp(-1, 1))  # 0.4 of a pixel's step
    )
    assert exact.scores == between.scores
    assert between.memorised["pixels"].samples.distances.eq(0).all()


def test_classes_are_matched_by_name_and_other_names_are_refused():
    def conditional(names):
        torch.manual_seed(0)
        gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
        gan.class_names = tuple(names)
        return ganzoo.evaluate(gan, "fashion-mnist-mini", samples=200, memorised=False)

    with pytest.warns(UserWarning, match="classes are matched by name: fashion-mnist-mini has them in another order"):
        turned = conditional(reversed(MINI.class_names))
    assert [each.name for each in turned.classes] == list(MINI.class_names)
    best = {each.name: each.best for each in turned.classes}  # of samples 0 to 9, asked for as classes 0 to 9
    assert all(index % 10 == 0 for index in best["Ankle boot"]) and all(
        index % 10 == 9 for index in best["T-shirt/top"]
    )
    with pytest.raises(
        ConfigError, match="the model's classes are not those of .*\"0, a, .* against 10 classes .*Trou"
    ):
        conditional(["0", *"abcdefghi"])
    assert conditional(map(str, range(10))).classes[0].name == MINI.class_names[0]  # numbers are no names


def test_a_near_copy_is_found_in_a_set_of_duplicates():
    twice = ganzoo.data.open_data(torch.from_numpy(MINI.images[:300].copy()).repeat(2, 1, 1, 1))
    near = (MINI.batch(torch.arange(300)) + 0.02 * torch.randn(300, 1, 28, 28)).clamp(-1, 1)
    found = ganzoo.evaluate(ganzoo.GAN(Copies(near), latent_size=2), twice, samples=100)
    assert found.memorised.keys() == {"pixels", "features"}
    assert all(each.memorised for each in found.memorised.values())
    assert all(each.unseen.min() > 0 and len(each.unseen) == 300 for each in found.memorised.values())


def test_a_training_set_whose_features_are_too_many_is_compared_in_blocks(monkeypatch):
    gan, options = ganzoo.from_pretrained("fashion-mnist"), {"samples": 100, "classes": False}
    whole = ganzoo.evaluate(gan, FEW, **options)
    kept = {*(ganzoo.data.cache_dir() / "evaluation").iterdir()}
    for path in kept:
        path.unlink()
    monkeypatch.setattr(module, "KEPT", 1000)
    assert ganzoo.evaluate(gan, FEW, **options).to_dict()["memorised"] == whole.to_dict()["memorised"]
    assert len(kept) == 2 and len([*(ganzoo.data.cache_dir() / "evaluation").iterdir()]) == 1  # the yardsticks alone


def test_a_damaged_entry_of_the_cache_is_measured_again(monkeypatch, tmp_path):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    gan, options = ganzoo.from_pretrained("fashion-mnist"), {"samples": 100, "classes": False}
    first = ganzoo.evaluate(gan, FEW, **options).to_dict()
    for path in (tmp_path / "evaluation").iterdir():
        content = bytearray(path.read_bytes())
        content[-4000:-2000] = bytes(2000)
        path.write_bytes(content)
    second = ganzoo.evaluate(gan, FEW, **options).to_dict()
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_other_numbers_is_measured(dtype):
    gan = ganzoo.from_pretrained("fashion-mnist")
    gan.generator.to(dtype)
    assert ganzoo.evaluate(gan, "fashion-mnist-mini", samples=100, memorised=False, classes=False).drawn.any()


def test_figures_depend_on_neither_torchs_default_device_nor_dtype(other_default, tmp_path, monkeypatch):
    gan = ganzoo.from_pretrained("fashion-mnist-conditional")
    half = ganzoo.data.open_data((torch.from_numpy(MINI.images[:250].copy()), MINI.labels[:250]))  # classes unequal
    known = ganzoo.evaluate(gan, half, samples=100)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    with other_default():
        found = ganzoo.evaluate(gan, half, samples=100)
    assert torch.equal(found.drawn, known.drawn) and found.memorised["pixels"].ratio == known.memorised["pixels"].ratio
    for name, score in known.scores.items():
        assert found.scores[name].value == pytest.approx(score.value, abs=1e-6)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the device is one that can be used")
def test_features_are_computed_where_the_model_is(monkeypatch):
    monkeypatch.setattr(ganzoo.GAN, "device", torch.device("cuda"))
    with pytest.raises(ConfigError, match='device "cuda" can\'t be used'):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), "fashion-mnist-mini", samples=100)


def test_a_streamed_set_is_recorded_as_its_first_images(two_splits, monkeypatch):
    folder, training = two_splits
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder.parent / "hf")
    gan = ganzoo.GAN(Copies(training), latent_size=2)
    found = ganzoo.evaluate(gan, f"hf:{folder / 'train'}?stream=yes", samples=100, classes=False, memorised=False)
    assert found.split == "train, in halves, the first 300 images of a stream" and found.split in found.table()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of pictures, made and real ones; the second has a folder for each class."""
    root = tmp_path_factory.mktemp("folders")
    made = ganzoo.from_pretrained("fashion-mnist").sample(150, seed=0)
    for number, picture in enumerate(ganzoo.images.to_pil(made)):
        (root / "made").mkdir(exist_ok=True)
        picture.save(root / "made" / f"{number}.png")
    for number, picture in enumerate(ganzoo.images.to_pil(MINI.batch(torch.arange(240)))):
        place = root / "real" / str(int(MINI.labels[number]) % 2)
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number}.png")
    return root


def test_a_folder_is_measured_against_a_folder(folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    found = ganzoo.evaluate("made/", data="real/", samples=120)
    assert found.samples == 120 and found.drawn.shape == (120, 1, 28, 28) and found.data == "real/"
    assert set(found.memorised) == {"pixels", "features"} and not found.classes
    whole = ganzoo.evaluate(folders / "made", "real", memorised=False, image_size=20)
    assert whole.samples == 150 and "from 20" in whole.features
    assert run(["evaluate", "made/", "--data", "real", "--samples", "100", "--output", "out", "--json"]) == 0
    facts = json.loads(Path("out/evaluation.json").read_text())
    assert json.loads(capsys.readouterr().out) == {**facts, "files": ["out/evaluation.json", "out/evaluation.html"]}
    assert facts["samples"] == 100 and "weights" not in facts
    assert not any(Path("made").glob("eval*"))


def test_what_was_measured_is_written_though_nobody_reads_the_json(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(folders)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", closed)
        quick = ["--samples", "100", "--no-memorised", "--no-classes", "--json"]
        assert run(["evaluate", "made/", "--data", "real", *quick, "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "evaluation.json").read_text())["figures"]
    assert (tmp_path / "evaluation.html").is_file()


def test_a_conditional_model_is_measured_against_images_without_classes():
    gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    unlabelled = ganzoo.data.open_data("fashion-mnist-mini").images
    assert not ganzoo.evaluate(gan, unlabelled, samples=100, memorised=False).classes


def test_classes_of_two_folders_are_compared_if_their_names_agree(folders):
    found = ganzoo.evaluate(folders / "real", data=folders / "real", samples=100, memorised=False)
    assert [each.name for each in found.classes] == ["0", "1"] and found.classes[0].scores is not None
    other = ganzoo.data.open_data((torch.from_numpy(MINI.images.copy()), MINI.labels))
    with pytest.warns(UserWarning, match="classes are not compared: those of real and tensor differ"):
        found = ganzoo.evaluate(folders / "real", data=other, samples=100, memorised=False)


def test_a_folder_of_splits_is_compared_by_its_test_split_and_broken_pictures_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, first, count in (("train", 0, 150), ("test", 150, 120)):
        Path("set", split).mkdir(parents=True)
        for number, picture in enumerate(ganzoo.images.to_pil(MINI.batch(torch.arange(first, first + count)))):
            picture.save(Path("set", split, f"{number}.png"))
    Path("set/test/broken.png").write_bytes(b"\x89PNG")
    command = ["evaluate", "fashion-mnist", "--data", "set", "--samples", "100", "--output", "out"]
    assert run(command) == 2 and not Path("out/evaluation.json").exists()
    with pytest.warns(UserWarning, match="1 of 121 pictures can't be read"):
        assert run([*command, "--broken", "skip"]) == 0
    facts = json.loads(Path("out/evaluation.json").read_text())
    assert facts["split"] == "test"
    assert facts["data_hash"] == ganzoo.data.open_data("set", split="test", broken="skip").hash


def test_images_that_cannot_be_measured_are_said(folders, monkeypatch):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir(exist_ok=True)
    with pytest.raises(DataError, match='"empty" contains neither a saved model nor images: '):
        ganzoo.evaluate("empty", "real")
    with pytest.raises(ConfigError, match="a GAN is measured at its own size, 28"):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), "real", image_size=20)
    few = torch.from_numpy(MINI.images[:50].copy())
    with pytest.raises(DataError, match="50 images to measure are too few; 100 are needed"):
        ganzoo.evaluate(few, "real")


def test_a_run_s_evaluation_is_replaced_by_none_of_another_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
    ganzoo.Trainer(gan, "fashion-mnist-mini", "fashion-mnist", batch_size=8, steps=1, progress=False).fit()
    kept = Path("fashion-mnist/evaluation.json")
    kept.write_text("the run's own")
    quick = ["--samples", "100", "--data", "fashion-mnist-mini", "--no-memorised", "--no-classes"]
    assert run(["evaluate", "fashion-mnist", *quick]) == 0  # the bundled one: a bare name is that
    assert Path("fashion-mnist-evaluation.json").is_file() and Path("fashion-mnist-evaluation.html").is_file()
    for place in (".", "model"):
        monkeypatch.chdir(tmp_path / "fashion-mnist" / place)
        assert run(["evaluate", "fashion-mnist", *quick]) == 0 and Path("fashion-mnist-evaluation.json").is_file()
    assert (tmp_path / kept).read_text() == "the run's own"
    monkeypatch.chdir(tmp_path / "fashion-mnist")
    assert run(["evaluate", ".", *quick]) == 0 and "weights" in json.loads(Path("evaluation.json").read_text())


@pytest.fixture(scope="module")
def on_black(tmp_path_factory):
    """A run on white discs that are transparent around, and not square, read with --ground black and --fit pad."""
    folder = tmp_path_factory.mktemp("black")
    for split, count in (("train", 12), ("test", 12)):
        for number in range(count):
            picture = Image.new("RGBA", (24, 12), (0, 0, 0, 0))
            picture.paste((255, 255, 255, 255), (number, 2, number + 8, 10))
            (folder / "set" / split / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
            picture.save(folder / "set" / split / "ab"[number % 2] / f"{number}.png")
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
    options = {"batch_size": 4, "steps": 1, "score_every": 0, "ground": "black", "fit": "pad", "progress": False}
    ganzoo.Trainer(gan, folder / "set", folder / "run", **options).fit()
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "ground black, fit pad"),
        (["--fit", "crop"], "ground black."),
        (["--ground", "white", "--fit", "crop"], None),
    ],
)
def test_pictures_are_read_as_the_run_of_the_model_read_its_own_which_is_said(
    on_black, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(on_black)
    read = {}

    def measured(gan, data, **options):
        read.update({name: options[name] for name in ("ground", "fit") if name in options})
        raise DataError("enough")

    monkeypatch.setattr(module, "evaluate", measured)
    assert run(["evaluate", "run", "--data", "set", *words]) == 2
    given = dict(zip((word.strip("-") for word in words[::2]), words[1::2]))
    assert read == {"ground": "black", "fit": "pad", **given}
    errors = capsys.readouterr().err
    assert (f"Pictures are read as run read its own: {said}" in errors) if said else ("read its own" not in errors)


def test_a_model_that_is_in_no_run_or_beside_a_damaged_record_is_measured_as_before(on_black, tmp_path):
    shutil.copytree(on_black / "run", tmp_path / "run")
    (tmp_path / "run/run.json").write_text("{")
    for model in (tmp_path / "run" / "model", ganzoo.from_pretrained("fashion-mnist").folder, None):
        assert as_trained(model) == {} and as_trained(model, "red") == {"ground": "red"}


def test_pictures_to_invert_and_to_probe_are_read_as_the_run_read_its_own(on_black, monkeypatch, capsys):
    monkeypatch.chdir(on_black)
    assert run(["invert", "run", "set/test/a/0.png", "--steps", "1", "--starts", "1"]) == 0
    target = np.asarray(Image.open("invert.png").convert("L"))[2:30, 2:30]
    assert target[:6].max() == 0 and target[-6:].max() == 0 and target.max() > 200  # borders, black, and a white disc
    read = []

    def measured(_, train, test, *__, **___):
        read.extend((train, test))
        raise DataError("enough")

    monkeypatch.setattr(importlib.import_module("ganzoo.explore.probe"), "probe", measured)
    assert run(["probe", "run", "--data", "set"]) == 2
    assert all(data.images[:, :, :6].max() == 0 and data.images.max() > 200 for data in read) and len(read) == 2
    assert capsys.readouterr().err.count("Pictures are read as run read its own: ground black, fit pad.") == 2


def test_yardsticks_come_from_the_cache_the_second_time(measured, monkeypatch, tmp_path):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    gan = ganzoo.from_pretrained("fashion-mnist")
    first = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=300, memorised=False, classes=False)
    monkeypatch.setattr(module._Real, "_of", lambda *_: pytest.fail("measured again"))
    second = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=300, memorised=False, classes=False)
    assert first.figures() == second.figures()


def test_another_size_is_resampled_and_the_name_says_so():
    gan = ganzoo.create("fashion-mnist", image_size=56, generator={"widths": (8, 4, 4)})
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=150, memorised=False)
    assert found.figures()[0]["name"] == "FD(fashion-net@28 from 56)"


@pytest.mark.parametrize(("channels", "chosen"), [(1, "fashion-net@28 from 8"), (3, "color-net@64 from 8")])
def test_features_are_chosen_by_the_channels_and_their_limits_are_said(channels, chosen, tmp_path):
    images = torch.randint(0, 256, (300, channels, 8, 8), dtype=torch.uint8)
    found = ganzoo.evaluate(images[:100], images[100:], metrics="kd", memorised=False)
    assert found.features == chosen and found.limits.startswith(chosen.partition("@")[0])
    assert found.limits in found.table() and found.limits in write_page(found, tmp_path / "x.html", "x").read_text()
    assert found.to_dict()["limits"] == found.limits


@pytest.mark.parametrize(
    "gan, options, error, said",
    [
        (lambda: ganzoo.GAN(Constant(float("nan")), latent_size=2), {}, DataError, "draws NaN or infinity"),
        (lambda: ganzoo.GAN(Constant(0.5), latent_size=2), {}, DataError, "very same features"),
        (
            lambda: ganzoo.from_pretrained("fashion-mnist"),
            {"samples": 99},
            ConfigError,
            "samples must be an int of at least 100",
        ),
        (
            lambda: ganzoo.from_pretrained("fashion-mnist"),
            {"features": "fashon-net"},
            UnknownNameError,
            'Did you mean "fashion-net"',
        ),
        (
            lambda: ganzoo.from_pretrained("fashion-mnist"),
            {"features": ""},
            ConfigError,
            'must look like name .* got ""',
        ),
        (
            lambda: ganzoo.create("fashion-mnist", generator={"num_classes": 3}),
            {},
            ConfigError,
            "classes are not those of fashion-mnist-mini: 3 classes .* against 10 classes",
        ),
    ],
)
def test_what_cannot_be_measured_is_said(gan, options, error, said):
    with pytest.raises(error, match=said):
        ganzoo.evaluate(gan(), "fashion-mnist-mini", **{"samples": 120, **options})


def test_of_a_large_training_set_a_part_is_looked_at_and_that_is_said(tmp_path):
    gan, options = ganzoo.GAN(Copies(MINI.batch(torch.arange(400))), latent_size=2), {"samples": 100, "metrics": "kd"}
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", training_images=500, classes=False, **options)
    assert all(each.part == 0.25 and each.samples.indices.max() > 500 for each in found.memorised.values())
    assert found.table().count("Only 25.0% of the training images were compared (--training-images).") == 2
    copied = found.memorised["pixels"].samples
    exact = int(copied.distances.argmin())
    assert copied.distances[exact] == 0
    assert torch.equal(found.drawn[exact], MINI.pixels(copied.indices[exact : exact + 1])[0])
    assert found.to_dict()["memorised"]["pixels"]["part"] == 0.25
    with pytest.raises(ConfigError, match="training_images must be an int of at least 100, got 0"):
        ganzoo.evaluate(gan, "fashion-mnist-mini", training_images=0, **options)


@pytest.mark.parametrize(("size", "channels", "expected"), [(28, 1, 250), (64, 3, 250), (1024, 3, 5), (8192, 3, 1)])
def test_large_images_are_measured_in_small_batches(size, channels, expected):
    assert at_once(size, channels) == expected


def test_too_few_real_images_are_said():
    few = ganzoo.data.open_data((torch.from_numpy(MINI.images[:150].copy()), MINI.labels[:150]))
    with pytest.raises(DataError, match="has 150 images, which are halved; 200 are needed to compare with"):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), few, samples=120)


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_figure(tmp_path, monkeypatch):
    gan, options = ganzoo.from_pretrained("fashion-mnist"), {"samples": 120, "classes": False, "memorised": False}
    expected = ganzoo.evaluate(gan, "fashion-mnist-mini", **options).scores
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't be written .*GANZOO_CACHE.*computed again"):
        assert ganzoo.evaluate(gan, "fashion-mnist-mini", **options).scores == expected


def test_the_command_writes_figures_and_a_page_and_fills_the_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["--samples", "120", "--data", "fashion-mnist-mini"]
    words = ["evaluate", "fashion-mnist", *quick, "--output", "deep/er"]
    monkeypatch.setattr("sys.argv", ["ganzoo", *words])
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "FD(fashion-net)" in out and "Memorising, by pixels" in out and max(map(len, out.splitlines()[:-1])) <= 100
    page = Path("deep/er/evaluation.html").read_text()
    assert "ganzoo evaluate fashion-mnist --samples 120" in page and time.strftime("%Y-%m-%d") in page
    assert "The share of the samples that look like a real image." in page and "<h2>Samples</h2>" in page
    head = Path(ganzoo.__file__).with_name("templates").joinpath("page_template.html").read_text()
    assert head.partition(":root")[2].partition("{% block style")[0] in page, "its head is another than the report's"
    widths = [int(width) for width in re.findall(r'<img [^>]*width="(\d+)"', page)]
    assert max(widths) > 700 and min(widths) > 40  # each image at 28 times 2 or 3, one of a strip at least
    assert page.count("<img") >= 20 and "http" not in page.replace("http-equiv", "") and len(page) < 3_000_000
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
    options = {"batch_size": 8, "steps": 2, "progress": False}
    ganzoo.Trainer(gan, "fashion-mnist-mini", "run", **options).fit()
    assert run(["evaluate", "run", *quick, "--no-memorised", "--no-classes"]) == 0
    value = json.loads(Path("run/evaluation.json").read_text())["figures"][0]["value"]
    assert f"| FD | {value:.4g} |" in Path("run/model/README.md").read_text()
    assert run(["evaluate", "nowhere", *quick]) == 2


@pytest.mark.parametrize("home", [False, True])
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, monkeypatch, capsys, home):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "evaluate", lambda *_, **__: pytest.fail("measured"))
    output = str(tmp_path / "file" / "deeper")
    given = "~/file/deeper" if home else output
    assert run(["evaluate", "fashion-mnist", "--data", "fashion-mnist-mini", "--output", given]) == 2
    assert output in capsys.readouterr().err


def test_the_figures_are_shown_even_where_a_full_disk_takes_no_files(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "evaluation.json")

    monkeypatch.setattr("ganzoo.files.write_file", full)
    quick = ["--samples", "120", "--data", "fashion-mnist-mini", "--no-memorised", "--no-classes"]
    assert run(["evaluate", "fashion-mnist", *quick, "--output", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "FD(fashion-net)" in said.out and "No space left on device" in said.err


def test_the_run_of_a_model_is_found_from_within_the_model(tmp_path, monkeypatch):
    from ganzoo.runs.folder import run_of

    (tmp_path / "model").mkdir()
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "model")
    assert run_of(Path(".")).resolve() == tmp_path.resolve()


# --- features and metrics of other packages --------------------------------------------------------------------------


def tiny(scale: float = 1.0) -> Features:
    """Pixels of 4x4 thumbnails."""
    network = nn.Sequential(nn.Flatten(), nn.Hardtanh(-scale, scale))
    return Features("acme.tiny", 4, 1, 16, f"tiny {scale}", network)


@better("lower")
def brightness(real, fake) -> float:
    """How far the mean values lie apart."""
    return float((real.mean() - fake.mean()).abs())


@pytest.fixture
def of_others():
    with ganzoo.FEATURES.temporarily("acme.tiny", tiny), ganzoo.METRICS.temporarily("acme.brightness", brightness):
        yield


def test_features_and_metrics_of_other_packages_are_measured_with_both_references(of_others):
    gan, options = ganzoo.from_pretrained("fashion-mnist"), {"samples": 120, "metrics": ("acme.brightness",)}
    found = ganzoo.evaluate(gan, FEW, features="acme.tiny(scale=0.5)", **options)
    (figure,) = found.figures()
    assert figure["name"] == "acme.brightness(acme.tiny@4 from 28)" and figure["better"] == "lower"
    assert figure["value"] < figure["noise_reference"] and figure["real_reference"] < figure["noise_reference"]
    assert set(found.memorised) == {"pixels", "features"} and not found.classes
    given = ganzoo.evaluate(gan, FEW, features=tiny(0.5), **options, device="cpu")
    assert given.figures() == found.figures()
    with_options = ganzoo.evaluate(gan, FEW, features="acme.tiny", samples=120, metrics="prdc(k=3)", memorised=False)
    assert with_options.figures()[0]["name"] == "precision(k=3)(acme.tiny@4 from 28)"


def test_the_command_takes_features_and_metrics_by_name(of_others, tmp_path, capsys):
    command = ["evaluate", "fashion-mnist", "--data", "fashion-mnist-mini", "--samples", "100", "--no-memorised"]
    command += ["--output", str(tmp_path), "--features", "acme.tiny"]
    assert run([*command, "--metric", "acme.brightness", "--metric", "fd"]) == 0
    assert "acme.brightness(acme.tiny@4 from 28)" in capsys.readouterr().out
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    assert facts["metrics"] == ["acme.brightness", "fd"] and len(facts["figures"]) == 2
    assert run([*command, "--metric", "acme.brightnes"]) == 2
    assert 'Did you mean "acme.brightness"' in capsys.readouterr().err


def test_features_that_do_not_keep_their_word_are_named():
    fails = Features("acme.fails", 4, 1, 16, "0", nn.Linear(3, 3))
    short = Features("acme.short", 4, 1, 17, "1", nn.Flatten())
    options = {"samples": 100, "memorised": False}
    with pytest.raises(PluginError, match="the network of the features acme.fails fails .*tell its author"):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), FEW, features=fails, **options)
    with pytest.raises(ShapeError, match=r"acme.short gives \(100, 16\) for 100 images, not \(100, 17\)"):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), FEW, features=short, **options)
    with ganzoo.FEATURES.temporarily("acme.none", lambda: None), pytest.raises(PluginError, match="not a Features"):
        ganzoo.FEATURES.make("acme.none")


class Drawn(nn.Module):
    """Draws each class as `unequal` has it: noise about the grey of the class."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, latents, labels):
        return (0.2 * latents.view(-1, 1, 8, 8) + labels.view(-1, 1, 1, 1) - 0.5).clamp(-1, 1) + 0 * self.unused


def unequal(seed, count=1000):
    labels = (torch.arange(count) % 10 == 0).long()
    latents = torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    return Drawn()(latents, labels).detach(), labels


def test_a_conditional_model_draws_classes_of_unequal_size_in_their_proportions():
    thumbnails = Features("mine", image_size=8, image_channels=1, dimension=64, key="mine", network=nn.Flatten())
    gan = ganzoo.GAN(Drawn(), latent_size=64, num_classes=2)
    options = {"samples": 500, "features": thumbnails, "metrics": ("fd", "kd"), "memorised": False}
    found = ganzoo.evaluate(gan, unequal(0), **options)
    assert found.classes[1].share == pytest.approx(0.1)
    assert abs(found.scores["KD"].value) < 0.005
    equal = ganzoo.evaluate(gan, unequal(0), classes=False, **options)
    assert equal.scores["KD"].value > 0.1


def test_labels_in_proportion_are_spread_evenly_and_of_equal_classes_in_turn():
    assert in_proportion(torch.tensor([5, 5, 5]), 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    labels = in_proportion(torch.tensor([90, 10, 0]), 20)
    assert labels.bincount(minlength=3).tolist() == [18, 2, 0] and labels[:10].tolist().count(1) == 1
    assert len(in_proportion(torch.tensor([1, 1, 5]), 3)) == 3


def test_copies_are_looked_for_among_all_images_that_are_measured():
    thumbnails = Features("mine", image_size=8, image_channels=1, dimension=64, key="mine", network=nn.Flatten())
    random = torch.Generator().manual_seed(0)
    train, fresh = (torch.randn(count, 1, 8, 8, generator=random).mul(0.4).clamp(-1, 1) for count in (1500, 1200))
    found = ganzoo.evaluate(
        torch.cat([fresh, train[:1200]]), train, samples=2400, features=thumbnails, metrics=("variety",), classes=False
    )
    assert all(0.4 < each.suspect < 0.6 for each in found.memorised.values())


def test_the_columns_of_figures_are_the_generator_real_images_and_noise():
    sides = {side: {"FD": Score(value, better="lower")} for side, value in zip(module.SIDES, (2.5, 1.5, 3.5))}
    found = Evaluation(features="net", metrics=("fd",), samples=100, data="data", split="test", data_hash="0", **sides)
    lines = [line.split() for line in found.table().splitlines()]
    assert lines[-2:] == [["generator", "real", "noise"], ["FD(net)", "2.5", "1.5", "3.5", "lower", "is", "better"]]
    head, line = (re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in found.figure_table().split("</tr>")[:2])
    assert head[1:4] == ["generator", "real images", "noise"] and line[1:4] == ["<b>2.5</b>", "1.5", "3.5"]


def test_the_best_samples_of_a_class_are_nearest_to_its_real_images_and_shares_are_of_each_side():
    real, fake = torch.tensor([[0.0], [9], [9]]), torch.tensor([[3.0], [1], [2], [4], [9]])
    kind, other = by_class(real, torch.tensor([0, 1, 1]), fake, torch.tensor([0, 0, 0, 0, 1]), ("kind", "other"), ())
    assert (kind.best, kind.worst, other.best, other.worst) == ((1, 2), (3, 0), (4,), ())
    assert (kind.share, other.share) == (4 / 5, 1 / 5) and (kind.real_share, other.real_share) == (1 / 3, 2 / 3)


@pytest.mark.parametrize("side", ["real", "samples"])
def test_a_class_whose_balls_would_span_it_is_not_measured(side):
    labels = torch.tensor([0] * 14 + [1] * 15)
    others = torch.tensor([0] * 15 + [1] * 15)
    real, fake = (labels, others) if side == "real" else (others, labels)
    features = [torch.arange(len(each), dtype=torch.float32)[:, None] for each in (real, fake)]
    few, enough = by_class(features[0], real, features[1], fake, ("few", "enough"), make_metrics(("prdc",), 0))
    assert few.scores is None and few.unmeasured == "too few to measure" and enough.scores["coverage"].value > 0


def test_in_proportion_the_largest_remainders_are_rounded_up():
    assert in_proportion(torch.tensor([5, 3, 1]), 10).bincount().tolist() == [6, 3, 1]  # 5.6, 3.3, 1.1


def test_proportions_of_classes_are_found_by_their_names():
    images, labels = unequal(0)
    data = images, ["rare" if label else "common" for label in labels]
    thumbnails = Features("mine", image_size=8, image_channels=1, dimension=64, key="mine", network=nn.Flatten())
    gan = ganzoo.GAN(Drawn(), latent_size=64, num_classes=2, class_names=("rare", "common"))
    with pytest.warns(UserWarning, match="has them in another order"):
        found = ganzoo.evaluate(gan, data, samples=200, features=thumbnails, metrics="variety", memorised=False)
    assert {each.name: each.share for each in found.classes} == {"common": 0.9, "rare": 0.1}


# --- which images are compared, by features that say their numbers ---------------------------------------------------


class FirstPixels(nn.Module):
    """Of an image of `numbered`: the two pixels that hold its number."""

    def forward(self, images):
        return images.flatten(1)[:, :2]


def numbered(*bounds):
    """An image for each number of `range(*bounds)`, which its first two pixels hold."""
    numbers = torch.arange(*bounds)
    images = torch.zeros(len(numbers), 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = numbers // 256, numbers % 256
    return images


def compared(made, data, **options):
    """The numbers of the samples, real images and other real images that `evaluate` compares; the features of noise."""
    sides, space = [], Features("numbers", 8, 1, 2, "numbers", FirstPixels())

    def mean_of_samples(real, fake):
        sides.append((real, fake))
        return float(fake.mean())

    options = {"features": space, "metrics": "acme.mean", "memorised": False, **options}
    with ganzoo.METRICS.temporarily("acme.mean", better("lower")(mean_of_samples)):
        found = ganzoo.evaluate(made, data, **options)
    (real, samples), (_, others), (_, noise) = sides
    for side, rows in zip((found.scores, found.real_reference, found.noise_reference), (samples, others, noise)):
        assert side["acme.mean"].value == float(rows.mean())
    bytes_of = [((rows + 1) * 127.5).round().long() for rows in (samples, real, others)]
    return *((256 * each[:, 0] + each[:, 1]).tolist() for each in bytes_of), noise


def test_real_images_are_compared_with_other_ones_drawn_from_the_whole_set_and_with_noise_of_all_levels():
    samples, real, others, noise = compared(numbered(300), numbered(1000, 1400), samples=200)
    assert len({*samples}) == 200 and {*samples} <= {*range(300)}
    assert len(real) == len(others) == 200 and {*real, *others} == {*range(1000, 1400)}  # none is in both
    assert 80 < sum(number < 1200 for number in real) < 120  # a folder sorted by class is not cut into classes
    assert noise.min() < -0.98 and noise.max() > 0.98 and abs(noise.mean()) < 0.1


def test_the_seed_chooses_among_images_in_place_of_a_gan():
    one, again, other = (generated(numbered(300), 100, seed).indices.tolist() for seed in (0, 0, 1))
    assert one == again and {*one} != {*other} and {*one} != {*range(100)} and len({*one}) == 100


def test_the_cache_gives_no_features_of_another_seed_number_of_samples_or_other_split(tmp_path, monkeypatch):
    def measured(first=1000, **options):
        data = {"train": numbered(first, first + 150), "test": numbered(500, 650)}
        with ganzoo.SOURCES.temporarily("acme.numbered", lambda: data):
            *numbers, noise = compared(numbered(200), "acme.numbered", **{"samples": 110, **options})
        return numbers, noise.tolist()

    cases = [{}, {"seed": 1}, {"samples": 120}, {"first": 2000}]
    found = [measured(**case) for case in cases]
    for number, case in enumerate(cases):
        monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / f"{number}"))
        assert measured(**case) == found[number], case
