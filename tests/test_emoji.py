"""The source `emoji`: npm's package is unpacked once, sorted by category and split by name."""

import errno
import io
import json
import os
import tarfile

import pytest
from PIL import Image

from ganzoo.data import emoji, open_data
from ganzoo.errors import DataError

TONES = {"1F3FB": (90, 60, 30), "1F3FF": (30, 20, 10)}


def picture(colour):
    stream = io.BytesIO()
    Image.new("RGBA", (64, 64), (*colour, 255)).save(stream, "png")
    return stream.getvalue()


def entry(name, number, category, tones=(), **others):
    variations = {tone: {"image": f"{number}-{tone.lower()}.png", "has_img_google": True} for tone in tones}
    return {
        "short_name": name,
        "image": f"{number}.png",
        "category": category,
        "has_img_google": True,
        **({"skin_variations": variations} if tones else {}),
        **others,
    }


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of npm with a few emoji, where the cache would keep the real one."""
    entries = [entry(f"flag-{i}", f"a{i}", "Flags") for i in range(40)]
    entries += [entry("man-running", "b1", "People & Body", TONES), entry("woman-running", "b2", "People & Body")]
    entries += [entry("skin-tone-2", "c1", "Component"), entry("absent", "d1", "Flags", has_img_google=False)]
    files = {"emoji.json": json.dumps(entries).encode(), "../../outside.png": b"", "img/google/128/a1.png": b"no"}
    for i, each in enumerate(entries):
        for image in (each["image"], *(tone["image"] for tone in each.get("skin_variations", {}).values())):
            files[f"img/google/64/{image}"] = picture((i * 5, len(image), 200))
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANZOO_DATA", str(tmp_path))
    with tarfile.open(tmp_path / emoji.NAME, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return tmp_path / emoji.NAME


def names(tmp_path, tones="one"):
    folder = tmp_path / "cache" / f"emoji-{tones}"
    return {split: {path.stem for path in (folder / split).rglob("*.png")} for split in ("train", "test")}


def test_emoji_are_sorted_by_category_and_split_by_name(package, tmp_path):
    train, test = open_data("emoji"), open_data("emoji", split="test")
    assert set(train.class_names) <= {"flags", "people-body"} and train.images.shape[1:] == (3, 64, 64)
    assert train.licence.startswith("Apache-2.0")
    found = names(tmp_path)
    assert len(train) + len(test) == 42 and len(test) > 0 and not found["train"] & found["test"]
    assert not any("skin-tone" in name or name in ("absent", "outside") for name in found["train"] | found["test"])
    runners = [{name for name in found[split] if "running" in name} for split in ("train", "test")]
    assert sorted(map(len, runners)) == [0, 2]  # the same person as man and woman: both learned from, or neither


def test_of_several_skin_tones_one_is_taken_or_all(package, tmp_path):
    open_data("emoji")
    open_data("emoji(skin_tones=all)")
    count = [
        sum("man-running" in n and "wo" not in n for s in names(tmp_path, t).values() for n in s)
        for t in ("one", "all")
    ]
    assert count == [1, 3]


def test_without_a_download_the_package_s_place_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    monkeypatch.delenv("GANZOO_DATA", raising=False)
    with pytest.raises(DataError, match=f"{tmp_path}.*emoji.* is not there; allow the download"):
        open_data("emoji(download=false)")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:500],
        lambda content: content[:300] + b"\xff" * 200 + content[500:],
        lambda content: b"no package",
    ],
    ids=["cut", "overwritten", "another file"],
)
def test_a_damaged_package_is_named_and_leaves_nothing(package, tmp_path, damage):
    package.write_bytes(damage(package.read_bytes()))
    with pytest.raises(DataError, match=r"tgz can't be unpacked .*; remove it"):
        open_data("emoji")
    assert not (tmp_path / "cache" / "emoji-one").exists()


def test_a_cache_that_is_full_or_can_t_be_written_is_said(package, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(emoji, "_unpack", full)
    with pytest.raises(DataError, match=r"the cache .*cache can't be written \(No space left on device.*GANZOO_CACHE"):
        open_data("emoji")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="the cache .*file can't be written .*GANZOO_CACHE"):
        open_data("emoji")
