"""The numbers that the doctor's findings follow from, of a run at one step, taken without changing the run by a bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    generator_loss: float
    undecided_loss: float  # of a discriminator whose logits are all 0
    discriminator_gradient: float  # norm, as of the last update; of losses that are summed: for one image
    generator_gradient: float
    real_variety: float  # mean distance between two thumbnails
    fake_variety: float
    earlier_variety: float = 0.0  # the largest `fake_variety` of earlier snapshots: the doctor remembers
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
        self._chosen = torch.randperm(len(data), generator=random)[:count]
        labels = data.labels[self._chosen] if data.labels is not None else None
        latents = torch.randn(count, gan.latent_size, generator=random)
        self._labels, latents = LabelMap(gan, data.clusters).align_latents(labels, latents)
        self._latents = latents.reshape(-1, *gan.latent_shape)

    @torch.no_grad()
    def __call__(self, state: TrainingState) -> Snapshot:
        """The numbers of `state`, between two steps."""
        with self._runtime.random_kept():
            self._runtime.seed(derive_seed(self._settings.seed, "doctor", state.step))
            real, fake = self._pictures(state)
            activated = real.in_unit and fake.in_unit and _in_unit(self._strained(state.discriminator, of_images=True))
            never_negative = real.low < -0.5 and fake.low >= 0
            never_negative = never_negative and float(self._strained(state.generator, of_images=False).min()) >= 0
        loss = self._loss
        per_image = len(real.logits) if loss.reduction == "sum" else 1
        zeros = torch.zeros_like(real.logits)
        scale = self._settings.batch_size / self._settings.accumulate if loss.reduction == "sum" else 1
        return Snapshot(
            step=state.step,
            real_logit=float(real.logits.mean()),
            fake_logit=float(fake.logits.mean()),
            real_logit_spread=float(real.logits.std(unbiased=False)),
            fake_logit_spread=float(fake.logits.std(unbiased=False)),
            activated=activated,
            overlap=float((fake.logits[:, None] >= real.logits).float().mean()),
            discriminator_loss=float(loss.for_discriminator(real.logits, fake.logits)) / per_image,
            generator_loss=float(loss.for_generator(fake.logits, real.logits)) / per_image,
            undecided_loss=float(loss.for_discriminator(zeros, zeros)) / per_image,
            discriminator_gradient=_gradient_norm(state.discriminator) / scale,
            generator_gradient=_gradient_norm(state.generator) / scale,
            real_variety=real.variety,
            fake_variety=fake.variety,
            real_nearest=real.nearest,
            fake_nearest=fake.nearest,
            real_smoothness=real.smoothness,
            fake_smoothness=fake.smoothness,
            real_between=real.between,
            fake_between=fake.between,
            never_negative=never_negative,
            outside=fake.outside,
        )

    def _pictures(self, state: TrainingState) -> tuple[_Pictures, _Pictures]:
        generate, discriminate = self._calling(state.generator), self._calling(state.discriminator)
        real, fake = _Pictures(ends=0.8), _Pictures(ends=0.99)
        for rows in torch.arange(len(self._chosen)).split(self._size):
            images = self._runtime.send(self._data.batch(self._chosen[rows]))
            labels = [] if self._labels is None else [self._runtime.send(self._labels[rows])]
            made = generate(self._latents[rows].to(self._runtime.device), *labels)
            real.add(images, discriminate(images, *labels))
            fake.add(made, discriminate(made, *labels))
        return real, fake

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


class _Pictures:
    """Collects what is wanted of pictures, batch by batch, so that large ones need no memory."""

    def __init__(self, ends: float) -> None:
        self._ends = ends  # black and white begin here
        self._logits: list[Tensor] = []
        self._thumbnails: list[Tensor] = []
        self._changes = self._variance = self._outside = self._between = 0.0
        self.low, self.in_unit = float("inf"), True

    def add(self, images: Tensor, logits: Tensor) -> None:
        self.in_unit = self.in_unit and _in_unit(logits)
        self.low = min(self.low, float(images.min()))
        self._outside += float((images.abs() > 1.01).float().sum() / images[0].numel())
        self._between += float((images.abs() < self._ends).float().sum() / images[0].numel())
        self._logits.append(logits.float().reshape(len(logits), -1).mean(1))
        self._thumbnails.append(nn.functional.adaptive_avg_pool2d(off_mps(images).float(), THUMBNAIL).flatten(1))
        across = images[..., :, 1:] - images[..., :, :-1]
        down = images[..., 1:, :] - images[..., :-1, :]
        self._changes += float(across.square().mean() + down.square().mean()) / 2
        self._variance += float((images - images.mean((2, 3), keepdim=True)).square().mean())

    @property
    def logits(self) -> Tensor:
        return torch.cat(self._logits)

    @property
    def outside(self) -> float:
        return self._outside / len(self.logits)

    @property
    def between(self) -> float:
        return self._between / len(self.logits)

    @property
    def smoothness(self) -> float:
        """1 for pictures of one colour each."""
        return 1 - self._changes / (2 * self._variance + 1e-6)

    @property
    def variety(self) -> float:
        distances = self._distances()
        return float(distances.sum() / max(1, len(distances) * (len(distances) - 1)))

    @property
    def nearest(self) -> float:
        distances = self._distances()
        return float(distances.fill_diagonal_(float("inf")).min(1).values.mean()) if len(distances) > 1 else 0.0

    def _distances(self) -> Tensor:
        thumbnails = torch.cat(self._thumbnails)
        return (
            torch.cdist(thumbnails, thumbnails, compute_mode="donot_use_mm_for_euclid_dist")
            / thumbnails.shape[1] ** 0.5
        )


def _in_unit(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _gradient_norm(network: nn.Module) -> float:
    norms = [torch.linalg.vector_norm(each.grad) for each in network.parameters() if each.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0
