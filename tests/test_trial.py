"""The trial before a run: what can't be trained is refused before anything is written, and nothing is changed."""

import copy
import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

import ganzoo
from ganzoo.errors import ConfigError
from ganzoo.losses import Loss
from ganzoo.models import Discriminator
from ganzoo.runs.checkpoint import checkpoint_folder

QUIET = {
    "progress": False, "steps": 2, "batch_size": 4, "score_every": 0, "sample_every": 0, "report_every": 0,
    "precision": "float32",
}  # fmt: skip
DATA = torch.randint(0, 256, (10, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def draw(*more):
    return nn.Sequential(nn.Linear(6, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)), *more)


def judge(*more):
    return nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1), *more)


def train(folder, generator=None, discriminator=None, data=DATA, latent_size=6, gan=None, **changes):
    gan = gan or ganzoo.GAN(generator or draw(), discriminator or judge(), latent_size=latent_size)
    return ganzoo.Trainer(gan, data, folder / "run", **{**QUIET, **changes}).fit()


def refused(folder, words, **given):
    """Training is refused by a ConfigError with `words`, and nothing is written."""
    with pytest.raises(ConfigError) as caught:
        train(folder, **given)
    assert not (folder / "run").exists()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_logits_of_shape_n_train_and_the_doctor_looks_at_them(tmp_path):
    assert train(tmp_path, discriminator=judge(nn.Flatten(0)), doctor_every=1).finished


@pytest.mark.parametrize(
    "end, words",
    [
        (Call(lambda x: (x, x)), ["the discriminator returns a tuple", "return logits alone"]),
        (Call(lambda x: x.mean()), ["the discriminator gives () for 4 images", "keep the first axis"]),
        (Call(lambda x: x.long()), ["logits of type int64"]),
        (Call(lambda x: x.detach()), ["no gradient of the loss reaches the discriminator", "detach"]),
        (nn.Linear(5, 1), ["the discriminator fails on images of shape (4, 1, 8, 8)", "1 channels and 8 pixels"]),
    ],
)
def test_a_discriminator_that_can_t_be_trained_is_refused_before_the_first_step(tmp_path, end, words):
    refused(tmp_path, words, discriminator=judge(end))


@pytest.mark.parametrize(
    "generator, words",
    [
        (draw(Call(lambda x: [x])), ["the generator returns a list", "return images alone"]),
        (nn.Linear(6, 64), ["gives (1, 64)", "nn.Unflatten(1, (1, 8, 8))"]),
        (draw(nn.Upsample((8, 9))), ["1, 8, 9)", "pixels a side"]),
        (draw(Call(lambda x: x.detach())), ["no gradient of the loss reaches the generator"]),
        (nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Flatten(), draw()), None),
        (nn.ConvTranspose2d(6, 1, 8), ["fails on latents of shape (1, 6)", "latent_shape=(6, 1, 1)"]),
    ],
)
def test_a_generator_that_can_t_be_trained_is_refused_before_the_first_step(tmp_path, generator, words):
    if words is None:
        assert train(tmp_path, generator).finished
    else:
        refused(tmp_path, words, generator=generator)


def test_a_flat_generator_told_of_latents_with_sides_is_told_its_shape(tmp_path):
    gan = ganzoo.GAN(draw(), judge(), latent_shape=(6, 1, 1))
    refused(tmp_path, ["it takes latents of shape (N, 6)", "latent_shape=(6,)"], gan=gan)


def changed(network, change):
    change(network)
    return network


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda network: network.requires_grad_(False), ["has no weights to train: all", "requires_grad_(True)"]),
        (lambda network: network.double(), ["is float64", "call discriminator.float()"]),
        (lambda network: network.register_buffer("phase", torch.zeros(2, dtype=torch.complex64)), ["phase is complex"]),
        (lambda network: network.append(nn.LazyLinear(1)), ["has no shape yet", "call the discriminator once"]),
    ],
)
def test_weights_that_can_t_be_trained_or_kept_are_refused_before_the_first_step(tmp_path, change, words):
    refused(tmp_path, words, discriminator=changed(judge(), change))


