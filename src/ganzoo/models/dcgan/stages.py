"""What the two networks of the DCGAN pair share: blocks by name, what ends a row of stages."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from ganzoo.blocks import (
    BLOCKS,
    INITIALISATIONS,
    block_scale,
    check_activation_name,
    check_norm_name,
    make_norm,
)
from ganzoo.errors import BlockError, ConfigError, quote
from ganzoo.models.stages import halved

BlockNames = str | tuple[str, ...]


def check_names(
    block: BlockNames, stages: int, norm: str, activation: str, initialisation: str, last_blocks: tuple[str, ...] = ()
) -> None:
    """Raise if a config names what is not there, an option is wrong, or there is not one block a stage."""
    blocks = (block,) if isinstance(block, str) else block
    if not isinstance(block, str) and len(blocks) != stages:
        raise ConfigError(f"block must be one name or one for each of the {stages} stages, got {len(blocks)} names")
    for field, read, names in (
        ("block", BLOCKS.read, blocks),
        ("last_blocks", BLOCKS.read, last_blocks),
        ("norm", check_norm_name, (norm,)),
        ("activation", check_activation_name, (activation,)),
        ("initialisation", INITIALISATIONS.read, (initialisation,)),
    ):
        for name in names:
            try:
                read(name)
            except ConfigError as error:
                raise ConfigError(f"{field}: {error}") from None


def block_names(block: BlockNames, stages: int) -> tuple[str, ...]:
    """One name for each stage."""
    return (block,) * stages if isinstance(block, str) else block


def stage_sizes(
    size: float, names: tuple[str, ...], channels: tuple[int, ...], way: Literal["up", "down"]
) -> list[float]:
    """Pixels a side before the first stage, `size`, and after each; `channels` are those between, both ends too.

    Raises:
        ConfigError: a block halves the image on the `way` up, a generator's, or doubles it on the way down.
    """
    sizes = [float(size)]
    wrong, says = (0.5, "halves") if way == "up" else (2, "doubles")
    for name, before, after in zip(names, channels, channels[1:]):
        scale = scale_of("block", name, before, after)
        if scale == wrong:
            fit = ", ".join(each for each in BLOCKS if each.endswith(f"-{way}"))
            raise ConfigError(f"block {quote(name)} {says} the image, the wrong way here; blocks that fit: {fit}")
        sizes.append(sizes[-1] * scale)
    return sizes


def scale_of(field: str, name: str, in_channels: int, out_channels: int) -> float:
    """Output size over input size of the block that `field` of a config names."""
    try:
        return block_scale(BLOCKS.make(name), in_channels, out_channels)
    except (BlockError, ConfigError) as error:
        raise type(error)(f"{field} {quote(name)}: {error}") from error


def final_norm(stages: nn.ModuleList, channels: int, norm: str, activation: partial[nn.Module]) -> nn.Module:
    """What stands between the last stage and the head: norm and activation if the last stage lacks its own."""
    if not len(stages) or getattr(stages[-1], "output_activated", True):
        return nn.Identity()
    return nn.Sequential(make_norm(norm, channels), activation())


def has_start(size: int, least: int) -> bool:
    """Whether a generator that starts near `least` pixels can double its way to `size`."""
    start, times = halved(size, least)
    return times > 0 and start <= 4 * least
