"""Where a run computes: the device that is asked for, images on it, draws that do not wait for it."""

import contextlib
import dataclasses
import json
import threading
from types import SimpleNamespace

import pytest
import torch

import ganzoo
from ganzoo import AUGMENTATIONS
from ganzoo.cli import run
from ganzoo.data import open_data, open_loader
from ganzoo.errors import ConfigError, TrainingError
from ganzoo.graphs import CudaGraph, modes
from ganzoo.hardware import checked_device, fast_bfloat16, full_float32, send
from ganzoo.runs.metadata import RuntimeConfig
from ganzoo.seeds import Draws
from ganzoo.training import runtime
from ganzoo.training.runtime import Runtime
from tiny import images

SMALL = {"steps": 2, "batch_size": 8, "doctor_every": 0, "score_every": 0, "report_every": 0, "progress": False}


def small_gan():
    return ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, seed=0)


def test_a_run_trains_on_the_device_that_is_asked_for(tmp_path, monkeypatch):
    seen = []
    init = Runtime.__init__

    def noting(self, *given):
        init(self, *given)
        seen.append(self.device.type)

    monkeypatch.setattr(Runtime, "__init__", noting)
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")  # what Accelerate would take
    ganzoo.Trainer(small_gan(), images(24), tmp_path / "run", device="cpu", **SMALL).fit()
    ganzoo.Trainer.resume(tmp_path / "run", data=images(24), device="cpu", progress=False).fit()
    assert seen == ["cpu", "cpu"]


