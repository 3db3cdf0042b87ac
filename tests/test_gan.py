"""The pair: sampling, seeds, saving and loading."""

import copy
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import ganzoo
from ganzoo.blocks import ClassModulation, DCGANUp
from ganzoo.errors import ConfigError, PluginError, ShapeError, SourceError, WeightsError
from ganzoo.files import new_folder, remove_leftovers, write_file
from ganzoo.models.fast import FastCopy
from ganzoo.saving.resolve import bundled_models
from ganzoo.saving.weights import WeightsFile
from ganzoo.training.ema import AveragedGenerator
from ganzoo.training.finetuning import before_averaging

SMALL = {"start_size": 7, "widths": (8, 4)}


@pytest.fixture(params=[0, 3], ids=["plain", "conditional"])
def gan(request):
    changes = {**SMALL, "num_classes": request.param}
    gan = ganzoo.create("fashion-mnist", generator=changes, discriminator={"widths": (4, 8)}, seed=1)
    for module in gan.generator.modules():  # statistics and classes that are not the identity, as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.01, 0.1)
        if isinstance(module, ClassModulation):
            nn.init.normal_(module.shift.weight, std=0.1)
    return gan


@pytest.mark.parametrize("count", [1, 2, 3, 9, 16, 64])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_image_i_of_a_seed_depends_on_the_seed_and_i_alone(gan, count, batch_size):
    whole = gan.sample(64, seed=0)
    assert torch.allclose(gan.sample(count, seed=0, batch_size=batch_size), whole[:count], atol=1e-5)


def test_given_labels_and_latents_are_taken_in_their_order_in_any_number_of_batches(gan):
    given = {"latents": torch.randn(9, 100)}
    for options in (given, {**given, "labels": torch.arange(9) % 3}) if gan.num_classes else (given,):
        whole = gan.sample(seed=0, **options)
        assert torch.allclose(gan.sample(seed=0, batch_size=4, **options), whole, atol=1e-5)


def test_samples_have_the_promised_form(gan):
    images = gan.sample(5, seed=2)
    assert images.dtype == torch.float32 and images.shape == (5, 1, 28, 28)
    assert images.min() >= -1 and images.max() <= 1
    assert not images.requires_grad


def test_latents_that_are_given_may_be_overwritten_once_they_are_sampled(gan, monkeypatch):
    """A card reads pinned memory later than `sample` returns."""
    sent, latents = [], torch.randn(4, gan.latent_size)
    monkeypatch.setattr("ganzoo.gan.send", lambda tensor, device: sent.append(tensor) or tensor)
    gan.sample(latents=latents)
    assert sent and all(each.untyped_storage().data_ptr() != latents.untyped_storage().data_ptr() for each in sent)


def test_seeds_differ_and_no_seed_follows_torch_s(gan):
    assert not torch.equal(gan.sample(2, seed=0), gan.sample(2, seed=1))
    assert not torch.equal(gan.sample(2), gan.sample(2))
    torch.manual_seed(5)
    one = gan.sample(2)
    torch.manual_seed(5)
    assert torch.equal(one, gan.sample(2))


