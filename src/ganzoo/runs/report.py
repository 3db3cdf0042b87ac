"""A run as one page of HTML that needs nothing else: samples through time, curves, findings, speed, how it was made."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ganzoo.errors import TrainingError, writing
from ganzoo.files import write_file
from ganzoo.markup import page
from ganzoo.runs.checkpoint import checkpoint_steps
from ganzoo.runs.curves import Curve, Point, chart
from ganzoo.runs.folder import RunFolder, changed_in_words, resume_command, seconds
from ganzoo.runs.gallery import REAL, sample_grids, shown
from ganzoo.runs.remedies import remedy_of_entry
from ganzoo.text import duration, in_words, number

REMARKS = 40


def write_report(run: str | Path, under_way: bool = False) -> Path:
    """Write `report.html` into the folder `run` of a training, whole or not at all, and return its path.

    Logs that are missing, empty or damaged, and pictures that can't be read, are left out.

    Args:
        under_way: the training goes on, so that the page reloads itself.

    Raises:
        TrainingError: no run is there, or the page can't be written. WeightsError: `run.json` is damaged.
    """
    folder = RunFolder(run)
    path = folder.path / "report.html"
    content = _page(folder, under_way)
    with writing(path, TrainingError, f". Then: {resume_command(folder.path)}"):
        write_file(path, content)
    return path


def _page(folder: RunFolder, under_way: bool) -> str:
    facts = folder.facts()
    settings, data, gan = (_mapping(facts.get(name)) for name in ("settings", "data", "gan"))
    log, times = _lines(folder.path / "log.jsonl"), _lines(folder.path / "timing.jsonl")
    logged = [entry["step"] for entry in log if "remark" not in entry]  # a remark may be of a step since undone
    every = _setting(settings, "log_every")
    grids = sample_grids(folder.path / "samples", until=max(logged) + every if logged else None)
    step = int(max([*logged, *grids, *checkpoint_steps(folder.path), 0]))  # the last ones may stand in no log
    steps = int(_setting(settings, "steps"))
    scores = _points(log, "score")
    best = min(scores, key=lambda point: point[1], default=None) if settings.get("keep") != "last" else None
    return page(
        "report_template.html",
        name=_text(folder.path.resolve().name),
        recipe=_text(gan.get("preset") or "networks of the user's own"),
        data=_text(data.get("name")),
        steps=steps,
        step=step,
        stopped=_why_stopped(log, step),
        reload=max(_setting(settings, "report_every"), 5) if under_way else None,
        go_on=resume_command(folder.path),
        tiles=_tiles(step, settings, data, best, times),
        findings=_findings(log, folder.path, settings),
        doctor_every=_number(settings.get("doctor_every")),
        checked=max(logged, default=0),
        pictures=[(step, *found) for step, path in grids.items() if (found := shown(path))],
        real=shown(folder.path / "samples" / REAL),
        charts=_charts(log, times, scores, best, step),
        command=_text(facts.get("command"), 4000),
        provenance=_provenance(facts, settings, data, folder.stretches()),
        settings={_text(key): _value(value) for key, value in settings.items()},
        networks=[_network(name, _mapping(gan.get(name))) for name in ("generator", "discriminator")],
        clock=int(time.time()),
    )


def _why_stopped(log: list[dict[str, Any]], step: int) -> str | None:
    """Why the run ended at `step` before its time, if its log says so."""
    return next((_text(entry["stopped"]) for entry in log if entry.get("stopped") and entry["step"] == step), None)


def _tiles(
    step: int, settings: dict[str, Any], data: dict[str, Any], best: Point | None, times: list[dict[str, Any]]
) -> list[tuple[str, str, str]]:
    """Name, value and remark of each figure at the top."""
    trained = step * _setting(settings, "batch_size")
    seen = trained * _setting(settings, "discriminator_steps", 1)
    streamed, images = data.get("streamed") is True, _number(data.get("images"))
    took = seconds(times, settings)
    left = took / step * (_setting(settings, "steps") - step) if step else 0
    memory = [value for _, value in _points(times, "memory_mb")]
    tiles = [
        ("Images seen", number(seen), f"{number(seen / images, 2)} times the data" if images and not streamed else ""),
        ("Time", duration(took), f"of training; about {duration(left)} to go" if left > 0 else "of training"),
        ("Speed", f"{number(round(trained / took))}/s" if took and trained else "–", "images a second, on average"),
    ]
    if best:
        tiles.insert(0, ("Best score", number(best[1]), f"at step {number(best[0])}; kept in model/"))
    if streamed or images:
        much = "streamed" if streamed else f"{number(images or 0)} images"
        tiles.append(("Data", _text(data.get("name"), 40), much))
    if memory:
        tiles.append(("Memory", f"{number(round(max(memory)))} MB", "at most, resident"))
    return tiles


def _charts(
    log: list[dict[str, Any]], times: list[dict[str, Any]], scores: list[Point], best: Point | None, step: int
) -> list[Markup]:
    penalties = [point for point in _points(log, "penalty") if point[1]]
    parts = [
        chart(
            "Losses",
            [
                Curve("discriminator", _points(log, "discriminator_loss")),
                Curve("generator", _points(log, "generator_loss")),
            ],
            last_step=step,
            hint="In a healthy run both stay level for a long time; neither has to fall to zero.",
        ),
        chart(
            "Score",
            [Curve("distance to real images", scores)],
            last_step=step,
            dot=best,
            axis="logarithmic",
            hint="Lower is better" + ("; the ring is the best, which is the model that was kept." if best else "."),
        ),
        chart(
            "Discriminator logits",
            [Curve("real images", _points(log, "real_logits")), Curve("generated images", _points(log, "fake_logits"))],
            last_step=step,
            hint="Mean logits. The nearer the two, the harder it is to tell them apart.",
        ),
        chart("Penalty", [Curve("on the discriminator", penalties)], last_step=step),
        chart(
            "Speed", [Curve("images a second", _points(times, "images_per_second"))], last_step=step, axis="from zero"
        ),
    ]
    return [part for part in parts if part]


def _findings(log: list[dict[str, Any]], run: Path, settings: dict[str, Any]) -> list[dict[str, str]]:
    """The doctor's findings, newest first; one that was made again and again stands there once."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for entry in log:
        if "remark" in entry:
            kinds.setdefault(_text(entry["remark"]), []).append(entry)
    found = []
    for name, entries in sorted(kinds.items(), key=lambda item: -item[1][-1]["step"])[:REMARKS]:
        first, last = entries[0], entries[-1]
        when = f"Step {number(first['step'])}"
        if len(entries) > 1:
            when = f"{number(len(entries))} times, steps {number(first['step'])} to {number(last['step'])}"
        text, advice = (_text(last[key], 1000) if last.get(key) else "" for key in ("text", "advice"))
        command = remedy_of_entry(run, last, settings)
        found.append({"when": when, "text": text or name, "advice": advice, "command": command})
    return found


