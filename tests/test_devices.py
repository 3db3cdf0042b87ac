"""Where a run computes: the device that is asked for, images on it, draws that do not wait for it."""

import pytest
import torch

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import ConfigError, TrainingError
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
