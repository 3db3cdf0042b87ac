"""Two real processes (gloo, on the CPU): what they share, what they divide, and who writes."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from forked import run_file
from tiny import log_of

WORKER = Path(__file__).with_name("process_worker.py")
ENVIRONMENT = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def results(folder, processes):
    ranks = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(processes)]
    return ranks, log_of(folder / "run")


def launch(folder, processes, **options):
    """Processes of torch's own launcher; returns what each has seen, the log, and what was printed."""
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launcher, str(WORKER), str(folder), json.dumps(options)]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return *results(folder, processes), done.stdout + done.stderr


def fork(children, folder, processes, fails=False, **options):
    """The same with forked processes, which need not import torch first."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(held.getsockname()[1])}
    begun = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), **place}
        own = {**ENVIRONMENT, **(own if processes > 1 else {}), "LOCAL_WORLD_SIZE": str(processes)}
        given = [str(folder), json.dumps(options)]
        begun.append(children.Process(target=run_file, args=(WORKER, given, folder, folder / f"said-{rank}", own)))
        begun[-1].start()
    for child in begun:
        child.join(100)
        child.kill()
        child.join()
    said = "".join((folder / f"said-{rank}").read_text() for rank in range(processes))
    if fails:
        assert any(child.exitcode for child in begun) and not (folder / "run").exists()
        return [], [], said
    assert not any(child.exitcode for child in begun), said[-3000:]
    return *results(folder, processes), said


@pytest.fixture(scope="module")
def pair(children, tmp_path_factory):
    root = tmp_path_factory.mktemp("processes")
    return fork(children, root / "one", 1, steps=6), launch(root / "two", 2, steps=6)


def test_two_processes_print_nothing_of_what_torch_plans(pair):
    assert "deprecated" not in pair[1][2]


def test_two_processes_name_the_model_once(pair):
    assert [len(re.findall(r"^model.*: .*/run/model$", said, re.MULTILINE)) for *_, said in pair] == [1, 1]


def test_parameters_are_equal_on_all_ranks(pair):
    ranks = pair[1][0]
    assert ranks[0]["state"] == ranks[1]["state"]


def test_one_process_s_wish_stops_all_and_none_slows_down_alone(children, tmp_path):
    ranks, log, said = fork(children, tmp_path / "two", 2, steps=9, wish="stop")
    assert ranks[0]["state"] == ranks[1]["state"] and log[-1]["step"] == 3 and log[-1]["stopped"] == "enough"
    assert said.count("Stopped at step 3 and saved: enough") == 1


def test_a_callback_that_fails_on_one_process_ends_all_after_a_checkpoint(children, tmp_path):
    with pytest.raises(AssertionError, match="callback Wish fails at step 3 .RuntimeError"):
        fork(children, tmp_path / "two", 2, steps=9, wish="fail")
    assert (tmp_path / "two" / "run" / "checkpoints" / "step-00000003").is_dir()


def test_the_data_is_split_without_overlap(pair):
    (alone,), (first, second) = pair[0][0], pair[1][0]
    for whole, one, other in zip(alone["seen"], first["seen"], second["seen"], strict=True):
        assert len(one) == len(other) == 8
        assert one + other == whole


def test_one_or_two_processes_have_the_same_losses(pair):
    """Without batch norm, to 1e-4: sums are taken in another order."""
    logs = [[entry for entry in log if "generator_loss" in entry] for _, log, _ in pair]
    assert len(logs[0]) == len(logs[1]) == 6
    for one, two in zip(*logs):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)


def test_a_summed_loss_means_the_same_on_two_processes(children, tmp_path):
    given = {"steps": 3, "loss": "d2l", "optimizer": "sgd", "generator_lr": 0.01, "discriminator_lr": 0.01}
    logs = [fork(children, tmp_path / str(count), count, **given, penalties=["r1(weight=10)"])[1] for count in (1, 2)]
    for one, two in zip(*([entry for entry in log if "generator_loss" in entry] for log in logs), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)


def test_losses_of_a_resumed_run_are_those_of_all_processes(children, tmp_path):
    whole = fork(
        children, tmp_path / "two", 2, steps=4, log_every=4, checkpoint_every=3, sample_every=0, score_every=0
    )[1]
    again = fork(children, tmp_path / "two", 2, resume=True, at=3)[1]
    assert again[-1]["step"] == 4 and again[-1] == whole[-1]


def test_augmentations_and_penalties_draw_as_one_process_does(children, tmp_path):
    """Each image's draws follow from its place in the batch, whichever process and accumulated part holds it."""
    given = {"steps": 3, "loss": "wasserstein", "optimizer": "sgd", "generator_lr": 0.01, "discriminator_lr": 0.01}
    given |= {"penalties": ["wgan-gp(weight=10)"], "augmentations": ["color", "translation", "cutout"]}
    given |= {"generator_penalties": ["path-length(weight=2,decay=1)"], "doctor_every": 0}  # its figure: the length
    logs = [fork(children, tmp_path / str(count), count, **given, accumulate=count)[1] for count in (1, 2)]
    for one, two in zip(*([entry for entry in log if "generator_loss" in entry] for log in logs), strict=True):
        assert one["path_length"] > 0 and two == pytest.approx(one, rel=1e-4, abs=1e-5)


