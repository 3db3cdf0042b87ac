"""The two steps, the average and the schedules: exact where arithmetic is exact."""

import copy

import pytest
import torch
from torch import nn

from ganzoo import AUGMENTATIONS, LOSSES, PENALTIES
from ganzoo.config import ConfigError
from ganzoo.latents import truncate
from ganzoo.penalties import WeightedPenalty
from ganzoo.seeds import derive_seed, generator_for, integers, normal, normal_each, number, uniform
from ganzoo.settings import Settings
from ganzoo.training import MicroBatch, discriminator_step, generator_step
from ganzoo.training.ema import RAMP, AveragedGenerator
from ganzoo.training.method import Method
from ganzoo.training.one_stage import obstacle, one_stage_step
from ganzoo.training.optimizers import make_optimizer


def pair(dtype=torch.float64):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).to(dtype)
    discriminator = nn.Sequential(nn.Linear(4, 5), nn.LeakyReLU(0.2), nn.Linear(5, 1)).to(dtype)
    return generator, discriminator, torch.randn(8, 4, dtype=dtype), torch.randn(8, 3, dtype=dtype)


@pytest.mark.parametrize("name", LOSSES)
def test_the_steps_are_the_textbook_s(name):
    """Against a loop written out with autograd alone."""
    loss = LOSSES.make(name)
    generator, discriminator, real, latents = pair()
    expected_generator, expected_discriminator = copy.deepcopy(generator), copy.deepcopy(discriminator)

    fake = generator(latents)
    discriminator_step(discriminator, torch.optim.SGD(discriminator.parameters(), 0.1), loss, [MicroBatch(real, fake)])
    generator_step(discriminator, torch.optim.SGD(generator.parameters(), 0.1), loss, [MicroBatch(real, fake)])

    value = loss.for_discriminator(
        expected_discriminator(real), expected_discriminator(expected_generator(latents).detach())
    )
    for parameter, grad in zip(
        expected_discriminator.parameters(), torch.autograd.grad(value, list(expected_discriminator.parameters()))
    ):
        parameter.data -= 0.1 * grad
    seen = expected_discriminator(real) if loss.generator_sees_real else None
    value = loss.for_generator(expected_discriminator(expected_generator(latents)), seen)
    for parameter, grad in zip(
        expected_generator.parameters(), torch.autograd.grad(value, list(expected_generator.parameters()))
    ):
        parameter.data -= 0.1 * grad

    for network, expected in ((generator, expected_generator), (discriminator, expected_discriminator)):
        for one, other in zip(network.parameters(), expected.parameters()):
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("updates", ["alternating", "one-stage"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_gradient_of_two_processes_is_that_of_the_whole_batch(name, updates):
    def gradients(rows, processes):
        generator, discriminator, real, latents = pair()
        optimizers = [torch.optim.SGD(network.parameters(), 0.0) for network in (discriminator, generator)]
        part = MicroBatch(real[rows], generator(latents[rows]))

        def penalty(real, fake, labels):
            return discriminator(real).square().mean()

        if updates == "one-stage":
            one_stage_step(
                discriminator, optimizers, LOSSES.make(name), [part], mismatched_share=0.0, penalty=penalty,
                generator_penalty=None, processes=processes, backward=lambda value: value.backward(),
                step=lambda optimizer: optimizer.step(),
            )  # fmt: skip
            return [parameter.grad for network in (discriminator, generator) for parameter in network.parameters()]
        discriminator_step(
            discriminator, optimizers[0], LOSSES.make(name), [part], processes=processes, penalty=penalty
        )
        found = [parameter.grad.clone() for parameter in discriminator.parameters()]
        generator_step(discriminator, optimizers[1], LOSSES.make(name), [part], processes=processes)
        return found + [parameter.grad.clone() for parameter in generator.parameters()]

    halves = zip(gradients(slice(0, 4), 2), gradients(slice(4, 8), 2), strict=True)
    for whole, (one, other) in zip(gradients(slice(0, 8), 1), halves, strict=True):
        assert torch.allclose((one + other) / 2, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_accumulating_parts_equals_the_whole_batch(name):
    if LOSSES.make(name).generator_sees_real:
        pytest.skip("pairs real and fake images, as they stand in the batch")
    results = []
    for size in (8, 2, 3):  # of the last, parts are of 3, 3 and 2 images
        generator, discriminator, real, latents = pair()

        def parts(size=size, real=real, latents=latents, generator=generator):
            for start in range(0, 8, size):
                rows = slice(start, start + size)
                yield MicroBatch(real[rows], generator(latents[rows]), share=len(real[rows]) / len(real))

        optimizers = [torch.optim.SGD(network.parameters(), 0.1) for network in (discriminator, generator)]
        discriminator_step(discriminator, optimizers[0], LOSSES.make(name), parts())
        generator_step(discriminator, optimizers[1], LOSSES.make(name), parts())
        results.append([*generator.parameters(), *discriminator.parameters()])
    for whole, *others in zip(*results):
        assert all(torch.allclose(whole, other, rtol=1e-10, atol=1e-12) for other in others)


ONE_STAGE = [name for name in LOSSES if name != "hinge"]


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("size", [8, 4])
@pytest.mark.parametrize("name", ONE_STAGE)
def test_one_pass_over_the_fakes_gives_both_networks_their_own_gradients(name, size, share):
    """Shen et al. 2021: equal to the two gradients computed apart, parts and the mismatched term included."""
    loss = LOSSES.make(name)
    if loss.generator_sees_real and size < 8:
        pytest.skip("pairs real and fake images, as they stand in the batch")
    generator, discriminator, real, latents = pair()
    labels = torch.zeros(8, dtype=torch.long) if share else None

    def judge(images, labels=None, other_labels=None):
        logits = 3 * discriminator(images)
        return logits if other_labels is None else torch.cat([logits, discriminator(images)])

    fake = generator(latents)
    value = (1 - share) * loss.for_discriminator(judge(real), judge(fake.detach()))
    value = value + share * loss.for_discriminator(judge(real), discriminator(real)) if share else value
    wanted = torch.autograd.grad(value, list(discriminator.parameters()))
    value = loss.for_generator(judge(fake), judge(real) if loss.generator_sees_real else None)
    wanted += torch.autograd.grad(value, list(generator.parameters()))

    optimizers = tuple(torch.optim.SGD(network.parameters(), 0.0) for network in (discriminator, generator))
    parts = [
        MicroBatch(real[rows], generator(latents[rows]), labels, labels, size / 8)
        for rows in (slice(start, start + size) for start in range(0, 8, size))
    ]
    figures = one_stage_step(
        judge, optimizers, loss, parts, mismatched_share=share, penalty=None, generator_penalty=None, processes=1,
        backward=lambda value: value.backward(), step=lambda optimizer: optimizer.step(),
    )  # fmt: skip
    found = [parameter.grad for network in (discriminator, generator) for parameter in network.parameters()]
    assert all(torch.allclose(one, other, rtol=1e-9, atol=1e-12) for one, other in zip(found, wanted, strict=True))
    per_image = value / 8 if loss.reduction == "sum" else value
    assert torch.allclose(figures[-1], per_image, rtol=1e-9)


@pytest.mark.parametrize(
    "name, norm, ends, words",
    [
        ("hinge", nn.Identity(), 1, "0 for some fakes"),
        ("non-saturating", nn.BatchNorm1d(5), 1, "batch norm"),
        ("non-saturating", nn.Identity(), 2, "weighs the logits of an image otherwise"),
        ("non-saturating", nn.LayerNorm(5), 1, None),
        ("minimax", nn.BatchNorm1d(5), 2, None),
    ],
)
def test_a_pair_of_loss_and_network_that_one_pass_can_t_serve_is_refused(name, norm, ends, words):
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), norm, nn.LeakyReLU(0.2), nn.Linear(5, ends))
    found = obstacle(LOSSES.make(name), discriminator, torch.randn(8, 1, 2, 2), None)
    assert found is None if words is None else words in found


def test_an_update_that_lacks_the_real_images_it_looks_at_says_so():
    network, loss = nn.Linear(2, 1), LOSSES.make("relativistic")
    optimizer, without = torch.optim.SGD(network.parameters(), lr=0.1), [MicroBatch(None, torch.randn(4, 2))]
    for step in (discriminator_step, generator_step):
        with pytest.raises(ConfigError, match="this update looks at real images; give them as its first argument"):
            step(network, optimizer, loss, without)


def test_draws_come_from_the_cpu_whatever_the_default_device_is():
    def drawn():
        cpu = {"random": torch.Generator().manual_seed(0), "device": torch.device("cpu")}
        made = [uniform(3, **cpu), normal(3, **cpu), normal_each(2, 3, **cpu), integers(0, 9, 3, **cpu)]
        return [*made, number(lambda: 0.5, **cpu), truncate(latents, 0.1, seed=0)]

    latents = torch.randn(2, 3)
    with torch.device("meta"):
        found = drawn()
    assert all(torch.equal(*pair) for pair in zip(found, drawn(), strict=True))


def test_the_generator_s_step_leaves_no_gradient_in_the_discriminator():
    generator, discriminator, real, latents = pair()
    discriminator[0].bias.requires_grad_(False)  # frozen by the user: stays so
    optimizer = torch.optim.SGD(generator.parameters(), 0.1)
    generator_step(discriminator, optimizer, LOSSES.make("hinge"), [MicroBatch(real, generator(latents))])
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert [parameter.requires_grad for parameter in discriminator.parameters()] == [True, False, True, True]


def test_the_discriminator_thaws_even_when_the_step_fails():
    generator, discriminator, real, latents = pair()

    def broken(images, labels=None):
        raise RuntimeError("broken")

    optimizer = torch.optim.SGD(generator.parameters(), 0.1)
    with pytest.raises(RuntimeError, match="broken"):
        generator_step(
            discriminator, optimizer, LOSSES.make("hinge"), [MicroBatch(real, generator(latents))], discriminate=broken
        )
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_the_average_has_the_promised_half_life():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = AveragedGenerator(network, half_life=1000)
    nn.init.ones_(network.weight)
    for _ in range(10):
        average.update(images_seen=10**9, batch_size=100)
    assert float(average.network.weight.detach()) == pytest.approx(0.5, abs=1e-6)


def test_the_average_forgets_its_start_while_it_ramps_up():
    network = nn.Linear(1, 1, bias=False)
    average = AveragedGenerator(network, half_life=1000)
    nn.init.ones_(network.weight)
    average.update(images_seen=100, batch_size=100)
    expected = 1 - 0.5 ** (1 / RAMP)
    assert float(average.network.weight.detach()) == pytest.approx(expected, abs=1e-6)


def test_without_half_life_the_average_is_the_generator():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = AveragedGenerator(network, half_life=0)
    network(torch.randn(8, 2))
    nn.init.ones_(network[0].weight)
    average.update(images_seen=8, batch_size=8)
    for name, value in network.state_dict().items():
        assert torch.equal(average.network.state_dict()[name], value), name


def test_a_tied_weight_is_averaged_once_under_all_its_names():
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1), nn.Linear(1, 1, bias=False))
    network[2].weight = network[0].weight
    network.append(network[1])  # a part that stands in two places ties its buffers too
    nn.init.zeros_(network[0].weight)
    average = AveragedGenerator(network, half_life=1000)
    nn.init.ones_(network[0].weight)
    network[1].running_mean.fill_(1)
    for _ in range(10):
        average.update(images_seen=10**9, batch_size=100)
    assert average.network[2].weight is average.network[0].weight
    for value in (average.network[0].weight.detach(), average.network[1].running_mean):
        assert float(value) == pytest.approx(0.5, abs=1e-6)


