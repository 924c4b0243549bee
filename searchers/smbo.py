"""Plain model-based search: rank random cells with a surrogate, evaluate the best (ablation of PNAS)."""

from typing import Generic, TypeVar

import numpy as np

from nasgauge.searchers.surrogates import Surrogate
from nasgauge.searchers.surrogates.ranking import Explore, Ranking
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class SMBO(Generic[C]):
    """PNAS without its progression: cells of full size from the beginning, the same surrogates.

    Structural repeats and unconnected cells are not proposed.

    Parameters
    ----------
    initial
        Random cells to begin with.
    batch
        Cells evaluated in a round, the best of the candidates.
    candidates
        Random cells that are ranked in a round.
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
        candidates: int = 2000,
        surrogate: str | Surrogate = "mlp-ensemble",
        explore: Explore = "ucb",
        kappa: float = 0.5,
    ) -> None:
        if initial < 1 or batch < 1 or candidates < batch:
            raise ValueError(
                "initial and batch must be at least 1 and candidates at least batch, not "
                f"initial={initial}, batch={batch} and candidates={candidates}"
            )
        self.space = space
        self.rng = rng
        self.initial = initial
        self.batch = batch
        self.candidates = candidates
        self.ranking = Ranking(space, rng, surrogate, explore=explore, kappa=kappa)
        self.packages = self.ranking.packages
        self._asked: set[str] = set()

    def ask(self) -> list[C]:
        """Random cells first, then the best of many."""
        if not self.ranking.cells:
            chosen = self._fresh(self.initial, draws=100 * self.initial)
        else:
            self.ranking.refit()
            pool = self._fresh(self.candidates, draws=self.candidates)
            chosen = self.ranking.order(pool, self.batch)[0] if pool else []
        self._asked.update(self.space.canonical(cell) for cell in chosen)
        return chosen

    def tell(self, cell: C, accuracy: float) -> None:
        """Record the evaluation."""
        self.ranking.tell(cell, accuracy)

    def recommend(self) -> C | None:
        """The evaluated cell with the highest mean of accuracy and prediction."""
        return self.ranking.recommend()

    def _fresh(self, count: int, *, draws: int) -> list[C]:
        """Up to `count` random cells, no two of them equal and none evaluated."""
        return self.ranking.fresh(lambda: self.space.sample(self.rng), count, draws=draws, asked=self._asked)
