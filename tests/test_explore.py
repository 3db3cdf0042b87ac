"""Looking into a generator: walks, directions, arithmetic, inversion, and a probe of the discriminator."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, DataError, MissingExtraError, ShapeError
from ganzoo.explore import arithmetic, directions, discriminator_features, invert, probe, walk
from ganzoo.explore.probe import _accuracy
from ganzoo.latents import sample_latents, sign_class

MINI = ganzoo.data.open_data("fashion-mnist-mini")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def gan():
    return ganzoo.from_pretrained("fashion-mnist", discriminator=True)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    made = ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    return made.save_pretrained(tmp_path_factory.mktemp("conditional") / "model")


# --- inversion --------------------------------------------------------------------------------------------------


def test_a_sample_of_its_own_is_found_again(gan):
    images = gan.sample(2, seed=5)
    before = [parameter.clone() for parameter in gan.generator.parameters()]
    found = invert(gan, images, starts=4, steps=150, candidates=500)
    assert (found.psnr > 17).all() and found.latents.shape == (2, 100)
    assert torch.allclose(gan.sample(latents=found.latents), found.images, atol=1e-5)
    error = (found.images - images).square().flatten(1).mean(1)
    assert torch.allclose(found.psnr, 10 * torch.log10(4 / error), atol=1e-3)
    assert all(torch.equal(one, other) for one, other in zip(before, gan.generator.parameters()))
    assert all(parameter.requires_grad for parameter in gan.generator.parameters())


def test_more_starts_are_never_worse_than_the_best_of_them(gan):
    images = gan.sample(2, seed=8)
    few, many = (invert(gan, images, starts=starts, steps=30, candidates=200) for starts in (1, 4))
    assert (many.psnr >= few.psnr - 1e-3).all()


@pytest.mark.slow
def test_four_of_five_samples_of_its_own_are_found_to_25_db(gan):
    found = invert(gan, gan.sample(5, seed=1))
    assert (found.psnr >= 25).sum() >= 4, found.psnr


def test_each_image_of_a_conditional_model_keeps_its_label(conditional):
    model = ganzoo.from_pretrained(conditional)
    images = model.sample(3, seed=0, labels=[2, 7, 2])
    found = invert(model, images, labels=[2, 7, 2], starts=2, steps=5, candidates=50)
    assert torch.allclose(model.sample(latents=found.latents, labels=[2, 7, 2]), found.images, atol=1e-5)


@pytest.mark.parametrize(
    "images, options, error, said",
    [
        (torch.zeros(1, 3, 28, 28), {}, ShapeError, "images must be"),
        (torch.zeros(0, 1, 28, 28), {}, ShapeError, "images must be"),
        (torch.full((1, 1, 28, 28), float("nan")), {}, DataError, "NaN"),
        (torch.zeros(1, 1, 28, 28), {"steps": 0}, ConfigError, "steps must be an int of at least 1"),
        (torch.zeros(1, 1, 28, 28), {"labels": 3}, ConfigError, "has no classes"),
    ],
)
def test_what_cannot_be_inverted_is_said(gan, images, options, error, said):
    with pytest.raises(error, match=said):
        invert(gan, images, **options)


# --- arithmetic -------------------------------------------------------------------------------------------------


def test_means_are_added_and_taken_away(gan):
    from ganzoo.latents import sample_latents

    rows = sample_latents(10, 100, seed=3)[0]
    found = arithmetic(gan, [(1, [0, 1, 2]), (1, [7, 8, 9]), (-1, [3, 4])], seed=3, across=True)
    total = rows[:3].mean(0) - rows[3:5].mean(0) + rows[7:].mean(0)
    assert torch.allclose(found.latent, total * 10 / total.norm(), atol=1e-5)
    assert torch.allclose(found.images[:1], gan.sample(latents=found.latent[None]), atol=1e-5)
    assert found.images.shape == (9, 1, 28, 28) and found.picture.height > 28 * 3 * 2


# --- clusters ---------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(gan, monkeypatch):
    """The clusters of all latents that are sampled, one set a call."""
    found, sample = [], ganzoo.GAN.sample
    monkeypatch.setattr(
        ganzoo.GAN,
        "sample",
        lambda self, *given, latents=None, **more: (
            found.append({*sign_class(latents, 64).tolist()}) or sample(self, *given, latents=latents, **more)
        ),
    )
    return found


FIRST = int(sign_class(sample_latents(1, 100, 0)[0], 64))
TOOLS = {
    "walk": lambda gan, **more: walk(gan, points=4, steps=2, **more),
    "directions": lambda gan, **more: directions(gan, count=6, strength=20, **more),
    "arithmetic": lambda gan, **more: arithmetic(gan, [(1, [0]), (-1, [1, 2]), (1, [3])], **more),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_latent_tools_stay_in_the_cluster_of_their_first_latent_unless_asked(gan, seen, tool):
    TOOLS[tool](gan)
    if tool == "arithmetic":  # the samples that were named are shown as they are
        assert seen[0] == {FIRST} and all(FIRST in clusters for clusters in seen)
    else:
        assert seen == [{FIRST}]
    seen.clear()
    TOOLS[tool](gan, across=True)
    assert len(set().union(*seen)) > 1


def test_a_walk_begins_at_the_first_sample_and_may_close(gan):
    frames = walk(gan, points=3, steps=2, seed=4)
    assert frames.shape == (5, 1, 28, 28) and walk(gan, points=3, steps=2, closed=True).shape == (6, 1, 28, 28)
    assert torch.allclose(frames[:1], gan.sample(1, seed=4), atol=1e-5)
    moved = directions(gan, count=2, strength=3, seed=4)
    assert moved.shape == (2, 9, 1, 28, 28) and torch.allclose(moved[:, 4], frames[:1].expand(2, -1, -1, -1), atol=1e-5)


@pytest.mark.parametrize("tool", TOOLS)
def test_latent_tools_want_the_class_of_a_conditional_model(conditional, tool):
    with pytest.raises(ConfigError, match="label="):
        TOOLS[tool](ganzoo.from_pretrained(conditional))


# --- the probe --------------------------------------------------------------------------------------------------


def test_features_of_the_discriminator_need_no_labels(gan, conditional):
    assert discriminator_features(gan.discriminator, torch.zeros(2, 1, 28, 28)).shape == (
        2,
        (64 + 128 + 128) * 16,
    )  # two stages and the last block
    judge = ganzoo.from_pretrained(conditional, discriminator=True).discriminator
    assert discriminator_features(judge, torch.zeros(2, 1, 28, 28)).shape == (2, (4 + 8 + 8) * 16)
    with pytest.raises(ConfigError, match="does not offer features"):
        discriminator_features(torch.nn.Flatten(), torch.zeros(2, 1, 28, 28))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_probe_and_inversion_run_in_the_numbers_of_the_model(conditional, dtype):
    pytest.importorskip("sklearn")
    pair = ganzoo.from_pretrained(conditional, discriminator=True)
    pair.generator.to(dtype)
    pair.discriminator.to(dtype)
    features = discriminator_features(pair.discriminator, torch.zeros(2, 1, 28, 28))
    assert features.dtype == torch.float32 and features.device.type == "cpu"
    images, labels = torch.from_numpy(MINI.images.copy()), MINI.labels
    train, test = (ganzoo.data.open_data((images[part], labels[part])) for part in (slice(0, 400), slice(1, 400)))
    assert 0 < probe(pair.discriminator, train, test).discriminator <= 1
    found = invert(pair, MINI.batch(torch.arange(2)), labels=[0, 1], starts=2, steps=3, candidates=8)
    assert found.latents.dtype == found.images.dtype == torch.float32 and found.psnr.isfinite().all()


def test_a_feature_that_never_varies_in_training_does_not_decide():
    pytest.importorskip("sklearn")
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    seen = labels[:, None] * 2.0 - 1 + torch.randn(200, 4, generator=random) * 0.3
    alike = torch.full((200, 1), 0.1)
    alike[::2] += 1e-7  # as the rounding of a pass leaves it
    other = alike + torch.randn(200, 1, generator=random)  # of test images
    assert _accuracy(torch.cat([seen, alike], 1), labels, torch.cat([seen, other], 1), labels, 0) == 1


def test_without_scikit_learn_the_extra_is_named_before_anything_is_computed(gan, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    monkeypatch.setattr(sys.modules["ganzoo.explore.probe"], "discriminator_features", None)  # called, it would fail
    images, labels = torch.from_numpy(MINI.images.copy()), MINI.labels
    train, test = (ganzoo.data.open_data((images[part], labels[part])) for part in (slice(0, 40), slice(40, 60)))
    with pytest.raises(MissingExtraError, match=r'the probe needs scikit-learn: pip install "ganzoo-torch\[metrics\]"'):
        probe(gan.discriminator, train, test)


def test_trained_features_beat_raw_pixels(gan):
    pytest.importorskip("sklearn")
    images, labels = torch.from_numpy(MINI.images.copy()), MINI.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = (ganzoo.data.open_data((images[part], labels[part])) for part in (order[:700], order[1500:]))
    found = probe(gan.discriminator, train, test)
    assert found.images == 700 and found.discriminator > found.pixels > 0.6
    alike = ganzoo.data.open_data((images[:50], torch.zeros(50, dtype=torch.long)))
    with pytest.raises(DataError, match="50 images of .* are all of one class"):
        probe(gan.discriminator, alike, alike)
    plain = ganzoo.data.open_data(images)
    with pytest.raises(DataError, match="has no labels"):
        probe(gan.discriminator, plain, test)
    with pytest.raises(DataError, match="the same images to train and to test on"):
        probe(gan.discriminator, test, test)


# --- commands ---------------------------------------------------------------------------------------------------


def test_a_walk_is_a_grid_or_an_animation(here, capsys):
    assert run(["walk", "fashion-mnist", "--points", "3", "--steps", "4", "--output", "deep/walk.png"]) == 0
    assert Image.open("deep/walk.png").size == (4 * 30 + 2, 2 * 30 + 2)
    assert capsys.readouterr().out == "8 frames in deep/walk.png\n"
    assert run(["walk", "fashion-mnist", "--points", "2", "--steps", "3", "--output", "walk.gif"]) == 0
    assert Image.open("walk.gif").n_frames == 6


def test_directions_are_rows(here, conditional):
    assert run(["directions", "fashion-mnist", "--count", "2"]) == 0
    assert Image.open("directions.png").size == (9 * 30 + 2, 2 * 30 + 2)
    assert run(["directions", str(conditional), "--count", "2", "--label", "3"]) == 0


def test_arithmetic_and_inversion_write_pictures(here, capsys):
    assert run(["arithmetic", "fashion-mnist", "--plus", "1,2", "--minus", "3", "--output", "a/sum.png"]) == 0
    assert Image.open("a/sum.png").width > 5 * 28 * 2
    assert run(["sample", "fashion-mnist", "--count", "2", "--folder", "some"]) == 0
    pictures = sorted(map(str, Path("some").iterdir()))
    assert run(["invert", "fashion-mnist", *pictures, "--steps", "10", "--starts", "2"]) == 0
    assert capsys.readouterr().out.count(" dB") == 2 and Image.open("invert.png").size == (62, 62)


@pytest.mark.parametrize(
    "words",
    [["sample"], ["walk"], ["directions"], ["arithmetic", "--plus", "1"], ["invert", "one.png"], ["data"]],
    ids=lambda words: words[0],
)
def test_an_ending_that_no_picture_has_is_said_before_anything_is_opened(here, words, capsys):
    command, *more = words
    for output, said in (("found", "found: a picture's name needs an ending. Known: .png, "), ("x.pgn", '".pgn"')):
        assert run([command, "./nowhere", *more, "--output", output]) == 2
        assert said in capsys.readouterr().err


def test_inversion_says_what_it_found_though_its_picture_cant_be_written(here, conditional, capsys):
    assert run(["sample", str(conditional), "--count", "1", "--output", "one.png"]) == 0
    Path("notes.txt").touch()
    more = ["--label", "1", "--steps", "1", "--starts", "1", "--output", "notes.txt/found.png"]
    assert run(["invert", str(conditional), "one.png", *more]) == 2
    said = capsys.readouterr()
    assert " dB" in said.out and "notes.txt" in said.err


def test_a_path_from_the_home_folder_is_known_to_inversion_and_printed_whole(here, conditional, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert run(["sample", str(conditional), "--count", "1", "--output", "~/one.png"]) == 0
    assert run(["sample", str(conditional), "--count", "1", "--folder", "~/some"]) == 0
    more = ["--label", "1", "--steps", "1", "--starts", "1", "--output", "~/found.png"]
    assert run(["invert", str(conditional), "~/one.png", *more]) == 0
    said = capsys.readouterr().out
    assert all(f"{here}/{name}" in said for name in ("one.png", "some", "found.png"))


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["walk", "fashion-mnist", "--points", "1"], "points must be an int of at least 2, got 1"),
        (["walk", "fashion-mnist", "--output", "walk.xyz"], "xyz"),
        (["walk", "{conditional}"], "a class is needed: choose one with label= (--label). Known: 0 to 9."),
        (["directions", "fashion-mnist", "--count", "0"], "count must be an int from 1"),
        (
            ["directions", "fashion-mnist", "--strength", "1e39"],
            "strength must be at least 1e-06 and at most 1000000, got 1e+39",
        ),
        (["directions", "fashion-mnist", "--strength", "nan"], "strength must be at least 1e-06"),
        (["probe", "{conditional}", "--data", "fashion-mnist-mini"], "the same images to train and to test on"),
        (["arithmetic", "fashion-mnist", "--plus", "a,b"], "--plus must be numbers of samples"),
        (["invert", "fashion-mnist", "nowhere.png"], "nowhere.png can't be read"),
        (["invert", "fashion-mnist", "a.png", "./a.png"], "a.png is given twice; name each picture once"),
        (["probe", "{conditional}", "--data", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_line(here, conditional, arguments, said, capsys):
    given = [argument.format(conditional=conditional) for argument in arguments]
    assert run(given) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
