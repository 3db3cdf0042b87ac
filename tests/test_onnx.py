"""ONNX files: onnxruntime computes from them what torch computes, for every bundled model and a batch of any size."""

from __future__ import annotations

import functools
import json
import sys

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, MissingExtraError, ModelError, WeightsError
from ganzoo.hub.push import push_folder
from ganzoo.hub.remote import pull
from ganzoo.integrations.onnx import export_onnx
from ganzoo.latents import sample_latents
from ganzoo.models import check_model
from ganzoo.models.onnx import fingerprint, run_onnx
from ganzoo.saving.resolve import bundled_models

onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'ganzoo-torch[onnx]'")


def small(seed=0, **options):
    return ganzoo.create(
        "fashion-mnist", image_size=8, seed=seed,
        generator={"latent_size": 4, "widths": (8, 4), **options}, discriminator={"widths": (4, 8), **options},
    )  # fmt: skip


def facts_of(path):
    file = onnx.load(path)
    return json.loads({each.key: each.value for each in file.metadata_props}["ganzoo"]), file


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small generator, its file, and what was said of it."""
    gan = small()
    return gan, export_onnx(gan, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The file of a bundled model, written once."""
    folder = tmp_path_factory.mktemp("bundled")
    return functools.cache(lambda name: export_onnx(ganzoo.from_pretrained(name), folder / f"{name}.onnx"))


@pytest.mark.parametrize("name", bundled_models())
def test_a_bundled_models_file_gives_the_images_of_sample_for_a_batch_of_any_size(name, bundled):
    gan, done = ganzoo.from_pretrained(name), bundled(name)
    for count in (1, 2, 7, 64):
        latents, labels = sample_latents(count, gan.latent_size, 5, num_classes=gan.num_classes)
        given = {"latents": latents} if labels is None else {"latents": latents, "labels": labels}
        images = run_onnx(done.path.read_bytes(), given)
        assert torch.allclose(images, gan.sample(count, seed=5), rtol=0, atol=1e-4)
        assert images.abs().max() <= 1
    assert done.difference < 1e-4 and done.bytes == done.path.stat().st_size


def test_the_file_states_its_opset_its_inputs_and_what_it_is(bundled):
    done = bundled("fashion-mnist-conditional")
    facts, file = facts_of(done.path)
    onnx.checker.check_model(file)
    assert [(each.domain, each.version) for each in file.opset_import] == [("", done.opset)] and done.opset == 18
    shapes = {
        each.name: [size.dim_param or size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in (*file.graph.input, *file.graph.output)
    }
    assert shapes == {"latents": ["batch", 100], "labels": ["batch"], "images": ["batch", 1, 28, 28]}
    assert done.inputs == {"latents": "float32 (N, 100)", "labels": "int64 (N,)"}
    assert done.output == {"images": "float32 (N, 1, 28, 28)"}
    assert facts["num_classes"] == 10 and facts["class_names"][9] == "Ankle boot" and facts["range"] == [-1, 1]
    assert (facts["image_size"], facts["image_channels"], facts["latent_size"]) == (28, 1, 100)
    assert (file.producer_name, file.producer_version) == ("ganzoo", ganzoo.__version__)


def test_equal_weights_give_equal_files_that_tell_nothing_of_this_machine(exported, tmp_path):
    gan, done = exported
    again = export_onnx(gan, tmp_path / "again.onnx").path.read_bytes()
    assert again == done.path.read_bytes()
    assert b"/src/ganzoo" not in again and b"site-packages" not in again


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 3},
        {"num_classes": 3, "block": "residual", "norm": "batch"},
        {"num_classes": 0, "block": "residual", "norm": "spectral"},
    ],
    ids=str,
)
def test_the_discriminators_file_gives_its_logits_and_the_generators_its_images(options, tmp_path):
    block = options.pop("block", "dcgan")
    configs = {name: ganzoo.MODELS[f"dcgan-{name}"].config_class for name in ("generator", "discriminator")}
    shared = {"image_channels": 1, "widths": (8, 8)}
    generator = configs["generator"](latent_size=4, block=f"{block}-up", start_size=2, **shared, **options)
    discriminator = configs["discriminator"](image_size=8, block=f"{block}-down", **shared, **options)
    gan = ganzoo.GAN(ganzoo.MODELS["dcgan-generator"](generator), ganzoo.MODELS["dcgan-discriminator"](discriminator))
    gan.discriminator(torch.randn(4, 1, 8, 8), *([torch.arange(4) % 3] if gan.num_classes else []))  # statistics move
    images, labels = gan.sample(7, seed=0), sample_latents(7, 4, 0, num_classes=gan.num_classes)[1]
    given = {"images": images} if labels is None else {"images": images, "labels": labels}
    done = export_onnx(gan, tmp_path / "d.onnx", network="discriminator")
    wanted = gan.discriminator.eval()(*given.values())
    assert torch.allclose(run_onnx(done.path.read_bytes(), given), wanted, atol=1e-4)
    assert facts_of(done.path)[0]["network"] == "discriminator"
    assert export_onnx(gan, tmp_path / "g.onnx").difference < 1e-4


