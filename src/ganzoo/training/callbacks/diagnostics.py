"""The numbers that the doctor's findings follow from, of a run at one step, taken without changing the run by a bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.data import ImageData
from ganzoo.gan import GAN
from ganzoo.hardware import off_mps
from ganzoo.losses import Loss
from ganzoo.models import evaluating
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.seeds import derive_seed, generator_for
from ganzoo.settings import Settings
from ganzoo.training.classes import LabelMap
from ganzoo.training.runtime import Runtime

SAMPLES = 128  # real images, and as many fakes: the same ones in every snapshot
FEWEST_LOGITS = 8  # of real images, and as many of fakes: fewer lie in [0, 1] by chance
FEWEST_PAIRS = 20  # of images of one class or cluster, to say how much these differ
THUMBNAIL = 8  # pixels a side of the pictures that are compared for variety


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one step. Pictures are in [-1, 1], distances root mean squares over their numbers."""

    step: int
    real_logit: float  # mean
    fake_logit: float
    real_logit_spread: float  # standard deviation
    fake_logit_spread: float
    activated: bool  # the discriminator never leaves [0, 1], not even on strong noise
    overlap: float  # part of all pairs in which the fake's logit is at least the real image's; 0: told apart always
    discriminator_loss: float  # without label smoothing
    undecided_loss: float  # of a discriminator whose logits are all 0
    discriminator_gradient: float  # norm, as of the last update, clipped; of losses that are summed: for one image
    generator_gradient: float
    real_variety: float  # mean distance between two thumbnails
    fake_variety: float
    earlier_variety: float = 0.0  # the largest `fake_variety` of earlier snapshots: the doctor remembers
    real_label_variety: float = 0.0  # mean distance between two of one class or cluster; 0: too few to say
    fake_label_variety: float = 0.0
    earlier_label_variety: float = 0.0
    real_nearest: float  # mean distance from a thumbnail to its nearest other
    fake_nearest: float
    real_smoothness: float  # correlation of pixels side by side: 0 in white noise, near 1 in photographs
    fake_smoothness: float
    real_between: float  # part of the numbers that are neither black nor white, -0.8 to 0.8: paper of a scan is white
    fake_between: float  # -0.99 to 0.99: only a generator that is driven to its ends gives others
    never_negative: bool  # the generator never goes below 0, not even of strong latents, and real images do
    outside: float  # part of the fakes' numbers that lie outside [-1, 1] by more than a hundredth


class Diagnostics:
    """Takes snapshots of one run.

    The networks are called as training calls them (training mode, batches of the run's size, its precision), with
    copies of their buffers, and the state of random generators is put back.
    """

    def __init__(self, gan: GAN, data: ImageData, settings: Settings, runtime: Runtime, loss: Loss) -> None:
        self._gan, self._data, self._settings, self._runtime = gan, data, settings, runtime  # labels by `attach_labels`
        random = generator_for(settings.seed, "doctor")
        part = max(1, settings.batch_size // (runtime.processes * settings.accumulate))
        self._loss = loss
        self._size = min(part, SAMPLES, len(data))
        count = min(SAMPLES, len(data)) // self._size * self._size
        self._chosen = torch.randperm(len(data), device="cpu", generator=random)[:count]
        labels = data.labels[self._chosen] if data.labels is not None else None
        latents = torch.randn(count, gan.latent_size, dtype=torch.float32, device="cpu", generator=random)
        self._labels, latents = LabelMap(gan, data.clusters).align_latents(labels, latents)
        self._latents = latents.reshape(-1, *gan.latent_shape)

    @torch.no_grad()
    def __call__(self, state: TrainingState) -> Snapshot:
        """The numbers of `state`, between two steps."""
        with self._runtime.random_kept():
            self._runtime.seed(derive_seed(self._settings.seed, "doctor", state.step))
            real, fake = self._seen(state)
            activated = real["logits"].numel() >= FEWEST_LOGITS
            activated = activated and all(float(each["in_unit"].min()) == 1 for each in (real, fake))
            activated = activated and bool(_in_unit(self._strained(state.discriminator, of_images=True)).all())
            never_negative = float(real["low"].min()) < -0.5 and float(fake["low"].min()) >= 0
            never_negative = never_negative and float(self._strained(state.generator, of_images=False).min()) >= 0
        loss, settings = self._loss, self._settings
        summed = loss.reduction == "sum"
        per_image, scale = (len(real["logit"]), settings.batch_size) if summed else (1, 1)
        zeros = torch.zeros_like(real["logits"])
        figures: dict[str, Any] = {}
        for name, seen in (("real", real), ("fake", fake)):
            figures |= {f"{name}_{figure}": value for figure, value in _figures(seen, self._labels).items()}
        return Snapshot(
            step=state.step,
            activated=activated,
            overlap=float((fake["logit"][:, None] >= real["logit"]).float().mean()),
            discriminator_loss=float(loss.for_discriminator(real["logits"], fake["logits"])) / per_image,
            undecided_loss=float(loss.for_discriminator(zeros, zeros)) / per_image,
            discriminator_gradient=_gradient_norm(state.discriminator) / scale,
            generator_gradient=_gradient_norm(state.generator) / scale,
            never_negative=never_negative,
            outside=float(fake["outside"].mean()),
            **figures,
        )

    def _seen(self, state: TrainingState) -> list[dict[str, Tensor]]:
        """The numbers of real images and of as many fakes, batch by batch, so that large ones need no memory."""
        generate, discriminate = self._calling(state.generator), self._calling(state.discriminator)
        batches: tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]] = ([], [])
        for rows in torch.arange(len(self._chosen), device="cpu").split(self._size):
            images = self._runtime.send(self._data.batch(self._chosen[rows]))
            labels = [] if self._labels is None else [self._runtime.send(self._labels[rows])]
            made = generate(self._latents[rows].to(self._runtime.device), *labels)
            batches[0].append(_numbers(images, discriminate(images, *labels), ends=0.8))
            batches[1].append(_numbers(made, discriminate(made, *labels), ends=0.99))
        return [{name: torch.cat([each[name] for each in several]) for name in several[0]} for several in batches]

    def _strained(self, network: nn.Module, of_images: bool) -> Tensor:
        """What `network` gives, in evaluation mode, for numbers a hundred times too strong: layers without an
        activation behind them then leave any small range."""
        images = self._data.batch(self._chosen[: self._size])
        inputs = torch.randn_like(images) if of_images else self._latents[: self._size]
        given = [100 * inputs] if self._labels is None else [100 * inputs, self._labels[: self._size]]
        try:
            with evaluating(network):
                return self._calling(network)(*map(self._runtime.send, given))
        except Exception:  # a network may refuse such numbers: then nothing is known of its end
            return torch.tensor(-1.0)

    def _calling(self, network: nn.Module) -> Callable[..., Tensor]:
        """`network` in the run's precision, with buffers of its own for the length of a snapshot."""
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        return self._runtime.autocast(lambda *inputs: functional_call(network, buffers, inputs))


