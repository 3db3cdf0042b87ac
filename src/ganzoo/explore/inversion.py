"""Which latents draw a given image? Found by optimisation from several starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.config import POSITIVE, check_counts, convert_value
from ganzoo.data.image_data import first_of_each
from ganzoo.errors import DataError, ShapeError, quote
from ganzoo.explore.walk import check_label
from ganzoo.gan import GAN
from ganzoo.latents import sample_latents, sign_class, with_sign_class
from ganzoo.models import evaluating
from ganzoo.models.contract import call_with, frozen
from ganzoo.text import track

BATCH = 64  # latents that are optimised at once
WORST = 1e-12  # mean squared error below which a PSNR says nothing more (126 dB)
FIRST = 2**40  # row of the first candidate: from row 0 they would be the very latents of `gan.sample(n, seed)`


@dataclass(frozen=True)
class Inversion:
    """What `invert` found.

    Args:
        latents: (N, latent_size), the best of all starts for each image.
        images: what the generator draws from them, (N, C, H, W).
        psnr: peak signal-to-noise ratio in dB, (N,): 10 log10(2^2 / mean squared error), as images span [-1, 1] and
            their peak is 2.
    """

    latents: Tensor
    images: Tensor
    psnr: Tensor


def invert(
    gan: GAN,
    images: Tensor,
    *,
    labels: int | list[int] | Tensor | None = None,
    starts: int = 4,
    steps: int = 800,
    candidates: int = 2000,
    rate: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Inversion:
    """Find latents whose images come nearest to `images`, by mean squared error.

    Of `candidates` random latents, those whose images are nearest serve as starts; from each, Adam goes down with a
    rate that falls to 0 as a cosine. A latent's length is kept at 1.2 sqrt(latent_size) at most: the generator was
    trained on lengths near sqrt(latent_size). An image that the generator can't draw comes back as the nearest one
    that it can.

    Args:
        images: (N, C, H, W) in [-1, 1], of the generator's size and channels.
        labels: of a conditional model: one class, or N of them.
        starts: latents tried for each image. steps: of the optimisation. rate: its first step's.
        seed: of the candidates, none of which is a latent that `gan.sample` takes: samples are not looked up.
        progress: show a bar for each 64 latents, which are optimised together.

    Raises:
        ShapeError, ConfigError, DataError: images or an argument that can't be used.
    """
    check_counts("invert", starts=starts, steps=steps, candidates=candidates)
    rate = convert_value(rate, float, "rate", POSITIVE)
    _check_images(images, gan)
    check_label(gan, labels, "give labels= (--label), one class or one for each image")
    classes = gan.checked_labels(labels, len(images)).to(gan.device) if labels is not None else None
    starts = min(starts, candidates)
    # gradients are needed, whatever the caller has switched off, but of latents alone
    with evaluating(gan.generator), frozen(gan.generator), torch.inference_mode(False), torch.enable_grad():
        images = images.to(gan.device).float().clone()  # one made in inference mode takes part in no gradient
        latents = _starts(gan, images, classes, starts, candidates, seed)  # (N, starts, latent_size)
        flat, rows = latents.flatten(0, 1), torch.arange(len(images)).repeat_interleave(starts)
        parts = []
        for chosen in torch.arange(len(flat)).split(BATCH):
            some = classes[rows[chosen]] if classes is not None else None
            parts.append(_descend(gan, flat[chosen], images[rows[chosen]], some, steps, rate, progress))
        return _best(gan, torch.cat(parts).view(len(images), starts, -1), images, classes)


def _check_images(images: Tensor, gan: GAN) -> None:
    """Raise ShapeError, DataError unless `images` could be of `gan`."""
    wanted = (gan.image_channels, gan.image_size, gan.image_size)
    if not isinstance(images, Tensor):
        raise ShapeError(f"images must be a tensor (N, {str(wanted)[1:]}, got {quote(images)}.")
    if images.dim() != 4 or tuple(images.shape[1:]) != wanted or not len(images):
        raise ShapeError(f"images must be (N, {str(wanted)[1:]}, got {tuple(images.shape)}.")
    if not images.isfinite().all():
        raise DataError("an image holds NaN or infinity; nothing comes near it.")
    if not images.is_floating_point() or images.abs().max() > 1.001:  # a little more may come of resampling
        low, high = images.min().item(), images.max().item()
        raise DataError(f"images must be floating in [-1, 1], got {images.dtype} from {low:g} to {high:g}.")


def _draw(gan: GAN, latents: Tensor, classes: Tensor | None) -> Tensor:
    labels = gan.network_labels(latents.detach(), classes)
    shaped = latents.reshape(-1, *gan.latent_shape).to(gan.dtype)  # they stay float32, so that small steps count
    return call_with(gan.generator, shaped, labels).float()


@torch.no_grad()
def _starts(gan: GAN, images: Tensor, classes: Tensor | None, starts: int, candidates: int, seed: int) -> Tensor:
    """The latents, among random ones, whose images are nearest, each of another cluster if there are clusters.

    Returns:
        (N, starts, latent_size).
    """
    drawn = sample_latents(candidates, gan.latent_size, seed, start=FIRST)[0].to(gan.device)
    distances = torch.empty(len(images), candidates, device=images.device)
    for label in [None] if classes is None else classes.unique().tolist():
        rows = torch.ones(len(images), dtype=torch.bool) if classes is None else classes == label
        for start in range(0, candidates, BATCH):  # 2,000 images of 256 pixels would take 1.6 GB
            latents = drawn[start : start + BATCH]
            labels = None if label is None else torch.full((len(latents),), label, device=gan.device)
            made = _draw(gan, latents, labels).flatten(1)
            distances[rows, start : start + BATCH] = torch.cdist(images[rows].flatten(1), made)
    order = distances.argsort(1)
    if gan.clusters:
        clusters = sign_class(drawn, gan.clusters)
        order = torch.stack([_each_cluster_first(row, clusters[row]) for row in order])
    return drawn[order[:, :starts]]


def _each_cluster_first(rows: Tensor, clusters: Tensor) -> Tensor:
    """`rows`, nearest first, in another order: the nearest of each cluster before all others."""
    is_first = torch.zeros(len(rows), dtype=torch.bool)
    is_first[first_of_each(clusters.cpu())] = True
    return torch.cat([rows[is_first], rows[~is_first]])


def _descend(
    gan: GAN, latents: Tensor, images: Tensor, labels: Tensor | None, steps: int, rate: float, progress: bool
) -> Tensor:
    latents = latents.clone().requires_grad_()
    optimizer = torch.optim.Adam([latents], lr=rate)
    clusters = sign_class(latents.detach(), gan.clusters) if gan.clusters else None
    longest = math.sqrt(gan.latent_size) * 1.2  # a standard normal latent's length is near sqrt(latent_size)
    for step in track(range(steps), "inverting", steps, progress):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        error = nn.functional.mse_loss(_draw(gan, latents, labels), images, reduction="none").flatten(1).mean(1).sum()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        with torch.no_grad():
            lengths = latents.norm(dim=1, keepdim=True)
            latents.mul_((longest / lengths.clamp(min=1e-6)).clamp(max=1))
            if clusters is not None:  # no gradient leads from one cluster to another
                latents.copy_(with_sign_class(latents, clusters, gan.clusters))
    return latents.detach()


@torch.no_grad()
def _best(gan: GAN, found: Tensor, images: Tensor, classes: Tensor | None) -> Inversion:
    """The best of each image's latents (N, starts, latent_size)."""
    made = torch.stack([_draw(gan, latents, classes) for latents in found.unbind(1)], 1)
    errors = (made - images[:, None]).square().flatten(2).mean(2)
    best = errors.argmin(1)
    rows = torch.arange(len(images), device=best.device)
    psnr = 10 * torch.log10(4 / errors[rows, best].clamp(min=WORST))
    return Inversion(found[rows, best], made[rows, best], psnr)
