"""Gradient penalties against closed forms; their gradients reach the discriminator; never in half precision."""

import pytest
import torch
from torch import nn

from ganzoo.augment import AUGMENTATIONS, AdaptiveAugmentation
from ganzoo.errors import ConfigError, ShapeError
from ganzoo.penalties import GENERATOR_PENALTIES, PENALTIES, check_penalty, gradient_norms

NAMES = list(PENALTIES)
SHAPE = (5, 2, 4, 4)
SIZE = 2 * 4 * 4


def pictures():
    return torch.rand(SHAPE, dtype=torch.float64) * 2 - 1, torch.rand(SHAPE, dtype=torch.float64) * 2 - 1


def small_network():
    layers = nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 1)
    return nn.Sequential(*layers).double()


def test_a_linear_critic_has_the_same_gradient_everywhere():
    weight = torch.randn(SIZE, dtype=torch.float64)
    real, fake = pictures()
    length = weight.norm()
    wanted = {"r1": length**2 / 2, "r2": length**2 / 2, "wgan-gp": (length - 1) ** 2}
    assert set(wanted) == set(NAMES)
    for name in NAMES:
        torch.testing.assert_close(PENALTIES[name](lambda x: x.flatten(1) @ weight, real, fake), wanted[name])


def test_wgan_gp_is_content_with_length_one():
    weight = torch.randn(SIZE, dtype=torch.float64)
    weight /= weight.norm()
    assert PENALTIES["wgan-gp"](lambda x: x.flatten(1) @ weight, *pictures()).item() == pytest.approx(0, abs=1e-20)


def test_a_quadratic_critic_tells_real_from_fake():
    real, fake = pictures()

    def critic(images):  # its gradient at x is x
        return images.square().flatten(1).sum(1) / 2

    torch.testing.assert_close(PENALTIES["r1"](critic, real, fake), real.square().flatten(1).sum(1).mean() / 2)
    torch.testing.assert_close(PENALTIES["r2"](critic, real, fake), fake.square().flatten(1).sum(1).mean() / 2)
    shares = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(3)).double()
    between = shares * real + (1 - shares) * fake
    wanted = (between.flatten(1).norm(dim=1) - 1).square().mean()
    made = PENALTIES["wgan-gp"](critic, real, fake, torch.Generator().manual_seed(3))
    torch.testing.assert_close(made, wanted)


def test_wgan_gp_draws_one_share_an_image_between_real_and_fake():
    seen = []

    def critic(images):
        seen.append(images.detach())
        return images.flatten(1).sum(1)

    PENALTIES["wgan-gp"](critic, torch.ones(64, 1, 2, 2), torch.zeros(64, 1, 2, 2))
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all()
    assert len(shares[:, 0].unique()) == 64 and shares.min() >= 0 and shares.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight_of_the_discriminator(name):
    network = small_network()
    PENALTIES[name](network, *pictures()).backward()
    for key, parameter in network.named_parameters():
        if key != "3.bias":  # the last bias moves the logit, not its slope
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_by_the_discriminators_weights(name):
    network, (real, fake) = small_network(), pictures()
    weights = dict(network.named_parameters())
    names, values = list(weights), [weight.detach().clone().requires_grad_() for weight in weights.values()]

    def penalty(*given):
        def critic(images):
            return torch.func.functional_call(network, dict(zip(names, given)), (images,))

        return PENALTIES[name](critic, real, fake, torch.Generator().manual_seed(0))

    assert torch.autograd.gradcheck(penalty, tuple(values))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_computed_in_half_precision(name):
    seen = []
    layer = nn.Conv2d(2, 1, 4)
    layer.register_forward_hook(lambda module, inputs, output: seen.extend([inputs[0].dtype, output.dtype]))
    real, fake = (images.bfloat16() for images in pictures())
    with torch.autocast("cpu", torch.bfloat16):
        value = PENALTIES[name](layer, real, fake)
        assert layer(real).dtype == torch.bfloat16  # autocast is on again
    assert set(seen[:-2]) == {torch.float32} and value.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_images_get_no_gradient_and_are_left_alone(name):
    real, fake = pictures()
    source = fake.clone().requires_grad_()
    PENALTIES[name](small_network(), real, source * 1).backward()
    assert source.grad is None and not real.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_discriminator_gives_no_nan(name):
    network = small_network()
    nn.init.zeros_(network[0].weight)
    value = PENALTIES[name](network, *pictures())
    value.backward()
    assert value.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_several_logits_of_an_image_are_summed():
    images, _ = pictures()
    one = gradient_norms(lambda x: x.flatten(1).sum(1), images)
    torch.testing.assert_close(gradient_norms(lambda x: x.flatten(1), images), one)
    torch.testing.assert_close(one, torch.full((5,), SIZE**0.5, dtype=torch.float64))


