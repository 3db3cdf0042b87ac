"""Images a second in sampling, and the seconds from a process's start to a PNG.

    python benchmarks/sampling.py [MODEL ...] [--minutes 2] [--device cuda]

For each batch size the generator called alone (eager), `sample`, `sample(precision="fast")` and, on the CPU, the
exported ONNX file in onnxruntime take turns; then processes that write one picture, beside `python -c "import torch"`,
which is the least that such a process needs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from measure import Results, parser, ratios, rounds, spread, timed

import ganzoo

MODELS = ("fashion-mnist", "pokemon-64")
BATCHES = (1, 16, 64, 256)


def sampling(name: str, batch: int, seconds: float, device: str, quick: bool = False) -> list[dict[str, Any]]:
    """A row for each way to draw `batch` images of a bundled model."""
    gan = ganzoo.from_pretrained(name, device=device)
    latents, labels = ganzoo.latents.sample_latents(batch, gan.latent_size, 0, num_classes=gan.num_classes)
    labels = gan.network_labels(latents, labels)
    latents = latents.reshape(-1, *gan.latent_shape).to(device)
    inputs = [latents] if labels is None else [latents, labels.to(device)]
    gan.generator.eval()

    def eager() -> None:
        with torch.no_grad():
            gan.generator(*inputs)

    calls: dict[str, Callable[[], object]] = {
        "eager": eager,
        "sample": lambda: gan.sample(batch, seed=0, batch_size=batch),
        "sample, fast": lambda: gan.sample(batch, seed=0, batch_size=batch, precision="fast"),
    }
    if device == "cpu":
        calls["onnxruntime"] = exported(name, batch)
    for call in calls.values():
        timed(call, 2, device)
    count = 1 if quick else max(1, round(0.2 / timed(eager, 1, device)))  # calls of a turn: about 0.2 s
    ways = {way: lambda call=call: timed(call, count, device) for way, call in calls.items()}
    found = list(rounds(ways, seconds, least=2 if quick else 5))
    facts = {"model": name, "batch": batch, "rounds": len(found)}
    return [
        {
            **facts, "way": way, "ms": spread([1e3 * each[way] / count for each in found]),
            "images/s": spread([batch * count / each[way] for each in found]),
            "times eager": ratios(found, way, "eager"),
        }
        for way in calls
    ]  # fmt: skip


def exported(name: str, batch: int) -> Callable[[], object]:
    """A call of the generator's ONNX file in onnxruntime."""
    gan, session = ganzoo.from_pretrained(name), onnx_session(name)
    latents, labels = ganzoo.latents.sample_latents(batch, gan.latent_size, 0, num_classes=gan.num_classes)
    given = {"latents": latents.numpy(), **({} if labels is None else {"labels": labels.numpy()})}
    return lambda: session.run(None, given)


@cache
def onnx_session(name: str) -> Any:
    """A bundled model exported and opened, on as many threads as torch has; they sleep while others have their turn."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        done = ganzoo.export_onnx(ganzoo.from_pretrained(name), Path(folder) / "model.onnx")
        return onnxruntime.InferenceSession(done.path, options)


def starts(models: list[str], seconds: float, quick: bool) -> dict[str, Any]:
    """The row of processes, from start to end: `import torch`, and a picture of each model."""

    def process(*words: str) -> float:
        return timed(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True))

    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "picture.png")
        ways = {
            model: lambda model=model: process(
                "-m", "ganzoo", "sample", model, "--count", "1", "--output", picture, "--overwrite"
            )
            for model in models
        }
        ways["import torch"] = lambda: process("-c", "import torch")
        found = list(rounds(ways, seconds, least=1 if quick else 5))
    beyond = {way: spread([each[way] - each["import torch"] for each in found]) for way in models}
    seconds_of = {way: spread([each[way] for each in found]) for way in ways}
    return {"starts": True, "s": seconds_of, "beyond import torch": beyond, "rounds": len(found)}


def main() -> None:
    made = parser(__doc__, 2)
    made.add_argument("models", nargs="*", default=list(MODELS))
    options: argparse.Namespace = made.parse_args()
    results = Results(options)
    models = options.models[: 1 if options.quick else None]
    batches = BATCHES[:1] if options.quick else BATCHES
    each = 0 if options.quick else options.minutes * 60 / (len(models) * len(batches) + 1)
    for model in models:
        for batch in batches:
            for row in sampling(model, batch, each, options.device, options.quick):
                results.write(row)
    results.write(starts(models, each, options.quick))


if __name__ == "__main__":
    main()
