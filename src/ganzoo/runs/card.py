"""A model card: what a saved model is, how it came about, and what was measured of it. Nothing that was not.

A card that a person has edited is kept. Only what stands between two markers is ever written again: in the body
`<!-- ganzoo:begin -->` and `<!-- ganzoo:end -->`, in the header the comments `# ganzoo:begin` and `# ganzoo:end`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from markupsafe import Markup

from ganzoo import images
from ganzoo.data import source_name
from ganzoo.errors import GanzooError, TrainingError
from ganzoo.files import name_of, write_file
from ganzoo.latents import label_count
from ganzoo.markup import templates
from ganzoo.models import Generator, parameter_count
from ganzoo.runs.checkpoint import checkpoint_steps
from ganzoo.runs.curves import picture
from ganzoo.runs.folder import (
    NOTEBOOK,
    RunFolder,
    changed_in_words,
    damage_said,
    model_scores,
    recorded_plugins,
    resume_command,
    seconds,
)
from ganzoo.saving.format import CARD, CONFIG, GRID, LOSS_CURVES, WEIGHTS, read_json, read_plugins
from ganzoo.saving.model import SavedModel, check_facts
from ganzoo.saving.resolve import source_of
from ganzoo.saving.results import Figure, evaluated, weights_hash
from ganzoo.text import counted, duration, number, with_spread

TASK = "unconditional-image-generation"
_BODY = ("<!-- ganzoo:begin -->", "<!-- ganzoo:end -->")
_HEADER = ("# ganzoo:begin", "# ganzoo:end")
_SOURCE = re.compile(r'from_pretrained\(("(?:[^"\\\n]|\\.)*")\)')
_TRAINING, _FIGURES, _NOT_MEASURED = "\n## Training\n", "\n## Figures\n", "Not measured."
_WIDGET = f"widget:\n- text: samples\n  output:\n    url: {GRID}\n"  # as the Hub's client writes it
_ON_THE_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist"}
_HUB_SOURCE = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(\?.*)?", re.ASCII)
_BELOW = "Everything below describes the weights with sha256"
_DEMO = re.compile(r"Try it in a browser: .*\n\n")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card tells.

    Args:
        source: what `from_pretrained` takes: a folder, or a repository's owner/name.
        weights: sha256 of the generator's weights file, which all the rest is about.
        preset: the recipe's name. family: the networks', as `dcgan`. packages: of others, that they need.
        images: what it draws, in words. parameters: of the generator. speed: time of an image, in words.
        label: a class to ask for, and its name, if there are classes.
        data: the set's name. data_id: its id on the Hub, if it is there. data_licence: in words; it says nothing of
            the weights' licence, which whoever trained them states in the card's header.
        training: rows of the training table. command: that began the run.
        figures: what was measured. pictures: of `GRID` and `LOSS_CURVES`, those that are there.
    """

    source: str
    weights: str
    preset: str | None = None
    family: str | None = None
    packages: tuple[str, ...] = ()
    images: str = "images"
    parameters: int | None = None
    speed: str | None = None
    label: tuple[int, str] | None = None
    data: str | None = None
    data_id: str | None = None
    data_licence: str = "not known"
    training: tuple[tuple[str, str], ...] = ()
    command: str | None = None
    figures: tuple[Figure, ...] = ()
    pictures: tuple[str, ...] = ()


def write_card(folder: Path, card: Card) -> bool:
    """Write `README.md` into `folder`, or renew what is ours in the one that is there.

    Returns:
        Whether it was written; False if it is kept: its markers are gone or out of order, or it is not UTF-8.
    """
    path = folder / CARD
    try:
        text = path.read_bytes().decode() if path.is_file() else None  # line ends as they are
    except UnicodeDecodeError:
        return False
    if text is not None and not is_marked(text):
        return False
    write_file(path, whole_card(card) if text is None else renewed(text, card))
    return True


