"""What `run.json` says of a run, and the networks that are made of it again."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from ganzoo.config import Config, option
from ganzoo.data import SOURCES, ImageData, source_name
from ganzoo.data.hf import is_here
from ganzoo.errors import PluginError, TrainingError, quote
from ganzoo.files import expand_user
from ganzoo.gan import GAN
from ganzoo.hardware import name_of
from ganzoo.losses import LOSSES
from ganzoo.models import MODELS
from ganzoo.models.contract import check_like_file
from ganzoo.options import join_call, split_call
from ganzoo.registry import Registry, used_plugins
from ganzoo.runs.checkpoint import check_step, checkpoint_folder, load_networks, saved_shapes
from ganzoo.runs.folder import RunFolder, command, damage_said, recorded_plugins, recorded_registered, versions
from ganzoo.saving.format import NAMED_IN_CONFIGS, describe, read_description, used_names, where_from
from ganzoo.saving.model import check_facts
from ganzoo.schedules import SCHEDULES
from ganzoo.settings import NAMED, Settings

REGISTRIES: dict[str, Registry[Any]] = {  # that a run's names may be of, by kind
    each.kind: each for each in (MODELS, *NAMED_IN_CONFIGS, LOSSES, *NAMED.values(), SCHEDULES, SOURCES)
}


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig(Config):
    """What was resolved once, when a run began, and holds whenever it is resumed."""

    device: str = option("cpu", "kind of device: cpu, cuda, mps, ...")
    precision: Literal["float32", "bf16", "fp16"] = option("float32", "of the networks' passes")
    memory_format: Literal["contiguous", "channels_last"] = option("contiguous", "of images and kernels")
    threads: int = option(1, "of torch on the CPU: sums are split by them, and bits follow", low=1, high=4096)
    processes: int = option(1, "that share a batch", low=1, high=65536)


def record(
    gan: GAN,
    data: ImageData,
    source: Any,
    reading: dict[str, Any],
    settings: Settings,
    runtime: RuntimeConfig,
    callbacks: list[str],
) -> dict[str, Any]:
    """All that is asked and resolved when a run begins, as JSON types.

    Args:
        callbacks: classes of those that were given by hand.
    """
    used = settings.registered()
    if name := source_name(source):
        used.append((SOURCES, name))
    networks = [network for network in (gan.generator, gan.discriminator) if network is not None]
    every = dict.fromkeys([*used, *(each for network in networks for each in used_names(network))])
    return {
        "command": command(),
        "versions": versions(),
        "settings": settings.to_dict(),
        "callbacks": callbacks,
        "plugins": used_plugins(used),
        "registered": [
            {"kind": registry.kind, "name": name, "where": _home(registry[name])}
            for registry, name in every
            if registry.by_hand(name)
        ],
        "machine": runtime.to_dict(),
        "hardware": name_of(runtime.device),
        "gan": describe_gan(gan),
        "from": gan.source,
        "data": {
            "name": data.name,
            "source": _absolute(source) if isinstance(source, (str, Path)) else None,
            "hash": data.hash,
            "images": len(data),
            "streamed": data.stream is not None,  # then `images` are the first ones, and so is their hash
            "classes": list(data.class_names) if gan.num_classes else [],
            "licence": data.licence,
            **reading,
            "skipped": data.skipped,
            "passed_over": dict(data.passed_over),
        },
    }


def _home(item: Any) -> str:
    """The file that `item` is defined in; a notebook's cell has none."""
    return getattr(sys.modules.get(item.__module__), "__file__", None) or "a notebook"


def _absolute(source: str | Path) -> str:
    """`source` as it can be opened from any folder."""
    text = os.fspath(source)
    if source_name(source):  # though a folder of that name may lie here
        name, options = split_call(text, "data")
        root = expand_user(options["root"]) if options.get("root") else None
        return join_call(name, {**options, "root": str(root.resolve())}) if root and root.exists() else text
    hub = isinstance(source, str) and text.startswith("hf:")
    name, mark, query = text.removeprefix("hf:").partition("?") if hub else (text, "", "")
    path = expand_user(name)
    here = is_here(name) if hub else path.exists()
    return f"{'hf:' * hub}{path.resolve()}{mark}{query}" if here else text


