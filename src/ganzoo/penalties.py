"""Penalties: on the discriminator's gradient by its input, which keep it smooth, and on the generator.

A penalty of your own is any function of the signature `Penalty`; registered, it serves by name, and its keyword-only
arguments are options beside `weight` and `every`, which every penalty takes. A batch norm in the discriminator makes
"the gradient of one image" meaningless, since every image of a batch moves every logit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Protocol

import torch
from torch import Tensor, nn

from ganzoo.config import Bounds
from ganzoo.errors import ConfigError, ShapeError
from ganzoo.losses import checked_number, full
from ganzoo.registry import Registry
from ganzoo.schedules import Schedule, make_schedule, value_at
from ganzoo.seeds import Random, normal_each, seeded, uniform
from ganzoo.stateful import NAMED, NOT_REPEATED, SERVES, Stateful, can_be_named, check_restored, serves

Discriminate = Callable[[Tensor], Tensor]
LARGEST_WEIGHT = 1e9


class Penalty(Protocol):
    """A scalar to add, times a weight, to the discriminator's loss.

    The built-in ones compute in float32 at least, with autocast switched off, whatever the precision around them:
    squares of gradients underflow or overflow in half precision. (A module whose own forward switches autocast on
    undoes that; hand over the plain one.) So weights must be float32 or float64: for half precision use autocast. If an
    image has several logits, their sum is differentiated.
    """

    def __call__(
        self, discriminate: Discriminate, real_images: Tensor, fake_images: Tensor, random: Random = None
    ) -> Tensor:
        """Compute the penalty.

        Args:
            discriminate: from images (N, C, H, W) to logits (N, ...); labels, if any, are bound by the caller.
            real_images: (N, C, H, W), any floating dtype. No gradient flows back to images.
            fake_images: (N, C, H, W).
            random: a CPU generator of random numbers, for a penalty that draws some; None: torch's global one.
                Draw one number an image, with torch.rand(len(real_images), ...), and several processes draw as one.

        Returns:
            A scalar whose gradient reaches the discriminator's parameters.
        """


@dataclass(frozen=True)
class WeightedPenalty:
    """A penalty as a run adds it, at every `every`-th update and so much stronger (Karras et al. 2020, section 3.1).

    `PENALTIES.make` gives it. In a loop of your own, call `.penalty`, and multiply by `.factor(step, steps)`.
    """

    penalty: Any  # a `Penalty`, or a `GeneratorPenalty`
    weight: Annotated[float | str, Bounds(0, LARGEST_WEIGHT)] = 1.0  # or a schedule
    every: Annotated[int, Bounds(1, 10**9)] = 1

    @cached_property
    def _schedule(self) -> Schedule:
        return make_schedule(self.weight, "weight")

    def factor(self, step: int, steps: int) -> float:
        """What the penalty is multiplied by after `step` of `steps` steps, if it is due then."""
        return value_at(self._schedule, step, steps, "weight", LARGEST_WEIGHT) * self.every


PENALTIES: Registry[Penalty] = Registry(
    "penalty", "ganzoo.penalties", NAMED, can_be_named, functions=True, wrapper=WeightedPenalty
)


class Generate(Protocol):
    """Latents, as the generator takes them, and labels (N,) to images (N, C, H, W) with their graph.

    With clusters, a latent that is given a label gets the signs of its cluster, so any latent goes with any label.
    """

    def __call__(self, latents: Tensor, labels: Tensor | None = None) -> Tensor: ...


class GeneratorPenalty(Protocol):
    """A scalar to add, times a weight, to the generator's loss; computed in float32."""

    def __call__(self, generate: Generate, latents: Tensor, labels: Tensor | None, random: Random) -> Tensor:
        """Compute the penalty.

        Args:
            generate: the generator, in training mode.
            latents: of the batch, as the generator takes them.
            labels: of the batch, int64 (N,), for a generator with classes; else None.
            random: as for a `Penalty`, one number an image; `ganzoo.seeds.normal_each` makes noise of that.

        Returns:
            A scalar whose gradient reaches the generator's parameters.
        """


