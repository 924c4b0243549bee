"""The units of a campaign handed out to an engine, and what becomes of those that fail."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from nasgauge.harness.engines import Engine, Lost
from nasgauge.harness.records.results import OWN_TABLE, Settings, Unit
from nasgauge.harness.records.steps import read_header
from nasgauge.harness.search.failures import HANGS, Failure, UnitsFailed
from nasgauge.harness.search.schedule import Kind, Schedule
from nasgauge.harness.search.specs import Spec
from nasgauge.harness.search.units import Place, run_unit


class Job(NamedTuple):
    """A unit and its searcher."""

    unit: Unit
    spec: Spec


class _Done(NamedTuple):
    result: Unit | Failure
    seconds: float


def _run_some(place: Place, settings: Settings, jobs: Sequence[Job]) -> list[_Done]:
    """Run the units of a task."""
    done: list[_Done] = []
    with place.store.elsewhere() as store:
        if settings.table == OWN_TABLE and store is not place.store:
            store.bring(OWN_TABLE)
        here = replace(place, store=store)
        for job in jobs:
            start = time.perf_counter()
            done.append(_Done(run_unit(here, settings, *job), time.perf_counter() - start))
    return done


def _is_made(place: Place, settings: Settings, unit: Unit) -> bool:
    """Whether a unit has its file; one of a smaller budget has the same name."""
    place.store.bring(unit.file)
    path = place.store.folder / unit.file
    return path.exists() and read_header(path).budget == settings.budget


def all_that_finish(
    engine: Engine, place: Place, settings: Settings, jobs: Iterable[tuple[Kind, Job]]
) -> Iterator[Unit]:
    """Run all jobs; a searcher that hangs or ends its process is not tried again.

    Raises UnitsFailed at the end.
    """
    failures: list[Failure] = []
    schedule, kept = Schedule(jobs), 0
    with closing(engine.run(partial(_run_some, place, settings), schedule)) as results:
        for task, done in results:
            kind, ended = Kind(task[0].unit.searcher, task[0].unit.dataset), False
            if isinstance(done, Lost):
                ended = True
                done = [
                    # those before the one that ended the process have their files
                    _Done(unit if _is_made(place, settings, unit) else Failure(unit, done.reason), 0.0)
                    for unit, _ in task
                ]
            else:
                schedule.took(kind, len(done), sum(seconds for _, seconds in done))
            for (unit, _), (result, _) in zip(task, done, strict=True):
                made = unit.runs
                if isinstance(result, Failure):
                    made = result.unit.first - unit.first  # those before the seed that failed
                    failures.append(result)
                    ended = ended or HANGS in result.reason
                if made:
                    kept += made
                    yield replace(unit, last=unit.first + made - 1)
            if ended:
                failures += [Failure(unit, "not tried again") for unit, _ in schedule.drop(kind.searcher)]
    if failures:
        raise UnitsFailed(failures, kept)
