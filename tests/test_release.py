"""What is released: the workflows, the repository's address in it, and a wheel that works in an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

import ganzoo

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted({*(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")} - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
SOURCE = ROOT / "src" / "ganzoo"
LARGEST = 45_000_000  # bytes of a wheel


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_ends_in_time_and_has_no_more_rights_than_it_names(path):
    workflow = read(path)
    assert workflow[True] and workflow["permissions"] == {"contents": "read"}  # YAML 1.1 reads the key `on` as true
    for job in workflow["jobs"].values():
        assert "uses" in job or (job["timeout-minutes"] and all({"uses", "run"} & set(step) for step in job["steps"]))


def test_every_python_and_the_oldest_and_newest_dependencies_are_tested():
    matrix = read(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13", "3.14"] and matrix["dependencies"] == ["newest"]
    assert matrix["include"] == [{"python": "3.10", "dependencies": "oldest"}]


def test_only_a_published_release_is_sent_without_a_token():
    text = (ROOT / ".github/workflows/release.yml").read_text()
    workflow = yaml.safe_load(text)
    publish = workflow["jobs"]["publish"]
    assert workflow[True] == {"release": {"types": ["published"]}} and "secrets." not in text
    assert publish["needs"] == ["test", "build"] and publish["permissions"] == {"id-token": "write"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_can_be_filled_in(path):
    form = read(path)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert form["name"] and form["description"] and any(field["validations"]["required"] for field in fields[:1])
    assert len({field["id"] for field in fields}) == len(fields)


def test_pre_commit_runs_what_lint_checks():
    (local,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    checks = {hook["entry"].split(" --")[0] for hook in local["hooks"]}
    lint = re.findall(r"^\t\$\(BIN\)/(.*?)(?: \.| --check \.)?$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert checks == {"ruff check", "ruff format", "mypy"} and checks < set(lint)


def test_every_place_names_one_version():
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert read(ROOT / "CITATION.cff")["version"] == version


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A copy of what a distribution is made of, with the repository's address in it, as the release workflow has it."""
    copy = tmp_path_factory.mktemp("released")
    for name in ("pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    (copy / "tests").mkdir()
    shutil.copy(__file__, copy / "tests")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for _ in range(2):  # a second time changes nothing
        run([sys.executable, ROOT / ".github" / "absolute_links.py", "Me/zoo", "v1"], copy)
    return copy


def test_the_address_of_the_repository_is_written_once_into_what_is_released(released):
    assert read(released / "CITATION.cff")["repository-code"] == "https://github.com/Me/zoo"
    project = (released / "pyproject.toml").read_text()
    assert project.count("[project.urls]") == 1 and 'Documentation = "https://me.github.io/zoo/"' in project
    assert "[project.urls]" not in (ROOT / "pyproject.toml").read_text()  # nothing is decided
    assert (released / "README.md").read_text().count("github.com/Me/zoo/actions/workflows/test.yml/badge.svg") == 1


def test_the_badges_of_the_readme_are_true():
    project, readme = (ROOT / "pyproject.toml").read_text(), (ROOT / "README.md").read_text()
    (python,) = re.findall(r'^requires-python = ">=(.*)"', project, re.MULTILINE)
    (licence,) = re.findall(r'^license = "(.*)"', project, re.MULTILINE)
    badges = re.findall(r"img\.shields\.io/badge/([^)]*)\)", readme)
    assert badges == [f"python-{python}%2B-blue", f"licence-{licence.replace('-', '--')}-blue"]


@pytest.fixture(scope="module")
def wheel(released):
    """The wheel built of the built sources, without network."""
    run([sys.executable, "-m", "build", "--no-isolation"], released)
    assert len([*(released / "dist").glob("*.tar.gz")]) == 1
    return next((released / "dist").glob("*.whl"))


def test_the_wheel_is_small_and_holds_every_file_of_the_package(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    paths = {path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    missing = {f"ganzoo/{path.relative_to(SOURCE)}" for path in paths} - held
    assert not missing, f"add to package-data in pyproject.toml: {sorted(missing)}"
    assert {"ganzoo/py.typed", "ganzoo/__init__.pyi", "ganzoo/data/files/NOTICE.md"} <= held
    assert any(name.startswith("ganzoo/zoo/") and name.endswith(".safetensors") for name in held)
    assert all(name.startswith(("ganzoo/", "ganzoo_torch-")) for name in held)
    assert wheel.stat().st_size < LARGEST


def test_the_sources_hold_no_tests_which_need_the_whole_repository(wheel):
    (path,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert any(name.endswith("/src/ganzoo/gan.py") for name in names) and not any("/tests" in name for name in names)


def test_the_wheel_says_what_it_is(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"ganzoo_torch-{ganzoo.__version__}.dist-info"
    assert "ganzoo = ganzoo.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()
    metadata = archive.read(f"{info}/METADATA").decode()
    for line in ("Name: ganzoo-torch", "Requires-Python: >=3.10", "License-Expression: Apache-2.0"):
        assert f"\n{line}\n" in metadata
    assert "\nProject-URL: Homepage, https://github.com/Me/zoo\n" in metadata
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/src/ganzoo/data/files/NOTICE.md"} <= set(archive.namelist())
    for package in ("torch", "timm", "torchvision", "accelerate", "huggingface_hub", "safetensors"):
        assert re.search(rf"^Requires-Dist: {package}>=", metadata, re.MULTILINE)


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_and_samples_there(wheel, tmp_path):
    venv.create(tmp_path / "empty")
    programs = tmp_path / "empty" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "-q", "--no-index", "--no-deps"]
    run([*pip, wheel], tmp_path)
    (site,) = (tmp_path / "empty" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))  # torch and the others: those that are here
    run([programs / "ganzoo", "sample", "fashion-mnist", "-n", "4", "-o", "there.png"], tmp_path)
    said = run([programs / "python", "-c", "import ganzoo; print(ganzoo.__file__)"], tmp_path)
    assert said.startswith(str(site))
    sheet = ganzoo.images.grid(ganzoo.from_pretrained("fashion-mnist").sample(4, seed=0), columns=2, scale=4)
    with Image.open(tmp_path / "there.png") as there:
        assert there.tobytes() == sheet.tobytes()


def run(command: list[object], folder: Path) -> str:
    """The output of `command`, run in `folder` with ganzoo as it is installed there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
