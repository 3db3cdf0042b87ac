"""From outlines to garments, in the manner of pix2pix: python examples/outlines_to_garments.py [STEPS]

A U-Net of ganzoo's down and up blocks paints what an outline encloses; a discriminator sees outline and picture side by
side and judges patches (Isola et al. 2017, arXiv 1611.07004, equation 4).
"""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=1000)
steps = parser.parse_args().steps
Down, Up = ganzoo.BLOCKS["blur-down"], ganzoo.BLOCKS["resize-up"]


class UNet(nn.Module):
    """(N, 1, 28, 28) to (N, 1, 28, 28): what went down is beside what comes up, so that lines stay where they are."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([Down(1, 32), Down(32, 64)])
        self.middle = ganzoo.BLOCKS["dcgan-same"](64, 64, activation="relu")
        self.up = nn.ModuleList([Up(64, 32), Up(32 + 32, 32)])
        self.to_image = nn.Conv2d(32 + 1, 1, 3, padding=1)

    def forward(self, x):
        first = self.down[0](x)
        second = self.up[0](self.middle(self.down[1](first)))
        last = self.up[1](torch.cat([second, first], dim=1))
        return self.to_image(torch.cat([last, x], dim=1)).tanh()


def outlines(images):
    """Bright where brightness changes: the Sobel filter's magnitude, in [-1, 1]."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    kernels = torch.stack([kernel, kernel.T])[:, None]
    edges = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernels).norm(dim=1, keepdim=True)
    return (edges > 2).float() * 2 - 1


generator = UNet()
discriminator = nn.Sequential(Down(2, 32, norm="none"), Down(32, 64, norm="layer"), nn.Conv2d(64, 1, 3, padding=1))
optimizers = [torch.optim.Adam(each.parameters(), lr=2e-4, betas=(0.5, 0.999)) for each in (generator, discriminator)]
loss = ganzoo.LOSSES.make("non-saturating")
data = ganzoo.data.open_data("fashion-mnist-mini")

for _ in range(steps):
    real = data.batch(torch.randint(len(data), (32,)))
    lines = outlines(real)
    fake = generator(lines)
    logits = [discriminator(torch.cat([lines, each], dim=1)) for each in (real, fake.detach())]
    optimizers[1].zero_grad()
    loss.for_discriminator(*logits).backward()
    optimizers[1].step()
    judged = discriminator(torch.cat([lines, fake], dim=1))
    optimizers[0].zero_grad()
    (loss.for_generator(judged, None) + 100 * (fake - real).abs().mean()).backward()
    optimizers[0].step()

some = data.batch(torch.arange(0, len(data), 150))
with torch.no_grad():
    painted = generator.eval()(outlines(some))
rows = torch.stack([outlines(some), painted, some], dim=1).flatten(0, 1)
ganzoo.images.save(ganzoo.images.grid(rows, columns=6), "pictures/outlines.png")
print("picture: pictures/outlines.png, in threes: outline, painted, real")