def test_sampling_with_a_seed_changes_nothing(gan):
    gan.generator.train()
    gan.generator.stages[0].eval()
    state, random = {k: v.clone() for k, v in gan.generator.state_dict().items()}, torch.get_rng_state()
    gan.sample(4, seed=0)
    assert gan.generator.training and not gan.generator.stages[0].training
    assert all(torch.equal(value, state[name]) for name, value in gan.generator.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_latents_of_one_s_own_in_both_shapes(gan):
    latents = torch.randn(3, 100)
    labels = torch.tensor([0, 1, 2]) if gan.num_classes else None
    flat = gan.sample(3, latents=latents, labels=labels)
    assert torch.equal(flat, gan.sample(latents=latents.reshape(3, 100, 1, 1), labels=labels))
    gan.generator.eval()
    with torch.no_grad():
        expected = gan.generator(latents, gan.network_labels(latents, labels))
    assert torch.allclose(flat, expected, atol=1e-6)


def test_labels_are_drawn_from_the_seed_or_given():
    gan = ganzoo.create("fashion-mnist-conditional", generator=SMALL, discriminator={"widths": (4, 8)}, seed=0)
    for modulation in gan.generator.modulations:
        torch.nn.init.normal_(modulation.shift.weight) if hasattr(modulation, "shift") else None
    from ganzoo.latents import sample_latents

    latents, labels = sample_latents(40, 100, 0, num_classes=10)
    assert torch.equal(gan.sample(40, seed=0), gan.sample(40, latents=latents, labels=labels))
    assert torch.equal(sample_latents(40, 100, 0)[0], latents)
    assert len(labels.unique()) > 5
    assert torch.equal(gan.sample(4, seed=0, labels=7), gan.sample(4, seed=0, labels=[7] * 4))
    assert not torch.equal(gan.sample(4, seed=0, labels=7), gan.sample(4, seed=0, labels=6))


def test_fast_sampling_is_nearly_the_same(gan):
    exact, fast = gan.sample(16, seed=0), gan.sample(16, seed=0, precision="fast")
    assert fast.dtype == torch.float32
    assert (exact - fast).abs().max() < 0.1
    assert (exact - fast).abs().mean() < 0.01


def test_fast_sampling_keeps_the_bias_of_the_last_layer():
    gan = ganzoo.create("pokemon-64", 16, {"widths": (8, 4), "latent_size": 4, "head_bias": True}, seed=0)
    with torch.no_grad():
        gan.generator.to_image.convolution.bias.copy_(torch.tensor([0.5, -0.5, 1.0]))
    assert (gan.sample(4, seed=0) - gan.sample(4, seed=0, precision="fast")).abs().max() < 0.02


class _Shifted(DCGANUp):
    """As DCGANUp, but for a step between its convolution and its norm."""

    def convolve(self, x):
        return super().convolve(x) + 1


class _Own(torch.nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) * 0.5 + 0.25


@pytest.mark.parametrize(
    "change",
    [
        {"block": "shifted", "norm": "batch"},
        {"block": "dcgan-up", "norm": "own"},
        {"block": "dcgan-up", "norm": "of-the-batch"},
    ],
)
def test_fast_sampling_is_nearly_the_same_with_parts_of_ones_own(change):
    with (
        ganzoo.BLOCKS.temporarily("shifted", _Shifted),
        ganzoo.NORMS.temporarily("own", lambda channels: _Own(channels)),
        ganzoo.NORMS.temporarily("of-the-batch", lambda channels: nn.BatchNorm2d(channels, track_running_stats=False)),
    ):
        gan = ganzoo.create("pokemon-64", 16, {"widths": (8, 4), "latent_size": 4, **change}, seed=0, clusters=0)
        with torch.no_grad():
            gan.generator.to_image.convolution.weight.mul_(20)  # so that images are not all grey
        exact = gan.sample(4, seed=0)
        assert exact.std() > 0.1
        assert (exact - gan.sample(4, seed=0, precision="fast")).abs().mean() < 0.01


@torch.no_grad()
def _in_place(gan):
    gan.generator.project.convolution.weight.mul_(1.5)


def _through_data(gan):
    gan.generator.project.convolution.weight.data.mul_(1.5)


def _one_number_through_data(gan):
    gan.generator.stages[0].convolution.weight.data[1, 1, 1, 1] += 0.5


def _statistics(gan):
    gan.generator.stages[0].norm.running_mean.data.add_(0.2)


def _load_state_dict(gan):
    gan.generator.load_state_dict({name: value * 1.5 for name, value in gan.generator.state_dict().items()})


def _training_step(gan):
    latents, labels = torch.randn(4, 100), torch.zeros(4, dtype=torch.long) if gan.num_classes else None
    gan.generator(latents, gan.network_labels(latents, labels)).mean().backward()
    torch.optim.SGD(gan.generator.parameters(), lr=100).step()


def _average(gan):
    average = AveragedGenerator(gan.generator, 0)
    follower, gan.generator = gan.generator, average.network
    gan.sample(2, seed=0, precision="fast")
    follower.project.convolution.weight.data.mul_(1.5)
    average.update(10, 10)


def _another_dtype(gan):
    gan.generator.to(torch.float64)


def _another_generator(gan):
    gan.generator = copy.deepcopy(gan.generator)
    _through_data(gan)


WRITES = [
    _in_place, _through_data, _one_number_through_data, _statistics, _load_state_dict, _training_step, _average,
    _another_dtype, _another_generator,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__.strip("_"))
def test_fast_sampling_sees_every_change_of_the_weights(gan, write):
    before = gan.sample(4, seed=0, precision="fast")
    write(gan)
    after = gan.sample(4, seed=0, precision="fast")
    assert (after - gan.sample(4, seed=0)).abs().max() < 0.1
    fresh = copy.deepcopy(gan)
    fresh._fast = FastCopy()
    assert torch.equal(after, fresh.sample(4, seed=0, precision="fast"))
    assert write is _another_dtype or not torch.equal(before, after)


def test_the_fast_copy_follows_its_generator_to_another_device(gan):
    kept = FastCopy()
    assert kept.of(gan.generator) is not gan.generator
    assert kept.of(gan.generator.to("meta")) is gan.generator  # which is not fast at bfloat16


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__.strip("_"))
def test_the_fast_copy_of_a_device_follows_the_weights(gan, write, monkeypatch):
    def sample():
        with torch.no_grad():
            return kept(gan.generator.eval())(*given).float()

    kept = FastCopy()._follower  # as on a GPU; tests/test_cuda.py samples on one
    given = [torch.randn(4, 100).bfloat16(), *([torch.arange(4)] if gan.label_count else [])]
    before, same = sample(), sample()
    assert torch.equal(before, same)
    write(gan)
    after = sample()
    with torch.no_grad():
        exact = gan.generator.eval()(given[0].to(gan.dtype), *given[1:]).float()
    assert torch.allclose(after, exact, atol=0.1)
    assert write is _another_dtype or not torch.equal(before, after)


