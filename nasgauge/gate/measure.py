"""Run searchers for the gate: accuracy after each budget and speed, block by block, under a time limit."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from nasgauge.data.sources import open_table
from nasgauge.gate.work import DECIMALS, Block, Run, SearcherFailed, describe_one, run_block
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
    optimum = float(oracle.test.max())
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

    def call(self, what: str, function: Callable[..., R], *arguments: object) -> Callable[[], R]:
        """Start a call; its result, when it is asked for, or SearcherFailed with what hung or died."""
        future = self.pool.schedule(function, args=list(arguments), timeout=self.time_limit)

        def result() -> R:
            try:
                found: R = future.result()
            except TookTooLong:
                raise SearcherFailed(
                    f"{what} hangs: it did not end within {self.time_limit:g} seconds; raise the time limit "
                    "if it is only slow"
                ) from None
            except ProcessExpired as error:
                raise SearcherFailed(f"{what} ended its process with exit code {error.exitcode}") from error
            return found

        return result


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


def describe(crew: Crew, searchers: Iterable[Searchable]) -> dict[str, Mapping[str, Option]]:
    """Full name and every option of each searcher.

    Raises UnknownSearcher, InvalidOption, SearcherFailed.
    """
    return dict([crew.call(f"searcher {text}", describe_one, text)() for text in map(text_of, searchers)])


def measure(
    crew: Crew,
    table: str,
    datasets: Sequence[str],
    searchers: Iterable[str],
    budgets: Sequence[int],
    seeds: range,
    advance: Callable[[int], object],
) -> dict[tuple[str, str], Measured]:
    """Runs of each searcher on each dataset, in order of seeds; `advance` is called with the number of runs that ended.

    Raises SearcherFailed at the first searcher that gives no result.
    """
    pairs = [(searcher, dataset) for dataset in datasets for searcher in searchers]
    blocks = [
        Block(searcher, dataset, first, min(BLOCK, seeds.stop - first))
        for first in range(seeds.start, seeds.stop, BLOCK)
        for searcher, dataset in pairs
    ]
    results = [crew.call(str(block), run_block, table, block, tuple(budgets)) for block in blocks]
    runs: dict[tuple[str, str], list[Run]] = {pair: [] for pair in pairs}
    ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for block, result in zip(blocks, results, strict=True):
        found, ratio = result()
        runs[block.searcher, block.dataset] += found
        ratios[block.searcher, block.dataset].append(ratio)
        advance(block.runs)
    return {pair: Measured(tuple(runs[pair]), float(np.median(ratios[pair]))) for pair in pairs}


def accuracies(runs: Sequence[Run]) -> NDArray[np.float64]:
    """(runs, budgets), percent."""
    return np.array([run.accuracies for run in runs], dtype=np.float64)
