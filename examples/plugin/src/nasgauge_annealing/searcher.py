"""Simulated annealing on any search space of nasgauge (Kirkpatrick, Gelatt and Vecchi, 1983)."""

import math
from typing import Any

import numpy as np


class Annealing:
    """Change one operation at random; accept a worse cell with a probability that falls from query to query.

    Parameters
    ----------
    temperature
        Of the first step, in percentage points of validation accuracy: a cell that is worse by this much is
        accepted with a probability of 37 %.
    cooling
        The factor by which the temperature falls with each query.

    Raises ValueError for a temperature that is not positive, or a factor outside of (0, 1].
    """

    def __init__(
        self, space: Any, rng: np.random.Generator, *, temperature: float = 3.0, cooling: float = 0.97
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        if not 0 < cooling <= 1:
            raise ValueError(f"cooling must be above 0 and at most 1, not {cooling}")
        self.space, self.rng = space, rng
        self.temperature, self.cooling = temperature, cooling
        self._current: tuple[float, Any] | None = None

    def ask(self) -> list[Any]:
        """One cell: a random one at first, then a mutation of the current one."""
        if self._current is None:
            return [self.space.sample(self.rng)]
        return [self.space.mutate(self._current[1], self.rng)]

    def tell(self, cell: Any, accuracy: float) -> None:
        """Accept the cell or not, and cool down."""
        loss = 0.0 if self._current is None else self._current[0] - accuracy
        if loss <= 0 or self.rng.random() < math.exp(-loss / self.temperature):
            self._current = (accuracy, cell)
        self.temperature *= self.cooling
