"""A run as one page of HTML that needs nothing else: samples through time, curves, findings, speed, how it was made."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ganzoo.errors import TrainingError, writing
from ganzoo.files import write_file
from ganzoo.markup import page
from ganzoo.runs.checkpoint import checkpoint_steps
from ganzoo.runs.curves import Point, chart
from ganzoo.runs.folder import RunFolder, changed_in_words, model_scores, resume_command, seconds, whole_lines
from ganzoo.runs.gallery import REAL, sample_grids, shown
from ganzoo.runs.remedies import remedy_of_entry
from ganzoo.text import duration, in_words, number

REMARKS = 40
CHECKS = 4  # of the doctor, before which it finds little: the first one is ignored, and three more must show it
TEXTS = ("remark", "text", "advice", "stopped")  # of a line of the log


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
    facts = folder.facts(check=False)
    settings, data, gan = (_mapping(facts.get(name)) for name in ("settings", "data", "gan"))
    numbers, images = _numbers(settings), _numbers(data).get("images", 0)
    log, times = log_lines(folder.path / "log.jsonl"), log_lines(folder.path / "timing.jsonl")
    logged = [entry["step"] for entry in log if "remark" not in entry]  # a remark may be of a step since undone
    until = max(logged) + numbers.get("log_every", 0) if logged else None
    grids = sample_grids(folder.path / "samples", until)
    step = int(max([*logged, *grids, *checkpoint_steps(folder.path), 0]))  # the last ones may stand in no log
    scores = points_of(log, "score")
    chosen = model_scores(log, settings)[-1:] if settings.get("keep") != "last" else []
    best = next(((entry["step"], entry["score"]) for entry in chosen), None)
    return page(
        "report_template.html",
        name=folder.path.resolve().name,
        recipe=gan.get("preset") or "networks of the user's own",
        data=data.get("name"),
        steps=int(numbers.get("steps", 0)),
        step=step,
        stopped=next((each["stopped"] for each in log if each.get("stopped") and each["step"] == step), None),
        reload=max(numbers.get("report_every", 0), 5) if under_way else None,
        go_on=resume_command(folder.path),
        tiles=_tiles(step, numbers, data, images, best, times, settings.get("keep_last_batch") is True),
        findings=_findings(log, folder, settings),
        doctor_every=numbers.get("doctor_every", 0),
        checks=_checks(step, numbers),
        enough=CHECKS,
        pictures=[(step, *found) for step, path in grids.items() if (found := shown(path))],
        real=shown(folder.path / "samples" / REAL),
        charts=_charts(log, times, scores, best, step),
        command=facts.get("command"),
        provenance=_provenance(facts, settings, data, folder.stretches()),
        settings={key: in_words(value, exact=True) for key, value in settings.items()},
        networks=[_network(name, _mapping(gan.get(name))) for name in ("generator", "discriminator")],
        clock=int(time.time()),
    )


def _checks(step: int, settings: dict[str, float]) -> int:
    """How many the doctor has made: every `doctor_every` steps, and at the last one."""
    every, steps = int(settings.get("doctor_every", 0)), settings.get("steps", 0)
    return step // every + (step == steps and step % every > 0) if every else 0


def _tiles(
    step: int,
    settings: dict[str, float],
    data: dict[str, Any],
    images: float,
    best: Point | None,
    times: list[dict[str, Any]],
    smaller: bool,
) -> list[tuple[str, object, str]]:
    """Name, value and remark of each figure at the top; `smaller`: the last batch of an epoch may be."""
    trained = step * settings.get("batch_size", 0)
    seen, streamed = trained * settings.get("discriminator_steps", 1), data.get("streamed") is True
    rounds = f"{number(seen / images, 2)} times the data" if images and not streamed else ""
    said = "images a second, on average" + "; one batch a step counts" * (seen > trained)  # as in timing.jsonl
    took = seconds(times, settings)
    timed = max((each["step"] for each in times if each.get("images_per_second", 0) > 0), default=0)  # fewer if stopped
    left = took / timed * (settings.get("steps", 0) - step) if timed else 0
    tiles: list[tuple[str, object, str]] = [
        ("Images seen", number(seen), ", ".join(filter(None, ("at most" * smaller, rounds)))),
        ("Time", duration(took), f"of training; about {duration(left)} to go" if left > 0 else "of training"),
        ("Speed", f"{number(round(timed * settings['batch_size'] / took))}/s" if took else "–", said),
    ]
    if best:
        tiles.insert(0, ("Score of the model", number(best[1]), f"at step {number(best[0])}; kept in model/"))
    if streamed or images:
        tiles.append(("Data", data.get("name"), "streamed" if streamed else f"{number(images)} images"))
    if memory := [value for _, value in points_of(times, "memory_mb")]:
        tiles.append(("Memory", f"{number(round(max(memory)))} MB", "at most, resident"))
    return tiles


def _charts(
    log: list[dict[str, Any]], times: list[dict[str, Any]], scores: list[Point], best: Point | None, step: int
) -> list[Markup]:
    losses = {name: points_of(log, f"{name}_loss") for name in ("discriminator", "generator")}
    logits = {
        f"{name} images": points_of(log, f"{key}_logits") for name, key in (("real", "real"), ("generated", "fake"))
    }
    penalties = [point for point in points_of(log, "penalty") if point[1]]
    speed = points_of(times, "images_per_second")
    lower = "Lower is better" + ("; the ring is the model that was kept." if best else ".")
    level = "In a healthy run both stay level for a long time; neither has to fall to zero."
    near = "Mean logits. The nearer the two, the harder it is to tell them apart."
    parts = [
        chart("Losses", losses, last_step=step, hint=level),
        chart("Score", {"distance to real images": scores}, last_step=step, dot=best, axis="logarithmic", hint=lower),
        chart("Discriminator logits", logits, last_step=step, hint=near),
        chart("Penalty", {"on the discriminator": penalties}, last_step=step),
        chart("Speed", {"images a second": speed}, last_step=step, axis="from zero"),
    ]
    return [part for part in parts if part]


def _findings(log: list[dict[str, Any]], run: RunFolder, settings: dict[str, Any]) -> list[dict[str, str]]:
    """The doctor's findings, newest first; one that was made again and again stands there once."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for entry in log:
        if "remark" in entry:
            kinds.setdefault(entry["remark"], []).append(entry)
    found = []
    for name, entries in sorted(kinds.items(), key=lambda item: -item[1][-1]["step"])[:REMARKS]:
        first, last = entries[0], entries[-1]
        when = f"Step {number(first['step'])}"
        if len(entries) > 1:
            when = f"{number(len(entries))} times, steps {number(first['step'])} to {number(last['step'])}"
        then = dict(settings)  # as they were at that step
        for each in reversed(run.stretches()):
            if each["step"] >= last["step"]:
                then |= {key: before for key, (before, _) in each["changed"].items()}
        text, command = last.get("text") or name, remedy_of_entry(run.path, last, then)
        found.append({"when": when, "text": text, "advice": last.get("advice", ""), "command": command})
    return found


