"""The chapter's first exercise: what happens if the discriminator has ReLU in place of leaky ReLU?

    python examples/relu_against_leaky_relu.py [--data fashion-mnist] [--steps 2000] [--output runs/relu]

Both are trained from one seed on the same batches. Curves and samples go side by side into compare.png (pip install
matplotlib), and both are measured against the test split, where there is one.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="fashion-mnist")
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--samples", type=int, default=5000, help="for the figures; 0: none")
parser.add_argument("--output", type=Path, default=Path("runs/relu"))
options = parser.parse_args()
try:
    from matplotlib.figure import Figure
except ImportError as error:
    parser.exit(2, f"{error}: pip install matplotlib\n")

ACTIVATIONS = ("leaky_relu", "relu")
figure = Figure(figsize=(9, 7), layout="constrained")
axes = figure.subplots(2, 2)
for column, activation in enumerate(ACTIVATIONS):
    gan = ganzoo.create("fashion-mnist", discriminator={"activation": activation}, seed=0)
    run = options.output / activation
    rules = {"steps": options.steps, "batch_size": 64, "score_every": 0}
    try:
        result = ganzoo.Trainer(gan, options.data, run, overwrite=True, **rules).fit()
        measured = {"samples": options.samples, "classes": False, "memorised": False}
        found = ganzoo.evaluate(result.model, options.data, **measured).figures() if options.samples else []
    except ganzoo.GanzooError as error:
        parser.exit(2, f"{error}\n")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [entry for entry in log if "generator_loss" in entry]
    for name in ("discriminator_loss", "generator_loss"):
        axes[0, column].plot([e["step"] for e in losses], [e[name] for e in losses], label=name.replace("_", " "))
    axes[0, column].set(title=activation, xlabel="step", ylim=(0, 4))
    axes[0, column].legend(frameon=False)
    axes[1, column].imshow(Image.open(result.model / "samples" / "grid.png"), cmap="gray")
    axes[1, column].axis("off")
    print(f"{activation}: last losses D {losses[-1]['discriminator_loss']:.2f}, G {losses[-1]['generator_loss']:.2f}")
    remarks = [entry["remark"] for entry in log if "remark" in entry]
    print(f"  the doctor said: {', '.join(remarks) or 'nothing'}")
    if found:
        print("  " + ", ".join(f"{each['name']} {each['value']:.3g}" for each in found))
figure.savefig(options.output / "compare.png", dpi=100)
print(f"side by side: {options.output / 'compare.png'}")
