"""Differentiable augmentations: shown altered images, real and fake alike, a discriminator can't learn few by heart.

From DiffAugment (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"): the generator's
gradient passes through them, so what they do never shows in its images. Strength 1 is the paper's, 0 is the identity.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Annotated, Any, Protocol

import torch
from torch import Tensor

from ganzoo.config import Bounds, checked_int
from ganzoo.errors import ConfigError, ShapeError, failure, quote
from ganzoo.losses import kind_of
from ganzoo.registry import Registry
from ganzoo.seeds import Random, integers, normal, number, seeded, uniform
from ganzoo.stateful import NAMED, NOT_REPEATED, SERVES, Stateful, can_be_named, check_restored, serves

Strength = Annotated[float, Bounds(0, 1)]
ADA_STEPS = 4  # between changes of its probability


class Augmentation(Protocol):
    """A function from a batch of images to one of the same shape and dtype; its keyword-only arguments are options."""

    def __call__(self, images: Tensor, random: Random = None) -> Tensor:
        """Alter each image in its own random way, whatever the others of the batch are.

        Args:
            images: (N, C, H, W), floating, in [-1, 1].
            random: a CPU generator that all random numbers are drawn from, so that a run does not depend on the
                device; None: torch's global one.
        """


AUGMENTATIONS: Registry[Callable[..., Any]] = Registry(
    "augmentation", "ganzoo.augmentations", NAMED, can_be_named, functions=True
)


def _check(images: Tensor, strength: float) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise ShapeError(
            f"an augmentation takes floating images (N, C, H, W), got {tuple(images.shape)} of {images.dtype}."
        )
    if not 0 <= strength <= 1:  # NaN too
        raise ConfigError(f"strength of an augmentation must be 0 to 1, got {quote(strength)}")


@AUGMENTATIONS.register("color")
def color(images: Tensor, random: Random = None, *, strength: Strength = 1.0) -> Tensor:
    """Brightness, then saturation, then contrast, each by a uniform draw an image.

    Brightness adds up to 0.5*strength either way; saturation scales the distance from the mean of a pixel's channels
    by 1 +- strength (nothing happens to grey); contrast scales that from the image's mean by 1 +- 0.5*strength.
    Values may leave [-1, 1]: cutting them off would cut the gradient.
    """
    _check(images, strength)
    draws = 2 * uniform(3, len(images), 1, 1, 1, random=random, device=images.device) - 1
    brightness, saturation, contrast = strength * draws.to(images)
    images = images + 0.5 * brightness
    # x + (x - mean)*change is exactly x where the change is 0, mean + (x - mean)*factor is not
    images = images + (images - images.mean(1, keepdim=True)) * saturation
    return images + (images - images.mean((1, 2, 3), keepdim=True)) * (0.5 * contrast)


@AUGMENTATIONS.register("translation")
def translation(images: Tensor, random: Random = None, *, strength: Strength = 1.0) -> Tensor:
    """Shift by whole pixels, up to strength/8 of the height and of the width, rounded, either way.

    What comes in from outside is 0, the middle grey, as in the paper.
    """
    _check(images, strength)
    count, channels, height, width = images.shape
    rows, rows_inside = _shifted(count, height, strength, random, images.device)
    columns, columns_inside = _shifted(count, width, strength, random, images.device)
    sources = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
    inside = rows_inside[:, None, :, None] & columns_inside[:, None, None, :]
    moved = images.flatten(2).gather(2, sources.expand(-1, channels, -1)).view_as(images)
    return moved.masked_fill(~inside, 0)


def _shifted(count: int, size: int, strength: float, random: Random, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each image, where its pixels along one axis come from (count, size), and whether that is inside."""
    furthest = int(size * strength / 8 + 0.5)
    shifts = integers(-furthest, furthest + 1, count, 1, random=random, device=device)
    sources = torch.arange(size, device=device) - shifts
    return sources.clamp(0, size - 1), (sources >= 0) & (sources < size)


@AUGMENTATIONS.register("cutout")
def cutout(images: Tensor, random: Random = None, *, strength: Strength = 1.0) -> Tensor:
    """Set a rectangle of strength/2 of the height and of the width, rounded, to 0, the middle grey.

    Its centre falls everywhere alike, so at the border a part of it lies outside.
    """
    _check(images, strength)
    count, _, height, width = images.shape
    rows = _hole(count, height, strength, random, images.device)
    columns = _hole(count, width, strength, random, images.device)
    return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


