"""Write the pictures of docs/drawings.md: 300 Twemoji of people to train on, and 300 of other people to test by.

    npm pack emoji-datasource-twitter@16.0.0
    python benchmarks/drawings.py emoji-datasource-twitter-16.0.0.tgz drawings/

Both splits draw on different emoji: a woman and a man who do the same are one, and so are all skin tones of it. The
bundled `emoji-64` has seen none of these drawings, as it learned from another vendor's. Twemoji is by Twitter and
contributors, CC BY 4.0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tarfile
from pathlib import Path

COUNT = 300  # pictures of a split
PLAIN = {"1F468", "1F469", "1F9D1", "2640", "2642", "200D", "FE0F"}  # man, woman, person, signs, joiners


def subject(unified: str) -> str:
    """What a person does or is, by code points: without whether it is a woman or a man."""
    points = unified.split("-")
    return "-".join(point for point in points if point not in PLAIN) or points[0]


def write(package: Path, folder: Path) -> None:
    with tarfile.open(package) as tar:  # one pass: going back in a packed file unpacks it again from its start
        files = {
            member.name.rpartition("/")[2]: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if re.fullmatch(r"package/(emoji\.json|img/twitter/64/[0-9a-f-]+\.png)", member.name)
        }
    people = [emoji for emoji in json.loads(files["emoji.json"]) if emoji["category"] == "People & Body"]
    drawn: dict[str, list[list[str]]] = {"train": [], "test": []}
    for emoji in people:
        number = int(hashlib.sha256(subject(emoji["unified"]).encode()).hexdigest()[:8], 16)
        tones = [each["image"] for each in emoji.get("skin_variations", {}).values()]
        names = [emoji["image"], *tones]
        shift = len(drawn["train"]) % len(names)  # tones in turns
        drawn["test" if number % 2 else "train"].append(names[shift:] + names[:shift])
    for split, forms in drawn.items():
        (folder / split).mkdir(parents=True)
        rounds = [names[turn] for turn in range(6) for names in forms if len(names) > turn and names[turn] in files]
        for name in rounds[:COUNT]:
            (folder / split / name).write_bytes(files[name])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("package", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    write(options.package, options.folder)
