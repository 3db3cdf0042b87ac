"""Model cards: what was measured and nothing else, valid for the Hub, and a person's edits are kept."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import ganzoo
from ganzoo.cli import run as command_line
from ganzoo.errors import GanzooError, TrainingError
from ganzoo.runs.card import Card, model_card, named, run_card, whole_card, write_card
from ganzoo.runs.folder import train_on_command
from ganzoo.runs.report import write_report
from ganzoo.saving.format import CARD
from ganzoo.saving.resolve import bundled_models
from ganzoo.saving.results import Figure, weights_hash
from ganzoo.text import duration, with_spread

HOSTILE = "x\n---\nlicense: mit | `code` <!-- ganzoo:end --> <script>alert(1)</script> [a](b)"
FIGURES = [
    {
        "name": "FD(fashion-net)",
        "value": 1.25,
        "spread": None,
        "real_reference": 0.3,
        "noise_reference": 500.0,
        "better": "lower",
    },
    {"name": "recall(fashion-net)", "value": 0.9, "spread": 0.01, "real_reference": 0.95, "noise_reference": 0.0},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of three steps, with its card."""
    folder = tmp_path_factory.mktemp("card") / "run"
    gan = ganzoo.create(
        "fashion-mnist", image_size=8, generator={"latent_size": 4, "widths": (8, 4)},
        discriminator={"widths": (4, 8)}, seed=0,
    )  # fmt: skip
    options = {"batch_size": 8, "steps": 3, "log_every": 1, "score_every": 1, "checkpoint_every": 2, "progress": False}
    ganzoo.Trainer(gan, "fashion-mnist-mini", folder, **options).fit()
    return folder


@pytest.fixture
def a_run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def evaluate(run, **changes):
    found = {"format": 1, "samples": 10_000, "data": "fashion-mnist", "split": "test", "figures": FIGURES}
    found["features"] = "fashion-net"
    found["command"] = "ganzoo evaluate run --samples 10000"
    found["weights"] = weights_hash(run / "model")
    (run / "evaluation.json").write_text(json.dumps({**found, **changes}))


def change(run, **values):
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, **values}))


def card_of(run):
    return (run / "model" / CARD).read_text()


def test_a_finished_run_has_a_card_that_the_hub_can_read(finished):
    text = card_of(finished)
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "ganzoo" and data["pipeline_tag"] == "unconditional-image-generation"
    assert data["license"] == "unknown" and {"gan", "dcgan", "fashion-mnist"} <= set(data["tags"])
    assert data["widget"][0]["output"]["url"] == "samples/grid.png" and "model-index" not in data
    facts = json.loads((finished / "run.json").read_text())
    weights = weights_hash(finished / "model")
    for said in (facts["command"], facts["data"]["hash"][:16], "2,000 images", "3 of 3", "torch 2.", weights):
        assert said in text, said
    assert "MIT, Zalando SE" in text and "Not measured." in text and "FD(" not in text
    assert " cores, " in text
    assert Image.open(finished / "model" / "samples" / "losses.png").width > 300


def test_the_card_names_the_family_of_its_networks():
    text = whole_card(Card(source="it", weights="0" * 64, family="acme.style"))
    assert "\n- acme.style\n" in text and "dcgan" not in text


def test_a_card_is_tagged_dcgan_only_if_its_blocks_are_the_dcgans(tmp_path):
    for block in ("residual-up", "dcgan-up"):
        gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4), "block": block})
        card = model_card(gan.save_pretrained(tmp_path / block), "x")
        assert ("dcgan" in ModelCard(whole_card(card)).data.tags) is (block == "dcgan-up")


