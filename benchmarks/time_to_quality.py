"""Distance to unseen real images against seconds of training, for recipes.

    python benchmarks/time_to_quality.py [RECIPE ...] --minutes 4 [--data pokemon.zip --features FEATURES]
    python benchmarks/time_to_quality.py fashion-mnist-quick --steps 1200 --set batch_size=16 --arm "batch 16"

A short trial tells how many steps a recipe makes in `--minutes`, so that learning rates fall within them; `--steps`
says it instead. At `--points` moments, evenly spaced, the averaged generator is measured; that is not counted. Beside
seconds of the clock stand those of the processor, all threads together, which other work on the machine hardly moves:
with OMP_NUM_THREADS=1 they are what the clock would say of one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import Results, parser, wait

import ganzoo
from ganzoo.data import ImageData, open_data
from ganzoo.training import Callback

USUAL = {  # DCGAN as it is usually trained (Radford et al. 2016), on the networks of `fashion-mnist`
    "generator_lr": 2e-4, "discriminator_lr": 2e-4, "batch_size": 64, "ema_half_life": 0, "clusters": 0,
    "mismatched_labels": 0.0, "precision": "float32", "speed": "exact",
}  # fmt: skip
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {  # preset, changes
    "fashion-mnist-quick": ("fashion-mnist-quick", {}),
    "fashion-mnist": ("fashion-mnist", {}),
    "usual DCGAN": ("fashion-mnist", USUAL),
    "the chapter's": ("fashion-mnist-d2l", {}),
    "pokemon-64": ("pokemon-64", {}),
    "pokemon-64, the chapter's": ("pokemon-64-d2l", {}),
}
GARMENTS = list(RECIPES)[:4]


class Quality(Callback):
    """Measures the averaged generator after certain steps, and stops the clock meanwhile.

    Args:
        data: by name, so that it is the test split that samples are compared with, if there is one.

    Attributes:
        course: [seconds, seconds of the processor, steps, Fréchet distance] of each measurement.
    """

    def __init__(self, data: str, at: set[int], samples: int = 10_000, device: str = "cpu", **given: Any) -> None:
        self._data, self._at, self._device = data, at, device
        self._given = {"samples": samples, "classes": False, "memorised": False, "device": device, **given}
        self.course: list[list[float]] = []
        self.before = 0  # steps of earlier runs that this one goes on from
        self._spent = [0.0, 0.0]
        self._start: list[float] = []

    def _clocks(self) -> list[float]:
        return [time.perf_counter(), time.process_time()]

    def on_start(self, run) -> None:
        self._start = self._start or self._clocks()

    def seconds(self) -> list[float]:
        """Seconds of training until now, of the clock and of the processor."""
        return [now - start - spent for now, start, spent in zip(self._clocks(), self._start, self._spent)]

    def on_step(self, run) -> None:
        if run.step not in self._at:
            return
        wait(self._device)
        seconds, stopped = self.seconds(), self._clocks()
        found = ganzoo.evaluate(run.averaged, data=self._data, **self._given)
        distance = next(each["value"] for each in found.figures() if each["name"].startswith("FD"))
        self.course.append([*(round(each, 1) for each in seconds), self.before + run.step, distance])
        print(
            f"  step {self.before + run.step}: {seconds[0]:.0f} s, processor {seconds[1]:.0f} s, FD {distance:.3f}",
            flush=True,
        )
        self._spent = [spent + now - then for spent, now, then in zip(self._spent, self._clocks(), stopped)]


class Ticks(Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_step(self, run) -> None:
        self.moments.append(time.perf_counter())


def course(name: str, data: ImageData, source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train a recipe and measure it on the way."""
    preset, changes = RECIPES[name]
    given = dict(pair.split("=", 1) for pair in options.set)
    networks: dict[str, dict[str, Any]] = {"generator": {}, "discriminator": {}}
    for key in [key for key in given if "." in key]:
        network, _, field = key.partition(".")
        config = getattr(ganzoo.PRESETS[preset], network)
        networks[network][field] = type(config).parse(field, given.pop(key))
    settings = ganzoo.PRESETS[preset].settings.replace({**changes, "seed": options.seed})
    settings = settings.replace({key: type(settings).parse(key, text) for key, text in given.items()})

    def train(folder: str, steps: int, callback: Callback) -> None:
        gan = ganzoo.create(preset, **networks, seed=options.seed, clusters=settings.clusters)
        run = settings.replace(steps=steps, checkpoint_every=0, report_every=0, score_every=0, sample_every=0)
        result = ganzoo.Trainer(
            gan, data, Path(folder) / f"run-{steps}", settings=run, callbacks=[callback], progress=False,
            device=options.device,
        ).fit()  # fmt: skip
        if not result.finished:
            raise SystemExit(130)

    with tempfile.TemporaryDirectory() as folder:
        steps = options.steps
        if not steps:
            ticks = Ticks()
            train(folder, 6 if options.quick else 40, ticks)
            half = len(ticks.moments) // 2  # the first steps warm up
            pace = (ticks.moments[-1] - ticks.moments[half]) / (len(ticks.moments) - 1 - half)
            steps = 8 if options.quick else max(10, int(options.minutes * 60 / pace))
        at = {round(steps * (index + 1) / options.points) for index in range(options.points)}
        chosen = {"features": options.features} if options.features else {}
        quality = Quality(source, at, 200 if options.quick else 10_000, options.device, **chosen)
        train(folder, steps, quality)
    return {
        "recipe": name, "arm": options.arm or " ".join(options.set), "data": data.name, "seed": options.seed,
        "batch": settings.batch_size, "steps": steps, "images": steps * settings.batch_size, "course": quality.course,
    }  # fmt: skip


def main() -> None:
    made = parser(__doc__, 4)
    made.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(RECIPES))
    made.add_argument("--steps", type=int, default=0, help="of each recipe, in place of minutes")
    made.add_argument("--points", type=int, default=4, help="measurements on the way")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as of ganzoo train")
    made.add_argument("--arm", default="", help="what the changes are called")
    made.add_argument("--data", help="in place of the preset's")
    made.add_argument("--features", help="of the distance; the data's default")
    options = made.parse_args()
    results = Results(options)
    for name in options.recipes or GARMENTS[: 1 if options.quick else None]:
        source = options.data or ("fashion-mnist-mini" if options.quick else ganzoo.PRESETS[RECIPES[name][0]].data)
        size = ganzoo.create(RECIPES[name][0], clusters=0)
        print(name, flush=True)
        data = open_data(source, image_size=size.image_size, image_channels=size.image_channels)
        results.write(course(name, data, source, options))


if __name__ == "__main__":
    main()
