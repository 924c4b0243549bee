"""Run searchers for the gate: accuracy after each budget and speed, block by block, under a time limit."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from nasgauge.data.sources import open_table
from nasgauge.gate.work import DECIMALS, Block, Run, describe_one, run_block
from nasgauge.harness.search.failures import SearcherFailed
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.processes import installed_modules_first
from nasgauge.harness.search.reference import random_search
from nasgauge.harness.search.specs import Option, Searchable, text_of
from nasgauge.spaces.errors import NasgaugeError

R = TypeVar("R")

BLOCK: Final = 10
"""Runs of one searcher that share a process and a time limit."""


class Saturated(NasgaugeError, ValueError):
    """A budget with which random search finds the best cell, so that no loss could be seen."""


class Measured(NamedTuple):
    """All runs of one searcher on one dataset."""

    runs: tuple[Run, ...]
    speed: float
    """Seconds for each query, over those of random search: median over blocks (see `nasgauge.gate.pace`)."""


@dataclass(frozen=True)
class Truth:
    """What the gate needs to know of a dataset."""

    sha256: str
    """Of both columns: the search metric and the reported accuracy."""
    optimum: float
    random: tuple[float, ...]
    """Exact mean accuracy of random search after each budget, percent."""


def truth(table: str, dataset: str, budgets: Sequence[int]) -> Truth:
    """The dataset's fingerprint, its best cell's accuracy, and random search on it.

    Raises UnknownTable, DamagedTable, NotInTable, Saturated.
    """
    oracle = Table(open_table(table), dataset)  # not the cached one: the file may have changed since
    digest = hashlib.sha256(f"{oracle.view.search}\n{oracle.view.report}\n".encode())
    for column in (oracle.validation, oracle.test):
        digest.update(np.ascontiguousarray(column, "<f8").data)
    optimum = float(oracle.test[oracle.space.ranks].max())
    curve = random_search(*oracle.draws, np.array(budgets, dtype=np.int64))
    for budget, mean in zip(budgets, curve.mean, strict=True):
        if optimum - mean < 10**-DECIMALS:
            raise Saturated(
                f"random search finds the best cell of {dataset} within {budget} queries, so every searcher "
                "looks the same; give a smaller budget"
            )
    return Truth(digest.hexdigest(), optimum, tuple(float(mean) for mean in curve.mean))


def datasets_of(table: str) -> tuple[str, ...]:
    """All datasets of a table.

    Raises UnknownTable, DamagedTable.
    """
    return tuple(open_table(table).views)


@dataclass(frozen=True)
class Crew:
    """Processes in which searchers run, so that one that hangs or crashes stops nothing else."""

    pool: ProcessPool
    time_limit: float
    """Seconds for `BLOCK` runs."""

    def call(self, what: str, function: Callable[..., R], *arguments: object) -> "Call[R]":
        """Start a call."""
        future = self.pool.schedule(function, args=list(arguments), timeout=self.time_limit)
        return Call(what, future, self.time_limit)


@dataclass(frozen=True)
class Call(Generic[R]):
    """A call in another process."""

    what: str
    future: "Future[R]"
    time_limit: float

    def result(self) -> R:
        """Its result, once it has ended.

        Raises SearcherFailed if it hung or its process died, and what was raised in it.
        """
        try:
            return self.future.result()
        except TookTooLong:
            raise SearcherFailed(
                f"{self.what} hangs: it did not end within {self.time_limit:g} seconds; raise the time limit "
                "if it is only slow"
            ) from None
        except ProcessExpired as error:
            raise SearcherFailed(f"{self.what} ended its process with exit code {error.exitcode}") from error


@contextmanager
def crew(workers: int, time_limit: float) -> Iterator[Crew]:
    """`workers` processes (-1: one for each core), which all end with the block, whatever ends it."""
    count = workers if workers > 0 else os.cpu_count() or 1
    pool = ProcessPool(max_workers=count, context=get_context("spawn"))
    try:
        with installed_modules_first():
            yield Crew(pool, time_limit)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble types the rest
        pool.join()


def describe(
    crew: Crew, searchers: Iterable[Searchable]
) -> tuple[dict[str, Mapping[str, Option]], tuple[str, ...]]:
    """Full name and every option of each searcher, and a line for each that cannot be made.

    Raises UnknownSearcher, InvalidOption.
    """
    calls = [crew.call(f"searcher {text}", describe_one, text) for text in map(text_of, searchers)]
    described, failures = [], []
    for call in calls:
        try:
            described.append(call.result())
        except SearcherFailed as error:
            failures.append(str(error))
    return dict(described), tuple(failures)


def measure(
    crew: Crew,
    table: str,
    datasets: Sequence[str],
    searchers: Iterable[str],
    budgets: Sequence[int],
    seeds: range,
    advance: Callable[[int], object],
) -> tuple[dict[tuple[str, str], Measured], tuple[str, ...]]:
    """Runs of each searcher on each dataset, in order of seeds, and a line for each searcher that failed.

    A searcher that fails has no result, and what is left of it is not run. `advance` is called with the number
    of runs that ended.
    """
    pairs = [(searcher, dataset) for dataset in datasets for searcher in searchers]
    blocks = [
        Block(searcher, dataset, first, min(BLOCK, seeds.stop - first))
        for first in range(seeds.start, seeds.stop, BLOCK)
        for searcher, dataset in pairs
    ]
    calls = [(block, crew.call(str(block), run_block, table, block, tuple(budgets))) for block in blocks]
    runs: dict[tuple[str, str], list[Run]] = {pair: [] for pair in pairs}
    ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    failed: dict[str, str] = {}
    for block, call in calls:
        if block.searcher not in failed:
            try:
                found, ratio = call.result()
            except SearcherFailed as error:
                failed[block.searcher] = str(error)
                for other, left in calls:
                    if other.searcher == block.searcher:
                        left.future.cancel()
            else:
                runs[block.searcher, block.dataset] += found
                ratios[block.searcher, block.dataset].append(ratio)
        advance(block.runs)
    measured = {
        pair: Measured(tuple(runs[pair]), float(np.median(ratios[pair])))
        for pair in pairs
        if pair[0] not in failed
    }
    return measured, tuple(failed.values())


def accuracies(runs: Sequence[Run]) -> NDArray[np.float64]:
    """(runs, budgets), percent."""
    return np.array([run.accuracies for run in runs], dtype=np.float64)
