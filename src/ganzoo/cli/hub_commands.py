"""`ganzoo push` and `ganzoo pull`: a saved model to the Hugging Face Hub, and from there."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.options import ENDPOINT, JSON, print_json
from ganzoo.errors import shell


def push(
    folder: Annotated[Path, typer.Argument(help="A saved model, or a run's folder.")],
    repo_id: Annotated[str, typer.Argument(help="owner/name; created if it does not exist.")],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Who can see a new repository.  [default: the account's]")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, created if it does not exist.  [default: main]")
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose it as a pull request.")] = False,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    space: Annotated[
        bool, typer.Option("--space", help="Push a demo page of it as a Space; or a folder of --export-space.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
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
    how = {"private": private, "revision": revision, "create_pr": create_pr, "message": message, "endpoint": endpoint}
    with _space_of(folder, repo_id) if space else nullcontext(folder) as root:
        pushed = push_folder(root, repo_id, **how)  # type: ignore[arg-type]
    if as_json:
        return print_json(dataclasses.asdict(pushed))
    print(f"{pushed.url}  commit {pushed.commit[:12]}" if pushed.changed else f"{pushed.url}  was the same already")


@contextmanager
def _space_of(folder: Path, repo_id: str) -> Iterator[Path]:
    """The Space in `folder`, or one made of the model there, for the length of a `with` block."""
    from ganzoo.hub.push import check_repo_id, is_space
    from ganzoo.integrations.space import export_space
    from ganzoo.pretrained import from_pretrained

    if is_space(folder):
        yield folder
        return
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as root:
        yield export_space(from_pretrained(Path(folder)), Path(root) / repo_id.rpartition("/")[2])


def pull(
    repo_id: Annotated[str, typer.Argument(help="The repository: owner/name.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the model.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit.  [default: main]")] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
) -> None:
    """Copy a saved model from the Hub into a folder."""
    from ganzoo.hub.remote import pull as pull_from_hub

    print(f"model: {shell(pull_from_hub(repo_id, folder, revision, endpoint=endpoint))}")
