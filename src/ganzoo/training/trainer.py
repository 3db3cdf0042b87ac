"""The trainer: checks what is to be trained, begins a run or goes on with one, and says what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ganzoo import markup
from ganzoo.callbacks import FIGURES, Callback
from ganzoo.config import POSITIVE, convert_value
from ganzoo.data import ImageData, Loader, open_data, open_loader
from ganzoo.errors import ConfigError, DataError, TrainingError, quote, shell
from ganzoo.gan import GAN
from ganzoo.hardware import checked_device
from ganzoo.latents import check_clusters
from ganzoo.models import parameter_count
from ganzoo.presets import PRESETS, Preset, create
from ganzoo.runs.checkpoint import TrainingState
from ganzoo.runs.export import ModelExporter, averaged
from ganzoo.runs.folder import (
    RunFolder,
    TrainingResult,
    changed_in_words,
    resume_command,
    train_on_command,
    whole_lines,
)
from ganzoo.runs.metadata import (
    RuntimeConfig,
    compare_plugins,
    compare_versions,
    is_described,
    rebuild,
    record,
    record_source,
)
from ganzoo.runs.stretches import Stretch, open_stretch
from ganzoo.saving.model import check_facts
from ganzoo.saving.resolve import source_of
from ganzoo.settings import Settings
from ganzoo.training.callbacks.given import GivenCallbacks, compare_callbacks, split_callbacks
from ganzoo.training.callbacks.progress import say, shown
from ganzoo.training.classes import are_names, attach_labels, few_clusters, take_names, unused_mismatch
from ganzoo.training.finetuning import before_averaging, clustering_of
from ganzoo.training.loop import TrainingLoop, interrupts
from ganzoo.training.method import Method
from ganzoo.training.runtime import Runtime, instead_of_cpu
from ganzoo.training.step import TrainingStep
from ganzoo.training.trial import Trial, check_weights


class Trainer:
    """Trains a GAN, and writes a run's folder as it goes.

    Args:
        gan: a preset's name, a `ganzoo.Preset`, or a GAN (`ganzoo.create`, `ganzoo.GAN(...)`,
            `from_pretrained(..., discriminator=True)`).
        data: what `ganzoo.data.open_data` takes; None for the preset's own.
        output_dir: the run's folder, new unless `overwrite` is True; None for `runs/` and the preset's name.
        epochs: passes over the data, instead of `steps`.
        licence: of the images, if the data set states none; it goes into `run.json` and the model's card.
        broken, ground, fit: how images are read, as `open_data` takes them.
        callbacks: names, as "early-stopping(patience=5)", and objects (`ganzoo.training.Callback`), which are
            recorded by the name of their class; None for the settings'.
        progress: show a bar, or curves and pictures in a notebook.
        device: where to train: "cpu", "cuda", "cuda:1", "mps"; None for what Accelerate finds.
        settings: of the run; None for the preset's, or the defaults for custom networks.
        **changes: of those settings, by name (`ganzoo.Settings` lists them).

    Raises:
        ConfigError, DataError, TrainingError: before anything is written.
    """

    data: ImageData
    _labelled: ImageData
    _overwrite = False
    _config: RuntimeConfig | None = None  # of a run that goes on
    _recorded: Settings | None = None  # what `run.json` said of them when this trainer last read or wrote it
    _stretch: Stretch | None = None
    _new_place: str | Path | None = None  # of the images, if it was given to a run that goes on

    def __init__(
        self,
        gan: str | Preset | GAN,
        data: Any = None,
        output_dir: str | Path | None = None,
        *,
        overwrite: bool = False,
        epochs: float | None = None,
        licence: str | None = None,
        broken: str = "stop",
        ground: str = "white",
        fit: str = "crop",
        callbacks: Sequence[str | Callback] | None = None,
        progress: bool = True,
        device: str | None = None,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        if "steps" in changes and epochs is not None:
            raise ConfigError("steps and epochs are both given; choose one of them")
        name, preset = _preset_of(gan, settings)
        objects: list[Callback] = []
        if callbacks is not None:
            changes["callbacks"], objects = split_callbacks(callbacks)
        chosen = _settings_of(gan, preset, settings, changes)
        data = _data_of(preset) if data is None else data
        run = RunFolder(output_dir if output_dir is not None else Path("runs") / (name or "gan"))
        _check_apart(gan, run)
        run.check_free(overwrite)
        self._overwrite = overwrite
        self._reading: dict[str, Any] = {"broken": broken, "ground": ground, "fit": fit}
        made = gan if isinstance(gan, GAN) else create(gan, seed=chosen.seed, clusters=chosen.clusters)
        self._set_up(made, data, run, chosen, objects, progress, device)
        before_averaging(self.gan)
        for remark in (
            take_names(self.data, self.gan),
            few_clusters(self._labelled, self.gan, chosen.min_cluster_size),
            unused_mismatch(self._labelled, self.gan, chosen.mismatched_labels),
        ):
            if remark:
                say(remark)
        self.data = replace(self.data, licence=licence) if licence else self.data
        if epochs is not None:
            self.settings = chosen.replace(steps=self._steps_of(epochs))

    def _steps_of(self, epochs: float) -> int:
        """The steps of so many passes over the data."""
        epochs = convert_value(epochs, float, "epochs", POSITIVE)
        batches = self._loader.batches_per_epoch
        if batches is None:
            raise ConfigError(f"epochs={epochs:g}: the length of {self.data.name}, streamed, is unknown; give steps")
        return max(1, round(epochs * batches / self.settings.discriminator_steps))

    @classmethod
    def resume(
        cls,
        run: str | Path,
        data: Any = None,
        gan: GAN | None = None,
        callbacks: Sequence[str | Callback] = (),
        progress: bool = True,
        device: str | None = None,
        *,
        at: int | None = None,
        **changes: Any,
    ) -> Trainer:
        """The trainer of a run that was stopped, killed or finished; `fit` goes on from its last checkpoint.

        Args:
            data: needed if the run was given a Dataset or tensor, or the images have moved; a hash is compared, and a
                new place is recorded.
            gan: needed if the run trains custom modules: with any weights, since the checkpoint has them.
            callbacks: objects, if the run was given some: made in the same way, their state comes from the checkpoint.
            device: as for a new run; it may be another one than the run began on. None: the CPU if it began there.
            at: go back to the checkpoint of this step; all that came later is removed when `fit` begins.
            **changes: of the run's settings, by name, as `steps=20_000` or `generator_lr=1e-4`. They hold from here on
                and are recorded as a new stretch in `run.json`, the log and the card.

        Raises:
            ConfigError: a setting can't be changed in a run that goes on, or has a wrong value.
            TrainingError: there is no run or no such checkpoint, or data or networks are not those of its beginning.
        """
        folder = RunFolder(run)
        facts, place = folder.facts(), str(folder.path / "run.json")
        for remark in [*compare_versions(facts, place), *compare_plugins(facts, place, str(run))]:
            say(remark)
        settings = recorded = Settings.from_dict(facts["settings"], f"{place}: settings")
        stretch = open_stretch(folder, settings, changes, at)
        if stretch and stretch.at != at:
            say(f"{run} was stopped while it went back to step {stretch.at}; it goes back there now.")
        settings = stretch.settings if stretch else settings
        objects = compare_callbacks(callbacks, facts, str(run), settings)
        saved, described = facts["data"], facts["gan"]
        if gan is not None and not is_described(gan, described):
            raise TrainingError(f"gan differs from the one that {run} trains; make it as {place} says")
        if data is None and saved.get("source") is None:
            raise TrainingError(f"{run} was trained on images given by hand; pass them: Trainer.resume(run, data=...)")
        trainer = cls.__new__(cls)
        trainer._stretch, trainer._recorded = stretch, recorded
        trainer._new_place = data if isinstance(data, (str, Path)) else None
        trainer._reading = {name: saved[name] for name in ("broken", "ground", "fit") if name in saved}
        trainer._config = RuntimeConfig.from_dict(facts["machine"], f"{place}: machine")
        with nullcontext() if data is not None else _moved_said(saved["source"], place):
            images = saved["source"] if data is None else data
            trainer._set_up(gan or rebuild(described, folder.path), images, folder, settings, objects, progress, device)
        trainer._check_images(facts, str(run))
        return trainer

    def _set_up(
        self,
        gan: GAN,
        data: Any,
        run: RunFolder,
        settings: Settings,
        callbacks: Sequence[Callback],
        progress: bool,
        device: str | None,
    ) -> None:
        if gan.discriminator is None:
            raise ConfigError("gan has no discriminator to train against; load it with discriminator=True")
        self.gan, self.run, self.settings = gan, run, settings
        self._device = None if device is None else str(checked_device(device))
        self._callbacks = GivenCallbacks(settings, callbacks)
        shape: dict[str, Any] = {"image_size": gan.image_size, "image_channels": gan.image_channels}
        self.data = open_data(data, **shape, **self._reading, progress=progress)
        self._labelled = attach_labels(self.data, gan, settings)
        self._loader: Loader = open_loader(
            self._labelled, settings.batch_size, settings.seed, not settings.keep_last_batch
        )
        self._source, self._progress = data, progress

    def __repr__(self) -> str:
        return f"<Trainer of {self.gan!r}: {self._plan()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what is trained, on what, how long, into which folder."""
        rows = [("networks", self.gan), ("data", self.data), ("plan", self._plan()), ("loss", self.settings.loss)]
        return markup.summary("Trainer", rows)

    def _plan(self) -> str:
        steps, batch = self.settings.steps, self.settings.batch_size
        return f"{steps:,} steps of {batch:,} images of {self.data.name}, into {self.run.path}"

    def fit(self) -> TrainingResult:
        """Train until the last step, until a callback stops it, or until Ctrl-C or SIGTERM; then the step is saved.

        Returns:
            The paths and the last figures; `finished` is False if the last step was not reached.

        Raises:
            ConfigError: networks, loss or settings do not fit; nothing is written then.
            TrainingError: the run cannot go on: no space, losses that stay NaN, or a callback that fails.
        """
        check_weights(self.gan)
        device, threads = self.gan.device, torch.get_num_threads()
        chosen = self._device
        if chosen is None and self._config and (found := instead_of_cpu(self._config)):
            say(f"{self.run.path} began on the CPU and goes on there; to move it: --device {found} (device={found!r}).")
            chosen = "cpu"
        runtime = Runtime(self.settings, self._config, self.run.path, chosen)
        self.is_main = runtime.is_main
        try:
            with runtime.random_kept(), runtime.arithmetic():
                torch.set_num_threads(runtime.config.threads)
                return self._fit(runtime)
        finally:
            torch.set_num_threads(threads)
            self._loader.close()
            runtime.close()
            for network in (self.gan.generator, self.gan.discriminator):
                assert network is not None
                network.to(device).to(memory_format=torch.contiguous_format).zero_grad(set_to_none=True)

    def _fit(self, runtime: Runtime) -> TrainingResult:
        method = Method(self.settings, runtime.scaler)
        self._try(runtime, method)
        self._loader.place(runtime.device, runtime.memory_for_images)
        step = TrainingStep(self.gan, self._loader, self._labelled.clusters, self.settings, runtime, method)
        gan = averaged(self.gan, step.state)
        exporter = ModelExporter(gan, self.data, self.settings, self.run.path) if runtime.is_main else None
        loop = TrainingLoop(step, self._labelled, self.run, exporter, self._callbacks)
        with loop.folder_held():
            if self._config is None:
                loop.begin(lambda: self._record(runtime), self._overwrite)
                self._config = runtime.config
            else:
                self._check_recorded(runtime)
                if self._new_place is not None and runtime.is_main:
                    record_source(self.run, self._new_place)
                loop.restore(self._stretch)
                if self._stretch and self._stretch.undone:
                    say(f"Going back undoes later changes: {changed_in_words(self._stretch.undone)}.")
                if self._stretch and self._stretch.changed:
                    say(f"From step {step.state.step} on: {changed_in_words(self._stretch.changed)}.")
                self._stretch = None  # `run.json` has it; a second `fit` goes on
            self._recorded = self.settings
            if step.state.step == self.settings.steps:
                loop.complete()
                say(f"{self.run.path} is finished; its model is in {self.run.path / 'model'}.")
                say(f"To go on with it: {resume_command(self.run.path, steps='STEPS')}")
                say(f"To train on from it: {train_on_command(self.run.path)}")
            else:
                what = self._in_words(runtime) if self._progress and runtime.is_main else None
                with shown(what, self.settings, self.run.path / "samples") as displays, interrupts() as interrupted:
                    loop.run(interrupted, displays)
            return self._result(step.state, loop)

    def _check_images(self, facts: dict[str, Any], run: str) -> None:
        """Raise TrainingError unless images, clusters and names of classes are those that `run` was begun with, as its
        `facts` say."""
        saved = facts["data"]
        if self.data.hash != saved.get("hash"):
            raise TrainingError(
                f"{self.data.name} (hash {self.data.hash[:12]}) is not the data that {run} was begun with "
                f"(hash {_short(saved.get('hash'))}); name the same images, with the labels that they had "
                f"then (or without, if they had none), or begin a new run with --from {shell(source_of(run))}"
            )
        if saved.get("labels_hash") != (labels_hash := self._labelled.hash):
            raise TrainingError(
                f"the images fall into other clusters (hash {_short(labels_hash)}) than when {run} was begun "
                f"(hash {_short(saved.get('labels_hash'))}): linear algebra differs between machines and versions, and "
                f"so do ganzoo's versions. Resume it where it was begun and with that version, or begin a new run with "
                f"--from {shell(source_of(run))}"
            )
        names = tuple(check_facts(facts["gan"], f"{self.run.path / 'run.json'}: gan")["class_names"])
        found = tuple(self.data.class_names)
        if self.gan.num_classes and names != found and are_names(names) and are_names(found):
            raise TrainingError(
                f"{self.data.name} names its classes {quote(found)}, {run} was begun with {quote(names)}; give them "
                f"their names back, or begin a new run with --from {shell(source_of(run))}"
            )
        self.gan.class_names = names

    def _check_recorded(self, runtime: Runtime) -> None:
        """Raise TrainingError if another trainer has changed the run's settings since this one was made."""
        recorded = Settings.from_dict(self.run.facts()["settings"], f"{self.run.path / 'run.json'}: settings")
        if runtime.agree(recorded not in (self._recorded, self.settings)):
            raise TrainingError(
                f"{self.run.path / 'run.json'} has other settings by now than when this trainer was made; make it "
                f"again: Trainer.resume({str(self.run.path)!r})"
            )

    def _in_words(self, runtime: Runtime) -> str:
        """What is trained, on what, and where."""
        gan, data, config = self.gan, self.data, runtime.config
        sizes = [f"{parameter_count(network):,}" for network in (gan.generator, gan.discriminator) if network]
        shape = "x".join(map(str, data.images.shape[1:]))
        images = "streamed" if data.stream else f"{len(data):,} images"
        kind = runtime.device.type
        where = f"{kind} ({config.precision}" + f", {config.processes} processes" * (config.processes > 1)
        where += f", begun on {config.device}" * (config.device != kind)
        return (
            f"Training {gan.preset or 'a GAN'} on {where}): generator of {sizes[0]} and discriminator of {sizes[1]} "
            f"parameters; {data.name}: {images} of {shape}; batches of {self.settings.batch_size}"
        )

    def _try(self, runtime: Runtime, method: Method) -> None:
        """Refuse what can't be trained, before anything is written."""
        if self._config is None or (self._stretch and self._stretch.changed):
            self.settings.check_used()  # a run that goes on as it was keeps what it has
        self._loader.check_shared(runtime.processes)
        trial = Trial(self.gan, self._labelled, self._loader.sizes, self.settings, runtime, method)
        trial.steps()
        if self._config is None and runtime.is_main:
            self.run.check_free(self._overwrite)
            trial.saving()
        images = self.data.hash, self._labelled.hash
        if runtime.agree(images) != images:
            raise TrainingError(f"process {runtime.rank} has other images or clusters than the first one")

    def _record(self, runtime: Runtime) -> dict[str, Any]:
        """What `run.json` is to say."""
        reading = {**self._reading, "labels_hash": self._labelled.hash}
        if self.gan.clusters:
            reading["clusters_found"] = sum(self._labelled.clusters)
        return record(
            self.gan, self.data, self._source, reading, self.settings, runtime.config, self._callbacks.by_hand
        )

    def _result(self, state: TrainingState, loop: TrainingLoop) -> TrainingResult:
        losses = [entry for entry in whole_lines(self.run.path / "log.jsonl") if "generator_loss" in entry]
        return TrainingResult(
            run=self.run.path,
            model=self.run.path / "model",
            step=state.step,
            finished=state.step == self.settings.steps,
            stopped=loop.stopped,
            collapsed=loop.collapsed,
            figures={name: losses[-1][name] for name in FIGURES} if losses else {},
            best_score=state.best_score,
            best_step=state.best_step,
        )