def named(text: str, source: str) -> str:
    """The card `text` with `source` as its title and as what one loads, if the markers are there."""
    head, ours, tail = _parts(text, _BODY)
    before = _SOURCE.search(ours)
    if before is None:
        return text
    old, new = (f"\n# {_plain(_title(name))}\n" for name in (json.loads(before[1]), source))
    ours = ours[: before.start(1)] + _literal(source) + ours[before.end(1) :]
    return head.replace(old, new, 1) + ours + tail


def with_demo(text: str, address: str | None) -> str:
    """The card `text` with a link to its demo page, if the markers are there; None: without one."""
    head, ours, tail = _parts(text, _BODY)
    link = f"Try it in a browser: [demo page]({address}).\n\n" if address else ""
    return head + _DEMO.sub("", ours).replace(_BELOW, link + _BELOW, 1) + tail


def model_card(folder: Path, source: str) -> Card:
    """The card of a saved model without its run: what its config says, and an evaluation beside it."""
    config, place = read_json(folder / CONFIG), str(folder / CONFIG)
    facts, generator = check_facts(config, place), config.get("generator")
    generator = generator if isinstance(generator, dict) else {}
    names, classes = facts["class_names"], facts["num_classes"]
    card = Card(
        source=source,
        weights=weights_hash(folder),
        preset=facts["preset"],
        family=_family(generator),
        packages=tuple(dict.fromkeys(each["package"] for each in read_plugins(generator.get("plugins", []), place))),
        label=(classes - 1, str(names[-1]) if names else f"class {classes - 1}") if classes else None,
        figures=evaluated(folder, folder),
        pictures=tuple(name for name in (GRID, LOSS_CURVES) if (folder / name).is_file()),
    )
    try:
        (network,) = SavedModel.open(folder, ("",)).build()
    except GanzooError:  # networks of the user's own, or of a package that is not here
        return card
    assert isinstance(network, Generator)
    kind = {1: "grey ", 3: "colour "}.get(network.image_channels, "")
    size = f"{network.image_size}x{network.image_size} pixels"
    return replace(card, images=f"{kind}images of {size}", parameters=parameter_count(network))


def _family(generator: dict[str, Any]) -> str | None:
    """The networks' family; None for one whose blocks are not those that it is named after."""
    model, config = generator.get("model"), generator.get("config")
    if not isinstance(model, str):
        return None
    family = model.removesuffix("-generator")
    block = config.get("block") if isinstance(config, dict) else None
    return family if block is None or str(block).startswith(family) else None


def run_card(
    run: str | Path,
    model: str | Path | None = None,
    source: str | None = None,
    earlier: Sequence[str | Path] = (),
) -> bool:
    """Write `README.md` and `samples/losses.png` into the model of `run`, as `write_card` does; all that the card tells
    is read from the run's own files.

    Args:
        model: a copy of the run's model, to write into instead. source: what `from_pretrained` takes to load it.
        earlier: the runs that it was trained on from, the first one first: the card has their commands and images too.

    Raises:
        TrainingError: no run is there, or it has no model. WeightsError: a file of it is damaged.
    """
    folder = RunFolder(run)
    folder.facts()
    model = Path(model or folder.path / "model")
    if not (model / WEIGHTS).is_file():
        raise TrainingError(
            f"{folder.path} has no saved model ({WEIGHTS} in {model}); go on with it: {resume_command(folder.path)}"
        )
    with damage_said(folder.path):
        record, *before = map(_Record, (run, *earlier))
        if record.losses:
            curves = {
                name.replace("_", " "): [(each["step"], each[name]) for each in record.losses]
                for name in ("discriminator_loss", "generator_loss")
            }
            images.save(picture(curves, last_step=record.last), model / LOSS_CURVES)
        data = record.facts["data"]
        commands = [str(each["command"]) for of in (*before, record) for each in of.parts()]
        card = replace(
            model_card(model, source or source_of(run)),
            preset=record.facts["gan"]["preset"],
            speed=_speed(record),
            data=str(data["name"]),
            data_id=_hub_id(data),
            data_licence=str(data.get("licence", "not known")),
            training=tuple(_rows(record, before)),
            command=" && ".join(each for each in commands if each != NOTEBOOK),
        )
        if figures := evaluated(folder.path, model):
            card = replace(card, figures=figures)
    return write_card(model, card)


