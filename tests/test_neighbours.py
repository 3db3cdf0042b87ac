"""Nearest training images: exact, and a generator that gives them back is caught."""

import pytest
import torch

import ganzoo
from ganzoo.errors import DataError, ShapeError
from ganzoo.evaluation import neighbours
from ganzoo.evaluation.fashion_net import fashion_net
from ganzoo.evaluation.neighbours import memorisation, nearest

MINI = ganzoo.data.open_data("fashion-mnist-mini")


def pixels(indices):
    return MINI.batch(indices)


SPACES = {"pixels": lambda images: images.flatten(1), "features": lambda images: fashion_net().features(images)}


def test_nearest_is_what_a_loop_finds(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    queries, references = torch.randn(9, 5), torch.randn(40, 5)
    found = nearest(queries, references)
    for index, query in enumerate(queries):
        distances = [float((query - reference).norm()) for reference in references]
        assert found.indices[index] == min(range(40), key=distances.__getitem__)
        assert float(found.distances[index]) == pytest.approx(min(distances), rel=1e-5)


def test_an_image_can_be_left_out_of_its_own_neighbours(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    references = torch.randn(20, 3)
    alone = nearest(references, references)
    assert torch.equal(alone.indices, torch.arange(20)) and alone.distances.eq(0).all()
    others = nearest(references, references, leave_out=torch.arange(20))
    assert (others.indices != torch.arange(20)).all() and (others.distances > 0).all()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("with_unseen", [True, False], ids=["test split", "leave one out"])
def test_a_generator_that_gives_training_images_back_is_caught_and_an_honest_one_is_not(space, with_unseen):
    view = SPACES[space]
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(0))
    training, unseen, honest = (view(pixels(part)) for part in (order[:1200], order[1200:1600], order[1600:]))
    given = unseen if with_unseen else None
    noisy = pixels(order[:1200])[::4] + 0.01 * torch.randn(300, 1, 28, 28)  # not bit for bit: copies all the same
    assert memorisation(view(noisy), training, given).memorised
    verdict = memorisation(honest, training, given)
    assert not verdict.memorised and verdict.suspect < 0.05 and 0.8 < verdict.ratio < 1.25


def test_half_a_set_of_copies_is_caught():
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(1))
    training, unseen = pixels(order[:1200]), pixels(order[1200:1600])
    verdict = memorisation(torch.cat([training[:150], pixels(order[1600:1750])]), training, unseen)
    assert verdict.memorised and verdict.suspect == pytest.approx(0.5, abs=0.05)


def test_duplicates_in_the_training_set_do_not_make_honest_samples_suspect():
    training = torch.randn(400, 6).repeat(2, 1)
    assert not memorisation(torch.randn(200, 6), training).memorised
    assert memorisation(training[:50], training).memorised


def test_the_bundled_generator_does_not_memorise_what_is_bundled():
    samples = ganzoo.from_pretrained("fashion-mnist").sample(200, seed=0, precision="fast")
    training = pixels(torch.arange(len(MINI)))
    for view in SPACES.values():
        assert not memorisation(view(samples), view(training)).memorised


@pytest.mark.parametrize(
    "samples, training, unseen, error, said",
    [
        (torch.randn(5, 3), torch.randn(200, 4), None, ShapeError, "3 numbers each, references 4"),
        (torch.full((5, 3), float("nan")), torch.randn(200, 3), None, DataError, "NaN or infinite"),
        (torch.randn(5, 3), torch.randn(50, 3), None, DataError, "50 real images are too few"),
        (torch.randn(5, 3), torch.randn(500, 3), torch.randn(9, 3), DataError, "9 real images are too few"),
        (torch.randn(0, 3), torch.randn(500, 3), None, DataError, "0 images can't be compared"),
        (torch.randn(5, 3), torch.randn(1, 3), None, DataError, "can't be compared with 1"),
    ],
)
def test_what_cannot_be_compared_is_said(samples, training, unseen, error, said):
    with pytest.raises(error, match=said):
        memorisation(samples, training, unseen)
