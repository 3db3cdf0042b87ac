"""Callbacks: called after each step, with state in checkpoints; they may stop a run, slow it down and write its log."""

from __future__ import annotations

import json
import time

import pytest
import torch

import ganzoo
from ganzoo.callbacks import CALLBACKS, Callback, EarlyStopping
from ganzoo.cli import main
from ganzoo.errors import ConfigError, PluginError, TrainingError
from ganzoo.runs.checkpoint import checkpoints
from ganzoo.training import Run, check_callback
from tiny import images, log_of, tiny

QUICK = {"batch_size": 4, "log_every": 4, "checkpoint_every": 3, "sample_every": 0, "score_every": 0, "progress": False}
QUICK |= {"report_every": 0, "doctor_every": 0}


class Counter(Callback):
    """Counts steps, stops and slows the run at some."""

    def __init__(self, *, stop_at: int = 0, slow_at: int = 0, fail_at: int = 0):
        self.stop_at, self.slow_at, self.fail_at, self.seen, self.steps = stop_at, slow_at, fail_at, 0, []

    def on_step(self, run):
        self.seen += 1
        self.steps.append(run.step)
        run.log("seen", self.seen)
        if run.step == self.slow_at:
            run.scale_learning_rates(generator=0.5, discriminator=0.25)
        if run.step == self.stop_at:
            run.stop("seen enough")
        if run.step == self.fail_at:
            raise RuntimeError("out of ideas")

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


@pytest.fixture
def counter():
    made = []

    def make(stop_at: int = 0, slow_at: int = 0, fail_at: int = 0) -> Callback:
        """Count steps."""
        made.append(Counter(stop_at=stop_at, slow_at=slow_at, fail_at=fail_at))
        return made[-1]

    with CALLBACKS.temporarily("counter", make):
        yield made


def trainer(folder, steps=9, **changes):
    return ganzoo.Trainer(tiny(), images(16), folder, steps=steps, **{**QUICK, **changes})


def weights(folder):
    return (folder / "model" / "model.safetensors").read_bytes(), (folder / "log.jsonl").read_bytes()


def rates(folder, step):
    state = json.loads((folder / "checkpoints" / f"step-{step:08d}" / "state.json").read_text())
    return [state[f"{name}_optimizer"]["groups"][0]["lr"] for name in ("generator", "discriminator")]


def test_a_callback_is_called_after_each_step_and_its_last_number_stands_in_the_next_line(tmp_path):
    callback = Counter()
    assert trainer(tmp_path / "run", callbacks=[callback]).fit().finished
    assert callback.steps == list(range(1, 10))
    assert [(entry["step"], entry["seen"]) for entry in log_of(tmp_path / "run")] == [(4, 4), (8, 8), (9, 9)]


def test_a_stop_says_its_reason_writes_a_line_and_can_be_resumed(tmp_path, counter, capsys):
    result = trainer(tmp_path / "run", callbacks=("counter(stop_at=6)",)).fit()
    assert (result.step, result.finished, result.stopped) == (6, False, "seen enough")
    assert "Stopped at step 6 and saved: seen enough" in capsys.readouterr().err
    last = log_of(tmp_path / "run")[-1]
    assert (last["step"], last["seen"], last["stopped"]) == (6, 6, "seen enough") and "generator_loss" in last
    result = ganzoo.Trainer.resume(tmp_path / "run", data=images(16), progress=False).fit()
    assert (result.step, result.finished, result.stopped) == (9, True, None)
    assert log_of(tmp_path / "run")[-1]["seen"] == 9


RATES = {"generator_lr": 0.004, "discriminator_lr": 0.001}


def test_learning_rates_are_scaled_from_the_next_step_on_and_stay_so_after_a_resume(tmp_path, counter):
    trainer(tmp_path / "plain", checkpoint_every=6, **RATES).fit()
    generator, discriminator = rates(tmp_path / "plain", 6)
    trainer(tmp_path / "run", callbacks=("counter(stop_at=6,slow_at=5)",), **RATES).fit()
    assert rates(tmp_path / "run", 6) == [generator / 2, discriminator / 4]
    ganzoo.Trainer.resume(tmp_path / "run", data=images(16), progress=False).fit()
    assert rates(tmp_path / "run", 9) == [generator / 2, discriminator / 4]


