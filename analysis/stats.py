"""Statistics: arrays in, arrays out; no file, no figure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """Mean and standard deviation over runs at each number of queries."""

    mean: Array
    sd: Array


def random_search(signal: Array, report: Array, queries: NDArray[np.int64]) -> Curve:
    """Exact reported accuracy of the leader of a random search, in closed form.

    Of `n` uniform draws with replacement from N cells, the leader is the cell with the highest signal. With
    the cells in order of signal, the leader is among the first c with probability (c/N)^n; cells of equal
    signal lead with equal probability, since the one drawn first does.

    `signal` and `report`: (N,), percent; `queries`: (points,). Gives two arrays (points,).

    >>> curve = random_search(np.array([1.0, 2.0]), np.array([10.0, 20.0]), np.array([1, 2]))
    >>> curve.mean
    array([15. , 17.5])
    """
    levels, group = np.unique(signal, return_inverse=True)
    count = np.bincount(group, minlength=len(levels))
    mean = np.bincount(group, weights=report) / count
    square = np.bincount(group, weights=report**2) / count
    below = np.concatenate([[0.0], np.cumsum(count) / len(signal)])
    leads = np.diff(below[None, :] ** queries[:, None], axis=1)  # (points, levels)
    expected = leads @ mean
    return Curve(expected, np.sqrt(np.maximum(leads @ square - expected**2, 0.0)))


def bootstrap_mean(
    runs: Array, rng: np.random.Generator, *, level: float = 0.95, resamples: int = 2000
) -> Array:
    """Percentile bootstrap interval of the mean over runs; (runs, points) to (2, points).

    >>> bootstrap_mean(np.ones((5, 3)), np.random.default_rng(0)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    n = len(runs)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    centre = runs.mean(axis=0)
    means = centre + weights @ (runs - centre)
    tail = (1 - level) / 2
    interval: Array = np.quantile(means, [tail, 1 - tail], axis=0)
    return interval


def paired_p(ours: Array, theirs: Array) -> float:
    """Two-sided Wilcoxon signed-rank test of runs paired by seed; 1 where all pairs are equal.

    >>> paired_p(np.arange(10.0), np.arange(10.0))
    1.0
    """
    if np.array_equal(ours, theirs):
        return 1.0
    return float(stats.wilcoxon(ours, theirs, zero_method="zsplit").pvalue)
