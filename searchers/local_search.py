"""Local search: move to a better neighbour, restart at a local optimum (White, Nolen and Savani, 2021)."""

from typing import Final, Generic, Literal, TypeVar, get_args

import numpy as np

from nasgauge.spaces.nb201 import Space
from nasgauge.spaces.ranks import comparable

C = TypeVar("C")

Climb = Literal["first", "steepest"]
_CLIMBS: Final = get_args(Climb)


class LocalSearch(Generic[C]):
    """Hill climbing with restarts from random cells.

    A cell that was evaluated before is evaluated again, and charged, where it is a neighbour of a new cell: about one query in
    seven on NAS-Bench-201.

    Parameters
    ----------
    climb
        `first` moves to the first better neighbour, tried in random order; `steepest` evaluates all neighbours and
        moves to the best of them if it is better.

    Raises ValueError for another `climb`.
    """

    def __init__(self, space: Space[C], rng: np.random.Generator, *, climb: Climb = "first") -> None:
        if climb not in _CLIMBS:
            raise ValueError(f"climb must be one of {', '.join(_CLIMBS)}, not {climb!r}")
        self.space = space
        self.rng = rng
        self.climb = climb
        self._centre: tuple[float, C] | None = None
        self._best: tuple[float, C] | None = None  # of the neighbours evaluated so far
        self._untried: list[C] = []
        self._evaluated = self._neighbours = 0
        self._asked = False

    def ask(self) -> list[C]:
        """A random cell to start from, the next neighbour, or all neighbours."""
        self._asked = True
        if self._centre is None:
            return [self.space.sample(self.rng)]
        if self.climb == "steepest":
            return list(self.space.neighbours(self._centre[1]))
        if not self._untried:
            neighbours = self.space.neighbours(self._centre[1])
            self._untried = [neighbours[place] for place in self.rng.permutation(len(neighbours)).tolist()]
        return [self._untried.pop()]

    def tell(self, cell: C, accuracy: float) -> None:
        """Move if the cell is better than the current one; restart after the last neighbour without improvement.

        Of cells that are told before the first is asked for, the best is where the search starts.
        """
        accuracy = comparable(accuracy)
        if self._centre is None or (not self._asked and accuracy > self._centre[0]):
            self._move((accuracy, cell))
            return
        if not self._asked:
            return
        self._evaluated += 1
        if self._best is None or accuracy > self._best[0]:
            self._best = (accuracy, cell)
        better = self._best[0] > self._centre[0]
        if self.climb == "first" and better:
            self._move(self._best)
        elif self._evaluated == self._neighbours:
            self._move(self._best if better else None)

    def _move(self, centre: tuple[float, C] | None) -> None:
        self._centre = centre
        self._best = None
        self._untried = []
        self._evaluated = 0
        self._neighbours = len(self.space.neighbours(centre[1])) if centre is not None else 0
