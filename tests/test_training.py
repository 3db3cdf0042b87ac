"""The trainer: what a run leaves behind, and that it goes on exactly where it stopped."""

import dataclasses
import errno
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.utils import LoggerType
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import ganzoo
from ganzoo.callbacks import FIGURES
from ganzoo.data import open_data
from ganzoo.errors import ConfigError, DataError, TrainingError
from ganzoo.runs.checkpoint import checkpoints
from ganzoo.runs.export import ModelExporter
from ganzoo.runs.folder import command
from ganzoo.runs.metadata import _absolute
from ganzoo.saving import weights as weights_module
from ganzoo.training import Callback
from ganzoo.training.runtime import Runtime
from tiny import StopAt, images, log_of, tiny

FILES = ("model/model.safetensors", "model/discriminator/model.safetensors", "log.jsonl")
QUICK = {"batch_size": 8, "log_every": 2, "checkpoint_every": 4, "sample_every": 5, "score_every": 3, "progress": False}


def train(folder, steps=11, data=None, gan=None, **changes):
    settings = {**QUICK, **changes}
    trainer = ganzoo.Trainer(gan or tiny(), images() if data is None else data, folder, steps=steps, **settings)
    return trainer.fit()


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


class Calls(Callback):
    """Calls a function with the run after each step."""

    def __init__(self, function):
        self.on_step = function


def test_a_run_leaves_what_the_map_says(tmp_path):
    result = train(tmp_path / "run")
    assert result.finished and result.step == 11
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert {"checkpoints", "log.jsonl", "model", "run.json", "samples", "timing.jsonl"} <= set(names)
    assert [path.name for path in sorted((tmp_path / "run" / "samples").iterdir())] == [
        "real.png",
        "step-00000000.png",
        "step-00000005.png",
        "step-00000010.png",
        "step-00000011.png",
    ]
    log = log_of(tmp_path / "run")
    assert [entry["step"] for entry in log if "generator_loss" in entry] == [2, 4, 6, 8, 10, 11]
    assert [entry["step"] for entry in log if "score" in entry] == [3, 6, 9, 11]
    assert set(result.figures) == {"discriminator_loss", "real_logits", "fake_logits", "penalty", "generator_loss"}
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["steps"] == 11 and facts["data"]["images"] == 40 and facts["versions"]["torch"]
    assert ganzoo.from_pretrained(tmp_path / "run").sample(2, seed=0).shape == (2, 1, 8, 8)


def test_a_checkpoint_stands_before_the_first_step(tmp_path):
    seen = []

    def look(run):
        seen.append([path.name for path in checkpoints(tmp_path / "run")])

    settings = {**QUICK, "log_every": 1}
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=2, callbacks=[Calls(look)], **settings)
    trainer.fit()
    assert seen[0] == ["step-00000000"]


