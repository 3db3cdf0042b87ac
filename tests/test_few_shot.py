"""The few-shot family: skip-layer excitation, and a discriminator that also redraws what it sees."""

import pytest
import torch

import ganzoo
from ganzoo.blocks.few_shot import SkipExcitation
from ganzoo.errors import ConfigError, ShapeError
from ganzoo.models import (
    FewShotDiscriminator,
    FewShotDiscriminatorConfig,
    FewShotGenerator,
    FewShotGeneratorConfig,
)
from ganzoo.training.finetuning import load_matching_weights
from tiny import KillAt, log_of

SMALL = {"image_size": 16, "widths": (8, 16), "image_channels": 1}


def pair(**options):
    generator = FewShotGeneratorConfig(latent_size=6, widths=(16, 8, 8), skip=2, image_channels=1)
    return FewShotGenerator(generator), FewShotDiscriminator(FewShotDiscriminatorConfig(**SMALL, **options))


def test_early_features_weigh_the_channels_of_late_ones():
    generator, _ = pair()
    assert len(generator.excitations) == 1  # from 4x4 to 16x16
    generator.eval()
    latents = torch.randn(2, 6)
    before = generator(latents)
    with torch.no_grad():
        generator.excitations[0].weigh[3].bias.fill_(-100)  # a sigmoid of 0: the late features are switched off
    after = generator(latents)
    assert not torch.equal(before, after)
    assert torch.allclose(after, torch.tanh(generator.to_image.bias).view(1, -1, 1, 1).expand_as(after), atol=1e-6)


@pytest.mark.parametrize("norm", ["none", "spectral", "instance"])
def test_the_norm_reaches_every_layer(norm):
    from torch.nn.utils import parametrize

    networks = (
        FewShotGenerator(FewShotGeneratorConfig(latent_size=6, widths=(16, 8, 8), skip=2, norm=norm)),
        FewShotDiscriminator(FewShotDiscriminatorConfig(**SMALL, norm=norm)),
    )
    for network in networks:
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
        assert any(parametrize.is_parametrized(module) for module in network.modules()) == (norm == "spectral")
    head = networks[1].to_logits[0]
    assert (head.bias is None) == (norm == "instance")  # a norm would subtract it again


@pytest.mark.parametrize("small", [(2, 4, 2, 2), (2, 5, 4, 4), (1, 4, 4, 4), (4, 4, 4)])
def test_excitation_names_the_small_features_it_wants(small):
    excite = SkipExcitation(4, 8)
    assert excite(torch.ones(2, 8, 16, 16), torch.ones(2, 4, 4, 4)).shape == (2, 8, 16, 16)
    with pytest.raises(ShapeError, match=r"small features of shape \(2, 4, h, w\) with h and w 4 or more"):
        excite(torch.ones(2, 8, 16, 16), torch.ones(small))
    with pytest.raises(ShapeError, match=r"wants features of shape \(N, 8, H, W\)"):
        excite(torch.ones(2, 7, 16, 16), torch.ones(2, 4, 4, 4))
    with pytest.raises(ConfigError, match="channels must be an int of at least 1"):
        SkipExcitation(4, 0)


def test_without_skips_there_are_no_excitations():
    assert not FewShotGenerator(FewShotGeneratorConfig(latent_size=6, widths=(8, 8), skip=0)).excitations


def test_redrawing_is_a_loss_that_only_decoders_and_features_learn_from():
    _, discriminator = pair()
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    discriminator.auxiliary_loss(images).backward()
    reached = {name.split(".")[0] for name, value in discriminator.named_parameters() if value.grad is not None}
    assert reached == {"stages", "decoders"}


def test_redrawing_gets_better_by_training_it():
    torch.manual_seed(0)
    _, discriminator = pair()
    images = torch.rand(4, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3) * 2 - 1
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    losses = []
    for step in range(30):
        loss = discriminator.auxiliary_loss(images, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_the_window_that_is_redrawn_follows_from_the_generator_of_random_numbers():
    _, discriminator = pair()
    discriminator.eval()
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    losses = [
        float(discriminator.auxiliary_loss(images, torch.Generator().manual_seed(seed)).detach())
        for seed in (1, 1, 2, 3, 4)
    ]
    assert losses[0] == losses[1] and len(set(losses)) > 2


def test_a_run_adds_the_auxiliary_loss_to_the_discriminators(tmp_path):
    images = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8)
    settings = ganzoo.PRESETS["few-shot-64"].settings.replace(
        steps=2, batch_size=4, score_every=0, log_every=1, flip=False
    )
    penalties = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        folder = tmp_path / str(weight)
        gan = ganzoo.GAN(*pair(reconstruction=weight))
        ganzoo.Trainer(gan, images, folder, settings=settings, progress=False).fit()
        penalties[weight] = [line["penalty"] for line in log_of(folder)]
    assert penalties[0.0] == [0, 0]
    assert all(0.1 < each < 4 for each in penalties[1.0])
    assert ganzoo.from_pretrained(folder / "model").sample(2, seed=0).shape == (2, 1, 16, 16)


