"""Where a run computes: the device that is asked for, images on it, draws that do not wait for it."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

import ganzoo
from ganzoo import AUGMENTATIONS
from ganzoo.cli import run
from ganzoo.data import open_data, open_loader
from ganzoo.errors import ConfigError, TrainingError
from ganzoo.graphs import modes
from ganzoo.hardware import full_float32, send
from ganzoo.seeds import Draws
from ganzoo.training.runtime import Runtime

SMALL = {"steps": 2, "batch_size": 8, "doctor_every": 0, "score_every": 0, "report_every": 0, "progress": False}


def small_gan():
    return ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, seed=0)


def images(count=24):
    return torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_run_trains_on_the_device_that_is_asked_for(tmp_path, monkeypatch):
    seen = []
    init = Runtime.__init__

    def noting(self, *given):
        init(self, *given)
        seen.append(self.device.type)

    monkeypatch.setattr(Runtime, "__init__", noting)
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")  # what Accelerate would take
    ganzoo.Trainer(small_gan(), images(), tmp_path / "run", device="cpu", **SMALL).fit()
    ganzoo.Trainer.resume(tmp_path / "run", data=images(), device="cpu", progress=False).fit()
    assert seen == ["cpu", "cpu"]


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match='device "cdua" can\'t be used'):
        ganzoo.Trainer(small_gan(), images(), tmp_path / "run", device="cdua", **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_device_for_one_of_several_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(TrainingError, match="each of which takes a device of its own"):
        ganzoo.Trainer(small_gan(), images(), tmp_path / "run", device="cpu", **SMALL).fit()


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


@pytest.mark.parametrize("parts", [["conv"], ["conv", "rnn"]])
def test_a_precision_that_is_chosen_for_an_operator_is_put_back(parts, monkeypatch):
    """torch refuses to read its older switch then, as `cudnn.flags` does."""
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    cudnn = torch.backends.cudnn
    for part in parts:
        getattr(cudnn, part).fp32_precision = "ieee"
    try:
        before = modes()
        with full_float32("cuda"):
            assert cudnn.conv.fp32_precision == "ieee" and not cudnn.allow_tf32
            with full_float32("cuda", wanted=False):
                assert cudnn.conv.fp32_precision == "tf32" and cudnn.allow_tf32
        for speed in ("auto", "exact"):
            assert modes() == before
            with Runtime.arithmetic(SimpleNamespace(device=torch.device("cuda"), _speed=speed)):
                assert cudnn.allow_tf32 == cudnn.benchmark == (not cudnn.deterministic) == (speed == "auto")
        assert modes() == before
    finally:
        for part in parts:
            getattr(cudnn, part).fp32_precision = "tf32"  # torch's default
        cudnn.allow_tf32 = True


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
