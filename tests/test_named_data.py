"""Data sets by name: `SOURCES`, with options, made by ganzoo or by anybody's package."""

import json
import re
import struct
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

import ganzoo
from ganzoo import SOURCES
from ganzoo.cli import run
from ganzoo.data import Licensed, open_data
from ganzoo.data.open import splits_of
from ganzoo.errors import ConfigError, DataError, PluginError
from ganzoo.runs.metadata import _absolute

SMALL = ["--set", "generator.widths=4,4", "--set", "discriminator.widths=4,4", "--set", "batch_size=2"]
SMALL += ["--set", "score_every=0"]


def pixels(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=random)


def blobs(count: int = 6) -> torch.Tensor:
    """Random colours."""
    return pixels(count)


@pytest.fixture
def named(monkeypatch):
    """Register a source for one test."""
    return lambda maker, name="blobs": monkeypatch.setitem(SOURCES._items, name, maker)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_it_is_and_takes_few_options_that_have_no_defaults(name):
    assert SOURCES[name].__doc__
    SOURCES.read({"torchvision": "torchvision:FakeData"}.get(name, name))


def test_a_source_s_options_are_given_in_its_name(named):
    named(blobs)
    assert len(open_data("blobs")) == 6
    data = open_data("blobs(count=9)", image_size=4, image_channels=1)
    assert data.images.shape == (9, 1, 4, 4) and data.name == "blobs(count=9)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blobs(cuont=3)", 'blobs has no option "cuont". Did you mean "count"?'),
        ("blobs(count=many)", "blobs: count must be an int"),
        ("blobs(count=0)", "blobs(count=0):"),
        ("blops(count=3)", 'Did you mean "blobs"?'),
        ("fashion-mnst", 'Did you mean "fashion-mnist"?'),
    ],
)
def test_a_wrong_name_or_option_is_one_line_and_status_2(named, capsys, text, message):
    named(blobs)
    assert run(["data", text]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("maker", "error", "message"),
    [
        (lambda: 1 / 0, PluginError, "making source blobs fails .*ZeroDivisionError"),
        (lambda: None, DataError, "blobs: null .NoneType. holds no images"),
        (lambda: 7, DataError, "blobs: 7"),
        (lambda: "pokemon", PluginError, r'blobs gives "pokemon", the name of a source; give .*SOURCES\["pokemon"\]\('),
        (lambda: {}, DataError, "blobs has no split train, but nothing"),
        (lambda: {"test": pixels(3)}, DataError, "blobs has no split train, but test"),
        (lambda: {"train": lambda: 1 / 0}, PluginError, "blobs: its split train fails"),
        (lambda: {"train": []}, DataError, "blobs: list is empty"),
    ],
)
def test_a_source_that_fails_or_gives_nonsense_is_named(named, maker, error, message):
    named(maker)
    with pytest.raises(error, match=message):
        open_data("blobs")


def test_of_a_source_s_splits_only_the_one_in_use_is_read(named):
    read = []

    def part(split, count):
        read.append(split)
        return pixels(count)

    named(lambda: {"train": partial(part, "train", 5), "test": partial(part, "test", 3)})
    assert splits_of("blobs") == ("train", "test") and not read
    assert len(open_data("blobs", split="test")) == 3 and read == ["test"]


def test_a_source_without_splits_gives_all_whatever_is_asked(named):
    named(blobs)
    assert splits_of("blobs") == () and len(open_data("blobs", split="test")) == 6


def test_a_source_may_give_labels_a_licence_or_a_folder_with_splits(named, tmp_path):
    named(lambda: Licensed((pixels(4), ["a", "b", "a", "b"]), "CC0"))
    data = open_data("blobs")
    assert data.class_names == ("a", "b") and data.licence == "CC0"
    for split, count in (("train", 3), ("test", 2)):
        (tmp_path / "set" / split).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number * 90, 255, 0)).save(tmp_path / "set" / split / f"{number}.png")
    named(lambda: tmp_path / "set")
    assert splits_of("blobs") == ("train", "test") and len(open_data("blobs", split="test")) == 2


def test_a_path_wins_over_a_name_and_a_name_over_a_folder(named, tmp_path, monkeypatch):
    named(blobs)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blobs").mkdir()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "blobs" / "0.png")
    with pytest.warns(UserWarning, match=r"blobs is the data set of that name, not what .*; for that give \./blobs"):
        assert len(open_data("blobs")) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in ("./blobs", str(tmp_path / "blobs"), Path("blobs"), "blobs(count=1)"):
            assert len(open_data(path)) == 1
        (tmp_path / "blobs/run.json").write_text("{}")  # a run of the same name holds no data
        assert len(open_data("blobs")) == 6


