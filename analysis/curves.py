"""From steps to curves: the accuracy of the validation leader, on a common grid of a chosen clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.records import Steps

Array = NDArray[np.float64]
Clock = Literal["queries", "epochs", "seconds", "overhead"]

CLOCKS: Final[tuple[Clock, ...]] = ("queries", "epochs", "seconds", "overhead")


@dataclass(frozen=True)
class Runs:
    """The runs of one searcher on one dataset, (runs, steps) each, padded behind the end of a run."""

    seeds: NDArray[np.int32]
    lengths: NDArray[np.int64]
    incumbent: Array
    """Reported accuracy of the cell that led on validation at this step, percent; last value repeated."""
    spent: dict[Clock, Array]
    """Spent so far on each clock; infinite behind the end of a run."""

    @property
    def final(self) -> Array:
        """Reported accuracy of each run's last leader, (runs,)."""
        return self.incumbent[:, -1]


def align(parts: Sequence[Steps]) -> Runs:
    """Put the runs of several files side by side, in order of seeds.

    The leader is the first cell with the highest validation accuracy so far: no later figure and no test
    accuracy has a say.
    """
    seed = np.concatenate([part.seed for part in parts])
    order = np.argsort(seed, kind="stable")
    seeds, lengths = np.unique(seed, return_counts=True)
    width = int(lengths.max())
    inside = np.arange(width) < lengths[:, None]

    def matrix(name: str, fill: float) -> Array:
        values = np.full(inside.shape, fill)
        values[inside] = np.concatenate([getattr(part, name) for part in parts])[order]
        return values

    validation = matrix("validation", -np.inf)
    leads = validation > np.maximum.accumulate(
        np.concatenate([np.full((len(seeds), 1), -np.inf), validation[:, :-1]], axis=1), axis=1
    )
    leads[:, 0] = True
    leader = np.maximum.accumulate(np.where(leads, np.arange(width), 0), axis=1)
    charged = matrix("charged", 0.0) > 0

    def paid(name: str) -> Array:
        """Sum of what the charged steps cost; a cost that the table does not know is endless."""
        return np.where(charged, np.nan_to_num(matrix(name, 0.0), nan=np.inf), 0.0).cumsum(axis=1)

    spent: dict[Clock, Array] = {
        "queries": charged.cumsum(axis=1).astype(np.float64),
        "epochs": paid("epochs"),
        "seconds": paid("seconds"),
        "overhead": matrix("overhead", 0.0).cumsum(axis=1),
    }
    return Runs(
        seeds=seeds,
        lengths=lengths,
        incumbent=np.take_along_axis(matrix("test", np.nan), leader, axis=1),
        spent={clock: np.where(inside, values, np.inf) for clock, values in spent.items()},
    )


def on_grid(runs: Runs, clock: Clock, grid: Array) -> Array:
    """Incumbent of each run at each point of a clock, (runs, points): a step function, no look-ahead.

    NaN before a run's first step is paid for.
    """
    done = np.stack([np.searchsorted(spent, grid, side="right") for spent in runs.spent[clock]])
    values = np.take_along_axis(runs.incumbent, np.maximum(done - 1, 0), axis=1)
    return np.where(done == 0, np.nan, values)
