"""Noto Emoji, 64x64 with a transparent background, out of npm's package emoji-datasource-google, sorted by category."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from pathlib import Path
from typing import Any

from ganzoo.data.cache import cache_dir, unwritable
from ganzoo.data.download import Published, find_or_download
from ganzoo.errors import DataError, reason
from ganzoo.files import new_folder

NAME = "emoji-datasource-google-16.0.0.tgz"
PACKAGE = Published(
    f"https://registry.npmjs.org/emoji-datasource-google/-/{NAME}",
    "sha1:a80ac3e8106cbd4d8648ce758aa099e8827b6157",
    74_344_091,
)
TEST_SHARE = 8  # one name in so many belongs to the test split
_WHO = re.compile("^(man|men|woman|women|male|female|person|people|two_men|two_women)[-_]|(_facing_right|_man|_woman)$")


def load_emoji(root: str, skin_tones: str, fetch: bool) -> Path:
    """The folder that holds `train` and `test`, each with a folder a category; unpacked once into the cache.

    Raises:
        DataError: the package is on no disk and may not be fetched, or is another file than its hash says; or the cache
            can't be written.
    """
    folder = cache_dir() / f"emoji-{skin_tones}"
    if not folder.is_dir():
        package = find_or_download((NAME,), root, PACKAGE, fetch)
        try:
            with new_folder(folder) as aside:
                _unpack(package, skin_tones == "all", aside)
        except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, KeyError, ValueError) as error:
            raise DataError(f"{package} can't be unpacked ({error}); remove it, and it is fetched again.") from error
        except OSError as error:
            unread = error.filename == str(package)
            raise DataError(f"{package} can't be read ({reason(error)})." if unread else unwritable(error)) from error
    return folder


def _unpack(package: Path, all_tones: bool, folder: Path) -> None:
    with tarfile.open(package, "r:gz") as tar:  # one pass: going back in a packed file unpacks it again from its start
        files = {
            member.name.rpartition("/")[2]: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile() and re.fullmatch(r"package/(emoji\.json|img/google/64/[0-9a-f-]+\.png)", member.name)
        }
    for emoji in json.loads(files["emoji.json"]):
        if not emoji["has_img_google"] or emoji["category"] == "Component":  # skin tones and hair by themselves
            continue
        name = re.sub(r"[^a-z0-9_+-]", "", emoji["short_name"])
        category = re.sub("[^a-z]+", "-", emoji["category"].lower())
        # By a hash of the name, so that it never changes; the same person as a man or a woman stays in one split.
        split = "train" if _number(_WHO.sub("", name)) % TEST_SHARE else "test"
        place = folder / split / category
        place.mkdir(parents=True, exist_ok=True)
        for ending, image in _forms(emoji, all_tones):
            (place / f"{name}{ending}.png").write_bytes(files[image])


def _forms(emoji: dict[str, Any], all_tones: bool) -> list[tuple[str, str]]:
    """Ending of the name and file of each form of an emoji; of several skin tones one, unless all are asked for."""
    forms = [("", emoji["image"])]
    variations = emoji.get("skin_variations", {})
    forms += [(f"_skin_{tone.lower()}", each["image"]) for tone, each in variations.items() if each["has_img_google"]]
    return forms if all_tones else [forms[_number(emoji["short_name"]) // TEST_SHARE % len(forms)]]


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
