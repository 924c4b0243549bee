"""The work of one process of the gate: runs of one searcher, a block of seeds at a time."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from nasgauge.analysis.statistics.curves import align
from nasgauge.data.sources import open_table
from nasgauge.gate.pace import pace
from nasgauge.harness.records.steps import Step, gather
from nasgauge.harness.search.failures import SearcherFailed, reason_of
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget, Searcher, run
from nasgauge.harness.search.specs import Option, Spec
from nasgauge.harness.search.units import generators
from nasgauge.spaces.cells import Cell

DECIMALS: Final = 4
"""Of a stored accuracy, percent."""


class Run(NamedTuple):
    """One search."""

    seed: int
    cells: str
    """Beginning of the sha256 of the cells asked for."""
    accuracies: tuple[float, ...]
    """Reported accuracy of the incumbent after each budget, percent."""


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


def describe_one(text: str) -> tuple[str, Mapping[str, Option]]:
    """Full name of a searcher, and every option.

    Raises UnknownSearcher, InvalidOption, SearcherFailed.
    """
    spec = Spec.of(text)
    if spec.asks_epochs:
        raise SearcherFailed(
            f"searcher {spec} asks for training lengths, and the gate counts queries of one; leave it out"
        )
    return str(spec), spec.settings()


def run_block(table: str, block: Block, budgets: tuple[int, ...]) -> tuple[list[Run], float]:
    """The runs of a block, and the searcher's pace in the first.

    Raises SearcherFailed.
    """
    oracle = oracle_of(table, block.dataset)
    seeds = range(block.first, block.first + block.runs)
    spec = Spec.of(block.searcher)
    with _blaming(spec, f"on {block.dataset}, seeds {seeds[0]} to {seeds[-1]}"):
        runs = [_search(spec, oracle, seed, budgets) for seed in seeds]
        return runs, pace(spec, oracle, block.first, budgets[-1])


@contextmanager
def _blaming(spec: Spec, where: str) -> Iterator[None]:
    """Turn what a searcher raises into SearcherFailed."""
    try:
        yield
    except SearcherFailed:
        raise
    except (Exception, SystemExit) as error:
        raise SearcherFailed(f"searcher {spec} failed: {reason_of(error, spec.factory)}; {where}") from error


def _search(spec: Spec, oracle: Table, seed: int, budgets: tuple[int, ...]) -> Run:
    searcher_rng, oracle_rng = generators(seed)
    searcher: Searcher[Cell] = spec.make(oracle.space, searcher_rng, dataset=oracle.searched)
    steps: list[Step[Cell]] = list(run(searcher, oracle.for_run(oracle_rng), Budget(budgets[-1])))
    if not steps:
        raise SearcherFailed(f"searcher {spec} asked for nothing: its run of seed {seed} has no step")
    places = np.minimum(np.array(budgets), len(steps)) - 1
    incumbents = align([gather([(seed, steps)])]).incumbent[0, places]
    cells = hashlib.sha256("\n".join(str(step.cell) for step in steps).encode()).hexdigest()
    return Run(seed, cells[:8], tuple(round(float(value), DECIMALS) for value in incumbents))


@lru_cache(maxsize=16)
def oracle_of(table: str, dataset: str) -> Table:
    """A dataset's oracle, opened once in a process.

    Raises UnknownTable, DamagedTable, NotInTable.
    """
    return Table(open_table(table), dataset)
