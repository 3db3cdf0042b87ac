"""What the two networks of the DCGAN pair share: blocks by name, classes, what ends a row of stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from ganzoo.blocks import (
    BLOCKS,
    INITIALISATIONS,
    ImageBlock,
    block_scale,
    check_activation_name,
    check_norm_name,
    make_norm,
)
from ganzoo.config import Config, option
from ganzoo.errors import BlockError, ConfigError, quote

LARGEST_IMAGE = 1024
WIDEST = 512  # channels of a stage that is added to reach a larger image
MOST_NUMBERS = 2**26  # between two stages, for one image: 64 channels of 1024x1024
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


def each_output(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each of `stages` gives, the first for `x`, each later one for what the one before gave."""
    outputs = []
    for stage in stages:
        x = stage(x)
        outputs.append(x)
    return outputs


def scale_of(field: str, name: str, in_channels: int, out_channels: int) -> float:
    """Output size over input size of the block that `field` of a config names."""
    try:
        return block_scale(BLOCKS.make(name), in_channels, out_channels)
    except (BlockError, ConfigError) as error:
        raise type(error)(f"{field} {quote(name)}: {error}") from error


def check_widths(widths: tuple[int, ...], least: int = 1) -> None:
    """Raise ConfigError unless `widths` has `least` to 12 items."""
    if not least <= len(widths) <= 12:
        raise ConfigError(f"widths must have {least} to 12 items, got {len(widths)}")


def from_the_image(network: Any, other: nn.Module, parts: tuple[str, ...] = ("stages",)) -> dict[str, Tensor]:
    """The weights of `other`, under the names that they have in `network`: if it is of the same class, stages are
    counted from the image, so that a larger one keeps the stages that draw its details.

    Args:
        parts: lists of modules whose numbers move as the stages do.
    """
    by = len(network.stages) - len(other.stages) if isinstance(other, type(network)) else 0

    def name(key: str) -> str:
        for part in parts:
            if key.startswith(f"{part}."):
                index, _, inner = key.removeprefix(f"{part}.").partition(".")
                return f"{part}.{int(index) + by}.{inner}"
        return key

    return {name(key): value for key, value in other.state_dict().items()}


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(Config):
    """A network whose stages, one for each of `widths`, have `start_size` pixels a side, then each twice as many."""

    start_size: int
    widths: tuple[int, ...]
    image_channels: int = option(3, "channels of an image", low=1, high=4)

    def check_stages(self, inner: int) -> None:
        """Raise ConfigError unless there are 1 to 12 stages, none of them too large with `inner` times its channels."""
        check_widths(self.widths)
        if self.image_size > LARGEST_IMAGE:
            raise ConfigError(f"widths make images of {self.image_size} pixels; {LARGEST_IMAGE} is the most")
        sizes = [float(self.start_size * 2**stage) for stage in range(len(self.widths))]
        check_memory(tuple(inner * width for width in self.widths), sizes)

    @property
    def image_size(self) -> int:
        """Pixels a side of an image."""
        return int(self.start_size * 2 ** (len(self.widths) - 1))


def check_memory(channels: tuple[int, ...], sizes: list[float]) -> None:
    """Raise ConfigError if a stage would hold too many numbers: a small file may ask for a network that does."""
    for width, size in zip(channels, sizes):
        if width * size**2 > MOST_NUMBERS:
            raise ConfigError(
                f"widths ask for {width} channels of {size:g} pixels a side, {int(width * size**2):,} numbers for each "
                f"image; {MOST_NUMBERS:,} is the most: give lower or fewer widths"
            )


def final_norm(stages: nn.ModuleList, channels: int, norm: str, activation: partial[nn.Module]) -> nn.Module:
    """What stands between the last stage and the head: norm and activation if the last stage lacks its own."""
    if not len(stages) or not isinstance(stages[-1], ImageBlock) or stages[-1].output_activated:
        return nn.Identity()
    return nn.Sequential(make_norm(norm, channels), activation())


def check_image_size(image_size: int) -> None:
    """Raise ConfigError unless `image_size` is a size that a network of this family may have."""
    if type(image_size) is not int or not 1 <= image_size <= LARGEST_IMAGE:  # as configs have it, which are JSON
        raise ConfigError(f"image_size must be an int from 1 to {LARGEST_IMAGE}, got {quote(image_size)}")


def halved(size: int, least: int) -> tuple[int, int]:
    """What is left of `size` when it has been halved as often as it can be, down to `least`; and how often."""
    times = 0
    while size % 2 == 0 and size >= 2 * least:
        size, times = size // 2, times + 1
    return size, times


def has_start(size: int, least: int) -> bool:
    """Whether a generator that starts near `least` pixels can double its way to `size`."""
    start, times = halved(size, least)
    return times > 0 and start <= 4 * least


def stretch(widths: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`widths`, falling, with `count` items: doubled (to WIDEST at most) or dropped at the wide end."""
    while len(widths) < count:
        widths = (max(widths[0], min(WIDEST, widths[0] * 2)), *widths)
    return widths[len(widths) - count :]