def _provenance(
    facts: dict[str, Any], settings: dict[str, Any], data: dict[str, Any], stretches: list[dict[str, Any]]
) -> list[tuple[object, object]]:
    source, name, images = data.get("source"), data.get("name"), data.get("images")
    count = number(images) if isinstance(images, int) else in_words(images)
    machine = _mapping(facts.get("machine")).items()
    rows: list[tuple[object, object]] = [
        ("Data", f"{name} ({source})" if source not in (None, name) else name),
        ("Hash of the data", data.get("hash")),
        ("Images", "streamed; the first " * (data.get("streamed") is True) + count),
        ("Classes", in_words(data.get("classes"))),
        ("Seed", in_words(settings.get("seed"), exact=True)),
        *((f"From step {number(each['step'])} on", changed_in_words(each["changed"])) for each in stretches),
        ("Machine", ", ".join(f"{key} {in_words(value, exact=True)}" for key, value in machine)),
        *_mapping(facts.get("versions")).items(),
    ]
    return [*([("Trained on from", facts["from"])] if facts.get("from") else []), *rows]


def _network(name: str, described: dict[str, Any]) -> dict[str, Any]:
    config = {key: in_words(value, exact=True) for key, value in _mapping(described.get("config")).items()}
    plugins, found = described.get("plugins"), []
    for plugin in map(_mapping, plugins if isinstance(plugins, list) else ()):
        kind, known, package, version = (plugin.get(key) for key in ("kind", "name", "package", "version"))
        found.append((f"{kind} {known}", f"from {package} {version}"))
    model = described.get("model") or "a custom module"
    return {"name": name.capitalize(), "model": model, "config": config, "plugins": found}


def log_lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a log that have a step, in the order written: their numbers, and remarks as text; damaged lines
    are left out."""
    lines, entries = [], []
    with suppress(OSError):
        lines = whole_lines(path)
    for entry in lines:
        texts = {name: entry[name] for name in TEXTS if isinstance(entry.get(name), str)}
        numbers = _numbers(entry) | {name: 1.0 for name in ("best", "best_lost") if entry.get(name) is True}
        if 0 <= numbers.get("step", -1) < 1e15:
            entries.append({**texts, **numbers})
    return entries


def points_of(entries: list[dict[str, Any]], name: str) -> list[Point]:
    """(step, value) of the entries that have a number of this name, by step; of one step the last holds."""
    return sorted({entry["step"]: entry[name] for entry in entries if name in entry}.items())


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """The `values` that are numbers and can be drawn."""
    known = {name: value for name, value in values.items() if type(value) in (int, float)}
    return {name: float(value) for name, value in known.items() if -1e30 < value < 1e30}
