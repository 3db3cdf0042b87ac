"""Fashion-MNIST, by class: python examples/fashion_mnist.py [STEPS] [DATA] [--overwrite]

15,000 steps take more than an hour on a CPU; the trainer prints the expected time. Fashion-MNIST is downloaded if it is
not on the computer.
"""

import argparse

import torch

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=15_000)
parser.add_argument("data", nargs="?", default="fashion-mnist")
parser.add_argument("--overwrite", action="store_true", help="replace the run of an earlier call")
given = parser.parse_args()
try:
    result = ganzoo.Trainer(
        "fashion-mnist-conditional",
        data=given.data,
        output_dir="runs/example-by-class",
        steps=given.steps,
        overwrite=given.overwrite,
    ).fit()
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")

gan = ganzoo.from_pretrained(result.model)
labels = torch.arange(80) % 10  # eight rows, a class in each column
ganzoo.images.save(ganzoo.images.grid(gan.sample(80, seed=0, labels=labels), columns=10), "pictures/by-class.png")
print("picture: pictures/by-class.png, with the columns", ", ".join(gan.class_names))