def test_equal_runs_are_equal_byte_for_byte(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


VARIANTS = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "r1": {"penalties": ("r1(weight=1,every=3)",), "loss": "relativistic"},
    "wgan-gp": {"penalties": ("wgan-gp(weight=10)",), "loss": "wasserstein", "discriminator_steps": 2},
    "augmented": {"augmentations": ("color", "translation", "cutout"), "flip": True},
    "accumulated": {"accumulate": 4, "clip_gradients": 1.0},
    "one-stage": {"updates": "one-stage", "accumulate": 2, "penalties": ("r1(weight=1)",), "augmentations": ("color",)},
    "timm's optimizer": {"optimizer": "lion", "generator_lr": "cosine(start=2e-4,warm_up=3)"},
    "small last batch": {"keep_last_batch": True, "batch_size": 16, "loss": "d2l", "ema_half_life": 0},
    "exact": {"speed": "exact", "loss": "non-saturating(smoothing=0.1)"},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run of a variant that nothing stops ends with; each is trained once."""

    @functools.cache
    def trained(variant):
        folder = tmp_path_factory.mktemp("whole") / "run"
        train(folder, gan=tiny(norm="none"), **VARIANTS[variant])
        return contents(folder)

    return trained


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop", [2, 5])  # with a line of the log, and between two
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, whole, variant, stop, capsys):
    changes = VARIANTS[variant]
    trainer = ganzoo.Trainer(
        tiny(norm="none"), images(), tmp_path / "cut", steps=11, callbacks=[StopAt(stop)], **{**QUICK, **changes}
    )
    result = trainer.fit()
    assert (result.finished, result.step) == (False, stop)
    assert (
        f"ganzoo.Trainer.resume({str(tmp_path / 'cut')!r}, data=..., callbacks=[...]).fit()" in capsys.readouterr().err
    )
    resumed = ganzoo.Trainer.resume(tmp_path / "cut", data=images(), callbacks=[StopAt(0)], progress=False).fit()
    assert resumed.finished
    assert contents(tmp_path / "cut") == whole(variant)


def test_a_one_stage_step_calls_the_discriminator_twice_an_alternating_one_three_times(tmp_path):
    def calls(updates, steps):
        seen, gan = [], tiny(norm="none")
        gan.discriminator.register_forward_hook(lambda *_: seen.append(1))
        train(tmp_path / f"{updates}-{steps}", steps, gan=gan, updates=updates, score_every=0, report_every=0)
        return len(seen)

    assert [calls(updates, 3) - calls(updates, 2) for updates in ("alternating", "one-stage")] == [3, 2]


def test_sigterm_stops_like_ctrl_c(tmp_path):
    trainer = ganzoo.Trainer(
        tiny(), images(), tmp_path / "run", steps=9, callbacks=[StopAt(4, signal.SIGTERM)], **QUICK
    )
    assert trainer.fit().step == 4
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_that_a_host_program_installed_in_c_is_left_alone(tmp_path, monkeypatch):
    def install(number, handler):
        assert number == signal.SIGINT and handler is not None
        return put(number, handler)

    put, before = signal.signal, signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else before)
    monkeypatch.setattr(signal, "signal", install)
    assert ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=1, **QUICK).fit().finished


def test_a_second_signal_stops_at_once(tmp_path):
    trainer = ganzoo.Trainer(
        tiny(), images(), tmp_path / "run", steps=9, callbacks=[StopAt(3), StopAt(3, signal.SIGTERM)], **QUICK
    )
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert checkpoints(tmp_path / "run")[0].name == "step-00000000"


def test_a_line_of_the_log_holds_the_means_of_the_steps_since_the_last(tmp_path):
    lines = {}
    for every in (1, 3):
        changes = {"score_every": 0, "sample_every": 0, "doctor_every": 0, "penalties": ("r1",)}
        train(tmp_path / str(every), steps=6, gan=tiny(norm="none"), log_every=every, **changes)
        found = map(json.loads, (tmp_path / str(every) / "log.jsonl").read_text().splitlines())
        lines[every] = torch.tensor([[entry[name] for name in FIGURES] for entry in found])
    torch.testing.assert_close(lines[3], lines[1].view(2, 3, 5).mean(1))


def test_every_grid_of_a_run_shows_the_same_latents(tmp_path):
    gan = tiny()
    exporter = ModelExporter(gan, open_data(images()), ganzoo.Settings(score_every=0), tmp_path)
    states = [SimpleNamespace(step=step, average=gan.generator, discriminator=gan.discriminator) for step in (5, 10)]
    one, other = (exporter.draw_samples(state).read_bytes() for state in states)
    assert one == other


def test_dropout_and_the_like_resume_exactly_too(tmp_path):
    def gan():
        torch.manual_seed(3)
        generator = nn.Sequential(nn.Linear(4, 64), nn.Dropout(), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
        return ganzoo.GAN(generator, nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 1)), latent_size=4)

    train(tmp_path / "whole", gan=gan())
    ganzoo.Trainer(gan(), images(), tmp_path / "cut", steps=11, callbacks=[StopAt(6)], **QUICK).fit()
    ganzoo.Trainer.resume(tmp_path / "cut", data=images(), gan=gan(), callbacks=[StopAt(0)], progress=False).fit()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_modules_of_one_s_own_train_and_come_back(tmp_path):
    def networks():
        generator = nn.Sequential(nn.ConvTranspose2d(4, 1, 8), nn.Tanh())
        return generator, nn.Sequential(nn.Conv2d(1, 1, 8), nn.Flatten())

    gan = ganzoo.GAN(*networks(), latent_shape=(4, 1, 1))
    train(tmp_path / "run", gan=gan, ema_half_life=0, score_every=0)
    again = ganzoo.GAN(*networks(), latent_shape=(4, 1, 1)).load_weights(tmp_path / "run")
    assert torch.equal(again.sample(3, seed=0), gan.sample(3, seed=0))
    with pytest.raises(TrainingError, match="gan="):
        ganzoo.Trainer.resume(tmp_path / "run", data=images())
    with pytest.raises(ganzoo.GanzooError, match="load_weights"):
        ganzoo.from_pretrained(tmp_path / "run")


def test_after_fit_the_networks_are_the_user_s_again(tmp_path):
    gan = tiny()
    forward, modes = gan.generator.forward, [module.training for module in gan.generator.modules()]
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    train(tmp_path / "run", gan=gan, precision="bf16")
    assert gan.generator.forward == forward and "forward" not in vars(gan.generator)
    assert [module.training for module in gan.generator.modules()] == modes
    for parameter in (*gan.generator.parameters(), *gan.discriminator.parameters()):
        assert parameter.dtype == torch.float32 and parameter.is_contiguous() and parameter.grad is None
    assert torch.equal(random, torch.get_rng_state()) and threads == torch.get_num_threads()


def test_the_saved_model_is_the_best_by_its_score(tmp_path):
    result = train(tmp_path / "run", steps=30, score_every=5)
    scores = {}
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "score" in entry:
            scores[entry["step"]] = entry["score"]
    assert result.best_step == min(scores, key=scores.get)
    assert result.best_score == min(scores.values())
    shorter = train(tmp_path / "short", steps=result.best_step, score_every=0, gan=tiny())
    assert shorter.best_step is None
    saved = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "short")]
    assert saved[0] == saved[1]


def test_the_saved_model_is_the_last_where_that_is_asked(tmp_path):
    result = train(tmp_path / "run", steps=30, score_every=5, keep="last")
    assert result.best_step == 30
    train(tmp_path / "unscored", steps=30, score_every=0, gan=tiny())
    saved = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "unscored")]
    assert saved[0] == saved[1]
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "of the last state, which was kept" in card and "the weights are of step 30" in card


def test_a_finished_run_says_so_and_changes_nothing(tmp_path, capsys):
    train(tmp_path / "run")
    before = contents(tmp_path / "run")
    result = ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
    assert result.finished and "is finished" in capsys.readouterr().err
    assert contents(tmp_path / "run") == before


def test_a_run_that_another_process_trains_is_refused_and_the_holder_is_named(tmp_path):
    said = []

    def train_it_too(run):
        if not said:
            with pytest.raises(TrainingError) as caught:
                ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[Calls(print)], progress=False).fit()
            said.append(str(caught.value))
            with pytest.raises(TrainingError, match="trains in"):
                train(tmp_path / "run", overwrite=True)

    ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=4, callbacks=[Calls(train_it_too)], **QUICK).fit()
    assert f"process {os.getpid()} on {socket.gethostname()} since 20" in said[0] and "trains in" in said[0]
    log = log_of(tmp_path / "run")
    assert [entry["step"] for entry in log if "generator_loss" in entry] == [2, 4]
    assert (
        ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[Calls(print)], progress=False).fit().finished
    )  # it is free again


def test_the_lock_dies_with_its_process(tmp_path):
    code = "import os, sys; from ganzoo.runs.folder import RunFolder; RunFolder(sys.argv[1]).held().__enter__(); "
    code += "print('held', flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True)
    assert (killed.stdout, killed.returncode) == ("held\n", -9)
    assert train(tmp_path / "run", steps=2).finished


def test_a_place_without_locks_is_trained_in_after_a_warning(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.warns(UserWarning, match="run offers no locks: let no other process train there"):
        assert train(tmp_path / "run", steps=2).finished


@pytest.mark.parametrize("name", ["model", "checkpoints", "samples", "log.jsonl"])
def test_what_another_program_wrote_under_a_run_s_names_is_never_deleted(tmp_path, name):
    foreign = tmp_path / "run" / name / "weights.bin" if name != "log.jsonl" else tmp_path / "run" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("months of work")
    for run_json in (None, '{"learning_rate": 1}', '{"format": 1}', "["):
        if run_json:
            (tmp_path / "run" / "run.json").write_text(run_json)
        with pytest.raises(TrainingError, match="name another folder"):
            train(tmp_path / "run", overwrite=True)
        assert foreign.read_text() == "months of work"


def test_a_replacement_that_was_interrupted_begins_again_though_the_old_run_was_evaluated(tmp_path):
    for interrupted in (False, True):
        train(tmp_path / "run", steps=2, overwrite=True)
        for name in ("evaluation.json", "evaluation.html"):
            (tmp_path / "run" / name).write_text("of the old model")
        if interrupted:
            (tmp_path / "run" / "run.json").unlink()  # which goes first
        assert train(tmp_path / "run", steps=2, overwrite=True).finished
        assert not [*(tmp_path / "run").glob("evaluation.*")]


def test_a_lost_model_is_written_again_from_the_best_checkpoint(tmp_path, monkeypatch, capsys):
    scores = iter([5.0, 1.0, 7.0, 6.0])  # of steps 3, 6, 9 and 11
    monkeypatch.setattr("ganzoo.runs.export.KernelScore", lambda real, channels: lambda fakes: next(scores))
    train(tmp_path / "run", keep="best")
    before = contents(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    result = ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
    assert (result.best_step, result.step) == (6, 11) and contents(tmp_path / "run") == before
    assert "is missing or damaged; it is written again, of step 6" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run" / "model")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    result = ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
    assert result.best_step is None and "The best model is lost" in capsys.readouterr().err
    for _ in range(2):  # also when it is resumed again
        card = (tmp_path / "run" / "model" / "README.md").read_text()
        assert "step 6 was kept" not in card and "| real images seen | 88 |" in card
        assert "kept in model/" not in (tmp_path / "run" / "report.html").read_text()
        result = ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
        assert result.best_step is None
    saved = load_file(tmp_path / "run" / "model" / "model.safetensors")
    state = load_file(tmp_path / "run" / "checkpoints" / "step-00000011" / "tensors.safetensors")
    assert all(torch.equal(value, state[f"average/{key}"]) for key, value in saved.items())


def test_where_the_last_is_kept_checkpoints_are_as_rare_as_was_asked(tmp_path):
    seen, run = set(), tmp_path / "run"

    def note(step):
        seen.update(path.name for path in checkpoints(run))

    settings = {**QUICK, "score_every": 2, "checkpoint_every": 8, "keep": "last"}
    result = ganzoo.Trainer(tiny(), images(), run, steps=20, callbacks=[Calls(note), StopAt(12)], **settings).fit()
    newest = [path.name for path in checkpoints(run)]
    assert seen == {"step-00000000", "step-00000008"} and newest == ["step-00000012", "step-00000008"]
    assert result.best_step == 12 and "the weights are of step 12" in (run / "model" / "README.md").read_text()
    saved = load_file(run / "model" / "model.safetensors")
    state = load_file(run / "checkpoints" / newest[0] / "tensors.safetensors")
    assert all(torch.equal(value, state[f"average/{key}"]) for key, value in saved.items())


def test_a_run_of_very_many_class_folders_can_be_resumed(tmp_path, monkeypatch):
    names = tuple(f"person {index:08d}" for index in range(56_000))
    data = dataclasses.replace(open_data(images()), class_names=names, labels=torch.zeros(40, dtype=torch.long))
    monkeypatch.setattr("ganzoo.training.trainer.open_data", lambda *_, **__: data)
    train(tmp_path / "run", steps=4, report_every=2)
    assert (tmp_path / "run" / "run.json").stat().st_size < 10_000  # nothing uses the names
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**facts, "padding": "x" * 3_000_000}))
    assert ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit().finished


@pytest.mark.parametrize(
    ("clusters", "words"),
    [(4, "clusters=4: .* has 2; make it with create"), ("2", 'must be 0 or a power of two from 2 .* got "2"')],
)
def test_a_trainer_refuses_clusters_that_the_gan_does_not_have(tmp_path, clusters, words):
    gan = ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, clusters=2)
    with pytest.raises(ConfigError, match=words):
        ganzoo.Trainer(gan, images(), tmp_path / "run", clusters=clusters, **QUICK)


def test_other_clusters_on_resume_are_refused(tmp_path, monkeypatch):
    gan = ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, clusters=2)
    ganzoo.Trainer(gan, images(), tmp_path / "run", steps=4, callbacks=[StopAt(2)], **QUICK).fit()
    assert ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[StopAt(0)], progress=False)
    monkeypatch.setattr(
        "ganzoo.data.clusters._halve", lambda _, chosen, *__: torch.zeros(len(chosen), dtype=torch.long)
    )
    with pytest.raises(TrainingError, match=r"other clusters .* Resume it where it was begun"):
        ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[StopAt(0)], progress=False)


def test_fit_leaves_the_random_state_of_a_device_as_it_was(tmp_path, monkeypatch):
    """Simulated: what the trainer seeds on a device is what it brings back there, and no other device is touched."""
    calls = []

    def seeds_all_devices(value):
        raise AssertionError("torch.manual_seed seeds all devices, which nobody brings back")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "manual_seed", seeds_all_devices)
        train(tmp_path / "run", steps=2, doctor_every=1)

    class Device:
        @staticmethod
        def device_count():
            return 2

        @staticmethod
        def get_rng_state(device):
            calls.append(("get", str(device)))
            return torch.zeros(1)

        @staticmethod
        def set_rng_state(state, device):
            calls.append(("set", str(device)))

        @staticmethod
        def manual_seed(value):
            calls.append(("seed", value))

    machine = Runtime(ganzoo.Settings())
    machine.device = torch.device("cuda", 1)
    monkeypatch.setattr(torch, "get_device_module", lambda *_: Device)
    before = torch.get_rng_state()
    with machine.random_kept():
        machine.seed(5)
        assert torch.initial_seed() == 5
    assert calls == [("get", "cuda:1"), ("seed", 5), ("set", "cuda:1")]
    assert torch.equal(before, torch.get_rng_state())


def test_a_trainer_that_is_kept_keeps_no_thread(tmp_path):
    before = threading.active_count()
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=4, callbacks=[StopAt(2)], **QUICK)
    assert not trainer.fit().finished and threading.active_count() == before
    assert trainer.fit().finished and threading.active_count() == before  # it goes on


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WORLD_SIZE", "2", "2 processes are launched.*ACCELERATE_USE_CPU=true"),
        ("OMPI_COMM_WORLD_SIZE", "4", "4 processes are launched.*ACCELERATE_USE_CPU=true"),
        ("ACCELERATE_USE_FSDP", "true", "FSDP splits a network"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "DEEPSPEED splits a network"),
    ],
)
def test_a_launch_that_this_trainer_does_not_know_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, variable, value, message
):
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=2, **QUICK)
    monkeypatch.setenv(variable, value)
    with pytest.raises(TrainingError, match=message):
        trainer.fit()
    assert not (tmp_path / "run").exists()


def test_of_several_launchers_variables_the_largest_counts_and_what_is_no_number_does_not(tmp_path, monkeypatch):
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=2, **QUICK)
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(TrainingError, match="4 processes are launched"):
        trainer.fit()
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "")
    monkeypatch.setenv("PMI_SIZE", "x")
    assert trainer.fit().finished


def test_what_could_not_be_read_back_does_not_begin(tmp_path, monkeypatch):
    hashes = iter("ab")  # as of a disk that gives back other bytes than it took
    monkeypatch.setattr("ganzoo.runs.checkpoint.sha256_of", lambda path: next(hashes))
    with pytest.raises(TrainingError, match="could not be resumed, so it does not begin"):
        train(tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_run_is_not_overwritten_unless_asked(tmp_path):
    train(tmp_path / "run", steps=2)
    with pytest.raises(TrainingError, match="holds a run already; go on with `ganzoo.Trainer.resume"):
        train(tmp_path / "run", steps=3)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["steps"] == 2
    train(tmp_path / "run", steps=3, overwrite=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["steps"] == 3


def test_a_folder_of_other_things_is_never_taken(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match="is not empty and holds no run"):
        train(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
@pytest.mark.parametrize("killed", [False, True])
def test_what_a_file_manager_wrote_does_not_hinder_a_new_run(tmp_path, name, killed):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / name).write_bytes(b"icons")
    (tmp_path / "checkpoints" / name).write_bytes(b"icons")
    if killed:
        (tmp_path / ".ganzoo.json").write_text("{}")
    ganzoo.runs.folder.RunFolder(tmp_path).check_free(overwrite=False)


def test_a_run_killed_before_its_first_checkpoint_is_begun_again(tmp_path):
    (tmp_path / "run" / ".model.1a2b.tmp").mkdir(parents=True)
    (tmp_path / "run" / "log.jsonl").touch()
    (tmp_path / "run" / "checkpoints").mkdir()
    with pytest.raises(TrainingError, match="is begun again"):
        ganzoo.Trainer.resume(tmp_path / "run", data=images())
    assert train(tmp_path / "run", steps=2).finished
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_model_of_another_library_in_a_run_is_not_replaced(tmp_path):
    train(tmp_path / "run")
    model = tmp_path / "run" / "model"
    (model / "config.json").write_text('{"model_type": "bert"}')
    weights = (model / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="of something else than a model of ganzoo, which would be replaced"):
        ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
    assert "bert" in (model / "config.json").read_text() and (model / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("config", [None, "{}"])
def test_a_model_whose_config_is_lost_or_damaged_is_written_again(tmp_path, config, capsys):
    train(tmp_path / "run")
    before, path = contents(tmp_path / "run"), tmp_path / "run" / "model" / "config.json"
    path.write_text(config) if config else path.unlink()
    ganzoo.Trainer.resume(tmp_path / "run", data=images(), progress=False).fit()
    assert "is missing or damaged; it is written again" in capsys.readouterr().err
    assert contents(tmp_path / "run") == before


def test_a_model_whose_config_goes_during_a_run_ends_it_with_the_way_on(tmp_path):
    def lose(run):
        (tmp_path / "run" / "model" / "config.json").unlink(missing_ok=True)

    with pytest.raises(TrainingError, match=r"of something else than a model.*Then: .*resume"):
        train(tmp_path / "run", callbacks=[Calls(lose)])


def test_a_trainer_of_a_run_whose_settings_were_changed_meanwhile_does_not_go_on(tmp_path):
    train(tmp_path / "run", callbacks=[StopAt(5)])
    trainers = [
        ganzoo.Trainer.resume(tmp_path / "run", images(), callbacks=[StopAt(step)], progress=False, **changes)
        for step, changes in ((6, {"steps": 20}), (7, {"generator_lr": 1e-4}))
    ]
    assert [each.fit().step for each in trainers[:1]] == [6]
    with pytest.raises(TrainingError, match=r"run.json has other settings by now .* Trainer.resume\("):
        trainers[1].fit()
    assert trainers[0].fit().step > 6
    other = ganzoo.Trainer.resume(tmp_path / "run", images(), callbacks=[StopAt(8)], progress=False, generator_lr=1e-4)
    other.fit()
    with pytest.raises(TrainingError, match="other settings by now"):
        trainers[0].fit()


def test_the_message_on_images_that_have_moved_says_how_to_name_their_new_place(tmp_path):
    (tmp_path / "old").mkdir()
    for number, image in enumerate(images()):
        Image.fromarray(image[0].numpy()).save(tmp_path / "old" / f"{number:02}.png")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    ganzoo.Trainer(tiny(), tmp_path / "old", tmp_path / "run", **{**QUICK, "steps": 2}).fit()
    (tmp_path / "old" / "00.png").write_bytes(b"none")
    with pytest.raises(DataError, match="00.png") as caught:  # they are there
        ganzoo.Trainer.resume(tmp_path / "run", progress=False, steps=3)
    assert "moved" not in str(caught.value)
    shutil.rmtree(tmp_path / "old")
    with pytest.raises(DataError, match="old.*if they have moved, name the new place: --data NEW_PLACE"):
        ganzoo.Trainer.resume(tmp_path / "run", progress=False, steps=3)
    with pytest.raises(DataError) as caught:
        ganzoo.Trainer.resume(tmp_path / "run", tmp_path / "nowhere", progress=False, steps=3)
    assert "NEW_PLACE" not in str(caught.value)
    assert ganzoo.Trainer.resume(tmp_path / "run", tmp_path / "new", progress=False, steps=3).fit().step == 3


def test_the_new_place_of_images_that_have_moved_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    for number, image in enumerate(images()):
        Image.fromarray(image[0].numpy()).save(f"old/{number:02}.png")
    for name, step in (("whole", 0), ("cut", 4)):
        ganzoo.Trainer(tiny(), "old", name, steps=8, callbacks=[StopAt(step)], **QUICK).fit()
    shutil.move("old", "new")
    assert ganzoo.Trainer.resume("cut", "new", callbacks=[StopAt(6)], progress=False).fit().step == 6
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ganzoo.Trainer.resume(tmp_path / "cut", callbacks=[StopAt(0)], progress=False).fit().finished
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["data"]["source"] == str(tmp_path / "new")


def test_a_run_that_goes_on_elsewhere_says_where_and_with_which_versions(tmp_path, capsys):
    from ganzoo.runs.folder import versions

    train(tmp_path / "run", steps=2, precision="float32")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    facts["machine"]["device"], facts["versions"] = "cuda", {"python": "3.9", "torch": "2.10"}
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    ganzoo.Trainer.resume(tmp_path / "run", images(), steps=3).fit()
    said = capsys.readouterr().err
    assert "on cpu (float32, begun on cuda): " in said
    assert f"run.json: the run began with torch 2.10, here is {versions()['torch']}: it may go on otherwise" in said
    assert "python" not in said and "ganzoo-torch" not in said
    ganzoo.Trainer.resume(tmp_path / "run", images(), progress=False)
    for recorded in ("none", None):  # a run of an earlier version, or one that is damaged there
        facts["versions"] = recorded
        (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
        capsys.readouterr()
        ganzoo.Trainer.resume(tmp_path / "run", images(), progress=False, steps=3)
        assert "began with" not in capsys.readouterr().err


def test_a_run_that_lost_its_run_json_is_not_taken_for_one_that_never_began(tmp_path):
    run = train(tmp_path / "run", steps=2).run
    (run / "run.json").unlink()
    before = contents(run)
    with pytest.raises(TrainingError, match="has lost its run.json.*--overwrite"):
        train(run, steps=2)
    assert contents(run) == before
    assert train(run, steps=2, overwrite=True).finished


def test_lost_lines_of_the_log_and_a_lost_state_are_said_on_resume(tmp_path, capsys):
    run = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=12, callbacks=[StopAt(10)], **QUICK).fit().run
    (run / "log.jsonl").write_bytes((run / "log.jsonl").read_bytes()[:100])
    ganzoo.Trainer.resume(run, data=images(), callbacks=[StopAt(0)], progress=False).fit()
    assert "log.jsonl has lost lines" in capsys.readouterr().err
    for folder in checkpoints(run):
        (folder / "state.json").unlink()
    with pytest.raises(TrainingError, match=r"state.json is missing.*ganzoo.* --from"):
        ganzoo.Trainer.resume(run, data=images(), callbacks=[StopAt(0)], progress=False).fit()


def test_other_data_on_resume_are_refused(tmp_path):
    ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=9, callbacks=[StopAt(4)], **QUICK).fit()
    other = images()
    other[0, 0, 0, 0] ^= 1
    with pytest.raises(TrainingError, match="is not the data that"):
        ganzoo.Trainer.resume(tmp_path / "run", data=other, callbacks=[StopAt(0)])
    with pytest.raises(TrainingError, match=r"the same images, with the labels that they had then \(or without"):
        ganzoo.Trainer.resume(tmp_path / "run", data=(images(), [0] * len(images())), callbacks=[StopAt(0)])
    with pytest.raises(TrainingError, match="data="):
        ganzoo.Trainer.resume(tmp_path / "run", callbacks=[StopAt(0)])
    with pytest.raises(TrainingError, match="gan differs from the one that"):
        ganzoo.Trainer.resume(tmp_path / "run", images(), tiny(activation="relu"), callbacks=[StopAt(0)])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that nothing stops, and one that is stopped at step 10; trained when they are first asked for."""

    @functools.cache
    def trained():
        root = tmp_path_factory.mktemp("stopped")
        train(root / "whole", steps=12)
        ganzoo.Trainer(tiny(), images(), root / "cut", steps=12, callbacks=[StopAt(10)], **QUICK).fit()
        return root

    return trained


@pytest.mark.parametrize("damage", ["short", "zeroed", "no state"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, stopped, capsys, damage):
    shutil.copytree(stopped() / "cut", tmp_path / "cut")
    newest = checkpoints(tmp_path / "cut")[0]
    content = (newest / "tensors.safetensors").read_bytes()
    if damage == "short":
        (newest / "tensors.safetensors").write_bytes(content[:100])
    elif damage == "zeroed":
        (newest / "tensors.safetensors").write_bytes(content[:-512] + bytes(512))
    else:
        (newest / "state.json").unlink()
    ganzoo.Trainer.resume(tmp_path / "cut", data=images(), callbacks=[StopAt(0)], progress=False).fit()
    assert "Trying the one before" in capsys.readouterr().err
    assert contents(tmp_path / "cut") == contents(stopped() / "whole")


def test_a_conditional_pair_trains_on_labelled_data(tmp_path):
    labels = torch.arange(40) % 3
    result = train(tmp_path / "run", gan=tiny(classes=3), data=(images(), labels))
    again = ganzoo.from_pretrained(result.model)
    assert again.num_classes == 3 and again.sample(2, seed=0, labels=[2, 0]).shape == (2, 1, 8, 8)
    with pytest.raises(ConfigError, match="has 3 classes"):
        train(tmp_path / "other", gan=tiny(classes=3))


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device (os error 28)")],
)
def test_a_disk_that_is_full_when_the_model_is_saved_is_said_and_the_run_goes_on_later(tmp_path, monkeypatch, error):
    def full(*_, **__):
        raise error

    def fill_the_disk(run=None):
        monkeypatch.setattr(weights_module, "save_file", full)

    room = weights_module.save_file
    settings = {**QUICK, "steps": 6, "score_every": 2, "log_every": 1}
    for callbacks, remedy in (
        ([], "begin the run again"),
        ([Calls(fill_the_disk)], r"ganzoo.Trainer.resume\(.*run', data=..., callbacks=\[...\]\).fit\(\)$"),
    ):
        if not callbacks:
            fill_the_disk()
        with pytest.raises(
            TrainingError, match=f"run/model can't be written.*No space left.*free disk space there.*Then.*{remedy}"
        ):
            ganzoo.Trainer(tiny(), images(), tmp_path / "run", callbacks=callbacks, **settings).fit()
        monkeypatch.setattr(weights_module, "save_file", room)
    assert (
        ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[Calls(print)], progress=False).fit().finished
    )