def test_a_card_begins_with_what_the_model_draws_and_how_to_draw_it(finished, tmp_path, monkeypatch):
    text = card_of(finished)
    head, _, rest = text.split("---\n", 2)[2].partition("## Training")
    assert head.startswith("\n# run\n") and "\n```\npip install ganzoo-torch\n```\n" in head
    line = head.split("\n\n")[2]
    assert line.startswith(
        "A GAN that draws grey images of 8x8 pixels like those of fashion-mnist-mini. Its generator has"
    )
    assert re.search(r"has [\d,]+ parameters and takes [\d.e-]+ ms for an image on .* threads?\.$", line)
    code = re.search("```python\n(.*?)```", head, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 3
    monkeypatch.chdir(tmp_path)
    exec(code)
    assert Image.open("samples.png").width > 60
    for part in ("## Intended use", "## Limits", "## Data and licences"):
        assert part in rest


def test_the_card_of_a_model_with_classes_says_how_to_ask_for_one_and_what_to_install(tmp_path):
    card = model_card(bundled_models()["fashion-mnist-conditional"], "me/it")
    text = whole_card(replace(card, packages=("acme-gan",)))
    assert "You choose the class: `labels=9` draws Ankle boot." in text
    assert "pip install ganzoo-torch acme-gan\n" in text and "look at it before you install it" in text


def test_the_card_links_to_data_on_the_hub(tmp_path):
    text = whole_card(Card(source="it", weights="0" * 64, data="mine", data_id="me/images", data_licence="CC0"))
    assert "- Data: [mine](https://huggingface.co/datasets/me/images). Licence of the data: CC0." in text


@pytest.mark.parametrize("told", [None, "CC BY 4.0", "MIT, Zalando SE", "© a painter"])
def test_the_licence_of_the_data_is_told_and_is_never_that_of_the_weights(tmp_path, told):
    gan = ganzoo.create("fashion-mnist", image_size=8, generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    images = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
    options = {"batch_size": 8, "steps": 1, "progress": False, "licence": told}
    ganzoo.Trainer(gan, images, tmp_path / "run", **options).fit()
    text = card_of(tmp_path / "run")
    assert (
        "\nlicense: unknown\n" in text
        and f"Licence of the data: {told or 'not known'}.\n- Licence of the weights: not stated." in text
    )
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["licence"] == (told or "not known")


def test_card_and_report_tell_the_same_time_also_of_a_resumed_run(a_run):
    times = [{"step": step, "images_per_second": 2.0} for step in (1, 2, 3, 2, 3, 3)]
    (a_run / "timing.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in times))
    batch = json.loads((a_run / "run.json").read_text())["settings"]["batch_size"]
    run_card(a_run)
    told = duration(3 * batch / 2)
    assert f"| time | {told} by the clock" in card_of(a_run)
    assert f"<dt>Time</dt><dd>{told}<" in write_report(a_run).read_text()


@pytest.mark.parametrize("seconds, said", [(0, "0 s"), (59, "59 s"), (90, "1.5 min"), (12000, "3 h 20 min")])
def test_a_time_is_said_as_a_person_says_it(seconds, said):
    assert duration(seconds) == said


def test_a_streamed_set_is_called_so_on_card_and_report(a_run):
    data = json.loads((a_run / "run.json").read_text())["data"]
    assert data["streamed"] is False
    change(a_run, data={**data, "streamed": True})
    run_card(a_run)
    assert f"fashion-mnist-mini, streamed, of which the first {data['images']:,} images" in card_of(a_run)
    page = write_report(a_run).read_text()
    assert "<small>streamed</small>" in page and "streamed; the first 2,000" in page and "times the data" not in page


@pytest.mark.parametrize(("classes", "said"), [(0, "unconditional |"), (64, "unconditional, 64 clusters |")])
def test_the_card_tells_clusters_and_how_many_the_data_fell_into(a_run, classes, said):
    gan = json.loads((a_run / "run.json").read_text())["gan"]
    gan["clusters"] = classes
    data = json.loads((a_run / "run.json").read_text())["data"]
    change(a_run, gan=gan, data={**data, "clusters_found": classes})
    run_card(a_run)
    assert f"| kind | {said}" in card_of(a_run)
    if classes:
        change(a_run, data={**data, "clusters_found": 8})
        run_card(a_run)
        assert "64 clusters (8 of 64 found in the data) |" in card_of(a_run)
        change(a_run, gan={**gan, "num_classes": 2}, data={**data, "clusters_found": 96})
        run_card(a_run)
        assert ", 64 clusters of each class (96 of 128 found in the data) |" in card_of(a_run)


def test_a_run_records_the_clusters_that_its_data_fell_into(tmp_path):
    gan = ganzoo.create("fashion-mnist", image_size=8, clusters=64, generator={"widths": (8, 4)})
    pixels = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    ganzoo.Trainer(gan, pixels, tmp_path / "run", steps=1, batch_size=8, progress=False).fit()
    found = json.loads((tmp_path / "run" / "run.json").read_text())["data"]["clusters_found"]
    assert 1 <= found < 64 and f"64 clusters ({found} of 64 found in the data)" in card_of(tmp_path / "run")


@pytest.mark.parametrize("threads, said", [(1, "1 thread,"), (2, "2 threads,")])
def test_the_card_tells_the_threads_of_the_run(a_run, threads, said):
    machine = json.loads((a_run / "run.json").read_text())["machine"]
    change(a_run, machine={**machine, "threads": threads})
    run_card(a_run)
    (row,) = [line for line in card_of(a_run).splitlines() if line.startswith("| machine |")]
    assert f", {said} " in row


def test_images_seen_are_counted_up_to_the_step_whose_weights_were_kept(a_run):
    log = [{"step": step, "generator_loss": 1.0, "discriminator_loss": 1.0} for step in (1, 2, 3)]
    log.insert(2, {"step": 2, "score": 0.5, "best": True})
    (a_run / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    change(a_run, settings={**json.loads((a_run / "run.json").read_text())["settings"], "keep": "best"})
    run_card(a_run)
    assert "| steps | 3 of 3; the weights are of step 2 |" in card_of(a_run)
    assert "| real images seen | 16; 24 in the whole run |" in card_of(a_run)


def test_the_weights_of_a_killed_run_that_keeps_the_last_state_are_those_of_its_checkpoint(a_run):
    change(a_run, settings={**json.loads((a_run / "run.json").read_text())["settings"], "keep": "last"})
    run_card(a_run)
    assert "| steps | 3 of 3; the weights are of step 3 |" in card_of(a_run)
    assert ", of the last state, which was kept." in card_of(a_run)
    shutil.rmtree(a_run / "checkpoints" / "step-00000003")
    run_card(a_run)
    assert "| steps | 3 of 3; the weights are of step 2 |" in card_of(a_run)
    assert "| real images seen | 16; 24 in the whole run |" in card_of(a_run)
    assert ", of step 3; the last saved state, of step 2, was kept." in card_of(a_run)


def test_a_score_of_the_card_names_its_step_if_the_last_state_has_none(a_run):
    change(a_run, settings={**json.loads((a_run / "run.json").read_text())["settings"], "keep": "last"})
    log = [{"step": 3, "generator_loss": 1.0, "discriminator_loss": 1.0}, {"step": 2, "score": 0.5, "best": True}]
    (a_run / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    run_card(a_run)
    assert "| score | 0.5, of step 2; the last saved state, of step 3, was kept." in card_of(a_run)


@pytest.mark.parametrize("last_batch, said", [(False, ""), (True, "at most ")])
def test_the_card_of_a_model_that_was_trained_on_tells_the_runs_before_it(a_run, finished, tmp_path, last_batch, said):
    before = shutil.copytree(finished, tmp_path / "before")
    facts = json.loads((before / "run.json").read_text())
    command = facts["command"]
    change(before, settings={**facts["settings"], "keep_last_batch": last_batch})
    change(a_run, **{"from": "./first", "command": "ganzoo train --from ./first"})
    run_card(a_run, earlier=[before])
    text = card_of(a_run)
    assert f"| trained on from | ./first, after {said}24 real images |" in text
    assert f"\n```\n{command} && ganzoo train --from ./first\n```\n" in text


@pytest.mark.parametrize("place", ["", "model"])
def test_measured_figures_come_with_their_yardsticks_and_how(a_run, place):
    evaluate(a_run)
    (a_run / "evaluation.json").rename(a_run / place / "evaluation.json")
    assert run_card(a_run)
    text = card_of(a_run)
    assert text.count("\nIn features of fashion-net, 10,000 samples against fashion-mnist (test):\n") == 1
    assert "| FD | 1.25 | 0.3 | 500 | lower |" in text
    assert "| recall | 0.9 ± 0.01 | 0.95 | 0 | not known |" in text and "Not measured" not in text
    assert "\n```\nganzoo evaluate run --samples 10000\n```\n" in text
    metrics = ModelCard(text).data.eval_results
    assert [(each.metric_value, each.dataset_split) for each in metrics] == [(1.25, "test"), (0.9, "test")]


@pytest.mark.parametrize("name, kind", [("other images", "local"), ("fashion-mnist", "zalando-datasets/fashion_mnist")])
def test_a_figure_names_the_data_it_was_measured_on_not_the_data_of_the_training(a_run, name, kind):
    change(a_run, data={"name": "mine", "source": "mine.zip", "hash": "0" * 64, "images": 5})
    evaluate(a_run, data=name, split="all")
    run_card(a_run)
    (one, _) = ModelCard(card_of(a_run)).data.eval_results
    assert (one.dataset_name, one.dataset_type, one.dataset_split) == (name, kind, "all")


@pytest.mark.parametrize(
    "source, known",
    [
        ("hf:owner/images?split=test", "owner/images"),
        ("hf:./owner/images", None),
        ("hf:owner", None),
        ("hf:owner/a\n---\nlicense: mit", None),
        ("images.zip", None),
        ("fashion-mnist", "zalando-datasets/fashion_mnist"),
        ("fashion-mnist(download=false)", "zalando-datasets/fashion_mnist"),
        ("/somewhere/fashion-mnist", None),
    ],
)
def test_only_data_of_the_hub_is_named_as_such(a_run, source, known):
    (a_run / "model" / CARD).unlink()
    change(a_run, data={"name": "fashion-mnist", "source": source, "hash": "0" * 64, "images": 5})
    run_card(a_run)
    data = ModelCard(card_of(a_run)).data
    assert data.datasets == ([known] if known else None) and data.license == "unknown"


def test_figures_of_other_weights_are_left_out(a_run):
    evaluate(a_run, weights="0" * 64)
    run_card(a_run)
    assert "FD(" not in card_of(a_run) and "Not measured." in card_of(a_run)


def test_writing_a_card_again_changes_no_byte(a_run):
    evaluate(a_run)
    run_card(a_run)
    before = card_of(a_run), (a_run / "model" / "samples" / "losses.png").read_bytes()
    assert run_card(a_run)
    assert (card_of(a_run), (a_run / "model" / "samples" / "losses.png").read_bytes()) == before


def test_what_a_person_edited_is_kept_to_the_byte(a_run):
    path = a_run / "model" / CARD
    text = (
        path.read_text().replace("license: unknown", "license: cc-by-4.0\nlanguage: de").replace("# run\n", "# Mine\n")
    )
    text = text.replace("## Limits", "Thanks to my cat.\r\n\n## Limits") + "\nP.S. Bye\n"
    path.write_bytes(text.encode())
    evaluate(a_run)
    assert run_card(a_run)
    renewed = path.read_bytes().decode()
    assert ModelCard(renewed.replace("\r\n", "\n")).data.license == "cc-by-4.0" and "1.25" in renewed

    def without_ours(card):
        for begin, end in (("# ganzoo:begin", "# ganzoo:end"), ("<!-- ganzoo:begin -->", "<!-- ganzoo:end -->")):
            card = card[: card.index(begin)] + card[card.index(end) :]
        return card

    assert without_ours(renewed) == without_ours(text)


@pytest.mark.parametrize(
    "was, now",
    [
        ("<!-- ganzoo:begin -->", ""),
        ("<!-- ganzoo:end -->", ""),
        ("<!-- ganzoo:end -->", "<!-- ganzoo:end --> <!-- ganzoo:end -->"),
        ("# run\n", "# <!-- ganzoo:end --> run\n"),
        ("Not measured.", "caf\xe9"),
    ],
)
def test_a_card_without_its_markers_in_order_is_left_alone(a_run, was, now, capsys):
    path = a_run / "model" / CARD
    path.write_bytes(path.read_text().replace(was, now).encode("latin-1"))
    before = path.read_bytes()
    assert not run_card(a_run)
    assert command_line(["card", str(a_run)]) == 0
    assert "was kept" in capsys.readouterr().out and path.read_bytes() == before


def test_a_card_with_its_markers_turned_round_is_left_alone(a_run):
    path = a_run / "model" / CARD
    text = path.read_text().replace("ganzoo:begin -->", "?").replace("ganzoo:end -->", "ganzoo:begin -->")
    path.write_text(text.replace("?", "ganzoo:end -->"))
    before = path.read_bytes()
    assert not run_card(a_run) and path.read_bytes() == before


def test_header_and_body_of_a_card_with_line_ends_of_windows_tell_the_same(a_run):
    path = a_run / "model" / CARD
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    evaluate(a_run)
    assert run_card(a_run)
    assert b"model-index" in path.read_bytes() and b"| FD |" in path.read_bytes()
    (a_run / "evaluation.json").unlink()
    run_card(a_run)
    assert b"model-index" not in path.read_bytes() and b"FD(" not in path.read_bytes()


def test_a_persons_own_model_index_is_not_doubled(a_run):
    path = a_run / "model" / CARD
    path.write_text(path.read_text().replace("library_name", "model-index: []\nlibrary_name"))
    evaluate(a_run)
    assert run_card(a_run) and path.read_text().count("model-index:") == 1


def test_a_header_without_markers_is_left_alone(a_run):
    path = a_run / "model" / CARD
    path.write_text(path.read_text().replace("# ganzoo:begin\n", ""))
    evaluate(a_run)
    assert run_card(a_run)
    assert "model-index" not in path.read_text() and "| FD |" in path.read_text()


def test_training_on_keeps_the_card_beside_the_new_model(a_run):
    gan = ganzoo.from_pretrained(a_run)
    (a_run / "model" / CARD).write_text("# My own words\n")
    gan.save_pretrained(a_run / "model")
    assert card_of(a_run) == "# My own words\n"


def test_names_cannot_break_out_of_header_table_or_markers(tmp_path):
    figure = Figure(
        name=HOSTILE, value=1.0, features=HOSTILE, how=HOSTILE, data=HOSTILE, split=HOSTILE, command=HOSTILE
    )
    card = Card(
        source=HOSTILE, weights="0" * 64, preset=HOSTILE, data=HOSTILE, data_licence=HOSTILE,
        training=((HOSTILE, HOSTILE),), command=HOSTILE + "\n```\nout", figures=(figure,),
    )  # fmt: skip
    (tmp_path / "model").mkdir()
    assert write_card(tmp_path / "model", card)
    text = (tmp_path / "model" / CARD).read_text()
    data = ModelCard(text).data
    assert data.license == "unknown" and data.eval_results[0].metric_value == 1.0
    assert text.count("<!-- ganzoo:end -->") == 1 and text.count("<!-- ganzoo:begin -->") == 1
    prose = [line for line in text.split("---\n", 2)[2].splitlines() if "license" in line and "from_pre" not in line]
    commands = [line for line in prose if line.startswith("x ---") and "\\|" not in line]
    assert len(commands) == 2 and not any("<" in line for line in prose if line not in commands)
    fences = [line for line in text.splitlines() if line and not line.strip("`")]
    assert fences == ["```"] * 3 + ["````", "````", "```", "```"]  # the first three are of pip and the snippet
    assert len([line for line in text.splitlines() if line == "---"]) == 2
    assert write_card(tmp_path / "model", card) and (tmp_path / "model" / CARD).read_text() == text


@pytest.mark.parametrize("source", ["runs/a", 'a"b\\c', HOSTILE, "käse/🧀", "\udcff"])
def test_what_one_loads_is_written_as_python_reads_it(source):
    text = whole_card(Card(source=source, weights="0" * 64))
    for wanted in (source, HOSTILE, "me/it"):
        text = named(text, wanted) if wanted != source else text
        line = next(line for line in text.splitlines() if "from_pretrained" in line)
        assert eval(line.partition("from_pretrained")[2]) == wanted


def test_the_command_is_told_exactly(a_run):
    command = "ganzoo train x --output 'a  b' --set name='`x < y` | \\ *'"
    change(a_run, command=command)
    run_card(a_run)
    assert f"\n```\n{command}\n```\n" in card_of(a_run)


@pytest.mark.parametrize("stretches, fence", [([], ""), (["ganzoo train --resume run"], "ganzoo train --resume run")])
def test_a_run_of_a_notebook_has_no_command_but_a_row(a_run, stretches, fence):
    changed = [{"step": 2, "changed": {}, "command": each} for each in stretches]
    change(a_run, command="a notebook", stretches=changed)
    run_card(a_run)
    text = card_of(a_run)
    assert text.count("a notebook") == text.count("| trained in | a notebook |") == 1
    training = text.partition("## Training")[2].partition("![Losses")[0]
    assert training.count("```") == 2 * bool(fence) and f"\n{fence}\n" in training


def test_a_name_that_is_no_text_does_not_cost_the_card(a_run):
    (a_run / "model" / CARD).unlink()
    facts = json.loads((a_run / "run.json").read_text())
    change(a_run, data={**facts["data"], "name": "x\udcff\0y"}, command="ganzoo train \udcff")
    assert run_card(a_run) and " like those of x y." in card_of(a_run)


def test_a_small_figure_has_no_exponent():
    assert with_spread(-4.377e-05, 3.1e-05) == "-0.000044 ± 0.000031"


def test_a_saved_model_alone_has_a_card_that_claims_nothing(tmp_path, capsys):
    folder = ganzoo.from_pretrained("fashion-mnist").save_pretrained(tmp_path / "model")
    assert command_line(["card", str(folder)]) == 0
    text = (folder / CARD).read_text()
    assert "Not recorded." in text and "Not measured." in text and f'from_pretrained("{folder}")' in text
    assert ModelCard(text).data.license == "unknown"


def test_a_pulled_model_keeps_what_its_card_tells_of_the_same_weights(a_run, tmp_path):
    evaluate(a_run)
    run_card(a_run)
    folder, told = shutil.copytree(a_run / "model", tmp_path / "pulled"), card_of(a_run)
    (folder / CARD).write_text(named(told, "me/it"))
    assert command_line(["card", str(folder)]) == 0
    assert (folder / CARD).read_text() == named(told, str(folder))
    figures = [{**FIGURES[0], "value": 7.5}]
    evaluate(a_run, figures=figures)
    shutil.copy(a_run / "evaluation.json", folder)
    assert command_line(["card", str(folder)]) == 0
    text = (folder / CARD).read_text()
    assert "| 7.5 |" in text and "| 1.25 |" not in text and "| seed | 0 |" in text
    assert [each.metric_value for each in ModelCard(text).data.eval_results] == [7.5]


def test_other_weights_under_the_same_card_take_its_claims_away(a_run, tmp_path):
    evaluate(a_run)
    run_card(a_run)
    folder = shutil.copytree(a_run / "model", tmp_path / "pulled")
    shutil.copy(folder / "generator_raw" / "model.safetensors", folder)
    assert command_line(["card", str(folder)]) == 0
    text = (folder / CARD).read_text()
    assert "Not recorded." in text and "Not measured." in text and "model-index" not in text


def test_the_card_of_a_runs_model_folder_is_the_runs(a_run, capsys):
    (a_run / "model" / CARD).unlink()
    assert command_line(["card", str(a_run / "model")]) == 0
    assert "| seed | 0 |" in card_of(a_run) and str(a_run / "model" / CARD) in capsys.readouterr().out


def test_the_title_follows_the_runs_folder_if_nobody_edited_it(a_run, tmp_path, monkeypatch):
    run_card(a_run)
    moved = shutil.copytree(a_run, tmp_path / "other")
    run_card(moved)
    assert "\n# other\n" in card_of(moved) and "\n# run\n" not in card_of(moved)
    monkeypatch.chdir(moved)
    run_card(".")
    assert "\n# other\n" in card_of(moved) and 'from_pretrained(".")' in card_of(moved)
    assert "\n# my-gan\n" in named(card_of(moved), "me/my-gan")
    (moved / "model" / CARD).write_text(card_of(moved).replace("\n# other\n", "\n# My drawings\n"))
    run_card(moved)
    assert "\n# My drawings\n" in card_of(moved)


def test_a_run_that_is_called_as_a_bundled_model_is_named_as_a_path(a_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.move(a_run, "fashion-mnist")
    run_card("fashion-mnist")
    assert 'from_pretrained("./fashion-mnist")' in card_of(tmp_path / "fashion-mnist")
    assert train_on_command(Path("fashion-mnist")).startswith("ganzoo train --from ./fashion-mnist --data")


def test_the_name_that_one_loads_is_put_in_when_it_is_pushed(tmp_path):
    folder = ganzoo.from_pretrained("fashion-mnist").save_pretrained(tmp_path / "model")
    text = named(whole_card(model_card(folder, "runs/mine")), "me/my-gan")
    assert 'from_pretrained("me/my-gan")' in text and "mine" not in text and "\n# my-gan\n" in text
    assert named('no markers: from_pretrained("x")', "me/it") == 'no markers: from_pretrained("x")'


@pytest.mark.parametrize(
    "figures, said",
    [
        ("many", "figures must be list"),
        ([1], r"figures\[0\] must hold a name and numbers"),
        ([{"name": "a", "value": "1"}], "must hold a name and numbers"),
        ([{"name": "a", "value": 10**400}], "must hold a name and numbers"),
        ([{"name": "a", "value": True}], "must hold a name and numbers"),
        ([{"name": "a"}], "value is missing"),
    ],
)
def test_a_damaged_evaluation_is_said(a_run, figures, said):
    evaluate(a_run, figures=figures)
    with pytest.raises(GanzooError, match=said):
        run_card(a_run)


@pytest.mark.parametrize("key, value", [("format", 2), ("samples", "many"), ("data", None), ("command", 1)])
def test_an_evaluation_of_another_kind_is_said(a_run, key, value):
    evaluate(a_run, **{key: value})
    with pytest.raises(GanzooError, match=f"evaluation.json.*{key}"):
        run_card(a_run)


def test_an_infinite_figure_is_said(a_run):
    evaluate(a_run)
    path = a_run / "evaluation.json"
    path.write_text(path.read_text().replace("1.25", "1e999"))
    with pytest.raises(GanzooError, match="must hold a name and numbers"):
        run_card(a_run)


@pytest.mark.parametrize("key", ["data", "machine", "settings", "versions", "gan"])
@pytest.mark.parametrize("value", [None, [], "{}", 5])
def test_a_damaged_run_is_said(a_run, key, value, capsys):
    change(a_run, **{key: value})
    before = card_of(a_run)
    assert command_line(["card", str(a_run)]) == 2 and card_of(a_run) == before
    assert "is damaged" in capsys.readouterr().err


def test_a_damaged_log_is_said(a_run):
    (a_run / "log.jsonl").write_text("{no\n")
    with pytest.raises(GanzooError, match="a log beside it is damaged"):
        run_card(a_run)


def test_a_run_without_its_model_gets_no_folder_of_pictures(a_run):
    shutil.rmtree(a_run / "model")
    with pytest.raises(TrainingError, match="no saved model"):
        run_card(a_run)
    assert not (a_run / "model").exists()


def test_a_single_file_has_no_card(a_run, capsys):
    assert command_line(["card", str(a_run / "model" / "model.safetensors")]) == 2
    assert "is a single file; name the folder of a saved model" in capsys.readouterr().err


def test_a_folder_without_a_run_or_model_is_said(tmp_path, capsys):
    with pytest.raises(TrainingError, match="holds no run"):
        run_card(tmp_path)
    assert command_line(["card", str(tmp_path)]) == 2
    assert "holds no saved model" in capsys.readouterr().err


def test_a_card_that_cannot_be_written_does_not_cost_the_model(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganzoo.training.callbacks.built_in.run_card", full)
    gan = ganzoo.create("fashion-mnist", image_size=8, generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    data = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    result = ganzoo.Trainer(gan, data, tmp_path / "run", steps=2, batch_size=8, progress=False).fit()
    assert result.finished and (result.model / "model.safetensors").is_file()
    assert "card can't be written" in capsys.readouterr().err
