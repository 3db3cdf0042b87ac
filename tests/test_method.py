"""The method of a run: state that checkpoints hold, penalties on the generator, further steps of the generator."""

import json
import math
import threading

import numpy as np
import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import AUGMENTATIONS, GENERATOR_PENALTIES, PENALTIES
from ganzoo.augment import check_augmentation
from ganzoo.cli import run
from ganzoo.errors import ConfigError, PluginError, TrainingError
from ganzoo.latents import with_sign_class
from ganzoo.penalties import check_penalty
from ganzoo.registry import Registry
from ganzoo.runs.folder import resume_command
from ganzoo.schedules import SCHEDULES, make_schedule
from ganzoo.seeds import normal_each
from ganzoo.settings import Settings
from ganzoo.stateful import Stateful
from ganzoo.training import Callback
from ganzoo.training.method import Method
from ganzoo.training.optimizers import make_optimizer
from tiny import KillAt, log_of

IMAGES = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
QUIET = {"doctor_every": 0, "sample_every": 0, "score_every": 0, "report_every": 0, "log_every": 1, "batch_size": 8}


SCHEDULED = {"generator": 0.01, "discriminator": 0.02}


def small(seed=0):
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    return ganzoo.GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), latent_size=4)


def train(folder, **settings):
    return ganzoo.Trainer(small(), IMAGES, folder, progress=False, **{**QUIET, "steps": 4, **settings})


def weights(gan):
    return torch.cat([value.detach().flatten() for value in gan.generator.parameters()])


def halved(tmp_path, **settings):
    """Logs and final weights of a run that was not stopped, and of one that was."""
    whole, killed = (
        train(tmp_path / name, steps=6, checkpoint_every=3, callbacks=[KillAt(step)], **settings)
        for name, step in (("whole", 0), ("killed", 5))
    )
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        killed.fit()
    again = ganzoo.Trainer.resume(tmp_path / "killed", IMAGES, small(1), progress=False, callbacks=[KillAt(0)])
    again.fit()
    return [(log_of(trainer.run.path), weights(trainer.gan)) for trainer in (whole, again)]


def pull(generate, latents, labels, random, *, strength: "float" = 1.0) -> "torch.Tensor":
    """Images towards grey."""
    assert isinstance(random, torch.Generator) and random.device.type == "cpu"
    return strength * generate(latents).square().mean()


def test_a_penalty_on_the_generator_changes_it_and_takes_options(tmp_path):
    with GENERATOR_PENALTIES.temporarily("pull", pull):
        trained = {}
        for text in ("pull(weight=0)", "pull(weight=10,every=2)", "pull(weight=20,every=2,strength=0.5)"):
            trainer = train(tmp_path / str(len(trained)), generator_penalties=(text,))
            trainer.fit()
            trained[text] = weights(trainer.gan)
        none, strong, same = trained.values()
        assert not torch.equal(none, strong)
        torch.testing.assert_close(strong, same)
        with pytest.raises(ConfigError, match="generator_penalties.*strenght"):
            Settings(generator_penalties=("pull(strenght=2)",))


def test_a_generator_penalty_that_is_not_one_number_is_refused_before_the_run(tmp_path):
    with (
        GENERATOR_PENALTIES.temporarily("broken", lambda generate, latents, labels, random: generate(latents)),
        pytest.raises(ConfigError, match="generator penalty broken gives float32"),
    ):
        train(tmp_path / "run", generator_penalties=("broken",)).fit()
    assert not (tmp_path / "run").exists()


