"""The R3GAN family: its start, its filter, and what a larger pair keeps of a smaller one."""

import math

import pytest
import torch

import ganzoo
from ganzoo.blocks import BLOCKS, GroupedResidual
from ganzoo.blocks.r3gan import GAIN
from ganzoo.errors import ConfigError, ShapeError
from ganzoo.models import (
    R3GANDiscriminator,
    R3GANDiscriminatorConfig,
    R3GANGenerator,
    R3GANGeneratorConfig,
)

TINY = {"widths": (16, 8, 8), "blocks": 1, "image_channels": 1}


def test_a_residual_block_starts_as_the_identity_and_its_first_layers_shrink_with_the_depth():
    x = torch.randn(2, 64, 4, 4)
    for depth in (1, 16):
        block = GroupedResidual(64, group_size=16, depth=depth)
        assert torch.equal(block(x), x)
        fan_in = 64
        assert float(block.widen.weight.detach().std()) * math.sqrt(fan_in) == pytest.approx(
            GAIN * depth**-0.25, rel=0.05
        )
        assert block.mix.groups == 2 * 64 // 16


@pytest.mark.parametrize(("name", "corner"), [("r3gan-up", (3 / 4) ** 2), ("r3gan-down", (7 / 8) ** 2)])
@torch.no_grad()
def test_the_filter_keeps_a_flat_image_flat_and_beyond_the_border_are_zeros(name, corner):
    y = BLOCKS[name](4, 4, blocks=1)(torch.ones(1, 4, 8, 8))
    assert torch.allclose(y[..., 1:-1, 1:-1], torch.ones(()))
    assert float(y[0, 0, 0, 0]) == pytest.approx(corner)


def test_the_discriminator_mirrors_the_generator():
    generator, discriminator = (
        R3GANGenerator(R3GANGeneratorConfig(**TINY)),
        R3GANDiscriminator(R3GANDiscriminatorConfig(**TINY)),
    )
    images = generator(torch.randn(3, 64))
    assert images.shape == (3, 1, 16, 16)
    assert [tuple(each.shape[1:]) for each in discriminator.features(images)] == [(8, 8, 8), (16, 4, 4), (16, 4, 4)]
    assert discriminator(images).shape == (3, 1)


def test_the_networks_of_a_preset_are_each_other_s_counterparts():
    gan = ganzoo.create("fashion-mnist-r3gan", seed=0, generator={"num_classes": 3})
    assert gan.generator.counterpart().config == gan.discriminator.config
    assert gan.discriminator.counterpart().config == gan.generator.config


@torch.no_grad()
def test_a_new_network_draws_images_of_ordinary_contrast():
    torch.manual_seed(0)
    images = R3GANGenerator(R3GANGeneratorConfig())(torch.randn(64, 64))
    assert 0.2 < float(images.std()) < 0.8


@pytest.mark.parametrize(
    ("network", "config"), [(R3GANGenerator, R3GANGeneratorConfig), (R3GANDiscriminator, R3GANDiscriminatorConfig)]
)
def test_a_larger_network_keeps_the_stages_that_see_details(network, config):
    small = network(config(**TINY))
    large = network(config(**TINY).resized(32))
    kept = large.matching_weights(small)
    own = large.state_dict()
    fitting = {key for key, value in kept.items() if key in own and own[key].shape == value.shape}
    last = {True: "stages.3.", False: "stages.0."}[network is R3GANGenerator]
    assert any(key.startswith(last) for key in fitting)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "widths must have 1 to 12 items"),
        ({"widths": (8,) * 12}, "1024 is the most"),
        ({"widths": (8192, 8192, 8192, 8192, 8192, 8192)}, "numbers for each image"),
        ({"start_size": 1}, "start_size must be at least 2"),
    ],
)
def test_a_wrong_config_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        R3GANGeneratorConfig(**options)
    with pytest.raises(ConfigError, match="can't be halved down"):
        R3GANGeneratorConfig().resized(67)
    with pytest.raises(ShapeError, match=r"wants latents of shape \(N, 64\)"):
        R3GANGenerator(R3GANGeneratorConfig(**TINY))(torch.randn(2, 3))


def test_it_trains_with_its_preset_by_class_and_goes_on_from_another_size(tmp_path):
    images = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8)
    settings = ganzoo.PRESETS["fashion-mnist-r3gan"].settings.replace(steps=2, batch_size=4, score_every=0)
    pair = (
        R3GANGenerator(R3GANGeneratorConfig(**TINY, num_classes=2)),
        R3GANDiscriminator(R3GANDiscriminatorConfig(**TINY, num_classes=2)),
    )
    gan = ganzoo.GAN(*pair)
    data = (images, torch.arange(8) % 2)
    result = ganzoo.Trainer(gan, data, tmp_path / "run", settings=settings, progress=False).fit()
    assert result.step == 2
    assert ganzoo.from_pretrained(result.model).sample(2, seed=0, labels=1).shape == (2, 1, 16, 16)


def test_loading_draws_no_random_number(tmp_path):
    generator = R3GANGenerator(R3GANGeneratorConfig(**TINY))
    ganzoo.GAN(generator).save_pretrained(tmp_path / "model")
    before = torch.get_rng_state()
    loaded = ganzoo.from_pretrained(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(loaded.generator.basis, generator.basis)


def test_the_presets_penalties_fall_as_published():
    settings = ganzoo.PRESETS["cifar10-r3gan"].settings
    assert settings.penalties == tuple(f"{name}(weight=cosine(start=0.05,end=0.005))" for name in ("r1", "r2"))
