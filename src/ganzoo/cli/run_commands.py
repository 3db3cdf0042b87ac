"""`ganzoo compare` and `ganzoo card`: runs side by side, and a model card written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ganzoo.cli.options import JSON, argument, flag, output_path, print_json, print_table
from ganzoo.errors import shell


def compare(
    runs: Annotated[list[Path], argument("Folders of two to four runs.")],
    output: Annotated[Path | None, flag("Write the page here.  [default: compare.html]", "--output", "-o")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Compare runs: settings that differ, figures, curves and samples.

    A table is printed, and a page written. A score is comparable if data and size of images are the same.
    """
    from ganzoo.files import expand_user
    from ganzoo.runs.compare import rows, setting_rows, write_comparison

    output = output_path(output, "compare.html")
    facts = write_comparison(runs, expand_user(output))
    if as_json:
        return print_json({**facts, "page": str(output)})
    names = [str(run) for run in runs]
    print_table([(name, *values) for name, values in rows(facts["runs"])], ["figure", *names])
    print()
    if settings := setting_rows(facts):
        print_table([(name, *values) for name, values in settings], ["setting", *names])
    else:
        print("No settings differ.")
    print(f"\npage: {shell(output)}")


def card(folder: Annotated[Path, argument("A run's folder, or a saved model.")]) -> None:
    """Write the model card of a run or saved model again.

    What was edited outside its markers is kept.
    """
    from ganzoo.files import expand_user
    from ganzoo.runs.card import model_card, run_card, write_card
    from ganzoo.runs.folder import run_at
    from ganzoo.saving.format import CARD
    from ganzoo.saving.resolve import local_folder, source_of

    folder = expand_user(folder)
    if run := run_at(folder):
        written, path = run_card(run), run / "model" / CARD
    else:
        root = local_folder(folder)
        written, path = write_card(root, model_card(root, source_of(folder))), root / CARD
    if written:
        print(f"card: {shell(path)}")
    else:
        gone = "its markers ganzoo:begin and ganzoo:end are gone or out of order"
        print(f"{shell(path)} was kept: {gone}. Remove it to have a new one.")
