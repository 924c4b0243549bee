"""Progressive search: from simple cells to complex ones, with a predictor (Liu et al., 2018: PNAS).

Evaluate all cells of the smallest size, and keep the best `beam` (the paper's K). Then, size by size: extend the
cells that were kept by one block in every possible way, rank all children with a predictor fitted to every
evaluation so far, evaluate the best `beam`, and keep those (section 3.2 of the paper).

The paper stops when the largest size is reached, and so does `widen=False`. Otherwise the search goes on at
full size: the predictor is fitted again after every `batch` evaluations, all remaining children are ranked
anew, and as many cells of the size below as were evaluated are extended too, the best of those that were not
kept first, until all are. So cells return that the beam shut out when the predictor had seen small cells
only, and the number of candidates grows with the number of evaluations.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import numpy as np

from nasgauge.searchers.surrogates import SURROGATES, Surrogate
from nasgauge.searchers.surrogates.ranking import Explore, Ranking
from nasgauge.spaces.nb201 import Code, Space

C = TypeVar("C")

Tokens = Literal["paths", "operations"]
Schedule = Literal["cosine", "published"]

_CODES: Final[dict[str, Code]] = {"paths": "tokens", "operations": "operations"}


class PNAS(Generic[C]):
    """Progressive search with a surrogate; on NAS-Bench-201 a block is a node with its edges.

    Cells that are structurally equal to an earlier candidate are not proposed. On NAS-Bench-201 their children may differ, so
    they are extended all the same: with the equal cell if that is kept, or, with `widen`, after it. Cells without a path
    from input to output are extended at the next size at no cost.

    The defaults differ from the paper in `tokens`, `schedule`, `widen`, `beam` and `explore`; `PNAS_PUBLISHED` does
    not. `beam` and `batch` were chosen on CIFAR-10's validation accuracy of single seeds alone.

    Parameters
    ----------
    beam
        Cells of a size that are evaluated and extended; 256 in the paper.
    batch
        Cells evaluated between two fits at full size.
    widen
        Whether the search goes on at full size, and extends cells that were shut out; the paper stops.
    surrogate
        Name of a surrogate (see `nasgauge score predictors`).
    tokens
        How the surrogate reads a cell. `paths`: the sequences of operations along its paths. `operations`: the input
        and the operation of every edge, embedded, joined for a node and averaged over nodes, as in section 4.2.
    schedule
        Of a fit. `cosine`: 60 steps at a rate that falls from 0.01 to 0. `published`: 300 steps at a constant 0.01
        after the first level and 0.002 after later ones.
    explore
        `none` ranks cells by the prediction, `ucb` by mean plus `kappa` standard deviations of the ensemble,
        `thompson` by a draw from the normal distribution with that mean and deviation.
    kappa
        Standard deviations that `explore=ucb` adds.
    progression
        How cells grow, one of the space's `progressions`; empty for the first of them.

    Raises ValueError, InvalidSurrogate.

    >>> from nasgauge.spaces.nb201 import NB201
    >>> searcher = PNAS(NB201(), np.random.default_rng(0))
    >>> [cell.ops[3] for cell in searcher.ask()]
    ['skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        beam: int = 32,
        batch: int = 16,
        widen: bool = True,
        surrogate: str | Surrogate = "mlp-ensemble",
        tokens: Tokens = "paths",
        schedule: Schedule = "cosine",
        explore: Explore = "none",
        kappa: float = 0.5,
        progression: str = "",
    ) -> None:
        if tokens not in _CODES:
            raise ValueError(f"tokens must be one of {', '.join(_CODES)}, not {tokens!r}")
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule must be one of {', '.join(get_args(Schedule))}, not {schedule!r}")
        self.space = space
        self.beam = beam
        self.batch = batch
        self.widen = widen
        self.schedule = schedule
        if not space.progressions:
            raise ValueError("the cells of this space do not grow; choose a searcher that is not progressive")
        self.progression = progression or space.progressions[0]
        self.ranking = Ranking(space, rng, surrogate, explore=explore, kappa=kappa, tokens=_CODES[tokens])
        self.packages = self.ranking.packages
        neural = [name for name, kind in SURROGATES.items() if kind.code == "tokens"]
        if (tokens, schedule) != ("paths", "cosine") and surrogate not in neural:
            name = self.ranking.predictor.name
            raise ValueError(
                f"tokens={tokens} and schedule={schedule} take a surrogate of {', '.join(neural)}, not {name}"
            )
        self._met: set[C] = set()
        self._structures: set[str] = set()
        self._unconnected: list[C] = []
        self._repeats: list[C] = []
        self._kept: set[str] = set()
        self._pool: list[C] = self._new(space.grow(None, self.progression))
        self._parents: list[C] = []
        self._waiting: list[C] = []
        self._level = 1
        self._full = False
        self.least = len(self._pool)
        """Evaluations that it makes before it chooses any."""
        for name, number in (("batch", batch), ("beam", beam)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")

    def ask(self) -> list[C]:
        """The first level; then the best of each next level; then, at full size, a batch at a time."""
        if self._level == 1 and self._pool:
            self._parents, self._pool = self._pool, []
            return list(self._parents)
        if not self.ranking.cells or (self._full and not self.widen):
            return []
        self.ranking.refit(**self._training())
        if self._full:
            self._widen()
        else:
            self._climb()
        if not self._pool:
            return []
        count = self.batch if self._full and self.widen else self.beam
        chosen, rest = self.ranking.order(self._pool, count)
        if self._full:
            self._pool = rest
        else:
            self._parents, self._waiting = chosen, rest
        return chosen

    def tell(self, cell: C, accuracy: float) -> None:
        """Record the evaluation."""
        self.ranking.tell(cell, accuracy)

    def recommend(self) -> C | None:
        """The evaluated cell with the highest mean of accuracy and prediction."""
        return self.ranking.recommend()

    def _training(self) -> dict[str, Any]:
        """The options of the next fit."""
        if self.schedule == "cosine":
            return {}
        return {"learning_rate": 0.01 if self._level == 1 else 0.002, "falling": False, "steps": 300}

    def _climb(self) -> None:
        """Go one level up: the candidates are all new children of the cells that were kept."""
        self._level += 1
        if len(self._parents) > self.beam:  # the first level, all of which was evaluated
            measured = dict(zip(self.ranking.cells, self.ranking.accuracies, strict=True))
            self._parents.sort(key=lambda cell: -measured.get(cell, -math.inf))
            self._parents, self._waiting = self._parents[: self.beam], self._parents[self.beam :]
        repeats = [] if self.widen else self._repeats_of_kept()
        parents = [*self._parents, *repeats, *self._unconnected]
        below = [*self._waiting, *self._repeats]
        self._waiting, self._unconnected, self._repeats = [], [], []
        self._pool = self._children(parents)
        self._full = not self._pool or not self.space.grow(self._pool[0], self.progression)
        if self._full:
            self._waiting = below

    def _repeats_of_kept(self) -> list[C]:
        """Cells that equal one that was kept, at this level or below."""
        self._kept.update(map(self.space.canonical, self._parents))
        return [cell for cell in self._repeats if self.space.canonical(cell) in self._kept]

    def _widen(self) -> None:
        """Add the children of the next `batch` cells of the size below to the candidates."""
        grown = 0
        while self._waiting and grown < self.batch:
            children = self._children([self._waiting.pop(0)])
            self._pool += children
            grown += bool(children)

    def _children(self, parents: Iterable[C]) -> list[C]:
        return [cell for parent in parents for cell in self._new(self.space.grow(parent, self.progression))]

    def _new(self, cells: Iterable[C]) -> list[C]:
        """Cells met for the first time, without the unconnected and structural repeats, which are kept apart."""
        found: list[C] = []
        met, structures, space = self._met, self._structures, self.space
        for cell in cells:
            if cell in met:
                continue
            met.add(cell)
            if not space.is_connected(cell):
                self._unconnected.append(cell)
            elif (structure := space.canonical(cell)) in structures:
                self._repeats.append(cell)
            else:
                structures.add(structure)
                found.append(cell)
        return found


PNAS_UCB = partial(PNAS, explore="ucb")
"""PNAS that ranks by the mean plus `kappa` standard deviations of the ensemble."""

PNAS_PUBLISHED = partial(PNAS, tokens="operations", schedule="published", widen=False, beam=256, batch=256)
"""PNAS with the predictor and the settings of the paper, as far as they are known.

Confirmed by secondary sources: a predictor on the tokens of blocks, one embedding shared by all inputs and one by all
operations; five members, each on another 4/5 of the data; no further evaluations after the largest size.

Recalled from the paper and not checked: K = 256, embeddings and hidden layers of 100, the average over blocks
(sections 3.2 and 4.2), Adam with 0.01 at the first level and 0.002 later, absolute error, every fit from scratch.

Not known: the number of steps (300 here) and the size of a batch (20 here), and how a space whose blocks have
one to three edges is to be read: the average over nodes does not tell into which node an edge leads.
"""
