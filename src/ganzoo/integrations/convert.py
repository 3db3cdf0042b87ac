"""Weights that people already have, as a saved model: DCGANs and SNGANs of other libraries, and any row of layers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganzoo.errors import ConfigError, UnknownNameError, WeightsError, quote, shown
from ganzoo.files import expand_user
from ganzoo.gan import GAN
from ganzoo.integrations.layers import rows
from ganzoo.integrations.mimicry import is_mimicry, read_mimicry
from ganzoo.integrations.plain import IN_A_ROW, Assumptions, Reading, layout_of, read_row
from ganzoo.latents import sample_latents
from ganzoo.models import Generator
from ganzoo.models.contract import plain_name
from ganzoo.models.state_file import read_tables
from ganzoo.seeds import seeded

CLOSE = 1e-6  # to the plain layers, of images, and of logits relative to the largest
Table = Mapping[str, Tensor]


@dataclass(frozen=True)
class Converted:
    """What `convert` did: the folder, the GAN that it holds, and what a person should know, a line each."""

    folder: Path
    gan: GAN
    remarks: list[str]


def convert(
    file: str | Path,
    folder: str | Path,
    *,
    key: str | None = None,
    discriminator: str | Path | None = None,
    latent_scale: float = 1.0,
    output_range: str = "-1,1",
    activation: str | None = None,
    discriminator_activation: str | None = None,
) -> Converted:
    """Turn the generator, the discriminator or both in `file` into a saved model.

    What comes out computes what a plain `nn.Sequential` of the file's layers does, which is checked in float64: images
    to 1e-6, logits to 1e-6 of the largest.

    Args:
        file: safetensors, or what `torch.save` wrote (.pt, .pth, .tar), opened with `weights_only=True`.
        folder: of the saved model; it must not exist.
        key: the network to take, if the file holds several: its state dict's key, or the words that all names of
            its weights begin with.
        discriminator: a second file, which holds the discriminator.
        latent_scale, output_range, activation, discriminator_activation: see `Assumptions`.

    Raises:
        WeightsError: a file can't be read, or its first layer that no network of ours expresses.
        ConfigError: `folder` exists, or an argument is wrong.
    """
    target = expand_user(folder)
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} exists; name a new folder")
    assumptions = Assumptions(latent_scale, output_range, activation, discriminator_activation)
    found, remarks = _networks(expand_user(file), key, assumptions)
    if discriminator is not None:
        others, more = _networks(expand_user(discriminator), None, assumptions)
        if set(others) != {"discriminator"} or "discriminator" in found:
            raise WeightsError(f"{discriminator} must hold the discriminator, and {file} the generator alone.")
        found, remarks = found | others, remarks + more
    if output_range == "0,1" and "discriminator" in found:
        raise ConfigError(
            "--output-range 0,1: the discriminator takes such images too, and its padding with zeros has no like for "
            "images in [-1, 1]; convert the generator alone, with --key"
        )
    for kind, reading in found.items():
        remarks.append(f"checked: the {kind} differs from its plain layers by {_difference(reading, latent_scale):.1g}")
    one = next(iter(found.values())).network
    if "generator" not in found:
        remarks.append("generator: fresh, since the file holds none: train it before you sample")
    with seeded(0):
        generator = found["generator"].network if "generator" in found else one.counterpart()
    gan = GAN(generator, found["discriminator"].network if "discriminator" in found else None)
    return Converted(gan.save_pretrained(target), gan, remarks)


def _networks(path: Path, key: str | None, assumptions: Assumptions) -> tuple[dict[str, Reading], list[str]]:
    """The generator, the discriminator or both in the file `path`, and a line for each thing to know of them."""
    found: dict[str, tuple[str, Reading]] = {}
    failures: dict[str, WeightsError] = {}
    for name, table in _tables(path, key).items():
        try:
            reading = _read(table, assumptions)
        except WeightsError as error:
            failures[name] = error
            continue
        kind = "generator" if isinstance(reading.network, Generator) else "discriminator"
        if kind in found:
            names = " and ".join(quote(each) for each in (found[kind][0], name))
            raise WeightsError(f"{path} holds more than one {kind}: {names}; choose one with --key.")
        found[kind] = (name, reading)
    if not found:
        name, first = next(iter(failures.items()))
        raise WeightsError(f"{path}: {f'{shown(name)}: ' if name else ''}{first}") from first
    remarks = [f"left out: {shown(name)} ({error})" for name, error in failures.items()]
    for kind, (name, reading) in found.items():
        network = reading.network
        size = f"{network.image_channels}x{network.image_size}x{network.image_size}"
        of = f" {quote(name)}" if name else ""
        remarks.append(f"recognised: {kind}{of}: {reading.layout}, images {size}")
        remarks += [f"assumed: {kind}: {each}" for each in reading.assumed]
    return {kind: reading for kind, (_, reading) in found.items()}, remarks


def _tables(path: Path, key: str | None) -> dict[str, dict[str, Tensor]]:
    """The tables of `path` that may be networks, by name; without the names of torch.compile's and DDP's wrappers.

    With `key`, the weights whose names, with their table's before them, begin with it.
    A table of several networks, as Lightning writes, falls into them by the first words of its names.
    """
    tables = read_tables(path)
    pairs = [
        (f"{place}.{name}" if place else name, value)
        for place, table in tables.items()
        for name, value in table.items()
    ]
    _check_finite(path, pairs)
    if key is None:
        return {
            name: part for place, table in tables.items() for name, part in _parts(place, _unwrapped(table)).items()
        }
    chosen = {name.removeprefix(f"{key}."): value for name, value in pairs if name.startswith(f"{key}.")}
    if not chosen:
        known = sorted({place or name.partition(".")[0] for place, table in tables.items() for name in table})
        raise WeightsError(f"{path} holds nothing by --key {quote(key)}, but {', '.join(map(shown, known[:20]))}.")
    return {key: _unwrapped(chosen)}


def _check_finite(path: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    for name, value in tensors:
        if value.is_floating_point() and not value.isfinite().all():
            raise WeightsError(f"{path}: {shown(name)} holds NaN or infinity; take weights from before that happened.")


def _parts(place: str, table: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The networks in `table`, by their names behind `place`: by the first words of its names, or all in one."""
    words: dict[str, dict[str, Tensor]] = {}
    for name, value in table.items():
        word, _, rest = name.partition(".")
        words.setdefault(word, {})[rest] = value
    networks = [word for word, part in words.items() if sum(value.dim() > 1 for value in part.values()) > 1]
    if len(networks) < 2 or is_mimicry(table):
        return {place: table}
    return {f"{place}.{word}" if place else word: _unwrapped(part) for word, part in words.items()}


