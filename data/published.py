"""Published files, pinned by commit and checksum, and the per-user cache that they are downloaded to."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from nasgauge.data.download import Progress, download, mirrored
from nasgauge.spaces.errors import NasgaugeError

CACHE_VARIABLE: Final = "NASGAUGE_CACHE"


class WrongFile(NasgaugeError, ValueError):
    """A file that is missing, or not the one that was published."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A published file, pinned by commit and checksum."""

    name: str
    """Path in the folder that it is kept in."""
    repository: str
    """Owner and name on GitHub."""
    commit: str
    path: str
    """In the repository."""
    size: int
    """Bytes."""
    sha256: str
    licence: str

    @property
    def address(self) -> str:
        """Where the file is published."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"

    def check(self, path: Path) -> None:
        """Check that `path` holds this file.

        Raises WrongFile.
        """
        if not path.is_file():
            raise WrongFile(f"there is no file {path}; it is published at {self.address}")
        found = sha256(path)
        if found != self.sha256:
            raise WrongFile(
                f"{path} has sha256 {found[:12]}…, {self.name} as published has {self.sha256[:12]}…; "
                f"get it from {self.address}"
            )


@dataclass(frozen=True, kw_only=True)
class WheelFile(SourceFile):
    """A file inside a wheel on PyPI: `repository` is the project, `commit` its version, `path` in the wheel."""

    @property
    def address(self) -> str:
        """The page of the release."""
        return f"https://pypi.org/project/{self.repository}/{self.commit}/"


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """The per-user folder of downloaded and imported files; the environment variable NASGAUGE_CACHE moves it."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("nasgauge"))


def bring(
    files: Sequence[SourceFile],
    folder: Path,
    *,
    mirror: str | None = None,
    progress: Progress = lambda _count: None,
    timeout: float = 20.0,
) -> None:
    """Download the files that are not in the folder yet, or are not the published ones.

    Raises DownloadFailed.
    """
    for file in files:
        path = folder / file.name
        if not path.is_file() or sha256(path) != file.sha256:
            download(
                mirrored(file.address, file.name, mirror),
                path,
                size=file.size,
                sha256=file.sha256,
                timeout=timeout,
                progress=progress,
            )
