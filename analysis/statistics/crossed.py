"""Crossed bootstrap: intervals that carry the choice of cells and the random draws that the cells were scored with.

Every cell is scored with the same few draws of weights and batches of images, so cells and draws are crossed factors.
Resampling cells alone treats the draws as if they were the only ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class Estimates(NamedTuple):
    """95 % intervals of figures, and the standard deviation that each source of variance has in them."""

    low: Array
    high: Array
    cells_sd: Array
    """From the choice of cells."""
    draws_sd: Array
    """From what the draws have in common for all cells; their noise in single cells is part of `cells_sd`."""


def resamples(clusters: NDArray[np.integer], rng: np.random.Generator, count: int) -> Iterator[Rows]:
    """Rows of `count` bootstrap resamples of whole clusters; `clusters` gives the cluster of each row, from 0 up.

    >>> next(resamples(np.array([0, 1, 1]), np.random.default_rng(1), 1)).tolist()
    [0, 1, 2]
    """
    total = int(clusters.max()) + 1
    for _ in range(count):
        times = np.bincount(rng.integers(total, size=total), minlength=total)
        yield np.repeat(np.arange(len(clusters)), times[clusters])


def crossed_interval(
    resampled: Array,
    draws: Array,
    draws_resampled: Array,
    rng: np.random.Generator,
    *,
    averaged: tuple[int, int] = (1, 1),
    level: float = 0.95,
) -> Estimates:
    """Percentile intervals over cells, draws of weights, and batches of images (Owen, 2007: the pigeonhole bootstrap).

    `resampled`: the figures in B resamples of cells, (B, ...). `draws`: the figures with each of W draws of weights and
    V batches, (W, V, ...), on the cells that were scored with all of them; `draws_resampled`: these in the same
    resamples, (B, W, V, ...). `averaged`: how many draws and batches each figure is the mean of.

    The deviation of each draw from the mean over draws is resampled with replacement. Two corrections make
    the variance right for few draws: a factor √(W / (W - 1)), and the removal of the part of the deviations that is
    noise of single cells, because resampling cells has it already. A factor with one level adds nothing, and neither does
    a figure that is NaN in `draws`: its `draws_sd` is NaN.

    >>> cells, draws = np.zeros((400, 1)), np.array([[[-1.0]], [[1.0]]])
    >>> found = crossed_interval(cells, draws, np.tile(draws, (400, 1, 1, 1)), np.random.default_rng(0))
    >>> found.cells_sd.tolist(), found.draws_sd.round(3).tolist()
    ([0.0], [1.414])
    """
    shifted, variance = resampled.copy(), np.zeros(resampled.shape[1:])
    for factor, times in enumerate(averaged):
        levels = draws.shape[factor]
        if levels < 2:
            continue
        deviations = _deviations(draws, factor)
        squares = (deviations**2).sum(axis=0)
        noise = _deviations(draws_resampled, factor, first=1).var(axis=0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            common = np.where(squares > 0, np.clip(1 - noise / squares, 0.0, 1.0), 0.0)
        scaled = np.nan_to_num(deviations * np.sqrt(common * levels / (levels - 1)))
        shifted += scaled[rng.integers(levels, size=(len(resampled), times))].mean(axis=1)
        variance += common * squares / (levels - 1) / times
    low, high = np.quantile(shifted, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Estimates(low, high, resampled.std(axis=0, ddof=1), np.sqrt(variance))


def _deviations(values: Array, factor: int, *, first: int = 0) -> Array:
    """Mean of each level of a factor over the other factor, less the grand mean; `first`: axis of the first factor."""
    means = values.mean(axis=first + 1 - factor)
    result: Array = means - means.mean(axis=first, keepdims=True)
    return result
