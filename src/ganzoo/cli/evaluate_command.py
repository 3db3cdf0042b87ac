"""`ganzoo evaluate`: figures of a generator, beside those of real images and of noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.hub_commands import ENDPOINT


def evaluate(
    source: Annotated[
        str, typer.Argument(help="A bundled name, a saved model, a run's folder, or a Hub id owner/name.")
    ],
    data: Annotated[str, typer.Option(help="Real images: a name, a folder, a zip, hf:...")],
    samples: Annotated[int, typer.Option(help="Images to draw, and real ones at most.")] = 10_000,
    features: Annotated[
        str | None, typer.Option(help="fashion-net, inception, or timm:MODEL?weights=FILE.  [default: for grey images]")
    ] = None,
    split: Annotated[str, typer.Option(help="test or train, where the set has both.")] = "test",
    seed: Annotated[int, typer.Option(help="Of samples and choices.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json and evaluation.html.  [default: the run's, or here]")
    ] = None,
    classes: Annotated[bool, typer.Option(help="Measure class by class too.")] = True,
    memorised: Annotated[bool, typer.Option(help="Look for training images among the samples.")] = True,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Measure a generator: Fréchet and kernel distance, precision and recall, density and coverage, class by class."""
    from ganzoo.evaluation.evaluate import evaluate as measure
    from ganzoo.evaluation.page import write_page
    from ganzoo.files import check_writable, expanded, write_file
    from ganzoo.hub.figures import EVALUATION, weights_hash
    from ganzoo.pretrained import from_pretrained
    from ganzoo.training.card import run_card
    from ganzoo.training.run import RunFolder, command

    gan = from_pretrained(source, revision=revision, endpoint=endpoint)
    run, model = RunFolder(source), gan.folder
    folder = expanded(output) if output else run.path if run.exists() else Path(".")
    check_writable(folder)  # before minutes of measuring
    found = measure(
        gan, data, samples=samples, features=features, split=split, seed=seed, classes=classes, memorised=memorised,
        progress=True,
    )  # fmt: skip
    print(found.table(), flush=True)  # first: what was measured is seen, whatever becomes of the files
    facts = {**found.to_dict(), "command": command()}
    if model is not None and model.is_dir():
        facts["weights"] = weights_hash(model)
    write_file(folder / EVALUATION, json.dumps(facts, indent=2) + "\n")
    write_page(found, folder / "evaluation.html", source)
    if run.exists() and folder == run.path:
        run_card(run.path)
    print(f"\n{sum(found.seconds.values()):.0f} s; {folder / EVALUATION}, {folder / 'evaluation.html'}")
