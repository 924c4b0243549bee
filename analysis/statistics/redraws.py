"""How much of a proxy's ranking is left with another draw of weights or of images: tau of a score with itself."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Literal, NamedTuple, get_args

import numpy as np

from nasgauge.analysis.statistics.agreement import Draws
from nasgauge.analysis.statistics.correlation import dense_ranks, kendall
from nasgauge.analysis.statistics.crossed import resamples

Other = Literal["images", "weights", "weights and images"]
"""What is drawn anew."""


class Redraw(NamedTuple):
    """Kendall's tau-b between the scores of two draws, mean over the pairs of draws, with its 95 % interval."""

    proxy: str
    other: Other
    tau: float
    low: float
    high: float
    classes: int
    pairs: int
    """Pairs of draws."""


def redraws(proxy: Draws, rng: np.random.Generator, *, count: int = 200) -> Iterator[Redraw]:
    """Tau between two draws of a proxy, on the cells that were scored with all its draws.

    The proxy has one cell of each structural class. Its draws of weights are crossed with its batches of images; with one
    batch or one draw of weights nothing is measured. Intervals are over classes alone (percentiles of `count` bootstrap
    resamples), for these draws.

    >>> scores = Draws("naswot", np.array([[[1.0, 2, 3, 4], [1, 2, 4, 3]], [[1, 2, 3, 4], [2, 1, 3, 4]]]))
    >>> [(found.other, round(found.tau, 2)) for found in redraws(scores, np.random.default_rng(0))]
    [('images', 0.67), ('weights', 0.67), ('weights and images', 0.67)]
    """
    proxy = proxy.at(np.flatnonzero(proxy.repeated))
    scores = proxy.single()
    weights, batches, cells = scores.shape
    if min(weights, batches, cells) < 2:
        return
    ranks = {draw: dense_ranks(scores[draw]) for draw in product(range(weights), range(batches))}
    drawn = [np.arange(cells), *resamples(np.arange(cells), rng, count)]
    pairs = list(combinations(ranks, 2))
    taus = np.array([[kendall(ranks[one][rows], ranks[two][rows]) for one, two in pairs] for rows in drawn])
    others = [_other(one, two) for one, two in pairs]
    for other in get_args(Other):
        alike = np.array([each == other for each in others])
        value, *again = taus[:, alike].mean(axis=1)
        low, high = np.nanquantile(again, [0.025, 0.975])
        yield Redraw(proxy.name, other, float(value), float(low), float(high), cells, int(alike.sum()))


def _other(one: tuple[int, int], two: tuple[int, int]) -> Other:
    """What is drawn anew between two draws of weights and images, which differ."""
    if one[0] == two[0]:
        return "images"
    return "weights" if one[1] == two[1] else "weights and images"
