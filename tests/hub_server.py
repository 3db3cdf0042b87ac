"""A small Hugging Face Hub on 127.0.0.1, in memory, for the real `huggingface_hub` client.

What a test against it proves is the client's side of the protocol: which requests go out, in what order, with which
bodies and tokens, and what is made of each answer. It does not prove how the real Hub behaves: the answers here are
written from the client's own source and from trials with huggingface_hub 2.4.0, the rights are simple (a user owns
the names that begin with theirs), large files go by basic LFS on this same address rather than by Xet or a CDN, and a
card's metadata is not examined.

`HF_HUB_DISABLE_XET=1` must be set before huggingface_hub is imported; tests/xet_worker.py alone has Xet. No answer is
5xx, which the client would retry for 23 seconds.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_api import ROUTES, Answer, Fault, Request
from hub_repository import Refused, Repository


class HubServer:
    """A Hub that lives as long as the `with` block.

    Attributes:
        endpoint: its address.
        requests: method and path (quoted, without the query) of every request, in order.
        agents: the User-Agent of every request.
        tokens: user names by token. A user may write to the repositories of their own name.
        repositories: by owner/name.
        objects: what came by LFS, by SHA-256.
        xet: what hf_xet calls the objects that it brings, by SHA-256; the others come by plain HTTP.
        storage: the address of Xet's storage.
        page_size: of trees and commits; a longer list comes in pages.
        card_errors: if any, every card is refused with these.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None) -> None:
        self.tokens = dict(tokens or {"hf_owner": "owner", "hf_reader": "reader"})
        self.requests: list[tuple[str, str]] = []
        self.agents: list[str] = []
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.xet: dict[str, str] = {}
        self.storage = ""
        self.page_size = 1000
        self.card_errors: list[str] = []
        self.faults: dict[str, list[Fault]] = {}
        self.races: dict[str, dict[str, bytes | None]] = {}
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def add(self, repo_id: str, files: Mapping[str, bytes] | None = None, **options: Any) -> Repository:
        """Put a repository there without a client; `options` are fields of `Repository`."""
        with self.lock:
            repository = self.repositories[repo_id] = Repository(repo_id, **options)
            if files:
                repository.commit(files)
        return repository

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """What a revision holds, .gitattributes of the first commit among it."""
        return {path: file.content for path, file in self.repositories[repo_id].find(revision).files.items()}

    def fail(
        self,
        path: str,
        *,
        cut_after: int | None = None,
        extra_size: int = 0,
        content: bytes | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Make the next downloads (GET) of file `path` in any repository go wrong; more calls queue up behind.

        Args:
            cut_after: close the connection after so many bytes of the body.
            extra_size: HEAD says that the file has so many bytes more (or fewer) than come.
            content: these bytes come, under the hash and size of the right ones.
            status: refuse with this, e.g. 403.
            headers: in place of the right ones, of HEAD too.
            times: how many downloads.
        """
        fault = Fault(cut_after, extra_size, content, status, dict(headers or {}))
        self.faults.setdefault(path, []).extend([fault] * times)

    def race(self, repo_id: str, changes: Mapping[str, bytes | None]) -> None:
        """Let another's commit land just before the next commit of a client arrives at the same branch."""
        self.races[repo_id] = dict(changes)


class _Server(ThreadingHTTPServer):
    """Remembers its connections: a client keeps them open, and a Hub that is gone must not answer on them."""

    hub: HubServer
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def hang_up(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a trace, but not of a client that has hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        hub, url = self.server.hub, urlsplit(self.path)
        body = self._read()
        with hub.lock:
            hub.requests.append((self.command, url.path))
            hub.agents.append(self.headers.get("User-Agent", ""))
            try:
                answer = self._answer(hub, url.path, parse_qs(url.query), body)
            except Refused as refused:
                answer = _refusal(refused)
        self._send(answer)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self, hub: HubServer, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in hub.tokens:
            raise Refused(401, message="Invalid credentials in Authorization header")
        method = "GET" if self.command == "HEAD" else self.command
        for served, pattern, action in ROUTES:
            found = pattern.fullmatch(path)
            if served == method and found:
                names = {name: unquote(value) for name, value in found.groupdict().items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(hub, self.command, path, names, query, headers, body, hub.tokens.get(token))
                answer = action(request)
                if isinstance(answer, Answer):
                    return answer
                return Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
        raise Refused(404, "RepoNotFound", f"nothing is served at {path}")

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body[: answer.cut_after])
        if answer.cut_after is not None:
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed; `HubServer.requests` is the log."""


def _refusal(refused: Refused) -> Answer:
    message = refused.message.encode("unicode_escape").decode()  # a header is one line of ASCII
    headers = {"Content-Type": "application/json", "X-Error-Message": message, **refused.headers}
    if refused.code:
        headers["X-Error-Code"] = refused.code
    return Answer(refused.status, headers, json.dumps({"error": refused.message, **refused.body}).encode())