GENERATOR_PENALTIES: Registry[Callable[..., Any]] = Registry(
    "generator penalty", "ganzoo.generator_penalties", NAMED, can_be_named, functions=True, wrapper=WeightedPenalty
)


@GENERATOR_PENALTIES.register("path-length")
class PathLength(Stateful):
    """E (|J^T y| - a)^2: steps of latents change images equally far (Karras et al. 2020, StyleGAN2, eq. 4).

    J is the generator's Jacobian by a latent, y is Gaussian noise as large as an image, divided by the square root of
    its pixels, and a is the moving mean of |J^T y|, which begins at 0. The paper's code has a weight
    of 2, every 4 steps, and takes the difference to the a that it has just moved.

    In a loop of your own, call `end_step` after each step, as the Trainer does: without it a stays 0.

    Args:
        decay: how much of its distance to the new mean a moves by at each step with this penalty.
    """

    def __init__(self, decay: Annotated[float, Bounds(0, 1)] = 0.01) -> None:
        self._decay, self._mean = decay, 0.0
        self._lengths: list[Tensor] = []

    def __call__(self, generate: Generate, latents: Tensor, labels: Tensor | None, random: Random) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            latents = full(latents.detach()).requires_grad_()
            images = generate(latents) if labels is None else generate(latents, labels)
            noise = normal_each(*images.shape, random=random, device=images.device).to(images)
            noise = noise / images[0, 0].numel() ** 0.5
            (gradient,) = torch.autograd.grad((images * noise).sum(), latents, create_graph=True)
            lengths = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        self._lengths.append(lengths.detach())
        return (lengths - self._mean).square().mean()

    def end_step(self, real_sign: float, images: int, mean: Callable[[Tensor], Tensor]) -> None:
        if self._lengths:
            self._mean += self._decay * (float(mean(torch.cat(self._lengths).mean())) - self._mean)
            self._lengths = []

    def figures(self) -> dict[str, float]:
        return {"path_length": self._mean}

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if type(state["mean"]) not in (int, float) or not 0 <= state["mean"] < math.inf:
            raise ValueError(f"the mean path length is {state['mean']}")
        self._mean, self._lengths = float(state["mean"]), []


@GENERATOR_PENALTIES.register("diversity")
def diversity(
    generate: Generate,
    latents: Tensor,
    labels: Tensor | None,
    random: Random,
    *,
    limit: Annotated[float, Bounds(0, 10)] = 0.2,
) -> Tensor:
    """E max(0, limit - |G(z) - G(y)| / |z - y|): two images of one label differ (Yang et al. 2019, DSGAN, eq. 2).

    z are the latents of the batch, y others, drawn for the same labels; both distances are means of absolute
    differences, over the channels and pixels of images in [-1, 1], and over the numbers of a latent. The paper
    subtracts the smaller of the ratio and `limit` from the generator's loss, which has the same gradient. A mean over
    pixels has small gradients, so the weight must be large. What it is for: a generator with many labels may draw one
    image for each, which the adversarial loss hardly notices.

    Args:
        limit: a ratio from which on two images differ enough. Two latents are 1.13 apart in the mean; real images of a
            label have ratios of 0.24 to 0.32 (clusters of garments and of emoji).
    """
    with torch.autocast(latents.device.type, enabled=False):
        one = full(latents.detach())
        other = normal_each(*one.shape, random=random, device=one.device).to(one)
        both = torch.cat([one, other])
        images = generate(both) if labels is None else generate(both, torch.cat([labels, labels]))
        distance = torch.sub(*full(images).chunk(2)).abs().flatten(1).mean(1)
        return (limit - distance / (one - other).abs().flatten(1).mean(1)).relu().mean()


def gradient_norms(discriminate: Discriminate, images: Tensor) -> Tensor:
    """Euclidean norms (N,) of the gradients of the discriminator's logits by each image, differentiable once more."""
    with torch.autocast(images.device.type, enabled=False):
        images = full(images.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminate(images).sum(), images, create_graph=True)
        return torch.linalg.vector_norm(gradient.flatten(1), dim=1)


@PENALTIES.register("r1")
def r1(discriminate: Discriminate, real_images: Tensor, fake_images: Tensor, random: Random = None) -> Tensor:
    """1/2 E |gradient of D at real images|^2, the half included (Mescheder et al. 2018, eq. 9); its weight is gamma."""
    return gradient_norms(discriminate, real_images).square().mean() / 2


