"""How well surrogates rank larger cells than they have seen: the protocol of PNAS, Table 1, on a table.

For each size b: fit on K random cells of size b, then rank those (fit), the other cells of size b (same),
and the cells of size b + 1 (larger). One cell stands for all that are structurally equal, at the smallest
size at which it appears, so no test cell is a training cell in disguise. Sizes are numbers of paths (see
`nasgauge.spaces.progressions`): the first level by nodes has four cells, too few to fit anything.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.correlation import agreement, kendall, kendall_interval
from nasgauge.data.tables import AccuracyTable, Column
from nasgauge.searchers.surrogates import SURROGATES, Predictor
from nasgauge.spaces.cells import ROUTES, Cell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import NB201

Array = NDArray[np.float64]
Tested = Literal["fit", "same", "larger"]

PROGRESSION: Final = "paths"


class InvalidStudy(NasgaugeError, ValueError):
    """Settings with which nothing can be fitted."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is fitted, and how often; the paper's 256 cells and 10 trials."""

    surrogates: tuple[str, ...] = tuple(SURROGATES)
    cells: int = 256
    trials: int = 10
    top: int = 25
    """How many cells `precision` and `regret` look at."""
    resamples: int = 200
    """Of the bootstrap interval of tau."""

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
        """How many there are in all."""
        return self.trials * len(sizes()) * len(self.surrogates)


class Row(NamedTuple):
    """One fit, seen from one set of cells."""

    surrogate: str
    size: int
    """Of the cells that it was fitted on, by paths."""
    trial: int
    fitted: int
    """How many cells it was fitted on."""
    tested: Tested
    cells: int
    """How many cells were ranked."""
    spearman: float
    kendall: float
    kendall_low: float
    kendall_high: float
    weighted_tau: float
    precision: float
    regret: float
    """Points of accuracy that the best of the `top` stays behind the best."""


class Ceiling(NamedTuple):
    """Tau between two trainings of the same networks: no predictor can be expected to beat it by much."""

    size: int
    kind: str
    """`twins`: cells that are structurally equal, each trained on its own. `seeds`: two seeds of a cell."""
    cells: int
    kendall: float


def network(cell: Cell) -> str:
    """What the cell computes: its structural text without the edges and terms that add nothing.

    Coarser than `NB201.canonical`, which tells a lone node 1 from a lone node 2.

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
    """One cell for each connected structural class, by the size at which the class first appears."""
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


def trials(accuracy: Array, protocol: Protocol, *, seed: int = 0, workers: int = 1) -> Iterator[list[Row]]:
    """All fits of a study, each as its rows; `accuracy` is (15625,) by rank, percent.

    All surrogates of a trial are fitted on the same cells; the numbers do not depend on `workers`.
    """
    jobs = (
        joblib.delayed(_trial)(accuracy, protocol, seed, trial, size, name)
        for trial in range(protocol.trials)
        for size in sizes()
        for name in protocol.surrogates
    )
    yield from joblib.Parallel(n_jobs=workers, return_as="generator")(jobs)


def ceilings(accuracy: Array, seeds: Sequence[Array], rng: np.random.Generator) -> list[Ceiling]:
    """The noise ceiling of each size; `seeds` are single-seed figures, (15625,) each, NaN where untrained."""
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
    """The single-seed figures of what `column` is the mean of, (15625,) each, in order of seeds."""
    seeds = sorted(
        other.seed
        for other in table.columns
        if isinstance(other.seed, int) and replace(other, seed=column.seed) == column
    )
    return [table.columns[replace(column, seed=seed)] for seed in seeds]


def _trial(accuracy: Array, protocol: Protocol, seed: int, trial: int, size: int, name: str) -> list[Row]:
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
