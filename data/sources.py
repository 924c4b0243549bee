"""What tables exist, where they come from, and where they are kept."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import platformdirs

from data.importers import bundled_path, import_bundled, sha256
from data.tables import AccuracyTable

CACHE_VARIABLE: Final = "NASGAUGE_CACHE"


class UnknownTable(LookupError):
    """A name that stands for no table."""


def cache_folder() -> Path:
    """The per-user folder of imported tables; the environment variable NASGAUGE_CACHE moves it."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("nasgauge"))


def open_table(name: str) -> AccuracyTable:
    """A table by name, or from the path of a `.npz` file.

    `bundled` is imported on first use, kept in the cache, and imported anew when the installed file
    changes.

    Raises UnknownTable, DamagedTable, ImportFailed.
    """
    if name == "bundled":
        return _bundled()
    path = Path(name)
    if path.suffix == ".npz":
        if not path.is_file():
            raise UnknownTable(f"there is no table file {path}")
        return AccuracyTable.load(path)
    near = get_close_matches(name, TABLES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownTable(f"unknown table {name!r}; choose from {', '.join(TABLES)}, or give a .npz file{hint}")


def _bundled() -> AccuracyTable:
    source = bundled_path()
    checksum = sha256(source)
    kept = cache_folder() / f"bundled-{checksum[:16]}.npz"
    if kept.is_file():
        return AccuracyTable.load(kept)
    table = import_bundled(source)
    table.save(kept)
    return table


TABLES: Final = ("bundled",)
