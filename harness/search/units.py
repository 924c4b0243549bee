"""One unit of a campaign: a searcher on a dataset, for a block of seeds, into one result file."""

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from nasgauge.data.curves import Curves
from nasgauge.data.sealed import measured_file
from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.storage import Store
from nasgauge.data.tables import AccuracyTable, DamagedTable
from nasgauge.harness.records.provenance import versions
from nasgauge.harness.records.results import Settings, Unit
from nasgauge.harness.records.steps import Evaluation, Header, Step, gather, write
from nasgauge.harness.records.todo import remove
from nasgauge.harness.search.failures import Failure, SearcherFailed, reason_of, time_limit
from nasgauge.harness.search.fidelities import Ladder
from nasgauge.harness.search.oracle import SearchMetric, Table, rank_of
from nasgauge.harness.search.runner import Budget, Oracle, run
from nasgauge.harness.search.specs import Spec, open_space
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.fidelities import At

if TYPE_CHECKING:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.trainer import Trainer


LONGEST: Final = 5.0
"""Seconds after which the finished runs of a unit are written, so that a campaign that is stopped keeps them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where units are run: what does not change their results."""

    store: Store
    provenance: Mapping[str, object]
    """The fields `argv`, `commit`, `host` and `versions` of a header; a worker's own host replaces it, and the versions of
    what its searcher uses are added."""
    machine: "Machine | None" = None
    """Of a campaign on real training."""
    time_limit: float = 0.0
    """Seconds in which a searcher must make its next step, apart from the evaluation; 0 for no limit."""


def run_unit(place: Place, settings: Settings, unit: Unit, spec: Spec) -> Unit | Failure:
    """Run one unit and write its file; where it takes longer than `LONGEST`, what is done is written meanwhile.

    A searcher that raises, exits, hangs or makes no query is a Failure of the seeds from there on; the runs before are
    written.

    Raises DamagedTable if the table, or what is trained on, is not the campaign's.
    """
    start = time.perf_counter()
    evaluator = (
        _table_evaluator(place.store.folder, settings, unit.dataset, spec)
        if settings.training is None
        else _training_evaluator(place, settings, unit.dataset)
    )
    for name, what in (
        ("table", f"{settings.table} has"),
        ("curves", f"the curves of {settings.table} have"),
    ):
        found = str(evaluator.header.get(f"{name}_sha256", ""))
        if found != (began := getattr(settings, f"{name}_sha256")):
            raise DamagedTable(
                f"{what} checksum {found[:12] or 'none'}, the campaign began with {began[:12] or 'none'}; "
                "give another folder"
            )
    before: Path | None = None
    done: list[tuple[int, list[Step[Any]]]] = []
    runs, clock = _runs(place, settings, unit, spec, evaluator), start
    failure: Failure | None = None
    for seed in unit.seeds:
        try:
            done.append(_checked(next(runs), settings))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a searcher may raise anything
            failure = Failure(replace(unit, first=seed), reason_of(error, spec.factory))
        last = unit.first + len(done) - 1
        if failure is None and seed < unit.last and time.perf_counter() - clock < LONGEST:
            continue
        path = place.store.folder / replace(unit, last=last).file
        if not done or path == before:
            break
        about: dict[str, Any] = dict(place.provenance)
        header = Header.model_validate(
            about
            | dict(evaluator.header)
            | {
                "dataset": unit.dataset,
                "searcher": unit.searcher,
                "settings": spec.settings(),
                "budget": settings.budget,
                "repeats": settings.repeats,
                "seeds": (unit.first, last),
                "versions": about.get("versions", {}) | versions(*spec.packages),
                "host": platform.node(),
                "elapsed": time.perf_counter() - start,
            }
        )
        write(path, header, gather(done))
        place.store.keep(measured_file(path), path)
        if before is not None:  # the longer file holds its runs
            remove(before)
            place.store.keep(before, measured_file(before))
        before, clock = path, time.perf_counter()
        if failure is not None:
            break
    return failure or unit


def _checked(run: tuple[int, list[Step[Any]]], settings: Settings) -> tuple[int, list[Step[Any]]]:
    """A run whose steps can be written."""
    cells = gather([run]).cells  # which checks what the run recommends
    if settings.training is None:
        for text in cells:
            Cell.parse(text)  # the cells may be forged
    return run


