"""A network and its config, to a folder of `config.json` and `model.safetensors`, and back, strictly.

The header of a weights file holds the same description of its network as `config.json`, under the one metadata key
`ganzoo` (several keys are written in random order, and equal models would be different files).
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ganzoo.blocks import BLOCKS
from ganzoo.config import Config
from ganzoo.errors import PluginError, SourceError, UnknownNameError, WeightsError, did_you_mean, quote
from ganzoo.files import default_mode
from ganzoo.models import MODELS, build_like_file
from ganzoo.models.contract import check_fits, check_like_file, plain_name
from ganzoo.registry import Registry, has_words, used_plugins
from ganzoo.saving.tensors import apart

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD, GRID, LOSSES = "README.md", "samples/grid.png", "samples/losses.png"  # beside them, for people
LARGEST_CONFIG = 1_000_000  # bytes
LARGEST_HEADER = 4_000_000  # bytes of what a weights file says of its tensors, some hundred for each
MOST_TENSORS = 5_000  # of a weights file: its library takes a tenth of a millisecond for each, however small
LARGEST_WEIGHTS = 8_000_000_000  # bytes of a weights file
LARGEST_OWN = 100_000_000  # bytes of a JSON file, or of a header, in the folder of a run
MOST_OWN = 100_000  # tensors of a checkpoint, where nothing else tells how many it should have
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_PACKAGE = {"package": re.compile(r"\w([\w.-]*\w)?", re.ASCII), "version": re.compile(r"\w[\w.+!-]*", re.ASCII)}
# how files begin that stand under the name of weights or a config
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file; run `git lfs pull` in its folder",
    b"<!doctype": "a web page, perhaps of a failed download; get the file again",
    b"<html": "a web page, perhaps of a failed download; get the file again",
    b"pk\x03\x04": "a zip or a pickle of torch.save, which may run any code and is never opened here",
    b"\x80": "a pickle, which may run any code and is never opened here",
}


@dataclass(frozen=True)
class Description:
    """What a file says of a network: its model's name (None: a module of the user's own), config, and plug-ins."""

    model: str | None
    config: Config | None
    plugins: tuple[dict[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types, as `read_description` wants them."""
        config = self.config.to_dict() if self.config else {}
        return {"format": FORMAT, "model": self.model, "config": config, "plugins": list(self.plugins)}


def describe(network: nn.Module) -> Description:
    """The description of `network`, as the registries know it."""
    name = MODELS.name_of(type(network))
    if name is None:
        return Description(None, None)
    config: Config = network.config  # type: ignore[assignment]  # the contract of MODELS
    used: list[tuple[Registry[Any], str]] = [(MODELS, name)]
    used += [(BLOCKS, text) for text in _texts(config.to_dict()) if text in BLOCKS]
    return Description(name, config, tuple(used_plugins(used)))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


def read_json(path: Path, *, own: bool = False) -> dict[str, Any]:
    """The mapping in the JSON file `path`, or SourceError (no such file) or WeightsError (not one, or too large).

    Args:
        own: it lies in the user's run, which may be larger than a config from a stranger.
    """
    size, most = _size(path), LARGEST_OWN if own else LARGEST_CONFIG
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)  # some files hold more than their size says
        if len(content) > most:
            size = max(size, len(content))
            raise WeightsError(f"{path} has {size} bytes; {most} is the most for a config.")
        _check_kind(content, f"{path} is no config")
        return parse_json(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} is not UTF-8 text ({error.reason}); it is damaged or no config.") from error
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error


def _check_kind(content: bytes, said: str) -> None:
    """Raise WeightsError, which begins with what is `said`, if `content` begins as a known file of another kind."""
    start = content[:100].lower()
    for beginning, other in _OTHERS.items():
        if start.startswith(beginning):
            raise WeightsError(f"{said}: it is {other}.")


def _size(path: Path) -> int:
    """Bytes of the plain file `path`; a pipe or device would be waited for, or read, without end."""
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist; name a folder that `save_pretrained` wrote.") from error
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    if not stat.S_ISREG(facts.st_mode):
        raise SourceError(f"{path} is no plain file; name a folder that `save_pretrained` wrote.")
    return facts.st_size


