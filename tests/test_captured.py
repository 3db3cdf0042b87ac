"""Steps as graphs: the same numbers as steps that run as they are, and a reason for each that can't be captured.

The CPU has no graphs; `recorded_graph` repeats what was called in their place.
"""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import AUGMENTATIONS, BLOCKS, LOSSES, PENALTIES
from ganzoo.losses import Loss
from ganzoo.training import Callback, captured
from ganzoo.training.runtime import Runtime
from recorded_graph import RecordedGraph
from tiny import Poison, log_of

SMALL = {
    "steps": 9, "batch_size": 8, "doctor_every": 4, "score_every": 0, "sample_every": 0, "report_every": 0,
    "log_every": 1, "progress": False, "precision": "float32", "seed": 0,
}  # fmt: skip


@pytest.fixture
def graphs(monkeypatch):
    """Runs capture their steps, as on CUDA."""
    monkeypatch.setattr(captured, "CudaGraph", RecordedGraph)
    monkeypatch.setattr(Runtime, "captures", True)
    monkeypatch.setattr("ganzoo.models.contract.check_range", lambda *_: None)  # labels on a device are not looked at
    RecordedGraph.captured = 0


def train(folder, classes=0, norm="none", block="dcgan-up", callbacks=(), images=24, **settings):
    """A tiny run; its last losses and weights."""
    gan = ganzoo.create(
        "fashion-mnist", 8, {"latent_size": 6, "widths": (8, 4), "block": block, "num_classes": classes},
        {"widths": (4, 8), "norm": norm, "num_classes": classes}, seed=0, clusters=0,
    )  # fmt: skip
    gan.preset = None
    generator = torch.Generator().manual_seed(0)
    data = torch.randint(0, 256, (images, 1, 8, 8), dtype=torch.uint8, generator=generator)
    given = (data, torch.arange(images) % classes) if classes else data
    ganzoo.Trainer(gan, given, folder, callbacks=list(callbacks), **{**SMALL, **settings}).fit()
    log = log_of(folder)
    return [entry for entry in log if "generator_loss" in entry], copy.deepcopy(gan)


def same(one, other):
    for entry, expected in zip(one[0], other[0], strict=True):
        assert entry == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for name in ("generator", "discriminator"):
        for key, value in getattr(one[1], name).state_dict().items():
            assert torch.allclose(value, getattr(other[1], name).state_dict()[key], rtol=1e-3, atol=1e-5), key


class Slope(Callback):
    """Changes an attribute of the discriminator in the middle of a run, and its weights in place."""

    def on_step(self, run):
        if run.step == 5:
            with torch.no_grad():
                next(run.gan.discriminator.parameters()).mul_(0.5)
            for module in run.gan.discriminator.modules():
                if isinstance(module, nn.LeakyReLU):
                    module.negative_slope = 0.5


