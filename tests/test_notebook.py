"""What a notebook shows: one picture of a run that is drawn anew, and objects as short texts and tables."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo.callbacks import Run
from ganzoo.data import open_data
from ganzoo.runs.curves import picture
from ganzoo.training.callbacks.notebook import EVERY, NotebookDisplay
from tiny import tiny

DOCS = Path(__file__).parents[1] / "docs"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def captured():
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as captured:
        yield captured


def test_a_notebook_shows_one_picture_of_figures_curves_and_the_newest_samples(captured, tmp_path):
    run, display = Run(None, None, ganzoo.Settings(steps=8)), NotebookDisplay(8, 16, tmp_path)
    display.on_start(run)
    run.step = 4
    ganzoo.images.save(torch.zeros(1, 8, 8), tmp_path / "step-00000004.png")
    display.on_log(run, {"discriminator_loss": 1.0, "generator_loss": 2.0})
    display.on_log(run, {"score": 0.25, "best": True})
    display.on_end(run)
    first, last = captured.outputs[0].data, captured.outputs[-1].data
    assert set(first) == set(last) == {"image/png", "text/plain"} and first["text/plain"] == "step 0 of 8"
    steps, losses, score = last["text/plain"].split("; ")
    assert re.fullmatch(r"step 4 of 8, [\d,.]+ images/s, about \d+ s left", steps)
    assert losses == "losses: discriminator 1.000, generator 2.000" and score == "score 0.25, the best so far"
    shown = Image.open(io.BytesIO(base64.b64decode(last["image/png"])))
    curves = picture({"discriminator": [(4, 1.0)], "generator": [(4, 2.0)]}, last_step=8)
    assert shown.crop((0, 66, curves.width, 66 + curves.height)).tobytes() == curves.tobytes()
    assert shown.getpixel((400, 66 + curves.height + 20)) == (128, 128, 128)  # the newest grid stands below, enlarged


@pytest.mark.parametrize("keep, best", [("best", True), ("last", False)])
def test_a_notebook_calls_a_score_the_best_only_if_the_best_is_kept(captured, tmp_path, keep, best):
    run, display = Run(None, None, ganzoo.Settings(steps=8, keep=keep)), NotebookDisplay(8, 16, tmp_path)
    display.on_start(run)
    display.on_log(run, {"discriminator_loss": 1.0, "generator_loss": 2.0})
    display.on_log(run, {"score": 9.0, "best": True})  # with keep=last all are logged so
    display.on_end(run)
    assert ("score 9" + ", the best so far" * best) == captured.outputs[-1].data["text/plain"].split("; ")[-1]


def test_the_curves_of_a_notebook_go_back_with_the_run(captured, tmp_path):
    run, display = Run(None, None, ganzoo.Settings(steps=8)), NotebookDisplay(8, 16, tmp_path)
    display.on_start(run)
    for run.step, loss in ((1, 1.0), (2, 9.0), (3, 9.0), (2, 2.0)):
        display.on_log(run, {"discriminator_loss": loss, "generator_loss": loss})
    assert display._losses == [(1, 1.0, 1.0), (2, 2.0, 2.0)]


def test_a_notebook_is_drawn_anew_by_the_clock_and_not_at_every_line(captured, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("ganzoo.training.callbacks.notebook.time.perf_counter", lambda: now[0])
    run, display = Run(None, None, ganzoo.Settings(steps=1000)), NotebookDisplay(1000, 16, tmp_path)
    display.on_start(run)
    for run.step in range(1, 101):
        now[0] += EVERY / 10
        display.on_log(run, {"discriminator_loss": 1.0, "generator_loss": 2.0})
    assert 5 < len(captured.outputs) < 15


def trained(folder):
    pixels = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ganzoo.Trainer(tiny(), pixels, folder, steps=2, batch_size=8, score_every=1, keep="best", progress=False)


def evaluation(folder):
    return ganzoo.evaluate(ganzoo.from_pretrained("fashion-mnist"), "fashion-mnist-mini", samples=120, classes=False)


def custom(folder):
    generator = nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)), nn.Tanh())
    return ganzoo.GAN(generator, latent_size=2)


OBJECTS = {
    "GAN": (lambda folder: tiny(), ["<GAN fashion-mnist: ", "latent_size=4"], ["<img", "1x8x8", "parameters"]),
    "custom GAN": (
        custom,
        ["<GAN custom: latent_size=2"],
        ["<img", "1x4x4", "Sequential, 48 parameters"],
    ),
    "ImageData": (
        lambda folder: open_data("fashion-mnist-mini"),
        ["<ImageData fashion-mnist-mini: 2,000 images 1x28x28, 10 classes>"],
        ["<img", "Trouser", "MIT"],
    ),
    "Trainer": (
        trained,
        ["<Trainer of <GAN fashion-mnist", "2 steps of 8 images of tensor, into "],
        ["non-saturating", "&lt;ImageData tensor: 40 images 1x8x8&gt;"],
    ),
    "TrainingResult": (
        lambda folder: trained(folder).fit(),
        ["<TrainingResult ", "run: finished at step 2, last score "],
        ["<img", "generator loss"],
    ),
    "Evaluation": (
        evaluation,
        ["<Evaluation of 120 samples against fashion-mnist-mini (all, in halves) in fashion-net: FD 0."],
        ["<th>noise</th>", "No sign of memorising"],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*fewer than")
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_shows_itself_as_a_short_text_and_as_a_table(kind, tmp_path):
    make, in_text, in_table = OBJECTS[kind]
    it = make(tmp_path / "run")
    text, table = repr(it), it._repr_html_()
    assert len(text) < 300 and all(part in text for part in in_text), text
    assert table.startswith("<div><b>") and all(part in table for part in in_table), table[:2000]
    assert ">False<" not in table


def test_names_of_strangers_are_text_in_what_a_notebook_shows(tmp_path):
    gan, data = tiny(), open_data("fashion-mnist-mini")
    gan.preset, gan.class_names = EVIL, (EVIL,)
    data = replace(data, name=EVIL, licence=EVIL, class_names=(EVIL,) * 10)
    for shown in (gan, data):
        assert "alert" in shown._repr_html_() and "<script" not in shown._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, tiny", [("tutorial", "STEPS, SAMPLES = 3, 120"), ("chapter", "STEPS, WIDTHS = 3, (8, 8, 4, 4)")]
)
def test_a_notebook_of_the_docs_runs_from_top_to_bottom(name, tiny, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(DOCS / f"{name}.ipynb", 4)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = tiny
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    (fit,) = [cell for cell in notebook.cells if ".fit()" in cell.source and cell.cell_type == "code"]
    shown = [each.data for each in fit.outputs if each.output_type == "display_data"]
    assert len(shown) == 1 and "image/png" in shown[0] and shown[0]["text/plain"].startswith("step 3 of 3")
    errors = [each.text for cell in notebook.cells for each in cell.get("outputs", []) if each.get("name") == "stderr"]
    assert not any("Error" in text or "<Figure" in text for text in errors)


@pytest.mark.parametrize("name", ["tutorial", "chapter"])
def test_links_of_a_notebook_exist(name):
    cells = json.loads((DOCS / f"{name}.ipynb").read_text())["cells"]
    prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", re.sub(r"`[^`]*`", "", prose)):
        assert target.startswith("http") or (DOCS / target).exists(), target
