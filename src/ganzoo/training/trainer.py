"""The trainer: a loop over steps that can stop and go on anywhere, and says what it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.data import ImageData, Loader, open_data, open_loader
from ganzoo.errors import ConfigError, GanzooError, TrainingError, quote, shell
from ganzoo.gan import GAN
from ganzoo.presets import PRESETS, create
from ganzoo.runs.card import run_card
from ganzoo.runs.folder import RunFolder, TrainingResult, resume_command, train_on_command
from ganzoo.runs.report import write_report
from ganzoo.saving.model import check_facts
from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState
from ganzoo.training.checkpoint_manager import CheckpointManager
from ganzoo.training.classes import are_names, classify, take_names
from ganzoo.training.clock import Clock
from ganzoo.training.diagnostics import Diagnostics
from ganzoo.training.doctor import look
from ganzoo.training.export import ModelExporter
from ganzoo.training.finetuning import before_averaging
from ganzoo.training.interrupt import Interrupt
from ganzoo.training.metadata import (
    clusters_hash,
    compare_plugins,
    is_described,
    rebuild,
    record,
    recorded_data,
    recorded_reading,
)
from ganzoo.training.progress import ProgressBar, progress_hook, say
from ganzoo.training.runtime import Runtime, RuntimeConfig
from ganzoo.training.step import FIGURES, TrainingStep
from ganzoo.training.trial import Trial, check_weights

Hook = Callable[[TrainingState, dict[str, Any]], None]


class Trainer:
    """Trains a GAN, and writes a run's folder as it goes.

    Args:
        gan: a preset's name, or a GAN (`ganzoo.create`, `ganzoo.GAN(...)`, `from_pretrained(..., discriminator=True)`).
        data: what `ganzoo.data.open_data` takes; None for the preset's own.
        output_dir: the run's folder, new unless `overwrite` is True; None for `runs/` and the preset's name.
        epochs: passes over the data, in place of `steps`.
        licence: of images that don't tell it themselves; stands in the run's record and the model's card.
        broken, ground: how images are read, as `open_data` takes them.
        hooks: called as `hook(state, logs)` at every line of the log.
        progress: show a bar, or curves and pictures in a notebook.
        settings: of the run; None for the preset's, or the defaults for networks of one's own.
        **changes: of those settings, by name (`ganzoo.Settings` lists them).

    Raises:
        ConfigError, DataError, TrainingError: before anything is written.
    """

    data: ImageData

    def __init__(
        self,
        gan: str | GAN,
        data: Any = None,
        output_dir: str | Path | None = None,
        *,
        overwrite: bool = False,
        epochs: float | None = None,
        licence: str | None = None,
        broken: str = "stop",
        ground: str = "white",
        hooks: Sequence[Hook] = (),
        progress: bool = True,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(gan, (str, GAN)):
            raise ConfigError(f"gan must be a preset's name or a ganzoo.GAN, got {quote(gan)}")
        name = gan if isinstance(gan, str) else gan.preset
        preset = PRESETS[name] if name is not None and (isinstance(gan, str) or name in PRESETS) else None
        if isinstance(gan, GAN) and name is not None and name not in PRESETS and settings is None:
            raise ConfigError(
                f"the networks are of the preset {quote(name)}, which is not installed here, so its settings are not "
                f"known; install the package that offers it, or give others: Trainer(gan, ..., settings=Settings(...))"
            )
        if "steps" in changes and epochs is not None:
            raise ConfigError("steps and epochs are both given; one of them says how long to train")
        base = settings or (preset.settings if preset else Settings())
        chosen = base.replace(**changes)
        if data is None:
            if preset is None:
                raise ConfigError("data must be given for networks of one's own: a name, a folder, a Dataset, a tensor")
            data = preset.data
        run = RunFolder(output_dir if output_dir is not None else Path("runs") / (name or "gan"))
        run.check_free(overwrite)
        self._overwrite = overwrite
        self._facts: RuntimeConfig | None = None
        self._reading: dict[str, Any] = {"broken": broken, "ground": ground}
        self._set_up(create(gan, seed=chosen.seed) if isinstance(gan, str) else gan, data, run, chosen, hooks, progress)
        if before_averaging(self.gan):
            say("Training goes on from the generator as it was before averaging, as its discriminator knows it.")
        if remark := take_names(self.data, self.gan):
            say(remark)
        self.data = replace(self.data, licence=licence) if licence else self.data
        if epochs is not None:
            if not 0 < epochs < math.inf:
                raise ConfigError(f"epochs must be above 0, got {epochs:g}")
            if self._feed.batches_per_epoch is None:
                raise ConfigError(f"epochs={epochs:g}: nobody knows how long {self.data.name} is, streamed; give steps")
            self.settings = chosen.replace(
                steps=max(1, round(epochs * self._feed.batches_per_epoch / chosen.discriminator_steps))
            )

    @classmethod
    def resume(
        cls,
        run: str | Path,
        data: Any = None,
        gan: GAN | None = None,
        hooks: Sequence[Hook] = (),
        progress: bool = True,
    ) -> Trainer:
        """The trainer of a run that was stopped or killed; `fit` goes on from its last checkpoint.

        Args:
            data: needed where the run was given a Dataset or tensor, or the images have moved; a hash is compared.
            gan: needed where the run trains modules of one's own: freshly made, the weights come from the checkpoint.

        Raises:
            TrainingError: no run is there, or data or networks are not those that it was begun with.
        """
        folder = RunFolder(run)
        facts, place = folder.facts(), str(folder.path / "run.json")
        saved = recorded_data(facts, place)
        data = data if data is not None else saved.get("source")
        if data is None:
            raise TrainingError(f"{run} was trained on images given by hand; pass them: Trainer.resume(run, data=...)")
        for remark in compare_plugins(facts, place):
            say(remark)
        trainer = cls.__new__(cls)
        trainer._overwrite = False
        trainer._reading = recorded_reading(saved)
        trainer._facts = RuntimeConfig.from_dict(facts.get("machine"), f"{place}: machine")
        settings = Settings.from_dict(facts.get("settings"), f"{place}: settings")
        described = facts.get("gan")
        if gan is not None and not is_described(gan, described):
            raise TrainingError(f"gan is made otherwise than the one that {run} trains; make it as {place} says")
        trainer._set_up(gan or rebuild(described, folder.path), data, folder, settings, hooks, progress)
        if trainer.data.hash != saved.get("hash"):
            raise TrainingError(
                f"{trainer.data.name} (hash {trainer.data.hash[:12]}) is not the data that {run} was begun with "
                f"(hash {quote(saved.get('hash'), 16)}); name the same images, or begin a new run with "
                f"--from {shell(run)}"
            )
        if saved.get("clusters") != (clusters := clusters_hash(trainer.gan, trainer._classified)):
            raise TrainingError(
                f"the images fall into other hidden classes (hash {quote(clusters, 16)}) than when {run} was begun "
                f"(hash {quote(saved.get('clusters'), 16)}): linear algebra differs between machines and versions. "
                f"Resume it where it was begun, or begin a new run with --from {shell(run)}"
            )
        names = tuple(check_facts(dict(described or {}), f"{place}: gan")["class_names"])
        found = tuple(trainer.data.class_names)
        if trainer.gan.num_classes and names != found and are_names(names) and are_names(found):
            raise TrainingError(
                f"{trainer.data.name} names its classes {quote(found)}, {run} was begun with {quote(names)}; give them "
                f"their names back, or begin a new run with --from {shell(run)}"
            )
        trainer.gan.class_names = names
        return trainer

    def _set_up(
        self, gan: GAN, data: Any, run: RunFolder, settings: Settings, hooks: Sequence[Hook], progress: bool
    ) -> None:
        if gan.discriminator is None:
            raise ConfigError("gan has no discriminator to train against; load it with discriminator=True")
        self.gan, self.run, self.settings = gan, run, settings
        size: dict[str, Any] = {"image_size": gan.image_size, "image_channels": gan.image_channels}
        self.data = open_data(data, **size, **self._reading, progress=progress)
        self._classified = classify(self.data, gan, settings.cluster_by)
        self._feed: Loader = open_loader(
            self._classified, settings.batch_size, settings.seed, not settings.keep_last_batch
        )
        self._source, self._hooks = data, list(hooks)
        self._progress, self._say, self._collapsed = progress, say, False

    def fit(self) -> TrainingResult:
        """Train until the last step, or until Ctrl-C or SIGTERM: then the step is finished and saved.

        Returns:
            Where things lie, and the last figures; `finished` is False after an interruption.

        Raises:
            ConfigError: networks, loss or settings do not fit; nothing is written then.
            TrainingError: the run cannot go on: no space, or losses that stay NaN.
        """
        check_weights(self.gan)
        device, threads = self.gan.device, torch.get_num_threads()
        machine = Runtime(self.settings, self._facts, self.run.path)
        try:
            with machine.random_kept():
                self._feed.check_shared(machine.processes)
                torch.set_num_threads(machine.facts.threads)
                trial = Trial(self.gan, self._classified, self._feed.sizes, self.settings, machine)
                trial.steps()
                if self._facts is None and machine.is_main:
                    self.run.check_free(self._overwrite)
                    trial.saving()
                update = TrainingStep(self.gan, self._feed, self.settings, machine)
                outputs = ModelExporter(self.gan, self.data, self.settings, self.run.path) if machine.is_main else None
                keeper = CheckpointManager(self.run, machine, outputs, lambda text: self._say(text))
                images = self.data.hash, clusters_hash(self.gan, self._classified)
                if machine.agree(images) != images:
                    raise TrainingError(f"process {machine.rank} has other images or hidden classes than the first one")
                with keeper.held():
                    return self._fit(update, machine, keeper, outputs)
        finally:
            torch.set_num_threads(threads)
            self._feed.close()
            machine.close()
            for network in (self.gan.generator, self.gan.discriminator):
                assert network is not None
                network.to(device).to(memory_format=torch.contiguous_format).zero_grad(set_to_none=True)

    def _fit(
        self, update: TrainingStep, machine: Runtime, keeper: CheckpointManager, outputs: ModelExporter | None
    ) -> TrainingResult:
        if self._facts is None:
            reading = {**self._reading, "clusters": clusters_hash(self.gan, self._classified)}
            named = (self.gan, self.data, self._source, reading, self.settings)
            keeper.begin(update.state, lambda: record(*named, machine.facts), self._overwrite)
            self._facts = machine.facts
        else:
            keeper.restore(update.state)
        if update.state.step < self.settings.steps:
            with self._shown(machine) as hooks, Interrupt() as interrupt:
                try:
                    self._loop(update, machine, keeper, outputs, hooks, interrupt)
                except GanzooError:
                    if outputs and self.settings.report_every:
                        with suppress(GanzooError, OSError):  # the disk may be full; the first error is what counts
                            write_report(self.run.path)
                    raise
        else:
            self._say(f"{self.run.path} is finished; its model lies in {self.run.path / 'model'}.")
            self._say(f"To train on from it: {train_on_command(self.run.path)}")
        return self._result(update.state)

    def _loop(
        self,
        update: TrainingStep,
        machine: Runtime,
        keeper: CheckpointManager,
        outputs: ModelExporter | None,
        hooks: list[Hook],
        interrupt: Interrupt,
    ) -> None:
        settings, state = self.settings, update.state
        observer = (
            Diagnostics(self.gan, self._classified, settings, machine) if outputs and settings.doctor_every else None
        )
        sums = torch.tensor(state.sums, device=machine.device)
        clock, self._collapsed = Clock(self.run, settings, state.summed), False
        while state.step < settings.steps:
            sums += update()
            state.summed += 1
            if self._due(settings.log_every, state):
                figures = machine.mean(sums / state.summed).tolist()
                if not all(map(math.isfinite, figures)):
                    sums = self._roll_back(machine, state, keeper, hooks)
                    continue
                self._note(machine, state, {"step": state.step, **dict(zip(FIGURES, figures))}, hooks)
                if machine.is_main and (remark := clock.note(state)):
                    self._say(remark.sentence())
                sums.zero_()
                state.summed = 0
            if self._shows(state):
                machine.average_buffers(state.networks().values())
                if not keeper.is_sound(state, sums):  # losses show NaN only at the step after
                    sums = self._roll_back(machine, state, keeper, hooks)
                    continue
            if observer and self._due(settings.doctor_every, state):
                for remark in look(observer(state), state.memory):
                    self._say(remark.sentence())
                    self._note(machine, state, remark.entry(), hooks)
                    self._collapsed |= settings.stop_on_collapse and remark.name == "mode-collapse"
            score: dict[str, Any] = {}
            if outputs and outputs.can_score and self._due(settings.score_every, state):
                self._note(machine, state, score := outputs.keep_best(state), hooks)
            best = settings.keep == "best" and self._due(settings.score_every, state)
            best = best and machine.agree(score.get("best"))
            if outputs and self._due(settings.sample_every, state):
                outputs.draw_samples(state)
            wished = self._due(settings.log_every, state) or machine.processes == 1
            wished = wished and bool(machine.agree(interrupt.wished or self._collapsed))
            # A new best model stands in `model/`: going back must not go behind it.
            if wished or best or state.step == settings.steps or self._due(settings.checkpoint_every, state):
                if not keeper.is_sound(state, sums):
                    sums = self._roll_back(machine, state, keeper, hooks)
                    continue
                state.sums = sums.tolist()
                keeper.save(state)
            if outputs and settings.report_every and (wished or self._due(settings.report_every, state)):
                write_report(self.run.path)
            if outputs and (wished or state.step == settings.steps):
                try:
                    run_card(self.run.path)
                except (GanzooError, OSError) as error:  # the model is safe
                    self._say(f"The card can't be written ({error}). Later: {shell('ganzoo', 'card', self.run.path)}")
            if wished and state.step < settings.steps:
                self._say(f"Stopped at step {state.step} and saved. Go on with: {resume_command(self.run.path)}")
                return

    def _roll_back(
        self, machine: Runtime, state: TrainingState, keeper: CheckpointManager, hooks: list[Hook]
    ) -> Tensor:
        self._note(machine, state, keeper.roll_back(state), hooks)
        return torch.tensor(state.sums, device=machine.device)

    def _result(self, state: TrainingState) -> TrainingResult:
        losses = [entry for entry in self.run.entries() if "generator_loss" in entry]
        return TrainingResult(
            run=self.run.path,
            model=self.run.path / "model",
            step=state.step,
            finished=state.step == self.settings.steps,
            collapsed=self._collapsed,
            figures={name: losses[-1][name] for name in FIGURES} if losses else {},
            best_score=state.best_score,
            best_step=state.best_step,
        )

    def _due(self, every: int, state: TrainingState) -> bool:
        return bool(every) and (state.step % every == 0 or state.step == self.settings.steps)

    def _shows(self, state: TrainingState) -> bool:
        """Whether the weights are looked at, scored or drawn at this step."""
        every = self.settings.doctor_every, self.settings.score_every, self.settings.sample_every
        return any(self._due(each, state) for each in every)

    def _note(self, machine: Runtime, state: TrainingState, logs: dict[str, Any], hooks: list[Hook]) -> None:
        if machine.is_main:
            state.log_bytes = self.run.log(**logs)
        for hook in hooks:
            hook(state, logs)

    @contextmanager
    def _shown(self, machine: Runtime) -> Iterator[list[Hook]]:
        """The hooks, trackers and what a person sees among them; the main process alone has any."""
        if not machine.is_main:
            yield []
            return
        hooks = list(self._hooks)
        if self.settings.trackers:
            machine.begin_tracking(self.run.path.name, self.settings)
            hooks.append(lambda state, logs: machine.track(logs, state.step))
        with progress_hook(self._progress, self.settings, self.run.path / "samples") as shown:
            self._say = shown.say if isinstance(shown, ProgressBar) else say
            yield [*hooks, shown] if shown else hooks
        self._say = say
