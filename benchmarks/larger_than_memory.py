"""Training speed on a generated set larger than memory, beside a small set of equal images, in turns.

    GANZOO_CACHE=/big/disk python benchmarks/larger_than_memory.py [--gigabytes 30] [--rounds 15]

Random 64x64 images in colour go into the cache, as a folder of pictures would, and are mapped from there. Remove the
cache afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import numpy as np
import psutil

import ganzoo
from ganzoo.data import ImageData, open_loader
from ganzoo.data.cache import cached_images
from ganzoo.training.method import Method
from ganzoo.training.runtime import Runtime
from ganzoo.training.step import TrainingStep

STEPS = 20

arguments = argparse.ArgumentParser()
arguments.add_argument("--gigabytes", type=float, default=1.25 * psutil.virtual_memory().total / 2**30)
arguments.add_argument("--rounds", type=int, default=15)
options = arguments.parse_args()


def noise(count: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for _ in range(0, count, 1000):
        yield from random.integers(0, 256, (1000, 3, 64, 64), dtype=np.uint8)


def generated(count: int) -> ImageData:
    images, _, pixels = cached_images(["noise", count], noise(count), count)
    return ImageData("noise", images, None, (), pixels, "generated")


def update(data: ImageData) -> TrainingStep:
    settings = ganzoo.PRESETS["pokemon-64"].settings
    feed = open_loader(data, settings.batch_size, seed=0)
    return TrainingStep(ganzoo.create("pokemon-64", seed=0), feed, settings, Runtime(settings), Method(settings))


def speed(step: TrainingStep) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * 64 / (time.perf_counter() - start)


count = int(options.gigabytes * 2**30 / (3 * 64 * 64)) // 1000 * 1000
sets = [generated(2000), generated(count)]
print(
    f"{count:,} images, {sets[1].images.nbytes / 2**30:.1f} GiB; memory {psutil.virtual_memory().total / 2**30:.1f} GiB"
)
updates = [update(data) for data in sets]
for each in updates:
    each()
rows = [[speed(each) for each in updates] for _ in range(options.rounds)]
for name, column in zip(("small set", "large set"), zip(*rows)):
    print(f"{name}: {statistics.median(column):.1f} images/s, the slowest turn {min(column):.1f}")
print(
    f"large / small, median of {options.rounds} turns: {statistics.median(large / small for small, large in rows):.3f}"
)
