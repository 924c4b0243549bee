"""How well a predictor ranks cells: arrays in, numbers out."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

MEASURES: Final = ("spearman", "kendall", "weighted_tau", "precision", "regret")
"""What `agreement` measures."""


def agreement(predicted: Array, true: Array, *, top: int) -> dict[str, float]:
    """Each of `MEASURES` for predictions of some cells, (cells,) both.

    `weighted_tau` gives exchanges among good cells the most weight, by rank in `true` (Vigna, 2015).
    `precision`: share of the `top` cells by prediction that are among the `top` cells by `true`. `regret`:
    highest `true` of all cells less that of the `top` cells by prediction. A correlation with a constant is
    NaN.

    >>> agreement(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]), top=1)["regret"]
    10.0
    """
    top = min(top, len(true))
    chosen = np.argsort(-predicted, kind="stable")[:top]
    best = np.argsort(-true, kind="stable")[:top]
    constant = np.ptp(predicted) == 0 or np.ptp(true) == 0
    return {
        "spearman": np.nan if constant else float(stats.spearmanr(predicted, true).statistic),
        "kendall": np.nan if constant else kendall(predicted, true),
        "weighted_tau": np.nan
        if constant
        else float(stats.weightedtau(predicted, true, rank=_ranks(true)).statistic),
        "precision": len(np.intersect1d(chosen, best)) / top,
        "regret": float(true.max() - true[chosen].max()),
    }


def kendall(one: Array, other: Array) -> float:
    """Kendall's tau-b of two figures for each cell, (cells,) both."""
    return float(stats.kendalltau(one, other).statistic)


def kendall_interval(
    one: Array, other: Array, rng: np.random.Generator, *, level: float = 0.95, resamples: int = 200
) -> tuple[float, float]:
    """Percentile bootstrap interval of tau over cells.

    >>> low, high = kendall_interval(np.arange(9.0), np.arange(9.0), np.random.default_rng(0))
    >>> round(low, 9), round(high, 9)
    (1.0, 1.0)
    """
    taus = []
    for _ in range(resamples):
        drawn = rng.integers(len(one), size=len(one))
        if np.ptp(one[drawn]) and np.ptp(other[drawn]):
            taus.append(kendall(one[drawn], other[drawn]))
    tail = (1 - level) / 2
    low, high = np.quantile(taus, [tail, 1 - tail]) if taus else (np.nan, np.nan)
    return float(low), float(high)


def _ranks(true: Array) -> NDArray[np.intp]:
    """0 for the best."""
    ranks = np.empty(len(true), dtype=np.intp)
    ranks[np.argsort(-true, kind="stable")] = np.arange(len(true))
    return ranks
