"""Noise ceilings: how well one training of the cells ranks another training of the same cells."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.tables import AccuracyTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseCeiling:
    """Kendall's tau-b over all cells that both accuracies are known of; NaN where the table has none."""

    between_seeds: float
    """Between the search metric of two training seeds, the mean over all pairs of seeds."""
    seed_to_test: float
    """Between the search metric of one training seed and the reported accuracy, the mean over seeds."""
    mean_to_test: float
    """Between the search metric's mean over seeds and the reported accuracy."""


def noise_ceiling(table: AccuracyTable, dataset: str) -> NoiseCeiling:
    """The noise ceilings of a dataset: no predictor of single trainings can be expected to rank better.

    Raises NotInTable.

    >>> from nasgauge.data.sources import open_table
    >>> ceiling = noise_ceiling(open_table("nb201"), "cifar100")
    >>> round(ceiling.between_seeds, 3), round(ceiling.seed_to_test, 3), round(ceiling.mean_to_test, 3)
    (0.89, 0.913, 0.936)
    """
    view = table.view(dataset)
    test = table.column(view.report)
    runs = [table.columns[replace(view.search, seed=seed)] for seed in table.seeds(view.search)]
    return NoiseCeiling(
        between_seeds=_mean([_tau(one, other) for one, other in combinations(runs, 2)]),
        seed_to_test=_mean([_tau(run, test) for run in runs]),
        mean_to_test=_tau(table.column(view.expected), test),
    )


def single_trainings(table: AccuracyTable, dataset: str) -> Array:
    """Accuracy of single trainings of the cells, (seeds, 15625) by `Cell.rank`; NaN where not trained.

    The search metric's seeds; without any, those of the reported accuracy; (0, 15625) if there are none either.

    Raises NotInTable.
    """
    view = table.view(dataset)
    for column in (view.search, view.report):
        seeds = table.seeds(column)
        if seeds:
            return np.stack([table.columns[replace(column, seed=seed)] for seed in seeds])
    return np.empty((0, len(table.column(view.report))))


def _tau(one: Array, other: Array) -> float:
    from scipy import stats

    both = ~(np.isnan(one) | np.isnan(other))
    return float(stats.kendalltau(one[both], other[both]).statistic) if both.sum() > 1 else float("nan")


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
