"""A saved model, or a demo page of one, to the Hugging Face Hub in one commit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import ConfigError, WeightsError, quote, shown
from ganzoo.files import expand_user, name_of
from ganzoo.hub.client import bounded_bar, client
from ganzoo.hub_errors import hub_errors
from ganzoo.models.onnx import fingerprint
from ganzoo.runs.card import is_marked, model_card, named, renewed, whole_card, with_demo
from ganzoo.saving.format import CARD, CONFIG, LARGEST_CONFIG, ONNX, WEIGHTS
from ganzoo.saving.model import LAYOUT, SavedModel, holds_model
from ganzoo.saving.resolve import local_folder
from ganzoo.saving.results import weights_hash

if TYPE_CHECKING:
    from huggingface_hub import HfApi

APP, REQUIREMENTS, MODEL = "app.py", "requirements.txt", "model"  # what the folder of a Space holds
SPACE = (APP, REQUIREMENTS, CARD, *(f"{MODEL}/{name}" for name in (CONFIG, WEIGHTS, CARD)))
MARK = "made by `ganzoo demo --export-space`"  # in the first line of app.py


@dataclass(frozen=True)
class Pushed:
    """Where a model went.

    Args:
        url: of the repository, or of the pull request.
        commit: of the model there, 40 hexadecimal digits.
        changed: False if the repository held the same already and no commit was made.
    """

    url: str
    commit: str
    changed: bool

    def __str__(self) -> str:
        return self.url


def push_folder(
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
    """Push the saved model in `folder` (or in a run's folder), or the Space there, to `repo_id`, made if need be.

    The files of a saved model are sent, and nothing else: no checkpoint, no optimizer's state, no file that happens to
    lie beside them. Those that an earlier model left there and this one lacks are deleted in the same commit. All
    networks are loaded first, so what is pushed can be loaded. A Space, which `ganzoo.integrations.space.export_space`
    wrote, is sent in the same way; the Hub then builds and serves it.

    Args:
        private: of a repository that is made; None leaves it to the account's setting. One that exists is not changed.
        token: of an account with the right to write; None takes the one of `hf auth login`.
        revision: a branch, made if it is not there; None for main.
        create_pr: propose the commit as a pull request.
        message: of the commit.
        endpoint: of another Hub.

    Raises:
        SourceError, WeightsError, ConfigError: `folder` holds no model that can be loaded, or links out of it.
        ConfigError: the repository, or the branch, holds a model or a Space of something else.
        HubError: the Hub refuses, or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    check_repo_id(repo_id)
    if is_space(root := expand_user(folder)):
        kind, sdk, layout = "space", "gradio", SPACE
        contents: dict[str, bytes | Path] = {**files_of(root, SPACE)}
        SavedModel.open(root / MODEL).build()
    else:
        root = local_folder(folder)
        kind, sdk, layout, contents = "model", None, LAYOUT, _contents(root, repo_id)
    title = name_of(root.parent if root.name == "model" else root)
    api = client(token, endpoint)
    with hub_errors(repo_id, revision):
        made_of = api.create_repo(repo_id, repo_type=kind, space_sdk=sdk, private=private, exist_ok=True)
        repo_id = made_of.repo_id
        there = revision is not None and api.revision_exists(repo_id, revision, repo_type=kind)
        # A branch that is not there is made from main and begins with its files, so main is looked at instead.
        looked_at = revision if there else None
        found: Any = api.repo_info(repo_id, repo_type=kind, revision=looked_at, files_metadata=True)
        _check_ours(api, kind, repo_id, looked_at, found)
        if revision is not None:
            if not create_pr and not there:  # a pull request, refs/pr/1, can't be made as a branch
                api.create_branch(repo_id, repo_type=kind, branch=revision, exist_ok=True)
            found = api.repo_info(repo_id, repo_type=kind, revision=revision)
        if CARD in contents:
            contents[CARD] = _linked(api, kind, repo_id, found.private, contents[CARD])
        left = _names(found).intersection(layout) - contents.keys()
        added = [CommitOperationAdd(name, content) for name, content in contents.items()]
        made = api.create_commit(
            repo_id,
            [*added, *map(CommitOperationDelete, sorted(left))],
            commit_message=message or f"{'Demo' if sdk else 'Model'} of ganzoo: {title}",
            repo_type=kind,
            revision=revision,
            create_pr=create_pr,
            parent_commit=found.sha,
        )
    return Pushed(made.pr_url or str(made.repo_url), made.oid, made.oid != found.sha)


def _names(found: Any) -> set[str]:
    """The files of a repository, as it was `found`."""
    return {file.rfilename for file in found.siblings or ()}


def _check_ours(api: HfApi, kind: str, repo_id: str, revision: str | None, found: Any) -> None:
    """Raise ConfigError if a repository, as it was `found`, has files of the same names that are not ours."""
    layout, ours, what = (SPACE, is_space, "Space") if kind == "space" else (LAYOUT, holds_model, "model")
    foreign, mark = [name for name in layout if name in _names(found) and name != CARD], layout[0]
    if not foreign:
        return
    size = next((file.size for file in found.siblings if file.rfilename == mark), None)
    if mark in foreign and (size or 0) <= LARGEST_CONFIG:
        bar = bounded_bar(f"{repo_id}: {mark}", LARGEST_CONFIG)
        path = api.hf_hub_download(repo_id, mark, repo_type=kind, revision=found.sha, tqdm_class=bar)
        if ours(Path(path).parent):
            return
    named = repo_id if revision is None else f"{repo_id}, revision {shown(revision)},"
    raise ConfigError(
        f"{named} holds {', '.join(foreign)} of something else than a {what} of ganzoo, which would be replaced; name "
        f"a new repository"
    )


def _linked(api: HfApi, kind: str, repo_id: str, private: bool, card: bytes | Path) -> bytes:
    """The card of a model with a link to the demo of the same name, or that of a demo with the name of its model.

    None is linked if it is not there, or if it is private and this one is not.
    """
    from huggingface_hub.errors import HfHubHTTPError

    text = (card if isinstance(card, bytes) else card.read_bytes()).decode("utf-8", "surrogateescape")
    try:
        twin = api.repo_info(repo_id, repo_type="model" if kind == "space" else "space")
        there = private or not twin.private
    except HfHubHTTPError as error:
        if error.response.status_code not in (401, 403, 404):  # none, or one that this account may not see
            raise
        there = False
    if kind == "space":
        text = _with_model(text, repo_id) if there else text
    else:
        text = with_demo(text, f"{api.endpoint}/spaces/{repo_id}" if there else None)
    return text.encode("utf-8", "surrogateescape")


def files_of(root: Path, layout: Collection[str]) -> dict[str, Path]:
    """The files of `layout` that are in `root`; ConfigError if one lies outside of it."""
    found = {name: root / name for name in layout if (root / name).is_file()}
    for path in found.values():
        place = path.resolve()
        if not place.is_relative_to(root.resolve()):  # or a link to a private key would be published as README.md
            raise ConfigError(
                f"{path} is a link out of the folder, to {place}, and would be published: put the file itself there"
            )
    return found


def _contents(root: Path, repo_id: str) -> dict[str, bytes | Path]:
    """The files of the saved model at `root`, by their names in a repository, with a card that is of these weights.

    Raises:
        ConfigError: a file lies outside of `root`, or the card is not UTF-8 text.
        SourceError, WeightsError, ConfigError: the model can't be loaded.
    """
    contents: dict[str, bytes | Path] = {**files_of(root, LAYOUT)}
    generator, *_ = SavedModel.open(root).build()
    if ONNX in contents and fingerprint(generator).encode() not in (root / ONNX).read_bytes():
        raise WeightsError(f"{root / ONNX} is not of the weights beside it; export it again, or delete it.")
    try:
        text = (root / CARD).read_bytes().decode() if CARD in contents else None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{root / CARD} is not UTF-8 text ({error.reason}); save it as UTF-8, or remove it to have a new one"
        ) from error
    if text is None:
        text = whole_card(model_card(root, repo_id))
    elif is_marked(text) and weights_hash(root) not in text:  # a card of what was saved here before
        text = renewed(text, model_card(root, repo_id))
    return {**contents, CARD: named(text, repo_id).encode()}


def is_space(folder: Path) -> bool:
    """Whether `folder` holds a Space that ganzoo wrote."""
    try:
        return MARK in (folder / APP).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return False


def _with_model(card: str, repo_id: str) -> str:
    """The `card` of a Space that names its model, so that the Hub shows each on the other's page."""
    head, end, body = card.partition("\n---\n")
    return card if "\nmodels:" in head or not end else f"{head}\nmodels:\n- {repo_id}{end}{body}"


def check_repo_id(repo_id: str) -> None:
    """Raise ConfigError unless `repo_id` is a name that the Hub allows."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        if not isinstance(repo_id, str) or "/" not in repo_id:  # the client takes a bare name, for one's own
            raise HFValidationError("no text, or no owner")
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ConfigError(f"repo_id must look like owner/name, got {quote(repo_id)}") from error
