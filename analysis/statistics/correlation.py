"""How well predictions and scores rank cells: arrays in, numbers out.

Kendall's tau is tau-b throughout, in O(n log n). A correlation with a constant is NaN.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

MEASURES: Final = ("spearman", "kendall", "weighted_tau", "precision", "regret")
"""What `agreement` measures."""
_ROUNDING: Final = 1e-12


def agreement(predicted: Array, true: Array, *, top: int) -> dict[str, float]:
    """Each of `MEASURES` for predictions of some cells, (cells,) both.

    `weighted_tau` gives exchanges among good cells the most weight, by rank in `true` (Vigna, 2015).
    `precision` is that of the function of this name. `regret`: highest `true` of all cells less that of the `top`
    cells by prediction.

    >>> agreement(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]), top=1)["regret"]
    10.0
    """
    top = min(top, len(true))
    chosen = np.argsort(-predicted, kind="stable")[:top]
    constant = np.ptp(predicted) == 0 or np.ptp(true) == 0
    return {
        "spearman": spearman(predicted, true),
        "kendall": kendall(predicted, true),
        "weighted_tau": np.nan
        if constant
        else float(stats.weightedtau(predicted, true, rank=_ranks(true)).statistic),
        "precision": precision(predicted, true, top),
        "regret": float(true.max() - true[chosen].max()),
    }


def kendall(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Kendall's tau-b of two figures for each cell, (cells,) both; exactly 1 or -1 for equal or opposite orders."""
    tau = float(stats.kendalltau(one, other).statistic)
    return float(np.sign(tau)) if abs(tau) > 1 - _ROUNDING else tau


def partial_kendall(one: Array, other: Array, given: Array) -> float:
    """Kendall's partial tau-b of two figures given a third (Kendall, 1942), (cells,) each; NaN if the third fixes one.

    >>> round(partial_kendall(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), np.array([2.0, 1, 3, 4])), 3)
    0.632
    """
    return partial_of(kendall(one, other), kendall(one, given), kendall(other, given))


def partial_of(between: float, one: float, other: float) -> float:
    """Partial correlation from the correlation `between` two figures, and that of each with a third.

    >>> partial_of(0.5, 0.0, 0.9) > 0.5, partial_of(0.5, 1.0, 0.9)
    (True, nan)
    """
    left = (1 - one**2) * (1 - other**2)
    return (between - one * other) / left**0.5 if left > _ROUNDING else float("nan")


def kendall_resampled(one: Array, other: Array, times: NDArray[Any]) -> Array:
    """Kendall's tau-b in each resample of cells, (resamples,); `times`: how often it has each cell, (resamples, cells).

    By all pairs of cells, so for some hundreds of them.

    >>> cells = np.arange(3.0)
    >>> kendall_resampled(cells, np.array([1.0, 0.0, 2.0]), np.array([[1, 1, 1], [2, 0, 1]])).round(3).tolist()
    [0.333, 1.0]
    """
    signs = [np.sign(ranks[:, None] - ranks) for ranks in (stats.rankdata(one), stats.rankdata(other))]
    weights = times.astype(np.float64)
    balance, left, right = (
        ((weights @ pairs) * weights).sum(axis=1) for pairs in (signs[0] * signs[1], *map(np.abs, signs))
    )
    with np.errstate(invalid="ignore"):
        taus: Array = balance / np.sqrt(left * right)
    return taus


def dense_ranks(values: NDArray[Any]) -> NDArray[np.integer]:
    """Ranks from 0 without gaps, ties alike, as 16-bit integers where they fit: these sort fastest.

    >>> dense_ranks(np.array([0.5, -np.inf, 0.5, 9.0])).tolist()
    [1, 0, 1, 2]
    """
    ranks = np.unique(values, return_inverse=True)[1]
    return ranks.astype(np.int16 if len(ranks) <= np.iinfo(np.int16).max else np.intp)


def spearman(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Spearman's rank correlation.

    >>> round(spearman(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])), 3)
    0.5
    """
    ranks = []
    for values in (one, other):
        dense = dense_ranks(values)
        counts = np.bincount(dense)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[dense])
    return float(np.corrcoef(*ranks)[0, 1]) if all(map(np.ptp, ranks)) else float("nan")


def kendall_within(one: NDArray[Any], other: NDArray[Any], groups: NDArray[Any]) -> float:
    """Kendall's tau-b over the pairs of cells that are in the same group, (cells,) each.

    >>> round(abs(kendall_within(np.array([1.0, 2, 9, 8]), np.array([5.0, 6, 1, 2]), np.array([0, 0, 1, 1]))), 9)
    0.0
    """
    group = dense_ranks(groups).astype(np.intp)
    x, y = _in_order(group, one), _in_order(group, other)
    # ordered by group first, every pair of two groups is concordant
    across = _pairs(np.array([len(x)])) - _pairs(np.bincount(group))
    left_x = _pairs(np.array([len(x)])) - _pairs(np.bincount(x)) - across
    left_y = _pairs(np.array([len(x)])) - _pairs(np.bincount(y)) - across
    if not (left_x and left_y):
        return float("nan")
    balance = stats.kendalltau(x, y).statistic * np.sqrt((left_x + across) * (left_y + across)) - across
    return float(balance / np.sqrt(left_x * left_y))


def kendall_among_best(one: NDArray[Any], true: NDArray[Any], share: float) -> float:
    """Kendall's tau-b among the `share` of cells with the highest `true`, two cells at least.

    >>> kendall_among_best(np.array([1.0, 2, 3, 4]), np.array([8.0, 7, 2, 1]), 0.5)
    -1.0
    """
    best = np.argsort(-true, kind="stable")[: max(round(len(true) * share), 2)]
    return kendall(one[best], true[best])


def precision(score: NDArray[Any], true: NDArray[Any], top: int) -> float:
    """Share of the `top` cells by score that are among the `top` cells by `true`.

    Where cells at the limit are tied, the expectation over random orders of them. Random scores have
    `top` / cells.

    >>> precision(np.array([4.0, 3, 2, 1]), np.array([9.0, 5, 7, 6]), 2)
    0.5
    >>> precision(np.zeros(4), np.array([9.0, 5, 7, 6]), 1)
    0.25
    """
    return float(_among(score, top) @ _among(true, top)) / min(top, len(true))


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


def _among(values: NDArray[Any], top: int) -> Array:
    """Probability of each value to be among the `top` highest, ties in random order."""
    if top >= len(values):
        return np.ones(len(values))
    limit = np.partition(values, -top)[-top]
    above, tied = values > limit, values == limit
    shares: Array = above + tied * ((top - above.sum()) / tied.sum())
    return shares


def _in_order(group: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.integer]:
    """Dense ranks of the values, ordered by group first."""
    return dense_ranks(group * len(values) + dense_ranks(values))


def _pairs(counts: NDArray[np.intp]) -> float:
    """Number of pairs within the counts."""
    return float((counts * (counts - 1.0)).sum() / 2)


def _ranks(true: Array) -> NDArray[np.intp]:
    """0 for the best."""
    ranks = np.empty(len(true), dtype=np.intp)
    ranks[np.argsort(-true, kind="stable")] = np.arange(len(true))
    return ranks
