"""`ganzoo data`: prepare a data set, say what is in it, draw its first images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def data(
    source: Annotated[str, typer.Argument(help="fashion-mnist, pokemon, fashion-mnist-mini, a folder, a zip, hf:...")],
    size: Annotated[int | None, typer.Option(help="Pixels a side to resize to; else the images' own.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 grey, 3 colour, 4 with transparency.")] = None,
    broken: Annotated[str, typer.Option(help="stop or skip at an image that can't be read.")] = "stop",
    output: Annotated[Path, typer.Option(help="Where the first 20 images are drawn.")] = Path("data.png"),
) -> None:
    """Prepare a data set, say what is in it, and draw its first 20 images."""
    import torch

    from ganzoo import images
    from ganzoo.data import describe, open_data

    opened = open_data(source, image_size=size, image_channels=channels, broken=broken, progress=True)
    for name, value in describe(opened).items():
        shown = ", ".join(f"{key} {count:,}" for key, count in value.items()) if isinstance(value, dict) else value
        print(f"{name:14}{shown}")
    first = opened.batch(torch.arange(min(20, len(opened))))
    images.save(images.grid(first, columns=5), output)
    print(f"{'first 20':14}{output}")
