"""Tables as oracles over trainings of several lengths: what a multi-fidelity searcher asks, and what it is charged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from nasgauge.data.columns import Column
from nasgauge.data.curves import Curves
from nasgauge.data.tables import AccuracyTable, NotInTable
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.search.oracle import Fidelity, SearchMetric, Table, rank_of
from nasgauge.spaces.cells import Cell, InvalidCell
from nasgauge.spaces.fidelities import At


class Ladder:
    """One dataset of a table, at every training length up to that of the search metric.

    Where the table has learning curves of the search metric's training, its fidelities are the epochs of that
    training. A cell that is asked for again at more epochs is then trained on, with the same training seed, and is
    charged the further epochs and one more validation pass. Otherwise each length that the table has is a
    training of its own, with its own learning-rate schedule: nothing is continued and all of it is charged. Where
    the metric draws a seed and a length has no single seeds, its accuracy is the mean over seeds.

    Raises NotInTable if there is one length only, and what `Table` raises.

    >>> from nasgauge.data.sources import open_table
    >>> ladder = Ladder(open_table("nb201"), "cifar10")
    >>> ladder.fidelities, ladder.continues
    ((12, 200), False)
    """

    def __init__(
        self,
        table: AccuracyTable,
        dataset: str,
        *,
        metric: SearchMetric | None = None,
        curves: Curves | None = None,
        search_on: str = "",
    ) -> None:
        full = Table(table, dataset, metric=metric, curves=curves, search_on=search_on)
        search = full.view.search
        longest = (metric.fidelity.at if metric else None) or search.epochs or 0
        self.continues: Final = curves is not None and bool(curves.seeds(search))
        """Whether a training of more epochs continues one of fewer."""
        self.fidelities: Final = tuple(
            range(1, longest + 1) if self.continues else _lengths(table, search, longest)
        )
        """Epochs, ascending."""
        if len(self.fidelities) < 2:
            raise NotInTable(
                f"table {table.name} has accuracies after {longest or 'unstated'} epochs alone on {search.dataset}; "
                "choose a searcher that asks for no epochs, or another metric or table"
            )
        self.full: Final = full
        """The oracle of the longest training."""
        self.metric: Final = f"{full.metric}, after {_listed(self.fidelities)} epochs" + (
            ", continued" if self.continues else ", trained anew"
        )
        self._of = (table, dataset, curves, search_on)
        self._tables = {longest: full}

    def at(self, epochs: int) -> Table:
        """The oracle of the trainings of one length.

        Raises NotInTable.
        """
        found = self._tables.get(epochs)
        if found is None:
            table, dataset, curves, search_on = self._of
            search = self.full.view.search
            if epochs not in self.fidelities:
                raise NotInTable(
                    f"table {table.name} has no accuracy of {search.dataset} after {epochs} epochs; "
                    f"choose from {_listed(self.fidelities)}"
                )
            length = Fidelity(search.epochs or 0, epochs) if self.continues else Fidelity(epochs)
            drawn = search.seed if self.continues or _has(table, replace(search, epochs=epochs)) else "mean"
            metric = SearchMetric(length, search.split, drawn)  # type: ignore[arg-type]  # as in the metric
            found = Table(table, dataset, metric=metric, curves=curves, search_on=search_on)
            self._tables[epochs] = found
        return found

    def for_run(self, rng: np.random.Generator) -> "_Anew | _Continued":
        """The oracle of one run, which draws seeds from `rng`."""
        return _Continued(self, rng) if self.continues else _Anew(self, rng)


class _Anew:
    """Every training from its beginning."""

    def __init__(self, ladder: Ladder, rng: np.random.Generator) -> None:
        self._at = {epochs: ladder.at(epochs).for_run(rng).evaluate for epochs in ladder.fidelities}
        self._ladder = ladder

    def evaluate(self, asked: At[Cell]) -> Evaluation:
        try:
            return self._at[asked.epochs](asked.cell)
        except (AttributeError, KeyError):  # no At, or a length that the table does not have
            raise _refused(self._ladder, asked) from None


class _Continued:
    """Trainings that go on where they were left: the last one of each cell."""

    def __init__(self, ladder: Ladder, rng: np.random.Generator) -> None:
        self._ladder = ladder
        self._rng = rng
        self._left: dict[
            int, tuple[float, Evaluation]
        ] = {}  # by rank: what chose the seed, and the whole cost

    def evaluate(self, asked: At[Cell]) -> Evaluation:
        if not isinstance(asked, At):
            raise _refused(self._ladder, asked)
        rank = rank_of(asked.cell)
        draw, before = self._left.get(rank, (0.0, None))
        if before is not None and before.epochs >= asked.epochs:
            before = None
        if before is None:
            draw = self._rng.random()
        found = self._ladder.at(asked.epochs).drawn(asked.cell, draw)
        self._left[rank] = draw, found
        if before is None:
            return found
        epochs = found.epochs - before.epochs
        epoch = (found.seconds - before.seconds) / epochs
        return found._replace(epochs=epochs, seconds=found.seconds - before.epochs * epoch)


def _refused(ladder: Ladder, asked: object) -> Exception:
    if not isinstance(asked, At):
        return InvalidCell(
            f"the searcher asked for a {type(asked).__name__}; ask for At(cell, epochs) of nasgauge.spaces.fidelities"
        )
    try:
        ladder.at(asked.epochs)
        rank_of(asked.cell)
    except (NotInTable, InvalidCell) as error:
        return error
    return NotInTable(f"{asked.cell} is not in the table's space")


def _lengths(table: AccuracyTable, search: Column, longest: int) -> list[int]:
    """Those of which the table has the search metric's accuracy, of whatever seeds."""
    known = {c.epochs for c in table.columns if replace(c, epochs=search.epochs, seed=search.seed) == search}
    return sorted(epochs for epochs in known if epochs is not None and epochs <= longest)


def _has(table: AccuracyTable, column: Column) -> bool:
    return column in table.columns or (column.seed == "random" and bool(table.seeds(column)))


def _listed(fidelities: Sequence[int]) -> str:
    """
    >>> _listed(range(1, 201)), _listed((12, 200))
    ('1 to 200', '12, 200')
    """
    many = len(fidelities) > 6
    return f"{fidelities[0]} to {fidelities[-1]}" if many else ", ".join(map(str, fidelities))
