"""The report of a run: one page that holds all, needs nothing, survives damage, and pleases a real browser."""

import base64
import json
import math
import os
import random
import re
import signal
import types
from urllib.parse import unquote

import pytest
from PIL import Image

import ganzoo
from ganzoo.errors import TrainingError
from ganzoo.runs.curves import BUCKETS, chart, number, picture
from ganzoo.runs.gallery import GRIDS, sample_grids
from ganzoo.runs.report import CHECKS, write_report
from ganzoo.text import with_spread
from ganzoo.training import Callback
from ganzoo.training.callbacks.doctor import FIRST_CHECKS, PATIENCE
from ganzoo.training.trainer import Trainer

EVIL = "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
LOSSES = ("discriminator_loss", "real_logits", "fake_logits", "penalty", "generator_loss")


def facts(**changes):
    return {
        "format": 1,
        "command": "ganzoo train fashion-mnist --set 'penalties=r1(weight=1)'",
        "versions": {"python": "3.11.7", "torch": "2.14.1"},
        "settings": {
            "steps": 2000,
            "batch_size": 64,
            "seed": 17,
            "generator_lr": 0.0002,
            "penalties": [],
            "flip": False,
            "report_every": 30,
            "doctor_every": 200,
            "log_every": 20,
        },
        "machine": {"device": "cpu", "threads": 2},
        "gan": {
            "preset": "fashion-mnist",
            "generator": {"model": "dcgan-generator", "config": {"widths": [128, 64]}, "plugins": []},
            "discriminator": {"model": None, "config": {}, "plugins": []},
        },
        "data": {"name": "fashion-mnist", "source": "fashion-mnist", "hash": "c0ffee" * 10, "images": 60000},
        **changes,
    }


def lines(folder, name, entries):
    with open(folder / name, "a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)


def made_up(folder, steps=1000, grids=3, size=16, changes=None):
    """A run's folder with `steps` of lines, each grid another picture of noise."""
    (folder / "samples").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(facts(**(changes or {}))))
    noise = random.Random(0)
    logged = range(20, steps + 1, 20)
    lines(folder, "log.jsonl", [{"step": step, **{name: noise.gauss(1, 0.1) for name in LOSSES}} for step in logged])
    lines(folder, "log.jsonl", [{"step": step, "score": 50 / step, "best": True} for step in logged if step % 200 == 0])
    lines(folder, "timing.jsonl", [{"step": step, "images_per_second": 640.0, "memory_mb": 800} for step in logged])
    for index in range(grids):
        picture = Image.frombytes("RGB", (size, size), noise.randbytes(3 * size * size))
        picture.save(folder / "samples" / f"step-{(index + 1) * steps // grids:08d}.png")
    return folder


