"""`ganzoo list`: what there is, by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo.errors import UnknownNameError, did_you_mean, quote

KINDS = ("presets", "models", "blocks", "losses", "penalties", "augmentations", "zoo")


def list_names(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}; all, if left out.", metavar="[WHAT]")] = "",
) -> None:
    """List the names that can be used, plug-ins' included, and the bundled models."""
    if what and what not in KINDS:
        raise UnknownNameError(f"Unknown kind {quote(what)}.{did_you_mean(what, KINDS)}")
    for kind in [what] if what else KINDS:
        if not what:
            print(f"{kind}:")
        entries = _entries(kind)
        width = max([26, *(len(name) + 2 for name, _ in entries)])
        for name, text in entries:
            print(f"{name:{width}}{text}".rstrip() if what else f"  {name:{width}}{text}".rstrip())


def _entries(kind: str) -> list[tuple[str, str]]:
    if kind == "zoo":
        from ganzoo.saving.resolve import bundled_models

        return [
            (name, f"{_megabytes(folder):4.1f} MB  {_figures(folder)}") for name, folder in bundled_models().items()
        ]
    import ganzoo

    registry: Any = getattr(ganzoo, kind.upper())
    broken = registry.broken()
    return [
        (name, f"broken: {broken[name]}") if name in broken else (_call(registry, name), _describe(registry, name))
        for name in registry
    ]


def _call(registry: Any, name: str) -> str:
    """`name` with the options it takes and their defaults."""
    options = registry.options(name) if registry.takes_options else {}
    return f"{name}({', '.join(map(str, options.values()))})" if options else name


def _describe(registry: Any, name: str) -> str:
    item, origin = registry[name], registry.origin(name)
    text = getattr(item, "description", None) or (item.__doc__ or "").strip().split("\n")[0]
    text = "" if text.startswith(f"{type(item).__name__}(") or item.__doc__ == type(item).__doc__ else text
    return f"{text} (of {origin.distribution} {origin.version})" if origin else text


def _figures(folder: Path) -> str:
    from ganzoo.saving.results import evaluated

    return ", ".join(f"{figure.name} {figure.value:.3g}" for figure in evaluated(folder, folder))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