class _Record:
    """What the files of a run say, as far as a card tells it."""

    def __init__(self, run: str | Path) -> None:
        folder = RunFolder(run)
        self.facts, log, self.timing = folder.facts(), folder.entries(), folder.entries("timing.jsonl")
        self.settings, self.machine = self.facts["settings"], self.facts["machine"]
        self.losses = [entry for entry in log if "generator_loss" in entry]
        self.scores = model_scores(log, self.settings)
        # the last steps may stand in no log
        self.last = max([entry["step"] for entry in self.losses[-1:]] + checkpoint_steps(folder.path), default=0)
        self.returns = [entry for entry in log if entry.get("remark") == "not-finite"]
        best = self.scores and self.settings.get("keep") != "last"
        saved = max(checkpoint_steps(folder.path), default=self.last)  # with the model, if that is the last state
        self.kept = self.scores[-1]["step"] if best else saved  # the step whose weights were kept

    def parts(self) -> list[dict[str, Any]]:
        """Its beginning and its stretches, each with a command."""
        return [self.facts, *self.facts.get("stretches", ())]

    def seen(self, steps: int) -> int:
        """Real images seen in so many steps, at most."""
        return int(steps * self.settings["batch_size"] * self.settings["discriminator_steps"])

    def hardware(self) -> str:
        """What it ran on."""
        return f"{self.facts.get('hardware', self.machine['device'])}, {counted(self.machine['threads'], 'thread')}"


def _rows(run: _Record, earlier: list[_Record]) -> Iterator[tuple[str, str]]:
    """The rows of the training table."""
    facts, settings, data = run.facts, run.settings, run.facts["data"]
    streamed = "streamed, of which the first " * bool(data.get("streamed"))  # and the hash is of those
    yield "data", f"{data['name']}, {streamed}{data['images']:,} images, hash {data['hash'][:16]}"
    kept = f"; the weights are of step {run.kept:,}" if run.scores or run.kept < run.last else ""
    yield "steps", f"{run.last:,} of {settings['steps']:,}{kept}"
    whole = f"; {run.seen(run.last):,} in the whole run" if run.kept < run.last else ""
    yield "real images seen", f"{_at_most([run])}{run.seen(run.kept):,}{whole}"
    if facts.get("from"):
        before = sum(each.seen(each.kept) for each in earlier)
        after = f", after {_at_most(earlier)}{before:,} real images" if earlier else ""
        yield "trained on from", f"{facts['from']}{after}"
    for each in facts.get("stretches", ()):
        yield f"from step {each['step']:,} on", changed_in_words(each["changed"])
    if any(each["command"] == NOTEBOOK for of in (*earlier, run) for each in of.parts()):
        yield "trained in", NOTEBOOK
    for each in run.returns:
        yield f"at step {each['step']:,}", each["text"]
    yield "seed", str(settings["seed"])
    yield "kind", _kind(facts["gan"], data.get("clusters_found"))
    yield from _machine_rows(run)
    if run.scores:
        scored, why = run.scores[-1], f"the best: step {run.kept:,} was kept"
        if settings.get("keep") == "last":
            why = "of the last state, which was kept"
            if scored["step"] != run.kept:
                why = f"of step {scored['step']:,}; the last saved state, of step {run.kept:,}, was kept"
        score = f"{scored['score']:.3g}, {why}"
        yield "score", f"{score}. A kernel distance in random features; compare it only within this run"


