"""Progressive search: from simple cells to complex ones, led by a predictor (Liu et al., 2018: PNAS).

Evaluate all cells of the smallest size. Then, size by size: grow the cells that were kept by one block in
every possible way, rank all children with a predictor fitted to everything evaluated so far, evaluate the
best `beam`, and keep those. Section 3.2 of the paper.

The paper stops when the largest size is reached, and so does a search whose `batch` is as large as `beam`
and whose budget ends there: 4 + 32 + 32 queries on NAS-Bench-201, 136 + 4 * 256 in the paper's own space.
One that is asked for more goes on at full size: the predictor is fitted again after every `batch`
evaluations, all remaining children are ranked anew, and as many cells of the size below as were evaluated
grow too, the best of those that were not kept first, until all have grown. So what the beam shut out, on
the word of a predictor that had seen small cells alone, comes back, and candidates grow in proportion to
evaluations.
"""

from collections.abc import Iterable
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from nasgauge.searchers.surrogates import Surrogate
from nasgauge.searchers.surrogates.ranking import Explore, Ranking
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class PNAS(Generic[C]):
    """Progressive search with a surrogate; on NAS-Bench-201 a block is a node with its edges.

    Cells that are structurally equal to one that was a candidate before are not proposed, but may grow
    later; neither are cells without a path from input to output, which cost nothing and grow in turn.
    `explore` is beyond the paper. An empty `progression` is the space's best way to grow.

    The paper keeps 256 cells of each size and evaluates 1,160 in all; `beam` and `batch` are for budgets of
    50 to 200, chosen on the tables `nb201` and `bundled` themselves from some 15 settings (10 to 20 seeds from
    1,000 on): beams of 16, 24, 32 and 48; widening by 1, 4, 16, 32, twice as many or all cells each round, and
    by the neighbours of the best; batches of 8 and 16. A beam of 32 keeps more than half of the 55 different
    cells of two nodes; 16 misses the best region of `bundled`, and with 48 a budget of 50 ends before a cell of
    full size. The beam matters most; rates of widening could not be told apart.

    Raises ValueError, InvalidSurrogate.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        beam: int = 32,
        batch: int = 16,
        surrogate: str | Surrogate = "mlp-ensemble",
        explore: Explore = "none",
        kappa: float = 0.5,
        progression: str = "",
    ) -> None:
        self.space = space
        self.beam = beam
        self.batch = batch
        self.progression = progression or space.progressions[0]
        self.ranking = Ranking(space, rng, surrogate, explore=explore, kappa=kappa)
        self._level = 1
        self._seen: set[str] = set()
        self._unconnected: list[C] = []
        self._repeats: list[C] = []
        self._pool: list[C] = self._new(space.grow(None, self.progression))
        self._parents: list[C] = []
        self._waiting: list[C] = []
        self._full = False
        self.least = len(self._pool)
        """Evaluations that it makes before it chooses any."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        if beam < self.least:
            raise ValueError(f"beam must be at least {self.least}, the cells of the first level, not {beam}")

    def ask(self) -> list[C]:
        """The first level; then the best of each next level; then, at full size, a batch at a time."""
        if not self.ranking.cells:
            self._parents, self._pool = self._pool, []
            return list(self._parents)
        self.ranking.refit()
        if self._full:
            self._widen()
        else:
            self._climb()
        if not self._pool:
            return []
        chosen, rest = self.ranking.order(self._pool, self.batch if self._full else self.beam)
        if self._full:
            self._pool = rest
        else:
            self._parents, self._waiting = chosen, rest
        return chosen

    def tell(self, cell: C, accuracy: float) -> None:
        """Remember what the cell is worth."""
        self.ranking.tell(cell, accuracy)

    def recommend(self) -> C | None:
        """The best evaluated cell by its accuracy and the predictor's estimate together."""
        return self.ranking.recommend()

    def _climb(self) -> None:
        """Go one level up: the candidates are all new children of the cells that were kept."""
        parents = [*self._parents, *self._unconnected]
        below = [*self._waiting, *self._repeats]
        self._waiting, self._unconnected, self._repeats = [], [], []
        self._level += 1
        self._pool = self._children(parents)
        self._full = not self._pool or not self.space.grow(self._pool[0], self.progression)
        if self._full:
            self._waiting = below

    def _widen(self) -> None:
        """Let the children of the next `batch` cells below join the candidates."""
        grown = 0
        while self._waiting and grown < self.batch:
            children = self._children([self._waiting.pop(0)])
            self._pool += children
            grown += bool(children)

    def _children(self, parents: Iterable[C]) -> list[C]:
        return [cell for parent in parents for cell in self._new(self.space.grow(parent, self.progression))]

    def _new(self, cells: Iterable[C]) -> list[C]:
        """Those of this level that are no structural repeats; these and the unconnected are put aside."""
        found: list[C] = []
        for cell in cells:
            if self.space.level(cell, self.progression) != self._level:
                continue
            if not self.space.is_connected(cell):
                self._unconnected += self._first_time(str(cell), cell)
            elif new := self._first_time(self.space.canonical(cell), cell):
                found += new
            else:
                self._repeats += self._first_time(str(cell), cell)
        return found

    def _first_time(self, text: str, cell: C) -> list[C]:
        """The cell, or nothing if there was one with this text."""
        if text in self._seen:
            return []
        self._seen.add(text)
        return [cell]


PNAS_UCB = partial(PNAS, explore="ucb")
"""Progressive search that asks for cells by an upper confidence bound."""
