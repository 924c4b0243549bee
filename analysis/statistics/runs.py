"""Statistics of one group of runs: arrays in, arrays out; no file, no figure."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

RESAMPLES: Final = 2000


class Band(NamedTuple):
    """The middle of a group of runs and its 95 % interval, (points,) each; NaN where there is none."""

    centre: Array
    low: Array
    high: Array


def bootstrap_mean(
    runs: Array, rng: np.random.Generator, *, level: float = 0.95, resamples: int = RESAMPLES
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


def median_interval(runs: Array, *, level: float = 0.95) -> Array:
    """Distribution-free interval of the median over runs, by order statistics; (runs, points) to (2, points).

    The narrowest pair of order statistics, equally far from both ends, that covers at least `level`
    (Conover, 1999, section 3.2); the extremes where the runs are too few for any pair to do so.

    >>> median_interval(np.arange(20.0)[:, None])[:, 0].tolist()
    [5.0, 14.0]
    """
    n = len(runs)
    lowest = max(int(stats.binom.ppf((1 - level) / 2, n, 0.5)) - 1, 0)
    ordered = np.sort(runs, axis=0)
    return np.stack([ordered[lowest], ordered[n - 1 - lowest]])


def band(runs: Array, rng: np.random.Generator, *, average: str = "mean") -> Band:
    """Mean or median over runs with its interval; (runs, points) to three arrays (points,).

    The centre is NaN where a run has no value yet; the interval too, and with fewer than two runs.
    """
    centre = (np.mean if average == "mean" else np.median)(runs, axis=0)
    interval = np.full((2, runs.shape[1]), np.nan)
    whole = np.isfinite(centre)
    if len(runs) > 1 and whole.any():
        columns = runs[:, whole]
        interval[:, whole] = bootstrap_mean(columns, rng) if average == "mean" else median_interval(columns)
    return Band(centre, *interval)


def paired_p(ours: Array, theirs: Array) -> float:
    """Two-sided Wilcoxon signed-rank test of runs paired by seed; 1 where all pairs are equal.

    >>> paired_p(np.arange(10.0), np.arange(10.0))
    1.0
    """
    if np.array_equal(ours, theirs):
        return 1.0
    return float(stats.wilcoxon(ours, theirs, zero_method="zsplit").pvalue)
