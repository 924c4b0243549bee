"""Kernel density estimates over unordered choices, the model of BOHB."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Choices = NDArray[np.intp]


class Density:
    """The product of a kernel of Aitchison and Aitken (1976) for each decision, averaged over the data.

    As `KDEMultivariate` of statsmodels, whose rule of thumb for bandwidths this uses too (1.06 standard deviations
    times a power of the number of data), but a kernel knows how many options there are: one that the data lack has a
    density as well. Bandwidths are within `least` and that of the uniform kernel.

    Shapes: N data, P points, D decisions.

    >>> density = Density(np.array([[0], [0], [1]]), (2,), 0.001)
    >>> float(density(np.array([[0], [1]])).sum().round(12))
    1.0
    """

    def __init__(self, data_ND: Choices, options: Sequence[int], least: float) -> None:
        self.data_ND = data_ND
        self.options_D = np.array(options)
        count, decisions = data_ND.shape
        rule_D = 1.06 * data_ND.std(axis=0) * count ** (-1 / (4 + decisions))
        self.bandwidth_D: Array = np.clip(rule_D, least, np.maximum(1 - 1 / self.options_D, least))

    def __call__(self, points_PD: Choices) -> Array:
        """The density at points, (P,)."""
        other_D = self.bandwidth_D / np.maximum(self.options_D - 1, 1)
        same_PND = points_PD[:, None] == self.data_ND
        density: Array = np.where(same_PND, 1 - self.bandwidth_D, other_D).prod(axis=2).mean(axis=1)
        return density

    def sample(self, count: int, rng: np.random.Generator) -> Choices:
        """Draw points, (count, D): data, each decision kept or, with the bandwidth's probability, drawn uniformly."""
        data_PD = self.data_ND[rng.integers(len(self.data_ND), size=count)]
        uniform_PD = (rng.random(data_PD.shape) * self.options_D).astype(np.intp)
        kept: Choices = np.where(rng.random(data_PD.shape) < 1 - self.bandwidth_D, data_PD, uniform_PD)
        return kept
