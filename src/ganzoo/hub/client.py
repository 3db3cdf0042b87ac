"""The Hub's client, with a bound on what it downloads, and no trust in names that a server sends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ganzoo.errors import ConfigError, HubDamagedError, keep_secret, quote
from ganzoo.text import own_version

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LARGEST_ANSWER = 20_000_000  # bytes, unpacked, of what the Hub says of a repository
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
    hooks = session.event_hooks["response"]
    if _refuse_paths not in hooks:
        session.event_hooks = {**session.event_hooks, "response": [*hooks, _refuse_paths, _bound_answer]}
    if endpoint is not None:
        try:
            parts = urlsplit(endpoint)
            sound = parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna"))
            sound = sound and endpoint.isprintable()  # urlsplit drops the line end of a file, the client does not
        except (ValueError, AttributeError):
            sound = False
        if not sound:
            raise ConfigError(f"endpoint must be an address, as https://huggingface.co, got {quote(endpoint)}")
        endpoint = endpoint.rstrip("/")  # the client puts one between this and a path
    return HfApi(endpoint, token, library_name="ganzoo", library_version=own_version())


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
    """Raise HubDamagedError if the answer to one of our requests names a commit or ETag that is not a hash, or a folder
    as Xet's storage.

    The client makes names of files of them, so that "/home/me/.bashrc" would be written, read or deleted there.
    """
    headers, request = response.headers, response.request
    if "ganzoo/" not in request.headers.get("user-agent", ""):
        return
    storage = headers.get("X-Xet-Cas-Url", "https://")
    if not storage.startswith(("https://", f"{request.url.scheme}://")):  # hf_xet takes local:///home/me, too
        raise HubDamagedError(
            f"{request.url.host} names {quote(storage)} as its storage: this Hub can't be trusted; check the endpoint "
            f"($HF_ENDPOINT)."
        )
    if request.method != "HEAD":
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


def _bound_answer(response: Any) -> None:
    """Read the answer to one of our requests about a repository, or raise HubDamagedError if it does not end.

    The client would read any number of bytes before it parses them; of files, `bounded_bar` counts them.
    """
    request = response.request
    asked = "/api/" in request.url.path and "/resolve-cache/" not in request.url.path
    if not asked or "ganzoo/" not in request.headers.get("user-agent", ""):
        return
    content = bytearray()
    for block in response.iter_bytes():
        content += block
        if len(content) > LARGEST_ANSWER:
            raise HubDamagedError(
                f"{request.url.host} answers with more than {LARGEST_ANSWER:,} bytes: this Hub can't be trusted; check "
                f"the endpoint ($HF_ENDPOINT)."
            )
    response._content = bytes(content)  # what `response.read()` would keep


def bounded_bar(named: str, most: int) -> Any:
    """A progress bar for the client's downloads that stops one of more than `most` bytes: HubDamagedError.

    It can't stop one by Xet: hf_xet prints what a bar raises, and goes on. It reports the bytes of its protocol, too.
    """
    from huggingface_hub.utils import tqdm

    class Bounded(tqdm):  # type: ignore[type-arg, misc]
        came = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            self._by_xet = "xet_get" in str(options.get("name"))
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            self.came += int(n or 0)
            if self.came > most and not self._by_xet:
                raise HubDamagedError(f"{named} does not end after the {most:,} bytes that were announced.")
            return super().update(n)

    return Bounded
