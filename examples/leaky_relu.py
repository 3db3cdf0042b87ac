"""The chapter's plot, leaky ReLU for six slopes below zero: python examples/leaky_relu.py [FILE]

It needs matplotlib (pip install matplotlib).
"""

import argparse

import torch

from ganzoo.blocks import make_activation

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file", nargs="?", default="leaky-relu.png")
file = parser.parse_args().file
try:
    from matplotlib.figure import Figure
except ImportError as error:
    parser.exit(2, f"{error}: pip install matplotlib\n")
x = torch.linspace(-2, 1, 301)
figure = Figure(figsize=(5, 4), layout="constrained")
axes = figure.subplots()
for slope in (0, 0.2, 0.4, 0.6, 0.8, 1):
    axes.plot(x, make_activation("leaky_relu", slope=slope)(x), label=f"{slope:g}")
axes.set(xlabel="x", ylabel="leaky ReLU of x")
axes.legend(title="slope")
axes.grid(alpha=0.3)
try:
    figure.savefig(file, dpi=100)
except (OSError, ValueError) as error:  # ValueError: matplotlib does not know the ending
    parser.exit(2, f"{error}\n")
print(f"picture: {file}")
