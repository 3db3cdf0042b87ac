"""A demo page to the Hugging Face Hub, as a Space: what its folder holds, and how it is sent."""

from __future__ import annotations

from pathlib import Path

from ganzoo.errors import SourceError
from ganzoo.files import expand_user
from ganzoo.hub.push import Pushed, check_repo_id, files_of, send
from ganzoo.saving.format import CARD, CONFIG, WEIGHTS
from ganzoo.saving.model import SavedModel

APP, REQUIREMENTS, MODEL = "app.py", "requirements.txt", "model"
LAYOUT = (APP, REQUIREMENTS, CARD, *(f"{MODEL}/{name}" for name in (CONFIG, WEIGHTS, CARD)))
MARK = "made by `ganzoo demo --export-space`"  # in the first line of app.py


def is_space(folder: Path) -> bool:
    """Whether `folder` holds a Space that ganzoo wrote."""
    try:
        return MARK in (folder / APP).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return False


def push_space(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    message: str | None = None,
    endpoint: str | None = None,
) -> Pushed:
    """Push the Space in `folder`, which `ganzoo.integrations.space.export_space` wrote, to `repo_id`, made if need be.

    The Hub then builds and serves it. The arguments and errors are those of `ganzoo.hub.push.push_folder`.
    """
    check_repo_id(repo_id)
    root = expand_user(folder)
    if not is_space(root):
        raise SourceError(f"{root} holds no Space of ganzoo; write one: ganzoo demo SOURCE --export-space FOLDER")
    contents = files_of(root, LAYOUT)
    SavedModel.open(root / MODEL).build()
    message = message or f"Demo by ganzoo: {root.name}"
    return send(contents, LAYOUT, repo_id, "space", private, token, revision, create_pr, message, endpoint)
