"""`ganzoo sample`: pictures from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.hub_commands import ENDPOINT
from ganzoo.errors import ConfigError

LARGEST_GRID = 4096  # images; more go to a folder, one batch in memory at a time


def sample(
    source: Annotated[
        str, typer.Argument(help="A bundled name, a saved model, a run's folder, or a Hub id owner/name.")
    ],
    count: Annotated[int, typer.Option(help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(help="Image i follows from the seed and i alone.")] = 0,
    output: Annotated[Path | None, typer.Option(help="A picture of the grid.  [default: grid.png]")] = None,
    folder: Annotated[Path | None, typer.Option(help="A folder for single pictures, in place of a grid.")] = None,
    columns: Annotated[int | None, typer.Option(help="Of the grid.")] = None,
    label: Annotated[str | None, typer.Option(help="Class of all images, by number or name.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images made at once.")] = 64,
    fast: Annotated[bool, typer.Option("--fast", help="Compute in bfloat16 where the machine is quick at it.")] = False,
    truncation: Annotated[
        float | None,
        typer.Option(help="Draw latents beyond this anew; 2 is mild, under 1 images fade."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Draw images: a grid, or a folder of single pictures."""
    from ganzoo import images
    from ganzoo.pretrained import from_pretrained

    if output is not None and folder is not None:
        raise ConfigError("--output and --folder are both given; choose a grid or single pictures")
    if folder is None and count > LARGEST_GRID:
        raise ConfigError(f"--count {count} is too many for one grid ({LARGEST_GRID}); write them with --folder DIR")
    gan = from_pretrained(source, revision=revision, endpoint=endpoint, device=device)
    latents = None
    if truncation is not None:
        from ganzoo.latents import sample_latents, truncate

        latents = truncate(sample_latents(count, gan.latent_size, seed)[0], truncation, seed)
    batches = gan.batches(
        count,
        seed,
        latents=latents,
        labels=None if label is None else gan.label(label),
        batch_size=batch_size,
        precision="fast" if fast else "float32",
    )
    if folder is not None:
        written = images.save_each(batches, folder)
        print(f"{written} images in {folder}")
        return
    import torch

    target = output or Path("grid.png")
    images.save(images.grid(torch.cat(list(batches)), columns=columns), target)
    print(f"{count} images in {target}")