class Deciding(ganzoo.MODELS["dcgan-generator"]):
    """Asks for a value of a tensor, and behaves otherwise."""

    def forward(self, latents, labels=None):
        return super().forward(latents, labels) * (1 if latents.mean().isnan() else 0.5)


def test_check_model_names_a_network_that_cannot_be_exported():
    config = Deciding.config_class(widths=(8,))
    with ganzoo.MODELS.temporarily("acme.deciding", Deciding):
        check_model("acme.deciding", config)
        with pytest.raises(ModelError, match="promise of ONNX: it can't be written as ONNX .*guard.* ask for"):
            check_model("acme.deciding", config, onnx=True)


def test_half_halves_the_file_and_takes_the_same_inputs(bundled, tmp_path):
    whole = bundled("fashion-mnist")
    half = export_onnx(ganzoo.from_pretrained("fashion-mnist"), tmp_path / "deep" / "half.onnx", half=True)
    assert half.bytes < 0.52 * whole.bytes and half.inputs == whole.inputs and half.output == whole.output
    assert whole.difference < half.difference < 0.02


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 64)

    def forward(self, z):
        return torch.tanh(self.layer(z)).view(len(z), 1, 8, 8)


class Noisy(Custom):
    def forward(self, z):
        return super().forward(z) * torch.rand(z.shape[0], 1, 1, 1)


def test_a_custom_module_is_exported_and_one_that_draws_noise_is_refused(tmp_path):
    assert export_onnx(ganzoo.GAN(Custom(), latent_size=8), tmp_path / "m.onnx").difference < 1e-5
    with pytest.raises(ModelError, match=r"the generator \(a Noisy\) .*nothing is written: does it draw noise\?"):
        export_onnx(ganzoo.GAN(Noisy(), latent_size=8), tmp_path / "noisy.onnx")
    assert not (tmp_path / "noisy.onnx").exists()


def test_the_command_writes_the_file_says_what_it_takes_and_replaces_none_unless_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save_pretrained("mine")
    assert run(["export", "./mine"]) == 0
    printed = capsys.readouterr()
    assert "MB in model.onnx (ONNX, opset 18)\n  input   latents  float32 (N, 4)\n  output  images" in printed.out
    assert "onnxruntime and torch differ by" in printed.out and not printed.err
    assert facts_of("model.onnx")[0]["network"] == "generator"
    assert run(["export", "./mine"]) == 2
    assert "model.onnx is there already; name another file, or replace it with --over" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is there already"):
        export_onnx(small(), "model.onnx")
    assert run(["export", "./mine", "--discriminator", "--overwrite"]) == 0
    assert facts_of("model.onnx")[0]["network"] == "discriminator"


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_package_that_is_missing_is_named_with_its_extra(package, exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'{package} .*pip install "ganzoo-torch\[onnx\]"'):
        export_onnx(exported[0], tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_a_discriminator_none_is_exported(tmp_path):
    with pytest.raises(ConfigError, match=r"no discriminator to export; load it: from_pre"):
        export_onnx(ganzoo.GAN(Custom(), latent_size=8), tmp_path / "d.onnx", network="discriminator")


def test_a_folder_is_refused_as_the_file(exported, tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder; name a file: .*model\.onnx"):
        export_onnx(exported[0], tmp_path)


def test_a_saved_model_takes_its_file_to_the_hub_if_it_is_of_the_same_weights(hub, exported, tmp_path):
    gan, done = exported
    folder = gan.save_pretrained(tmp_path / "mine")
    (folder / "model.onnx").write_bytes(done.path.read_bytes())
    options = {"token": "hf_owner", "endpoint": hub.endpoint}
    push_folder(folder, "owner/gan", **options)
    assert hub.files("owner/gan")["model.onnx"] == done.path.read_bytes()
    assert (pull("owner/gan", tmp_path / "pulled", **options) / "model.onnx").read_bytes() == done.path.read_bytes()

    small(seed=1).save_pretrained(folder)
    assert not (folder / "model.onnx").exists()  # it would be of other weights
    (folder / "model.onnx").write_bytes(done.path.read_bytes())
    with pytest.raises(WeightsError, match=r"model.onnx is not of the weights beside it; export it again"):
        push_folder(folder, "owner/gan", **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_generator_in_half_precision_is_exported_and_known_by_its_numbers(dtype, tmp_path):
    gan = ganzoo.create("fashion-mnist", 16, {"widths": (8, 4), "latent_size": 4}, seed=0, clusters=0)
    gan.generator.to(dtype)
    before = fingerprint(gan.generator)
    ganzoo.export_onnx(gan, tmp_path / "g.onnx")
    assert (tmp_path / "g.onnx").is_file()
    assert fingerprint(gan.generator) == before == fingerprint(gan.generator.float())
