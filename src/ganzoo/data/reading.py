"""How pictures become the images of one set: chosen once, handed on as one object from `open_data` to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from PIL import ImageColor

from ganzoo.config import Config, option
from ganzoo.errors import ConfigError, quote

WHITE = "white"
SKIP = 'leave out what can\'t be read: --broken skip, in Python broken="skip"'  # what a message advises


@dataclass(frozen=True, kw_only=True)
class Reading(Config):
    """How the pictures of a set are read; `ganzoo.data.open_data` says what each field means."""

    image_size: int | None = option(None, "pixels a side; none: the pictures' own", low=1, high=4096)
    image_channels: int | None = option(None, "1 grey, 3 colour, 2 and 4 with transparency", low=1, high=4)
    fit: Literal["crop", "pad", "squash"] = option("crop", "how a picture that is not square becomes so")
    ground: str = option(WHITE, "colour that transparency is laid on, and that is padded with")
    split: Literal["train", "test"] = option("train", "part of a set that has both")
    broken: Literal["stop", "skip"] = option("stop", "at a picture that can't be read")
    progress: bool = option(False, "show a bar")

    def check(self) -> None:
        """Raise ConfigError unless `ground` is a colour."""
        try:
            ImageColor.getrgb(self.ground)
        except ValueError as error:
            raise ConfigError(
                f'ground must be a colour such as white, black or "#808080", got {quote(self.ground)}'
            ) from error

    @property
    def key(self) -> list[Any]:
        """What the pixels depend on, for the cache."""
        return [self.image_size, self.image_channels, self.fit, self.ground]
