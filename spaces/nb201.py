"""Search spaces: where searchers get their cells from.

A searcher is handed a space and never builds one, so the same searcher works on any of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces import features, progressions
from nasgauge.spaces.cells import EDGES, N_CELLS, OPERATIONS, STRIDES, Cell, all_cells
from nasgauge.spaces.features import LAYOUTS, Code, Layout
from nasgauge.spaces.progressions import PROGRESSIONS

__all__ = ["NB201", "SPACES", "Code", "Layout", "Space", "TransNAS"]

C = TypeVar("C")


class Space(Protocol[C]):
    """What every search space offers."""

    @property
    def decisions(self) -> tuple[int, ...]:
        """The number of options of each decision that makes a cell."""
        ...

    def decide(self, choices: tuple[int, ...]) -> C:
        """The cell made by the given option of each decision."""
        ...

    def sample(self, rng: np.random.Generator) -> C:
        """A cell drawn uniformly."""
        ...

    def mutate(self, cell: C, rng: np.random.Generator) -> C:
        """A cell with one decision changed at random."""
        ...

    def neighbours(self, cell: C) -> tuple[C, ...]:
        """All cells that differ in one decision, in a fixed order."""
        ...

    @property
    def progressions(self) -> tuple[str, ...]:
        """The ways to grow, the best first."""
        ...

    def level(self, cell: C, by: str) -> int:
        """The size of a cell for `grow`, from 1."""
        ...

    def grow(self, cell: C | None, by: str) -> tuple[C, ...]:
        """All cells one level larger; the smallest cells for None, none for a cell of full size."""
        ...

    def is_connected(self, cell: C) -> bool:
        """Whether the output depends on the input."""
        ...

    @property
    def layouts(self) -> Mapping[Code, Layout]:
        """The codes of `features` that are tokens, and their shapes."""
        ...

    def features(self, cells: Sequence[C], code: Code) -> NDArray[np.float64]:
        """Features of cells for surrogates, (cells, features)."""
        ...

    def canonical(self, cell: C) -> str:
        """A text that structurally equal cells share."""
        ...


_NODES: Final = (1, 2, 3)
_EDGES_INTO: Final = {
    node: tuple(place for place, (_, into) in enumerate(EDGES) if into == node) for node in _NODES
}


class NB201:
    """The 15,625 cells of NAS-Bench-201 (Dong and Yang, 2020).

    >>> space = NB201()
    >>> len(space), len(space.neighbours(next(iter(space))))
    (15625, 24)
    """

    operations: tuple[str, ...] = OPERATIONS
    """The operations of its cells, the first ones of `nasgauge.spaces.cells.OPERATIONS`."""
    progressions: Final[tuple[str, ...]] = PROGRESSIONS
    layouts: Final[Mapping[Code, Layout]] = LAYOUTS

    def __init__(self) -> None:
        self._cells = _cells_of(len(self.operations))
        self.decisions: Final = (len(self.operations),) * len(EDGES)

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Cell]:
        """All cells by `Cell.rank`: the same order in every process and version."""
        return iter(self._cells)

    def __getitem__(self, place: int) -> Cell:
        """The cell at a place of that order."""
        return self._cells[place]

    @property
    def ranks(self) -> NDArray[np.intp]:
        """`Cell.rank` of every cell, ascending."""
        return _ranks_of(len(self.operations))

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, Cell) and set(cell.ops) <= set(self.operations)

    def decide(self, choices: tuple[int, ...]) -> Cell:
        """The cell with operation `OPERATIONS[choice]` on each edge."""
        return all_cells()[sum(choice * stride for choice, stride in zip(choices, STRIDES, strict=True))]

    def sample(self, rng: np.random.Generator) -> Cell:
        """A cell drawn uniformly from all, as the paper's random search does."""
        return self._cells[int(rng.integers(len(self._cells)))]

    def mutate(self, cell: Cell, rng: np.random.Generator) -> Cell:
        """Change one edge: a node drawn uniformly, then one of its edges, then another operation.

        So the one edge into node 1 changes as often as the three into node 3 together, as in the
        paper's regularized evolution.
        """
        draw = rng.random(3)
        into = _EDGES_INTO[_NODES[int(draw[0] * 3)]]
        place = into[int(draw[1] * len(into))]
        options = len(self.operations)
        shift = 1 + int(draw[2] * (options - 1))
        stride = STRIDES[place]
        code = cell.rank // stride % len(OPERATIONS)
        return all_cells()[cell.rank + ((code + shift) % options - code) * stride]

    def neighbours(self, cell: Cell) -> tuple[Cell, ...]:
        """The cells that differ in the operation of one edge, 24 of them, edge by edge in official order."""
        return _neighbours(cell.rank, len(self.operations))

    def level(self, cell: Cell, by: str = "nodes") -> int:
        """The size of a cell for `grow`, from 1; see `nasgauge.spaces.progressions`."""
        return progressions.level(cell, by)

    def grow(self, cell: Cell | None, by: str = "nodes") -> tuple[Cell, ...]:
        """All cells one level larger; the smallest for None, none for a cell of full size.

        `nodes` adds the next node with all its edges: 5, 25 and 125 cells at levels 1, 2 and 3. `paths`
        opens the fewest further edges that are all in use. `nasgauge.spaces.progressions` argues for both.
        """
        grown = progressions.grow(cell, by)
        return grown if self.operations == OPERATIONS else tuple(cell for cell in grown if cell in self)

    def canonical(self, cell: Cell) -> str:
        """The benchmark's structural text: 6,466 different ones over the space.

        Written from the input, `0`: a sum joins its sorted terms with `+`, a zero is `#`, a skip repeats
        its input, and any other operation on x is `(x)@op`. Cells with the same text are the same network
        up to the order of sums. Some equal networks have two texts, for the zeros of a sum are written; the
        benchmark counts them apart, and so does this.

        >>> NB201().canonical(Cell(("skip_connect", "none", "nor_conv_3x3", "none", "none", "skip_connect")))
        '#+#+#+(0)@nor_conv_3x3'
        """
        return _structure(cell.rank)

    def is_connected(self, cell: Cell) -> bool:
        """Whether a path without `none` leads from input to output (341 cells have none)."""
        return features.connected()[cell.rank]

    def encode(self, cell: Cell, code: Code = "one_hot") -> NDArray[np.float64]:
        """Features of one cell for surrogates, a row of `features`.

        >>> cell = Cell(("skip_connect", "none", "nor_conv_3x3", "none", "none", "skip_connect"))
        >>> NB201().encode(cell).sum(), NB201().encode(cell, "path").sum()
        (np.float64(6.0), np.float64(1.0))
        """
        return np.asarray(self.features((cell,), code)[0])

    def features(self, cells: Sequence[Cell], code: Code = "one_hot") -> NDArray[np.float64]:
        """Features of many cells, (cells, features).

        `one_hot`: 30, five for each edge in official order. `path`: 84, one for each sequence of one to
        three operations, `none` left out, that leads from input to output (White et al., 2021, section 3:
        BANANAS). `tokens`: 4, those sequences themselves; `operations`: 18, the input and the operation of
        each edge (for both see `nasgauge.spaces.features.LAYOUTS`). `graph`: 72, see `nasgauge.spaces.graphs`.
        `structure`: 122, `one_hot`, how often
        each sequence occurs, how often each operation is in use, and the edges in use, the longest path, the
        most convolutions on a path and the number of paths.
        """
        return np.asarray(features.matrix(code)[[cell.rank for cell in cells]])