def text(page):
    """What a page says, without its marks."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.split("</head>")[1]).split())


def test_the_page_says_how_the_run_was_made(tmp_path):
    path = write_report(made_up(tmp_path / "run"))
    assert path == tmp_path / "run" / "report.html"
    page = path.read_text("utf-8")
    assert "<title>run, step 1,000 of 2,000</title>" in page
    said = text(page)
    for part in (
        "run fashion-mnist, trained on fashion-mnist.",
        "ganzoo train fashion-mnist --set &#39;penalties=r1(weight=1)&#39;",
        "c0ffee" * 10,
        "python 3.11.7",
        "torch 2.14.1",
        "Seed 17",
        "generator_lr 0.0002",
        "penalties none",
        "flip no",
        "Generator: dcgan-generator",
        "widths 128, 64",
        "Discriminator: a custom module",
        "device cpu",
    ):
        assert part in said, part


def test_the_page_gives_the_figures_of_the_run(tmp_path):
    said = text(write_report(made_up(tmp_path / "run")).read_text("utf-8"))
    assert "Images seen 64,000 1.1 times the data" in said
    assert "Time 1.7 min" in said  # 64,000 images at 640 a second
    assert "Speed 640/s" in said
    assert "Score of the model 0.05 at step 1,000" in said
    assert "of training; about 1.7 min to go" in said


def test_a_model_that_was_kept_when_a_better_one_was_lost_is_not_called_the_best(tmp_path):
    run = made_up(tmp_path / "run")
    lines(run, "log.jsonl", [{"step": 1000, "best_lost": True}, {"step": 1000, "score": 7.0, "best": True}])
    said = text(write_report(run).read_text("utf-8"))
    assert "Score of the model 7 at step 1,000" in said and "the ring is the model that was kept." in said
    assert "best" not in said.lower()


def test_of_smaller_last_batches_images_seen_are_at_most_so_many(tmp_path):
    changes = {"settings": {**facts()["settings"], "keep_last_batch": True}}
    said = text(write_report(made_up(tmp_path / "run", changes=changes)).read_text("utf-8"))
    assert "Images seen 64,000 at most, 1.1 times the data" in said


def test_the_speed_of_a_stopped_run_is_that_of_the_steps_that_were_timed(tmp_path):
    run = made_up(tmp_path / "run")
    (run / "checkpoints" / "step-00001500").mkdir(parents=True)  # the last 500 steps stand in no log
    said = text(write_report(run).read_text("utf-8"))
    assert "Images seen 96,000" in said and "Speed 640/s" in said and "Time 1.7 min" in said
    assert "about 50 s to go" in said


def test_the_speed_of_a_run_of_several_updates_a_step_says_that_it_counts_one_batch(tmp_path):
    run = made_up(tmp_path / "run")
    made = json.loads((run / "run.json").read_text())
    made["settings"]["discriminator_steps"] = 5
    (run / "run.json").write_text(json.dumps(made))
    said = text(write_report(run).read_text("utf-8"))
    assert "Images seen 320,000" in said and "Speed 640/s images a second, on average; one batch a step counts" in said


def test_a_short_run_has_not_seen_the_data_0_times(tmp_path):
    run = made_up(tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    facts["data"]["images"] = 6_400_000
    (run / "run.json").write_text(json.dumps(facts))
    assert "Images seen 64,000 0.01 times the data" in text(write_report(run).read_text("utf-8"))


def test_the_page_of_a_run_under_way_reloads_itself_and_that_of_one_that_ended_does_not(tmp_path):
    run = made_up(tmp_path / "run")
    page = write_report(run, under_way=True).read_text("utf-8")
    assert "Under way: step 1,000 of 2,000. This page reloads itself every 30 seconds." in text(page)
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in page and 'id="state"' in page
    page = write_report(run).read_text("utf-8")
    assert re.search(rf"Stopped: step 1,000 of 2,000. Go on with: ganzoo.*{re.escape(str(run))}", text(page))
    assert "refresh" not in page and 'id="state"' not in page


def test_the_page_of_a_stopped_run_says_why_and_where_it_is_saved(tmp_path):
    run = made_up(tmp_path / "run")
    (run / "checkpoints" / "step-00001007").mkdir(parents=True)
    (run / "checkpoints" / "step-evil").mkdir()
    lines(run, "log.jsonl", [{"step": 1007, "generator_loss": 1.0, "stopped": "enough <b>"}])
    assert "Stopped: step 1,007 of 2,000, because enough &lt;b&gt;. Go on" in text(write_report(run).read_text("utf-8"))


def test_real_images_stand_beside_the_samples_and_all_are_enlarged_by_whole_numbers(tmp_path):
    run = made_up(tmp_path / "run", grids=2)
    Image.new("RGB", (242, 242), "red").save(run / "samples" / "real.png")
    page = write_report(run).read_text("utf-8")
    assert re.search(r'<img src="[^"]*" width="484" height="484" [^>]*alt="Real images">', page)
    assert page.count('width="592" height="592"') == 2 and "image-rendering: pixelated" in page


def test_steps_that_a_resumed_run_made_again_count_once(tmp_path):
    run = made_up(tmp_path / "run")
    again = [{"step": step, "images_per_second": 640.0, "memory_mb": 900} for step in range(520, 1001, 20)]
    lines(run, "timing.jsonl", again * 3)
    said = text(write_report(run).read_text("utf-8"))
    assert "Time 1.7 min" in said and "Memory 900 MB" in said


@pytest.mark.parametrize("title", ["Losses", "Score", "Discriminator logits", "Penalty", "Speed"])
def test_every_curve_is_drawn(tmp_path, title):
    assert f"<h2>{title}</h2>" in write_report(made_up(tmp_path / "run")).read_text("utf-8")


def test_a_finished_run_is_called_finished(tmp_path):
    said = text(write_report(made_up(tmp_path / "run", steps=2000)).read_text("utf-8"))
    assert "Finished: step 2,000 of 2,000." in said and "Written anew" not in said


def test_remarks_stand_in_plain_words_and_only_once(tmp_path):
    run = made_up(tmp_path / "run")
    saturated = {"remark": "saturated", "text": "The discriminator wins always.", "advice": "Lower discriminator_lr."}
    lines(run, "log.jsonl", [{"step": step, **saturated} for step in (400, 600, 1000)])
    lines(run, "log.jsonl", [{"step": 500, "remark": "losses are not finite; back to step 400"}])
    said = text(write_report(run).read_text("utf-8"))
    assert said.count("The discriminator wins always. Lower discriminator_lr.") == 1
    assert "3 times, steps 400 to 1,000" in said
    assert "Step 500 losses are not finite; back to step 400" in said
    assert said.index("wins always") < said.index("not finite")  # the newest first


def test_a_finding_is_answered_with_the_rate_of_its_step_whatever_was_set_later(tmp_path):
    rates = {"step": 600, "changed": {"discriminator_lr": [4e-4, 1e-4]}, "command": "ganzoo train --resume run"}
    changes = {"stretches": [rates], "settings": {**facts()["settings"], "discriminator_lr": 1e-4}}
    run = made_up(tmp_path / "run", changes=changes)
    (run / "checkpoints" / "step-00000400").mkdir(parents=True)
    for step, advised in ((600, "discriminator_lr=0.0001"), (620, "discriminator_lr=2.5e-05")):
        lines(run, "log.jsonl", [{"step": step, "remark": "discriminator-saturated", "text": "Too strong."}])
        said = text(write_report(run).read_text("utf-8"))
        assert f"at=400, {advised})" in said


@pytest.mark.parametrize(
    "every, steps, words",
    [
        (0, 1000, "Switched off"),
        (200, 1000, "No findings. The doctor checks every 200 steps."),
        (200, 100, "No findings so far, but most need 4 checks; done: 0."),
        (200, 700, "No findings so far, but most need 4 checks; done: 3."),
    ],
)
def test_without_remarks_the_page_says_why(tmp_path, every, steps, words):
    settings = {**facts()["settings"], "doctor_every": every}
    said = text(write_report(made_up(tmp_path / "run", steps, changes={"settings": settings})).read_text("utf-8"))
    assert words in said


def test_a_finished_run_was_checked_though_it_is_shorter_than_doctor_every(tmp_path):
    settings = {**facts()["settings"], "steps": 100, "doctor_every": 200}  # the last step is always checked
    said = text(write_report(made_up(tmp_path / "run", 100, changes={"settings": settings})).read_text("utf-8"))
    assert "No findings so far, but most need 4 checks; done: 1." in said and CHECKS == FIRST_CHECKS + PATIENCE


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(facts()))
    said = text(write_report(tmp_path).read_text("utf-8"))
    assert "step 0 of 2,000" in said and "No samples yet" in said and "No curves yet" in said
    for name in ("log.jsonl", "timing.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "samples").mkdir()
    assert text(write_report(tmp_path).read_text("utf-8"))[:80] == said[:80]


@pytest.mark.parametrize(
    "damage",
    [
        '{"step": 1020, "discriminator_lo',
        "\x00\x00\x00\x00",
        "[1, 2]",
        '{"step": "many"}',
        '{"step": 1e999, "score": 1}',
        '{"step": -5, "score": 1}',
        '{"step": 1000, "score": NaN, "generator_loss": Infinity, "discriminator_loss": null, "penalty": "x"}',
        '{"step": 1000, "score": 1' + "0" * 400 + "}",
        '{"step": 1000, "remark": ["a"], "text": {"b": 1}, "advice": 3}',
        "[" * 100_000,
        "9" * 5000,
    ],
)
def test_a_damaged_log_still_makes_a_page(tmp_path, damage):
    run = made_up(tmp_path / "run")
    for name in ("log.jsonl", "timing.jsonl"):
        with open(run / name, "a") as file:
            file.write(damage)
    said = text(write_report(run).read_text("utf-8"))
    assert "step 1,000 of 2,000" in said and "Losses" in said and "nan" not in said and "inf " not in said


def test_bytes_that_are_no_text_still_make_a_page(tmp_path):
    run = made_up(tmp_path / "run")
    with open(run / "log.jsonl", "ab") as file:
        file.write(bytes(range(256)))
    assert "step 1,000 of 2,000" in text(write_report(run).read_text("utf-8"))


@pytest.mark.parametrize("changes", [{"settings": 3}, {"gan": None}, {"data": []}, {"versions": "x"}, {"machine": 1}])
def test_facts_of_a_wrong_kind_still_make_a_page(tmp_path, changes):
    assert write_report(made_up(tmp_path / "run", changes=changes)).stat().st_size > 5000


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path):
    run = made_up(tmp_path / "run", grids=3)
    whole = (run / "samples" / "step-00001000.png").read_bytes()
    (run / "samples" / "step-00001000.png").write_bytes(whole[: len(whole) // 2])
    (run / "samples" / "step-00001001.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (run / "samples" / "step-00001002.png").mkdir()
    assert write_report(run).read_text("utf-8").count("<figure ") == 2


def test_where_no_run_is_there_is_no_page(tmp_path):
    with pytest.raises(TrainingError, match=re.escape(str(tmp_path))):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path, monkeypatch):
    run = made_up(tmp_path / "run")
    old = write_report(run).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TrainingError, match="No space left on device.*resume"):
        write_report(run)
    assert (run / "report.html").read_bytes() == old
    assert not list(run.glob("*.tmp")) and not list(run.glob(".*.tmp"))


def evil(value):
    """`value` with every text in it replaced, names of entries too where a page shows them."""
    if isinstance(value, dict):
        return {key: evil(item) for key, item in value.items()} | {EVIL: EVIL}
    return [EVIL] if isinstance(value, list) else EVIL if isinstance(value, str) or value is None else value


def test_a_strangers_run_cannot_bring_a_script(tmp_path):
    run = made_up(tmp_path / "run", changes=evil({key: value for key, value in facts().items() if key != "format"}))
    lines(run, "log.jsonl", [{"step": 1000, "remark": EVIL, "text": EVIL, "advice": EVIL, EVIL: 1}])
    lines(run, "log.jsonl", [{"step": 900, "remark": EVIL + "2"}])
    plugin = dict.fromkeys(("kind", "name", "package", "version"), EVIL)
    described = json.loads((run / "run.json").read_text())
    described["gan"]["generator"]["plugins"] = [plugin, EVIL, 3]
    (run / "run.json").write_text(json.dumps(described))
    page = write_report(run).read_text("utf-8")
    assert page.count("<script") == page.count("</script") == page.count("</title") == 1
    assert page.count("&lt;script&gt;alert(1)") > 25  # it is all shown, as text
    assert "<img src=x" not in page and EVIL not in page
    assert len(re.findall(r"<img ", page)) == 3


def test_the_page_names_no_address(tmp_path):
    page = write_report(made_up(tmp_path / "run")).read_text("utf-8")
    assert not re.search(r"(https?:)?//\w", re.sub(r"data:image/\w+;base64,[\w+/=]+", "", page))
    assert re.findall(r"""(?:src|href)\s*=\s*"(?!data:)""", page) == []
    assert "default-src 'none'" in page and "url(" not in page and "@import" not in page


