"""On a CUDA card: the same as on the CPU, and nothing waits. `sh benchmarks/gpu.sh` runs it.

GANZOO_TEST_DEVICE=cpu runs these tests on the CPU, which then stands for the card: it shows that they can run.
"""

import copy
import json
import os
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import AUGMENTATIONS, BLOCKS, GENERATOR_PENALTIES, LOSSES, PENALTIES, PRESETS
from ganzoo.blocks import make_block
from ganzoo.data import open_data, open_loader
from ganzoo.hardware import full_float32
from ganzoo.latents import sample_latents
from ganzoo.models import graphed
from ganzoo.seeds import integers, normal, uniform
from ganzoo.training import Callback, captured
from ganzoo.training.runtime import Runtime
from ganzoo.training.step import TrainingStep
from recorded_graph import RepeatedGraph
from tiny import Poison

DEVICE = torch.device(os.environ.get("GANZOO_TEST_DEVICE", "cuda"))
ON_CUDA = DEVICE.type == "cuda"
if ON_CUDA:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA begins
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(ON_CUDA and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
cuda_alone = pytest.mark.skipif(not ON_CUDA, reason="the CPU has nothing like it")

BUNDLED = sorted(path.name for path in (Path(ganzoo.__file__).parent / "zoo").iterdir() if path.is_dir())
ALIKE = 1e-4  # relative and absolute, of one network's pass in full float32: sums are taken in another order
SAMPLES = 1e-3  # of bundled models' images
LOSS = 0.02  # relative, of losses of the first steps of two runs whose sums are taken in another order
SMALL = {
    "steps": 8, "batch_size": 8, "doctor_every": 4, "score_every": 4, "sample_every": 4, "report_every": 0,
    "log_every": 1, "progress": False, "seed": 0,
}  # fmt: skip


def close(one, other, tolerance=ALIKE):
    assert torch.allclose(one.detach().cpu().double(), other.detach().cpu().double(), rtol=tolerance, atol=tolerance)


def images(count=32, channels=1, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def small_gan(norm="batch", classes=0, size=8):
    gan = ganzoo.create(
        "fashion-mnist", size, {"latent_size": 8, "widths": (16, 8), "num_classes": classes},
        {"widths": (8, 16), "norm": norm, "num_classes": classes}, seed=0, clusters=0,
    )  # fmt: skip
    gan.preset = None
    return gan


def train(folder, gan=None, data=None, device=DEVICE, **settings):
    """A tiny run: the lines of its log with losses, and its networks."""
    gan = gan or small_gan(settings.pop("norm", "none"))
    ganzoo.Trainer(
        gan, images() if data is None else data, folder, device=str(device), **{**SMALL, **settings}
    ).fit()  # fmt: skip
    return losses(folder), gan


def losses(folder):
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry for entry in log if "generator_loss" in entry]


def alike(one, other, tolerance=LOSS):
    for entry, expected in zip(one, other, strict=True):
        assert entry == pytest.approx(expected, rel=tolerance, abs=tolerance)


@contextmanager
def no_waits():
    """A wait for the card is an error for the length of a `with` block."""
    if ON_CUDA:
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if ON_CUDA:
            torch.cuda.set_sync_debug_mode("default")


# --- parts, against the CPU ---------------------------------------------------------------------------------------


def passes(network, *inputs):
    """What a network gives, and its gradients by its input and weights."""
    first = inputs[0].clone().requires_grad_()
    with full_float32(first.device):
        made = network(first, *inputs[1:])
        weights = [each for each in network.parameters() if each.requires_grad]
        gradients = torch.autograd.grad(made.square().sum(), [first, *weights], allow_unused=True)
    return [made, *(each for each in gradients if each is not None)]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_computes_what_it_computes_on_the_cpu(name):
    torch.manual_seed(0)
    context = 5
    block = make_block(BLOCKS.make(name), 16, 16, norm="batch", activation="relu", context=context)
    inputs = [torch.randn(4, 16, 8, 8)]
    if "context" in getattr(block, "options", ()):
        inputs.append(torch.randn(4, context))
    twin = copy.deepcopy(block).to(DEVICE)
    for one, other in zip(passes(block, *inputs), passes(twin, *(each.to(DEVICE) for each in inputs)), strict=True):
        close(one, other, 10 * ALIKE)


@pytest.mark.parametrize("name", PRESETS)
def test_the_networks_of_a_preset_compute_what_they_compute_on_the_cpu(name):
    gan = ganzoo.create(name, seed=0)
    labels = torch.arange(2) % gan.label_count if gan.label_count else None
    real = torch.rand(2, gan.image_channels, gan.image_size, gan.image_size) * 2 - 1
    latents = torch.randn(2, *gan.latent_shape)
    for network, given in ((gan.generator, latents), (gan.discriminator, real)):
        inputs = [given] if labels is None else [given, labels]
        network.eval()
        twin = copy.deepcopy(network).to(DEVICE)
        with torch.no_grad(), full_float32(DEVICE):
            close(network(*inputs), twin(*(each.to(DEVICE) for each in inputs)), SAMPLES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_what_it_is_on_the_cpu(name):
    loss = LOSSES.make(name)
    found = []
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        real, fake = (torch.randn(16, 1).to(device).requires_grad_() for _ in range(2))
        values = [loss.for_discriminator(real, fake), loss.for_generator(fake, real)]
        found.append([*values, *torch.autograd.grad(sum(values), [real, fake])])
    for one, other in zip(*found, strict=True):
        close(one, other)


@pytest.mark.parametrize("name", [*PENALTIES, *GENERATOR_PENALTIES])
def test_a_penalty_is_what_it_is_on_the_cpu(name):
    torch.manual_seed(0)
    gan, on_discriminator = small_gan("none"), name in PENALTIES
    real, fake, latents = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), torch.randn(4, 8)
    network, found = gan.discriminator if on_discriminator else gan.generator, []
    for device in ("cpu", DEVICE):
        twin, random = copy.deepcopy(network).to(device), torch.Generator().manual_seed(0)
        inputs = (real.to(device), fake.to(device)) if on_discriminator else (latents.to(device), None)
        made = (PENALTIES if on_discriminator else GENERATOR_PENALTIES).make(name)
        with full_float32(device):
            value = made.penalty(twin, *inputs, random)
            found.append([value, *torch.autograd.grad(value, list(twin.parameters()), allow_unused=True)])
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            close(one, other, 10 * ALIKE)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_alters_as_on_the_cpu(name, channels):
    made, given = AUGMENTATIONS.make(f"{name}(start=0.7)" if name == "ada" else name), []
    for device in ("cpu", DEVICE):
        real = torch.rand(8, channels, 16, 16, generator=torch.Generator().manual_seed(1)).to(device).requires_grad_()
        altered = made(real, torch.Generator().manual_seed(2))
        given.append([altered, *torch.autograd.grad(altered.square().sum(), real)])
    for one, other in zip(*given, strict=True):
        close(one, other)


def test_draws_reach_the_device_as_the_cpu_draws_them():
    for draw in (lambda r, d: uniform(3, 2, random=r, device=d), lambda r, d: normal(5, random=r, device=d),
                 lambda r, d: integers(0, 9, 7, random=r, device=d)):  # fmt: skip
        one, other = (draw(torch.Generator().manual_seed(4), torch.device(device)) for device in ("cpu", DEVICE))
        assert other.device.type == DEVICE.type and torch.equal(one, other.cpu())


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_draws_the_same_images(name):
    on_cpu, on_device = (ganzoo.from_pretrained(name, device=device) for device in ("cpu", DEVICE))
    close(on_cpu.sample(8, seed=3), on_device.sample(8, seed=3), SAMPLES)
    close(on_device.sample(1, seed=3), on_device.sample(8, seed=3)[:1], SAMPLES)
    fast = on_device.sample(8, seed=3, precision="fast")
    assert (fast - on_device.sample(8, seed=3)).abs().mean() < 0.02
    on_cpu.sample(1, seed=0, precision="fast")  # the copy that is kept stands on the CPU
    close(on_cpu.to(DEVICE).sample(8, seed=3, precision="fast"), fast, SAMPLES)


@pytest.fixture
def replays(monkeypatch):
    """Each replay of a graph for sampling; on the CPU, recorded operations stand for graphs."""
    seen = []
    if not ON_CUDA:
        monkeypatch.setattr(graphed, "CudaGraph", RepeatedGraph)
        monkeypatch.setattr(graphed, "captures", lambda device: True)
        monkeypatch.setattr("ganzoo.models.contract.check_range", lambda *_: None)
        monkeypatch.setattr(nn.functional, "one_hot", lambda labels, count: labels[:, None] == torch.arange(count))
    replay = graphed.CudaGraph.replay
    monkeypatch.setattr(graphed.CudaGraph, "replay", lambda self: (seen.append(1), replay(self)))
    return seen


def plain_images(gan, n, seed):
    """Images of `gan` by its generator, called without a graph."""
    latents, labels = sample_latents(n, gan.latent_size, seed, num_classes=gan.num_classes)
    labels = gan.network_labels(latents, labels)
    inputs = [latents.reshape(-1, *gan.latent_shape), *([] if labels is None else [labels])]
    with torch.no_grad(), full_float32(DEVICE):
        return gan.generator.eval()(*(each.to(DEVICE) for each in inputs))


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("n", [1, 5, 64, 100])
def test_images_by_a_graph_are_those_of_the_generator(name, n, replays):
    gan = ganzoo.from_pretrained(name, device=DEVICE)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="sampling runs without a CUDA graph")
        for seed in range(4):
            kept = gan.sample(n, seed=seed)
            before = kept.clone()
            close(kept, plain_images(gan, n, seed), SAMPLES)
            fast = gan.sample(n, seed=seed, precision="fast")
            assert (fast - kept).abs().mean() < 0.02
        gan.sample(n, seed=9)
        assert torch.equal(kept, before)
        assert len(replays) >= 3


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_s_generator_is_captured(name, replays):
    gan = ganzoo.create(name, seed=0).to(DEVICE)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="sampling runs without a CUDA graph")
        for seed in range(3):
            close(gan.sample(2, seed=seed), plain_images(gan, 2, seed), SAMPLES)
    assert len(replays) == 2


