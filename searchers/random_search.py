"""Random search: cells drawn uniformly, with replacement (Li and Talwalkar, 2019)."""

from typing import Generic, TypeVar

import numpy as np

from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class RandomSearch(Generic[C]):
    """Uniform random search, which draws cells as the scripts of NAS-Bench-201 do."""

    def __init__(self, space: Space[C], rng: np.random.Generator) -> None:
        self.space = space
        self.rng = rng

    def ask(self) -> list[C]:
        """One new cell."""
        return [self.space.sample(self.rng)]

    def tell(self, cell: C, accuracy: float) -> None:
        """Ignore the accuracy."""
