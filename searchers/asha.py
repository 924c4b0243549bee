"""ASHA: successive halving that promotes a cell as soon as it can (Li et al., 2020)."""

from bisect import insort
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from nasgauge.searchers.hyperband import rungs
from nasgauge.spaces.fidelities import EVERY_EPOCH, At
from nasgauge.spaces.nb201 import Space
from nasgauge.spaces.ranks import comparable

C = TypeVar("C")


class ASHA(Generic[C]):
    """Asynchronous successive halving (Li et al., 2020, algorithm 2), with one worker.

    A cell that is among the best r / r' of those trained for r epochs is trained for r' epochs, the longest training
    first; where there is none, a random cell is trained for the fewest epochs. The training lengths are those of
    `hyperband`; where they are powers of `eta` apart, the best 1 / `eta` are promoted as in the paper.

    Parameters
    ----------
    eta
        The least ratio between two training lengths. The paper's experiments use 4, its example 3, as do the
        defaults of `hyperband` and `bohb`.
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
        self._cells: list[C] = []  # one for each training from its beginning
        self._results: list[list[tuple[float, int]]] = [
            [] for _ in self.rungs
        ]  # best first: place in `_cells`
        self._promoted: list[set[int]] = [set() for _ in self.rungs]
        self._open: list[tuple[int, int]] = []  # asked for, not told yet: rung and place

    def ask(self) -> list[At[C]]:
        """A cell that can be promoted, or a random one."""
        rung, place = self._next()
        self._open.append((rung, place))
        return [At(self._cells[place], self.rungs[rung])]

    def tell(self, asked: At[C], accuracy: float) -> None:  # noqa: ARG002 - results come in the order asked
        """Add the result to its rung."""
        rung, place = self._open.pop(0)
        insort(self._results[rung], (-comparable(accuracy), place))

    def _next(self) -> tuple[int, int]:
        for rung in reversed(range(len(self.rungs) - 1)):
            results, promoted = self._results[rung], self._promoted[rung]
            for _, place in results[: len(results) * self.rungs[rung] // self.rungs[rung + 1]]:
                if place not in promoted:
                    promoted.add(place)
                    return rung + 1, place
        self._cells.append(self.space.sample(self.rng))
        return 0, len(self._cells) - 1
