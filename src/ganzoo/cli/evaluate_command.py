"""`ganzoo evaluate`: figures of a generator, beside those of real images and of noise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

from ganzoo.cli.data_command import BROKEN, FIT, GROUND
from ganzoo.cli.options import ENDPOINT, JSON, REVISION, argument, as_trained, flag, given, print_json, print_wrapped
from ganzoo.errors import shell


def evaluate(
    source: Annotated[
        str,
        argument("A bundled name, a saved model, a run's folder, a Hub id; or images: a folder, a zip, hf:...", "zoo"),
    ],
    data: Annotated[str, flag("Real images: a name, a folder, a zip, hf:...", complete="SOURCES")],
    samples: Annotated[int, flag("Images to draw, and real images to use at most.", "--samples", "-n")] = 10_000,
    features: Annotated[
        str | None,
        flag(
            "fashion-net, color-net, inception, 'timm:NAME?weights=FILE', or a plug-in's.  "
            "[default: fashion-net for grey images, color-net for colour]",
            complete="FEATURES",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        flag(
            "fd, kd, prdc, variety, a plug-in's; with options as 'prdc(k=3)'; may be repeated.  [default: these four]",
            complete="METRICS",
        ),
    ] = None,
    split: Annotated[str, flag("test or train, if the set has both.")] = "test",
    seed: Annotated[int, flag("Seed of the samples and of random choices.", "--seed", "-s")] = 0,
    output: Annotated[
        Path | None,
        flag(
            "Folder for evaluation.json and evaluation.html.  [default: the run's; else here, named after it]",
            "--output",
            "-o",
        ),
    ] = None,
    classes: Annotated[bool, flag("Measure class by class too.")] = True,
    memorised: Annotated[bool, flag("Look for training images among the samples.")] = True,
    training_images: Annotated[int, flag("Training images that samples are compared with, at most.")] = 100_000,
    size: Annotated[int | None, flag("Size in pixels at which a folder of images is compared.")] = None,
    broken: Annotated[str | None, BROKEN] = None,
    ground: Annotated[str | None, GROUND] = None,
    fit: Annotated[str | None, FIT] = None,
    as_json: Annotated[bool, JSON] = False,
    device: Annotated[str, flag("cpu, cuda, mps.")] = "cpu",
    revision: Annotated[str | None, REVISION] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Measure a generator, or images, against real images.

    Fréchet and kernel distance, precision and recall, density and coverage, in all and class by class.
    """
    from ganzoo.evaluation.evaluate import evaluate as measure
    from ganzoo.evaluation.generated import is_images
    from ganzoo.evaluation.metrics import DEFAULT
    from ganzoo.evaluation.page import write_page
    from ganzoo.files import check_writable, write_file
    from ganzoo.pretrained import from_pretrained
    from ganzoo.runs.card import run_card
    from ganzoo.runs.folder import command, run_of
    from ganzoo.saving.results import EVALUATION, weights_hash

    gan = source if is_images(source) else from_pretrained(source, revision=revision, endpoint=endpoint, device=device)
    model = None if isinstance(gan, str) else gan.folder
    folder, name = _place(output, model, source)
    check_writable(folder)  # before minutes of measuring
    found = measure(
        gan, data, samples=samples, features=features, metrics=metric or DEFAULT, split=split, seed=seed,
        classes=classes, memorised=memorised, training_images=training_images,
        image_size=size, **given(broken=broken), **as_trained(model, ground, fit), device=device, progress=True,
    )  # fmt: skip
    facts = {**found.to_dict(), "command": command()}
    if model is not None and model.is_dir():
        facts["weights"] = weights_hash(model)
    figures, page = folder / f"{name}{EVALUATION}", folder / f"{name}evaluation.html"
    try:  # what was measured is seen, whatever becomes of the files, and written, whatever becomes of the reader
        if as_json:
            print_json({**facts, "files": [str(figures), str(page)]})
        else:
            print_wrapped(found.table())
    finally:
        write_file(figures, json.dumps(facts, indent=2) + "\n")
        write_page(found, page, source, command())
        run = model and run_of(model)
        if run and run.resolve() == folder.resolve():
            run_card(run)
    if not as_json:
        print(f"\n{sum(found.seconds.values()):.0f} s; {shell(figures)}, {shell(page)}")


def _place(output: Path | None, model: Path | None, source: str) -> tuple[Path, str]:
    """Where the evaluation goes: into `output`, the run of `model`, or here; and how its files' names begin, so that
    here nobody takes them for another model's."""
    from ganzoo.files import expand_user
    from ganzoo.runs.folder import run_of

    if output is not None:
        return expand_user(output), ""
    run, here = run_of(model) if model is not None else None, Path(".")
    if run or (model is not None and model.resolve() == here.resolve()):
        return run or here, ""
    word = re.sub(r"[^\w.-]+", "-", Path(source.partition("?")[0]).expanduser().resolve().name).strip("-.")
    return here, f"{word or 'images'}-"
