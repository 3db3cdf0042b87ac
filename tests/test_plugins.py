"""Plug-ins, proven with real packages, which pip installs into a folder that child Pythons have on their path."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ganzoo import REGISTRIES
from ganzoo.config import Config
from ganzoo.errors import PluginError, words_of
from ganzoo.registry import Origin, Registry
from ganzoo.saving.format import describe
from tiny import log_of

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"

# kinds of which the example has none: a line each, as in docs/extend.md
WITHOUT_EXAMPLE = {"NORMS", "ACTIVATIONS", "INITIALISATIONS", "SCHEDULES"}

BROKEN = {  # entry name: what its module holds; each fails in a way of its own when it is loaded
    "broken.missing": "import no_such_module_anywhere",
    "broken.exit": "raise SystemExit(3)",
    "broken.lines": "raise ValueError('one\\ntwo' + 'x' * 10_000)",
    "broken.syntax": "def (:",
    "broken.attribute": "",
}


def write_package(folder, distribution, version, entries, modules):
    package = distribution.replace("-", "_")
    (folder / package).mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (folder / package / f"{name}.py").write_text(text)
    lines = "\n".join(f'"{name}" = "{package}.{place}"' for name, place in entries.items())
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{distribution}"\nversion = "{version}"\n'
        f'[project.entry-points."ganzoo.blocks"]\n{lines}\n[tool.setuptools]\npackages = ["{package}"]\n'
    )


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder into which pip has installed the example and four packages with faults."""
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, sources / "acme-gan", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    modules = {name.partition(".")[2]: text for name, text in BROKEN.items()}
    entries = {name: f"{name.partition('.')[2]}:Up" for name in BROKEN} | {"broken.not": "fine:Up"}
    write_package(sources / "broken-gan", "broken-gan", "0.3", entries, {**modules, "fine": "class Up: pass"})
    write_package(
        sources / "rude-gan",
        "rude-gan",
        "1!2.0rc1",
        {
            "up": "own:Up",
            "dcgan-up": "own:Up",
            "other.up": "own:Up",
            "rude.same": "by_hand:Same",
            "rude.other": "by_hand:Other",
        },
        {
            "own": "class Up: pass",
            "by_hand": "from shared import BLOCKS\nclass Same: pass\nclass Other: pass\n"
            "BLOCKS.register('rude.same', Same)\nBLOCKS.register('rude.other', object())\n",
        },
    )
    for twin in ("twin-one", "twin-two"):
        write_package(sources / twin, twin, "1.0", {"twin.up": "own:Up"}, {"own": "class Up: pass"})
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(target), *map(str, sorted(sources.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"pip failed (setuptools>=77 must be installed):\n{done.stdout}{done.stderr}"
    (target / "shared.py").write_text(
        "from ganzoo.registry import Registry\nBLOCKS = Registry('block', 'ganzoo.blocks')\n"
        "BUILT_IN = BLOCKS.register('dcgan-up', object())\n"
    )
    return target


def child(installed, arguments, **environment):
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": path, "GANZOO_PLUGINS": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **own, **environment}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def run(installed, code, **environment):
    """What `code`, run by a child Python that sees the plug-ins, leaves in its dict `report`."""
    code = f"import json, sys\nreport = {{}}\n{code}\nprint(json.dumps(report))"
    done = child(installed, ["-c", code], **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def commands(installed, *commands, **environment):
    """What came of each of `commands` of `ganzoo`, run one after another by one child Python that sees the plug-ins."""
    code = f"""
import contextlib, io
from ganzoo.cli import run
report["done"] = []
for words in {[[*map(str, words)] for words in commands]!r}:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(words)
    report["done"].append({{"returncode": status, "stdout": out.getvalue(), "stderr": err.getvalue()}})
"""
    return [SimpleNamespace(**done) for done in run(installed, code, **environment)["done"]]


PURE = """
from shared import BLOCKS, BUILT_IN
from ganzoo.errors import PluginError, UnknownNameError

report["listed"], report["length"] = list(BLOCKS), len(BLOCKS)
report["in"] = "broken.missing" in BLOCKS and "acme.up" in BLOCKS and "acme.down" not in BLOCKS
try:
    BLOCKS["acme.upp"]
except UnknownNameError as error:
    report["typo"] = str(error)
report["imported by listing"] = [name for name in sys.modules if name.endswith("_gan")] + [
    name for name in ("twin_one", "twin_two", "torch") if name in sys.modules]

report["fine"] = BLOCKS["broken.not"].__module__
report["fine origin"] = str(BLOCKS.origin("broken.not"))
report["errors"] = {}
for turn in range(2):
    for name in BLOCKS:
        if name == "acme.up":
            continue  # it imports torch
        try:
            BLOCKS[name]
        except PluginError as error:
            report["errors"].setdefault(name, []).append([str(error), type(error.__cause__).__name__])
report["built-in"] = BLOCKS["dcgan-up"] is BUILT_IN
report["same"] = BLOCKS["rude.same"].__name__
report["same origin"] = str(BLOCKS.origin("rude.same"))
report["built-in origin"] = BLOCKS.origin("dcgan-up")
report["names"] = BLOCKS.name_of(BUILT_IN), BLOCKS.name_of(BLOCKS["broken.not"])
report["listed later"], report["broken"] = list(BLOCKS), BLOCKS.broken()
"""


@pytest.fixture(scope="session")
def pure(installed):
    return run(installed, PURE)


NAMES = [*BROKEN, "broken.not", "acme.up", "twin.up", "up", "other.up", "rude.same", "rude.other"]


def test_plugins_are_listed_after_the_built_ins_in_order_of_name(pure):
    assert pure["listed"] == ["dcgan-up", *sorted(NAMES)]
    assert pure["length"] == len(pure["listed"]) and pure["in"]
    assert sorted(pure["listed later"]) == sorted(pure["listed"])


def test_listing_imports_no_plugin(pure):
    assert pure["imported by listing"] == []


def test_a_typo_in_a_plugins_name_gets_a_suggestion(pure):
    assert pure["typo"].startswith('Unknown block "acme.upp". Did you mean "acme.up"? Known: dcgan-up, acme.up, ')


@pytest.mark.parametrize(
    "name, cause",
    [
        ("broken.missing", "ModuleNotFoundError"),
        ("broken.exit", "SystemExit"),
        ("broken.lines", "ValueError"),
        ("broken.syntax", "SyntaxError"),
        ("broken.attribute", "AttributeError"),
    ],
)
def test_a_plugin_that_fails_to_import_raises_from_its_cause_each_time_it_is_asked_for(pure, name, cause):
    (message, kind), again = pure["errors"][name]
    assert kind == cause and again == [message, kind]
    assert message.startswith(f'block "{name}" of the package broken-gan fails to import: {cause}(')
    assert message.endswith("; update or uninstall broken-gan.")
    assert message.isprintable() and len(message) < 350
    assert pure["broken"][name] == message


def test_a_sound_plugin_of_a_package_with_broken_ones_loads(pure):
    assert pure["fine"] == "broken_gan.fine"
    assert "broken.not" not in pure["broken"] and "broken.not" not in pure["errors"]
    assert pure["names"] == ["dcgan-up", "broken.not"]


def test_broken_names_all_that_are_refused_and_no_other(pure):
    assert set(pure["broken"]) == {*BROKEN, "twin.up", "up", "dcgan-up", "other.up", "rude.other"}


def test_a_plugin_is_refused_without_its_packages_name_as_prefix(pure):
    wanted = 'must be named after its package, as in "rude-gan.up"; tell its author, or uninstall rude-gan.'
    for name in ("up", "other.up"):
        assert pure["errors"][name][0][0] == f'block "{name}" of the package rude-gan {wanted}'


def test_a_plugin_cannot_shadow_a_built_in(pure):
    assert pure["built-in"] and pure["built-in origin"] is None
    assert "dcgan-up" not in pure["errors"]
    assert 'as in "rude-gan.dcgan-up"' in pure["broken"]["dcgan-up"]


def test_one_name_of_two_packages_is_refused_naming_both(pure):
    message = pure["errors"]["twin.up"][0][0]
    assert message.startswith('block "twin.up" is offered by twin-') and "twin-one" in message and "twin-two" in message


def test_a_plugin_may_register_its_own_object_by_hand_too(pure):
    assert pure["same"] == "Same" and "rude.same" not in pure["errors"]


def test_a_plugin_may_not_register_another_object_by_hand(pure):
    first, second = pure["errors"]["rude.other"]
    assert first == second
    assert 'block "rude.other" is offered by the package rude-gan and registered by hand as another object' in first[0]


def test_origin_gives_distribution_and_version(pure):
    assert pure["fine origin"] == str(Origin("broken-gan", "0.3"))
    assert pure["same origin"] == str(Origin("rude-gan", "1!2.0rc1"))


def test_what_was_registered_by_hand_before_has_its_origin_too(installed):
    report = run(
        installed,
        "import rude_gan.by_hand\nfrom shared import BLOCKS\nfrom ganzoo.errors import PluginError\n"
        "report['origin'] = str(BLOCKS.origin('rude.same'))\n"
        "try:\n    BLOCKS['rude.other']\n"
        "except PluginError as error:\n    report['refused'] = str(error)",
    )
    assert report["origin"] == str(Origin("rude-gan", "1!2.0rc1"))
    assert report["refused"].endswith("register yours under another name, or uninstall rude-gan.")


def test_ganzoo_plugins_0_turns_discovery_off(installed):
    report = run(
        installed,
        "from shared import BLOCKS\n"
        "report['listed'], report['in'], report['broken'] = list(BLOCKS), 'acme.up' in BLOCKS, BLOCKS.broken()\n"
        "try:\n    BLOCKS['acme.up']\n"
        "except KeyError as error:\n    report['error'] = str(error)\n",
        GANZOO_PLUGINS="0",
    )
    assert report == {
        "listed": ["dcgan-up"],
        "in": False,
        "broken": {},
        "error": 'Unknown block "acme.up". Known: dcgan-up. Names with a dot come from packages: '
        "GANZOO_PLUGINS=0 turns them off",
    }


def test_a_package_with_unreadable_entry_points_leaves_the_built_ins(tmp_path, installed):
    folder = tmp_path / "odd-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[ganzoo.blocks]\na line without an equals sign\n")
    report = run(
        installed,
        "import warnings\nfrom shared import BLOCKS\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n    report['listed'] = list(BLOCKS)\n"
        "report['warned'] = 'finds no plug-ins' in str(caught[0].message)",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(installed)]),
    )
    assert report == {"listed": ["dcgan-up"], "warned": True}