def test_a_killed_run_goes_on_to_the_same_bytes_with_its_callbacks_state_and_what_they_logged(tmp_path):
    class Killed(BaseException):
        pass

    class Kill(Counter):
        def on_step(self, run):
            if run.step == 8 and self.fail_at:
                raise Killed
            if run.step == 5:
                run.log("once", 5)
            super().on_step(run)

    trainer(tmp_path / "whole", callbacks=[Kill(slow_at=2)]).fit()
    with pytest.raises(Killed):
        trainer(tmp_path / "cut", callbacks=[Kill(slow_at=2, fail_at=99)]).fit()
    assert checkpoints(tmp_path / "cut")[0].name == "step-00000006"  # two steps behind a line of the log
    ganzoo.Trainer.resume(tmp_path / "cut", data=images(16), callbacks=[Kill(slow_at=2)], progress=False).fit()
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert [entry.get("once") for entry in log_of(tmp_path / "cut")] == [None, 5, None]


def test_going_back_after_nan_brings_a_callbacks_state_back_too(tmp_path):
    class Poison(Counter):
        poisoned = False

        def on_step(self, run):
            super().on_step(run)
            if run.step == 4 and not self.poisoned:
                self.poisoned = True
                next(run.gan.generator.parameters()).data.fill_(float("nan"))

    callback = Poison()
    trainer(tmp_path / "run", callbacks=[callback], log_every=2).fit()
    assert callback.steps.count(4) == 2 and log_of(tmp_path / "run")[-1]["seen"] == 9


def test_an_exception_saves_the_last_step_first_and_says_how_to_go_on(tmp_path, counter):
    with pytest.raises(TrainingError) as caught:
        trainer(tmp_path / "run", callbacks=("counter(fail_at=5)",)).fit()
    assert "callback counter(fail_at=5) fails at step 5 (RuntimeError: out of ideas)" in str(caught.value)
    assert "saved as of step 5; go on with: ganzoo.Trainer.resume(" in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert checkpoints(tmp_path / "run")[0].name == "step-00000005"
    assert ganzoo.Trainer.resume(tmp_path / "run", data=images(16), progress=False).fit().finished


def test_a_step_whose_callback_fails_gets_its_line_of_the_log_all_the_same(tmp_path, counter):
    with pytest.raises(TrainingError, match="fails at step 8.*saved as of step 8"):
        trainer(tmp_path / "run", callbacks=("counter(fail_at=8)",)).fit()
    assert log_of(tmp_path / "run")[-1]["step"] == 8
    ganzoo.Trainer.resume(tmp_path / "run", data=images(16), progress=False).fit()
    assert [entry["step"] for entry in log_of(tmp_path / "run")] == [4, 8, 9]


def test_an_exit_in_a_callback_ends_the_run_like_an_exception(tmp_path):
    callback = Counter()
    callback.on_step = lambda run: exit(3)
    with pytest.raises(TrainingError, match="SystemExit.*saved as of step 1"):
        trainer(tmp_path / "run", callbacks=[callback]).fit()


def test_a_state_that_cannot_be_saved_says_how_to_go_on(tmp_path):
    callback = Counter()
    callback.state_dict = lambda: {"seen": set() if callback.seen > 4 else callback.seen}
    with pytest.raises(PluginError, match="callback Counter: its state_dict can't be saved.*saved as of step 3; go on"):
        trainer(tmp_path / "run", callbacks=[callback]).fit()


def test_a_stop_at_the_last_step_says_its_reason_too(tmp_path, counter, capsys):
    assert trainer(tmp_path / "run", callbacks=("counter(stop_at=9)",)).fit().finished
    assert "Stopped at step 9 and saved: seen enough." in capsys.readouterr().err


