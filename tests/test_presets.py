"""Presets: sizes, variants, and one pinned image each."""

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.errors import BlockError, ConfigError, UnknownNameError


@pytest.mark.parametrize("name", ganzoo.PRESETS)
def test_every_preset_makes_a_pair_that_fits(name):
    gan = ganzoo.create(name, seed=0)
    labels = torch.zeros(2, dtype=torch.long) if gan.label_count else None
    images = gan.sample(2, seed=0)
    assert images.shape == (2, gan.image_channels, gan.image_size, gan.image_size)
    logits = gan.discriminator(images) if labels is None else gan.discriminator(images, labels)
    assert logits.shape[0] == 2
    assert gan.preset == name
    assert ganzoo.PRESETS[name].version >= 1


@pytest.mark.parametrize("name", ganzoo.PRESETS)
def test_equal_seeds_make_equal_weights_and_leave_the_global_state_alone(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeds all GPUs"))
    before = torch.get_rng_state()
    one, other = ganzoo.create(name, seed=3), ganzoo.create(name, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(one.generator.parameters(), other.generator.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["pokemon-64", "fashion-mnist", "fashion-mnist-conditional", "pokemon-64-d2l"])
@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_a_preset_scales_to_other_sizes(name, size):
    with torch.device("meta"):
        gan = ganzoo.create(name, image_size=size)
        assert gan.image_size == size
        assert gan.discriminator.image_size == size
        assert max(gan.config.generator.widths) <= 512


def test_a_seed_gives_the_same_weights_on_the_cpu_whatever_the_default_device_is():
    small = ("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)})
    with torch.device("meta"):
        made = ganzoo.create(*small, seed=0)
    known = ganzoo.create(*small, seed=0).generator.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in made.generator.state_dict().items())


def test_a_preset_that_sums_places_keeps_the_last_size_of_its_discriminator():
    with torch.device("meta"):
        same, larger = (ganzoo.create("cifar10-sngan", image_size=size) for size in (32, 64))
    assert same.config.discriminator == ganzoo.PRESETS["cifar10-sngan"].discriminator
    assert same.config.generator == ganzoo.PRESETS["cifar10-sngan"].generator
    assert larger.config.discriminator.widths == (128, 128, 256) and larger.config.discriminator.last_size == 8


def test_widths_of_one_s_own_move_the_start_size():
    gan = ganzoo.create("pokemon-64", image_size=128, generator={"widths": (256, 128, 64, 32)})
    assert (gan.config.generator.start_size, gan.image_size) == (8, 128)


def test_channels_and_classes_reach_both_networks():
    gan = ganzoo.create("fashion-mnist", generator={"image_channels": 3, "num_classes": 4})
    assert (gan.num_classes, gan.clusters) == (4, 64)
    assert (gan.discriminator.image_channels, gan.discriminator.num_classes) == (3, 4 * 64)
    gan = ganzoo.create("fashion-mnist", discriminator={"activation": "relu"})
    assert gan.config.discriminator.activation == "relu"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("pokemon-46",), UnknownNameError, 'Did you mean "pokemon-64"'),
        (("pokemon-64", 0), ConfigError, "image_size must be an int from 1"),
        (("pokemon-64", "64"), ConfigError, "image_size must be an int"),
        (("pokemon-64", np.int64(64)), ConfigError, "image_size must be an int"),
        (("pokemon-64", 2048), ConfigError, "image_size must be an int from 1 to 1024"),
        (("pokemon-64", 75), ConfigError, r"can't be halved down to a start; near it: 72, 80, 64$"),
        (("fashion-mnist", 29), ConfigError, r"near it: 28, 30, 26$"),
        (("fashion-mnist", 8), ConfigError, r"near it: 14, 16, 18$"),
        (("pokemon-64", None, {"width": 3}), ConfigError, 'generator.width is unknown. Did you mean "widths"'),
        (("pokemon-64", None, {"widths": [1, "x"]}), ConfigError, r'generator.widths\[1\] must be an int, got "x"'),
        (("pokemon-64", None, 3), ConfigError, "generator must be a mapping"),
        (("pokemon-64", None, None, {"slope": 2}), ConfigError, "discriminator.slope must be at least 0 and at most 1"),
        (("pokemon-64", None, None, None, "abc"), ConfigError, 'seed must be an int from 0 to .*, got "abc"'),
        (("pokemon-64", None, None, None, 2**63), ConfigError, "seed must be an int from 0 to"),
        (("pokemon-64", 100, {"widths": (8, 8, 8)}), ConfigError, "is not a multiple of 8"),
    ],
)
def test_a_wrong_variant_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        ganzoo.create(*arguments)


# A fresh generator's image of seed 0: changes whenever initialisation, layout or the drawing of latents does, and then
# every user's samples change, which is worth a line in the CHANGELOG.
PINNED = {  # name: mean and deviation over the pixels
    "pokemon-64": (-0.00014029, 0.00183532),
    "fashion-mnist": (0.00424134, 0.0126582),
    "fashion-mnist-quick": (0.000215704, 0.0019192),
    "fashion-mnist-conditional": (0.00393534, 0.0290424),
    "pokemon-64-d2l": (-0.000196424, 0.00533551),
    "fashion-mnist-d2l": (-0.000549534, 0.000545185),
    "cifar10-sngan": (-0.0146582, 0.497137),
    "cifar10-sngan-conditional": (0.0368018, 0.466796),
    "fashion-mnist-r3gan": (-0.0873628, 0.478633),
    "cifar10-r3gan": (0.00835912, 0.350813),
    "emoji-64": (-9.67053e-05, 0.00121493),
    "cifar10-32": (0.00205808, 0.0142821),
    "few-shot-64": (3.20101e-06, 5.06784e-05),
}


@pytest.mark.parametrize("name", ganzoo.PRESETS)
def test_a_seeded_sample_stays_what_it_is(name):
    image = ganzoo.create(name, seed=0).sample(1, seed=0)
    figures = float(image.mean()), float(image.std())
    assert figures == pytest.approx(PINNED[name], rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("place", ["generator", "discriminator"])
def test_a_block_that_breaks_its_contract_is_named_with_its_network(place):
    class Three(torch.nn.Module):
        scale_factor = 3

        def __init__(self, in_channels, out_channels):
            super().__init__()
            self.in_channels, self.out_channels = in_channels, out_channels

    with (
        ganzoo.BLOCKS.temporarily("three", Three),
        pytest.raises(BlockError, match=f'^{place}.block "three": Block Three must announce a scale_factor'),
    ):
        ganzoo.create("fashion-mnist", **{place: {"block": "three"}})
