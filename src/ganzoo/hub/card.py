"""A model card: what a saved model is, how it came about, and what was measured of it. Nothing that was not.

A card that a person has edited is kept. Only what stands between two markers is ever written again: in the body
`<!-- ganzoo:begin -->` and `<!-- ganzoo:end -->`, in the header the comments `# ganzoo:begin` and `# ganzoo:end`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.errors import WeightsError, quote
from ganzoo.files import write_file
from ganzoo.hub.folder import CONFIG, WEIGHTS, read_json

CARD, GRID, LOSSES = "README.md", "samples/grid.png", "samples/losses.png"
EVALUATION = "evaluation.json"
TASK = "unconditional-image-generation"
_BODY = ("<!-- ganzoo:begin -->", "<!-- ganzoo:end -->")
_HEADER = ("# ganzoo:begin", "# ganzoo:end")
_SOURCE = re.compile(r'from_pretrained\("[^"\n]*"\)')


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measure: its name, and how it was measured; yardsticks where there are any."""

    name: str
    value: float
    how: str
    spread: float | None = None
    floor: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card tells.

    Args:
        source: what `from_pretrained` takes: a folder, or a repository's owner/name.
        preset: the recipe's name.
        licence: of the weights, as the Hub spells it.
        data: the set's name. data_id: its id on the Hub, where it is there. data_licence: in words.
        training: rows of the training table. command: that began the run.
        figures: what was measured.
        pictures: of `GRID` and `LOSSES`, those that are there.
    """

    source: str
    preset: str | None = None
    licence: str = "unknown"
    data: str = "not known"
    data_id: str | None = None
    data_licence: str = "not known"
    training: tuple[tuple[str, str], ...] = ()
    command: str | None = None
    figures: tuple[Figure, ...] = ()
    pictures: tuple[str, ...] = ()


def write_card(folder: Path, card: Card) -> bool:
    """Write `README.md` into `folder`, or renew what is ours in the one that is there.

    Returns:
        Whether it was written; False where a person has taken the markers away (or it is no text), and it is kept.
    """
    path = folder / CARD
    try:
        text = path.read_bytes().decode() if path.is_file() else None  # line ends as they are
    except UnicodeDecodeError:
        return False
    if text is not None and not all(text.count(marker) == 1 for marker in _BODY):
        return False
    write_file(path, whole_card(card) if text is None else _renewed(text, card))
    return True


def named(text: str, source: str) -> str:
    """The card `text` with `source` as what one loads, if the markers are there."""
    start, end = text.find(_BODY[0]), text.find(_BODY[1])
    if not 0 <= start < end:
        return text
    inside = _SOURCE.sub(lambda _: f'from_pretrained("{source}")', text[start:end])
    return text[:start] + inside + text[end:]


def model_card(folder: Path, source: str) -> Card:
    """The card of a saved model without its run: what its config says, and an evaluation beside it."""
    preset = read_json(folder / CONFIG).get("preset")
    return Card(
        source=source,
        preset=preset if isinstance(preset, str) else None,
        figures=evaluated(folder, folder),
        pictures=tuple(name for name in (GRID, LOSSES) if (folder / name).is_file()),
    )


def evaluated(folder: Path, model: Path) -> tuple[Figure, ...]:
    """The figures in `folder/evaluation.json`, if they were measured of the weights that `model` holds now.

    Raises:
        WeightsError: the file is damaged.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return ()
    found = read_json(path)
    if found.get("weights") != weights_hash(model):
        return ()
    how = f"{found.get('samples')} samples against {found.get('data')} ({found.get('split')})"
    entries = found.get("figures")
    if not isinstance(entries, list) or len(entries) > 1000:
        raise WeightsError(f"{path}: figures must be a list, got {quote(entries)}; evaluate the model again.")
    return tuple(_figure(entry, how, f"{path}: figures[{index}]") for index, entry in enumerate(entries))


def weights_hash(model: Path) -> str:
    """sha256 of the generator's weights file in `model`."""
    return hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()


def _figure(entry: Any, how: str, place: str) -> Figure:
    numbers = ("value", "spread", "floor", "ceiling")
    sound = isinstance(entry, dict) and isinstance(entry.get("name"), str)
    if not sound or not all(type(entry.get(key)) in (int, float, type(None)) for key in numbers):
        raise WeightsError(f"{place} must hold a name and numbers, got {quote(entry)}; evaluate the model again.")
    if entry.get("value") is None:
        raise WeightsError(f"{place}.value is missing; evaluate the model again.")
    return Figure(name=entry["name"], how=how, **{key: entry.get(key) for key in numbers})


