"""A whole saved model: the layout that a folder and a Hub repository share.

config.json  model.safetensors        what the model is, and the (averaged) generator
discriminator/  generator_raw/        the same two files each; to train on
samples/grid.png  README.md           for people
model.onnx                            the generator for programs without torch, if `ganzoo export` wrote it there
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError
from torch import nn

from ganzoo.config import Bounds, convert_value
from ganzoo.errors import (
    ConfigError,
    GanzooError,
    NoDiscriminatorError,
    SourceError,
    UnknownNameError,
    WeightsError,
    quote,
    shown,
    writing,
)
from ganzoo.files import expand_user, new_folder
from ganzoo.latents import check_clusters, label_count
from ganzoo.models import Discriminator, Generator
from ganzoo.models.contract import MOST_CLASSES
from ganzoo.saving.format import (
    CARD,
    CONFIG,
    FORMAT,
    GRID,
    LOSS_CURVES,
    ONNX,
    UNTOUCHED,
    WEIGHTS,
    check_format,
    read_description,
    read_json,
)
from ganzoo.saving.weights import Dtype, WeightsFile, write_network
from ganzoo.text import UNKNOWN_VERSION, own_version

NETWORKS = ("", "discriminator", "generator_raw")
LAYOUT = (
    *(str(PurePosixPath(part, name)) for part in NETWORKS for name in (CONFIG, WEIGHTS)),
    ONNX,
    GRID,
    LOSS_CURVES,
    CARD,
)
_DROPPED = (*NETWORKS[1:], ONNX, GRID, LOSS_CURVES)  # of an earlier model, when another is saved
LARGEST_LATENT = 100_000  # numbers
_WITH_DISCRIMINATOR = "name a model that was saved with its own, as a run's is; sampling needs none."
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{,1000}")


@dataclass(frozen=True)
class SavedModel:
    """A saved model, opened: its config and the headers of its weights are read and checked, no weight yet.

    Args:
        path: its folder, or a single weights file.
        facts: what the config says beside the networks, as `GAN` takes it; of a single file its clusters.
        networks: of "" (the generator), "discriminator" and "generator_raw" those that were asked for.
    """

    path: Path
    facts: Mapping[str, Any]
    networks: Mapping[str, WeightsFile]

    @classmethod
    def open(cls, path: Path, parts: Sequence[str] | None = None, config: dict[str, Any] | None = None) -> SavedModel:
        """Open the folder or weights file `path`.

        Args:
            parts: the networks to open, the generator ("") first; None for all that are there.
            config: what the root's `config.json` holds, if it has been read.

        Raises:
            SourceError: one of `parts` is not there, or a file is missing.
            WeightsError, ConfigError, PluginError: a file is damaged, of a newer format, or needs what is not
                installed.
        """
        if parts is None:
            names = (CONFIG, WEIGHTS)
            parts = [part for part in NETWORKS if not part or any((path / part / name).is_file() for name in names)]
        if path.is_file():
            return cls._open_file(path, parts)
        place = str(path / CONFIG)
        root = read_json(path / CONFIG) if config is None else config
        check_format(root, place)
        if "model" in root and "generator" not in root:
            raise WeightsError(f"{path} holds one network of a model; name the model's folder: {path.resolve().parent}")
        try:
            described, networks = read_description(root.get("generator"), f"{place}: generator"), {}
            facts = check_facts(root, place)
            for part in parts:
                if part:
                    file = path / part / CONFIG
                    if not file.is_file():
                        raise NoDiscriminatorError(f"{path} holds no {part}; {_WITH_DISCRIMINATOR}")
                    described = read_description(read_json(file), str(file))
                networks[part] = WeightsFile.open(path / part / WEIGHTS).described(described)
        except (ConfigError, UnknownNameError) as error:
            theirs, ours = str(root.get("library_version")), own_version()
            if _numbers(theirs) <= _numbers(ours) or ours == UNKNOWN_VERSION:
                raise
            newer = f"saved by ganzoo {shown(theirs, 20)}, this is {ours}: pip install -U ganzoo-torch"
            raise type(error)(f"{error} ({newer})") from error
        return cls(path, facts, networks)

    @classmethod
    def _open_file(cls, path: Path, parts: Sequence[str]) -> SavedModel:
        if len(parts) > 1:
            raise NoDiscriminatorError(f"{path} holds a generator alone; {_WITH_DISCRIMINATOR}")
        weights = WeightsFile.open(path)
        if weights.description is None:
            raise WeightsError(f"{path} has no config in its header; ganzoo did not write it. Name a model's folder.")
        return cls(path, {"clusters": weights.clusters}, {"": weights})

    def check(self) -> None:
        """Raise what `build` would, without building anything; a custom module is no error."""
        for weights in self.networks.values():
            weights.check()

    def build(self) -> list[nn.Module]:
        """The networks, in the order that was asked for, in float32, in evaluation mode."""
        networks = [weights.build() for weights in self.networks.values()]
        for part, network in zip(self.networks, networks):
            wanted, other = (Discriminator, Generator) if part == "discriminator" else (Generator, Discriminator)
            if isinstance(network, other):
                found, lacking = other.__name__.lower(), wanted.__name__.lower()
                raise WeightsError(
                    f"{self.networks[part].path} holds a {found}, no {lacking}; name the folder of a whole model."
                )
        if "num_classes" in self.facts:
            _check_generator(networks[0], self.facts, str(self.path / CONFIG))
        return networks


def _numbers(text: str) -> list[int]:
    """The release in a version, to compare: [0, 2, 0] of "0.2.0.dev1"."""
    return [int(number) for number in re.findall(r"\d{1,9}", text)[:3]]


def _check_generator(generator: nn.Module | None, facts: Mapping[str, Any], place: str) -> None:
    """Raise WeightsError unless a `generator` that announces its latents and classes fits `facts`."""
    if not isinstance(generator, Generator):
        return
    if generator.latent_size != math.prod(facts["latent_shape"]):
        raise WeightsError(
            f"{place}: latent_shape is {facts['latent_shape']}, the generator's latent_size {generator.latent_size}; "
            f"save the model again."
        )
    classes, clusters = facts["num_classes"], facts["clusters"]
    if generator.num_classes != label_count(classes, clusters):
        raise WeightsError(
            f"{place}: num_classes is {classes} and clusters {clusters}, the generator's num_classes "
            f"{generator.num_classes}; save the model again."
        )


def write_model(
    folder: str | Path, networks: Mapping[str, nn.Module | None], facts: Mapping[str, Any], dtype: Dtype
) -> Path:
    """Write `networks` ("" at the root, others in subfolders of their names) and `facts` into `folder`, all or nothing.

    Raises:
        ConfigError: no such dtype, or `folder` is a file, the working directory, or holds what is not ours and would be
            replaced.
        WeightsError: `folder` can't be written, or what was written could not be read again. What was there before is
            untouched.
    """
    convert_value(dtype, Dtype, "dtype", Bounds())
    folder, present = expand_user(folder), {name: each for name, each in networks.items() if each is not None}
    _check_free(folder)
    refused = writing(folder, WeightsError, UNTOUCHED, also=(SafetensorError,))
    with refused, new_folder(folder, keep_others=True, drop=_DROPPED) as new:
        for name, network in present.items():
            (new / name).mkdir(exist_ok=True)
            values = write_network(network, new / name, dtype, 0 if name else facts["clusters"]).to_dict()
            if not name:
                library = {"library": "ganzoo", "library_version": own_version()}
                values = {"format": FORMAT, **library, **facts, "generator": values}
            (new / name / CONFIG).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        try:
            SavedModel.open(new, list(present)).check()
            _check_generator(present[""], facts, str(new / CONFIG))
        except GanzooError as error:
            said = str(error).replace(str(new), str(folder))
            hint = "" if dtype == "float32" else f' In dtype="{dtype}" numbers may be too large: try "float32".'
            raise WeightsError(f"{folder} is not saved, since it could not be loaded: {said}{hint}") from error
    return folder


def _check_free(folder: Path) -> None:
    """Raise ConfigError if `folder` is a file, or holds what is not ours and would be replaced."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder to save into")
    foreign = [name for name in (CONFIG, WEIGHTS, *_DROPPED) if os.path.lexists(folder / name)]
    if foreign and not holds_model(folder):
        raise ConfigError(
            f"{folder} holds {', '.join(foreign)} of something else than a model of ganzoo, which would be replaced; "
            f"name a new folder"
        )