def test_a_run_with_ada_adapts_and_resumes_to_the_same_bytes(tmp_path):
    images = torch.randint(0, 256, (16, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    settings = ganzoo.PRESETS["few-shot-64"].settings.replace(
        steps=6, batch_size=4, score_every=0, log_every=1, checkpoint_every=2,
        augmentations=("color", "ada(target=-1,length=80,start=0.3)"),
    )  # fmt: skip

    def trainer(name, **more):
        torch.manual_seed(0)
        return ganzoo.Trainer(ganzoo.GAN(*pair()), images, tmp_path / name, settings=settings, progress=False, **more)

    trainer("whole").fit()
    with pytest.raises(KeyboardInterrupt):
        trainer("stopped", callbacks=[KillAt(5)]).fit()
    ganzoo.Trainer.resume(tmp_path / "stopped", images, callbacks=[KillAt(0)], progress=False).fit()
    assert [line["ada_p"] for line in log_of(tmp_path / "whole")] == pytest.approx([0.3] * 3 + [0.5] * 3)
    for name in ("log.jsonl", "model/model.safetensors", "model/discriminator/model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_sizes_follow_the_image():
    for size in (28, 32, 64, 128):
        generator = FewShotGeneratorConfig().resized(size)
        discriminator = FewShotDiscriminatorConfig().resized(size)
        assert generator.image_size == discriminator.image_size == size
        assert 7 <= discriminator.last_size <= 13


def test_the_networks_of_the_preset_are_each_other_s_counterparts():
    gan = ganzoo.create("few-shot-64", seed=0)
    assert gan.generator.counterpart().config == gan.discriminator.config
    assert gan.discriminator.counterpart().config == gan.generator.config


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        ("generator", ("to_image.", "stages.3.", "stages.4.", "excitations.1.")),
        ("discriminator", ("stages.0.", "stages.2.", "decoders.0.3.", "decoders.0.4.")),
    ],
)
def test_a_larger_network_keeps_the_stages_that_see_details(part, kept):
    torch.manual_seed(0)
    small = getattr(ganzoo.create("few-shot-64", seed=0), part)
    large = getattr(ganzoo.create("few-shot-64", image_size=128, seed=1), part)
    load_matching_weights(small, large)
    old, new = small.state_dict(), large.state_dict()
    for name in kept:
        moved = [value for key, value in new.items() if key.startswith(name) and value.dim() == 4]
        assert moved and all(any(torch.equal(value, each) for each in old.values()) for value in moved), name


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (FewShotGeneratorConfig, {"widths": ()}, "widths must have 1 to 12 items"),
        (FewShotGeneratorConfig, {"start_size": 3}, "start_size must be at least 4"),
        (FewShotGeneratorConfig, {"widths": (8,) * 10}, "1024 is the most"),
        (FewShotDiscriminatorConfig, {"widths": (8,)}, "widths must have 2 to 12 items"),
        (FewShotDiscriminatorConfig, {"image_size": 60, "widths": (8, 8, 8)}, "can't be halved 3 times"),
        (FewShotDiscriminatorConfig, {"image_size": 16, "widths": (8, 8, 8)}, "down to 4 pixels or more"),
    ],
)
def test_a_wrong_config_is_named(config, options, message):
    with pytest.raises(ConfigError, match=message):
        config(**options)


def test_wrong_shapes_are_named():
    generator, discriminator = pair()
    with pytest.raises(ShapeError, match=r"wants latents of shape \(N, 6\)"):
        generator(torch.randn(2, 5))
    with pytest.raises(ShapeError, match="wants images"):
        discriminator(torch.randn(2, 3, 16, 16))
    with pytest.raises(ConfigError, match="can't be halved twice"):
        FewShotDiscriminatorConfig().resized(75)