def record_source(run: RunFolder, source: str | Path) -> None:
    """Write into `run.json` that the images of `run` are at `source` from now on."""
    facts = run.facts()
    run.record({**facts, "data": {**facts["data"], "source": _absolute(source)}})


def describe_gan(gan: GAN) -> dict[str, Any]:
    """Models and configs of both networks; None stands for modules of the user's own."""
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    return {
        **gan.facts,
        **{name: describe(network).to_dict() for name, network in networks.items() if network is not None},
    }


def compare_plugins(facts: dict[str, Any], place: str, run: str) -> list[str]:
    """A sentence for each plug-in that has another version here than in `run`, which `facts` are of.

    Raises:
        PluginError: one is not installed, or does not work; or a name that a script registers is not there.
    """
    for each in recorded_registered(facts, place):
        if each["kind"] in REGISTRIES and each["name"] not in REGISTRIES[each["kind"]]:
            raise PluginError(
                f"{place}: the run uses the {each['kind']} {quote(each['name'])}, which is registered in "
                f"{quote(each['where'], 300)}: import or run that, then ganzoo.Trainer.resume({run!r}).fit()"
            )
    told = []
    with damage_said(Path(run)):
        plugins = recorded_plugins(facts, place)
    for each in plugins:
        registry, name = REGISTRIES.get(each["kind"]), each["name"]
        used = f"{place}: the run uses the {each['kind']} {quote(name)} of {each['package']} {each['version']}"
        if registry is None or name not in registry:
            raise PluginError(f"{used}, which is not installed here. {where_from([each], [name], own=True)}".strip())
        origin = registry.origin(name)
        if origin is None or (origin.distribution, origin.version) != (each["package"], each["version"]):
            here = f"{origin.distribution} {origin.version}" if origin else "an object registered by hand"
            told.append(f"{used}, here it is of {here}: the run may go on otherwise than it began.")
    return told


def compare_versions(facts: dict[str, Any], place: str) -> list[str]:
    """A sentence for torch, and one for ganzoo, if it has another version here than when the run of `facts` began."""
    recorded, here = facts.get("versions"), versions()
    before = recorded if isinstance(recorded, dict) else {}
    return [
        f"{place}: the run began with {name} {before[name]}, here is {here[name]}: it may go on otherwise than it began"
        for name in ("ganzoo-torch", "torch")
        if before.get(name, here[name]) != here[name]
    ]


def is_described(gan: GAN, described: dict[str, Any]) -> bool:
    """Whether `gan` is made as `describe_gan` said; names of classes that it lacks came from the data."""
    return describe_gan(gan) == (described if gan.class_names else {**described, "class_names": []})


def rebuild(described: dict[str, Any], run: Path) -> GAN:
    """The GAN that `describe_gan` described in the folder `run`, with fresh weights of the sizes of its checkpoint.

    Raises:
        TrainingError: it is of the user's own modules, or has no checkpoint. WeightsError, ConfigError: `described` is
            damaged.
    """
    place = str(run / "run.json")
    facts, shapes = check_facts(described, f"{place}: gan"), saved_shapes(run)
    networks: list[nn.Module] = []
    for name in ("generator", "discriminator"):
        description = read_description(described.get(name), f"{place}: {name}")
        if description.model is None:
            raise TrainingError(f"{place}: the run trains modules of your own; pass them: Trainer.resume(run, gan=...)")
        where = f"{run}: the {name} of its checkpoints"
        check_like_file(description.model, description.config, shapes[name], where)
        networks.append(MODELS[description.model](description.config))  # drawn: a step is tried before weights are read
    return GAN(*networks, **facts)


def open_checkpoint(run: str | Path, step: int) -> GAN:
    """The GAN of `run` with the averaged generator as it was at `step`, to sample.

    Raises:
        TrainingError: no run or no such checkpoint is there, or it is of the user's own modules. WeightsError: it is
            damaged.
    """
    folder = RunFolder(run)
    facts = folder.facts()
    check_step(folder.path, step)
    gan = rebuild(facts["gan"], folder.path)
    load_networks({"average": gan.generator}, checkpoint_folder(folder.path, step))
    return gan
