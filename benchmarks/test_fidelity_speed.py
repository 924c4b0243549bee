"""Runner overhead of searches that ask for training lengths: `pytest benchmarks/test_fidelity_speed.py --benchmark-only`."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nasgauge.data.sources import open_table
from nasgauge.harness.records.steps import gather
from nasgauge.harness.search.fidelities import Ladder
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.units import generators
from nasgauge.searchers.random_search import RandomSearch
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.fidelities import At
from nasgauge.spaces.nb201 import NB201

space = NB201()
RUNS, QUERIES, ROUNDS = 25, 200, 15


class FullyTrained(RandomSearch[Cell]):
    """Random search that asks for full trainings by their length."""

    def ask(self) -> list[At[Cell]]:  # type: ignore[override]
        return [At(self.space.sample(self.rng), 200)]


def test_runner_overhead_of_fidelities(benchmark: Any) -> None:
    """Goal: at most 1.10 times the seconds of a plain search with the same cells, seeds and results."""
    ladder = Ladder(open_table("nb201"), "cifar10")

    def searches(searcher: type[Any], oracle: Any) -> Callable[[], float]:
        def search() -> float:
            start = time.process_time()
            steps = gather(
                (seed, list(run(searcher(space, rngs[0]), oracle.for_run(rngs[1]), Budget(QUERIES))))
                for seed in range(RUNS)
                for rngs in [generators(seed)]
            )
            assert len(steps.seed) == RUNS * QUERIES
            found.append(steps.validation)
            return time.process_time() - start

        return search

    found: list[np.ndarray] = []
    plain, lengths = searches(RandomSearch, ladder.full), searches(FullyTrained, ladder)
    turns = [(plain(), lengths()) for _ in range(ROUNDS)]  # alternately: both meet the same load
    assert np.array_equal(found[0], found[1])
    benchmark.pedantic(lengths, rounds=3)
    mine, theirs = (float(np.min([turn[place] for turn in turns])) for place in (1, 0))
    benchmark.extra_info["seconds over those of a plain search"] = mine / theirs
    benchmark.extra_info["microseconds a step"] = 1e6 * mine / (RUNS * QUERIES)
    assert mine / theirs == pytest.approx(1.0, abs=0.5), "far from the goal: something else was measured"
