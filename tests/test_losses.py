"""Losses: values against the equations, derivatives by hand and by autograd, limits, stability."""

import itertools
import math

import pytest
import torch
from torch import sigmoid
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ganzoo.errors import ConfigError, ShapeError, UnknownNameError
from ganzoo.losses import LOSSES, Loss, check_loss

NAMES = list(LOSSES)
SMOOTHABLE = ["non-saturating", "minimax", "d2l"]
REAL = torch.tensor([1.5, -0.3, 0.2, 3.0], dtype=torch.float64)
FAKE = torch.tensor([-2.0, 0.7, -0.4, 1.1], dtype=torch.float64)


def log1pexp(values):
    return torch.log(1 + torch.exp(values))


# name: (discriminator's value, generator's value), straight from the equations
VALUES = {
    "non-saturating": lambda r, f: (log1pexp(-r).mean() + log1pexp(f).mean(), log1pexp(-f).mean()),
    "minimax": lambda r, f: (log1pexp(-r).mean() + log1pexp(f).mean(), torch.log(1 - sigmoid(f)).mean()),
    "hinge": lambda r, f: ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(), -f.mean()),
    "least-squares": lambda r, f: (((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2, ((f - 1) ** 2).mean() / 2),
    "wasserstein": lambda r, f: (f.mean() - r.mean(), -f.mean()),
    "relativistic": lambda r, f: (log1pexp(f - r).mean(), log1pexp(r - f).mean()),
    "d2l": lambda r, f: ((log1pexp(-r).sum() + log1pexp(f).sum()) / 2, log1pexp(-f).sum()),
}
# name: derivatives of the discriminator's loss by r and by f, and of the generator's by f; N logits
DERIVATIVES = {
    "non-saturating": lambda r, f, n: (-sigmoid(-r) / n, sigmoid(f) / n, -sigmoid(-f) / n),
    "minimax": lambda r, f, n: (-sigmoid(-r) / n, sigmoid(f) / n, -sigmoid(f) / n),
    "hinge": lambda r, f, n: (-(r < 1).double() / n, (f > -1).double() / n, torch.full_like(f, -1 / n)),
    "least-squares": lambda r, f, n: ((r - 1) / n, f / n, (f - 1) / n),
    "wasserstein": lambda r, f, n: (torch.full_like(r, -1 / n), torch.full_like(f, 1 / n), torch.full_like(f, -1 / n)),
    "relativistic": lambda r, f, n: (-sigmoid(f - r) / n, sigmoid(f - r) / n, -sigmoid(r - f) / n),
    "d2l": lambda r, f, n: (-sigmoid(-r) / 2, sigmoid(f) / 2, -sigmoid(-f)),
}
# name: both losses where the discriminator can't tell (all logits 0), for 4 images
UNDECIDED = {
    "non-saturating": (2 * math.log(2), math.log(2)),
    "minimax": (2 * math.log(2), -math.log(2)),
    "hinge": (2.0, 0.0),
    "least-squares": (0.5, 0.5),
    "wasserstein": (0.0, 0.0),
    "relativistic": (math.log(2), math.log(2)),
    "d2l": (4 * math.log(2), 4 * math.log(2)),
}


def losses_of(loss, real, fake):
    seen = real if loss.generator_sees_real else None
    return loss.for_discriminator(real, fake), loss.for_generator(fake, seen)


def test_the_tables_of_these_tests_name_every_built_in():
    assert set(NAMES) == set(VALUES) == set(DERIVATIVES) == set(UNDECIDED)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 1, 1, 1), (2, 1, 1, 2)])
def test_value_is_the_equations_for_logits_of_any_shape(name, shape):
    made = losses_of(LOSSES.make(name), REAL.reshape(shape), FAKE.reshape(shape))
    for value, wanted in zip(made, VALUES[name](REAL, FAKE)):
        assert value.shape == ()
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_the_one_found_by_hand(name):
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    judged, made = losses_of(LOSSES.make(name), real, fake)
    found = (*torch.autograd.grad(judged, (real, fake), retain_graph=True), *torch.autograd.grad(made, fake))
    for gradient, wanted in zip(found, DERIVATIVES[name](REAL, FAKE, len(REAL))):
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_in_float64(name):
    loss = LOSSES.make(name)
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss.for_discriminator, (real, fake))
    assert torch.autograd.gradcheck(lambda f: loss.for_generator(f, REAL if loss.generator_sees_real else None), fake)


@pytest.mark.parametrize("name", NAMES)
def test_undecided_discriminator(name):
    judged, made = losses_of(LOSSES.make(name), torch.zeros(4), torch.zeros(4))
    assert (judged.item(), made.item()) == pytest.approx(UNDECIDED[name], abs=1e-6)


@pytest.mark.parametrize("name", ["non-saturating", "minimax", "hinge", "relativistic", "d2l"])
def test_sure_and_right_costs_the_discriminator_nothing(name):
    assert LOSSES.make(name).for_discriminator(torch.full((4,), 60.0), torch.full((4,), -60.0)).item() < 1e-12


