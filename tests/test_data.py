"""Images from anywhere: the same pixels each time, and a clear word about what can't be used."""

import errno
import gzip
import hashlib
import io
import itertools
import json
import mmap
import multiprocessing
import os
import re
import signal
import stat
import struct
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

import ganzoo
from ganzoo import images
from ganzoo.cli import run
from ganzoo.data import Batches, ImageData, cache_dir, describe, open_data, open_loader, shard
from ganzoo.data import fashion as fashion_module
from ganzoo.data import open as open_module
from ganzoo.data.cache import cached_images, differing
from ganzoo.data.decode import decode, read_pictures
from ganzoo.data.hf import hf_splits
from ganzoo.data.labels import same_classes
from ganzoo.data.open import splits_of
from ganzoo.data.reading import Reading
from ganzoo.data.stream import Stream, _in_turns
from ganzoo.errors import ConfigError, DataError, ShapeError
from ganzoo.training import Callback

REAL = any((place / "train-labels-idx1-ubyte.gz").is_file() for place in fashion_module.places(""))


def png(color=(10, 20, 30), size=(6, 6), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, "PNG", **options)
    return buffer.getvalue()


def fill(folder, names, size=(6, 6)):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png((index * 10, 0, 0), size))
    return folder


def pack(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# --- folders and zips ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "zip", "wrapped zip"])
def test_class_folders_become_labels(tmp_path, kind):
    names = ["cat/2.png", "cat/1.png", "dog/1.png", "dog/deep/3.png"]
    if kind == "folder":
        source = fill(tmp_path / "set", names)
    else:
        wrap = "wrap/" if kind == "wrapped zip" else ""
        source = pack(tmp_path / "set.zip", {wrap + name: png((index * 10, 0, 0)) for index, name in enumerate(names)})
    data = open_data(source)
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 0, 1, 1]
    assert data.images[:, 0, 0, 0].tolist() == [10, 0, 20, 30]  # sorted by path
    assert (data.image_size, data.image_channels, data.num_classes, len(data)) == (6, 3, 2, 4)


class Brighter:
    """What a user lays over a data set: other pictures, and other labels."""

    def __getitem__(self, index):
        _, label = super().__getitem__(index)
        return Image.new("RGB", (8, 8), (200, 0, 0)), 1 - label

    def __getitems__(self, indices):
        return [self[index] for index in indices]


def test_items_are_those_that_a_subclass_of_a_subset_or_an_image_folder_gives(tmp_path):
    fill(tmp_path, ["a/0.png", "a/1.png", "b/0.png", "b/1.png"])
    folder = type("Folder", (Brighter, ImageFolder), {})(tmp_path)
    subset = type("Part", (Brighter, Subset), {})(ImageFolder(tmp_path), [3, 0])
    for source, labels in ((folder, [1, 1, 0, 0]), (subset, [0, 1])):
        data = open_data(source)
        assert data.images.shape[2:] == (8, 8) and data.images[:, 0].min() == 200
        assert data.labels.tolist() == labels


def test_images_are_had_by_a_list_of_their_numbers_and_a_mask_is_refused():
    data = open_data(torch.arange(0, 250, 50, dtype=torch.uint8)[:, None, None, None].expand(5, 1, 2, 2))
    assert data.pixels([3, 1])[:, 0, 0, 0].tolist() == [150, 50]
    assert torch.equal(data.batch([3]), data.batch(torch.tensor([3])))
    with torch.device("meta"):
        assert torch.equal(data.pixels(torch.tensor([1, 0], device="cpu")), data.pixels([1, 0]))
    assert len(data.batch([])) == 0
    for mask in (torch.arange(5) > 2, [False, True], [1.5]):
        with pytest.raises(ShapeError, match=r"of a mask give mask\.nonzero\(\)"):
            data.batch(mask)


def test_images_labels_and_facts_depend_on_neither_torchs_default_device_nor_dtype(tmp_path, other_default):
    source = fill(tmp_path, [f"{name}/{number}.png" for number in range(10) for name in "ab"])  # two processes decode
    pair = torch.arange(0, 256, 16, dtype=torch.uint8).view(4, 1, 2, 2), ["a", "b", "a", "b"]
    with other_default():
        found = [open_data(source), open_data(pair)]
        facts = [(describe(data), data._repr_html_(), data.fingerprints.tolist()) for data in found]
        batches = [[open_loader(data, size, 0).draw(0)[1:] for size in (2, 50)] for data in found]
    for data, told, drawn, known in zip(found, facts, batches, [open_data(source), open_data(pair)]):
        assert torch.equal(data.labels, known.labels) and data.hash == known.hash
        assert told == (describe(known), known._repr_html_(), known.fingerprints.tolist())
        for size, batch in zip((2, 50), drawn):
            assert all(map(torch.equal, batch, open_loader(known, size, 0).draw(0)[1:]))


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_text_is_no_folder(text):
    with pytest.raises(DataError, match="data is empty text"):
        open_data(text)


def test_a_picture_that_ends_in_its_first_bytes_is_broken_and_can_be_passed_over(tmp_path):
    fill(tmp_path, ["0.png", "1.png"])
    (tmp_path / "2.webp").write_bytes(b"RIFF\x0a\0\0\0WEBPVP8X")
    with pytest.raises(DataError, match="2.webp"):
        open_data(tmp_path)
    assert len(open_data(tmp_path, broken="skip")) == 2


def test_folders_in_a_zip_that_was_packed_with_backslashes_are_classes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("cats-0.png", "cats-1.png", "dogs-0.png"):
            archive.writestr(name, png())
    content = (tmp_path / "a.zip").read_bytes().replace(b"cats-", b"cats\\").replace(b"dogs-", b"dogs\\")
    (tmp_path / "a.zip").write_bytes(content)
    data = open_data(tmp_path / "a.zip")
    assert data.class_names == ("cats", "dogs") and data.labels.tolist() == [0, 0, 1]


def test_names_in_a_zip_are_utf_8_with_and_without_the_mark_of_it(tmp_path):
    names = ["caf\u00e9/a.png", "\u00e9t\u00e9/b.png"]
    path = pack(tmp_path / "set.zip", {name: png() for name in names})
    with zipfile.ZipFile(path) as archive:
        offsets = [member.header_offset + 6 for member in archive.infolist()]
    content = bytearray(path.read_bytes())
    entries = [match.start() + 8 for match in re.finditer(b"PK\x01\x02", content)]
    for place in (*offsets, *entries):
        content[place + 1] &= ~8
    unmarked = tmp_path / "unmarked.zip"
    unmarked.write_bytes(content)
    assert open_data(unmarked).class_names == open_data(path).class_names == ("caf\u00e9", "\u00e9t\u00e9")