@contextmanager
def _moved_said(source: Any, place: str) -> Iterator[None]:
    """In a `with` block that reads the images at `source`: if they are not there, name `place`, which says so."""
    try:
        yield
    except DataError as error:
        if not isinstance(source, str) or source.startswith("hf:") or Path(source).exists():
            raise
        raise DataError(
            f"{error} {place} says that the run was trained on these images; if they have moved, name the "
            f"new place: --data NEW_PLACE (data=...)"
        ) from error


def _short(found: object) -> str:
    """The beginning of a hash that a file holds."""
    return quote(found).strip('"')[:12]


def _data_of(preset: Preset | None) -> str:
    if preset is None:
        raise ConfigError("data must be given for custom networks: a name, a folder, a Dataset, a tensor")
    return preset.data


def _settings_of(
    gan: str | Preset | GAN, preset: Preset | None, given: Settings | None, changes: dict[str, Any]
) -> Settings:
    """Those `given`, else the preset's, clusters found as in the run that made `gan`, else the defaults; with `changes`
    and the clusters of `gan`. ConfigError if `changes` ask for others."""
    settings = given or (preset.settings if preset else Settings())
    if not isinstance(gan, GAN):
        return settings.replace(**changes)
    if (asked := check_clusters(changes.get("clusters", gan.clusters))) != gan.clusters:
        raise ConfigError(f"clusters={asked}: {gan!r} has {gan.clusters}; make it with create(clusters=...)")
    if given is None:
        changes = {**clustering_of(gan), **changes}
    return settings.replace({**changes, "clusters": gan.clusters})


