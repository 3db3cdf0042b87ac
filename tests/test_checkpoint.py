"""Checkpoints: whole or not at all, whatever fails while one is written."""

import hashlib
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn

import ganzoo.runs.checkpoint as checkpointing
from ganzoo.errors import TrainingError, WeightsError
from ganzoo.runs.checkpoint import TrainingState, checkpoints, load_checkpoint, save_checkpoint
from ganzoo.runs.folder import RunFolder
from ganzoo.settings import Settings
from ganzoo.training.checkpoint_manager import CheckpointManager
from ganzoo.training.ema import AveragedGenerator
from ganzoo.training.method import Method
from ganzoo.training.optimizers import make_optimizer


def make_state(seed=0, optimizer="adam", memory_format=torch.contiguous_format):
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.ConvTranspose2d(2, 3, 4), nn.BatchNorm2d(3)).to(memory_format=memory_format)
    discriminator = nn.Sequential(nn.Conv2d(3, 4, 4), nn.Flatten()).to(memory_format=memory_format)
    settings = Settings(optimizer=optimizer)
    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        average=AveragedGenerator(generator, 100).network,
        generator_optimizer=make_optimizer(generator, 0.01, settings),
        discriminator_optimizer=make_optimizer(discriminator, 0.01, settings),
        sums=[0.0],
    )


def advance(state, steps=1):
    for _ in range(steps):
        torch.manual_seed(state.step)
        logits = state.discriminator(state.generator(torch.randn(4, 2, 1, 1)))
        for optimizer in state.optimizers().values():
            optimizer.zero_grad()
        logits.square().mean().backward()
        for optimizer in state.optimizers().values():
            optimizer.step()
        state.step += 1
        for mine, theirs in zip(state.average.parameters(), state.generator.parameters()):
            mine.detach().lerp_(theirs.detach(), 0.5)
    state.sums, state.summed, state.memory = [0.1 + 0.2], 3, {"seen": [1, 2.5, None]}
    return state


def tensors(state):
    found = {}
    for name, network in state.networks().items():
        found.update({f"{name}/{key}": value.clone() for key, value in network.state_dict().items()})
    for name, optimizer in state.optimizers().items():
        for index, values in optimizer.state_dict()["state"].items():
            found.update({f"{name}/{index}/{k}": v.clone() for k, v in values.items() if isinstance(v, torch.Tensor)})
    return found


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "rmsprop", "sgd", "lion"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_checkpoint_holds_everything(tmp_path, optimizer, memory_format):
    state = advance(make_state(0, optimizer, memory_format), 3)
    folder = save_checkpoint(state, tmp_path)
    again = make_state(1, optimizer, memory_format)
    load_checkpoint(again, folder)
    assert_equal(tensors(again), tensors(state))
    assert (again.step, again.sums, again.summed, again.memory) == (3, [0.1 + 0.2], 3, {"seen": [1, 2.5, None]})
    assert_equal(tensors(advance(again, 2)), tensors(advance(state, 2)))


def test_tied_weights_are_held_and_come_back_tied(tmp_path):
    def tied(seed):
        state = make_state(seed)
        for network in (state.generator, state.average):
            network.append(nn.Conv2d(3, 3, 1)).append(nn.Conv2d(3, 3, 1))
            network[3].weight = network[2].weight
        state.generator_optimizer = make_optimizer(state.generator, 0.01, Settings())
        return state

    state, again = advance(tied(0), 2), tied(1)
    load_checkpoint(again, save_checkpoint(state, tmp_path))
    assert_equal(tensors(again), tensors(state))
    assert again.generator[3].weight is again.generator[2].weight
    assert_equal(tensors(advance(again, 2)), tensors(advance(state, 2)))