def test_a_class_that_two_systems_write_in_two_ways_is_one(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    source = fill(tmp_path / "set", [f"train/{composed}/1.png", "train/dog/2.png", f"test/{apart}/3.png"])
    train = open_data(source)
    with pytest.warns(UserWarning) as said:
        test = open_data(source, split="test")
    assert not any("hold no images" in str(each.message) for each in said)
    assert train.class_names == test.class_names == (composed, "dog") and test.labels.tolist() == [0]
    assert same_classes([apart, "dog"], ["dog", composed]).tolist() == [1, 0]


def test_classes_are_the_first_folders_that_differ_however_deep_pictures_lie(tmp_path):
    data = open_data(fill(tmp_path / "set", ["all/a/x/1.png", "all/b/2.png"]))
    assert data.class_names == ("a", "b") and data.labels.tolist() == [0, 1]
    assert open_data(fill(tmp_path / "other", ["a/1.png", "2.png"])).labels is None


def test_a_flat_folder_has_no_labels(tmp_path):
    data = open_data(fill(tmp_path / "set", ["b.png", "a.png"]))
    assert data.labels is None and data.num_classes == 0


def test_hidden_and_other_files_are_passed_over(tmp_path):
    fill(tmp_path / "set", ["a.png", ".hidden.png", "__MACOSX/b.png", ".git/c.png"])
    (tmp_path / "set" / "notes.txt").write_text("x")
    assert len(open_data(tmp_path / "set")) == 1


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    fill(tmp_path, ["secret.png", "set/a.png"])
    (tmp_path / "set" / "b.png").symlink_to(tmp_path / "secret.png")
    assert len(open_data(tmp_path / "set")) == 1


def test_a_second_opening_decodes_nothing(tmp_path, monkeypatch):
    source = fill(tmp_path / "set", ["a.png", "b.png"])
    first = open_data(source, image_size=4, image_channels=3)
    monkeypatch.setattr(open_module, "decode", lambda *a: pytest.fail("decoded again"))
    again = open_data(source, image_size=4, image_channels=3)
    assert again.hash == first.hash and np.array_equal(again.images, first.images)


def test_a_changed_file_is_seen(tmp_path):
    source = fill(tmp_path / "set", ["a.png", "b.png"])
    before = open_data(source).hash
    (source / "a.png").write_bytes(png((99, 0, 0)))
    assert open_data(source).hash != before


def test_the_cache_is_mapped_and_whole(tmp_path):
    data = open_data(fill(tmp_path / "set", ["a.png"]))
    bottom = data.images
    while isinstance(bottom, np.ndarray):
        bottom = bottom.base
    assert isinstance(bottom.obj if isinstance(bottom, memoryview) else bottom, mmap.mmap)
    assert not data.images.flags.writeable
    assert not [path for path in cache_dir().rglob("*") if path.name.endswith(".tmp")]


def test_a_failure_while_caching_leaves_nothing(tmp_path):
    source = fill(tmp_path / "set", ["a.png"])
    (source / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png can't be read as a picture[^<]*$"):
        open_data(source)
    assert not list(cache_dir().rglob("*.bin")) and not list(cache_dir().rglob("*.tmp"))


def test_no_space_for_the_cache_is_said(tmp_path, monkeypatch):
    source = fill(tmp_path / "set", ["a.png"])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device.*GANZOO_CACHE"):
        open_data(source)


def test_broken_pictures_stop_or_are_counted(tmp_path):
    source = fill(tmp_path / "set", ["x/a.png", "y/b.png", "y/c.png"])
    (source / "x" / "a.png").write_bytes(png()[:40])
    with pytest.raises(DataError, match=r"x/a\.png.*broken=\"skip\""):
        open_data(source)
    data = open_data(source, broken="skip")
    assert (len(data), data.skipped, data.labels.tolist()) == (2, 1, [1, 1])
    for name in ("y/b.png", "y/c.png"):
        (source / name).write_bytes(b"")
    with pytest.raises(DataError, match="none of the 3 images"):
        open_data(source, broken="skip")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_pictures_are_decoded_at_once_in_order_and_few_ahead(monkeypatch, platform):
    def decode(content, place, reading):
        if place == "last":
            raise DataError("the last is broken.")
        time.sleep(0.001)  # or one process may be done with all before the other begins
        return np.array([int(content), os.getpid()])

    def fetch(number):
        asked.append(number)
        return str(number).encode(), "last" if number == 399 else ""

    monkeypatch.setattr("ganzoo.data.decode.decode", decode)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("ganzoo.data.decode.cores", lambda: 2)
    state, asked = torch.get_rng_state(), []
    found = read_pictures(fetch, range(400), 400, Reading(image_size=64))
    first = next(found)
    assert first[1] == os.getpid() and asked == [0]  # whether there is room for all is known by the first
    rest = [next(found)]
    assert len(asked) <= 1 + 5 * 32  # two workers with two chunks each, and one that is taken
    rest += [next(found) for _ in range(397)]
    assert [picture[0] for picture in (first, *rest)] == [*range(399)]
    assert len({picture[1] for picture in rest}) == (2 if platform == "linux" else 1)  # processes, or threads of one
    with pytest.raises(DataError, match=r"^the last is broken\. Or leave out.*--broken skip"):
        next(found)
    skipped = list(read_pictures(fetch, range(400), 400, Reading(broken="skip")))
    assert [picture is None for picture in skipped] == [False] * 399 + [True]
    assert torch.equal(torch.get_rng_state(), state)


def test_without_semaphores_threads_decode(tmp_path, monkeypatch):
    def absent(*_, **__):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    for number in range(20):
        Image.new("L", (8, 8), number * 10).save(tmp_path / f"{number:02}.png")
    monkeypatch.setattr("ganzoo.data.decode.cores", lambda: 2)
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", absent)
    assert [int(image[0, 0, 0]) for image in open_data(tmp_path).images] == [*range(0, 200, 10)]


def test_a_decoding_process_that_is_ended_is_told_in_one_line(monkeypatch):
    def decode(content, place, reading):
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory is short
        return np.zeros((1, 1, 1), np.uint8)

    here = os.getpid()
    monkeypatch.setattr("ganzoo.data.decode.decode", decode)
    monkeypatch.setattr("ganzoo.data.decode.cores", lambda: 2)
    pictures = read_pictures(lambda number: (b"", ""), range(40), 40, Reading())
    with pytest.raises(DataError, match="a process that decodes pictures was ended.*make the pictures smaller"):
        cached_images(["a key"], pictures, 40)


@pytest.mark.parametrize(("reading", "most"), [(Reading(image_size=1500), 1), (Reading(), 2)])
def test_large_pictures_are_handed_over_a_few_at_once(monkeypatch, reading, most):
    monkeypatch.setattr("ganzoo.data.decode.cores", lambda: 2)
    monkeypatch.setattr("ganzoo.data.decode.decode", lambda *_: np.zeros((1, 1500, 1500), np.uint8))
    numbers = iter(range(100))
    found = read_pictures(lambda number: (b"", ""), numbers, 100, reading)
    next(found), next(found)
    assert next(numbers) <= 1 + 5 * most


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads decode")
@pytest.mark.parametrize("usable", [1, 2])
def test_no_more_processes_decode_than_this_one_may_use_cores(monkeypatch, usable):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {*range(60, 60 + usable)})
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    # it takes a while, or one process may be done with all before the other begins
    monkeypatch.setattr("ganzoo.data.decode.decode", lambda *_: time.sleep(0.02) or np.array([os.getpid()]))
    _, *rest = read_pictures(lambda number: (b"", ""), range(32), 32, Reading())
    decoding = {int(picture[0]) for picture in rest}
    assert len(decoding) == usable and (os.getpid() in decoding) == (usable == 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads decode")
@pytest.mark.parametrize("fails", ["fetch", "use of them"])
def test_processes_that_decode_end_though_a_traceback_keeps_the_frames(monkeypatch, fails):
    def fetch(number):
        if number == 40 and fails == "fetch":
            raise OSError("a disk that is gone")
        return str(number).encode(), ""

    def decode(content, place, reading):
        return np.zeros((1, 1, 1) if int(content) < 50 else (1, 2, 2), np.uint8)

    monkeypatch.setattr("ganzoo.data.decode.cores", lambda: 2)
    monkeypatch.setattr("ganzoo.data.decode.decode", decode)
    with pytest.raises((OSError, DataError)) as kept:
        cached_images(["a key"], read_pictures(fetch, range(100), 100, Reading()), 100)
    assert kept.tb and not multiprocessing.active_children()


def test_an_item_of_a_dataset_is_read_once_when_it_is_decoded():
    read = []

    class Items(list):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    open_data(Items(torch.eye(3)[None] * 2 - 1 for _ in range(5)))
    assert [read.count(index) for index in range(1, 5)] == [1] * 4  # the first also tells what an item holds


def test_a_whole_zip_at_the_place_of_a_damaged_one_is_read_anew_though_broken_pictures_are_skipped(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png((number * 60, 0, 0)))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(4):
            archive.write(tmp_path / f"{number}.png", f"{number}.png")
    whole = (tmp_path / "x.zip").read_bytes()
    place = whole.index((tmp_path / "2.png").read_bytes())
    (tmp_path / "x.zip").write_bytes(whole[: place + 20] + bytes(20) + whole[place + 40 :])
    with pytest.warns(UserWarning, match=r"1 of 4 pictures can't be read \(2.png\): left out"):
        assert len(open_data(tmp_path / "x.zip", broken="skip")) == 3
    (tmp_path / "x.zip").write_bytes(whole)
    assert len(open_data(tmp_path / "x.zip", broken="skip")) == 4


def test_several_sizes_ask_for_one(tmp_path):
    source = fill(tmp_path / "set", ["a.png"])
    (source / "b.png").write_bytes(png(size=(8, 6)))
    with pytest.raises(DataError, match=r"several sizes \(6x6, 8x6\).*--size"):
        open_data(source)
    assert open_data(source, image_size=6).images.shape == (2, 3, 6, 6)


def test_several_numbers_of_channels_ask_for_one():
    assert "images have 1 and 3 channels; choose with image_channels=3" in str(differing((1, 6, 6), (3, 6, 6)))


HOSTILE = {
    "../a.png": "leads out of the archive",
    "/a.png": "leads out of the archive",
    "a/../../b.png": "leads out of the archive",
    "..\\a.png": "leads out of the archive",
    "C:/a.png": "leads out of the archive",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_zip_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=HOSTILE[name]):
        open_data(pack(tmp_path / "set.zip", {"ok.png": png(), name: png()}))


def test_links_bombs_and_encryption_in_a_zip_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        open_data(tmp_path / "link.zip")
    with pytest.raises(DataError, match="a bomb"):
        open_data(pack(tmp_path / "bomb.zip", {"a.png": b"\0" * 5_000_000}))
    monkeypatch.setattr("ganzoo.data.archives.LARGEST_FILE", 1000)
    with pytest.raises(DataError, match="unpacks to 2,000 bytes, the most is 1,000|unpacks to 2,000 bytes, 1,000"):
        open_data(pack(tmp_path / "large.zip", {"a.png": os.urandom(2000)}))
    content = bytearray((pack(tmp_path / "locked.zip", {"a.png": png()})).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        open_data(tmp_path / "locked.zip")


def test_a_zip_that_lies_about_its_sizes_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("ganzoo.data.archives.LARGEST_FILE", 3000)
    path = pack(tmp_path / "set.zip", {"a.png": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + offset, 100)
    path.write_bytes(content)
    with pytest.raises(DataError):
        open_data(path)


def test_a_damaged_zip_names_the_member(tmp_path):
    path = pack(tmp_path / "set.zip", {"a.png": os.urandom(300)})
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png"):
        open_data(path)


# --- what lies beside pictures -----------------------------------------------------------------------------------


def opened(source, said="", **options):
    """The data, opened with a warning that `said` matches, or with none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = open_data(source, **options)
    texts = [str(each.message) for each in caught if each.category is UserWarning]
    texts = [text for text in texts if "of 255" not in text]  # the pictures of these tests are dark
    assert any(re.search(said, text) for text in texts) if said else not texts, texts
    return data


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with ./ in its names"])
def test_what_ganzoo_wrote_is_passed_over(tmp_path, kind):
    folder = fill(tmp_path / "set", ["cat/1.png", "dog/2.png"])
    sheet = torch.zeros(4, 3, 6, 6)
    for ending in ("png", "jpg", "gif", "webp", "tiff"):
        images.save(sheet, folder / f"data.{ending}")
    images.animate([sheet, sheet], folder / "walk.webp")
    images.save_each([sheet], folder / "samples")
    gan = ganzoo.create("fashion-mnist", image_size=8, generator={"widths": (4, 4)}, discriminator={"widths": (4, 4)})
    ganzoo.Trainer(gan, sheet[:, :1], folder / "runs/one", progress=False, steps=1, batch_size=2, score_every=0).fit()
    gan.save_pretrained(folder / "kept/model")
    fill(folder, ["runs/one/samples/old.png", "kept/model/samples/old.png"])  # of a version that left no mark
    wrote = sum(1 for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".gif", ".webp", ".tiff")) - 2
    if kind != "folder":
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        dotted = kind != "zip"
        members = {("./" if dotted and "samples" in name else "") + name: content for name, content in files.items()}
        folder = pack(tmp_path / "set.zip", members)
    data = opened(folder, f"passed over: written by ganzoo {wrote}$")
    assert data.class_names == ("cat", "dog") and data.passed_over == {"written by ganzoo": wrote}
    assert describe(data)["passed_over"] == {"written by ganzoo": wrote}


def test_samples_alone_are_data_and_sheets_never_are(tmp_path):
    images.save_each([torch.zeros(3, 1, 6, 6)], tmp_path / "generated")
    images.save(torch.zeros(4, 1, 6, 6), tmp_path / "generated" / "grid.png")
    assert len(opened(tmp_path / "generated", "written by ganzoo 1")) == 3
    images.save(torch.zeros(4, 1, 6, 6), tmp_path / "sheets" / "grid.png")
    with pytest.raises(DataError, match="holds no images .*written by ganzoo 1"):
        open_data(tmp_path / "sheets")


def test_a_run_below_its_data_is_resumed_on_the_same_images(tmp_path):
    folder = fill(tmp_path / "set", [f"{number}.png" for number in range(4)], (8, 8))
    images.save(torch.zeros(4, 3, 8, 8), folder / "data.png")
    gan = ganzoo.create(
        "fashion-mnist",
        image_size=8,
        generator={"widths": (4, 4), "image_channels": 3},
        discriminator={"widths": (4, 4)},
    )
    options = {"steps": 2, "batch_size": 2, "score_every": 0, "progress": False}
    ganzoo.Trainer(gan, folder, folder / "runs/one", **options).fit()
    assert len(ganzoo.Trainer.resume(folder / "runs/one", progress=False).data) == 4


def test_passed_over_files_are_counted_by_reason(tmp_path):
    folder = fill(tmp_path / "set", ["a.png", ".b.png"])
    fill(tmp_path, ["else/0.png", "else/1.png"])
    for name in ("c.HEIC", "notes.txt", "IMG_1", ".DS_Store"):
        (folder / name).write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "else/0.png")
    (folder / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "linked").symlink_to(tmp_path / "else")
    (folder / "inside.png").symlink_to(folder / "a.png")
    os.mkfifo(folder / "pipe.png")
    data = opened(
        folder,
        r"links to folders, out of the folder or to nothing 3 \(copy.*\.heic 1 \(Pillow does not read them: convert",
    )
    assert len(data) == 2 and data.passed_over == {
        "hidden": 1, ".heic": 1, ".txt": 1, "without an ending": 1, "not plain files": 1,
        "links to folders, out of the folder or to nothing": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.heic", r"\.heic 1 \(Pillow does not read them: convert them to JPEG or PNG\)"),
        ("a.zip", "name the zip itself"),
        ("a.parquet", "write hf: before the folder's name"),
        ("data-00000-of-00001.arrow", "save_to_disk of the datasets library.*load_from_disk"),
        ("a.npy", "give open_data the array"),
        ("a", r"without an ending 1 \(give pictures an ending"),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path, name, said):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=f"holds no images .*{said}"):
        open_data(tmp_path / "set")


def test_a_folder_that_cannot_be_read_is_named_or_counted(tmp_path, monkeypatch):
    folder = fill(tmp_path / "set", ["a/1.png", "b/2.png"])
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"set/b can't be read \(Permission denied\).*--broken skip"):
        open_data(folder)
    data = opened(folder, "unreadable folders 1", broken="skip")
    assert len(data) == 1 and data.passed_over == {"unreadable folders": 1}


def test_names_from_folders_and_zips_are_escaped(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "set", ["\x1b[31mred/1.png", "blue/2.png"])
    assert run(["data", "set"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "u001b[31mred" in printed
    pack(tmp_path / "set.zip", {"a.png": png(), "\x1b[31m/b.p\x1bg": b""})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_data(tmp_path / "set.zip")
    assert caught and "\x1b" not in str(caught[0].message)


# --- splits, classes, parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "wrapped zip"])
@pytest.mark.parametrize("names", [("train", "test"), ("Training", "val"), ("train2017", "testing_set")])
def test_folders_named_as_splits_are_splits_and_no_classes(tmp_path, kind, names):
    train, test = names
    members = [f"{train}/cat/1.png", f"{train}/dog/2.png", f"{train}/dog/3.png", f"{test}/dog/4.png", "overview.png"]
    if kind == "folder":
        source = fill(tmp_path / "set", members)
    else:
        source = pack(tmp_path / "set.zip", {f"wrap/{name}": png((9, 9, 9)) for name in members})
    data = opened(source, f"in other splits \\({test}\\) 1, beside the folders of the splits 1$")
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1, 1]
    other = opened(source, f"in other splits \\({train}\\) 3", split="test")
    assert other.class_names == ("cat", "dog") and other.labels.tolist() == [1]  # numbered as in train
    assert splits_of(source) == ("train", "test")


def test_splits_without_labels_are_splits(tmp_path):
    source = fill(tmp_path / "set", ["train/1.png", "train/2.png", "test/3.png"])
    assert len(opened(source, "other splits")) == 2 and open_data(source).labels is None
    mixed = fill(tmp_path / "mixed", ["train/cat/1.png", "train/dog/2.png", "test/3.png"])
    assert open_data(mixed).class_names == ("cat", "dog") and open_data(mixed, split="test").labels is None


def test_several_folders_of_a_split_are_one_set_and_no_classes(tmp_path):
    source = fill(tmp_path / "set", ["train1/cat/1.png", "train2/dog/2.png", "test/cat/3.png"])
    data = opened(source, "the folders train1, train2 are read as one set; to read one alone, name it")
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1]
    sides = fill(tmp_path / "sides", ["trainA/1.png", "trainB/2.png", "testA/3.png", "testB/4.png"])
    assert opened(sides, "the folders trainA, trainB are read as one set").labels is None
    flat = fill(tmp_path / "flat", ["train1/1.png", "train2/2.png", "test/3.png"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert open_data(flat).labels is None
    assert not any("hold no images" in str(each.message) for each in caught)  # folder test is of the other split


def test_what_is_no_clear_split_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="splits test, val and none to train with; name the folder of one, as .*/test"):
        open_data(fill(tmp_path / "no-train", ["test/1.png", "val/2.png"]))
    with pytest.raises(DataError, match="the folders test, which are named as splits are, beside cat, dog"):
        open_data(fill(tmp_path / "mixed", ["cat/1.png", "dog/2.png", "test/3.png"]))
    vehicles = open_data(fill(tmp_path / "vehicles", ["bus/1.png", "train/2.png"]))
    assert vehicles.class_names == ("bus", "train") and splits_of(tmp_path / "vehicles") == ()


@pytest.mark.parametrize("kind", ["folder", "wrapped zip"])
@pytest.mark.parametrize("named", ["test", "val"])
def test_pictures_beside_a_folder_of_test_images_alone_are_refused(tmp_path, kind, named):
    members = ["1.png", "2.png", f"{named}/3.png"]
    if kind == "folder":
        source = fill(tmp_path / "set", members)
    else:
        source = pack(tmp_path / "set.zip", {f"wrap/{name}": png() for name in members})
    said = rf"the folder {named}, which is named as splits are, beside 2 pictures .*into a folder train beside it"
    for asked in (lambda: open_data(source), lambda: open_data(source, split="test"), lambda: splits_of(source)):
        with pytest.raises(DataError, match=said):
            asked()
    assert len(opened(fill(tmp_path / "trains", ["1.png", "train/2.png"]))) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["preview.png", "set/train/cat/1.png", "set/train/dog/2.png", "set/test/cat/3.png"], "set.set holds"),
        (["cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/4.png"], "set.cat holds"),
        (["cat/1.png", "dog/train/3.png", "dog/val/4.png"], "set.dog holds the folders train, val"),
        (["a/b/trainA/1.png", "a/b/testA/2.png", "c/3.png"], "set.a.b holds the folders trainA, testA"),
    ],
)
def test_splits_that_lie_below_other_folders_are_refused(tmp_path, names, said):
    source = fill(tmp_path / "set", names)
    for split in ("train", "test"):
        with pytest.raises(DataError, match=f"{said}.* named as splits are.*outermost, as train/cat"):
            open_data(source, split=split)


def test_classes_may_hold_folders_that_are_named_as_one_split_is(tmp_path):
    data = opened(fill(tmp_path / "set", ["bus/test/1.png", "bus/old/2.png", "rail/train/3.png", "rail/4.png"]))
    assert data.class_names == ("bus", "rail") and data.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_numbered_parts_take_labels_from_their_file(tmp_path, kind):
    names = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png"]
    text = json.dumps({"labels": [[name, label] for name, label in zip(names, [1, 0, 2])]})
    if kind == "folder":
        source = fill(tmp_path / "set", names)
        (source / "dataset.json").write_text(text)
    else:
        source = pack(tmp_path / "set.zip", {**{name: png() for name in names}, "dataset.json": text})
    data = opened(source)
    assert data.labels.tolist() == [1, 0, 2] and data.class_names == ("0", "1", "2")


def test_a_file_of_labels_gives_all_splits_the_same_classes(tmp_path):
    labels = {"train/1.png": 0, "train/2.png": 1, "train/3.png": 2, "test/4.png": 1, "test/5.png": 0}
    source = fill(tmp_path / "set", labels)
    (source / "dataset.json").write_text(json.dumps({"labels": [*labels.items(), ["other.png", None]]}))
    train, test = opened(source, "other splits"), opened(source, "no images of class 2", split="test")
    assert train.class_names == test.class_names == ("0", "1", "2") and test.labels.tolist() == [1, 0]


def test_numbers_as_names_are_matched_by_name_and_the_last_may_be_missing():
    numbers, folders = [str(number) for number in range(12)], sorted(map(str, range(12)))
    assert same_classes(folders, numbers).tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert same_classes(numbers, folders).tolist() == [folders.index(name) for name in numbers]
    assert same_classes(numbers, numbers[:8]).tolist() == same_classes([*"abcdefghijkl"], numbers).tolist()
    for names, others in ((numbers[:8], numbers), (numbers, ["cat", "dog"])):
        with pytest.raises(DataError, match="classes .* against"):
            same_classes(names, others)


def test_numbered_parts_without_labels_are_no_classes(tmp_path):
    source = fill(tmp_path / "set", ["00000/1.png", "01000/2.png"])
    assert opened(source, "00000, 01000 are taken for numbered parts, not for classes.*dataset.json").labels is None
    (source / "dataset.json").write_text('{"labels": null}')
    assert opened(source, "numbered parts").labels is None
    digits = opened(fill(tmp_path / "digits", ["0/1.png", "7/2.png"]))
    assert digits.class_names == ("0", "7")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"labels": [1]}', r"must be a list of \[path, label\]"),
        ('{"labels": [["a.png", 0]]}', r"has no label for b.png; add it"),
        ('{"labels": [["a.png", 0], ["b.png", 0.5]]}', "b.png has the label 0.5"),
        ('{"labels": [["a.png", 0], ["b.png", "cat"]]}', 'b.png has the label "cat"; .*, the class\'s. Mend it.$'),
        ('{"labels": [["a.png", [0.1, 0.2]], ["b.png", [0.1, 0.2]]]}', "a.png has the label"),
        ('{"labels": [["a.png", 0], ["b.png", 0], ["a.png", 1]]}', "a.png has two labels, 0 and 1"),
    ],
)
def test_a_file_of_labels_that_cannot_be_used_is_named(tmp_path, content, said):
    source = fill(tmp_path / "set", ["a.png", "b.png"])
    (source / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=f"dataset.json.*{said}"):
        open_data(source)


@pytest.mark.parametrize("content", ['{"labels": {"a.png": 0, "b.png": 1}}', '[["a.png", 0], ["b.png", 1]]'])
def test_a_file_of_labels_in_another_form_is_said(tmp_path, content):
    source = fill(tmp_path / "set", ["a.png", "b.png"])
    (source / "dataset.json").write_text(content)
    assert opened(source, "dataset.json: it is not .*so no labels are read from it").labels is None


def test_stray_pictures_and_classes_without_images_are_said(tmp_path):
    source = fill(tmp_path / "set", ["cat/1.png", "dog/2.png", "stray.png"])
    assert opened(source, r"1 pictures \(stray.png\) lie outside of the folders cat, dog").labels is None
    wrapped = fill(tmp_path / "wrapped", ["preview.png", "set/cat/1.png", "set/dog/2.png"])
    assert opened(wrapped, r"1 pictures \(preview.png\) lie outside of the folders cat, dog").labels is None
    (source / "stray.png").unlink()
    (source / "bird").mkdir()
    (source / "bird/a.txt").write_text("x")
    assert opened(source, "these folders hold no images, so they are not classes: bird").class_names == ("cat", "dog")


def test_labels_that_start_at_1_are_said():
    pixels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    opened((pixels, torch.tensor([1, 2])), "start at 1: class 0 has no images; if they count from 1, subtract 1")
    opened((pixels, torch.tensor([0, 3])), "no images of the classes 1, 2")


def test_no_message_advises_a_number_of_classes(tmp_path):
    source = fill(tmp_path / "set", ["a/1.png", "b/2.png", "c/3.png"])
    gan = ganzoo.create("fashion-mnist", generator={"num_classes": 2})
    with pytest.raises(ConfigError, match=r"has 2 classes, set has 3 \(a, b, c\)") as caught:
        ganzoo.Trainer(gan, source, tmp_path / "run")
    assert not re.search(r"num_classes\W+3", str(caught.value))


# --- reading: formats, ground, broken files ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jfif", "jpe", "pgm", "pbm", "pnm", "avif", "apng"])
def test_formats_that_pillow_reads_are_read(tmp_path, ending):
    formats = {"jfif": "JPEG", "jpe": "JPEG", "avif": "AVIF", "apng": "PNG"}
    mode = {"pbm": "1", "avif": "RGB"}.get(ending, "L")
    (tmp_path / "set").mkdir()
    Image.new(mode, (6, 6), "white").save(tmp_path / f"set/a.{ending}", formats.get(ending, "PPM"))
    assert open_data(tmp_path / "set").images.min() == 255


def test_transparency_is_laid_on_the_ground_that_is_asked_for(tmp_path):
    (tmp_path / "set").mkdir()
    drawing = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    drawing.putpixel((0, 0), (255, 255, 255, 255))
    drawing.save(tmp_path / "set/a.png")
    data = opened(tmp_path / "set", 'wholly white; if they are drawings.*ground="black"', image_channels=1)
    assert data.images.flatten().tolist() == [255, 255]
    for ground, level in (("black", 0), ("#808080", 128)):
        assert opened(tmp_path / "set", image_channels=1, ground=ground).images.flatten().tolist() == [255, level]
    with pytest.raises(ConfigError, match="ground must be a colour such as white"):
        open_data(tmp_path / "set", ground="blakc")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<svg xmlns=", "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic\0\0", "is a HEIC picture, which Pillow does not read; convert"),
        (b"%PDF-1.7", "is a PDF file"),
        (b"", "is empty"),
        (bytes(100), "holds only zeros"),
        (b"PK\x03\x04x", "is a zip file"),
        (b"\x89PNG damaged", "can't be read as a picture"),
    ],
)
def test_what_stands_under_a_picture_s_name_is_named(tmp_path, content, said):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.png {said}|a\.png .*{said}"):
        open_data(tmp_path / "set")


def test_a_pointer_under_a_zip_s_name_is_named(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="set.zip is a Git LFS pointer"):
        open_data(tmp_path / "set.zip")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", png(), "a.png is one picture; name its folder"),
        ("a.zip", b"", "a.zip is empty, or holds only zeros; get the file again"),
        ("a.zip", b"PK\x03\x04 and an end that is missing", r"can't be read as a zip \(.*\); get it again"),
        ("a.txt", b"words", r"can't be read as a zip \(.*\); name a folder or zip of images"),
    ],
)
def test_a_file_that_is_no_zip_has_its_own_remedy(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        open_data(tmp_path / name)


def test_train_skips_broken_pictures_and_resume_does_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = fill(tmp_path / "set", [f"{number}.png" for number in range(5)], (8, 8))
    (folder / "3.png").write_bytes(png()[:40])
    command = ["train", "fashion-mnist", "--data", "set", "--output", "run", "--steps", "1", "--set", "batch_size=2"]
    for setting in ("generator.widths=4,4", "discriminator.widths=4,4", "score_every=0"):
        command += ["--set", setting]
    assert run(command) == 2 and "--broken skip" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.warns(UserWarning, match=r"1 of 5 pictures can't be read \(3\.png\): left out"):
        assert run([*command, "--broken", "skip", "--ground", "black"]) == 0
    recorded = json.loads((tmp_path / "run/run.json").read_text())["data"]
    assert (recorded["broken"], recorded["ground"], recorded["skipped"]) == ("skip", "black", 1)
    assert run(["train", "--resume", "run"]) == 0
    assert len(ganzoo.Trainer.resume("run").data) == 4
    assert run(["train", "--resume", "run", "--broken", "stop"]) == 2


# --- pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "color", "channels", "expected"),
    [
        ("L", 77, 1, [77]),
        ("L", 77, 3, [77, 77, 77]),
        ("RGB", (1, 2, 3), 3, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 255), 3, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), 3, [255, 255, 255]),
        ("RGBA", (0, 0, 0, 0), 1, [255]),
        ("RGBA", (1, 2, 3, 4), 4, [1, 2, 3, 4]),
        ("LA", (9, 0), 3, [255, 255, 255]),
        ("LA", (9, 200), 2, [9, 200]),
        ("I;16", 65535, 1, [255]),
        ("I;16", 257 * 12, 1, [12]),
        ("1", 1, 1, [255]),
    ],
)
def test_every_mode_is_converted(mode, color, channels, expected):
    assert decode(png(color, mode=mode), "x", Reading(image_channels=channels))[:, 0, 0].tolist() == expected


def test_palettes_and_their_transparency_are_converted():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=1)
    assert decode(buffer.getvalue(), "x", Reading(image_channels=3)).tolist() == [[[10, 255]], [[20, 255]], [[30, 255]]]


def test_exif_orientation_is_honoured():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    buffer = io.BytesIO()
    Image.new("RGB", (8, 4)).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), "x", Reading(image_channels=3)).shape == (3, 8, 4)


def test_exif_orientation_is_honoured_though_other_exif_data_are_damaged():
    orientation, resolution = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), struct.pack("<HHI4s", 0x011A, 2, 4, b"abc")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + orientation + resolution + bytes(4)
    with pytest.raises(TypeError):  # the resolution must be a number
        ImageOps.exif_transpose(Image.open(io.BytesIO(png(exif=exif))))
    assert decode(png(size=(8, 4), exif=exif), "a.png", Reading()).shape == (3, 8, 4)


def test_a_whole_picture_with_damaged_exif_is_read_as_it_lies():
    assert decode(png(exif=b"garbage!!"), "a.png", Reading()).shape == (3, 6, 6)


def test_nan_in_a_picture_is_told_with_its_place():
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1.0, np.nan]], dtype=np.float32)).save(buffer, "TIFF")
    with pytest.raises(DataError, match="a.tif can't be read as a picture .*holds NaN"):
        decode(buffer.getvalue(), "a.tif", Reading())


def test_cmyk_and_the_first_frame_of_an_animation():
    buffer = io.BytesIO()
    Image.new("CMYK", (4, 4)).save(buffer, "JPEG")
    assert decode(buffer.getvalue(), "x", Reading(image_channels=3)).min() >= 250
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert decode(buffer.getvalue(), "x", Reading(image_channels=3))[:, 0, 0].tolist() == [255, 0, 0]


def test_grey_sets_stay_grey_and_mixed_ones_become_colour(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(png(5, mode="L"))
    assert open_data(tmp_path / "set").image_channels == 1
    (tmp_path / "set" / "b.png").write_bytes(png())
    assert open_data(tmp_path / "set").image_channels == 3


def test_the_first_look_for_colour_takes_up_to_100_pictures_of_all(tmp_path, monkeypatch):
    source = fill(tmp_path / "set", [f"{number:03}.png" for number in range(199)])
    for path in source.iterdir():
        path.write_bytes(png(5, (1, 1), mode="L"))
    looked = []
    monkeypatch.setattr(
        open_module, "decode", lambda content, place, *a: looked.append(place) or decode(content, place, *a)
    )
    open_data(source)
    assert len(looked) == 100 and looked[99].endswith("198.png")


def wide():
    """Three times as wide as high: black, white, black."""
    picture = Image.new("L", (30, 10), 0)
    picture.paste(255, (10, 0, 20, 10))
    return picture


@pytest.mark.parametrize(
    ("fit", "row", "column"),
    [
        ("crop", [255, 255, 255], [255, 255, 255]),  # the middle square
        ("pad", [0, 255, 0], [100, 255, 100]),  # the ground above and below
        ("squash", [0, 255, 0], [255, 255, 255]),
    ],
)
def test_pictures_that_are_not_square_are_cropped_padded_or_squashed_alike_at_each_door(tmp_path, fit, row, column):
    (tmp_path / "set").mkdir()
    wide().save(tmp_path / "set" / "a.png")
    array = np.asarray(wide())
    for source in (tmp_path / "set", [wide()], [array], array[None], open_data(array[None])):
        image = open_data(source, image_size=10, fit=fit, ground="#646464").images[0, 0]
        assert image[5, [0, 4, 9]].tolist() == row and image[[0, 5, 9], 4].tolist() == column
    kept = open_data([wide().convert("RGBA")], image_size=10, image_channels=4, fit=fit).images[0]
    assert kept[3, 0, 4] == (0 if fit == "pad" else 255)  # transparent around it
    with pytest.raises(ConfigError, match='fit must be one of crop, pad, squash, got "stretch"'):
        open_data(array[None], fit="stretch")


@pytest.mark.parametrize("size", [(600, 1), (1, 600)])
def test_however_long_a_picture_is_it_is_padded(size):
    pixels = decode(png("red", size), "a.png", Reading(image_size=8, fit="pad", ground="white"))
    red = (pixels == np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)).all(0)
    assert red.sum() == 8 and (red.all(0).sum(), red.all(1).sum()) in ((1, 0), (0, 1))


def test_how_pictures_are_fitted_is_recorded_and_used_on_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "set", [f"{number}.png" for number in range(4)], (12, 6))
    command = ["train", "fashion-mnist", "--data", "set", "--output", "run", "--steps", "1", "--set", "batch_size=2"]
    for setting in ("generator.widths=4,4", "discriminator.widths=4,4", "score_every=0"):
        command += ["--set", setting]
    assert run([*command, "--fit", "pad"]) == 0
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["fit"] == "pad"
    padded = open_data("set", image_size=28, image_channels=1, fit="pad")
    assert ganzoo.Trainer.resume("run").data.hash == padded.hash != open_data("set", image_size=28).hash
    assert run(["train", "--resume", "run", "--fit", "crop"]) == 2


@pytest.mark.filterwarnings("ignore:.*of 255")
def test_a_set_of_several_sizes_is_told_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "set", ["a.png"])
    (tmp_path / "set/b.png").write_bytes(png(size=(8, 6)))
    assert run(["data", "set"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "remark images have several sizes (6x6, 8x6); choose one with image_size=64 (--size 64). Here" in printed
    assert "read at 64x64. " in printed and (tmp_path / "data.png").exists()
    assert run(["show", "set"]) == 0
    assert "Here they are read at 64x64." in " ".join(capsys.readouterr().out.split())


@pytest.mark.filterwarnings("ignore:.*of 255")
@pytest.mark.parametrize("door", ["list", "Dataset", "parquet", "streamed rows of hf"])
def test_broken_pictures_are_left_out_at_each_door_with_their_labels(tmp_path, monkeypatch, door):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    content = [png((90, 0, 0)), b"no picture", png((200, 0, 0))]
    source = [(each, number % 2) for number, each in enumerate(content)]
    if door != "list":
        values = [{"bytes": each, "path": None} for each in content]
        features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b"]))
        source = datasets.Dataset.from_dict({"image": values, "label": [0, 1, 0]}, features=features)
    if door in ("parquet", "streamed rows of hf"):
        source.to_parquet(str(tmp_path / "set.parquet"))
        source = f"hf:{tmp_path / 'set.parquet'}{'?stream=yes' if door != 'parquet' else ''}"
    with pytest.raises(DataError, match="(item|row) 1 can't be read as a picture"):
        open_data(source)
    if door == "streamed rows of hf":  # a stream stops always
        said = pytest.warns(UserWarning, match="broken=skip is not used: .* stops a stream.*Leave stream=yes out")
        with said, pytest.raises(DataError, match="row 1 can't be read as a picture"):
            open_data(source, broken="skip")
        return
    with pytest.warns(UserWarning, match=r"1 of 3 pictures can't be read \(item 1\): left out"):
        data = open_data(source, broken="skip")
    assert (data.images[:, 0, 0, 0].tolist(), data.labels.tolist(), data.skipped) == ([90, 200], [0, 0], 1)


class Missing(torch.utils.data.Dataset):
    """Pairs of a picture and a label, of which the first are missing."""

    def __init__(self, labels, missing):
        self.labels, self.missing = labels, missing

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        if index < self.missing:
            raise OSError("gone")
        return Image.new("RGB", (6, 6), (200, 0, 0)), self.labels[index]


@pytest.mark.filterwarnings("ignore:.*of 255")
def test_the_first_items_may_be_left_out(tmp_path):
    fill(tmp_path, ["a/0.png", "a/1.png", "b/2.png"])
    folder = ImageFolder(tmp_path)
    (tmp_path / "a/0.png").unlink()
    for source, labels in ((folder, [0, 1]), (Missing([0, 1, 0, 1], 2), [0, 1])):
        with pytest.raises(DataError, match="a.0.png can't be read|Missing: item 0 can't be read"):
            open_data(source)
        with pytest.warns(UserWarning, match=r"pictures can't be read \(item 0"):
            assert open_data(source, broken="skip").labels.tolist() == labels
    with pytest.raises(DataError, match="item 0 can't be read"):
        open_data(Missing([0, 1], 2), broken="skip")


@pytest.mark.filterwarnings("ignore:.*of 255")
def test_a_wrong_label_behind_items_left_out_is_named_by_its_own_number():
    for labels in ([0, 0, 1, -1], ["a", "b", "a", None]):
        with pytest.raises(DataError, match="Missing: item 3 has the label"):
            open_data(Missing(labels, 1), broken="skip")


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr("ganzoo.data.decode.LARGEST_PICTURE", 30)
    with pytest.raises(DataError, match="6x6 pixels"):
        decode(png(), "x", Reading())


# --- tensors, Datasets, names ----------------------------------------------------------------------------------


def test_batches_are_in_minus_one_to_one():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    batch = open_data(images).batch(torch.tensor([2, 0, 1, 2]))
    assert batch.dtype == torch.float32
    assert batch.flatten().tolist() == pytest.approx([1, -1, 51 / 127.5 - 1, 1], abs=1e-6)
    assert batch.flatten()[:2].tolist() == [1, -1]


def test_floating_tensors_come_back_as_the_nearest_byte():
    images = torch.linspace(-1, 1, 256).reshape(256, 1, 1, 1)
    assert torch.allclose(open_data(images).batch(torch.arange(256)), images, atol=1e-6)


def test_images_whose_black_is_0_are_remarked():
    images = torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)
    with pytest.warns(UserWarning, match=r"from 0 to 1, as if black were 0.*give 2 \* images - 1"):
        open_data(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_data(2 * images - 1)
        bright = torch.stack([torch.full((1, 4, 4), value, dtype=torch.uint8) for value in (128, 255)])
        open_data(torch.utils.data.StackDataset(bright, torch.tensor([0, 1])))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.zeros(3), "must have shape"),
        (torch.zeros(0, 1, 2, 2), "must have shape"),
        (torch.zeros(2, 5, 6, 6), "must have shape"),
        (torch.full((1, 1, 2, 2), 1.5), r"must lie in \[-1, 1\], got 1.5"),
        (torch.full((1, 1, 2, 2), float("nan")), r"must lie in \[-1, 1\], got nan"),
        (torch.full((1, 1, 2, 2), 256, dtype=torch.int32), "must be uint8.*torch.int32 of 256 to 256"),
        ((torch.zeros(2, 1, 2, 2), torch.tensor([0])), "labels must be 2 ints"),
        ((torch.zeros(2, 1, 2, 2), [0, 1, 0]), "labels must be 2 ints from 0, or 2 names, got 3"),
        ((torch.zeros(2, 1, 2, 2), torch.tensor([0, -1])), "tensor: item 1 has the label -1"),
        ((torch.zeros(2, 1, 2, 2), torch.tensor([10**9, 0])), "item 0 has the label 1000000000.*from 0 to 9999"),
        (3, r"3 \(int\) holds no images ganzoo can open"),
        (None, "holds no images ganzoo can open"),
    ],
)
def test_what_is_no_set_of_images_is_named(source, message):
    with pytest.raises(DataError, match=message):
        open_data(source)


def test_tensors_and_image_data_are_resized():
    data = open_data((torch.zeros(2, 1, 4, 4), torch.tensor([1, 0])), image_size=8, image_channels=3)
    assert data.images.shape == (2, 3, 8, 8) and data.labels.tolist() == [1, 0]
    assert open_data(data, image_size=8) is data
    assert open_data(data, image_size=4).images.shape == (2, 3, 4, 4)


def test_a_torch_dataset_of_pictures_and_labels():
    class Drawings(torch.utils.data.Dataset):
        classes = ("dark", "bright")

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return Image.new("RGB", (5, 5), (index * 60,) * 3), index // 2

    data = open_data(Drawings(), image_size=5)
    assert data.images[:, 0, 0, 0].tolist() == [0, 60, 120, 180]
    assert (data.class_names, data.labels.tolist(), data.name) == (("dark", "bright"), [0, 0, 1, 1], "Drawings")


BAD_LABELS = [[0, None], [0.5, 0], [-1, 0], [0, 10**9]]


class Labelled(torch.utils.data.Dataset):
    def __init__(self, labels, classes=()):
        self.labels, self.classes = labels, classes

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.zeros(1, 2, 2), self.labels[index]


@pytest.mark.parametrize("labels", BAD_LABELS)
def test_a_dataset_s_label_that_is_no_class_is_named_with_its_item(labels):
    place = int(labels[0] == 0)
    with pytest.raises(DataError, match=f"Labelled: item {place} has the label .*whole numbers from 0 to 9999"):
        open_data(Labelled(labels))


def test_a_dataset_s_labels_lie_within_its_classes():
    given = [np.int64(1), torch.tensor(0)]
    assert open_data(Labelled(given, ["a", "b"])).labels.tolist() == [1, 0]
    assert open_data(Labelled([None, None], ["a"])).class_names == ()
    with pytest.raises(DataError, match="item 0 has the label .*from 0 to 0, one for each of its 1 classes"):
        open_data(Labelled(given, ["a"]))


def test_a_dataset_without_a_length_is_refused_with_a_remedy():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield torch.zeros(1, 2, 2)

    with pytest.raises(DataError, match="Endless does not say how long it is.*stream=yes"):
        open_data(Endless())


def test_equal_pixels_have_equal_hashes_and_one_changed_pixel_another():
    images = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    other = images.clone()
    other[0, 0, 0, 0] ^= 1
    assert open_data(images).hash == open_data(images.clone()).hash != open_data(other).hash
    labels = [open_data((images, torch.tensor(values))).hash for values in ([0, 1, 2], [0, 1, 1])]
    assert len({*labels, open_data(images).hash}) == 3


def test_the_bundled_set_is_balanced_and_named():
    data = open_data("fashion-mnist-mini")
    assert len(data) == 2000 and torch.bincount(data.labels).tolist() == [200] * 10
    assert data.class_names == fashion_module.CLASSES and "MIT" in data.licence
    facts = describe(data)
    assert facts["images"] == 2000 and facts["classes"]["Sneaker"] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1 and at most 4096"),
        ({"image_size": 6.0}, "image_size must be an int"),
        ({"image_channels": 5}, "image_channels must be at least 1 and at most 4"),
        ({"split": "valid"}, "split must be one of train, test"),
        ({"broken": "ignore"}, "broken must be one of stop, skip"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        open_data("fashion-mnist-mini", **arguments)


# --- Fashion-MNIST ---------------------------------------------------------------------------------------------


def idx(array):
    header = struct.pack(f">{array.ndim + 1}I", 0x0800 + array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def small_fashion(monkeypatch):
    """Four little idx files, and a table of their hashes in place of the real ones."""
    contents = {
        "train-images-idx3-ubyte": idx(np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)),
        "train-labels-idx1-ubyte": idx(np.array([1, 0, 9], np.uint8)),
        "t10k-images-idx3-ubyte": idx(np.zeros((1, 28, 28), np.uint8)),
        "t10k-labels-idx1-ubyte": idx(np.array([3], np.uint8)),
    }
    packed = {name: gzip.compress(content, mtime=0) for name, content in contents.items()}
    table = {
        name: (hashlib.md5(content).hexdigest(), len(content), hashlib.md5(packed[name]).hexdigest())
        for name, content in contents.items()
    }
    monkeypatch.setattr(fashion_module, "FILES", table)
    monkeypatch.setattr(fashion_module, "places", lambda root: [Path(root)] if root else [])
    return contents, packed


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_gzipped_or_not(tmp_path, small_fashion, packed):
    for name, content in small_fashion[packed].items():
        (tmp_path / (name + ".gz" * packed)).write_bytes(content)
    data = open_data(f"fashion-mnist(root={tmp_path},download=false)")
    assert data.images.shape == (3, 1, 28, 28) and data.images[0, 0, 0, 5] == 5
    assert data.labels.tolist() == [1, 0, 9]
    assert len(open_data(f"fashion-mnist(root={tmp_path},download=false)", split="test")) == 1


def test_other_bytes_than_the_published_are_refused(tmp_path, small_fashion):
    for name, content in small_fashion[0].items():
        (tmp_path / name).write_bytes(content[:-1] + b"\x07")
    with pytest.raises(DataError, match="md5 of its unpacked bytes"):
        open_data(f"fashion-mnist(root={tmp_path},download=false)")


def test_a_missing_set_names_the_places(tmp_path, small_fashion):
    with pytest.raises(DataError, match="allow the download"):
        open_data(f"fashion-mnist(root={tmp_path},download=false)")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL, reason="the real Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
def test_the_real_fashion_mnist():
    train, test = open_data("fashion-mnist"), open_data("fashion-mnist", split="test")
    assert (len(train), len(test), train.image_size, train.num_classes) == (60_000, 10_000, 28, 10)
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    mini = open_data("fashion-mnist-mini")
    first = [int((train.labels == label).nonzero()[0]) for label in range(10)]
    assert all(any(np.array_equal(train.images[index], image) for image in mini.images) for index in first)


# --- the order of batches --------------------------------------------------------------------------------------


def test_an_epoch_holds_every_image_once():
    batches = Batches(20, 5, seed=0)
    first = torch.cat([batches.indices(step) for step in range(4)])
    second = torch.cat([batches.indices(step) for step in range(4, 8)])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(20))
    assert not torch.equal(first, second)


def test_any_batch_is_reached_at_once():
    one, other = Batches(23, 5, seed=1), Batches(23, 5, seed=1)
    forwards = [one.indices(step) for step in range(30)]
    assert all(torch.equal(other.indices(step), forwards[step]) for step in reversed(range(30)))
    assert not torch.equal(Batches(23, 5, seed=2).indices(0), forwards[0])


def test_the_last_batch_is_left_out_or_kept():
    assert (Batches(23, 5, 0).batches_per_epoch, Batches(23, 5, 0, drop_last=False).batches_per_epoch) == (4, 5)
    assert Batches(3, 12, 0).batches_per_epoch == 0.25
    kept = [len(Batches(23, 5, 0, drop_last=False).indices(step)) for step in range(5)]
    assert kept == [5, 5, 5, 5, 3]


def test_a_few_drawings_fill_whole_batches():
    batches = Batches(3, 8, seed=0)
    drawn = torch.cat([batches.indices(step) for step in range(6)])
    assert len(drawn) == 48 and torch.bincount(drawn).tolist() == [16, 16, 16]


def test_shards_are_equal_parts_without_overlap():
    parts = [shard(torch.arange(12), rank, 3) for rank in range(3)]
    assert torch.equal(torch.cat(parts), torch.arange(12)) and {len(part) for part in parts} == {4}
    with pytest.raises(ConfigError, match="can't be shared by 5 processes"):
        shard(torch.arange(12), 0, 5)


# --- hf: ------------------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    rows = {
        "picture": [{"bytes": png((index * 20, 0, 0)), "path": None} for index in range(6)],
        "kind": [index % 2 for index in range(6)],
        "note": ["x"] * 6,
    }
    features = datasets.Features(
        picture=datasets.Image(), kind=datasets.ClassLabel(names=["cat", "dog"]), note=datasets.Value("string")
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "set.parquet"))
    return tmp_path / "set.parquet"


def test_local_parquet_through_datasets(parquet, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    data = open_data(f"hf:{parquet}")
    assert data.images[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 100]
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    small = open_data(f"hf:{parquet}?image=picture&label=kind&split=train", image_size=3, image_channels=1)
    assert small.images.shape == (6, 1, 3, 3)
    for wrong, said in (
        ("iamge=picture", 'Did you mean "image"'),
        ("image=pictrue", 'Did you mean "picture"'),
        ("image=note", "row 0 names .x., which is not a readable file of this set"),
    ):
        with pytest.raises(DataError, match=said):
            open_data(f"hf:{parquet}?{wrong}")
    with pytest.raises(DataError, match="can't be opened"):
        open_data(f"hf:{tmp_path / 'nowhere.parquet'}")


@pytest.mark.parametrize("labels", BAD_LABELS[1:])
def test_a_column_s_label_that_is_no_class_is_named_with_its_row(tmp_path, labels, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    path, place = tmp_path / "set.parquet", int(labels[0] == 0)
    rows = {"picture": [{"bytes": png(), "path": None}] * 2, "kind": labels}
    datasets.Dataset.from_dict(rows).cast_column("picture", datasets.Image()).to_parquet(str(path))
    with pytest.raises(DataError, match=f"row {place} has the label .*from 0 to 9999.*label=COLUMN"):
        open_data(f"hf:{path}?label=kind")


@pytest.mark.parametrize("mode", ["", "?stream=yes"])
def test_a_column_of_nulls_is_no_labels(tmp_path, monkeypatch, mode):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["test", "train"]))
    rows = {"image": [{"bytes": png(), "path": None}] * 2, "label": [None, None]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "set.parquet"))
    data = open_data(f"hf:{tmp_path / 'set.parquet'}{mode}")
    assert data.labels is None and data.num_classes == 0
    assert open_loader(data, 2, seed=0).draw(0)[2] is None


@pytest.mark.parametrize("inside", [".", "data"])  # as `to_parquet` may write them, as the Hub lays them out
def test_parquet_files_of_two_splits_in_a_folder_are_two_sets(tmp_path, monkeypatch, inside):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "set"
    (folder / inside).mkdir(parents=True)
    for split, count in (("train", 3), ("test", 2)):
        rows = {"image": [{"bytes": png((len(split),) * 3), "path": None}] * count}
        features = datasets.Features(image=datasets.Image())
        path = folder / inside / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))
    for split, count in (("train", 3), ("test", 2)):
        data = open_data(f"hf:{folder}", split=split)
        assert len(data) == count and (data.images == len(split)).all()
    assert hf_splits(f"hf:{folder}") == ("train", "test")


def test_a_folder_of_pictures_with_facts_in_parquet_files_below_is_a_folder_of_pictures(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    (tmp_path / "set/train").mkdir(parents=True)
    (tmp_path / "set/train/one.png").write_bytes(png((7, 7, 7)))
    facts = {"file_name": ["one.png"], "remark": ["a square"]}
    datasets.Dataset.from_dict(facts).to_parquet(str(tmp_path / "set/train/metadata.parquet"))
    data = open_data(f"hf:{tmp_path / 'set'}")
    assert len(data) == 1 and (data.images == 7).all()


def test_a_bad_picture_that_cannot_be_left_out_is_not_said_to_be(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    rows = {"image": [{"bytes": b"none", "path": None}]}
    features = datasets.Features(image=datasets.Image())
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "set.parquet"))
    with pytest.raises(DataError, match="row 0 can't be read as a picture.*put a whole one there.$"):
        open_data(f"hf:{tmp_path / 'set.parquet'}?stream=yes")  # a stream stops always


@pytest.fixture
def shards(tmp_path):
    """Four parquet files of six grey squares, each of another brightness: 0 to 23, ten apart."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    features = datasets.Features(picture=datasets.Image(), kind=datasets.ClassLabel(names=["cat", "dog"]))
    (tmp_path / "shards").mkdir()
    for shard_number in range(4):
        numbers = range(shard_number * 6, shard_number * 6 + 6)
        pictures = [{"bytes": png((n * 10,) * 3), "path": None} for n in numbers]
        rows = datasets.Dataset.from_dict({"picture": pictures, "kind": [n % 2 for n in numbers]}, features=features)
        rows.to_parquet(str(tmp_path / "shards" / f"{shard_number}.parquet"))
    return f"hf:{tmp_path / 'shards'}?stream=yes"


def seen(feed, steps, rank=0, processes=1):
    """The numbers of the squares that `feed` gives, and their labels."""
    batches = [feed.draw(step, rank, processes) for step in steps]
    numbers = torch.cat([(pixels[:, 0, 0, 0] / 10).round().long() for _, pixels, _ in batches])
    return numbers.tolist(), torch.cat([labels for *_, labels in batches]).tolist()


def test_a_streamed_set_gives_every_row_once_an_epoch_in_another_order(shards):
    data = open_data(shards, image_size=4, image_channels=1)
    assert data.stream is not None and data.class_names == ("cat", "dog") and data.image_channels == 1
    feed = open_loader(data, 6, seed=0)
    first, labels = seen(feed, range(4))
    second, _ = seen(feed, range(4, 8))
    assert sorted(first) == sorted(second) == list(range(24)) and first != second
    assert labels == [number % 2 for number in first]
    assert seen(open_loader(data, 6, seed=1), range(4))[0] != first
    assert feed.batches_per_epoch is None
    with pytest.warns(UserWarning, match="keep_last_batch=true is not used: batches of a stream go on over its end"):
        open_loader(data, 6, seed=0, drop_last=False)


def test_a_streamed_set_that_is_open_is_brought_to_another_size(shards):
    data = open_data(open_data(shards), image_size=8, image_channels=3)
    assert data.images.shape[1:] == (3, 8, 8)
    assert open_loader(data, 6, seed=0).draw(0)[1].shape == (6, 3, 8, 8)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_an_open_stream_gives_the_pictures_that_its_images_are_when_it_is_read_otherwise(tmp_path, monkeypatch, fit):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    picture = Image.new("RGBA", (16, 8), (200, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (4, 0, 8, 8))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    source = parquet_of(tmp_path / "set" / "train-0.parquet", [{"bytes": encoded.getvalue(), "path": None}] * 4)
    opened = open_data(f"{source}?stream=yes", image_channels=4)
    data = open_data(opened, image_size=8, image_channels=3, fit=fit, ground="black")
    drawn = ganzoo.images.to_uint8(open_loader(data, 4, seed=0).draw(0)[1])
    assert np.array_equal(drawn.numpy(), data.images)
    again = open_data(data, image_size=4, fit="squash", ground="white")  # on black, and square, it is already
    assert (again.stream.reading.fit, again.stream.reading.ground) == (fit, "black")


def test_a_stream_is_taken_up_at_any_step(shards):
    data = open_data(shards, image_size=4, image_channels=1)
    forwards, _ = seen(open_loader(data, 4, seed=3), range(10))
    assert seen(open_loader(data, 4, seed=3), range(7, 10))[0] == forwards[28:]


def test_a_bad_row_of_a_stream_is_named_by_its_path_or_not_at_all(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    features = datasets.Features(picture=datasets.Image(), kind=datasets.ClassLabel(names=["cat", "dog"]))
    monkeypatch.setattr("ganzoo.data.hf.HEAD", 4)
    for picture, kind, said in (
        ({"bytes": b"none", "path": "odd.png"}, 0, r"a row \(.odd.png.\) can't be read as a picture"),
        ({"bytes": b"none", "path": None}, 0, "a row can't be read as a picture"),
        ({"bytes": png(), "path": None}, -1, "a row has the label -1"),
    ):
        pictures = [{"bytes": png(), "path": None}] * 7 + [picture]
        rows = datasets.Dataset.from_dict({"picture": pictures, "kind": [0] * 7 + [kind]}, features=features)
        rows.to_parquet(str(tmp_path / "set.parquet"))
        data = open_data(f"hf:{tmp_path / 'set.parquet'}?stream=yes")
        with pytest.raises(DataError, match=f"stream=yes: {said}"):
            open_loader(data, 8, seed=0).draw(0)


@pytest.mark.parametrize("processes", [2, 4, 3])  # 4 files: two each, one each, and every third row of all
def test_each_process_reads_rows_of_a_stream_of_its_own(shards, processes):
    data = open_data(shards, image_size=4, image_channels=1)
    size = 24 // processes
    parts = [seen(open_loader(data, 24, seed=0), [0], rank, processes)[0] for rank in range(processes)]
    assert sorted(number for part in parts for number in part) == list(range(24)) and {len(part) for part in parts} == {
        size
    }
    if 4 % processes == 0:  # whole files
        assert all(len({number // 6 for number in part}) == 4 // processes for part in parts)


@pytest.mark.parametrize("mode", ["", "&stream=yes"])
def test_classes_says_how_many_there_are_if_their_column_names_none(tmp_path, monkeypatch, mode):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    rows = {"image": [{"bytes": png(), "path": None}] * 4, "kind": [0, 1, 0, 1]}
    datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image()).to_parquet(str(tmp_path / "set.parquet"))
    source = f"hf:{tmp_path / 'set.parquet'}?label=kind"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = open_data(f"{source}&classes=3{mode}")
    assert any("no images of class 2" in str(each.message) for each in said) is not bool(mode)  # a stream goes on
    assert data.class_names == ("0", "1", "2") and sorted(open_loader(data, 4, seed=0).draw(0)[2]) == [0, 0, 1, 1]
    with pytest.raises(DataError, match="row 1 has the label 1; .* whole numbers from 0 to 0,.* larger classes=N"):
        open_data(f"{source}&classes=1{mode}")
    for wrong, words in (("0", "from 1 to 10,000"), ("x", 'got "x"; give the largest label of column "kind", plus 1')):
        with pytest.raises(DataError, match=words):
            open_data(f"{source}&classes={wrong}{mode}")
    with pytest.raises(DataError, match=r"classes=2 counts the .* name it with label=COLUMN\. Columns: image, kind\."):
        open_data(f"hf:{tmp_path / 'set.parquet'}?classes=2{mode}")
    if mode:
        with pytest.raises(DataError, match="add &classes=N if its labels are whole numbers from 0 to N - 1"):
            open_data(f"{source}{mode}")


def test_wishes_of_a_stream_that_cannot_be_met_are_said(shards, tmp_path):
    with pytest.raises(DataError, match='column "kind" names its 2 classes itself; leave classes=2 out'):
        open_data(f"{shards}&classes=2")
    with pytest.raises(DataError, match="stream must be yes or no"):
        open_data(shards.replace("yes", "perhaps"))
    with pytest.raises(ConfigError, match="can't be shared by 3 processes"):
        open_loader(open_data(shards), 4, seed=0).draw(0, 0, 3)
    with pytest.raises(ConfigError, match="streamed, is unknown; give steps"):
        ganzoo.Trainer("fashion-mnist", shards, tmp_path / "run", epochs=2)


def test_a_stream_never_waits_between_epochs(shards, monkeypatch):
    data = open_data(shards, image_size=4, image_channels=1)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it sleeps"))
    feed = open_loader(data, 6, seed=0)
    for step in range(12):
        feed.draw(step)


def test_large_rows_of_a_stream_are_shuffled_within_the_memory_that_is_allowed(shards, monkeypatch):
    stream = open_data(shards, image_size=4, image_channels=1).stream
    size = len(png())
    monkeypatch.setattr("ganzoo.data.stream.BUFFER_BYTES", 4 * size)
    taken = [0]

    def count(rows):
        for row in rows:
            taken[0] += 1
            yield row

    monkeypatch.setattr("ganzoo.data.stream._in_turns", lambda pieces: count(itertools.chain(*pieces)))
    for given, _ in enumerate(stream.epoch(0, seed=0, rank=0, processes=1)):
        assert taken[0] <= given + 6
    assert taken[0] == 24


class Part:
    """What `datasets` reads a stream by: it notes how far it was read, and goes on from there."""

    def __init__(self, numbers):
        self.numbers, self.num_shards = numbers, 3
        self.rest = iter(numbers)

    def shard(self, count, index):
        return Part(self.numbers[index::count])

    def iter(self, size):
        return ({"image": [number]} for number in self.rest)


def test_two_passes_over_a_stream_at_once_each_give_all_rows(monkeypatch):
    monkeypatch.setattr("ganzoo.data.stream.BUFFER", 1)  # so that none is read whole before the other begins
    stream = Stream(Part(range(12)), "image", None, (), "a set", Reading())
    passes = [stream.epoch(0, seed=0, rank=0, processes=1) for _ in range(2)]
    one, other = zip(*zip(*passes, strict=True), strict=True)
    assert sorted(row["image"] for row in one) == [*range(12)] and one == other


def test_pieces_of_a_stream_are_read_in_turns():
    order = list(_in_turns([range(20 * n, 20 * n + 20) for n in range(12)]))
    assert order[:11] == [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 1]
    assert sorted(order) == list(range(240)) and order[200:204] == [200, 220, 201, 221]


def parquet_of(path, values, **options):
    """A parquet file of images with these `bytes` and `path`s."""
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    facts = {b"huggingface": b'{"info": {"features": {"image": {"_type": "Image"}}}}'}
    schema = pyarrow.schema([("image", kind)], metadata=facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"image": pyarrow.array(values, kind)}, schema=schema), path, **options)
    return f"hf:{path.parent}"


@pytest.mark.parametrize("mode", ["", "?stream=yes"])
def test_parquet_rows_are_unpacked_by_few_whatever_their_group_holds(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    one = {"bytes": png() + bytes(1 << 20), "path": None}
    source = parquet_of(tmp_path / "set" / "train-0.parquet", [one] * 200, compression="zstd", row_group_size=200)
    import pyarrow

    most = [0]

    def note(*rest):
        most[0] = max(most[0], pyarrow.total_allocated_bytes())
        return decode(*rest)

    monkeypatch.setattr("ganzoo.data.stream.decode", note)
    before = pyarrow.total_allocated_bytes()
    assert len(open_data(source + mode)) == 200
    assert most[0] - before < 60 << 20  # 200 of them are 200 MB


@pytest.mark.parametrize("mode", ["", "?stream=yes"])
def test_a_parquet_column_that_unpacks_without_measure_is_refused(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    bomb = {"bytes": bytes(80 << 20), "path": None}
    source = parquet_of(tmp_path / "set" / "train-0.parquet", [bomb], compression="zstd")
    with pytest.raises(DataError, match="unpacks to .* times its size.*does not read such a file"):
        open_data(source + mode)


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 300])
def test_a_row_s_path_that_no_file_can_have_is_named(tmp_path, monkeypatch, path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    source = parquet_of(tmp_path / "set" / "train-0.parquet", [{"bytes": None, "path": path}])
    with pytest.raises(DataError, match="row 0 names .*not a readable file of this set"):
        open_data(source)


@pytest.mark.parametrize("mode", ["", "?stream=yes"])
def test_brackets_and_stars_in_a_name_are_no_pattern(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "a set [v1] *"
    source = parquet_of(folder / "train-0.parquet", [{"bytes": png((9, 9, 9)), "path": None}])
    assert (open_data(source + mode).images == 9).all()
    assert len(open_data(f"hf:{folder / 'train-0.parquet'}{mode}")) == 1
    assert hf_splits(source) == ("train",)


@pytest.mark.parametrize("kind", ["parquet file", "folder of parquet", "folder of pictures"])
def test_other_local_rows_of_the_same_bytes_and_time_are_seen(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    path = tmp_path / "set" / ("train-0.parquet" if "parquet" in kind else "a.png")

    def write(value):
        if "parquet" in kind:
            parquet_of(path, [{"bytes": png((value,) * 3), "path": None}])
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png((value,) * 3))

    source = f"hf:{path if kind == 'parquet file' else path.parent}"
    write(50)
    before = path.stat()
    assert (open_data(source).images == 50).all()
    write(90)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and (open_data(source).images == 90).all()


def test_files_that_rows_of_a_parquet_file_name_are_seen_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    parquet_of(tmp_path / "x.parquet", [{"bytes": None, "path": "a.png"}, {"bytes": png((20,) * 3), "path": None}])
    for value in (210, 10):
        (tmp_path / "a.png").write_bytes(png((value,) * 3))
        assert open_data(f"hf:{tmp_path / 'x.parquet'}").images[:, 0, 0, 0].tolist() == [value, 20]


def test_a_stream_whose_file_is_damaged_on_the_way_is_named(tmp_path, monkeypatch):
    rows = [{"bytes": png((n, 0, 0), (64, 64)), "path": None} for n in range(100)]
    source = parquet_of(tmp_path / "set" / "train-0.parquet", rows, row_group_size=10, compression="zstd")
    monkeypatch.setattr("ganzoo.data.hf.HEAD", 4)
    feed = open_loader(open_data(f"{source}?stream=yes", image_channels=3), 20, seed=0)
    content = bytearray((tmp_path / "set" / "train-0.parquet").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    (tmp_path / "set" / "train-0.parquet").write_bytes(content)
    with pytest.raises(DataError, match="stream=yes can't be read .*check its files and the network"):
        for step in range(5):
            feed.draw(step)


@pytest.mark.parametrize("source", ["hf:", "hf:?stream=yes", "hf:" + "x" * 5000, "hf:./" + "x" * 300, "hf:./a\0b"])
def test_a_name_that_no_data_set_has_is_an_error_of_ours(source):
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    for open_it in (open_data, hf_splits):
        with pytest.raises(DataError, match="names no data set|can't be opened"):
            open_it(source)


def test_a_run_on_a_stream_resumes_exactly(shards, tmp_path):
    tiny = {"latent_size": 4, "widths": (8, 4)}

    def train(name, steps, **options):
        gan = ganzoo.create("fashion-mnist", image_size=8, generator=tiny, discriminator={"widths": (4, 8)}, seed=0)
        options |= {"steps": steps, "batch_size": 8, "log_every": 1, "checkpoint_every": 2, "sample_every": 0}
        return ganzoo.Trainer(gan, shards, tmp_path / name, progress=False, report_every=0, doctor_every=0, **options)

    train("whole", 6).fit()

    class Stop(Callback):
        def on_step(self, run):
            if run.step == 3:
                signal.raise_signal(signal.SIGINT)

    stopped = train("halves", 6, callbacks=[Stop()])
    assert not stopped.fit().finished
    assert ganzoo.Trainer.resume(tmp_path / "halves", callbacks=[Stop()], progress=False).fit().finished
    for name in ("log.jsonl", "model/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halves" / name).read_bytes()


def test_image_data_is_what_the_trainer_reads():
    fields = set(ImageData.__dataclass_fields__)
    assert {
        "name",
        "images",
        "labels",
        "class_names",
        "clusters",
        "hash",
        "source",
        "licence",
        "skipped",
        "passed_over",
        "stream",
    } == fields


@pytest.mark.parametrize("mode", ["", "?stream=yes"])
def test_a_row_can_only_name_files_of_its_own_folder(tmp_path, mode):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "inside.png").write_bytes(png((50, 50, 50)))
    (tmp_path / "secret.png").write_bytes(png((99, 99, 99)))
    features = datasets.Features(picture=datasets.Image())
    for path, fine in (("inside.png", True), (str(tmp_path / "secret.png"), False), ("../secret.png", False)):
        rows = datasets.Dataset.from_dict({"picture": [{"bytes": None, "path": path}]}, features=features)
        table = rows.cast_column("picture", datasets.Image(decode=False)).data.table
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, folder / "rows.parquet")
        source = f"hf:{folder / 'rows.parquet'}?image=picture{mode.replace('?', '&')}"
        if fine:
            assert open_data(source).images[0, 0, 0, 0] == 50
        else:
            with pytest.raises(DataError, match="is not a readable file of this set"):
                open_data(source)


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_start_of_a_zip_s_member_is_what_zipfile_gives(tmp_path, packing):
    from ganzoo.data.archives import _start_of

    contents = {"a.png": os.urandom(5000), "b/c.png": b"abc" * 3000, "d.png": b"", "e.png": b"short"}
    with zipfile.ZipFile(tmp_path / "set.zip", "w", packing) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with zipfile.ZipFile(tmp_path / "set.zip") as archive, open(tmp_path / "set.zip", "rb") as file:
        for name, content in contents.items():
            assert _start_of(file, archive.getinfo(name), 2048) == content[:2048]
        archive.getinfo("a.png").header_offset += 1
        with pytest.raises(zipfile.BadZipFile, match="a.png does not begin where it should"):
            _start_of(file, archive.getinfo("a.png"), 2048)
