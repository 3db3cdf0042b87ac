"""Runs that live on: for more steps, with other settings, from an earlier checkpoint."""

import json
import re
import shlex
import shutil

import pytest
import torch
from markupsafe import escape
from safetensors.torch import load_file

import ganzoo
from ganzoo.cli import run
from ganzoo.cli.train_command import _finish
from ganzoo.errors import ConfigError, TrainingError
from ganzoo.runs.checkpoint import checkpoints
from ganzoo.runs.compare import run_facts
from ganzoo.runs.folder import RunFolder
from ganzoo.runs.remedies import _lowered, remedy
from ganzoo.runs.stretches import FIXED, open_stretch
from ganzoo.schedules import SCHEDULES
from ganzoo.settings import Settings
from ganzoo.training.callbacks.doctor import Finding
from test_training import QUICK, Calls, contents
from tiny import StopAt, images, log_of, tiny

CHANGES = {
    "steps": {"steps": 11},
    "rates": {"steps": 11, "generator_lr": 1e-4, "discriminator_lr": "cosine(start=1e-4)"},
    "method": {
        "steps": 11,
        "penalties": ("r1(weight=2)",),
        "augmentations": ("color", "ada(start=0.5)"),
        "loss": "hinge",
    },
    "average": {"steps": 11, "ema_half_life": 20, "keep": "last", "flip": True},
}


def train(folder, steps=5, callbacks=(), **changes):
    settings = {**QUICK, "sample_every": 2, **changes}
    return ganzoo.Trainer(tiny(norm="none"), images(), folder, steps=steps, callbacks=callbacks, **settings).fit()


def resume(folder, callbacks=(), **changes):
    return ganzoo.Trainer.resume(folder, images(), callbacks=callbacks, progress=False, **changes).fit()


def model_is_of(folder, step):
    """Whether the model is that of the checkpoint of `step`."""
    saved = load_file(folder / "model" / "model.safetensors")
    state = load_file(folder / "checkpoints" / f"step-{step:08d}" / "tensors.safetensors")
    return all(torch.equal(value, state[f"average/{key}"]) for key, value in saved.items())


@pytest.fixture(scope="module")
def five_steps(tmp_path_factory):
    """A run whose stretch of five steps is done, to look at or to copy."""
    folder = tmp_path_factory.mktemp("five") / "run"
    train(folder, callbacks=[StopAt(0)])
    return folder


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_stretch_that_was_interrupted_ends_with_the_same_bytes(tmp_path, five_steps, changes):
    for name in ("whole", "cut"):
        shutil.copytree(five_steps, tmp_path / name)
    resume(tmp_path / "whole", [StopAt(0)], **changes)
    assert resume(tmp_path / "cut", [StopAt(7)], **changes).step == 7
    assert resume(tmp_path / "cut", [StopAt(0)]).finished
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_a_stretch_killed_before_its_first_checkpoint_begins_again(tmp_path):
    def kill(run):
        if run.step == 6:
            raise KeyboardInterrupt  # as a second Ctrl-C does: nothing is saved

    for name in ("whole", "cut"):
        train(tmp_path / name, callbacks=[Calls(print)])
    resume(tmp_path / "whole", [Calls(print)], **CHANGES["method"])
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "cut", [Calls(kill)], **CHANGES["method"])
    resume(tmp_path / "cut", [Calls(print)])
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_a_stretch_stands_in_run_json_log_and_card(tmp_path, capsys):
    train(tmp_path / "run", callbacks=["early-stopping"])
    result = resume(tmp_path / "run", steps=9, generator_lr=1e-4)
    assert result.finished and result.step == 9
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["settings"]["steps"], facts["settings"]["generator_lr"]) == (9, 1e-4)
    changed = {"steps": [5, 9], "generator_lr": [0.004, 1e-4]}
    (stretch,) = facts["stretches"]
    assert (stretch["step"], stretch["changed"].keys()) == (5, changed.keys())
    assert stretch["changed"]["steps"] == [5, 9] and stretch["command"]
    log = log_of(tmp_path / "run")
    assert [entry for entry in log if "stretch" in entry] == [{"step": 5, "stretch": stretch["changed"]}]
    assert "From step 5 on: steps 9 (before: 5), generator_lr 0.0001" in capsys.readouterr().err
    for page in ("report.html", "model/README.md"):
        text = (tmp_path / "run" / page).read_text().replace("\\_", "_")
        assert "rom step 5 on" in text and "steps 9 (before: 5)" in text, page


