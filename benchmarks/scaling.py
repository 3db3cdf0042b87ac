"""What an image costs in training, against batch, width, size, number of images and processes.

    python benchmarks/scaling.py [AXIS ...] [--minutes 3] [--most-images 1000000]

All points of an axis take turns of plain steps. A set of images is mapped from the cache, as a folder's would be: let
`--most-images` be more than the memory holds (64 px in colour: 80,000 a GB) to see what the disk does. Remove the cache
afterwards (`GANZOO_CACHE` says where it is). Processes share a batch on the CPU, each with its part of the cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Results, parser, rounds, spread, timed

import ganzoo
from ganzoo.data import ImageData, open_data, open_loader
from ganzoo.data.cache import cached_images
from ganzoo.settings import Settings
from ganzoo.training import Callback
from ganzoo.training.method import Method
from ganzoo.training.runtime import Runtime
from ganzoo.training.step import TrainingStep


def generated(count: int, size: int, channels: int) -> ImageData:
    """A set of noise, written into the cache and mapped from there."""

    def noise() -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for start in range(0, count, 1000):
            shape = (min(1000, count - start), channels, size, size)
            yield from random.integers(0, 256, shape, dtype=np.uint8)

    images, _, pixels = cached_images(["noise", count, size, channels], noise(), count)
    return ImageData("noise", images, None, (), pixels, "generated")


def update(gan: ganzoo.GAN, data: ImageData, batch: int) -> TrainingStep:
    """A training step of the trainer, as it is called in the loop."""
    settings = Settings(batch_size=batch)
    feed = open_loader(data, batch, seed=0)
    return TrainingStep(gan, feed, data.clusters, settings, Runtime(settings), Method(settings))


def sprites(size: int = 64, factor: float = 1.0) -> ganzoo.GAN:
    """The networks of `pokemon-64` at another size or width."""
    preset = ganzoo.PRESETS["pokemon-64"]
    changed = {
        kind: {"widths": [int(width * factor) for width in config.widths]}
        for kind, config in (("generator", preset.generator), ("discriminator", preset.discriminator))
    }
    return ganzoo.create("pokemon-64", size, seed=0, clusters=0, **(changed if factor != 1 else {}))


def few(size: int = 64) -> ImageData:
    """512 images of noise in memory, the same in all processes."""
    random = torch.Generator().manual_seed(0)
    return open_data(torch.randint(0, 256, (512, 3, size, size), dtype=torch.uint8, generator=random))


def axes(options: argparse.Namespace) -> dict[str, dict[Any, tuple[Callable[[], TrainingStep], int]]]:
    """{axis: {value: (how to make the step, images of a step)}}."""
    counts = [count for count in (1000, 10_000, 100_000, 1_000_000, 10_000_000) if count <= options.most_images]
    sizes, batches, factors = (32, 64, 128, 256), (8, 16, 32, 64, 128, 256), (0.5, 1, 2)
    if options.quick:
        counts, sizes, batches, factors = [1000], (32,), (2,), (0.5,)

    def garments(count: int) -> TrainingStep:
        return update(ganzoo.create("fashion-mnist", seed=0, clusters=0), generated(count, 28, 1), 64)

    return {
        "batch": {batch: (lambda batch=batch: update(sprites(), few(), batch), batch) for batch in batches},
        "width": {factor: (lambda factor=factor: update(sprites(64, factor), few(), 64), 64) for factor in factors},
        "size": {size: (lambda size=size: update(sprites(size), few(size), 16), 16) for size in sizes},
        "images": {count: (lambda count=count: garments(count), 64) for count in counts},
    }


def one_process(axis: str, points: dict, seconds: float, quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of an axis whose points fit side by side into this process."""
    steps = {value: make() for value, (make, _) in points.items()}
    counts = {}
    for value, step in steps.items():
        step()
        counts[value] = 1 if quick else max(1, round(0.7 / timed(step)))  # steps of a turn: about 0.7 s
    ways = {value: lambda value=value, step=step: timed(step, counts[value]) for value, step in steps.items()}
    found = list(rounds(ways, seconds, least=1 if quick else 3))
    for value, (_, images) in points.items():
        cost = [1e3 * each[value] / counts[value] / images for each in found]
        yield {"axis": axis, "value": value, "ms an image": spread(cost), "rounds": len(found)}


class Pace(Callback):
    """Prints seconds a step, of the steps behind the first ones."""

    def __init__(self, first: int) -> None:
        self.first, self.moments = first, []

    def on_step(self, run) -> None:
        self.moments.append(time.perf_counter())

    def on_end(self, run) -> None:
        if run.is_main:
            print("pace", (self.moments[-1] - self.moments[self.first]) / (len(self.moments) - 1 - self.first))


def shared(steps: int) -> None:
    """Train in this process and those launched beside it."""
    with tempfile.TemporaryDirectory() as folder:
        never = {f"{each}_every": 0 for each in ("score", "sample", "checkpoint", "doctor", "report")}
        output = os.environ.get("GANZOO_BENCHMARK_RUN", folder)  # one for all processes
        ganzoo.Trainer(
            sprites(), few(), Path(output) / "run", steps=steps, batch_size=64,
            progress=False, callbacks=[Pace(steps // 4)], **never,
        ).fit()  # fmt: skip


def processes(seconds: float, quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of 1 and 2 processes with one thread each, and of 1 with two."""
    steps = 4 if quick else 16

    def run(count: int, threads: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GANZOO_BENCHMARK_RUN": folder}
            environment["ACCELERATE_USE_CPU"] = "true"
            words = [sys.executable, *(launcher if count > 1 else []), __file__, "--shared", str(steps)]
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
            said = [line for line in done.stdout.splitlines() if line.startswith("pace ")]
            if not said:
                raise SystemExit(done.stderr[-2000:])
            return float(said[0].split()[1])

    pairs = [(2, 1)] if quick else [(1, 1), (2, 1), (1, 2)]
    ways = {f"{pair[0]} x {pair[1]}": lambda pair=pair: run(*pair) for pair in pairs}
    found = list(rounds(ways, seconds, least=1 if quick else 3))
    for way in ways:
        cost = [1e3 * each[way] / 64 for each in found]
        yield {"axis": "processes x threads", "value": way, "ms an image": spread(cost), "rounds": len(found)}


def main() -> None:
    made = parser(__doc__, 3)
    made.add_argument("axes", nargs="*", metavar="AXIS", help="batch, width, size, images, processes")
    made.add_argument("--most-images", type=int, default=1_000_000)
    made.add_argument("--shared", type=int, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.shared:
        shared(options.shared)
        return
    results, points = Results(options), axes(options)
    chosen = options.axes or [*points, "processes"]
    seconds = 0 if options.quick else options.minutes * 60 / len(chosen)
    for axis in chosen:
        rows = processes(seconds, options.quick) if axis == "processes" else None
        for row in rows or one_process(axis, points[axis], seconds, options.quick):
            results.write(row)


if __name__ == "__main__":
    main()
