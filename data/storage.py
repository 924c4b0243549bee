"""A results folder whose files are kept at a URL: a path, `s3://bucket/path` or `gs://bucket/path`.

The folder on this machine is a copy of what is at the URL. Processes on other machines write there, so no file
system need be shared. A file appears whole or not at all: object stores promise that of a put, and a file on a
disk is renamed when it is complete. `memory://path` is the memory of one process, for tests.
"""

import hashlib
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Final, Self
from uuid import uuid4

from nasgauge.data.atomic import replacing
from nasgauge.spaces.errors import NasgaugeError, missing, reason

SCHEMES: Final = {"file": "fsspec", "memory": "fsspec", "s3": "s3fs", "gs": "gcsfs"}
"""Schemes whose files appear whole, with the package of each."""
MARK: Final = ".storage"
"""File of a folder that holds the URL that it is a copy of."""
BROUGHT: Final = f"{MARK}-files"
"""File of a folder that says of each file that was copied from the URL which version of it that was."""
LEASE: Final = ".lease"
"""File at the URL that says which process writes there."""
BEAT: Final = 20.0
"""Seconds between two renewals of a lease."""
STALE: Final = 6 * BEAT
"""Seconds after which a lease that was not renewed has ended."""
_LARGE: Final = ".safetensors"
_RESULT: Final = ".parquet"


class StorageFailed(NasgaugeError, OSError):
    """Storage that is not known, cannot be reached, or refuses."""


class StorageInUse(StorageFailed):
    """A URL that another campaign writes to."""


