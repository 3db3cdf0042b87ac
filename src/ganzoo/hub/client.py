"""The Hub's client, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ganzoo.errors import (
    ConfigError,
    GanzooError,
    HubAccessError,
    HubConflictError,
    HubConnectionError,
    HubDamagedError,
    HubError,
    HubMissingError,
    quote,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def client(token: str | None = None, endpoint: str | None = None) -> HfApi:
    """The client, which names ganzoo and its version to the Hub; ConfigError where `endpoint` is no address."""
    from huggingface_hub import HfApi

    if endpoint is not None:
        try:
            parts = urlsplit(endpoint)
            sound = parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna"))
        except (ValueError, AttributeError):
            sound = False
        if not sound:
            raise ConfigError(f"endpoint must be an address, as https://huggingface.co, got {quote(endpoint)}")
    return HfApi(endpoint, token, library_name="ganzoo", library_version=version("ganzoo-torch"))


@contextmanager
def hub_errors(repo_id: str, revision: str | None = None, local_files_only: bool = False) -> Iterator[None]:
    """Turn the errors of `huggingface_hub` into ours.

    Raises:
        HubError: or one of its family; the client's own error is its cause.
    """
    from huggingface_hub import errors

    named = f"{repo_id}, revision {revision}" if revision else repo_id
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
        raise HubMissingError(
            f"{repo_id} is not on the Hub, or private: check the name; a private one wants a token that may read it "
            f"(token=, or `hf auth login`)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubMissingError(
            f"{repo_id} has no revision {quote(revision or 'main')}; name a branch, tag or commit of it."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise HubMissingError(f"{named} lacks a file that a ganzoo model has ({_path(error)}).") from error
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
            f"{named}: the token holds what no token does; pass a valid one (token=, or `hf auth login`)."
        ) from error
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise HubDamagedError(
                f"{named} did not come whole: its size is not what the Hub says. Try again."
            ) from error
        raise HubError(f"{named}: {error.strerror or error}.") from error


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