class TransNAS(NB201):
    """The 4,096 cells of TransNAS-Bench-101's micro space (Duan et al., 2021): those of NAS-Bench-201 without pools.

    >>> space = TransNAS()
    >>> len(space), len(space.neighbours(space[0])), Cell(("avg_pool_3x3",) * 6) in space
    (4096, 18, False)
    """

    operations = OPERATIONS[:4]


SPACES: Final[Mapping[str, type[NB201]]] = MappingProxyType({"nb201": NB201, "transnas": TransNAS})
"""The spaces whose cells tables hold, by name."""


@cache
def _cells_of(operations: int) -> tuple[Cell, ...]:
    """The cells of the first `operations` operations, by `Cell.rank`."""
    kept = set(OPERATIONS[:operations])
    return tuple(cell for cell in all_cells() if kept.issuperset(cell.ops))


@cache
def _ranks_of(operations: int) -> NDArray[np.intp]:
    ranks = np.array([cell.rank for cell in _cells_of(operations)], dtype=np.intp)
    ranks.flags.writeable = False
    return ranks


@lru_cache(maxsize=2 * N_CELLS)
def _neighbours(rank: int, operations: int) -> tuple[Cell, ...]:
    codes = features.codes()[rank].tolist()
    return tuple(
        all_cells()[rank + (other - code) * stride]
        for code, stride in zip(codes, STRIDES, strict=True)
        for other in range(operations)
        if other != code
    )


@lru_cache(maxsize=N_CELLS)
def _structure(rank: int) -> str:
    nodes = ["0"]
    ops = all_cells()[rank].ops
    for node in _NODES:
        terms = []
        for place in _EDGES_INTO[node]:
            op, source = ops[place], nodes[EDGES[place][0]]
            if op == "none" or source == "#":
                terms.append("#")
            elif op == "skip_connect":
                terms.append(source)
            else:
                terms.append(f"({source})@{op}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]
