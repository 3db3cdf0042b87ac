"""The benchmarks run, and the tables of docs/benchmarks.md are what their lines say. No time is asserted."""

import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import ganzoo
from forked import run_file
from ganzoo.settings import Settings

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))
import drawings  # noqa: E402
import overfitting  # noqa: E402
import rank  # noqa: E402
import tables  # noqa: E402
import variety  # noqa: E402


def test_the_tables_of_the_page_are_what_the_lines_say():
    assert tables.page(tables.PAGE.read_text(), BENCHMARKS / "results") == tables.PAGE.read_text()


def test_the_newest_of_equal_lines_stands_in_the_table_with_its_spread_and_command():
    facts = {
        "machine": "a machine", "threads": 2, "torch": "2", "date": "2026-01-01", "command": "python x.py",
        "GFLOP/s": {"float32": 1234.0, "bf16": None},
    }  # fmt: skip
    lines = [{"axis": "batch", "value": 8, "ms an image": [value, 0.5, 2.0], **facts} for value in (9.0, 1.0)]
    found = tables.markdown("scaling", lines)
    assert "| batch | 8 | 1 (0.5-2) |" in found and "9 (" not in found
    assert "a machine, 2 threads, torch 2, 2026-01-01; matrix peak in float32 1,234 GFLOP/s, in bf16 none" in found
    assert found.endswith("```\npython x.py\n```")


@pytest.mark.slow
@pytest.mark.parametrize("name", tables.TABLES)
def test_a_benchmark_writes_lines_that_make_a_table(children, name, tmp_path):
    environment = {**os.environ, "GANZOO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["--quick", "--output", str(tmp_path)]
    said = tmp_path / "said"
    child = children.Process(target=run_file, args=(BENCHMARKS / f"{name}.py", words, Path.cwd(), said, environment))
    child.start()
    child.join(300)
    assert child.exitcode == 0, said.read_text()[-2000:]
    rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
    assert all(
        row["command"].startswith(f"python benchmarks/{name}.py") and "float32" in row["GFLOP/s"] for row in rows
    )
    text = tables.page(f"<!-- {name} --><!-- end of {name} -->", tmp_path)
    assert text.count("\n| ") > 2 or text.count("| ") > 6


@pytest.mark.parametrize("clusters", [0, 3])
@pytest.mark.parametrize("classes", [0, 2])
def test_a_discriminator_that_knows_the_training_images_prefers_them_in_all_pairs(classes, clusters, tmp_path):
    for number, tone in enumerate((200, 210, 220, 230, 40, 50)):  # four of training, bright
        folder = tmp_path / ("train" if number < 4 else "test") / ("ab"[number % 2] if classes else "")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), tone).save(folder / f"{number}.png")

    def network(sign):
        """Logits of brightness, for the last cluster of an image's class alone."""

        def logits(images, labels=None):
            tones = (images.mean((1, 2, 3)) + 1) * 127.5
            if labels is None:
                return sign * tones[:, None]
            real = (tones / 10).round().long() % 2 if classes else 0
            own = labels == real * max(1, clusters) + max(1, clusters) - 1
            return torch.where(own, sign * tones, -1000.0)[:, None]

        return SimpleNamespace(
            image_size=8, image_channels=1, num_classes=classes, clusters=clusters, discriminator=logits
        )

    assert overfitting.share(network(1), str(tmp_path), 600) == (1.0, 4, 2)
    assert overfitting.share(network(-1), str(tmp_path), 600) == (0.0, 4, 2)
    assert overfitting.share(network(0), str(tmp_path), 1)[1:] == (1, 1)


def test_how_much_two_images_of_a_label_differ_is_the_mean_over_its_pairs_and_over_labels():
    images = torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.0])[:, None, None, None].expand(5, 1, 2, 2)
    assert variety.difference(images, torch.tensor([7, 7, 3, 9, 9])) == (0.5, 2)  # of 7 and 9: a pair each, 1 and 0


def test_samples_of_a_label_are_compared_with_training_images_of_one(tmp_path):
    for number in range(64):  # two clusters: dark and bright, each of two tones
        Image.new("L", (8, 8), (0, 51, 204, 255)[number % 4]).save(tmp_path / f"{number}.png")
    gan = ganzoo.create("fashion-mnist", 8, {"latent_size": 4, "widths": (8, 4)}, {"widths": (4, 8)}, clusters=2)
    samples, real = variety.compare(gan, str(tmp_path), Settings(), 64)
    assert samples[0] > 0 and samples[1] == real[1] == 2
    assert real[0] == pytest.approx(0.4 * 16 / 31, abs=0.05)  # of 31 others of a cluster, 16 have the other tone
    torch.nn.init.zeros_(gan.generator.project.convolution.weight)  # it does not listen to latents
    assert variety.compare(gan, str(tmp_path), Settings(), 64)[0] == (0.0, 2)


def test_drawings_of_one_subject_lie_in_one_split(tmp_path):
    package, tones = tmp_path / "emoji.tgz", {"1F3FB": "-1f3fb", "1F3FF": "-1f3ff"}
    people = [f"{person}-200D-{thing:X}" for thing in range(0x1F680, 0x1F688) for person in ("1F468", "1F469")]
    emoji = [
        {
            "unified": unified, "category": category, "image": f"{unified.lower()}.png",
            "skin_variations": {tone: {"image": f"{unified.lower()}{end}.png"} for tone, end in tones.items()},
        }
        for category, names in (("People & Body", people), ("Flags", ["1F3C1"])) for unified in names
    ]  # fmt: skip
    files = {"emoji.json": json.dumps(emoji).encode()}
    for each in emoji:
        for image in (each["image"], *(tone["image"] for tone in each["skin_variations"].values())):
            files[f"img/twitter/64/{image}"] = image.encode()
    with tarfile.open(package, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    drawings.write(package, tmp_path / "out")
    splits = [{path.name for path in (tmp_path / "out" / split).iterdir()} for split in ("train", "test")]
    assert len(splits[0] | splits[1]) == 3 * len(people) and "1f3c1.png" not in splits[0] | splits[1]
    subjects = [{re.search("1f68.", name)[0] for name in split} for split in splits]
    assert all(subjects) and not subjects[0] & subjects[1]


@pytest.mark.slow
def test_two_spaces_rank_spoiled_images(tmp_path, capsys, monkeypatch):
    words = ["fashion-mnist", "--data", "fashion-mnist-mini", "--features", "fashion-net", "--beside", "color-net"]
    monkeypatch.setattr(sys, "argv", ["rank.py", *words, "--count", "50", "--size", "28"])
    rank.main()
    said = capsys.readouterr().out
    assert said.count("\n| ") == 9 and "| `fashion-mnist` |" in said
    assert float(said.rpartition("Rank correlation: ")[2]) > 0
