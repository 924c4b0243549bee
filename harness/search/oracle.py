"""What a query of a table answers, and what it costs.

A table is a grid of dataset × fidelity × split × seed. A searcher may be told a validation figure, the
report gives a test figure, and what mixes the two is refused unless it is asked for by its name.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.curves import Curves
from nasgauge.data.tables import AccuracyTable, Column, NotInTable, View
from nasgauge.harness.records.steps import Evaluation
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import TASKS, query_seconds
from nasgauge.spaces.errors import NasgaugeError

Seeds = int | Literal["mean", "random"]
SearchSplit = Literal["valid", "valtest"]
Times = Literal["table", "modelled", "none"]


class LeakyQuery(NasgaugeError, ValueError):
    """A search signal that holds test images without saying so."""


class InvalidSignal(NasgaugeError, ValueError):
    """A text that is no signal."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A training run by its length, and the epoch at which it is looked at.

    The run of 12 epochs is an experiment of its own, whose schedule ends there: it is not epoch 12 of the
    run of 200, which is `200@12`.

    >>> Fidelity.parse("200@25")
    Fidelity(run=200, at=25)
    """

    run: int
    at: int | None = None
    """Epochs done; None: all."""

    @classmethod
    def parse(cls, text: str) -> "Fidelity":
        """Read `12`, `200`, or `200@25`.

        Raises InvalidSignal.
        """
        run, _, at = text.partition("@")
        if not run.isdecimal() or (at and not at.isdecimal()) or text.endswith("@"):
            raise InvalidSignal(f"fidelity {text!r} is not understood; write 12, 200 or 200@25")
        return cls(int(run), int(at) if at else None)

    @property
    def epochs(self) -> int:
        """Epochs that have to be trained."""
        return self.run if self.at is None else self.at

    def __str__(self) -> str:
        return str(self.run) if self.at is None else f"{self.run}@{self.at}"


@dataclass(frozen=True, slots=True)
class Signal:
    """What a searcher is told: after which training, on which images, of which seed.

    >>> str(Signal.parse("12/valid/random")), Signal.parse("200").seeds
    ('12/valid/random', 'mean')
    """

    fidelity: Fidelity
    split: SearchSplit = "valid"
    """`valtest` is validation and test images together: half of what is reported."""
    seeds: Seeds = "mean"
    """The mean over a cell's seeds, one seed, or one drawn by the run's own generator for each query."""

    @classmethod
    def parse(cls, text: str) -> "Signal":
        """Read `fidelity/split/seeds`, of which the last two may be left out.

        Raises InvalidSignal, LeakyQuery.
        """
        fidelity, split, seeds, *rest = [*text.strip().split("/"), "", ""]
        if any(rest):
            raise InvalidSignal(
                f"signal {text!r} is not understood; write fidelity/split/seeds, as 12/valid/mean"
            )
        if split in ("test", "train"):
            raise LeakyQuery(
                f"a searcher is not told {split} accuracy; choose from {', '.join(get_args(SearchSplit))}"
            )
        if split and split not in get_args(SearchSplit):
            raise InvalidSignal(f"unknown split {split!r}; choose from {', '.join(get_args(SearchSplit))}")
        if seeds and seeds not in ("mean", "random") and not seeds.isdecimal():
            raise InvalidSignal(f"unknown seeds {seeds!r}; choose from mean, random, or a number such as 777")
        return cls(
            Fidelity.parse(fidelity),
            split or "valid",  # type: ignore[arg-type]  # checked above
            int(seeds) if seeds.isdecimal() else seeds or "mean",  # type: ignore[arg-type]  # checked above
        )

    def __str__(self) -> str:
        return f"{self.fidelity}/{self.split}/{self.seeds}"

    def column(self, dataset: str) -> Column:
        """The column of this signal; validation figures of `cifar10` are those of `cifar10-valid`.

        Raises LeakyQuery.
        """
        training = "cifar10-valid" if dataset == "cifar10" else dataset
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
    """An oracle that is ready for a run."""

    def evaluate(self, cell: Cell) -> Evaluation:
        """Look a cell up."""
        ...


class Table:
    """An oracle over one dataset of a table: its default view, or a given signal.

    Raises LeakyQuery, NotInTable when made, the latter also if the view has cells without a figure.
    """

    def __init__(
        self,
        table: AccuracyTable,
        dataset: str,
        *,
        signal: Signal | None = None,
        curves: Curves | None = None,
    ) -> None:
        default = table.view(dataset)
        search = default.search if signal is None else signal.column(dataset)
        self.view: Final[View] = View(search=search, report=default.report)
        at = None if signal is None else signal.fidelity.at
        runs_SC = _runs(table, search, at, curves)  # seeds to draw from (S), cells (C)
        self.validation: Final[NDArray[np.float64]] = (
            np.nanmean(runs_SC, axis=0) if len(runs_SC) > 1 else runs_SC[0]
        )
        """The search signal of every cell, (15625,) by `Cell.rank`, percent; its mean where it is drawn."""
        self.test: Final[NDArray[np.float64]] = table.column(self.view.report)
        """The reported accuracy of every cell, likewise."""
        self.draws: Final = _equally_likely(runs_SC, self.test)
        """Signal and reported accuracy of everything that a query of a random cell may answer, equally likely,
        (draws,) each: the cells, or, where a seed is drawn, the seeds of every cell."""
        missing = int((np.isnan(self.validation) | np.isnan(self.test)).sum())
        if missing:
            raise NotInTable(f"table {table.name} lacks {missing} cells of {search} or {self.view.report}")
        epochs = float("nan") if search.epochs is None else float(at or search.epochs)
        times, seconds = _seconds(table, search, epochs)
        self.times: Final[Times] = times
        """Where `seconds` come from: the table, the cost model of `nasgauge.spaces.costs`, or nowhere."""
        self.seconds: Final[NDArray[np.float64]] = seconds
        """Simulated GPU seconds of a query: the training, and one pass over the validation images."""
        self.signal: Final = f"{search}" if at is None else f"{search}, epoch {at}"
        self._evaluations = [
            Evaluation(validation, test, epochs, cost)
            for validation, test, cost in zip(
                self.validation.tolist(), self.test.tolist(), seconds.tolist(), strict=True
            )
        ]
        self._runs = _drawable(runs_SC) if search.seed == "random" else None

    def evaluate(self, cell: Cell) -> Evaluation:
        """Look a cell up.

        Raises InvalidSignal if the signal is drawn: then use what `for_run` gives.
        """
        if self._runs is not None:
            raise InvalidSignal("a signal of random seeds is drawn by a run's own generator; use for_run")
        return self._evaluations[cell.rank]

    def for_run(self, rng: np.random.Generator) -> Answers:
        """The oracle of one run, which draws from `rng` alone; this one where nothing is drawn."""
        return self if self._runs is None else _Drawn(self._evaluations, self._runs, rng)


class _Drawn:
    def __init__(
        self, evaluations: list[Evaluation], runs: list[list[float]], rng: np.random.Generator
    ) -> None:
        self._evaluations = evaluations
        self._runs = runs
        self._rng = rng

    def evaluate(self, cell: Cell) -> Evaluation:
        runs = self._runs[cell.rank]
        drawn = runs[int(self._rng.random() * len(runs))]
        return self._evaluations[cell.rank]._replace(validation=drawn)


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
    """Each cell as often as any other, though one has more seeds than another."""
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
    train = Column(search.dataset, search.epochs, "train", "mean", "seconds")
    held_out = replace(train, split=search.split)
    if train in table.columns and held_out in table.columns:
        return "table", epochs * table.column(train) + table.column(held_out)
    if np.isnan(epochs) or search.dataset not in TASKS:
        return "none", np.full(len(table.column(search)), np.nan)
    return "modelled", query_seconds(search.dataset, epochs)
