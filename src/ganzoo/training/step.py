"""One training step: draw a batch, update the discriminator, the generator and the average.

What a step draws follows from the seed and the step alone, and is drawn for the whole batch before a process takes its
part, so that one process or several see the same (dropout apart, which draws by process).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.optim import Optimizer

from ganzoo.callbacks import FIGURES
from ganzoo.data import Loader, shard
from ganzoo.data.image_data import scale
from ganzoo.gan import GAN
from ganzoo.models import Discriminator
from ganzoo.models.contract import call_with, offers_auxiliary_loss
from ganzoo.penalties import WeightedPenalty
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.seeds import Streams, derive_seed, generator_for, number, stream
from ganzoo.settings import Settings
from ganzoo.training.captured import CapturedStep
from ganzoo.training.classes import LabelMap, labelled
from ganzoo.training.ema import AveragedGenerator
from ganzoo.training.method import Method
from ganzoo.training.one_stage import one_stage_step
from ganzoo.training.optimizers import CAPTURABLE, make_optimizer
from ganzoo.training.runtime import Runtime
from ganzoo.training.step_functions import (
    CallDiscriminator,
    DiscriminatorTerm,
    GeneratorTerm,
    MicroBatch,
    discriminator_step,
    generator_step,
)

PENALTY = FIGURES.index("penalty")
REAL_SIGN = 4  # place among the figures of the updates of one that only the method sees

BATCH_NORM = (
    "the discriminator has batch norm and a penalty on its gradient: through batch norm every image of a batch moves "
    "every logit, so the gradient that is penalised is not one image's; take another norm, as with "
    "--set discriminator.norm=layer"
)


class _Draw(NamedTuple):
    """What a batch is made of, on the CPU but for images that lie on the device."""

    latents: Tensor  # (N, latent_size)
    labels: Tensor | None  # of real images and fakes
    mismatched_labels: Tensor | None = None
    mirrored: Tensor | None = None  # bool (N,)
    pixels: Tensor | None = None  # uint8 (N, C, H, W); None: those of the batch before


class _Batch(NamedTuple):
    """A batch on the device."""

    real: Tensor
    latents: Tensor  # (N, *latent_shape)
    labels: Tensor | None
    mismatched_labels: Tensor | None


class _Draws:
    """What augmentations draw for one batch: the same for each image, whichever process and part of a batch holds it.

    Args:
        method: whose augmentations draw.
        random: gives the numbers; the generator's update goes on where the discriminator's has ended.
        images: of the batch that this process holds; all processes of `runtime` hold as many.

    Attributes:
        start: place of the first image of the part that is computed.
    """

    def __init__(self, method: Method, random: torch.Generator, images: int, runtime: Runtime) -> None:
        self._method, self._random = method, random
        self._count, self._first = images * runtime.processes, images * runtime.rank
        self._state, self.start = random.get_state(), self._first

    def begin(self, part: int) -> None:
        """From here on a part is computed that begins `part` images behind the process's first."""
        self._random.set_state(self._state)
        self.start = self._first + part

    def end_of_network(self) -> None:
        """All parts of one network's update are done."""
        self._state = self._random.get_state()

    def behind(self, random: torch.Generator) -> torch.Generator:
        """`random`, from which one number was drawn for each image before the part's."""
        torch.rand(self.start, generator=random, dtype=torch.float32, device="cpu")
        return random

    def augment(self, images: Tensor) -> Tensor:
        """Augment the part's `images` as they would be in the whole batch, of which the rest is left grey."""
        if not self._method.augmentations or len(images) == self._count:
            return self._method.augment(images, self._random)
        behind = self._count - self.start - len(images)
        whole = pad(images, (0, 0, 0, 0, 0, 0, self.start, behind))
        return self._method.augment(whole, self._random)[self.start : self.start + len(images)]


class _Update(NamedTuple):
    """What one update of a network takes."""

    batch: _Batch
    draws: _Draws
    fakes: Tensor | None  # of the whole batch, with their graphs; None: each part's are made when it is computed


