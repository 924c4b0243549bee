"""How NAS-Bench-201 cells grow from simple to complex, for progressive search.

Every smaller cell is itself a cell of the table: what is not there yet is `none`. Two ways:

`nodes`: the edge from input to output, then node 1 with its edges, then node 2 with its. The first level
is as small as can be (4 cells that are connected), so a search pays next to nothing before its predictor
has something to rank, and a level adds all edges of a node at once, as a block of the PNAS paper does.

`paths`: cells whose edges all lie on a path from input to output, by the number of independent paths (edges
less inner nodes): one to four. A child opens the fewest further edges that are all in use again; to add
single edges would pass through cells that are their own parents, because an edge that leads nowhere
changes nothing. The first level has 84 cells, more than many a budget.
"""

from functools import cache
from itertools import combinations, product
from typing import Final, Literal

import numpy as np

from nasgauge.spaces.cells import EDGES, OPERATIONS, ROUTES, STRIDES, Cell, all_cells
from nasgauge.spaces.features import codes, live_edges

Progression = Literal["nodes", "paths"]
PROGRESSIONS: Final[tuple[Progression, ...]] = ("nodes", "paths")

_NODES: Final = ((3,), (0, 4), (1, 2, 5))  # edges that come with the output, with node 1, with node 2

Edges = frozenset[int]


def level(cell: Cell, by: str) -> int:
    """The size of a cell, from 1.

    By nodes, what counts is the last node with an edge, though no path may lead there. By paths, a cell without a
    path from input to output has the size of the smallest.

    Raises ValueError for an unknown progression.
    """
    return _levels(by)[cell.rank]


def grow(cell: Cell | None, by: str) -> tuple[Cell, ...]:
    """All cells one level larger that keep `cell`'s operations; the smallest for None.

    By nodes they are 5, 25 and 125, and a child whose new edges are all `none` is its parent. By paths the
    first level has 84.

    Raises ValueError for an unknown progression.
    """
    rank = 0 if cell is None else cell.rank
    if _known(by) == "nodes":
        size = 0 if cell is None else level(cell, by)
        added = _NODES[size : size + 1]
        return tuple(all_cells()[child] for edges in added for child in _filled(rank, edges, first=0))
    used = frozenset(np.flatnonzero(live_edges()[rank]).tolist())
    return tuple(
        all_cells()[child]
        for edges in _larger(used)
        for child in _filled(rank, tuple(sorted(edges - used)), first=1)
    )


def _known(by: str) -> str:
    if by not in PROGRESSIONS:
        raise ValueError(f"unknown progression {by!r}; choose from {', '.join(PROGRESSIONS)}")
    return by


@cache
def _levels(by: str) -> tuple[int, ...]:
    """The size of every cell, by `Cell.rank`."""
    if _known(by) == "nodes":
        used = np.stack([(codes()[:, edges] > 0).any(1) for edges in _NODES], axis=1)
        sizes = (used * np.arange(1, len(_NODES) + 1)).max(1)
    else:
        live = live_edges()
        inner = [[edge for edge, ends in enumerate(EDGES) if node in ends] for node in (1, 2)]
        sizes = live.sum(1) - sum(live[:, edges].any(1).astype(np.intp) for edges in inner)
    return tuple(np.maximum(sizes, 1).tolist())


def _filled(rank: int, edges: tuple[int, ...], *, first: int) -> list[int]:
    """The ranks of the cells with every operation from `first` on each of the given edges."""
    bare = rank - sum(rank // STRIDES[edge] % len(OPERATIONS) * STRIDES[edge] for edge in edges)
    return [bare + offset for offset in _offsets(edges, first)]


@cache
def _offsets(edges: tuple[int, ...], first: int) -> tuple[int, ...]:
    choices = [[code * STRIDES[edge] for code in range(first, len(OPERATIONS))] for edge in edges]
    return tuple(map(sum, product(*choices)))


@cache
def _larger(used: Edges) -> tuple[Edges, ...]:
    """The sets of edges, all in use, that contain `used` and no other such set in between."""
    unions = {
        frozenset(edge for route in routes for edge in route)
        for count in range(1, len(ROUTES) + 1)
        for routes in combinations(ROUTES, count)
    }
    # a lone inner node is node 1: node 2 alone would be the same network once more
    named = [edges for edges in unions if {1, 5} - edges or edges & {0, 4}]
    above = sorted((edges for edges in named if edges > used), key=sorted)
    return tuple(edges for edges in above if not any(used < other < edges for other in above))