def test_a_checkpoint_is_safetensors_and_json(tmp_path):
    folder = save_checkpoint(advance(make_state()), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["state.json", "tensors.safetensors"]


def test_other_processes_take_the_checkpoint_that_the_main_one_could_read(tmp_path):
    older = tensors(advance(make_state()))
    state = advance(make_state())
    save_checkpoint(state, tmp_path)
    save_checkpoint(advance(state), tmp_path)
    answers = iter([1, (0.5, 1)])  # the main process found the checkpoint of step 2 damaged, this one would not
    machine = SimpleNamespace(processes=2, is_main=False, agree=lambda mine: next(answers))
    other = make_state(seed=1)
    CheckpointManager(RunFolder(tmp_path), machine, None).restore(other)
    assert (other.step, other.best_score, other.best_step) == (1, 0.5, 1)
    assert_equal(tensors(other), older)


def test_the_newest_two_and_the_best_stay(tmp_path):
    state = make_state()
    for step in range(6):
        advance(state)
        if step == 1:
            state.best_step = state.step
        save_checkpoint(state, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000006", "step-00000005", "step-00000002"]


WRITES = [
    (os, "fsync"),
    (os, "replace"),
    (Path, "mkdir"),
    (Path, "write_text"),
    (checkpointing, "save_file"),
]


class Faults:
    """Lets `allowed` writes and renames through, and fails at the next."""

    def __init__(self, monkeypatch, allowed):
        self.calls, self.allowed = 0, allowed
        for owner, name in WRITES:
            monkeypatch.setattr(owner, name, self.wrap(getattr(owner, name)))

    def wrap(self, call):
        def counted(*arguments, **options):
            self.calls += 1
            if self.calls > self.allowed:
                raise OSError(28, "No space left on device")
            return call(*arguments, **options)

        return counted


def count_writes(tmp_path):
    save_checkpoint(make_state(), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, allowed=10**9)
        save_checkpoint(advance(make_state()), tmp_path)
    return faults.calls


@pytest.mark.parametrize("fault", range(10))
def test_a_fault_at_any_write_or_rename_leaves_the_last_checkpoint(tmp_path, monkeypatch, fault):
    assert count_writes(tmp_path / "count") == 10, "a write was added or taken away: cover it here"
    state = advance(make_state(), 1)
    good = save_checkpoint(state, tmp_path / "run")
    (tmp_path / "run" / "run.json").touch()  # as after a run's first checkpoint
    expected = {path.name: path.read_bytes() for path in good.iterdir()}
    advance(state, 1)
    with monkeypatch.context() as patch:
        Faults(patch, allowed=fault)
        if fault < 9:
            with pytest.raises(TrainingError, match="No space left on device.*ganzoo train --resume"):
                save_checkpoint(state, tmp_path / "run")
        else:  # the checkpoint stands already when its parent's names are flushed
            with pytest.raises(TrainingError):
                save_checkpoint(state, tmp_path / "run")
    assert {path.name: path.read_bytes() for path in good.iterdir()} == expected
    newest = checkpoints(tmp_path / "run")[0]
    load_checkpoint(make_state(), newest)
    assert not list((tmp_path / "run").rglob("*.tmp"))
    save_checkpoint(state, tmp_path / "run")
    assert checkpoints(tmp_path / "run")[0].name == "step-00000002"


def reseal(folder, **changes):
    """Change tensors of a checkpoint, and the hash with them."""
    file = folder / "tensors.safetensors"
    safetensors.torch.save_file({**safetensors.torch.load_file(file), **changes}, file)
    numbers = json.loads((folder / "state.json").read_text())
    numbers["sha256"]["tensors.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "state.json").write_text(json.dumps(numbers))


MOMENT = "discriminator_optimizer/0/exp_avg"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (MOMENT, torch.zeros(1)),  # fused Adam would write behind its end
        (MOMENT, torch.zeros(4, 3, 4, 4, dtype=torch.float64)),
        (MOMENT, torch.zeros(4, 4, 3, 4)),
        ("discriminator_optimizer/0/momentum", torch.zeros(4, 3, 4, 4)),
        ("discriminator_optimizer/0/step", torch.zeros(2)),
    ],
)
def test_an_optimizer_s_state_has_the_names_shapes_and_types_that_it_makes_itself(tmp_path, name, value):
    folder = save_checkpoint(advance(make_state()), tmp_path)
    reseal(folder)
    load_checkpoint(make_state(1), folder)
    reseal(folder, **{name: value})
    with pytest.raises(WeightsError, match="discriminator_optimizer/0"):
        load_checkpoint(make_state(1), folder)


def test_a_page_of_zeros_is_found_by_its_hash(tmp_path):
    folder = save_checkpoint(advance(make_state()), tmp_path)
    content = bytearray((folder / "tensors.safetensors").read_bytes())
    content[-64:] = bytes(64)
    (folder / "tensors.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="another sha256"):
        load_checkpoint(make_state(), folder)


def test_the_scaler_of_fp16_goes_on_where_it_was(tmp_path):
    def with_scaler(scale):
        state = make_state()
        state.method = Method(Settings(), torch.amp.GradScaler("cpu", init_scale=scale))
        return state

    state = with_scaler(512.0)
    state.method.scaler.load_state_dict({**state.method.scaler.state_dict(), "_growth_tracker": 1234})
    folder, again = save_checkpoint(state, tmp_path), with_scaler(65536.0)
    load_checkpoint(again, folder)
    scaler = again.method.scaler
    assert scaler.state_dict() == state.method.scaler.state_dict()
    assert (scaler.get_scale(), scaler._growth_tracker or scaler._init_growth_tracker) == (512, 1234)
    other = make_state()
    other.method = Method(Settings())
    with pytest.raises(WeightsError, match="scaler is"):
        load_checkpoint(other, folder)


def test_steps_of_nine_digits_are_newer_than_those_of_eight(tmp_path):
    state = make_state()
    for step in (99_999_998, 99_999_999, 100_000_000, 100_000_001):
        state.step = step
        save_checkpoint(state, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-100000001", "step-100000000"]


def test_a_checkpoint_holds_any_number_of_tensors(tmp_path):
    def many():
        state = make_state()
        for index in range(6_000):
            state.discriminator.register_buffer(f"buffer_{index}", torch.zeros(1))
        return state

    state = many()
    state.discriminator.buffer_7.fill_(7)
    load_checkpoint(again := many(), save_checkpoint(state, tmp_path))
    assert float(again.discriminator.buffer_7) == 7


@pytest.mark.parametrize(
    "damage, said",
    [
        ("truncated", "safetensors"),
        ("empty", "safetensors"),
        ("pickle", "safetensors"),
        ("no json", "state.json"),
        ("no state", "state.json is missing"),
        ("another layer", "generator/2.weight.* belongs to nothing"),
        ("a layer of another size", r"generator/0.bias is float32 .*5.*, not float32 .*3"),
        ("lost", "tensors.safetensors is missing"),
        ("another step", "step is 1"),
        ("more sums", "sums are"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, damage, said):
    folder = save_checkpoint(advance(make_state()), tmp_path)
    file = folder / "tensors.safetensors"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "pickle":
        torch.save({"a": torch.zeros(1)}, file)
    elif damage == "no json":
        (folder / "state.json").write_text("[")
    elif damage == "no state":
        (folder / "state.json").unlink()
    elif damage == "another layer":
        reseal(folder, **{"generator/2.weight": torch.zeros(1)})
    elif damage == "a layer of another size":
        reseal(folder, **{"generator/0.bias": torch.zeros(5)})
    elif damage == "another step":
        folder = folder.rename(folder.with_name("step-00000002"))
    elif damage == "more sums":
        numbers = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps({**numbers, "sums": [0.0, 0.0]}))
    else:
        file.unlink()
    with pytest.raises(WeightsError, match=said):
        load_checkpoint(make_state(), folder)


@pytest.mark.parametrize("broken", ["nothing", "losses", "weights"])
def test_a_state_is_sound_if_its_losses_and_its_weights_are_finite(tmp_path, broken):
    state, losses = make_state(), torch.zeros(2)
    if broken != "nothing":
        {"losses": losses, "weights": state.average[0].bias.data}[broken][1] = math.nan
    manager = CheckpointManager(RunFolder(tmp_path), SimpleNamespace(mean=lambda tensor: tensor), None)
    assert manager.is_sound(state, losses) == (broken == "nothing")
