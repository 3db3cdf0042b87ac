"""A demo page as a Space of the Hugging Face Hub: what its folder holds."""

from __future__ import annotations

from pathlib import Path

from ganzoo.saving.format import CARD, CONFIG, WEIGHTS

APP, REQUIREMENTS, MODEL = "app.py", "requirements.txt", "model"
SPACE = (APP, REQUIREMENTS, CARD, *(f"{MODEL}/{name}" for name in (CONFIG, WEIGHTS, CARD)))
MARK = "made by `ganzoo demo --export-space`"  # in the first line of app.py


def is_space(folder: Path) -> bool:
    """Whether `folder` holds a Space that ganzoo wrote."""
    try:
        return MARK in (folder / APP).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return False


def with_model(card: str, repo_id: str) -> str:
    """The `card` of a Space that names its model, so that the Hub shows each on the other's page."""
    head, end, body = card.partition("\n---\n")
    return card if "\nmodels:" in head or not end else f"{head}\nmodels:\n- {repo_id}{end}{body}"
