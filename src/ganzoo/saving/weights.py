"""A network's weights as a safetensors file: its header is read and checked once, before any weight.

The header holds the same description of the network as `config.json`, under the one metadata key `ganzoo` (several keys
are written in random order, and equal models would be different files).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ganzoo.errors import ConfigError, GanzooError, SourceError, WeightsError, quote
from ganzoo.files import default_mode
from ganzoo.latents import check_clusters
from ganzoo.models.contract import build_like_file, check_fits, check_like_file, plain_name
from ganzoo.saving.format import (
    CONFIG,
    LARGEST_OWN,
    WEIGHTS,
    Description,
    check_kind,
    describe,
    file_size,
    parse_json,
    read_description,
)

LARGEST_HEADER = 4_000_000  # bytes of what a weights file says of its tensors, some hundred for each
MOST_TENSORS = 5_000  # of a weights file: its library takes a tenth of a millisecond for each, however small
LARGEST_WEIGHTS = 8_000_000_000  # bytes of a weights file
MOST_OWN = 100_000  # tensors of a checkpoint, if nothing else says how many it should have
KINDS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")  # of numbers in a weights file
Dtype = Literal["float32", "float16", "bfloat16"]
DTYPES: dict[Dtype, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file whose header has been read and checked; no tensor of it is allocated.

    Args:
        shapes: of all tensors, by name.
        description: what the header says of the network; None if it says nothing.
        clusters: of the GAN whose generator this is, so that the file alone samples as its folder does.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    description: Description | None
    clusters: int = 0

    @classmethod
    def open(cls, path: Path, *, own: int = 0) -> WeightsFile:
        """Read the header of `path`.

        Args:
            own: for a checkpoint of the user's run, how many tensors it has at most; they may be of any size.

        Raises:
            SourceError: no such file.
            WeightsError: not a safetensors file, damaged, too large, or its header is not a valid description.
        """
        shapes, text = _read_header(path, own)
        place = f"{path} (header)"
        if not text:
            return cls(path, shapes, None)
        values = parse_json(text, place)
        try:
            clusters = check_clusters(values.pop("clusters", 0))
        except ConfigError as error:
            raise WeightsError(f"{place}: {error}.") from error
        return cls(path, shapes, read_description(values, place), clusters)

    def described(self, description: Description) -> WeightsFile:
        """This file, of which `config.json` says `description`; WeightsError if its header says otherwise."""
        if self.description is not None and self.description.to_dict() != description.to_dict():
            raise WeightsError(
                f"{self.path} was saved with another config than {CONFIG} beside it says; save the model again."
            )
        return replace(self, description=description)

    def check_config(self, network: nn.Module) -> None:
        """Raise WeightsError if the header says that the weights are of a network with another config than `network`,
        which may have the same shapes; a custom module has none. How weights are drawn does not count."""
        theirs, ours = self.description, describe(network)
        if theirs is None or theirs.model is None or ours.model is None:
            return
        old, new = (
            {"model": each.model, **each.to_dict()["config"], "initialisation": None} for each in (theirs, ours)
        )
        differing = [
            f"{name} {quote(old.get(name))} there, {quote(new.get(name))} here"
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name)
        ]
        if differing and str(self.build()) != str(network):  # "leaky_relu", "leaky_relu(slope=0.2)": one network
            raise WeightsError(f"{self.path} holds weights of another network: {'; '.join(differing)}; build that one.")

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, as they are in the file; WeightsError if it is damaged."""
        with _intact(self.path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def weights(self) -> dict[str, Tensor]:
        """All tensors, if a network can compute with them.

        Raises:
            WeightsError: the file is damaged, or holds NaN, infinity or a variance below 0.
        """
        tensors = self.tensors()
        for name, value in tensors.items():
            if not is_finite(value):
                raise WeightsError(
                    f"{self.path}: {quote(name)} holds NaN or infinity; take a model from before that happened."
                )
            if name.endswith("running_var") and value.numel() and value.min() < 0:
                raise WeightsError(
                    f"{self.path}: {quote(name)} holds a variance below 0, which no batch has; save it again."
                )
        return tensors

    def check(self) -> None:
        """Raise what `build` would; nothing is built, and a custom module is no error."""
        if self.description is None or self.description.model is None:
            self.weights()
        else:
            self._fitting(check_like_file(self.description.model, self.description.config, self.shapes, str(self.path)))

    def build(self) -> nn.Module:
        """The network of the description with these weights, in float32, in evaluation mode; all must fit."""
        if self.description is None or self.description.model is None:
            raise WeightsError(
                f"{self.path} holds weights of a module that is not in ganzoo.MODELS; build it yourself and call "
                f"GAN(...).load_weights({str(self.path.parent)!r})."
            )
        network = build_like_file(self.description.model, self.description.config, self.shapes, str(self.path))
        self.load_into(network)
        return network.eval()

    def load_into(self, network: nn.Module) -> None:
        """Load the weights into `network`, whose names and shapes they must have; errors as of `weights`."""
        network.load_state_dict(self._fitting(network.state_dict()))

    def _fitting(self, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights, which must have the names, shapes and kinds of `wanted`, a network's state."""
        tensors = self.weights()
        if not wanted.keys() & tensors.keys():
            tensors = {plain_name(name): value for name, value in tensors.items()}
        check_fits(wanted, {name: tuple(value.shape) for name, value in tensors.items()}, str(self.path))
        for name, value in wanted.items():
            if tensors[name].is_floating_point() != value.is_floating_point():
                raise WeightsError(
                    f"{self.path}: {name} is of type {tensors[name].dtype}, its network needs {value.dtype}."
                )
        return tensors


@contextmanager
def _intact(path: Path) -> Iterator[Any]:
    """The safetensors file `path`, by its library; WeightsError if that finds it damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, GanzooError):
            raise
        damaged = f"{path} is not an intact safetensors file"
        with suppress(OSError), path.open("rb") as content:  # it may be gone by now
            check_kind(content.read(100), damaged)
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise WeightsError(f"{damaged} ({quote(reason)}); get it again.") from error


def _read_header(path: Path, own: int) -> tuple[dict[str, tuple[int, ...]], str]:
    """The shapes of the tensors in `path`, by name, and what its header says of the network; no tensor is read."""
    size, most = file_size(path), own or MOST_TENSORS
    if size > LARGEST_WEIGHTS and not own:
        raise WeightsError(f"{path} has {size:,} bytes; {LARGEST_WEIGHTS:,} is the most for weights.")
    longest = LARGEST_OWN if own > MOST_TENSORS else LARGEST_HEADER
    try:
        with path.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error
    if longest < length < size:
        raise WeightsError(f"{path} has a header of {length:,} bytes; {longest:,} is the most.")
    with _intact(path) as file:
        return _checked_shapes(file, path, most), (file.metadata() or {}).get("ganzoo", "")


def _checked_shapes(file: Any, path: Path, most: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in `file`, by name; WeightsError if there are more than `most`, or one that no weights
    have."""
    names = file.keys()
    if len(names) > most:
        raise WeightsError(f"{path} has {len(names):,} tensors; {most:,} is the most.")
    shapes = {}
    for name in names:
        part = file.get_slice(name)
        if (kind := part.get_dtype()) not in KINDS:
            raise WeightsError(f"{path}: {quote(name)} is of type {quote(kind)}; weights are of {', '.join(KINDS)}.")
        shape = shapes[name] = tuple(part.get_shape())
        if len(shape) > 8 or max(shape, default=0) >= 2**40:
            raise WeightsError(f"{path}: {quote(name)} has shape {quote(shape)}, which no weights have; get it again.")
    return shapes


def write_network(network: nn.Module, folder: Path, dtype: Dtype = "float32", clusters: int = 0) -> Description:
    """Write the weights of `network`, of a GAN with `clusters`, into `folder`, which must exist; return its description
    for `config.json`."""
    description = describe(network)
    state = network.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"{quote(name)} of the state_dict is {quote(value)}; a file of weights holds tensors alone."
            )
    tensors = {
        name: value.detach().to(DTYPES[dtype] if value.is_floating_point() else value.dtype)
        for name, value in state.items()
    }
    values = description.to_dict() | ({"clusters": clusters} if clusters else {})
    header = {"ganzoo": json.dumps(values, sort_keys=True)}
    with default_mode(folder / WEIGHTS) as path:
        save_file(untie(tensors), path, metadata=header)
    return description


def untie(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` on the CPU, contiguous, each in memory of its own: tied weights share it, and safetensors refuses them.

    What is tied is written twice; the network that reads it ties it again.
    """
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


def is_finite(value: Tensor) -> bool:
    """Whether no number of `value` is NaN or infinite, without a copy of it."""
    if not value.is_floating_point() or not value.numel():
        return True
    low, high = value.aminmax()
    return bool(low.isfinite() and high.isfinite())