def test_a_run_that_began_on_the_cpu_goes_on_there_unless_it_is_told_otherwise(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "0")  # which Accelerate sets
    ganzoo.Trainer(small_gan(), images(24), tmp_path / "run", **SMALL).fit()
    runtime._forget_device()
    monkeypatch.setattr("accelerate.state.is_mps_available", lambda *_: True)  # what Accelerate would take
    config = RuntimeConfig.from_dict(json.loads((tmp_path / "run" / "run.json").read_text())["machine"], "machine")
    try:
        assert runtime.instead_of_cpu(config) == "mps"
        ganzoo.Trainer.resume(tmp_path / "run", data=images(24), progress=False, steps=4).fit()
        assert "began on the CPU and goes on there; to move it: --device mps" in capsys.readouterr().err
        for changes in ({"device": "mps"}, {"processes": 2}):
            assert runtime.instead_of_cpu(dataclasses.replace(config, **changes)) is None
        for name in ("LOCAL_RANK", "ACCELERATE_TORCH_DEVICE"):  # the launch chooses
            with monkeypatch.context() as launch:
                launch.setenv(name, "0")
                assert runtime.instead_of_cpu(config) is None
    finally:
        runtime._forget_device()


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match='device "cdua" can\'t be used'):
        ganzoo.Trainer(small_gan(), images(24), tmp_path / "run", device="cdua", **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_device_for_one_of_several_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(TrainingError, match="each of which takes a device of its own"):
        ganzoo.Trainer(small_gan(), images(24), tmp_path / "run", device="cpu", **SMALL).fit()


COMMANDS = {
    "train": ["train", "fashion-mnist", "--data", "fashion-mnist-mini"],
    "sample": ["sample", "fashion-mnist"],
    "walk": ["walk", "fashion-mnist"],
    "directions": ["directions", "fashion-mnist"],
    "arithmetic": ["arithmetic", "fashion-mnist", "--plus", "0"],
    "invert": ["invert", "fashion-mnist", "x.png"],
    "probe": ["probe", "fashion-mnist"],
    "evaluate": ["evaluate", "fashion-mnist", "--data", "fashion-mnist-mini"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_computes_takes_a_device(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([*COMMANDS[name], "--device", "cdua"]) == 2
    assert 'device "cdua" can\'t be used' in capsys.readouterr().err


def batches_of(memory, processes=1):
    """What a loader gives to a device (the CPU stands in for one) that has so many bytes of memory for images."""
    loader = open_loader(open_data((images(20), torch.arange(20) % 3)), 8, seed=3)
    loader.place(torch.device("cpu"), memory)
    drawn = [loader.draw(step, rank, processes) for step in (0, 1, 2, 7) for rank in range(processes)]
    held = loader._on_device is not None
    loader.close()
    return held, drawn


@pytest.mark.parametrize("processes", [1, 2])
def test_images_that_lie_on_the_device_whole_give_the_bytes_of_those_that_are_sent(processes):
    held, whole = batches_of(20 * 64, processes)
    sent, one_by_one = batches_of(20 * 64 - 1, processes)
    assert held and not sent
    for (count, pixels, labels), (other_count, other_pixels, other_labels) in zip(whole, one_by_one, strict=True):
        assert count == other_count == 8 and pixels.dtype == torch.uint8
        assert torch.equal(pixels, other_pixels) and torch.equal(labels, other_labels)


def test_a_stream_reads_ahead_and_gives_the_same_bytes(tmp_path):
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    for number, image in enumerate(ganzoo.images.to_pil(images(20).float() / 127.5 - 1)):
        image.save(tmp_path / f"{number:02}.png")
    data = open_data(f"hf:{tmp_path}?stream=yes")
    loader = open_loader(data, 4, seed=0)
    forwards = [loader.draw(step)[1] for step in range(4)]
    assert loader._ahead is not None and loader._ahead[0][0] == 4
    for step in (2, 0, 3):  # in another order than the thread expects
        assert torch.equal(loader.draw(step)[1], forwards[step])
    loader.close()


def test_only_cuda_is_sent_memory_that_may_change_before_it_arrives(monkeypatch):
    """MPS reads pageable memory later, when it holds other numbers."""
    asked = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, **given: asked.append(given["non_blocking"]))
    for device in ("cuda", "mps", "cpu"):
        send(torch.zeros(2), device)
    assert asked == [True, False, False]


cudnn = torch.backends.cudnn


@pytest.fixture
def switches(monkeypatch):
    """What torch's switches say, the newer and the older ones ("error" if it refuses); afterwards they are reset."""
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())

    def read(switch):
        try:
            return switch()
        except RuntimeError:
            return "error"

    products = torch.backends.cuda.matmul
    newer = cudnn.conv, cudnn.rnn, products, torch.backends.mkldnn.matmul
    older = lambda: cudnn.allow_tf32, lambda: products.allow_tf32, torch.get_float32_matmul_precision
    yield lambda: ([each.fp32_precision for each in newer], [read(each) for each in older])
    torch.set_float32_matmul_precision("highest")
    both("none")
    cudnn.allow_tf32 = True


def arithmetic(speed):
    return Runtime.arithmetic(SimpleNamespace(device=torch.device("cuda"), _speed=speed))


@pytest.mark.parametrize("parts", [["conv"], ["conv", "rnn"]])
def test_a_precision_that_is_chosen_for_an_operator_is_put_back(parts, switches):
    """torch refuses to read its older switch then, as `cudnn.flags` does."""
    for part in parts:
        getattr(cudnn, part).fp32_precision = "ieee"
    before = modes()
    with full_float32("cuda", wanted=False):
        assert cudnn.conv.fp32_precision == "tf32" and cudnn.allow_tf32
        with full_float32("cuda"):
            assert cudnn.conv.fp32_precision == cudnn.rnn.fp32_precision == "ieee" and not cudnn.allow_tf32
    for speed in ("auto", "exact"):
        assert modes() == before
        with arithmetic(speed):
            fast = cudnn.conv.fp32_precision == "tf32"
            assert fast == cudnn.benchmark == (not cudnn.deterministic) == (speed == "auto")
    assert modes() == before


def both(precision):
    """torch's switch for everything, as if nothing more special was ever set."""
    for part in (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
        part.fp32_precision = "none"
    torch.backends.fp32_precision = precision


CHOICES = {  # of users, by torch's newer switches and by its older ones
    "nothing": lambda: None,
    "all TF32": lambda: both("tf32"),
    "all full": lambda: both("ieee"),
    "products TF32": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "older, products TF32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "older, high": lambda: torch.set_float32_matmul_precision("high"),
    "older, medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older, convolutions full": lambda: setattr(cudnn, "allow_tf32", False),
    "both kinds": lambda: (setattr(cudnn, "allow_tf32", False), both("tf32")),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_exact_is_exact_whatever_switches_a_user_has_set_and_they_are_put_back(choice, switches):
    CHOICES[choice]()
    newer, older = switches()
    blocks = {"sample": full_float32("cuda"), "exact": arithmetic("exact"), "auto": arithmetic("auto")}
    for name, block in blocks.items():
        with block:
            (conv, rnn, products, cpu), inside = switches()
            if name == "auto":
                assert conv == rnn == "tf32" and [products, cpu] == newer[2:]
            else:
                assert "tf32" not in (conv, rnn, products)
            assert all(before == "error" or now != "error" for before, now in zip(older, inside))
        now, after = switches()
        assert now == newer and all(before in ("error", same) for before, same in zip(older, after))


def test_precisions_follow_torch_s_switch_for_everything_if_they_are_as_wanted(switches):
    both("ieee")
    with full_float32("cuda"), arithmetic("exact"):
        pass
    torch.backends.fp32_precision = "tf32"
    assert cudnn.conv.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_blocks_of_threads_that_overlap_keep_full_float32_and_the_last_puts_back_what_the_first_found(switches):
    cudnn.allow_tf32 = False
    found = switches()
    run, one, other = full_float32("cuda", wanted=False), full_float32("cuda"), full_float32("cuda")
    seen = []
    for block, method in [
        (run, "__enter__"), (one, "__enter__"), (other, "__enter__"), (one, "__exit__"), (run, "__exit__"),
    ]:  # fmt: skip
        getattr(block, method)(*[None] * 3 if method == "__exit__" else ())
        seen.append(cudnn.conv.fp32_precision == "tf32")
    assert seen == [True, False, False, False, False]
    other.__exit__(None, None, None)
    assert switches() == found


def test_the_device_that_is_asked_about_bfloat16_is_the_one_that_computes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=8))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5) if device.index == 1 else (8, 0))
    assert [fast_bfloat16(torch.device(name)) for name in ("cuda:0", "cuda:1")] == [True, False]