def test_ada_adapts_on_two_processes_as_on_one(children, tmp_path):
    given = {"steps": 3, "loss": "wasserstein", "optimizer": "sgd", "generator_lr": 0.01, "discriminator_lr": 0.01}
    given |= {"augmentations": ["ada(start=0.3,length=200)"], "doctor_every": 0}
    logs = [fork(children, tmp_path / str(count), count, **given)[1] for count in (1, 2)]
    for one, two in zip(*([entry for entry in log if "generator_loss" in entry] for log in logs), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)


def test_a_last_batch_that_processes_cannot_share_is_refused_before_the_first_step(children, tmp_path):
    _, _, said = fork(
        children, tmp_path / "odd", 2, fails=True, steps=6, keep_last_batch=True, images=39, precision="auto"
    )
    assert "a batch of 7 images can't be shared by 2 processes" in said and "keep_last_batch=false" in said


def test_one_process_writes_and_shows_a_bar(pair):
    _, log, shown = pair[1]
    assert [entry["step"] for entry in log if "score" in entry] == [2, 4, 6]
    assert shown.count("step 6/6") == 1


@pytest.fixture(scope="module")
def normed(children, tmp_path_factory):
    folder = tmp_path_factory.mktemp("normed") / "two"
    return fork(children, folder, 2, steps=2, few_shot=True)[0], folder / "run"


def test_a_discriminator_that_also_redraws_real_images_is_the_same_on_two_processes(normed):
    ranks, run = normed
    decoders = [name for name in ranks[0]["state"] if name.startswith("discriminator.decoders.")]
    assert decoders and all(ranks[0]["state"][name] == ranks[1]["state"][name] for name in decoders)
    log = log_of(run)
    assert [line["penalty"] > 0.1 for line in log if "penalty" in line] == [True, True]


def test_two_processes_with_batch_norm_share_its_statistics_at_the_end(normed):
    ranks, _ = normed
    one, other = (rank["state"] for rank in ranks)
    for name in one:
        assert torch.allclose(
            torch.tensor(one[name], dtype=torch.float64), torch.tensor(other[name], dtype=torch.float64)
        )


def test_the_best_model_has_the_statistics_of_all_processes(normed):
    _, run = normed
    saved = load_file(run / "model" / "model.safetensors")
    state = load_file(run / "checkpoints" / "step-00000002" / "tensors.safetensors")
    assert any(name.endswith("running_mean") for name in saved)
    assert all(torch.equal(value, state[f"average/{name}"]) for name, value in saved.items())


def test_processes_that_do_not_share_a_folder_are_refused(children, tmp_path):
    _, _, said = fork(children, tmp_path / "apart", 2, fails=True, steps=2, apart=True)
    assert (
        "the processes of this run do not all see" in said and "Put the run on a disk that all machines share" in said
    )


def test_a_run_is_resumed_on_as_many_processes(pair, tmp_path_factory):
    import ganzoo
    from ganzoo.errors import TrainingError

    torch.manual_seed(0)
    data = torch.randint(0, 256, (48, 1, 8, 8), dtype=torch.uint8)
    folder = next(tmp_path_factory.getbasetemp().glob("processes*")) / "two" / "run"
    with pytest.raises(TrainingError, match="begun with 2 processes, this is 1"):
        ganzoo.Trainer.resume(folder, data=data, progress=False).fit()
