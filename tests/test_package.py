"""The package as a whole: what importing costs, what is public, which file may import which."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ganzoo
from ganzoo.cli import run
from ganzoo.errors import UnknownNameError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ganzoo"
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ["torch", "timm", "torchvision", "accelerate", "huggingface_hub", "matplotlib", "PIL", "numpy", "typer", "rich"]


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


# --- importing, public names ---------------------------------------------------------------------------------------


def test_importing_ganzoo_imports_nothing_heavy():
    code = "import ganzoo, sys; dir(ganzoo); ganzoo.__version__; ganzoo.GanzooError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ganzoo.errors" in loaded and not loaded & set(HEAVY)


def test_a_sampler_needs_none_of_the_slow_packages():
    code = "import ganzoo, sys; ganzoo.from_pretrained; ganzoo.GAN; ganzoo.BLOCKS; ganzoo.LOSSES; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"timm", "torchvision", "accelerate", "huggingface_hub", "matplotlib"}


@pytest.mark.parametrize("name", ganzoo.__all__)
def test_every_public_name_resolves(name):
    assert getattr(ganzoo, name) is not None
    assert name in dir(ganzoo)


def test_every_module_that_a_page_names_is_an_attribute_of_ganzoo():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"`ganzoo\.([a-z_]+)[.`]", page.read_text())}
    assert {"callbacks", "evaluation", "seeds"} <= named
    missing = named - {*ganzoo.__all__, "integrations"}  # the modules of integrations/ are imported one by one
    assert not missing


def test_all_public_names_can_be_had_by_star():
    namespace: dict[str, object] = {}
    exec("from ganzoo import *", namespace)
    assert set(ganzoo.__all__) <= set(namespace)


@pytest.mark.parametrize("package", ["blocks", "data", "evaluation", "explore", "models", "training"])
def test_star_brings_a_packages_public_names_and_no_submodules(package):
    namespace: dict[str, object] = {}
    exec(f"from ganzoo.{package} import *", namespace)
    modules = [name for name, value in namespace.items() if isinstance(value, ModuleType)]
    init = ast.parse((SOURCE / package / "__init__.py").read_text()).body
    names = {each.name for node in init if isinstance(node, ast.ImportFrom) for each in node.names}
    assert not modules and namespace.keys() - {"__builtins__"} == names
    assert not any(isinstance(node, ast.Assign) for node in init), "a type checker takes a computed __all__ for empty"


def test_evaluate_is_the_function_whichever_module_is_imported_first():
    for first in ("ganzoo", "ganzoo.evaluation", "ganzoo.evaluation.evaluate", "ganzoo.runs.card"):
        code = (
            f"import {first}; from ganzoo.evaluation import evaluate; import ganzoo; assert evaluate is ganzoo.evaluate"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_installed_distributions():
    assert ganzoo.__version__ == importlib.metadata.version("ganzoo-torch")
    assert re.fullmatch(r"\d+\.\d+\.\d+", ganzoo.__version__)


@pytest.fixture
def not_installed(monkeypatch):
    found = importlib.metadata.Distribution.from_name

    def absent(name):
        if name == "ganzoo-torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", absent)


def test_a_clone_that_pip_did_not_install_trains_and_saves(tmp_path, not_installed, capsys):
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    images = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    result = ganzoo.Trainer(gan, images, output_dir=tmp_path / "run", steps=1, batch_size=4, device="cpu").fit()
    assert json.loads((result.model / "config.json").read_text())["library_version"] == "0+unknown"
    assert ganzoo.from_pretrained(result.model).image_size == 28
    assert run(["doctor"]) == 0 and "not installed as a package" in capsys.readouterr().out
    assert run(["--version"]) == 0 and capsys.readouterr().out == "0+unknown\n"


def test_a_clone_that_pip_did_not_install_calls_no_model_newer(tmp_path, not_installed):
    config = ganzoo.create("fashion-mnist").save_pretrained(tmp_path / "model") / "config.json"
    config.write_text(config.read_text().replace("0+unknown", "0.1.0").replace("dcgan-up", "dcgan-upp"))
    with pytest.raises(UnknownNameError) as caught:
        ganzoo.from_pretrained(config.parent)
    assert "pip install -U" not in str(caught.value)


def test_the_stub_lists_exactly_the_lazy_names_from_their_homes():
    homes = {**ganzoo._HOME, **dict.fromkeys(ganzoo._MODULES, "ganzoo")}
    found, others = {}, []
    for node in ast.parse((SOURCE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name}: a stub exports only what is imported `as` itself"
                found[alias.name] = node.module
        else:
            others.append(ast.unparse(node))
    assert found == homes and others == ["REGISTRIES: dict[str, str]", "__version__: str"]


@pytest.mark.parametrize("typo, near", [("from_pretraned", "from_pretrained"), ("Blocks", "blocks"), ("GANN", "GAN")])
def test_an_unknown_attribute_names_a_near_match(typo, near):
    with pytest.raises(AttributeError) as caught:
        getattr(ganzoo, typo)
    assert f"module 'ganzoo' has no attribute '{typo}'. Did you mean \"{near}\"? Known: " in str(caught.value)
    assert not hasattr(ganzoo, "zzzz")


# --- floors --------------------------------------------------------------------------------------------------------

FLOORS = [
    [
        "errors",
        "config",
        "exports",
        "options",
        "registry",
        "stateful",
        "files",
        "hardware",
        "graphs",
        "seeds",
        "hub_errors",
        "text",
    ],
    ["blocks", "losses", "schedules", "penalties", "augment", "latents", "images", "markup"],
    ["models"],
    ["saving", "gan", "pretrained", "data"],
    ["evaluation", "explore", "callbacks", "settings", "presets"],
    ["runs", "training"],
    ["hub", "integrations"],
    ["__init__", "cli", "__main__"],
]
# imports of hub/ inside a function, where it is called: the Hub's client is slow to import, and few need it
CALLS_THE_HUB = {"gan.py", "pretrained.py"}
PLACE = {unit: (floor, place) for floor, units in enumerate(FLOORS) for place, unit in enumerate(units)}


def imported_modules(source: str, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that `source` imports from ganzoo, wherever in the file it stands."""
    package = module.split(".")
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        for name in names:
            if name == "ganzoo" or name.startswith("ganzoo."):
                yield node.lineno, name