def test_a_graph_sees_weights_that_change(replays):
    gan = ganzoo.from_pretrained("fashion-mnist", device=DEVICE)
    weight = gan.generator.project.convolution.weight

    def other_memory():
        weight.data = weight.data * 0.7

    def load():
        gan.generator.load_state_dict({name: each * 0.9 for name, each in gan.generator.state_dict().items()})

    def step():
        labels = torch.arange(4, device=DEVICE) if gan.label_count else None
        gan.generator(torch.randn(4, gan.latent_size, device=DEVICE), labels).mean().backward()
        torch.optim.SGD(gan.generator.parameters(), lr=1.0).step()

    changes = [lambda: weight.data.mul_(1.4), load, step, other_memory, lambda: gan.to("cpu").to(DEVICE)]
    for change in changes:
        for _ in range(3):
            before = gan.sample(4, seed=1)
        change()
        for _ in range(3):
            after = gan.sample(4, seed=1)
            close(after, plain_images(gan, 4, 1), SAMPLES)
        assert replays and (change is changes[-1] or not torch.equal(before, after))


@pytest.mark.parametrize("precision", ["float32", "fast"])
@pytest.mark.parametrize("n", [4, 400])  # 400 are too many for a graph
def test_sampling_does_not_wait_for_the_card(n, precision, replays):
    gan = ganzoo.from_pretrained("fashion-mnist-conditional", device=DEVICE)
    for seed in range(3):
        gan.sample(n, seed=seed, batch_size=n, precision=precision)
    with no_waits():
        made = [gan.sample(n, seed=seed, batch_size=n, precision=precision) for seed in range(3)]
    assert bool(replays) == (n == 4) and not torch.equal(made[0], made[1])


