"""How well scores rank cells, with intervals: arrays in, numbers out.

Scores are oriented so that higher is better. Cells without a score (NaN) are left out of its figures, and
counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from nasgauge.analysis.statistics.correlation import agreement, kendall, kendall_among_best
from nasgauge.analysis.statistics.runs import RESAMPLES
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

Array = NDArray[np.float64]

SHARES: Final = (5, 10, 25)
"""Percent of the best cells within which tau is measured too."""
TOP: Final = 25
"""Number of best cells for precision and regret."""
FEW: Final = 200
"""Cells or classes up to which tau itself is resampled; beyond, its linear part is."""


class Tau(NamedTuple):
    """Kendall's tau-b with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Study:
    """Scores of cells on one dataset."""

    dataset: str
    truth: Array
    """Reported accuracy, (cells,), percent."""
    scores: Mapping[str, Array]
    """By name, (cells,) each; NaN where a score is not defined."""
    seeds: Array
    """Accuracy of single trainings, (seeds, cells); NaN where there was none, no rows where none is known."""
    cells: Sequence[str] = ()
    """Official texts, if the cells are of NAS-Bench-201."""
    reported: str = ""
    """Description of the reported accuracy."""

    @cached_property
    def classes(self) -> NDArray[np.intp]:
        """Number of the structural class of each cell, in order of appearance; without texts each cell is one."""
        space = NB201()
        texts = [space.canonical(Cell.parse(text)) for text in self.cells]
        return pd.factorize(np.array(texts))[0] if texts else np.arange(len(self.truth))


