"""Which evaluated cell a finished run recommends: one rule for every searcher, applied to its history.

Two rules are offered. `incumbent`: the cell with the highest search metric. `smoothed`: the evaluated cell
with the highest posterior mean of a Gaussian process over all evaluations of the run, so that a cell whose
single noisy figure was lucky gives way to one whose neighbours are good too.
"""

from functools import cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from threadpoolctl import threadpool_limits

from nasgauge.analysis.statistics.curves import Runs
from nasgauge.spaces.cells import EDGES, Cell, InvalidCell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.features import matrix

Array = NDArray[np.float64]
Rule = Literal["incumbent", "smoothed"]

RULES: Final[tuple[Rule, ...]] = get_args(Rule)
LENGTH: Final = 4.0
"""Edges in which two cells differ when their correlation has fallen to 1/e."""
NOISE: Final = 0.1
"""Variance of the noise of one evaluation over that of the process."""
MOST: Final = 500
"""Evaluations that are smoothed: the best ones of a longer run, for the cost grows with the cube."""


class NotSmoothed(ValueError, NasgaugeError):
    """The smoother was asked for cells that are not of NAS-Bench-201."""


def smooth(ranks: NDArray[np.intp], metric: Array) -> Array:
    """Posterior mean of the search metric at the evaluations of one run, (evaluations,), in any unit.

    `ranks`: `Cell.rank` of each evaluation, (evaluations,), a cell as often as it was evaluated; `metric`:
    (evaluations,), finite. The kernel is exp(-d / `LENGTH`), d the number of edges with different
    operations. Accuracies have a long lower tail, so all below the median are raised to it, and the rest is
    standardised. The kernel, `LENGTH`, `NOISE` and the cut at the median were chosen on CIFAR-10 alone,
    with random search, regularized evolution and local search after 50, 100 and 200 queries.

    >>> smooth(np.array([0, 1, 15624]), np.array([2.0, 2.0, 2.0])).tolist()
    [0.0, 0.0, 0.0]
    """
    ordered = np.sort(metric)
    raised = np.maximum(metric, (ordered[(len(metric) - 1) // 2] + ordered[len(metric) // 2]) / 2)
    spread = raised.std()
    if spread == 0:
        constant: Array = metric - metric.mean()
        return constant
    scaled = (raised - raised.mean()) / spread
    features = matrix("one_hot")[ranks]
    kernel = _CORRELATION[(features @ features.T).astype(np.intp)]
    kernel.flat[:: len(kernel) + 1] += NOISE
    _, weights, _ = linalg.lapack.dposv(kernel, scaled)
    mean: Array = scaled - NOISE * weights
    return mean


_CORRELATION: Final[Array] = np.exp((np.arange(len(EDGES) + 1) - len(EDGES)) / LENGTH)
"""By the number of edges with equal operations."""


def recommended(runs: Runs, rule: Rule, queries: float = np.inf) -> NDArray[np.int64]:
    """The step, from 0, of each run's recommended cell after some charged queries, (runs,).

    A run that ended before keeps its last recommendation.

    Raises NotSmoothed.
    """
    done = np.maximum((runs.spent["queries"] <= queries).sum(axis=1), 1)  # steps; infinite after the end
    done = np.minimum(done, runs.lengths)
    incumbent: NDArray[np.int64] = runs.held[np.arange(len(done)), done - 1]
    if rule == "incumbent":
        return incumbent
    ranks = _ranks(runs.cells)
    last = np.arange(runs.cell.shape[1]) >= done[:, None]
    longest = np.where(last, 0, runs.fidelity).max(axis=1, keepdims=True)
    metrics = np.where(runs.fidelity < longest, -np.inf, runs.validation)  # like with like
    histories = zip(runs.cell, metrics, done.tolist(), incumbent, strict=True)
    with threadpool_limits(limits=1):  # matrices this small lose more by waiting for threads than they gain
        steps = [
            _smoothed(ranks[cell[:count]], metric[:count], int(held))
            for cell, metric, count, held in histories
        ]
    return np.array(steps, dtype=np.int64)


def own(runs: Runs, queries: float = np.inf) -> Array | None:
    """Reported accuracy of the cell that the searcher itself recommends, (runs,); None if it never does.

    As `recommended` otherwise. Where only some steps record a recommendation, the others' is the incumbent.
    """
    if (runs.answer < 0).all():
        return None
    every = np.arange(len(runs.seeds))
    done = np.maximum((runs.spent["queries"] <= queries).sum(axis=1), 1)
    last = np.minimum(done, runs.lengths) - 1
    answer = runs.answer[every, last]
    step = np.where(answer < 0, runs.held[every, last], (runs.cell == answer[:, None]).argmax(axis=1))
    values: Array = runs.test[every, step]
    return values


def _ranks(cells: tuple[str, ...]) -> NDArray[np.intp]:
    try:
        return np.array([_rank(text) for text in cells], dtype=np.intp)
    except InvalidCell as error:
        raise NotSmoothed(
            f"smoothed recommendations need cells of NAS-Bench-201 ({error}); choose the rule incumbent"
        ) from error


@cache
def _rank(text: str) -> int:
    return Cell.parse(text).rank


def _smoothed(ranks: NDArray[np.intp], metric: Array, incumbent: int) -> int:
    known = np.flatnonzero(np.isfinite(metric))
    if len(known) < 2:
        return incumbent
    if len(known) > MOST:
        known = np.sort(known[np.argsort(-metric[known], kind="stable")[:MOST]])
    mean = smooth(ranks[known], metric[known])
    return int(known[mean.round(9).argmax()])  # the first of equal ones, whatever the last bits are
