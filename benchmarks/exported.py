"""Images a second of onnxruntime beside torch, for each bundled model: `python benchmarks/exported.py [--quick]`.

The three ways take turns, so that what else the machine does falls on all of them; a figure is the median of its turns.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import onnxruntime
import torch

import ganzoo
from ganzoo.saving.resolve import bundled_models

QUICK = "--quick" in sys.argv
TURNS, SECONDS = (3, 0.02) if QUICK else (15, 0.5)


def speed(draw, count):
    """Images a second of `draw`, which makes `count`."""
    calls, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < SECONDS:
        draw()
        calls += 1
    return calls * count / took


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    print(
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {torch.get_num_threads()} threads; images/s"
    )
    print(f"{'model':28}{'batch':>6}{'torch':>10}{'fast':>10}{'onnx':>10}{'onnx/torch':>12}")
    for name in list(bundled_models())[: 1 if QUICK else None]:
        gan = ganzoo.from_pretrained(name)
        with tempfile.TemporaryDirectory() as folder:
            done = ganzoo.export_onnx(gan, Path(folder) / "model.onnx")
            session = onnxruntime.InferenceSession(done.path, options)
        for count in (1, 64):
            latents, labels = ganzoo.latents.sample_latents(count, gan.latent_size, 0, num_classes=gan.num_classes)
            given = {"latents": latents.numpy(), **({} if labels is None else {"labels": labels.numpy()})}
            ways = {
                "torch": partial(gan.sample, latents=latents, labels=labels),
                "fast": partial(gan.sample, latents=latents, labels=labels, precision="fast"),
                "onnx": partial(session.run, None, given),
            }
            for draw in ways.values():
                draw()
            turns = [{way: speed(draw, count) for way, draw in ways.items()} for _ in range(TURNS)]
            rates = "".join(f"{median(turn[way] for turn in turns):10,.0f}" for way in ways)
            ratio = median(turn["onnx"] / turn["torch"] for turn in turns)
            print(f"{name:28}{count:6}{rates}{ratio:11.2f}x", flush=True)


if __name__ == "__main__":
    main()