@pytest.mark.parametrize(
    "name, distribution, value, good",
    [
        ("acme.up", "acme", "acme:Up", True),
        ("acme.up", "acme-gan", "acme_gan.blocks:Up", True),
        ("acme.up", "ganzoo-acme", "ganzoo_acme:Up", True),
        ("acme.up", "unrelated", "acme:Up", True),  # the top module's name will do
        ("acme.up", "Acme.GAN", "x:Up", True),
        ("acme-gan.up", "acme_gan", "x:Up", True),
        ("acme_gan.up", "acme-gan", "x:Up", True),
        ("ACME.up", "acme", "x:Up", True),
        ("acme.up.2x", "acme", "acme:Up", True),
        ("acme.up", "acmes", "acmes:Up", False),  # whole words only
        ("acme.up", "big-acmes", "big.acme:Up", False),
        ("gan-acme.up", "acme-gan", "acme_gan:Up", False),
        ("up", "acme", "acme:Up", False),
        ("up", "up", "up:Up", False),
        (".up", "acme", "acme:Up", False),
        ("acme.", "acme", "acme:Up", False),
        ("acme.up!", "acme", "acme:Up", False),
        ("acme.u p", "acme", "acme:Up", False),
        ("acme..up", "acme", "acme:Up", False),
    ],
)
def test_the_prefix_is_the_packages_name_or_whole_words_of_it(monkeypatch, name, distribution, value, good):
    monkeypatch.delenv("GANZOO_PLUGINS", raising=False)
    package = SimpleNamespace(name=distribution, version="1.0")
    entry = SimpleNamespace(name=name, value=value, dist=package, load=lambda: "loaded")
    monkeypatch.setattr("ganzoo.registry.entry_points", lambda group: [entry])
    blocks: Registry[str] = Registry("block", "ganzoo.blocks")
    if good:
        assert blocks[name] == "loaded" and blocks.origin(name) == Origin(distribution, "1.0")
    else:
        with pytest.raises(PluginError, match="must be named after its package"):
            blocks[name]
    assert bool(blocks.broken()) is not good