def test_path_length_is_that_of_a_linear_generator_and_its_mean_is_state():
    penalty = GENERATOR_PENALTIES.make("path-length(decay=0.5)").penalty
    weight = torch.randn(4, 48, dtype=torch.float64)
    latents, random, mean = torch.randn(3, 4, dtype=torch.float64), torch.Generator(), 0.0
    for seed in (5, 6):
        value = penalty(lambda latents: (latents @ weight).view(-1, 3, 4, 4), latents, None, random.manual_seed(seed))
        noise = normal_each(3, 3, 4, 4, random=random.manual_seed(seed), device=latents.device).double().flatten(1)
        lengths = (noise / 16**0.5 @ weight.T).norm(dim=1)  # of 16 pixels, whatever their channels
        assert float(value) == pytest.approx(float((lengths - mean).square().mean()))
        penalty.end_step(0.0, 3, lambda tensor: tensor)
        mean = (mean + float(lengths.mean())) / 2
        assert penalty.state_dict() == {"mean": pytest.approx(mean)}
    for damaged in (math.inf, -1.0):
        with pytest.raises(ValueError, match="mean path length"):
            penalty.load_state_dict({"mean": damaged})


def test_path_length_resumes_exactly(tmp_path):
    one, other = halved(tmp_path, generator_penalties=("path-length(weight=2,every=2)",))
    assert one[0] == other[0] and torch.equal(one[1], other[1])
    assert one[0][-1]["path_length"] > 0


def test_the_mean_path_length_of_a_step_is_that_of_all_its_parts():
    penalty = GENERATOR_PENALTIES.make("path-length(decay=1)").penalty
    weight, latents = torch.randn(4, 16, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    lengths = []
    for seed, part in enumerate((latents[:4], latents[4:])):  # of different sizes, as accumulate makes them
        random = torch.Generator().manual_seed(seed)
        noise = normal_each(len(part), 1, 4, 4, random=random, device=part.device).double().flatten(1) / 4
        lengths.append((noise @ weight.T).norm(dim=1))
        random.manual_seed(seed)
        penalty(lambda latents: (latents @ weight).view(-1, 1, 4, 4), part, None, random)
    penalty.end_step(0.0, 6, lambda tensor: tensor)
    assert penalty.figures() == {"path_length": pytest.approx(float(torch.cat(lengths).mean()))}


@pytest.mark.parametrize("labels", [None, torch.arange(6)], ids=["without labels", "with labels"])
def test_diversity_is_what_pairs_of_a_label_lack_of_the_limit(labels):
    penalty = GENERATOR_PENALTIES.make("diversity(limit=0.7)").penalty
    weight, latents = torch.randn(4, 48).double() / 3, torch.randn(6, 4).double()
    weight.requires_grad_()

    def generate(latents, given=None):
        assert given is None if labels is None else torch.equal(given, torch.cat([labels, labels]))
        return (latents @ weight).view(-1, 3, 4, 4)

    value = penalty(generate, latents, labels, torch.Generator().manual_seed(5))
    others = normal_each(6, 4, random=torch.Generator().manual_seed(5), device=latents.device)
    apart = latents - others.double()
    ratios = (apart @ weight).abs().mean(1) / apart.abs().mean(1)
    assert 0 < (ratios > 0.7).sum() < 6  # some differ enough
    assert float(value.detach()) == pytest.approx(float((0.7 - ratios.detach()).clamp(min=0).mean()))
    (gradient,) = torch.autograd.grad(value, weight)
    nearer = weight.detach() - 0.1 * gradient
    assert (apart @ nearer).abs().mean(1)[ratios < 0.7].mean() > (apart @ weight).abs().mean(1)[ratios < 0.7].mean()


def test_the_diversity_of_a_batch_is_that_of_its_parts():
    penalty = GENERATOR_PENALTIES.make("diversity").penalty
    weight, latents = torch.randn(4, 16).double(), torch.randn(6, 4).double()
    whole, parts = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)

    def value(latents, random):
        return float(penalty(lambda latents: (latents @ weight / 9).view(-1, 1, 4, 4), latents, None, random))

    of_parts = [value(part, parts) * len(part) for part in (latents[:4], latents[4:])]
    assert value(latents, whole) == pytest.approx(sum(of_parts) / 6)