def test_epochs_are_passes_over_the_data(tmp_path):
    settings = {**QUICK, "batch_size": 8}
    for epochs in (3, np.int64(3), np.float32(3)):
        assert ganzoo.Trainer(tiny(), images(40), tmp_path / "a", epochs=epochs, **settings).settings.steps == 15
    assert (
        ganzoo.Trainer(tiny(), images(40), tmp_path / "a", epochs=3, discriminator_steps=5, **settings).settings.steps
        == 3
    )
    assert ganzoo.Trainer(tiny(), images(4), tmp_path / "a", epochs=20, **settings).settings.steps == 10
    with pytest.raises(ConfigError, match="steps and epochs are both given"):
        ganzoo.Trainer(tiny(), images(40), tmp_path / "b", epochs=3, steps=3, **settings)


def test_a_short_run_really_learns(tmp_path):
    """All images are bright discs: after a few hundred steps the samples' mean image must look like one."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    disc = (((x - 3.5) ** 2 + (y - 3.5) ** 2) < 8).float() * 2 - 1
    data = (disc + 0.1 * torch.randn(256, 1, 8, 8)).clamp(-1, 1)
    widths = {"widths": (32, 16)}
    gan = ganzoo.create("fashion-mnist", 8, widths, {"widths": (16, 32)}, seed=0)
    result = train(
        tmp_path / "run", steps=250, gan=gan, data=data, ema_half_life=500, score_every=0, batch_size=32, log_every=50
    )
    mean = ganzoo.from_pretrained(result.model).sample(64, seed=0).mean((0, 1))
    assert torch.corrcoef(torch.stack([mean.flatten(), disc.flatten()]))[0, 1] > 0.9


def test_a_preset_s_name_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = ganzoo.Trainer("fashion-mnist", data="fashion-mnist-mini", steps=1, progress=False)
    assert trainer.run.path.parts[-2:] == ("runs", "fashion-mnist")
    assert trainer.settings.generator_lr == ganzoo.PRESETS["fashion-mnist"].settings.generator_lr


def test_a_preset_that_has_no_name_is_trained_with_its_settings(tmp_path):
    known = ganzoo.PRESETS["fashion-mnist"]
    settings = known.settings.replace(loss="hinge", batch_size=8, clusters=2)
    preset = dataclasses.replace(known, settings=settings, data="fashion-mnist-mini")
    trainer = ganzoo.Trainer(preset, output_dir=tmp_path / "run", steps=3, progress=False)
    assert trainer.settings == settings.replace(steps=3) and trainer.gan.clusters == 2
    assert trainer.data.image_size == 28 and trainer.gan.preset is None
    again = ganzoo.create(preset, seed=settings.seed)
    assert torch.equal(again.sample(1, seed=0), trainer.gan.sample(1, seed=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gan": 3}, "gan must be a preset's name, a ganzoo.Preset or a ganzoo.GAN"),
        ({"gan": "fashion"}, 'Unknown preset "fashion"'),
        ({"gan": ganzoo.GAN(nn.Identity(), latent_size=1)}, "data must be given"),
        ({"gan": ganzoo.GAN(nn.Identity(), latent_size=1), "data": images()}, "no discriminator to train against"),
        ({"stpes": 3}, 'stpes is unknown. Did you mean "steps"'),
        ({"data": "nowhere"}, "nowhere"),
        ({"data": torch.zeros(3)}, "tensor"),
        ({"epochs": float("nan")}, "epochs must be at least 1e-06 and at most 1000000, got NaN"),
        ({"epochs": -3}, "epochs must be at least 1e-06 and at most 1000000, got -3"),
        ({"epochs": "3"}, 'epochs must be a float, got "3"'),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(tmp_path, arguments, message):
    given = {"gan": "fashion-mnist", "data": "fashion-mnist-mini", "progress": False, **arguments}
    with pytest.raises(ganzoo.GanzooError, match=message):
        ganzoo.Trainer(
            given.pop("gan"),
            given.pop("data")
            if "data" in arguments or isinstance(arguments.get("gan"), str) or "gan" not in arguments
            else None,
            tmp_path / "run",
            **{k: v for k, v in given.items() if k != "data"},
        )
    assert not (tmp_path / "run").exists()


def test_fp16_without_cuda_is_an_error_that_names_the_remedy(tmp_path):
    with pytest.raises(TrainingError, match="fp16 needs a CUDA device, this is cpu; choose bf16"):
        train(tmp_path / "run", precision="fp16")


def test_a_device_that_is_refused_is_not_the_next_run_s(tmp_path):
    from accelerate.state import PartialState

    for device in ("cpu", None):
        with pytest.raises(TrainingError, match="this is cpu"):
            ganzoo.Trainer(tiny(), images(), tmp_path / "run", precision="fp16", device=device).fit()
        assert (not PartialState._shared_state) == (device == "cpu")


def test_a_run_in_fp16_is_not_resumed_without_cuda_and_the_remedy_is_one_that_is_taken(tmp_path):
    train(tmp_path / "run", steps=2)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    facts["machine"]["precision"] = "fp16"
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(
        TrainingError,
        match="needs a CUDA device, this is cpu; go on with the run on one, or begin a new one here: ganzoo",
    ):
        ganzoo.Trainer.resume(tmp_path / "run", images()).fit()


def test_two_runs_of_other_precisions_in_one_python(tmp_path):
    for index, precision in enumerate(("bf16", "float32", "bf16")):
        train(tmp_path / str(index), steps=2, precision=precision)
        facts = json.loads((tmp_path / str(index) / "run.json").read_text())
        assert facts["machine"]["precision"] == precision


def test_precision_and_memory_format_are_a_rule():
    one, other = (Runtime(ganzoo.Settings()).config for _ in range(2))
    assert one == other
    assert Runtime(ganzoo.Settings(speed="exact", precision="float32")).config.memory_format == "contiguous"


class Poison(Callback):
    """Puts NaN into the generator after a step, a number of times."""

    def __init__(self, step, times):
        self.step, self.times = step, times

    def on_log(self, run, entry):
        if run.step == self.step and "generator_loss" in entry and self.times:
            self.times -= 1
            next(run.gan.generator.parameters()).data.fill_(float("nan"))


def test_after_nan_the_run_goes_back_to_the_last_checkpoint_at_a_lower_rate(tmp_path):
    settings = {**QUICK, "generator_lr": 1e-3, "discriminator_lr": 2e-3}
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=11, callbacks=[Poison(6, 2)], **settings)
    result = trainer.fit()
    assert result.finished
    log = log_of(tmp_path / "run")
    assert [entry["step"] for entry in log if entry.get("remark") == "not-finite"] == [6]
    assert all(torch.isfinite(value).all() for value in trainer.gan.generator.state_dict().values())
    said = "losses are not finite; back to step 4 (return 2 of 3), at 0.25 of the learning rates"
    assert said in (tmp_path / "run" / "log.jsonl").read_text()
    assert f"| at step 6 | {said} |" in (tmp_path / "run" / "model" / "README.md").read_text()
    state = json.loads((checkpoints(tmp_path / "run")[0] / "state.json").read_text())
    rates = [state[f"{name}_optimizer"]["groups"][0]["lr"] for name in ("generator", "discriminator")]
    assert state["rollbacks"] == 2 and rates == [1e-3 / 4, 2e-3 / 4]


def test_nan_that_comes_again_and_again_ends_the_run_with_its_good_checkpoint(tmp_path):
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=11, callbacks=[Poison(6, 9)], **QUICK)
    with pytest.raises(TrainingError, match="not finite at step 6, again after 3 returns.*penalty r1"):
        trainer.fit()
    assert checkpoints(tmp_path / "run")[0].name == "step-00000004"
    assert "losses are not finite" in (tmp_path / "run" / "report.html").read_text()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    settings = {**QUICK, "log_every": 4, "checkpoint_every": 4}
    trainer = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=8, callbacks=[Poison(4, 1)], **settings)
    assert trainer.fit().finished  # the hook of step 4's log line runs just before the checkpoint of step 4
    for folder in checkpoints(tmp_path / "run"):
        tensors = load_file(folder / "tensors.safetensors")
        assert all(value.isfinite().all() for value in tensors.values() if value.is_floating_point())


def test_trackers_get_the_figures_and_a_missing_one_is_an_error(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'ganzoo-torch[trackers]'")
    train(tmp_path / "run", trackers=("tensorboard",))
    assert list((tmp_path / "run").rglob("events.out.tfevents.*"))
    monkeypatch.setattr("ganzoo.training.runtime.find_spec", lambda name: None)
    with pytest.raises(ganzoo.GanzooError, match="trackers: wandb is not installed; pip install wandb"):
        train(tmp_path / "other", trackers=("wandb",))
    with pytest.raises(ConfigError, match="must be one of tensorboard, trackio, wandb"):
        train(tmp_path / "third", trackers=("tensorbord",))


@pytest.fixture
def tracked(monkeypatch):
    """A module in place of wandb: what its runs were begun with, and the figures that they got."""
    begun, figures = [], []
    wandb = ModuleType("wandb")
    wandb.__spec__ = ModuleSpec("wandb", None)
    run = SimpleNamespace(log=lambda values, step: figures.append(values), finish=lambda: None)
    wandb.config = SimpleNamespace(update=lambda *_, **__: None)
    wandb.init = lambda **options: begun.append(options) or run
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr("accelerate.tracking._available_trackers", [LoggerType.WANDB])
    return begun, figures


def test_runs_are_tracked_by_their_names_in_one_project(tmp_path, tracked):
    train(tmp_path / "garments", steps=2, trackers=("wandb",))
    assert tracked[0] == [{"project": "ganzoo", "name": "garments"}]


def test_trackers_get_numbers_alone(tmp_path, tracked):
    train(tmp_path / "run", trackers=("wandb",))
    assert {"score", "generator_loss"} <= {name for values in tracked[1] for name in values}
    assert {type(value) for values in tracked[1] for value in values.values()} == {float}


def test_a_penalty_behind_batch_norm_warns_and_says_why(tmp_path, recwarn):
    with pytest.warns(UserWarning, match="every image of a batch moves every logit.*discriminator.norm=layer"):
        train(tmp_path / "norm", steps=1, penalties=("r1",))
    recwarn.clear()
    train(tmp_path / "none", steps=1, penalties=("r1",), gan=tiny(norm="layer"))
    assert not [each for each in recwarn if "batch norm" in str(each.message)]


def test_the_model_and_the_checkpoints_never_part(tmp_path, monkeypatch):
    scores = iter([5.0, 1.0, 7.0, 6.0, 6.0])  # the best is that of step 6; step 8 goes back behind it or not
    monkeypatch.setattr("ganzoo.runs.export.KernelScore", lambda real, channels: lambda fakes: next(scores))
    settings = {**QUICK, "checkpoint_every": 100, "keep": "best"}
    result = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=12, callbacks=[Poison(8, 1)], **settings).fit()
    assert result.best_step == 6
    saved = load_file(tmp_path / "run" / "model" / "model.safetensors")
    state = load_file(tmp_path / "run" / "checkpoints" / "step-00000006" / "tensors.safetensors")
    assert all(torch.equal(value, state[f"average/{key}"]) for key, value in saved.items())


def test_an_optimizer_of_timm_whose_options_count_steps_resumes_exactly(tmp_path):
    train(tmp_path / "whole", optimizer="lamb")
    settings = {**QUICK, "optimizer": "lamb"}
    ganzoo.Trainer(tiny(), images(), tmp_path / "cut", steps=11, callbacks=[StopAt(6)], **settings).fit()
    ganzoo.Trainer.resume(tmp_path / "cut", data=images(), callbacks=[StopAt(0)], progress=False).fit()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", ["adan", "adahessian", pytest.param("kron", marks=pytest.mark.slow)])  # kron compiles
def test_an_optimizer_that_cannot_be_used_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(ConfigError, match=f'optimizer "{name}" can\'t be used here'):
        train(tmp_path / "run", optimizer=name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["log.jsonl", "timing.jsonl"])
def test_a_line_that_a_power_cut_left_half_written_is_gone_after_resuming(tmp_path, name):
    ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=9, callbacks=[StopAt(4)], **QUICK).fit()
    with open(tmp_path / "run" / name, "ab") as file:
        file.write(b'{"step": 5, "imag')
    ganzoo.Trainer.resume(tmp_path / "run", data=images(), callbacks=[StopAt(0)], progress=False).fit()
    lines = (tmp_path / "run" / name).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines][-1] == 9


def test_one_image_trains_but_has_no_score(tmp_path):
    settings = {"batch_size": 1, "keep_last_batch": True}
    assert train(tmp_path / "run", data=images(1), gan=tiny(norm="none"), **settings).best_score is None
    ganzoo.Trainer.resume(tmp_path / "run", data=images(1), progress=False)


class Own(nn.Module):
    """A conditional network of a user's own: (N, 4) to images, or images to logits."""

    def __init__(self, makes):
        super().__init__()
        self.makes, self.linear, self.classes = makes, nn.Linear(*(4, 64) if makes else (64, 1)), nn.Embedding(2, 64)

    def forward(self, x, labels):
        if self.makes:
            return torch.tanh(self.linear(x) + self.classes(labels)).view(-1, 1, 8, 8)
        return self.linear(x.flatten(1) * self.classes(labels))


