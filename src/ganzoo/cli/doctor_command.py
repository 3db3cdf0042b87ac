"""`ganzoo doctor`: what this machine offers."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version
from typing import Annotated, Any

from ganzoo.cli.options import JSON, print_json, print_table
from ganzoo.text import counted


def doctor(as_json: Annotated[bool, JSON] = False) -> None:
    """Show what this computer offers: devices, precision, extras.

    The doctor of a run is another one: its findings are in the run's report.
    """
    from ganzoo.runs.folder import versions

    facts = {"packages": versions(), "devices": _devices(), "cache": _cache(), "extras": _extras()}
    plugins = _plugins()
    if as_json:
        return print_json({**facts, "plugins": plugins})
    for name, rows in {**facts, "plugins": plugins or {"none": ""}}.items():
        print(f"{name}:")
        print_table([(f"  {key}", value) for key, value in rows.items()])


def _devices() -> dict[str, str]:
    """Each device that torch can use, and how a run would compute there."""
    import torch

    from ganzoo.hardware import fast_bfloat16, name_of

    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found += ["mps"] if torch.backends.mps.is_available() else []
    rows = {}
    for device in found:
        precision = "bf16" if fast_bfloat16(device) else "float32"
        memory = ""
        if device.startswith("cuda"):
            memory = f", {torch.cuda.get_device_properties(device).total_memory / 2**30:.0f} GiB"
        rows[device] = f"{name_of(device)}{memory}; precision auto: {precision}"
    rows["cpu"] += f"; {counted(torch.get_num_threads(), 'thread')}"
    return rows


def _cache() -> dict[str, str]:
    import shutil

    from ganzoo.data import cache_dir

    folder = cache_dir()
    here = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return {str(folder): f"{shutil.disk_usage(here).free / 1e9:,.0f} GB free"}


def _extras() -> dict[str, str]:
    """Each extra of the package: installed, or what to install."""
    wanted: dict[str, list[str]] = {}
    for line in (requires("ganzoo-torch") if _installed("ganzoo-torch") else None) or ():
        package, _, extra = line.partition("; extra == ")
        if extra and not package.startswith("ganzoo-torch"):
            wanted.setdefault(extra.strip("\"' "), []).append(package.split(">")[0].split("[")[0])
    rows = {}
    for extra, packages in wanted.items():
        if extra not in ("test", "dev", "docs"):
            missing = [package for package in packages if not _installed(package)]
            install = f'pip install "ganzoo-torch[{extra}]"'
            rows[extra] = f"no: {install} ({', '.join(missing)})" if missing else "yes"
    return rows


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _plugins() -> dict[str, Any]:
    """Each plug-in's name, with its package or why it is broken."""
    import ganzoo

    rows = {}
    for registry in (getattr(ganzoo, name) for name in ganzoo.REGISTRIES):
        broken = registry.broken()
        for name in registry:
            if name in broken:
                rows[f"{registry.kind} {name}"] = f"broken: {broken[name]}"
            elif origin := registry.origin(name):
                rows[f"{registry.kind} {name}"] = f"{origin.distribution} {origin.version}"
    return rows