def test_a_path_that_is_called_as_a_source_is_never_named_as_that_one(named, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    named(blobs)
    for name in ("blobs", "others"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / name / "0.png")
    assert open_data(tmp_path / "blobs").name == "./blobs" and open_data(tmp_path / "others").name == "others"
    pytest.importorskip("datasets", reason="pip install 'ganzoo-torch[datasets]'")
    assert open_data(f"hf:{tmp_path / 'blobs'}").name == "./blobs"
    assert open_data(f"hf:{tmp_path / 'others'}").name == "others"


def test_a_run_is_trained_and_resumed_by_a_source_s_name(named, tmp_path, capsys):
    named(blobs)
    output = str(tmp_path / "run")
    command = ["train", "fashion-mnist", "--data", "blobs(count=8)", "--size", "16", "--output", output, *SMALL]
    assert run([*command, "--steps", "1"]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["source"] == "blobs(count=8)"
    assert run(["train", "--resume", output]) == 0
    named(lambda count=6: pixels(count, seed=1))
    capsys.readouterr()
    assert run(["train", "--resume", output]) == 2 and "is not the data" in capsys.readouterr().err


def test_a_source_s_name_is_both_sides_of_an_evaluation(named, tmp_path):
    named(lambda count=9: pixels(count)[:, :1])  # grey: ganzoo has features for it
    result = ganzoo.evaluate("blobs(count=120)", data="blobs(count=200)", samples=100, memorised=False)
    assert result.to_dict()


def test_sources_are_listed_with_their_options(capsys):
    assert run(["list", "sources"]) == 0
    printed = capsys.readouterr().out
    assert "fashion-mnist(root=, download=true)" in printed
    assert "\nhf " in printed and "hf:owner/name?split=test" in printed and "classes=" in printed


def test_a_wrong_option_is_a_config_error():
    with pytest.raises(ConfigError, match="download must be"):
        open_data("pokemon(download=maybe)")


# --- torchvision's ---------------------------------------------------------------------------------------------------


def garment_files(root, counts):
    """Tiny files of the idx kind, as torchvision keeps FashionMNIST."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in counts.items():
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            header = struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape)
            content = bytes(i % 10 for i in range(count * (784 if len(shape) == 3 else 1)))
            (raw / f"{prefix}-{kind}-ubyte").write_bytes(header + content)
            (raw / f"{prefix}-{kind}-ubyte.gz").touch()


def test_a_set_of_torchvision_opens_by_the_name_of_its_class_with_its_splits_and_classes(tmp_path):
    garment_files(tmp_path, {"train": 12, "t10k": 5})
    name = f"torchvision:FashionMNIST?root={tmp_path}"
    assert splits_of(name) == ("train", "test") and data_splits(name) == [12, 5]
    data = open_data(name)
    assert data.images.shape == (12, 1, 28, 28) and data.class_names[1] == "Trouser" and data.name == name
    assert data.labels.tolist() == [*range(10), 0, 1]


def data_splits(name):
    return [len(open_data(name, split=split)) for split in ("train", "test")]


def test_a_set_of_torchvision_with_a_validation_split_alone_tests_on_that(tmp_path, monkeypatch):
    class Valley(torchvision.datasets.VisionDataset):
        def __init__(self, root, split="train"):
            torchvision.datasets.utils.verify_str_arg(split, "split", ("train", "val"))
            self.images = [Image.new("RGB", (8, 8), (index, 0, 0)) for index in range(4 if split == "train" else 2)]

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            return self.images[index], {"box": index}  # no class

    monkeypatch.setattr(torchvision.datasets, "Country211", Valley)
    assert data_splits("torchvision:Country211") == [4, 2]
    assert len(open_data("torchvision:Country211?split=val")) == 2
    assert open_data("torchvision:Country211").labels is None


def test_a_set_of_torchvision_whose_split_is_a_set_of_its_own_has_training_and_test_images(monkeypatch):
    class Digits(torchvision.datasets.VisionDataset):
        def __init__(self, root, train=True, download=False):
            self.images = [Image.new("RGB", (8, 8), (index, 0, 0)) for index in range(3 if train else 2)]

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            return self.images[index], 0

    class Letters(Digits):
        def __init__(self, root, split, **kwargs):
            assert split == "letters"
            super().__init__(root, **kwargs)

    monkeypatch.setattr(torchvision.datasets, "EMNIST", Letters)
    name = "torchvision:EMNIST?split=letters"
    assert splits_of(name) == ("train", "test") and data_splits(name) == [3, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torchvision", "torchvision needs dataset"),
        ("torchvision:CelebB", 'torchvision has no data set "CelebB". Did you mean "CelebA"?'),
        ("torchvision:CelebA?rot=x", 'torchvision has no option "rot". Did you mean "root"?'),
        ("torchvision:CIFAR10?root=DIR", "name its folder with root=, or fetch it with download=yes"),
        ("torchvision:EMNIST?root=DIR", "torchvision:EMNIST needs split: add split="),
        ("torchvision:CocoDetection?root=DIR", "needs annFile: open it in Python"),
        ("torchvision:FakeData?split=odd", "torchvision can't open FakeData"),
    ],
)
def test_a_set_of_torchvision_that_can_t_be_opened_says_why(text, message, tmp_path):
    with pytest.raises(ganzoo.GanzooError, match=re.escape(message)):
        open_data(text.replace("DIR", str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("fashion-mnist(root=a,download=false)", "fashion-mnist(root={here}/a,download=false)"),
        ("torchvision:MNIST?root=a&split=b", "torchvision:MNIST?root={here}/a&split=b"),
        ("torchvision:MNIST?root=a%26b", "torchvision:MNIST?root={here}/a%26b"),
        ("fashion-mnist(root=nowhere)", "fashion-mnist(root=nowhere)"),
        ("pokemon", "pokemon"),
    ],
)
def test_the_root_of_a_source_is_recorded_from_the_top(text, recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a&b"):
        (tmp_path / name).mkdir()
    assert _absolute(text) == recorded.format(here=tmp_path)


def test_a_run_on_a_set_of_torchvision_resumes_by_its_name_from_any_folder(tmp_path, monkeypatch):
    garment_files(tmp_path / "here", {"train": 12, "t10k": 5})
    monkeypatch.chdir(tmp_path)
    more = ["--output", str(tmp_path / "run"), "--set", "checkpoint_every=1", *SMALL]
    assert run(["train", "fashion-mnist", "--data", "torchvision:FashionMNIST?root=here", "--steps", "1", *more]) == 0
    monkeypatch.chdir("/")
    assert run(["train", "--resume", str(tmp_path / "run"), "--steps", "2"]) == 0
    assert str(tmp_path / "here") in json.loads((tmp_path / "run" / "run.json").read_text())["data"]["source"]