def whole_card(card: Card) -> str:
    """The text of a new card."""
    title = _plain(card.preset or card.source.rsplit("/", 1)[-1])
    lines = [
        "---",
        _metadata(card),
        _results(card),
        "---",
        "",
        f"# {title}",
        "",
        f"A GAN trained on {_plain(card.data)}, made with ganzoo.",
        "",
        _measured(card),
        "",
        "## Limits",
        "",
        "It knows what it was trained on and nothing else, gaps and one-sidedness included. Look at the samples and at "
        "the figures before you rely on it.",
        "",
        f"Licence of the data: {_plain(card.data_licence)}.",
        "",
    ]
    return "\n".join(lines)


def _renewed(text: str, card: Card) -> str:
    text = _between(text, *_BODY, _measured(card))
    head = re.match(r"---\n.*?\n---\n", text, re.DOTALL)
    if head is None or not all(head[0].count(marker) == 1 for marker in _HEADER):
        return text
    return _between(head[0], *_HEADER, _results(card)) + text[head.end() :]


def _between(text: str, begin: str, end: str, block: str) -> str:
    return text[: text.index(begin)] + block + text[text.index(end) + len(end) :]


def _metadata(card: Card) -> str:
    from huggingface_hub import ModelCardData

    grid = GRID in card.pictures
    data = ModelCardData(
        library_name="ganzoo",
        pipeline_tag=TASK,
        license=card.licence,
        license_name="see-the-card" if card.licence == "other" else None,
        tags=["gan", "dcgan", "ganzoo", *([_word(card.preset)] if card.preset else [])],
        datasets=[card.data_id] if card.data_id else None,
        widget=[{"text": "samples", "output": {"url": GRID}}] if grid else None,
        ignore_metadata_errors=False,
    )
    return str(data.to_yaml())


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
            dataset_type=card.data_id or "local",
            dataset_name=_word(card.data),
            metric_type=re.sub(r"\W+", "-", figure.name.lower()).strip("-") or "figure",
            metric_name=_word(f"{figure.name}, {figure.how}"),
            metric_value=figure.value,
        )
        for figure in card.figures
    ]
    index = {"model-index": eval_results_to_model_index(_word(card.preset or "gan"), results)}
    return f"{_HEADER[0]}\n{yaml_dump(index, sort_keys=False).rstrip()}\n{_HEADER[1]}"


def _measured(card: Card) -> str:
    """What is ours in the body, between markers."""
    parts = [_BODY[0], ""]
    if GRID in card.pictures:
        parts += ["<Gallery />", "", f"![Samples of seed 0]({GRID})", ""]
    parts += ["```python", "import ganzoo", "", f'gan = ganzoo.from_pretrained("{_name(card.source)}")']
    parts += ["images = gan.sample(64, seed=0)  # float32 in [-1, 1]", "```", "", "## Training", ""]
    parts += _table(("", ""), card.training) if card.training else ["Not recorded."]
    if card.command:
        parts += ["", "```", _name(" ".join(card.command.split()), "`<"), "```"]
    if LOSSES in card.pictures:
        parts += ["", f"![Losses over the steps]({LOSSES})"]
    parts += ["", "## Figures", ""]
    if card.figures:
        rows = [(f.name, _number(f.value, f.spread), _number(f.floor), _number(f.ceiling), f.how) for f in card.figures]
        parts += _table(("measure", "this model", "real images", "noise", "measured on"), rows)
    else:
        parts += ["Not measured."]
    return "\n".join([*parts, "", _BODY[1]])


def _table(head: tuple[str, ...], rows: Any) -> list[str]:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_plain, row)) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _number(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" + (f" ± {spread:.2g}" if spread is not None else "")


def _plain(text: str) -> str:
    """`text` on one line, without what Markdown or HTML would take for its own."""
    text = " ".join(str(text).split())
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")


def _word(text: str) -> str:
    """`text` on one line, without what a marker could be made of."""
    return " ".join(re.sub(r"[<>#]", " ", text).split())


def _name(text: str, without: str = '"\\`<') -> str:
    return "".join(letter for letter in text if letter.isprintable() and letter not in without)
