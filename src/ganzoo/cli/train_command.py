"""`ganzoo train`: begin a run, go on with one, or train on from a saved model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo.cli.data_command import BROKEN, FIT, GROUND
from ganzoo.errors import ConfigError, did_you_mean, quote


def train(
    preset: Annotated[str | None, typer.Argument(help="A preset's name: see `ganzoo list presets`.")] = None,
    data: Annotated[str | None, typer.Option(help="A name, a folder, a zip, hf:...  [default: the preset's]")] = None,
    output: Annotated[Path | None, typer.Option(help="The run's folder.  [default: runs/PRESET]")] = None,
    steps: Annotated[int | None, typer.Option(help="Generator updates.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data, in place of --steps.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side, where the preset's is to be changed.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting, or generator.KEY, discriminator.KEY; repeatable."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of images given by a path; stands in the model's card.")] = None,
    broken: Annotated[str | None, BROKEN] = None,
    ground: Annotated[str | None, GROUND] = None,
    fit: Annotated[str | None, FIT] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps.  [default: what Accelerate finds]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --output.")] = False,
    resume: Annotated[Path | None, typer.Option(help="A run's folder: go on from its last checkpoint.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="A saved model with its discriminator to train on.")
    ] = None,
) -> None:
    """Train a GAN on images, into a folder that holds all of the run.

    Settings for --set and the networks' options, with their defaults (a preset may have its own), are listed by
    `ganzoo train settings`.
    """
    if preset == "settings":
        print(_table())
        return
    given = [name for name, value in (("PRESET", preset), ("--from", from_), ("--resume", resume)) if value is not None]
    if len(given) != 1:
        raise ConfigError(f"one of PRESET, --from and --resume says what to train, got {' and '.join(given) or 'none'}")
    from ganzoo.runs.folder import train_on_command
    from ganzoo.training import Trainer

    if resume is not None:
        others: dict[str, Any] = {"--output": output, "--steps": steps, "--epochs": epochs, "--size": size}
        others |= {"--set": set_, "--licence": licence, "--broken": broken, "--ground": ground, "--fit": fit}
        for name, value in others.items():
            if value is not None:
                raise ConfigError(
                    f"{name} can't be changed on --resume: a resumed run keeps its settings; "
                    f"to train its networks on with others, begin a new run: {train_on_command(resume)}"
                )
        if overwrite:
            raise ConfigError("--overwrite begins a run anew, --resume goes on with it; give one of them")
        trainer = Trainer.resume(resume, data=data, device=device)
    else:
        changes: dict[str, Any] = {}
        networks: dict[str, dict[str, Any]] = {"generator": {}, "discriminator": {}}
        if set_:
            changes, networks = _parse(set_, _configs(preset, from_))
        if steps is not None:
            changes["steps"] = steps
        gan: Any = preset
        if from_ is not None:
            from ganzoo.training.callbacks.progress import say
            from ganzoo.training.finetuning import continued

            gan, remarks = continued(
                from_,
                size,
                networks["generator"],
                networks["discriminator"],
                changes.get("seed", 0),
                changes.get("clusters"),
            )
            for remark in remarks:
                say(remark)
        elif networks["generator"] or networks["discriminator"] or size is not None:
            from ganzoo.presets import create

            gan = create(str(preset), size, **networks, seed=changes.get("seed", 0), clusters=changes.get("clusters"))
        changes |= {"broken": broken or "stop", "ground": ground or "white", "fit": fit or "crop"}
        trainer = Trainer(
            gan, data, output, overwrite=overwrite, epochs=epochs, licence=licence, device=device, **changes
        )
    result = trainer.fit()
    if not result.finished and (result.collapsed or result.stopped is None):
        raise typer.Exit(1 if result.collapsed else 130)
    best = f" (of step {result.best_step})" if result.best_step is not None else ""
    print(f"model{best}: {result.model}\npictures: {result.run / 'samples'}")


def _table() -> str:
    """What --set takes: settings of a run, options of every model, plug-ins' too, and the names that stand in them."""
    import ganzoo
    from ganzoo.models import MODELS, Generator
    from ganzoo.settings import Settings

    tables, broken = [Settings.table("setting")], MODELS.broken()
    for name in MODELS:
        if name not in broken:
            model: Any = MODELS[name]
            place = "generator" if issubclass(model, Generator) else "discriminator"
            tables.append(model.config_class.table(f"option of {name}", f"{place}."))
    registries = [getattr(ganzoo, name) for name in ganzoo.REGISTRIES if name not in ("PRESETS", "MODELS")]
    names = [*map(_names, registries), "Norms and activations of timm serve by name too."]
    names.append("Separate several values with commas: generator.widths=128,64")
    return "\n\n".join([*tables, "\n".join(names)])


def _names(registry: Any) -> str:
    """The names in `registry` with their options, in one line."""
    broken = registry.broken()
    calls = []
    for name in registry:
        options = registry.options(name) if registry.takes_options and name not in broken else {}
        calls.append(f"{name}({', '.join(map(str, options.values()))})" if options else name)
    return f"{registry.kind.capitalize()} names: {', '.join(calls)}."


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
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {quote(text)} must look like key=value")
        place, dot, field = key.strip().partition(".")
        if not dot:
            changes[place] = Settings.parse(place, value)
        elif place in configs:
            try:
                networks[place][field] = configs[place].parse(field, value)
            except ConfigError as error:
                raise ConfigError(f"{place}.{error}") from None
        else:
            raise ConfigError(f"--set {key}: {quote(place)} is unknown.{did_you_mean(place, configs)}")
    return changes, networks
