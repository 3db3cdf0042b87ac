"""Inversion leaves everything as it was, works wherever it is called, and finds samples without looking them up."""

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.errors import ConfigError, DataError, ShapeError
from ganzoo.explore.inversion import FIRST, _starts, invert
from ganzoo.latents import sample_latents, sign_class

QUICK = {"starts": 2, "steps": 3, "candidates": 20}


@pytest.fixture
def gan():
    return ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})


@pytest.fixture
def conditional():
    return ganzoo.create("fashion-mnist-conditional", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})


@pytest.mark.parametrize("starts", [1, 4, 30])
def test_starts_are_of_other_clusters_first_and_stay_within_them(gan, starts, monkeypatch):
    chosen = []

    def noting(*arguments):
        chosen.append(_starts(*arguments))
        return chosen[0]

    monkeypatch.setattr("ganzoo.explore.inversion._starts", noting)
    found = invert(gan, gan.sample(3, seed=1), starts=starts, steps=5, candidates=40, rate=1.0)
    clusters = sign_class(chosen[0].flatten(0, 1), gan.clusters).view(3, starts)
    there = len(sign_class(sample_latents(40, 100, 0, start=FIRST)[0], gan.clusters).unique())
    assert all(len(row.unique()) == min(starts, there) for row in clusters)
    assert all(cluster in row for cluster, row in zip(sign_class(found.latents, gan.clusters), clusters))


@pytest.mark.parametrize("seed", [0, 5])
def test_a_sample_of_the_same_seed_is_not_among_the_candidates(gan, seed):
    found = invert(gan, gan.sample(4, seed=seed), starts=1, steps=1, candidates=50, seed=seed)
    own = sample_latents(4, gan.latent_size, seed)[0]
    assert (found.latents - own).norm(dim=1).min() > 5  # looked up, they would be a first step apart


def test_the_generator_is_left_as_it_was(gan):
    gan.generator.train()
    frozen, *others = gan.generator.parameters()
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in gan.generator.state_dict().items()}
    invert(gan, gan.sample(2, seed=1), **QUICK)
    assert all(module.training for module in gan.generator.modules())
    assert not frozen.requires_grad and all(parameter.requires_grad for parameter in others)
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(torch.equal(value, before[name]) for name, value in gan.generator.state_dict().items())


def test_the_generator_is_left_as_it_was_after_an_error(gan, monkeypatch):
    def fail(*_):
        raise RuntimeError("stopped half way")

    monkeypatch.setattr("ganzoo.explore.inversion._descend", fail)
    gan.generator.train()
    with pytest.raises(RuntimeError, match="half way"):
        invert(gan, gan.sample(2, seed=1), **QUICK)
    assert gan.generator.training and all(parameter.requires_grad for parameter in gan.generator.parameters())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_that_the_caller_switched_off_do_not_matter(gan, context):
    wanted = invert(gan, gan.sample(2, seed=1), **QUICK)
    with context():
        found = invert(gan, gan.sample(2, seed=1), **QUICK)
    assert torch.allclose(found.latents, wanted.latents, atol=1e-5)


def test_a_class_for_all_is_as_one_for_each(conditional):
    images = conditional.sample(2, seed=1, labels=7)
    one, each = (invert(conditional, images, labels=labels, **QUICK) for labels in (7, torch.tensor([7, 7])))
    assert torch.equal(one.latents, each.latents)


@pytest.mark.parametrize("labels", [None, 10, -1, [1, 2, 3], [], "coat", 1.5, True, torch.tensor([0.0, 1.0])])
def test_labels_that_cannot_be_are_said(conditional, labels):
    with pytest.raises((ConfigError, ShapeError), match="labels"):
        invert(conditional, torch.zeros(2, 1, 28, 28), labels=labels, **QUICK)


def test_a_missing_label_is_named_as_on_the_command_line_too_with_all_classes(conditional):
    conditional.class_names = tuple("abcdefghij")
    with pytest.raises(ConfigError, match=r"give labels= \(--label\), .*\. Known: a, b, c, d, e, f, g, h, i, j\."):
        invert(conditional, torch.zeros(2, 1, 28, 28), **QUICK)


@pytest.mark.parametrize("images", [torch.full((1, 1, 28, 28), 255.0), torch.zeros(1, 1, 28, 28, dtype=torch.uint8)])
def test_images_of_another_range_are_said(gan, images):
    with pytest.raises(DataError, match=r"images must be floating in \[-1, 1\], got torch\."):
        invert(gan, images, **QUICK)


@pytest.mark.parametrize("images", [np.zeros((1, 1, 28, 28), "float32"), [torch.zeros(1, 28, 28)], "one.png", None])
def test_what_is_no_tensor_is_said(gan, images):
    with pytest.raises(ShapeError, match=r"images must be a tensor \(N, 1, 28, 28\), got "):
        invert(gan, images, **QUICK)


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf"), True, "0.1"])
def test_a_rate_that_cannot_be_is_said(gan, rate):
    with pytest.raises(ConfigError, match="rate must be (a float|at least 1e-06)"):
        invert(gan, torch.zeros(1, 1, 28, 28), rate=rate, **QUICK)


@pytest.mark.nightly  # tests/test_explore.py promises it of another seed in each run
def test_samples_of_the_default_seed_are_found_to_25_db_too():
    gan = ganzoo.from_pretrained("fashion-mnist")
    found = invert(gan, gan.sample(10, seed=0))
    assert (found.psnr >= 25).sum() >= 9, found.psnr