def _check_apart(gan: str | Preset | GAN, run: RunFolder) -> None:
    """Raise TrainingError if the new run would take the place of the one that `gan` was loaded from."""
    loaded = gan.folder if isinstance(gan, GAN) else None
    if loaded is not None and loaded.resolve().is_relative_to(run.path.resolve()):
        raise TrainingError(
            f"{run.path} holds the model that is trained on; name another folder for the new run: --name or --output "
            f"(output_dir=)."
        )


def _preset_of(gan: str | Preset | GAN, settings: Settings | None) -> tuple[str | None, Preset | None]:
    """The preset's name that `gan` is or has, and the preset, if it is known.

    Raises:
        ConfigError: `gan` is neither, or its preset has to give settings and is not installed.
    """
    if isinstance(gan, str):
        return gan, PRESETS[gan]
    if isinstance(gan, Preset):
        return None, gan
    if not isinstance(gan, GAN):
        raise ConfigError(f"gan must be a preset's name, a ganzoo.Preset or a ganzoo.GAN, got {quote(gan)}")
    if gan.preset is None or gan.preset in PRESETS:
        return gan.preset, PRESETS[gan.preset] if gan.preset else None
    if settings is None:
        raise ConfigError(
            f"the networks are of the preset {quote(gan.preset)}, which is not installed here, so its settings are not "
            f"known; install the package that offers it, or give others: Trainer(gan, ..., settings=Settings(...))"
        )
    return gan.preset, None