def _hole(count: int, size: int, strength: float, random: Random, device: torch.device) -> Tensor:
    """For each image, which places along one axis a hole covers: (count, size)."""
    length = int(size * strength / 2 + 0.5)
    # an even length has its centre between two pixels, or at either end: one place more
    starts = integers(0, size + 1 - length % 2, count, 1, random=random, device=device) - length // 2
    places = torch.arange(size, device=device)
    return (places >= starts) & (places < starts + length)


@AUGMENTATIONS.register("ada")
class AdaptiveAugmentation(Stateful):
    """Random changes with a probability p that adapts to overfitting (ADA: Karras et al. 2020, arXiv 2006.06676).

    The mean sign r of real images' logits tells overfitting (section 3, eq. 1). Every 4 steps, p moves up if r is above
    `target`, else down, so fast that it goes from 0 to 1 in `length` images; it stays in 0 to 1.

    Each image undergoes each change with probability p (appendix B, without its image-space filters and corruptions):
    mirror, quarter turn, shift by whole pixels up to 1/8, scale (lognormal, 0.2 octaves), rotation (before and after
    the next one, together with probability p), stretch (0.2 octaves), shift by fractions (normal, 1/8); then
    brightness (normal, 0.2), contrast (0.5 octaves), inverted luma, and for 3 channels hue and saturation (1 octave).
    Geometry is one bilinear lookup with mirrored borders, without oversampling. It can be differentiated twice, so
    gradient penalties work.

    In a loop of your own, call `end_step` after each step, as the Trainer does: without it p stays at `start`.

    Args:
        target: of the mean sign of real images' logits; of real minus fake ones if the loss sees only these.
        length: images in which p goes from 0 to 1.
        start: p of the first step.
    """

    in_graph = True

    def __init__(
        self,
        target: Annotated[float, Bounds(-1, 1)] = 0.6,
        length: Annotated[int, Bounds(1, 10**12)] = 500_000,
        start: Strength = 0.0,
    ) -> None:
        self._target, self._length = target, checked_int("length", length, 1)
        self.p, self._signs, self._images, self._steps = float(start), 0.0, 0, 0

    def __call__(self, images: Tensor, random: Random = None) -> Tensor:
        _check(images, self.p)
        # places are computed in float64, which MPS lacks
        where = torch.device("cpu") if images.device.type == "mps" else images.device
        draws = uniform(13, 2, len(images), random=random, device=where, dtype=torch.float64)
        spread = normal(7, len(images), random=random, device=where, dtype=torch.float64)
        p = number(lambda: self.p, random, where)
        # each pair of rotations together has probability p: 1 - (1 - q)^2 = p
        q = number(lambda: 1 - (1 - self.p) ** 0.5, random, where)
        chances = torch.stack([q if index in (4, 6) else p for index in range(13)])
        chosen, values = draws[:, 0] < chances[:, None], draws[:, 1]
        moved = _transform(images, _geometry(chosen[:8], values[:8], spread[:4], *images.shape[2:]))
        images = torch.where(_column(chosen[:8].any(0), images), moved, images)
        return _recolor(images, chosen[8:], values[8:], spread[4:])

    def end_step(self, real_sign: float, images: int, mean: Callable[[Tensor], Tensor]) -> None:
        self._signs, self._images, self._steps = self._signs + real_sign, self._images + images, self._steps + 1
        if self._steps == ADA_STEPS:
            above = self._signs / self._steps - self._target
            change = math.copysign(self._images / self._length, above) if above else 0.0
            self.p = min(1.0, max(0.0, self.p + change))
            self._signs, self._images, self._steps = 0.0, 0, 0

    def figures(self) -> dict[str, float]:
        return {"ada_p": self.p}

    def state_dict(self) -> dict[str, Any]:
        return {"p": self.p, "signs": self._signs, "images": self._images, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        p, signs, images, steps = (state[name] for name in ("p", "signs", "images", "steps"))
        whole = type(images) is int and type(steps) is int and images >= 0 and 0 <= steps < ADA_STEPS
        if not (
            whole and type(p) in (int, float) and type(signs) in (int, float) and 0 <= p <= 1 and abs(signs) <= steps
        ):
            raise ValueError(f"the state of ada is {quote(state)}")
        self.p, self._signs, self._images, self._steps = float(p), float(signs), images, steps


def _column(values: Tensor, like: Tensor) -> Tensor:
    """One value an image, (N, 1, 1, 1), where `like` is."""
    return values.view(-1, 1, 1, 1).to(like.device)


def _octaves(normal: Tensor, spread: float) -> Tensor:
    return torch.exp2(spread * normal)


def _geometry(chosen: Tensor, values: Tensor, normal: Tensor, height: int, width: int) -> Tensor:
    """For each image, a matrix (2, 3) from a place in the new image to one in the old, in pixels off the centre."""

    def matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, right: Tensor, down: Tensor) -> Tensor:
        nothing, one = torch.zeros_like(a), torch.ones_like(a)
        return torch.stack([a, b, right, c, d, down, nothing, nothing, one], 1).view(-1, 3, 3)

    def turn(angle: Tensor) -> Tensor:
        return matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos(), zero, zero)

    def shift(right: Tensor, down: Tensor) -> Tensor:
        return matrix(one, zero, zero, one, right * width, down * height)

    def whole(share: Tensor, size: int) -> Tensor:
        return ((2 * share - 1) / 8 * size).round() / size

    def when(index: int, value: Tensor, otherwise: float = 0.0) -> Tensor:
        return torch.where(chosen[index], value, torch.full_like(value, otherwise))

    one, zero = torch.ones_like(values[0]), torch.zeros_like(values[0])
    mirror = when(0, torch.where(values[0] < 0.5, -one, one), 1.0)
    quarters = when(1, (4 * values[1]).floor() * math.pi / 2)
    scale, stretch = when(3, _octaves(normal[0], 0.2), 1.0), when(5, _octaves(normal[1], 0.2), 1.0)
    changes = [
        matrix(mirror, zero, zero, one, zero, zero),
        turn(quarters),
        # the second number of a shift by whole pixels is what the first has left over
        shift(when(2, whole(values[2], width)), when(2, whole((values[2] * 1024).frac(), height))),
        matrix(scale, zero, zero, scale, zero, zero),
        turn(when(4, (2 * values[4] - 1) * math.pi)),
        matrix(stretch, zero, zero, 1 / stretch, zero, zero),
        turn(when(6, (2 * values[6] - 1) * math.pi)),
        shift(when(7, normal[2] / 8), when(7, normal[3] / 8)),
    ]
    return functools.reduce(torch.matmul, changes)[:, :2]


