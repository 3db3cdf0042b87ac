"""Errors of `huggingface_hub` in our words, for all that asks the Hub: models here, and weights of timm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ganzoo.errors import (
    GanzooError,
    HubAbsentError,
    HubAccessError,
    HubConflictError,
    HubConnectionError,
    HubDamagedError,
    HubError,
    HubMissingError,
    first_line,
    is_out_of_memory,
    masked,
    quote,
    reason,
    shown,
    words_of,
)

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


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
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        if is_out_of_memory(error) or (isinstance(error, RuntimeError) and type(error) is not RuntimeError):
            raise  # hf_xet raises plain ones
        said = _in_our_words(error, repo_id, revision, local_files_only)
        _mask(error)
        raise said from error


@contextmanager
def offline_if_unreachable(named: str) -> Iterator[None]:
    """Ask the Hub once; if it can't be reached, let its client take `named` from the cache alone inside of this block.

    By itself the client tries each download six times, for 23 seconds. What a Hub that is there answers (429, 5xx) is
    still tried again.

    Raises:
        HubConnectionError: the Hub can't be reached, and what the block does fails.
    """
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import get_session

    before, unreachable = constants.HF_HUB_OFFLINE, ""
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        unreachable, constants.HF_HUB_OFFLINE = _reason(error), True
    try:
        yield
    except GanzooError:
        raise
    except Exception as error:
        if not unreachable:
            raise
        raise HubConnectionError(
            f"{named} is not in the cache, and the Hub can't be reached ({unreachable}); check the network."
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before


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
    if isinstance(error, (ConnectionError, errors.HTTPError, RuntimeError, UnicodeError)):  # type: ignore[attr-defined]
        return _of_network(named, error)
    if isinstance(error, OSError):
        return _of_disk(named, error)
    if str(error).startswith("Invalid metadata in README.md"):
        why = quote(" ".join(str(error).splitlines()[1:]).removeprefix("- "), 300)
        return HubError(f"{named}: the Hub refuses the header of README.md ({why}); mend it there, then push again.")
    refused = _refusal_before(error)  # of the client, that takes an answer for granted
    if refused is not None:
        return _in_our_words(refused, repo_id, revision, local_files_only)
    return HubError(f"{named}: the Hub's answer is not understood ({words_of(error)}); check $HF_ENDPOINT.")


def _of_network(named: str, error: Exception) -> HubConnectionError:
    if isinstance(error, UnicodeError):
        return HubConnectionError(f"{named}: the Hub's address is not valid ({error}); check $HF_ENDPOINT.")
    if isinstance(error, RuntimeError):  # of hf_xet
        return HubConnectionError(
            f"{named}: the Hub's storage can't be reached, or the transfer broke off ({_reason(error)}); try again. "
            f"HF_HUB_DISABLE_XET=1 in the environment takes the older way."
        )
    return HubConnectionError(f"{named}: the Hub can't be reached ({_reason(error)}); check the network.")


def _of_disk(named: str, error: OSError) -> HubError:
    if "Consistency check failed" in str(error):
        return HubDamagedError(f"{named} did not come whole: its size is not what the Hub says. Try again.")
    if error.errno:
        place = shown(str(error.filename or "the cache"), 300)
        return HubError(
            f"{named}: {place} can't be read or written ({reason(error)}). If it is of the cache: HF_HOME, or "
            f"cache_dir=, names another folder for that."
        )
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
    away = status == 429 or status >= 500  # what the cache has is taken then
    other = (HubConnectionError, "; try again later.") if away else (HubError, ".")
    ours, text = _STATUS.get(status, (other[0], f"the Hub answered {status} ({{said}}){other[1]}"))
    return ours(f"{named}: {text.replace('{said}', said)}")


def _refusal_before(error: BaseException) -> HfHubHTTPError | None:
    """The Hub's refusal after which the client failed with `error`; None without one.

    If another Hub than huggingface.co refuses to make a repository that is there already (403), the client asks for it
    and then can't parse its address (huggingface_hub 2.4.0).
    """
    from huggingface_hub.errors import HfHubHTTPError

    before = error.__context__
    while before is not None and not isinstance(before, HfHubHTTPError):
        before = before.__context__
    return before


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
