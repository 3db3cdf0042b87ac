"""The model card of a run: everything it tells is read from the run's own files."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ganzoo.errors import GanzooError, TrainingError, WeightsError, quote
from ganzoo.files import write_file
from ganzoo.runs.card import Card, write_card
from ganzoo.runs.folder import RunFolder
from ganzoo.runs.times import duration, seconds
from ganzoo.saving.format import GRID, LOSSES, WEIGHTS
from ganzoo.saving.results import evaluated, weights_hash
from ganzoo.training.metadata import recorded_plugins

_ON_THE_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist"}
_Run = tuple[dict[str, Any], list[dict[str, Any]]]  # what `run.json` says, and the log
_HUB_SOURCE = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(\?.*)?", re.ASCII)


def run_card(
    run: str | Path,
    model: str | Path | None = None,
    source: str | None = None,
    earlier: Sequence[str | Path] = (),
) -> bool:
    """Write `README.md` and `samples/losses.png` into the model of `run`, as `ganzoo.runs.card.write_card` does.

    Args:
        model: a copy of the run's model, to write into instead. source: what `from_pretrained` takes to load it.
        earlier: the runs that it was trained on from, the first one first: their commands and images are told too.

    Raises:
        TrainingError: no run is there, or it has no model. WeightsError: a file of it is damaged.
    """
    folder = RunFolder(run)
    facts, model = folder.facts(), Path(model or folder.path / "model")
    if not (model / WEIGHTS).is_file():
        raise TrainingError(f"{folder.path} has no saved model ({WEIGHTS} in {model}); go on with it: --resume.")
    try:
        before = [(each.facts(), each.entries()) for each in map(RunFolder, earlier)]
        card = _card(folder, facts, model, source or Path(run).as_posix(), before)
    except GanzooError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        said = f"{type(error).__name__}: {quote(str(error))}"
        raise WeightsError(f"{folder.path}: run.json or a log beside it is damaged ({said}); restore them.") from error
    return write_card(model, card)


def _card(folder: RunFolder, facts: dict[str, Any], model: Path, source: str, earlier: list[_Run]) -> Card:
    log, data = folder.entries(), facts["data"]
    losses = [entry for entry in log if "generator_loss" in entry]
    if losses:
        _draw_losses(losses, model / LOSSES)
    return Card(
        source=source,
        weights=weights_hash(model),
        preset=facts["gan"]["preset"],
        data=str(data["name"]),
        data_id=_hub_id(data),
        data_licence=str(data.get("licence", "not known")),
        training=tuple(_rows(facts, log, folder.entries("timing.jsonl"), earlier)),
        command=" && ".join(str(each["command"]) for each, _ in [*earlier, (facts, log)]),
        figures=evaluated(folder.path, model) or evaluated(model, model),
        pictures=tuple(name for name in (GRID, LOSSES) if (model / name).is_file()),
    )


def _rows(
    facts: dict[str, Any], log: list[dict[str, Any]], timing: list[dict[str, Any]], earlier: list[_Run]
) -> list[tuple[str, str]]:
    settings, machine, data = facts["settings"], facts["machine"], facts["data"]
    scores, last, kept = _progress(settings, log)
    times = [entry for entry in timing if entry.get("images_per_second")]
    seen, whole = _seen(settings, kept), _seen(settings, last)
    rows = [
        ("data", f"{data['name']}, {_images(data)}, hash {data['hash'][:16]}"),
        ("steps", f"{last:,} of {settings['steps']:,}" + (f"; the weights are of step {kept:,}" if scores else "")),
        (
            "real images seen",
            f"{_at_most(settings)}{seen:,}" + (f"; {whole:,} in the whole run" if kept < last else ""),
        ),
        *([("trained on from", str(facts["from"]) + _seen_before(earlier))] if facts.get("from") else []),
        ("seed", str(settings["seed"])),
        ("kind", _kind(facts["gan"])),
    ]
    if times:
        speed = median(entry["images_per_second"] for entry in times)
        rows.append(("time", f"{duration(seconds(times, settings))} by the clock, median speed {speed:,.0f} images/s"))
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    kind = f"{facts.get('hardware', machine['device'])}, {threads}, {machine['precision']}"
    rows.append(("machine", kind + (f", {machine['processes']} processes" if machine["processes"] > 1 else "")))
    if plugins := recorded_plugins(facts, "run.json"):
        named = (f"{each['kind']} {each['name']} of {each['package']} {each['version']}" for each in plugins)
        rows.append(("plug-ins, by others", ", ".join(named)))
    rows.append(("versions", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())))
    if scores:
        last = settings.get("keep") == "last"  # which a run of an earlier version does not know
        why = "of the last state, which was kept" if last else f"the best, by which step {kept:,} was kept"
        score = f"{scores[-1]['score']:.3g}, {why}: a kernel distance in random features"
        rows.append(("score", f"{score} that ranks the states of this run, and compares with nothing else"))
    return rows


def _progress(settings: dict[str, Any], log: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int, int]:
    """The scores that were best when they came, the last step, and the step whose weights were kept."""
    scores = [entry for entry in log if entry.get("best")]
    last = next((entry["step"] for entry in reversed(log) if "generator_loss" in entry), 0)
    return scores, last, scores[-1]["step"] if scores and settings.get("keep") != "last" else last


def _seen(settings: dict[str, Any], steps: int) -> int:
    return int(steps * settings["batch_size"] * settings["discriminator_steps"])


def _at_most(*settings: dict[str, Any]) -> str:
    """Said before a number of images: the last batch of an epoch is smaller where it is kept."""
    return "at most " if any(each["keep_last_batch"] for each in settings) else ""


def _seen_before(earlier: list[_Run]) -> str:
    images = sum(_seen(facts["settings"], _progress(facts["settings"], log)[2]) for facts, log in earlier)
    least = _at_most(*(facts["settings"] for facts, _ in earlier))
    return f", after {least}{images:,} real images" if earlier else ""


def _kind(gan: dict[str, Any]) -> str:
    config = gan.get("generator", {}).get("config") or {}  # none of a module of one's own
    hidden = f", {config['hidden_classes']} hidden classes" if config.get("hidden_classes") else ""
    if not gan["num_classes"]:
        return f"unconditional{hidden}"
    names = [str(name) for name in gan["class_names"][:100]]
    named = ": " + ", ".join(f"{index} {name}" for index, name in enumerate(names)) if names else ""
    return f"conditional on {gan['num_classes']:,} classes (labels=){named}{hidden}"


def _images(data: dict[str, Any]) -> str:
    """How many images there are; of a stream only the first were looked at, and the hash is theirs."""
    return f"{'streamed, of which the first ' * bool(data.get('streamed'))}{data['images']:,} images"


def _hub_id(data: dict[str, Any]) -> str | None:
    on_the_hub = _HUB_SOURCE.fullmatch(str(data.get("source") or ""))
    return on_the_hub[1] if on_the_hub else _ON_THE_HUB.get(data["name"])


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