@pytest.mark.parametrize("reason, said", [("", "a callback asked for it"), (None, "a callback"), ("a\n b", "a b")])
def test_a_stop_always_has_a_reason_of_one_line(reason, said):
    run = run_at()
    run.stop(reason)
    assert run.requests.stop.startswith(said) and "\n" not in run.requests.stop


@pytest.mark.parametrize("method", ["on_start", "on_log", "on_end"])
def test_an_exception_anywhere_in_a_callback_names_it(tmp_path, method):
    callback = Counter()
    setattr(callback, method, lambda *_: 1 / 0)
    with pytest.raises(TrainingError, match=r"callback Counter fails at step \d .ZeroDivisionError.*saved as of step"):
        trainer(tmp_path / "run", callbacks=[callback]).fit()


def test_an_object_is_recorded_by_class_and_wanted_on_resume(tmp_path):
    trainer(tmp_path / "run", callbacks=[Counter(stop_at=5)]).fit()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["callbacks"] == ["Counter"]
    with pytest.raises(TrainingError, match=r"with the callback Counter .*resume\(.*callbacks=\[Counter\(\.\.\.\)\]\)"):
        ganzoo.Trainer.resume(tmp_path / "run", data=images(16))
    resumed = ganzoo.Trainer.resume(tmp_path / "run", data=images(16), callbacks=[Counter()], progress=False)
    assert resumed.fit().finished and log_of(tmp_path / "run")[-1]["seen"] == 9
    with pytest.raises(TrainingError, match="pass objects alone"):
        ganzoo.Trainer.resume(tmp_path / "run", data=images(16), callbacks=["early-stopping", Counter()])


def test_names_and_objects_stand_beside_each_other_and_the_text_is_kept(tmp_path, counter):
    by_hand = Counter()
    trainer(tmp_path / "run", steps=2, callbacks=("counter(slow_at=1)", by_hand)).fit()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["callbacks"] == ["counter(slow_at=1)"] and facts["callbacks"] == ["Counter"]
    assert counter[0].seen == by_hand.seen == 2