def test_many_images_in_fast_precision_follow_the_weights():
    gan = ganzoo.from_pretrained("fashion-mnist", device=DEVICE)
    for _ in range(2):
        exact, fast = (gan.sample(400, seed=1, batch_size=400, precision=each) for each in ("float32", "fast"))
        assert (exact - fast).abs().mean() < 0.02
        gan.generator.project.convolution.weight.data.mul_(0.5)


def test_threads_sample_at_once(replays):
    gan, found = ganzoo.from_pretrained("fashion-mnist", device=DEVICE), {}
    expected = {seed: plain_images(gan, 4, seed).cpu() for seed in range(24)}

    def draw(first):
        for seed in range(first, 24, 3):
            found[seed] = gan.sample(4, seed=seed).cpu()  # waits, as a page that shows them does

    threads = [threading.Thread(target=draw, args=(first,)) for first in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for seed in expected:
        close(found[seed], expected[seed], SAMPLES)


@cuda_alone
def test_streams_have_graphs_of_their_own(replays):
    gan = ganzoo.from_pretrained("fashion-mnist", device=DEVICE)
    for _ in range(4):
        made = gan.sample(4, seed=0)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(4):
            beside = gan.sample(4, seed=0)
    side.synchronize()
    close(made, beside, SAMPLES)


# --- runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains(name, tmp_path):
    gan = ganzoo.create(name, seed=0, clusters=0)
    data = images(16, gan.image_channels, gan.image_size)
    given = (data, torch.arange(16) % gan.num_classes) if gan.num_classes else data
    settings = {"steps": 4, "clusters": 0, "score_every": 0, "batch_size": 4}
    logged, _ = train(tmp_path / "run", gan, given, settings=PRESETS[name].settings, **settings)
    assert len(logged) == 4


def test_a_run_begins_as_on_the_cpu(tmp_path):
    given = {"precision": "float32", "speed": "exact", "augmentations": ("color", "translation"), "flip": True}
    on_cpu, _ = train(tmp_path / "cpu", device="cpu", **given)
    on_device, _ = train(tmp_path / "device", **given)
    alike(on_device, on_cpu)


RUNS = {
    "exact": ({"speed": "exact", "precision": "float32"}, 0.0),
    "auto": ({"precision": "float32", "penalties": ("r1(every=2)",)}, LOSS),
    "bf16": ({"precision": "bf16"}, 5 * LOSS),
    "fp16": ({"precision": "fp16"}, 5 * LOSS),
    "ada": ({"precision": "float32", "augmentations": ("ada(length=200)",)}, LOSS),
}


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            run.stop("here")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(name, tmp_path):
    given, tolerance = RUNS[name]
    if name == "fp16" and not ON_CUDA:
        pytest.skip("fp16 needs CUDA")
    whole, gan = train(tmp_path / "whole", **given)
    train(tmp_path / "cut", callbacks=[StopAt(5)], **given)
    trainer = ganzoo.Trainer.resume(
        tmp_path / "cut", images(), small_gan("none"), [StopAt(0)], progress=False, device=str(DEVICE)
    )
    trainer.fit()
    again = [{key: value for key, value in entry.items() if key != "stopped"} for entry in losses(tmp_path / "cut")]
    if tolerance:
        return alike(again, whole, tolerance)
    assert again == whole
    for network in ("generator", "discriminator"):
        for key, value in getattr(gan, network).state_dict().items():
            assert torch.equal(value.cpu(), getattr(trainer.gan, network).state_dict()[key].cpu()), key


def test_the_scaler_of_fp16_is_in_the_checkpoint(tmp_path):
    if not ON_CUDA:
        pytest.skip("fp16 needs CUDA")
    train(tmp_path / "run", precision="fp16")
    state = json.loads((tmp_path / "run" / "checkpoints" / "step-00000008" / "state.json").read_text())
    assert state["method"]["scaler"]["scale"] > 0


def test_a_run_goes_back_after_nan(tmp_path):
    logged, _ = train(tmp_path / "run", callbacks=[Poison()], checkpoint_every=4, steps=12)
    assert logged[-1]["step"] == 12
    assert "not-finite" in (tmp_path / "run" / "log.jsonl").read_text()


def test_global_random_state_is_left_as_it_was(tmp_path):
    gan = ganzoo.from_pretrained("fashion-mnist", device=DEVICE)
    states = [torch.get_rng_state, *([torch.cuda.get_rng_state] if ON_CUDA else [])]
    before = [state() for state in states]
    train(tmp_path / "run", augmentations=("ada",))
    gan.sample(4, seed=0)
    assert all(torch.equal(old, state()) for old, state in zip(before, states))


METHODS = {
    "plain": {"norm": "batch", "flip": True},
    "augmented": {"augmentations": tuple(name for name in AUGMENTATIONS if name != "ada")},
    "penalised": {"penalties": ("r1(every=2)", "wgan-gp"), "generator_steps": 2, "clip_gradients": 1.0},
    "accumulated": {"accumulate": 2, "augmentations": ("color",)},
    "spectral": {"norm": "spectral", "loss": "hinge", "discriminator_steps": 2},
    "scheduled": {"beta2": "linear(start=0.5,end=0.99)", "penalties": ("r1(weight=linear(start=50,end=1))",)},
}


@pytest.mark.parametrize("by_graph", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_card(name, by_graph, tmp_path, monkeypatch):
    step = TrainingStep.__call__

    def guarded(self):
        if self.state.step < 4:  # kernels are chosen, optimizers begin, a graph is captured
            return step(self)
        with no_waits():
            return step(self)

    monkeypatch.setattr(TrainingStep, "__call__", guarded)
    if not by_graph:
        monkeypatch.setattr(Runtime, "captures", False)
    train(tmp_path / "run", **METHODS[name])


@cuda_alone
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", [name for name in METHODS if name != "accumulated"])
def test_a_graph_computes_what_plain_steps_do(name, precision, tmp_path, monkeypatch):
    seen, replay = [], captured.CudaGraph.replay
    monkeypatch.setattr(captured.CudaGraph, "replay", lambda self: (seen.append(1), replay(self)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training runs without a CUDA graph")
        by_graph, _ = train(tmp_path / "graph", precision=precision, **METHODS[name])
    assert seen
    monkeypatch.setattr(Runtime, "captures", False)
    plain, _ = train(tmp_path / "plain", precision=precision, **METHODS[name])
    alike(by_graph, plain, LOSS if precision == "float32" else 5 * LOSS)


class Waiting(nn.LeakyReLU):
    """Looks at a number of the batch."""

    def forward(self, x):
        return super().forward(x) * (1.0 if float(x.detach().mean()) < 1e9 else 2.0)


class Failing(nn.LeakyReLU):
    """Works, but not while a graph is captured."""

    def forward(self, x):
        if ON_CUDA and torch.cuda.is_current_stream_capturing():
            raise RuntimeError("not now")
        return super().forward(x)


class WaitingInCapture(nn.LeakyReLU):
    """Looks at a number while a graph is captured, which ends the capture."""

    def forward(self, x):
        if ON_CUDA and torch.cuda.is_current_stream_capturing():
            x.mean().item()
        return super().forward(x)


@cuda_alone
@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Waiting, "the generator waits for the device .*test_cuda.py"),
        (Failing, "not now"),
        (WaitingInCapture, "captur"),
    ],
)
def test_what_cannot_be_captured_is_drawn_and_says_why(layer, reason):
    gan = small_gan("none").to(DEVICE)
    gan.generator.stages[-1] = nn.Sequential(gan.generator.stages[-1], layer(1.0))
    with pytest.warns(UserWarning, match=f"sampling runs without a CUDA graph, which is slower: .*{reason}"):
        made = [gan.sample(2, seed=0) for _ in range(6)]
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    for each in made:
        close(each, made[0])


@cuda_alone
@pytest.mark.parametrize(
    ("layer", "reason"), [(Waiting, "it waits for the device .*test_cuda.py"), (Failing, "not now")]
)
def test_what_cannot_be_captured_goes_on_and_says_why(layer, reason, tmp_path):
    gan = small_gan("none")
    gan.discriminator.stages.append(layer(1.0))
    with pytest.warns(UserWarning, match=f"without a CUDA graph, which is slower: .*{reason}"):
        logged, _ = train(tmp_path / "run", gan)
    assert len(logged) == 8


@pytest.mark.parametrize("share", [0, 1])
def test_images_on_the_device_and_images_that_are_sent_are_the_same(share):
    found = []
    for device, memory in (("cpu", 0), (DEVICE, share * 10**6)):
        loader = open_loader(open_data(images()), 8, seed=0)
        loader.place(torch.device(device), memory)
        found.append([loader.draw(step)[1].cpu() for step in (0, 1, 5)])
        loader.close()
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


# --- looking into models -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    return [ganzoo.from_pretrained("fashion-mnist", device=device, discriminator=True) for device in ("cpu", DEVICE)]


def test_a_model_is_measured_as_on_the_cpu(pair):
    given = {"data": "fashion-mnist-mini", "samples": 300, "classes": False, "memorised": False}
    on_cpu, on_device = (
        {each["name"]: each["value"] for each in ganzoo.evaluate(gan, **given).figures()} for gan in pair
    )
    assert on_device == pytest.approx(on_cpu, rel=0.02, abs=0.02)


def test_walks_directions_and_sums_are_drawn_as_on_the_cpu(pair):
    from ganzoo.explore import arithmetic, directions, walk

    for look in (lambda gan: walk(gan, 2, 3), lambda gan: directions(gan, 2, 1.0)):
        close(*(look(gan) for gan in pair), SAMPLES)
    close(*(arithmetic(gan, [(1, [0, 1]), (-1, [2])]).images for gan in pair), SAMPLES)


def test_latents_are_found_as_on_the_cpu(pair):
    from ganzoo.explore import invert

    target = pair[0].sample(2, seed=5)
    on_cpu, on_device = (invert(gan, target, starts=2, steps=60, candidates=200) for gan in pair)
    assert (on_cpu.psnr - on_device.psnr.cpu()).abs().max() < 3


def test_a_discriminator_is_probed_as_on_the_cpu(pair):
    from ganzoo.explore import discriminator_features

    data = open_data("fashion-mnist-mini").batch(torch.arange(20))
    close(*(discriminator_features(gan.discriminator, data) for gan in pair), SAMPLES)


def test_a_model_on_the_device_is_exported(pair, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from ganzoo.integrations.onnx import export_onnx

    export_onnx(pair[1], tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 10_000
    assert pair[1].device.type == DEVICE.type


def test_commands_compute_on_the_device(tmp_path, monkeypatch):
    from ganzoo.cli import run

    monkeypatch.chdir(tmp_path)
    device = ["--device", str(DEVICE)]
    assert run(["sample", "fashion-mnist", "--count", "4", *device]) == 0
    assert run(["walk", "fashion-mnist", "--points", "2", "--steps", "2", *device]) == 0
    assert (
        run(
            ["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--steps", "3", "--set", "batch_size=8", *device]
        )
        == 0
    )


WORKER = """
import os, sys, torch
os.environ["LOCAL_RANK"] = "0"  # as on two machines with a card each: Accelerate takes it for the card's number
torch.distributed.init_process_group("gloo")  # before Accelerate takes NCCL, which wants a card a process
sys.path.insert(0, {tests!r})
from test_cuda import images, small_gan, SMALL
import ganzoo
ganzoo.Trainer(small_gan("none"), images(), sys.argv[1], **{{**SMALL, "precision": "float32", "score_every": 0}}).fit()
"""


@cuda_alone
def test_two_processes_on_one_card_have_the_losses_of_one(tmp_path):
    alone, _ = train(tmp_path / "one", precision="float32", score_every=0)
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(tests=str(Path(__file__).parent)))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(worker), str(tmp_path / "two")], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    alike(losses(tmp_path / "two"), alone)