def test_batch_norm_s_statistics_are_averaged_and_its_counter_copied():
    network = nn.BatchNorm1d(2)
    average = AveragedGenerator(network, half_life=100)
    network.running_mean.fill_(1)
    network.num_batches_tracked.fill_(7)
    average.update(images_seen=10**9, batch_size=100)
    assert torch.allclose(average.network.running_mean, torch.full((2,), 0.5))
    assert average.network.num_batches_tracked == 7


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop", "sgd"])
@pytest.mark.parametrize("speed", ["auto", "exact"])
def test_torch_s_optimizers_by_name(name, speed):
    network = nn.Linear(2, 2)
    optimizer = make_optimizer(network, 0.01, Settings(optimizer=name, speed=speed, beta1=0.4, beta2=0.98))
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.clone()
    optimizer.step()
    assert not torch.equal(before, network.weight)
    assert type(optimizer).__name__.lower() == name
    decays = {"rmsprop": {"alpha": 0.98}, "sgd": {"momentum": 0.4}}.get(name, {"betas": (0.4, 0.98)})
    assert {"lr": 0.01, **decays}.items() <= optimizer.param_groups[0].items()


def test_timm_s_optimizers_by_name_and_a_typo():
    network = nn.Linear(2, 2)
    lion = make_optimizer(network, 0.01, Settings(optimizer="lion", beta1=0.4, beta2=0.98))
    assert type(lion).__name__ == "Lion" and lion.param_groups[0]["betas"] == (0.4, 0.98)
    with pytest.raises(ConfigError, match='optimizer "adamm" is unknown. Did you mean "adam"'):
        make_optimizer(network, 0.01, Settings(optimizer="adamm"))


