"""Table look-ups as an oracle: what a query returns, and what it costs.

A table is a grid of dataset × fidelity × split × seed. A searcher observes the search metric, a validation
accuracy; the reported accuracy is a test accuracy. A metric on test images is refused, and one on validation
and test images together has to be named as such.
"""

from dataclasses import dataclass, replace
from math import isnan
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.columns import training_of
from nasgauge.data.curves import Curves, mean_of_trained
from nasgauge.data.tables import AccuracyTable, Column, NotInTable, View
from nasgauge.harness.records.steps import Evaluation
from nasgauge.spaces.cells import N_CELLS, Cell, InvalidCell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import SPACES

Seeds = int | Literal["mean", "random"]
SearchSplit = Literal["valid", "valtest"]
Times = Literal["table", "none"]


class LeakyQuery(NasgaugeError, ValueError):
    """A search metric that uses test images without saying so."""


class InvalidMetric(NasgaugeError, ValueError):
    """A text that is not a search metric, or one that cannot be evaluated as asked."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A training run by its length, and the epoch at which it is evaluated.

    The run of 12 epochs is a separate experiment, whose learning-rate schedule ends at epoch 12. Epoch 12 of
    the run of 200 is `200@12`.

    >>> Fidelity.parse("200@25")
    Fidelity(run=200, at=25)
    """

    run: int
    at: int | None = None
    """Epochs trained; None for all."""

    @classmethod
    def parse(cls, text: str) -> "Fidelity":
        """Parse `12`, `200`, or `200@25`.

        Raises InvalidMetric.
        """
        run, _, at = text.partition("@")
        if not run.isdecimal() or (at and not at.isdecimal()) or text.endswith("@"):
            raise InvalidMetric(f"fidelity {text!r} is not understood; write 12, 200 or 200@25")
        return cls(int(run), int(at) if at else None)

    @property
    def epochs(self) -> int:
        """Epochs that a query trains."""
        return self.run if self.at is None else self.at

    def __str__(self) -> str:
        return str(self.run) if self.at is None else f"{self.run}@{self.at}"


@dataclass(frozen=True, slots=True)
class SearchMetric:
    """The search metric: an accuracy after some training, on some images, of some seed.

    >>> str(SearchMetric.parse("12/valid/random")), SearchMetric.parse("200").seeds
    ('12/valid/random', 'mean')
    """

    fidelity: Fidelity
    split: SearchSplit = "valid"
    """`valtest` is validation and test images together; half of them are those of the reported accuracy."""
    seeds: Seeds = "mean"
    """`mean` over a cell's seeds, one seed, or `random`: one of the cell's seeds, drawn at each query."""

    @classmethod
    def parse(cls, text: str) -> "SearchMetric":
        """Parse `fidelity/split/seeds`, of which the last two may be left out.

        Raises InvalidMetric, LeakyQuery.
        """
        fidelity, split, seeds, *rest = [*text.strip().split("/"), "", ""]
        if any(rest):
            raise InvalidMetric(
                f"search metric {text!r} is not understood; write fidelity/split/seeds, as 12/valid/mean"
            )
        if split in ("test", "train"):
            raise LeakyQuery(
                f"{split} accuracy cannot be the search metric; choose from {', '.join(get_args(SearchSplit))}"
            )
        if split and split not in get_args(SearchSplit):
            raise InvalidMetric(f"unknown split {split!r}; choose from {', '.join(get_args(SearchSplit))}")
        if seeds and seeds not in ("mean", "random") and not seeds.isdecimal():
            raise InvalidMetric(f"unknown seeds {seeds!r}; choose from mean, random, or a number such as 777")
        return cls(
            Fidelity.parse(fidelity),
            split or "valid",  # type: ignore[arg-type]  # checked above
            int(seeds) if seeds.isdecimal() else seeds or "mean",  # type: ignore[arg-type]  # checked above
        )

    def __str__(self) -> str:
        return f"{self.fidelity}/{self.split}/{self.seeds}"

    def column(self, dataset: str) -> Column:
        """The column of this metric; the validation accuracy of `cifar10` is that of `cifar10-valid`.

        Raises LeakyQuery.
        """
        training = training_of(dataset, "valid")
        if self.fidelity.at is not None and self.fidelity.run == 200 and training != "cifar10-valid":
            if self.split == "valid":
                raise LeakyQuery(
                    f"the 200-epoch curves of {dataset} hold validation and test images together; "
                    f"ask for {replace(self, split='valtest')} to have them so, or for a 12-epoch fidelity"
                )
        elif self.split == "valtest" and training == "cifar10-valid":
            raise LeakyQuery("cifar10 has no validation and test images together; choose the split valid")
        return Column(training, self.fidelity.run, self.split, self.seeds)


