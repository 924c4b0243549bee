"""From steps to curves: the accuracy of the incumbent on a common grid of costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nasgauge.harness.records.steps import Steps
from nasgauge.spaces.errors import NasgaugeError

Array = NDArray[np.float64]
Clock = Literal["queries", "epochs", "seconds", "overhead", "total"]

CLOCKS: Final[tuple[Clock, ...]] = get_args(Clock)
"""What a run is charged in; `total` is `seconds` and `overhead` together."""


class UnknownCost(NasgaugeError, LookupError):
    """A clock on which no query of these runs has a cost."""


@dataclass(frozen=True)
class Runs:
    """The runs of one searcher on one dataset, (runs, steps) each, padded after the end of a run."""

    seeds: NDArray[np.int32]
    lengths: NDArray[np.int64]
    spent: dict[Clock, Array]
    """Spent so far on each clock but `total`; infinite after the end of a run. See `paid`."""
    cells: tuple[str, ...]
    """The distinct cells of all runs."""
    cell: NDArray[np.int32]
    """Place in `cells`; -1 after the end of a run."""
    held: NDArray[np.int32]
    """Step, from 0, at which the incumbent was evaluated."""
    answer: NDArray[np.int32]
    """Place in `cells` of the cell that the searcher itself recommends; -1 where it records none."""
    validation: Array
    """Search metric of each step; minus infinity after the end of a run, and where it was NaN."""
    test: Array
    """Reported accuracy of each step."""
    fidelity: NDArray[np.int32]
    """Epochs after which the search metric was measured, where the searcher chooses them; 0 elsewhere."""

    @property
    def incumbent(self) -> Array:
        """Reported accuracy of the incumbent, percent; the last value is repeated after the end of a run."""
        return np.take_along_axis(self.test, self.held, axis=1)

    def paid(self, clock: Clock) -> Array:
        """Spent so far on a clock; infinite after the end of a run."""
        return self.spent["seconds"] + self.spent["overhead"] if clock == "total" else self.spent[clock]

    @property
    def final(self) -> Array:
        """Reported accuracy of each run's last incumbent, (runs,)."""
        return np.take_along_axis(self.test, self.held[:, -1:], axis=1)[:, 0]

    @property
    def final_cells(self) -> list[str]:
        """Each run's last incumbent, (runs,)."""
        places = np.take_along_axis(self.cell, self.held[:, -1:], axis=1)[:, 0]
        return [self.cells[place] for place in places.tolist()]

    @property
    def longest(self) -> int:
        """Charged queries of the longest run."""
        made = self.spent["queries"]
        return int(made[np.isfinite(made)].max())

    def only(self, kept: NDArray[np.bool_]) -> "Runs":
        """Some of the runs, (runs,)."""
        arrays = ("seeds", "lengths", "cell", "held", "answer", "validation", "test", "fidelity")
        return replace(
            self,
            spent={clock: values[kept] for clock, values in self.spent.items()},
            **{name: getattr(self, name)[kept] for name in arrays},
        )

    def cost(self, clock: Clock) -> float | None:
        """What every charged query costs on a clock, if they all cost the same.

        One searcher's runs at a time; None too where the clock is unknown.
        """
        spent = self.paid(clock)
        before = np.concatenate([np.zeros((len(self.seeds), 1)), spent[:, :-1]], axis=1)
        with np.errstate(invalid="ignore"):  # after the end of a run: infinity less infinity
            paid = (spent - before)[np.isfinite(spent)]
        paid = paid[paid > 0]
        return float(paid[0]) if paid.size and np.allclose(paid, paid[0]) else None


def align(parts: Sequence[Steps]) -> Runs:
    """Put the runs of several files side by side, in order of seeds.

    The incumbent is the first cell with the highest search metric so far; test accuracy plays no part. A
    cell whose search metric is NaN is the incumbent only while nothing else was evaluated. Where a searcher chooses
    how long cells are trained, only those with the longest training so far are compared (see `ranked`). Each seed
    must be in one file only.
    """
    seed = np.concatenate([part.seed for part in parts])
    order = np.argsort(seed, kind="stable")
    seeds, lengths = np.unique(seed, return_counts=True)
    width = int(lengths.max(initial=0))
    inside = np.arange(width) < lengths[:, None]

    def matrix(name: str, fill: float) -> Array:
        values = np.full(inside.shape, fill)
        values[inside] = np.concatenate([getattr(part, name) for part in parts])[order]
        return values

    places: dict[str, int] = {}
    numbers = [
        np.array([places.setdefault(text, len(places)) for text in part.cells] or [0], dtype=np.int32)
        for part in parts
    ]
    cell = np.full(inside.shape, -1, dtype=np.int32)
    answer = cell.copy()
    numbered = list(zip(numbers, parts, strict=True))
    cell[inside] = np.concatenate([number[part.cell] for number, part in numbered])[order]
    answer[inside] = np.concatenate(
        [np.where(part.answer >= 0, number[part.answer], -1) for number, part in numbered]
    )[order]
    validation = matrix("validation", -np.inf)
    validation[np.isnan(validation)] = -np.inf
    fidelity = matrix("fidelity", 0).astype(np.int32)
    metric = ranked(validation, fidelity)
    best = np.maximum.accumulate(metric, axis=1)
    better = np.concatenate([np.ones((len(seeds), 1), bool), metric[:, 1:] > best[:, :-1]], axis=1)
    held = np.maximum.accumulate(np.where(better, np.arange(width, dtype=np.int32), np.int32(0)), axis=1)
    charged = matrix("charged", 0.0) > 0

    def paid(name: str) -> Array:
        """Sum of what the charged steps cost; a cost that the table does not know is infinite."""
        return np.where(charged, np.nan_to_num(matrix(name, 0.0), nan=np.inf), 0.0).cumsum(axis=1)

    spent: dict[Clock, Array] = {
        "queries": charged.cumsum(axis=1).astype(np.float64),
        "epochs": paid("epochs"),
        "seconds": paid("seconds"),
        "overhead": np.nan_to_num(matrix("overhead", 0.0), nan=np.inf).cumsum(axis=1),
    }
    test = matrix("test", np.nan)
    return Runs(
        seeds=seeds,
        lengths=lengths,
        spent={clock: np.where(inside, values, np.inf) for clock, values in spent.items()},
        cells=tuple(places),
        cell=cell,
        held=held,
        answer=answer,
        validation=validation,
        test=test,
        fidelity=fidelity,
    )


