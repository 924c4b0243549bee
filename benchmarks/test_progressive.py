"""Speed of searches with surrogates: `pytest benchmarks/test_progressive.py --benchmark-only`."""

from typing import Any

import numpy as np
import pytest

from nasgauge.data.sources import open_table
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.searchers.surrogates import Predictor, installed
from nasgauge.spaces.nb201 import NB201

space = NB201()


@pytest.fixture(scope="module")
def oracle() -> Table:
    return Table(open_table("bundled"), "cifar10")


@pytest.mark.parametrize("name", ["pnas", "pnas-ucb", "pnas:surrogate=forest", "smbo", "bananas"])
def test_one_search_of_192_queries(benchmark: Any, oracle: Table, name: str) -> None:
    """Goal: PNAS with its ensemble of MLPs under 3 s on one core, fits included."""
    spec = Spec.parse(name)

    def search() -> None:
        for _ in run(spec.make(space, np.random.default_rng(0)), oracle, Budget(192)):
            pass

    benchmark.pedantic(search, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("name", installed())
def test_one_fit_on_150_cells(benchmark: Any, oracle: Table, name: str) -> None:
    rng = np.random.default_rng(0)
    cells = [space.sample(rng) for _ in range(150)]
    predictor = Predictor(space, rng, name)
    accuracies = [oracle.evaluate(cell).validation for cell in cells]
    benchmark.pedantic(predictor.learn, (cells, accuracies), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("count", [2000, 4000, 8000])
def test_scoring_is_linear_in_the_candidates(benchmark: Any, oracle: Table, count: int) -> None:
    rng = np.random.default_rng(0)
    cells = [space.sample(rng) for _ in range(count)]
    predictor = Predictor(space, rng, "mlp-ensemble")
    predictor.learn(cells[:150], [oracle.evaluate(cell).validation for cell in cells[:150]])
    benchmark.pedantic(predictor.predict, (cells,), rounds=5, warmup_rounds=1)
