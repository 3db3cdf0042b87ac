"""The Hub's client, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ganzoo.errors import (
    ConfigError,
    GanzooError,
    HubAbsentError,
    HubAccessError,
    HubConflictError,
    HubConnectionError,
    HubDamagedError,
    HubError,
    HubMissingError,
    keep_secret,
    masked,
    quote,
    reason,
    shown,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r'(W/)?("?)[0-9a-f]{32,64}\2')


def client(token: str | bool | None = None, endpoint: str | None = None) -> HfApi:
    """The client, which names ganzoo and its version to the Hub.

    Raises:
        ConfigError: `endpoint` is not a URL, or `token` not a token (which the message does not show).
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import get_session

    token = _checked(token)
    keep_secret(token if isinstance(token, str) else str(_checked(get_token()) or ""))
    session = get_session()
    if _refuse_paths not in session.event_hooks["response"]:
        session.event_hooks = {**session.event_hooks, "response": [*session.event_hooks["response"], _refuse_paths]}
    if endpoint is not None:
        try:
            parts = urlsplit(endpoint)
            sound = parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna"))
            sound = sound and endpoint.isprintable()  # urlsplit drops the line end of a file, the client does not
        except (ValueError, AttributeError):
            sound = False
        if not sound:
            raise ConfigError(f"endpoint must be an address, as https://huggingface.co, got {quote(endpoint)}")
    return HfApi(endpoint, token, library_name="ganzoo", library_version=version("ganzoo-torch"))


def _checked(token: str | bool | None) -> str | bool | None:
    """`token` without surrounding white space, as files and copies bring along; ConfigError if it can't be a token."""
    if token is None or isinstance(token, bool):
        return token
    stripped = token.strip() if isinstance(token, str) else ""
    if not re.fullmatch(r"[!-~]{1,1000}", stripped):
        raise ConfigError(
            "token must be letters, digits and signs without space between them, as the Hub gives them (it is not "
            "shown here); look at token=, $HF_TOKEN, or call `hf auth login` again"
        )
    return stripped


def _refuse_paths(response: Any) -> None:
    """Raise HubDamagedError if the answer to one of our requests names a commit or ETag that is not a hash.

    The client makes names of files of them, so that "/home/me/.bashrc" would be written, read or deleted there.
    """
    headers, request = response.headers, response.request
    if request.method != "HEAD" or "ganzoo/" not in request.headers.get("user-agent", ""):
        return
    if response.has_redirect_location and re.match(r"/(?!/)", headers["Location"]):
        return  # of the Hub to itself: the client asks there, and takes what that answers
    for name, form in (("X-Repo-Commit", _COMMIT), ("X-Linked-ETag", _ETAG), ("ETag", _ETAG)):
        value = headers.get(name)
        if value is not None and not form.fullmatch(value) and not (name == "ETag" and "X-Linked-ETag" in headers):
            raise HubDamagedError(
                f"{request.url.host} answers with {name} {quote(value)}, which is not a hash: this Hub can't "
                f"be trusted; check the endpoint ($HF_ENDPOINT)."
            )


def bounded_bar(named: str, most: int) -> Any:
    """A progress bar for the client's downloads that stops one of more than `most` bytes: HubDamagedError."""
    from huggingface_hub.utils import tqdm

    class Bounded(tqdm):  # type: ignore[type-arg, misc]
        came = 0

        def update(self, n: float | None = 1) -> bool | None:
            self.came += int(n or 0)
            if self.came > most:
                raise HubDamagedError(f"{named} does not end after the {most:,} bytes that were announced.")
            return super().update(n)

    return Bounded


