"""What a person sees of a run while it goes on, and what the clock writes down of it."""

import time
from types import SimpleNamespace

import pytest
from torch import nn

from ganzoo.callbacks import Run
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.runs.folder import RunFolder
from ganzoo.settings import Settings
from ganzoo.text import track
from ganzoo.training.callbacks.progress import Clock, ProgressBar, StartLine, say


def test_a_command_said_above_the_bar_stays_on_its_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    text = f"Go on with: ganzoo train --resume /home/somebody/{'a-long-name/' * 8}run"
    with ProgressBar(10, 8):
        say(text)
    assert text in capsys.readouterr().err


def test_a_command_said_above_the_bar_keeps_what_would_be_an_emoji(capsys):
    with ProgressBar(10, 8):
        say("ganzoo train --resume 'runs/a:100:b/:cat:'")
    assert "'runs/a:100:b/:cat:'" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_a_narrow_terminal_shows_all_of_the_steps_and_of_the_time(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    with ProgressBar(13500, 64) as bar:
        bar.on_log(Run(None, None, Settings(), step=6000), {"discriminator_loss": 1.234, "generator_loss": 0.789})
    shown = capsys.readouterr().err
    assert "step 6000/13500" in shown and "-:--:--" in shown and ("G 0.789" in shown) == (columns > 30)


def test_a_bar_shows_no_speed_before_it_knows_one(capsys):
    with ProgressBar(40, 8) as bar:
        for step in (20, 40):
            bar.on_log(SimpleNamespace(step=step), {"discriminator_loss": 1.0, "generator_loss": 2.0})
            assert ("images/s" in bar._bar.tasks[0].fields["figures"]) == (step == 40)


def test_steps_are_said_with_commas(monkeypatch, capsys):
    seconds = iter((0.0, 10.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    line = StartLine("fashion-mnist")
    for step in (12001, 12011):
        line.on_step(Run(None, None, Settings(steps=13500), step=step))
    clock = Clock(None, state_at(12000, 0))
    clock.watch(1), clock.watch(2000)
    said = capsys.readouterr().err
    assert "steps 12,001 to 13,500" in said and "Step 12,000, memory" in said


def test_the_bar_ends_at_the_step_at_which_the_run_stopped():
    with ProgressBar(13500, 8) as bar:
        run = Run(None, None, Settings(), step=60)
        bar.on_log(run, {"score": 1.0})
        run.step = 79
        bar.on_end(run)
        assert bar._bar.tasks[0].completed == 79


def test_a_bar_writes_nothing_if_no_terminal_shows_it(capsys):
    assert [*track([1, 2], "sampling", 2)] == [1, 2] and capsys.readouterr().err == ""


def test_a_notebook_shows_a_bar_as_a_terminal_does(monkeypatch):
    monkeypatch.setattr("rich.progress.track", lambda *_, disable, **__: [disable])
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert [*track([1], "sampling", 1)] == [False]


def state_at(step, summed):
    nothing = nn.Identity()
    return TrainingState(nothing, nothing, None, None, None, step=step, summed=summed)


def speeds(tmp_path, monkeypatch, before, notes):
    """What a clock writes that is made `before` steps after a line of the log, each note 2 seconds on."""
    seconds = iter(range(0, 100, 2))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    run, state = RunFolder(tmp_path), state_at(0, before)
    clock, seen = Clock(run, state), Run(None, None, Settings(batch_size=8, doctor_every=0))
    clock.on_start(seen)
    for state.step, state.summed in notes:
        clock.on_log(seen, {"generator_loss": 1.0})
    return [entry["images_per_second"] for entry in run.entries("timing.jsonl")]


def test_the_clock_counts_all_steps_of_a_new_run(tmp_path, monkeypatch):
    assert speeds(tmp_path, monkeypatch, 0, [(20, 20), (40, 20), (50, 10)]) == [80, 80, 40]


def test_after_a_resume_the_clock_counts_no_step_of_the_process_before(tmp_path, monkeypatch):
    assert speeds(tmp_path, monkeypatch, 15, [(140, 20), (160, 20)]) == [20, 80]


def test_memory_that_grows_is_said_once(tmp_path, capsys):
    clock = Clock(RunFolder(tmp_path), state := state_at(0, 0))
    for state.step in range(30):
        clock.watch(1000 + 100 * state.step)
    said = capsys.readouterr().err
    assert said.startswith("Step 10, memory: this process has grown from 1,000 to 2,000 MB") and said.count("\n") == 1
