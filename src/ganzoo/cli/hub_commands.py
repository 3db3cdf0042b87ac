"""`ganzoo push` and `ganzoo pull`: a saved model to the Hugging Face Hub, and from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import ENDPOINT


def push(
    folder: Annotated[Path, typer.Argument(help="A saved model, or a run's folder.")],
    repo_id: Annotated[str, typer.Argument(help="owner/name; made if it is not there.")],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a repository that is made.  [default: the account's]")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, made if it is not there.  [default: main]")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose it as a pull request.")] = False,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Push a saved model to the Hub in one commit.

    Networks, pictures and card are pushed, and nothing else.
    The token is the one of `hf auth login`, or $HF_TOKEN.
    """
    from ganzoo.hub.push import push_folder
    from ganzoo.runs.card import run_card
    from ganzoo.runs.folder import RunFolder

    if RunFolder(folder).exists():
        run_card(folder)  # with what was measured since
    pushed = push_folder(
        folder, repo_id, private=private, revision=revision, create_pr=create_pr, message=message, endpoint=endpoint
    )
    print(f"{pushed.url}  commit {pushed.commit[:12]}" if pushed.changed else f"{pushed.url}  was the same already")


def pull(
    repo_id: Annotated[str, typer.Argument(help="owner/name")],
    folder: Annotated[Path, typer.Argument(help="Where to put the model.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit.  [default: main]")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Copy a saved model from the Hub into a folder."""
    from ganzoo.hub.remote import pull as pull_from_hub

    print(f"model: {pull_from_hub(repo_id, folder, revision, endpoint=endpoint)}")