def test_fast_sampling_prepares_its_copy_once(gan, monkeypatch):
    made = []
    prepare = type(gan.generator).prepared_for_sampling
    monkeypatch.setattr(type(gan.generator), "prepared_for_sampling", lambda self: made.append(1) or prepare(self))
    for seed in range(3):
        gan.sample(2, seed=seed, precision="fast")
    assert made == [1]
    again = pickle.loads(pickle.dumps(gan))
    assert torch.equal(again.sample(2, seed=0, precision="fast"), gan.sample(2, seed=0, precision="fast"))


def test_loading_draws_nothing_and_needs_no_compiler():
    code = (
        "import sys, torch, ganzoo; before = torch.get_rng_state()\n"
        f"for name in {[*bundled_models()]}:\n"
        "    ganzoo.from_pretrained(name).sample(1, seed=0)\n"
        "    assert torch.equal(before, torch.get_rng_state()), name\n"
        "    assert not {'torch._dynamo', 'sympy', 'torch._inductor'} & set(sys.modules), name"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_batches_hold_one_batch_at_a_time(gan):
    sizes = [len(batch) for batch in gan.batches(10, seed=0, batch_size=4)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ConfigError, "n must be an int of at least 1, got 0"),
        ({"n": -1}, ConfigError, "n must be an int of at least 1, got -1"),
        ({"n": "4"}, ConfigError, 'n must be an int of at least 1, got "4"'),
        ({}, ConfigError, "n must be an int of at least 1, got null"),
        ({"n": 2, "batch_size": 0}, ConfigError, "batch_size must be an int of at least 1, got 0"),
        ({"n": 2, "precision": "float16"}, ConfigError, "precision must be one of float32, fast, got"),
        ({"n": 2, "seed": 1.5}, ConfigError, "seed"),
        ({"n": 2, "seed": -1}, ConfigError, "seed"),
        ({"n": 2, "latents": torch.zeros(3, 100)}, ShapeError, r"\(2, 100\), got \(3, 100\)"),
        ({"n": 2, "latents": torch.zeros(2, 99)}, ShapeError, r"\(2, 100\), got \(2, 99\)"),
        ({"n": 2, "latents": [1.0]}, ShapeError, "latents must be a tensor"),
        ({"latents": [1.0]}, ShapeError, "latents must be a tensor"),
        ({"latents": torch.tensor(1.0)}, ShapeError, r"\(1, 100\), got \(\)"),
        ({"latents": torch.zeros(1, 100, dtype=torch.complex64)}, ShapeError, "latents must be a tensor"),
    ],
)
def test_wrong_arguments_of_sample_are_named(gan, arguments, error, message):
    with pytest.raises(error, match=message):
        gan.sample(**arguments)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (3, ConfigError, "labels must be 0 to 2, got 3"),
        ([0, 1, -1], ConfigError, "labels must be 0 to 2"),
        ([0, 1], ShapeError, "one int or 3 ints"),
        ([0.5, 1.0, 2.0], ShapeError, "one int or 3 ints"),
        ("boot", ShapeError, r'one int or 3 ints \(a name\'s is gan.label\(name\)\), got "boot"'),
        (["boot"] * 3, ShapeError, "one int or 3 ints"),
        ([[1], [1, 2]], ShapeError, "one int or 3 ints"),
        ([None, 1, 1], ShapeError, "one int or 3 ints"),
        ([True, False, True], ShapeError, "one int or 3 ints"),
    ],
)
def test_wrong_labels_are_named(labels, error, message):
    gan = ganzoo.create("fashion-mnist", generator={**SMALL, "num_classes": 3}, discriminator={"widths": (4, 8)})
    with pytest.raises(error, match=message):
        gan.sample(3, labels=labels)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_latents_of_any_type_of_number_give_the_images_of_float32(gan, dtype):
    latents = torch.arange(-3, 3).repeat(2, 17)[:, :100]
    assert torch.equal(gan.sample(seed=0, latents=latents.to(dtype)), gan.sample(seed=0, latents=latents.float()))


def test_a_generator_in_half_precision_draws():
    gan = ganzoo.create("fashion-mnist", generator=SMALL, seed=0)
    expected = gan.sample(2, seed=0)
    gan.generator.bfloat16()
    assert torch.allclose(gan.sample(2, seed=0), expected, atol=0.05)
    assert gan.sample(latents=torch.zeros(2, 100, dtype=torch.bfloat16)).dtype == torch.float32


def test_labels_follow_the_latents_to_their_device():
    """Meta tensors, which refuse to be mixed with others, stand for a device."""

    class Noting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))

        def forward(self, latents, labels):
            given.append((latents.device.type, labels.device.type))
            return torch.zeros(len(latents), 1, 4, 4)

    given = []
    gan = ganzoo.GAN(Noting(), latent_size=8, num_classes=3, clusters=4)
    assert gan.network_labels(torch.zeros(2, 8, device="meta"), torch.tensor([0, 2])).device.type == "meta"
    gan.sample(2, seed=0)
    gan.sample(latents=torch.zeros(2, 8, device="meta"), labels=[0, 2])
    assert given == [("meta", "meta")] * 2


