"""Evaluate how well surrogates rank cells that are larger than their training cells (Liu et al., 2018: PNAS, Table 1).

For each size b, a surrogate is fitted on K random cells of size b. It then ranks these training cells (`fit`), the
other cells of size b (`same`), and the cells of size b + 1 (`larger`). Structurally equal cells are represented by a
single cell of the smallest size, so that no test cell is equivalent to a training cell. The size of a cell is its number
of paths (see `nasgauge.spaces.progressions`), because by number of nodes the first level has only four cells.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.correlation import agreement, kendall, kendall_interval
from nasgauge.data.tables import AccuracyTable, Column
from nasgauge.harness.engines import HERE, Engine, whole
from nasgauge.searchers.surrogates import SURROGATES, Predictor
from nasgauge.spaces.cells import ROUTES, Cell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import NB201

Array = NDArray[np.float64]
Tested = Literal["fit", "same", "larger"]

PROGRESSION: Final = "paths"


class InvalidStudy(NasgaugeError, ValueError):
    """Raised for settings of a study that are not possible."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of a study. The defaults of 256 cells and 10 trials are those of PNAS.

    Raises InvalidStudy.

    >>> Protocol(surrogates=("forest",), trials=0)
    Traceback (most recent call last):
    ...
    nasgauge.studies.predictors.InvalidStudy: a study takes at least 2 cells, 1 trial and a top of 1, not cells=256, \
trials=0 and top=25
    """

    surrogates: tuple[str, ...] = tuple(SURROGATES)
    cells: int = 256
    """Number of training cells of each size."""
    trials: int = 10
    """Fits of each surrogate at each size."""
    top: int = 25
    """K in `precision` and `regret` of the top K cells."""
    resamples: int = 200
    """Bootstrap resamples for the interval of tau."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.surrogates if name not in SURROGATES]
        if unknown:
            raise InvalidStudy(f"unknown surrogate {unknown[0]!r}; choose from {', '.join(SURROGATES)}")
        if self.cells < 2 or self.trials < 1 or self.top < 1:
            raise InvalidStudy(
                "a study takes at least 2 cells, 1 trial and a top of 1, not "
                f"cells={self.cells}, trials={self.trials} and top={self.top}"
            )

    @property
    def fits(self) -> int:
        """Total number of fits."""
        return self.trials * len(sizes()) * len(self.surrogates)


class Row(NamedTuple):
    """The accuracy of one fitted surrogate on one set of cells (see `nasgauge.analysis.statistics.correlation`).

    >>> Row("forest", 1, 0, 256, "larger", 900, 0.8, 0.6, 0.5, 0.7, 0.6, 0.4, 0.2).kendall
    0.6
    """

    surrogate: str
    size: int
    """Size of the training cells in paths."""
    trial: int
    fitted: int
    """Number of training cells."""
    tested: Tested
    cells: int
    """Number of ranked cells."""
    spearman: float
    kendall: float
    kendall_low: float
    kendall_high: float
    weighted_tau: float
    precision: float
    regret: float
    """Percentage points between the best cell and the best of the `top` predicted cells."""


class Ceiling(NamedTuple):
    """Noise of training: Kendall's tau between two trainings of the same networks.

    A predictor of the mean over seeds can agree with it better than two single trainings do.

    >>> Ceiling(1, "seeds", 500, 0.81).kendall
    0.81
    """

    size: int
    kind: str
    """`twins` compares structurally equal cells that were trained separately, `seeds` two seeds of each cell."""
    cells: int
    kendall: float


def network(cell: Cell) -> str:
    """Canonical text of the function that a cell computes, without edges and terms that do not contribute.

    Coarser than `NB201.canonical`, which distinguishes a path through node 1 from the same path through node 2.

    >>> one = Cell(("nor_conv_3x3", "none", "none", "none", "skip_connect", "none"))
    >>> other = Cell(("none", "nor_conv_3x3", "none", "none", "avg_pool_3x3", "skip_connect"))
    >>> network(one), network(one) == network(other)
    ('(0)@nor_conv_3x3', True)
    """
    used = {edge for route in ROUTES if all(cell.ops[e] != "none" for e in route) for edge in route}
    bare = Cell(tuple(op if edge in used else "none" for edge, op in enumerate(cell.ops)))
    return re.sub(r"#\+|\+#", "", NB201().canonical(bare))


@cache
def sizes() -> dict[int, tuple[Cell, ...]]:
    """One cell of each connected structural class, by the smallest size of a cell of the class.

    >>> {size: len(cells) for size, cells in sizes().items()}
    {1: 40, 2: 496, 3: 2108, 4: 3131}
    """
    space = NB201()
    smallest: dict[str, tuple[int, int]] = {}
    for cell in space:
        if space.is_connected(cell):
            text, found = network(cell), (space.level(cell, PROGRESSION), cell.rank)
            smallest[text] = min(smallest.get(text, found), found)
    by_size: dict[int, list[Cell]] = {}
    for size, rank in sorted(smallest.values()):
        by_size.setdefault(size, []).append(space[rank])
    return {size: tuple(cells) for size, cells in by_size.items()}