def test_long_curves_are_thinned_and_keep_their_peaks():
    points = [(step, 1.0 + 0.001 * (step % 7)) for step in range(1, 100_001)]
    points[77_777] = (77_778, 1.012)
    drawn = chart("Losses", {"generator": points}, last_step=100_000)
    paths = re.findall(r' d="([^"]*)"', drawn)
    assert sum(path.count("L") + path.count("M") for path in paths) == 3 * BUCKETS
    heights = [float(pair.split()[1]) for pair in re.split("[ML]", paths[0].rstrip("z"))[1:]]
    x = float(re.split("[ML]", paths[0])[1 + heights.index(min(heights))].split()[0])
    assert x == pytest.approx(777, abs=2)


def test_one_point_can_be_seen():
    assert "h0" in chart("Score", {"score": [(500, 0.5)]}, last_step=500)


def test_a_wild_point_does_not_flatten_the_rest_and_is_named():
    points = [(step, 1 + step % 2) for step in range(1, 1000)]
    drawn = chart("Losses", {"generator": [*points, (1000, 1e9)]}, last_step=1000)
    assert "as far as 1e+09, at step 1,000" in drawn
    path = re.search(r'<path class="first" d="M([^"]*)"', drawn)
    heights = [float(pair.split()[1]) for pair in path[1].split("L")]
    assert sorted(heights)[100] < 600 and sorted(heights)[-100] > 400


