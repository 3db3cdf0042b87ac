"""A run that is killed at any instant goes on to the same bytes as one that never was."""

import os
import random
import signal
import time

import pytest

from kill_worker import STEPS, VARIANTS, train_or_go_on

FILES = ("model/model.safetensors", "model/discriminator/model.safetensors", "log.jsonl")
FEW, MANY = 5, 20  # kills a variant


def whole_run(children, folder, variant):
    child = children.Process(target=train_or_go_on, args=(folder, variant))
    start = time.perf_counter()
    child.start()
    child.join(120)
    assert child.exitcode == 0
    return time.perf_counter() - start


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def kill_and_go_on(children, tmp_path, variant, kills, seed):
    """Kill one run after another at a random instant, each until it is finished; return how many kills struck."""
    whole_run(children, tmp_path / "warm", variant)
    seconds = whole_run(children, tmp_path / "whole", variant)
    expected, struck, rounds = contents(tmp_path / "whole"), 0, 0
    instants = random.Random(seed)
    while struck < kills:
        folder = tmp_path / f"cut-{rounds}"
        rounds += 1
        for _ in range(3):  # up to three kills of one run
            child = children.Process(target=train_or_go_on, args=(folder, variant))
            child.start()
            child.join(instants.uniform(0.02, seconds))
            if child.exitcode is None:
                os.kill(child.pid, signal.SIGKILL)
                struck += 1
            child.join()
            if child.exitcode == 0 or struck == kills:
                break
        whole_run(children, folder, variant)
        assert contents(folder) == expected, f"after {struck} kills"
        assert not list(folder.rglob(".*.tmp")), "something half-written is left"
    return struck


def test_five_kills_change_no_byte(children, tmp_path):
    assert kill_and_go_on(children, tmp_path, "float32", FEW, seed=0) == FEW


@pytest.mark.nightly
@pytest.mark.parametrize("variant", VARIANTS)
def test_twenty_kills_change_no_byte(children, tmp_path, variant):
    struck = kill_and_go_on(children, tmp_path, variant, MANY, seed=len(variant))
    print(f"{variant}: {struck} of {MANY} kills survived, {STEPS} steps a run")
    assert struck == MANY