def _transform(images: Tensor, matrices: Tensor) -> Tensor:
    """Images looked up bilinearly at `matrices` (N, 2, 3) times each place; beyond its borders an image is mirrored.

    Four lookups and their weights, since torch's grid_sample can't be differentiated twice.
    """
    _, channels, height, width = images.shape
    rows, columns = (torch.arange(size, device=matrices.device) for size in (height, width))
    down, right = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([right - (width - 1) / 2, down - (height - 1) / 2, torch.ones_like(right)]).double()
    x, y = (matrices @ places.flatten(1)).unbind(1)
    x, y = (x + (width - 1) / 2), (y + (height - 1) / 2)
    x, y = (torch.where((v - v.round()).abs() < 1e-6, v.round(), v) for v in (x, y))  # whole shifts stay exact
    flat, made = images.flatten(2), torch.zeros_like(images).flatten(2)
    for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1 - (x - x.floor() - column).abs()) * (1 - (y - y.floor() - row).abs())
        sources = _mirrored(y.floor() + row, height) * width + _mirrored(x.floor() + column, width)
        taken = flat.gather(2, sources[:, None].expand(-1, channels, -1).to(images.device))
        made = made + taken * weight[:, None].to(images)
    return made.view_as(images)


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Whole numbers folded into 0 to size - 1, as between two mirrors; the border itself is not doubled."""
    if size == 1:
        return torch.zeros_like(places).long()
    period = 2 * (size - 1)
    folded = places.long() % period
    return torch.where(folded < size, folded, period - folded)


def _recolor(images: Tensor, chosen: Tensor, values: Tensor, normal: Tensor) -> Tensor:
    """Brightness, contrast, inverted luma; hue and saturation of three channels."""

    def when(index: int, value: Tensor, otherwise: float) -> Tensor:
        return _column(torch.where(chosen[index], value, torch.full_like(value, otherwise)), images).to(images)

    contrast = when(1, _octaves(normal[1], 0.5), 1.0)
    images = (images + when(0, 0.2 * normal[0], 0.0)) * contrast
    luma = images.mean(1, keepdim=True)
    inverted = when(2, torch.where(values[2] < 0.5, 2.0, 0.0), 0.0)
    images = images - inverted * luma
    if images.shape[1] != 3:
        return images
    # a rotation about the grey axis (Rodrigues' formula), and a scale of the distance from it
    angle, saturation = when(3, (2 * values[3] - 1) * math.pi, 0.0), when(4, _octaves(normal[2], 1.0), 1.0)
    luma = images.mean(1, keepdim=True)
    colour = images - luma
    across = (colour.roll(1, 1) - colour.roll(-1, 1)) / 3**0.5
    turned = luma + saturation * (colour * angle.cos() + across * angle.sin())
    return torch.where(_column(chosen[3] | chosen[4], images), turned, images)


def check_augmentation(augmentation: str | Augmentation) -> None:
    """Check that an augmentation keeps the contract: on small images of 1 and 3 channels.

    Args:
        augmentation: a registered name, with or without options, or the function itself.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: it changes shape, type or its input, cuts the gradient, mixes the images of a batch, gives NaN, or
            takes random numbers from elsewhere than `random`, or has state without being a `Stateful`.
        PluginError: its state does not come back through a checkpoint.
    """
    name = augmentation if isinstance(augmentation, str) else getattr(augmentation, "__name__", "given")
    alter: Augmentation = AUGMENTATIONS.make(augmentation) if isinstance(augmentation, str) else augmentation
    if not serves(alter):
        raise ConfigError(f"augmentation {name} must be {SERVES}")
    for shape in ((4, 3, 8, 8), (4, 1, 9, 6)):
        images = torch.rand(shape, device="cpu", generator=torch.Generator().manual_seed(0)) * 2 - 1
        given = images.clone().requires_grad_()
        made = _drawn(alter, name, given, 1)
        if not made.isfinite().all():
            raise ConfigError(f"augmentation {name} gives NaN or infinity")
        if not made.requires_grad or not torch.autograd.grad(made.square().sum(), given, create_graph=True)[0].any():
            raise ConfigError(f"augmentation {name}: no gradient passes through it")
        if not torch.equal(made, _drawn(alter, name, images, 2)):
            raise ConfigError(f"augmentation {name} {NOT_REPEATED}")
        others = torch.cat([images[:1], -images[1:].flip(0)])
        if not torch.allclose(made[:1], _drawn(alter, name, others, 1)[:1], atol=1e-6):
            raise ConfigError(f"augmentation {name}: what an image becomes must not depend on the others of its batch")
    if isinstance(alter, Stateful):
        check_restored(alter, f"augmentation {name}")


def _drawn(alter: Augmentation, name: str, images: Tensor, seed: int) -> Tensor:
    """`images` altered by the same `random` each time, while torch's global state is of `seed`."""
    with seeded(seed):
        return altered(alter, name, images, torch.Generator().manual_seed(0))


def altered(alter: Augmentation, name: str, images: Tensor, random: Random) -> Tensor:
    """What the augmentation `name` makes of `images`; ConfigError if it fails, or changes shape, type or its input."""
    before = images.detach().clone()
    try:
        made = alter(images, random)
    except Exception as error:
        raise failure(error, f"augmentation {name} fails on images of shape {tuple(images.shape)}") from error
    if not isinstance(made, Tensor) or made.shape != images.shape or made.dtype != images.dtype:
        raise ConfigError(
            f"augmentation {name} makes {kind_of(made)} of {kind_of(images)}; it must keep type and shape"
        )
    if not torch.equal(before, images.detach()):
        raise ConfigError(f"augmentation {name} changes its input in place; it must return new images")
    return made
