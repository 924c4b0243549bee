"""Search spaces: where searchers get their cells from.

A searcher is handed a space and never builds one, so the same searcher works on any of them.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from typing import Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.cells import EDGES, OPERATIONS, Cell

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

    def grow(self, cell: C | None) -> tuple[C, ...]:
        """All cells one level larger; the smallest cells for None, none for a cell of full size."""
        ...

    def canonical(self, cell: C) -> str:
        """A text that structurally equal cells share."""
        ...


Code = Literal["one_hot", "path"]

N_CELLS: Final = 15_625
N_CLASSES: Final = 6466
_STRIDES: Final = (3125, 625, 125, 25, 5, 1)  # how far one operation more moves `Cell.rank`
_NODES: Final = (1, 2, 3)
_EDGES_INTO: Final = {
    node: tuple(place for place, (_, into) in enumerate(EDGES) if into == node) for node in _NODES
}
_ROUTES: Final = ((3,), (0, 4), (1, 5), (0, 2, 5))  # edges of every way from node 0 to node 3
_LEVELS: Final = ((3,), (0, 4), (1, 2, 5))  # edges that come with the output, with node 1, with node 2
_PATHS: Final = {
    path: place
    for place, path in enumerate(
        path for length in (1, 2, 3) for path in product(OPERATIONS[1:], repeat=length)
    )
}


class NB201:
    """The 15,625 cells of NAS-Bench-201 (Dong and Yang, 2020).

    >>> space = NB201()
    >>> len(space), len(space.neighbours(next(iter(space))))
    (15625, 24)
    """

    decisions: Final = (len(OPERATIONS),) * len(EDGES)

    def __len__(self) -> int:
        return N_CELLS

    def __iter__(self) -> Iterator[Cell]:
        """All cells by `Cell.rank`: the same order in every process and version."""
        return iter(_cells())

    def __getitem__(self, rank: int) -> Cell:
        return _cells()[rank]

    def decide(self, choices: tuple[int, ...]) -> Cell:
        """The cell with operation `OPERATIONS[choice]` on each edge."""
        rank = 0
        for choice in choices:
            rank = rank * len(OPERATIONS) + choice
        return _cells()[rank]

    def sample(self, rng: np.random.Generator) -> Cell:
        """A cell drawn uniformly from all 15,625, as the paper's random search does."""
        return _cells()[int(rng.integers(N_CELLS))]

    def mutate(self, cell: Cell, rng: np.random.Generator) -> Cell:
        """Change one edge: a node drawn uniformly, then one of its edges, then another operation.

        So the one edge into node 1 changes as often as the three into node 3 together, as in the
        paper's regularized evolution.
        """
        draw = rng.random(3)
        into = _EDGES_INTO[_NODES[int(draw[0] * 3)]]
        place = into[int(draw[1] * len(into))]
        shift = 1 + int(draw[2] * (len(OPERATIONS) - 1))
        stride = _STRIDES[place]
        code = cell.rank // stride % len(OPERATIONS)
        return _cells()[cell.rank + ((code + shift) % len(OPERATIONS) - code) * stride]

    def neighbours(self, cell: Cell) -> tuple[Cell, ...]:
        """The 24 cells that differ in the operation of one edge, edge by edge in official order."""
        return _neighbours(cell.rank)

    def level(self, cell: Cell) -> int:
        """The size of a cell for `grow`: 1 plus the highest inner node with an edge that is not `none`."""
        return max(
            (level for level, edges in enumerate(_LEVELS, 1) if any(cell.ops[e] != "none" for e in edges)),
            default=1,
        )

    def grow(self, cell: Cell | None) -> tuple[Cell, ...]:
        """All ways to add the next node with all its edges: 5, 25 and 125 cells at levels 1, 2 and 3.

        Level 1 is the edge from input to output, level 2 adds node 1 between them, level 3 adds node 2. A
        node that is not there yet has only `none` edges, so every smaller cell is itself a cell of the
        table, and every cell grows from just one parent. An added node may carry only `none`: then the
        child is its parent.
        """
        ops = list(cell.ops) if cell is not None else ["none"] * len(EDGES)
        level = self.level(cell) if cell is not None else 0
        if level == len(_LEVELS):
            return ()
        children = []
        for added in product(OPERATIONS, repeat=len(_LEVELS[level])):
            for place, op in zip(_LEVELS[level], added, strict=True):
                ops[place] = op
            children.append(Cell(tuple(ops)))
        return tuple(children)

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
        return any(all(cell.ops[place] != "none" for place in route) for route in _ROUTES)

    def encode(self, cell: Cell, code: Code = "one_hot") -> NDArray[np.float64]:
        """Features of 0 and 1 for surrogates.

        `one_hot`: (30,), five for each edge in official order. `path`: (84,), one for each sequence of one
        to three operations, `none` left out, that leads from input to output (White et al., 2021,
        section 3: BANANAS).

        >>> cell = Cell(("skip_connect", "none", "nor_conv_3x3", "none", "none", "skip_connect"))
        >>> NB201().encode(cell).sum(), NB201().encode(cell, "path").sum()
        (np.float64(6.0), np.float64(1.0))
        """
        if code == "one_hot":
            one_hot = np.zeros((len(EDGES), len(OPERATIONS)))
            one_hot[range(len(EDGES)), [OPERATIONS.index(op) for op in cell.ops]] = 1
            return one_hot.ravel()
        if code == "path":
            features = np.zeros(len(_PATHS))
            for route in _ROUTES:
                place = _PATHS.get(tuple(cell.ops[edge] for edge in route))
                if place is not None:
                    features[place] = 1
            return features
        raise ValueError(f"unknown encoding {code!r}; choose from one_hot, path")


@cache
def _cells() -> tuple[Cell, ...]:
    return tuple(Cell(ops) for ops in product(OPERATIONS, repeat=len(EDGES)))


@lru_cache(maxsize=N_CELLS)
def _neighbours(rank: int) -> tuple[Cell, ...]:
    ops = _cells()[rank].ops
    return tuple(
        Cell((*ops[:place], other, *ops[place + 1 :]))
        for place, op in enumerate(ops)
        for other in OPERATIONS
        if other != op
    )


@lru_cache(maxsize=N_CELLS)
def _structure(rank: int) -> str:
    nodes = ["0"]
    ops = _cells()[rank].ops
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