@pytest.mark.parametrize(
    "settings", [{"batch_size": 1}, {"accumulate": 4}, {"batch_size": 3, "keep_last_batch": True}], ids=str
)
def test_batch_norm_over_one_value_is_refused_with_the_batch_that_is_too_small(tmp_path, settings):
    one = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 1))
    words = ["the smallest batch that comes is 1 image", "keep_last_batch=false", "discriminator.norm=layer"]
    refused(tmp_path, words, generator=nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8))),
            discriminator=one, **settings)  # fmt: skip


def test_batches_that_are_large_enough_train_with_that_batch_norm(tmp_path):
    one = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 1))
    assert train(tmp_path, discriminator=one, batch_size=4, keep_last_batch=True).finished


@pytest.mark.parametrize(
    "loss, words",
    [
        (
            Loss(lambda r, f: f - r, lambda f, _: -f),
            ["(for_discriminator) gives float32 (4, 1)", "one number"],
        ),
        (Loss(lambda r, f: 1.0, lambda f, _: -f.mean()), ["gives a float"]),
        (
            Loss(lambda r, f: f.mean() * float("nan"), lambda f, _: -f.mean()),
            ["gives NaN in the trial before the first step"],
        ),
        (Loss(lambda r, f: f.nothing(), lambda f, _: -f.mean()), ["loss mine (for_discriminator) fails: Attribute"]),
        (
            Loss(lambda r, f: f.mean(), lambda f, _: f.detach().mean()),
            ["no gradient of the loss reaches the generator"],
        ),
    ],
)
def test_a_loss_that_is_no_number_is_refused_before_the_first_step(tmp_path, loss, words):
    with ganzoo.LOSSES.temporarily("mine", lambda: loss):
        refused(tmp_path, words, loss="mine")


@pytest.mark.parametrize(
    "augment, words",
    [
        (lambda images, random=None: images[:1], ["augmentation mine makes float32 (1, 1, 8, 8)"]),
        (lambda images, random=None: images.double(), ["makes float64", "it must keep type and shape"]),
        (lambda images, random=None: images.mul_(0.5), ["changes its input in place"]),
        (lambda images: images, ["augmentation mine fails", "TypeError"]),
    ],
)
def test_an_augmentation_that_changes_the_batch_is_refused_before_the_first_step(tmp_path, augment, words):
    with ganzoo.AUGMENTATIONS.temporarily("mine", augment):
        refused(tmp_path, words, augmentations=("mine",))


def test_a_penalty_that_is_no_number_is_refused_before_the_first_step(tmp_path):
    with ganzoo.PENALTIES.temporarily("mine", lambda judge, real, fake, random=None: judge(real)):
        refused(tmp_path, ["penalty mine gives float32 (4, 1)"], penalties=("mine",))


def test_a_network_whose_state_can_t_be_saved_is_refused_before_the_first_step(tmp_path):
    class Odd(nn.Flatten):
        def get_extra_state(self):
            return {"seen": 3}

    refused(tmp_path, ["can't be saved and loaded again", "state_dict"], discriminator=judge(Odd()))


def test_a_registered_model_that_can_t_be_built_without_memory_is_refused_before_the_first_step(tmp_path):
    from ganzoo.config import Config

    class Reads(nn.Module):
        config_class = Config

        def __init__(self, config):
            super().__init__()
            self.config, self.layer = config, nn.Linear(64, 1)
            self.scale = self.layer.weight.mean().item()

        def forward(self, x):
            return self.layer(x.flatten(1))

    with ganzoo.MODELS.temporarily("reads", Reads):
        generator = ganzoo.create(
            "fashion-mnist", generator={"widths": (4,), "start_size": 4, "latent_size": 6}, clusters=0
        ).generator
        refused(tmp_path, ["can't be saved and loaded again"], generator=generator, discriminator=Reads(Config()))


def test_one_stage_updates_that_would_go_wrong_are_refused(tmp_path):
    words = ["updates=one-stage, loss hinge", "0 for some fakes", "or updates=alternating"]
    refused(tmp_path, words, loss="hinge", updates="one-stage")