def remove_damaged(folder: Path) -> None:
    """Remove from `folder` all that saving a model replaces, if its config is lost or damaged: `_check_free` takes it
    for another program's then. Its card and files of other names stay; so does all if the config is another's."""
    with suppress(GanzooError):
        if read_json(folder / CONFIG):
            return
    for name in (CONFIG, WEIGHTS, *_DROPPED):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def holds_model(folder: Path) -> bool:
    """Whether the config in `folder` is one of ours, even if the model is damaged, so that another may replace it."""
    try:
        root = read_json(folder / CONFIG)
        return root.get("library") == "ganzoo" and {"format", "generator"} <= root.keys()
    except (SourceError, WeightsError):
        return False


def check_facts(root: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What `root` says of a pair beside its networks, as `GAN` takes it; WeightsError, naming `place`, on nonsense."""
    shape, classes = root.get("latent_shape"), root.get("num_classes", 0)
    names, preset = root.get("class_names", []), root.get("preset")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 4 or not all(type(n) is int and n > 0 for n in shape):
        raise WeightsError(f"{place}: latent_shape must be a list of 1 to 4 positive ints, got {quote(shape)}.")
    if math.prod(shape) > LARGEST_LATENT:
        raise WeightsError(f"{place}: latent_shape {quote(shape)} has more than {LARGEST_LATENT} numbers.")
    if type(classes) is not int or not 0 <= classes <= MOST_CLASSES:
        raise WeightsError(f"{place}: num_classes must be an int from 0 to {MOST_CLASSES}, got {quote(classes)}.")
    try:
        clusters = check_clusters(root.get("clusters", 0))
    except ConfigError as error:
        raise WeightsError(f"{place}: {error}.") from error
    if not isinstance(names, list) or len(names) > MOST_CLASSES or not all(map(_is_name, names)):
        raise WeightsError(
            f"{place}: class_names must be a list of up to {MOST_CLASSES} short texts, got {quote(names)}."
        )
    if names and len(names) != classes:
        warnings.warn(f"{place}: class_names has {len(names)} names for {classes} classes; none is used", stacklevel=2)
        names = []
    if preset is not None and not _is_name(preset):
        raise WeightsError(f"{place}: preset must be a short text or null, got {quote(preset)}.")
    return {"latent_shape": shape, "num_classes": classes, "clusters": clusters, "class_names": names, "preset": preset}


def _is_name(value: Any) -> bool:
    """Whether `value` can be shown to a person: short text without line ends or codes for the terminal."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
