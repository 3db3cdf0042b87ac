"""The cache of decoded pictures: what is damaged is made again, what is half-made goes, what has no room is said."""

import errno
import io
import json
import mmap
import multiprocessing
import os
import shutil
import signal
import sys
import time
import warnings
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import cache as cache_module
from ganzoo.data import cache_dir, fashion, open_data
from ganzoo.data import decode as decode_module
from ganzoo.data.cache import cached_images
from ganzoo.data.download import find_or_download
from ganzoo.data.reading import Reading
from ganzoo.data.sources import POKEMON
from ganzoo.errors import ConfigError, DataError


def png(value, size=(6, 6)):
    return encoded(np.full(size[::-1], value, np.uint8))


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "set").mkdir()
    for number in range(5):
        (tmp_path / "set" / f"{number}.png").write_bytes(png(number * 40 + 9))
    return tmp_path / "set"


def entry():
    (found,) = (path for path in (cache_dir() / "data").iterdir() if not path.name.startswith("."))
    return found


def change(path, **facts):
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def zero(path):
    """Other bytes, of the same number and with the same time."""
    state = path.stat()
    path.write_bytes(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


DAMAGES = {
    "cut off": lambda folder: os.truncate(folder / "images.bin", 100),
    "longer": lambda folder: (folder / "images.bin").write_bytes(bytes(1000)),
    "pixels gone": lambda folder: (folder / "images.bin").unlink(),
    "zeros": lambda folder: zero(folder / "images.bin"),
    "facts empty": lambda folder: os.truncate(folder / "facts.json", 0),
    "facts gone": lambda folder: (folder / "facts.json").unlink(),
    "facts of another kind": lambda folder: (folder / "facts.json").write_text("[1]"),
    "another shape": lambda folder: change(folder / "facts.json", shape=[5, 6, 6, 1]),
    "other pictures left out": lambda folder: change(folder / "facts.json", kept=[0, 1, 2, 3, 9]),
}


@pytest.mark.parametrize("large", [False, True])  # larger entries are hashed only if they were touched
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_said_and_made_again(pictures, monkeypatch, damage, large):
    if large:
        monkeypatch.setattr(cache_module, "HASHED", 10)
    sound = open_data(pictures)
    before = sound.images.copy()
    DAMAGES[damage](entry())
    with pytest.warns(UserWarning, match="damaged.*made again"):
        again = open_data(pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        third = open_data(pictures)
    for data in (again, third):
        assert data.hash == sound.hash and np.array_equal(data.images, before)


def test_a_large_entry_that_was_copied_is_hashed_once(pictures, monkeypatch):
    monkeypatch.setattr(cache_module, "HASHED", 10)
    open_data(pictures)
    os.utime(entry() / "images.bin")
    calls = []
    hashing = cache_module.digest_of
    monkeypatch.setattr(cache_module, "digest_of", lambda *rest: calls.append(1) or hashing(*rest))
    for _ in range(3):
        open_data(pictures)
    assert len(calls) == 1


def test_images_of_a_mapped_set_are_counted_from_its_end_too_and_others_are_no_images(pictures):
    data = open_data(pictures)
    assert isinstance(data.images.base, mmap.mmap)
    assert torch.equal(data.pixels(torch.tensor([-1, -5])), data.pixels(torch.tensor([4, 0])))
    for index in (5, -6):
        with pytest.raises(IndexError, match="out of bounds"):
            data.pixels(torch.tensor([index]))


def test_another_picture_of_the_same_bytes_and_time_is_seen(pictures):
    before = open_data(pictures)
    path = pictures / "3.png"
    state, other = path.stat(), png(200)
    assert len(other) == state.st_size
    path.write_bytes(other)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_data(pictures).images[3].max() == 200 and before.images[3].max() == 129


def killed_while_it_decodes(folder):
    process = os.fork()
    if process == 0:
        decode, calls = decode_module.decode, []

        def count(*rest):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return decode(*rest)

        decode_module.decode = count
        open_data(folder)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def test_what_a_killed_decoding_left_is_removed_at_the_next_start(pictures, tmp_path):
    for _ in range(2):
        killed_while_it_decodes(pictures)
        assert len(list((cache_dir() / "data").glob(".*.tmp"))) == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(png(1))
    open_data(tmp_path / "other")  # any start will do
    assert [path.name for path in (cache_dir() / "data").iterdir()] == [entry().name]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads decode")
def test_processes_that_decode_end_with_the_one_that_is_killed(tmp_path):
    process = os.fork()
    if process == 0:

        def decode(*rest):
            (tmp_path / str(os.getpid())).touch()
            return np.zeros((3, 512, 512), np.uint8)  # more than a pipe holds, so that they wait to hand it over

        decode_module.decode = decode
        found = decode_module.read_pictures(lambda number: (b"", ""), range(400), 400, Reading())
        next(found), next(found)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    decoding = [path for path in tmp_path.iterdir() if path.name != str(process)]
    assert decoding
    until = time.monotonic() + 20
    while any(lives(path.name) for path in decoding):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads decode")
def test_a_process_that_decodes_ends_if_its_parent_was_killed_before_it_asked_to_end_with_it():
    reads, writes = os.pipe()
    process = os.fork()
    if process == 0:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(0.001)
            decode_module._end_with_parent(parent, 0)
            os.write(writes, b"it lives")
        os._exit(0)
    os.close(writes)
    os.waitpid(process, 0)
    assert os.read(reads, 99) == b""
    os.close(reads)


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def decode_one(count, path, barrier, results):
    def slowly():
        for number in range(count):
            with open(path, "a") as file:
                file.write("x")
            yield np.full((1, 4, 4), number, np.uint8)

    barrier.wait()
    images, _, pixels = cached_images("one key", slowly(), count)
    results.put((pixels, images.shape))


def test_processes_that_open_one_set_at_once_decode_it_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    arguments = (50, tmp_path / "decoded", barrier, results)
    openers = [context.Process(target=decode_one, args=arguments) for _ in range(3)]
    for opener in openers:
        opener.start()
    found = {results.get(timeout=60) for _ in openers}
    for opener in openers:
        opener.join()
    assert len(found) == 1 and (tmp_path / "decoded").read_text() == "x" * 50


def test_what_is_being_decoded_is_not_removed():
    def meanwhile():
        for value in (0, 1):
            cached_images("another", (np.zeros((1, 2, 2), np.uint8) for _ in range(1)), 1)
            yield np.full((1, 4, 4), value, np.uint8)

    assert cached_images("one", meanwhile(), 2)[0].tolist() == [[[[value] * 4] * 4] for value in (0, 1)]


def test_where_no_locks_are_offered_what_is_being_decoded_is_not_removed(monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    test_what_is_being_decoded_is_not_removed()


def bomb(path, count=3, size=(600, 600)):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"{number}.png", png(0, size))
    return path


def test_a_set_for_which_the_disk_has_no_room_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    decoded = []
    decode = decode_module.decode
    monkeypatch.setattr(decode_module, "decode", lambda *rest: decoded.append(1) or decode(*rest))
    with pytest.raises(DataError, match="3 images of 600x600 take 1 MB in the cache .*1 MB are free.*--size 64"):
        open_data(bomb(tmp_path / "set.zip"), image_channels=1)
    assert len(decoded) == 1 and not list((cache_dir() / "data").iterdir())
    assert len(open_data(tmp_path / "set.zip", image_size=64)) == 3


def test_a_small_zip_that_would_fill_the_disk_is_refused_unless_a_size_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "SMALL_ARRAY", 10**6)
    with pytest.raises(DataError, match="3 images of 600x600 .*so small that this can't be meant.*--size 64"):
        open_data(bomb(tmp_path / "set.zip"))
    assert len(open_data(tmp_path / "set.zip", image_size=600)) == 3
    noise = np.random.default_rng(0).integers(0, 255, (600, 600), np.uint8)
    (tmp_path / "honest").mkdir()
    for number in range(3):
        Image.fromarray(noise).save(tmp_path / "honest" / f"{number}.png")
    assert len(open_data(tmp_path / "honest")) == 3


@pytest.mark.parametrize("kind", ["in Parquet", "named by Parquet", "in a folder"])
def test_a_small_set_of_hf_that_would_fill_the_disk_is_refused_unless_a_size_is_asked_for(tmp_path, monkeypatch, kind):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'ganzoo-torch[datasets]'")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(cache_module, "SMALL_ARRAY", 10**6)
    noise = np.random.default_rng(0).integers(0, 255, (600, 600), np.uint8)
    for name, picture in (("bomb", encoded(np.zeros((600, 600), bool))), ("honest", encoded(noise))):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(picture)
        source = f"hf:{tmp_path / name}"
        if kind != "in a folder":
            named = kind == "named by Parquet"
            rows = [{"bytes": None if named else picture, "path": f"{number}.png"} for number in range(3)]
            features = datasets.Features(image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
            rows = datasets.Dataset.from_dict({"image": rows}, features=features)
            rows.to_parquet(str(tmp_path / name / "set.parquet"))
            source += "/set.parquet"
        if name == "bomb":
            with pytest.raises(DataError, match="3 images of 600x600 .*so small that this can't be meant.*--size 64"):
                open_data(source)
        assert len(open_data(source, image_size=600 if name == "bomb" else None)) == 3


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home folder: no HOME, no line in /etc/passwd."""
    for name in ("HOME", "GANZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    import pwd

    def nobody(*_):
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)


def test_without_a_home_folder_only_what_needs_the_cache_asks_for_one(homeless, pictures, monkeypatch, tmp_path):
    assert len(open_data("fashion-mnist-mini")) == 2000
    assert fashion.places("")[-3:]
    (tmp_path / "pokemon.zip").touch()
    assert find_or_download(("pokemon.zip",), str(tmp_path), POKEMON, False) == tmp_path / "pokemon.zip"
    with pytest.raises(ConfigError, match="no home folder; set GANZOO_CACHE"):
        open_data(pictures)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    assert len(open_data(pictures)) == 5
