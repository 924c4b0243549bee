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
    """All figures of one kind in ascending order, each with its share of a cell.

    Under `random` a cell with three runs has each of them count a third, so that every cell counts one.
    """

    figures: Array
    shares: Array

    @property
    def cells(self) -> float:
        """Cells that have a figure."""
        return float(self.shares.sum())

    @property
    def optimum(self) -> float:
        """The highest figure: of the means, of one seed's runs, or that any draw can give."""
        return float(self.figures[-1])

    def rank(self, accuracy: ArrayLike) -> Array:
        """1 and the number of cells that are better; under `random`, its expectation."""
        return 1.0 + self._above(accuracy)

    def percentile(self, accuracy: ArrayLike) -> Array:
        """Percent of cells that are not better."""
        return 100.0 * (1.0 - self._above(accuracy) / self.cells)

    def regret(self, accuracy: ArrayLike) -> Array:
        """Points below the optimum; negative for an accuracy from other figures than these."""
        return self.optimum - np.asarray(accuracy, dtype=np.float64)

    def _above(self, accuracy: ArrayLike) -> Array:
        above = np.concatenate([np.cumsum(self.shares[::-1])[::-1], [0.0]])
        places = np.searchsorted(self.figures, np.asarray(accuracy, dtype=np.float64), side="right")
        result: Array = above[places]
        return result


def yardstick(table: AccuracyTable, dataset: str, seeds: Seeds = "mean") -> Yardstick:
    """The figures that `dataset` is reported by, under a policy for seeds.

    Raises NotInTable.
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
