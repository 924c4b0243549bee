"""Run searchers for the gate: accuracy after each budget and speed, block by block, under a time limit."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Final, NamedTuple

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
from searchers import Spec

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


def measure(
    table: str,
    datasets: Sequence[str],
    searchers: Sequence[str],
    budgets: Sequence[int],
    seeds: range,
    *,
    time_limit: float,
    workers: int,
    advance: Callable[[int], object],
) -> dict[tuple[str, str], Measured]:
    """Runs of each searcher on each dataset, in order of seeds, from `workers` processes (-1: one a core).

    `time_limit` is in seconds, for `BLOCK` runs; `advance` is told the number of runs that ended.

    Raises SearcherFailed at the first searcher that gives no result.
    """
    blocks = [
        Block(searcher, dataset, first, min(BLOCK, seeds.stop - first))
        for first in range(seeds.start, seeds.stop, BLOCK)
        for dataset in datasets
        for searcher in searchers
    ]
    runs: dict[tuple[str, str], list[Run]] = {(s, d): [] for s in searchers for d in datasets}
    ratios: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for block, (found, ratio) in _execute(table, blocks, tuple(budgets), time_limit, workers):
        runs[block.searcher, block.dataset] += found
        ratios[block.searcher, block.dataset].append(ratio)
        advance(block.runs)
    return {key: Measured(tuple(runs[key]), float(np.median(ratios[key]))) for key in runs}


def _execute(
    table: str, blocks: Sequence[Block], budgets: tuple[int, ...], time_limit: float, workers: int
) -> Iterator[tuple[Block, tuple[list[Run], float]]]:
    """Results in the order of `blocks`; all processes are stopped when this ends, for whatever reason."""
    count = workers if workers > 0 else os.cpu_count() or 1
    pool = ProcessPool(max_workers=min(count, len(blocks)), context=get_context("spawn"))
    try:
        futures = [
            pool.schedule(run_block, args=[table, block, budgets], timeout=time_limit) for block in blocks
        ]
        for block, future in zip(blocks, futures, strict=True):
            try:
                yield block, future.result()
            except TookTooLong:
                raise SearcherFailed(
                    f"searcher {block.searcher} hangs: seeds {block.first} to {block.first + block.runs - 1} on "
                    f"{block.dataset} did not end within {time_limit:g} seconds; raise --time-limit if it is only slow"
                ) from None
            except ProcessExpired as error:
                raise SearcherFailed(
                    f"searcher {block.searcher} ended its process with exit code {error.exitcode} on "
                    f"{block.dataset}, between seeds {block.first} and {block.first + block.runs - 1}"
                ) from error
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble types the rest
        pool.join()


def run_block(table: str, block: Block, budgets: tuple[int, ...]) -> tuple[list[Run], float]:
    """The runs of a block, and the searcher's pace in the first.

    Raises SearcherFailed.
    """
    oracle = _oracle(table, block.dataset)
    spec = Spec.parse(block.searcher)
    seeds = range(block.first, block.first + block.runs)
    doing = ""
    try:
        found = []
        for seed in seeds:
            doing = f"seed {seed}"
            found.append(_search(spec, oracle, seed, budgets))
        doing = f"timing seed {block.first}"
        return found, pace(spec, oracle, block.first, budgets[-1])
    except SearcherFailed:
        raise
    except Exception as error:  # whatever a searcher raises is a finding about the searcher
        raise SearcherFailed(
            f"searcher {block.searcher} raised {type(error).__name__}: {error} (on {block.dataset}, {doing})"
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
