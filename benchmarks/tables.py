"""Write the tables of `docs/benchmarks.md` from the lines of JSON: `python benchmarks/tables.py [--check]`.

Of lines that measure the same, the newest stands in a table. `--check` fails if the page is not what the lines say.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganzoo.text import number

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
Row = dict[str, Any]


def with_spread(value: list[float] | None) -> str:
    """Median, and lowest to highest in brackets."""
    return "" if value is None else f"{number(value[0])} ({number(value[1])}-{number(value[2])})"


def plain(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(name, ""))


def measured(name: str) -> Callable[[Row], str]:
    return lambda row: with_spread(row.get(name))


def share(row: Row) -> str:
    return f"{row['share of peak']:.0%}" if "share of peak" in row else ""


def points(row: Row) -> str:
    return ", ".join(f"{clock:.0f} ({processor:.0f}): {found:.3g}" for clock, processor, _, found in row["course"])


TABLES: dict[str, tuple[tuple[str, ...], dict[str, Callable[[Row], str]]]] = {  # file: (what tells rows apart, columns)
    "throughput": (
        ("networks", "batch", "way"),
        {
            "networks": plain("networks"),
            "pixels": plain("size"),
            "batch": plain("batch"),
            "trained by": plain("way"),
            "images/s": lambda row: with_spread(row.get("images/s")) or f"left out: {row['left out']}",
            "times the textbook loop": measured("times textbook"),
            "GFLOP an image": lambda row: number(row["GFLOP an image"]) if "GFLOP an image" in row else "",
            "of the matrix peak": share,
        },
    ),
    "sampling": (
        ("model", "batch", "way"),
        {
            "model": plain("model"),
            "batch": plain("batch"),
            "way": plain("way"),
            "ms a call": measured("ms"),
            "images/s": measured("images/s"),
            "times eager": measured("times eager"),
        },
    ),
    "input": (
        ("kind", "images"),
        {
            "kind": plain("kind"),
            "images": lambda row: number(row["images"]) if "images" in row else "",
            "opened cold, s": measured("cold s"),
            "opened again, s": measured("warm s"),
            "images/s in batches": measured("images/s"),
            "memory, MB": measured("memory MB"),
        },
    ),
    "time_to_quality": (
        ("recipe", "arm", "steps", "seed"),
        {
            "recipe": plain("recipe"),
            "changed": plain("arm"),
            "threads": plain("threads"),
            "images": lambda row: number(row["images"]),
            "seconds of the clock (of the processor): distance": points,
        },
    ),
    "scaling": (
        ("axis", "value"),
        {
            "axis": plain("axis"),
            "value": lambda row: row["value"] if isinstance(row["value"], str) else number(row["value"]),
            "ms an image": measured("ms an image"),
        },
    ),
}


def read(path: Path) -> list[Row]:
    """The lines of a file; none if it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def where(rows: list[Row]) -> str:
    """Machine, date, peak and commands of these rows, a paragraph for each machine and day."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["machine"], row["threads"], row["torch"], row["date"]), []).append(row)
    told = []
    for (machine, threads, torch, date), group in groups.items():
        peaks = [f"{name} {_range([row['GFLOP/s'][name] for row in group])}" for name in ("float32", "bf16")]
        commands = "\n".join({row["command"]: None for row in group})
        told.append(
            f"{machine}, {threads} {'threads' if threads > 1 else 'thread'}, torch {torch}, {date}; matrix peak in "
            f"{', in '.join(peaks)}:\n\n```\n{commands}\n```"
        )
    return "\n\n".join(told)


def _range(values: list[float | None]) -> str:
    """The lowest and the highest GFLOP/s; without instructions for it there are none."""
    known = [value for value in values if value]
    if not known:
        return "none (the processor has no instructions for it)"
    return f"{' to '.join(dict.fromkeys(number(value) for value in (min(known), max(known))))} GFLOP/s"


def markdown(table: str, rows: list[Row]) -> str:
    """The table, and below it where and how its figures were taken."""
    key, columns = TABLES[table]
    newest = {tuple(row.get(name) for name in key): row for row in rows}.values()
    if not newest:
        return f"Not measured yet: `python benchmarks/{table}.py`."
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in newest]
    return "\n".join([*lines, "", where(list(newest))])


def starts(rows: list[Row]) -> str:
    """The sentence on processes that write a picture."""
    row = next((row for row in reversed(rows) if row.get("starts")), None)
    if row is None:
        return ""
    told = [f"{model} {with_spread(value)} s" for model, value in row["beyond import torch"].items()]
    return (
        f"From the start of a process to a PNG, beyond `import torch` ({with_spread(row['s']['import torch'])} s): "
        f"{'; '.join(told)}.\n\n"
    )


def page(text: str, folder: Path) -> str:
    """`text` with the tables of the lines in `folder` between their marks."""
    for table in TABLES:
        rows = read(folder / f"{table}.jsonl")
        before = starts(rows) if table == "sampling" else ""
        made = before + markdown(table, [row for row in rows if not row.get("starts")])
        marks = f"<!-- {table} -->", f"<!-- end of {table} -->"
        inside = f"{marks[0]}\n\n{made}\n\n{marks[1]}"
        text = re.sub(f"{marks[0]}.*?{marks[1]}", lambda _, inside=inside: inside, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    written = PAGE.read_text()
    wanted = page(written, HERE / "results")
    if "--check" in sys.argv:
        raise SystemExit("docs/benchmarks.md: run python benchmarks/tables.py" if wanted != written else 0)
    PAGE.write_text(wanted)
