"""A stranger's table of tensors as layers in a row: convolutions, linear layers and norms, in the order of the data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganzoo.errors import WeightsError, shown

# torch's older spectral norm has other names for its parts
_SPECTRAL = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
_OWN = rf"weight|bias|running_mean|running_var|num_batches_tracked|{'|'.join(_SPECTRAL)}"
_NAME = re.compile(rf"(.+?)\.({_OWN}|parametrizations\.weight\.(?:original|0\._[uv]))")
_MOST_ROOTS = 4  # first words of names, whose order is tried


@dataclass(frozen=True)
class Layer:
    """A layer that has weights.

    Args:
        name: its place in the network, as "main.3".
        tensors: its parts, by the names that torch's own module has for them.
        between: layers without weights that stand before it, which the numbers of a Sequential tell; None: unknown.
    """

    name: str
    tensors: Mapping[str, Tensor]
    between: int | None = None

    @property
    def spectral(self) -> bool:
        """Whether it is under spectral norm."""
        return "parametrizations.weight.original" in self.tensors

    @property
    def weight(self) -> Tensor:
        """Its weight; of a layer under spectral norm the one that is normalised."""
        return self.tensors["parametrizations.weight.original" if self.spectral else "weight"]

    @property
    def kind(self) -> Literal["convolution", "linear layer", "norm", "other"]:
        """What its weight's shape says that it is."""
        dimensions = self.weight.dim() if self.spectral or "weight" in self.tensors else 0
        if "running_mean" in self.tensors or dimensions == 1:
            return "norm"
        return "convolution" if dimensions == 4 else "linear layer" if dimensions == 2 else "other"

    @property
    def channels(self) -> int:
        """Of a batch norm; WeightsError of a norm without statistics."""
        if "running_mean" not in self.tensors:
            raise self.refuse("an instance, group or layer norm, which the file doesn't tell apart")
        if self.tensors["running_mean"].dim() != 1:
            raise self.refuse("its running_mean is no row of numbers")
        return len(self.tensors["running_mean"])

    def fill(self, module: nn.Module) -> nn.Module:
        """`module`, one of torch's own, with this layer's tensors; WeightsError if they do not fit."""
        if self.spectral:
            parametrizations.spectral_norm(module)
        try:
            module.load_state_dict(dict(self.tensors))
        except RuntimeError as error:
            raise self.refuse(str(error).splitlines()[-1].strip(" \t.")) from error
        return module

    def convolution(
        self, kind: type[nn.Conv2d | nn.ConvTranspose2d] = nn.Conv2d, stride: int = 1, padding: int = 0
    ) -> nn.Module:
        """Torch's own convolution with this layer's weights; WeightsError if its kernel is not square."""
        if self.weight.dim() != 4 or self.weight.shape[2] != self.weight.shape[3]:  # else a long one takes its square
            raise self.refuse("its kernel is not square")
        outputs, inputs = self.weight.shape[:2] if kind is nn.Conv2d else (self.weight.shape[1], self.weight.shape[0])
        return self.fill(kind(inputs, outputs, self.weight.shape[2], stride, padding, bias="bias" in self.tensors))

    def reshaped(self, *shape: int) -> Layer:
        """This layer with its weight in another shape."""
        name = next(each for each in self.tensors if each.endswith(("weight", "original")))
        return replace(self, tensors={**self.tensors, name: self.tensors[name].reshape(shape)})

    def batch_norm(self) -> nn.Module:
        """Torch's own batch norm with this layer's statistics, scale and shift."""
        return self.fill(nn.BatchNorm2d(self.channels, affine="weight" in self.tensors))

    def refuse(self, why: str) -> WeightsError:
        """The error that says why this layer can't be expressed."""
        shape = f" {tuple(self.weight.shape)}" if self.kind in ("convolution", "linear layer") else ""
        return WeightsError(f"{shown(self.name)} does not fit ({self.kind}{shape}): {why}.")


def rows(table: Mapping[str, Tensor]) -> Iterator[list[Layer]]:
    """The layers of `table` in each order that they may stand in: as in the file, which `torch.save` writes in the
    network's order; by the numbers in their names; then with other parts first.

    If the file is sorted, as safetensors is, its numbers are taken as numbers: 2 stands before 10.

    Raises:
        WeightsError: a tensor is no part of a convolution, a linear layer or a norm.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in table.items():
        found = _NAME.fullmatch(name)
        number = tensor.is_floating_point() or (found and found[2] == "num_batches_tracked")
        if found is None or not number or not tensor.numel():
            raise WeightsError(f"{shown(name)} is not a weight of a convolution, a linear layer or a norm.")
        part = f"parametrizations.weight.{_SPECTRAL[found[2]]}" if found[2] in _SPECTRAL else found[2]
        layers.setdefault(found[1], {})[part] = tensor
    natural = sorted(layers, key=lambda name: _order(Layer(name, layers[name])))
    roots = list(dict.fromkeys(name.partition(".")[0] for name in layers))
    floats = [name for name, tensor in table.items() if tensor.is_floating_point()]  # safetensors has integers first
    given = sorted(layers, key=_padded) if floats == sorted(floats) else list(layers)
    orders = [given, list(layers), natural]
    if 1 < len(roots) <= _MOST_ROOTS:
        orders += [sorted(natural, key=lambda name: each.index(name.partition(".")[0])) for each in permutations(roots)]
    for names in dict.fromkeys(map(tuple, orders)):
        before = ("", *names)
        yield [Layer(name, layers[name], _between(last, name)) for last, name in zip(before, names)]


def _padded(name: str) -> str:
    return re.sub(r"\d+", lambda number: number[0].zfill(9), name)


def _order(layer: Layer) -> list[tuple[bool, int, bool, str]]:
    """To sort by: numbers as numbers; of layers of one place and number, as "conv1" and "bn1", the norm last."""
    *places, last = layer.name.split(".")
    ends = [re.search(r"\d{1,9}$", word) for word in (*places, last)]
    ranks = [False] * len(places) + [layer.kind == "norm" and not last.isdigit()]
    return [
        (not word.isdigit(), int(end[0]) if end else 0, rank, word)
        for word, end, rank in zip((*places, last), ends, ranks)
    ]


def _between(last: str, name: str) -> int | None:
    """How many layers stand between two of one Sequential; None if their names don't say it."""
    (place, _, number), (last_place, _, last_number) = name.rpartition("."), last.rpartition(".")
    if place != last_place or not (number.isdecimal() and last_number.isdecimal()):
        return None
    return max(0, int(number) - int(last_number) - 1)
