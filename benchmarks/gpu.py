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
from measure import peaks, timed, wait
from sampling import sampling
from textbook import make_step
from throughput import arithmetic
from time_to_quality import Quality
from training_ways import networks

import ganzoo
from ganzoo.data import open_data
from ganzoo.hardware import name_of
from ganzoo.training import Callback

LOG_EVERY = 50
STAGES: list[tuple[int, dict[str, object]]] = [  # of `quality`: as the bundled model was trained, in fewer steps
    (24_000, {}),
    (10_000, {"augmentations": ("translation(strength=0.3)",)}),
]

arguments = argparse.ArgumentParser()
arguments.add_argument("--device", default="cuda")
arguments.add_argument("--quick", action="store_true", help="a few steps of each, to try the script")
arguments.add_argument(
    "--seconds", type=float, default=300, help="of the whole run; rows that would begin later are left out"
)
arguments.add_argument("--only", choices=("training", "sampling", "quality"), help="these rows alone")
arguments.add_argument("--output", type=Path, default=Path("benchmarks/results"))
options = arguments.parse_args()
device, begun = torch.device(options.device), time.perf_counter()


class Turns(Callback):
    """Seconds of the trainer and of the textbook, for every interval between two lines of the log."""

    def __init__(self, textbook: Callable[[], object], every: int, textbook_steps: int) -> None:
        self.textbook, self.every, self.textbook_steps = textbook, every, textbook_steps
        self.rows: list[tuple[float, float]] = []
        self.left: float | None = None
        timed(textbook, 3, device)

    def on_step(self, run) -> None:
        if run.step % self.every:
            return
        wait(device)
        if self.left is not None:
            trainer = time.perf_counter() - self.left
            textbook = timed(self.textbook, self.textbook_steps, device)
            self.rows.append((trainer / self.every, textbook / self.textbook_steps))
        wait(device)
        self.left = time.perf_counter()


def training(name: str, batch: int, peak: float) -> dict[str, object]:
    """The trainer and the textbook's loop on networks of a preset."""
    gan = networks(name)
    images = torch.randint(0, 256, (2048, gan.image_channels, gan.image_size, gan.image_size), dtype=torch.uint8)

    def train(steps: int, *callbacks: Callback) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ganzoo.Trainer(
                gan, images, Path(folder) / "run", batch_size=batch, steps=steps, callbacks=[*callbacks],
                progress=False, penalties=(), device=options.device, clusters=0,
            ).fit()  # fmt: skip

    memory = None
    if device.type == "cuda":  # before the textbook's networks take some
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        train(20)
        memory = torch.cuda.max_memory_reserved(device) / 1e6  # what graphs keep is reserved, not allocated
    twin = networks(name).to(options.device)
    step, data = make_step(twin.generator, twin.discriminator, twin.latent_size, device=device), open_data(images)
    steps, every = (12, 4) if options.quick else (600, LOG_EVERY)
    turns = Turns(
        lambda: step(data.batch(torch.randint(len(data), (batch,))).to(device)), every, 2 if options.quick else 10
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(steps, turns)
    trainer, textbook = (statistics.median(column) for column in zip(*turns.rows))
    ratios = sorted(other / one for one, other in turns.rows)
    return {
        "what": "training", "networks": name, "batch": batch, "trainer images/s": batch / trainer,
        "textbook images/s": batch / textbook, "ratio": textbook / trainer, "ratios": [ratios[0], ratios[-1]],
        "share of peak": arithmetic(name, "trainer") * batch / trainer / 1e9 / peak,
        "without a graph": next((str(each.message) for each in caught if "CUDA graph" in str(each.message)), ""),
        "memory MB": memory,
    }  # fmt: skip


def sampled(name: str, batch: int) -> dict[str, object]:
    """Milliseconds of each way to sample."""
    found = sampling(name, batch, 0.0 if options.quick else 1.5, options.device, options.quick)
    return {"what": "sampling", "networks": name, "batch": batch, **{f"{row['way']} ms": row["ms"] for row in found}}


def quality() -> dict[str, object]:
    """Seconds until garments are as good as aimed at; the weights go to the output folder."""
    source = "fashion-mnist-mini" if options.quick else "fashion-mnist"
    try:
        data = open_data(source)
    except ganzoo.GanzooError as error:
        return {"what": "quality", "left out": str(error)}
    end = max(begun + options.seconds, time.perf_counter() + 60) - 30  # of the clock: measuring takes time too
    every, samples = (4, 200) if options.quick else (2000, 10_000)
    seen = Quality(source, set(range(every, 10**5, every)), samples, options.device)

    class Over(Callback):
        def on_step(self, run) -> None:
            if time.perf_counter() > end:
                run.stop("time")

    with tempfile.TemporaryDirectory() as folder:
        model: ganzoo.GAN | str = "fashion-mnist"
        for number, (steps, changes) in enumerate(STAGES):
            run = Path(folder) / f"run-{number}"
            result = ganzoo.Trainer(
                model, data, run, steps=8 if options.quick else steps, callbacks=[seen, Over()], progress=False,
                device=options.device, **changes,
            ).fit()  # fmt: skip
            seen.before += steps
            model = ganzoo.from_pretrained(run, discriminator=True)
            if not result.finished:
                break
        shutil.make_archive(str(options.output / "model"), "tar", run / "model")
    reached = {
        f"seconds to FD {goal}": next((row[0] for row in seen.course if row[-1] <= goal), None) for goal in (0.28, 0.18)
    }
    return {"what": "quality", "networks": "fashion-mnist", **reached, "course": seen.course}


def main() -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    found = peaks(device, options.quick)
    peak = found["bf16"] or found["float32"]
    machine = {"device": name_of(device), "torch": torch.__version__, "GFLOP/s": found, "quick": options.quick}
    pairs = [("pokemon-64-d2l", 64), ("pokemon-64", 64), ("fashion-mnist", 64)]
    pairs += [] if options.quick else [(name, 256) for name, _ in pairs]
    rows: list[tuple[str, Callable[[], dict[str, object]]]] = [
        ("training", lambda pair=pair: training(*pair, peak)) for pair in pairs
    ]
    batches = (1, 4) if options.quick else (1, 64, 1024)
    for name in ("pokemon-64", "fashion-mnist"):
        for batch in batches:
            rows.append(("sampling", lambda name=name, batch=batch: sampled(name, batch)))
    rows.append(("quality", quality))
    print(json.dumps(machine), flush=True)
    with (options.output / "gpu.jsonl").open("a") as file:
        for _, row in (each for each in rows if options.only in (None, each[0])):
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
