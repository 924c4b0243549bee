"""What a table alone says of a dataset: the optimum, and the exact random-search curve."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.harness.records.results import Curve, Reference
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget
from nasgauge.spaces.cells import all_cells

Array = NDArray[np.float64]

HORIZON = 100_000
"""Queries that the random-search curve extends to: how many random queries a better result is worth."""


class RandomSearch(NamedTuple):
    """Reported accuracy of random search's incumbent over runs, at each number of queries."""

    mean: Array
    sd: Array


def random_search(metric: Array, report: Array, queries: NDArray[np.int64]) -> RandomSearch:
    """Exact reported accuracy of the incumbent of random search, in closed form.

    Of `n` uniform draws with replacement from N cells, the incumbent is the cell with the highest search
    metric. With the cells in order of the metric, the incumbent is among the first c with probability
    (c/N)^n; cells of equal metric are incumbent with equal probability, since the first one drawn stays.

    `metric` and `report`: (N,), percent; `queries`: (points,). Returns two arrays (points,).

    >>> curve = random_search(np.array([1.0, 2.0]), np.array([10.0, 20.0]), np.array([1, 2]))
    >>> curve.mean
    array([15. , 17.5])
    """
    levels, group = np.unique(metric, return_inverse=True)
    count = np.bincount(group, minlength=len(levels))
    mean = np.bincount(group, weights=report) / count
    square = np.bincount(group, weights=report**2) / count
    below = np.concatenate([[0.0], np.cumsum(count) / len(metric)])
    moments = np.stack([mean, square], axis=1)
    # one point at a time, and only the levels that are below the incumbent with more than e^-60
    starts = np.searchsorted(below, np.exp(-60.0 / queries)) - 1
    points = [np.diff(below[start:] ** n) @ moments[start:] for start, n in zip(starts, queries, strict=True)]
    expected, squares = np.array(points).reshape(-1, 2).T
    return RandomSearch(expected, np.sqrt(np.maximum(squares - expected**2, 0.0)))


def _leader(metric: Array, report: Array) -> float:
    """Mean reported accuracy of the evaluations with the highest search metric: to what random search tends."""
    return float(report[metric == metric.max()].mean())


def reference(oracle: Table, budget: Budget) -> Reference:
    """The reference of one dataset, for results up to `budget`."""
    longest = int(max(budget.amount, HORIZON) if budget.clock == "queries" else HORIZON)
    queries = np.unique(np.geomspace(1, longest, 1000).round().astype(np.int64))
    curve = random_search(*oracle.draws, queries)
    best = int(np.nanargmax(oracle.test))
    return Reference(
        optimum=float(oracle.test[best]),
        optimum_cell=str(all_cells()[best]),
        leader=_leader(*oracle.draws),
        random=Curve(
            queries=tuple(queries.tolist()), mean=tuple(curve.mean.tolist()), sd=tuple(curve.sd.tolist())
        ),
    )
