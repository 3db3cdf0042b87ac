"""Scores: against closed forms and a naive second implementation, what must not change them, and bad input."""

import warnings

import numpy as np
import pytest
import torch

from ganzoo.errors import ConfigError, DataError, GanzooError, PluginError, UnknownNameError
from ganzoo.evaluation import METRICS, Score, better
from ganzoo.evaluation import metrics as module
from ganzoo.evaluation.metrics import (
    DEFAULT,
    K,
    frechet_distance,
    kernel_distance,
    make_metrics,
    prdc,
    variety,
    warn_of_few,
)
from ganzoo.runs.selection_score import KernelScore


def compare(real, fake, metrics=DEFAULT, seed=0) -> dict[str, float]:
    """The value of each figure."""
    return {name: score.value for name, score in module.compare(real, fake, make_metrics(metrics, seed)).items()}


def whitened(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    """Points whose mean is 0 and whose covariance is the identity, to rounding."""
    x = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.atleast_2d(torch.cov(x.T)))).T


def naive_overlap(real, fake, k):
    """Precision, recall, density and coverage as their definitions read: one pair after the other."""

    def distance(a, b):
        return sum((p - q) ** 2 for p, q in zip(a, b)) ** 0.5

    def radii(points):
        return [
            sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]
            for i in range(len(points))
        ]

    real, fake = real.tolist(), fake.tolist()
    real_radii, fake_radii = radii(real), radii(fake)
    in_real = [[distance(x, y) <= radius for x, radius in zip(real, real_radii)] for y in fake]
    in_fake = [[distance(x, y) <= radius for y, radius in zip(fake, fake_radii)] for x in real]
    return (
        sum(map(any, in_real)) / len(fake),
        sum(map(any, in_fake)) / len(real),
        sum(map(sum, in_real)) / (k * len(fake)),
        sum(any(row[i] for row in in_real) for i in range(len(real))) / len(real),
    )


# --- closed forms and second implementations -------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 3, 16])
def test_the_frechet_distance_of_gaussians_is_the_closed_form(dimension):
    shift, spread = torch.linspace(-2, 1, dimension).double(), torch.linspace(0.5, 3, dimension).double()
    real = whitened(200, dimension)
    fake = whitened(300, dimension, seed=1) * spread + shift
    expected = shift.square().sum() + (spread - 1).square().sum()  # diagonal covariances
    assert frechet_distance(real, fake) == pytest.approx(float(expected), rel=1e-6)


def test_the_frechet_distance_of_full_covariances_is_the_closed_form():
    mix = torch.randn(6, 6, dtype=torch.float64)
    real, fake = whitened(100, 6), whitened(100, 6, seed=1) @ mix.T
    nuclear = torch.linalg.svdvals(mix).sum()  # trace of the square root of mix mix^T
    expected = 6 + mix.square().sum() - 2 * nuclear
    assert frechet_distance(real, fake) == pytest.approx(float(expected), rel=1e-6)