def tau_interval(
    score: Array,
    truth: Array,
    rng: np.random.Generator,
    classes: NDArray[np.intp] | None = None,
    *,
    level: float = 0.95,
) -> Tau:
    """Kendall's tau-b with its BCa bootstrap interval over cells, (cells,) both, none NaN.

    `classes`: the class of each cell, (cells,). Classes are resampled whole, because their cells share scores, so that
    they are no independent cells. Up to `FEW` classes the statistic itself is resampled, by scipy; beyond, its linear part
    (the infinitesimal jackknife of Efron, 1987), which is close for many cells and much faster.

    >>> tau_interval(np.arange(9.0), np.arange(9.0), np.random.default_rng(0)).value
    1.0
    """
    n = len(score)
    value = kendall(score, truth) if n > 1 else float("nan")
    if n < 3 or np.ptp(score) == 0 or np.ptp(truth) == 0 or abs(value) == 1:
        return Tau(value, *(float("nan"),) * 2)
    of = np.arange(n) if classes is None else pd.factorize(classes)[0]
    count = int(of.max()) + 1
    if count < 3:
        return Tau(value, *(float("nan"),) * 2)
    if count <= FEW:
        members = [np.flatnonzero(of == one) for one in range(count)]

        def tau(drawn: NDArray[np.intp]) -> float:
            cells = np.concatenate([members[one] for one in drawn])
            return kendall(score[cells], truth[cells])

        found = stats.bootstrap(
            (np.arange(count),), tau, vectorized=False, n_resamples=RESAMPLES,
            confidence_level=level, method="BCa", rng=rng,
        ).confidence_interval  # fmt: skip
        return Tau(value, float(found.low), float(found.high))
    without = _jackknife(score, truth)
    influence = np.bincount(of, (n - 1) * (without.mean() - without)) * count / n
    drawn = np.concatenate(
        [influence[rng.integers(count, size=(100, count))].mean(axis=1) for _ in range(20)]
    )
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    bias = stats.norm.ppf((drawn < 0).mean())
    z = bias + stats.norm.ppf(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(value + drawn, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return Tau(value, float(low), float(high))


def _jackknife(one: Array, other: Array) -> Array:
    """Tau-b without each cell in turn, (cells,)."""
    n = len(one)
    x = stats.rankdata(one, method="dense").astype(np.int32)
    y = stats.rankdata(other, method="dense").astype(np.int32)
    concordant = np.empty(n)
    for start in range(0, n, 512):  # pairs in blocks, for the memory
        rows = slice(start, start + 512)
        signs = np.sign(x[rows, None] - x).astype(np.int8) * np.sign(y[rows, None] - y).astype(np.int8)
        concordant[rows] = signs.sum(axis=1, dtype=np.int64)
    tied_x, tied_y = np.bincount(x)[x] - 1.0, np.bincount(y)[y] - 1.0
    left = (n - 1) * (n - 2) / 2
    balance = concordant.sum() / 2 - concordant
    untied = (left - tied_x.sum() / 2 + tied_x) * (left - tied_y.sum() / 2 + tied_y)
    without: Array = balance / np.sqrt(untied)
    return without


def ceiling(seeds: Array, truth: Array) -> float:
    """The noise ceiling: tau of a single training with the reported accuracy, mean over seeds; NaN without seeds.

    `seeds`: (seeds, cells), NaN where a cell was not trained; `truth`: (cells,).

    >>> ceiling(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]), np.array([1.0, 2.0, 3.0]))
    0.6666666666666667
    """
    taus = []
    for one in seeds:
        both = ~(np.isnan(one) | np.isnan(truth))
        if both.sum() > 2:
            taus.append(kendall(one[both], truth[both]))
    return float(np.mean(taus)) if taus else float("nan")


def rank_table(studies: Sequence[Study], rng: np.random.Generator) -> pd.DataFrame:
    """A row for each dataset and score, best tau first."""
    rows = []
    for study in studies:
        block = []
        for name, score in study.scores.items():
            known = ~np.isnan(score)
            mine, truth = score[known], study.truth[known]
            tau = tau_interval(mine, truth, rng, study.classes[known])
            if len(mine) < 2:
                block.append({"dataset": study.dataset, "score": name, "cells": len(mine)})
                continue
            found = agreement(mine, truth, top=TOP)
            row = {
                "dataset": study.dataset,
                "score": name,
                "cells": len(mine),
                "undefined": int((~known).sum()),
                "tau": tau.value,
                "low": tau.low,
                "high": tau.high,
                "Spearman": found["spearman"],
                "weighted tau": found["weighted_tau"],
                "ties, %": 100 * _tied(mine),
            }
            row |= {f"tau, top {share} %": value for share, value in top_taus(mine, truth).items()}
            row |= {f"precision@{TOP}": found["precision"], f"regret@{TOP}": found["regret"]}
            block.append(row)
        rows += sorted(block, key=lambda row: -np.nan_to_num(float(str(row.get("tau", "nan"))), nan=-2.0))
    return pd.DataFrame(rows)


def top_taus(score: Array, truth: Array) -> dict[int, float]:
    """Tau among the 5, 10 and 25 percent of cells with the highest accuracy."""
    return {share: kendall_among_best(score, truth, share / 100) for share in SHARES}


def _tied(score: Array) -> float:
    """Share of pairs of cells with equal scores."""
    _, counts = np.unique(score, return_counts=True)
    pairs = len(score) * (len(score) - 1)
    return float((counts * (counts - 1)).sum() / pairs) if pairs else 0.0


def between(scores: Mapping[str, Array]) -> pd.DataFrame:
    """Kendall's tau of every two scores, on the cells that have both."""
    frame = pd.DataFrame(dict(scores))
    return frame.corr(method="kendall", min_periods=3)


def by_percentile(score: Array) -> Array:
    """Mid-rank of each score as a percentile, 0 to 100; NaN stays.

    >>> by_percentile(np.array([5.0, np.nan, 7.0])).tolist()
    [25.0, nan, 75.0]
    """
    known = ~np.isnan(score)
    ranks = np.full(len(score), np.nan)
    ranks[known] = 100 * (stats.rankdata(score[known]) - 0.5) / max(known.sum(), 1)
    return ranks


def sizes(trials: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """For each dataset and set of tested cells of a predictor study: tau against the number of fitted cells.

    Takes columns dataset, surrogate, size, fitted, tested and kendall, a row for each fit; gives, for each dataset and
    each of `tested`, columns size, surrogate, fitted, repeats, mean, low and high (the middle 90 % of repeats).

    >>> fits = {"dataset": "cifar10", "surrogate": "mlp", "size": [1, 2, 2], "fitted": 40, "tested": "larger"}
    >>> [(dataset, tested, frame)] = sizes(pd.DataFrame(fits | {"kendall": [0.5, 0.7, 0.9]}))
    >>> dataset, tested, frame[["size", "repeats", "mean"]].to_numpy().tolist()
    ('cifar10', 'larger', [[1.0, 1.0, 0.5], [2.0, 2.0, 0.8]])
    """
    for (dataset, tested), part in trials.groupby(["dataset", "tested"], sort=False):
        taus = part.groupby(["size", "surrogate", "fitted"])["kendall"]
        frame = taus.agg(
            repeats="size", mean="mean", low=lambda v: v.quantile(0.05), high=lambda v: v.quantile(0.95)
        )
        yield str(dataset), str(tested), frame.reset_index()
