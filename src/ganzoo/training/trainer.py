"""The trainer: a loop over steps that can stop and go on anywhere, and says what it does."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganzoo.data import Batches, ImageData, open_data
from ganzoo.errors import ConfigError, TrainingError, WeightsError, quote
from ganzoo.gan import GAN
from ganzoo.presets import PRESETS, create
from ganzoo.settings import Settings
from ganzoo.training.checkpoint import TrainingState, checkpoints, load_checkpoint, save_checkpoint
from ganzoo.training.interrupt import Interrupt
from ganzoo.training.machine import Facts, Machine
from ganzoo.training.outputs import Outputs
from ganzoo.training.progress import NotebookDisplay, ProgressBar, in_notebook
from ganzoo.training.record import describe_gan, rebuild, record
from ganzoo.training.report import write_report
from ganzoo.training.run import RunFolder
from ganzoo.training.update import FIGURES, Update

Hook = Callable[[TrainingState, dict[str, Any]], None]
ROLLBACKS = 3  # how often a run goes back to its last checkpoint after NaN, each time at half the learning rates


@dataclass(frozen=True)
class TrainingResult:
    """What `Trainer.fit` gives: where things lie, and the last figures."""

    run: Path
    model: Path
    step: int
    finished: bool
    figures: dict[str, float]
    best_score: float | None
    best_step: int | None


class Trainer:
    """Trains a GAN, and writes a run's folder as it goes.

    Args:
        gan: a preset's name, or a GAN (`ganzoo.create`, `ganzoo.GAN(...)`, `from_pretrained(..., discriminator=True)`).
        data: what `ganzoo.data.open_data` takes; None for the preset's own.
        output_dir: the run's folder, new unless `overwrite` is True; None for `runs/` and the preset's name.
        epochs: passes over the data, in place of `steps`.
        hooks: called as `hook(state, logs)` at every line of the log.
        progress: show a bar, or curves and pictures in a notebook.
        settings: of the run; None for the preset's, or the defaults for networks of one's own.
        **changes: of those settings, by name (`ganzoo.Settings` lists them).

    Raises:
        ConfigError, DataError, TrainingError: before anything is written.
    """

    def __init__(
        self,
        gan: str | GAN,
        data: Any = None,
        output_dir: str | Path | None = None,
        *,
        overwrite: bool = False,
        epochs: float | None = None,
        hooks: Sequence[Hook] = (),
        progress: bool = True,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(gan, (str, GAN)):
            raise ConfigError(f"gan must be a preset's name or a ganzoo.GAN, got {quote(gan)}")
        name = gan if isinstance(gan, str) else gan.preset
        preset = PRESETS[name] if name is not None and (isinstance(gan, str) or name in PRESETS) else None
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
        self._facts: Facts | None = None
        self._set_up(create(gan, seed=chosen.seed) if isinstance(gan, str) else gan, data, run, chosen, hooks, progress)
        if epochs is not None:
            self.settings = chosen.replace(steps=max(1, round(epochs * self._batches.batches_per_epoch)))

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
        facts = folder.facts()
        place = f"{folder.path / 'run.json'}"
        saved = facts.get("data") or {}
        data = data if data is not None else saved.get("source")
        if data is None:
            raise TrainingError(
                f"{run} was trained on images given by hand; pass them again: Trainer.resume(run, data=...)"
            )
        trainer = cls.__new__(cls)
        trainer._overwrite = False
        trainer._facts = Facts.from_dict(facts.get("machine"), f"{place}: machine")
        settings = Settings.from_dict(facts.get("settings"), f"{place}: settings")
        described = describe_gan(gan) if gan is not None else facts.get("gan")
        if described != facts.get("gan"):
            raise TrainingError(f"gan is made otherwise than the one that {run} trains; make it as {place} says")
        trainer._set_up(gan or rebuild(described, place), data, folder, settings, hooks, progress)
        if trainer.data.hash != saved.get("hash"):
            raise TrainingError(
                f"{trainer.data.name} (hash {trainer.data.hash[:12]}) is not the data that {run} was begun with "
                f"(hash {str(saved.get('hash'))[:12]}); name the same images, or begin a new run with --from {run}"
            )
        return trainer

    def _set_up(
        self, gan: GAN, data: Any, run: RunFolder, settings: Settings, hooks: Sequence[Hook], progress: bool
    ) -> None:
        if gan.discriminator is None:
            raise ConfigError("gan has no discriminator to train against; load it with discriminator=True")
        self.gan, self.run, self.settings = gan, run, settings
        self.data: ImageData = open_data(
            data, image_size=gan.image_size, image_channels=gan.image_channels, progress=progress
        )
        if gan.num_classes and self.data.num_classes != gan.num_classes:
            raise ConfigError(
                f"the GAN has {gan.num_classes} classes, {self.data.name} has {self.data.num_classes}; make it with "
                f'generator={{"num_classes": {self.data.num_classes}}}'
            )
        if gan.num_classes and not gan.class_names:
            gan.class_names = self.data.class_names
        self._batches: Batches = Batches(
            len(self.data), settings.batch_size, settings.seed, not settings.keep_last_batch
        )
        self._source = data
        self._hooks = list(hooks)
        self._progress = progress

    def fit(self) -> TrainingResult:
        """Train until the last step, or until Ctrl-C or SIGTERM: then the step is finished and saved.

        Returns:
            Where things lie, and the last figures; `finished` is False after an interruption.

        Raises:
            TrainingError: the run cannot go on: no space, or losses that stay NaN.
        """
        device, threads, random = self.gan.device, torch.get_num_threads(), torch.get_rng_state()
        machine = Machine(self.settings, self._facts, self.run.path)
        try:
            torch.set_num_threads(machine.facts.threads)
            update = Update(self.gan, self.data, self._batches, self.settings, machine)
            outputs = Outputs(self.gan, self.data, self.settings, self.run.path) if machine.is_main else None
            self._restore(update.state, machine, outputs)
            if update.state.step < self.settings.steps:
                with self._shown(machine) as hooks, Interrupt() as interrupt:
                    self._loop(update, machine, outputs, hooks, interrupt)
            else:
                self._say(f"{self.run.path} is finished; its model lies in {self.run.path / 'model'}.")
            return self._result(update.state)
        finally:
            torch.set_num_threads(threads)
            torch.set_rng_state(random)
            machine.close()
            for network in (self.gan.generator, self.gan.discriminator):
                assert network is not None
                network.to(device).to(memory_format=torch.contiguous_format).zero_grad(set_to_none=True)

    def _loop(
        self, update: Update, machine: Machine, outputs: Outputs | None, hooks: list[Hook], interrupt: Interrupt
    ) -> None:
        settings, state = self.settings, update.state
        sums = torch.tensor(state.sums, device=machine.device)
        clock = time.perf_counter()
        while state.step < settings.steps:
            sums += update()
            state.summed += 1
            if self._due(settings.log_every, state):
                figures = machine.mean(sums / state.summed).tolist()
                if not all(map(math.isfinite, figures)):
                    self._roll_back(state, machine)
                    sums = torch.tensor(state.sums, device=machine.device)
                    continue
                self._note(machine, state, {"step": state.step, **dict(zip(FIGURES, figures))}, hooks)
                clock = self._time(machine, state, clock)
                sums.zero_()
                state.summed = 0
            if outputs and self._due(settings.score_every, state):
                self._note(machine, state, outputs.keep_best(state), hooks)
            if outputs and self._due(settings.sample_every, state):
                grid = outputs.draw_samples(state)
                for hook in hooks:
                    if isinstance(hook, NotebookDisplay):
                        hook.grid = grid
            wished = self._due(settings.log_every, state) or machine.processes == 1
            wished = wished and bool(machine.agree(interrupt.wished))
            if wished or state.step == settings.steps or self._due(settings.checkpoint_every, state):
                state.sums = sums.tolist()
                self._save(state, machine, outputs)
            if outputs and settings.report_every and (wished or self._due(settings.report_every, state)):
                write_report(self.run.path)
            if wished:
                self._say(f"Stopped at step {state.step} and saved. Go on with: ganzoo train --resume {self.run.path}")
                return

    def _result(self, state: TrainingState) -> TrainingResult:
        losses = [entry for entry in self.run.entries() if "generator_loss" in entry]
        return TrainingResult(
            run=self.run.path,
            model=self.run.path / "model",
            step=state.step,
            finished=state.step == self.settings.steps,
            figures={name: losses[-1][name] for name in FIGURES} if losses else {},
            best_score=state.best_score,
            best_step=state.best_step,
        )

    def _time(self, machine: Machine, state: TrainingState, clock: float) -> float:
        import psutil  # comes with Accelerate

        now = time.perf_counter()
        if machine.is_main:
            self.run.time(
                step=state.step,
                images_per_second=round(state.summed * self.settings.batch_size / (now - clock), 1),
                memory_mb=psutil.Process().memory_info().rss >> 20,
            )
        return now

    def _due(self, every: int, state: TrainingState) -> bool:
        return bool(every) and (state.step % every == 0 or state.step == self.settings.steps)

    def _restore(self, state: TrainingState, machine: Machine, outputs: Outputs | None) -> None:
        """Bring `state` to the newest checkpoint that can be read, or begin a run with its first one."""
        if self._facts is None:
            self._facts = machine.facts
            if machine.is_main:
                self.run.begin(self._overwrite)
            self._save(state, machine, outputs)
            if machine.is_main:
                self.run.record(record(self.gan, self.data, self._source, self.settings, machine.facts))
            return
        problems = []
        if machine.is_main:
            self.run.tidy()
        for folder in checkpoints(self.run.path):
            try:
                load_checkpoint(state, folder)
            except WeightsError as error:
                problems.append(str(error))
                self._say(f"{error} Trying the one before.")
            else:
                if machine.is_main:
                    self.run.cut_log(state.log_bytes)
                return
        raise TrainingError(f"{self.run.path} has no checkpoint that can be read. {' '.join(problems)}".strip())

    def _save(self, state: TrainingState, machine: Machine, outputs: Outputs | None) -> None:
        machine.average_buffers(list(state.networks().values()))
        if outputs:
            if state.best_step is None:  # nothing is scored, or not yet: the model is the newest
                outputs.save_model(state)
            save_checkpoint(state, self.run.path)
        machine.wait()

    def _note(self, machine: Machine, state: TrainingState, logs: dict[str, Any], hooks: list[Hook]) -> None:
        if machine.is_main:
            state.log_bytes = self.run.log(**logs)
        for hook in hooks:
            hook(state, logs)

    def _roll_back(self, state: TrainingState, machine: Machine) -> None:
        """After NaN: the last checkpoint again, at half the learning rates."""
        step, rollbacks = state.step, state.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise TrainingError(
                f"losses are not finite at step {step}, for the {rollbacks}th time, in spite of learning rates "
                f"{2 ** (rollbacks - 1)} times lower; lower generator_lr and discriminator_lr, or add a penalty r1"
            )
        load_checkpoint(state, checkpoints(self.run.path)[0])
        state.rollbacks = rollbacks
        if machine.is_main:
            self.run.cut_log(state.log_bytes)
        text = f"losses are not finite; back to step {state.step}, at half the learning rates"
        self._note(machine, state, {"step": step, "remark": text}, [])
        self._say(f"Step {step}: {text}.")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr)

    @contextmanager
    def _shown(self, machine: Machine) -> Iterator[list[Hook]]:
        """The hooks, with the bar or notebook display among them where a person looks."""
        hooks = list(self._hooks) if machine.is_main else []
        with ExitStack() as stack:
            if self.settings.trackers:
                machine.begin_tracking(self.run.path.name, self.settings)
                hooks.append(lambda state, logs: machine.track(logs, state.step))
            if self._progress and machine.is_main and in_notebook():
                hooks.append(NotebookDisplay(self.settings.steps))
            elif self._progress and machine.is_main:
                hooks.append(stack.enter_context(ProgressBar(self.settings.steps, self.settings.batch_size)))
            yield hooks
