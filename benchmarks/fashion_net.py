"""Train fashion-net, the bundled classifier, on the training split of Fashion-MNIST; test once, at the end.

    python benchmarks/fashion_net.py src/ganzoo/evaluation/files/fashion-net.safetensors [--epochs 40]

The last weights are kept, not the best on the test images: those choose nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ganzoo
from ganzoo.evaluation.nets import FashionNet
from ganzoo.hardware import fast_bfloat16

arguments = argparse.ArgumentParser()
arguments.add_argument("output", type=Path)
arguments.add_argument("--epochs", type=int, default=40)
arguments.add_argument("--batch-size", type=int, default=256)
arguments.add_argument("--learning-rate", type=float, default=0.2)
options = arguments.parse_args()

torch.manual_seed(0)
train = ganzoo.data.open_data("fashion-mnist")
test = ganzoo.data.open_data("fashion-mnist", split="test")
network = FashionNet().to(memory_format=torch.channels_last)
steps = options.epochs * (len(train) // options.batch_size)
optimizer = torch.optim.SGD(network.parameters(), options.learning_rate, 0.9, nesterov=True, weight_decay=5e-4)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, steps, pct_start=0.15)
loss = nn.CrossEntropyLoss(label_smoothing=0.1)
autocast = torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16(torch.device("cpu")))


def disturb(images: Tensor) -> Tensor:
    """Shift by up to two pixels and grey out a square of 7, each image by a draw of its own."""
    count, _, size, _ = images.shape
    rows, columns = torch.randint(-2, 3, (2, count, 1))
    positions = torch.arange(size)
    y, x = ((positions + shift).clamp(0, size - 1) for shift in (rows, columns))
    images = images[torch.arange(count)[:, None, None], 0, y[:, :, None], x[:, None, :]][:, None]
    top, left = torch.randint(-4, size - 4, (2, count, 1))
    hidden = ((positions - top).abs() < 4)[:, :, None] & ((positions - left).abs() < 4)[:, None, :]
    return images.masked_fill(hidden[:, None], 0.0)


def accuracy(model: FashionNet) -> float:
    assert test.labels is not None
    model.eval()
    with torch.no_grad():
        parts = torch.arange(len(test)).split(1000)
        hits = [model.classify(model(test.batch(part))).argmax(1) == test.labels[part] for part in parts]
    return float(torch.cat(hits).float().mean())


assert train.labels is not None
start = time.perf_counter()
for epoch in range(options.epochs):
    network.train()
    total = 0.0
    for batch in torch.randperm(len(train)).split(options.batch_size)[: len(train) // options.batch_size]:
        images = disturb(train.batch(batch)).contiguous(memory_format=torch.channels_last)
        with autocast:
            value = loss(network.classify(network(images)), train.labels[batch])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        total += value.item()
    minutes = (time.perf_counter() - start) / 60
    print(f"epoch {epoch + 1}  loss {total / (len(train) // options.batch_size):.4f}  {minutes:.1f} min", flush=True)

half = {
    name: value.half().contiguous() if value.is_floating_point() else value
    for name, value in network.state_dict().items()
}
rounded = FashionNet()
rounded.load_state_dict(half)
facts = {"test_accuracy": accuracy(rounded), "epochs": options.epochs, "data_hash": train.hash, "minutes": minutes}
print(facts)
options.output.parent.mkdir(parents=True, exist_ok=True)
save_file(half, options.output, metadata={"fashion-net": json.dumps(facts)})
