"""Every snippet of README and docs runs, and prints what the page says; every example runs."""

import ast
import importlib.util
import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from forked import run_file

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]
SNIPPET = re.compile(r"(<!-- needs the network -->\n)?```python\n(.*?)```\n(?:```\n(.*?)```\n)?", re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_each_snippet_of_a_page_runs_from_a_fresh_python_unless_it_says_continued(page, tmp_path, monkeypatch, capsys):
    import ganzoo

    monkeypatch.chdir(tmp_path)
    registries = [getattr(ganzoo, name) for name in ganzoo.REGISTRIES]
    before = [set(registry) for registry in registries]
    names: dict[str, object] = {}

    def begin_afresh():
        names.clear()
        for registry, names_before in zip(registries, before, strict=True):
            for name in set(registry) - names_before:
                del registry._items[name]

    try:
        for network, code, output in SNIPPET.findall((ROOT / page).read_text()):
            if not network:
                if not code.startswith("# continued"):
                    begin_afresh()
                exec(compile(code, page, "exec"), names)
                printed = capsys.readouterr().out
                assert not output or printed.strip() == output.strip(), f"{page} says it prints {output!r}"
    finally:
        begin_afresh()


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_of_a_page_exist(page):
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page} names {target}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_exist(page):
    from ganzoo.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    for command in re.findall(r"^ganzoo (\w+)", (ROOT / page).read_text(), re.MULTILINE):
        assert command in known, f"{page} types `ganzoo {command}`"


def test_docstrings_are_laid_out_as_the_reference_reads_them():
    for path in (ROOT / "src" / "ganzoo").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            text = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node)
            if not text:
                continue
            place = f"{path}:{node.lineno}"
            if not node.name.startswith("_") and {"property", "cached_property"} & {
                getattr(each, "id", "") for each in node.decorator_list
            }:
                first = re.sub("`[^`]*`", "", text.partition("\n")[0])
                assert ":" not in first, f"{place}: what stands before the colon is read as a type"
            for part in re.findall(r"^(?:Args|Attributes|Raises):\n((?:    .*\n)*)", f"{text}\n", re.MULTILINE):
                for line in re.findall(r"^    (\S.*)", part, re.MULTILINE):
                    assert re.match(r"[\w*, .()]+: ", line), f"{place}: indent {line!r}, which continues a line"


EXAMPLES = {
    "sample.py": ([], ["pictures/grid.png", "pictures/walk.gif", "pictures/single/00999.png"]),
    "train_folder.py": (["drawings", "3"], ["pictures/mine.png", "runs/example-my-pictures/model/model.safetensors"]),
    "fashion_mnist.py": (["3", "fashion-mnist-mini"], ["pictures/by-class.png"]),
    "pokemon.py": (["1", "drawings"], ["pictures/pokemon-64.png", "pictures/pokemon-64-d2l.png"]),
    "accelerate_loop.py": (["2"], ["pictures/accelerate.png"]),
    "lightning_module.py": (["2"], ["pictures/lightning.png", "models/lightning/model.safetensors"]),
    "outlines_to_garments.py": (["2"], ["pictures/outlines.png"]),
    "with_torchgan.py": (["2"], ["pictures/torchgan.png"]),
    "with_lightweight_gan.py": (["2"], ["pictures/lightweight-gan.png"]),
    "sngan_by_config.py": (["2"], ["pictures/sngan.png"]),
    "projected_gan.py": (["fashion-mnist-mini", "test_resnet", "random", "2"], ["pictures/projected.png"]),
    "few_labels.py": (["--steps", "2", "--draws", "1"], []),
    "bare_loop.py": (["2"], ["pictures/wgan-gp.png"]),
    "leaky_relu.py": (["plot.png"], ["plot.png"]),
    "relu_against_leaky_relu.py": (
        ["--data", "fashion-mnist-mini", "--steps", "3", "--samples", "0", "--output", "runs/relu"],
        ["runs/relu/compare.png"],
    ),
}


NEEDS = {  # the module that ganzoo itself does without, and what pip installs
    "few_labels.py": ("sklearn", '"ganzoo-torch[metrics]"'),
    "leaky_relu.py": ("matplotlib", "matplotlib"),
    "lightning_module.py": ("lightning", "lightning"),
    "relu_against_leaky_relu.py": ("matplotlib", "matplotlib"),
    "with_lightweight_gan.py": ("lightweight_gan", "lightweight-gan"),
    "with_torchgan.py": ("torchgan", "torchgan"),
}


