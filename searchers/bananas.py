"""Predictor search by mutation of the best cells (White et al., 2021: BANANAS)."""

from typing import Generic, TypeVar

import numpy as np

from nasgauge.searchers.surrogates import Surrogate
from nasgauge.searchers.surrogates.ranking import Explore, Ranking
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class Bananas(Generic[C]):
    """Random cells first; then mutations of the best, by independent Thompson sampling of an ensemble.

    The paper's search loop, its 10 cells to begin with, 10 a round and 100 candidates; its ensemble of five
    networks on paths is here the one that PNAS uses.

    Parameters
    ----------
    initial
        Random cells to begin with.
    batch
        Cells evaluated in a round, the best of the candidates.
    candidates
        Mutations that are ranked in a round.
    parents
        The best cells so far, which are mutated.
    surrogate
        Name of a surrogate (see `nasgauge score predictors`).
    explore
        `none` ranks cells by the prediction, `ucb` by mean plus `kappa` standard deviations of the ensemble,
        `thompson` by a draw from the normal distribution with that mean and deviation.
    kappa
        Standard deviations that `explore=ucb` adds.

    Raises ValueError, InvalidSurrogate.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        initial: int = 10,
        batch: int = 10,
        candidates: int = 100,
        parents: int = 10,
        surrogate: str | Surrogate = "mlp-ensemble",
        explore: Explore = "thompson",
        kappa: float = 0.5,
    ) -> None:
        if min(initial, batch, parents) < 1 or candidates < batch:
            raise ValueError(
                "initial, batch and parents must be at least 1 and candidates at least batch, not "
                f"initial={initial}, batch={batch}, parents={parents} and candidates={candidates}"
            )
        self.space = space
        self.rng = rng
        self.initial = initial
        self.batch = batch
        self.candidates = candidates
        self.parents = parents
        self.ranking = Ranking(space, rng, surrogate, explore=explore, kappa=kappa)
        self.packages = self.ranking.packages
        self._asked: set[str] = set()

    def ask(self) -> list[C]:
        """Random cells first, then the best of many mutations."""
        ranking = self.ranking
        if not ranking.cells:
            chosen = [self.space.sample(self.rng) for _ in range(self.initial)]
        else:
            ranking.refit()
            pool = self._mutations()
            chosen = ranking.order(pool, self.batch)[0] if pool else [self.space.sample(self.rng)]
        self._asked.update(self.space.canonical(cell) for cell in chosen)
        return chosen

    def tell(self, cell: C, accuracy: float) -> None:
        """Record the evaluation."""
        self.ranking.tell(cell, accuracy)

    def recommend(self) -> C | None:
        """The evaluated cell with the highest mean of accuracy and prediction."""
        return self.ranking.recommend()

    def _mutations(self) -> list[C]:
        """New cells, each one or more mutations away from one of the best evaluated."""
        places = np.argsort(-np.array(self.ranking.accuracies), kind="stable")[: self.parents]

        def mutation() -> C:
            cell = self.space.mutate(self.ranking.cells[int(self.rng.choice(places))], self.rng)
            while self.rng.random() < 0.5:
                cell = self.space.mutate(cell, self.rng)
            return cell

        return self.ranking.fresh(mutation, self.candidates, draws=10 * self.candidates, asked=self._asked)