def test_the_trial_changes_no_bit_and_no_mode(tmp_path):
    from ganzoo.data import open_data
    from ganzoo.settings import Settings
    from ganzoo.training.method import Method
    from ganzoo.training.runtime import Runtime
    from ganzoo.training.trial import Trial

    gan = ganzoo.GAN(draw().eval(), judge(nn.utils.spectral_norm(nn.Linear(1, 1)), nn.Dropout()), latent_size=6)
    networks = [gan.generator, gan.discriminator]
    before = copy.deepcopy([network.state_dict() for network in networks])
    buffers = [id(buffer) for network in networks for buffer in network.buffers()]
    modes = [module.training for network in networks for module in network.modules()]
    random = torch.get_rng_state()
    settings = Settings(
        batch_size=4, precision="float32", penalties=("r1",), augmentations=("color",), updates="one-stage"
    )
    trial = Trial(gan, open_data(DATA), [4, 2], settings, Runtime(settings), Method(settings))
    trial.steps()
    trial.saving()
    assert torch.equal(random, torch.get_rng_state())
    assert modes == [module.training for network in networks for module in network.modules()]
    assert buffers == [id(buffer) for network in networks for buffer in network.buffers()]
    for old, network in zip(before, networks):
        assert all(torch.equal(value, old[name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())


def test_samples_of_a_generator_without_an_end_are_cut_off_and_it_is_said():
    gan = ganzoo.GAN(nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8)), Call(lambda x: 9 * x)), latent_size=6)
    with pytest.warns(UserWarning, match="outside .* are cut off .* nn.Tanh"):
        images = gan.sample(4, seed=0)
    assert images.min() == -1 and images.max() == 1


