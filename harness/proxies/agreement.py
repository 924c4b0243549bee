"""How well scores rank cells: Kendall's tau with accuracy, with an interval over cells."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.proxies.registry import PROXIES
from harness.proxies.scores import Score, mean_by_cell, nan_last

Array = NDArray[np.float64]

RANK_SUM = "kappa + regions"


class Agreement(NamedTuple):
    """Kendall's tau-b of one proxy with the accuracy on one dataset, and its 95 % interval."""

    proxy: str
    dataset: str
    tau: float
    low: float
    high: float
    cells: int


def rank_sum(kappa: Array, regions: Array) -> Array:
    """TE-NAS's combination: the sum of two ranks, higher is better; ties share the lower rank.

    >>> rank_sum(np.array([-9.0, -2.0, np.nan]), np.array([50.0, 90.0, np.nan])).tolist()
    [4.0, 6.0, 2.0]
    """
    both = [stats.rankdata(nan_last(scores), method="min") for scores in (kappa, regions)]
    total: Array = both[0] + both[1]
    return total.astype(np.float64)


def agreements(
    scores: Sequence[Score],
    accuracies: Mapping[str, Array],
    rng: np.random.Generator,
    *,
    resamples: int = 300,
) -> list[Agreement]:
    """Every proxy, and TE-NAS's rank sum, on every dataset; cells without a score are ranked last, tied.

    `accuracies` holds one figure for each cell by `Cell.rank`, percent. The interval is a percentile
    bootstrap over cells. Kappa is averaged over repeats as a geometric mean.
    """
    by_proxy = {name: mean_by_cell(scores, name) for name in PROXIES}
    ranks = np.array(sorted(by_proxy["params"]))
    columns = {
        name: nan_last(np.array([found[rank] for rank in ranks.tolist()])) for name, found in by_proxy.items()
    }
    columns[RANK_SUM] = rank_sum(columns["kappa"], columns["regions"])
    draws = rng.integers(len(ranks), size=(resamples, len(ranks)))
    result = []
    for proxy, values in columns.items():
        for dataset, figures in accuracies.items():
            truth = figures[ranks]
            taus = [_tau(values[draw], truth[draw]) for draw in draws]
            low, high = np.quantile(taus, [0.025, 0.975])
            result.append(Agreement(proxy, dataset, _tau(values, truth), float(low), float(high), len(ranks)))
    return result


def _tau(scores: Array, truth: Array) -> float:
    return float(stats.kendalltau(scores, truth).statistic)