def _numbers(images: Tensor, logits: Tensor, ends: float) -> dict[str, Tensor]:
    """What is wanted of each picture (N, C, H, W) and its logits; black and white begin at -`ends` and `ends`."""
    across, down = images.diff(dim=3), images.diff(dim=2)
    return {
        "logits": logits,  # as the network gives them: a loss may count on their shape
        "logit": _means(logits),
        "in_unit": _means(_in_unit(logits)),
        "low": images.flatten(1).amin(1),
        "outside": _means(images.abs() > 1.01),
        "between": _means(images.abs() < ends),
        "change": (_means(across.square()) + _means(down.square())) / 2,
        "variance": _means((images - images.mean((2, 3), keepdim=True)).square()),
        "thumbnail": nn.functional.adaptive_avg_pool2d(off_mps(images).float(), THUMBNAIL).flatten(1),
    }


def _figures(seen: dict[str, Tensor], labels: Tensor | None) -> dict[str, float]:
    """What a snapshot holds of pictures, real ones as fakes, whose `_numbers` are `seen`, of these `labels` (N,)."""
    thumbnails, count = seen["thumbnail"], len(seen["thumbnail"])
    distances = torch.cdist(thumbnails, thumbnails, compute_mode="donot_use_mm_for_euclid_dist")
    distances /= thumbnails.shape[1] ** 0.5
    others = distances.clone().fill_diagonal_(float("inf"))
    alike = torch.zeros(count, count, dtype=torch.bool, device="cpu") if labels is None else labels[:, None] == labels
    of_one_label = distances[alike.to(distances.device).triu(1)]
    return {
        "logit": float(seen["logit"].mean()),
        "logit_spread": float(seen["logit"].std(unbiased=False)),
        "variety": float(distances.sum()) / max(1, count * (count - 1)),
        "label_variety": float(of_one_label.mean()) if len(of_one_label) >= FEWEST_PAIRS else 0.0,
        "nearest": float(others.min(1).values.mean()) if count > 1 else 0.0,
        "smoothness": 1 - float(seen["change"].mean() / (2 * seen["variance"].mean() + 1e-6)),  # 1: each of one colour
        "between": float(seen["between"].mean()),
    }


def _means(values: Tensor) -> Tensor:
    """The mean of each row."""
    return values.float().reshape(len(values), -1).mean(1)


def _in_unit(values: Tensor) -> Tensor:
    return (values >= 0) & (values <= 1)


def _gradient_norm(network: nn.Module) -> float:
    return float(nn.utils.get_total_norm([each.grad for each in network.parameters() if each.grad is not None]))