@pytest.mark.parametrize("variable", ["GRADIENT_ACCUMULATION_STEPS=16", "DYNAMO_BACKEND=inductor"])
def test_accelerate_s_environment_does_not_reach_into_a_run_and_it_is_said(tmp_path, monkeypatch, variable):
    figures = []
    for name in ("plain", "launched"):
        torch.manual_seed(1)
        gan = ganzoo.GAN(draw(), judge(), latent_size=6)
        if name == "launched":
            key, value = variable.split("=")
            monkeypatch.setenv(f"ACCELERATE_{key}", value)
            with pytest.warns(UserWarning, match=f"ACCELERATE_{variable} has no effect on a run of ganzoo"):
                figures.append(train(tmp_path / name, gan=gan, optimizer="sgd").figures)
        else:
            figures.append(train(tmp_path / name, gan=gan, optimizer="sgd").figures)
    assert figures[0] == figures[1]


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "compile"])
def test_a_wrapped_network_trains_and_is_saved_under_its_own_names(tmp_path, wrap):
    gan = ganzoo.GAN(wrap(draw()), wrap(judge()), latent_size=6)
    assert train(tmp_path, gan=gan).finished
    again = ganzoo.GAN(draw(), judge(), latent_size=6).load_weights(tmp_path / "run" / "model")
    assert again.generator.state_dict().keys() == draw().state_dict().keys()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_weights_of_a_wrapped_network_are_loaded_without_its_prefix(tmp_path, prefix):
    from safetensors.torch import save_file

    weights = {f"{prefix}{name}": value.clone() for name, value in draw().state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    gan = ganzoo.GAN(draw(), latent_size=6).load_weights(tmp_path / "model.safetensors")
    assert all(torch.equal(value, weights[prefix + name]) for name, value in gan.generator.state_dict().items())


def labelled(names, count=3):
    """A data set of 8x8 pictures whose classes have `names`."""
    from ganzoo.data import open_data

    labels = torch.arange(count * len(names)) % len(names)
    images = torch.randint(0, 256, (len(labels), 1, 8, 8), dtype=torch.uint8)
    return dataclasses.replace(open_data((images, labels)), class_names=tuple(names))


@pytest.mark.parametrize(
    "old, new, kept, said",
    [
        (("cat", "dog"), ("apple", "zebra"), ("apple", "zebra"), '0 from "cat" to "apple", 1 from "dog" to "zebra"'),
        (("cat", "dog"), ("dog", "cat"), ("dog", "cat"), "the same in another order"),
        (("cat", "dog"), ("0", "1"), ("cat", "dog"), None),
        (("1", "0"), ("0", "1"), ("0", "1"), "the same in another order"),
        ((), ("apple", "zebra"), ("apple", "zebra"), None),
        (("0", "1"), ("apple", "zebra"), ("apple", "zebra"), None),
    ],
)
def test_a_model_that_is_trained_on_takes_the_data_s_names_and_it_is_said(old, new, kept, said):
    from ganzoo.training.classes import take_names

    gan = ganzoo.GAN(draw(), latent_size=6, num_classes=2, class_names=old)
    remark = take_names(labelled(new), gan)
    assert gan.class_names == kept
    assert said in remark if said else remark is None


def test_classes_of_other_names_are_refused_on_resume(tmp_path, monkeypatch):
    from ganzoo.errors import TrainingError
    from ganzoo.training import trainer

    small = {"widths": (4,), "start_size": 4, "latent_size": 6, "num_classes": 2}
    gan = ganzoo.create("fashion-mnist-conditional", generator=small, discriminator={"widths": (4,)})
    data = labelled(("cat", "dog"))
    monkeypatch.setattr(trainer, "open_data", lambda *_, **__: data)
    train(tmp_path, gan=gan)
    assert gan.class_names == ("cat", "dog")
    ganzoo.Trainer.resume(tmp_path / "run", data=data)
    data = dataclasses.replace(data, class_names=("dog", "cat"))
    with pytest.raises(TrainingError, match="names its classes .*dog.*cat.* was begun with .*cat.*dog"):
        ganzoo.Trainer.resume(tmp_path / "run", data=data)


def test_a_preset_that_is_not_installed_does_not_mean_default_settings(tmp_path):
    gan = ganzoo.GAN(draw(), judge(), latent_size=6, preset="acme.tiny")
    refused(tmp_path, ['preset "acme.tiny", which is not installed', "settings=Settings(...)"], gan=gan)


def test_plug_ins_of_a_run_are_recorded_and_another_version_or_a_missing_one_is_said_on_resume(tmp_path, capsys):
    import json

    from ganzoo.errors import PluginError
    from ganzoo.registry import Origin

    name, losses, run = "acme.mine", ganzoo.LOSSES, tmp_path / "run"
    with losses.temporarily(name, losses["hinge"]):
        losses._origins[name] = Origin("acme-gan", "1.2.0")
        try:
            torch.manual_seed(1)
            train(tmp_path, loss=name)
            used = {"kind": "loss", "name": name, "package": "acme-gan", "version": "1.2.0"}
            assert json.loads((run / "run.json").read_text())["plugins"] == [used]
            assert "loss acme.mine of acme-gan 1.2.0" in (run / "model" / "README.md").read_text()
            losses._origins[name] = Origin("acme-gan", "2.0")
            ganzoo.Trainer.resume(run, data=DATA, gan=ganzoo.GAN(draw(), judge(), latent_size=6))
            assert "of acme-gan 1.2.0, here it is of acme-gan 2.0" in capsys.readouterr().err
        finally:
            losses._origins.pop(name)
    with pytest.raises(PluginError, match='loss "acme.mine" of acme-gan 1.2.0, which is not installed here'):
        ganzoo.Trainer.resume(run, data=DATA, gan=ganzoo.GAN(draw(), judge(), latent_size=6))


@pytest.mark.parametrize("registry", ["LOSSES", "PENALTIES", "AUGMENTATIONS", "BLOCKS", "MODELS", "PRESETS"])
def test_a_plug_in_s_wrong_object_is_a_plugin_error(monkeypatch, registry):
    from types import SimpleNamespace

    from ganzoo.errors import PluginError

    package = SimpleNamespace(name="acme", version="1.0")
    entry = SimpleNamespace(name="acme.up", value="acme:Up", dist=package, load=lambda: {"not": "that"})
    monkeypatch.setattr("ganzoo.registry.entry_points", lambda group: [entry])
    monkeypatch.delenv("GANZOO_PLUGINS", raising=False)
    monkeypatch.setattr(getattr(ganzoo, registry), "_found", None)
    with pytest.raises(PluginError, match="of the package acme must be a.*and is .*tell its author"):
        getattr(ganzoo, registry)["acme.up"]
    monkeypatch.setattr(getattr(ganzoo, registry), "_found", None)


def test_training_on_starts_from_the_same_weights_from_python_and_from_the_command(tmp_path, capsys):
    from ganzoo.training.finetuning import continued

    small = {"widths": (4,), "start_size": 4, "latent_size": 6}
    gan = ganzoo.create("fashion-mnist", generator=small, discriminator={"widths": (4,)}, clusters=0)
    raw = copy.deepcopy(gan.generator)
    next(raw.parameters()).data.add_(1)
    gan.save_pretrained(tmp_path / "model", generator_raw=raw)
    loaded = ganzoo.from_pretrained(tmp_path / "model", discriminator=True)
    changed = ganzoo.from_pretrained(tmp_path / "model", discriminator=True)
    next(changed.generator.parameters()).data.zero_()
    for number, each in enumerate((loaded, changed)):
        ganzoo.Trainer(each, DATA, tmp_path / str(number), **QUIET)
    assert capsys.readouterr().err.count("before averaging") == 1
    going_on = continued(tmp_path / "model")[0]
    assert capsys.readouterr().err.count("before averaging") == 1
    for name, value in going_on.generator.state_dict().items():
        assert torch.equal(value, raw.state_dict()[name]) and torch.equal(value, loaded.generator.state_dict()[name])
    assert not next(changed.generator.parameters()).any()  # weights that were changed by hand are left alone


def test_a_run_of_custom_networks_is_told_the_python_line_that_goes_on(tmp_path, capsys):
    from ganzoo.runs.folder import resume_command, train_on_command

    train(tmp_path)
    run = tmp_path / "run"
    assert resume_command(run) == f"ganzoo.Trainer.resume({str(run)!r}, data=..., gan=...).fit()"
    assert train_on_command(run).startswith(f"ganzoo.Trainer(ganzoo.GAN(...).load_weights({str(run)!r})")
    ganzoo.Trainer.resume(run, data=DATA, gan=ganzoo.GAN(draw(), judge(), latent_size=6), progress=False).fit()
    assert "ganzoo train --" not in capsys.readouterr().err


def keeping(folder, generator, discriminator, steps=4):
    """A run of networks that are made by calls, and one that goes on at its second step: both must be equal.

    Returns:
        The tensors of the model.
    """
    settings = {"steps": steps, "checkpoint_every": 2, "doctor_every": 2, "ema_half_life": 4}
    whole, parts = (
        train(folder / name, gan=fresh_pair(generator, discriminator), **settings) for name in ("whole", "parts")
    )
    shutil.rmtree(checkpoint_folder(parts.run, steps))
    ganzoo.Trainer.resume(parts.run, DATA, gan=fresh_pair(generator, discriminator), progress=False).fit()
    for name in ("model/model.safetensors", "log.jsonl"):
        assert (parts.run / name).read_bytes() == (whole.run / name).read_bytes(), name
    newest = [load_file(checkpoint_folder(each.run, steps) / "tensors.safetensors") for each in (whole, parts)]
    assert newest[0].keys() == newest[1].keys()
    assert all(torch.equal(value, newest[1][name]) for name, value in newest[0].items())
    return newest[0]


def fresh_pair(generator, discriminator):
    torch.manual_seed(0)
    return ganzoo.GAN(generator(), discriminator(), latent_size=6)


class Keeping(nn.Module):
    """Keeps its last result, and puts a new buffer in the old one's place at every call in training."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("running_mean", torch.zeros(1))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.last = self.network(x)
        if self.training:
            self.running_mean = 0.9 * self.running_mean + 0.1 * self.last.detach().mean().reshape(1) + 1
            self.calls = self.calls + 1
        return self.last


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_networks_whose_weights_are_results_of_calls_train_and_resume(tmp_path, norm):
    def normed(make):
        return lambda: changed(make(), lambda network: norm(network[0]))

    assert "average/0.weight_g" in keeping(tmp_path, normed(draw), normed(judge)) or norm is nn.utils.spectral_norm


def test_a_network_that_keeps_results_and_replaces_buffers_trains_and_the_average_follows(tmp_path):
    saved = keeping(tmp_path, lambda: Keeping(draw()), judge)
    assert saved["average/calls"] == saved["generator/calls"] == 4
    assert 0 < saved["average/running_mean"] < saved["generator/running_mean"]


def test_parameters_that_are_whole_numbers_are_kept_as_they_are(tmp_path):
    def with_numbers(make):
        whole = nn.Parameter(torch.arange(3), requires_grad=False)
        return lambda: changed(make(), lambda network: network.register_parameter("n", whole))

    assert keeping(tmp_path, with_numbers(draw), with_numbers(judge))["average/n"].tolist() == [0, 1, 2]


def test_a_network_that_refuses_strong_noise_is_looked_at_all_the_same(tmp_path):
    def bounded(x):
        assert x.abs().max() < 50
        return x

    inside = nn.Sequential(Call(bounded), judge(), nn.Sigmoid())
    assert train(tmp_path, discriminator=inside, doctor_every=1).finished


def test_expanded_buffers_are_refused_where_they_are_saved_and_else_left_alone(tmp_path):
    def expand_user(persistent):
        row = torch.arange(3.0).expand(2, 3)
        return changed(draw(), lambda network: network.register_buffer("row", row, persistent=persistent))

    refused(tmp_path, ["the generator's row share memory", ".clone()"], generator=expand_user(True))
    assert train(tmp_path, expand_user(False)).finished


def test_networks_without_numbers_and_those_that_can_t_be_copied_are_refused(tmp_path):
    refused(tmp_path, ["device meta"], discriminator=judge().to("meta"))
    called = draw()
    called.results = [called(torch.zeros(4, 6))]
    refused(tmp_path, ["can't be copied", "keep no results"], generator=called)


def test_state_that_a_discriminator_keeps_beside_its_tensors_comes_back_on_resume(tmp_path):
    class Counting(Keeping):
        def get_extra_state(self):
            return torch.tensor(getattr(self, "count", 0))

        def set_extra_state(self, state):
            self.count = int(state)

        def forward(self, x):
            self.count = getattr(self, "count", 0) + 1
            return self.network(x)

    assert keeping(tmp_path, draw, lambda: Counting(judge()))["discriminator/_extra_state"] > 4


class Guesses(Discriminator):
    """Asks for `auxiliary(images)` in addition to its own loss."""

    def __init__(self, auxiliary):
        super().__init__()
        self.image_size, self.image_channels, self.num_classes, self.auxiliary = 8, 1, 0, auxiliary
        self.linear = nn.Linear(64, 1)

    def forward(self, images, labels=None):
        return self.linear(images.flatten(1))

    def auxiliary_loss(self, images, random=None):
        return self.auxiliary(self(images))


@pytest.mark.parametrize(
    "auxiliary, word",
    [
        (lambda logits: logits.square().squeeze(1), "gives float32 (4,); it must be one number"),
        (lambda logits: 1.0, "gives a float"),
        (lambda logits: logits.mean() * float("nan"), "gives NaN in the trial"),
        (lambda logits: logits.nothing(), "fails: AttributeError"),
    ],
)
def test_an_auxiliary_loss_that_is_no_number_is_refused_before_the_first_step(tmp_path, auxiliary, word):
    refused(tmp_path, ["the discriminator's auxiliary_loss", word], discriminator=Guesses(auxiliary))


@pytest.mark.parametrize("auxiliary", [lambda logits: logits.square().mean(), lambda logits: None])
def test_an_auxiliary_loss_that_is_a_number_or_none_trains(tmp_path, auxiliary):
    assert train(tmp_path, discriminator=Guesses(auxiliary)).finished


@pytest.mark.parametrize(
    "logits, loss",
    [
        (nn.Identity(), lambda r: binary_cross_entropy_with_logits(r, torch.ones(len(r), 1))),
        (nn.Unflatten(1, (1, 1, 1)), lambda r: softplus(-r).mean((1, 2, 3)).mean()),
    ],
)
def test_the_doctor_gives_a_loss_logits_of_the_network_s_own_shape(tmp_path, logits, loss):
    made = Loss(lambda r, f: loss(r) + loss(-f), lambda f, _: loss(f))
    with ganzoo.LOSSES.temporarily("mine", lambda: made):
        assert train(tmp_path, discriminator=judge(logits), loss="mine", doctor_every=1).finished
