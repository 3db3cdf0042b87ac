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
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi


_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r'(W/)?("?)[0-9a-f]{32,64}\2')


def client(token: str | bool | None = None, endpoint: str | None = None) -> HfApi:
    """The client, which names ganzoo and its version to the Hub.

    Raises:
        ConfigError: `endpoint` is no address, or `token` no token; the message does not show it.
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
        except (ValueError, AttributeError):
            sound = False
        if not sound:
            raise ConfigError(f"endpoint must be an address, as https://huggingface.co, got {quote(endpoint)}")
    return HfApi(endpoint, token, library_name="ganzoo", library_version=version("ganzoo-torch"))


def _checked(token: str | bool | None) -> str | bool | None:
    """`token` without the space around it that a file or a copy brings along; ConfigError where that is no token."""
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
    """Raise HubDamagedError where the answer to one of our requests names a commit or ETag that is no hash.

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
                f"{request.url.host} answers with {name} {quote(value)}, which is no hash: it is no Hub that "
                f"can be trusted; check the endpoint ($HF_ENDPOINT)."
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
    """Turn the errors of `huggingface_hub` into ours.

    Raises:
        HubError: or one of its family; the client's own error is its cause.
    """
    named = f"{repo_id}, revision {revision}" if revision else repo_id
    try:
        with _translated(repo_id, revision, local_files_only, named):
            yield
    except GanzooError as error:
        _mask_causes(error)
        raise


def _mask_causes(error: BaseException) -> None:
    """Take tokens out of the errors that `error` comes from: Python prints them with it."""
    cause = error.__cause__ or error.__context__
    while cause is not None and not isinstance(cause, GanzooError):
        cause.args = tuple(masked(each) if isinstance(each, str) else each for each in cause.args)
        cause = cause.__cause__ or cause.__context__


@contextmanager
def _translated(repo_id: str, revision: str | None, local_files_only: bool, named: str) -> Iterator[None]:
    from huggingface_hub import errors

    try:
        yield
    except GanzooError:
        raise
    except errors.GatedRepoError as error:
        raise HubAccessError(
            f"{repo_id} is gated: accept its terms on its page, then pass the token of that account (token=, or "
            f"`hf auth login`)."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubAbsentError(
            f"{repo_id} is not on the Hub, or private: check the name; a private one wants a token that may read it "
            f"(token=, or `hf auth login`)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubMissingError(
            f"{repo_id} has no revision {quote(revision or 'main')}; name a branch, tag or commit of it."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise HubMissingError(f"{named} lacks a file that a ganzoo model has ({quote(_path(error))}).") from error
    except errors.DisabledRepoError as error:
        raise HubAccessError(f"{repo_id} has been disabled by the Hub; take another.") from error
    except errors.HFValidationError as error:
        raise HubMissingError(f"{quote(repo_id)} is no name on the Hub; give owner/name.") from error
    except errors.HfHubHTTPError as error:
        raise _of_status(named, error) from error
    except errors.LocalEntryNotFoundError as error:
        if local_files_only:
            text = f"{named} is not in the cache, and local_files_only=True asks for no download; leave it out once."
        else:
            text = f"{named} is not in the cache, and the Hub can't be reached ({_reason(error)}); check the network."
        raise HubConnectionError(text) from error
    except (errors.OfflineModeIsEnabled, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise HubConnectionError(f"{named}: the Hub can't be reached ({_reason(error)}); check the network.") from error
    except UnicodeError as error:
        if getattr(error, "encoding", "") != "ascii":  # which headers are written in, the token's among them
            raise HubConnectionError(f"{named}: the Hub's address is none ({error}); check $HF_ENDPOINT.") from error
        raise HubAccessError(
            f"{named}: the token contains characters that are not allowed; pass a valid one (token=, or "
            f"`hf auth login`)."
        ) from error
    except (LookupError, TypeError, ValueError) as error:  # of the client, that takes an answer for granted
        said = quote(f"{type(error).__name__}: {error}", 200)
        raise HubError(f"{named}: the Hub answers what is not understood ({said}); check $HF_ENDPOINT.") from error
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise HubDamagedError(
                f"{named} did not come whole: its size is not what the Hub says. Try again."
            ) from error
        raise HubError(f"{named}: {quote(reason(error), 300)}.") from error


def _of_status(named: str, error: OSError) -> HubError:
    response = error.response  # type: ignore[attr-defined]
    said = quote(" ".join(str(error.server_message or "").split()) or "no reason given", 200)  # type: ignore[attr-defined]
    if response.status_code == 401:
        return HubAccessError(
            f"{named}: the Hub refuses the token ({said}); pass a valid one (token=, or `hf auth login`)."
        )
    if response.status_code == 403:
        return HubAccessError(
            f"{named}: this account has no right to do that ({said}); take a token with the right to write, or a name "
            f"of your own."
        )
    if response.status_code in (409, 412):
        return HubConflictError(f"{named} has changed in the meantime ({said}); look at it, then push again.")
    return HubError(f"{named}: the Hub answered {response.status_code} ({said}).")


def _path(error: OSError) -> str:
    return str(error.response.url.path).rsplit("/resolve/", 1)[-1].partition("/")[2]  # type: ignore[attr-defined]


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
