"""Run searchers for the gate: accuracy after each budget and speed, block by block, under a time limit."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from analysis.curves import align
from analysis.stats import random_search
from data.sources import open_table
from harness.campaign import generators
from harness.cells import Cell
from harness.gate.pace import pace
from harness.oracle import Table
from harness.records import Step, gather
from harness.runner import Budget, Searcher, run
from harness.spaces import NB201
from searchers import InvalidOption, Option, Spec, UnknownSearcher

R = TypeVar("R")

BLOCK: Final = 10
"""Runs of one searcher that share a process and a time limit."""
DECIMALS: Final = 4
"""Of a stored accuracy, percent."""


class SearcherFailed(ValueError):
    """A searcher that raised, hung, died or asked for nothing: there is nothing to judge."""


class Saturated(ValueError):
    """A budget with which random search finds the best cell, so that no loss could be seen."""


class Run(NamedTuple):
    """One search."""

    seed: int
    cells: str
    """Beginning of the sha256 of the cells asked for."""
    accuracies: tuple[float, ...]
    """Reported accuracy of the validation leader after each budget, percent."""


@dataclass(frozen=True)
class Block:
    """A searcher on a dataset, for `runs` seeds from `first`."""

    searcher: str
    dataset: str
    first: int
    runs: int

    def __str__(self) -> str:
        last = self.first + self.runs - 1
        return f"searcher {self.searcher} on {self.dataset}, seeds {self.first} to {last},"


class Measured(NamedTuple):
    """All runs of one searcher on one dataset."""

    runs: tuple[Run, ...]
    speed: float
    """Seconds for each query, over those of random search: median over blocks (see `harness.gate.pace`)."""


@dataclass(frozen=True)
class Truth:
    """What the gate needs to know of a dataset."""

    sha256: str
    """Of both columns: what searchers are told, and what is reported."""
    optimum: float
    random: tuple[float, ...]
    """Exact mean accuracy of random search after each budget, percent."""


def truth(table: str, dataset: str, budgets: Sequence[int]) -> Truth:
    """The dataset's fingerprint, its best cell's accuracy, and random search on it.

    Raises UnknownTable, DamagedTable, NotInTable, Saturated.
    """
    oracle = _oracle(table, dataset)
    digest = hashlib.sha256(f"{oracle.view.search}\n{oracle.view.report}\n".encode())
    for column in (oracle.validation, oracle.test):
        digest.update(np.ascontiguousarray(column, "<f8").data)
    optimum = float(oracle.test.max())
    curve = random_search(oracle.validation, oracle.test, np.array(budgets, dtype=np.int64))
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
    """Processes in which searchers run, so that one that hangs or dies takes nothing with it."""

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
        yield Crew(pool, time_limit)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble types the rest
        pool.join()


def describe(crew: Crew, searchers: Iterable[str]) -> dict[str, Mapping[str, Option]]:
    """Full name and every option of each searcher.

    Raises UnknownSearcher, InvalidOption, SearcherFailed.
    """
    return dict([crew.call(f"searcher {text}", _describe, text)() for text in searchers])


def _describe(text: str) -> tuple[str, Mapping[str, Option]]:
    with _blaming(text, "when it was made"):
        spec = Spec.parse(text)
        return str(spec), spec.settings()


def measure(
    crew: Crew,
    table: str,
    datasets: Sequence[str],
    searchers: Iterable[str],
    budgets: Sequence[int],
    seeds: range,
    advance: Callable[[int], object],
) -> dict[tuple[str, str], Measured]:
    """Runs of each searcher on each dataset, in order of seeds; `advance` is told how many runs ended.

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


def run_block(table: str, block: Block, budgets: tuple[int, ...]) -> tuple[list[Run], float]:
    """The runs of a block, and the searcher's pace in the first.

    Raises SearcherFailed.
    """
    oracle = _oracle(table, block.dataset)
    seeds = range(block.first, block.first + block.runs)
    with _blaming(block.searcher, f"on {block.dataset}, seeds {seeds[0]} to {seeds[-1]}"):
        spec = Spec.parse(block.searcher)
        runs = [_search(spec, oracle, seed, budgets) for seed in seeds]
        return runs, pace(spec, oracle, block.first, budgets[-1])


@contextmanager
def _blaming(searcher: str, where: str) -> Iterator[None]:
    """Whatever a searcher raises is a finding about the searcher."""
    try:
        yield
    except (SearcherFailed, UnknownSearcher, InvalidOption):
        raise
    except (Exception, SystemExit) as error:
        raise SearcherFailed(
            f"searcher {searcher} raised {type(error).__name__}: {error} ({where})"
        ) from error


def _search(spec: Spec, oracle: Table, seed: int, budgets: tuple[int, ...]) -> Run:
    searcher: Searcher[Cell] = spec.make(NB201(), generators(seed)[0])
    steps: list[Step[Cell]] = list(run(searcher, oracle, Budget(budgets[-1])))
    if not steps:
        raise SearcherFailed(f"searcher {spec} asked for nothing: its run of seed {seed} has no step")
    places = np.minimum(np.array(budgets), len(steps)) - 1
    leaders = align([gather([(seed, steps)])]).incumbent[0, places]
    cells = hashlib.sha256("\n".join(str(step.cell) for step in steps).encode()).hexdigest()
    return Run(seed, cells[:8], tuple(round(float(value), DECIMALS) for value in leaders))


@lru_cache(maxsize=16)
def _oracle(table: str, dataset: str) -> Table:
    return Table(open_table(table), dataset)


def accuracies(runs: Sequence[Run]) -> NDArray[np.float64]:
    """(runs, budgets), percent."""
    return np.array([run.accuracies for run in runs], dtype=np.float64)