def test_two_steps_of_the_generator_see_latents_of_their_own(tmp_path):
    once, twice = train(tmp_path / "once", steps=1), train(tmp_path / "twice", steps=1, generator_steps=2)
    seen = []
    twice.gan.generator.register_forward_hook(lambda module, given, made: seen.append(given[0].detach().clone()))
    once.fit(), twice.fit()
    assert not torch.equal(weights(once.gan), weights(twice.gan))
    trained = [latents for latents in seen if latents.shape == (8, 4)][-2:]
    assert not torch.equal(*trained)


def test_two_steps_of_the_generator_resume_exactly(tmp_path):
    one, other = halved(tmp_path, generator_steps=2)
    assert one[0] == other[0] and torch.equal(one[1], other[1])


def test_scales_of_learning_rates_multiply_and_are_state():
    method, again = Method(Settings()), Method(Settings())
    method.scale_learning_rates(generator=0.5)
    method.scale_learning_rates(generator=0.5, discriminator=0.1)
    again.load_state_dict(json.loads(json.dumps(method.state_dict())))
    assert again.scales == {"generator": 0.25, "discriminator": 0.1}
    for damaged in ({"generator": -1, "discriminator": 1}, {"generator": 1}, {"generator": "1", "discriminator": 1}):
        with pytest.raises(ValueError, match="scales of learning rates"):
            again.load_state_dict({**method.state_dict(), "scales": damaged})


def test_a_scale_of_0_holds_a_network_still(tmp_path):
    trainer = train(tmp_path / "run", steps=2)
    before = weights(trainer.gan).clone()
    make, Method.__init__ = (
        Method.__init__,
        lambda self, *given: (make(self, *given), self.scale_learning_rates(0.0))[0],
    )
    try:
        trainer.fit()
    finally:
        Method.__init__ = make
    assert torch.equal(weights(trainer.gan), before)


def test_ada_trains_resumes_exactly_and_stands_in_the_log(tmp_path):
    with_ada = {"augmentations": ("ada(target=-1,length=100,start=0.3)",), "penalties": ("r1",)}
    one, other = halved(tmp_path, **with_ada)
    assert one[0] == other[0] and torch.equal(one[1], other[1])
    assert [entry["ada_p"] for entry in one[0]] == pytest.approx([0.3] * 3 + [0.62] * 3)


def test_ada_does_the_same_in_accumulated_parts(tmp_path):
    logs = []
    for parts in (1, 2):
        settings = {"augmentations": ("ada(target=0,length=100,start=0.5)",), "optimizer": "sgd"}
        train(tmp_path / str(parts), steps=8, accumulate=parts, **settings).fit()
        logs.append(log_of(tmp_path / str(parts)))
    for one, other in zip(*logs, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_schedule_rises_then_falls_to_its_floor_and_stays_there(name):
    schedule = make_schedule(f"{name}(start=1,end=0.2,warm_up=10)", "generator_lr")
    assert [schedule(step, 110) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1])
    assert [schedule(step, 110) for step in (10, 60, 110, 200)] == pytest.approx([1, 0.6, 0.2, 0.2])
    assert make_schedule(0.3, "generator_lr")(5, 10) == 0.3


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_learning_rates_follow_their_schedules_scaled_and_halved_after_nan(name):
    method = Method(Settings(steps=10, **{f"{key}_lr": f"{name}(start={value})" for key, value in SCHEDULED.items()}))
    optimizers = {key: torch.optim.Adam(small().generator.parameters()) for key in SCHEDULED}
    method.scale_learning_rates(generator=0.5)
    method.set_rates(optimizers, step=5, rollbacks=1)
    rates = {key: optimizer.param_groups[0]["lr"] for key, optimizer in optimizers.items()}
    assert rates == pytest.approx(
        {"generator": SCHEDULED["generator"] / 8, "discriminator": SCHEDULED["discriminator"] / 4}
    )


