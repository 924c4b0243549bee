"""One unit of a campaign: a searcher on a dataset, for a block of seeds, into one result file."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.tables import AccuracyTable, DamagedTable
from nasgauge.harness.records.results import TRAINED, Settings, Unit
from nasgauge.harness.records.steps import Header, Step, gather, write
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.runner import Budget, Oracle, run
from nasgauge.harness.search.specs import Spec, open_space

if TYPE_CHECKING:
    from nasgauge.harness.training import Machine


LONGEST: Final = 5.0
"""Seconds after which the finished runs of a unit are written, so that a campaign that is stopped keeps them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where units are run: what does not change their results."""

    folder: Path
    provenance: Mapping[str, object]
    """The fields `argv`, `commit` and `versions` of a header."""
    machine: "Machine | None" = None
    """Of a campaign on real training."""


def run_unit(place: Place, settings: Settings, unit: Unit, spec: Spec) -> Unit:
    """Run one unit and write its file, or several where it takes longer than `LONGEST`.

    Raises DamagedTable if the table, or what is trained on, is not the campaign's.
    """
    evaluator = (
        _table_evaluator(place.folder, settings, unit.dataset)
        if settings.training is None
        else _training_evaluator(place, settings, unit.dataset)
    )
    if evaluator.header["table_sha256"] != settings.table_sha256:
        raise DamagedTable(
            f"{settings.table} has checksum {str(evaluator.header['table_sha256'])[:12]}, the campaign began "
            f"with {settings.table_sha256[:12]}; give another folder"
        )
    budget = Budget.parse(settings.budget)
    space = evaluator.space

    def one(seed: int) -> list[Step[Any]]:
        searcher_rng, oracle_rng = generators(seed)
        searcher, oracle = spec.make(space, searcher_rng), evaluator.for_run(oracle_rng)
        return list(run(searcher, oracle, budget, repeats=settings.repeats, canonical=space.canonical))

    first, runs, clock = unit.first, list[tuple[int, list[Step[Any]]]](), time.perf_counter()
    for seed in range(unit.first, unit.last + 1):
        runs.append((seed, one(seed)))
        if seed < unit.last and time.perf_counter() - clock < LONGEST:
            continue
        header = Header.model_validate(
            dict(place.provenance)
            | dict(evaluator.header)
            | {
                "dataset": unit.dataset,
                "searcher": unit.searcher,
                "settings": spec.settings(),
                "budget": settings.budget,
                "repeats": settings.repeats,
                "seeds": (first, seed),
            }
        )
        write(place.folder / replace(unit, first=first, last=seed).file, header, gather(runs))
        first, runs, clock = seed + 1, [], time.perf_counter()
    return unit


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of run `seed`: the searcher's, and the oracle's.

    Both come from `SeedSequence(seed).spawn(2)`, so the entropy of their seed sequences is the run's seed.
    """
    searcher, oracle = np.random.SeedSequence(seed).spawn(2)
    return np.random.default_rng(searcher), np.random.default_rng(oracle)


class _Evaluator(NamedTuple):
    """What evaluates the cells of a unit, and what the unit's header says of it."""

    header: Mapping[str, object]
    space: Any  # of the cells that the oracle takes
    for_run: Callable[[np.random.Generator], Oracle[Any]]


def _table_evaluator(folder: Path, settings: Settings, dataset: str) -> _Evaluator:
    own = folder / settings.table  # a table that cannot be opened by name is kept in the campaign's folder
    name = str(own) if own.suffix == ".npz" and own.is_file() else settings.table
    table = _table(name)
    oracle = _oracle(name, dataset, settings.metric, settings.search_on)
    header = {
        "table": table.name,
        "table_sha256": table.sha256,
        "limits": table.limits,
        "metric": oracle.metric,
        "seconds": oracle.times,
        "report": str(oracle.view.report),
        "warning": oracle.view.warning,
    }
    return _Evaluator(header, oracle.space, oracle.for_run)


def _training_evaluator(place: Place, settings: Settings, dataset: str) -> _Evaluator:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.trainer import open_trainer

    assert settings.training is not None  # asked by the caller
    trainer = open_trainer(
        place.folder / TRAINED,
        dataset,
        settings.training,
        place.machine or Machine(),
        json.dumps(dict(place.provenance)),
    )
    header = {
        "table": settings.table,
        "table_sha256": trainer.sha256,
        "limits": settings.limits,
        "metric": f"{trainer.column}/valid",
        "seconds": "measured",
        "report": f"{trainer.column}/test",
        "warning": trainer.warning,
    }
    return _Evaluator(header, open_space(settings.training.space), lambda _rng: trainer)


@lru_cache(maxsize=4)
def _table(name: str) -> AccuracyTable:
    return open_table(name)


@lru_cache(maxsize=16)
def _oracle(name: str, dataset: str, metric: str, search_on: str) -> Table:
    chosen = SearchMetric.parse(metric) if metric else None
    return Table(_table(name), dataset, metric=chosen, curves=open_curves(name), search_on=search_on)
