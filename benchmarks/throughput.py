"""Images a second in training: the textbook's loop, a bare loop of our arithmetic, and the whole trainer, in turns.

    python benchmarks/throughput.py [PRESET] [--rounds 5] [--steps 40] [--batch-size 64]

All three train the same networks on the same images in one process, one after the other, `--rounds` times; medians and
the ratios of each round are printed. The bare loop has the trainer's precision, memory format, optimizers and shared
fakes, and nothing else: no average, no log, no samples, score, doctor, report or checkpoint. What the trainer costs
beside it is the overhead. The trainer runs as users get it, with a period of everything within the measured steps
scaled to its share: its whole time for `--steps` steps is measured from a resumed run's first step to its last.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from textbook import make_step

import ganzoo
from ganzoo.settings import Settings
from ganzoo.training.machine import Machine
from ganzoo.training.optimizers import make_optimizer
from ganzoo.training.steps import Part, discriminator_step, generator_step

arguments = argparse.ArgumentParser()
arguments.add_argument("preset", nargs="?", default="pokemon-64")
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--steps", type=int, default=40)
arguments.add_argument("--batch-size", type=int, default=64)
options = arguments.parse_args()


def make() -> ganzoo.GAN:
    return ganzoo.create(options.preset, seed=0)


gan = make()
images = torch.randint(0, 256, (2048, gan.image_channels, gan.image_size, gan.image_size), dtype=torch.uint8)
data = ganzoo.data.open_data(images)


def textbook() -> float:
    gan = make()
    step = make_step(gan.generator, gan.discriminator, gan.latent_size)
    return timed(lambda index: step(data.batch(torch.randint(len(data), (options.batch_size,)))))


def bare() -> float:
    gan = make()
    settings = Settings()
    machine = Machine(settings)
    networks = [machine.place(network) for network in (gan.generator, gan.discriminator)]
    optimizers = [make_optimizer(network, 2e-4, settings) for network in networks]
    generate, judge = (machine.autocast(network) for network in networks)
    loss = ganzoo.LOSSES["non-saturating"]

    def step(index: int) -> None:
        real = machine.send(data.batch(torch.randint(len(data), (options.batch_size,))))
        part = Part(real, generate(torch.randn(options.batch_size, gan.latent_size)))
        discriminator_step(judge, optimizers[1], loss, [part])
        generator_step(networks[1], optimizers[0], loss, [part], discriminate=judge)

    return timed(step)


def timed(step) -> float:
    for index in range(3):
        step(index)
    start = time.perf_counter()
    for index in range(options.steps):
        step(index)
    return options.steps * options.batch_size / (time.perf_counter() - start)


class Clock:
    """A hook that takes the time at the first and the last line of the log."""

    def __init__(self) -> None:
        self.times: list[tuple[int, float]] = []

    def __call__(self, state, logs) -> None:
        self.times.append((state.step, time.perf_counter()))


def trainer() -> float:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        run = ganzoo.Trainer(
            make(), images, Path(folder) / "run", batch_size=options.batch_size, steps=3 + options.steps,
            log_every=1, hooks=[clock], flip=False,
        )  # fmt: skip
        run.fit()
        first = next(moment for step, moment in clock.times if step == 3)
        last = time.perf_counter()
        return options.steps * options.batch_size / (last - first)


rows = []
for _ in range(options.rounds):
    rows.append((textbook(), bare(), trainer()))
    print(
        "  ".join(f"{name} {speed:7.1f}" for name, speed in zip(("textbook", "bare", "trainer"), rows[-1])), flush=True
    )
print(f"\nmedians, images/s, {options.preset}, batch {options.batch_size}:")
for name, column in zip(("textbook, float32", "bare loop", "trainer, all on"), zip(*rows)):
    print(f"  {name:20} {statistics.median(column):8.1f}")
print(f"  trainer / textbook   {statistics.median(row[2] / row[0] for row in rows):8.2f}")
print(f"  trainer's overhead   {statistics.median(row[1] / row[2] - 1 for row in rows):8.1%}")