def test_the_command_line_takes_callbacks_whose_options_have_commas(tmp_path, counter, monkeypatch, capsys):
    given = ["log_every=4", "score_every=0", "sample_every=0", "report_every=0", "doctor_every=0", "batch_size=4"]
    given += ["callbacks=counter(stop_at=3,slow_at=2)", "generator.widths=8,4", "discriminator.widths=4,8"]
    run, words = tmp_path / "run", ["train", "fashion-mnist", "--data", "fashion-mnist-mini", "--steps", "5"]
    words += ["--output", str(run), *(word for text in given for word in ("--set", text))]
    monkeypatch.setattr("sys.argv", ["ganzoo", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and "seen enough" in capsys.readouterr().err
    facts = json.loads((run / "run.json").read_text())
    assert facts["settings"]["callbacks"] == ["counter(stop_at=3,slow_at=2)"]


@pytest.mark.parametrize(
    "given, words",
    [
        (("countr",), "Unknown|unknown"),
        (("early-stopping(patience=0)",), "patience"),
        (("early-stopping(patients=3)",), "patients"),
        (("early-stopping", "early-stopping(patience=3)"), "second time"),
        ((lambda run: None,), "must be a name or an object"),
        ("early-stopping", "must be a list"),
        (Counter, "must be a list"),
        (5, "must be a list"),
    ],
)
def test_a_wrong_callback_is_refused_before_anything_is_written(tmp_path, given, words):
    with pytest.raises(ConfigError, match=words):
        trainer(tmp_path / "run", callbacks=given)
    assert not (tmp_path / "run").exists()


def run_at(step=1):
    gan = tiny()
    return Run(gan, gan, ganzoo.Settings(), step=step)


@pytest.mark.parametrize(
    "ask",
    [
        lambda run: run.log("step", 1),
        lambda run: run.log("seen", float("nan")),
        lambda run: run.log("seen", "three"),
        lambda run: run.scale_learning_rates(generator=-1),
        lambda run: run.scale_learning_rates(discriminator=float("inf")),
        lambda run: run.scale_learning_rates("2"),
    ],
)
def test_what_a_run_cannot_do_is_refused(ask):
    with pytest.raises(ConfigError):
        ask(run_at())


def test_early_stopping_counts_scores_that_are_not_better_and_begins_anew_after_a_stop():
    callback, run = EarlyStopping(patience=2), run_at()
    for score in (3.0, 2.0, 2.5):
        callback.on_log(run, {"score": score})
    assert run.requests.stop is None
    callback.on_log(run, {"score": 2.0})
    assert "the last 2 scores were not better than 2" in run.requests.stop
    assert callback.state_dict() == {"best": 2.0, "worse": 0}


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_whose_package_is_missing_is_refused_before_anything_else(tmp_path, finished):
    trainer(tmp_path / "run", callbacks=[Counter(stop_at=0 if finished else 5)]).fit()
    path = tmp_path / "run" / "run.json"
    facts = json.loads(path.read_text())
    facts["plugins"] = [{"kind": "callback", "name": "acme.counter", "package": "acme-gan", "version": "0.1"}]
    facts["settings"]["callbacks"] = ["acme.counter(stop_at=25)"]
    path.write_text(json.dumps(facts))
    with pytest.raises(PluginError, match=r"acme\.counter.*acme-gan 0\.1, which is not installed"):
        ganzoo.Trainer.resume(tmp_path / "run")


# --- check_callback: what it walks, and what it catches ------------------------------------------------------------


@pytest.mark.parametrize("name", CALLBACKS)
def test_every_registered_callback_keeps_the_contract(name):
    before = torch.get_rng_state()
    check_callback(name)
    assert torch.equal(torch.get_rng_state(), before)


class Forgets(Counter):
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Tensors(Counter):
    def state_dict(self):
        return {"seen": torch.tensor(self.seen)}


class Tuples(Counter):
    def state_dict(self):
        return {"seen": (1, 2)}


class StartsAfresh(Counter):
    def on_start(self, run):
        self.seen = 0


class LooksAtTheStart(Counter):
    def on_start(self, run):
        self.weights = list(run.gan.generator.parameters())

    def on_step(self, run):
        super().on_step(run)
        run.log("norm", float(self.weights[0].norm()))


def test_check_callback_starts_the_resumed_one_as_a_run_does():
    check_callback(LooksAtTheStart)


class Fails(Counter):
    def on_step(self, run):
        raise KeyError("no")


class Deaf(Counter):
    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(
    "factory, words",
    [
        (Forgets, "goes on otherwise than without a stop"),
        (Tensors, "can't be saved as JSON"),
        (Tuples, "must be a dict of JSON types"),
        (Fails, "on_step fails"),
        (Deaf, "load_state_dict must restore what state_dict gave"),
        (lambda: object(), "must make a new ganzoo.training.Callback"),
        (StartsAfresh, "on_start throws away the state of a run that goes on"),
        (Counter(), "must be a name, or what makes a Callback, got"),
    ],
)
def test_check_callback_catches(factory, words):
    with pytest.raises(PluginError, match=words):
        check_callback(factory)


class Clock(Counter):
    """Its state is another a moment later."""

    def state_dict(self):
        return {"seconds": time.monotonic()}

    def load_state_dict(self, state):
        pass


class CountsStarts(Counter):
    starts = 0

    def on_start(self, run):
        self.starts += 1

    def state_dict(self):
        return {"seen": self.seen, "starts": self.starts}

    def load_state_dict(self, state):
        self.seen, self.starts = state["seen"], state["starts"]


def test_a_callback_that_counts_its_starts_keeps_the_contract():
    check_callback(CountsStarts)


def test_a_run_goes_on_though_a_callback_s_state_is_another_after_loading(tmp_path):
    trainer(tmp_path / "run", steps=2, callbacks=(Clock(),)).fit()
    given = {"data": images(16), "callbacks": [Clock()], "steps": 3, "progress": False}
    assert ganzoo.Trainer.resume(tmp_path / "run", **given).fit().finished
