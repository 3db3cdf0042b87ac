"""Commands that look into a generator: `ganzoo walk`, `directions`, `arithmetic`, `invert` and `probe`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from ganzoo.cli.options import DEVICE, JSON, LABEL, SEED, SOURCE, argument, as_trained, flag, output_path, print_json
from ganzoo.errors import ConfigError, quote, shell
from ganzoo.text import counted

ACROSS = flag("Leave the cluster of the first latent, if the model has clusters.", "--across")


def walk(
    source: Annotated[str, SOURCE],
    points: Annotated[int, flag("Latents to pass through.")] = 5,
    steps: Annotated[int, flag("Frames from one to the next.")] = 8,
    seed: Annotated[int, SEED] = 0,
    label: Annotated[str | None, LABEL] = None,
    across: Annotated[bool, ACROSS] = False,
    output: Annotated[
        Path | None, flag("A grid (.png), or an animation (.gif, .webp).  [default: walk.png]", "--output", "-o")
    ] = None,
    device: Annotated[str, DEVICE] = "cpu",
) -> None:
    """Walk from sample to sample: a picture or an animation.

    A picture has a row of frames from each sample to the next; an animation loops.
    """
    from ganzoo import images
    from ganzoo.explore.walk import walk as frames_of

    output = output_path(output, "walk.png")
    gan = _gan(source, device)
    moving = output.suffix.lower() in (".gif", ".webp")
    frames = frames_of(gan, points, steps, seed=seed, label=_label(gan, label), closed=moving, across=across)
    if moving:
        sheets = (images.grid(frame[None], padding=0, scale=max(1, 128 // gan.image_size)) for frame in frames)
        images.animate(sheets, output)
    else:
        frames = frames[:-1]  # whole rows: the last key, a frame of its own, would stand alone
        images.save(images.grid(frames, columns=steps), output)
    print(f"{counted(len(frames), 'frame')} in {shell(output)}")


def directions(
    source: Annotated[str, SOURCE],
    count: Annotated[int, flag("Directions, strongest first.", "--count", "-n")] = 6,
    strength: Annotated[float, flag("How far to go, both ways.")] = 4.0,
    seed: Annotated[int, SEED] = 0,
    label: Annotated[str | None, LABEL] = None,
    across: Annotated[bool, ACROSS] = False,
    output: Annotated[Path | None, flag("A picture.  [default: directions.png]", "--output", "-o")] = None,
    device: Annotated[str, DEVICE] = "cpu",
) -> None:
    """Move one sample along the generator's strongest directions.

    Its first layer amplifies these most. The picture has a row for each direction.
    """
    from ganzoo import images
    from ganzoo.explore.walk import MOVES
    from ganzoo.explore.walk import directions as moved

    output = output_path(output, "directions.png")
    gan = _gan(source, device)
    drawn = moved(gan, count, strength, seed=seed, label=_label(gan, label), across=across)
    images.save(images.grid(drawn.flatten(0, 1), columns=MOVES), output)
    print(f"{counted(count, 'direction')} in {shell(output)}")


def arithmetic(
    source: Annotated[str, SOURCE],
    plus: Annotated[list[str], flag("Numbers of samples, as 3,17,40; their mean is added. Repeatable.")],
    minus: Annotated[list[str] | None, flag("Samples whose mean is taken away. Repeatable.")] = None,
    seed: Annotated[int, SEED] = 0,
    label: Annotated[str | None, LABEL] = None,
    across: Annotated[bool, ACROSS] = False,
    output: Annotated[
        Path | None,
        flag("A picture: groups, their means, the result.  [default: arithmetic.png]", "--output", "-o"),
    ] = None,
    device: Annotated[str, DEVICE] = "cpu",
) -> None:
    """Add and subtract means of latents.

    Figure 7 of Radford et al. 2015. Look at samples first, and choose some that have something in common.
    """
    from ganzoo import images
    from ganzoo.explore.arithmetic import arithmetic as reckon

    output = output_path(output, "arithmetic.png")
    gan = _gan(source, device)
    groups = [(1, _numbers("--plus", text)) for text in plus] + [
        (-1, _numbers("--minus", text)) for text in minus or ()
    ]
    images.save(reckon(gan, groups, seed, _label(gan, label), across).picture, output)
    print(f"{counted(len(groups), 'group')} and their sum in {shell(output)}")


def invert(
    source: Annotated[str, SOURCE],
    pictures: Annotated[list[Path], argument("Pictures to find latents for.")],
    starts: Annotated[int, flag("Latents tried for each.")] = 4,
    steps: Annotated[int, flag("Steps of the optimisation.")] = 800,
    seed: Annotated[int, SEED] = 0,
    label: Annotated[str | None, LABEL] = None,
    output: Annotated[
        Path | None, flag("The pictures above what was found.  [default: invert.png]", "--output", "-o")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
    device: Annotated[str, DEVICE] = "cpu",
) -> None:
    """Find the latents whose images are most like your pictures.

    The likeness is printed in dB (PSNR): higher is better. --json prints the latents too.
    """
    import torch

    from ganzoo import images
    from ganzoo.data.decode import decode
    from ganzoo.data.reading import Reading
    from ganzoo.errors import DataError
    from ganzoo.explore.inversion import invert as find
    from ganzoo.files import expand_user

    twin = next((path for path in pictures if pictures.count(path) > 1), None)
    if twin is not None:
        raise ConfigError(f"{twin} is given twice; name each picture once")
    output = output_path(output, "invert.png")
    gan = _gan(source, device)
    reading = Reading(image_size=gan.image_size, image_channels=gan.image_channels, **as_trained(gan.folder))
    targets = []
    for path in pictures:
        try:
            content = expand_user(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path} can't be read ({error.strerror}).") from error
        if images.written_here(content) == "sheet":
            raise DataError(
                f"{path} is a sheet of several images; give single ones: ganzoo sample {shell(source)} -n 1"
            )
        pixels = torch.from_numpy(decode(content, str(path), reading).copy())
        targets.append(pixels.float() / 127.5 - 1)
    target = torch.stack(targets)
    chosen = _label(gan, label)
    found = find(gan, target, labels=chosen, starts=starts, steps=steps, seed=seed, progress=True)
    psnr = found.psnr.tolist()
    try:  # what was found is seen, whatever becomes of the picture, and drawn, whatever becomes of the reader
        if as_json:
            names = [*map(str, pictures)]
            latents = dict(zip(names, found.latents.tolist()))
            print_json({"psnr": dict(zip(names, psnr)), "picture": str(output), "label": chosen, "latents": latents})
        else:
            print("\n".join(f"{shell(path)}: {each:.1f} dB" for path, each in zip(pictures, psnr)))
    finally:
        images.save(images.grid(torch.cat([target, found.images.cpu()]), columns=len(target)), output)
    if not as_json:
        print(f"pictures above, what was found below: {shell(output)}")


def probe(
    source: Annotated[str, SOURCE],
    data: Annotated[str, flag("A labelled set with two splits.", complete="SOURCES")] = "fashion-mnist",
    images: Annotated[int, flag("Training images, at most.")] = 60_000,
    seed: Annotated[int, flag("Seed of the classifier.", "--seed", "-s")] = 0,
    as_json: Annotated[bool, JSON] = False,
    device: Annotated[str, DEVICE] = "cpu",
) -> None:
    """Measure what the discriminator learned without labels.

    It is the accuracy of a linear classifier on the discriminator's features.
    Needs: pip install "ganzoo-torch[metrics]".
    """
    from ganzoo.data import open_data
    from ganzoo.explore.probe import probe as measure
    from ganzoo.pretrained import from_pretrained

    gan = from_pretrained(source, discriminator=True, device=device)
    assert gan.discriminator is not None  # asked for
    options = {"image_size": gan.image_size, "image_channels": gan.image_channels}
    options |= as_trained(gan.folder)
    train, test = (open_data(data, split=split, **options) for split in ("train", "test"))  # type: ignore[arg-type]
    found = measure(gan.discriminator, train, test, images, seed, progress=True)
    if as_json:
        return print_json({"data": train.name, **dataclasses.asdict(found), "test_images": len(test)})
    print(f"linear classifier on {found.images:,} images of {train.name}, accuracy on {len(test):,} test images")
    for name in ("discriminator", "untrained", "pixels"):
        print(f"  {name:14} {getattr(found, name):.1%}")


def _gan(source: str, device: str):  # type: ignore[no-untyped-def]  # a GAN, whose import costs a second
    from ganzoo.pretrained import from_pretrained

    return from_pretrained(source, device=device)


def _label(gan, text: str | None) -> int | None:  # type: ignore[no-untyped-def]
    return None if text is None else gan.label(text)


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise ConfigError(f"{option} must be numbers of samples, as 3,17,40, got {quote(text)}")
    return [int(part) for part in parts]
