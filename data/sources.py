"""The tables that can be opened by name, and where imported ones are kept."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nasgauge.data import DEFAULT_TABLE
from nasgauge.data.curves import Curves, curves_path
from nasgauge.data.importers import CellProgress, bundled_path, import_bundled, import_official
from nasgauge.data.plugins import declared, load
from nasgauge.data.published import WrongFile, cache_folder, sha256
from nasgauge.data.shipped import SHIPPED
from nasgauge.data.tables import FORMAT, AccuracyTable, DamagedTable
from nasgauge.spaces.errors import NasgaugeError

__all__ = (
    "DEFAULT_TABLE",
    "SOURCES",
    "Source",
    "UnknownTable",
    "bundled",
    "imported_tables",
    "keep_official",
    "open_curves",
    "open_table",
    "table_names",
    "table_path",
)


class UnknownTable(NasgaugeError, LookupError):
    """A name that no table has."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of a built-in table without opening it."""

    title: str
    origin: str
    licence: str
    answers: str
    """What it has, in one sentence; `AccuracyTable.limits` says what it does not have."""


SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "nb201": Source(
            title="NAS-Bench-201 (Dong and Yang, 2020): all 15,625 cells on three datasets",
            origin="seven public files, listed in manifest.json and NOTICE beside the table",
            licence="as each file's source states, see NOTICE; the benchmark's own data are under MIT",
            answers="200-epoch validation accuracy by seed, 200-epoch test accuracy (mean; by seed on CIFAR-10), "
            "12-epoch validation and test accuracy, measured training seconds, latency and parameters",
        ),
        "transnas": Source(
            title="TransNAS-Bench-101 (Duan et al., 2021), micro space: 4,096 cells on seven tasks",
            origin="one public file, listed in manifest.json and NOTICE beside the table",
            licence="Apache-2.0",
            answers="one validation figure for each cell and task, which searchers observe and which is reported; "
            "a report of it says how well a searcher finds what it observes, not how well the cell generalises",
        ),
        "bundled": Source(
            title="AnalogNAS-Bench's digital CIFAR-10 accuracies of all 15,625 cells",
            origin="package analog-nasbench (arXiv 2506.18495)",
            licence="none stated in the package",
            answers="one CIFAR-10 test accuracy for each cell, of an independent training; Kendall tau with "
            "the official test accuracy is 0.926",
        ),
    }
)
"""The built-in tables, by name."""


def open_table(table: str | Path | AccuracyTable = DEFAULT_TABLE) -> AccuracyTable:
    """A table by its name or the path of its `.npz` file; a table itself is returned as it is.

    Names are those that installed packages declare as entry points of the group `nasgauge.tables` (each a
    function without arguments that returns an `AccuracyTable`), and those of imported official files.

    Raises UnknownTable, DamagedTable; ImportFailed if what a table is made from is missing; NameClash and
    PluginFailed for a faulty entry point.

    >>> open_table("nb201").view("cifar100").report.epochs
    200
    """
    if isinstance(table, AccuracyTable):
        return table
    name = str(table)
    if name.endswith(".npz"):
        if not Path(name).is_file():
            raise UnknownTable(f"there is no table file {name}")
        return AccuracyTable.load(Path(name))
    if name in declared("nasgauge.tables"):
        opened: AccuracyTable = load("nasgauge.tables", name)()
        return opened
    if name in imported_tables():
        return AccuracyTable.load(table_path(name))
    known = table_names()
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownTable(f"unknown table {name!r}; choose from {', '.join(known)}, or give a .npz file{hint}")


def table_names() -> tuple[str, ...]:
    """Names of all declared tables, the default first, and then of the imported ones."""
    return tuple(dict.fromkeys([DEFAULT_TABLE, *declared("nasgauge.tables"), *imported_tables()]))


def open_curves(table: str | Path, *, whole: bool = False) -> Curves | None:
    """The learning curves beside a table, by the table's name or path; None where there are none.

    With `whole`, all of their file is read and checked. Raises DamagedTable.
    """
    name = str(table)
    if name in declared("nasgauge.tables"):  # those are imported ones' alone
        return None
    path = curves_path(Path(name) if name.endswith(".npz") else table_path(name))
    return Curves.load(path, whole=whole) if path.is_file() else None


def table_path(name: str) -> Path:
    """Where the imported table `name` is kept."""
    return cache_folder() / f"{name}-v{FORMAT}.npz"


def keep_official(
    path: Path,
    name: str,
    *,
    curves: bool = True,
    partial: bool = False,
    progress: CellProgress = lambda _done, _total: None,
) -> AccuracyTable:
    """Import an official file or folder and keep the table, and its learning curves, under `name`.

    Raises WrongFile, ImportFailed.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{,99}", name) or name.endswith(".npz"):
        raise WrongFile(
            f"{name!r} cannot be a table's name; give up to 100 letters, digits and - with --name, no .npz at the end"
        )
    if name in (*declared("nasgauge.tables"), *SHIPPED):
        raise WrongFile(f"{name!r} is the name of an installed table; give another one with --name")
    kept = table_path(name)
    beside = curves_path(kept)
    table = import_official(
        path, name=name, curves=beside if curves else None, partial=partial, progress=progress
    )
    if not curves:
        beside.unlink(missing_ok=True)
    table.save(kept)
    return table


def imported_tables() -> list[str]:
    """Names of the official tables that were imported on this machine."""
    ending = f"-v{FORMAT}.npz"
    names = sorted(path.name.removesuffix(ending) for path in cache_folder().glob(f"*{ending}"))
    return [name for name in names if name not in declared("nasgauge.tables")]


def bundled() -> AccuracyTable:
    """Entry point: the table of the package `analog-nasbench`, imported once and kept in the cache.

    It is imported again when the installed file changes or the kept one is damaged. Raises ImportFailed.
    """
    source = bundled_path()
    kept = cache_folder() / f"bundled-{sha256(source)[:16]}.npz"
    if kept.is_file():
        with suppress(DamagedTable):  # of another format, or damaged: its source is at hand
            return AccuracyTable.load(kept)
    table = import_bundled(source)
    table.save(kept)
    return table