def _provenance(
    facts: dict[str, Any], settings: dict[str, Any], data: dict[str, Any], stretches: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    source, name, images = data.get("source"), _text(data.get("name")), data.get("images")
    count = number(images) if isinstance(images, int) else _value(images)
    rows = [
        ("Data", name + (f" ({_text(source)})" if source not in (None, data.get("name")) else "")),
        ("Hash of the data", _text(data.get("hash"))),
        ("Images", "streamed; the first " * (data.get("streamed") is True) + count),
        ("Classes", _value(data.get("classes"))),
        ("Seed", _value(settings.get("seed"))),
    ]
    rows += [(f"From step {number(each['step'])} on", changed_in_words(each["changed"])) for each in stretches]
    if facts.get("from"):
        rows.insert(0, ("Trained on from", _value(facts["from"])))
    machine = _mapping(facts.get("machine"))
    rows.append(("Machine", ", ".join(f"{_text(key)} {_value(value)}" for key, value in machine.items())))
    rows += [(_text(package), _text(version)) for package, version in _mapping(facts.get("versions")).items()]
    return rows


def _network(name: str, described: dict[str, Any]) -> dict[str, Any]:
    model = _text(described["model"]) if described.get("model") else "a custom module"
    config = {_text(key): _value(value) for key, value in _mapping(described.get("config")).items()}
    plugins, found = described.get("plugins"), []
    for plugin in map(_mapping, plugins if isinstance(plugins, list) else ()):
        kind, known, package, version = (_text(plugin.get(key)) for key in ("kind", "name", "package", "version"))
        found.append((f"{kind} {known}", f"from {package} {version}"))
    return {"name": name.capitalize(), "model": model, "config": config, "plugins": found}


def _lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a log that have a step, in the order written; damaged lines are left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entry = _mapping(json.loads(line))
        except (ValueError, RecursionError):
            continue
        step = _number(entry.get("step"))
        if step is not None and 0 <= step < 1e15:
            entries.append({**entry, "step": step})
    return entries


def _points(entries: list[dict[str, Any]], name: str) -> list[Point]:
    """(step, value) of the entries that have a finite value of this name, by step; of one step the last holds."""
    found = {entry["step"]: _number(entry[name]) for entry in entries if name in entry}
    return [(step, value) for step, value in sorted(found.items()) if value is not None]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A number that can be drawn, or None."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not -1e30 < value < 1e30:
        return None
    return float(value)


def _setting(settings: dict[str, Any], name: str, otherwise: float = 0) -> float:
    return _number(settings.get(name)) or otherwise


def _text(value: Any, limit: int = 300) -> str:
    text = value if isinstance(value, str) else "none" if value is None else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _value(value: Any) -> str:
    """A setting."""
    return _text(in_words(value, exact=True))
