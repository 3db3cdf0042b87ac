"""`ganzoo show`: all that a name or path means, with its own values."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ganzoo.cli.options import JSON, argument, print_json, print_table
from ganzoo.errors import GanzooError, SourceError, UnknownNameError, nearest, quote

if TYPE_CHECKING:
    from ganzoo.config import Config
    from ganzoo.gan import GAN

Facts = dict[str, Any]


def show(
    what: Annotated[str, argument("A preset, a model, a run's folder, or a data set.", "PRESETS", "zoo", "SOURCES")],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show what a preset, model, run or data set is.

    If a name means several of them, all are shown. Settings are those that differ from the defaults.
    """
    found = dict(_meanings(what))
    if as_json:
        return print_json(found)
    from ganzoo.text import in_words

    for number, (kind, facts) in enumerate(found.items()):
        print("\n" * bool(number) + f"{kind} {what}")
        rows: list[tuple[str, str]] = []
        for name, value in facts.items():
            nested = value.items() if isinstance(value, dict) else [(None, value)]
            exact = name == "settings"
            rows += [(f"  {name}" if key is None else f"  {name}.{key}", in_words(each, exact)) for key, each in nested]
        print_table(rows)


def _meanings(what: str) -> Iterator[tuple[str, Facts]]:
    """(kind, facts) of all that `what` names: a name may be a preset, a model and a data set; a path is one thing."""
    from ganzoo.cli.data_command import described
    from ganzoo.data import SOURCES, source_name
    from ganzoo.files import expand_user
    from ganzoo.presets import PRESETS
    from ganzoo.runs.folder import RunFolder
    from ganzoo.saving.format import CONFIG
    from ganzoo.saving.resolve import bundled_models, local_source

    path, source = expand_user(what), source_name(what)
    if what in PRESETS:
        yield "preset", _preset(what)
    if what in bundled_models():
        yield "model", _model(what)
    if source:
        yield "data", {"is": SOURCES.describe(source), "options": [*map(str, SOURCES.options(source).values())]}
    if what in PRESETS or what in bundled_models() or source:
        return
    if RunFolder(path).exists():
        yield "run", _run(path)
    elif (path / CONFIG).is_file() or path.suffix == ".safetensors":
        yield "model", _model(what)
    elif path.exists() or what.startswith("hf:"):
        yield "data", described(what)[1]
    else:
        try:
            local_source(what)
        except SourceError as error:
            near = nearest(what, {*PRESETS, *bundled_models(), *SOURCES})
            raise UnknownNameError(
                f"{quote(what)} is not a preset, model, run or data set; see `ganzoo list`.{near}"
            ) from error
        yield "model", _model(what)  # of the Hub


def _preset(name: str) -> Facts:
    import torch

    from ganzoo.models import parameter_count
    from ganzoo.presets import PRESETS, create

    preset = PRESETS[name]
    with torch.device("meta"):  # counted without memory
        gan = create(preset)
    assert gan.discriminator is not None  # a preset has both
    networks = {
        place: {"model": model, "parameters": parameter_count(network), **_own(config)}
        for place, model, config, network in (
            ("generator", preset.generator_model, preset.generator, gan.generator),
            ("discriminator", preset.discriminator_model, preset.discriminator, gan.discriminator),
        )
    }
    facts = {"description": preset.description, "version": preset.version, "baseline": preset.baseline}
    return {**facts, "data": preset.data, "images": _shape(gan), **networks, "settings": _own(preset.settings)}


def _model(source: str) -> Facts:
    from ganzoo.models import parameter_count
    from ganzoo.pretrained import from_pretrained
    from ganzoo.saving.results import evaluated

    gan = from_pretrained(source)
    folder = gan.folder if gan.folder and gan.folder.is_dir() else None
    figures = evaluated(folder, folder) if folder else ()
    return {
        "preset": gan.preset,
        "images": _shape(gan),
        "latent_size": gan.latent_size,
        "classes": list(gan.class_names) or gan.num_classes,
        "clusters": gan.clusters,
        "parameters": parameter_count(gan.generator),
        "with discriminator": bool(folder and (folder / "discriminator").is_dir()),
        "folder": str(gan.folder),
        "figures": {figure.name: figure.value for figure in figures},
        **({"measured on": figures[0].how} if figures else {}),
    }


def _run(path: Path) -> Facts:
    from ganzoo.runs.compare import by_option, run_facts
    from ganzoo.runs.folder import changed_in_words
    from ganzoo.settings import Settings

    facts = run_facts(path)
    facts["settings"] = _own(Settings.from_dict(facts["settings"], f"{path / 'run.json'}: settings"))
    facts["networks"] = by_option({name: _own_options(each) for name, each in facts["networks"].items()})
    stretches = facts.pop("stretches")
    return facts | {f"from step {each['step']:,} on": changed_in_words(each["changed"]) for each in stretches}


def _own_options(network: Facts) -> Facts:
    """The model of a `network`, and the options that differ from its defaults."""
    from ganzoo.models import MODELS

    model, config = network["model"], {name: value for name, value in network.items() if name != "model"}
    with contextlib.suppress(GanzooError):  # of a package or script that is not here, or a module of the user's own
        network_class: Any = MODELS[model]
        config = _own(network_class.config_class.from_dict(config))
    return {"model": model, **config}


def _own(config: Config) -> Facts:
    """The values of `config` that differ from its class's defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {name: value for name, value in config.to_dict().items() if getattr(config, name) != defaults[name]}


def _shape(gan: GAN) -> str:
    return f"{gan.image_channels}x{gan.image_size}x{gan.image_size}"