def parse_json(text: str, place: str) -> dict[str, Any]:
    """The mapping that `text` holds; doubled keys, NaN and anything but a mapping are WeightsError, naming `place`.

    The message shows no value: a link can make any file of this machine stand where a config should.
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
    """Check and understand what `config.json` or a header says of one network."""
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
        if hint := where_from(plugins, _texts([model, values.get("config")])):
            raise PluginError(f"{place} needs what is not installed. {error} {hint}") from error
        raise


def where_from(plugins: Sequence[Mapping[str, str]], used: Collection[str]) -> str:
    """Which packages offer the names in `used` that are missing here, as `plugins` says; "" if none can be believed.

    A stranger's file could name any package: only one that the registry would let offer the name is passed on.
    """
    wanted = [
        f"{plugin['package']}=={plugin['version']}"
        for plugin in plugins
        if plugin["name"] in used and has_words(plugin["package"], plugin["name"].partition(".")[0])
    ]
    if not wanted:
        return ""
    packages = " ".join(dict.fromkeys(wanted))
    return f"It was made with {packages}, by somebody else: look before you install (pip install {packages})."


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
                raise WeightsError(f"{place}.plugins: {quote(value[key])} is no {key} of a Python package.")
    return tuple(values)


def check_format(values: dict[str, Any], place: str) -> None:
    """Raise WeightsError unless `values["format"]` is a format that this version reads."""
    given = values.get("format")
    if type(given) is not int or given < 1:
        raise WeightsError(f"{place} is no config of ganzoo: format must be a number from 1, got {quote(given)}.")
    if given > FORMAT:
        raise WeightsError(
            f"{place} has format {given}; this version reads up to {FORMAT}: pip install -U ganzoo-torch"
        )


def write_network(network: nn.Module, folder: Path, dtype: str = "float32") -> Description:
    """Write the weights of `network` into `folder`, which must exist; return its description for `config.json`."""
    description = describe(network)
    tensors = {
        name: value.detach().to(DTYPES[dtype] if value.is_floating_point() else value.dtype)
        for name, value in network.state_dict().items()
    }
    header = {"ganzoo": json.dumps(description.to_dict(), sort_keys=True)}
    with default_mode(folder / WEIGHTS) as path:
        save_file(apart(tensors), path, metadata=header)
    return description


def read_header(path: Path, *, own: int = 0) -> tuple[dict[str, tuple[int, ...]], Description | None]:
    """Shapes of all tensors of the safetensors file `path`, and the description it holds, if there is one.

    Nothing of the tensors is read or allocated.

    Args:
        own: for a checkpoint of the user's run, how many tensors it has at most; they may be of any size.

    Raises:
        SourceError: no such file.
        WeightsError: not a safetensors file, damaged, too large, or with a header that is no description.
    """
    size = _size(path)
    if size > LARGEST_WEIGHTS and not own:
        raise WeightsError(f"{path} has {size:,} bytes; {LARGEST_WEIGHTS:,} is the most for weights.")
    damaged = f"{path} is no intact safetensors file"
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= size - 8:
                file.seek(0)
                _check_kind(file.read(100), damaged)
                raise WeightsError(f"{damaged} (a header of {length:,} bytes in {size:,}); get it again.")
            if length > (longest := LARGEST_OWN if own > MOST_TENSORS else LARGEST_HEADER):
                raise WeightsError(f"{path} has a header of {length:,} bytes; {longest:,} is the most.")
            values = parse_json(file.read(length).decode(), f"{path} (header)")
        text = values.pop("__metadata__", {}).get("ganzoo", "")
        entries = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in values.items()}
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{damaged} ({quote(str(error))}); get it again.") from error
    if len(entries) > (most := own or MOST_TENSORS):
        raise WeightsError(f"{path} has {len(entries):,} tensors; {most:,} is the most.")
    declared = 0
    for name, (dtype, shape) in entries.items():
        if not isinstance(dtype, str) or dtype not in _BYTES:
            known = ", ".join(_BYTES)
            raise WeightsError(f"{path}: {quote(name)} is of type {quote(dtype)}; weights are of {known}.")
        if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise WeightsError(f"{path}: {quote(name)} has shape {quote(shape)}, which no weights have; get it again.")
        declared += math.prod(shape) * _BYTES[dtype]
    if declared != size - 8 - length:  # or a small file could ask for a large network
        raise WeightsError(f"{damaged} ({declared:,} bytes declared, {size - 8 - length:,} there); get it again.")
    place = f"{path} (header)"
    if not isinstance(text, str):
        raise WeightsError(f"{place}: ganzoo must be text, got {quote(text)}.")
    description = read_description(parse_json(text, place), place) if text else None
    return {name: shape for name, (_, shape) in entries.items()}, description


def read_tensors(path: Path, *, own: int = 0) -> dict[str, Tensor]:
    """All tensors of the safetensors file `path`, as they are; arguments and errors as of `read_header`."""
    read_header(path, own=own)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no intact safetensors file ({quote(str(error))}); get it again.") from error


def read_weights(path: Path) -> tuple[dict[str, Tensor], Description | None]:
    """All tensors of the safetensors file `path`, and the description in its header, if there is one.

    Raises:
        SourceError: no such file.
        WeightsError: not a safetensors file, damaged, with a header that is no description, or with weights that are
            not finite.
    """
    _, description = read_header(path)
    tensors = read_tensors(path)
    for name, value in tensors.items():
        if not is_finite(value):
            raise WeightsError(f"{path}: {quote(name)} holds NaN or infinity; take a model from before that happened.")
        if name.endswith("running_var") and value.numel() and value.min() < 0:
            raise WeightsError(f"{path}: {quote(name)} holds a variance below 0, which no batch has; save it again.")
    return tensors, description


def is_finite(value: Tensor) -> bool:
    """Whether no number of `value` is NaN or infinite, without a copy of it."""
    if not value.is_floating_point() or not value.numel():
        return True
    low, high = value.aminmax()
    return bool(low.isfinite() and high.isfinite())


def check_network(description: Description, path: Path) -> None:
    """Raise what `build_network` and `load_into` would of `description` and the weights at `path`, making nothing."""
    shapes = _shapes(description, path)
    if description.model is not None:
        check_like_file(description.model, description.config, shapes, str(path))
    read_weights(path)


def _shapes(description: Description, path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights at `path`, whose header must say the same as `description`."""
    shapes, header = read_header(path)
    if header is not None and header.to_dict() != description.to_dict():
        raise WeightsError(f"{path} was saved with another config than {CONFIG} beside it says; save the model again.")
    return shapes


def build_network(description: Description, path: Path) -> nn.Module:
    """The network of `description` with the weights at `path`, in float32, in evaluation mode; all must fit."""
    shapes = _shapes(description, path)
    if description.model is None:
        raise WeightsError(
            f"{path} holds weights of a module that is not in ganzoo.MODELS; build it yourself and call "
            f"GAN(...).load_weights({str(path.parent)!r})."
        )
    network = build_like_file(description.model, description.config, shapes, str(path))
    load_into(network, path)
    return network.eval()


def load_into(network: nn.Module, path: Path) -> None:
    """Load the weights at `path` into `network`, whose names and shapes they must have; errors as of `read_weights`."""
    tensors, _ = read_weights(path)
    wanted = network.state_dict()
    if not wanted.keys() & tensors.keys():
        tensors = {plain_name(name): value for name, value in tensors.items()}
    check_fits(wanted, {name: tuple(value.shape) for name, value in tensors.items()}, str(path))
    for name, value in wanted.items():
        if tensors[name].is_floating_point() != value.is_floating_point():
            raise WeightsError(f"{path}: {name} is of type {tensors[name].dtype}, its network wants {value.dtype}.")
    network.load_state_dict(tensors)
