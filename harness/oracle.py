"""What a query of a table answers, and what it costs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.tables import AccuracyTable, NotInTable, View
from harness.cells import Cell
from harness.records import Evaluation


class Table:
    """An oracle over a table's default view of one dataset.

    Raises NotInTable when made, if the view has cells without a figure.
    """

    def __init__(self, table: AccuracyTable, dataset: str) -> None:
        self.view: Final[View] = table.view(dataset)
        self.validation: Final[NDArray[np.float64]] = table.column(self.view.search)
        """The search signal of every cell, (15625,) by `Cell.rank`, percent."""
        self.test: Final[NDArray[np.float64]] = table.column(self.view.report)
        """The reported accuracy of every cell, likewise."""
        missing = int((np.isnan(self.validation) | np.isnan(self.test)).sum())
        if missing:
            raise NotInTable(
                f"table {table.name} lacks {missing} cells of {self.view.search} or {self.view.report}"
            )
        epochs = float("nan") if self.view.search.epochs is None else float(self.view.search.epochs)
        self._evaluations = [
            Evaluation(validation, test, epochs, float("nan"))
            for validation, test in zip(self.validation.tolist(), self.test.tolist(), strict=True)
        ]

    def evaluate(self, cell: Cell) -> Evaluation:
        """Look a cell up."""
        return self._evaluations[cell.rank]
