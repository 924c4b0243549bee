"""How much the batch, the crops and the repeats of TE-NAS's two proxies matter."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.correlation import kendall_resampled
from nasgauge.analysis.statistics.crossed import crossed_interval, resamples
from nasgauge.harness.proxies.sizes import Value
from nasgauge.spaces.ranks import last

Array = NDArray[np.float64]


class Setting(NamedTuple):
    """Kendall's tau with accuracy of the mean of `averaged` repeats at one size, with its 95 % interval."""

    dataset: str
    proxy: str
    size: int
    averaged: int
    tau: float
    low: float
    high: float
    draws_sd: float
    cells: int
    seconds: float
    """CPU seconds of a cell for the repeats that are averaged, mean over cells."""


def settings(
    values: Sequence[Value],
    accuracies: Mapping[str, Array],
    rng: np.random.Generator,
    *,
    count: int = 500,
) -> list[Setting]:
    """Tau at each size with the mean of 1, 2, … repeats: the mean over all groups of so many repeats.

    `accuracies`: one figure for each cell by `Cell.rank`, percent. Means of kappa are geometric; cells without a path
    are ranked last and tied. Intervals are crossed over cells and repeats.
    """
    cells = np.array(sorted({value.rank for value in values}))
    place = {rank: n for n, rank in enumerate(cells.tolist())}
    repeats = 1 + max(value.repeat for value in values)
    keys = sorted({(value.proxy, value.size) for value in values})
    scores = {key: np.full((repeats, len(cells)), np.nan) for key in keys}
    seconds = dict.fromkeys(keys, 0.0)
    for value in values:
        scores[value.proxy, value.size][value.repeat, place[value.rank]] = value.value
        seconds[value.proxy, value.size] += value.seconds / repeats / len(cells)
    times = np.stack(
        [np.bincount(rows, minlength=len(cells)) for rows in resamples(np.arange(len(cells)), rng, count)]
    )
    once = np.ones((1, len(cells)))
    found = []
    for ((proxy, size), each), (dataset, figures) in product(scores.items(), accuracies.items()):
        truth = figures[cells]
        taus = {
            averaged: [
                kendall_resampled(_mean(each[list(group)], proxy), truth, np.concatenate([once, times]))
                for group in combinations(range(repeats), averaged)
            ]
            for averaged in range(1, repeats + 1)
        }
        single = np.stack(taus[1])[:, None]  # (repeats, 1, 1 + resamples)
        for averaged, groups in taus.items():
            mean = np.mean(groups, axis=0)
            interval = crossed_interval(
                mean[1:], single[..., 0], single[..., 1:].transpose(2, 0, 1), rng, averaged=(averaged, 1)
            )
            low, high, _, draws_sd = map(float, interval)
            cost = averaged * seconds[proxy, size]
            found.append(
                Setting(dataset, proxy, size, averaged, float(mean[0]), low, high, draws_sd, len(cells), cost)
            )
    return found


def _mean(scores: Array, proxy: str) -> Array:
    """Mean over repeats, (repeats, cells); for ranking."""
    mean = -np.exp(np.log(-scores).mean(axis=0)) if proxy == "kappa" else scores.mean(axis=0)
    return last(mean)
