"""Images a second in training: the whole trainer, a bare loop of the same arithmetic, and the textbook's, in turns.

    python benchmarks/throughput.py [PRESET] [--steps 1000] [--batch-size 64]

The trainer runs `--steps` steps with everything as users get it: average, log, doctor, samples, scores, checkpoints,
report. At every line of its log a hook stops its clock and runs as many steps of a bare loop, then a few of the
textbook's: all three train equal networks on equal images in one process and within the same seconds, so that a
machine that slows down slows all of them. 1,000 steps hold everything that has a period at least once. The bare loop
has the trainer's precision, memory format, optimizers and shared fakes, and nothing else; what the trainer takes
beyond it is the overhead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from textbook import make_step

import ganzoo
from ganzoo.settings import Settings
from ganzoo.training import Callback
from ganzoo.training.optimizers import make_optimizer
from ganzoo.training.runtime import Runtime
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step

LOG_EVERY, TEXTBOOK_STEPS = 20, 2

arguments = argparse.ArgumentParser()
arguments.add_argument("preset", nargs="?", default="pokemon-64")
arguments.add_argument("--steps", type=int, default=1000)
arguments.add_argument("--batch-size", type=int, default=64)
options = arguments.parse_args()


def make() -> ganzoo.GAN:
    return ganzoo.create(options.preset, seed=0, clusters=0)  # the textbook's loop has none


gan = make()
images = torch.randint(0, 256, (2048, gan.image_channels, gan.image_size, gan.image_size), dtype=torch.uint8)
data = ganzoo.data.open_data(images)


def batch() -> torch.Tensor:
    return data.batch(torch.randint(len(data), (options.batch_size,)))


def textbook_step() -> Callable[[], object]:
    gan = make()
    step = make_step(gan.generator, gan.discriminator, gan.latent_size)
    return lambda: step(batch())


def bare_step() -> Callable[[], object]:
    gan = make()
    settings = Settings()
    machine = Runtime(settings)
    networks = [machine.place(network) for network in (gan.generator, gan.discriminator)]
    optimizers = [make_optimizer(network, 2e-4, settings) for network in networks]
    generate, judge = (machine.autocast(network) for network in networks)
    loss = ganzoo.LOSSES.make("non-saturating")

    def step() -> None:
        part = MicroBatch(machine.send(batch()), generate(torch.randn(options.batch_size, gan.latent_size)))
        discriminator_step(judge, optimizers[1], loss, [part])
        generator_step(networks[1], optimizers[0], loss, [part], discriminate=judge)

    return step


def timed(step: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


class Turns(Callback):
    """(trainer, bare, textbook) seconds for every interval between two lines of the log."""

    def __init__(self) -> None:
        self.steps = (bare_step(), textbook_step())
        for step in self.steps:
            timed(step, 3)
        self.rows: list[tuple[float, float, float]] = []
        self.trainer, self.left = 0.0, None

    def on_log(self, run, entry) -> None:
        if self.left is not None:
            self.trainer += time.perf_counter() - self.left
        if "generator_loss" in entry:  # not a score's or a remark's line
            if self.left is not None:
                bare, textbook = (timed(step, count) for step, count in zip(self.steps, (LOG_EVERY, TEXTBOOK_STEPS)))
                self.rows.append((self.trainer, bare, textbook))
            self.trainer = 0.0
        self.left = time.perf_counter()


turns = Turns()
with tempfile.TemporaryDirectory() as folder:
    ganzoo.Trainer(
        make(), images, Path(folder) / "run", batch_size=options.batch_size, log_every=LOG_EVERY,
        steps=options.steps + LOG_EVERY, callbacks=[turns],
    ).fit()  # fmt: skip
trainer, bare, textbook = (sum(column) for column in zip(*turns.rows))
steps = len(turns.rows) * LOG_EVERY
textbook *= LOG_EVERY / TEXTBOOK_STEPS
print(f"{options.preset}, batch {options.batch_size}, {steps} steps of the trainer, all on; images/s:")
for name, seconds in (("textbook, float32", textbook), ("bare loop", bare), ("trainer", trainer)):
    print(f"  {name:20} {steps * options.batch_size / seconds:8.1f}")
print(f"  trainer / textbook   {textbook / trainer:8.2f}")
print(f"  overhead, whole      {trainer / bare - 1:8.1%}")
print(f"  overhead of a plain interval (median) {statistics.median(row[0] / row[1] - 1 for row in turns.rows):.1%}")
