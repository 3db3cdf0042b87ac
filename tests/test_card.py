"""Model cards: what was measured and nothing else, valid for the Hub, and a person's edits are kept."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import ganzoo
from ganzoo.cli import run as command_line
from ganzoo.errors import GanzooError, TrainingError
from ganzoo.hub.card import CARD, Card, Figure, model_card, named, weights_hash, whole_card, write_card
from ganzoo.training.card import run_card

HOSTILE = "x\n---\nlicense: mit | `code` <!-- ganzoo:end --> <script>alert(1)</script> [a](b)"
FIGURES = [
    {"name": "FD(fashion-net)", "value": 1.25, "spread": None, "floor": 0.3, "ceiling": 500.0, "lower_is_better": True},
    {"name": "recall(fashion-net)", "value": 0.9, "spread": 0.01, "floor": 0.95, "ceiling": 0.0},
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
    import shutil

    return shutil.copytree(finished, tmp_path / "run")


def evaluate(run, **changes):
    found = {"format": 1, "samples": 10_000, "data": "fashion-mnist", "split": "test", "figures": FIGURES}
    found["weights"] = weights_hash(run / "model")
    (run / "evaluation.json").write_text(json.dumps({**found, **changes}))


def card_of(run):
    return (run / "model" / CARD).read_text()


def test_a_finished_run_has_a_card_that_the_hub_can_read(finished):
    text = card_of(finished)
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "ganzoo" and data["pipeline_tag"] == "unconditional-image-generation"
    assert data["license"] == "mit" and {"gan", "dcgan", "fashion-mnist"} <= set(data["tags"])
    assert data["widget"][0]["output"]["url"] == "samples/grid.png" and "model-index" not in data
    facts = json.loads((finished / "run.json").read_text())
    for said in (facts["command"], facts["data"]["hash"][:16], "2,000 images", "3 of 3", "| 24 |", "torch 2."):
        assert said in text, said
    assert "MIT, Zalando SE" in text and "Not measured." in text and "FD(" not in text
    assert Image.open(finished / "model" / "samples" / "losses.png").width > 300


def test_measured_figures_come_with_their_yardsticks_and_how(a_run):
    evaluate(a_run)
    assert run_card(a_run)
    text = card_of(a_run)
    assert "| FD(fashion-net) | 1.25 | 0.3 | 500 | 10000 samples against fashion-mnist (test) |" in text
    assert "| recall(fashion-net) | 0.9 ± 0.01 | 0.95 | 0 |" in text and "Not measured" not in text
    metrics = ModelCard(text).data.eval_results
    assert [(each.metric_value, each.dataset_name) for each in metrics] == [
        (1.25, "fashion-mnist-mini"),
        (0.9, "fashion-mnist-mini"),
    ]


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
        path.read_text()
        .replace("license: mit", "license: cc-by-4.0\nlanguage: de")
        .replace("# fashion-mnist", "# Mine")
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


@pytest.mark.parametrize("gone", ["<!-- ganzoo:begin -->", "<!-- ganzoo:end -->"])
def test_a_card_without_markers_is_left_alone(a_run, gone, capsys):
    path = a_run / "model" / CARD
    path.write_text(path.read_text().replace(gone, ""))
    before = path.read_bytes()
    assert not run_card(a_run)
    assert command_line(["card", str(a_run)]) == 0
    assert "was kept" in capsys.readouterr().out and path.read_bytes() == before


def test_a_header_without_markers_is_left_alone(a_run):
    path = a_run / "model" / CARD
    path.write_text(path.read_text().replace("# ganzoo:begin\n", ""))
    evaluate(a_run)
    assert run_card(a_run)
    assert "model-index" not in path.read_text() and "| FD(fashion-net) |" in path.read_text()


def test_training_on_keeps_the_card_beside_the_new_model(a_run):
    gan = ganzoo.from_pretrained(a_run)
    (a_run / "model" / CARD).write_text("# My own words\n")
    gan.save_pretrained(a_run / "model")
    assert card_of(a_run) == "# My own words\n"


def test_names_cannot_break_out_of_header_table_or_markers(tmp_path):
    figure = Figure(name=HOSTILE, value=1.0, how=HOSTILE)
    card = Card(
        source=HOSTILE, preset=HOSTILE, data=HOSTILE, data_licence=HOSTILE, training=((HOSTILE, HOSTILE),),
        command=HOSTILE + "\n```\nout", figures=(figure,),
    )  # fmt: skip
    (tmp_path / "model").mkdir()
    assert write_card(tmp_path / "model", card)
    text = (tmp_path / "model" / CARD).read_text()
    data = ModelCard(text).data
    assert data.license == "unknown" and data.eval_results[0].metric_value == 1.0
    assert text.count("<!-- ganzoo:end -->") == 1 and "<script>" not in text.split("---\n", 2)[2]
    assert len([line for line in text.splitlines() if line == "---"]) == 2 and text.count("\n```\n") == 2 + 1
    assert write_card(tmp_path / "model", card) and (tmp_path / "model" / CARD).read_text() == text


def test_a_saved_model_alone_has_a_card_that_claims_nothing(tmp_path, capsys):
    folder = ganzoo.from_pretrained("fashion-mnist").save_pretrained(tmp_path / "model")
    assert command_line(["card", str(folder)]) == 0
    text = (folder / CARD).read_text()
    assert "Not recorded." in text and "Not measured." in text and f'from_pretrained("{folder}")' in text
    assert ModelCard(text).data.license == "unknown"


def test_the_name_that_one_loads_is_put_in_when_it_is_pushed(tmp_path):
    folder = ganzoo.from_pretrained("fashion-mnist").save_pretrained(tmp_path / "model")
    text = named(whole_card(model_card(folder, "runs/mine")), "me/my-gan")
    assert 'from_pretrained("me/my-gan")' in text and "runs/mine" not in text
    assert named('no markers: from_pretrained("x")', "me/it") == 'no markers: from_pretrained("x")'


@pytest.mark.parametrize(
    "figures, said",
    [
        ("many", "figures must be a list"),
        ([1], r"figures\[0\] must hold a name and numbers"),
        ([{"name": "a", "value": "1"}], "must hold a name and numbers"),
        ([{"name": "a"}], "value is missing"),
    ],
)
def test_a_damaged_evaluation_is_said(a_run, figures, said):
    evaluate(a_run, figures=figures)
    with pytest.raises(GanzooError, match=said):
        run_card(a_run)


def test_a_folder_without_a_run_or_model_is_said(tmp_path, capsys):
    with pytest.raises(TrainingError, match="holds no run"):
        run_card(tmp_path)
    assert command_line(["card", str(tmp_path)]) == 2
    assert "holds no saved model" in capsys.readouterr().err


def test_a_card_that_cannot_be_written_does_not_cost_the_model(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganzoo.training.trainer.run_card", full)
    gan = ganzoo.create("fashion-mnist", image_size=8, generator={"widths": (8, 4)}, discriminator={"widths": (4, 8)})
    data = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    result = ganzoo.Trainer(gan, data, tmp_path / "run", steps=2, batch_size=8, progress=False).fit()
    assert result.finished and (result.model / "model.safetensors").is_file()
    assert "card can't be written" in capsys.readouterr().err
