"""Downloads against a server on this machine that misbehaves in every known way."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data.download import MIRROR_VARIABLE, DownloadFailed, download
from nasgauge.data.published import CACHE_VARIABLE
from nasgauge.data.sources import NB201_FILES, NotFetched, fetch_nb201, open_table, table_path

CONTENT = bytes(range(256)) * 400
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /good, and the folder `files`; counts what it was asked."""

    daemon_threads = True
    files: Path | None = None
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
        if self.server.files is not None:
            if not (self.server.files / name).is_file():
                self.send_error(404)
                return
            content = (self.server.files / name).read_bytes()
        elif name == "absent":
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
    with pytest.raises(DownloadFailed, match="could not be had in 1 attempts"):
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


# The table nb201


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_table_that_was_not_fetched_says_how_to(own_cache: Path) -> None:
    with pytest.raises(NotFetched, match="run: nasgauge data fetch nb201"):
        open_table("nb201")
    assert not own_cache.exists()


def test_nb201_comes_from_a_mirror_by_one_command(
    server: Server, own_cache: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = shared
    monkeypatch.setenv(MIRROR_VARIABLE, address(server, ""))

    done = CliRunner().invoke(app, ["data", "fetch", "nb201"])
    assert done.exit_code == 0, done.output
    assert sorted(name for name, _ in server.asked) == sorted(file.name for file in NB201_FILES)
    assert np.isnan(open_table("nb201").columns[open_table("nb201").view("cifar10").report]).sum() == 0

    again = CliRunner().invoke(app, ["data", "fetch", "nb201"])
    assert again.exit_code == 0, again.output
    assert len(server.asked) == 4
    assert "ready" in CliRunner().invoke(app, ["data", "list"]).output
    assert "2,416 cells" in CliRunner().invoke(app, ["data", "info", "nb201"]).output
    assert own_cache.is_dir()


def test_nb201_comes_from_a_folder(own_cache: Path, shared: Path) -> None:
    done = CliRunner().invoke(app, ["data", "fetch", "nb201", "--from", str(shared)])

    assert done.exit_code == 0, done.output
    assert "15 columns" in done.output
    assert len(list(own_cache.iterdir())) == 1


def test_a_mirror_without_the_files_leaves_no_table(server: Server, own_cache: Path, tmp_path: Path) -> None:
    server.files = tmp_path

    with pytest.raises(DownloadFailed, match="404"):
        fetch_nb201(mirror=address(server, "some/folder"))
    assert not table_path("nb201").exists()
    assert not list(own_cache.rglob("*.csv"))


def test_every_published_file_is_pinned() -> None:
    for file in NB201_FILES:
        assert len(file.commit) == 40
        assert len(file.sha256) == 64
        assert file.address == (
            f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/{file.path}"
        )