def test_every_example_is_run():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, "demo.py"}  # `make demo` runs that
    assert all(len(path.read_text().splitlines()) < 80 for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("name", [*EXAMPLES, "demo.py"])
def test_an_example_explains_itself_and_does_nothing_on_help(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    tree = ast.parse((ROOT / "examples" / name).read_text())
    assert end.value.code == 0 and not [*tmp_path.iterdir()]
    assert str(ast.get_docstring(tree)).split()[:5] == capsys.readouterr().out.partition("\n\n")[2].split()[:5]


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("fashion_mnist.py", ["1", "nosuch"]),
        ("pokemon.py", ["1", "nosuch"]),
        ("projected_gan.py", ["nosuch", "test_resnet", "random"]),
        ("projected_gan.py", ["fashion-mnist-mini", "nosuch", "random"]),
        ("projected_gan.py", ["fashion-mnist-mini", "test_resnet", "nosuch.pth"]),
        ("train_folder.py", ["nosuch"]),
        ("relu_against_leaky_relu.py", ["--data", "nosuch"]),
        ("leaky_relu.py", ["nosuch/plot.png"]),
        ("leaky_relu.py", ["plot.nosuch"]),
    ],
)
def test_an_example_tells_a_wrong_name_in_one_line(name, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and "nosuch" in line and not [*tmp_path.iterdir()]


def test_an_example_does_not_replace_the_run_of_an_earlier_call_unless_it_is_told_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call = ["train_folder.py", "fashion-mnist-mini", "1"]
    for more, status in ([], 0), ([], 2), (["--overwrite"], 0):
        monkeypatch.setattr(sys, "argv", [*call, *more])
        if status:
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(ROOT / "examples" / call[0]), run_name="__main__")
            assert end.value.code == status and "--overwrite" in capsys.readouterr().err
        else:
            runpy.run_path(str(ROOT / "examples" / call[0]), run_name="__main__")


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_says_what_to_install_in_one_line(name, tmp_path, monkeypatch, capsys):
    module, package = NEEDS[name]
    for loaded in [each for each in sys.modules if each.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.endswith(f": pip install {package}") and not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_the_picture_of_an_example_is_of_the_model_that_its_run_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sngan_by_config.py", "2"])
    runpy.run_path(str(ROOT / "examples" / "sngan_by_config.py"), run_name="__main__")
    ganzoo.images.save(ganzoo.images.grid(ganzoo.from_pretrained("runs/sngan").sample(64, seed=0)), "model.png")
    assert Path("pictures/sngan.png").read_bytes() == Path("model.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(children, name, tmp_path):
    if name in NEEDS and importlib.util.find_spec(NEEDS[name][0]) is None:
        pytest.skip(f"{NEEDS[name][1]} is not installed")
    (tmp_path / "drawings").mkdir()
    for index in range(20):
        Image.effect_mandelbrot((80, 70), (-2, -1.5, 1, 1.5), 20 + index).save(tmp_path / "drawings" / f"{index}.png")
    arguments, written = EXAMPLES[name]
    file, output = ROOT / "examples" / name, tmp_path / "output"
    child = children.Process(target=run_file, args=(file, arguments, tmp_path, output, {**os.environ}))
    child.start()
    child.join(300)
    printed = output.read_text()
    assert child.exitcode == 0, printed
    for path in written:
        assert (tmp_path / path).stat().st_size > 100
        assert not path.endswith((".png", ".gif")) or path.rpartition("/")[0] in printed, "says where pictures are"


@pytest.fixture(scope="module")
def script():
    """.github/absolute_links.py."""
    spec = importlib.util.spec_from_file_location("absolute_links", ROOT / ".github" / "absolute_links.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_links_of_the_readme_lead_to_the_repository_on_another_site(script):
    text = "![a](docs/a.png) [b](docs/b.md#c) [d](https://e.f) [g](#h) `[i](j)`\n```\n[k](l)\n```\n"
    assert script.absolute(text, "me/zoo", "v1") == (
        "![a](https://raw.githubusercontent.com/me/zoo/v1/docs/a.png) "
        "[b](https://github.com/me/zoo/blob/v1/docs/b.md#c) "
        "[d](https://e.f) [g](#h) `[i](j)`\n```\n[k](l)\n```\n"
    )
    written = script.absolute((ROOT / "README.md").read_text(), "me/zoo", "v1")
    prose = re.sub(r"```.*?```", "", written, flags=re.DOTALL)
    assert all(target.startswith("http") for target in re.findall(r"\]\(([^)#]+)", prose))


@pytest.mark.parametrize("name", ["tutorial.ipynb", "chapter.ipynb"])
def test_links_of_a_notebook_lead_to_the_repository_and_its_code_stays(script, name):
    text = (ROOT / "docs" / name).read_text()
    before, after = (
        json.loads(each)["cells"] for each in (text, script.absolute_notebook(text, "me/zoo", "v1", "docs/"))
    )
    prose = "".join("".join(cell["source"]) for cell in after if cell["cell_type"] == "markdown")
    assert "(https://github.com/me/zoo/blob/v1/docs/" in prose
    targets = re.findall(r"\]\(([^)#]+)", re.sub(r"`[^`]*`|https?:[^)]*", "http", prose))
    assert set(targets) == {"http"}
    code = [[cell["source"] for cell in cells if cell["cell_type"] == "code"] for cells in (before, after)]
    assert code[0] == code[1]