def _runs(
    place: Place, settings: Settings, unit: Unit, spec: Spec, evaluator: "_Evaluator"
) -> Iterator[tuple[int, list[Step[Any]]]]:
    budget, space = Budget.parse(settings.budget), evaluator.space

    def structure(asked: Any) -> str:
        if isinstance(asked, At):
            return f"{asked.epochs} {structure(asked.cell)}"
        cell = asked
        if settings.training is None:
            rank_of(cell)  # only cells have one
        text: str = space.canonical(cell)
        return text

    for seed in unit.seeds:
        searcher_rng, oracle_rng = generators(seed)
        steps: list[Step[Any]] = []
        oracle = evaluator.for_run(oracle_rng)

        def progress(steps: list[Step[Any]] = steps, oracle: Oracle[Any] = oracle) -> object:
            return len(steps), isinstance(oracle, _Watched) and oracle.busy and time.monotonic()

        with time_limit(place.time_limit, progress):
            searcher = spec.make(
                space, searcher_rng, evaluator.fidelities, dataset=settings.search_on or unit.dataset
            )
            for step in run(searcher, oracle, budget, repeats=settings.repeats, canonical=structure):
                steps.append(step)
        # another budget may not pay for the first query, and a constraint may allow no cell
        if (
            not steps
            and budget.clock == "queries"
            and not spec.aims
            and not getattr(searcher, "absent", False)
        ):
            raise SearcherFailed("the first ask returned no cell, so the run has no query")
        yield seed, steps


class _Watched:
    """An oracle that trains, and says whether it does."""

    def __init__(self, trainer: "Trainer") -> None:
        self._trainer = trainer
        self.epochs = trainer.epochs
        self.busy = False

    def evaluate(self, cell: Any) -> Evaluation:
        """Train a cell."""
        self.busy = True
        try:
            return self._trainer.evaluate(cell)
        finally:
            self.busy = False


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
    fidelities: Sequence[int] = ()  # epochs that a searcher may ask for


def _table_evaluator(folder: Path, settings: Settings, dataset: str, spec: Spec) -> _Evaluator:
    opened = settings.table_in(folder), settings.table_sha256, settings.curves_sha256
    table, curves = _opened(*opened)
    chosen = opened, dataset, settings.metric, settings.search_on
    ladder = _ladder(*chosen) if spec.asks_epochs else None
    oracle = ladder.full if ladder else _oracle(*chosen)
    header = {
        "table": table.name,
        "table_sha256": table.sha256,
        "curves_sha256": curves.sha256 if curves else "",
        "limits": table.limits,
        "metric": (ladder or oracle).metric,
        "seconds": oracle.times,
        "report": str(oracle.view.report),
        "warning": oracle.view.warning,
    }
    return _Evaluator(header, oracle.space, (ladder or oracle).for_run, ladder.fidelities if ladder else ())


def _training_evaluator(place: Place, settings: Settings, dataset: str) -> _Evaluator:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.trainer import open_trainer

    assert settings.training is not None  # asked by the caller
    trainer = open_trainer(
        place.store,
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
    return _Evaluator(header, open_space(settings.training.space), lambda _rng: _Watched(trainer))


@lru_cache(maxsize=4)
def _opened(name: str, _sha256: str, _curves_sha256: str) -> tuple[AccuracyTable, Curves | None]:
    """A table and its learning curves; files that were replaced for another campaign have other checksums."""
    return open_table(name), open_curves(name)


@lru_cache(maxsize=16)
def _oracle(opened: tuple[str, str, str], dataset: str, metric: str, search_on: str) -> Table:
    chosen, (table, curves) = SearchMetric.parse(metric) if metric else None, _opened(*opened)
    return Table(table, dataset, metric=chosen, curves=curves, search_on=search_on)


@lru_cache(maxsize=16)
def _ladder(opened: tuple[str, str, str], dataset: str, metric: str, search_on: str) -> Ladder:
    chosen, (table, curves) = SearchMetric.parse(metric) if metric else None, _opened(*opened)
    return Ladder(table, dataset, metric=chosen, curves=curves, search_on=search_on)
