"""The files of a saved model, and what `config.json` says of a network, read strictly."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ganzoo.blocks import ACTIVATIONS, BLOCKS, INITIALISATIONS, NORMS
from ganzoo.config import Config
from ganzoo.errors import PluginError, SourceError, UnknownNameError, WeightsError, did_you_mean, quote
from ganzoo.files import what_else
from ganzoo.models import MODELS
from ganzoo.options import called_name
from ganzoo.registry import Registry, has_words, used_plugins

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD, GRID, LOSS_CURVES = "README.md", "samples/grid.png", "samples/losses.png"  # beside them, for people
ONNX = "model.onnx"  # the generator once more, if `ganzoo export` wrote it there
UNTOUCHED = "; what was there before is untouched."  # the end of a message on a folder that can't be written
LARGEST_CONFIG = 1_000_000  # bytes
LARGEST_OWN = 100_000_000  # bytes of a JSON file, or of a header, in the folder of a run
_PACKAGE = {"package": re.compile(r"\w([\w.-]*\w)?", re.ASCII), "version": re.compile(r"\w[\w.+!-]*", re.ASCII)}
NAMED_IN_CONFIGS: tuple[Registry[Any], ...] = (BLOCKS, NORMS, ACTIVATIONS, INITIALISATIONS)  # whose names they hold


@dataclass(frozen=True)
class Description:
    """What a file says of a network: its model's name (None: a module of the user's own), config, and plug-ins."""

    model: str | None
    config: Config | None
    plugins: tuple[dict[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types, as `read_description` takes them."""
        config = self.config.to_dict() if self.config else {}
        return {"format": FORMAT, "model": self.model, "config": config, "plugins": list(self.plugins)}


def describe(network: nn.Module) -> Description:
    """The description of `network`, as the registries know it."""
    if not (used := used_names(network)):
        return Description(None, None)
    return Description(used[0][1], network.config, tuple(used_plugins(used)))  # type: ignore[arg-type]


def used_names(network: nn.Module) -> list[tuple[Registry[Any], str]]:
    """The registries' names that `network` is made of; none of a module that is in no registry."""
    name = MODELS.name_of(type(network))
    if name is None:
        return []
    config: Config = network.config  # type: ignore[assignment]  # the contract of MODELS
    words = _names(config.to_dict())
    return [(MODELS, name), *((each, word) for word in words for each in NAMED_IN_CONFIGS if word in each)]


def _names(value: Any) -> list[str]:
    """All texts in `value`, JSON types, without the options behind them: each may be a registry's name."""
    if isinstance(value, str):
        return [called_name(value)]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [name for item in items for name in _names(item)]


def read_json(path: Path, *, own: bool = False) -> dict[str, Any]:
    """The mapping in the JSON file `path`, or SourceError (no such file) or WeightsError (not one, or too large).

    Args:
        own: the file belongs to the user's own run and may be larger than a stranger's config.
    """
    size, most = file_size(path), LARGEST_OWN if own else LARGEST_CONFIG
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)  # some files hold more than their size says
        if len(content) > most:
            size = max(size, len(content))
            raise WeightsError(f"{path} has {size} bytes; {most} is the most for a config.")
        check_kind(content, f"{path} is not a config")
        return parse_json(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} is not UTF-8 text ({error.reason}); it is damaged or not a config.") from error
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error


def check_kind(content: bytes, said: str) -> None:
    """Raise WeightsError, which begins with `said`, if `content` begins as a known file of another kind."""
    if other := what_else(content):
        raise WeightsError(f"{said}: it is {other}.")


def file_size(path: Path) -> int:
    """Bytes of the plain file `path`; reading a pipe or device might never end."""
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist; name a folder that `save_pretrained` wrote.") from error
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    if not stat.S_ISREG(facts.st_mode):
        raise SourceError(f"{path} is not a regular file; name a folder that `save_pretrained` wrote.")
    return facts.st_size


def parse_json(text: str, place: str) -> dict[str, Any]:
    """The mapping that `text` holds; doubled keys, NaN and anything but a mapping are WeightsError, naming `place`.

    The message shows no value: by a link, any file of this machine can stand in for a config.
    """

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                raise ValueError(f"the key {quote(key)} stands there twice")
            values[key] = value
        return values

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        value = json.loads(text, object_pairs_hook=no_twins, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{place} is not valid JSON: {quote(str(error))}.") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{place} must hold a JSON mapping, got a {type(value).__name__}.")
    return value


def read_description(values: Any, place: str) -> Description:
    """Check what `config.json` or a header says of one network, and parse it."""
    if not isinstance(values, dict):
        raise WeightsError(f"{place} must be a mapping, got {quote(values)}.")
    check_format(values, place)
    known = {"format", "model", "config", "plugins"}
    for key in values:
        if key not in known:
            raise WeightsError(f"{place}.{quote(key)} is unknown.{did_you_mean(key, sorted(known))}")
    model = values.get("model")
    if model is None:
        return Description(None, None)
    plugins = read_plugins(values.get("plugins", []), place)
    try:
        config_class = MODELS[model].config_class  # type: ignore[attr-defined]
        return Description(model, config_class.from_dict(values.get("config"), f"{place}.config"), plugins)
    except (UnknownNameError, PluginError) as error:
        if hint := where_from(plugins, _names([model, values.get("config")])):
            raise PluginError(f"{place} needs what is not installed. {error} {hint}") from error
        raise type(error)(f"{place}: {error}") from error


def where_from(plugins: Sequence[Mapping[str, str]], used: Collection[str], *, own: bool = False) -> str:
    """Which packages offer the names in `used` that are missing here, as `plugins` says; "" if none is credible.

    A stranger's file could name any package; only one that the registry would accept for the name is repeated.
    `own`: the file is the user's own.
    """
    wanted = [
        f"{plugin['package']}=={plugin['version']}"
        for plugin in plugins
        if plugin["name"] in used and has_words(plugin["package"], plugin["name"].partition(".")[0])
    ]
    if not wanted:
        return ""
    packages = " ".join(dict.fromkeys(wanted))
    if own:
        return f"Install what it was begun with: pip install {packages}"
    return f"It was made with {packages}, by somebody else: check it before you install (pip install {packages})."


def read_plugins(values: Any, place: str) -> tuple[dict[str, str], ...]:
    """The plug-ins that a file names, each with kind, name, package and version; WeightsError on anything else."""
    keys = {"kind", "name", "package", "version"}
    if not isinstance(values, list) or len(values) > 100:
        raise WeightsError(f"{place}.plugins must be a list of at most 100, got {quote(values)}.")
    for value in values:
        fits = isinstance(value, dict) and set(value) == keys
        if not fits or not all(isinstance(text, str) and len(text) < 200 for text in value.values()):
            raise WeightsError(f"{place}.plugins must name {', '.join(sorted(keys))} as text, got {quote(value)}.")
        for key, form in _PACKAGE.items():  # they end in a command that a user may copy
            if not form.fullmatch(value[key]):
                raise WeightsError(f"{place}.plugins: {quote(value[key])} is not a valid {key} of a Python package.")
    return tuple(values)


def check_format(values: dict[str, Any], place: str) -> None:
    """Raise WeightsError unless `values["format"]` is a format that this version reads."""
    given = values.get("format")
    if type(given) is not int or given < 1:
        raise WeightsError(f"{place} is not a config of ganzoo: format must be a number from 1, got {quote(given)}.")
    if given > FORMAT:
        raise WeightsError(
            f"{place} has format {given}; this version reads up to {FORMAT}: pip install -U ganzoo-torch"
        )