def test_going_back_to_a_checkpoint_is_exact(tmp_path):
    changes = {"keep": "last", "checkpoint_every": 4}
    for name in ("whole", "back"):
        train(tmp_path / name, 11, **changes)
    kept = [int(path.name[5:]) for path in checkpoints(tmp_path / "back")]
    assert kept[:2] == [11, 8]
    with pytest.raises(TrainingError, match="given by hand"):
        resume(tmp_path / "back", [Calls(print)], at=8)
    resume(tmp_path / "back", at=8)
    assert contents(tmp_path / "whole") == contents(tmp_path / "back")
    assert "stretches" not in json.loads((tmp_path / "whole" / "run.json").read_text())


def test_going_back_cuts_log_times_samples_and_model(tmp_path):
    def stop(run):
        steps = {
            json.loads(line)["step"] for name in ("log", "timing") for line in (run_folder / f"{name}.jsonl").open()
        }
        assert max(steps) <= 9
        assert max(path.name for path in (run_folder / "samples").iterdir()) <= "step-00000009.png"
        assert (run_folder / "model" / "model.safetensors").is_file()
        run.stop("seen")

    run_folder = tmp_path / "run"
    train(run_folder, 11, callbacks=[Calls(print)])
    assert resume(run_folder, [Calls(stop)], at=8).step == 9


def test_going_back_undoes_the_stretches_that_began_later(tmp_path):
    train(tmp_path / "run", 4)
    resume(tmp_path / "run", steps=6, loss="hinge")
    resume(tmp_path / "run", steps=8, flip=True)
    resume(tmp_path / "run", at=6)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["settings"]["steps"], facts["settings"]["loss"], facts["settings"]["flip"]) == (8, "hinge", True)
    resume(tmp_path / "run", at=4, steps=5)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["steps"] == 5 and not facts["settings"]["flip"]
    assert [each["step"] for each in facts["stretches"]] == [4, 4]


@pytest.mark.parametrize("asked", [{}, {"at": 6}], ids=["resumed", "further on"])
def test_a_run_killed_while_it_goes_back_is_taken_back_when_it_is_resumed(tmp_path, monkeypatch, capsys, asked):
    train(tmp_path / "run", 4)
    resume(tmp_path / "run", steps=6, loss="hinge")
    resume(tmp_path / "run", steps=8, flip=True)
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    resume(tmp_path / "whole", at=4, steps=5)

    def killed(folder):
        remove(folder)
        raise KeyboardInterrupt

    remove = shutil.rmtree
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)  # after the first of two later checkpoints
        resume(tmp_path / "run", at=4, steps=5)
    assert (tmp_path / "run" / "checkpoints" / "step-00000006").is_dir()
    resume(tmp_path / "run", **asked)
    assert "was stopped while it went back to step 4; it goes back there now" in capsys.readouterr().err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_run_whose_newest_checkpoints_were_lost_goes_on_with_its_settings(tmp_path):
    train(tmp_path / "run", 4)
    resume(tmp_path / "run", steps=6)
    resume(tmp_path / "run", steps=8)
    for step in (6, 8):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / f"step-{step:08d}", ignore_errors=True)
    resume(tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["steps"] == 8 and [each["step"] for each in facts["stretches"]] == [4, 6]


def test_going_back_behind_a_change_keeps_the_state_of_augmentations(tmp_path):
    ada = "ada(length=64,target=-0.9)"  # its probability rises at each step
    settings = {"augmentations": (ada,), "checkpoint_every": 2, "score_every": 0}
    train(tmp_path / "run", 8, [StopAt(0)], **settings)
    shutil.copytree(tmp_path / "run", tmp_path / "changed")
    resume(tmp_path / "changed", [StopAt(0)], steps=9, augmentations=(ada, "cutout"))
    shutil.copytree(tmp_path / "run" / "checkpoints", tmp_path / "changed" / "checkpoints", dirs_exist_ok=True)
    at = sorted(int(each.name[5:]) for each in checkpoints(tmp_path / "run"))[-2]
    for name in ("run", "changed"):
        resume(tmp_path / name, [StopAt(0)], at=at)
    assert contents(tmp_path / "run") == contents(tmp_path / "changed")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"seed": 1}, "seed can't be changed in a run that goes on; begin a new one"),
        ({"batch_size": 4}, "batch_size can't be changed"),
        ({"steps": 3}, "has done 5 already; go back with --at"),
        ({"stpes": 9}, 'Did you mean "steps"'),
        ({"generator_lr": -1.0}, "generator_lr must be"),
        ({"at": 3}, "no checkpoint of step 3; it has those of"),
    ],
)
def test_a_stretch_that_can_not_be_is_refused_and_changes_nothing(five_steps, changes, said):
    before = {path: path.read_bytes() for path in five_steps.rglob("*") if path.is_file()}
    with pytest.raises((ConfigError, TrainingError), match=said):
        resume(five_steps, [StopAt(0)], **changes)
    with pytest.raises(ConfigError, match="penalties"):
        resume(five_steps, [StopAt(0)], steps=9, penalties=("r3",))
    assert before == {path: path.read_bytes() for path in five_steps.rglob("*") if path.is_file()}