@PENALTIES.register("r2")
def r2(discriminate: Discriminate, real_images: Tensor, fake_images: Tensor, random: Random = None) -> Tensor:
    """1/2 E |gradient of D at fakes|^2, the half included (Mescheder et al. 2018, section 4.1)."""
    return gradient_norms(discriminate, fake_images).square().mean() / 2


@PENALTIES.register("wgan-gp")
def wgan_gp(discriminate: Discriminate, real_images: Tensor, fake_images: Tensor, random: Random = None) -> Tensor:
    """E (|gradient of D| - 1)^2 at random points between real images and fakes (Gulrajani et al. 2017, eq. 3).

    The points are e*real + (1 - e)*fake with one e, uniform in 0 to 1, a pair. The paper's weight is 10.

    Raises:
        ShapeError: real and fake images differ in shape, so they can't be paired.
    """
    if real_images.shape != fake_images.shape:
        raise ShapeError(
            f"wgan-gp mixes real and fake images one by one: they must have one shape, got "
            f"{tuple(real_images.shape)} and {tuple(fake_images.shape)}."
        )
    real, fake = (full(each.detach()) for each in (real_images, fake_images))
    shares = uniform(len(real), *[1] * (real.dim() - 1), random=random, device=real.device).to(real)
    return (gradient_norms(discriminate, fake + shares * (real - fake)) - 1).square().mean()


def check_penalty(penalty: str | Callable[..., Tensor], registry: Registry[Any] = PENALTIES) -> None:
    """Check that a penalty keeps the contract, on a tiny network.

    Args:
        penalty: a registered name, with or without options, or the penalty itself, which stays as it is.
        registry: where it belongs: `PENALTIES`, or `GENERATOR_PENALTIES` for one on the generator.

    Raises:
        UnknownNameError: nobody registered the name.
        ConfigError: it fails, gives anything but one finite number, no gradient of it reaches the network, it takes
            random numbers from elsewhere than `random`, or has state without being a `Stateful`.
        PluginError: its state does not come back through a checkpoint.
    """
    name = penalty if isinstance(penalty, str) else getattr(penalty, "__name__", "given")
    place = f"{registry.kind} {name}"
    if not isinstance(penalty, str) and not serves(penalty):
        raise ConfigError(f"{place} must be {SERVES}")
    tried = [registry.make(penalty).penalty if isinstance(penalty, str) else copy.deepcopy(penalty) for _ in range(2)]
    values = [_tried(each, registry is PENALTIES, place, seed) for seed, each in enumerate(tried)]
    if not torch.equal(*values):
        raise ConfigError(f"{place} {NOT_REPEATED}")
    if isinstance(tried[0], Stateful):
        check_restored(tried[0], place)


def _tried(penalty: Callable[..., Tensor], on_discriminator: bool, place: str, seed: int) -> Tensor:
    """The penalty on a tiny network, the same each time, while torch's global state is of `seed`."""
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(4, 2, 4, 4, device="cpu", generator=random) * 2 - 1 for _ in range(2))
    latents = torch.randn(4, 5, device="cpu", generator=random)
    with seeded(0):
        discriminate = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh(), nn.Linear(6, 1))
        draw = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 32), nn.Unflatten(1, (2, 4, 4)))
    with seeded(seed):
        network = discriminate if on_discriminator else draw
        given: tuple[Any, ...] = (discriminate, real, fake)
        if not on_discriminator:
            given = (lambda z, labels=None: draw(z), latents, None)
        value = checked_number(place, lambda: penalty(*given, random))
    weights = tuple(network.parameters())
    gradients = torch.autograd.grad(value, weights, allow_unused=True) if value.requires_grad else ()
    found = [each for each in gradients if each is not None]
    if not found:
        raise ConfigError(f"{place}: no gradient of it reaches the network; something cuts it off, as .detach()")
    if not all(each.isfinite().all() for each in (value, *found)):
        raise ConfigError(f"{place}: it, or its gradient, is not finite")
    return value.detach()