@pytest.mark.parametrize(
    "values, said",
    [((0.5012, 0.5016), "0.5014"), ((1.3862, 1.3864), "1.38630"), ((5.0012e-5, 5.0016e-5), "5.0014e-05")],
)
def test_lines_of_an_axis_have_numbers_that_differ(values, said):
    drawn = chart("Any", {"any": list(enumerate(values))}, last_step=1)
    labels = re.findall(r'class="y"[^>]*>([^<]*)<', drawn)
    assert len({*labels}) == len(labels) > 2 and said in labels


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1e29, 1e29], [1e-20, 3e-20], [1e-9, 1e9], [-3.0, -2.9999]])
@pytest.mark.parametrize("axis", ["linear", "from zero", "logarithmic"])
def test_any_values_make_a_drawing_with_labels(values, axis):
    drawn = chart("Any", {"any": list(enumerate(values))}, last_step=len(values), axis=axis)
    assert "nan" not in drawn and 1 <= drawn.count('class="y"') <= 10


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_the_picture_of_the_card_draws_both_curves_over_the_whole_width(count):
    points = [(step + 1, float(step % 7)) for step in range(count)]
    curves = {"one": points, "two": [(step, 10 - value) for step, value in points]}
    drawn = picture(curves, last_step=count)
    for colour in ((0x2A, 0x6F, 0xC9), (0xCF, 0x56, 0x20)):
        columns = [
            x for x in range(64, drawn.width) for y in range(30, drawn.height)  # without the names above
            if math.dist(drawn.getpixel((x, y)), colour) < 40
        ]  # fmt: skip
        assert bool(columns) == bool(count)
        assert count < 2 or max(columns) - min(columns) > (330 if count == 2 else 660)


