"""The trial before a run: both networks, the loss and all that alters images are called once, as training will call
them, and a fresh model is saved and loaded. A mistake is said before anything is written.

It changes no weight, no buffer, no gradient and no random state.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.augment import altered
from ganzoo.data import ImageData
from ganzoo.errors import ConfigError, GanzooError, failure, words_of
from ganzoo.gan import GAN
from ganzoo.losses import checked_number
from ganzoo.models.checked import checked_images, checked_logits
from ganzoo.models.contract import offers_auxiliary_loss
from ganzoo.penalties import GeneratorPenalty, Penalty
from ganzoo.seeds import generator_for
from ganzoo.settings import Settings
from ganzoo.training.classes import LabelMap, labelled
from ganzoo.training.method import Method
from ganzoo.training.one_stage import obstacle
from ganzoo.training.runtime import Runtime

_ONE_VALUE = "Expected more than 1 value per channel"  # what torch's batch norms say of a batch of one at 1x1


class Trial:
    """Tries a pair on the device and in the precision of its run.

    Args:
        data: its images, with labels as `classes.attach_labels` makes them.
        batches: sizes of the batches that come, in images, over all processes.
        method: of the run; its state is the same afterwards.
    """

    def __init__(
        self, gan: GAN, data: ImageData, batches: Iterable[int], settings: Settings, runtime: Runtime, method: Method
    ) -> None:
        assert gan.discriminator is not None
        self._gan, self._data, self._settings, self._runtime = gan, data, settings, runtime
        self._sizes = _part_sizes(batches, settings.accumulate, runtime.processes)
        self._method = method
        self._networks = {"generator": gan.generator, "discriminator": gan.discriminator}

    def steps(self) -> None:
        """One pass of all that a step calls, on the largest and on the smallest batch that will come.

        Raises:
            ConfigError: something fails, or has the wrong type, shape or gradient.
        """
        for network in self._networks.values():
            self._runtime.place(network)
        state = copy.deepcopy(self._method.state_dict())
        with _unchanged(*self._networks.values()), self._runtime.random_kept():
            for network in self._networks.values():
                network.train()
            for size in {max(self._sizes), min(self._sizes)}:
                try:
                    self._step(size)
                    self._method.check_restored()
                except ConfigError as error:
                    if _ONE_VALUE in str(error):
                        raise ConfigError(self._about_one_value(str(error), size)) from error
                    raise
                finally:
                    self._method.load_state_dict(state)

    def saving(self) -> None:
        """Save the fresh pair into a temporary folder, which checks that it could be loaded from there.

        Raises:
            ConfigError: it could not.
        """
        with tempfile.TemporaryDirectory() as root, torch.random.fork_rng(devices=[]):
            try:
                self._gan.save_pretrained(Path(root) / "model")
            except GanzooError as error:
                if isinstance(error.__cause__, OSError) or "os error" in str(error.__cause__):
                    return  # a temporary folder that is full says nothing of the model
                raise ConfigError(f"the model can't be saved and loaded again: {error}") from error
            except Exception as error:
                raise ConfigError(
                    f"the model can't be saved and loaded again: {words_of(error)}; its state_dict must hold tensors "
                    f"alone, and a registered model must be made of its config without reading values of tensors"
                ) from error

    def _step(self, size: int) -> None:
        """All calls of one step on `size` images, in their order."""
        real, labels, latents = self._batch(size)
        generate = self._runtime.autocast(self._networks["generator"])
        discriminate = self._runtime.autocast(self._networks["discriminator"])
        fake = checked_images(generate, latents, labels)
        if fake.shape != real.shape:
            raise ConfigError(
                f"the generator draws images of shape {tuple(fake.shape)}, the data has {tuple(real.shape)}; make it "
                f"for images of {real.shape[1]} channels and {real.shape[3]} pixels a side"
            )
        real_logits = checked_logits(discriminate, self._augmented(real), labels)
        fake_logits = checked_logits(discriminate, self._augmented(fake.detach()), labels)
        named, loss = f"loss {self._settings.loss}", self._method.loss
        value = _number(f"{named} (for_discriminator)", lambda: loss.for_discriminator(real_logits, fake_logits))
        value = value + self._auxiliary_loss(real)
        for name, each in zip(self._settings.penalties, self._method.penalties):
            value = value + self._penalty(name, each.penalty, real, fake.detach(), labels)
        self._check_gradient(value, "discriminator")
        if self._settings.updates == "one-stage":
            self._check_one_stage(fake.detach(), labels)
        fake_logits = checked_logits(discriminate, self._augmented(fake), labels)
        seen = real_logits.detach() if loss.generator_sees_real else None
        value = _number(f"{named} (for_generator)", lambda: loss.for_generator(fake_logits, seen))
        for name, each in zip(self._settings.generator_penalties, self._method.generator_penalties):
            value = value + self._generator_penalty(name, each.penalty, latents, labels)
        self._check_gradient(value, "generator")

    def _check_one_stage(self, fake: Tensor, labels: Tensor | None) -> None:
        """Raise ConfigError if one pass of the discriminator over `fake` can't serve both networks."""
        found = obstacle(self._method.loss, self._networks["discriminator"], fake, labels)
        if self._runtime.scaler is not None:
            found = "in fp16 the gradients of fakes that the discriminator recognises vanish; choose bf16 or float32"
        if found:
            raise ConfigError(f"updates=one-stage, loss {self._settings.loss}: {found}, or updates=alternating")

    def _batch(self, size: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """The first `size` real images, their labels, and latents."""
        rows = torch.arange(size, device="cpu") % len(self._data)
        labels = self._data.labels[rows] if self._data.labels is not None else None
        random = generator_for(self._settings.seed, "trial")
        drawn = torch.randn(size, self._gan.latent_size, generator=random, dtype=torch.float32, device="cpu")
        labels, latents = LabelMap(self._gan, self._data.clusters).align_latents(labels, drawn)
        send = self._runtime.send
        shaped = latents.reshape(-1, *self._gan.latent_shape).to(self._runtime.device)
        return send(self._data.batch(rows)), None if labels is None else send(labels), shaped

    def _augmented(self, images: Tensor) -> Tensor:
        for name, augmentation in zip(self._settings.augmentations, self._method.augmentations):
            images = altered(augmentation, name, images, generator_for(self._settings.seed, "trial", name))
        return images

    def _auxiliary_loss(self, real: Tensor) -> Tensor:
        """The discriminator's loss of its own, 0 if it has none."""
        network: Any = self._networks["discriminator"]
        random = generator_for(self._settings.seed, "trial", "auxiliary")
        zero = torch.zeros((), device=real.device)
        if not offers_auxiliary_loss(network):
            return zero

        def compute() -> Tensor:
            value = network.auxiliary_loss(self._augmented(real), random)
            return zero if value is None else value

        return _number("the discriminator's auxiliary_loss", compute)

    def _penalty(self, name: str, penalty: Penalty, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        network, random = self._networks["discriminator"], generator_for(self._settings.seed, "trial", name)

        def discriminate(images: Tensor) -> Tensor:
            return checked_logits(network, self._augmented(images), labels)

        return _number(f"penalty {name}", lambda: penalty(discriminate, real, fake, random))

    def _generator_penalty(
        self, name: str, penalty: GeneratorPenalty, latents: Tensor, labels: Tensor | None
    ) -> Tensor:
        network, random = self._networks["generator"], generator_for(self._settings.seed, "trial", name)

        def generate(latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return checked_images(network, *labelled(self._gan, latents, labels))

        return _number(f"generator penalty {name}", lambda: penalty(generate, latents, labels, random))

    def _check_gradient(self, value: Tensor, name: str) -> None:
        """Raise ConfigError unless the gradient of `value` reaches the network `name`."""
        weights = [each for each in self._networks[name].parameters() if each.requires_grad]
        try:
            gradients = torch.autograd.grad(value, weights, allow_unused=True) if value.requires_grad else ()
        except Exception as error:
            raise failure(error, f"the {name}'s gradient can't be computed") from error
        if all(each is None for each in gradients):
            raise ConfigError(
                f"no gradient of the loss reaches the {name}: something between its weights and the loss cuts it off "
                f"(torch.no_grad, detach, rounding); take that out"
            )

    def _about_one_value(self, said: str, size: int) -> str:
        """What to do when a batch norm gets a single value a channel."""
        settings = self._settings
        name = "generator" if said.startswith("the generator") else "discriminator"
        return (
            f"the {name} has a batch norm over one value a channel: its last features are 1x1, and the smallest batch "
            f"that comes is {size} image ({len(self._data):,} images, batch_size {settings.batch_size}, accumulate "
            f"{settings.accumulate}, keep_last_batch {str(settings.keep_last_batch).lower()}, "
            f"{self._runtime.processes} processes); choose another batch_size, set keep_last_batch=false, or take "
            f"another norm, as {name}.norm=layer"
        )


def _number(place: str, compute: Callable[[], Any]) -> Tensor:
    return checked_number(place, compute, " in the trial before the first step")


def _part_sizes(batches: Iterable[int], parts: int, processes: int) -> set[int]:
    """How many images of a batch are computed at once."""
    sizes = set()
    for batch in batches:
        mine = batch // processes
        size = -(-mine // parts)
        sizes |= {size, mine % size or size}
    return sizes


def check_weights(gan: GAN) -> None:
    """Raise ConfigError unless both networks have weights to train, in float32, that a checkpoint can hold."""
    for name in ("generator", "discriminator"):
        _check_weights(name, getattr(gan, name))


def _check_weights(name: str, network: nn.Module) -> None:
    weights, kept = dict(network.named_parameters()), network.state_dict()
    for key, value in [*weights.items(), *network.named_buffers()]:
        if torch.nn.parameter.is_lazy(value):
            raise ConfigError(f"the {name}'s {key} has no shape yet (a lazy module): call the {name} once before")
        if value.is_meta:
            raise ConfigError(f"the {name}'s {key} has no numbers (device meta): make the {name} on a real device")
        if value.is_complex():
            raise ConfigError(
                f"the {name}'s {key} is complex, which no checkpoint holds: keep torch.view_as_real of it"
            )
        if key in kept and torch._debug_has_internal_overlap(value) == 1:
            raise ConfigError(f"numbers of the {name}'s {key} share memory, as after expand(): give it a .clone()")
        if key in weights and value.is_floating_point() and value.dtype != torch.float32:
            kind = str(value.dtype).removeprefix("torch.")
            raise ConfigError(f"the {name}'s {key} is {kind}; training keeps weights in float32: call {name}.float()")
    if not any(value.requires_grad for value in weights.values()):
        frozen = f"all {len(weights)} are frozen: call {name}.requires_grad_(True)" if weights else "it has none"
        raise ConfigError(f"the {name} has no weights to train: {frozen}")


@contextmanager
def _unchanged(*networks: nn.Module) -> Iterator[None]:
    """For the length of a `with` block the networks may run; then their buffers, modes and all that they keep in
    attributes is what it was. (Results of a call that stay there could not be copied for the average.)"""
    modules = [module for network in networks for module in network.modules()]
    attributes = [(module, dict(vars(module))) for module in modules]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for module, before in attributes:
            vars(module).clear()
            vars(module).update(before)
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                setattr(module, name, buffer if torch.equal(buffer, value) else buffer.copy_(value))
