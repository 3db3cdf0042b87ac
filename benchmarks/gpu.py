"""What a card does: training and sampling against the textbook's loop, in one run of at most six minutes.

    python benchmarks/gpu.py [--device cuda] [--quick] [--output FOLDER]

Each row compares, in turns within the same seconds, the whole trainer (all that users get: average, log, doctor,
scores, samples, checkpoints) with the textbook's loop in eager float32 on the same card, and with the card's matrix
peak in bf16 measured in the same run. A row is a line of JSON in `gpu.jsonl`; `model.tar` holds the model of the run.
`--quick --device cpu` tries the script itself: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from textbook import make_step
from torch.utils.flop_counter import FlopCounterMode

import ganzoo
from ganzoo.data import ImageData, open_data
from ganzoo.hardware import name_of
from ganzoo.training import Callback

UNITS = (11, 12.9)  # passes of one network over one image in a step: ours, the textbook's (`textbook.py`)
LOG_EVERY = 50

arguments = argparse.ArgumentParser()
arguments.add_argument("--device", default="cuda")
arguments.add_argument("--quick", action="store_true", help="a few steps of each, to try the script")
arguments.add_argument(
    "--seconds", type=float, default=300, help="of the whole run; rows that would begin later are left out"
)
arguments.add_argument("--output", type=Path, default=Path("benchmarks/results"))
options = arguments.parse_args()
device, begun = torch.device(options.device), time.perf_counter()


def wait() -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], count: int) -> float:
    """Seconds of `count` calls."""
    wait()
    start = time.perf_counter()
    for _ in range(count):
        work()
    wait()
    return time.perf_counter() - start


def matrix_peak() -> float:
    """Operations a second of a large matrix product in bf16."""
    size = 512 if options.quick else 8192
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    timed(lambda: a @ b, 3)
    return 2 * size**3 / min(timed(lambda: a @ b, 10) / 10 for _ in range(3))


def per_image(gan: ganzoo.GAN) -> float:
    """Operations of one forward pass of the mean of both networks over one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        gan.discriminator(gan.generator(torch.randn(2, *gan.latent_shape)))
    return counter.get_total_flops() / 4


class Turns(Callback):
    """Seconds of the trainer and of the textbook, for every interval between two lines of the log."""

    def __init__(self, textbook: Callable[[], object], every: int, textbook_steps: int) -> None:
        self.textbook, self.every, self.textbook_steps = textbook, every, textbook_steps
        self.rows: list[tuple[float, float]] = []
        self.left: float | None = None
        timed(textbook, 3)

    def on_step(self, run) -> None:
        if run.step % self.every:
            return
        wait()
        if self.left is not None:
            trainer = time.perf_counter() - self.left
            textbook = timed(self.textbook, self.textbook_steps)
            self.rows.append((trainer / self.every, textbook / self.textbook_steps))
        wait()
        self.left = time.perf_counter()


def networks(name: str) -> ganzoo.GAN:
    return ganzoo.create(name, seed=0, clusters=0)


