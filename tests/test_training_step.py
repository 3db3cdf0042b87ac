"""One step of a run: what it draws, and that networks, average and figures become what the equations say."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import ganzoo
from ganzoo import AUGMENTATIONS, GENERATOR_PENALTIES
from ganzoo.data import open_data
from ganzoo.data.loaders import open_loader
from ganzoo.models import FewShotDiscriminator
from ganzoo.seeds import uniform
from ganzoo.settings import Settings
from ganzoo.stateful import Stateful
from ganzoo.training.method import Method
from ganzoo.training.runtime import Runtime
from ganzoo.training.step import TrainingStep


def images(size=8):
    generator = torch.Generator().manual_seed(0)
    return open_data(torch.randint(0, 256, (40, 1, size, size), dtype=torch.uint8, generator=generator))


def pair():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    return ganzoo.GAN(
        generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 1)), latent_size=4
    )


@pytest.fixture
def step_of():
    """Makes the step of a GAN and settings, which lists in `sent` the batch of each update."""
    loaders = []

    def make(gan, data=None, **settings):
        settings = Settings(**{"steps": 100, "batch_size": 8, "precision": "float32", **settings})
        loaders.append(open_loader(data or images(), settings.batch_size, settings.seed))
        step = TrainingStep(gan, loaders[-1], (), settings, Runtime(settings), Method(settings))
        send, step.sent = step._sent, []
        step._sent = lambda *given: step.sent.append(send(*given)) or step.sent[-1]
        return step

    yield make
    for loader in loaders:
        loader.close()


class Halves(Stateful):
    """An augmentation that every image shows, and that notes what it is told of each step."""

    def __init__(self):
        self.told = []

    def __call__(self, images, random=None):
        return 0.5 * images

    def end_step(self, real_sign, images, mean):
        self.told.append((real_sign, images))


@pytest.fixture(autouse=True)
def _halves():
    with AUGMENTATIONS.temporarily("halves", Halves):
        yield


def pull(generate, latents, labels, random):
    """A penalty on the generator: towards grey."""
    return generate(latents).square().mean()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulate": 2},
        {"clip_gradients": 0.01},
        {"updates": "one-stage"},
        {"updates": "one-stage", "accumulate": 2},
    ],
    ids=str,
)
def test_a_step_with_penalties_and_augmentation_is_the_textbook_s(step_of, settings):
    """Against one written out with autograd alone."""
    given = {"penalties": ("r1(weight=3)", "r2(weight=5)"), "generator_penalties": ("pull(weight=2)",)}
    given |= {"augmentations": ("halves",), "optimizer": "sgd", "beta1": 0, "generator_lr": 0.1}
    with GENERATOR_PENALTIES.temporarily("pull", pull):
        step = step_of(gan := pair(), discriminator_lr=0.05, **given, **settings)
    generator, discriminator = copy.deepcopy(gan.generator), copy.deepcopy(gan.discriminator)
    figures = step()
    ((real, latents, *_),) = step.sent
    fake = generator(latents)

    def logits(images):
        return discriminator(0.5 * images)

    def steepness(images):
        images = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
        return gradient.flatten(1).square().sum(1).mean() / 2

    def descend(network, value, rate):
        gradients = torch.autograd.grad(value, list(network.parameters()))
        norm = torch.cat([each.flatten() for each in gradients]).norm()
        for parameter, gradient in zip(network.parameters(), gradients):
            parameter.data -= rate * min(1.0, settings.get("clip_gradients", math.inf) / norm) * gradient

    of_real, of_fake = logits(real).detach(), logits(fake).detach()
    penalty = 3 * steepness(real) + 5 * steepness(fake)
    on_discriminator = softplus(-logits(real)).mean() + softplus(logits(fake.detach())).mean()
    if "updates" not in settings:
        descend(discriminator, on_discriminator + penalty, 0.05)
    on_generator = softplus(-logits(fake)).mean()
    descend(generator, on_generator + 2 * fake.square().mean(), 0.1)
    if "updates" in settings:  # one-stage: the generator has learnt from the discriminator as it was
        descend(discriminator, on_discriminator + penalty, 0.05)

    wanted = [on_discriminator, of_real.mean(), of_fake.mean(), penalty, on_generator]
    torch.testing.assert_close(figures, torch.stack(wanted).detach(), rtol=1e-4, atol=1e-6)
    assert step.method.augmentations[0].told == [(pytest.approx(float(of_real.sign().mean())), 8)]
    for found, expected in ((gan.generator, generator), (gan.discriminator, discriminator)):
        for one, other in zip(found.parameters(), expected.parameters()):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_augmentations_are_told_of_the_images_of_all_updates_of_a_step(step_of):
    step = step_of(pair(), augmentations=("halves",), discriminator_steps=3)
    step()
    assert [count for _, count in step.method.augmentations[0].told] == [24]


def test_a_discriminator_s_own_loss_sees_augmented_images(step_of, monkeypatch):
    seen, own = [], FewShotDiscriminator.auxiliary_loss
    monkeypatch.setattr(
        FewShotDiscriminator,
        "auxiliary_loss",
        lambda self, images, random=None: seen.append(images) or own(self, images, random),
    )
    generator = {"latent_size": 4, "widths": (8, 4, 4), "skip": 2, "image_channels": 1}
    gan = ganzoo.create("few-shot-64", 16, generator, {"widths": (4, 8)})
    step = step_of(gan, images(16), augmentations=("halves",))
    step()
    assert len(seen) == 1 and torch.equal(seen[0], 0.5 * step.sent[0].real)


@pytest.mark.parametrize("half_life, used", [("linear(start=4,end=12)", 8), (1e9, 0.05 * 51 * 8)])
def test_the_average_follows_the_schedule_of_its_half_life_and_its_ramp(step_of, half_life, used):
    step = step_of(gan := pair(), ema_half_life=half_life, generator_lr=0.1)
    step.state.step = 50  # of 100
    step()
    share = 0.5 ** (8 / used)
    for average, before, after in zip(
        step.state.average.parameters(), pair().generator.parameters(), gan.generator.parameters()
    ):
        torch.testing.assert_close(average, share * before + (1 - share) * after)


def test_networks_learn_in_training_mode_whatever_mode_they_come_in(step_of):
    gan, modes = pair(), []
    for network in (gan.generator.eval(), gan.discriminator.eval()):
        network.register_forward_hook(lambda network, *_: modes.append(network.training))
    step_of(gan)()
    assert len(modes) == 4 and all(modes)


def found_in(real, images):
    """The place in `images` of each row of `real`, and whether it is mirrored, left to right."""
    plain, mirrored = ((real[:, None] == each).flatten(2).all(2) for each in (images, images.flip(3)))
    assert ((plain | mirrored).sum(1) == 1).all()
    return (plain | mirrored).int().argmax(1).tolist(), mirrored.any(1).tolist()


def test_flip_mirrors_some_of_the_real_images_left_to_right(step_of):
    for flip, kinds in ((True, {False, True}), (False, {False})):
        step = step_of(pair(), flip=flip)
        step()
        assert {*found_in(step.sent[0].real, images().batch(torch.arange(40)))[1]} == kinds


class Draws(nn.Module):
    """Draws from torch's global state, as dropout does, and notes the number."""

    def __init__(self, noted):
        super().__init__()
        self.noted = noted

    def forward(self, logits):
        self.noted.append(float(torch.rand(())))
        return logits


def test_each_update_of_each_step_has_images_latents_and_random_numbers_of_its_own_by_the_seed(step_of):
    augmented, dropped, latents, chosen = [], [], [], []

    def draw(images, random=None):
        augmented.append(float(uniform(1, random=random, device=images.device)))
        return images

    with AUGMENTATIONS.temporarily("draw", draw):
        for seed in (0, 1):
            gan = pair()
            gan.discriminator.append(Draws(dropped))
            given = {"augmentations": ("draw",), "discriminator_steps": 2, "generator_steps": 2}
            step = step_of(gan, seed=seed, **given)
            step(), step()
            latents += [each.latents.flatten().tolist() for each in step.sent]
            first, second, _, third, fourth, _ = step.sent  # two of the discriminator, then a second of the generator
            real = torch.cat([each.real for each in (first, second, third, fourth)])
            chosen.append(found_in(real, images().batch(torch.arange(40)))[0])
    assert len(latents) == 12 and len(augmented) == len(dropped) == 24
    for drawn in (latents, augmented, dropped, chosen, *chosen):  # of an epoch, no image comes twice
        assert len({*map(str, drawn)}) == len(drawn)
