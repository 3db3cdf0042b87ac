"""Images a second in training: the whole trainer beside the textbook's loop and others' trainers, in turns.

    python benchmarks/throughput.py [NETWORKS ...] [--batch 64 128] [--minutes 6] [--others FOLDER]

All ways train equal networks on equal images, each in a process of its own that waits while the others work. The
trainer has everything as users get it: average, log, doctor, samples, scores, checkpoints, report. `training_ways.py`
holds the ways, and says what to install for those of others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from measure import HERE, Results, parser, ratios, rounds, spread
from textbook import make_step
from torch.utils.flop_counter import FlopCounterMode
from training_ways import WAYS, bare_step, networks

import ganzoo

NETWORKS = ("pokemon-64-d2l", "pokemon-64", "fashion-mnist")  # the chapter's at 64 px, a preset's, and at 28 px
OTHERS = ("torchgan", "particlegan")
LEFT_OUT = {"lightweight-gan 1.2.1": "its Trainer trains only its own networks, and only on CUDA"}


class Worker:
    """A way in a process of its own; a call of it makes `steps` steps and returns their seconds."""

    def __init__(self, way: str, name: str, batch: int, environment: dict[str, str]) -> None:
        command = [sys.executable, str(HERE / "training_ways.py"), way, name, str(batch)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=environment, text=True, **pipes)
        self.steps = 1
        self.error = ""
        self._extra = self._read("ready")

    def _read(self, word: str) -> float:
        """The number behind `word`; libraries may print other lines."""
        assert self._process.stdout is not None and self._process.stderr is not None
        for line in self._process.stdout:
            if line.startswith(f"{word} "):
                return float(line.split()[1])
        self.error = (self._process.stderr.read().strip().splitlines() or ["it ended"])[-1]
        return 0.0

    def __call__(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.steps}\n")
        self._process.stdin.flush()
        return self._read("turn") + self._extra * self.steps

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def arithmetic(name: str, way: str) -> int:
    """Operations that one image needs in a step of `way`, backward passes included."""
    gan, count = networks(name), 4
    real = torch.randn(count, gan.image_channels, gan.image_size, gan.image_size)
    step = bare_step(gan, one_stage="one-stage" in way)
    if way == "textbook loop":
        step = make_step(gan.generator.cpu(), gan.discriminator.cpu(), gan.latent_size)
    with FlopCounterMode(display=False) as counter:
        step(real)
    return counter.get_total_flops() // count


def measure(name: str, batch: int, options: argparse.Namespace, results: Results) -> None:
    """Rows of all ways on these networks at this batch."""
    others = [str(options.others)] if options.others else []
    path = os.pathsep.join([*others, str(Path(ganzoo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    chosen = ["trainer", "textbook loop"] if options.quick else [*WAYS]
    workers = {way: Worker(way, name, batch, environment) for way in chosen}
    size = networks(name).image_size
    facts: dict[str, Any] = {"networks": name, "size": size, "batch": batch}
    for way, reason in {**LEFT_OUT, **{way: worker.error for way, worker in workers.items() if worker.error}}.items():
        results.write({**facts, "way": way, "left out": reason})
    ways = {way: worker for way, worker in workers.items() if not worker.error}
    seconds = options.minutes * 60 / len(options.networks) / len(options.batch)
    if not options.quick:
        for way in ways.values():  # turns of about two seconds
            way.steps = max(1, round(2 / way()))
    per_step = [
        {way: took / ways[way].steps for way, took in each.items()}
        for each in rounds(ways, 0 if options.quick else seconds, least=2 if options.quick else 3)
    ]
    for worker in workers.values():
        worker.close()
    peaks = results.facts["GFLOP/s"]
    peak = peaks["bf16"] or peaks["float32"]
    for way in ways:
        row = {**facts, "way": way, "images/s": spread([batch / each[way] for each in per_step])}
        row["times textbook"] = ratios(per_step, way, "textbook loop")
        if way in OTHERS:
            row["way"] = f"{way} {_version(way, options.others)}"
        else:
            needed = arithmetic(name, way)
            row |= {"GFLOP an image": needed / 1e9, "share of peak": needed / 1e9 * row["images/s"][0] / peak}
        results.write({**row, "rounds": len(per_step)})


def _version(package: str, folder: Path | None) -> str:
    found = metadata.distributions(name=package, path=[str(folder)]) if folder else metadata.distributions(name=package)
    return next((each.version for each in found), "")


def main() -> None:
    made = parser(__doc__, 6)
    made.add_argument("networks", nargs="*", default=[NETWORKS[0], NETWORKS[2]], help=f"of {', '.join(NETWORKS)}")
    made.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    made.add_argument("--others", type=Path, help="folder with torchgan and particlegan")
    options = made.parse_args()
    if options.quick:
        options.networks, options.batch = ["fashion-mnist"], [4]
    results = Results(options)
    for name in options.networks:
        for batch in options.batch:
            measure(name, batch, options, results)


if __name__ == "__main__":
    main()