class Answers(Protocol):
    """An oracle for one run."""

    def evaluate(self, cell: Cell) -> Evaluation:
        """Look a cell up."""
        ...


class Table:
    """An oracle over one dataset of a table, with its default search metric or a given one.

    With `search_on`, the search metric and the costs are those of that dataset, and only the reported accuracy is
    of `dataset`: a search on CIFAR-10 that is reported on CIFAR-100.

    Raises LeakyQuery; NotInTable also if some cells have no value.

    >>> from nasgauge.data.sources import open_table
    >>> oracle = Table(open_table("nb201"), "cifar10")
    >>> str(oracle.view.search), oracle.test.max().round(3)
    ('cifar10-valid/200/valid/random/accuracy', np.float64(94.373))
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
        default = table.view(dataset)
        self.searched: Final = search_on or dataset
        """The dataset of the search metric."""
        search = table.view(self.searched).search if metric is None else metric.column(self.searched)
        self.view: Final[View] = View(search=search, report=default.report)
        at = None if metric is None else metric.fidelity.at
        runs_SC = _runs(table, search, at, curves)  # seeds to draw from (S), cells (C)
        self.validation: Final[NDArray[np.float64]] = mean_of_trained(runs_SC)
        """The search metric of every cell, (15625,) by `Cell.rank`, percent; the mean where a seed is drawn."""
        self.test: Final[NDArray[np.float64]] = table.column(self.view.report)
        """The reported accuracy of every cell, (15625,) by `Cell.rank`, percent."""
        self.space: Final = SPACES[table.space]()
        inside = self.space.ranks
        self.draws: Final = _equally_likely(runs_SC[:, inside], self.test[inside])
        """Search metric and reported accuracy of the equally likely outcomes of querying a random cell,
        (outcomes,) each: the cells, or, where a seed is drawn, the seeds of every cell."""
        missing = int((~np.isfinite(self.validation) | ~np.isfinite(self.test))[inside].sum())
        if missing:
            raise NotInTable(f"table {table.name} lacks {missing} cells of {search} or {self.view.report}")
        epochs = float("nan") if search.epochs is None else float(at or search.epochs)
        times, seconds = _seconds(table, search, epochs)
        self.times: Final[Times] = times
        """Where `seconds` come from: the table, or `none` if it has no training seconds."""
        self.seconds: Final[NDArray[np.float64]] = seconds
        """Simulated GPU seconds of a query of each cell, (15625,) by `Cell.rank`; NaN if not known.

        Measured seconds of a training epoch times epochs, and one pass over the validation images where the
        table has its seconds. The table `nb201` does not: its seconds are of training alone.
        """
        self.metric: Final = f"{search}" if at is None else f"{search}, epoch {at}"
        self._evaluations = [
            Evaluation(validation, test, epochs, cost)
            for validation, test, cost in zip(
                self.validation.tolist(), self.test.tolist(), seconds.tolist(), strict=True
            )
        ]
        self._runs = _drawable(runs_SC) if search.seed == "random" else None

    def evaluate(self, cell: Cell) -> Evaluation:
        """Look a cell up.

        Raises InvalidCell for anything else than a cell, and InvalidMetric if a seed is drawn at each query: use
        the oracle that `for_run` returns.
        """
        if self._runs is not None:
            raise InvalidMetric("the seed is drawn at each query by the run's generator; use for_run(rng)")
        return _known(self._evaluations[rank_of(cell)], cell)

    def for_run(self, rng: np.random.Generator) -> Answers:
        """The oracle of one run, which draws seeds from `rng`; this one where no seed is drawn."""
        return self if self._runs is None else _Drawn(self, rng)

    def drawn(self, cell: Cell, draw: float) -> Evaluation:
        """Look a cell up; `draw`, from 0 to below 1, chooses the seed where one is drawn.

        Raises InvalidCell, NotInTable.
        """
        rank = rank_of(cell)
        runs = self._runs[rank] if self._runs is not None else None
        if not runs:
            return _known(self._evaluations[rank], cell)
        return self._evaluations[rank]._replace(validation=runs[int(draw * len(runs))])


class _Drawn:
    def __init__(self, table: Table, rng: np.random.Generator) -> None:
        self._drawn = table.drawn
        self._random = rng.random

    def evaluate(self, cell: Cell) -> Evaluation:
        return self._drawn(cell, self._random())


def rank_of(cell: object) -> int:
    """The rank of a cell that a searcher asked for.

    Raises InvalidCell for anything else.
    """
    if not isinstance(cell, Cell):
        raise InvalidCell(
            f"the searcher asked for a {type(cell).__name__}; ask for Cells of the space it was given"
        )
    return cell.rank


def _known(evaluation: Evaluation, cell: Cell) -> Evaluation:
    if isnan(evaluation.validation):
        raise NotInTable(f"{cell} is not in the table's space")
    return evaluation


def _runs(table: AccuracyTable, column: Column, at: int | None, curves: Curves | None) -> NDArray[np.float64]:
    if at is not None and curves is None:
        raise NotInTable(f"table {table.name} has no learning curves; choose a fidelity without @{at}")
    if column.seed != "random":
        values = table.column(column) if at is None or curves is None else curves.at(column, at)
        return values[None]
    if at is not None and curves is not None:
        seeds = curves.seeds(column)
        found = [curves.at(replace(column, seed=seed), at) for seed in seeds]
    else:
        found = [table.column(replace(column, seed=seed)) for seed in table.seeds(column)]
    if not found:
        raise NotInTable(
            f"table {table.name} has no single seeds of {replace(column, seed='mean')}, so none can be drawn"
        )
    return np.stack(found)


def _equally_likely(
    runs_SC: NDArray[np.float64], test_C: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each cell is as likely as any other, though one has more seeds than another."""
    trained_C = (~np.isnan(runs_SC)).sum(axis=0)
    times = int(np.lcm.reduce(trained_C[trained_C > 0])) if len(runs_SC) > 1 else 1
    shares_SC = np.where(np.isnan(runs_SC), 0, times // np.maximum(trained_C, 1))
    return (
        np.repeat(runs_SC.ravel(), shares_SC.ravel()),
        np.repeat(np.broadcast_to(test_C, runs_SC.shape).ravel(), shares_SC.ravel()),
    )


def _drawable(runs_SC: NDArray[np.float64]) -> list[list[float]]:
    return [runs[~np.isnan(runs)].tolist() for runs in runs_SC.T]


def _seconds(table: AccuracyTable, search: Column, epochs: float) -> tuple[Times, NDArray[np.float64]]:
    """Those of an epoch hold for runs of any length: the benchmark measured them once for each cell."""
    train = Column(search.dataset, search.epochs, "train", "mean", "seconds")
    known = [column for column in table.columns if replace(column, epochs=train.epochs) == train]
    if not known or np.isnan(epochs):
        return "none", np.full(N_CELLS, np.nan)
    epoch = table.columns[train if train in known else known[0]]
    return "table", epochs * epoch + table.columns.get(replace(train, split=search.split), np.zeros(N_CELLS))
