"""A lock of a results folder, which one campaign holds at a time and which ends with its process."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from nasgauge.harness.records.results import LOCK, OtherCampaign

HOLDER: Final = f"{LOCK}-holder"


class FolderInUse(OtherCampaign):
    """A folder that another campaign is writing to."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock in the block.

    The operating system ends the lock with the process that holds it, also where that is killed. On a file
    system without locks there is none.

    Raises FolderInUse, which names the other host and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUse(
            f"{folder} is being written to{_who(holder)}; wait until that has ended, or give another folder"
        ) from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        who = {"host": platform.node(), "process": os.getpid(), "command": sys.argv}
        holder.write_text(json.dumps(who), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # the folder was removed meanwhile, or another process began in it just now
            holder.unlink(missing_ok=True)
            if [path.name for path in folder.iterdir()] == [LOCK]:  # nothing came of it
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
        lock.release()


def _who(holder: Path) -> str:
    try:
        who = json.loads(holder.read_bytes())
        return f" by process {who['process']} on {who['host']} ({' '.join(who['command'][1:])})"
    except (OSError, ValueError, KeyError, TypeError):  # it is written only after the lock is held
        return " by another process"