def test_perfect_least_squares_discriminator_hits_its_targets():
    assert LOSSES.make("least-squares").for_discriminator(torch.ones(4), torch.zeros(4)).item() == 0
    assert LOSSES.make("least-squares").for_generator(torch.ones(4), None).item() == 0


def test_minimax_starves_a_generator_that_is_found_out_and_non_saturating_does_not():
    gradients = {}
    for name in ("minimax", "non-saturating"):
        fake = torch.full((4,), -20.0, requires_grad=True)
        (gradient,) = torch.autograd.grad(LOSSES.make(name).for_generator(fake, None), fake)
        gradients[name] = gradient.abs().sum().item()
    assert gradients["minimax"] < 1e-8
    assert gradients["non-saturating"] == pytest.approx(1, abs=1e-6)


def test_minimax_is_a_zero_sum_game_in_the_fakes():
    fake = FAKE.clone().requires_grad_()
    judged, made = losses_of(LOSSES.make("minimax"), REAL, fake)
    for_discriminator, for_generator = (torch.autograd.grad(each, fake)[0] for each in (judged, made))
    torch.testing.assert_close(for_discriminator, -for_generator)


@pytest.mark.parametrize("name", NAMES)
def test_each_player_pushes_fakes_its_own_way(name):
    fake = torch.tensor([0.3], requires_grad=True)
    judged, made = losses_of(LOSSES.make(name), torch.tensor([0.5]), fake)
    assert torch.autograd.grad(judged, fake)[0].item() > 0
    assert torch.autograd.grad(made, fake)[0].item() < 0


def test_d2l_is_torchs_cross_entropy_summed_and_says_so():
    real, fake, ones = REAL, FAKE, torch.ones_like(REAL)
    judged, made = losses_of(LOSSES.make("d2l"), real, fake)

    def entropy(logits, targets):
        return binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    torch.testing.assert_close(judged, (entropy(real, ones) + entropy(fake, 0 * ones)) / 2)
    torch.testing.assert_close(made, entropy(fake, ones))
    assert [name for name in NAMES if LOSSES.make(name).reduction == "sum"] == ["d2l"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_finite_at_huge_logits(name, dtype, size):
    real = torch.full((4,), size, dtype=dtype, requires_grad=True)
    fake = torch.full((4,), -size, dtype=dtype, requires_grad=True)
    for value in losses_of(LOSSES.make(name), real, fake):
        assert value.isfinite() and value.dtype == torch.float32
        for gradient in torch.autograd.grad(value, (real, fake), allow_unused=True):
            assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_averaged_in_full_precision(name):
    real, fake = torch.randn(512).bfloat16(), torch.randn(512).bfloat16()
    for rough, exact in zip(
        losses_of(LOSSES.make(name), real, fake), losses_of(LOSSES.make(name), real.double(), fake.double())
    ):
        torch.testing.assert_close(rough.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_generator_gets_real_logits_only_where_it_declares_so(name):
    assert LOSSES.make(name).generator_sees_real == (name == "relativistic")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_says_whether_it_sees_only_differences_of_logits(name):
    loss, moved = LOSSES.make(name), REAL + 3
    values = [loss.for_discriminator(real, fake) for real, fake in ((REAL, FAKE), (moved, FAKE + 3))]
    assert torch.allclose(*values) != loss.undecided_at_zero


def test_relativistic_sees_differences_only():
    shifted = losses_of(LOSSES.make("relativistic"), REAL + 100, FAKE + 100)
    for value, wanted in zip(shifted, losses_of(LOSSES.make("relativistic"), REAL, FAKE)):
        torch.testing.assert_close(value, wanted)


def test_relativistic_refuses_what_it_cannot_pair():
    with pytest.raises(ShapeError, match=r"\(4,\) and \(3,\)"):
        LOSSES.make("relativistic").for_discriminator(REAL, FAKE[:3])
    with pytest.raises(ShapeError):  # would broadcast to 4 x 4 pairs
        LOSSES.make("relativistic").for_discriminator(REAL, FAKE[:, None])
    with pytest.raises(ConfigError, match="real_logits"):
        LOSSES.make("relativistic").for_generator(FAKE, None)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "relativistic"])
def test_real_and_fake_batches_may_differ_in_size(name):
    assert LOSSES.make(name).for_discriminator(REAL, FAKE[:3]).isfinite()


@pytest.mark.parametrize("name", SMOOTHABLE)
@pytest.mark.parametrize("amount", [0.1, 0.5])
def test_smoothing_is_cross_entropy_with_real_targets_below_one(name, amount):
    loss = LOSSES.make(f"{name}(smoothing={amount})")
    scale = 0.5 if loss.reduction == "sum" else 1 / len(REAL)
    entropy = sum(
        binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="sum")
        for logits, target in ((REAL, 1 - amount), (FAKE, 0.0))
    )
    torch.testing.assert_close(loss.for_discriminator(REAL, FAKE), entropy * scale)
    torch.testing.assert_close(loss.for_generator(FAKE, None), LOSSES.make(name).for_generator(FAKE, None))


