"""How well scores rank cells: Kendall's tau with accuracy, with an interval over cells."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nasgauge.harness.proxies.score_files import Score
from nasgauge.harness.proxies.scores import mean_by_cell, members, nan_last
from nasgauge.spaces.ranks import rank_sum

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


def agreements(
    scores: Sequence[Score],
    accuracies: Mapping[str, Array],
    rng: np.random.Generator,
    *,
    over: Literal["classes", "cells"] = "classes",
    resamples: int = 300,
) -> list[Agreement]:
    """Every proxy, and TE-NAS's rank sum, on every dataset; cells without a score are tied for the last rank.

    `accuracies` holds one figure for each cell by `Cell.rank`, percent. Over classes, each structural class
    counts once, with the accuracy of its first cell. Over cells, each cell of the scored classes counts, with
    its own accuracy and the score of its class: an estimate for all of the space. The interval is a percentile
    bootstrap over classes either way. Kappa is averaged over repeats as a geometric mean.
    """
    by_proxy = {name: mean_by_cell(scores, name) for name in sorted({score.proxy for score in scores})}
    ranks = sorted(by_proxy["params"])
    groups = [members()[rank] if over == "cells" else (rank,) for rank in ranks]
    sizes = np.array([len(group) for group in groups])
    cells = np.concatenate(groups)
    columns = {
        name: np.repeat(nan_last(np.array([found[rank] for rank in ranks])), sizes)
        for name, found in by_proxy.items()
    }
    columns[RANK_SUM] = rank_sum(columns["kappa"], columns["regions"])
    places = np.split(np.arange(len(cells)), np.cumsum(sizes)[:-1])
    draws = [
        np.concatenate([places[group] for group in draw])
        for draw in rng.integers(len(ranks), size=(resamples, len(ranks))).tolist()
    ]
    result = []
    for proxy, values in columns.items():
        for dataset, figures in accuracies.items():
            truth = figures[cells]
            taus = [_tau(values[draw], truth[draw]) for draw in draws]
            low, high = np.quantile(taus, [0.025, 0.975])
            result.append(Agreement(proxy, dataset, _tau(values, truth), float(low), float(high), len(cells)))
    return result


def _tau(scores: Array, truth: Array) -> float:
    return float(stats.kendalltau(scores, truth).statistic)
