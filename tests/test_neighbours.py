"""Nearest training images: exact, and a generator that gives them back is caught."""

import pytest
import torch

import ganzoo
from ganzoo.data.image_data import fingerprints
from ganzoo.errors import DataError
from ganzoo.evaluation import neighbours
from ganzoo.evaluation.neighbours import different, memorisation, nearest
from ganzoo.evaluation.nets import fashion_net

MINI = ganzoo.data.open_data("fashion-mnist-mini")


def pixels(indices):
    return MINI.batch(indices)


SPACES = {"pixels": lambda images: images.flatten(1), "features": fashion_net()}


def test_nearest_is_what_a_loop_finds(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    queries, references = torch.randn(9, 5), torch.randn(40, 5)
    found = nearest(queries, references)
    for index, query in enumerate(queries):
        distances = [float((query - reference).norm()) for reference in references]
        assert found.indices[index] == min(range(40), key=distances.__getitem__)
        assert float(found.distances[index]) == pytest.approx(min(distances), rel=1e-5)


def test_an_image_and_its_duplicates_are_not_its_neighbours(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    references = torch.randn(20, 3).repeat(2, 1)
    alone = nearest(references, references)
    assert torch.equal(alone.indices, torch.arange(20).repeat(2)) and alone.distances.eq(0).all()
    prints = fingerprints(references)
    others = nearest(references, references, (prints, prints))
    assert (others.indices != torch.arange(20).repeat(2)).all() and (others.distances > 0).all()
    asked = torch.full_like(prints, neighbours.ANY)
    assert nearest(references, references, (asked, prints)).distances.eq(0).all()
    assert nearest(references[:1], references[:1], (prints[:1], prints[:1])).distances.isinf().all()


def test_blocks_of_references_one_after_another_give_what_all_at_once_do():
    queries, references = torch.randn(9, 5), torch.randn(40, 5)
    whole, blocks = nearest(queries, references), nearest(queries, iter(references.split(6)))
    assert torch.equal(whole.indices, blocks.indices) and torch.allclose(whole.distances, blocks.distances)


def test_fingerprints_tell_images_apart_and_one_of_each_is_chosen():
    images = torch.randint(0, 256, (300, 1, 4, 4), dtype=torch.uint8)
    prints = fingerprints(torch.cat([images, images[:200]]))
    assert torch.equal(prints[:200], prints[300:]) and len(prints.unique()) == 300
    assert different(prints, seed=0).sort().values.tolist() == list(range(300))
    assert len(different(fingerprints(torch.arange(1500)[:, None]), seed=0)) == neighbours.UNSEEN


def leaving_out(samples, training):
    """As of a set without a test split."""
    prints = fingerprints(training)
    chosen = different(prints, seed=0)
    return memorisation(samples, training, training[chosen], (prints[chosen], prints))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("with_unseen", [True, False], ids=["test split", "leave one out"])
def test_a_generator_that_gives_training_images_back_is_caught_and_an_honest_one_is_not(space, with_unseen):
    view = SPACES[space]
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(0))
    training, unseen, honest = (view(pixels(part)) for part in (order[:1200], order[1200:1600], order[1600:]))
    noisy = pixels(order[:1200])[::4] + 0.01 * torch.randn(300, 1, 28, 28)  # not bit for bit: copies all the same
    noisy = view(noisy)
    found = memorisation(noisy, training, unseen) if with_unseen else leaving_out(noisy, training)
    assert found.memorised
    verdict = memorisation(honest, training, unseen) if with_unseen else leaving_out(honest, training)
    assert not verdict.memorised and verdict.suspect < 0.05 and 0.8 < verdict.ratio < 1.25


def test_the_ratio_is_the_median_distance_of_samples_over_that_of_unseen_images():
    samples, training = torch.tensor([[3.0], [1], [2]]), torch.zeros(1, 1)
    unseen = torch.tensor([4.0] * 49 + [8] * 2 + [100] * 49)[:, None]
    for mirrored in (None, torch.full_like(samples, 0.5)):  # which would give every sample a second chance
        assert memorisation(samples, training, unseen, mirrored=mirrored).ratio == 0.25


def test_half_a_set_of_copies_is_caught():
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(1))
    training, unseen = pixels(order[:1200]), pixels(order[1200:1600])
    verdict = memorisation(torch.cat([training[:150], pixels(order[1600:1750])]), training, unseen)
    assert verdict.memorised and verdict.suspect == pytest.approx(0.5, abs=0.05)
    assert len(repr(verdict)) < 100  # not its hundreds of distances


