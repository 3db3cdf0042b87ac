"""`ganzoo list`: what there is, by kind."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import ganzoo
from ganzoo import REGISTRIES
from ganzoo.cli.options import JSON, print_json, print_table
from ganzoo.errors import PluginError, UnknownNameError, did_you_mean, quote
from ganzoo.registry import Registry
from ganzoo.text import with_spread

KINDS = {name.lower().replace("_", "-"): name for name in REGISTRIES}  # as typed: as in Python
CHOICES = (*KINDS, "zoo")
SHOWN = ("FD", "KD", "precision", "recall", "coverage")  # figures in the zoo's tables


def list_names(
    what: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(CHOICES)}.  [default: all]", metavar="WHAT", autocompletion=lambda: list(CHOICES)
        ),
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List all names with their options, also those of plug-ins, and the bundled models."""
    if what and what not in CHOICES:
        near = did_you_mean("sources" if what.startswith("data") else what, CHOICES)
        raise UnknownNameError(f"Unknown kind {quote(what)}.{near}")
    kinds = [what] if what else CHOICES
    found = {kind: _models() if kind == "zoo" else entries_of(getattr(ganzoo, KINDS[kind])) for kind in kinds}
    if "sources" in found:
        found["sources"].append(_hf())
    if as_json:
        return print_json(found)
    for kind, entries in found.items():
        if not what:
            print(f"{kind}:")
        if kind == "zoo":
            _print_models(entries)
        else:
            print_table(map(_row, entries))
        if not what:
            print()


def entries_of(registry: Registry[Any]) -> list[dict[str, Any]]:
    """Each name with its options, as they are written, and what it is, or why it is broken."""
    entries = []
    for name in registry:
        try:
            options = registry.options(name) if registry.takes_options else {}
            entries.append(
                {"name": name, "options": [*map(str, options.values())], "description": registry.describe(name)}
            )
        except PluginError as error:
            entries.append({"name": name, "options": [], "description": f"broken: {error}"})
    return entries


def _hf() -> dict[str, Any]:
    """What is no name of the registry, and is typed like one."""
    from ganzoo.data.hf import OPTIONS

    what = "A data set on the Hugging Face Hub, or local Parquet files or shards, as `hf:owner/name?split=test`."
    return {"name": "hf", "options": ["dataset", *(f"{name}=" for name in OPTIONS)], "description": what}


def call_of(entry: dict[str, Any]) -> str:
    """The name of an entry with its options."""
    return f"{entry['name']}({', '.join(entry['options'])})" if entry["options"] else str(entry["name"])


def _row(entry: dict[str, Any]) -> tuple[str, str]:
    """Name with options, and what it is; many options stand behind that."""
    call, what = call_of(entry), entry["description"]
    return (call, what) if len(call) < 42 else (entry["name"], f"{what} ({', '.join(entry['options'])})")


def _models() -> list[dict[str, Any]]:
    from ganzoo.saving.resolve import bundled_models
    from ganzoo.saving.results import evaluated

    return [
        {
            "name": name,
            "megabytes": round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1),
            "baseline": ganzoo.PRESETS[name].baseline,
            "figures": [
                {"name": figure.name, "value": figure.value, "measured": figure.how}
                for figure in evaluated(folder, folder)
            ],
        }
        for name, folder in bundled_models().items()
    ]


def _print_models(models: list[dict[str, Any]]) -> None:
    """A table for each way of measuring: figures compare within one alone."""
    ways: dict[str, list[list[Any]]] = {}
    for model in models:
        values, way = {}, "not measured"
        for figure in model["figures"]:
            name, _, features = figure["name"].rstrip(")").partition("(")
            values[name], way = with_spread(figure["value"]), f"by {features}, {figure['measured']}"
        name = model["name"] + " (baseline)" * model["baseline"]
        ways.setdefault(way, []).append([name, model["megabytes"], *(values.get(each, "") for each in SHOWN)])
    for number, (way, rows) in enumerate(ways.items()):
        print("\n" * bool(number) + way)
        print_table(rows, ["model", "MB", *SHOWN])