@dataclass(frozen=True)
class Store:
    """A folder, and the URL where its files are kept; without a URL nothing is copied anywhere.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
    ...     here = Store.of(Path(one), "memory://results")
    ...     _ = (here.folder / "a.json").write_text("{}")
    ...     here.keep(here.folder / "a.json")
    ...     there = Store.of(Path(other), "memory://results")
    ...     there.bring()
    ...     (there.folder / "a.json").read_text()
    '{}'
    """

    folder: Path
    url: str = ""

    @classmethod
    def of(cls, folder: Path, url: str = "") -> Self:
        """A store whose URL is known and whose package is installed; nothing is reached yet.

        Raises StorageFailed, MissingExtra.

        >>> Store.of(Path("results"), "ftp://host/x")
        Traceback (most recent call last):
        ...
        nasgauge.data.storage.StorageFailed: storage ftp://host/x has an unknown scheme; give a path, s3:// or gs://
        """
        scheme, colon, rest = url.partition("://")
        if not colon:
            return cls(folder, f"file://{Path(url).expanduser().absolute()}" if url else "")
        if scheme not in SCHEMES:
            raise StorageFailed(f"storage {url} has an unknown scheme; give a path, s3:// or gs://")
        if not rest.strip("/"):
            raise StorageFailed(f"storage {url} names no place; give one, as in {scheme}://bucket/results")
        for package in ("fsspec", SCHEMES[scheme]):
            if find_spec(package) is None:
                raise missing(package)
        return cls(folder, url.rstrip("/"))

    def names(self) -> dict[str, str]:
        """Files at the URL, by their path from there, each with a text that is another once it is written again."""
        if not self.url:
            return {}
        with self._explained("read") as (fs, root):
            fs.invalidate_cache()
            found = fs.find(root, detail=True)
        prefix = f"{root.rstrip('/')}/"
        versions = {
            name.removeprefix(prefix): repr(sorted((key, str(value)) for key, value in about.items()))
            for name, about in found.items()
            if name.startswith(prefix)
        }
        return {
            name: hashlib.sha256(about.encode()).hexdigest()
            for name, about in versions.items()
            if _is_plain(name)
        }

    def bring(self, *names: str) -> None:
        """Copy to the folder what it lacks of these files, given by path; by default all but checkpoints and weights.

        By default, too, result files that came from the URL and are no longer there are removed.

        Raises StorageFailed, also if the folder is no copy of what is at the URL.
        """
        if not self.url:
            return
        self.check()
        there, here = self.names(), self._brought()
        before = dict(here)
        wanted = set(names) if names else {name for name in there if not name.endswith(_LARGE)}
        for name in sorted(wanted & there.keys(), key=lambda name: (name.endswith(".json"), name)):
            path = self.folder / name
            if path.is_file() and here.get(name) == there[name] and not name.endswith(".json"):
                continue
            self.mark()
            with self._explained("read") as (fs, root):
                content: bytes = fs.cat_file(f"{root}/{name}")
            with replacing(path) as file:
                file.write(content)
            here[name] = there[name]
        if there and not names:
            for name in here.keys() - there.keys():
                if name.endswith(_RESULT):
                    (self.folder / name).unlink(missing_ok=True)
                del here[name]
        if here != before:
            with replacing(self.folder / BROUGHT) as file:
                file.write(json.dumps(here).encode())

    def _brought(self) -> dict[str, str]:
        try:
            known = json.loads((self.folder / BROUGHT).read_bytes())
        except (OSError, ValueError):  # none, or cut: all is copied again
            return {}
        return known if isinstance(known, dict) else {}

    def keep(self, *paths: Path) -> None:
        """Copy files of the folder to the URL; what is not here is removed there.

        Raises StorageFailed.
        """
        for path in paths if self.url else ():
            name = path.relative_to(self.folder).as_posix()
            if path.is_file():
                self._put(name, path.read_bytes())
            else:
                self._remove(name)

    def check(self, *, shared: bool = False) -> None:
        """Raise StorageFailed if the folder belongs to other storage, or holds files that came from none.

        Also if the storage is `shared` by several processes, and cannot be.
        """
        if shared and self.url.startswith("memory:"):
            raise StorageFailed(
                f"storage {self.url} is the memory of one process; give --workers 1, or a path, s3:// or gs://"
            )
        mark = self.folder / MARK
        other = mark.read_text(encoding="utf-8") if mark.is_file() else ""
        if other == self.url:
            return
        if other:
            raise StorageFailed(
                f"{self.folder} is a copy of {other}; add --storage {other}, or give another folder"
            )
        if self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise StorageFailed(f"{self.folder} holds files that are not from {self.url}; give a new folder")

    def begin(self) -> None:
        """Bring the folder up to what is at the URL, and mark it as a copy of that; without a URL only `check`.

        Raises StorageFailed.
        """
        self.check()
        self.bring()
        self.mark()

    def mark(self) -> None:
        """Make the folder a copy of what is at the URL."""
        if self.url and not (self.folder / MARK).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MARK).write_text(self.url, encoding="utf-8")

    @contextmanager
    def elsewhere(self) -> Iterator[Self]:
        """The same URL with a temporary folder, for a process on another machine; itself without a URL."""
        if not self.url:
            yield self
            return
        with TemporaryDirectory(prefix="nasgauge-") as folder:
            other = type(self)(Path(folder), self.url)
            other.mark()
            yield other

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Hold the URL in the block, by a lease that is renewed; yields a function that raises if it was lost.

        Of two processes that begin at the same instant both may go on until the next renewal, and then one
        stops. What they write meanwhile is the same.

        Raises StorageInUse, which names the other host and process.
        """
        if not self.url:
            yield lambda: None
            return
        mine, over, lost = uuid4().hex, Event(), Event()
        if (other := self._lease()) and time.time() - other["time"] < STALE:
            raise self._in_use(other)
        self._put_lease(mine)

        def renew() -> None:
            while not over.wait(BEAT):
                with suppress(StorageFailed):  # the next renewal may succeed
                    if self._lease().get("token", mine) != mine:
                        lost.set()
                        return
                    self._put_lease(mine)

        def check() -> None:
            if lost.is_set():
                raise self._in_use(self._lease())

        renewal = Thread(target=renew, daemon=True)
        renewal.start()
        try:
            if (now := self._lease()).get("token") != mine:
                raise self._in_use(now)
            yield check
        finally:
            over.set()
            renewal.join(timeout=BEAT)
            with suppress(StorageFailed):
                if self._lease().get("token") == mine:
                    self._remove(LEASE)

    def _lease(self) -> dict[str, Any]:
        with self._explained("read") as (fs, root):
            fs.invalidate_cache()
            try:
                found = json.loads(fs.cat_file(f"{root}/{LEASE}"))
                return {**found, "time": float(found["time"])}
            except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or not ours
                return {}

    def _put_lease(self, token: str) -> None:
        who = {"host": platform.node(), "process": os.getpid(), "command": " ".join(sys.argv[1:])}
        self._put(LEASE, json.dumps({**who, "token": token, "time": time.time()}).encode())

    def _in_use(self, other: dict[str, Any]) -> StorageInUse:
        who = f"process {other.get('process')} on {other.get('host')} ({other.get('command')})"
        return StorageInUse(
            f"{self.url} is being written to by {who}; wait until that has ended, or {STALE:.0f} s if it was killed"
        )

    def _put(self, name: str, content: bytes) -> None:
        with self._explained("written to") as (fs, root):
            if self.url.startswith("file://"):
                with replacing(Path(root) / name) as file:
                    file.write(content)
            else:
                fs.pipe_file(f"{root}/{name}", content)

    def _remove(self, name: str) -> None:
        with self._explained("written to") as (fs, root), suppress(FileNotFoundError):
            fs.rm(f"{root}/{name}")

    @contextmanager
    def _explained(self, what: str) -> Iterator[tuple[Any, str]]:
        """The file system of the URL and the path there; whatever it raises becomes a line."""
        try:
            yield _opened(self.url)
        except NasgaugeError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise StorageFailed(
                f"storage {self.url} cannot be {what} ({reason(error) or type(error).__name__}); check the address, "
                "the permissions and the credentials"
            ) from error


@cache
def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old versions of s3fs
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(url)
        return fs, root


def _is_plain(name: str) -> bool:
    """Whether a name from the URL is that of a file in the folder or below, and not hidden."""
    parts = PurePosixPath(name).parts
    return bool(parts) and "\\" not in name and not any(part[0] in "./" for part in parts)