def trials(
    accuracy: Array, protocol: Protocol, *, seed: int = 0, engine: Engine = HERE
) -> Iterator[list[Row]]:
    """Run all fits of a study and yield the rows of each.

    `accuracy` is (15625,), in percent, by rank of the cell. In a trial, all surrogates are fitted on the same cells. The
    results and their order do not depend on the engine.

    Raises TaskLost.

    >>> protocol = Protocol(surrogates=("forest",), cells=20, trials=1, resamples=5)
    >>> accuracy = np.random.default_rng(0).uniform(50, 95, 15625)
    >>> [row.tested for row in next(trials(accuracy, protocol))]
    ['fit', 'same', 'larger']
    """
    tasks = list(product(range(protocol.trials), sizes(), protocol.surrogates))
    waiting, following = dict[tuple[int, int, str], list[Row]](), iter(tasks)
    task = next(following)
    with closing(whole(engine.run(partial(_trial, accuracy, protocol, seed), tasks))) as results:
        for done, rows in results:
            waiting[done] = rows
            while task in waiting:
                yield waiting.pop(task)
                task = next(following, task)


def ceilings(accuracy: Array, seeds: Sequence[Array], rng: np.random.Generator) -> list[Ceiling]:
    """The agreement of two trainings at each size.

    `accuracy` is (15625,), by rank of the cell. `seeds` are accuracies of single seeds, (15625,) each, NaN where untrained.

    >>> accuracy = np.random.default_rng(0).uniform(50, 95, 15625)
    >>> {ceiling.kind for ceiling in ceilings(accuracy, [accuracy, accuracy], np.random.default_rng(0))} == {"twins", "seeds"}
    True
    """
    space = NB201()
    twins: dict[str, list[int]] = {}
    for cell in space:
        twins.setdefault(network(cell), []).append(cell.rank)
    found = []
    for size, cells in sizes().items():
        alike = [ranks for ranks in (twins[network(cell)] for cell in cells) if len(ranks) > 1]
        pairs = np.array([rng.choice(ranks, 2, replace=False) for ranks in alike], dtype=np.intp).reshape(
            -1, 2
        )
        found.append(_ceiling(size, "twins", accuracy[pairs[:, 0]], accuracy[pairs[:, 1]]))
        if len(seeds) > 1:
            ranks = [cell.rank for cell in cells]
            found.append(_ceiling(size, "seeds", seeds[0][ranks], seeds[1][ranks]))
    return found


def seed_columns(table: AccuracyTable, column: Column) -> list[Array]:
    """The accuracies of the single seeds that `column` averages, (15625,) each, sorted by seed.

    >>> from nasgauge.data.sources import open_table
    >>> table = open_table("bundled")
    >>> len(seed_columns(table, table.view("cifar10").report))  # the table has no single seeds
    0
    """
    seeds = sorted(
        other.seed
        for other in table.columns
        if isinstance(other.seed, int) and replace(other, seed=column.seed) == column
    )
    return [table.columns[replace(column, seed=seed)] for seed in seeds]


def _trial(accuracy: Array, protocol: Protocol, seed: int, task: tuple[int, int, str]) -> list[Row]:
    trial, size, name = task
    drawing, fitting, resampling = np.random.SeedSequence([seed, trial, size]).spawn(3)
    cells = sizes()[size]
    order = np.random.default_rng(drawing).permutation(len(cells)).tolist()
    fitted = [cells[place] for place in order[: protocol.cells]]
    sets: tuple[tuple[Tested, list[Cell]], ...] = (
        ("fit", fitted),
        ("same", [cells[place] for place in order[protocol.cells :]]),
        ("larger", list(sizes().get(size + 1, ()))),
    )
    predictor = Predictor(NB201(), np.random.default_rng(fitting), name)
    predictor.learn(fitted, accuracy[[cell.rank for cell in fitted]].tolist())
    rng = np.random.default_rng(resampling)
    rows = []
    for tested, others in sets:
        if len(others) < 2:
            continue
        true = accuracy[[cell.rank for cell in others]]
        predicted = predictor.predict(others)
        low, high = kendall_interval(predicted, true, rng, resamples=protocol.resamples)
        rows.append(
            Row(
                surrogate=name,
                size=size,
                trial=trial,
                fitted=len(fitted),
                tested=tested,
                cells=len(others),
                kendall_low=low,
                kendall_high=high,
                **agreement(predicted, true, top=protocol.top),
            )
        )
    return rows


def _ceiling(size: int, kind: str, one: Array, other: Array) -> Ceiling:
    both = np.isfinite(one) & np.isfinite(other)
    tau = kendall(one[both], other[both]) if both.sum() > 1 else float("nan")
    return Ceiling(size, kind, int(both.sum()), tau)
