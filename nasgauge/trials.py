"""The trainings of one cell, as the old interface counts them: by seed, split and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.curves import Curves, mean_of_trained
from nasgauge.data.importers import SETS
from nasgauge.data.tables import AccuracyTable, Column, Metric, NotInTable, Split
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import multiply_adds, parameters
from nasgauge.spaces.nb201 import NB201


@dataclass(frozen=True)
class Trials:
    """The values of a table, and its learning curves where there are any."""

    table: AccuracyTable
    curves: Curves | None

    def seeds(self, cell: Cell, dataset: str, epochs: int, split: Split | None = None) -> list[int]:
        """Seeds that the cell has an accuracy of, on one split or on any, ascending.

        Raises NotInTable for an unknown dataset.
        """
        if dataset not in SETS:
            raise NotInTable(f"unknown dataset {dataset!r}; choose from {', '.join(SETS)}")
        return sorted(
            {
                column.seed
                for column, values in self.table.columns.items()
                if isinstance(column.seed, int)
                and column.metric == "accuracy"
                and (column.dataset, column.epochs) == (dataset, epochs)
                and split in (None, column.split)
                and not np.isnan(values[cell.rank])
            }
        )

    def last(self, cell: Cell, column: Column) -> float | None:
        """A value at the end of the training; None where there is none."""
        values = self.table.columns.get(column)
        value = np.nan if values is None else float(values[cell.rank])
        return None if np.isnan(value) else value

    def means(self, column: Column) -> NDArray[np.float64]:
        """The table's mean over seeds, or the mean of the seeds that each cell has, (15625,); NaN without any.

        Raises NotInTable if the table has neither.
        """
        if column in self.table.columns:
            return self.table.columns[column]
        seeds = self.table.seeds(column)
        if not seeds:
            raise NotInTable(f"table {self.table.name} has no {column}")
        return mean_of_trained(np.stack([self.table.column(replace(column, seed=seed)) for seed in seeds]))

    def best(self, column: Column, flop_max: float | None, param_max: float | None) -> tuple[Cell, float]:
        """The cell with the highest mean among those with at most so many millions of multiply-adds and parameters.

        Of equal ones that with the lowest official index. Raises NotInTable if there is none.
        """
        values = self.means(column)
        order = np.arange(len(values)) if self.table.official is None else self.table.official
        for rank in np.lexsort((order, -values)).tolist():
            if np.isnan(values[rank]):
                break
            cell = NB201()[rank]
            fits = flop_max is None or multiply_adds(cell, column.dataset) / 1e6 <= flop_max
            if fits and (param_max is None or parameters(cell, column.dataset) / 1e6 <= param_max):
                return cell, float(values[rank])
        raise NotInTable(
            f"no cell of table {self.table.name} has an accuracy and at most {flop_max} M multiply-adds and "
            f"{param_max} M parameters"
        )

    def measured(self, cell: Cell, column: Column) -> float | None:
        """Seconds or latency; those of all seeds, and of runs of 200 epochs, where the table has no others."""
        shared = replace(column, seed="mean")
        for known in (column, shared, replace(shared, epochs=200)):
            if (value := self.last(cell, known)) is not None:
                return value
        return None

    def figures(
        self, cell: Cell, dataset: str, epochs: int, split: Split, iepoch: int | None, seeds: Sequence[int]
    ) -> dict[Metric, float | None]:
        """Loss, accuracy and seconds up to an epoch (from 0; None for the last), means over `seeds`.

        Without seeds, the table's own means. What is not known is None.

        Raises NotInTable if neither an accuracy nor seconds are known.
        """
        found: dict[Metric, float | None] = {}
        chosen: Sequence[int | Literal["mean"]] = seeds or ("mean",)
        metrics: tuple[Metric, ...] = ("loss", "accuracy", "seconds")
        for metric in metrics:
            each = []
            for seed in chosen:
                column = Column(dataset, epochs, split, seed, metric)
                value = self.measured(cell, column) if metric == "seconds" else self.last(cell, column)
                if metric == "seconds":
                    value = (
                        None if value is None else sum([value] * (epochs if iepoch is None else iepoch + 1))
                    )
                elif iepoch is not None and iepoch != epochs - 1:
                    value = self._at(cell, column, iepoch)
                each.append(value)
            known = [value for value in each if value is not None]
            found[metric] = mean(known) if len(known) == len(each) else None
        if found["accuracy"] is None and found["seconds"] is None:
            raise NotInTable(f"{cell} has no {dataset}/{epochs}/{split} in table {self.table.name}")
        return found

    def _at(self, cell: Cell, column: Column, iepoch: int) -> float:
        if self.curves is None:
            raise NotInTable(f"table {self.table.name} has no learning curves; ask with iepoch=None")
        if not 0 <= iepoch < (column.epochs or 0):
            raise NotInTable(f"a run of {column.epochs} epochs has no epoch {iepoch}, counted from 0")
        return float(self.curves.curve(cell, column)[iepoch])


@dataclass(frozen=True)
class Training:
    """One training of a cell, with the old interface's `get_train`, `get_eval` and `get_latency`."""

    trials: Trials
    cell: Cell
    dataset: str
    epochs: int
    seed: int

    @property
    def eval_names(self) -> list[str]:
        """The sets of images that it was evaluated on."""
        return list(SETS[self.dataset])

    def get_train(self, iepoch: int | None = None) -> dict[str, float | None]:
        """Loss and accuracy of epoch `iepoch` (from 0; None for the last), and seconds up to it, on the training set.

        Raises NotInTable.
        """
        return self._metrics("train", iepoch)

    def get_eval(self, name: str, iepoch: int | None = None) -> dict[str, float | None]:
        """The same on the set `name`, one of `eval_names`; `valid` is `x-valid`.

        Raises NotInTable.
        """
        known = SETS[self.dataset]
        chosen = "x-valid" if name == "valid" else name
        if chosen not in known:
            raise NotInTable(f"{self.dataset} has no set {name!r}; choose from {', '.join(known)}")
        return self._metrics(known[chosen], iepoch)

    def get_latency(self) -> float:
        """Seconds of the network on a batch of 256 images; -1 where the table does not have it."""
        column = Column(self.dataset, self.epochs, "test", self.seed, "latency")
        known = self.trials.measured(self.cell, column)
        return -1.0 if known is None else known

    def _metrics(self, split: Split, iepoch: int | None) -> dict[str, float | None]:
        found = self.trials.figures(self.cell, self.dataset, self.epochs, split, iepoch, [self.seed])
        last = self.epochs - 1 if iepoch is None else iepoch
        seconds = found["seconds"]
        return {
            "iepoch": last,
            "loss": found["loss"],
            "accuracy": found["accuracy"],
            "cur_time": None if seconds is None else seconds / (last + 1),
            "all_time": seconds,
        }


def mean(values: Sequence[float]) -> float:
    """The mean as the old interface computes it; `numpy.mean` would round differently.

    >>> mean([1.0, 2.0])
    1.5
    """
    return sum(values) / len(values)
