"""Many searches at once: units of work, spread over processes, each leaving one result file.

A unit that has its file is done: running a campaign again makes just what is missing. Searchers may be
added to a folder later; everything else is fixed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import joblib
import numpy as np

from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.tables import AccuracyTable, DamagedTable
from nasgauge.harness.records.provenance import provenance
from nasgauge.harness.records.results import TRAINED, Settings, Unit
from nasgauge.harness.records.steps import Header, Step, gather, write
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.runner import Budget, Oracle, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

if TYPE_CHECKING:
    from nasgauge.harness.training import Machine


def execute(
    folder: Path,
    settings: Settings,
    units: Sequence[Unit],
    *,
    workers: int,
    machine: "Machine | None" = None,
) -> Iterator[Unit]:
    """Run units in `workers` processes, each file written by its worker; yields units as they end.

    `machine` is where a campaign on real training trains. Any joblib back end can be chosen around this call
    with `joblib.parallel_config`.
    """
    header = provenance("numpy", "pyarrow", "joblib")
    jobs = (joblib.delayed(run_unit)(folder, settings, unit, header, machine) for unit in units)
    with closing(joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)) as done:
        yield from done


def run_unit(
    folder: Path,
    settings: Settings,
    unit: Unit,
    provenance: dict[str, object],
    machine: "Machine | None" = None,
) -> Unit:
    """Run one unit and write its file.

    Raises DamagedTable if the table, or what is trained on, is not the campaign's.
    """
    truth = (
        _looked_up(settings, unit.dataset)
        if settings.training is None
        else _trained(folder, settings, unit.dataset, machine, provenance)
    )
    if truth.header["table_sha256"] != settings.table_sha256:
        raise DamagedTable(
            f"{settings.table} has checksum {str(truth.header['table_sha256'])[:12]}, the campaign began with "
            f"{settings.table_sha256[:12]}; give another folder"
        )
    spec = Spec.parse(unit.searcher)
    budget = Budget.parse(settings.budget)
    space = NB201()

    def one(seed: int) -> list[Step[Cell]]:
        searcher_rng, oracle_rng = generators(seed)
        searcher, oracle = spec.make(space, searcher_rng), truth.for_run(oracle_rng)
        return list(run(searcher, oracle, budget, repeats=settings.repeats, canonical=space.canonical))

    steps = gather((seed, one(seed)) for seed in range(unit.first, unit.last + 1))
    header = Header.model_validate(
        provenance
        | dict(truth.header)
        | {
            "dataset": unit.dataset,
            "searcher": unit.searcher,
            "settings": spec.settings(),
            "budget": settings.budget,
            "repeats": settings.repeats,
            "seeds": (unit.first, unit.last),
        }
    )
    write(folder / unit.file, header, steps)
    return unit


class _Truth(NamedTuple):
    """What answers the queries of a unit, and what its header says of it."""

    header: Mapping[str, object]
    for_run: Callable[[np.random.Generator], Oracle[Cell]]


def _looked_up(settings: Settings, dataset: str) -> _Truth:
    table = _table(settings.table)
    oracle = _oracle(settings.table, dataset, settings.signal)
    header = {
        "table": table.name,
        "table_sha256": table.sha256,
        "limits": table.limits,
        "signal": oracle.metric,
        "seconds": oracle.times,
        "report": str(oracle.view.report),
        "warning": oracle.view.warning,
    }
    return _Truth(header, oracle.for_run)


def _trained(
    folder: Path,
    settings: Settings,
    dataset: str,
    machine: "Machine | None",
    provenance: dict[str, object],
) -> _Truth:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.trainer import open_trainer

    assert settings.training is not None  # asked by the caller
    trainer = open_trainer(
        folder / TRAINED, dataset, settings.training, machine or Machine(), json.dumps(provenance)
    )
    header = {
        "table": settings.table,
        "table_sha256": trainer.sha256,
        "limits": settings.limits,
        "signal": f"{trainer.column}/valid",
        "seconds": "measured",
        "report": f"{trainer.column}/test",
        "warning": trainer.warning,
    }
    return _Truth(header, lambda _rng: trainer)


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of run `seed`: the searcher's, and the oracle's."""
    searcher, oracle = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(searcher), np.random.default_rng(oracle)


@lru_cache(maxsize=4)
def _table(name: str) -> AccuracyTable:
    return open_table(name)


@lru_cache(maxsize=16)
def _oracle(name: str, dataset: str, signal: str) -> Table:
    chosen = SearchMetric.parse(signal) if signal else None
    return Table(_table(name), dataset, metric=chosen, curves=open_curves(name))
