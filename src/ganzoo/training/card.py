"""The model card of a run: everything it tells is read from the run's own files."""

from __future__ import annotations

import io
from pathlib import Path
from statistics import median
from typing import Any

from ganzoo.files import write_file
from ganzoo.hub.card import GRID, LOSSES, Card, evaluated, write_card
from ganzoo.training.run import RunFolder

_ON_THE_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist"}


def run_card(run: str | Path) -> bool:
    """Write `model/README.md` and `model/samples/losses.png` of `run`, as `ganzoo.hub.card.write_card` does.

    Raises:
        TrainingError: no run is there. WeightsError: a file of it is damaged.
    """
    folder = RunFolder(run)
    facts, log = folder.facts(), folder.entries()
    model = folder.path / "model"
    losses = [entry for entry in log if "generator_loss" in entry]
    if losses:
        _draw_losses(losses, model / LOSSES)
    data = facts["data"]
    scores = [entry for entry in log if entry.get("best")]
    licence = str(data.get("licence", "not known"))
    card = Card(
        source=str(run),
        preset=facts["gan"]["preset"],
        licence="mit" if licence.startswith("MIT") else "other" if "©" in licence else "unknown",
        data=data["name"],
        data_id=_hub_id(data),
        data_licence=licence,
        training=tuple(_rows(facts, folder, losses, scores)),
        command=facts["command"],
        figures=evaluated(folder.path, model),
        pictures=tuple(name for name in (GRID, LOSSES) if (model / name).is_file()),
    )
    return write_card(model, card)


def _rows(
    facts: dict[str, Any], folder: RunFolder, losses: list[dict[str, Any]], scores: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    settings, machine, data = facts["settings"], facts["machine"], facts["data"]
    last = losses[-1]["step"] if losses else 0
    times = [entry for entry in folder.entries("timing.jsonl") if entry.get("images_per_second")]
    rows = [
        ("data", f"{data['name']}, {data['images']:,} images, hash {data['hash'][:16]}"),
        ("steps", f"{last:,} of {settings['steps']:,}" + (f"; kept: step {scores[-1]['step']:,}" if scores else "")),
        ("real images seen", f"{last * settings['batch_size'] * settings['d_steps']:,}"),
        ("seed", str(settings["seed"])),
    ]
    if times:
        speed = median(entry["images_per_second"] for entry in times)
        rows.append(("time", f"{_minutes(times, settings):,.1f} minutes, median speed {speed:,.0f} images/s"))
    kind = f"{machine['device']}, {machine['threads']} threads, {machine['precision']}"
    rows.append(("machine", kind + (f", {machine['processes']} processes" if machine["processes"] > 1 else "")))
    rows.append(("versions", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())))
    if scores:
        score = f"{scores[-1]['score']:.3g}: a kernel distance in random features that ranks the states of this run"
        rows.append(("best score", f"{score}, and says no more"))
    return rows


def _minutes(times: list[dict[str, Any]], settings: dict[str, Any]) -> float:
    """Time of all steps; those that a resumed run made again count once."""
    latest = {entry["step"]: entry["images_per_second"] for entry in times}
    steps = sorted(latest)
    seconds = ((step - before) * settings["batch_size"] / latest[step] for before, step in zip([0, *steps], steps))
    return sum(seconds) / 60


def _hub_id(data: dict[str, Any]) -> str | None:
    source = str(data.get("source") or "")
    if source.startswith("hf:") and source.count("/") == 1 and not source.startswith(("hf:.", "hf:/", "hf:~")):
        return source.removeprefix("hf:").partition("?")[0]
    return _ON_THE_HUB.get(data["name"])


def _draw_losses(losses: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(7, 2.6), dpi=110, layout="constrained")
    axes = drawing.subplots()
    steps = [entry["step"] for entry in losses]
    for name, colour in (("discriminator_loss", "#2a6fc9"), ("generator_loss", "#cf5620")):
        values = [entry[name] for entry in losses]
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
        width = max(1, len(values) // 60)
        windows = [values[max(0, end - width) : end] for end in range(1, len(values) + 1)]
        means = [sum(window) / len(window) for window in windows]
        axes.plot(steps, means, color=colour, linewidth=1.5, label=name.replace("_", " "))
    axes.set_xlabel("step")
    axes.legend(frameon=False, ncols=2)
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", metadata={"Software": None})
    write_file(path, buffer.getvalue())