def ranked(validation: Array, fidelity: NDArray[np.int32]) -> Array:
    """The search metric on a scale on which any figure after more epochs is above all after fewer; of the same shape.

    Accuracies after 12 and after 200 epochs cannot be compared: all cells gain by longer training, and some more
    than others. So the incumbent is the best after the most epochs so far, as in the result class of HpBandSter, the
    code of BOHB (Falkner et al., 2018), and it may become worse when the first longer training is done.

    >>> ranked(np.array([70.0, 60.0, 90.0, 65.0]), np.array([12, 200, 12, 200], dtype=np.int32)).argsort().tolist()
    [0, 2, 1, 3]
    """
    epochs, level = np.unique(fidelity, return_inverse=True)
    finite = validation[np.isfinite(validation)]
    if len(epochs) < 2 or not finite.size:
        return validation
    shifted: Array = validation + level.reshape(validation.shape) * (np.ptp(finite) + 1)
    return shifted


def on_grid(runs: Runs, clock: Clock, grid: Array, values: Array | None = None) -> Array:
    """Incumbent of each run at each point of a clock, (runs, points): a step function, no look-ahead.

    `values`, (runs, steps): other figures of each step than the incumbent's. NaN before a
    run's first step is paid for.
    """
    known = runs.incumbent if values is None else values
    count, points = len(runs.seeds), len(grid)
    place = np.searchsorted(grid, runs.paid(clock))  # the first point at which a step is done
    flat = place + (points + 1) * np.arange(count)[:, None]
    done = np.bincount(flat.ravel(), minlength=count * (points + 1)).reshape(count, points + 1)[:, :points]
    done = done.cumsum(axis=1)
    found = np.take_along_axis(known, np.maximum(done - 1, 0), axis=1)
    return np.where(done == 0, np.nan, found)


def grid_of(runs: Sequence[Runs], clock: Clock, *, points: int = 200) -> Array:
    """Common points of a clock for several searchers, from the first step to the longest run, log-spaced.

    Raises UnknownCost.
    """
    spent = [aligned.paid(clock) for aligned in runs]
    finite = [values[np.isfinite(values)] for values in spent]
    if any(values.size == 0 for values in finite):
        raise UnknownCost(f"this table does not say what a query costs in {clock}; choose another clock")
    last = max(float(values.max()) for values in finite)
    if clock == "queries":
        return np.unique(np.geomspace(1, last, points).round())
    first = min(float(values[:, 0].min()) for values in spent)
    low = max(first, last / 1e4)
    return np.geomspace(low, last, points) if 0 < low < last else np.array([last])


def top_mean(runs: Runs, count: int) -> Array:
    """Mean reported accuracy of the `count` best cells by search metric at each step, (runs, steps).

    The measure of relative efficiency of Liu et al. (2018), section 5.3. A cell counts once in a run, and only with
    the longest training that the runs have; NaN until a run has evaluated `count` of them. Cells without a search metric do
    not count.
    """
    rows, width = runs.cell.shape
    fresh = _first_seen(np.where(runs.fidelity < runs.fidelity.max(initial=0), -1, runs.cell))
    best = np.full((rows, count), -np.inf)
    held = np.zeros((rows, count))
    means = np.full((rows, width), np.nan)
    every = np.arange(rows)
    for step in range(width):  # all runs at once
        worst = best.argmin(axis=1)
        metric = runs.validation[:, step]
        enters = fresh[:, step] & (metric > best[every, worst])
        best[every[enters], worst[enters]] = metric[enters]
        held[every[enters], worst[enters]] = runs.test[enters, step]
        means[:, step] = np.where(np.isfinite(best).all(axis=1), held.mean(axis=1), np.nan)
    return means


def _first_seen(cell: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where a run evaluates a cell for the first time; false after its end."""
    rows, _ = cell.shape
    keys = (cell.astype(np.int64) + 1) * rows + np.arange(rows)[:, None]
    _, first = np.unique(keys, return_index=True)
    fresh = np.zeros(cell.size, dtype=bool)
    fresh[first] = True
    return fresh.reshape(cell.shape) & (cell >= 0)