@pytest.mark.parametrize("text", ["acme.up(scale=2)", "acme.up:2"])
def test_a_saved_model_records_plugins_that_its_config_names_with_options(monkeypatch, text):
    package = SimpleNamespace(name="acme-gan", version="0.1")
    entry = SimpleNamespace(name="acme.up", value="acme:Up", dist=package, load=lambda: "loaded")
    monkeypatch.setattr("ganzoo.registry.entry_points", lambda group: [entry] if group == "ganzoo.blocks" else [])
    monkeypatch.delenv("GANZOO_PLUGINS", raising=False)
    blocks: Registry[str] = Registry("block", "ganzoo.blocks")
    models: Registry[type] = Registry("model", "ganzoo.models")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class TinyConfig(Config):
        block: str = text

    @models.register("tiny")
    class Tiny(torch.nn.Module):
        config_class, config = TinyConfig, TinyConfig()

    monkeypatch.setattr("ganzoo.saving.format.NAMED_IN_CONFIGS", (blocks,))
    monkeypatch.setattr("ganzoo.saving.format.MODELS", models)
    recorded = describe(Tiny()).plugins
    assert recorded == ({"kind": "block", "name": "acme.up", "package": "acme-gan", "version": "0.1"},)


# --- the example: one of each kind ----------------------------------------------------------------------------------