def named(*names):
    module = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)), nn.Tanh())
    return ganzoo.GAN(module, latent_size=4, num_classes=3, class_names=names)


def test_a_label_is_a_name_before_it_is_a_name_in_other_case_or_a_number():
    assert [named("A", "a", "b").label(text) for text in ("A", "a", "B", "2")] == [0, 1, 2, 2]
    assert [named("1", "2", "0").label(text) for text in ("0", "1", "2")] == [2, 0, 1]
    assert [named("1", "2", "0").label(number) for number in range(3)] == [0, 1, 2]
    with pytest.raises(ConfigError, match='label "AB" is not a class'):
        named("Ab", "aB", "c").label("AB")


def test_a_negative_number_of_classes_is_refused():
    with pytest.raises(ConfigError, match="num_classes must be an int .*, got -1"):
        ganzoo.GAN(nn.Identity(), latent_size=4, num_classes=-1)


def test_names_are_of_all_classes_or_of_none(tmp_path):
    for names in (("bag",), ("bag", "boot", "coat", "hat")):
        with pytest.raises(ConfigError, match=f"a name for each of the 3 classes or none at all, got {len(names)}"):
            named(*names)
    folder = ganzoo.from_pretrained("fashion-mnist-conditional").save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "class_names": config["class_names"][:9]}))
    with pytest.warns(UserWarning, match="config.json: class_names has 9 names for 10 classes; none is used"):
        ganzoo.from_pretrained(folder)


def test_long_names_of_classes_make_no_long_message(tmp_path):
    gan = ganzoo.create("fashion-mnist-conditional", generator=SMALL, discriminator={"widths": (4, 8)})
    gan.class_names = tuple(f"{index}{'x' * 900}" for index in range(10))
    with pytest.raises(ConfigError, match='label "0x" is not a class') as caught:
        gan.label("0x")
    assert len(str(caught.value)) < 1200


def test_labels_for_a_plain_model_are_refused():
    with pytest.raises(ConfigError, match="has no classes; leave labels out"):
        ganzoo.create("fashion-mnist", generator=SMALL).sample(1, labels=0)


def test_a_size_of_latents_that_the_generator_does_not_take_is_refused(tmp_path):
    gan = ganzoo.create("fashion-mnist", generator={**SMALL, "latent_size": 12})
    for wrong in ({"latent_size": 8}, {"latent_size": 8, "latent_shape": (8, 1, 1)}):
        with pytest.raises(ConfigError, match="the generator takes 12 numbers, and latent_size is 8; leave it out"):
            ganzoo.GAN(gan.generator, clusters=gan.clusters, **wrong)
    assert ganzoo.GAN(gan.generator, latent_shape=(12, 1, 1), clusters=gan.clusters).sample(2).shape == (2, 1, 28, 28)
    config = gan.save_pretrained(tmp_path / "model") / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "latent_shape": [8]}))
    with pytest.raises(WeightsError, match=r"config.json: latent_shape is \[8\], the generator's latent_size 12"):
        ganzoo.from_pretrained(tmp_path / "model")


def test_anybody_s_modules_sample():
    generator = torch.nn.Sequential(torch.nn.ConvTranspose2d(8, 3, 4), torch.nn.Tanh())
    gan = ganzoo.GAN(generator, latent_shape=(8, 1, 1))
    assert gan.sample(5, seed=0).shape == (5, 3, 4, 4)
    assert (gan.image_size, gan.image_channels, gan.latent_size, gan.num_classes) == (4, 3, 8, 0)
    with pytest.raises(ConfigError, match="latent_size must be given"):
        ganzoo.GAN(generator)
    with pytest.raises(ConfigError, match="generator must be a torch.nn.Module"):
        ganzoo.GAN("dcgan")


def test_networks_that_do_not_fit_each_other_are_refused():
    small, large = ganzoo.create("fashion-mnist"), ganzoo.create("pokemon-64")
    with pytest.raises(ConfigError, match="differ in image_size: 28 against 64"):
        ganzoo.GAN(small.generator, large.discriminator)


def test_a_saved_pair_comes_back_equal(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "deep" / "model")
    again = ganzoo.from_pretrained(folder, discriminator=True)
    assert torch.equal(again.sample(6, seed=3), gan.sample(6, seed=3))
    for name, value in gan.discriminator.state_dict().items():
        assert torch.equal(again.discriminator.state_dict()[name], value)
    assert again.config == gan.config
    assert ganzoo.from_pretrained(folder).discriminator is None
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "discriminator", "model.safetensors"]


def test_saving_twice_writes_the_same_bytes(gan, tmp_path):
    files = ["config.json", "model.safetensors", "discriminator/config.json", "discriminator/model.safetensors"]
    one, other = gan.save_pretrained(tmp_path / "one"), gan.save_pretrained(tmp_path / "other")
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


def test_saved_files_can_be_read_by_whom_the_umask_allows(gan, tmp_path):
    before = os.umask(0o022)
    try:
        folder = gan.save_pretrained(tmp_path / "model")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


