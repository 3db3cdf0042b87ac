"""Vector arithmetic on means of latents (Radford et al. 2015, arXiv:1511.06434, section 6.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ganzoo import images as pictures
from ganzoo.config import checked_int
from ganzoo.errors import ConfigError, quote
from ganzoo.explore.walk import check_label
from ganzoo.gan import GAN
from ganzoo.latents import sample_latents

NOISE = 0.25  # the results around the one in the middle: uniform noise of this size, as in the paper
SCALE = 2  # pixels to one of a sample
MINUS = "-"  # Pillow's own font has no longer dash and would draw an empty box


@dataclass(frozen=True)
class Arithmetic:
    """What came out.

    Args:
        latent: (latent_size,), the sum.
        images: nine results (9, C, H, W): the sum's own first, then with noise of 0.25 added to it.
        picture: the groups in columns, their means below, and the results at the right.
    """

    latent: Tensor
    images: Tensor
    picture: Image.Image


def arithmetic(
    gan: GAN,
    groups: Sequence[tuple[int, Sequence[int]]],
    seed: int = 0,
    label: int | None = None,
    across: bool = False,
) -> Arithmetic:
    """Add or subtract the mean latents of groups of samples.

    The sum is brought to the length sqrt(latent_size) of the latents that a generator is trained on, and so are the
    means that are drawn: a mean of several is shorter, and would fade. The means are added as they are, so give groups
    of one size: a mean of few is longer and weighs more.

    Args:
        groups: (1 or -1, numbers of samples of `seed`); `gan.sample(n, seed)` shows which is which.
        label: of a conditional model.
        across: let means and results fall into any cluster; otherwise they stay in that of the first sample named.

    Raises:
        ConfigError: no group, an empty one, or a sign or number that can't be.
    """
    if not isinstance(groups, (list, tuple)) or not groups:
        raise ConfigError("groups must hold one or more of (sign, numbers of samples)")
    check_label(gan, label)
    checked = [_checked_group(group) for group in groups]
    columns = [_latents_of(gan, numbers, seed) for _, numbers in checked]
    means = [latents.mean(0) for latents in columns]
    total = torch.stack([sign * mean for (sign, _), mean in zip(checked, means)]).sum(0)
    if total.norm() < 1e-5:
        raise ConfigError("the groups take each other away and leave nothing to draw; choose other samples")

    def kept(latents: Tensor) -> Tensor:
        return latents if across else gan.with_cluster(latents, columns[0][0])

    around = (torch.rand(8, gan.latent_size, device="cpu", generator=torch.Generator().manual_seed(0)) * 2 - 1) * NOISE
    total = kept(_lengthened(total)[None])[0]
    results = gan.sample(latents=kept(torch.cat([total[None], total + around])), labels=label).cpu()
    sheets = []
    for column, mean in zip(columns, means):
        shown = torch.cat([column, kept(_lengthened(mean)[None])])
        sheets.append(pictures.grid(gan.sample(latents=shown, labels=label).cpu(), columns=1, scale=SCALE))
    order = torch.tensor([1, 2, 3, 4, 0, 5, 6, 7, 8])  # the sum's own in the middle
    sheets.append(pictures.grid(results[order], columns=3, scale=SCALE))
    signs = ["+" if sign > 0 else MINUS for sign, _ in checked] + ["="]
    signs[0] = signs[0].replace("+", "")
    return Arithmetic(total, results, _side_by_side(sheets, signs))


def _checked_group(group: Any) -> tuple[int, list[int]]:
    """A sign and numbers of samples, which may be a tensor or an array; ConfigError if `group` is something else."""
    try:
        sign, numbers = group
        found = [checked_int("number", number, 0) for number in numbers]
        sound = bool(found) and sign in (1, -1)
    except (TypeError, ValueError, RuntimeError):  # no pair, no sequence, no ints
        sound = False
    if not sound:
        raise ConfigError(f"a group must be (1 or -1, numbers of samples from 0), got {quote(group)}")
    return int(sign), found


def _latents_of(gan: GAN, numbers: Sequence[int], seed: int) -> Tensor:
    """The latents (n, latent_size) of a group of samples."""
    return torch.cat([sample_latents(1, gan.latent_size, seed, start=number)[0] for number in numbers])


def _lengthened(latent: Tensor) -> Tensor:
    return latent * (len(latent) ** 0.5 / latent.norm().clamp(min=1e-6))


def _side_by_side(sheets: list[Image.Image], signs: list[str]) -> Image.Image:
    """Pictures in a row, aligned at the bottom, each behind its sign if it has one."""
    from PIL import ImageDraw, ImageFont

    gap, font = 28, ImageFont.load_default(24)
    width = sum(sheet.width for sheet in sheets) + gap * sum(bool(sign) for sign in signs)
    height = max(sheet.height for sheet in sheets)
    whole = Image.new("RGB", (width, height), "white")
    draw, x = ImageDraw.Draw(whole), 0
    for sign, sheet in zip(signs, sheets):
        if sign:
            draw.text((x + gap / 2, height - sheet.height / 2), sign, fill="black", font=font, anchor="mm")
            x += gap
        whole.paste(pictures.on_ground(sheet, "white"), (x, height - sheet.height))
        x += sheet.width
    return whole
