"""Evaluation as a whole: yardsticks beside every figure, classes, memorising, and what can't be measured."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, DataError
from ganzoo.evaluation import evaluate as module
from ganzoo.evaluation.page import write_page

pytest.importorskip("torch_fidelity", reason="pip install 'ganzoo-torch[metrics]'")
MINI = ganzoo.data.open_data("fashion-mnist-mini")


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
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=100, memorised=False)
    assert found.drawn.shape == (100, 1, 28, 20)


def test_the_bundled_model_lies_between_the_yardsticks(measured):
    figures = measured.figures()
    assert [figure["name"] for figure in figures] == [
        f"{name}(fashion-net)" for name in ("FD", "KD", "precision", "recall", "density", "coverage", "variety")
    ]
    for figure in figures:
        if figure["name"].startswith(("FD", "KD", "recall", "coverage")):
            better, worse = figure["floor"], figure["ceiling"]
            assert min(better, worse) < figure["value"] < max(better, worse), figure


def test_all_figures_are_json_and_stand_in_the_table(measured):
    again = json.loads(json.dumps(measured.to_dict()))
    assert again["samples"] == 600 and again["neighbours"] == {"k": 5, "images": 5000}
    assert again["data_hash"] == MINI.hash and again["split"] == "all, in halves"
    table = measured.table()
    assert all(figure["name"] in table for figure in again["figures"]) and "k = 5" in table


def test_each_class_has_its_share_and_its_best_and_worst(measured):
    assert [each.name for each in measured.classes] == list(MINI.class_names)
    assert sum(each.share for each in measured.classes) == pytest.approx(1)
    assert sum(each.samples for each in measured.classes) == 600
    for each in measured.classes:
        assert len(each.best) == len(each.worst) == min(8, each.samples)
        assert each.agreement is None
    assert measured.agreement is None


def test_a_conditional_model_is_asked_for_each_class_and_judged_by_the_classifier():
    gan = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=200, memorised=False)
    assert {each.samples for each in found.classes} == {20}
    assert all(each.agreement is not None and 0 <= each.agreement <= 1 for each in found.classes)
    value, of_real_images = found.agreement
    assert value == pytest.approx(sum(each.agreement for each in found.classes) / 10) and of_real_images > 0.8
    assert "agreement(fashion-net)" in found.table()


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
    assert "too few to measure (10 samples, 0.0% of the real images)" in found.table()
    assert "too few (10 samples, 0.0% of the real images)" in write_page(found, tmp_path / "page.html", "x").read_text()


def test_copies_of_training_images_are_called_so():
    found = ganzoo.evaluate(
        ganzoo.GAN(Copies(MINI.batch(torch.arange(1000))), latent_size=2), "fashion-mnist-mini", samples=300
    )
    assert all(each.memorised for each in found.memorised.values())
    assert found.table().count("gives training images back") == 2


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
    with pytest.raises(ConfigError, match="split must be train or test"):
        ganzoo.evaluate(gan, f"hf:{folder}", samples=100, split="tset")
    with pytest.raises(DataError, match="nowhere can't be opened"):
        ganzoo.evaluate(gan, f"hf:{folder / 'nowhere'}", samples=100)


def test_yardsticks_come_from_the_cache_the_second_time(measured, monkeypatch, tmp_path):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    gan = ganzoo.from_pretrained("fashion-mnist")
    first = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=300, memorised=False, classes=False)
    monkeypatch.setattr(module._Real, "_of", lambda *_: pytest.fail("measured again"))
    second = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=300, memorised=False, classes=False)
    assert (first.scores, first.floor, first.ceiling) == (second.scores, second.floor, second.ceiling)


def test_another_size_is_resampled_and_the_name_says_so():
    gan = ganzoo.create("fashion-mnist", image_size=56, generator={"widths": (8, 4, 4)})
    found = ganzoo.evaluate(gan, "fashion-mnist-mini", samples=150, memorised=False)
    assert found.figures()[0]["name"] == "FD(fashion-net@28 from 56)"


@pytest.mark.parametrize(
    "gan, options, error, said",
    [
        (lambda: ganzoo.GAN(Constant(float("nan")), latent_size=2), {}, DataError, "draws NaN or infinity"),
        (lambda: ganzoo.GAN(Constant(0.5), latent_size=2), {}, DataError, "very same features"),
        (
            lambda: ganzoo.from_pretrained("fashion-mnist"),
            {"samples": 99},
            ConfigError,
            "samples must be an int from 100",
        ),
        (lambda: ganzoo.from_pretrained("fashion-mnist"), {"features": "fashon-net"}, ConfigError, "fashion-net"),
        (lambda: ganzoo.create("pokemon-64"), {}, ConfigError, "features must be named for images in colour"),
        (
            lambda: ganzoo.create("fashion-mnist", generator={"num_classes": 3}),
            {},
            ConfigError,
            "the GAN has 3 classes, fashion-mnist-mini has 10",
        ),
    ],
)
def test_what_cannot_be_measured_is_said(gan, options, error, said):
    with pytest.raises(error, match=said):
        ganzoo.evaluate(gan(), "fashion-mnist-mini", **{"samples": 120, **options})


def test_too_few_real_images_are_said():
    few = ganzoo.data.open_data((torch.from_numpy(MINI.images[:150].copy()), MINI.labels[:150]))
    with pytest.raises(DataError, match="has 150 images, which are halved; 200 are needed to compare with"):
        ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), few, samples=120)


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_figure(tmp_path, monkeypatch):
    gan, options = ganzoo.from_pretrained("fashion-mnist"), {"samples": 120, "classes": False, "memorised": False}
    expected = ganzoo.evaluate(gan, "fashion-mnist-mini", **options).scores
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't be written .*computed again.*GANZOO_CACHE"):
        assert ganzoo.evaluate(gan, "fashion-mnist-mini", **options).scores == expected


def test_the_command_writes_figures_and_a_page_and_fills_the_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["--samples", "120", "--data", "fashion-mnist-mini"]
    assert run(["evaluate", "fashion-mnist", *quick, "--output", "deep/er"]) == 0
    out = capsys.readouterr().out
    assert "FD(fashion-net)" in out and "Memorising, by pixels" in out
    page = Path("deep/er/evaluation.html").read_text()
    assert page.count("<img") >= 20 and "http" not in page.replace("http-equiv", "") and len(page) < 3_000_000
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)}, seed=0)
    options = {"batch_size": 8, "steps": 2, "progress": False}
    ganzoo.Trainer(gan, "fashion-mnist-mini", "run", **options).fit()
    assert run(["evaluate", "run", *quick, "--no-memorised", "--no-classes"]) == 0
    value = json.loads(Path("run/evaluation.json").read_text())["figures"][0]["value"]
    assert f"| FD(fashion-net) | {value:.4g} |" in Path("run/model/README.md").read_text()
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
