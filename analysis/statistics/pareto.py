"""Accuracy against one cost: fronts, hypervolumes, and the best accuracy within a limit; arrays in, arrays out.

Accuracy is maximised and the cost minimised. Cells without a cost, NaN or infinite, are on no front.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def front(accuracy: Array, cost: Array) -> NDArray[np.intp]:
    """Places of the points that no other one dominates, (points,) each, by rising cost; of equal points the first.

    >>> front(np.array([90.0, 92.0, 91.0, 92.0]), np.array([1.0, 3.0, 3.0, 3.0])).tolist()
    [0, 1]
    """
    order = np.lexsort((np.arange(len(cost)), -accuracy, cost))
    order = order[np.isfinite(cost[order]) & np.isfinite(accuracy[order])]
    best = np.maximum.accumulate(accuracy[order])
    enters = np.concatenate([np.ones(min(len(order), 1), dtype=bool), best[1:] > best[:-1]])
    kept: NDArray[np.intp] = order[enters]
    return kept


def hypervolume(accuracy: Array, cost: Array, worst: tuple[float, float]) -> float:
    """The area that the points dominate, (points,) each, down to an accuracy and up to a cost, `worst`.

    Points beyond `worst` add nothing (Zitzler and Thiele, 1999).

    >>> hypervolume(np.array([90.0, 92.0]), np.array([1.0, 3.0]), (80.0, 5.0))
    44.0
    """
    kept = front(accuracy, cost)
    kept = kept[(accuracy[kept] > worst[0]) & (cost[kept] < worst[1])]
    if not len(kept):
        return 0.0
    widths = np.diff(np.append(cost[kept], worst[1]))
    return float(widths @ (accuracy[kept] - worst[0]))


def hypervolumes(seen: Array, accuracy: Array, cost: Array, worst: tuple[float, float]) -> Array:
    """The hypervolume after each step of a run, (steps,) each to (steps,).

    The run's front is that of the accuracies that it has `seen`; what it dominates is measured by the reported
    `accuracy` of the cells on it, so it can shrink where a cell only seemed good.

    >>> hypervolumes(*np.array([[80.0, 70.0, 90.0], [81.0, 75.0, 79.0], [2.0, 1.0, 2.0]]), (60.0, 3.0)).tolist()
    [21.0, 36.0, 34.0]
    """
    kept: list[int] = []
    volumes = np.zeros(len(cost))
    volume = 0.0
    for step, (value, price) in enumerate(zip(seen.tolist(), cost.tolist(), strict=True)):
        if (
            np.isfinite(value)
            and np.isfinite(price)
            and not any(seen[k] >= value and cost[k] <= price for k in kept)
        ):
            kept = [k for k in kept if seen[k] > value or cost[k] < price] + [step]
            volume = hypervolume(accuracy[kept], cost[kept], worst)
        volumes[step] = volume
    return volumes


def within(seen: Array, accuracy: Array, cost: Array, limits: Array) -> Array:
    """The reported accuracy of the best cell within each limit, best by what was `seen`; (steps,) to (limits,).

    NaN where no cell is within a limit. `limits` are ascending.

    >>> within(*np.array([[80.0, 70.0, 90.0], [81.0, 75.0, 79.0], [2.0, 1.0, 2.0]]), np.array([0.5, 1.0, 2.0])).tolist()
    [nan, 75.0, 79.0]
    """
    known = np.flatnonzero(np.isfinite(seen) & np.isfinite(cost))
    order = known[np.argsort(cost[known], kind="stable")]
    values = seen[order]
    best = np.maximum.accumulate(values) if len(values) else values
    leads = np.concatenate([np.ones(min(len(values), 1), dtype=bool), values[1:] > best[:-1]])
    held = np.maximum.accumulate(np.where(leads, np.arange(len(values)), 0)) if len(values) else order
    done = np.searchsorted(cost[order], limits, side="right")
    return np.where(done == 0, np.nan, np.append(accuracy[order][held], np.nan)[np.maximum(done, 1) - 1])