REAL = """
import ganzoo, torch
from ganzoo.errors import ConfigError
from ganzoo.losses import Loss

registries = {name: getattr(ganzoo, name) for name in ganzoo.REGISTRIES}
acme = {name: [each for each in registry if each.startswith("acme.")] for name, registry in registries.items()}
report["imported by listing"] = "acme_gan" in sys.modules
report["kinds without an example"] = [name for name, found in acme.items() if not found]
report["origins"] = [str(registries[name].origin(each)) for name, found in acme.items() for each in found]
report["said"] = {each: registries[name].describe(each) for name, found in acme.items() for each in found}

ganzoo.blocks.check_block(ganzoo.BLOCKS["acme.up"])
loss = ganzoo.LOSSES.make("acme.margin(margin=1)")
real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0])
figures = loss.for_discriminator(real, fake), loss.for_generator(fake, None)
report["loss"] = [isinstance(loss, Loss), *(figure.item() for figure in figures)]
try:
    ganzoo.LOSSES.make("acme.margin(margn=1)")
except ConfigError as error:
    report["wrong option"] = str(error)

for name in acme["MODELS"]:
    ganzoo.models.check_model(name)
report["resized"] = list(ganzoo.create("acme.preset", image_size=32).sample(2, seed=0).shape)

gan = ganzoo.create("acme.preset", seed=0)
report["samples"], report["logits"] = list(gan.sample(3, seed=0).shape), len(gan.discriminator(gan.sample(3, seed=0)))
gan.save_pretrained(sys.argv[1])
named = ganzoo.create("fashion-mnist", generator={"block": "acme.up(kernel=5)", "widths": (8, 4)}, seed=0)
named.save_pretrained(sys.argv[1] + "-named")
again = ganzoo.from_pretrained(sys.argv[1] + "-named")
report["kernel"] = again.generator.stages[0].each.kernel_size[0]
from ganzoo.cli import run
words = ["--data", "fashion-mnist-mini", "--steps", "1", "--set", "batch_size=4", "--set", "score_every=0"]
words += ["--set", "generator.widths=8,4", "--set", "discriminator.widths=4,8", "--output", sys.argv[1] + "-run"]
from ganzoo.training import check_callback
check_callback("acme.counter(stop_at=2)")
report["status"] = run(["train", "fashion-mnist", "--set", "generator.block=acme.up(kernel=5)", *words])
report["trained"] = ganzoo.from_pretrained(sys.argv[1] + "-run").generator.config.block
report["named equal"] = torch.equal(again.sample(2, seed=0), named.sample(2, seed=0))
report["equal"] = torch.equal(ganzoo.from_pretrained(sys.argv[1]).sample(3, seed=0), gan.sample(3, seed=0))
"""


