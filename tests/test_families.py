"""Families of networks: one from outside works wherever ours do, and `check_model` catches what breaks the contract."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.blocks import ClassModulation
from ganzoo.cli import run
from ganzoo.config import Config
from ganzoo.data import ImageData, open_data
from ganzoo.errors import ConfigError, ModelError, PluginError, ShapeError, UnknownNameError
from ganzoo.explore import probe
from ganzoo.models import (
    MODELS,
    Discriminator,
    Generator,
    ProjectedDiscriminatorConfig,
    check_labels,
    check_model,
)
from ganzoo.presets import Preset
from ganzoo.registry import Origin
from ganzoo.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TinyGeneratorConfig(Config):
    latent_size: int = 4
    side: int = 8
    image_channels: int = 1
    num_classes: int = 0

    def resized(self, image_size):
        return self.replace(side=image_size)


class TinyGenerator(Generator):
    config_class: ClassVar = TinyGeneratorConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.latent_size, self.num_classes = config.latent_size, config.num_classes
        self.image_size, self.image_channels = config.side, config.image_channels
        self.linear = nn.Linear(config.latent_size, config.image_channels * config.side**2)
        self.modulation = ClassModulation(config.num_classes, config.image_channels) if config.num_classes else None

    def forward(self, latents, labels=None):
        check_labels(labels, len(latents), self.num_classes, "TinyGenerator")
        x = self.linear(latents).unflatten(1, (self.image_channels, self.image_size, self.image_size))
        return (x if labels is None else self.modulation(x, labels)).tanh()

    def first_layer(self):
        return self.linear.weight


@dataclass(frozen=True, kw_only=True)
class TinyDiscriminatorConfig(Config):
    image_size: int = 8
    image_channels: int = 1
    num_classes: int = 0

    def resized(self, image_size):
        return self.replace(image_size=image_size)


class TinyDiscriminator(Discriminator):
    config_class: ClassVar = TinyDiscriminatorConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.image_size, self.image_channels = config.image_size, config.image_channels
        self.num_classes = config.num_classes
        self.convolution = nn.Conv2d(config.image_channels, 4, 3, padding=1)
        self.modulation = ClassModulation(config.num_classes, 4) if config.num_classes else None
        self.linear = nn.Linear(4 * config.image_size**2, 1)

    def features(self, images):
        return [self.convolution(images)]

    def forward(self, images, labels=None):
        check_labels(labels, len(images), self.num_classes, "TinyDiscriminator")
        x = self.features(images)[-1]
        x = x if labels is None else self.modulation(x, labels)
        return self.linear(nn.functional.leaky_relu(x, 0.2).flatten(1))


TINY = Preset(
    version=1,
    description="tiny",
    generator=TinyGeneratorConfig(),
    discriminator=TinyDiscriminatorConfig(),
    data="fashion-mnist",
    settings=Settings(),
    generator_model="acme.generator",
    discriminator_model="acme.discriminator",
)


@pytest.fixture(autouse=True)
def _acme():
    with (
        MODELS.temporarily("acme.generator", TinyGenerator),
        MODELS.temporarily("acme.discriminator", TinyDiscriminator),
        ganzoo.PRESETS.temporarily("acme.preset", TINY),
    ):
        yield


class FixedGeneratorConfig(TinyGeneratorConfig):
    resized = Config.resized


class FixedGenerator(TinyGenerator):
    config_class: ClassVar = FixedGeneratorConfig


@pytest.mark.parametrize("size", [8, 32])
def test_another_family_is_created_at_the_size_it_is_asked_for(size):
    gan = ganzoo.create("acme.preset", image_size=size, generator={"num_classes": 2}, seed=0)
    assert gan.sample(2, seed=0).shape == (2, 1, size, size)
    assert (gan.discriminator.image_size, gan.discriminator.num_classes) == (size, 2)


def test_another_discriminator_follows_the_size_of_its_generator():
    assert ganzoo.create("acme.preset", generator={"side": 12}).discriminator.image_size == 12


def test_another_family_trains_at_a_size_and_is_fine_tuned_to_another(tmp_path, capsys):
    ganzoo.images.save_each([torch.rand(8, 1, 20, 20) * 2 - 1], tmp_path / "data")
    common = ["--data", str(tmp_path / "data"), "--steps", "1", "--set", "batch_size=4"]
    assert run(["train", "acme.preset", "--size", "16", "--output", str(tmp_path / "run"), *common]) == 0
    assert ganzoo.from_pretrained(tmp_path / "run").image_size == 16
    arguments = ["train", "--from", str(tmp_path / "run"), "--size", "32", "--output", str(tmp_path / "on"), *common]
    assert run(arguments) == 0
    assert "of 2 tensors kept; new: linear.weight (1024, 4) (was (256, 4))" in capsys.readouterr().err
    assert ganzoo.from_pretrained(tmp_path / "on", discriminator=True).discriminator.image_size == 32


def test_a_family_that_offers_no_size_is_refused_in_one_line(tmp_path, capsys):
    fixed = {**vars(TINY), "generator": FixedGeneratorConfig(), "generator_model": "acme.fixed"}
    with MODELS.temporarily("acme.fixed", FixedGenerator), ganzoo.PRESETS.temporarily("acme.other", Preset(**fixed)):
        assert run(["train", "acme.other", "--size", "16", "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and "image_size can't be changed: FixedGeneratorConfig does not offer it" in said


def test_a_size_that_the_options_given_rule_out_is_refused():
    with pytest.raises(ConfigError, match="image_size 128 was asked for, the generator's options make 64"):
        ganzoo.create("pokemon-64", 128, {"widths": (8, 8, 8, 8), "start_size": 4})


def test_a_projected_discriminator_takes_another_size_too():
    assert ProjectedDiscriminatorConfig().resized(96).image_size == 96
    with pytest.raises(ConfigError, match="multiple of 32"):
        ProjectedDiscriminatorConfig().resized(100)


def test_another_family_samples_fast_has_directions_and_can_be_probed():
    gan = ganzoo.create("acme.preset", seed=0)
    fast = gan.sample(3, seed=0, precision="fast")
    assert torch.allclose(fast, gan.sample(3, seed=0), atol=0.05)
    assert ganzoo.latents.directions(gan.generator.first_layer(), 2)[0].shape == (2, 4)
    sets = []
    for seed in (0, 1):
        random = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=random)
        sets.append(open_data((pixels, torch.arange(40) % 2)))
    found = probe(gan.discriminator, *(each for each in sets if isinstance(each, ImageData)), images=40)
    assert 0 <= found.untrained <= 1 and found.images == 40


def test_train_settings_lists_the_options_of_another_family(capsys):
    assert run(["train", "settings"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert " option of acme.generator default " in said and " generator.side 8 " in said
    assert " discriminator.backbone " in said and "r1(weight=1.0, every=1)" in said


def test_norms_and_activations_with_options_stand_in_a_saved_model_with_their_package(tmp_path, monkeypatch):
    changes = {"norm": "group(groups=2)", "activation": "acme.bent(by=0.3)", "widths": (8, 8)}

    def bent(by: float = 0.1) -> nn.Module:
        return nn.LeakyReLU(by)

    origin = Origin("acme-gan", "0.1")
    with ganzoo.ACTIVATIONS.temporarily("acme.bent", bent):
        monkeypatch.setitem(ganzoo.ACTIVATIONS._origins, "acme.bent", origin)
        gan = ganzoo.create("pokemon-64-d2l", generator={**changes, "start_size": 32}, seed=0)
        gan.save_pretrained(tmp_path / "model")
        again = ganzoo.from_pretrained(tmp_path / "model")
        assert torch.equal(again.sample(1, seed=0), gan.sample(1, seed=0))
        assert again.generator.stages[0].activation.negative_slope == 0.3
        assert again.generator.stages[0].norm.num_groups == 2
    monkeypatch.delitem(ganzoo.ACTIVATIONS._origins, "acme.bent", raising=False)
    with pytest.raises(PluginError, match=r'"acme.bent".*pip install acme-gan==0.1'):
        ganzoo.from_pretrained(tmp_path / "model")


def test_a_run_whose_norm_comes_from_a_package_goes_on_and_is_refused_without_it(tmp_path, monkeypatch):
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    with ganzoo.NORMS.temporarily("acme.plain", lambda channels: nn.BatchNorm2d(channels)):
        monkeypatch.setitem(ganzoo.NORMS._origins, "acme.plain", Origin("acme-gan", "0.1"))
        gan = ganzoo.GAN(
            *(MODELS[f"dcgan-{kind}"](MODELS[f"dcgan-{kind}"].config_class(**SMALL[f"dcgan-{kind}"], norm="acme.plain"))
              for kind in ("generator", "discriminator"))
        )  # fmt: skip
        ganzoo.Trainer(gan, images, tmp_path / "run", steps=1, batch_size=4, progress=False).fit()
        assert ganzoo.Trainer.resume(tmp_path / "run", images, progress=False).fit().finished
    monkeypatch.delitem(ganzoo.NORMS._origins, "acme.plain", raising=False)
    with pytest.raises(PluginError, match=r"acme-gan"):
        ganzoo.Trainer.resume(tmp_path / "run", images)


SMALL = {
    "dcgan-generator": {"latent_size": 6, "widths": (8, 8), "image_channels": 1},
    "dcgan-discriminator": {"image_size": 16, "widths": (8, 8), "image_channels": 1},
    "projected-discriminator": {"backbone": "test_efficientnet", "width": 8, "image_size": 32},
    "r3gan-generator": {"latent_size": 6, "widths": (16, 8), "blocks": 1, "image_channels": 1},
    "r3gan-discriminator": {"widths": (16, 8), "blocks": 1, "image_channels": 1},
    "few-shot-generator": {"latent_size": 6, "widths": (16, 8, 8), "skip": 2},
    "few-shot-discriminator": {"image_size": 16, "widths": (8, 16)},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_keeps_the_contract(name):
    check_model(name, MODELS[name].config_class(**SMALL.get(name, {})), onnx=True)


@pytest.mark.parametrize("name", ["dcgan-generator", "dcgan-discriminator"])
@pytest.mark.parametrize("norm", ["batch", "spectral"])
@pytest.mark.parametrize("block", ["residual", "dcgan"])
def test_the_families_other_forms_keep_the_contract(name, norm, block):
    block = f"{block}-{'up' if name.endswith('generator') else 'down'}"
    check_model(name, MODELS[name].config_class(**SMALL[name], num_classes=2, norm=norm, block=block))


@pytest.mark.parametrize("name", ["acme.generator", "acme.discriminator", "dcgan-generator"])
def test_a_model_without_a_config_is_checked_by_its_defaults_and_the_random_state_stays(name):
    before = torch.get_rng_state()
    check_model(name)
    assert torch.equal(before, torch.get_rng_state())


class NoFamily(nn.Module):
    config_class: ClassVar = TinyGeneratorConfig


class OtherConfig(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        self.config = TinyGeneratorConfig(latent_size=5)


class WantsMore(TinyGenerator):
    def __init__(self, config, more):
        super().__init__(config)


class SilentSize(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        self.image_channels = None

    def forward(self, latents, labels=None):
        raise AssertionError


class NoMeta(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        self.start = float(self.linear.weight.sum().item())


class ShapedByDevice(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        if self.linear.weight.is_meta:
            self.more = nn.Linear(1, 1)


class WrongShape(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents, labels)[:, :, 1:]


class TwoImages(TinyGenerator):
    def forward(self, latents, labels=None):
        image = super().forward(latents, labels)
        return image, image


class OutOfRange(TinyGenerator):
    def forward(self, latents, labels=None):
        return 3 * super().forward(latents, labels)


class InPlace(TinyGenerator):
    def forward(self, latents, labels=None):
        y = super().forward(latents, labels)
        if not latents.requires_grad and not torch.is_grad_enabled():
            latents.mul_(2)
        return y


class Float32Alone(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents, labels).float()


class OtherDevice(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents, labels) + torch.zeros(self.image_size, self.image_size, device="cpu")


class DeadParameter(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        self.dead = nn.Parameter(torch.ones(3))


class Detached(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents.detach(), labels)


class IgnoresLabels(TinyGenerator):
    def forward(self, latents, labels=None):
        check_labels(labels, len(latents), self.num_classes, "IgnoresLabels")
        y = super().forward(latents, labels)
        return y - y.detach() + super().forward(latents, None if labels is None else labels * 0).detach()


class LabelsOptional(TinyGenerator):
    def forward(self, latents, labels=None):
        if self.num_classes and labels is None:
            labels = torch.zeros(len(latents), dtype=torch.long)
        return super().forward(latents, labels)


class TakesAnyLabels(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents, labels if self.num_classes else None)


class Noisy(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents + torch.randn_like(latents), labels)


class LooksAtTheBatch(TinyGenerator):
    def forward(self, latents, labels=None):
        return super().forward(latents - latents.mean(0), labels)


class HiddenState(TinyGenerator):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("scale", torch.rand(1), persistent=False)

    def forward(self, latents, labels=None):
        return self.scale * super().forward(latents, labels)


class WrongResizedConfig(TinyGeneratorConfig):
    def resized(self, image_size):
        return self


class WrongResized(TinyGenerator):
    config_class: ClassVar = WrongResizedConfig


class WrongFirstLayer(TinyGenerator):
    def first_layer(self):
        return self.linear.bias


class OtherImages(TinyGenerator):
    def prepared_for_sampling(self):
        twin = super().prepared_for_sampling()
        twin.linear.bias.data += 1
        return twin


class PreparesItself(TinyGenerator):
    def prepared_for_sampling(self):
        copy = super().prepared_for_sampling()
        self.linear.weight.data += 0.1
        return copy


class OtherNames(TinyGenerator):
    def matching_weights(self, other):
        return {f"other.{key}": value for key, value in other.state_dict().items()}


class NoLogits(TinyDiscriminator):
    def forward(self, images, labels=None):
        return super().forward(images, labels).mean()


class NormsOverTheBatch(TinyDiscriminator):
    def forward(self, images, labels=None):
        y = super().forward(images, labels)
        return y - y.mean()


class OneLabelAlone(TinyDiscriminator):
    takes_other_labels = True


class ForgetsOtherLabels(TinyDiscriminator):
    takes_other_labels = True

    def forward(self, images, labels=None, other_labels=None):
        return super().forward(images, labels)


class FlatFeatures(TinyDiscriminator):
    def features(self, images):
        return [each.flatten(1) for each in super().features(images)]

    def forward(self, images, labels=None):
        self.features = lambda images: TinyDiscriminator.features(self, images)
        y = super().forward(images, labels)
        del self.features
        return y


BROKEN = [
    (NoFamily, "must inherit ganzoo.models.Generator or Discriminator"),
    (OtherConfig, "one config: its attribute `config` is not"),
    (WantsMore, "one config: its constructor"),
    (SilentSize, "announced sizes: image_channels must be an int, and is null"),
    (NoMeta, "the meta device: it can't be built"),
    (ShapedByDevice, "the meta device: built without memory"),
    (WrongShape, r"shape: 4 latents give \(4, 1, 7, 8\)"),
    (TwoImages, "one tensor: it gives .* not one tensor"),
    (OutOfRange, "range: its images must be finite and within"),
    (InPlace, "inputs left alone: it changes one in place"),
    (Float32Alone, "dtype: it gives torch.float32"),
    (OtherDevice, "device: "),
    (DeadParameter, "gradients: none reaches dead"),
    (Detached, "gradients: none reaches its input"),
    (IgnoresLabels, "labels: one input under two labels gives the same"),
    (LabelsOptional, "labels: it must raise ShapeError without labels"),
    (TakesAnyLabels, "labels: it must raise ShapeError with labels, though"),
    (Noisy, "no noise: two calls"),
    (LooksAtTheBatch, "batch independence: in eval mode a row"),
    (HiddenState, "state: a fresh network with its saved weights"),
    (WrongResized, r"resized: resized\(16\) makes a network for images of 8"),
    (WrongFirstLayer, r"first_layer: it must be \(outputs, 4\), and is \(64,\)"),
    (OtherImages, "prepared_for_sampling: the copy gives other images"),
    (PreparesItself, "prepared_for_sampling: it changes the network itself"),
    (OtherNames, "matching_weights: those of a network of the same config"),
    (NoLogits, r"shape: 4 images give \(\); logits must be \(4, ...\)"),
    (NormsOverTheBatch, "batch independence: in eval mode a row"),
    (OneLabelAlone, "takes_other_labels: .* positional arguments"),
    (ForgetsOtherLabels, "takes_other_labels: logits under other labels must follow"),
    (FlatFeatures, r"features: they must be tensors \(4, C, h, w\)"),
]


@pytest.mark.parametrize(("network", "message"), BROKEN, ids=[network.__name__ for network, _ in BROKEN])
def test_check_model_catches_a_network_that_breaks_one_promise(network, message):
    with MODELS.temporarily("acme.broken", network), pytest.raises(ModelError, match=message):
        check_model("acme.broken")


def test_check_model_names_an_unknown_model_and_a_config_of_another():
    with pytest.raises(UnknownNameError, match='Did you mean "acme.generator"'):
        check_model("acme.generatr")
    with pytest.raises(ModelError, match="is built from a TinyGeneratorConfig, and the config is a TinyDiscr"):
        check_model("acme.generator", TinyDiscriminatorConfig())


def test_what_is_not_offered_says_so():
    class Bare(Discriminator):
        def forward(self, images, labels=None):
            raise ShapeError

    with pytest.raises(ConfigError, match="a Bare does not offer features"):
        Bare().features(torch.zeros(1, 1, 8, 8))


def test_who_inherits_a_discriminator_and_takes_no_other_labels_is_called_twice():
    class Own(MODELS["dcgan-discriminator"]):
        def forward(self, images, labels=None):
            return super().forward(images, labels)

    class Same(MODELS["dcgan-discriminator"]):
        pass

    assert not Own.takes_other_labels and Same.takes_other_labels