def _machine_rows(run: _Record) -> Iterator[tuple[str, str]]:
    """How long it took, on what, with which programs."""
    facts, machine = run.facts, run.machine
    if times := [entry for entry in run.timing if entry.get("images_per_second")]:
        speed = median(entry["images_per_second"] for entry in times)
        yield "time", f"{duration(seconds(times, run.settings))} by the clock, median speed {speed:,.0f} images/s"
    processes = f", {machine['processes']} processes" if machine["processes"] > 1 else ""
    yield "machine", f"{run.hardware()}, {machine['precision']}{processes}"
    if plugins := recorded_plugins(facts, "run.json"):
        named = (f"{each['kind']} {each['name']} of {each['package']} {each['version']}" for each in plugins)
        yield "plug-ins, by others", ", ".join(named)
    yield "versions", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())


def _speed(run: _Record) -> str | None:
    """The time of an image, as it was measured at the run's end."""
    found = [entry["sample_seconds"] for entry in run.timing if entry.get("sample_seconds")]
    return f"{number(1000 * found[-1], 2)} ms for an image on {run.hardware()}" if found else None


def _at_most(runs: Sequence[_Record]) -> str:
    """Put before a number of images: the last batch of an epoch may be smaller (keep_last_batch)."""
    return "at most " if any(each.settings["keep_last_batch"] for each in runs) else ""


def _kind(gan: dict[str, Any], found: int | None) -> str:
    of_each = " of each class" * bool(gan["num_classes"])
    clusters = f", {gan['clusters']} clusters{of_each}" if gan.get("clusters") else ""
    most = label_count(gan["num_classes"], gan.get("clusters", 0))
    if clusters and found is not None and found < most:
        clusters += f" ({found} of {most} found in the data)"
    if not gan["num_classes"]:
        return f"unconditional{clusters}"
    names = [str(name) for name in gan["class_names"][:100]]
    named = ": " + ", ".join(f"{index} {name}" for index, name in enumerate(names)) if names else ""
    return f"conditional on {gan['num_classes']:,} classes (labels=){named}{clusters}"


def _hub_id(data: dict[str, Any]) -> str | None:
    source = str(data.get("source") or data["name"])  # without a source it is an ImageData, or has no name of a set
    on_the_hub = _HUB_SOURCE.fullmatch(source)
    return on_the_hub[1] if on_the_hub else _ON_THE_HUB.get(source_name(source) or "")