def test_a_conditional_pair_of_one_s_own_is_resumed(tmp_path):
    def gan():
        torch.manual_seed(0)
        return ganzoo.GAN(Own(True), Own(False), latent_size=4, num_classes=2)

    data = images(), torch.arange(40) % 2
    train(tmp_path / "whole", gan=gan(), data=data)
    ganzoo.Trainer(gan(), data, tmp_path / "cut", steps=11, callbacks=[StopAt(6)], **QUICK).fit()
    ganzoo.Trainer.resume(tmp_path / "cut", data=data, gan=gan(), callbacks=[StopAt(0)], progress=False).fit()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_named_set_stays_a_name_beside_a_folder_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train("fashion-mnist-mini", data="fashion-mnist-mini", steps=2)
    assert (
        json.loads((tmp_path / "fashion-mnist-mini" / "run.json").read_text())["data"]["source"] == "fashion-mnist-mini"
    )
    assert ganzoo.Trainer.resume("fashion-mnist-mini", progress=False).fit().finished


def test_a_path_is_recorded_as_it_can_be_opened_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    assert _absolute("set") == _absolute(tmp_path / "set") == str(tmp_path / "set")
    assert _absolute("hf:./set?stream=yes") == f"hf:{tmp_path / 'set'}?stream=yes"
    assert _absolute("hf:set?stream=yes") == f"hf:{tmp_path / 'set'}?stream=yes"
    assert _absolute("hf:part-*.tar") == f"hf:{tmp_path / 'part-*.tar'}"
    assert _absolute("hf:./part-*.tar?stream=yes") == f"hf:{tmp_path / 'part-*.tar'}?stream=yes"
    assert _absolute("hf:owner/set?split=test") == "hf:owner/set?split=test"


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        (["train", "--token", "abc", "--steps", "3"], "train --token '***' --steps 3"),
        (["--hf-token=abc", "--API_KEY", "abc"], "'--hf-token=***' --API_KEY '***'"),
        (["--token", "--steps", "3"], "--token --steps 3"),
        (["push", "hf_" + "a" * 30, "https://me:word@host/x"], "push '***' 'https://***@host/x'"),
        (["train", "--set", "batch_size=8", "--output", "my run"], "train --set batch_size=8 --output 'my run'"),
    ],
)
def test_the_recorded_command_holds_no_secret(monkeypatch, given, recorded):
    monkeypatch.setattr("sys.argv", ["/usr/bin/mine.py", *given])
    assert command() == f"mine.py {recorded}"


