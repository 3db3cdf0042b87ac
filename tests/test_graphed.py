"""Sampling by graphs: the same images as without, whatever changes, and a reason where there can't be a graph.

The CPU has no graphs; `recorded_graph` repeats what was called in their place.
"""

import copy
import gc
import pickle
import random
import threading
import warnings
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import MODELS, PRESETS
from ganzoo.models import DCGANGenerator, fast, graphed
from recorded_graph import RecordedGraph, RepeatedGraph
from tiny import log_of


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    """Sampling takes graphs, as on CUDA."""
    monkeypatch.setattr(graphed, "CudaGraph", RepeatedGraph)
    monkeypatch.setattr(graphed, "captures", lambda device: True)
    monkeypatch.setattr("ganzoo.models.contract.check_range", lambda *_: None)  # labels on a device are not looked at
    monkeypatch.setattr(
        nn.functional, "one_hot", lambda labels, count: labels[:, None] == torch.arange(count)
    )  # nor here
    RecordedGraph.captured = 0


@pytest.fixture
def plain(monkeypatch):
    """Images of a GAN without a graph."""

    def sample(gan, *given, **options):
        with monkeypatch.context() as patched:
            patched.setattr(graphed, "captures", lambda device: False)
            return gan.sample(*given, **options)

    return sample


def small(classes=0, clusters=0):
    gan = ganzoo.create(
        "fashion-mnist", 8, {"latent_size": 6, "widths": (8, 4), "num_classes": classes},
        {"widths": (4, 8), "num_classes": classes}, seed=0, clusters=clusters,
    )  # fmt: skip
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.mul_(20 if weight.dim() > 1 else 1)  # fresh networks give images that are nearly even
    return gan


def sample_often(gan, times=3, n=2, **options):
    """What the last of several calls gives: the first runs as it is, the second is captured, later ones repeat it."""
    for _ in range(times):
        made = gan.sample(n, seed=5, **options)
    return made