def test_beta2_and_the_average_follow_their_schedules_and_resume_exactly(tmp_path):
    given = {"beta2": "linear(start=0.9,end=0.99)", "ema_half_life": "linear(start=10,end=1000)"}
    one, other = halved(tmp_path, **given)
    assert one[0] == other[0] and torch.equal(one[1], other[1])
    method, optimizer = Method(Settings(steps=10, **given)), torch.optim.Adam(small().generator.parameters())
    method.set_rates({"generator": optimizer}, 5, 0)
    assert optimizer.param_groups[0]["betas"][1] == pytest.approx(0.945)
    assert method.now("ema_half_life", 5) == pytest.approx(505)


@pytest.mark.parametrize("text", ["cosin(start=1)", "cosine(begin=1)", "cosine", "cosine(start=-1)"])
def test_a_wrong_schedule_names_its_setting(text):
    with pytest.raises(ConfigError, match="generator_lr"):
        Settings(generator_lr=text)


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("beta2", "linear(start=2,end=0.9)", "beta2: the schedule gives 2 at step 0; it must stay from 0 to 0.999999"),
        ("beta2", "linear(start=0.9,end=2)", "beta2: the schedule gives 1"),
        ("discriminator_lr", "cosine(start=1e9)", "discriminator_lr: the schedule gives 1e.09 at step 0"),
    ],
)
def test_a_schedule_keeps_the_bounds_of_its_setting(name, text, said):
    with pytest.raises(ConfigError, match=said):
        Settings(**{name: text})


@pytest.mark.parametrize(
    "schedule, said",
    [
        (lambda step, steps: math.nan, "gives NaN at step 0, no number"),
        (lambda step, steps: "fast", 'gives "fast" at step 0, no number'),
        (lambda step: 1.0, "the schedule at step 0 fails .TypeError"),
        (lambda step, steps: 1 / (5 - step), "the schedule at step 5 fails .ZeroDivisionError"),
    ],
)
def test_a_schedule_of_a_plugin_that_fails_is_named_before_the_run(schedule, said):
    with SCHEDULES.temporarily("mine", lambda: schedule), pytest.raises(PluginError, match=f"generator_lr: .*{said}"):
        Settings(generator_lr="mine", steps=10)


@pytest.mark.parametrize("name, number", [("step", 1.0), ("mine", math.nan)])
def test_a_figure_that_would_spoil_the_log_is_refused(name, number):
    method = Method(Settings(augmentations=("ada",)))
    method.augmentations[0].figures = lambda: {name: number}
    with pytest.raises(PluginError, match=r"augmentations\[0\]: the figure"):
        method.figures()


def test_a_penalty_s_weight_follows_its_schedule(tmp_path):
    text = "r1(weight=linear(start=10,end=2),every=4)"
    (penalty,) = Method(Settings(steps=8, penalties=(text,))).penalties
    assert [penalty.factor(step, 8) for step in (0, 4, 8)] == pytest.approx([40, 24, 8])
    assert penalty.factor(0, 8) == Method(Settings(penalties=("r1(weight=10,every=4)",))).penalties[0].factor(0, 8)
    one, other = halved(tmp_path, penalties=("r1(weight=linear(start=10,end=2))",))
    assert one[0] == other[0] and torch.equal(one[1], other[1])


@pytest.mark.parametrize(
    "text, said",
    [
        ("r1(weight=linaer(start=1))", r'penalties\[0\]: weight: unknown schedule "linaer"'),
        ("r1(weight=linear(begin=1))", r"penalties\[0\]: weight: linear has no option"),
        ("r1(weight=linear(start=1,warm_up=1.5))", "warm_up must be an int"),
        ("r1(weight=-1)", r"penalties\[0\]: r1: weight must be at least 0"),
    ],
)
def test_a_wrong_schedule_of_a_weight_names_its_penalty(text, said):
    with pytest.raises(ConfigError, match=said):
        Settings(penalties=(text,))