def test_the_kernel_distance_is_the_unbiased_estimate_of_a_loop():
    real, fake = torch.randn(40, 4).double(), torch.randn(40, 4).double() + 1

    def kernel(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    def mean_of_pairs(points):
        return np.mean([kernel(x, y) for i, x in enumerate(points) for j, y in enumerate(points) if i != j])

    whole = mean_of_pairs(real) + mean_of_pairs(fake) - 2 * np.mean([kernel(x, y) for x in real for y in fake])
    assert float(kernel_distance(real, fake)) == pytest.approx(whole, rel=1e-9)
    score = module.kd(real, fake, subsets=400)["KD"]
    assert score.spread > 0 and abs(score.value - whole) < 4 * score.spread / 400**0.5


def test_the_kernel_distance_and_its_spread_are_mean_and_standard_deviation_over_the_subsets(monkeypatch):
    distances = iter([1.0, 2, 3, 6])
    monkeypatch.setattr(module, "kernel_distance", lambda *_: next(distances))
    assert module.kd(GOOD, GOOD, subsets=4)["KD"][:2] == pytest.approx((3, 3.5**0.5))


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (0.3, 0.0), (1.0, 1.5)])
def test_neighbourhoods_are_what_a_loop_over_all_pairs_finds(monkeypatch, spread, shift):
    monkeypatch.setattr(module, "BLOCK", 7)
    real, fake = torch.randn(40, 3).double(), torch.randn(40, 3).double() * spread + shift
    found = [score.value for score in prdc(real, fake).values()]
    assert found == pytest.approx(naive_overlap(real, fake, K), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_rim_of_a_ball_belongs_to_it(k):
    real, fake = torch.randint(0, 6, (2, 24, 2)).double()  # many distances are the same, some are 0
    found = [score.value for score in prdc(real, fake, k=k).values()]
    assert found == pytest.approx(naive_overlap(real, fake, k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_neighbourhoods_take_other_numbers_of_neighbours(k):
    real, fake = torch.randn(30, 3), torch.randn(30, 3)
    found = compare(real, fake, [f"prdc(k={k})"])
    assert [*found] == [f"{name}(k={k})" for name in ("precision", "recall", "density", "coverage")]
    assert tuple(found.values()) == pytest.approx(naive_overlap(real.double(), fake.double(), k), abs=1e-12)
    with pytest.raises(DataError, match=f"{k} images have no {k} neighbours each"):
        prdc(real[:k], fake, k=k)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_the_variety_is_that_of_all_pairs(scale):
    real, fake = torch.randn(60, 4).double(), torch.randn(50, 4).double() * scale + 2
    pairs = [torch.pdist(points).square().mean().sqrt() for points in (fake, real)]
    assert variety(real, fake) == pytest.approx(float(pairs[0] / pairs[1]), rel=1e-9)


def test_coverage_of_samples_drawn_as_the_real_images_are_is_the_papers():
    real, fake = torch.randn(3000, 8).double(), torch.randn(3000, 8).double()
    found = prdc(real, fake)
    assert found["density"].value == pytest.approx(1, abs=0.05)
    assert found["coverage"].value == pytest.approx(1 - 2**-K, abs=0.01)


def test_the_spread_of_recall_is_that_over_other_draws():
    drawn = [prdc(torch.randn(400, 3), torch.randn(400, 3) * 0.7)["recall"] for _ in range(16)]
    over_draws = float(np.std([score.value for score in drawn], ddof=1))
    assert over_draws / 2 < np.mean([score.spread for score in drawn]) < 2 * over_draws
    assert all(score.spread is None for score in prdc(torch.randn(47, 3), torch.randn(47, 3)).values())


def test_figures_that_all_groups_share_have_no_spread_of_0():
    found = prdc(torch.randn(80, 3), torch.randn(80, 3) + 100)
    assert all(score.value == 0 and score.spread is None for score in found.values())


# --- what the figures say --------------------------------------------------------------------------------------------


def test_a_set_compared_with_itself_is_perfect():
    real = torch.randn(500, 8)
    found = compare(real, real.clone())
    assert found["FD"] == pytest.approx(0, abs=1e-9)
    assert -0.1 < found["KD"] < 0  # the estimate takes no image for shared, and here all are
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    assert found["density"] >= 1


def test_a_generator_that_knows_one_kind_is_precise_but_covers_little():
    centres = torch.tensor([[0.0] * 8, [50.0] * 8])
    real = torch.randn(400, 8) + centres[torch.arange(400) % 2]
    found = compare(real, torch.randn(400, 8) * 0.8)
    assert found["precision"] > 0.9
    assert found["recall"] < 0.55 and found["coverage"] < 0.55


def test_samples_that_wander_off_lose_precision_not_recall():
    real, fake = torch.randn(400, 4), torch.randn(400, 4)
    fake[200:] += 100
    found = compare(real, fake)
    assert 0.4 < found["precision"] < 0.55
    assert found["recall"] > 0.8
    assert found["density"] < 0.6


def test_every_measure_tells_a_worse_generator_from_a_better_one():
    real = torch.randn(600, 8)
    near, far = (compare(real, torch.randn(600, 8) * 0.9 + shift) for shift in (0.1, 2.0))
    assert near["FD"] < far["FD"] and near["KD"] < far["KD"]
    for name in ("precision", "recall", "density", "coverage"):
        assert near[name] > far[name]


def test_scores_depend_on_neither_order_nor_turn_of_the_space():
    real, fake = torch.randn(300, 6).double(), torch.randn(300, 6).double() * 1.2
    turn = torch.linalg.qr(torch.randn(6, 6).double()).Q
    plain, turned = compare(real, fake), compare(real @ turn, fake @ turn)
    assert turned == pytest.approx(plain, rel=1e-6)
    order = torch.randperm(300)
    shuffled = compare(real[order], fake.flip(0))
    for name in ("FD", "precision", "recall", "density", "coverage"):
        assert shuffled[name] == pytest.approx(plain[name], rel=1e-6)


def test_far_from_the_origin_small_distances_are_still_told():
    real, fake = torch.randn(200, 40).double(), torch.randn(200, 40).double()
    near, far = prdc(real, fake), prdc(real + 1e4, fake + 1e4)
    assert [score.value for score in far.values()] == pytest.approx([score.value for score in near.values()], abs=1e-6)


@pytest.mark.parametrize("metrics", ["kd", "prdc(most=50)"])
def test_scores_are_the_same_for_the_same_seed_alone(metrics):
    real, fake = torch.randn(200, 4), torch.randn(120, 4)
    assert compare(real, fake, metrics, seed=3) == compare(real, fake, metrics, seed=3)
    assert compare(real, fake, metrics, seed=3) != compare(real, fake, metrics, seed=4)


def test_neighbourhoods_compare_equal_numbers_and_no_more_than_they_say(monkeypatch):
    seen = []
    whole = module._balls
    monkeypatch.setattr(module, "_balls", lambda *both: seen.append([len(x) for x in both[:2]]) or whole(*both))
    for metric in ("prdc", "prdc(most=50)"):
        compare(torch.randn(80, 3), torch.randn(60, 3), metric)
    whole_sets = [each for each in seen if each[0] > 10]  # beside the groups of the spread
    assert whole_sets == [[60, 60], [60, 60], [50, 50], [50, 50]]


def test_the_inputs_stay_as_they_are_and_may_be_of_half_precision():
    real, fake = torch.randn(60, 3).half(), torch.randn(60, 3).half()
    before = real.clone(), fake.clone()
    found = compare(real, fake)
    assert all(type(value) is float for value in found.values())
    assert torch.equal(real, before[0]) and torch.equal(fake, before[1])


# --- metrics by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_which_way_is_better_and_gives_finite_figures(name):
    real, fake = torch.randn(2, 60, 3)
    for score in module.compare(real, fake, make_metrics(name)).values():
        assert isinstance(score, Score) and np.isfinite(score.value) and score.better in ("lower", "higher")


def test_metrics_say_all_their_options_and_figures_those_that_were_given():
    text, (name,) = make_metrics(["kd(subsets=3)"], seed=7)[0].text, compare(GOOD, GOOD + 1, ["kd(subsets=3)"])
    assert (text, name) == ("kd(subsets=3,subset=1000,seed=7)", "KD(subsets=3)")
    assert make_metrics("kd(seed=2)", seed=7)[0].text == "kd(subsets=50,subset=1000,seed=2)"


@better("lower")
def shift(real, fake, *, power: float = 1.0):
    return (real.mean() - fake.mean()).abs() ** power


def test_a_function_of_ones_own_is_a_metric_with_its_options_in_the_figures_name():
    with METRICS.temporarily("acme.shift", shift):
        found = module.compare(GOOD, GOOD + 3, make_metrics(["acme.shift", "acme.shift(power=2)"]))
    assert [*found] == ["acme.shift", "acme.shift(power=2.0)"]
    assert [score.value for score in found.values()] == pytest.approx([3, 9]) and found["acme.shift"].better == "lower"


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda real, fake: 1 / 0, r"metric acme.wrong fails \(ZeroDivisionError: .*tell its author"),
        (lambda real, fake: "good", r"metric acme.wrong fails \(ValueError"),
        (lambda real, fake: None, r"metric acme.wrong fails \(TypeError"),
        (lambda real, fake: float("nan"), "metric acme.wrong gives nan as acme.wrong"),
        (lambda real, fake: {"a": 1.0, "b": float("inf")}, "metric acme.wrong gives inf as b"),
    ],
)
def test_a_metric_that_fails_or_gives_no_number_is_named(wrong, said):
    with METRICS.temporarily("acme.wrong", better("higher")(wrong)), pytest.raises(PluginError, match=said) as caught:
        compare(GOOD, GOOD + 1, "acme.wrong")
    assert "\n" not in str(caught.value)


