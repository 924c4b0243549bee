"""Regularized evolution: tournament selection, mutation, removal of the oldest (Real et al., 2019, algorithm 1)."""

from collections import deque
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from nasgauge.spaces.nb201 import Space
from nasgauge.spaces.ranks import comparable

C = TypeVar("C")


class Evolution(Generic[C]):
    """Ageing evolution. `EVOLUTION_PUBLISHED` has the settings of Dong and Yang (2020).

    A tournament draws with replacement; a child is its parent with one mutation of the space, as in the
    benchmark's scripts.

    Parameters
    ----------
    population
        Cells that are alive; the oldest dies when a new one comes.
    tournament
        Cells drawn from the population, of which the best is mutated.

    The defaults were chosen on CIFAR-10's validation accuracy alone (`benchmarks/tuning.py`).

    Raises ValueError for a population or tournament below 1.
    """

    def __init__(
        self, space: Space[C], rng: np.random.Generator, *, population: int = 10, tournament: int = 10
    ) -> None:
        if population < 1 or tournament < 1:
            raise ValueError(
                f"population and tournament must be at least 1, not population={population} and "
                f"tournament={tournament}"
            )
        self.space = space
        self.rng = rng
        self.population = population
        self.tournament = tournament
        self._alive: deque[tuple[float, C]] = deque(maxlen=population)

    def ask(self) -> list[C]:
        """A random cell until the population is full, then a child of the tournament's winner."""
        alive = self._alive
        if len(alive) < self.population:
            return [self.space.sample(self.rng)]
        drawn = (self.rng.random(self.tournament) * self.population).astype(np.intp).tolist()
        winner = max(drawn, key=lambda place: alive[place][0])
        return [self.space.mutate(alive[winner][1], self.rng)]

    def tell(self, cell: C, accuracy: float) -> None:
        """Add the cell to the population, from which the oldest is removed when it is full."""
        self._alive.append((comparable(accuracy), cell))


EVOLUTION_PUBLISHED = partial(Evolution, population=10, tournament=3)
"""Evolution with the settings of NAS-Bench-201's baseline (Dong and Yang, 2020, appendix)."""