@pytest.mark.parametrize(
    "given, recorded",
    [
        (["/env/ipykernel_launcher.py", "-f", "/home/anna/kernel-1b2.json"], "a notebook"),
        (["/env/colab_kernel_launcher.py", "-f", "/root/kernel.json"], "a notebook"),
        (["-c", "3"], "python -c ... 3"),
    ],
)
def test_of_a_notebook_no_path_of_its_kernel_is_recorded(monkeypatch, given, recorded):
    monkeypatch.setattr("sys.argv", given)
    assert command() == recorded


def test_ctrl_c_at_the_last_step_asks_for_no_resuming(tmp_path, capsys):
    result = ganzoo.Trainer(tiny(), images(), tmp_path / "run", steps=4, callbacks=[StopAt(4)], **QUICK).fit()
    assert result.finished and "Go on with" not in capsys.readouterr().err


def test_a_run_is_begun_anew_where_its_model_is_a_link(tmp_path):
    train(tmp_path / "run", steps=2)
    (tmp_path / "run" / "model").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "model").symlink_to(tmp_path / "elsewhere")
    assert train(tmp_path / "run", steps=2, gan=tiny(), overwrite=True).finished
    assert (tmp_path / "elsewhere" / "model.safetensors").is_file()


def test_a_model_with_classes_is_scored_by_samples_of_the_real_images_classes(tmp_path, monkeypatch):
    asked = []

    def score(real, channels):
        return lambda fakes: float(sum(map(len, fakes)))

    batches = ganzoo.GAN.batches
    monkeypatch.setattr("ganzoo.runs.export.KernelScore", score)
    monkeypatch.setattr(
        ganzoo.GAN, "batches", lambda self, *given, **named: asked.append(named) or batches(self, *given, **named)
    )
    labels = (torch.arange(20) % 5 == 0).long()
    data = (torch.zeros(20, 1, 8, 8, dtype=torch.uint8) + labels.view(-1, 1, 1, 1).byte(), labels)
    gan = ganzoo.GAN(Own(True), Own(False), latent_size=4, num_classes=2)
    settings = {"steps": 2, "batch_size": 4, "score_every": 2, "sample_every": 0, "report_every": 0, "doctor_every": 0}
    ganzoo.Trainer(gan, data, tmp_path / "run", progress=False, **settings).fit()
    scored = [each["labels"] for each in asked if each.get("precision") == "fast"]
    assert [each.bincount().tolist() for each in scored] == [[80, 20]]  # of 100, as conftest.py sets it
