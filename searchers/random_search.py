"""Random search: every cell drawn uniformly, with replacement."""

from typing import Generic, TypeVar

import numpy as np

from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class RandomSearch(Generic[C]):
    """The baseline of every study (Li and Talwalkar, 2019); the drawing of NAS-Bench-201's own scripts."""

    def __init__(self, space: Space[C], rng: np.random.Generator) -> None:
        self.space = space
        self.rng = rng

    def ask(self) -> list[C]:
        """One new cell."""
        return [self.space.sample(self.rng)]

    def tell(self, cell: C, accuracy: float) -> None:
        """Nothing is learnt."""
