"""Discriminators in timm's registry, by what timm asks of a model; timm's backbones in ours, refused before a run."""

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from timm.data import resolve_model_data_config

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError
from ganzoo.evaluation.features import _make
from ganzoo.integrations.timm import ARCHITECTURES, register
from ganzoo.saving.resolve import bundled_models

register()
TAGGED = {f"{name}.{model}": model for name, tags in ARCHITECTURES.items() for model in tags}  # timm's names with tags
NAMES = tuple(TAGGED)


def images(model, count=2):
    return torch.rand(count, *model.pretrained_cfg["input_size"]) * 2 - 1


def test_a_second_registration_changes_nothing(recwarn):
    assert register() == tuple(ARCHITECTURES) and not recwarn.list
    assert timm.list_models("ganzoo*") == sorted(ARCHITECTURES)
    assert timm.list_models("ganzoo*", pretrained=True) == sorted(NAMES)


def test_every_bundled_discriminator_has_a_name_and_those_of_one_name_are_alike():
    with_one = {name for name, folder in bundled_models().items() if (folder / "discriminator").is_dir()}
    assert set(TAGGED.values()) == with_one and len(NAMES) == len(with_one)
    assert timm.create_model("ganzoo_dcgan_disc_64").pretrained_cfg["tag"] == "pokemon-64"
    for tags in ARCHITECTURES.values():
        assert len({config.replace(num_classes=0) for config in tags.values()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_pretrained_model_holds_the_bundled_discriminator_and_sees_what_it_saw(name):
    model = timm.create_model(name, pretrained=True).eval()
    discriminator = ganzoo.from_pretrained(TAGGED[name], discriminator=True).discriminator.eval()
    x = images(model)
    assert torch.equal(model.forward_features(x), discriminator.final_norm(discriminator.features(x)[-1]))
    assert model.num_classes == 0 and model(x).shape == (2, model.num_features)
    wanted = resolve_model_data_config(model)
    assert wanted["mean"] == wanted["std"] == (0.5,) * discriminator.image_channels  # bytes to [-1, 1]
    assert wanted["input_size"][1:] == (discriminator.image_size,) * 2
    card = ModelCard.load(bundled_models()[TAGGED[name]] / "README.md")
    assert model.pretrained_cfg["license"] == card.data.license
    held = load_file(model.pretrained_cfg["file"])
    assert all(torch.equal(value, held[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_keeps_timms_contract(name):
    model = timm.create_model(name, num_classes=10).eval()
    cfg, x = model.pretrained_cfg, images(model)
    assert {f"{cfg['first_conv']}.weight", f"{cfg['classifier']}.weight"} <= model.state_dict().keys()
    features = model.forward_features(x)
    assert tuple(features.shape) == (2, model.num_features, *cfg["pool_size"])
    assert model(x).shape == (2, 10) and model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
    assert torch.equal(model(x), model.forward_head(features))
    assert model.get_classifier() is model.head.fc and model.head_hidden_size == model.num_features
    model.reset_classifier(3)
    assert model(x).shape == (2, 3) and model.num_classes == 3
    model.reset_classifier(0)
    assert model(x).shape == (2, model.num_features)
    model.reset_classifier(0, "")
    assert model(x).shape == features.shape
    assert timm.create_model(name, num_classes=0, global_pool="").eval()(x).shape == features.shape
    assert all(key.startswith(("stages", "final_norm")) or "head" in key for key in model.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_a_model_gets_a_gradient(name):
    model = timm.create_model(name, num_classes=10)
    model(images(model)).square().mean().backward()
    missed = [key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not missed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("indices", [None, (0, -1)])
def test_its_feature_maps_are_as_it_announces(name, indices):
    options = {} if indices is None else {"out_indices": indices}
    model = timm.create_model(name, pretrained=True, features_only=True, **options).eval()
    whole = timm.create_model(name, pretrained=True).eval()
    x = images(whole)
    maps = model(x)
    assert [each.shape[1] for each in maps] == model.feature_info.channels()
    assert [x.shape[-1] // each.shape[-1] for each in maps] == model.feature_info.reduction()
    assert torch.equal(whole.final_norm(maps[-1]), whole.forward_features(x))


@pytest.mark.parametrize("name", NAMES)
def test_a_pretrained_model_takes_other_channels_and_sizes(name):
    channels = 4 - timm.create_model(name).pretrained_cfg["input_size"][0]
    model = timm.create_model(name, pretrained=True, in_chans=channels, num_classes=2).eval()
    assert model(torch.randn(2, channels, 96, 64)).shape == (2, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_be_exported(name):
    model = timm.create_model(name, pretrained=True, num_classes=10).eval()
    x = images(model)
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), model(x), atol=1e-5)


# --- timm's networks in ours ----------------------------------------------------------------------------------------

REFUSED = {
    "swin_tiny_patch4_window7_224": "can't take images of 64x64",
    "coat_tiny": "can't take images of 64x64",
    "maxvit_tiny_rw_224": "can't take images of 64x64",
    "vit_tiny_patch16_224": "has levels of scale",
    "levit_128s": "gives no levels of features",
    "focalnet_nothing": "timm has no model",
}


@pytest.mark.parametrize("backbone", REFUSED)
def test_a_backbone_that_can_not_serve_is_refused_with_the_reason_before_a_run(backbone, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ganzoo.models.ProjectedDiscriminatorConfig(backbone="test_resnet", width=8)
    generator = ganzoo.create("pokemon-64", generator={"widths": (8, 8, 8, 8)}, clusters=0).generator
    ganzoo.GAN(generator, ganzoo.models.ProjectedDiscriminator(config)).save_pretrained("projected")
    options = ["--data", "fashion-mnist-mini", "--set", f"discriminator.backbone={backbone}", "--output", "runs/no"]
    assert run(["train", "--from", "./projected", *options]) == 2
    said = capsys.readouterr().err
    assert REFUSED[backbone] in said and backbone in said and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto", "pvt_v2_b0", "regnetx_002"])
def test_other_backbones_serve_by_name(backbone):
    config = ganzoo.models.ProjectedDiscriminatorConfig(backbone=backbone, width=8, image_size=64)
    discriminator = ganzoo.models.ProjectedDiscriminator(config)
    assert len(discriminator(torch.zeros(2, 3, 64, 64))) == 2


def test_features_that_are_no_row_of_numbers_are_refused():
    with pytest.raises(ConfigError, match="gives .* for an image, not one row of features"):
        _make("maps", torch.nn.Conv2d(3, 2, 1), 8, 3, "bilinear")
