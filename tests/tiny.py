"""What several files of tests make their small runs of, and read them by."""

import json
import os
import signal

import torch

import ganzoo
from ganzoo.training import Callback


def images(count=40, size=8, channels=1):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def tiny(seed=0, classes=0, **discriminator):
    return ganzoo.create(
        "fashion-mnist",
        image_size=8,
        generator={"latent_size": 4, "widths": (8, 4), "num_classes": classes},
        discriminator={"widths": (4, 8), **discriminator},
        seed=seed,
    )


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


class StopAt(Callback):
    """Wishes the run to stop, as Ctrl-C does."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_step(self, run):
        if run.step == self.step:
            os.kill(os.getpid(), self.number)


class KillAt(Callback):
    """End the process, as it were, without saving."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


class Poison(Callback):
    """Puts NaN into a weight once."""

    def __init__(self):
        self.done = False

    def on_step(self, run):
        if run.step == 6 and not self.done:
            self.done = True
            next(run.gan.generator.parameters()).data[0] = float("nan")