@pytest.mark.parametrize("name", PRESETS)
def test_a_graph_draws_what_the_generator_of_a_preset_does(name, plain):
    widths = {"r3gan-generator": (8, 8, 4), "few-shot-generator": (8, 8, 4, 4)}
    given = widths.get(PRESETS[name].generator_model, (8, 4))
    gan = ganzoo.GAN(MODELS[PRESETS[name].generator_model](PRESETS[name].generator.replace(widths=given)), clusters=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(4):
            assert torch.allclose(gan.sample(2, seed=seed), plain(gan, 2, seed=seed), atol=1e-6)
    assert RecordedGraph.captured == 1


@pytest.mark.parametrize("classes, clusters", [(3, 0), (0, 4), (3, 2)])
@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_a_graph_takes_labels(classes, clusters, precision, plain):
    gan = small(classes, clusters)
    for seed in range(4):
        for options in ({}, {"labels": seed % 3}) if classes else ({},):
            made = gan.sample(5, seed=seed, precision=precision, **options)
            assert torch.allclose(made, plain(gan, 5, seed=seed, **options), atol=1e-6)
    assert RecordedGraph.captured == 1


def test_earlier_images_are_not_overwritten():
    gan = small()
    images = [gan.sample(2, seed=seed) for seed in (0, 0, 1, 2, 0)]
    assert torch.equal(images[0], images[1]) and torch.equal(images[1], images[4])
    assert not torch.equal(images[2], images[3]) and not torch.equal(images[2], images[0])
    assert not images[4].requires_grad


@torch.no_grad()
def _in_place(gan):
    next(gan.generator.parameters()).mul_(1.5)


def _through_data(gan):
    next(gan.generator.parameters()).data.mul_(1.5)


def _other_memory(gan):
    weight = next(gan.generator.parameters())
    weight.data = weight.data * 1.5


def _statistics(gan):
    next(gan.generator.buffers()).add_(0.2)


def _load_state_dict(gan):
    gan.generator.load_state_dict({name: value * 1.5 for name, value in gan.generator.state_dict().items()})


def _training_step(gan):
    gan.generator(torch.randn(4, 6)).mean().backward()
    torch.optim.SGD(gan.generator.parameters(), lr=100).step()


def _another_dtype(gan):
    gan.to("cpu").generator.double()


def _another_generator(gan):
    gan.generator = copy.deepcopy(gan.generator)
    _in_place(gan)


def _an_attribute(gan):
    gan.generator.project.norm.eps = 0.5


def _another_layer(gan):
    gan.generator.project.norm = nn.Identity()


WRITES = [
    _in_place, _through_data, _other_memory, _statistics, _load_state_dict, _training_step, _another_dtype,
    _another_generator, _an_attribute, _another_layer,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__.strip("_"))
def test_a_graph_sees_every_change_of_its_generator(write, plain):
    gan = small()
    before = sample_often(gan)
    write(gan)
    for _ in range(3):
        after = gan.sample(2, seed=5)
        assert torch.allclose(after, plain(gan, 2, seed=5), atol=1e-6)
    assert write is _another_dtype or (after - before).abs().max() > 1e-4


def test_what_graphs_and_the_fast_copy_hold_of_a_device_is_freed_when_it_is_left(monkeypatch):
    gan = small()
    sample_often(gan)
    sample_often(gan, precision="fast")
    kept = [weakref.ref(each) for each in (gan._graphs, gan._fast)]
    assert all(each() is not None for each in kept) and gan.to("cpu")._graphs is kept[0]()  # where it is already
    monkeypatch.setattr("ganzoo.gan.checked_device", torch.device)  # or meta, which stands for a device, is refused
    gan.to("meta")
    gc.collect()
    assert [each() for each in kept] == [None, None]


@pytest.mark.parametrize("name", ["deterministic", "benchmark", "allow_tf32"])
def test_a_graph_is_not_repeated_under_another_mode_of_cudnn(name, monkeypatch):
    """They choose how a convolution is computed."""
    gan = small()
    sample_often(gan, precision="fast")
    before = RecordedGraph.captured
    monkeypatch.setattr(torch.backends.cudnn, name, not getattr(torch.backends.cudnn, name))
    sample_often(gan, precision="fast")
    assert RecordedGraph.captured == before + 1


def test_a_last_batch_that_fits_a_graph_is_not_drawn_with_the_copy_s_old_weights(monkeypatch, plain):
    """The batches before it are too large for one, so the fast copy draws them all."""
    monkeypatch.setattr(graphed, "MOST_PIXELS", 4 * 8 * 8)

    @torch.no_grad()
    def copy_in_bfloat16(self, generator):  # what a device that is fast at it gets
        return partial(fast._call_narrow, self._follower(generator))

    monkeypatch.setattr(fast.FastCopy, "of", copy_in_bfloat16)
    gan = small()
    for _ in range(2):
        gan.sample(10, seed=1, batch_size=8, precision="fast")
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.mul_(-0.5)
    assert torch.allclose(gan.sample(2, seed=5, precision="fast"), plain(gan, 2, seed=5), atol=1e-2)


def test_scores_and_grids_of_a_run_repeat_their_graphs_and_follow_the_average(tmp_path, monkeypatch):
    def run(folder):
        gan = small()
        gan.preset = None
        images = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        settings = {"steps": 8, "batch_size": 8, "score_every": 2, "sample_every": 2, "keep": "last", "log_every": 8}
        settings |= {"doctor_every": 0, "report_every": 0, "precision": "float32", "seed": 0, "progress": False}
        ganzoo.Trainer(gan, images, folder, **settings).fit()
        log = log_of(folder)
        grids = [np.asarray(Image.open(path), float) for path in sorted((folder / "samples").glob("step-*.png"))]
        return [entry["score"] for entry in log if "score" in entry], grids

    scores, grids = run(tmp_path / "graphs")
    assert RecordedGraph.captured == 3  # of scores, of grids, and of the card's seconds a sample
    monkeypatch.setattr(graphed, "captures", lambda device: False)
    expected_scores, expected_grids = run(tmp_path / "plain")
    assert len(scores) == 4 and scores == pytest.approx(expected_scores, rel=0.1)
    assert len(grids) == 5 and abs(grids[0] - grids[-1]).max() > 0
    assert all(abs(one - other).max() <= 1 for one, other in zip(grids, expected_grids, strict=True))


def test_the_graphs_used_last_are_kept():
    gan = small()
    for n in (1, 2, 3, 4, 5, 5, 4, 3, 2, 2, 1):  # of five sizes four are kept
        sample_often(gan, n=n)
    assert RecordedGraph.captured == 6
    sample_often(gan, n=9999, batch_size=9999)
    assert RecordedGraph.captured == 6  # so many gain nothing


def test_several_threads_may_sample(plain):
    gan, found = small(), {}
    expected = {seed: plain(gan, 2, seed=seed) for seed in range(16)}

    def draw(seeds):
        found.update({seed: gan.sample(2, seed=seed) for seed in seeds})

    threads = [threading.Thread(target=draw, args=(range(first, 16, 4),)) for first in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(torch.allclose(found[seed], expected[seed], atol=1e-6) for seed in range(16))


def test_a_second_thread_ends_the_graphs():
    gan = small()
    sample_often(gan)
    captured = RecordedGraph.captured
    thread = threading.Thread(target=gan.sample, args=(2, 0))
    thread.start()
    thread.join()
    gan.generator.train()  # another kind of pass, which would be captured
    sample_often(gan)
    gan.sample(3, seed=0), gan.sample(3, seed=0), gan.sample(3, seed=0)
    assert captured and RecordedGraph.captured == captured


def test_gradient_and_inference_modes_share_a_graph(plain):
    gan = small()
    with torch.inference_mode():
        sample_often(gan)
    assert torch.allclose(sample_often(gan), plain(gan, 2, seed=5), atol=1e-6)
    assert RecordedGraph.captured == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda gan: pickle.loads(pickle.dumps(gan))], ids=["copy", "pickle"])