METHODS = {
    "plain": {},
    "batch norm": {"norm": "batch"},
    "spectral norm": {"norm": "spectral"},
    "flips and schedules": {"flip": True, "generator_lr": "cosine(start=1e-3,warm_up=4)", "optimizer": "adamw"},
    "labels": {"classes": 3, "mismatched_labels": 0.3},
    "further updates": {"discriminator_steps": 2, "generator_steps": 2, "clip_gradients": 0.5},
    "one-stage": {"updates": "one-stage"},
    "last batches": {"keep_last_batch": True, "images": 20, "steps": 16},
    "schedules of beta2 and of a penalty": {
        "beta2": "cosine(start=0.9,end=0.99)",
        "penalties": ("r1(weight=linear(start=2,end=1))",),
        "steps": 14,
    },
    "lazy penalties": {"penalties": ("r1(weight=1,every=2)", "wgan-gp(weight=1)"), "steps": 12},
    "augmented penalties": {"augmentations": ("color", "translation"), "penalties": ("r1", "wgan-gp")},
    "bf16": {"precision": "bf16"},
    "a callback that changes a network": {"callbacks": [Slope()], "steps": 12},
    **{
        f"augmentation {name}": {"augmentations": (name,)}
        for name in sorted({*AUGMENTATIONS} - {"color", "translation"})
    },
    "ada that adapts": {"augmentations": ("ada(start=0.3,length=200)",), "steps": 12},
    **{f"loss {name}": {"loss": name} for name in ("relativistic", "d2l")},  # needs real logits; a sum
    "diversity": {"generator_penalties": ("diversity(weight=3,every=2)",), "steps": 12},
    **{f"penalty {name}": {"penalties": (name,)} for name in sorted({*PENALTIES} - {"r1", "wgan-gp"})},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_captured_step_computes_what_a_plain_one_does(name, tmp_path, graphs, monkeypatch):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training runs without a CUDA graph")
        by_graph = train(tmp_path / "graph", **METHODS[name])
    assert RecordedGraph.captured
    monkeypatch.setattr(Runtime, "captures", False)
    same(by_graph, train(tmp_path / "plain", **METHODS[name]))


def test_a_step_is_captured_anew_under_another_mode_of_torch(tmp_path, graphs):
    class Faster(Callback):
        def on_step(self, run):
            torch.backends.cudnn.benchmark = run.step >= 5

    with torch.backends.cudnn.flags(enabled=True):  # puts it back
        train(tmp_path / "run", callbacks=[Faster()])
    assert RecordedGraph.captured == 2


def test_draws_of_a_discriminator_s_own_loss_reach_it_among_those_of_augmentations(tmp_path, graphs, monkeypatch):
    def run(folder):
        images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        gan = ganzoo.create("few-shot-64", 16, seed=0)
        settings = {**SMALL, "steps": 5, "batch_size": 4}
        ganzoo.Trainer(gan, images, folder, settings=ganzoo.PRESETS["few-shot-64"].settings, **settings).fit()
        log = log_of(folder)
        return [entry for entry in log if "generator_loss" in entry], gan

    by_graph = run(tmp_path / "graph")
    assert RecordedGraph.captured
    monkeypatch.setattr(Runtime, "captures", False)
    same(by_graph, run(tmp_path / "plain"))


class Counting(nn.Module):
    """Counts its calls in an attribute."""

    calls = 0

    def forward(self, x):
        self.calls = self.calls + 1
        return torch.relu(x) * (1 + 1e-3 * self.calls)


def waiting_loss():
    """Looks at a number on the device, as a graph can't."""
    usual = LOSSES.make("hinge")

    def for_discriminator(real_logits, fake_logits):
        return usual.for_discriminator(real_logits, fake_logits) * (2.0 if real_logits.mean().item() > 0 else 1.0)

    return Loss(for_discriminator, usual.for_generator)


def own_noise(images, random=None):
    """Draws by torch's function, so that nobody can draw ahead."""
    return images + 0.1 * torch.randn(images.shape, generator=random).to(images.device)


class Hooked(Callback):
    """Watches a layer or a weight by a hook, which Python must call."""

    def __init__(self, kind):
        self.kind = kind

    def on_start(self, run):
        self.seen = 0
        network = run.gan.discriminator
        layers = [module for module in network.modules() if isinstance(module, nn.LeakyReLU)]
        watched = next(each for each in (*layers, *network.parameters()) if hasattr(each, self.kind))
        self.handle = getattr(watched, self.kind)(self.note)

    def note(self, *_):
        self.seen += 1

    def on_end(self, run):
        self.handle.remove()


class Steeper(Callback):
    """Changes an attribute of the discriminator after every step."""

    def on_step(self, run):
        for module in run.gan.discriminator.modules():
            if isinstance(module, nn.LeakyReLU):
                module.negative_slope += 0.01


def block_with(monkeypatch, layer, name):
    class Up(ganzoo.BLOCKS["dcgan-up"]):
        def __init__(self, in_channels, out_channels, **options):
            super().__init__(in_channels, out_channels, **options)
            self.activation = layer()

    monkeypatch.setitem(BLOCKS._items, name, Up)


class Coin(nn.Module):
    """Tosses a coin on the CPU, as stochastic depth and style mixing are often written."""

    def forward(self, x):
        return x * (1.0 if torch.rand(1).tolist()[0] < 0.5 else 0.1)


class Gain(nn.Module):
    """Scales by a tuple and by a tensor that is no buffer."""

    def __init__(self):
        super().__init__()
        self.gains, self.factor = (1.0, None), torch.tensor(1.0)

    def forward(self, x):
        return torch.relu(x) * self.gains[0] * self.factor


class Regain(Callback):
    """Replaces an attribute of the generator's `Gain` in the middle of a run."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def on_step(self, run):
        for module in run.gan.generator.modules():
            if run.step == 5 and isinstance(module, Gain):
                setattr(module, self.name, self.value)


@pytest.mark.parametrize("change", [("gains", (0.5, None)), ("factor", torch.tensor(0.5))], ids=["tuple", "tensor"])
def test_a_callback_that_replaces_a_tuple_or_a_tensor_of_a_module_is_followed(change, tmp_path, graphs, monkeypatch):
    block_with(monkeypatch, Gain, "gain-up")
    by_graph = train(tmp_path / "graph", block="gain-up", callbacks=[Regain(*change)])
    assert RecordedGraph.captured == 2
    monkeypatch.setattr(Runtime, "captures", False)
    same(by_graph, train(tmp_path / "plain", block="gain-up", callbacks=[Regain(*change)]))


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1).tolist()[0]])
def test_a_layer_that_draws_on_the_cpu_is_not_frozen(draw, tmp_path, graphs, monkeypatch):
    class Drawing(nn.Module):
        def forward(self, x):
            return x * draw()

    block_with(monkeypatch, Drawing, "drawing-up")
    with pytest.warns(UserWarning, match="random numbers are drawn on the CPU"):
        train(tmp_path / "run", block="drawing-up", steps=4)
    assert not RecordedGraph.captured


REASONS = {
    "a loss that waits": ({"loss": "waiting"}, r"it waits for the device \(custom.py, line 7\)"),
    "a block that counts": ({"block": "counting-up"}, "the generator.stages.0.activation changes attributes"),
    "a block that draws on the CPU": (
        {"block": "coin-up"}, "random numbers are drawn on the CPU, which a graph would not do; draw them on the device"
    ),
    "an augmentation that draws itself": ({"augmentations": ("own-noise",)}, "augment draws random numbers by itself"),
    **{
        f"a callback with {hook}": ({"callbacks": [Hooked(hook)]}, "the discriminator.* has hooks")
        for hook in (
            "register_forward_hook", "register_full_backward_pre_hook", "register_hook",
            "register_post_accumulate_grad_hook",
        )
    },
    "a callback that changes each step": (
        {"callbacks": [Steeper()], "steps": 12},
        "steps are of more than 8 kinds; they differ in attributes or memory of modules",
    ),
    "a beta2 that adamw is given anew": (
        {"beta2": "cosine(start=0.9,end=0.99)", "optimizer": "adamw"}, "a graph can't change beta2 of adamw"
    ),
    "path length": ({"generator_penalties": ("path-length",)}, r"generator_penalties\[0\] keeps numbers"),
    "another optimizer": ({"optimizer": "rmsprop"}, "a graph can't change the learning rate of rmsprop"),
    "parts of a batch": ({"accumulate": 2}, r"batches are computed in parts \(accumulate\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_captured_runs_as_it_is_and_says_why(name, tmp_path, graphs, monkeypatch):
    block_with(monkeypatch, Counting, "counting-up")
    block_with(monkeypatch, Coin, "coin-up")
    monkeypatch.setitem(LOSSES._items, "waiting", waiting_loss)
    monkeypatch.setitem(AUGMENTATIONS._items, "own-noise", own_noise)
    given, reason = REASONS[name]
    with pytest.warns(UserWarning, match=f"training runs without a CUDA graph, which is slower: .*{reason}") as said:
        fallen_back = train(tmp_path / "graph", **given)
    assert sum("CUDA graph" in str(each.message) for each in said) == 1
    monkeypatch.setattr(Runtime, "captures", False)
    same(fallen_back, train(tmp_path / "plain", **given))


def test_a_step_whose_capture_fails_is_made_once_as_it_is(tmp_path, graphs, monkeypatch):
    def failing(self, function):
        raise RuntimeError("operation not permitted when stream is capturing")

    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="not permitted when stream is capturing"):
        patched.setattr(RecordedGraph, "capture", failing)
        fallen_back = train(tmp_path / "graph")
    monkeypatch.setattr(Runtime, "captures", False)
    same(fallen_back, train(tmp_path / "plain"))


def test_a_run_with_graphs_goes_back_after_nan_and_goes_on_after_a_stop(tmp_path, graphs, monkeypatch):
    given = {"checkpoint_every": 4, "steps": 12}
    by_graph = train(tmp_path / "graph", callbacks=[Poison()], **given)
    seen = RecordedGraph.captured
    monkeypatch.setattr(Runtime, "captures", False)
    same(by_graph, train(tmp_path / "plain", callbacks=[Poison()], **given))
    assert seen == 2  # anew after the checkpoint was loaded