def test_copies_that_are_mirrored_are_caught_if_queries_are_mirrored_too():
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(0))
    training, unseen, honest = (pixels(part) for part in (order[:1200], order[1200:1600], order[1600:]))
    for view in SPACES.values():
        for samples, copied in ((training[:300], True), (training[:300].flip(-1), True), (honest, False)):
            found = memorisation(view(samples), view(training), view(unseen), mirrored=view(samples.flip(-1)))
            assert found.memorised is copied and (not copied or torch.equal(found.samples.indices, torch.arange(300)))
    copies, reals = torch.randn(200, 6), torch.randn(400, 6)  # by features: nothing but the mirrored ones is a copy
    assert not memorisation(copies, reals, reals[200:] + 1).memorised
    assert memorisation(copies, reals, reals[200:] + 1, mirrored=reals[:200]).memorised


def test_unseen_images_that_face_the_other_way_hide_no_copies():
    order = torch.randperm(len(MINI), generator=torch.Generator().manual_seed(2))
    training, others = pixels(order[:1200]), pixels(order[1200:1600])
    samples = training[:100] + 0.01 * torch.randn(100, *training.shape[1:])
    unseen = torch.cat([others, training[200:220].flip(-1)])  # the other hand, say
    found = memorisation(samples, training, unseen, mirrored=samples.flip(-1))
    assert found.memorised and found.ratio == memorisation(samples, training, unseen).ratio


def test_duplicates_in_the_training_set_hide_no_copies_and_make_no_honest_sample_suspect():
    training = torch.randn(400, 6).repeat(2, 1)
    assert not leaving_out(torch.randn(200, 6), training).memorised
    assert leaving_out(training[:50], training).memorised
    assert leaving_out(training[:50] + 1e-3 * torch.randn(50, 6), training).memorised  # not bit for bit


def test_images_that_look_the_same_though_their_files_differ_leave_exact_copies_suspect_alone():
    training = torch.randn(400, 6).repeat(2, 1)
    assert not memorisation(training[:50] + 1e-3, training, training[:200]).memorised
    assert memorisation(training[:50], training, training[:200]).memorised


def test_the_bundled_generator_does_not_memorise_what_is_bundled():
    samples = ganzoo.from_pretrained("fashion-mnist").sample(200, seed=0, precision="fast")
    training = pixels(torch.arange(len(MINI)))
    for view in SPACES.values():
        assert not leaving_out(view(samples), view(training)).memorised


@pytest.mark.parametrize(
    "samples, training, unseen, error, said",
    [
        (torch.full((5, 3), float("nan")), torch.randn(200, 3), None, DataError, "NaN or infinite"),
        (torch.randn(5, 3), torch.randn(50, 3), None, DataError, "50 real images are too few"),
        (torch.randn(5, 3), torch.ones(500, 3), None, DataError, "0 real images are too few"),
        (torch.randn(5, 3), torch.randn(500, 3), torch.randn(9, 3), DataError, "9 real images are too few"),
        (torch.randn(5, 3), torch.randn(1, 3), None, DataError, "0 real images are too few"),
    ],
)
def test_what_cannot_be_compared_is_said(samples, training, unseen, error, said):
    with pytest.raises(error, match=said):
        leaving_out(samples, training) if unseen is None else memorisation(samples, training, unseen)
