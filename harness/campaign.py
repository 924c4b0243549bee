"""Many searches at once: units of work, spread over processes, each leaving one result file.

A unit that has its file is done: running a campaign again makes just what is missing. Searchers may be
added to a folder later; everything else is fixed.
"""

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np

from data.sources import open_curves, open_table
from data.tables import AccuracyTable, DamagedTable
from harness.cells import Cell
from harness.oracle import Signal, Table
from harness.records import Header, Step, gather, write
from harness.results import Settings, Unit
from harness.runner import Budget, run
from harness.spaces import NB201
from searchers import Spec


def execute(folder: Path, settings: Settings, units: Sequence[Unit], *, workers: int) -> Iterator[Unit]:
    """Run units in `workers` processes, each file written by its worker; yields units as they end.

    Any joblib back end can be chosen around this call with `joblib.parallel_config`.
    """
    header = _provenance()
    jobs = (joblib.delayed(run_unit)(folder, settings, unit, header) for unit in units)
    with closing(joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)) as done:
        yield from done


def run_unit(folder: Path, settings: Settings, unit: Unit, provenance: dict[str, object]) -> Unit:
    """Run one unit and write its file.

    Raises DamagedTable if the table is not the campaign's.
    """
    table = _table(settings.table)
    if table.sha256 != settings.table_sha256:
        raise DamagedTable(
            f"table {settings.table} has checksum {table.sha256[:12]}, the campaign began with "
            f"{settings.table_sha256[:12]}; give another folder"
        )
    oracle = _oracle(settings.table, unit.dataset, settings.signal)
    spec = Spec.parse(unit.searcher)
    budget = Budget.parse(settings.budget)
    space = NB201()

    def one(seed: int) -> list[Step[Cell]]:
        searcher_rng, oracle_rng = generators(seed)
        searcher, truth = spec.make(space, searcher_rng), oracle.for_run(oracle_rng)
        return list(run(searcher, truth, budget, repeats=settings.repeats, canonical=space.canonical))

    steps = gather((seed, one(seed)) for seed in range(unit.first, unit.last + 1))
    header = Header.model_validate(
        provenance
        | {
            "table": table.name,
            "table_sha256": table.sha256,
            "limits": table.limits,
            "dataset": unit.dataset,
            "signal": oracle.signal,
            "seconds": oracle.times,
            "report": str(oracle.view.report),
            "warning": oracle.view.warning,
            "searcher": unit.searcher,
            "settings": spec.settings(),
            "budget": settings.budget,
            "repeats": settings.repeats,
            "seeds": (unit.first, unit.last),
        }
    )
    write(folder / unit.file, header, steps)
    return unit


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of run `seed`: the searcher's, and the oracle's."""
    searcher, oracle = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(searcher), np.random.default_rng(oracle)


@lru_cache(maxsize=4)
def _table(name: str) -> AccuracyTable:
    return open_table(name)


@lru_cache(maxsize=16)
def _oracle(name: str, dataset: str, signal: str) -> Table:
    chosen = Signal.parse(signal) if signal else None
    return Table(_table(name), dataset, signal=chosen, curves=open_curves(name))


def _provenance() -> dict[str, object]:
    packages = ("nasgauge", "numpy", "pyarrow", "joblib")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
            versions[package] = "not installed"
    return {"argv": tuple(sys.argv), "commit": _commit(), "versions": versions}


def _commit() -> str:
    """The checkout's commit, with `+` if it was changed since; empty for an installed package."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return ""
    git = ["git", "-C", str(here)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
