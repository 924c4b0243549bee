"""Several datasets at once: interquartile mean, performance profiles and probability of improvement.

The measures of Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical
precipice". Intervals of means are bootstrapped, stratified by dataset.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nasgauge.analysis.statistics.comparisons import a12_interval
from nasgauge.analysis.statistics.runs import MANY, RESAMPLES, Band, expanded_tails, resampled_means

Array = NDArray[np.float64]


def normalised(accuracy: Array, *, chance: float, optimum: float) -> Array:
    """Scale accuracies to 0 for the mean of a random cell (`chance`) and 1 for the best cell (`optimum`).

    >>> normalised(np.array([50.0, 75.0]), chance=50.0, optimum=100.0).tolist()
    [0.0, 0.5]
    """
    return (accuracy - chance) / (optimum - chance)


def iqm(scores: Array) -> float:
    """Mean of the middle half of all runs on all datasets.

    >>> iqm(np.array([[0.0, 1.0, 2.0, 99.0]]))
    1.5
    """
    return float(stats.trim_mean(scores, 0.25, axis=None))


def iqm_interval(scores: Sequence[Array], rng: np.random.Generator, *, level: float = 0.95) -> Array:
    """Stratified bootstrap of the interquartile mean; a (runs,) array for each dataset, to (2,).

    The expanded percentile interval for the dataset with the fewest runs, at least two. Beyond `MANY` runs on a
    dataset the interval is the normal one.
    """
    if max(map(len, scores)) > MANY:
        reach = stats.norm.ppf((1 + level) / 2) * _iqm_error(scores)
        middle = iqm(np.concatenate(scores))
        return np.array([middle - reach, middle + reach])
    drawn = np.concatenate([part[_places(len(part), rng)] for part in scores], axis=1)
    interval: Array = np.quantile(
        stats.trim_mean(drawn, 0.25, axis=1), expanded_tails(min(map(len, scores)), level)
    )
    return interval


def _iqm_error(scores: Sequence[Array]) -> float:
    """Standard error of the interquartile mean by its influence function: the scores, cut at the quartiles."""
    pooled = np.concatenate(scores)
    cut = [np.clip(part, *np.quantile(pooled, [0.25, 0.75])) for part in scores]
    return float(np.sqrt(sum(len(part) * part.var() for part in cut)) / (0.5 * len(pooled)))


def profile(scores: Sequence[Array], levels: Array, rng: np.random.Generator, *, level: float = 0.95) -> Band:
    """Share of runs above each level, the mean over datasets, with a pointwise stratified interval.

    A (runs,) array for each dataset, two runs or more each; the interval is expanded for the fewest runs. `levels`: (points,).
    """
    above = [(part[:, None] > levels).astype(np.float64) for part in scores]
    means = np.mean([resampled_means(part, rng) for part in above], axis=0)
    low, high = np.quantile(means, expanded_tails(min(map(len, scores)), level), axis=0)
    return Band(np.mean([part.mean(axis=0) for part in above], axis=0), low, high)


def improvement(ours: Sequence[Array], theirs: Sequence[Array]) -> tuple[float, float, float]:
    """Probability of improvement, the mean of A12 over datasets, and the ends of its 95 % interval.

    A (runs,) array for each dataset, of any lengths. The intervals of the datasets are combined by the method
    of variance estimates recovery (Zou and Donner, 2008), so that the result has a width at 0 and at 1 too.

    >>> [round(end, 2) for end in improvement([np.ones(10)], [np.zeros(10)])]
    [1.0, 0.8, 1.0]
    """
    parts = np.array([a12_interval(mine, other) for mine, other in zip(ours, theirs, strict=True)])
    value, low, high = parts.T
    below, above = (np.sqrt(((value - end) ** 2).sum()) / len(parts) for end in (low, high))
    mean = float(value.mean())
    return mean, mean - float(below), mean + float(above)


def _places(runs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(runs, size=(RESAMPLES, runs))