def test_a_single_weights_file_holds_its_config(gan, tmp_path):
    for modulation in gan.generator.modulations:  # so that labels and clusters count
        torch.nn.init.normal_(modulation.shift.weight)
    gan.save_pretrained(tmp_path / "model")
    shutil.copy(tmp_path / "model" / "model.safetensors", tmp_path / "alone.safetensors")
    assert torch.equal(ganzoo.from_pretrained(tmp_path / "alone.safetensors").sample(2, seed=0), gan.sample(2, seed=0))


def test_a_saved_model_loads_as_float32_on_the_cpu_whatever_torchs_defaults_are(gan, tmp_path, other_default):
    gan.save_pretrained(tmp_path / "model")
    with other_default():
        found = ganzoo.from_pretrained(tmp_path / "model")
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in found.generator.parameters())
    assert torch.equal(found.sample(2, seed=0), gan.sample(2, seed=0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_size_files_load_as_float32(gan, tmp_path, dtype):
    gan.save_pretrained(tmp_path / "half", dtype=dtype)
    gan.save_pretrained(tmp_path / "full")
    half = ganzoo.from_pretrained(tmp_path / "half")
    assert all(p.dtype == torch.float32 for p in half.generator.parameters())
    assert (half.sample(4, seed=0) - gan.sample(4, seed=0)).abs().max() < 0.1
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]


class Tied(nn.Module):
    """Two layers of one weight, and a third that looks at a part of it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("row", self.first.weight.detach()[1:2])

    def forward(self, latents):
        return (self.second(self.first(latents)) + self.row).reshape(-1, 1, 2, 2)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_tied_weights_are_saved_and_come_back_tied(tmp_path, dtype):
    gan = ganzoo.GAN(Tied(), latent_size=4)
    gan.save_pretrained(tmp_path / "model", dtype=dtype)
    again = ganzoo.GAN(Tied(), latent_size=4).load_weights(tmp_path / "model")
    assert torch.allclose(again.sample(3, seed=0), gan.sample(3, seed=0), atol=1e-2 if dtype == "float16" else 0)
    assert again.generator.second.weight is again.generator.first.weight


def test_saving_keeps_files_that_are_not_ours(gan, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "README.md").write_text("mine")
    gan.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "README.md").read_text() == "mine"
    assert (tmp_path / "model" / "config.json").exists()


@pytest.mark.parametrize("foreign", ["config.json", "model.safetensors", "discriminator/notes.txt", "samples/grid.png"])
def test_saving_replaces_nothing_that_is_not_of_a_model_of_ours(gan, tmp_path, foreign):
    path = tmp_path / "other" / foreign
    path.parent.mkdir(parents=True)
    path.write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(ConfigError, match=rf"other holds {foreign.removesuffix('/notes.txt')} of something else"):
        gan.save_pretrained(tmp_path / "other")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
    assert path.read_text() == '{"architectures": ["BertModel"]}'


def test_a_config_that_only_looks_like_ours_is_not_ours(gan, tmp_path):
    (tmp_path / "other" / "discriminator").mkdir(parents=True)
    (tmp_path / "other" / "config.json").write_text('{"format": "v2", "generator": "unet"}')
    with pytest.raises(ConfigError, match="of something else than a model of ganzoo"):
        gan.save_pretrained(tmp_path / "other")
    assert (tmp_path / "other" / "discriminator").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_saving_keeps_the_rights_of_what_it_replaces(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model")
    modes = {folder: 0o700, folder / "discriminator": 0o750, folder / "config.json": 0o600, folder / "notes": 0o640}
    (folder / "notes").write_text("mine")
    for path, mode in modes.items():
        path.chmod(mode)
    gan.save_pretrained(folder)
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes
    write_file(folder / "config.json", "{}")
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600


def spoil(gan, name, number):
    for key, value in gan.generator.state_dict().items():
        if key.endswith(name):
            value.fill_(number)


UNREADABLE = {
    "NaN": (lambda gan: spoil(gan, "weight", float("nan")), {}, "holds NaN or infinity"),
    "float16's range": (lambda gan: spoil(gan, "running_var", 7e4), {"dtype": "float16"}, 'try "float32"'),
    "a variance": (lambda gan: spoil(gan, "running_var", -1.0), {}, "holds a variance below 0"),
    "a long name": (lambda gan: setattr(gan, "class_names", ("x" * 1001,)), {}, "class_names must be a list"),
    "a code": (lambda gan: setattr(gan, "class_names", ("a\x1b[31m",)), {}, "class_names must be a list"),
    "five axes": (lambda gan: setattr(gan, "latent_shape", (8, 1, 1, 1, 1)), {}, "latent_shape must be a list of 1"),
    "another latent": (lambda gan: setattr(gan, "latent_shape", (8,)), {}, "latent_shape is [8], the generator's"),
    "other classes": (
        lambda gan: setattr(gan, "num_classes", 5),
        {},
        "num_classes is 5 and clusters 64, the generator's",
    ),
    "a megabyte": (lambda gan: setattr(gan, "class_names", tuple(["\u043f" * 900] * 300)), {}, "1000000 is the most"),
    "another layer": (lambda gan: gan.generator.add_module("new", torch.nn.Linear(2, 2)), {}, "new.weight is surplus"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_could_not_be_loaded_again_is_not_saved(gan, tmp_path, name):
    folder = gan.save_pretrained(tmp_path / "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    change, options, said = UNREADABLE[name]
    change(gan)
    with pytest.raises(WeightsError, match="model is not saved, since it could not be loaded: ") as caught:
        gan.save_pretrained(folder, **options)
    assert said in str(caught.value) and ".tmp" not in str(caught.value) and len(str(caught.value)) < 500
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


class Counting(ganzoo.models.Generator):
    """Takes a number out of a tensor when it is made, which has none where nothing is allocated."""

    config_class = ganzoo.models.DCGANGeneratorConfig

    def __init__(self, config):
        super().__init__()
        self.config, self.latent_size, self.num_classes = config, config.latent_size, 0
        self.image_size, self.image_channels = 2, 1
        self.scale = float(torch.ones(1).item())
        self.layer = torch.nn.Linear(config.latent_size, 4)

    def forward(self, latents, labels=None):
        return torch.tanh(self.layer(latents)).reshape(-1, 1, 2, 2)


def test_a_network_that_loading_could_not_make_is_not_saved(tmp_path):
    with ganzoo.MODELS.temporarily("counting", Counting):
        gan = ganzoo.GAN(Counting(Counting.config_class(latent_size=4)))
        with pytest.raises(WeightsError, match=r"a counting can't be made without memory .*as \.item\(\) does"):
            gan.save_pretrained(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_saving_draws_no_random_number(gan, tmp_path):
    state = torch.get_rng_state()
    gan.save_pretrained(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), state)


def test_saving_takes_the_pictures_of_the_model_before_and_no_others(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model", generator_raw=gan.generator)
    (folder / "samples" / "by hand").mkdir(parents=True)
    for name in ("grid.png", "losses.png", "mine.png", "by hand/grid.png"):
        (folder / "samples" / name).write_text(name)
    gan.save_pretrained(folder)
    left = {path.relative_to(folder).as_posix() for path in (folder / "samples").rglob("*.png")}
    assert left == {"samples/mine.png", "samples/by hand/grid.png"}
    assert not (folder / "generator_raw").exists()


def test_weights_come_from_a_file_or_are_missed(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model")
    classes = {"num_classes": gan.num_classes}
    other = ganzoo.create("fashion-mnist", generator={**SMALL, **classes}, discriminator={"widths": (4, 8)}, seed=9)
    judge = other.discriminator.state_dict()["stages.0.convolution.weight"].clone()
    assert torch.equal(other.load_weights(folder / "model.safetensors").sample(2, seed=0), gan.sample(2, seed=0))
    assert torch.equal(other.discriminator.state_dict()["stages.0.convolution.weight"], judge)
    (folder / "model.safetensors").unlink()
    with pytest.raises(SourceError, match="model.safetensors does not exist"):
        other.load_weights(folder)


def test_weights_of_a_network_with_another_config_are_refused_though_their_shapes_fit(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model")
    for change, said in (
        ({"activation": "gelu"}, 'activation "relu" there, "gelu" here'),
        ({"initialisation": "torch"}, ""),
    ):
        generator = type(gan.generator)(gan.generator.config.replace(change))
        other = ganzoo.GAN(generator, num_classes=gan.num_classes, clusters=gan.clusters)
        if said:
            with pytest.raises(WeightsError, match=f"holds weights of another network: {said}; build that one"):
                other.load_weights(folder)
        else:
            assert torch.equal(other.load_weights(folder).sample(2, seed=0), gan.sample(2, seed=0))


def test_custom_networks_train_on_from_the_generator_before_averaging(tmp_path):
    raw, gan = Tied(), ganzoo.GAN(Tied(), latent_size=4)
    gan.save_pretrained(tmp_path / "model", generator_raw=raw)
    again = ganzoo.GAN(Tied(), latent_size=4).load_weights(tmp_path / "model")
    before_averaging(again)
    assert all(torch.equal(value, raw.state_dict()[name]) for name, value in again.generator.state_dict().items())


def test_a_network_in_the_other_ones_place_is_refused(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model")
    with pytest.raises(WeightsError, match="holds a discriminator, no generator; name the folder of a whole model"):
        ganzoo.from_pretrained(folder / "discriminator" / "model.safetensors")
    with pytest.raises(WeightsError, match=f"holds one network of a model; name the model's folder: {folder}$"):
        ganzoo.from_pretrained(folder / "discriminator")
    root = json.loads((folder / "config.json").read_text())
    shutil.copy(folder / "model.safetensors", folder / "discriminator")
    (folder / "discriminator" / "config.json").write_text(json.dumps(root["generator"]))
    with pytest.raises(WeightsError, match="discriminator.* holds a generator, no discriminator"):
        ganzoo.from_pretrained(folder, discriminator=True)


def test_a_crash_while_saving_leaves_the_old_model(gan, tmp_path, monkeypatch):
    folder = gan.save_pretrained(tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()
    other = ganzoo.create("fashion-mnist", generator=SMALL, discriminator={"widths": (4, 8)}, seed=9)
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            if call == "replace":
                shutil.rmtree(folder)
            with pytest.raises(WeightsError, match="No space left on device"):
                other.save_pretrained(folder)
        assert [path.name for path in tmp_path.iterdir()] == (["model"] if call == "fsync" else [])
        if call == "fsync":
            assert (folder / "model.safetensors").read_bytes() == before


def test_sources_are_found_in_their_order(gan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gan.save_pretrained("fashion-mnist")
    gan.save_pretrained("own")
    (tmp_path / "run").mkdir()
    gan.save_pretrained("run/model")
    assert torch.equal(ganzoo.from_pretrained("./fashion-mnist").sample(1, seed=0), gan.sample(1, seed=0))
    assert torch.equal(ganzoo.from_pretrained("own").sample(1, seed=0), gan.sample(1, seed=0))
    assert torch.equal(ganzoo.from_pretrained("run").sample(1, seed=0), gan.sample(1, seed=0))
    assert not torch.equal(ganzoo.from_pretrained("fashion-mnist").sample(1, seed=0), gan.sample(1, seed=0))


def test_a_source_that_is_nowhere_names_all_that_was_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match='no bundled model, no folder here.*Did you mean "fashion-mnist"'):
        ganzoo.from_pretrained("fashion-mnits")
    with pytest.raises(SourceError, match="does not exist"):
        ganzoo.from_pretrained("./fashion-mnist")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no saved model.*it holds nothing"):
        ganzoo.from_pretrained("empty")


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_sample_offline(name):
    gan = ganzoo.from_pretrained(name)
    images = gan.sample(4, seed=0)
    assert images.shape == (4, gan.image_channels, gan.image_size, gan.image_size)
    assert images.std() > 0.1


@pytest.mark.parametrize("name", [name for name in bundled_models() if not ganzoo.PRESETS[name].baseline])
def test_the_discriminators_of_bundled_models_judge_their_samples(name):
    gan = ganzoo.from_pretrained(name, discriminator=True)
    images = gan.sample(4, seed=0)
    labels = torch.zeros(4, dtype=torch.long) if gan.label_count else None
    assert gan.discriminator.eval()(images, labels).isfinite().all()


def test_there_is_a_bundled_fashion_mnist():
    assert "fashion-mnist" in bundled_models()


def damage(folder, what):
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    tensors = {name: value.clone() for name, value in load_file(weights).items()}  # not views of the file
    first = next(iter(tensors))
    if what == "truncated":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif what == "pickle":
        torch.save(tensors, weights)
    elif what == "no weights":
        weights.unlink()
    elif what == "missing weight":
        save_file({k: v for k, v in tensors.items() if k != first}, weights)
    elif what == "surplus weight":
        save_file({**tensors, "extra": torch.zeros(1)}, weights)
    elif what == "misshapen weight":
        save_file({**tensors, first: torch.zeros(3)}, weights)
    elif what == "other config":
        config["generator"]["config"]["activation"] = "gelu"
    elif what == "newer format":
        config["format"] = 2
    elif what == "no format":
        del config["format"]
    elif what == "unknown key":
        config["generator"]["config"]["widht"] = 1
    elif what == "huge":
        config["generator"]["config"]["widths"] = [8192] * 8
    elif what == "latent shape":
        config["latent_shape"] = [5000]
    if what == "not json":
        (folder / "config.json").write_text("{")
    elif what == "doubled key":
        (folder / "config.json").write_text('{"format": 1, "format": 1}')
    else:
        (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "is not an intact safetensors file"),
        ("pickle", "is not an intact safetensors file"),
        ("no weights", "does not exist"),
        ("missing weight", "is missing"),
        ("surplus weight", "extra is surplus"),
        ("misshapen weight", r"has shape \(3,\)"),
        ("other config", "saved with another config"),
        ("newer format", "has format 2; this version reads up to 1"),
        ("no format", "is not a config of ganzoo"),
        ("unknown key", 'widht is unknown. Did you mean "widths"'),
        ("huge", "1024 is the most|another config|does not fit"),
        ("latent shape", r"latent_shape is \[5000\], the generator's latent_size 100"),
        ("not json", "is not valid JSON"),
        ("doubled key", "stands there twice"),
    ],
)
def test_a_damaged_model_is_refused_with_its_place(tmp_path, what, message):
    gan = ganzoo.create("fashion-mnist", generator=SMALL, discriminator={"widths": (4, 8)})
    folder = gan.save_pretrained(tmp_path / "model")
    damage(folder, what)
    with pytest.raises(ganzoo.GanzooError, match=message) as caught:
        ganzoo.from_pretrained(folder)
    assert str(folder) in str(caught.value)


def test_weights_of_too_many_bytes_are_refused_but_not_those_of_a_checkpoint(tmp_path, monkeypatch):
    path = ganzoo.create("fashion-mnist", generator=SMALL).save_pretrained(tmp_path / "model") / "model.safetensors"
    size = path.stat().st_size
    monkeypatch.setattr("ganzoo.saving.weights.LARGEST_WEIGHTS", size)
    assert WeightsFile.open(path).shapes
    monkeypatch.setattr("ganzoo.saving.weights.LARGEST_WEIGHTS", size - 1)
    with pytest.raises(WeightsError, match=f"has {size:,} bytes; {size - 1:,} is the most for weights"):
        WeightsFile.open(path)
    assert WeightsFile.open(path, own=1000).shapes


@pytest.mark.parametrize("package", ["requests", "acmegan", "evil", "not-acm-e"])
def test_a_config_cannot_make_us_name_any_package(gan, tmp_path, package):
    folder = gan.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["generator"]["config"]["block"] = "acme.up"
    plugin = {"kind": "block", "name": "acme.up", "package": package, "version": "6.6.6"}
    config["generator"]["plugins"] = [plugin, {**plugin, "name": f"{package}.x"}]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ganzoo.GanzooError, match='Unknown block "acme.up"') as caught:
        ganzoo.from_pretrained(folder)
    assert package not in str(caught.value) and "6.6.6" not in str(caught.value)
    plugin["package"] = "ganzoo-acme"
    config["generator"]["plugins"] = [plugin]
    (folder / "config.json").write_text(json.dumps(config))
    said = "made with ganzoo-acme==6.6.6, by somebody else: check it before you install"
    with pytest.raises(PluginError, match=said):
        ganzoo.from_pretrained(folder)


def test_a_model_without_classes_says_so_to_a_label():
    with pytest.raises(ConfigError, match='^label "3": <GAN fashion-mnist: .* has no classes; leave the label out$'):
        ganzoo.from_pretrained("fashion-mnist").label("3")


def test_a_label_of_5000_digits_is_no_class():
    with pytest.raises(ConfigError, match="is not a class of"):
        ganzoo.from_pretrained("fashion-mnist-conditional").label("9" * 5000)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer.*run `git lfs pull`"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, perhaps the error page of a download"),
        (b"PK\x03\x04" + bytes(50), "a zip file .*pickle of torch.save.*never opened here"),
    ],
)
def test_a_file_of_another_kind_under_our_name_is_called_what_it_is(gan, tmp_path, name, content, said):
    folder = gan.save_pretrained(tmp_path / "model")
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name} is not an? .*: it is {said}"):
        ganzoo.from_pretrained(folder)


def test_writing_aside_leaves_nothing_behind(tmp_path):
    write_file(tmp_path / "a" / "b.txt", "x")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a" / "c") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_link_to_a_folder_stays_and_the_folder_gets_the_model(gan, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "new").symlink_to("to-be-made")
    for name in ("link", "new"):
        gan.save_pretrained(tmp_path / name)
        gan.save_pretrained(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        ganzoo.from_pretrained(tmp_path / name)
    assert (tmp_path / "real" / "config.json").is_file() and not (tmp_path / "real").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "real", "to-be-made"]


@pytest.mark.parametrize("folder", [".", "..", "../inside"])
def test_the_working_directory_is_never_replaced(gan, tmp_path, monkeypatch, folder):
    inside = gan.save_pretrained(tmp_path / "outside" / "inside")
    monkeypatch.chdir(inside)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    with pytest.raises(ConfigError, match="this process works in it; name another folder"):
        gan.save_pretrained(folder)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before
    gan.save_pretrained("one-in-it")


def test_leftovers_are_removed_and_what_links_lead_to_is_kept(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / ".folder.1.tmp").mkdir()
    (tmp_path / ".file.2.tmp").touch()
    (tmp_path / ".link.3.tmp").symlink_to("kept")
    (tmp_path / ".dangling.4.tmp").symlink_to("nowhere")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_state_dict_of_something_else_than_tensors_is_said(tmp_path):
    class Stated(nn.Linear):
        def get_extra_state(self):
            return {"counted": 3}

    gan = ganzoo.create("fashion-mnist", generator=SMALL, seed=1)
    gan.generator.more = Stated(2, 2)
    with pytest.raises(WeightsError, match='"more._extra_state" of the state_dict is'):
        gan.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_weights_of_the_same_network_in_other_words_are_loaded_and_a_refusal_changes_nothing(tmp_path):
    config = {"activation": "leaky_relu", "widths": (8, 4)}
    ganzoo.create("fashion-mnist", generator=config, seed=0).save_pretrained(tmp_path / "model")
    other = ganzoo.create("fashion-mnist", generator={**config, "activation": "leaky_relu(slope=0.2)"}, seed=1)
    other.discriminator = None
    other.load_weights(tmp_path / "model")
    gan = ganzoo.create("fashion-mnist", generator=config, discriminator={"activation": "relu"}, seed=1)
    before = {name: value.clone() for name, value in gan.generator.state_dict().items()}
    with pytest.raises(WeightsError, match='activation "leaky_relu" there, "relu" here'):
        gan.load_weights(tmp_path / "model")
    assert all(torch.equal(value, before[name]) for name, value in gan.generator.state_dict().items())