def training(name: str, batch: int, peak: float) -> dict[str, object]:
    """The trainer and the textbook's loop on networks of a preset."""
    gan, twin = networks(name), networks(name).to(options.device)
    images = torch.randint(0, 256, (2048, gan.image_channels, gan.image_size, gan.image_size), dtype=torch.uint8)
    step, data = make_step(twin.generator, twin.discriminator, twin.latent_size, device=device), open_data(images)
    steps, every = (12, 4) if options.quick else (600, LOG_EVERY)
    turns = Turns(
        lambda: step(data.batch(torch.randint(len(data), (batch,))).to(device)), every, 2 if options.quick else 10
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ganzoo.Trainer(
            gan, images, Path(folder) / "run", batch_size=batch, steps=steps, callbacks=[turns], progress=False,
            penalties=(), device=options.device, clusters=0,
        ).fit()  # fmt: skip
    trainer, textbook = (statistics.median(column) for column in zip(*turns.rows))
    ratios = sorted(other / one for one, other in turns.rows)
    arithmetic = UNITS[0] * per_image(networks(name)) * batch
    return {
        "what": "training", "networks": name, "batch": batch, "trainer images/s": batch / trainer,
        "textbook images/s": batch / textbook, "ratio": textbook / trainer, "ratios": [ratios[0], ratios[-1]],
        "share of bf16 peak": arithmetic / trainer / peak,
        "without a graph": next((str(each.message) for each in caught if "CUDA graph" in str(each.message)), ""),
        "memory MB": torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else None,
    }  # fmt: skip


def sampling(name: str, batch: int) -> dict[str, object]:
    """`sample` in both precisions, and the generator called alone."""
    gan = ganzoo.from_pretrained(name, device=options.device)
    latents = torch.randn(batch, *gan.latent_shape, device=device)
    label = torch.zeros(batch, dtype=torch.long, device=device) if gan.label_count else None
    gan.generator.eval()

    def eager() -> object:
        with torch.no_grad():
            return gan.generator(latents) if label is None else gan.generator(latents, label)

    ways = {
        "eager": eager,
        "sample": lambda: gan.sample(batch, seed=0, batch_size=batch),
        "sample, fast": lambda: gan.sample(batch, seed=0, batch_size=batch, precision="fast"),
    }
    count = 2 if options.quick else max(5, 200 // batch)
    for way in ways.values():
        timed(way, 3)
    rounds = [{name: timed(way, count) / count for name, way in ways.items()} for _ in range(3)]
    seconds = {f"{way} ms": 1e3 * statistics.median(each[way] for each in rounds) for way in ways}
    return {"what": "sampling", "networks": name, "batch": batch, **seconds}


class Quality(Callback):
    """Distance against seconds of training; what it takes to measure is not counted."""

    def __init__(self, data: ImageData, every: int) -> None:
        self.data, self.every, self.rows, self.spent = data, every, [], 0.0

    def on_start(self, run) -> None:
        self.start = time.perf_counter()

    def on_step(self, run) -> None:
        if run.step % self.every:
            return
        wait()
        stopped = time.perf_counter()
        found = ganzoo.evaluate(
            run.averaged, data=self.data, samples=200 if options.quick else 10_000, classes=False, memorised=False,
            device=options.device,
        )  # fmt: skip
        distance = next(each["value"] for each in found.figures() if each["name"].startswith("FD"))
        self.rows.append((round(stopped - self.start - self.spent, 1), run.step, distance))
        self.spent += time.perf_counter() - stopped


def quality(peak: float) -> dict[str, object]:
    """Seconds until the garments of `fashion-mnist` are as good as aimed at; its weights go to the output folder."""
    try:
        data = open_data("fashion-mnist-mini" if options.quick else "fashion-mnist")
    except ganzoo.GanzooError as error:
        return {"what": "quality", "left out": str(error)}
    left = max(30.0, options.seconds - (time.perf_counter() - begun) - 30)
    seen = Quality(data, 4 if options.quick else 500)
    over = type(
        "Over", (Callback,), {"on_step": lambda self, run: time.perf_counter() - seen.start > left and run.stop("time")}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        ganzoo.Trainer(
            "fashion-mnist-quick", data, run, steps=8 if options.quick else 6000, callbacks=[seen, over()],
            progress=False, device=options.device,
        ).fit()  # fmt: skip
        shutil.make_archive(str(options.output / "model"), "tar", run / "model")
    reached = {
        f"seconds to FD {goal}": next((s for s, _, fd in seen.rows if fd <= goal), None) for goal in (0.28, 0.18)
    }
    return {"what": "quality", "networks": "fashion-mnist-quick", **reached, "course": seen.rows}


def main() -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    peak = matrix_peak()
    machine = {
        "device": name_of(device),
        "torch": torch.__version__,
        "bf16 TFLOP/s": peak / 1e12,
        "quick": options.quick,
    }
    pairs = [("pokemon-64-d2l", 64), ("pokemon-64", 64), ("fashion-mnist", 64)]
    pairs += [] if options.quick else [(name, 256) for name, _ in pairs]
    rows: list[Callable[[], dict[str, object]]] = [lambda pair=pair: training(*pair, peak) for pair in pairs]
    batches = (1, 4) if options.quick else (1, 64, 1024)
    rows += [
        lambda name=name, batch=batch: sampling(name, batch)
        for name in ("pokemon-64", "fashion-mnist")
        for batch in batches
    ]
    rows.append(lambda: quality(peak))
    print(json.dumps(machine), flush=True)
    with (options.output / "gpu.jsonl").open("a") as file:
        for row in rows:
            if time.perf_counter() - begun > options.seconds:
                print("no time is left for further rows")
                break
            try:
                found = row()
            except Exception as error:  # the next rows are wanted all the same
                found = {"failed": f"{type(error).__name__}: {error}"[:500]}
            print(
                "  ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in found.items()
                )
            )
            file.write(json.dumps({**machine, **found}) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
