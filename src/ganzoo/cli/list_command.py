"""`ganzoo list`: what there is, by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import ganzoo
from ganzoo import REGISTRIES
from ganzoo.errors import PluginError, UnknownNameError, did_you_mean, quote
from ganzoo.registry import Registry

KINDS = {name.lower().replace("_", "-"): name for name in REGISTRIES}  # as typed: as in Python
CHOICES = (*KINDS, "zoo")


def list_names(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(CHOICES)}; all, if left out.", metavar="[WHAT]")] = "",
) -> None:
    """List the names that can be used with their options, plug-ins' included, and the bundled models."""
    if what and what not in CHOICES:
        raise UnknownNameError(f"Unknown kind {quote(what)}.{did_you_mean(what, CHOICES)}")
    for kind in [what] if what else CHOICES:
        if not what:
            print(f"{kind}:")
        entries = _models() if kind == "zoo" else _entries(getattr(ganzoo, KINDS[kind]))
        width = min(48, max([24, *(len(call) for call, _ in entries)]))
        for call, text in entries:
            print(f"{'' if what else '  '}{call:{width}}  {text}".rstrip())


def _entries(registry: Registry[Any]) -> list[tuple[str, str]]:
    """Each name with its options and their defaults, and what it is, or why it is broken."""
    entries = []
    for name in registry:
        try:
            options = registry.options(name) if registry.takes_options else {}
            call = f"{name}({', '.join(map(str, options.values()))})" if options else name
            entries.append((call, registry.describe(name)))
        except PluginError as error:
            entries.append((name, f"broken: {error}"))
    return entries


def _models() -> list[tuple[str, str]]:
    from ganzoo.saving.resolve import bundled_models

    return [
        (name, f"{_megabytes(folder):4.1f} MB  {_kind(name)}{_figures(folder)}")
        for name, folder in bundled_models().items()
    ]


def _kind(name: str) -> str:
    return "baseline: " if ganzoo.PRESETS[name].baseline else ""


def _figures(folder: Path) -> str:
    from ganzoo.saving.results import evaluated

    return ", ".join(f"{figure.name} {figure.value:.3g}" for figure in evaluated(folder, folder))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
