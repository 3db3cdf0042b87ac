"""What the benchmarks share: their options, facts of the machine, turns, figures with their spread, lines of JSON.

Ways to do one thing take turns within the same seconds, so that whatever slows the machine down slows all of them; a
figure is the median over the rounds, and beside it stand the lowest and the highest. `tables.py` makes the tables of
`docs/benchmarks.md` of the lines.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

import ganzoo
from ganzoo.hardware import fast_bfloat16, name_of

HERE = Path(__file__).parent
Ways = Mapping[str, Callable[[], float]]  # what a way is called: a call of it returns seconds


def parser(text: str, minutes: float) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="tiny, to try the script: the figures mean nothing")
    made.add_argument("--minutes", type=float, default=minutes, help=f"about how long it takes ({minutes:g})")
    made.add_argument("--device", default="cpu")
    made.add_argument("--output", type=Path, default=HERE / "results", help="folder for the lines of JSON")
    return made


class Results:
    """Writes rows as lines of JSON into `NAME.jsonl`, each with facts of the machine, and prints them."""

    def __init__(self, options: argparse.Namespace) -> None:
        name = Path(sys.argv[0]).stem
        options.output.mkdir(parents=True, exist_ok=True)
        self._path = options.output / f"{name}.jsonl"
        device = torch.device(options.device)
        self.facts: dict[str, Any] = {
            "machine": name_of(device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "ganzoo": ganzoo.__version__,
            "date": datetime.date.today().isoformat(),
            "command": shlex.join(["python", f"benchmarks/{name}.py", *_without_output(sys.argv[1:])]),
            "GFLOP/s": peaks(device, options.quick),
        }

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row, which tells what was measured and what came out."""
        with self._path.open("a") as file:
            file.write(json.dumps({**row, **self.facts}) + "\n")
        print("  ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)


def _without_output(words: list[str]) -> list[str]:
    """A command's words without where its lines go."""
    return [word for before, word in zip(["", *words], words) if "--output" not in (before, word)]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, list) else str(value)


def wait(device: torch.device | str) -> None:
    """Until the device has done what it was told."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], count: int = 1, device: torch.device | str = "cpu") -> float:
    """Seconds of `count` calls."""
    wait(device)
    start = time.perf_counter()
    for _ in range(count):
        work()
    wait(device)
    return time.perf_counter() - start


def peaks(device: torch.device | str, quick: bool = False) -> dict[str, float | None]:
    """The device's matrix peak by dtype, in GFLOP/s: large square products; None: it has no instructions for it."""
    found: dict[str, float | None] = {"float32": None, "bf16": None}
    kind = torch.device(device).type
    size = 256 if quick else 8192 if kind == "cuda" else 2048
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        if name == "bf16" and not fast_bfloat16(device):
            continue
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        timed(lambda a=a, b=b: a @ b, 2, device)
        best = min(timed(lambda a=a, b=b: a @ b, 3, device) / 3 for _ in range(3))
        found[name] = 2 * size**3 / best / 1e9
    return found


def rounds(ways: Ways, seconds: float, least: int = 3) -> Iterator[dict[str, float]]:
    """Call all ways in turns, for `seconds` and `least` rounds at least; what each returned, round by round."""
    end, done = time.perf_counter() + seconds, 0
    while done < least or time.perf_counter() < end:
        yield {name: way() for name, way in ways.items()}
        done += 1


def spread(values: list[float]) -> list[float]:
    """Median, lowest and highest."""
    return [statistics.median(values), min(values), max(values)]


def ratios(found: list[dict[str, float]], one: str, other: str) -> list[float]:
    """How many times as quick `one` is as `other`, with its spread over the rounds."""
    return spread([each[other] / each[one] for each in found])
