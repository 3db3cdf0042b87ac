"""Files that can't be trusted: every input of `hostile.CASES` ends in a GanzooError, quickly, in little memory, and
leaves the world as it was.

One worker opens all of them, in a process of its own; where it dies, that input has failed and another takes up.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.errors import WeightsError
from ganzoo.saving.weights import WeightsFile
from hostile import CASES, MEMORY, pack, unpack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does")
COUNT = f"{len(CASES)} inputs"
OPENERS = sorted({case.open.__name__ for case in CASES.values()})
SECOND = 1.0
EXACT = ("the source", "the data")  # a user's own text, shown as it was given


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root, found = tmp_path_factory.mktemp("hostile"), {}
    while len(found) < len(CASES):
        command = [sys.executable, Path(__file__).with_name("hostile.py"), root / f"{len(found)}", f"{len(found)}"]
        worker = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **QUIET})
        lines = [json.loads(line) for line in worker.stdout.splitlines() if line.startswith("{")]
        assert lines, f"the worker can't open sound inputs: {worker.stderr[-2000:]}"
        found.update({line["case"]: line for line in lines if "case" in line})
        if "start" in lines[-1]:
            lost = {"outcome": f"CRASH of the process, status {worker.returncode}", "text": worker.stderr[-300:]}
            found[lines[-1]["start"]] = {**lost, "seconds": 0.0, "memory": 0, "done": []}
    return found


QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "RUST_BACKTRACE": "0"}


def test_the_corpus_is_large():
    assert len(CASES) >= 300, COUNT


@pytest.mark.parametrize("opener", OPENERS)
def test_every_input_ends_in_an_error_of_ganzoo(results, opener):
    wrong = {}
    for name, case in CASES.items():
        outcome = results[name]["outcome"]
        refused = outcome.endswith("Error") and not outcome.startswith("CRASH")
        if case.open.__name__ == opener and not refused and not (outcome == "success" and case.either):
            wrong[name] = f"{outcome}: {results[name]['text']}"
    assert not wrong


@pytest.mark.parametrize("count", [COUNT])
def test_no_input_takes_a_second_or_200_megabytes(results, count):
    slow = {name: result["seconds"] for name, result in results.items() if result["seconds"] >= SECOND}
    large = {name: result["memory"] for name, result in results.items() if result["memory"] >= MEMORY}
    short = [name for name, result in results.items() if "can't allocate" in result["text"]]  # its limit, not ours
    assert not (slow or large or short)


@pytest.mark.parametrize("count", [COUNT])
def test_no_input_runs_calls_or_writes_anything(results, count):
    assert not {name: result["done"] for name, result in results.items() if result["done"]}


@pytest.mark.parametrize("count", [COUNT])
def test_messages_are_one_short_line_and_tell_nothing_of_other_files(results, count):
    texts = {name: result["text"] for name, result in results.items() if result["outcome"] != "success"}
    assert not {name: text for name, text in texts.items() if "HUSH" in text or "root:x" in text}
    assert not {name: len(text) for name, text in texts.items() if not 20 < len(text) < 1500}
    assert not {name: text for name, text in texts.items() if not text.isprintable() and not name.startswith(EXACT)}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("config is two megabytes", ["bytes; 1000000 is the most"]),
        ("config is brackets without end", ["config.json is not valid JSON"]),
        ("config is the format twice", ["stands there twice"]),
        ("config is a link to zeros without end", ["holds no saved model"]),
        ("a state is a link to zeros without end", ["state.json is not a plain file"]),
        ("a header of forty megabytes of spaces, load", ["a header of 40,000,002 bytes; 4,000,000 is the most"]),
        ("a header of five thousand tensors and one, load", ["has 5,001 tensors; 5,000 is the most"]),
        ("folders within folders within folders", ["has folders in folders, over 100 deep"]),
        ("weights of F32 that are promised alone", ["is not an intact safetensors file", "get it again"]),
        ("weights of type I64", ["is of type torch.int64, its network needs torch.float32"]),
        ("weights of type C64", ["C64"]),  # one of safetensors' own, or none, by its version
        ("weights with NaN", ['"stages.0.convolution.weight" holds NaN or infinity']),
        ("a judge's weights with infinity", ["discriminator/model.safetensors", "holds NaN or infinity"]),
        ("a checkpoint with NaN", ["step-00000001", "generator/stages.0.convolution.weight holds NaN"]),
        ("weights with one missing", ["stages.0.convolution.weight is missing"]),
        ("latent_shape is a product that wraps to 4", ["has more than 100000 numbers"]),
        ("a config of as wide as can be", ["does not fit its config: ", "is missing"]),
        ("a config of wide and large", ["generator.config.widths ask for 8192 channels", "67,108,864 is the most"]),
        ("a config of ten thousand classes", ["does not fit its config"]),
        ("generator.widths is a billion", ["generator.config.widths must be a list"]),
        (
            "generator.widths is a million in a list",
            ["generator.config.widths[0] must be", "at most 8192, got 1000000"],
        ),
        ("generator.start_size is a billion", ["start_size must be at least 1 and at most 64, got 1000000000"]),
        ("discriminator.slope is NaN", ["NaN is not a number of JSON"]),
        ("plugins are of a command", ['"x; touch pwned" is not a valid package of a Python package']),
        ("a zip with two million members", ["contents has 102,000,000 bytes, 50,000,000 is the most"]),
        ("a zip with six hundred thousand members", ["600,000 members, 250,000 is the most"]),
        ("a zip with a bomb in bzip2 that lies", ["packed otherwise than by deflate"]),
        ("a zip with very deep names", ["a name of 60,005 characters, 1,000 is the most"]),
        ("a picture that is PostScript", ["can't be read as a picture"]),
        ("a picture that is a bomb of 9000 x 8000", ["has 9000x8000 pixels, more than 40,000,000"]),
        ("an evil pickle pytorch_model.bin beside missing weights", ["model.safetensors does not exist"]),
    ],
)
def test_the_message_says_what_is_wrong(results, case, words):
    assert all(word in results[case]["text"] for word in words), results[case]["text"]


# --- what must go on working -----------------------------------------------------------------------------------


@pytest.fixture
def gan():
    changes = {"generator": {"latent_size": 4, "widths": (6, 4)}, "discriminator": {"widths": (4, 6)}}
    return ganzoo.create("fashion-mnist", image_size=8, **changes, seed=0)


def test_links_as_the_hub_s_cache_has_them_load(gan, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    saved = gan.save_pretrained(tmp_path / "saved")
    blobs.mkdir()
    for path in sorted(saved.rglob("*.*")):
        place = snapshot / path.relative_to(saved)
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = path.replace(blobs / f"{len(list(blobs.iterdir()))}")
        place.symlink_to(os.path.relpath(blob, place.parent))
    again = ganzoo.from_pretrained(snapshot, discriminator=True)
    assert torch.equal(again.sample(2, seed=0), gan.sample(2, seed=0))


def test_a_header_padded_with_spaces_loads(gan, tmp_path):
    """As writers of safetensors do, so that tensors begin at a multiple of eight."""
    folder = gan.save_pretrained(tmp_path / "model")
    header, body = unpack((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").write_bytes(pack(json.dumps(header).encode() + b" " * 4096, body))
    assert torch.equal(ganzoo.from_pretrained(folder).sample(2, seed=0), gan.sample(2, seed=0))


def test_weights_of_one_s_own_modules_load_and_must_fit(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "model")
    other = ganzoo.create("fashion-mnist", image_size=8, generator={"latent_size": 4, "widths": (6, 4)}, seed=5)
    WeightsFile.open(folder / "model.safetensors").load_into(other.generator)
    assert torch.equal(other.sample(2, seed=0), gan.sample(2, seed=0))
    with pytest.raises(WeightsError, match=r"0\.weight is missing.*is surplus"):
        WeightsFile.open(folder / "model.safetensors").load_into(torch.nn.Sequential(torch.nn.Linear(4, 4)))
