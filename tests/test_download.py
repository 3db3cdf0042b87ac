"""Downloads, from a real server on 127.0.0.1 that breaks in every way."""

import dataclasses
import errno
import hashlib
import http.client
import multiprocessing
import shutil
import ssl
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ganzoo.data import emoji, fashion, open_data, sources
from ganzoo.data.download import Published
from ganzoo.data.download import download as fetch_published
from ganzoo.errors import DataError

CONTENT = bytes(range(256)) * 500


def download(url, path, sha1="0000", largest=10**9):
    return fetch_published(Published(url, f"sha1:{sha1}", largest), path)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Range")))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        wish = self.headers.get("Range")
        if wish and self.path != "/no-range":
            start = int(wish.removeprefix("bytes=").rstrip("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(10**13 if self.path == "/huge" else len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        if self.path in ("/cut", "/no-range") and server.cuts:
            server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.cuts = [], 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sha1():
    return hashlib.sha1(CONTENT).hexdigest()


def test_a_file_is_fetched_checked_and_kept(server, tmp_path, sha1):
    path = download(server.url + "/whole", tmp_path / "a" / "file", sha1=sha1)
    assert path.read_bytes() == CONTENT
    download(server.url + "/whole", path, sha1=sha1)
    assert len(server.seen) == 1 and [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_broken_line_is_gone_on_with(server, tmp_path, sha1):
    server.cuts = 1
    assert download(server.url + "/cut", tmp_path / "file", sha1=sha1).read_bytes() == CONTENT
    assert [wish for _, wish in server.seen] == [None, f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.parametrize("place", ["HTTPConnection.getresponse", "HTTPResponse.read"])
@pytest.mark.parametrize(
    "broken",
    [ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), OSError(errno.EHOSTUNREACH, "No route to host")],
    ids=["TLS", "route"],
)
def test_a_line_that_breaks_by_tls_or_a_lost_route_is_tried_again_and_then_said(
    server, tmp_path, monkeypatch, sha1, place, broken
):
    kind, name = place.split(".")
    whole, failures = getattr(getattr(http.client, kind), name), [broken]

    def fail(*arguments, **options):
        if failures:
            raise failures.pop()
        return whole(*arguments, **options)

    monkeypatch.setattr(f"http.client.{place}", fail)
    assert download(server.url + "/whole", tmp_path / "file", sha1=sha1).read_bytes() == CONTENT
    failures += [broken] * 3
    with pytest.raises(DataError, match=rf"/whole can't be downloaded \(.*{broken.strerror}\); try again"):
        download(server.url + "/whole", tmp_path / "other", sha1=sha1)
    assert not failures


def test_a_server_that_cannot_resume_starts_anew(server, tmp_path, sha1):
    server.cuts = 1
    assert download(server.url + "/no-range", tmp_path / "file", sha1=sha1).read_bytes() == CONTENT


def test_a_part_of_an_earlier_try_is_used_and_a_wrong_one_dropped(server, tmp_path, sha1):
    (tmp_path / "file.part").write_bytes(CONTENT[:100])
    download(server.url + "/whole", tmp_path / "file", sha1=sha1)
    assert server.seen[-1][1] == "bytes=100-"
    (tmp_path / "other.part").write_bytes(CONTENT + b"more")
    assert download(server.url + "/whole", tmp_path / "other", sha1=sha1).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(DataError, match="sha1 .*, not 0000"):
        download(server.url + "/whole", tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_had_is_said(server, tmp_path):
    with pytest.raises(DataError, match="404.*put it at .*file by hand"):
        download(server.url + "/missing", tmp_path / "file")
    with pytest.raises(DataError, match="is the most"):
        download(server.url + "/huge", tmp_path / "file")
    server.cuts = 10
    with pytest.raises(DataError, match="the line broke"):
        download(server.url + "/no-range", tmp_path / "file")
    with pytest.raises(DataError, match="can't be downloaded"):
        download("http://127.0.0.1:9/x", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def fetch(url, path, sha1, barrier, results):
    barrier.wait()
    try:
        results.put(download(url, path, sha1=sha1).read_bytes() == CONTENT)
    except DataError as error:
        results.put(str(error))


def test_processes_that_want_one_file_at_once_fetch_it_once(server, tmp_path, sha1):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    arguments = (server.url + "/whole", tmp_path / "file", sha1, barrier, results)
    fetchers = [context.Process(target=fetch, args=arguments) for _ in range(4)]
    for fetcher in fetchers:
        fetcher.start()
    assert [results.get(timeout=60) for _ in fetchers] == [True] * 4
    for fetcher in fetchers:
        fetcher.join()
    assert len(server.seen) == 1 and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_more_bytes_than_a_file_can_have_are_stopped_and_removed(server, tmp_path):
    for path, said in (("/whole", "has 128,000 bytes; 1,000 is the most"), ("/endless", "gives more than 1,000 bytes")):
        with pytest.raises(DataError, match=said):
            download(server.url + path, tmp_path / "file", largest=1000)
    assert not list(tmp_path.iterdir())


def test_no_room_for_a_download_is_said_before_it_starts(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="has 128,000 bytes, and 1,000 are free"):
        download(server.url + "/whole", tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_named_sets_are_downloaded_where_no_disk_has_them(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fashion, "URL", server.url + "/")
    monkeypatch.setattr(fashion, "places", lambda root: [])
    with pytest.raises(DataError, match="gave a file with md5"):
        open_data("fashion-mnist")
    monkeypatch.setattr(sources, "POKEMON", dataclasses.replace(sources.POKEMON, url=server.url + "/pokemon.zip"))
    with pytest.raises(DataError, match="gave a file with sha1"):
        open_data("pokemon")
    monkeypatch.setattr(emoji, "PACKAGE", dataclasses.replace(emoji.PACKAGE, url=server.url + "/emoji.tgz"))
    with pytest.raises(DataError, match="gave a file with sha1"):
        open_data("emoji")
    assert [path for path, _ in server.seen] == ["/train-images-idx3-ubyte.gz", "/pokemon.zip", "/emoji.tgz"]


def test_a_bar_is_shown_on_a_terminal(server, tmp_path, capsys, monkeypatch, sha1):
    for forced in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", forced)
        download(server.url + "/whole", tmp_path / f"file{forced}", sha1=sha1)
        assert ("file" in capsys.readouterr().err) == bool(forced)
