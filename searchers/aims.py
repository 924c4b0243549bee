"""Searches under constraints, and with several objectives, for any searcher.

A figure beside accuracy is known before a cell is trained, so a cell that breaks a constraint is refused before its
query and costs nothing. The searcher is told of a refused cell that it is as bad as the worst one so far: the death
penalty of evolutionary search (Coello Coello, 2002, section 2.1).
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.cells import Cell

C = TypeVar("C")

PATIENCE: Final = 10_000
"""Refused cells in a row after which a search ends, because it asks for no cell that is allowed."""


class _Searcher(Protocol[C]):
    def ask(self) -> Sequence[C]: ...

    def tell(self, cell: C, accuracy: float) -> None: ...


@runtime_checkable
class CostSearcher(Protocol[C]):
    """A searcher that minimises costs beside accuracy, if it is asked to.

    Where a search has objectives, `minimise` is called once, before the first `ask`, and `tell_costs` in place of
    `tell`. Without objectives neither is called.
    """

    def ask(self) -> Sequence[C]:
        """The next cells to evaluate; none when the search is over."""
        ...

    def tell(self, cell: C, accuracy: float) -> None:
        """The validation accuracy of a cell that was asked for, in percent, in the order asked."""
        ...

    def minimise(self, costs: int) -> None:
        """Search for cells with high accuracy and low costs, of which there are so many, at least one."""
        ...

    def tell_costs(self, cell: C, accuracy: float, costs: tuple[float, ...]) -> None:
        """As `tell`, with the costs of the cell; lower is better, infinite where the cell has no such figure."""
        ...


class Aimed(Generic[C]):
    """A searcher whose cells must be `allowed`, and which is told `costs` where there are any.

    `allowed`: (15625,) by `Cell.rank`; `costs`: (15625, costs), lower is better, infinite where a cell has no figure.
    With costs, the searcher is a `CostSearcher`.

    >>> from nasgauge.searchers.random_search import RandomSearch
    >>> from nasgauge.spaces.nb201 import NB201
    >>> few = np.arange(15625) < 100
    >>> searcher = Aimed(RandomSearch(NB201(), np.random.default_rng(0)), few, np.empty((15625, 0)))
    >>> searcher.ask()[0].rank < 100
    True
    """

    def __init__(self, searcher: Any, allowed: NDArray[np.bool_], costs: NDArray[np.float64]) -> None:
        self.searcher = searcher
        self._allowed, self._costs = allowed, costs
        self._count = costs.shape[1]
        self._due: deque[Cell] = deque()
        self._lowest = np.inf
        self._dearest = (-np.inf,) * self._count
        self.least: int = getattr(searcher, "least", 0)
        """Evaluations that it makes before it chooses any."""
        if self._count:
            searcher.minimise(self._count)

    def ask(self) -> list[Cell]:
        """What the searcher asks for, without the cells that are not allowed; none after `PATIENCE` of these in a row."""
        refused = 0
        while refused < PATIENCE:
            batch = list(self.searcher.ask())
            self._due.extend(batch)
            self._answer()
            kept = [cell for cell in batch if self._allowed[_rank(cell)]]
            if kept or not batch:
                return kept
            refused += len(batch)
        return []

    def tell(self, cell: Cell, accuracy: float) -> None:
        """Pass the accuracy on, with the costs where there are any."""
        costs = tuple(self._costs[_rank(cell)].tolist())
        self._lowest = min(self._lowest, accuracy) if accuracy == accuracy else self._lowest
        self._dearest = tuple(map(max, self._dearest, costs))
        if self._due and self._due[0] == cell:
            self._due.popleft()
        self._pass_on(cell, accuracy, costs)
        self._answer()

    def recommend(self) -> Cell | None:
        """The cell that the searcher recommends if it is allowed; otherwise None, the incumbent."""
        own = getattr(self.searcher, "recommend", None)
        found: Cell | None = None if own is None else own()
        return found if found is not None and self._allowed[_rank(found)] else None

    @property
    def search_seconds(self) -> float:
        """Seconds that the search has cost so far apart from its queries."""
        return float(getattr(self.searcher, "search_seconds", 0.0))

    def _answer(self) -> None:
        """Tell the searcher of the refused cells whose turn it is."""
        while self._due and not self._allowed[_rank(self._due[0])]:
            lowest = self._lowest if np.isfinite(self._lowest) else 0.0
            self._pass_on(self._due.popleft(), lowest, self._dearest)

    def _pass_on(self, cell: Cell, accuracy: float, costs: tuple[float, ...]) -> None:
        if self._count:
            self.searcher.tell_costs(cell, accuracy, tuple(c if c > -np.inf else np.inf for c in costs))
        else:
            self.searcher.tell(cell, accuracy)


def _rank(asked: Any) -> int:
    """The rank of a cell, or of the cell of what holds one and how long to train it."""
    rank: int = getattr(asked, "cell", asked).rank
    return rank