class TrainingStep:
    """Makes the state of a run, and brings it from one step to the next.

    Args:
        gan: the networks, trained in place.
        loader: gives real images, and labels as `classes.attach_labels` makes them, batch by batch.
        clusters: of each class, which these labels count (`ImageData.clusters`).
    """

    def __init__(
        self, gan: GAN, loader: Loader, clusters: Sequence[int], settings: Settings, runtime: Runtime, method: Method
    ) -> None:
        assert gan.discriminator is not None
        self._labels = LabelMap(gan, clusters)
        self.gan, self._loader, self.settings, self.runtime = gan, loader, settings, runtime
        self.method = method
        generator, discriminator = runtime.place(gan.generator), runtime.place(gan.discriminator)
        generator_optimizer = make_optimizer(generator, method.now("generator_lr", 0), settings)
        discriminator_optimizer = make_optimizer(discriminator, method.now("discriminator_lr", 0), settings)
        self._generate, of_generator = runtime.prepare(generator, generator_optimizer)
        self._discriminate, of_discriminator = runtime.prepare(discriminator, discriminator_optimizer)
        alike: dict[str, Any] = {"loss": method.loss, "processes": runtime.processes, "backward": runtime.backward}
        alike |= {"step": self._optimizer_step}
        share = settings.mismatched_labels
        self._train_discriminator = partial(
            discriminator_step, optimizer=of_discriminator, mismatched_share=share, **alike
        )
        self._train_generator = partial(generator_step, discriminator, of_generator, **alike)
        optimizers = (of_discriminator, of_generator)
        self._train_both = partial(one_stage_step, optimizers=optimizers, mismatched_share=share, **alike)
        if settings.penalties and any(
            isinstance(part, nn.modules.batchnorm._BatchNorm) for part in discriminator.modules()
        ):
            warnings.warn(BATCH_NORM, stacklevel=2)
        self._generate_alone = runtime.autocast(generator)
        self._discriminate_alone = runtime.autocast(discriminator)
        self._auxiliary = offers_auxiliary_loss(discriminator)
        self._both_labels_at_once = isinstance(discriminator, Discriminator) and discriminator.takes_other_labels
        self._average = AveragedGenerator(generator, method.now("ema_half_life", 0))
        self.state = TrainingState(
            generator=generator,
            discriminator=discriminator,
            average=self._average.network,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            method=method,
            sums=[0.0] * len(FIGURES),
        )
        self._captured: CapturedStep | None = None
        if runtime.captures:
            self._captured = CapturedStep(self._updates, self.state, runtime.device, self._obstacle())

    def __call__(self) -> Tensor:
        """Make one step; return its `FIGURES`, on the device."""
        state, settings = self.state, self.settings
        state.generator.train()
        state.discriminator.train()
        # Dropout and the like, in modules of one's own, draw from the global state.
        self.runtime.seed(derive_seed(settings.seed, "step", state.step, self.runtime.rank))
        optimizers = {"generator": state.generator_optimizer, "discriminator": state.discriminator_optimizer}
        self.method.set_rates(optimizers, state.step, state.rollbacks)
        inputs = [tensor for draw in self._drawn() for tensor in draw]
        streams = partial(stream, settings.seed, state.step)
        if self._captured is None:
            figures = self._updates(inputs, streams)
        else:
            figures = self._captured(inputs, streams, self._places_due())
        if self.method.changes:
            images = settings.batch_size * settings.discriminator_steps
            self.method.end_step(float(self.runtime.mean(figures[REAL_SIGN])), images, self.runtime.mean)
        self._average.half_life = self.method.now("ema_half_life", state.step)
        state.step += 1
        self._average.update(state.step * settings.batch_size, settings.batch_size)
        return torch.cat([figures[:REAL_SIGN], figures[REAL_SIGN + 1 :]])

    def _drawn(self) -> list[_Draw]:
        """All that this step draws: a batch for each update of the discriminator, then latents for each further one of
        the generator."""
        settings, step = self.settings, self.state.step
        drawn, first = [], step * settings.discriminator_steps
        for index in range(first, first + settings.discriminator_steps):
            count, pixels, labels = self._loader.draw(index, self.runtime.rank, self.runtime.processes)
            drawn.append(self._draw(generator_for(settings.seed, "batch", index), count, labels, pixels))
        for turn in range(1, settings.generator_steps):
            drawn.append(self._draw(generator_for(settings.seed, "generator", index, turn), count, labels))
        return drawn

    def _draw(
        self, random: torch.Generator, count: int, real_labels: Tensor | None, pixels: Tensor | None = None
    ) -> _Draw:
        """This process's part of a batch of `count` images; without `pixels`, new latents for the images before."""
        gan, settings = self.gan, self.settings
        mine = shard(torch.arange(count, device="cpu"), self.runtime.rank, self.runtime.processes)
        drawn = torch.randn(count, gan.latent_size, generator=random, dtype=torch.float32, device="cpu")
        labels, latents = self._labels.align_latents(real_labels, drawn[mine])
        if pixels is None:
            return _Draw(latents, labels)
        mirrored = torch.rand(count, generator=random, dtype=torch.float32, device="cpu")[mine] < 0.5
        mismatched_labels = None
        if settings.mismatched_labels:
            chance = torch.rand(count, generator=random, dtype=torch.float32, device="cpu")[mine]
            mismatched_labels = self._labels.draw_mismatched(labels, chance)
        return _Draw(latents, labels, mismatched_labels, mirrored if settings.flip else None, pixels)

    def _sent(self, drawn: _Draw, before: _Batch | None) -> _Batch:
        """What was drawn, on the device; bytes travel, and become numbers there."""
        sent = _Draw(*(None if each is None else self.runtime.send(each) for each in drawn))  # type: ignore[arg-type]
        latents = sent.latents.reshape(-1, *self.gan.latent_shape)
        if sent.pixels is None:
            assert before is not None
            return before._replace(latents=latents, labels=sent.labels)
        real = scale(sent.pixels)
        if sent.mirrored is not None:
            real = torch.where(sent.mirrored.view(-1, 1, 1, 1), real.flip(3), real)
        return _Batch(self.runtime.send(real), latents, sent.labels, sent.mismatched_labels)

    def state_loaded(self) -> None:
        """The state was brought to a checkpoint's, perhaps in other memory."""
        if self._captured is not None:
            self._captured.forget()

    def _obstacle(self) -> str | None:
        """What keeps steps of these settings from being repeated by a CUDA graph."""
        settings = self.settings
        if self.runtime.processes > 1:
            return "several processes share their gradients in each step"
        if settings.accumulate > 1:
            return "batches are computed in parts (accumulate)"
        if settings.optimizer not in CAPTURABLE:
            return f"a graph can't change the learning rate of {settings.optimizer}, only that of adam and adamw"
        if isinstance(settings.beta2, str) and settings.optimizer != "adam":
            return f"a graph can't change beta2 of {settings.optimizer}, only that of adam"
        return self.method.obstacle

    def _due(self, penalties: Sequence[WeightedPenalty], per_step: int, turn: int) -> list[tuple[int, WeightedPenalty]]:
        """Those of `penalties` that count at update `turn` of this step, which has `per_step`, with their places."""
        index = self.state.step * per_step + turn
        return [(place, each) for place, each in enumerate(penalties) if index % each.every == 0]

    def _places_due(self) -> tuple[Any, ...]:
        """Which penalties this step has: their places, by network and update."""
        method, settings = self.method, self.settings
        kinds = (
            (method.penalties, settings.discriminator_steps),
            (method.generator_penalties, settings.generator_steps),
        )
        due = [self._due(penalties, count, turn) for penalties, count in kinds for turn in range(count)]
        return tuple(tuple(place for place, _ in several) for several in due)

    def _updates(self, inputs: Sequence[Tensor | None], streams: Streams) -> Tensor:
        """All that the device computes in a step: both networks' updates.

        Args:
            inputs: the fields of `_drawn`, one after another.
            streams: gives random generators.

        Returns:
            The discriminator's figures of the last update, its penalty of all updates on average, and the generator's
            figures, in one row.
        """
        count, fields = self.settings.discriminator_steps, len(_Draw._fields)
        drawn = [_Draw(*inputs[first : first + fields]) for first in range(0, len(inputs), fields)]  # type: ignore[arg-type]
        if self.settings.updates == "one-stage":
            return self._one_stage_update(drawn[0], streams)
        figures, last = self._discriminator_updates(drawn[:count], streams)
        return torch.cat([figures, self._generator_updates(last, drawn[count:], streams)])

    def _one_stage_update(self, drawn: _Draw, streams: Streams) -> Tensor:
        """Both networks' update at once; their figures."""
        update = self._begin(drawn, streams, 0)
        return self._train_both(
            discriminate=self._behind(update.draws.augment, self._discriminate),
            parts=self._parts(update, training_generator=True),
            penalty=self._penalty(0, update.draws, streams),
            generator_penalty=self._generator_penalty(0, update.draws, streams),
        )

    def _discriminator_updates(self, drawn: Sequence[_Draw], streams: Streams) -> tuple[Tensor, _Update]:
        """The figures of the last update, with the penalty of all on average; and that update."""
        penalties = []
        for turn, each in enumerate(drawn):
            update = self._begin(each, streams, turn)
            figures = self._train_discriminator(
                discriminate=self._behind(update.draws.augment, self._discriminate),
                parts=self._parts(update, training_generator=False),
                penalty=self._penalty(turn, update.draws, streams),
            )
            penalties.append(figures[PENALTY])
            update.draws.end_of_network()
        if len(penalties) > 1:  # one with `every` is in some updates alone
            figures[PENALTY] = torch.stack(penalties).mean()
        return figures, update

    def _generator_updates(self, last: _Update, drawn: Sequence[_Draw], streams: Streams) -> Tensor:
        """The figures of the last update. The first one takes the batch of the discriminator's `last` one, each further
        one the latents that were `drawn` for it."""
        update = last
        for turn in range(self.settings.generator_steps):
            if turn:
                update = self._begin(drawn[turn - 1], streams, self.settings.discriminator_steps - 1, turn, last.batch)
            figures = self._train_generator(
                parts=self._parts(update, training_generator=True),
                discriminate=self._behind(update.draws.augment, self._discriminate_alone),
                penalty=self._generator_penalty(turn, update.draws, streams),
            )
        return figures

    def _begin(
        self, drawn: _Draw, streams: Streams, turn: int, again: int = 0, before: _Batch | None = None
    ) -> _Update:
        """Begin update `turn` of the discriminator, or after it update `again` of the generator on the real images of
        the batch `before`."""
        settings, batch = self.settings, self._sent(drawn, before)
        # With one part a batch, the fakes of the last discriminator update are the generator's too.
        whole = settings.accumulate == 1 and turn == settings.discriminator_steps - 1
        fakes = call_with(self._generate, batch.latents, batch.labels) if whole else None
        random = streams("augment", settings.discriminator_steps, turn, again)
        return _Update(batch, _Draws(self.method, random, len(batch.real), self.runtime), fakes)

    def _parts(self, update: _Update, training_generator: bool) -> Iterator[MicroBatch]:
        """The batch in `accumulate` parts, fakes made one part at a time unless they are there already."""
        batch, draws, fakes = update
        size = -(-len(batch.real) // self.settings.accumulate)
        generate = self._generate if training_generator else self._generate_alone
        for start in range(0, len(batch.real), size):
            draws.begin(start)
            part = _Batch(*(None if each is None else each[start : start + size] for each in batch))  # type: ignore[arg-type]
            fake = fakes
            if fake is None:
                with torch.set_grad_enabled(training_generator):
                    fake = call_with(generate, part.latents, part.labels)
            share = len(fake) / len(batch.real)
            yield MicroBatch(part.real, fake, part.labels, part.mismatched_labels, share, part.latents)

    def _behind(self, augment: Callable[[Tensor], Tensor], network: Callable[..., Tensor]) -> CallDiscriminator:
        """The discriminator, seeing augmented images."""

        def discriminate(images: Tensor, labels: Tensor | None = None, other_labels: Tensor | None = None) -> Tensor:
            images = augment(images)
            if other_labels is None:
                return call_with(network, images, labels)
            if self._both_labels_at_once:
                return network(images, labels, other_labels)
            return torch.cat([network(images, each) for each in (labels, other_labels)])

        return discriminate

    def _penalty(self, turn: int, draws: _Draws, streams: Streams) -> DiscriminatorTerm | None:
        """What is added to the discriminator's loss at update `turn` of the step, in float32: a loss of its own, and
        the penalties due."""
        discriminator, per_step = self.state.discriminator, self.settings.discriminator_steps
        due = self._due(self.method.penalties, per_step, turn)
        if not due and not self._auxiliary:
            return None

        def penalty(real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
            def discriminate(images: Tensor) -> Tensor:
                return call_with(discriminator, draws.augment(images), labels)

            values = []
            if self._auxiliary:
                assert isinstance(discriminator, Discriminator)
                auxiliary = discriminator.auxiliary_loss(draws.augment(real), streams("auxiliary", per_step, turn))
                values = [] if auxiliary is None else [auxiliary]
            for place, each in due:
                random = draws.behind(streams("penalty", per_step, turn, place))
                values.append(self._weighted(each, each.penalty(discriminate, real, fake, random), random))
            return torch.stack(values).sum() if values else real.new_zeros(())

        return penalty

    def _generator_penalty(self, turn: int, draws: _Draws, streams: Streams) -> GeneratorTerm | None:
        """The generator's penalties due at its update `turn`, as `_penalty`."""
        per_step = self.settings.generator_steps
        due = self._due(self.method.generator_penalties, per_step, turn)
        if not due:
            return None

        def generate(latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return call_with(self.state.generator, *labelled(self.gan, latents, labels))

        def penalty(part: MicroBatch) -> Tensor:
            values = []
            for place, each in due:
                random = draws.behind(streams("generator-penalty", per_step, turn, place))
                values.append(self._weighted(each, each.penalty(generate, part.latents, part.labels, random), random))
            return torch.stack(values).sum()

        return penalty

    def _weighted(self, penalty: WeightedPenalty, value: Tensor, random: torch.Generator) -> Tensor:
        """`value` of `penalty` times its factor, which a graph is given in each step, since schedules change it."""
        return value * number(
            lambda: penalty.factor(self.state.step, self.settings.steps), random, value.device, value.dtype
        )

    def _optimizer_step(self, optimizer: Optimizer) -> None:
        if self.settings.clip_gradients:
            self.runtime.clip(optimizer, self.settings.clip_gradients)
        optimizer.step()
