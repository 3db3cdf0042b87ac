"""One way to train a pair of networks, in a process of its own: steps when it is asked, for `throughput.py`.

    python benchmarks/training_ways.py WAY NETWORKS BATCH [quick]

A line "ready SECONDS" tells that the first steps are done, and what costs beside plain steps there are for each step
(scores, samples, checkpoints, the doctor, at their usual periods). A number on standard input asks for as many steps; a
line "turn SECONDS" answers. The end of the input ends the process.

Others' trainers train our networks on the same images, as their documentation shows it:

    pip install --no-deps --target others torchgan==0.1.0 particlegan==0.9.4     (then --others others)
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from textbook import make_step
from torch import Tensor, nn

import ganzoo
from ganzoo.settings import Settings
from ganzoo.training import Callback
from ganzoo.training.one_stage import one_stage_step
from ganzoo.training.optimizers import make_optimizer
from ganzoo.training.runtime import Runtime
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step

WARM_UP = 2
WAYS: dict[str, Callable[..., None]] = {}
ONE_STAGE = {"updates": "one-stage", "loss": "minimax"}  # through batch norm it is exact with this loss


def way(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def keep(function: Callable[..., None]) -> Callable[..., None]:
        WAYS[name] = function
        return function

    return keep


class Turns:
    """Called after each step: counts, answers, waits for the next turn."""

    def __init__(self, extra: float = 0.0) -> None:
        self._left, self._start, self._extra = WARM_UP, None, extra

    def __call__(self) -> bool:
        """Whether the way is to end."""
        self._left -= 1
        if self._left > 0:
            return False
        if self._start is None:
            print(f"ready {self._extra}", flush=True)
        else:
            print(f"turn {time.perf_counter() - self._start}", flush=True)
        asked = sys.stdin.readline().strip()
        self._left, self._start = int(asked or 0), time.perf_counter()
        return not asked


def networks(name: str) -> ganzoo.GAN:
    """Fresh networks of a preset, without clusters, which only our trainer has."""
    return ganzoo.create(name, seed=0, clusters=0)


def noise(gan: ganzoo.GAN) -> Tensor:
    """2,048 images of noise as bytes."""
    shape = (2048, gan.image_channels, gan.image_size, gan.image_size)
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def batches(gan: ganzoo.GAN, batch: int, turns: Turns) -> Iterator[Tensor]:
    """Real images for a loop that asks for the next ones when a step is done."""
    data = ganzoo.data.open_data(noise(gan))
    while True:
        yield data.batch(torch.randint(len(data), (batch,)))
        if turns():
            return


class Plain(Callback):
    """Calls `turns` after each step, and ends the run."""

    def __init__(self, turns: Callable[[], bool]) -> None:
        self._turns = turns

    def on_step(self, run) -> None:
        if self._turns():
            run.stop("enough")


class Moments(Callback):
    """What a step costs on top of a plain one when the doctor looks, and when score, samples and checkpoint are due."""

    DOCTOR, OTHERS, STEPS, BATCH = 3, 4, 9, 16  # a batch that is quick: what is looked for does not depend on it

    def __init__(self) -> None:
        self._moments: list[float] = []

    def on_step(self, run) -> None:  # what is due at this step comes after this call
        self._moments.append(time.perf_counter())

    def for_each_step(self) -> float:
        """Seconds, at the settings' usual periods."""
        took = {step: b - a for step, (a, b) in enumerate(zip(self._moments, self._moments[1:]), 1)}
        doctor, others = ([took[step] for step in took if step % every == 0] for every in (self.DOCTOR, self.OTHERS))
        plain = statistics.median(took[step] for step in took if step % self.DOCTOR and step % self.OTHERS)
        usual = Settings()
        found = (statistics.median(doctor) - plain) / usual.doctor_every
        return max(0.0, found + (statistics.median(others) - plain) / usual.score_every)


def _trainer(name: str, batch: int, **changes: object) -> None:
    """The whole trainer with all that users get; the report's period counts the waiting for others."""
    gan, given = networks(name), {"batch_size": batch, "progress": False, "penalties": (), "clusters": 0, **changes}
    with tempfile.TemporaryDirectory() as folder:
        moments = Moments()
        due = {f"{each}_every": Moments.OTHERS for each in ("score", "sample", "checkpoint")}
        ganzoo.Trainer(
            networks(name), noise(gan), Path(folder) / "due", steps=Moments.STEPS, doctor_every=Moments.DOCTOR,
            report_every=0, callbacks=[moments], **due, **{**given, "batch_size": Moments.BATCH},
        ).fit()  # fmt: skip
        never = {f"{each}_every": 0 for each in ("score", "sample", "checkpoint", "doctor")}
        turns = Turns(moments.for_each_step())
        ganzoo.Trainer(
            gan, noise(gan), Path(folder) / "run", steps=10**6, report_every=30 * len(WAYS), callbacks=[Plain(turns)],
            **never, **given,
        ).fit()  # fmt: skip


