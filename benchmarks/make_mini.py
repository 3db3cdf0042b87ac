"""Make src/ganzoo/data/files/fashion-mnist-mini.npz: the first 200 training images of each class of Fashion-MNIST."""

from pathlib import Path

import numpy as np
import torch

from ganzoo.data import open_data

data = open_data("fashion-mnist")
assert data.labels is not None
chosen = torch.cat([(data.labels == label).nonzero()[:200, 0] for label in range(10)]).sort().values
path = Path(__file__).parents[1] / "src" / "ganzoo" / "data" / "files" / "fashion-mnist-mini.npz"
path.parent.mkdir(exist_ok=True)
np.savez_compressed(
    path, images=np.take(data.images, chosen.numpy(), axis=0)[:, 0], labels=data.labels[chosen].numpy().astype(np.uint8)
)
print(f"{path}: {path.stat().st_size:,} bytes")