@pytest.fixture(scope="session")
def real(installed, tmp_path_factory):
    saved = tmp_path_factory.mktemp("saved") / "model"
    report = run(installed, f"sys.argv[1:] = [{str(saved)!r}]\n{REAL}")
    return {**report, "saved": saved}


def test_the_example_has_one_of_each_kind_which_is_loaded_only_when_asked_for(real):
    assert not real["imported by listing"] and set(real["kinds without an example"]) == WITHOUT_EXAMPLE
    assert set(real["origins"]) == {str(Origin("acme-gan", "0.1"))}
    assert all(re.fullmatch(r"\S.* \(of acme-gan 0\.1\)", said) for said in real["said"].values())


def test_the_example_is_short():
    lines = [line for path in EXAMPLE.rglob("acme_gan/*.py") for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 200


def test_the_examples_loss_is_the_rounded_hinge_and_its_option_is_checked(real):
    isinstance_of_loss, discriminator, generator = real["loss"]
    # softplus(-1), softplus(1), softplus(0), softplus(2)
    expected = (0.313262 + 1.313262) / 2 + (0.693147 + 2.126928) / 2
    assert isinstance_of_loss and discriminator == pytest.approx(expected, abs=1e-5) and generator == 0.0
    assert real["wrong option"] == 'acme.margin has no option "margn". Did you mean "margin"? Known: margin.'


def test_the_examples_family_is_made_at_another_size_and_its_callback_keeps_the_contract(real):
    assert real["resized"] == [2, 1, 32, 32]  # check_model and check_callback passed before, in the child


def test_a_saved_model_records_the_plugin_and_comes_back_with_it(real):
    assert real["samples"] == [3, 1, 16, 16] and real["logits"] == 3 and real["equal"]
    config = json.loads((real["saved"] / "config.json").read_text())
    used = {"kind": "model", "name": "acme.generator", "package": "acme-gan", "version": "0.1"}
    assert used in config["generator"]["plugins"]


def test_a_block_with_options_is_recorded_and_comes_back_with_them(real):
    config = json.loads(real["saved"].with_name("model-named").joinpath("config.json").read_text())["generator"]
    assert real["kernel"] == 5 and real["named equal"] and config["config"]["block"] == "acme.up(kernel=5)"
    assert {"kind": "block", "name": "acme.up", "package": "acme-gan", "version": "0.1"} in config["plugins"]
    assert (real["status"], real["trained"]) == (0, "acme.up(kernel=5)")  # by `ganzoo train --set`


def ganzoo(installed, *words, **environment):
    """The command `ganzoo`, run by a child Python that sees the plug-ins."""
    return child(installed, ["-m", "ganzoo", *map(str, words)], **environment)


@pytest.fixture(scope="session")
def listed(installed):
    names = sorted({*REGISTRIES} - WITHOUT_EXAMPLE)
    done = commands(installed, *(["list", name.lower().replace("_", "-")] for name in names))
    return {name: each.stdout for name, each in zip(names, done, strict=True)}


@pytest.mark.parametrize("name", sorted({*REGISTRIES} - WITHOUT_EXAMPLE))
def test_ganzoo_list_shows_the_examples_entries_with_their_options(listed, name):
    entry = re.search(r"^acme\..*(\n .*)*", listed[name], re.MULTILINE)  # a long one goes on in the next line
    line = re.sub(r"\n +", " ", entry[0])
    assert line.endswith(" (of acme-gan 0.1)")
    options = {
        "LOSSES": "acme.margin(margin=1.0)  ",
        "AUGMENTATIONS": "acme.dim(strength=0.5)  ",
        "BLOCKS": "acme.up(kernel=3)  ",
    }
    assert line.startswith(options.get(name, "acme."))


# --- the walk: train, stop, kill, resume, list, card, evaluate ------------------------------------------------------

TRAIN = ["train", "acme.preset", "--data", "acme.blobs(count=64)", "--steps", "8"]
SET = {
    "batch_size": "8",
    "loss": "acme.margin(margin=2)",
    "penalties": "acme.drift(weight=0.01,every=2)",
    "generator_penalties": "acme.pull(weight=0.1,every=2)",
    "augmentations": "acme.dim(strength=0.3)",
    "log_every": "1",
    "checkpoint_every": "2",
    "keep": "last",
}
SET = [word for name, value in SET.items() for word in ("--set", f"{name}={value}")]
KILLED = """
import os, signal
import acme_gan.callbacks
from ganzoo.cli import main

on_step = acme_gan.callbacks.Counter.on_step
def killed(self, run):
    on_step(self, run)
    if self.count == 5:
        os.kill(os.getpid(), signal.SIGKILL)
acme_gan.callbacks.Counter.on_step = killed
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def walk(installed, tmp_path_factory):
    """A run of the example that its callback stops at step 3, and how it went; and one that nothing stops."""
    folder = tmp_path_factory.mktemp("walk") / "run"
    straight = folder.with_name("straight")
    words = [*TRAIN, "--output", folder, *SET, "--set", "callbacks=acme.counter(stop_at=3,slow_at=2)"]
    others = [*TRAIN, "--output", straight, *SET, "--set", "callbacks=acme.counter(slow_at=2)"]
    stopped, unstopped = commands(installed, words, others)
    assert unstopped.returncode == 0, unstopped.stderr
    recorded = json.loads((folder / "run.json").read_text())
    copy = shutil.copytree(folder, folder.with_name("stopped"))
    resumed = ganzoo(installed, "train", "--resume", folder)
    return SimpleNamespace(
        folder=folder, copy=copy, straight=straight, stopped=stopped, recorded=recorded, resumed=resumed
    )


@pytest.fixture(scope="session")
def without_plugins(walk, real, installed):
    """What comes of a resume of the run as it was stopped, of one when it was finished, and of its model, alone."""
    words = [["train", "--resume", walk.copy], ["train", "--resume", walk.folder], ["sample", real["saved"]]]
    return dict(zip(("stopped", "finished", "model"), commands(installed, *words, GANZOO_PLUGINS="0"), strict=True))


def test_a_run_is_stopped_by_a_callback_which_says_why(walk):
    assert walk.stopped.returncode == 0 and "counted to 3" in walk.stopped.stderr + walk.stopped.stdout


def test_run_json_keeps_the_texts_of_all_plugins_and_their_packages(walk):
    settings = walk.recorded["settings"]
    assert settings["callbacks"] == ["acme.counter(stop_at=3,slow_at=2)"]
    assert settings["loss"] == "acme.margin(margin=2)" and settings["penalties"] == ["acme.drift(weight=0.01,every=2)"]
    text = json.dumps(walk.recorded)
    assert all(f'"{name}"' in text for name in ("acme.counter", "acme.margin", "acme.drift", "acme.pull", "acme.dim"))
    assert '"acme-gan"' in text and "acme.blobs(count=64)" in text


@pytest.mark.parametrize("which", ["stopped", "finished"])
def test_a_resume_without_the_package_is_refused_before_anything_else(without_plugins, which):
    done = without_plugins[which]
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "acme." in done.stderr and "Install what it was begun with: pip install acme-gan==0.1" in done.stderr


def test_a_saved_model_says_what_to_install_if_the_plugin_is_missing(without_plugins):
    done = without_plugins["model"]
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "acme-gan==0.1, by somebody else" in done.stderr


def test_a_stopped_run_goes_on_and_its_callback_counts_on(walk):
    assert walk.resumed.returncode == 0, walk.resumed.stderr
    assert [entry["count"] for entry in log_of(walk.folder) if "count" in entry][-1] == 8


@pytest.fixture(scope="session")
def killed(installed, tmp_path_factory):
    """A run of the settings of the one that nothing stops, which is killed at step 5 and resumed."""
    broken = tmp_path_factory.mktemp("kill") / "broken"
    words = [*TRAIN, *SET, "--set", "callbacks=acme.counter(slow_at=2)", "--output", str(broken)]
    done = child(installed, ["-c", f"import sys\n{KILLED}", *words])
    assert done.returncode == -9, done.stderr
    resumed = ganzoo(installed, "train", "--resume", broken)
    assert resumed.returncode == 0, resumed.stderr
    return broken


@pytest.mark.parametrize("name", ["log.jsonl", "model/model.safetensors", "model/discriminator/model.safetensors"])
def test_a_killed_run_ends_like_one_that_was_never_killed(killed, walk, name):
    assert (walk.straight / name).read_bytes() == (killed / name).read_bytes()
    if name != "log.jsonl":
        assert (walk.straight / name).read_bytes() == (walk.folder / name).read_bytes()


WRONG = {
    'has no option "cuont". Did you mean "count"': ["--data", "acme.blobs(cuont=3)"],
    'Did you mean "acme.blobs"': ["--data", "acme.blob"],
    'margin must be a float, got "wide"': ["--set", "loss=acme.margin(margin=wide)"],
    'has no option "stop". Did you mean "stop_at"': ["--set", "callbacks=acme.counter(stop=3)"],
}


@pytest.fixture(scope="session")
def used(walk, installed, tmp_path_factory):
    """What came of other commands, with the folder that they wrote into."""
    folder = tmp_path_factory.mktemp("used")
    words = {
        "card": ["card", walk.folder / "model"],
        "data": ["data", "acme.blobs(count=50)", "--output", folder / "data.png"],
        "evaluate": ["evaluate", walk.folder, "--data", "acme.blobs(count=400)", "--samples", "120"],
        **{said: ["train", "acme.preset", "--output", folder / "run", *words] for said, words in WRONG.items()},
    }
    words["evaluate"] += ["--features", "acme.tiny", "--metric", "acme.brightness", "--output", folder]
    return folder, dict(zip(words, commands(installed, *words.values()), strict=True))


def test_the_card_names_the_package(walk, used):
    assert used[1]["card"].returncode == 0 and "acme-gan" in (walk.folder / "model" / "README.md").read_text()


def test_a_source_with_options_is_looked_at(used):
    done = used[1]["data"]
    assert done.returncode == 0 and "50" in done.stdout, done.stderr


@pytest.mark.parametrize("said", WRONG)
def test_a_wrong_option_of_a_plugin_is_one_line(used, said):
    folder, done = used[0], used[1][said]
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert not (folder / "run").exists()


def test_features_and_metrics_of_a_plugin_are_measured_with_both_references(used):
    folder, done = used[0], used[1]["evaluate"]
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "evaluation.json").read_text())["figures"]
    (found,) = [each for each in figures if each["name"].startswith("brightness") or "acme.brightness" in each["name"]]
    assert found["better"] == "lower" and found["real_reference"] is not None and found["noise_reference"] is not None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no picture <_io.BytesIO object at 0x7f0a>", "no picture"),
        ("<acme.Up object at 0x7f0a> fails", "<acme.Up object> fails"),
    ],
)
def test_the_words_of_an_error_name_its_object_without_an_address(said, shown):
    assert words_of(ValueError(said)) == f"ValueError: {shown}"