@way("trainer")
def trainer(name: str, batch: int) -> None:
    _trainer(name, batch)


@way("trainer, one-stage")
def trainer_one_stage(name: str, batch: int) -> None:
    _trainer(name, batch, **ONE_STAGE)


def bare_step(gan: ganzoo.GAN, one_stage: bool = False) -> Callable[[Tensor], object]:
    """A step with the trainer's precision, memory format, optimizers and shared fakes, and nothing else."""
    settings = Settings()
    runtime = Runtime(settings)
    generator, discriminator = (runtime.place(network) for network in (gan.generator, gan.discriminator))
    of_generator, of_discriminator = (make_optimizer(each, 2e-4, settings) for each in (generator, discriminator))
    generate, judge = runtime.autocast(generator), runtime.autocast(discriminator)
    loss = ganzoo.LOSSES.make("minimax" if one_stage else "non-saturating")

    def step(real: Tensor) -> None:
        latents = torch.randn(len(real), *gan.latent_shape)
        part = MicroBatch(runtime.send(real), generate(runtime.send(latents)))
        if one_stage:
            one_stage_step(
                judge, (of_discriminator, of_generator), loss, [part], mismatched_share=0.0, penalty=None,
                generator_penalty=None, processes=1, backward=torch.Tensor.backward, step=type(of_generator).step,
            )  # fmt: skip
            return
        discriminator_step(judge, of_discriminator, loss, [part])
        generator_step(discriminator, of_generator, loss, [part], discriminate=judge)

    return step


@way("bare loop")
def bare(name: str, batch: int) -> None:
    """The trainer's arithmetic alone: what is beyond it is the trainer's overhead."""
    gan = networks(name)
    step = bare_step(gan)
    for real in batches(gan, batch, Turns()):
        step(real)


@way("textbook loop")
def textbook(name: str, batch: int) -> None:
    gan = networks(name)
    step = make_step(gan.generator, gan.discriminator, gan.latent_size)
    for real in batches(gan, batch, Turns()):
        step(real)


@way("torchgan")
def torchgan(name: str, batch: int) -> None:
    """torchgan's Trainer with its minimax losses; it calls make_grid with an argument that torchvision dropped."""
    import torchvision

    make_grid = torchvision.utils.make_grid
    torchvision.utils.make_grid = lambda *given, range=None, **more: make_grid(*given, value_range=range, **more)
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import Discriminator, Generator
    from torchgan.trainer import Trainer

    gan = networks(name)

    class OurGenerator(Generator):
        def __init__(self) -> None:
            super().__init__(gan.latent_size)
            self.network = gan.generator

        def forward(self, latents: Tensor) -> Tensor:
            return self.network(latents)

    class OurDiscriminator(Discriminator):
        def __init__(self) -> None:
            super().__init__(gan.image_size)
            self.network = gan.discriminator

        def forward(self, images: Tensor) -> Tensor:
            return self.network(images)

    class Loader:
        batch_size = batch

        def __iter__(self) -> Iterator[Tensor]:
            return batches(gan, batch, Turns())

    adam = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            {
                "generator": {"name": OurGenerator, "optimizer": adam},
                "discriminator": {"name": OurDiscriminator, "optimizer": adam},
            },
            [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
            device=torch.device("cpu"), epochs=1, checkpoints=f"{folder}/model/gan", recon=f"{folder}/images",
            log_dir=f"{folder}/log",
        )(Loader())  # fmt: skip


@way("particlegan")
def particlegan(name: str, batch: int) -> None:
    """particlegan's GANTrainer with its default recipe, learned latents and penalty included."""
    from particlegan import GANTrainer, get_recipe

    gan = networks(name)
    recipe = get_recipe(total_steps=10_000, z_dim=gan.latent_size, batch_size=batch)
    trainer = GANTrainer(recipe, gan.generator, nn.Sequential(gan.discriminator, nn.Flatten()), seed=0)
    for real in batches(gan, batch, Turns()):
        trainer.step(real)


if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