def test_the_picture_of_the_card_says_what_it_cuts_off():
    points = [(step, 1 + step % 2) for step in range(1, 1000)]
    for last, said in ((1, False), (1e9, True)):
        drawn = picture({"generator loss": [*points, (1000, last)]}, last_step=1000)
        assert (len(drawn.crop((400, 0, 741, 22)).getcolors()) > 1) == said


@pytest.mark.parametrize(
    "value, said",
    [(0, "0"), (12000, "12,000"), (0.0066479, "0.00665"), (1234.6, "1,235"), (1e9, "1e+09"), (-2.5, "-2.5")],
)
def test_numbers_read_well(value, said):
    assert number(value) == said


@pytest.mark.parametrize(
    "value, digits, said",
    [(150.37, 2, "150"), (99.6, 2, "100"), (99.4, 2, "99"), (999.7, 3, "1,000"), (9.96, 2, "10"), (0.0123, 2, "0.012")],
)
def test_a_number_has_no_fewer_digits_than_stand_before_its_point(value, digits, said):
    assert number(value, digits) == said and number(-value, digits) == f"-{said}"
    assert with_spread(350.2, 120.4) == "350.2 ± 120"


@pytest.mark.parametrize("last, said", [(1, ["0", "1"]), (2, ["0", "1", "2"]), (3, ["0", "1", "2", "3"])])
def test_the_axis_of_steps_has_whole_steps(last, said):
    drawn = chart("Losses", {"generator": [(0, 0.5), (last, 0.6)]}, last_step=last)
    assert re.findall(r'class="x"[^>]*>([^<]*)<', drawn) == said


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25, 40, 47, 48, 1000])
def test_at_most_24_grids_the_first_the_last_and_evenly_between(tmp_path, count):
    for index in range(count):
        (tmp_path / f"step-{500 * (index + 1):08d}.png").touch()
    (tmp_path / "step-x.png").touch()
    chosen = list(sample_grids(tmp_path))
    assert chosen[0] == 500 and chosen[-1] == 500 * count
    assert min(count, GRIDS // 2) <= len(chosen) <= GRIDS
    gaps = {after - before for before, after in zip(chosen[:-1], chosen[1:-1])}
    assert len(gaps) <= 1


def test_a_days_run_of_the_hardest_pictures_stays_under_3_mb(tmp_path):
    run = made_up(tmp_path / "run", steps=40_000, grids=30, size=530)  # noise: nothing compresses worse
    path = write_report(run)
    assert path.stat().st_size < 3_000_000
    assert path.read_text("utf-8").count("<figure ") == 16


def test_what_a_run_has_yet_to_do_again_is_not_shown(tmp_path):
    run = made_up(tmp_path / "run", grids=2)
    (run / "samples" / "step-00001500.png").write_bytes((run / "samples" / "step-00001000.png").read_bytes())
    lines(run, "log.jsonl", [{"step": 1600, "remark": "losses are not finite; back to step 1000"}])
    page = write_report(run).read_text("utf-8")
    assert page.count("<figure ") == 2 and "step 1,000 of 2,000" in page and "Step 1,600" in page


def test_small_pictures_stay_exact(tmp_path):
    run = made_up(tmp_path / "run", grids=1)
    page = write_report(run).read_text("utf-8")
    content = base64.b64decode(re.search(r"data:image/png;base64,([\w+/=]+)", page)[1])
    assert content == (run / "samples" / "step-00001000.png").read_bytes()


def test_a_picture_drawn_anew_is_shown_anew(tmp_path):
    run = made_up(tmp_path / "run", grids=1)
    before = write_report(run).read_text("utf-8")
    Image.new("RGB", (24, 24), "red").save(run / "samples" / "step-00001000.png")
    assert 'width="600"' in write_report(run).read_text("utf-8") and 'width="600"' not in before


def trained(folder, **settings):
    import torch

    generator = torch.Generator().manual_seed(0)
    data = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=generator)
    gan = ganzoo.create(
        "fashion-mnist", image_size=8, generator={"latent_size": 4, "widths": (8, 4)}, discriminator={"widths": (4, 8)}
    )
    defaults = {"steps": 7, "batch_size": 8, "log_every": 2, "score_every": 0, "sample_every": 3, "progress": False}
    return Trainer(gan, data, folder, **{**defaults, **settings})


