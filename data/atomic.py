"""Files that appear complete or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

PARTIAL: Final = ".partial-"
"""Prefix of a file that is being written; one that remains was left by a killed process."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, renamed to `path` when it is complete and on disk; its name is on disk when the block ends.

    Raises OSError, which names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=PARTIAL, delete=False)  # noqa: SIM115 - closed below, before the rename
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
        _keep_names(path.parent)
    except BaseException as error:
        Path(file.name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _keep_names(folder: Path) -> None:
    """Bring the names of a folder's files to the disk, where its file system can."""
    with contextlib.suppress(OSError):  # Windows opens no folder, and some file systems have none to bring
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
