"""Statistics of one group of runs: arrays in, arrays out; no file, no figure."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

Array = NDArray[np.float64]

RESAMPLES: Final = 2000
FEW: Final = 8
"""Runs below which intervals of means are Student's: so few runs have too few different resamples."""
MANY: Final = 2000
"""Runs beyond which means are normal for every purpose here, and are drawn so: resampling costs runs × resamples."""


def sd(values: Array) -> float:
    """Standard deviation over runs, (runs,); exactly 0 for equal values, NaN for fewer than two.

    >>> sd(np.full(3, 94.37)), sd(np.array([1.0]))
    (0.0, nan)
    """
    if len(values) < 2:
        return float("nan")
    return 0.0 if np.ptp(values) < 1e-9 else float(values.std(ddof=1))


class Band(NamedTuple):
    """The middle of a group of runs and its 95 % interval, (points,) each; NaN where there is none."""

    centre: Array
    low: Array
    high: Array


def resampled_means(runs: Array, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Array:
    """Means of bootstrap samples of the runs, (runs, points) to (resamples, points).

    Beyond `MANY` runs they are drawn from their limit, the normal distribution with the same covariance. NaN at the points
    where a run has no value.
    """
    n = len(runs)
    centre = runs.mean(axis=0)
    if n > MANY:
        known = np.isfinite(centre)
        around = (runs - centre)[:, known]
        values, vectors = linalg.eigh(around.T @ around / n**2)
        normal = rng.standard_normal((resamples, len(values)))
        limit = np.full((resamples, len(centre)), np.nan)
        limit[:, known] = centre[known] + normal @ (vectors * np.sqrt(np.clip(values, 0, None))).T
        return limit
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    means: Array = centre + weights @ (runs - centre)
    return means


def expanded_tails(n: int, level: float = 0.95) -> tuple[float, float]:
    """Quantiles of the bootstrap means of `n` runs between which an interval of the mean lies.

    The plain percentile interval is too narrow for few runs: it divides by n instead of n - 1 and uses no
    Student's t. The expanded percentile interval corrects both (Hesterberg, 2015, "What teachers should know
    about the bootstrap", section 3.3).

    >>> [round(tail, 3) for tail in (*expanded_tails(10), *expanded_tails(1000))]
    [0.009, 0.991, 0.025, 0.975]
    """
    reach = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(n / (n - 1))
    tail = float(stats.norm.cdf(-reach))
    return tail, 1 - tail


def bootstrap_mean(
    runs: Array, rng: np.random.Generator, *, level: float = 0.95, resamples: int = RESAMPLES
) -> Array:
    """Interval of the mean over two runs or more, (runs, points) to (2, points).

    The expanded percentile bootstrap; with fewer than `FEW` runs Student's t.

    >>> bootstrap_mean(np.ones((5, 3)), np.random.default_rng(0)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    n = len(runs)
    if n < FEW:
        reach: Array = stats.t.ppf((1 + level) / 2, n - 1) * runs.std(axis=0, ddof=1) / np.sqrt(n)
        return np.stack([runs.mean(axis=0) - reach, runs.mean(axis=0) + reach])
    means = resampled_means(runs, rng, resamples=resamples)
    interval: Array = np.quantile(means, expanded_tails(n, level), axis=0)
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