def unit_of(dotted: str) -> str:
    """The file or folder of the floors that `dotted` stands for; what `ganzoo` itself offers is the roof's."""
    unit = dotted.split(".")[1] if "." in dotted else "__init__"
    return unit if unit in PLACE or (SOURCE / unit).exists() or (SOURCE / f"{unit}.py").exists() else "__init__"


def climbing(source: str, path: str) -> list[str]:
    """The lines of `source`, the file `path`, that import from above or, on their own floor, from the right."""
    module = "ganzoo." + path.removesuffix(".py").replace("/", ".")
    own = path.split("/")[0].removesuffix(".py")
    if own not in PLACE:
        return [f"{path}: {own} stands on no floor; find it a place in FLOORS and in docs/design.md"]
    problems, lines = [], source.splitlines()
    for line, dotted in imported_modules(source, module):
        unit = unit_of(dotted)
        if unit == own or (unit == "hub" and path in CALLS_THE_HUB and lines[line - 1].startswith("    ")):
            continue
        if unit not in PLACE:
            problems.append(f"{path}:{line}: {unit} stands on no floor")
        elif PLACE[unit] > PLACE[own]:
            how = "climbs" if PLACE[unit][0] > PLACE[own][0] else "reaches to the right"
            problems.append(f"{path}:{line}: {own} imports {dotted}, which {how}; move one of the two")
    return problems


def rows_of_the_map() -> Iterator[tuple[list[str], list[str]]]:
    """The names in code of each row in the tables of docs/design.md: in its first column, and in its second."""
    for first, second in re.findall(r"^\| (.*?) \| (.*) \|$", (ROOT / "docs" / "design.md").read_text(), re.MULTILINE):
        yield re.findall(r"`([^`]+)`", first), re.findall(r"`([^`]+)`", second)


def test_the_floors_in_the_docs_are_those_of_the_test():
    shown = [[name.rstrip("/") for name in names] for first, names in rows_of_the_map() if names and not first]
    assert shown == FLOORS