@contextmanager
def hub_errors(repo_id: str, revision: str | None = None, local_files_only: bool = False) -> Iterator[None]:
    """Turn the errors of `huggingface_hub` into ours, and take tokens out of both.

    Raises:
        HubError: or one of its family; the client's own error is its cause.
    """
    from huggingface_hub import errors

    try:
        yield
    except GanzooError:
        raise
    except (OSError, LookupError, TypeError, ValueError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        said = _in_our_words(error, repo_id, revision, local_files_only)
        _mask(error)
        raise said from error


def _mask(error: BaseException | None) -> None:
    """Take tokens out of `error` and of those that it comes from: Python prints them with it."""
    while error is not None:
        error.args = tuple(masked(each) if isinstance(each, str) else each for each in error.args)
        error = error.__cause__ or error.__context__


def _in_our_words(error: Exception, repo_id: str, revision: str | None, local_files_only: bool) -> HubError:
    """Our error for one of the client's: the first line below that is of its kind."""
    from huggingface_hub import errors

    named, said = f"{repo_id}, revision {shown(revision)}" if revision else repo_id, _reason(error)
    if isinstance(error, errors.RemoteEntryNotFoundError):
        path = str(error.response.url.path).rsplit("/resolve/", 1)[-1].partition("/")[2]
        return HubMissingError(f"{named} lacks a file that a ganzoo model has ({quote(path)}).")
    absent = "local_files_only=True asks for no download; leave it out once"
    if not local_files_only:
        absent = f"the Hub can't be reached ({said}); check the network"
    kinds: tuple[tuple[tuple[type[Exception], ...], type[HubError], str], ...] = (
        ((errors.GatedRepoError,), HubAccessError,
         f"{repo_id} is gated: accept its terms on its page, then pass the token of that account (token=, or "
         f"`hf auth login`)."),
        ((errors.RepositoryNotFoundError,), HubAbsentError,
         f"{repo_id} is not on the Hub, or private: check the name; a private one needs a token that may read it "
         f"(token=, or `hf auth login`)."),
        ((errors.RevisionNotFoundError,), HubMissingError,
         f"{repo_id} has no revision {quote(revision or 'main')}; name a branch, tag or commit of it."),
        ((errors.DisabledRepoError,), HubAccessError, f"{repo_id} has been disabled by the Hub; take another."),
        ((errors.HFValidationError,), HubMissingError,
         f"{quote(repo_id)} is not a valid name on the Hub; give owner/name."),
        ((errors.LocalEntryNotFoundError,), HubConnectionError, f"{named} is not in the cache, and {absent}."),
    )  # fmt: skip
    for kind, ours, text in kinds:
        if isinstance(error, kind):
            return ours(text)
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(named, error)
    if isinstance(error, (errors.OfflineModeIsEnabled, errors.HTTPError)):  # type: ignore[attr-defined]
        return HubConnectionError(f"{named}: the Hub can't be reached ({said}); check the network.")
    if isinstance(error, UnicodeError):
        return HubConnectionError(f"{named}: the Hub's address is not valid ({error}); check $HF_ENDPOINT.")
    if not isinstance(error, OSError):  # of the client, that takes an answer for granted
        said = quote(f"{type(error).__name__}: {error}", 200)
        return HubError(f"{named}: the Hub's answer is not understood ({said}); check $HF_ENDPOINT.")
    if "Consistency check failed" in str(error):
        return HubDamagedError(f"{named} did not come whole: its size is not what the Hub says. Try again.")
    return HubError(f"{named}: {quote(reason(error), 300)}.")


_STATUS: dict[int, tuple[type[HubError], str]] = {
    401: (HubAccessError, "the Hub refuses the token ({said}); pass a valid one (token=, or `hf auth login`)."),
    403: (
        HubAccessError,
        "this account has no right to do that ({said}); take a token with the right to write, or a name of your own.",
    ),
    409: (HubConflictError, "it has changed in the meantime ({said}); look at it, then push again."),
    412: (HubConflictError, "it has changed in the meantime ({said}); look at it, then push again."),
}


def _of_status(named: str, error: HfHubHTTPError) -> HubError:
    status = error.response.status_code
    said = quote(" ".join(str(error.server_message or "").split()) or "no reason given", 200)
    ours, text = _STATUS.get(status, (HubError, f"the Hub answered {status} ({{said}})."))
    return ours(f"{named}: {text.replace('{said}', said)}")


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