class Breaks(Stateful):
    """A generator penalty that fails after the second step, or can't be saved, as its option says."""

    def __init__(self, how: str = "end_step"):
        self.how, self.steps = how, 0

    def __call__(self, generate, latents, labels, random):
        return generate(latents).square().mean()

    def end_step(self, real_sign, images, mean):
        self.steps += 1
        if self.how == "end_step" and self.steps == 2:
            raise RuntimeError("out of ideas")

    def state_dict(self):
        return {"steps": {self.steps} if self.how == "state" and self.steps > 1 else self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


@pytest.mark.parametrize(
    "how, said",
    [
        ("end_step", r"generator_penalties\[0\]: end_step of Breaks fails \(RuntimeError: out of ideas\)"),
        ("state", r"generator_penalties\[0\], a Breaks: its state_dict can't be saved as JSON"),
    ],
)
def test_a_part_of_the_method_that_fails_is_named_in_one_line_with_the_way_on(tmp_path, how, said):
    with GENERATOR_PENALTIES.temporarily("breaks", Breaks):
        trainer = train(tmp_path / "run", generator_penalties=(f"breaks(how={how})",), checkpoint_every=1)
        with pytest.raises(PluginError, match=said) as caught:
            trainer.fit()
    assert "The run is saved as of step 1; go on with: ganzoo.Trainer.resume(" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ada_p", "step", "score", "generator_loss", "stretch", "best_lost"])
def test_a_callback_can_not_log_under_a_name_that_the_log_or_the_method_uses(tmp_path, name):
    class Logs(Callback):
        def on_step(self, run):
            run.log(name, 1.0)

    with pytest.raises(TrainingError, match=f"{name}.* is a name of the log"):
        train(tmp_path / "run", augmentations=("ada",), callbacks=[Logs()]).fit()


def test_a_callback_logs_the_numbers_of_numpy(tmp_path):
    class Logs(Callback):
        def on_step(self, run):
            run.log("part", np.float32(0.5)), run.log("count", np.int64(run.step))

    train(tmp_path / "run", callbacks=[Logs()], steps=1).fit()
    assert (log_of(tmp_path / "run")[0]["part"], log_of(tmp_path / "run")[0]["count"]) == (0.5, 1)


def test_a_run_with_names_of_a_script_says_to_go_on_where_they_are_registered(tmp_path, capsys):
    with GENERATOR_PENALTIES.temporarily("mine", lambda generate, latents, labels, random: generate(latents).mean()):
        train(tmp_path / "run", generator_penalties=("mine",), steps=1).fit()
    said = resume_command(tmp_path / "run")
    assert said.endswith(').fit()  # where the generator penalty "mine" is registered')
    assert run(["train", "--resume", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f'the generator penalty "mine", which is registered in "{__file__}": import or run that, then' in error
    train(tmp_path / "plain", steps=1).fit()
    assert "#" not in resume_command(tmp_path / "plain")


def test_a_damaged_list_of_names_of_a_script_is_said_in_one_line(tmp_path, capsys):
    train(tmp_path / "run", steps=1).fit()
    place = tmp_path / "run" / "run.json"
    facts = json.loads(place.read_text())
    capsys.readouterr()
    for damaged in (5, None, "loss", {}, [1], [["loss"]], [{"kind": "loss"}], [{"kind": 1, "name": "x", "where": "y"}]):
        place.write_text(json.dumps({**facts, "registered": damaged}))
        assert run(["train", "--resume", str(tmp_path / "run")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "run.json: registered must be a list of kind, name and where" in line


@pytest.mark.parametrize("kind", ganzoo.REGISTRIES)
def test_built_in_names_are_not_told_from_names_of_a_script(kind):
    registry = getattr(ganzoo, kind)
    assert not [name for name in registry if "." not in name and registry.by_hand(name)]


def test_a_penalty_on_the_generator_draws_latents_in_their_own_cluster_or_that_of_their_label(tmp_path):
    seen = []

    def drawn(generate, latents, labels, random):
        seen.append(torch.equal(generate(latents), generate(latents, labels)))
        seen.append(torch.equal(generate(-latents, labels), generate(with_sign_class(-latents, labels, 4), labels)))
        seen.append(not torch.equal(generate(-latents, labels), generate(latents, labels)))
        return generate(latents).square().mean()

    gan = ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, clusters=4)
    for network in (gan.generator, gan.discriminator):
        for part in [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]:
            part.momentum = 0.0  # equal calls give equal images
    with GENERATOR_PENALTIES.temporarily("drawn", drawn):
        settings = {**QUIET, "generator_penalties": ("drawn",), "clusters": 4, "precision": "float32"}
        ganzoo.Trainer(gan, IMAGES, tmp_path / "run", progress=False, steps=2, **settings).fit()
    assert seen and all(seen)


def test_latents_that_are_given_are_not_drawn(monkeypatch):
    gan, asked = small(), []
    real = ganzoo.gan.sample_latents
    monkeypatch.setattr("ganzoo.gan.sample_latents", lambda n, *more, **rest: asked.append(n) or real(n, *more, **rest))
    gan.sample(latents=torch.zeros(24, 4))
    assert 24 not in asked
    gan.sample(24, seed=0)
    assert 24 in asked


def test_settings_read_each_name_once(monkeypatch):
    read, real = [], Registry.read
    monkeypatch.setattr(Registry, "read", lambda self, text, place="": read.append(text) or real(self, text, place))
    names = {"loss": "hinge", "penalties": ("r1(weight=0.5)",), "augmentations": ("color",)}
    Settings(**names)
    assert sorted(read) == ["color", "hinge", "r1(weight=0.5)"]


def test_the_logged_penalty_is_the_mean_over_the_updates_of_a_step(tmp_path):
    found = {}
    for every in (1, 2):
        train(
            tmp_path / str(every),
            steps=2,
            log_every=1,
            discriminator_steps=2,
            generator_lr=1e-9,
            discriminator_lr=1e-9,
            penalties=(f"r1(weight=10,every={every})",),
        ).fit()  # the weights stay, so both updates of a step have nearly one penalty
        found[every] = [line["penalty"] for line in log_of(tmp_path / str(every)) if "penalty" in line]
    assert all(value > 0 for value in found[2]), found
    assert found[2] == pytest.approx(found[1], rel=0.5)


def test_what_would_be_ignored_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="stop_on_collapse wants the doctor.*doctor_every above 0"):
        train(tmp_path / "run", stop_on_collapse=True).fit()
    with pytest.raises(ConfigError, match="early-stopping counts scores: set score_every above 0"):
        train(tmp_path / "run", callbacks=("early-stopping(patience=3)",)).fit()
    assert not (tmp_path / "run").exists()


def test_what_would_be_ignored_is_refused_in_a_run_that_goes_on_too(tmp_path):
    train(tmp_path / "run", steps=2).fit()
    given = {"data": IMAGES, "gan": small(), "progress": False}
    trainer = ganzoo.Trainer.resume(tmp_path / "run", steps=3, stop_on_collapse=True, **given)
    with pytest.raises(ConfigError, match="stop_on_collapse wants the doctor.*doctor_every above 0"):
        trainer.fit()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["steps"] == 2 and not facts["settings"]["stop_on_collapse"]
    facts["settings"]["stop_on_collapse"] = True  # a run of an earlier version keeps what it has
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    assert ganzoo.Trainer.resume(tmp_path / "run", **given).fit().finished


class Fades(Stateful):
    """An augmentation that writes its state into checkpoints, but does not read it."""

    def __init__(self):
        self.steps = 0

    def __call__(self, images, random=None):
        return images * 0.5**self.steps

    def end_step(self, real_sign, images, mean):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}


class FadesToo(Fades):
    def __call__(self, discriminate, real, fake, random):
        return discriminate(real).mean()


def test_state_that_does_not_come_back_is_refused_before_the_run_and_by_the_check(tmp_path):
    said = 'load_state_dict must restore what state_dict gave; "steps" is 1, and was 0'
    with AUGMENTATIONS.temporarily("fades", Fades):
        with pytest.raises(PluginError, match=f"augmentation fades: {said}"):
            check_augmentation("fades")
        with pytest.raises(PluginError, match=rf"augmentations\[0\], a Fades: {said}"):
            train(tmp_path / "run", augmentations=("fades",)).fit()
        assert not (tmp_path / "run").exists()
    penalty = type(
        "Fades", (Fades,), {"__call__": lambda self, discriminate, real, fake, random: discriminate(real).mean()}
    )
    with pytest.raises(PluginError, match=said):
        check_penalty(penalty())


def test_an_option_that_every_penalty_has_can_not_be_one_of_its_own():
    def drift(discriminate, real, fake, random=None, *, weight: float = 3.0):
        return weight * discriminate(real).square().mean()

    with (
        PENALTIES.temporarily("drift", drift),
        pytest.raises(PluginError, match="penalty drift: every penalty has the option weight; remove it"),
    ):
        check_penalty("drift(weight=5)")


def test_an_object_that_is_called_is_a_schedule_too():
    class Halves:
        def __init__(self, start: float = 1.0):
            self.start = start

        def __call__(self, step, steps):
            return self.start * 0.5**step

    with SCHEDULES.temporarily("halves", Halves):
        assert Method(Settings(generator_lr="halves(start=0.4)")).now("generator_lr", 2) == 0.1


def test_noise_of_each_image_is_the_same_in_whole_batches_and_in_parts():
    def noise(count, behind=0):
        random = torch.Generator().manual_seed(1)
        torch.rand(behind, generator=random)  # as a training step does for the images before the part
        return normal_each(count, 2, random=random, device=torch.device("cpu"))

    assert torch.equal(noise(8)[4:], noise(4, behind=4))


@pytest.mark.parametrize("beta2", [0.95, "linear(start=0.95,end=0.95)"])
@pytest.mark.parametrize("name", ["rmsprop", "rmsproptf"])
def test_beta2_is_alpha_of_every_rmsprop(name, beta2):
    settings = Settings(optimizer=name, beta2=beta2)
    optimizer = make_optimizer(nn.Linear(2, 2), 0.01, settings)
    Method(settings).set_rates({"generator": optimizer}, 0, 0)
    assert optimizer.param_groups[0]["alpha"] == 0.95


def test_a_scheduled_beta2_adds_no_option_to_an_optimizer_without_it():
    settings = Settings(optimizer="sgd", beta2="linear(start=0.95)")
    optimizer = make_optimizer(nn.Linear(2, 2), 0.01, settings)
    Method(settings).set_rates({"generator": optimizer}, 0, 0)
    assert "alpha" not in optimizer.param_groups[0]


class Means(Fades):
    """Divides in `end_step` by how many images it was called with."""

    def __init__(self):
        self.lock, self.total, self.count, self.mean = threading.Lock(), 0.0, 0, 0.0

    def __call__(self, images, random=None):
        self.total, self.count = self.total + float(images.sum()), self.count + len(images)
        return images + 0 * images

    def end_step(self, real_sign, images, mean):
        self.mean, self.total, self.count = self.total / self.count, 0.0, 0

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"]


def test_a_part_is_checked_after_it_was_called_and_needs_no_copy(tmp_path):
    with AUGMENTATIONS.temporarily("means", Means):
        assert train(tmp_path / "run", augmentations=("means",), steps=2).fit().finished