OTHER = {
    "batch_size": 4, "seed": 1, "clusters": 2, "cluster_by": "shape", "min_cluster_size": 4,
    "keep_last_batch": True, "discriminator_steps": 2,
    "optimizer": "sgd", "beta1": 0.9, "beta2": 0.9, "precision": "bf16", "speed": "exact",
    "callbacks": ("early-stopping",),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_what_data_states_and_draws_rest_on_stays_as_it_was(five_steps, name):
    assert OTHER.keys() == set(FIXED)
    run = RunFolder(five_steps)
    settings = Settings.from_dict(run.facts()["settings"])
    with pytest.raises(ConfigError, match=f"{name} can't be changed in a run that goes on"):
        open_stretch(run, settings, {name: OTHER[name]}, None)


def test_a_stopped_run_may_end_with_the_steps_that_it_has_done(tmp_path):
    train(tmp_path / "run", 9, [StopAt(5)])
    result = resume(tmp_path / "run", [StopAt(0)], steps=5)
    assert result.finished and result.step == 5


@pytest.mark.parametrize("rate, lower", [("2e-3", "0.0005"), ("cosine(start=4e-3)", "cosine(start=0.001)")])
def test_the_doctor_s_advice_is_a_command_that_runs_later_too(tmp_path, monkeypatch, capsys, rate, lower):
    ill = Finding("divergence", 8, "logits run away", "lower the rates")
    monkeypatch.setattr("ganzoo.training.callbacks.doctor.diagnose", lambda seen, memory: [ill] * (seen.step == 8))
    monkeypatch.chdir(tmp_path)
    words = ["--set", "generator.widths=8,4", "--set", "discriminator.widths=4,8", "--steps", "14", "--batch-size", "4"]
    quick = {"checkpoint_every": 2, "doctor_every": 1, "score_every": 0, "log_every": 1, "sample_every": 0}
    words += [word for name, value in quick.items() for word in ("--set", f"{name}={value}")]
    assert run(["train", "fashion-mnist", "--data", "fashion-mnist-mini", "-o", "my run", "--lr", rate, *words]) == 0
    command = re.search(r"Command: (ganzoo train --resume .*)", capsys.readouterr().err)[1].strip()
    assert shlex.split(command)[3:6] == ["my run", "--at", "4"]
    assert escape(command) in (tmp_path / "my run" / "report.html").read_text()
    assert run(shlex.split(command)[1:]) == 0
    facts = json.loads((tmp_path / "my run" / "run.json").read_text())
    assert str(facts["settings"]["generator_lr"]) == str(facts["settings"]["discriminator_lr"]) == lower


@pytest.mark.parametrize("rate", [2e-4, "cosine(start=2e-4)"])
def test_the_doctor_s_advice_for_a_run_whose_images_were_given_runs_too(tmp_path, rate):
    train(tmp_path / "run", 4, generator_lr=rate, discriminator_lr=rate)
    settings = Settings(generator_lr=rate, discriminator_lr=rate, doctor_every=10)
    _, advice = remedy(tmp_path / "run", "divergence", 4, settings)
    names = {"ganzoo": ganzoo, "data": images()}
    assert advice.startswith("ganzoo.Trainer.resume(") and "data=..." in advice
    assert eval(advice.replace("data=...", "data=data, progress=False"), names).finished
    found = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["generator_lr"]
    assert found == (5e-5 if rate == 2e-4 else "cosine(start=5e-05)")


def test_no_remedy_is_named_where_none_is_known(tmp_path):
    folder, settings = tmp_path / "checkpoints", Settings(doctor_every=10)
    assert remedy(tmp_path, "divergence", 50, settings) is None
    for step in (0, 10, 60):
        (folder / f"step-{step:08d}").mkdir(parents=True)
    assert remedy(tmp_path, "divergence", 50, settings)[0] == 10
    assert remedy(tmp_path, "divergence", 20, settings)[0] == 0
    assert remedy(tmp_path, "one-image", 50, settings) is None
    with SCHEDULES.temporarily("steep", lambda: lambda step, steps: 1e-3):
        assert remedy(tmp_path, "divergence", 50, Settings(generator_lr="steep")) is None


def test_the_advised_schedule_keeps_its_whole_numbers():
    settings = Settings(generator_lr="cosine(start=2e-4,end=1e-6,warm_up=1234)", discriminator_lr=1e-3, steps=5000)
    lowered = _lowered(settings.generator_lr)
    assert lowered == "cosine(start=5e-05,end=2.5e-07,warm_up=1234)"
    assert settings.replace(generator_lr=lowered).generator_lr == lowered


def test_every_checkpoint_at_which_settings_were_changed_is_kept(tmp_path):
    train(tmp_path / "run", 5, checkpoint_every=1)
    for steps in (6, 7, 12):  # the same setting again and again
        resume(tmp_path / "run", steps=steps)
    assert {5, 6, 7} <= {int(path.name[5:]) for path in checkpoints(tmp_path / "run")}


def test_going_back_says_which_settings_are_again_as_they_were(tmp_path, capsys):
    train(tmp_path / "run", 4)
    resume(tmp_path / "run", steps=6)
    resume(tmp_path / "run", steps=8, flip=True)
    resume(tmp_path / "run", steps=10)
    capsys.readouterr()
    resume(tmp_path / "run", at=4, flip=True)  # two changes of steps are undone
    assert "Going back undoes later changes: steps 6 (before: 10)." in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["steps"] == 6


def test_a_rate_that_is_given_holds_though_the_run_had_lowered_its_rates(tmp_path):
    broken = []

    def spoil(run):
        if run.step == 3 and not broken:
            broken.append(1)
            with torch.no_grad():
                run.gan.generator.to_image.convolution.weight.fill_(float("nan"))

    train(tmp_path / "run", 4, [Calls(spoil)], checkpoint_every=1, generator_lr=1e-3, discriminator_lr=1e-3)
    assert broken
    resume(tmp_path / "run", [Calls(spoil)], steps=6, generator_lr=1e-4)
    numbers = json.loads((checkpoints(tmp_path / "run")[0] / "state.json").read_text())
    assert numbers["rollbacks"] == 0
    assert numbers["method"]["scales"] == {"generator": 1.0, "discriminator": 0.5}


def test_a_run_that_was_killed_while_it_wrote_its_report_is_completed(tmp_path, monkeypatch):
    def killed(self, run):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ganzoo.training.callbacks.built_in.Report.on_end", killed)
        train(tmp_path / "run", 5)
    card = tmp_path / "run" / "model" / "README.md"
    assert not card.exists()
    resume(tmp_path / "run")
    assert card.is_file()
    assert "Under way" not in (tmp_path / "run" / "report.html").read_text()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ganzoo.training.callbacks.built_in.Report.on_end", killed)
        resume(tmp_path / "run", steps=8)
    assert "| steps | 5 of 5" in card.read_text()  # of before
    resume(tmp_path / "run")
    assert "| steps | 8 of 8" in card.read_text()
    assert "Under way" not in (tmp_path / "run" / "report.html").read_text()


def test_model_card_and_report_follow_keep_at_once(tmp_path, monkeypatch):
    def told():
        texts = [(tmp_path / "run" / path).read_text() for path in ("model/README.md", "report.html")]
        return (tmp_path / "run" / "model" / "model.safetensors").read_bytes(), *texts

    scores = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    train(tmp_path / "run", 6, keep="best", score_every=2)
    best, card, report = told()
    assert "step 2 was kept" in card and "at step 2; kept in model/" in report
    resume(tmp_path / "run", keep="last")
    last, card, report = told()
    assert last != best and "3, of the last state, which was kept" in card and "kept in model/" not in report
    resume(tmp_path / "run", keep="best")
    again, card, report = told()
    assert again == best and "step 2 was kept" in card and "at step 2; kept in model/" in report


def test_the_last_message_names_the_step_of_the_model(tmp_path, monkeypatch, capsys):
    scores = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    train(tmp_path / "run", 6, keep="best", score_every=2)
    for keep, step in (("best", 2), ("last", 6), ("best", 2)):
        _finish(ganzoo.Trainer.resume(tmp_path / "run", images(), progress=False, keep=keep))
        assert f"model (of step {step}): " in capsys.readouterr().out


def test_after_the_last_state_was_kept_a_score_counts_only_for_its_own_weights(tmp_path, monkeypatch):
    scores = iter(2 * [1.0, 5.0, 6.0])  # of steps 4, 8 and 9; the weights of step 4 are not kept
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    for name in ("whole", "cut"):
        train(tmp_path / name, 9, [StopAt(6)], keep="last", score_every=4)
        changes = {"keep": "best"}
        if name == "cut":
            assert resume(tmp_path / name, [StopAt(7)], keep="best").best_step is None
            card, report = ((tmp_path / name / path).read_text() for path in ("model/README.md", "report.html"))
            assert "| steps | 7 of 9 |" in card and "was kept" not in card and "kept in model/" not in report
            changes = {}
        result = resume(tmp_path / name, [StopAt(0)], **changes)
        assert (result.best_score, result.best_step) == (5.0, 8)
        assert run_facts(tmp_path / name)["best score's step"] == 8
        assert "the best: step 8 was kept" in (tmp_path / name / "model" / "README.md").read_text()
        assert model_is_of(tmp_path / name, 8)
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_a_run_killed_when_keep_was_changed_has_the_model_that_was_asked_for(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    scores = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    train(tmp_path / "run", 6, keep="best", score_every=2)
    assert model_is_of(tmp_path / "run", 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ganzoo.training.checkpoint_manager.CheckpointManager._mend_model", killed)
        resume(tmp_path / "run", keep="last")
    resume(tmp_path / "run")
    assert model_is_of(tmp_path / "run", 6)


def test_going_back_replaces_a_model_behind_a_link(tmp_path):
    train(tmp_path / "run", 8, keep="last", checkpoint_every=2)
    shutil.move(tmp_path / "run" / "model", tmp_path / "elsewhere")
    (tmp_path / "run" / "model").symlink_to(tmp_path / "elsewhere")
    assert not model_is_of(tmp_path / "run", 6)
    resume(tmp_path / "run", at=6, steps=6)
    assert model_is_of(tmp_path / "run", 6) and (tmp_path / "run" / "model").is_symlink()


def test_going_back_keeps_a_card_that_a_person_has_edited(tmp_path):
    train(tmp_path / "run", 4)
    resume(tmp_path / "run", steps=5)
    card = tmp_path / "run" / "model" / "README.md"
    card.write_text("# My own words")
    resume(tmp_path / "run", at=4)
    assert card.read_text() == "# My own words"


def test_a_run_that_was_killed_has_no_times_and_samples_of_undone_steps(tmp_path):
    def kill(run):
        if run.step == 8:
            raise KeyboardInterrupt  # as a second Ctrl-C does: nothing is saved

    folder = tmp_path / "run"
    settings = {"checkpoint_every": 4, "score_every": 0, "log_every": 1, "sample_every": 2}
    with pytest.raises(KeyboardInterrupt):
        train(folder, 11, [Calls(kill)], **settings)
    assert (folder / "samples" / "step-00000006.png").is_file()
    assert resume(folder, [Calls(lambda run: run.stop("seen"))]).step == 5
    steps = [json.loads(line)["step"] for line in (folder / "timing.jsonl").open()]
    assert max(steps) == 5 and {1, 2, 3, 4} < set(steps)
    grids = sorted(path.name for path in (folder / "samples").glob("step-*"))
    assert grids == [f"step-{step:08d}.png" for step in (0, 2, 4, 5)]


def test_the_log_keeps_a_stretch_at_whose_begin_a_lost_model_was_written(tmp_path, monkeypatch):
    scores = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    train(tmp_path / "run", 6, [StopAt(0)], keep="best", score_every=2)
    shutil.rmtree(tmp_path / "run" / "model")
    resume(tmp_path / "run", [StopAt(8)], steps=20, log_every=50, score_every=0)
    resume(tmp_path / "run", [StopAt(9)])
    log = log_of(tmp_path / "run")
    assert [entry["step"] for entry in log if "stretch" in entry] == [6]


def test_report_show_and_messages_name_the_best_that_is_kept(tmp_path, monkeypatch, capsys):
    scores = iter([1.0, 0.5, 2.5, 2.6])
    monkeypatch.setattr("ganzoo.runs.export.KernelScore.__call__", lambda self, images: next(scores))
    train(tmp_path / "run", 6, keep="best", score_every=3, checkpoint_every=5)
    capsys.readouterr()
    resume(tmp_path / "run", at=5, steps=9)
    assert "is written anew, of step 3" in capsys.readouterr().err
    facts = run_facts(tmp_path / "run")
    assert (facts["best score"], facts["best score's step"]) == (1.0, 3)
    report = (tmp_path / "run" / "report.html").read_text()
    assert "at step 3; kept in model/" in report


def test_card_and_show_know_the_step_that_the_log_does_not(tmp_path):
    train(tmp_path / "run", 40, [StopAt(13)], log_every=20, score_every=0, sample_every=0)
    assert run_facts(tmp_path / "run")["step"] == 13
    assert "| steps | 13 of 40 |" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_damaged_line_in_a_log_ends_no_run(tmp_path):
    train(tmp_path / "run", 8, keep="last")
    for name in ("timing.jsonl", "log.jsonl"):
        path = tmp_path / "run" / name
        first, rest = path.read_bytes().split(b"\n", 1)
        path.write_bytes(b"\0" * len(first) + b"\n" + rest)
    assert resume(tmp_path / "run", at=4).finished
    assert resume(tmp_path / "run", steps=10).figures


def test_a_replaced_run_leaves_no_events_of_its_trackers(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'ganzoo-torch[trackers]'")
    train(tmp_path / "run", 3, trackers=("tensorboard",))
    written = [*(tmp_path / "run" / "trackers").rglob("events*")]
    assert written
    train(tmp_path / "run", 3, trackers=("tensorboard",), overwrite=True)
    assert not any(path.exists() for path in written)


def test_what_a_kill_left_half_written_beside_the_model_goes_when_the_run_goes_on(tmp_path):
    train(tmp_path / "run", 5)
    left = [tmp_path / "run" / "model" / path for path in (".README.md.1a2b.tmp", "samples/.grid.png.1a2b.tmp")]
    for path in left:
        path.write_bytes(b"half")
    resume(tmp_path / "run")
    assert not any(path.exists() for path in left)
