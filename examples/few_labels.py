"""200 labelled garments: a bundled discriminator as a model of timm, fine-tuned, against the same network from scratch.

    python examples/few_labels.py [--steps 150] [--draws 3]

The discriminator has seen garments and no label. As in Radford et al. 2015, section 5.1, the maps of all its stages
are max-pooled to 4x4 and one linear layer follows. Both networks are trained alike on 20 images of each class, and
tested on the 1,800 others of the bundled set.
"""

import argparse

import timm
import torch
from torch import nn
from torch.nn import functional as F

import ganzoo
from ganzoo.integrations.timm import register

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default=150)
arguments.add_argument("--draws", type=int, default=3, help="of the 200 images")
given = arguments.parse_args()

register()
data = ganzoo.data.open_data("fashion-mnist-mini")
labels, images = data.labels, data.batch(torch.arange(len(data)))


class Classifier(nn.Module):
    """The maps of all stages, pooled to 4x4 places, and a linear layer."""

    def __init__(self, pretrained):
        super().__init__()
        self.stages = timm.create_model("ganzoo_dcgan_disc_28", pretrained=pretrained, features_only=True)
        numbers = 16 * sum(self.stages.feature_info.channels())
        self.head = nn.Sequential(nn.BatchNorm1d(numbers), nn.Linear(numbers, 10))

    def forward(self, x):
        return self.head(torch.cat([F.adaptive_max_pool2d(maps, 4).flatten(1) for maps in self.stages(x)], dim=1))


def accuracy(pretrained, seed):
    torch.manual_seed(seed)
    order = torch.randperm(len(data))
    few = torch.cat([order[labels[order] == label][:20] for label in range(10)])
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[few] = False
    model = Classifier(pretrained)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.steps)
    for _ in range(given.steps):
        batch = few[torch.randint(len(few), (50,))]
        mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
        x = torch.where(mirrored, images[batch].flip(-1), images[batch])
        loss = F.cross_entropy(model(x), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        guesses = model.eval()(images[rest]).argmax(dim=1)
    return 100 * float((guesses == labels[rest]).float().mean())


for name, pretrained in (("from scratch", False), ("fine-tuned", True)):
    found = torch.tensor([accuracy(pretrained, seed) for seed in range(given.draws)])
    print(f"{name}: {found.mean():.1f} % of the others right ({found.min():.1f} to {found.max():.1f})")