def test_a_copy_begins_anew(again):
    gan = small()
    before = sample_often(gan)
    other = again(gan)
    _in_place(gan)
    assert torch.allclose(sample_often(other), before, atol=1e-6)


def test_a_graph_that_holds_nothing_is_found_before_it_is_used(monkeypatch, plain):
    monkeypatch.setattr(RecordedGraph, "replay", lambda self: None)  # as if another card was captured
    gan = small()
    with pytest.warns(UserWarning, match="gives other images when it is called again"):
        for seed in range(4):
            assert torch.allclose(gan.sample(2, seed=seed), plain(gan, 2, seed=seed), atol=1e-6)


class Waiting(DCGANGenerator):
    """Looks at a number on the device, as a graph can't."""

    def forward(self, latents, labels=None):
        images = super().forward(latents, labels)
        return images if images.mean().item() < 2 else -images


class Noisy(DCGANGenerator):
    """Draws on the host, which a graph would not repeat."""

    def forward(self, latents, labels=None):
        return super().forward(latents, labels) * random.random()


class Failing(DCGANGenerator):
    """Works, but not while a graph is captured."""

    def forward(self, latents, labels=None):
        mode = torch.utils._python_dispatch._get_current_dispatch_mode()
        if mode is not None and mode._repeatable:
            raise RuntimeError("not now")
        return super().forward(latents, labels)


@pytest.mark.parametrize(
    "kind, reason",
    [
        (Waiting, r"the generator waits for the device \(custom.py, line 7\)"),
        (Noisy, "the generator gives other images when it is called again"),
        (Failing, "not now"),
    ],
)
def test_what_cannot_be_captured_is_drawn_as_it_is_and_the_reason_is_said_once(kind, reason):
    random.seed(0)  # numbers of Noisy that differ
    gan = small()
    gan.generator.__class__ = kind
    with pytest.warns(UserWarning, match=f"sampling runs without a CUDA graph, which is slower: .*{reason}") as said:
        for seed in range(6):
            assert gan.sample(2, seed=seed).shape == (2, 1, 8, 8)
    assert len(said) == 1 and said[0].filename == __file__
    assert RecordedGraph.captured == (kind is Noisy)


def test_a_generator_with_hooks_is_called():
    gan, seen = small(), []
    sample_often(gan)
    handle = gan.generator.project.register_forward_hook(lambda *_: seen.append(1))
    sample_often(gan)
    assert len(seen) == 3
    handle.remove()


def test_a_module_of_one_s_own_is_called_and_its_range_looked_at():
    gan = ganzoo.GAN(nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8))), latent_size=6)
    nn.init.constant_(gan.generator[0].bias, 9)
    with pytest.warns(UserWarning, match="more than a quarter of the generator's pixels"):
        sample_often(gan)
    assert not RecordedGraph.captured