def whole_card(card: Card) -> str:
    """The text of a new card, by templates/card_template.md."""
    cards = templates(finalize=_escaped, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    cards.filters.update(code=_code, literal=lambda text: Markup(_literal(text)))
    return str(
        cards.get_template("card_template.md").render(
            card=card,
            title=_title(card.source),
            metadata=Markup(_metadata(card)),
            results=Markup(_results(card)),
            below=_BELOW,
            figures=map(_row, card.figures),
            GRID=GRID,
            LOSS_CURVES=LOSS_CURVES,
        )
    )


def _title(source: str) -> str:
    """The name of the repository, model or run."""
    return name_of(source) or "GAN"


def is_marked(text: str) -> bool:
    """Whether the markers are in the card `text`, so that what is ours in it can be renewed."""
    return _parts(text, _BODY)[1] != ""


def _parts(text: str, markers: tuple[str, str]) -> tuple[str, str, str]:
    """`text` before the `markers`, from one to the other, and behind; all is before unless each is there once, in
    order."""
    begin, end = markers
    found = re.fullmatch(f"(.*)({begin}.*{end})(.*)", text, re.DOTALL)
    return (found[1], found[2], found[3]) if found and text.count(begin) == text.count(end) == 1 else (text, "", "")


def renewed(text: str, card: Card) -> str:
    """The card `text`, which must be marked, with what is ours in it as `card` tells it."""
    new, (begin, old, end) = whole_card(card), _parts(named(text, card.source), _BODY)
    ours = _with_known(_parts(new, _BODY)[1], old.replace("\r\n", "\n"), card)
    text = begin + ours + end
    head = re.match(r"\ufeff?---\r?\n.*?\n---\r?\n", text, re.DOTALL)
    begin, results, end = _parts(head[0] if head else "", _HEADER)
    if head is None or not results or (not card.figures and _NOT_MEASURED not in ours):
        return text
    theirs = re.search(r"^model-index\s*:", begin + end, re.MULTILINE)  # a key stands but once
    header = begin + ("\n".join(_HEADER) if theirs else _parts(new, _HEADER)[1]) + end
    if GRID not in card.pictures:  # the grid was of weights that are gone, and so is its file
        header = header.replace(_WIDGET, "")
    return header + text[head.end() :]


def _with_known(new: str, old: str, card: Card) -> str:
    """`new`; if the run is not here, with what only `old` tells of these same weights."""
    if card.training or card.weights not in old:
        return new
    new = new.replace(_first_line(new), _first_line(old), 1)
    for start, end, found in ((_FIGURES, _BODY[1], card.figures), (_TRAINING, _FIGURES, ())):
        if not found and start in old:
            known = old[old.index(start) :].partition(end)[0]
            new = new[: new.index(start)] + known + new[new.index(end) :]
    return new


def _first_line(ours: str) -> str:
    """What stands first of what is ours: what the model draws."""
    return ours.removeprefix(_BODY[0]).lstrip("\n").partition("\n")[0]


def _metadata(card: Card) -> str:
    from huggingface_hub import ModelCardData

    metadata = ModelCardData(
        library_name="ganzoo",
        pipeline_tag=TASK,
        license="unknown",
        tags=["gan", *(_word(each) for each in (card.family, "ganzoo", card.preset) if each)],
        datasets=[card.data_id] if card.data_id else None,
        widget=[{"text": "samples", "output": {"url": GRID}}] if GRID in card.pictures else None,
        ignore_metadata_errors=False,
    )
    return str(metadata.to_yaml())


def _results(card: Card) -> str:
    """The measured figures as the Hub's model-index, between markers."""
    if not card.figures:
        return "\n".join(_HEADER)
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index
    from huggingface_hub.utils import yaml_dump

    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=(figure.data == card.data and card.data_id) or _ON_THE_HUB.get(figure.data, "local"),
            dataset_name=_word(figure.data),
            dataset_split=_word(figure.split),
            metric_type=re.sub(r"\W+", "-", figure.name.lower()).strip("-") or "figure",
            metric_name=_word(f"{figure.name}, {figure.how}"),
            metric_value=figure.value,
        )
        for figure in card.figures
    ]
    index = {"model-index": eval_results_to_model_index(_word(card.preset or "gan"), results)}
    return f"{_HEADER[0]}\n{yaml_dump(index, sort_keys=False)}{_HEADER[1]}"


def _row(of: Figure) -> tuple[str, ...]:
    references = with_spread(of.real_reference), with_spread(of.noise_reference)
    return of.name.replace(f"({of.features})", ""), with_spread(of.value, of.spread), *references, of.better


def _printable(text: str) -> str:
    """`text` on one line; a name on disk may hold bytes that are not text."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _plain(text: str) -> str:
    """`text` without what Markdown or HTML would take for its own."""
    text = " ".join(_printable(text).split())
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")


def _escaped(value: object) -> Markup:
    """`value` as Markdown shows it; what is Markdown stays."""
    return value if isinstance(value, Markup) else Markup(_plain(str(value)))


def _word(text: str) -> str:
    """`text` without what a marker could be made of."""
    return " ".join(re.sub(r"[<>#]", " ", _printable(text)).split())


def _code(text: str) -> Markup:
    """`text` as it is, in a fence that nothing in it can close."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    return Markup("\n".join([fence, _printable(text).replace("<!--", "<! --"), fence]))


def _literal(text: str) -> str:
    """`text` as Python writes it, without what a marker could be made of."""
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("<", "\\u003c")
