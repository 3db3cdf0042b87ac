"""`ganzoo data`: prepare a data set, say what is in it, draw its first images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ganzoo.cli.options import JSON, argument, flag, given, output_path, print_json, print_wrapped
from ganzoo.errors import SeveralSizesError, shown

if TYPE_CHECKING:
    from ganzoo.data import ImageData

of_images = partial(flag, group="Images")
BROKEN = of_images("What to do with a file that can't be read: stop or skip.  [default: stop]")
GROUND = of_images("Background colour of transparent parts and padding.  [default: white]")
FIT = of_images("crop, pad or squash pictures that are not square.  [default: crop]")
DRAWN = 64  # pixels a side at which a set of several sizes is shown
ODD = {"duplicates": "{} equal an earlier one", "skipped": "{} can't be read"}  # shown if there are any


def data(
    source: Annotated[str, argument("A name (see ganzoo list sources), a folder, a zip, hf:...", "SOURCES")],
    size: Annotated[int | None, flag("Resize to this many pixels a side.  [default: the images' own size]")] = None,
    channels: Annotated[int | None, flag("1 grey, 3 colour, 4 with transparency.")] = None,
    split: Annotated[str, flag("train or test, if the set has both.")] = "train",
    broken: Annotated[str | None, BROKEN] = None,
    ground: Annotated[str | None, GROUND] = None,
    fit: Annotated[str | None, FIT] = None,
    output: Annotated[
        Path | None, flag("Where the first 20 images are drawn.  [default: data.png]", "--output", "-o")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Prepare a data set, say what is in it, and draw its first 20 images."""
    import torch

    from ganzoo import images

    output = output_path(output, "data.png")
    reading = {"image_channels": channels, "split": split, **given(broken=broken, ground=ground, fit=fit)}
    opened, facts = described(source, size, **reading)
    first = opened.batch(torch.arange(min(20, len(opened))))
    images.save(images.grid(first, columns=5), output)
    facts["picture"] = str(output)
    if as_json:
        return print_json(facts)
    for name, value in facts.items():
        if text := _in_words(name, value):
            line = f"{name.replace('_', ' '):14}{text if text.isprintable() else shown(text, 300)}"
            print_wrapped(line, " " * 14)


def described(source: str, size: int | None = None, **reading: Any) -> tuple[ImageData, dict[str, Any]]:
    """A data set and what is in it; one of several sizes is read at `DRAWN`, and a remark says so."""
    from ganzoo.data import describe, open_data

    try:
        opened = open_data(source, image_size=size, progress=True, **reading)
        return opened, describe(opened)
    except SeveralSizesError as error:
        opened = open_data(source, image_size=DRAWN, progress=True, **reading)
        facts = describe(opened)
        return opened, {**facts, "remark": f"{error} Here they are read at {facts['size']}."}


def _in_words(name: str, value: Any) -> str:
    """A fact for a person; empty if there is nothing to tell."""
    if isinstance(value, dict):
        return ", ".join(f"{shown(key)} {count:,}" for key, count in value.items())
    if isinstance(value, bool):
        return "yes, and these are its first images" if value else ""
    if isinstance(value, int):
        return ODD.get(name, "{}").format(f"{value:,}") if value or name not in ODD else ""
    return str(value)
