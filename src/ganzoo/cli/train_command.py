"""`ganzoo train`: begin a run, go on with one, or train on from a saved model."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.data_command import BROKEN, FIT, GROUND, of_images
from ganzoo.cli.list_command import call_of, entries_of
from ganzoo.cli.options import argument, flag, given, print_table, print_wrapped
from ganzoo.errors import ConfigError, did_you_mean, quote, shell

if TYPE_CHECKING:
    from ganzoo.training import Trainer


of_what, of_how = partial(flag, group="What to train"), partial(flag, group="How to train")


def train(
    preset: Annotated[str | None, argument("A preset's name: see `ganzoo list presets`.", "PRESETS")] = None,
    from_: Annotated[
        str | None, of_what("Start from this trained model instead of random weights.", "--from", complete="zoo")
    ] = None,
    resume: Annotated[Path | None, of_what("Go on with the run in this folder, from its last checkpoint.")] = None,
    at: Annotated[int | None, of_what("Go back to the checkpoint of this step (with --resume).")] = None,
    name: Annotated[str | None, of_what("Write the run to runs/NAME.", "--name", "-n")] = None,
    output: Annotated[Path | None, of_what("Write the run here.  [default: runs/PRESET]", "--output", "-o")] = None,
    overwrite: Annotated[bool, of_what("Replace the run that is there.", "--overwrite")] = False,
    data: Annotated[
        str | None, of_images("A name, a folder, a zip, hf:...  [default: the preset's]", complete="SOURCES")
    ] = None,
    size: Annotated[int | None, of_images("Pixels a side of an image.  [default: the preset's]")] = None,
    licence: Annotated[str | None, of_images("Licence of images given by a path, for the model's card.")] = None,
    broken: Annotated[str | None, BROKEN] = None,
    ground: Annotated[str | None, GROUND] = None,
    fit: Annotated[str | None, FIT] = None,
    steps: Annotated[int | None, of_how("Steps in all; each updates both networks.")] = None,
    epochs: Annotated[float | None, of_how("Passes over the data, instead of steps.")] = None,
    batch_size: Annotated[int | None, of_how("Real images in a step.")] = None,
    lr: Annotated[str | None, of_how("Both learning rates: a number or a schedule.", metavar="RATE")] = None,
    loss: Annotated[str | None, of_how("A loss: see `ganzoo list losses`.", complete="LOSSES")] = None,
    seed: Annotated[int | None, of_how("Seed of weights, batches and latents.", "--seed", "-s")] = None,
    set_: Annotated[
        list[str] | None,
        of_how("Any setting, or generator.KEY, discriminator.KEY; may be repeated.", "--set", metavar="KEY=VALUE"),
    ] = None,
    device: Annotated[
        str | None, of_how("cpu, cuda, mps.  [default: what Accelerate finds; the CPU for a run that began there]")
    ] = None,
) -> None:
    """Train a GAN on images, and write the run into one folder.

    All settings for --set, with their defaults: `ganzoo train settings`. Those of a preset: `ganzoo show PRESET`.
    """
    if preset == "settings":
        return _print_settings()
    starts = [*given(PRESET=preset, **{"--from": from_, "--resume": resume})]
    if len(starts) != 1:
        raise ConfigError(f"give one of PRESET, --from and --resume, got {' and '.join(starts) or 'none'}")
    from ganzoo.runs.folder import train_on_command
    from ganzoo.settings import Settings
    from ganzoo.training import Trainer

    of_networks = any(text.strip().startswith(("generator.", "discriminator.")) for text in set_ or ())
    configs = _configs(preset, from_) if of_networks and resume is None else {}  # opens the whole model
    changes, networks = _parse(set_ or (), configs)
    own = given(steps=steps, batch_size=batch_size, loss=loss, seed=seed, generator_lr=lr, discriminator_lr=lr)
    for field, value in own.items():
        if field in changes:
            typed = "--lr" if field.endswith("_lr") else f"--{field.replace('_', '-')}"
            raise ConfigError(f"{typed} and --set {field}=... are both given; give one of them")
        changes[field] = Settings.parse(field, str(value))
    if resume is not None:
        others = given(name=name, output=output, epochs=epochs, size=size, licence=licence)
        others |= given(broken=broken, ground=ground, fit=fit, overwrite=overwrite or None)
        if others:
            on = train_on_command(resume)
            raise ConfigError(
                f"--{next(iter(others))} can't be used with --resume; to train its networks on in a new run: {on}"
            )
        trainer = Trainer.resume(resume, data=data, device=device, at=at, **changes)
    elif at is not None:
        raise ConfigError("--at goes back in a run; name it with --resume")
    else:
        gan = _networks(preset, from_, size, networks, changes)
        changes |= given(broken=broken, ground=ground, fit=fit)
        told: dict[str, Any] = {"overwrite": overwrite, "epochs": epochs, "licence": licence, "device": device}
        trainer = Trainer(gan, data, _folder(name, output), **told, **changes)
    _finish(trainer)


def _folder(name: str | None, output: Path | None) -> Path | None:
    if name is None:
        return output
    if output is not None:
        raise ConfigError("--name and --output are both given; choose one of them")
    if Path(name).name != name or name in ("", ".."):
        raise ConfigError(f"--name {quote(name)} must be a plain name; give a path with --output")
    return Path("runs") / name


def _networks(
    preset: str | None,
    source: str | None,
    size: int | None,
    networks: dict[str, dict[str, Any]],
    settings: dict[str, Any],
) -> Any:
    """What a new run trains: the preset's name, or networks that are changed or come from the model `source`."""
    seed, clusters = settings.get("seed", 0), settings.get("clusters")
    if source is not None:
        from ganzoo.training.callbacks.progress import say
        from ganzoo.training.finetuning import continued

        gan, remarks = continued(source, size, networks["generator"], networks["discriminator"], seed, clusters)
        for remark in remarks:
            say(remark)
        return gan
    if networks["generator"] or networks["discriminator"] or size is not None:
        from ganzoo.presets import create

        return create(str(preset), size, **networks, seed=seed, clusters=clusters)
    return preset