def test_r1_and_r2_take_batches_of_different_sizes_and_wgan_gp_says_it_cannot():
    real, fake = pictures()
    for name in ("r1", "r2"):
        assert PENALTIES[name](small_network(), real, fake[:3]).isfinite()
    with pytest.raises(ShapeError, match=r"wgan-gp .*\(5, 2, 4, 4\) and \(3, 2, 4, 4\)"):
        PENALTIES["wgan-gp"](small_network(), real, fake[:3])


def test_wgan_gp_repeats_with_its_generator_or_with_the_global_seed():
    network, (real, fake) = small_network(), pictures()
    generator = torch.Generator()
    values = [PENALTIES["wgan-gp"](network, real, fake, generator.manual_seed(s)).item() for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    torch.manual_seed(1)  # no generator: torch's own, which has the same stream
    assert PENALTIES["wgan-gp"](network, real, fake).item() == values[0]


@pytest.mark.parametrize("registry", [PENALTIES, GENERATOR_PENALTIES], ids=lambda registry: registry.kind)
def test_every_penalty_keeps_the_contract(registry):
    for name in registry:
        check_penalty(f"{name}(weight=2)", registry)


class Counting:
    """Has state, and says so to nobody."""

    def __call__(self, discriminate, real, fake, random=None):
        return discriminate(real).mean()

    def state_dict(self):
        return {}


@pytest.mark.parametrize(
    "broken, said",
    [
        (lambda d, real, fake, random: d(real), r"gives float32 \(4, 1\)"),
        (lambda d, real, fake, random: d(real).mean().item(), "gives a float"),
        (lambda d, real, fake, random: d(real).mean().detach(), "no gradient"),
        (lambda d, real, fake, random: real.requires_grad_().mean(), "no gradient"),
        (lambda d, real, fake, random: d(real).mean() / 0, "not finite"),
        (lambda d, real, fake, random: d(real + torch.randn(real.shape)).mean(), "draw from `random`"),
        (lambda d, real, fake: d(real).mean(), "fails: TypeError"),
        (Counting(), "ganzoo.stateful.Stateful"),
    ],
)
def test_a_penalty_that_breaks_the_contract_is_caught(broken, said):
    with pytest.raises(ConfigError, match=said):
        check_penalty(broken)


def test_a_penalty_on_the_generator_that_breaks_the_contract_is_caught():
    with pytest.raises(ConfigError, match="generator penalty .*no gradient"):
        check_penalty(lambda generate, latents, labels, random: generate(latents).detach().mean(), GENERATOR_PENALTIES)


@pytest.mark.parametrize(
    "registry", [PENALTIES, GENERATOR_PENALTIES, AUGMENTATIONS], ids=lambda registry: registry.kind
)
def test_an_object_with_state_is_no_item_since_runs_would_share_it(registry):
    with pytest.raises(ConfigError, match="its class is registered, so that each run has an object of its own, got"):
        registry.register("mine", AdaptiveAugmentation())
    assert "mine" not in registry


@pytest.mark.parametrize(
    "registry", [PENALTIES, GENERATOR_PENALTIES, AUGMENTATIONS], ids=lambda registry: registry.kind
)
def test_a_class_whose_state_would_not_be_saved_is_refused(registry):
    with pytest.raises(ConfigError, match="one with state_dict is derived from ganzoo.stateful.Stateful"):
        registry.register("counting", Counting)
    assert "counting" not in registry
