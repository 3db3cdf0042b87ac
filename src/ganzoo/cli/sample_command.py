"""`ganzoo sample`: pictures from a model."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ganzoo.cli.data_command import of_images
from ganzoo.cli.options import DEVICE, ENDPOINT, LABEL, REVISION, SOURCE, flag, output_path
from ganzoo.errors import ConfigError, shell

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.gan import GAN

LABELS, HEAD = "labels.csv", ("file", "label", "name")  # in a folder of samples of several classes
LARGEST_GRID = 4096  # images; more go to a folder, one batch in memory at a time
of_picture, of_folder = partial(flag, group="One picture"), partial(flag, group="A folder of pictures")


def sample(
    source: Annotated[str, SOURCE],
    count: Annotated[int, of_images("How many images.", "--count", "-n")] = 64,
    seed: Annotated[int, of_images("Image i depends only on the seed and i.", "--seed", "-s")] = 0,
    label: Annotated[str | None, of_images(str(LABEL.help))] = None,
    balanced: Annotated[bool, of_images("Draw all classes in turn, equally often.", "--balanced")] = False,
    truncation: Annotated[
        float | None, of_images("Redraw latent numbers beyond this: 2 is mild; below 1, images fade.")
    ] = None,
    at: Annotated[int | None, of_images("Sample a run's checkpoint of this step.")] = None,
    output: Annotated[Path | None, of_picture("Write a grid here.  [default: grid.png]", "--output", "-o")] = None,
    columns: Annotated[int | None, of_picture("Columns of the grid.")] = None,
    scale: Annotated[
        int | None, of_picture("Draw each pixel as SCALE x SCALE.  [default: by size; 1 for one image]")
    ] = None,
    folder: Annotated[Path | None, of_folder("Write single pictures here, instead of a grid.")] = None,
    overwrite: Annotated[bool, of_folder("Replace the samples that are there.", "--overwrite")] = False,
    batch_size: Annotated[int, flag("Images made at once.")] = 64,
    fast: Annotated[bool, flag("Compute in bfloat16 if the device is fast at it.", "--fast")] = False,
    device: Annotated[str, DEVICE] = "cpu",
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Draw images: a grid, or a folder of single pictures.

    `--count 1` writes the image alone, without a frame. A folder of a conditional model gets a file labels.csv.
    """
    from ganzoo import images
    from ganzoo.files import expand_user
    from ganzoo.text import counted, track

    _check(count, label, balanced, truncation)
    _check_target(count, folder, {"--output": output, "--columns": columns, "--scale": scale})
    target = output_path(output, "grid.png") if folder is None else None
    folder = expand_user(folder) if folder is not None else None
    gan = _gan(source, at, device, revision, endpoint)
    latents, labels = _draws(gan, count, seed, label, balanced, truncation)
    precision = "fast" if fast else "float32"
    batches = gan.batches(count, seed, latents, labels, batch_size, precision)  # type: ignore[arg-type]
    shown = track(batches, "sampling", math.ceil(count / batch_size))
    if folder is not None:
        _clear(folder, overwrite)
        written = images.save_each(shown, folder)
        _write_labels(gan, labels, folder)
        print(f"{counted(written, 'image')} in {shell(folder)}")
        return
    import torch

    assert target is not None  # without a folder
    drawn = torch.cat(list(shown))
    if count == 1 and columns is None:
        picture = images.grid(drawn, padding=0, scale=1 if scale is None else scale)
        picture.info["ganzoo"] = "image"  # no sheet of several: `ganzoo invert` and data sets take it
        images.save(picture, target)
    else:
        if columns is None:
            columns = gan.num_classes if balanced and gan.num_classes <= 16 else math.ceil(math.sqrt(count))
        automatic = max(1, min(128 // gan.image_size, 1024 // max(1, columns * (gan.image_size + 2))))
        scale = automatic if scale is None else scale
        images.save(images.grid(drawn, columns=columns, scale=scale), target)
    enlarged = f", each pixel as {scale}x{scale} (--scale)" if scale not in (None, 1) else ""
    print(f"{counted(count, 'image')} in {shell(target)}{enlarged}")


def _check_target(count: int, folder: Path | None, of_a_grid: Mapping[str, object]) -> None:
    """Raise ConfigError unless so many images go into a folder, or into one grid with these options."""
    if folder is None and count > LARGEST_GRID:
        raise ConfigError(f"--count {count} is too many for one grid ({LARGEST_GRID}); write them with --folder DIR")
    name = next((name for name, value in of_a_grid.items() if value is not None), None)
    if folder is not None and name is not None:
        raise ConfigError(f"{name} and --folder are both given; choose a grid or single pictures")


def _check(count: int, label: str | None, balanced: bool, truncation: float | None) -> None:
    """Raise ConfigError unless such images can be drawn."""
    if count < 1:
        raise ConfigError(f"--count must be an int of at least 1, got {count}")
    if truncation is not None and not 0 < truncation < math.inf:
        raise ConfigError(f"--truncation must be a number above 0, got {truncation:g}")
    if balanced and label is not None:
        raise ConfigError("--label and --balanced are both given; choose one class or all in turn")


def _gan(source: str, at: int | None, device: str, revision: str | None, endpoint: str | None) -> GAN:
    """The GAN at `source`; with `at`, as the checkpoint of that step has it."""
    if at is None:
        from ganzoo.pretrained import from_pretrained

        return from_pretrained(source, revision=revision, endpoint=endpoint, device=device)
    from ganzoo.files import expand_user
    from ganzoo.runs.folder import run_of
    from ganzoo.runs.metadata import open_checkpoint

    if revision is not None or endpoint is not None:
        raise ConfigError("--at samples a run's folder here; leave --revision and --endpoint out")
    return open_checkpoint(run_of(expand_user(source)) or source, at).to(device)


def _draws(
    gan: GAN, count: int, seed: int, label: str | None, balanced: bool, truncation: float | None
) -> tuple[Tensor | None, Tensor | None]:
    """The latents, if they are not those of the seed, and the labels of all images, if there are classes."""
    import torch

    from ganzoo.latents import sample_labels, sample_latents, truncate

    latents = None
    if truncation is not None:
        latents = truncate(sample_latents(count, gan.latent_size, seed)[0], truncation, seed)
    if label is not None:
        return latents, torch.full((count,), gan.label(label))
    if balanced and not gan.num_classes:
        raise ConfigError(f"--balanced: {gan!r} has no classes; leave it out")
    if balanced:
        return latents, torch.arange(count) % gan.num_classes
    if not gan.num_classes:
        return latents, None
    return latents, sample_labels(count, gan.latent_size, seed, 0, gan.num_classes)


def _clear(folder: Path, overwrite: bool) -> None:
    """Remove the samples in `folder` if that is asked for, else raise ConfigError if there are some; also if there are
    files that would be mixed with them, or lost."""
    found = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() == ".png") if folder.is_dir() else []
    labels = folder / LABELS
    samples, others = _samples_among(found)
    if labels.exists() and not labels.read_bytes().startswith(",".join(HEAD).encode()):
        others.append(labels)
    if others:
        first = f"{others[0].name}{', ...' * (len(others) > 1)}"
        raise ConfigError(f"{folder} holds files that are no samples of ganzoo ({first}); name another folder")
    if samples and not overwrite:
        raise ConfigError(
            f"{folder} holds samples already ({samples[0].name}, ...), and sets would be mixed; name another folder, "
            f"or replace the samples there with --overwrite"
        )
    if labels.is_file():  # it is of these, or of others that were here
        labels.unlink()
    for entry in samples:
        entry.unlink()


def _samples_among(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Those that `images.save_each` named and wrote, and those that samples would be mixed with, or replace. A picture
    of ganzoo's under another name is neither."""
    from ganzoo.images import written_here

    samples, others = [], []
    for path in pictures:
        numbered, kind = path.stem.isdecimal(), written_here(path.read_bytes()) if path.is_file() else None
        if numbered and len(path.stem) >= 5 and kind == "image":
            samples.append(path)
        elif numbered or kind is None:
            others.append(path)
    return samples, others


def _write_labels(gan: GAN, labels: Tensor | None, folder: Path) -> None:
    """Write labels.csv: file, label and its name, for each picture of a conditional model."""
    from ganzoo.files import write_file

    if labels is None:
        return
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEAD)
    for index, label in enumerate(labels.tolist()):
        rows.writerow([f"{index:05d}.png", label, gan.class_names[label] if gan.class_names else ""])
    write_file(folder / LABELS, text.getvalue(), sync=False)
