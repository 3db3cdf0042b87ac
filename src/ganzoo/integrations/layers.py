"""A stranger's table of tensors as layers in a row: convolutions, linear layers and norms, in the order of the data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from torch import Tensor

from ganzoo.errors import WeightsError, shown

# the parts of a layer: torch's own names, those of its two spectral norms, and mimicry's
_PARTS = {
    "weight": "weight",
    "bias": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
    "num_batches_tracked": "num_batches_tracked",
    "weight_orig": "original",
    "weight_u": "u",
    "weight_v": "v",
    "parametrizations.weight.original": "original",
    "parametrizations.weight.0._u": "u",
    "parametrizations.weight.0._v": "v",
    "sn_u": "sn_u",
    "sn_sigma": "sn_sigma",
}
_NAME = re.compile(rf"(.+)\.({'|'.join(map(re.escape, sorted(_PARTS, key=len, reverse=True)))})")
_MOST_ROOTS = 4  # first words of names, whose order is tried


@dataclass(frozen=True)
class Layer:
    """A layer that has weights.

    Args:
        name: its place in the network, as "main.3".
        tensors: its parts, as "weight" and "running_mean".
        between: layers without weights that stand before it, which the numbers of a Sequential tell; None: unknown.
    """

    name: str
    tensors: Mapping[str, Tensor]
    between: int | None = None

    @property
    def weight(self) -> Tensor | None:
        """Its weight; of a layer under spectral norm the one that is normalised."""
        return self.tensors.get("original", self.tensors.get("weight"))

    @property
    def bias(self) -> Tensor | None:
        return self.tensors.get("bias")

    @property
    def kind(self) -> Literal["convolution", "linear layer", "norm", "other"]:
        """What its weight's shape says that it is."""
        if "running_mean" in self.tensors or (self.weight is not None and self.weight.dim() == 1):
            return "norm"
        dimensions = 0 if self.weight is None else self.weight.dim()
        return "convolution" if dimensions == 4 else "linear layer" if dimensions == 2 else "other"

    def refuse(self, why: str) -> WeightsError:
        """The error that says why this layer can't be expressed."""
        shape = "" if self.weight is None else f" {tuple(self.weight.shape)}"
        return WeightsError(f"{shown(self.name)} does not fit ({self.kind}{shape}): {why}.")


def rows(table: Mapping[str, Tensor]) -> Iterator[list[Layer]]:
    """The layers of `table` in each order that they may stand in: as in the file, which `torch.save` writes in the
    network's order; by the numbers in their names, since safetensors sorts them; then with other parts first.

    Raises:
        WeightsError: a tensor is no part of a convolution, a linear layer or a norm.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in table.items():
        found = _NAME.fullmatch(name)
        if found is None or not (tensor.is_floating_point() or found[2] == "num_batches_tracked"):
            raise WeightsError(f"{shown(name)} is not a weight of a convolution, a linear layer or a norm.")
        layers.setdefault(found[1], {})[_PARTS[found[2]]] = tensor
    natural = sorted(layers, key=lambda name: _order(Layer(name, layers[name])))
    roots = list(dict.fromkeys(name.partition(".")[0] for name in layers))
    orders = [list(layers), natural]
    if 1 < len(roots) <= _MOST_ROOTS:
        orders += [sorted(natural, key=lambda name: each.index(name.partition(".")[0])) for each in permutations(roots)]
    for names in dict.fromkeys(map(tuple, orders)):
        before = ("", *names)
        yield [Layer(name, layers[name], _between(last, name)) for last, name in zip(before, names)]


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