class Seen(Callback):
    """Keeps what the title of the page says at each line of the log."""

    def __init__(self, page):
        self.page, self.titles = page, []

    def on_log(self, run, entry):
        self.titles.append(re.search("<title>run, step (\\d)", self.page.read_text())[1])


def test_training_writes_the_report_from_the_start_by_the_clock_and_at_its_end(tmp_path, monkeypatch):
    seen, seconds = Seen(tmp_path / "run" / "report.html"), iter(range(0, 1000, 10))
    clock = types.SimpleNamespace(monotonic=lambda: next(seconds), perf_counter=lambda: 0.0)
    monkeypatch.setattr("ganzoo.training.callbacks.built_in.time", clock)
    monkeypatch.setattr("ganzoo.training.callbacks.built_in.MOST", 1)
    trained(tmp_path / "run", report_every=35, callbacks=[seen]).fit()
    assert seen.titles == ["0", "3", "3", "6"]  # at lines 2, 4, 6, 7 of the log; written at steps 0, 3, 6 and 7
    page = seen.page.read_text()
    assert "<title>run, step 7 of 7</title>" in page and "Finished" in page
    assert re.findall(r"<figcaption>([^<]*)", page) == ["Step 0", "Step 3", "Step 6", "Step 7", "Real images"]


@pytest.mark.parametrize("stop", [3, 4])
def test_the_report_is_right_after_ctrl_c_with_samples_of_the_last_step(tmp_path, stop):
    class Interrupted(Callback):
        def on_step(self, run):
            if run.step == stop:
                signal.raise_signal(signal.SIGINT)

    assert not trained(tmp_path / "run", log_every=100, callbacks=[Interrupted()]).fit().finished
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"Stopped: step {stop} of 7. Go on with" in page and f"<figcaption>Step {stop}<" in page


