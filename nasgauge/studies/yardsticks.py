"""How good an accuracy is among all cells: optimum, rank, percentile and regret."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasgauge.data.tables import AccuracyTable, NotInTable
from nasgauge.harness.search.oracle import Seeds

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Yardstick:
    """The distribution of an accuracy over all cells.

    With single seeds (`random`) each of a cell's trainings has an equal share, so that every cell counts as one.
    """

    figures: Array
    """Accuracies in ascending order, percent."""
    shares: Array
    """What each counts, as a share of a cell."""

    @property
    def cells(self) -> float:
        """Number of cells that have a value."""
        return float(self.shares.sum())

    @property
    def optimum(self) -> float:
        """The highest accuracy: of the means, of one seed's trainings, or of any training."""
        return float(self.figures[-1])

    def rank(self, accuracy: ArrayLike) -> Array:
        """1 plus the number of better cells; with single seeds, its expectation."""
        return 1.0 + self._above(accuracy)

    def percentile(self, accuracy: ArrayLike) -> Array:
        """Percentage of cells that are not better."""
        return 100.0 * (1.0 - self._above(accuracy) / self.cells)

    def regret(self, accuracy: ArrayLike) -> Array:
        """Percentage points below the optimum; negative for an accuracy above it."""
        return self.optimum - np.asarray(accuracy, dtype=np.float64)

    def _above(self, accuracy: ArrayLike) -> Array:
        above = np.concatenate([np.cumsum(self.shares[::-1])[::-1], [0.0]])
        places = np.searchsorted(self.figures, np.asarray(accuracy, dtype=np.float64), side="right")
        result: Array = above[places]
        return result


def yardstick(table: AccuracyTable, dataset: str, seeds: Seeds = "mean") -> Yardstick:
    """The distribution of the reported accuracy of `dataset`: of means, of one seed, or of single seeds.

    Raises NotInTable.

    >>> from nasgauge.data.sources import open_table
    >>> cifar100 = yardstick(open_table("nb201"), "cifar100")
    >>> cifar100.rank(73.0), cifar100.regret(73.0).round(3)
    (np.float64(10.0), np.float64(0.513))
    """
    report = table.view(dataset).report
    if seeds == "random":
        found = [table.column(replace(report, seed=seed)) for seed in table.seeds(report)]
        if not found:
            raise NotInTable(f"table {table.name} has no single seeds of {report}")
    else:
        single: Final = report.seed == "single" and seeds == "mean"
        found = [table.column(report if single else replace(report, seed=seeds))]
    runs_SC = np.stack(found)
    trained_SC = ~np.isnan(runs_SC)
    shares_SC = trained_SC / np.maximum(trained_SC.sum(axis=0), 1)
    figures, shares = runs_SC[trained_SC], shares_SC[trained_SC]
    order = np.argsort(figures, kind="stable")
    return Yardstick(figures[order], shares[order])