def test_a_function_without_a_better_way_is_no_metric():
    with pytest.raises(
        ConfigError, match='must be a function of \\(real, fake\\) with the attribute better, "lower" or'
    ):
        METRICS.register("acme.shift", lambda real, fake: 0.0)


@pytest.mark.parametrize(
    "metrics, error, said",
    [
        (["fid"], UnknownNameError, 'Unknown metric "fid".*Known: fd, kd, prdc, variety'),
        (["prdc(kk=3)"], ConfigError, 'prdc has no option "kk".*Did you mean "k"'),
        (["prdc(k=none)"], ConfigError, "prdc: k must be"),
        (["fd(k=3)"], ConfigError, "fd has no option"),
        ([], ConfigError, "metrics must name at least one"),
    ],
)
def test_wrong_names_and_options_of_metrics_are_said(metrics, error, said):
    with pytest.raises(error, match=said):
        make_metrics(metrics)


# --- what can't be measured ------------------------------------------------------------------------------------------

GOOD = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


def with_one(value):
    bad = GOOD.clone()
    bad[7, 2] = value
    return bad


BAD = {
    "too large": (with_one(-1e30), DataError, r"up to 1e\+30, 1e\+12 is the most"),
    "NaN": (with_one(float("nan")), DataError, "1 of 30 .*NaN"),
    "infinity": (with_one(float("inf")), DataError, "1 of 30 .*infinite"),
    "all alike": (GOOD[:1].expand(30, 4), DataError, "all 30 .*very same"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("side", ["real", "fake"])
def test_what_cant_be_measured_is_said_with_its_number(name, side):
    bad, error, text = BAD[name]
    with pytest.raises(error, match=text) as caught:
        compare(*((bad, GOOD) if side == "real" else (GOOD, bad)))
    assert ("real images" if side == "real" else "samples") in str(caught.value)
    assert isinstance(caught.value, GanzooError) and "\n" not in str(caught.value)


def test_the_largest_features_are_still_measured():
    assert all(np.isfinite([*compare(GOOD * 1e11, GOOD.flip(0) * 2e11).values()]))


def test_fewer_than_two_images_a_feature_are_said_once_with_the_classes_that_are_meant():
    assert all(np.isfinite([*compare(*torch.randn(2, 30, 20)).values()]))
    fd = make_metrics("fd")
    with pytest.warns(UserWarning, match="fewer than 40 images are compared, for 20 features"):
        warn_of_few(fd, 20, {"": 39, "cat": 3})
    with pytest.warns(UserWarning, match="fewer than 40 images of each of the classes cat, dog are compared"):
        warn_of_few(fd, 20, {"": 40, "cat": 3, "fox": 40, "dog": 39})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_few(fd, 20, {"": 40, "fox": 40})
        warn_of_few(make_metrics("kd"), 20, {"": 3})


def icons(seed):
    """Rectangles of one colour on white paper, whose margin is the same in all."""
    random, images = torch.Generator().manual_seed(seed), torch.ones(200, 1, 32, 32)
    for image in images:
        (top, left), (bottom, right) = (torch.randint(low, low + 8, (2,), generator=random) for low in (6, 18))
        image[:, top:bottom, left:right] = torch.rand(1, generator=random) * 2 - 1
    return images


def test_what_never_varies_in_the_real_images_does_not_rule_the_score_of_a_run():
    score, others = KernelScore([icons(0)], 1), icons(1)
    noise = others.clone()
    noise[:, :, 6:26, 6:26] = torch.rand(200, 1, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    same, invisible, noisy = score([others]), score([others.clamp(max=0.99)]), score([noise])
    assert score(others.split(30)) == pytest.approx(same, abs=1e-4)  # in whatever batches
    assert abs(same) < 0.1 and same < invisible < 2 < noisy  # white as a tanh draws it


def test_the_score_of_a_run_depends_on_neither_torchs_default_device_nor_dtype(other_default):
    real, fake = icons(0), icons(1)
    known = KernelScore([real], 1)([fake])
    with other_default():
        assert KernelScore([real], 1)([fake]) == known


def test_the_kernel_distance_of_too_few_images_is_refused():
    with pytest.raises(DataError, match="KD compares 4 images or more of each side; there are 3 and 8"):
        METRICS["kd"](torch.randn(3, 4), torch.randn(8, 4))


def test_a_subset_of_one_image_and_too_few_neighbours_by_option_are_not_blamed_on_the_images():
    with pytest.raises(ConfigError, match="kd: subset must be at least 2"):
        make_metrics("kd(subset=1)")
    for most, remedy in ((3, "a larger most"), (100, "more images")):
        with pytest.raises(DataError, match=f"no 5 neighbours each; take {remedy}, or a smaller k"):
            compare(*torch.randn(2, 5 if most > 5 else 50, 4), f"prdc(most={most})")