def test_report_every_0_writes_none(tmp_path):
    trained(tmp_path / "run", report_every=0).fit()
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page at a size and scheme; afterwards nothing was asked for elsewhere and nothing complained."""
    pages, complaints = [], []

    def open_page(path, width=1280, scheme="light", javascript=True):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=javascript
        )
        page = context.new_page()
        pages.append(context)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        allowed = (unquote(path.resolve().as_uri()), "data:")
        page.on("request", lambda ask: None if unquote(ask.url).startswith(allowed) else complaints.append(ask.url))
        page.goto(path.resolve().as_uri())
        return page

    yield open_page
    for context in pages:
        context.close()
    assert complaints == []


def shown(page):
    return page.eval_on_selector_all(
        ".pictures img", "images => images.filter(i => i.offsetWidth).map(i => [i.currentSrc, i.naturalWidth])"
    )


@pytest.mark.slow
def test_the_slider_is_moved_by_keyboard_and_the_picture_changes(opened, tmp_path):
    page = opened(write_report(made_up(tmp_path / "run", grids=4)))
    page.keyboard.press("Tab")
    slider = page.get_by_label("Step", exact=True)
    assert slider.evaluate("element => element === document.activeElement")
    assert page.locator("#shown").inner_text() == "step 1,000"
    seen = [shown(page)]
    for step in (750, 500, 250):
        page.keyboard.press("ArrowLeft")
        assert page.locator("#shown").inner_text() == f"step {step}"
        assert slider.get_attribute("aria-valuetext") == f"step {step}"
        seen.append(shown(page))
    assert [len(pictures) for pictures in seen] == [1, 1, 1, 1]
    assert all(width == 16 for pictures in seen for _, width in pictures)
    assert len({source for pictures in seen for source, _ in pictures}) == 4
    left = page.eval_on_selector_all(".marker", "marks => marks.map(mark => mark.style.left)")
    assert set(left) == {"25%"} and len(left) == 5
    page.keyboard.press("End")
    assert shown(page) == seen[0]


@pytest.mark.slow
def test_a_page_that_reloads_keeps_the_chosen_picture_and_says_if_the_run_went_silent(opened, tmp_path):
    run = made_up(tmp_path / "run", grids=4)
    page = opened(write_report(run, under_way=True))
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    path = write_report(run, under_way=True)
    stale = re.sub(r'data-written="\d+"', 'data-written="1000000000"', path.read_text("utf-8"))
    assert not page.locator("#silent").is_visible()
    path.write_text(stale)
    page.reload()
    assert page.locator("#shown").inner_text() == "step 750"
    assert "Nothing new for" in page.locator("#silent").inner_text()
    page.get_by_label("Step", exact=True).press("End")
    page.reload()
    assert page.locator("#shown").inner_text() == "step 1,000"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_its_window_and_can_be_read(opened, tmp_path, width, scheme):
    long = {"command": "ganzoo train " + "x" * 300, "versions": {"a-package-of-a-very-long-name-indeed" * 3: "1" * 90}}
    page = opened(write_report(made_up(tmp_path / "run", changes=long)), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50 and min(contrasts) >= 4.5


CONTRASTS = """() => {
  const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => { let c = getComputedStyle(e).backgroundColor;
    return /, 0\\)$/.test(c) ? behind(e.parentElement) : c; };
  return [...document.querySelectorAll("body *")]
    .filter(e => e.offsetWidth && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a))
    .map(([high, low]) => (high + 0.05) / (low + 0.05));
}"""


@pytest.mark.slow
def test_dark_and_light_are_two_looks(opened, tmp_path):
    path = write_report(made_up(tmp_path / "run"))
    colours = []
    for scheme in ("light", "dark"):
        page = opened(path, scheme=scheme)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        colours.append(page.evaluate("getComputedStyle(document.querySelector('.plot path')).stroke"))
    assert len(set(colours)) == 4


@pytest.mark.slow
def test_print_shows_the_way_of_the_samples_and_no_slider(opened, tmp_path):
    page = opened(write_report(made_up(tmp_path / "run", grids=8)), 794)
    page.emulate_media(media="print")
    assert len(shown(page)) == 3
    assert not page.locator("#when").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.slow
def test_without_scripts_the_last_picture_is_seen(opened, tmp_path):
    page = opened(write_report(made_up(tmp_path / "run")), javascript=False)
    assert page.locator(".pictures figure:visible").count() == 1
    assert page.locator("figure:visible figcaption").inner_text() == "Step 1,000"
    assert not page.locator("#when").is_visible()


@pytest.mark.slow
def test_a_strangers_run_runs_nothing_in_a_browser(opened, tmp_path):
    evil_facts = evil({key: value for key, value in facts().items() if key != "format"})
    run = made_up(tmp_path / "<img src=x onerror=alert(2)>", changes=evil_facts)
    lines(run, "log.jsonl", [{"step": 1000, "remark": EVIL, "text": EVIL, "advice": EVIL}])
    page = opened(write_report(run), 390)
    assert run.name in page.title() and run.name in page.locator("h1").inner_text()
    assert EVIL in page.locator("header").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.wait_for_timeout(200)


@pytest.mark.slow
def test_the_page_forbids_itself_other_scripts_and_requests(browser, tmp_path):
    path = write_report(made_up(tmp_path / "run"))
    path.write_text(path.read_text("utf-8").replace("<main>", "<main><script>document.title = 'taken'</script>"))
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.title() != "taken"
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'went out', () => 'held back')") == "held back"
    assert not [url for url in asked if url.startswith("http")]
    assert page.locator("#shown").inner_text() == "step 1,000"  # its own script still runs
    page.close()
