"""Hyperband: successive halving over training lengths, from many short trainings to few long ones (Li et al., 2018)."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from nasgauge.spaces.fidelities import EVERY_EPOCH, At
from nasgauge.spaces.nb201 import Space
from nasgauge.spaces.ranks import comparable

C = TypeVar("C")


class Hyperband(Generic[C]):
    """Brackets of successive halving, over and over (Li et al., 2018, algorithm 1).

    A bracket trains cells briefly, keeps the best, trains these longer, and so on up to the longest training. The
    first bracket begins with the shortest trainings and the most cells; the last one trains a few random cells fully.

    The training lengths are the longest one, the longest of at most 1/`eta` of that, and so on. Of n cells with r
    epochs, n r / r' go on to r' epochs: where the lengths are powers of `eta` apart, these are the paper's numbers. The
    two lengths of the table `nb201`, 12 and 200, make brackets of 17 cells, of which one is trained fully, and of 2.

    Parameters
    ----------
    eta
        The least ratio between two training lengths; 3 is the paper's example and BOHB's default.
    lowest
        Epochs of the shortest training; 0 for the shortest that there is.

    Raises ValueError for `eta` below 2, or a `lowest` that there is no training of.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        fidelities: Sequence[int] = EVERY_EPOCH,
        eta: int = 3,
        lowest: int = 0,
    ) -> None:
        self.space = space
        self.rng = rng
        self.rungs = rungs(fidelities, eta, lowest)
        self._first = self._rung = len(self.rungs) - 1  # the last rung of the bracket before the first
        self._size = self._asked = 0
        self._promoted: list[C] = []  # none at the first rung of a bracket
        self._told: list[tuple[float, C]] = []

    def ask(self) -> list[At[C]]:
        """The next cell of the rung; none while the rung waits for results."""
        if len(self._told) == self._size:
            self._begin_rung()
        if self._asked == self._size:
            return []
        cell = self._promoted[self._asked] if self._promoted else self.draw()
        self._asked += 1
        return [At(cell, self.rungs[self._rung])]

    def tell(self, asked: At[C], accuracy: float) -> None:
        """Add a result to the rung."""
        self._told.append((comparable(accuracy), asked.cell))

    def draw(self) -> C:
        """A new cell for the first rung of a bracket."""
        return self.space.sample(self.rng)

    def _begin_rung(self) -> None:
        """Promote the best of the rung; after the last rung, begin the next bracket."""
        if self._rung == len(self.rungs) - 1:
            self._first = self._rung = (self._first + 1) % len(self.rungs)
            self._promoted = []
        else:
            self._rung += 1
        self._size = bracket(self.rungs, self._first)[self._rung - self._first]
        if self._rung > self._first:
            best = sorted(self._told, key=lambda result: -result[0])[: self._size]
            self._promoted = [cell for _, cell in best]
        self._asked, self._told = 0, []


def rungs(fidelities: Sequence[int], eta: int, lowest: int = 0) -> tuple[int, ...]:
    """Training lengths for successive halving, ascending, each at most 1/`eta` of the next.

    Raises ValueError for `eta` below 2, or a `lowest` that is not among the fidelities.

    >>> rungs(range(1, 82), 3), rungs(range(1, 201), 3), rungs((12, 200), 3)
    ((1, 3, 9, 27, 81), (2, 7, 22, 66, 200), (12, 200))
    """
    if eta < 2:
        raise ValueError(f"eta must be at least 2, not {eta}")
    if lowest and lowest not in fidelities:
        known = list(fidelities)
        shown = f"{known[0]} to {known[-1]}" if len(known) > 6 else ", ".join(map(str, known))
        raise ValueError(f"lowest={lowest} is no training length that there is; choose from {shown}")
    found = [max(fidelities)]
    while below := [length for length in fidelities if lowest <= length <= found[0] / eta]:
        found.insert(0, max(below))
    return tuple(found)


def bracket(lengths: Sequence[int], first: int) -> list[int]:
    """Cells at each rung of the bracket that begins at rung `first` (Li et al., 2018, algorithm 1).

    >>> [bracket((1, 3, 9, 27, 81), first) for first in range(5)]
    [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]
    >>> bracket((12, 200), 0), bracket((12, 200), 1)
    ([17, 1], [2])
    """
    shortest, longest = lengths[first], lengths[-1]
    cells = -(-len(lengths) * longest // ((len(lengths) - first) * shortest))  # rounded up
    return [max(1, cells * shortest // length) for length in lengths[first:]]
