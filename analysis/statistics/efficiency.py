"""Sample efficiency: how many evaluations a searcher needs for what another one reaches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.harness.records.steps import Steps

Array = NDArray[np.float64]


class Ratio(NamedTuple):
    """How many times more evaluations another searcher needs, with the ends of its interval."""

    value: float
    low: float
    high: float


def matrices(parts: Sequence[Steps], queries: int) -> tuple[Array, Array, Array]:
    """Signal, reported accuracy, and that of the searcher's own answer, of the first `queries` steps.

    (runs, queries) each, percent. A run that ended earlier repeats its last step; a searcher without
    answers gives the leader on the signal.
    """
    signal, report, answer = [], [], []
    for part in parts:
        for seed in np.unique(part.seed):
            rows = np.flatnonzero(part.seed == seed)[:queries]
            rows = np.concatenate([rows, np.full(queries - len(rows), rows[-1])])
            known = dict(zip(part.cell[rows].tolist(), part.test[rows].tolist(), strict=True))
            leader = _leader(part.validation[rows])
            own = part.answer[rows].tolist()
            test = part.test[rows]
            signal.append(part.validation[rows])
            report.append(test)
            answer.append([known[cell] if cell >= 0 else test[leader[q]] for q, cell in enumerate(own)])
    return np.array(signal), np.array(report), np.array(answer)


def incumbents(signal: Array, report: Array) -> Array:
    """Reported accuracy of the cell with the highest signal so far, (runs, queries)."""
    return np.stack([row[_leader(values)] for values, row in zip(signal, report, strict=True)])


def top_means(values: Array, top: int) -> Array:
    """Mean of the `top` highest values so far, (runs, queries) to the same; NaN before there are so many.

    >>> top_means(np.array([[1.0, 3.0, 2.0]]), 2)
    array([[nan, 2. , 2.5]])
    """
    runs, queries = values.shape
    best = np.full((runs, top), -np.inf)
    means = np.full((runs, queries), np.nan)
    for query in range(queries):
        lowest = best.argmin(1)
        rows = np.arange(runs)
        best[rows, lowest] = np.maximum(best[rows, lowest], values[:, query])
        if query + 1 >= top:
            means[:, query] = best.mean(1)
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
    """Evaluations that theirs need for what ours have after `at`, over `at`; (runs, queries) each.

    The interval resamples the runs of both. Where theirs never get there within their queries, these count.

    >>> ours, theirs = np.array([[1.0, 2.0]]), np.array([[0.0, 1.0, 1.0, 2.0]])
    >>> speed_up(ours, theirs, 2, np.random.default_rng(0)).value
    2.0
    """

    def ratio(one: Array, other: Array) -> float:
        return min(evaluations_for(other, float(one[at - 1])), float(len(other))) / at

    def means(runs: Array) -> Array:
        n = len(runs)
        return np.asarray(rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n @ runs)

    drawn = [ratio(one, other) for one, other in zip(means(ours), means(theirs), strict=True)]
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Ratio(ratio(ours.mean(0), theirs.mean(0)), float(low), float(high))


def _leader(signal: Array) -> NDArray[np.intp]:
    """Place of the first highest value so far, (queries,) to (queries,)."""
    highest = np.maximum.accumulate(signal)
    new = np.concatenate([[True], highest[1:] > highest[:-1]])
    return np.maximum.accumulate(np.where(new, np.arange(len(signal)), 0))
