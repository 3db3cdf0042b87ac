"""`ganzoo compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import JSON, print_json, print_table


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two to four runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the page here.")] = Path("compare.html"),
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Compare runs: settings that differ, figures, curves and samples.

    A table is printed, and a page written. A score is comparable if data and size of images are the same.
    """
    from ganzoo.errors import shell
    from ganzoo.files import expand_user
    from ganzoo.runs.compare import in_words, rows, write_comparison

    facts = write_comparison(runs, expand_user(output))
    if as_json:
        return print_json({**facts, "page": str(output)})
    names = [str(run) for run in runs]
    print_table([(name, *values) for name, values in rows(facts["runs"])], ["figure", *names])
    print()
    differing = [(name, *map(in_words, values)) for name, values in facts["differing"].items()]
    if differing:
        print_table(differing, ["setting", *names])
    else:
        print("No settings differ.")
    print(f"\npage: {shell(output)}")
