"""Train color-net, the bundled features of colour, on emoji of two vendors and on CIFAR-10; test once, at the end.

    npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0
    python benchmarks/color_net.py src/ganzoo/evaluation/files/color-net.safetensors \
        --google emoji-datasource-google-16.0.0.tgz --twitter emoji-datasource-twitter-16.0.0.tgz \
        --cifar cifar10.zip [--images 500000]

One head names the emoji (a skin tone is no other emoji), whoever drew it; one head names CIFAR-10's class. Every eighth
emoji is trained in Google's drawing alone: how often Twitter's is then recognised is the test, beside CIFAR-10's test
images. The last averaged weights are kept, not the best on the tests: those choose nothing. A run that is stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import re
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.evaluation.nets import COLOR_FEATURES, COLOR_SIZE, ColorNet
from ganzoo.hardware import fast_bfloat16

arguments = argparse.ArgumentParser()
arguments.add_argument("output", type=Path)
arguments.add_argument("--google", type=Path, required=True)
arguments.add_argument("--twitter", type=Path, required=True)
arguments.add_argument("--cifar", type=Path, required=True, help="a zip of cifar10/<train or test>/<class>/<file>")
arguments.add_argument("--images", type=int, default=500_000)
arguments.add_argument("--checkpoint", type=Path, default=Path("color-net.pt"))
options = arguments.parse_args()

HALF, RATE, AVERAGE = 64, 0.1, 0.998  # images of either kind a batch; the peak rate; decay of the average
autocast = torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16(torch.device("cpu")))
SKIN = re.compile(r"-1f3f[b-f]")


def read_emoji(path: Path) -> dict[str, Tensor]:
    """Of each file, uint8 (4, 64, 64): colours and how far the ground is covered."""
    with tarfile.open(path) as archive:
        found = {}
        for member in archive:
            if re.fullmatch(r"package/img/\w+/64/[^/]+\.png", member.name):
                picture = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGBA")  # type: ignore[union-attr]
                found[Path(member.name).stem] = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        return found


def read_cifar(path: Path, split: str) -> tuple[Tensor, Tensor]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if f"/{split}/" in name and not name.endswith("/"))
        classes = sorted({name.split("/")[-2] for name in names})
        pictures = [np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    labels = torch.tensor([classes.index(name.split("/")[-2]) for name in names])
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), labels


google, twitter = read_emoji(options.google), read_emoji(options.twitter)
identities = sorted({SKIN.sub("", name) for name in google})
number = {name: index for index, name in enumerate(identities)}
held_out = {name for index, name in enumerate(identities) if index % 8 == 7}
rows = [(value, number[SKIN.sub("", name)]) for name, value in google.items()]
rows += [
    (value, number[SKIN.sub("", name)])
    for name, value in twitter.items()
    if SKIN.sub("", name) in number and SKIN.sub("", name) not in held_out
]
emoji, emoji_labels = torch.stack([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
tests = [(value, number[name]) for name, value in twitter.items() if name in held_out]
photographs, photograph_labels = read_cifar(options.cifar, "train")


def on_ground(pictures: Tensor, ground: Tensor) -> Tensor:
    """RGBA (N, 4, 64, 64) over colours (N, 3, 1, 1), in [-1, 1]."""
    pictures = pictures.float() / 255
    share = pictures[:, 3:]
    return (pictures[:, :3] * share + ground * (1 - share)) * 2 - 1


def disturb(images: Tensor, turn: float, shrink: float, mirror: bool) -> Tensor:
    """Turn, stretch, shift and resample each image by a draw of its own, and change its colours and sharpness."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * turn
    scale = 1 + (torch.rand(2, count) * 2 - 1) * shrink
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0) if mirror else torch.ones(count)
    shift = (torch.rand(2, count) * 2 - 1) * 0.15
    cosine, sine = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([flip * cosine * scale[0], -sine * scale[0], shift[0]], 1),
            torch.stack([flip * sine * scale[1], cosine * scale[1], shift[1]], 1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [count, 3, COLOR_SIZE, COLOR_SIZE], align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    brightness, contrast, colour = ((torch.rand(count, 1, 1, 1) * 2 - 1) * 0.3 for _ in range(3))
    images = images + brightness
    images = (images - images.mean((1, 2, 3), keepdim=True)) * (1 + contrast) + images.mean((1, 2, 3), keepdim=True)
    images = (images - images.mean(1, keepdim=True)) * (1 + colour) + images.mean(1, keepdim=True)
    if torch.rand(()) < 0.3:  # as a blurred model draws
        small = int(torch.randint(20, 48, ()))
        images = F.interpolate(F.interpolate(images, (small, small), mode="bilinear", antialias=True), COLOR_SIZE)
    return images.clamp(-1, 1)


def emoji_batch() -> tuple[Tensor, Tensor]:
    chosen = torch.randint(len(emoji), (HALF,))
    ground = torch.rand(HALF, 3, 1, 1)
    ground[torch.rand(HALF) < 0.6] = 1.0  # drawings are mostly on white
    return disturb(on_ground(emoji[chosen], ground), 0.35, 0.2, mirror=False), emoji_labels[chosen]


def photograph_batch() -> tuple[Tensor, Tensor]:
    chosen = torch.randint(len(photographs), (HALF,))
    images = enlarged(photographs[chosen])
    return disturb(images, 0.1, 0.1, mirror=True), photograph_labels[chosen]


def enlarged(images: Tensor) -> Tensor:
    return F.interpolate(images.float() / 127.5 - 1, (COLOR_SIZE, COLOR_SIZE), mode="bilinear", antialias=True)


class Trained(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = ColorNet()
        self.emoji, self.photographs = nn.Linear(COLOR_FEATURES, len(identities)), nn.Linear(COLOR_FEATURES, 10)


def accuracy(head: nn.Module, images: Tensor, labels: Tensor, trunk: nn.Module) -> float:
    with torch.no_grad():
        hits = [head(trunk(batch)).argmax(1) for batch in images.split(500)]
    return float((torch.cat(hits) == labels).float().mean())


torch.manual_seed(0)
network = Trained().to(memory_format=torch.channels_last)
average = copy.deepcopy(network)
steps = options.images // (2 * HALF)
optimizer = torch.optim.SGD(network.parameters(), RATE, 0.9, nesterov=True, weight_decay=5e-4)
loss = nn.CrossEntropyLoss(label_smoothing=0.1)
step, seconds = 0, 0.0
if options.checkpoint.exists():
    state = torch.load(options.checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    step, seconds = state["step"], state["seconds"]
start = time.perf_counter() - seconds
while step < steps:
    torch.manual_seed(step)
    network.train()
    rate = RATE * min(1, (step + 1) / 300) * (1 + math.cos(math.pi * step / steps)) / 2
    for group in optimizer.param_groups:
        group["lr"] = rate
    (drawn, names), (seen, kinds) = emoji_batch(), photograph_batch()
    with autocast:
        features = network.trunk(torch.cat([drawn, seen]).contiguous(memory_format=torch.channels_last))
        value = loss(network.emoji(features[:HALF]), names) + loss(network.photographs(features[HALF:]), kinds)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    step += 1
    with torch.no_grad():
        decay = min(AVERAGE, (1 + step) / (10 + step))
        for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            mean.lerp_(now, 1 - decay) if mean.is_floating_point() else mean.copy_(now)
    if step % 100 == 0 or step == steps:
        seconds = time.perf_counter() - start
        print(f"step {step} of {steps}  loss {float(value):.3f}  {seconds / 60:.1f} min", flush=True)
        state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "step": step, "seconds": seconds}, options.checkpoint)

half = {
    name: value.half().contiguous() if value.is_floating_point() else value
    for name, value in average.trunk.state_dict().items()
}
average.eval()
average.trunk.load_state_dict(half)
unseen = on_ground(torch.stack([value for value, _ in tests]), torch.ones(len(tests), 3, 1, 1))
test_photographs, test_labels = read_cifar(options.cifar, "test")
facts = {
    "other_vendor_accuracy": accuracy(average.emoji, unseen, torch.tensor([each for _, each in tests]), average.trunk),
    "cifar10_test_accuracy": accuracy(average.photographs, enlarged(test_photographs), test_labels, average.trunk),
    "emoji": len(identities),
    "held_out_emoji": len(tests),
    "images_seen": steps * 2 * HALF,
    "learned_from": "Noto Emoji (Apache-2.0), Twemoji (CC-BY 4.0), CIFAR-10 (a JPEG copy)",
}
print(facts)
options.output.parent.mkdir(parents=True, exist_ok=True)
save_file(half, options.output, metadata={"color-net": json.dumps(facts)})