def test_a_device_without_a_number_gets_the_number_that_networks_on_it_have(monkeypatch):
    monkeypatch.setattr(torch, "empty", lambda size, device: SimpleNamespace(device=torch.device(device.type, 0)))
    assert checked_device("cuda") == torch.device("cuda:0")


def test_warm_steps_of_a_thread_share_one_stream(monkeypatch):
    made = []

    class Stream:
        def __init__(self, device):
            made.append(device)

        def wait_stream(self, other):
            pass

    for name, value in {
        "Stream": Stream, "current_stream": lambda: Stream("main"), "current_device": lambda: 99,
        "get_sync_debug_mode": lambda: 0, "set_sync_debug_mode": lambda mode: None,
        "stream": lambda stream: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    for _ in range(3):
        CudaGraph.warm(lambda: torch.zeros(1))
    assert made.count(99) == 2  # to warm on, and to capture on
    thread = threading.Thread(target=CudaGraph.warm, args=(lambda: torch.zeros(1),))
    thread.start()
    thread.join()
    assert made.count(99) == 4  # what another thread does there would be captured


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_leave_numbers_that_mps_lacks_on_the_cpu(name):
    """Everything in float64 is computed where the images say; the fake images say MPS."""

    class OnMPS(torch.Tensor):
        device = torch.device("mps")

    seen = []

    class Noting(Draws):
        def take(self, draw, device):
            drawn = draw(self)
            seen.append((drawn.dtype, device.type))
            return drawn

    given = torch.zeros(2, 3, 8, 8).as_subclass(OnMPS)
    with contextlib.suppress(Exception):  # there is no MPS to compute on
        AUGMENTATIONS.make(name)(given, Noting())
    assert seen and not any(dtype == torch.float64 and device == "mps" for dtype, device in seen)
