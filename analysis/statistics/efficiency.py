"""Sample efficiency: evaluations that a searcher needs for the accuracy of another one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.curves import ranked
from nasgauge.analysis.statistics.runs import expanded_tails, resampled_means
from nasgauge.harness.records.steps import Steps

Array = NDArray[np.float64]


class Ratio(NamedTuple):
    """How many times more evaluations another searcher needs, with the ends of its interval."""

    value: float
    low: float
    high: float


class Queries(NamedTuple):
    """The first charged queries of several runs, (runs, queries) each, percent.

    A run that ended earlier repeats its last query.
    """

    distinct: Array
    """The search metric of a cell that the run had not evaluated before, after the longest training; elsewhere minus
    infinity."""
    incumbent: Array
    """Reported accuracy of the incumbent."""
    answer: Array
    """Reported accuracy of the cell that the searcher recommends; of the incumbent where it recommends none."""


def queries_of(parts: Sequence[Steps], queries: int) -> Queries:
    """The first `queries` charged queries of all runs."""
    longest = max(int(part.fidelity.max(initial=0)) for part in parts)
    runs = []
    for part in parts:
        for seed in np.unique(part.seed[part.charged]):
            made = np.flatnonzero((part.seed == seed) & part.charged)[:queries]
            rows = np.concatenate([made, np.full(queries - len(made), made[-1])])
            metric = np.where(np.isnan(part.validation), -np.inf, part.validation)[rows]
            test, cell = part.test[rows], part.cell[rows]
            counted = np.where(part.fidelity[rows] < longest, -1, cell)
            first = np.zeros(queries, bool)
            first[np.unique(counted, return_index=True)[1]] = True
            known = dict(zip(cell.tolist(), test.tolist(), strict=True))
            incumbent = test[_incumbent(ranked(metric, part.fidelity[rows]))]
            own = part.answer[rows].tolist()
            runs.append(
                Queries(
                    distinct=np.where(first & (counted >= 0), metric, -np.inf),
                    incumbent=incumbent,
                    answer=np.array([known[c] if c >= 0 else incumbent[q] for q, c in enumerate(own)]),
                )
            )
    return Queries(*(np.array(values) for values in zip(*runs, strict=True)))


def top_means(values: Array, top: int) -> Array:
    """Mean of the `top` highest finite values so far, (runs, queries) to the same; NaN before there are so many.

    >>> top_means(np.array([[1.0, 3.0, -np.inf, 2.0]]), 2)
    array([[nan, 2. , 2. , 2.5]])
    """
    runs, queries = values.shape
    best = np.full((runs, top), -np.inf)
    means = np.full((runs, queries), np.nan)
    for query in range(queries):
        lowest = best.argmin(1)
        rows = np.arange(runs)
        best[rows, lowest] = np.maximum(best[rows, lowest], values[:, query])
        enough = np.isfinite(best).all(1)
        means[enough, query] = best[enough].mean(1)
    return means


def evaluations_for(curve: Array, target: float) -> float:
    """The first number of evaluations at which a mean curve (queries,) reaches `target`; else infinite.

    >>> evaluations_for(np.array([np.nan, 1.0, 2.0]), 1.5)
    3.0
    """
    reached = np.flatnonzero(np.nan_to_num(curve, nan=-np.inf) >= target)
    return float(reached[0] + 1) if len(reached) else float("inf")


def speed_up(
    ours: Array,
    theirs: Array,
    at: int,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> Ratio:
    """Evaluations that theirs need for the mean accuracy of ours after `at`, over `at`; (runs, queries) each.

    The interval resamples the runs of both groups independently; NaN with one run in a group. Where theirs do
    not reach the accuracy, all their queries are counted: a lower bound.

    >>> ours, theirs = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0, 1.0, 2.0]])
    >>> speed_up(ours, theirs, 2, np.random.default_rng(0)).value
    2.0
    """

    def ratio(one: Array, other: Array) -> float:
        return min(evaluations_for(other, float(one[at - 1])), float(len(other))) / at

    value = ratio(ours.mean(0), theirs.mean(0))
    fewest = min(len(ours), len(theirs))
    if fewest < 2:
        return Ratio(value, float("nan"), float("nan"))
    means = [resampled_means(runs, rng, resamples=resamples) for runs in (ours, theirs)]
    drawn = [ratio(one, other) for one, other in zip(*means, strict=True)]
    low, high = np.quantile(drawn, expanded_tails(fewest, level))
    return Ratio(value, float(low), float(high))


def _incumbent(metric: Array) -> NDArray[np.intp]:
    """Place of the first highest value so far, (queries,) to (queries,)."""
    highest = np.maximum.accumulate(metric)
    new = np.concatenate([[True], highest[1:] > highest[:-1]])
    return np.maximum.accumulate(np.where(new, np.arange(len(metric)), 0))