def test_streams_are_unrelated_and_repeatable():
    assert derive_seed(0, "batch", 1) == derive_seed(0, "batch", 1)
    seeds = {derive_seed(seed, purpose, index) for seed in range(20) for purpose in "ab" for index in range(20)}
    assert len(seeds) == 20 * 2 * 20 and all(0 <= seed < 2**63 for seed in seeds)
    draws = torch.stack([torch.randn(1000, generator=generator_for(0, "x", index)) for index in range(20)])
    assert torch.corrcoef(draws).fill_diagonal_(0).abs().max() < 0.15


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"stpes": 10}, 'stpes is unknown. Did you mean "steps"'),
        ({"batch_size": 2.5}, "batch_size must be an int, got 2.5"),
        ({"precision": "half"}, "precision must be one of auto, float32, bf16, fp16"),
        ({"loss": "hinges"}, 'loss: unknown loss "hinges". Did you mean "hinge"'),
        ({"penalties": ["r3"]}, r'penalties\[0\]: unknown penalty "r3"'),
        ({"penalties": ["r1", "r1(weight=2)"]}, r"penalties\[1\] names \"r1\" a second time"),
        ({"penalties": ["r1(every=0)"]}, r"penalties\[0\]: r1: every must be at least 1"),
        ({"penalties": ["r1(every=1.5)"]}, r'penalties\[0\]: r1: every must be an int, got "1.5"'),
        ({"penalties": ["r1(wieght=1)"]}, 'r1 has no option "wieght". Did you mean "weight"'),
        ({"penalties": ["r1(weight=x)"]}, 'weight: unknown schedule "x"'),
        ({"penalties": ["r1(weight=nan)"]}, "weight must be at least 0"),
        ({"penalties": ["r1(("]}, "must look like name or name"),
        ({"augmentations": ["colour"]}, 'Did you mean "color"'),
        ({"loss": "hinge(smoothing=0.1)"}, 'loss: hinge has no option "smoothing". It takes none'),
        ({"accumulate": 3}, "accumulate 3 must divide batch_size 64"),
        ({"updates": "one-stage", "discriminator_steps": 2}, "discriminator_steps and generator_steps must be 1"),
        ({"generator_lr": float("nan")}, "generator_lr"),
    ],
)
def test_a_wrong_setting_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        Settings().replace(**changes)


