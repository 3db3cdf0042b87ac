"""The figures that were measured of a saved model, read from the evaluation beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.errors import WeightsError, quote
from ganzoo.files import sha256_of
from ganzoo.saving.format import WEIGHTS, check_format, read_json

EVALUATION = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measure: its name, and how it was measured; reference values, if there are any.

    Args:
        features: of which network. how: on what, in words. data, split: the real images. command: that measured it.
        spread: of the value. real_reference, noise_reference: the same measure of other real images, and of noise.
        better: "lower" or "higher".
    """

    name: str
    value: float
    features: str
    how: str
    data: str
    split: str
    command: str
    spread: float | None = None
    real_reference: float | None = None
    noise_reference: float | None = None
    better: str = "not known"


def evaluated(folder: Path, model: Path) -> tuple[Figure, ...]:
    """The figures in `folder/evaluation.json`, if they were measured of the weights that `model` holds now.

    Raises:
        WeightsError: the file is damaged.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return ()
    found = read_json(path)
    check_format(found, str(path))
    if found.get("weights") != weights_hash(model):
        return ()
    names = ("features", "data", "split", "command")
    for key, kind in {**dict.fromkeys(names, str), "samples": int, "figures": list}.items():
        if not isinstance(found.get(key), kind):
            raise WeightsError(f"{path}: {key} must be {kind.__name__}, got {quote(found.get(key))}; evaluate again.")
    shared = {key: found[key] for key in names}
    shared["how"] = f"{found['samples']:,} samples against {found['data']} ({found['split']})"
    entries = enumerate(found["figures"])
    return tuple(Figure(**_numbers(entry, f"{path}: figures[{index}]"), **shared) for index, entry in entries)


def weights_hash(model: Path) -> str:
    """sha256 of the generator's weights file in `model`."""
    return sha256_of(model / WEIGHTS)


def _numbers(entry: Any, place: str) -> dict[str, Any]:
    """Name and numbers of a figure in an evaluation, or WeightsError."""
    keys = ("value", "spread", "real_reference", "noise_reference")
    found = {key: entry.get(key) for key in keys} if isinstance(entry, dict) else {}
    given = [number for number in found.values() if number is not None]
    sound = all(type(number) in (int, float) and -1e30 < number < 1e30 for number in given)
    if not found or not sound or not isinstance(entry.get("name"), str):
        raise WeightsError(f"{place} must hold a name and numbers, got {quote(entry)}; evaluate the model again.")
    if found["value"] is None:
        raise WeightsError(f"{place}.value is missing; evaluate the model again.")
    better = entry["better"] if entry.get("better") in ("lower", "higher") else "not known"
    return {"name": entry["name"], "better": better, **found}
