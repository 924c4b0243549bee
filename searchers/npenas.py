"""NPENAS-NP: evolution whose children are chosen by a graph predictor (Wei et al., 2020)."""

import math
from typing import Generic, TypeVar

import numpy as np

from nasgauge.searchers.surrogates import Predictor
from nasgauge.searchers.surrogates.graphs import GraphSurrogate
from nasgauge.searchers.surrogates.ranking import distinct
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class NPENAS(Generic[C]):
    """Random cells first; then in every round the best of many mutations, by a graph isomorphism network.

    The network is trained anew in every round, on all results. Its architecture, its training and the numbers of cells are
    those of the authors' code for NPENAS-NP (auroua/NPENASv1). It differs in this: the network predicts the accuracy,
    a sigmoid times 100, where the code predicts the error times a factor that it chooses for each dataset;
    structural repeats are found by the space's canonical text, and a cell's graph is that of `nasgauge.spaces.graphs`.

    Parameters
    ----------
    initial
        Random cells to begin with.
    batch
        Cells evaluated in a round, the best of the candidates.
    candidates
        Mutations that are ranked in a round.
    parents
        The best cells so far that are mutated, one after another, until there are enough candidates.
    epochs
        Passes over the results in which the network is trained.

    Raises ValueError for counts below 1 or candidates below `batch`, or a space whose cells have no graphs.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        initial: int = 10,
        batch: int = 10,
        candidates: int = 100,
        parents: int = 50,
        epochs: int = 300,
    ) -> None:
        if min(initial, batch, parents, epochs) < 1 or candidates < batch:
            raise ValueError(
                "initial, batch, parents and epochs must be at least 1 and candidates at least batch, not "
                f"initial={initial}, batch={batch}, parents={parents}, epochs={epochs} and candidates={candidates}"
            )
        if "graph" not in space.layouts:
            raise ValueError(
                "the cells of this space have no graphs; give it the code `graph`, or choose smbo"
            )
        self.space = space
        self.rng = rng
        self.initial = initial
        self.batch = batch
        self.candidates = candidates
        self.parents = parents
        network = GraphSurrogate(int(rng.integers(1 << 31)), space.layouts["graph"], epochs=epochs)
        self.predictor = Predictor(space, rng, network, code="graph")
        self._results: list[tuple[float, C]] = []
        self._asked: set[str] = set()

    def ask(self) -> list[C]:
        """Random cells first, then the best of many mutations."""
        if not self._results:
            return self._random(self.initial)
        best_first = sorted(self._results, key=lambda result: -result[0])
        self.predictor.learn([cell for _, cell in best_first], [accuracy for accuracy, _ in best_first])
        pool: dict[str, C] = {}
        for _, parent in best_first[: self.parents]:
            pool |= distinct(
                self.space,
                lambda: self.space.mutate(parent, self.rng),  # noqa: B023 - called at once
                self.candidates - len(pool),
                draws=self.candidates,
                asked=self._asked | pool.keys(),
            )
        if not pool:  # all that is near was evaluated
            return self._random(self.batch)
        texts, cells = list(pool), list(pool.values())
        order = np.argsort(-self.predictor.predict(cells), kind="stable")[: self.batch].tolist()
        self._asked.update(texts[place] for place in order)
        return [cells[place] for place in order]

    def tell(self, cell: C, accuracy: float) -> None:
        """Record the evaluation; a cell that failed to train (NaN) is left out, and so is what is known, from a warm start."""
        if math.isfinite(accuracy) and (accuracy, cell) not in self._results:
            self._results.append((accuracy, cell))

    def _random(self, count: int) -> list[C]:
        """Up to so many random cells, no two equal in structure and none asked for before."""
        found = distinct(
            self.space, lambda: self.space.sample(self.rng), count, draws=100 * count, asked=self._asked
        )
        self._asked.update(found)
        return list(found.values())
