"""A model of format 1, saved once and kept for ever: whatever ganzoo becomes, it loads and draws the same images.

`golden/format-1/model` was written by `save_pretrained` of version 0.1.0: a conditional pair of 8 pixels whose weights
were drawn from seed 1. `expected.json` holds `sample(2, seed=0)` and the discriminator's logits of it, to six digits.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.errors import ConfigError, UnknownNameError, WeightsError

GOLDEN = Path(__file__).parent / "golden" / "format-1"
FILES = ("config.json", "model.safetensors", "discriminator/config.json", "discriminator/model.safetensors")


@pytest.fixture
def expected():
    values = json.loads((GOLDEN / "expected.json").read_text())
    return torch.tensor(values["images"]).reshape(2, 1, 8, 8), torch.tensor(values["logits"])


@pytest.mark.parametrize("form", ["folder", "single file"])
def test_a_model_of_format_1_draws_what_it_drew(form, expected):
    source = GOLDEN / "model" if form == "folder" else GOLDEN / "model" / "model.safetensors"
    gan = ganzoo.from_pretrained(source)
    assert torch.allclose(gan.sample(2, seed=0), expected[0], rtol=0, atol=1e-5)
    assert (gan.latent_size, gan.image_size, gan.image_channels, gan.num_classes) == (4, 8, 1, 2)


def test_its_discriminator_judges_as_it_did(expected):
    gan = ganzoo.from_pretrained(GOLDEN / "model", discriminator=True)
    with torch.no_grad():
        logits = gan.discriminator(expected[0], torch.tensor([0, 1])).flatten()
    assert torch.allclose(logits, expected[1], rtol=0, atol=1e-5)
    assert (gan.class_names, gan.preset) == (("shirt", "shoe"), "fashion-mnist")


def test_its_configs_hold_every_field_by_name():
    """A field that is renamed or taken away would make old models unreadable: add a format instead."""
    gan = ganzoo.from_pretrained(GOLDEN / "model", discriminator=True)
    root = json.loads((GOLDEN / "model" / "config.json").read_text())
    judge = json.loads((GOLDEN / "model" / "discriminator" / "config.json").read_text())
    for saved, config in ((root["generator"], gan.config.generator), (judge, gan.config.discriminator)):
        assert saved["config"].items() <= config.to_dict().items()


def test_saving_it_again_changes_no_weight(tmp_path):
    gan = ganzoo.from_pretrained(GOLDEN / "model", discriminator=True)
    again = ganzoo.from_pretrained(gan.save_pretrained(tmp_path / "again"), discriminator=True)
    for name in ("generator", "discriminator"):
        old, new = getattr(gan, name).state_dict(), getattr(again, name).state_dict()
        assert old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in old)


@pytest.mark.parametrize("place", ["config.json", "discriminator/config.json", "header"])
def test_a_newer_format_says_how_to_upgrade(tmp_path, place):
    folder = tmp_path / "model"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(GOLDEN / "model" / name, folder / name)
    if place == "header":
        content = (folder / "model.safetensors").read_bytes()
        assert content.count(b'\\"format\\": 1') == 1
        (folder / "model.safetensors").write_bytes(content.replace(b'\\"format\\": 1', b'\\"format\\": 2'))
    else:
        values = json.loads((folder / place).read_text())
        (folder / place).write_text(json.dumps({**values, "format": 2}))
    with pytest.raises(WeightsError, match="has format 2; this version reads up to 1: pip install -U ganzoo-torch"):
        ganzoo.from_pretrained(folder, discriminator=True)


@pytest.mark.parametrize("saved_by", ["999.0", "0.0.1", None])
@pytest.mark.parametrize("what", ["an option", "a model"])
def test_what_a_newer_version_has_added_says_how_to_upgrade(tmp_path, what, saved_by):
    values = json.loads((GOLDEN / "model" / "config.json").read_text()) | {"library_version": saved_by}
    if what == "an option":
        values["generator"]["config"]["attention"] = True
    else:
        values["generator"]["model"] = "stylegan-generator"
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(
        (ConfigError, UnknownNameError), match="config.json: .*(attention|stylegan-generator)"
    ) as caught:
        ganzoo.from_pretrained(tmp_path)
    newer = f"(saved by ganzoo 999.0, this is {ganzoo.__version__}: pip install -U ganzoo-torch)"
    assert str(caught.value).endswith(newer) == (saved_by == "999.0")