def test_the_method_is_made_of_the_names_in_the_settings():
    settings = Settings(penalties=("r1(weight=0.5, every=4)", "r2"), augmentations=("cutout(strength=0.3)", "color"))
    method = Method(settings)
    assert method.penalties == [WeightedPenalty(PENALTIES["r1"], 0.5, 4), WeightedPenalty(PENALTIES["r2"], 1, 1)]
    images, random = torch.rand(4, 3, 8, 8), torch.Generator().manual_seed(0)
    wanted = AUGMENTATIONS["color"](AUGMENTATIONS["cutout"](images, random, strength=0.3), random)
    assert torch.equal(method.augment(images, torch.Generator().manual_seed(0)), wanted)  # in order, drawing on
    assert Settings.parse("penalties", "r1(weight=1,every=4),r2") == ["r1(weight=1,every=4)", "r2"]
    assert Settings.from_dict(settings.to_dict()) == settings


def test_every_setting_stands_in_the_table():
    assert [name for name, *_ in Settings.described()] == [*Settings().to_dict()]


@pytest.mark.parametrize("name", LOSSES)
def test_the_sign_that_tells_overfitting_does_not_hang_on_what_the_loss_cannot_see(name):
    """`ada` raises its probability by it."""
    generator, discriminator, real, latents = pair()
    loss, signs = LOSSES.make(name), []
    for shift in (-50, 0, 50):
        moved = nn.Sequential(discriminator, nn.Identity())
        moved.register_forward_hook(lambda module, images, logits, shift=shift: logits + shift)
        optimizer = torch.optim.SGD(discriminator.parameters(), 0.0)
        figures = discriminator_step(moved, optimizer, loss, [MicroBatch(real, generator(latents))])
        signs.append(figures[4].item())
    if loss.undecided_at_zero:
        assert signs[0] == -1 and signs[2] == 1
    else:
        assert signs[0] == signs[1] == signs[2] and abs(signs[1]) < 1


def test_without_as_many_fakes_the_sign_is_against_their_mean():
    _, discriminator, real, _ = pair()
    fake = real[:3] + 0.1
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.0)
    figures = discriminator_step(discriminator, optimizer, LOSSES.make("wasserstein"), [MicroBatch(real, fake)])
    assert figures[4] == (discriminator(real) - discriminator(fake).mean()).sign().mean()
