"""The trainings of one cell, as the old interface counts them: by seed, set of images and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasgauge.data.curves import Curves
from nasgauge.data.importers import SETS
from nasgauge.data.tables import AccuracyTable, Column, Metric, NotInTable, Split
from nasgauge.spaces.cells import Cell


@dataclass(frozen=True)
class Trials:
    """The results of a table, and learning curves where there are any."""

    table: AccuracyTable
    curves: Curves | None

    def seeds(self, cell: Cell, dataset: str, epochs: int) -> list[int]:
        """Seeds that the cell was trained with, ascending.

        Raises NotInTable for a dataset that is not part of the benchmark.
        """
        if dataset not in SETS:
            raise NotInTable(f"unknown dataset {dataset!r}; choose from {', '.join(SETS)}")
        return sorted(
            {
                column.seed
                for column, values in self.table.columns.items()
                if isinstance(column.seed, int)
                and (column.dataset, column.epochs) == (dataset, epochs)
                and not np.isnan(values[cell.rank])
            }
        )

    def last(self, cell: Cell, column: Column) -> float | None:
        """A value at the end of training; None where the table has none."""
        values = self.table.columns.get(column)
        value = np.nan if values is None else float(values[cell.rank])
        return None if np.isnan(value) else value

    def figures(
        self, cell: Cell, dataset: str, epochs: int, split: Split, iepoch: int | None, seeds: Sequence[int]
    ) -> dict[Metric, float | None]:
        """Loss, accuracy, and seconds of all epochs up to `iepoch` (from 0; None: the last): means over `seeds`.

        Without seeds, the table's own means. Accuracies are in percent.

        Raises NotInTable if there is no accuracy.
        """
        found: dict[Metric, float | None] = {}
        chosen: Sequence[int | Literal["mean"]] = seeds or ("mean",)
        metrics: tuple[Metric, ...] = ("loss", "accuracy", "seconds")
        for metric in metrics:
            each = []
            for seed in chosen:
                column = Column(dataset, epochs, split, seed, metric)
                value = self.last(cell, column)
                if metric == "seconds":
                    value = (
                        None if value is None else sum([value] * (epochs if iepoch is None else iepoch + 1))
                    )
                elif iepoch is not None and iepoch != epochs - 1:
                    value = self._at(cell, column, iepoch)
                each.append(value)
            known = [value for value in each if value is not None]
            found[metric] = mean(known) if len(known) == len(each) else None
        if found["accuracy"] is None:
            raise NotInTable(f"{cell} has no {dataset}/{epochs}/{split} in table {self.table.name}")
        return found

    def _at(self, cell: Cell, column: Column, iepoch: int) -> float:
        if self.curves is None:
            raise NotInTable(f"table {self.table.name} has no learning curves; ask with iepoch=None")
        if not 0 <= iepoch < (column.epochs or 0):
            raise NotInTable(f"a run of {column.epochs} epochs has no epoch {iepoch}, counted from 0")
        return float(self.curves.curve(cell, column)[iepoch])


def mean(values: Sequence[float]) -> float:
    """The mean as the old interface computes it; `numpy.mean` would round differently.

    >>> mean([1.0, 2.0])
    1.5
    """
    return sum(values) / len(values)
