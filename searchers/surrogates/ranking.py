"""The evaluated cells of a predictor search, and the ranking of others by a surrogate."""

import math
from collections.abc import Callable, Sequence, Set
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import numpy as np

from nasgauge.searchers.surrogates import Array, Predictor, Surrogate
from nasgauge.spaces.nb201 import Code, Space

C = TypeVar("C")

Explore = Literal["none", "ucb", "thompson"]
_EXPLORE: Final = get_args(Explore)


class Ranking(Generic[C]):
    """Keeps evaluations; ranks other cells by a surrogate that is fitted to them.

    `explore="none"` ranks by the prediction, `"ucb"` by the members' mean plus `kappa` times their standard
    deviation, `"thompson"` by a draw from the normal distribution with that mean and deviation, one for
    each cell (independent Thompson sampling: White et al., 2021, BANANAS).

    Raises ValueError, InvalidSurrogate.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        surrogate: str | Surrogate,
        *,
        explore: Explore = "none",
        kappa: float = 0.0,
        code: Code = "structure",
        tokens: Code = "tokens",
    ) -> None:
        if explore not in _EXPLORE:
            raise ValueError(f"explore must be one of {', '.join(_EXPLORE)}, not {explore!r}")
        if not (math.isfinite(kappa) and kappa >= 0):
            raise ValueError(f"kappa must be a number from 0, not kappa={kappa:g}")
        self.space = space
        self.rng = rng
        self.explore = explore
        self.kappa = kappa
        self.predictor = Predictor(space, rng, surrogate, code=code, tokens=tokens, members=explore != "none")
        self.packages = self.predictor.packages
        self.cells: list[C] = []
        self.accuracies: list[float] = []
        self._told: set[tuple[C, float]] = set()
        self._estimates: dict[C, float] = {}  # the latest prediction for a cell

    def tell(self, cell: C, accuracy: float) -> None:
        """Record an evaluation.

        Left out of the fit are a cell that failed to train (NaN), and one that was told before with the same accuracy: a
        cell of a warm start that the searcher asks for itself.
        """
        if math.isfinite(accuracy) and (cell, accuracy) not in self._told:
            self._told.add((cell, accuracy))
            self.cells.append(cell)
            self.accuracies.append(accuracy)

    def refit(self, **training: Any) -> None:
        """Fit the surrogate to all evaluations, and predict the evaluated cells anew.

        `training` are options of the surrogate's factory.
        """
        self.predictor.learn(self.cells, self.accuracies, **training)
        estimates = self.predictor.predict(self.cells)
        self._estimates = dict(zip(self.cells, estimates.tolist(), strict=True))

    def order(self, cells: Sequence[C], count: int) -> tuple[list[C], list[C]]:
        """The `count` cells with the highest score, best first, and the others, best first."""
        means, scores = self._scores(cells)
        places = np.argsort(-scores, kind="stable").tolist()
        for place in places[:count]:
            self._estimates[cells[place]] = float(means[place])
        return [cells[place] for place in places[:count]], [cells[place] for place in places[count:]]

    def fresh(self, draw: Callable[[], C], count: int, *, draws: int, asked: set[str]) -> list[C]:
        """Up to `count` connected cells of `draws` drawn, no two equal in structure and none in `asked`."""
        found = distinct(self.space, draw, count, draws=draws, asked=asked, kept=self.space.is_connected)
        return list(found.values())

    def recommend(self) -> C | None:
        """The evaluated cell with the highest mean of its accuracy and the surrogate's prediction.

        The accuracy of one training is noisy; the prediction also rests on similar cells. None before the
        first fit.
        """
        if not self._estimates:
            return None
        worth = [
            accuracy + self._estimates.get(cell, accuracy)
            for cell, accuracy in zip(self.cells, self.accuracies, strict=True)
        ]
        return self.cells[max(range(len(worth)), key=worth.__getitem__)]

    def _scores(self, cells: Sequence[C]) -> tuple[Array, Array]:
        if self.explore == "none":
            means = self.predictor.predict(cells)
            return means, means
        members = self.predictor.members(cells)
        means, deviations = members.mean(0), members.std(0)
        if self.explore == "ucb":
            return means, means + self.kappa * deviations
        return means, means + deviations * self.rng.standard_normal(len(cells))


def distinct(
    space: Space[C],
    draw: Callable[[], C],
    count: int,
    *,
    draws: int,
    asked: Set[str],
    kept: Callable[[C], bool] = lambda _cell: True,
) -> dict[str, C]:
    """Up to `count` cells of `draws` drawn that are `kept`, by canonical text: no two equal in structure, none in `asked`."""
    found: dict[str, C] = {}
    for _ in range(draws):
        if len(found) >= count:
            break
        cell = draw()
        text = space.canonical(cell)
        if text not in asked and kept(cell):
            found.setdefault(text, cell)
    return found