def _finish(trainer: Trainer) -> None:
    """Train, and say where the model is; of several processes the main one."""
    result = trainer.fit()
    if not result.finished and (result.collapsed or result.stopped is None):
        raise typer.Exit(1 if result.collapsed else 130)
    if trainer.is_main:
        step = result.step if trainer.settings.keep == "last" else result.best_step
        of = f" (of step {step})" if step is not None else ""
        print(f"model{of}: {shell(result.model)}\npictures: {shell(result.run / 'samples')}")


def _print_settings() -> None:
    """Print what --set takes: settings of a run, options of every model, plug-ins' too, and the names in them."""
    import ganzoo
    from ganzoo.models import MODELS, Generator
    from ganzoo.settings import Settings

    print_table(Settings.described(), ("setting", "default", "meaning"))
    broken = MODELS.broken()
    for name in MODELS:
        if name not in broken:
            model: Any = MODELS[name]
            place = "generator" if issubclass(model, Generator) else "discriminator"
            print()
            print_table(model.config_class.described(f"{place}."), (f"option of {name}", "default", "meaning"))
    registries = [getattr(ganzoo, name) for name in ganzoo.REGISTRIES if name not in ("PRESETS", "MODELS")]
    print()
    for each in registries:
        print_wrapped(f"{each.kind.capitalize()} names: {', '.join(map(call_of, entries_of(each)))}.")
    print("Norms and activations of timm work by name too.")
    print("Separate several values with commas: generator.widths=128,64")


def _configs(preset: str | None, source: str | None) -> dict[str, Any]:
    """The config classes of both networks, of the preset or of the saved model `source`."""
    from ganzoo.presets import PRESETS
    from ganzoo.training.finetuning import with_discriminator

    pair = PRESETS[str(preset)] if source is None else with_discriminator(source)[0].config
    return {"generator": type(pair.generator), "discriminator": type(pair.discriminator)}


def _parse(texts: Iterable[str], configs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings and changes of the two networks, which have these `configs`, that `key=value` texts ask for."""
    from ganzoo.settings import Settings

    changes: dict[str, Any] = {}
    networks: dict[str, dict[str, Any]] = {"generator": {}, "discriminator": {}}
    for text in texts:
        given = shell("--set", text)
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{given} must look like key=value")
        place, dot, field = key.strip().partition(".")
        if place == "image_size":
            raise ConfigError(f"{given}: it is not a setting; set pixels a side with {shell('--size', value)}")
        if not dot:
            changes[place] = Settings.parse(place, value)
        elif place in configs:
            try:
                networks[place][field] = configs[place].parse(field, value)
            except ConfigError as error:
                raise ConfigError(f"{place}.{error}") from None
        elif place in networks:
            raise ConfigError(f"{given}: a run that goes on keeps its networks; change them in a new one, by --from")
        else:
            raise ConfigError(f"{given}: {quote(place)} is unknown.{did_you_mean(place, networks)}")
    return changes, networks
