"""What families whose stages double or halve an image share: sizes, widths, limits, weights of another size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, quote

LARGEST_IMAGE = 1024
WIDEST = 512  # channels of a stage that is added to reach a larger image
MOST_NUMBERS = 2**26  # between two stages, for one image: 64 channels of 1024x1024


def each_output(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each of `stages` gives, the first for `x`, each later one for what the one before gave."""
    outputs = []
    for stage in stages:
        x = stage(x)
        outputs.append(x)
    return outputs


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


def stretch(widths: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`widths`, falling, with `count` items: doubled (to WIDEST at most) or dropped at the wide end."""
    while len(widths) < count:
        widths = (max(widths[0], min(WIDEST, widths[0] * 2)), *widths)
    return widths[len(widths) - count :]