def _unwrapped(table: Table) -> dict[str, Tensor]:
    return {plain_name(name): value.float() if value.is_floating_point() else value for name, value in table.items()}


def _read(table: Table, assumptions: Assumptions) -> Reading:
    """The network of `table`, in the first order of its layers that makes sense.

    A first word that all names share, as a wrapper's, goes if no layout is known by it.
    """
    while (
        len(row := next(rows(table))) > 1
        and layout_of(row)[0] == IN_A_ROW
        and len({name.partition(".")[0] for name in table}) == 1
    ):
        table = {name.partition(".")[2]: tensor for name, tensor in table.items()}
    first: WeightsError | None = None
    for row in rows(table):
        try:
            return (read_mimicry if is_mimicry(table) else read_row)(row, assumptions)
        except UnknownNameError:  # of an activation that was given
            raise
        except (WeightsError, ConfigError) as error:  # a config refuses sizes beyond its bounds
            first = first or WeightsError(str(error))
    raise first or WeightsError("it holds no layers.")


@torch.no_grad()
def _difference(reading: Reading, latent_scale: float) -> float:
    """How far the network is from its plain layers, in float64; WeightsError if that is more than `CLOSE`."""
    network, plain = copy.deepcopy(reading.network).double().eval(), copy.deepcopy(reading.plain).double().eval()
    if isinstance(network, Generator):
        inputs = sample_latents(4, network.latent_size, 0)[0].double()
        theirs = plain(latent_scale * inputs[:, :, None, None])
    else:
        channels, size = network.image_channels, network.image_size
        inputs = sample_latents(4, channels * size**2, 0)[0].double().tanh().view(4, channels, size, size)
        theirs = plain(inputs)
    ours = network(inputs)
    difference = float((ours - theirs).abs().max()) / max(1.0, float(theirs.abs().max()))
    if ours.shape != theirs.shape or not difference <= CLOSE:
        raise WeightsError(
            f"the converted network differs from its plain layers by {difference:.2g}; please report it."
        )
    return difference
