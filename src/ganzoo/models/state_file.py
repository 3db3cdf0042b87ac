"""Tables of tensors that others wrote, from safetensors or from `torch.save`, read without running what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ganzoo.errors import WeightsError, first_line, quote

Tables = dict[str, dict[str, Tensor]]


def read_tables(path: Path) -> Tables:
    """The tables of tensors in the file `path`: one by the name "", or those of nested dicts by their dotted keys.

    A file of `torch.save` (.pt, .pth, .tar) is opened with `weights_only=True`, which makes tensors and nothing else;
    all that is no tensor is left out.

    Raises:
        WeightsError: no such file, it can't be read so, or it holds no tensors.
    """
    tables: Tables = {}
    waiting, seen = [("", _read(path))], set()
    while waiting:
        place, value = waiting.pop(0)
        if not isinstance(value, dict) or id(value) in seen:  # a pickle can hold itself
            continue
        seen.add(id(value))
        named = {key: each for key, each in value.items() if isinstance(key, str)}
        if tensors := {key: each for key, each in named.items() if isinstance(each, Tensor)}:
            tables[place] = {key: _plain(tensor, f"{path}: {quote(key)}") for key, tensor in tensors.items()}
        waiting += [(f"{place}.{key}" if place else key, each) for key, each in named.items()]
    if not tables:
        raise WeightsError(f"{path} holds no table of tensors; save network.state_dict() of the network.")
    return tables


def _read(path: Path) -> Any:
    """What the file holds; WeightsError if that can't be told."""
    if not path.is_file():
        raise WeightsError(f"there is no file {path} to take weights from; check the path.")
    try:
        return load_file(path) if path.suffix == ".safetensors" else _load(path)
    except Exception as error:  # torch's reader of plain tensors raises a dozen kinds on other files
        if isinstance(error, (ValueError, OSError, SafetensorError)):
            said = quote(first_line(error))
        else:  # torch's words advise to run what is in the file
            said = "it holds objects other than tensors, or is damaged"
        raise WeightsError(
            f"{path} can't be read as weights ({said}); give .safetensors, or torch.save(network.state_dict(), ...)."
        ) from error


def _load(path: Path) -> Any:
    if not zipfile.is_zipfile(path):  # torch before 1.6 wrote a pickle alone
        return torch.load(path, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed, which torch.save never does")
    # mapped: a tensor that claims to be larger than the file has no memory to read beyond it
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _plain(tensor: Tensor, place: str) -> Tensor:
    """`tensor` if it is one of numbers that stand in the file; a view may claim to be larger than its memory."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise WeightsError(f"{place} is not a plain tensor; save network.state_dict() of the network on the CPU.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(f"{place} claims {tensor.numel():,} numbers, which the file does not hold.")
    return tensor.detach()
