"""Runs side by side: the settings that differ, figures, curves and newest samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ganzoo.errors import ConfigError
from ganzoo.files import write_file
from ganzoo.markup import page
from ganzoo.runs.checkpoint import checkpoint_steps
from ganzoo.runs.curves import PLACES, chart
from ganzoo.runs.folder import RunFolder, changed_in_words, damage_said, model_scores, seconds
from ganzoo.runs.gallery import sample_grids, shown
from ganzoo.runs.report import log_lines, points_of
from ganzoo.saving.format import WEIGHTS
from ganzoo.saving.results import evaluated
from ganzoo.text import duration, in_words

CURVES = {"score": "Score", "generator_loss": "Generator loss", "discriminator_loss": "Discriminator loss"}


def run_facts(run: str | Path) -> dict[str, Any]:
    """What a run's files say, in short: how far it is, its last and best figures, how it was made.

    Raises:
        TrainingError: no run is there. WeightsError: a file of it is damaged.
    """
    folder = RunFolder(run)
    facts = folder.facts()
    with damage_said(folder.path):
        log, settings = folder.entries(), facts["settings"]
        losses = [entry for entry in log if "generator_loss" in entry]
        scored = model_scores(log, settings)
        if settings.get("keep") == "last":
            scored.sort(key=lambda entry: -entry["score"])
        last = losses[-1] if losses else {"step": 0}
        model = folder.path / "model"
        figures = evaluated(folder.path, model) if (model / WEIGHTS).is_file() else ()
        return {
            "run": str(run),
            "preset": facts["gan"]["preset"],
            "data": facts["data"]["name"],
            "hash of the data": facts["data"].get("hash"),
            **({"trained on from": facts["from"]} if facts.get("from") else {}),
            "step": max([last["step"], *checkpoint_steps(folder.path)]),  # the last ones may stand in no log
            "steps": settings["steps"],
            **({"best score": scored[-1]["score"], "best score's step": scored[-1]["step"]} if scored else {}),
            **{name: last[name] for name in ("generator_loss", "discriminator_loss") if name in last},
            **{figure.name: figure.value for figure in figures},
            **({"measured on": figures[0].how} if figures else {}),
            "time": duration(seconds(folder.entries("timing.jsonl"), settings)),
            "device": f"{facts['machine']['device']}, {facts['machine']['precision']}",
            "settings": dict(settings),
            "networks": {
                name: {"model": facts["gan"][name]["model"], **(facts["gan"][name]["config"] or {})}
                for name in ("generator", "discriminator")
            },
            "stretches": folder.stretches(),
            "command": facts["command"],
        }


def by_option(networks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options of both `networks`, named as --set does: "generator.widths"."""
    return {f"{place}.{name}": value for place, network in networks.items() for name, value in network.items()}


def compare(runs: Sequence[str | Path]) -> dict[str, Any]:
    """The figures of two to four runs, and what differs between them: {"runs": [...], "differing": {name: [...]}}.

    Raises:
        ConfigError: fewer or more runs. TrainingError, WeightsError: as `run_facts`.
    """
    if not 2 <= len(runs) <= len(PLACES):
        raise ConfigError(f"compare takes 2 to {len(PLACES)} runs, got {len(runs)}")
    found = [run_facts(run) for run in runs]
    made = [{**each.pop("settings"), **by_option(each.pop("networks")), **_history(each)} for each in found]
    names = dict.fromkeys(name for each in made for name in each)
    values = {name: [each.get(name) for each in made] for name in names}
    differing = {name: each for name, each in values.items() if any(value != each[0] for value in each)}
    return {"runs": found, "differing": differing}


def _history(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What else a run came of, by its `run_facts`: its images, the model it began from, settings changed on the way."""
    changes = [f"from step {each['step']}: {changed_in_words(each['changed'])}" for each in facts["stretches"]]
    return {
        "hash of the data": str(facts["hash of the data"])[:12],
        "trained on from": facts.get("trained on from"),
        "changed on the way": "; ".join(changes) or None,
    }


def write_comparison(runs: Sequence[str | Path], path: Path) -> dict[str, Any]:
    """Write `compare` of the runs, which it gives, as one page that needs nothing else, with curves and newest samples.

    Raises:
        ConfigError, TrainingError, WeightsError: as `compare`.
    """
    facts = compare(runs)
    folders = [RunFolder(run).path for run in runs]
    logs = [log_lines(folder / "log.jsonl") for folder in folders]
    newest = [next(reversed(sample_grids(folder / "samples").items()), None) for folder in folders]
    content = page(
        "compare_template.html",
        names=[*map(str, runs)],
        figures=rows(facts["runs"]),
        differing=setting_rows(facts),
        charts=[each for each in _charts(runs, logs) if each],
        grids=[grid and (grid[0], shown(grid[1])) for grid in newest],
    )
    write_file(path, content)
    return facts


def _charts(runs: Sequence[str | Path], logs: Sequence[list[dict[str, Any]]]) -> list[Markup]:
    """The curves of all runs, one chart for each kind; an empty one if no log has it."""
    last = max((entry["step"] for log in logs for entry in log), default=0)
    return [
        chart(
            title,
            {str(run): points_of(log, name) for run, log in zip(runs, logs)},
            last_step=last,
            axis="logarithmic" if name == "score" else "linear",
            hint="A kernel distance to real images; lower is better." if name == "score" else "",
        )
        for name, title in CURVES.items()
    ]


def rows(found: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each figure's name with its value in all runs."""
    hidden = ("run", "stretches", "command", "hash of the data", "trained on from")  # the last two stand in `differing`
    names = dict.fromkeys(name for each in found for name in each if name not in hidden)
    return [(name, [in_words(each[name]) if name in each else "" for each in found]) for name in names]


def setting_rows(facts: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Each setting that differs, by `compare`, with its value in all runs."""
    return [(name, [in_words(each, exact=True) for each in values]) for name, values in facts["differing"].items()]
