"""Downloads against a server on this machine that misbehaves in every known way."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nasgauge.data.download import DownloadFailed, download

CONTENT = bytes(range(256)) * 400
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /good; records the requests."""

    daemon_threads = True
    released: threading.Event
    asked: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        name, wanted = self.path.rsplit("/", 1)[1], self.headers.get("Range")
        times = sum(asked == name for asked, _ in self.server.asked)
        self.server.asked.append((name, wanted))
        if name == "hangs":
            self.server.released.wait(20)
            return
        if name == "busy-at-first" and times == 0:
            self.send_error(503)
            return
        content = CONTENT
        if name == "absent":
            self.send_error(404)
            return
        elif name == "wrong":
            content = CONTENT[::-1]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        breaks = name == "truncated" or (name == "breaks-once" and times == 0)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : 50_000 + start if breaks else None])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked, server.released = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def address(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


def get(server: Server, name: str, path: Path, *, retries: int = 2, timeout: float = 5.0) -> None:
    download(
        address(server, name),
        path,
        size=len(CONTENT),
        sha256=SUM,
        retries=retries,
        timeout=timeout,
        pause=0.01,
    )


def test_a_good_file_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    get(server, "good", tmp_path / "file")
    get(server, "good", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [("good", None)]


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    get(server, "breaks-once", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [("breaks-once", None), ("breaks-once", "bytes=50000-")]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_later_command_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="could not be downloaded in 1 attempts"):
        get(server, "truncated", tmp_path / "file", retries=0)
    assert not (tmp_path / "file").exists()

    get(server, "good", tmp_path / "file")
    assert server.asked[-1] == ("good", "bytes=50000-")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    get(server, "busy-at-first", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=f"does not have the sha256 {SUM[:12]}"):
        get(server, "wrong", tmp_path / "file")

    assert not list(tmp_path.iterdir())
    assert len(server.asked) == 1


def test_an_absent_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"answers 404 .*--mirror"):
        get(server, "absent", tmp_path / "file")

    assert not list(tmp_path.iterdir())
    assert len(server.asked) == 1


def test_a_server_that_hangs_is_given_up(server: Server, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"in 2 attempts \(.*timed out"):
        get(server, "hangs", tmp_path / "file", retries=1, timeout=0.2)

    assert time.monotonic() - start < 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "timeout", "says"),
    [
        ("foo/splits.txt", 1.0, "foo/splits.txt is no address; give a mirror such as https://host/folder"),
        ("http://127.0.0.1:9/x", -1.0, "a timeout of -1 s is none; give a number up to 86400"),
        ("http://127.0.0.1:9/x", float("nan"), "a timeout of nan s is none"),
        ("http://127.0.0.1:9/x", 1e30, r"a timeout of 1e\+30 s is none"),
    ],
)
def test_what_cannot_be_asked_for_is_said_at_once(
    address: str, timeout: float, says: str, tmp_path: Path
) -> None:
    """And is not taken for a file with a wrong checksum."""
    with pytest.raises(DownloadFailed, match=says):
        download(address, tmp_path / "x", size=1, sha256=SUM, timeout=timeout, pause=0.01)
    assert not list(tmp_path.iterdir())