@pytest.mark.parametrize("name", SMOOTHABLE)
def test_smoothed_discriminator_is_content_at_the_target(name):
    real = torch.logit(torch.full((4,), 0.9, dtype=torch.float64)).requires_grad_()
    value = LOSSES.make(f"{name}(smoothing=0.1)").for_discriminator(real, torch.full((4,), -50.0, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(value, real)
    assert gradient.abs().max() < 1e-12
    large = torch.full((4,), 1e4)
    assert LOSSES.make(f"{name}(smoothing=0.1)").for_discriminator(large, -large).isfinite()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SMOOTHABLE])
def test_smoothing_is_refused_where_it_has_no_meaning(name):
    with pytest.raises(ConfigError, match=f'{name} has no option "smoothing". It takes none'):
        LOSSES.make(f"{name}(smoothing=0.1)")


@pytest.mark.parametrize("amount", ["-0.1", "0.6", "nan", "true", "much"])
def test_bad_smoothing_names_its_value(amount):
    with pytest.raises(ConfigError, match="non-saturating: smoothing must be"):
        LOSSES.make(f"non-saturating(smoothing={amount})")


def test_unknown_loss_has_a_suggestion():
    with pytest.raises(UnknownNameError, match='Did you mean "hinge"'):
        LOSSES.make("hige")


def test_a_loss_of_ones_own_is_made_by_a_function_whose_keywords_are_its_options():
    def mine(scale: float = 1.0) -> Loss:
        return Loss(for_discriminator=lambda r, f: scale * (f - r).mean(), for_generator=lambda f, _: -f.mean())

    with LOSSES.temporarily("mine", mine):
        assert LOSSES.make("mine").for_discriminator(torch.ones(2), torch.zeros(2)).item() == -1
        assert LOSSES.make("mine(scale=3)").for_discriminator(torch.ones(2), torch.zeros(2)).item() == -3


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_says_what_it_is_in_one_line(name):
    assert 10 < len(LOSSES[name].__doc__.split("\n")[0]) < 110


@pytest.mark.parametrize("text", [*NAMES, "d2l(smoothing=0.1)"])
def test_every_loss_keeps_the_contract(text):
    check_loss(text)


def test_a_zero_sum_loss_whose_gradient_turns_keeps_the_contract():
    """Pearson's chi squared as an f-GAN (Nowozin et al. 2016)."""
    check_loss(Loss(lambda r, f: (f.square() / 4 + f).mean() - r.mean(), lambda f, _: -(f.square() / 4 + f).mean()))


def apart(real, fake):
    return (fake - real).mean()


def raise_fakes(fake, real):
    return -fake.mean()


COUNT = itertools.count(1)


def overflowing(x):
    """A softplus whose gradient is NaN for large numbers: 0 times infinity."""
    return torch.where(x > 20, x, torch.log1p(x.exp()))


def for_n_by_1(real, fake):
    return binary_cross_entropy_with_logits(fake, torch.zeros(len(fake), 1)) + softplus(-real).mean()


@pytest.mark.parametrize(
    "broken, said",
    [
        (Loss(lambda r, f: (f - r).squeeze(1), raise_fakes), r"for_discriminator\) gives float32 \(8,\)"),
        (Loss(lambda r, f: 1.0, raise_fakes), "gives a float"),
        (Loss(lambda r, f: r / 0, raise_fakes), "gives float32"),
        (Loss(lambda r, f: apart(r, f) * math.nan, raise_fakes), "gives NaN"),
        (Loss(apart, lambda f, r: -(sigmoid(f)).log().mean()), r"for_generator\) is not finite"),
        (Loss(apart, lambda f, r: -f.detach().mean()), r"for_generator\): no gradient"),
        (Loss(lambda r, f: f.mean(), raise_fakes), r"for_discriminator\): no gradient"),
        (Loss(apart, lambda f, r: -f.sum()), 'reduction is not "mean"'),
        (Loss(apart, lambda f, r: -f.sum(), reduction="sum"), r'for_discriminator\): its reduction is not "sum"'),
        (Loss(apart, lambda f, r: (r - f).mean()), r"for_generator\) fails: TypeError"),
        (Loss(lambda r, f: (f.exp() - r.exp()).mean().abs(), raise_fakes), "gives NaN at logits of 10,000"),
        (
            Loss(lambda r, f: (overflowing(-r) + overflowing(f)).mean(), raise_fakes),
            "gradient is not finite at logits of",
        ),
        (Loss(lambda r, f: (r - f).mean(), raise_fakes), r"for_discriminator\): it pushes logits the wrong way"),
        (Loss(lambda r, f: (r + f).mean(), raise_fakes), r"for_discriminator\): it pushes logits the wrong way"),
        (Loss(apart, lambda f, r: f.mean()), r"for_generator\): it pushes logits the wrong way"),
        (Loss(for_n_by_1, raise_fakes), r"for_discriminator\), for logits of shape \(8,\), fails"),
        (Loss(lambda r, f: apart(r, f) * next(COUNT), raise_fakes), "another number in a second call"),
        (LOSSES["hinge"], "takes a name or a ganzoo.losses.Loss, got"),
    ],
)
def test_a_loss_that_breaks_the_contract_is_caught(broken, said):
    with pytest.raises(ConfigError, match=said):
        check_loss(broken)
