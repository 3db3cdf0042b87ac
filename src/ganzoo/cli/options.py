"""What commands share: options that mean the same everywhere, tables and JSON on the screen."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from ganzoo.errors import ConfigError

WIDTH = 100  # columns of a table, at most
NARROWEST = 12  # letters of a cell that has more; in fewer, its words and numbers are cut
PAGE = b" by ganzoo. This page loads nothing from elsewhere."  # what every page of ours holds


def names(*kinds: str) -> Callable[[], list[str]]:
    """What a shell completes an option with: the names in these registries of ganzoo; "zoo" are the bundled models."""

    def listed() -> list[str]:
        import ganzoo

        found = (ganzoo.list_models() if kind == "zoo" else getattr(ganzoo, kind) for kind in kinds)
        return [*dict.fromkeys(chain.from_iterable(found))]

    return listed


def argument(help: str, *complete: str, **more: Any) -> Any:
    """An argument, which a shell completes with `names(*complete)`."""
    return typer.Argument(help=help, autocompletion=names(*complete) if complete else None, **more)


def flag(help: str, *flags: str, group: str | None = None, complete: str | None = None, **more: Any) -> Any:
    """An option that stands in a `group` of the help; without `flags` it is called as its parameter is."""
    completion = names(complete) if complete else None
    return typer.Option(*flags, rich_help_panel=group, help=help, autocompletion=completion, **more)


SOURCE = argument("A bundled name, a saved model, a run's folder, or a Hub id owner/name.", "zoo")
LABEL = typer.Option(help="Class of all images, by name or number; names are looked up first.")
DEVICE = typer.Option(help="Where to compute: cpu, cuda, mps.")
SEED = typer.Option("--seed", "-s", help="Seed of the latents.")
JSON = typer.Option("--json", help="Print the facts as JSON.")
ENDPOINT = typer.Option(help="Address of another Hub than huggingface.co.  [default: $HF_ENDPOINT]")
REVISION = typer.Option(help="Branch, tag or commit on the Hub.")


def given(**options: Any) -> dict[str, Any]:
    """Those of the options that were given; the others keep the defaults of what they are handed to."""
    return {name: value for name, value in options.items() if value is not None}


def as_trained(model: Path | None, ground: str | None = None, fit: str | None = None) -> dict[str, Any]:
    """How to read pictures: what is not given is as in the run of the saved `model`, if it is in one; that is said."""
    from ganzoo.data.reading import Reading
    from ganzoo.errors import GanzooError
    from ganzoo.runs.folder import RunFolder, damage_said, run_of
    from ganzoo.training.callbacks.progress import say

    found, run = given(ground=ground, fit=fit), run_of(model) if model is not None else None
    own, usual = {}, {"ground": Reading().ground, "fit": Reading().fit}
    if run is not None:
        with suppress(GanzooError), damage_said(run):  # a damaged record is no reason to refuse a model that is whole
            data = RunFolder(run).facts()["data"]
            own = {name: data[name] for name, value in usual.items() if data.get(name, value) != value}
    own = {name: value for name, value in own.items() if name not in found}
    if own:
        words = ", ".join(f"{name} {value}" for name, value in own.items())
        say(f"Pictures are read as {run} read its own: {words}.")
    return {**found, **own}


def output_path(output: Path | None, default: str) -> Path:
    """Where a command writes: `output`, else the file `default` here.

    Raises:
        ConfigError: no picture can have the ending of `output`; or none is given, and ganzoo did not write the file
            that is here.
    """
    from ganzoo.files import expand_user
    from ganzoo.images import format_of, written_here

    if output is not None:
        if not default.endswith(".html"):
            format_of(output)  # before minutes of work
        return expand_user(output)
    path = Path(default)
    content = path.read_bytes() if path.is_file() else None
    if content is not None and not written_here(content) and PAGE not in content:
        raise ConfigError(f"{path} is here already, and ganzoo did not write it; choose a file with --output FILE")
    return path


def print_json(facts: Any) -> None:
    """Print `facts`, of JSON types, and nothing else."""
    print(json.dumps(facts, indent=2, default=str))  # in ASCII: what is printed gets escapes that JSON does not know


def print_wrapped(text: str, indent: str = "  ", width: int = WIDTH) -> None:
    """Print `text`; a line of more than `width` columns goes on in the next one, behind `indent`."""
    for line in text.splitlines():
        wrapped = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        print("\n".join(wrapped))


def print_table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> None:
    """Print `rows` as a table whose cells wrap within `WIDTH` columns, numbers to the right; on a terminal that is too
    narrow for that, each cell below the name of its row."""
    cells = [[each if isinstance(each, str) else f"{each}" for each in row] for row in rows]
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    longest = [max(map(len, column)) for column in zip(*cells)]
    if sum(longest[:1] + [2 + min(each, NARROWEST) for each in longest[1:]]) > width:
        for name, *others in cells:
            titled = zip(head[1:] or [""] * len(others), others)
            lines = [f"  {title} {each}" if title else f"  {each}" for title, each in titled if each]
            print_wrapped("\n".join([name, *lines]), "    ", width)
    else:
        _print_columns(cells, head, width)


def _print_columns(cells: list[list[str]], head: Sequence[str], width: int) -> None:
    """Print `cells` side by side."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=bool(head), pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for index, row in enumerate(zip(*cells)):
        digits = "".join(row).replace(",", "").replace(".", "")
        numbers = bool(head) and index > 0 and digits.isdecimal()
        title = head[index] if head else ""
        table.add_column(title, overflow="fold", justify="right" if numbers else "left", no_wrap=index == 0)
    for line in cells:
        table.add_row(*line)
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
