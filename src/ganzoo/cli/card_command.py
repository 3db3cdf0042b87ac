"""`ganzoo card`: write a model card again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.errors import shell


def card(folder: Annotated[Path, typer.Argument(help="A run's folder, or a saved model.")]) -> None:
    """Write the model card of a run or saved model again.

    What was edited outside its markers is kept.
    """
    from ganzoo.files import expand_user
    from ganzoo.runs.card import model_card, run_card, write_card
    from ganzoo.runs.folder import RunFolder
    from ganzoo.saving.format import CARD
    from ganzoo.saving.resolve import local_folder

    folder = expand_user(folder)
    run = folder.parent if folder.name == "model" and RunFolder(folder.parent).exists() else folder
    if RunFolder(run).exists():
        written, path = run_card(run), run / "model" / CARD
    else:
        root = local_folder(folder)
        written, path = write_card(root, model_card(root, str(folder))), root / CARD
    if written:
        print(f"card: {shell(path)}")
    else:
        gone = "its markers ganzoo:begin and ganzoo:end are gone or out of order"
        print(f"{shell(path)} was kept: {gone}. Remove it to have a new one.")
