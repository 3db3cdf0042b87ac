"""200 labelled garments: what a bundled discriminator, as a model of timm, has learned without a label.

    python examples/few_labels.py [--steps 150] [--draws 3]     # needs pip install "ganzoo-torch[metrics]"

As in Radford et al. 2015, section 5.1, the maps of all its stages are max-pooled to 4x4 places and one linear layer
follows. It learns from 20 images of each class and their mirror images, alone (ridge regression) or with all the
network, and is tested on the 1,800 others. docs/few-labels.md has the figures.
"""

import argparse

import timm
import torch
from torch import nn

import ganzoo
from ganzoo.integrations.timm import register

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--steps", type=int, default=150)
arguments.add_argument("--draws", type=int, default=3, help="of the 200 images")
given = arguments.parse_args()
try:
    from sklearn import linear_model, pipeline, preprocessing
except ImportError as error:
    arguments.exit(2, f'{error}: pip install "ganzoo-torch[metrics]"\n')
data = ganzoo.data.open_data("fashion-mnist-mini")
labels, images = data.labels, data.batch(torch.arange(len(data)))
mirrored = images.flip(-1)


class Features(nn.Module):  # the maps of all stages, pooled to 4x4 places
    def __init__(self, pretrained):
        super().__init__()
        self.stages = timm.create_model("ganzoo_dcgan_disc_28", pretrained=pretrained, features_only=True)
        self.count = 16 * sum(self.stages.feature_info.channels())

    def forward(self, x):
        return torch.cat([nn.functional.adaptive_max_pool2d(maps, 4).flatten(1) for maps in self.stages(x)], dim=1)


def solved(features, few):
    """The linear layer alone."""
    of = features.eval().requires_grad_(False)
    ridge = linear_model.RidgeClassifier(alpha=0.1 * features.count)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), ridge)
    model.fit(of(torch.cat([images[few], mirrored[few]])), labels[few].repeat(2))
    return lambda x: torch.tensor(model.decision_function(of(x)))


def trained(features, few):
    """All weights, by cross entropy."""
    model = nn.Sequential(features, nn.BatchNorm1d(features.count), nn.Linear(features.count, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, given.steps)
    for _ in range(given.steps):
        batch = few[torch.randint(len(few), (50,))]
        x = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, mirrored[batch], images[batch])
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def accuracy(pretrained, learn, seed):
    torch.manual_seed(seed)
    order = torch.randperm(len(data))
    of_class = [order[labels[order] == label] for label in range(10)]
    few, rest = (torch.cat([each[part] for each in of_class]) for part in (slice(20), slice(20, None)))
    model = learn(Features(pretrained), few)
    return 100 * float(((model(images[rest]) + model(mirrored[rest])).argmax(dim=1) == labels[rest]).float().mean())


register()
ways = {"linear layer alone": (True, solved), "fine-tuned": (True, trained), "from scratch": (False, trained)}
for name, (pretrained, learn) in ways.items():
    found = torch.tensor([accuracy(pretrained, learn, seed) for seed in range(given.draws)])
    print(f"{name}: {found.mean():.1f} % of the others right ({found.min():.1f} to {found.max():.1f})", flush=True)
