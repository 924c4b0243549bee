"""Many searches at once: units of work, spread over processes, each leaving one result file.

A results folder belongs to one campaign, whose settings are in `campaign.json`. A unit (a searcher on a
dataset, for a block of seeds) that has its file is done: running the campaign again makes just what is
missing. Searchers may be added to a folder later; everything else is fixed.
"""

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import joblib
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.sources import open_table
from data.tables import AccuracyTable, DamagedTable
from harness.atomic import PARTIAL, replacing
from harness.oracle import Table
from harness.records import Header, gather, read, write
from harness.runner import Budget, run
from harness.spaces import NB201
from searchers import Spec

FORMAT: Final = 1
SETTINGS_FILE: Final = "campaign.json"
BLOCK: Final = 10
"""Seeds in one unit of work."""


class OtherCampaign(ValueError):
    """A folder that holds the results of another campaign, or of none."""


class Settings(BaseModel):
    """What all units of a campaign share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    table: str
    table_sha256: str
    limits: str
    datasets: tuple[str, ...]
    seeds: int = Field(gt=0)
    """Seeds 0 to `seeds` - 1."""
    budget: str
    repeats: Literal["charge", "free"] = "charge"


@dataclass(frozen=True, order=True)
class Unit:
    """A searcher on a dataset, for seeds `first` to `last`."""

    searcher: str
    dataset: str
    first: int
    last: int

    @property
    def file(self) -> str:
        """Name of its result file."""
        searcher = "".join(c if c.isalnum() or c in "._=-" else "+" for c in self.searcher)
        return f"{searcher}@{self.dataset}@{self.first:05d}-{self.last:05d}.parquet"


def plan(settings: Settings, searchers: Iterable[str]) -> list[Unit]:
    """The units of a campaign, so ordered that all searchers advance together."""
    return [
        Unit(searcher, dataset, first, min(first + BLOCK, settings.seeds) - 1)
        for first in range(0, settings.seeds, BLOCK)
        for dataset in settings.datasets
        for searcher in searchers
    ]


def claim(folder: Path, settings: Settings) -> None:
    """Make `folder` this campaign's, or check that it is; remove what killed processes left half-written.

    Raises OtherCampaign.
    """
    if (folder / SETTINGS_FILE).exists():
        found = settings_of(folder)
        differing = [
            f"{name} {getattr(found, name)!r}, not {getattr(settings, name)!r}"
            for name in Settings.model_fields
            if getattr(found, name) != getattr(settings, name)
        ]
        if differing:
            raise OtherCampaign(
                f"{folder} holds another campaign, with {'; '.join(differing)}; "
                "give another folder with --out, or the same settings"
            )
    elif folder.exists() and not folder.is_dir():
        raise OtherCampaign(f"{folder} is a file; give a folder with --out")
    elif folder.exists() and any(not path.name.startswith(PARTIAL) for path in folder.iterdir()):
        raise OtherCampaign(f"{folder} holds files but no {SETTINGS_FILE}; give a new folder with --out")
    else:
        with replacing(folder / SETTINGS_FILE) as file:
            file.write(settings.model_dump_json(indent=2).encode() + b"\n")
    for partial in folder.glob(f"{PARTIAL}*"):
        partial.unlink(missing_ok=True)


def settings_of(folder: Path) -> Settings:
    """The settings of the campaign in `folder`.

    Raises OtherCampaign.
    """
    path = folder / SETTINGS_FILE
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise OtherCampaign(f"{folder} holds no campaign: it has no {SETTINGS_FILE}") from None
    except (ValidationError, OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise OtherCampaign(f"{path} is damaged ({why}); give another folder, or mend the file") from error


def missing(folder: Path, units: Iterable[Unit]) -> list[Unit]:
    """The units that have no result file yet; a file that is there is checked.

    Raises DamagedRecord.
    """
    todo = []
    for unit in units:
        path = folder / unit.file
        if path.exists():
            read(path)
        else:
            todo.append(unit)
    return todo


def execute(folder: Path, settings: Settings, units: Sequence[Unit], *, workers: int) -> Iterator[Unit]:
    """Run units in `workers` processes, each file written by its worker; yields units as they end.

    Any joblib back end can be chosen around this call with `joblib.parallel_config`.
    """
    header = _provenance(settings)
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
            f"{settings.table_sha256[:12]}; give another folder with --out"
        )
    oracle = _oracle(settings.table, unit.dataset)
    spec = Spec.parse(unit.searcher)
    budget = Budget.parse(settings.budget)
    space = NB201()
    seeds = range(unit.first, unit.last + 1)
    steps = gather(
        (
            seed,
            list(
                run(
                    spec.make(space, generators(seed)[0]),
                    oracle,
                    budget,
                    repeats=settings.repeats,
                    canonical=space.canonical,
                )
            ),
        )
        for seed in seeds
    )
    header = Header.model_validate(
        provenance
        | {
            "table": table.name,
            "table_sha256": table.sha256,
            "limits": table.limits,
            "dataset": unit.dataset,
            "signal": str(oracle.view.search),
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
def _oracle(name: str, dataset: str) -> Table:
    return Table(_table(name), dataset)


def _provenance(settings: Settings) -> dict[str, object]:  # noqa: ARG001
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
