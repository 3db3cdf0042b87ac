"""Latents: a row depends on (seed, index) alone; spherical paths; truncation; directions."""

import math

import pytest
import torch

from ganzoo.errors import ConfigError, ShapeError
from ganzoo.latents import directions, fresh_seed, lerp, sample_labels, sample_latents, slerp, truncate, walk

MASK = 2**64 - 1
GOLDEN = [[1.1917013, -0.1724853, -1.9360013], [0.6736977, -0.3255209, -0.1553216]]
GOLDEN_LABELS = [2, 7]
GOLDEN_TRUNCATED = [[0.3873182, -0.1724853, -0.3183338], [0.2899919, -0.3255209, -0.1553216]]  # at 0.5


def splitmix64(state):
    """One step of the published algorithm in Python's own integers: (new state, output)."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    return state, mix(state)


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_mixing_is_splitmix64_as_published():
    # the first outputs of the reference implementation for the state 1234567
    state, outputs = 1234567, []
    for _ in range(3):
        state, output = splitmix64(state)
        outputs.append(output)
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**62 + 7, 2**63 - 1])
@pytest.mark.parametrize("index", [0, 1, 50_000, 2**40])
def test_a_row_is_the_stream_of_the_seed_and_the_index(seed, index):
    latents, labels = sample_latents(1, 3, seed, start=index, num_classes=7)
    state, bits = mix((mix(seed) + index) & MASK), []
    for _ in range(4):
        state, output = splitmix64(state)
        bits.append(output >> 12)
    uniform = torch.tensor([(value + 0.5) / 2**52 for value in bits[:3]], dtype=torch.float64)
    torch.testing.assert_close(torch.special.ndtr(latents[0].double()), uniform, rtol=1e-5, atol=1e-7)
    assert labels.tolist() == [bits[3] % 7]


def test_golden_latents_of_seed_0():
    # users keep seeds of images they like: these figures may never change
    latents, labels = sample_latents(2, 3, 0, num_classes=10)
    torch.testing.assert_close(latents, torch.tensor(GOLDEN), rtol=0, atol=1e-6)
    assert labels.tolist() == GOLDEN_LABELS
    torch.testing.assert_close(truncate(latents, 0.5, 0), torch.tensor(GOLDEN_TRUNCATED), rtol=0, atol=1e-6)


@pytest.mark.parametrize("latent_size", [1, 2, 15, 16, 100])
@pytest.mark.parametrize("num_classes", [0, 10])
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(latent_size, num_classes):
    whole, whole_labels = sample_latents(64, latent_size, 7, num_classes=num_classes)
    for count in (1, 2, 3, 9, 16, 64):
        latents, labels = sample_latents(count, latent_size, 7, num_classes=num_classes)
        assert torch.equal(latents, whole[:count])
        assert labels is None if not num_classes else torch.equal(labels, whole_labels[:count])


def test_pieces_make_the_whole():
    whole, labels = sample_latents(10, 5, 3, num_classes=4)
    pieces = [sample_latents(count, 5, 3, start, 4) for count, start in ((3, 0), (1, 3), (6, 4))]
    assert torch.equal(torch.cat([latents for latents, _ in pieces]), whole)
    assert torch.equal(torch.cat([drawn for _, drawn in pieces]), labels)


def test_asking_for_labels_does_not_change_the_latents():
    plain, none = sample_latents(8, 16, 5)
    latents, labels = sample_latents(8, 16, 5, num_classes=10)
    assert none is None and torch.equal(plain, latents)
    assert labels.dtype == torch.int64 and labels.shape == (8,)


def test_neither_torchs_random_state_nor_its_default_dtype_matters():
    before = torch.get_rng_state()
    one, _ = sample_latents(4, 4, 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    torch.set_default_dtype(torch.float64)
    try:
        other, _ = sample_latents(4, 4, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(one, other) and one.dtype == torch.float32 and one.device.type == "cpu"


def test_twenty_thousand_rows_are_standard_normal_and_independent():
    latents, labels = sample_latents(20_000, 16, 1, num_classes=10)
    assert abs(latents.mean()) < 0.01 and abs(latents.std() - 1) < 0.01
    assert latents.mean(0).abs().max() < 0.035 and (latents.std(0) - 1).abs().max() < 0.025
    assert abs((latents**4).mean() - 3) < 0.1  # the normal distribution's fourth moment
    ordered = latents.flatten().double().sort().values
    even = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    assert (torch.special.ndtr(ordered) - even).abs().max() < 0.005  # Kolmogorov-Smirnov
    correlations = torch.corrcoef(latents.T) - torch.eye(16)
    assert correlations.abs().max() < 0.035
    assert abs((latents[1:] * latents[:-1]).mean()) < 0.01  # neighbouring rows
    assert (torch.bincount(labels, minlength=10) - 2000).abs().max() < 200
    assert len(latents.unique(dim=0)) == 20_000


def test_neighbouring_seeds_and_high_bits_give_unrelated_latents():
    rows = torch.stack([sample_latents(1, 1000, seed)[0][0] for seed in (0, 1, 2, 2**32, 2**40, 2**63 - 1)])
    assert (torch.corrcoef(rows) - torch.eye(6)).abs().max() < 0.15


@pytest.mark.parametrize("seed", [-1, 2**63, True, 1.5, "0", None])
def test_a_bad_seed_names_itself(seed):
    with pytest.raises(ConfigError, match="seed must be an int from 0 to 9223372036854775807, got"):
        sample_latents(1, 4, seed)


@pytest.mark.parametrize(
    "name, values",
    [
        ("count", (0, 4, 0)),
        ("count", (2.0, 4, 0)),
        ("latent_size", (1, 0, 0)),
        ("start", (1, 4, 0, -1)),
        ("num_classes", (1, 4, 0, 0, -2)),
    ],
)
def test_bad_sizes_name_themselves(name, values):
    with pytest.raises(ConfigError, match=f"{name} must be an int"):
        sample_latents(*values)


def test_ints_of_torch_and_numpy_are_ints():
    import numpy as np

    wanted, _ = sample_latents(2, 4, 3)
    for three in (np.int64(3), torch.tensor(3)):
        assert torch.equal(sample_latents(2, 4, three)[0], wanted)


def test_labels_without_classes_are_refused():
    with pytest.raises(ConfigError, match="num_classes must be an int of at least 1, got 0"):
        sample_labels(2, 4, 0, 0, num_classes=0)


def test_fresh_seeds_differ_and_follow_torchs_seed():
    torch.manual_seed(1)
    one, two = fresh_seed(), fresh_seed()
    torch.manual_seed(1)
    assert one == fresh_seed() and one != two
    sample_latents(1, 1, one)


def angles(a, b):
    return torch.acos(torch.cosine_similarity(a, b, dim=-1).clamp(-1, 1))


def pair():
    return torch.randn(6, 20, dtype=torch.float64), torch.randn(6, 20, dtype=torch.float64)


@pytest.mark.parametrize("between", [lerp, slerp])
def test_both_ends_are_exact(between):
    a, b = sample_latents(4, 100, 0)[0], sample_latents(4, 100, 1)[0]
    assert torch.equal(between(a, b, 0), a) and torch.equal(between(a, b, 1.0), b)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_slerp_divides_the_angle_and_the_length_evenly(t):
    a, b = pair()
    made = slerp(a, b, t)
    torch.testing.assert_close(made.norm(dim=1), (1 - t) * a.norm(dim=1) + t * b.norm(dim=1))
    torch.testing.assert_close(angles(a, made), t * angles(a, b), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(angles(made, b), (1 - t) * angles(a, b), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slerp(b, a, 1 - t), made)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_slerp_in_half_precision_is_nearly_that_in_float32(dtype):
    a = sample_latents(1, 100, 0)[0][0]
    b = sample_latents(1, 100, 1)[0][0]
    for other in (b, -a):
        made = slerp(a.to(dtype), other.to(dtype), 0.25)
        assert made.dtype == dtype
        assert torch.allclose(made.float(), slerp(a, other, 0.25), atol=0.05)


def test_slerp_on_the_circle_is_the_angle():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    wanted = 4 / 3 * torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    torch.testing.assert_close(slerp(a, b, 1 / 3), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slerp_of_parallel_opposite_and_zero_rows_is_lerp(dtype):
    a = torch.randn(8, dtype=dtype)
    for other in (a, 3 * a, -a, 0 * a):
        torch.testing.assert_close(slerp(a, other, 0.3), 0.7 * a + 0.3 * other)
    assert torch.equal(slerp(0 * a, 0 * a, 0.5), 0 * a)


def test_slerp_is_smooth_where_the_angle_is_tiny():
    a = torch.randn(50)
    for size in (1e-3, 1e-4, 1e-5, 1e-6):
        b = a + size * torch.randn(50)
        torch.testing.assert_close(slerp(a, b, 0.5), (a + b) / 2, rtol=1e-5, atol=1e-6)


def test_slerp_takes_one_t_a_row():
    a, b = pair()
    shares = torch.linspace(0, 1, 6, dtype=torch.float64)
    made = slerp(a, b, shares)
    for row, share in enumerate(shares.tolist()):
        torch.testing.assert_close(made[row], slerp(a[row], b[row], share))
    assert slerp(a[0], b[0], torch.linspace(0, 1, 9)).shape == (9, 20)


def test_slerp_is_differentiable_and_gives_no_nan_in_its_corners():
    a, b = (x[:2, :5].clone().requires_grad_() for x in pair())
    t = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(slerp, (a, b, t))
    assert torch.autograd.gradcheck(lerp, (a, b, t))
    for other in (a.detach().clone(), -a.detach(), torch.zeros(2, 5, dtype=torch.float64)):
        first, second = a.detach().clone().requires_grad_(), other.requires_grad_()
        slerp(first, second, 0.5).square().sum().backward()
        assert first.grad.isfinite().all() and second.grad.isfinite().all()
    nothing = torch.zeros(2, 5, requires_grad=True)
    slerp(nothing, nothing, 0.5).sum().backward()
    assert nothing.grad.isfinite().all()


def test_slerp_refuses_rows_of_different_length():
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2, 4\)"):
        slerp(torch.zeros(2, 3), torch.zeros(2, 4), 0.5)


def test_walk_passes_through_every_key_and_ends_at_the_last():
    keys = sample_latents(4, 10, 0)[0]
    path = walk(keys, 5)
    assert path.shape == (3 * 5 + 1, 10) and torch.equal(path[::5], keys)
    torch.testing.assert_close(path[7], slerp(keys[1], keys[2], 2 / 5))


def test_a_closed_walk_goes_back_to_the_first_key_without_repeating_it():
    keys = sample_latents(3, 10, 0)[0]
    path = walk(keys, 4, closed=True)
    assert path.shape == (12, 10) and torch.equal(path[::4], keys)
    torch.testing.assert_close(path[11], slerp(keys[2], keys[0], 3 / 4))


@pytest.mark.parametrize(
    "keys, steps, error", [((1, 4), 3, ShapeError), ((4,), 3, ShapeError), ((3, 4), 0, ConfigError)]
)
def test_a_bad_walk_says_why(keys, steps, error):
    with pytest.raises(error, match=r"walk takes|steps must be"):
        walk(torch.ones(keys), steps)


def test_truncation_keeps_what_lies_within_and_redraws_the_rest():
    latents, _ = sample_latents(2000, 20, 3)
    made = truncate(latents, 0.7, 3)
    inside = latents.abs() <= 0.7
    assert torch.equal(made[inside], latents[inside]) and made.abs().max() <= 0.7
    assert len(made[~inside].unique()) > 0.99 * (~inside).sum()
    # the variance of a normal distribution cut at c: 1 - 2 c pdf(c) / (2 cdf(c) - 1)
    density = math.exp(-(0.7**2) / 2) / math.sqrt(2 * math.pi)
    wanted = 1 - 2 * 0.7 * density / math.erf(0.7 / math.sqrt(2))
    assert made[~inside].var().item() == pytest.approx(wanted, rel=0.03)
    assert abs(made[~inside].mean()) < 0.01
    assert abs(torch.corrcoef(torch.stack([latents[~inside], made[~inside]]).abs())[0, 1]) < 0.03


def test_a_truncated_latent_keeps_its_signs_and_so_its_cluster():
    latents, _ = sample_latents(200, 20, 3)
    assert torch.equal(truncate(latents, 0.3, 3).sign(), latents.sign())


def test_truncation_of_a_row_depends_on_its_seed_and_index_alone():
    latents, _ = sample_latents(16, 8, 3)
    whole = truncate(latents, 0.5, 3)
    assert torch.equal(truncate(latents[4:9], 0.5, 3, start=4), whole[4:9])
    assert not torch.equal(truncate(latents, 0.5, 4), whole)
    assert torch.equal(truncate(latents, 10.0, 3), latents)
    assert truncate(latents, 1e-6, 3).abs().max() <= 1e-6


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_bad_limit_names_itself(limit):
    with pytest.raises(ConfigError, match="limit must be (a float|at least 1e-06)"):
        truncate(torch.zeros(1, 2), limit, 0)


def test_directions_are_what_a_layer_amplifies_most():
    weight = torch.randn(40, 12)
    found, values = directions(weight, 5)
    assert found.shape == (5, 12) and values.shape == (5,)
    torch.testing.assert_close(found @ found.T, torch.eye(5), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close((weight @ found.T).norm(dim=0), values)
    assert (values[:-1] >= values[1:]).all()
    torch.testing.assert_close(weight.T @ weight @ found[0], values[0] ** 2 * found[0], rtol=1e-4, atol=1e-4)
    assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()


def test_directions_of_a_known_matrix():
    weight = torch.diag(torch.tensor([1.0, 5.0, 3.0]))
    found, values = directions(weight, 2)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(values, torch.tensor([5.0, 3.0]))


def test_bad_directions_say_why():
    with pytest.raises(ShapeError, match=r"\(outputs, latent_size\), got \(4, 3, 2\)"):
        directions(torch.zeros(4, 3, 2), 1)
    with pytest.raises(ConfigError, match="count must be an int from 1 to 3, got 4"):
        directions(torch.zeros(5, 3), 4)