def test_the_map_in_the_docs_has_every_file_and_no_other():
    named = {word for first, second in rows_of_the_map() for word in first + (second if first == ["cli/"] else [])}
    named = {word.removesuffix(".py").rstrip("/").split("/")[-1] for word in named}
    missing = [name_of(path) for path in FILES if path.stem not in named]
    others = sorted(named - {path.stem for path in FILES} - {path.parent.name for path in FILES})
    assert not missing, f"add to the tables of docs/design.md: {', '.join(missing)}"
    assert not others, f"in the tables of docs/design.md, but no file: {', '.join(others)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_the_floors_only(path):
    problems = climbing(path.read_text(), name_of(path))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "path, line",
    [
        ("errors.py", "import ganzoo.config"),
        ("errors.py", "from ganzoo import config"),
        ("errors.py", "from ganzoo.config import Config"),
        ("blocks/norms.py", "from ganzoo.losses import LOSSES"),
        ("blocks/norms.py", "from ..models import MODELS"),
        ("blocks/__init__.py", "from ganzoo import GAN"),
        ("gan.py", "import ganzoo"),
        ("gan.py", "from ganzoo import *"),
        ("gan.py", "from . import training"),
        ("data/sources.py", "if TYPE_CHECKING:\n    from ganzoo.training import Trainer"),
        ("data/sources.py", "def later():\n    from ganzoo.evaluation.metrics import score"),
        ("data/sources.py", "importlib.import_module('ganzoo.cli')"),
        ("presets.py", "try:\n    import ganzoo.training as d\nexcept ImportError:\n    pass"),
        ("models/contract.py", "from ganzoo.hub import folder"),
        ("stray.py", "import os"),
    ],
)
def test_the_test_of_the_floors_sees_an_import_that_climbs(path, line):
    assert len(climbing(line, path)) == 1
    assert climbing(line, path)[0].startswith(f"{path}:")


@pytest.mark.parametrize(
    "path, line",
    [
        ("cli/train.py", "from ganzoo import GAN, images\nfrom ganzoo.training import Trainer"),
        ("config.py", "from ganzoo.errors import quote"),
        ("blocks/norms.py", "from ganzoo.blocks.contract import ImageBlock\nfrom .contract import check_block"),
        ("gan.py", "import os, torch\nfrom ganzoo import images as pictures\nfrom ganzoo.models import MODELS"),
        ("training/step_functions.py", "import ganzoo_else\nfrom ganzoo_else import x"),
    ],
)
def test_the_test_of_the_floors_lets_an_import_that_goes_down_pass(path, line):
    assert climbing(line, path) == []


def test_no_file_imports_itself_in_a_circle():
    modules = {}
    for path in FILES:
        parts = ["ganzoo", *path.relative_to(SOURCE).with_suffix("").parts]
        modules[".".join(parts)] = path
    edges: dict[str, set[str]] = {}
    for module, path in modules.items():
        edges[module] = set()
        for _, dotted in imported_modules(path.read_text(), module):
            candidates = (
                dotted,
                f"{dotted}.__init__",
                dotted.rpartition(".")[0],
                f"{dotted.rpartition('.')[0]}.__init__",
            )
            target = next((name for name in candidates if name in modules), None)
            if target and target != module:
                edges[module].add(target)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


# --- the text of the sources ---------------------------------------------------------------------------------------


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "jsonpickle"}


def unsafe(source: str) -> list[str]:
    """What in `source` could run a stranger's code: pickle and its kin, eval and exec, shells."""
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            problems += [f"{node.lineno}: imports {m}" for m in modules if m.split(".")[0] in UNSAFE_MODULES]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in ("eval", "exec", "os.system", "os.popen", "builtins.eval", "builtins.exec"):
                problems.append(f"{node.lineno}: calls {called}")
            if called in ("torch.load", "torch.hub.load") and given.get("weights_only") != "True":
                problems.append(f"{node.lineno}: calls {called} without weights_only=True")
            if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
                problems.append(f"{node.lineno}: passes shell or allow_pickle to {called}")
    return problems


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_source_can_run_a_strangers_code(path):
    problems = [f"{name_of(path)}:{problem}" for problem in unsafe(path.read_text())]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "def f():\n    import dill",
        "eval('1')",
        "exec('1')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=yes)",
        "numpy.load(path, allow_pickle=True)",
        "os.system('ls')",
    ],
)
def test_the_test_of_unsafe_code_sees_it(line):
    assert len(unsafe(line)) == 1


def test_the_test_of_unsafe_code_lets_the_rest_pass():
    code = (
        "network.eval()\nre.compile('x')\ntorch.load(path, weights_only=True)\nsubprocess.run(['ls'])\njson.load(file)"
    )
    assert unsafe(code) == []
