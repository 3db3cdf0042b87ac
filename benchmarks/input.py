"""Opening data and making batches: a folder, a zip, a parquet file and images in memory, 64x64 in colour.

    python benchmarks/input.py [--images 10000] [--minutes 3] [--data pokemon.zip]

Each kind is opened in a process of its own with an empty cache (cold), then in another with the cache filled (warm);
that one also says its memory and how many images a second come as batches on the device. Beside them stands
torchvision's `ImageFolder` behind a `DataLoader` with a worker for each core, which decodes each image each time. With
`--data`, a set of yours is opened in place of generated ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from measure import Results, parser, rounds, spread
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from ganzoo.data import open_data, open_loader
from ganzoo.data.image_data import scale

BATCH = 64


def pictures(number: int) -> Iterator[bytes]:
    """PNG files of 64x64 smooth colours."""
    random = np.random.default_rng(0)
    for _ in range(number):
        small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        file = BytesIO()
        small.resize((64, 64), Image.Resampling.BICUBIC).save(file, "png")
        yield file.getvalue()


def write(folder: Path, number: int) -> dict[str, str]:
    """The same pictures as a folder, a zip and a parquet file; where each is."""
    import pyarrow
    from pyarrow import parquet

    files = list(pictures(number))
    (folder / "folder" / "one").mkdir(parents=True)
    for index, content in enumerate(files):
        (folder / "folder" / "one" / f"{index:06d}.png").write_bytes(content)
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for index, content in enumerate(files):
            archive.writestr(f"{index:06d}.png", content)
    column = pyarrow.array([{"bytes": content, "path": None} for content in files])
    parquet.write_table(pyarrow.table({"image": column}), folder / "pictures.parquet", row_group_size=1000)
    return {
        "folder": str(folder / "folder"),
        "zip": str(folder / "pictures.zip"),
        "parquet": f"hf:{folder / 'pictures.parquet'}",
        "memory": str(number),
        "ImageFolder": str(folder / "folder"),
    }


def opened(kind: str, source: str) -> tuple[int, Iterator[torch.Tensor]]:
    """How many images there are, and batches of them as numbers, without end."""
    if kind == "ImageFolder":
        steps = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
        images = ImageFolder(source, transforms.Compose(steps))
        each = DataLoader(images, BATCH, shuffle=True, num_workers=os.cpu_count() or 1)
        return len(images), (batch for _ in count() for batch, _ in each)
    given: Any = source
    if kind == "memory":
        given = torch.randint(0, 256, (int(source), 3, 64, 64), dtype=torch.uint8)
    data = open_data(given, image_size=64, image_channels=3)
    loader = open_loader(data, BATCH, seed=0)
    return len(data), (scale(loader.draw(step, 0, 1)[1]) for step in count())


def work(kind: str, source: str, seconds: float) -> None:
    """Open, draw batches for some seconds, and print what it took."""
    torch.set_num_threads(1)  # decoding and copying do not use them
    memory, start = psutil.Process().memory_info().rss, time.perf_counter()
    images, batches = opened(kind, source)
    next(batches)
    opening, drawn, start = time.perf_counter() - start, 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        drawn += len(next(batches))
    used = psutil.Process().memory_info().rss - memory
    speed = drawn / took if took else 0.0
    print(json.dumps({"opening s": opening, "images/s": speed, "memory MB": used / 1e6, "images": images}))


def opening(kind: str, source: str, cache: str, seconds: float = 0.0) -> dict[str, float]:
    """What a process says that opens `source`."""
    command = [sys.executable, __file__, "--work", kind, source, str(seconds)]
    done = subprocess.run(command, env={**os.environ, "GANZOO_CACHE": cache}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    made = parser(__doc__, 3)
    made.add_argument("--images", type=int, default=10_000)
    made.add_argument("--data", help="a folder or zip of yours")
    made.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.work:
        work(*options.work[:2], float(options.work[2]))
        return
    results = Results(options)
    images, drawing = (40, 0.05) if options.quick else (options.images, 1.0)
    with tempfile.TemporaryDirectory() as root:
        sources = {Path(options.data).name: options.data} if options.data else write(Path(root), images)
        if options.quick:
            sources = {"zip": sources["zip"]}
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in sources}
        ways = {}
        for kind, source in sources.items():

            def way(kind: str = kind, source: str = source) -> float:
                with tempfile.TemporaryDirectory() as cache:
                    cold = opening(kind, source, cache)
                    warm = opening(kind, source, cache, drawing)
                found[kind].append({"cold s": cold["opening s"], "warm s": warm.pop("opening s"), **warm})
                return cold["opening s"]

            ways[kind] = way
        turns = len(list(rounds(ways, 0 if options.quick else options.minutes * 60, least=1 if options.quick else 3)))
    for kind, figures in found.items():
        images = figures[0].pop("images")
        row = {name: spread([each[name] for each in figures]) for name in figures[0]}
        results.write({"kind": kind, "images": images, **row, "rounds": turns})


if __name__ == "__main__":
    main()
