"""Fashion-MNIST, by class: python examples/fashion_mnist.py [STEPS] [DATA]

15,000 steps take some twenty minutes on a core with bfloat16 instructions, twice that without; where Fashion-MNIST is
not on the machine it is downloaded.
"""

import sys

import torch

import ganzoo

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 15_000
data = sys.argv[2] if len(sys.argv) > 2 else "fashion-mnist"
result = ganzoo.Trainer("fashion-mnist-conditional", data=data, output_dir="runs/by-class", steps=steps).fit()

gan = ganzoo.from_pretrained(result.model)
labels = torch.arange(80) % 10  # eight rows, a class in each column
ganzoo.images.save(ganzoo.images.grid(gan.sample(80, seed=0, labels=labels), columns=10), "pictures/by-class.png")
print("columns:", ", ".join(gan.class_names))
