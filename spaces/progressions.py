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

from nasgauge.spaces.cells import EDGES, OPERATIONS, ROUTES, Cell

Progression = Literal["nodes", "paths"]
PROGRESSIONS: Final[tuple[Progression, ...]] = ("nodes", "paths")

_NODES: Final = ((3,), (0, 4), (1, 2, 5))  # edges that come with the output, with node 1, with node 2

Edges = frozenset[int]


def level(cell: Cell, by: str) -> int:
    """The size of a cell, from 1; a cell without a path from input to output has that of the smallest.

    Raises ValueError for an unknown progression.
    """
    if _known(by) == "nodes":
        used = (any(cell.ops[edge] != "none" for edge in edges) for edges in _NODES)
        return max((size for size, some in enumerate(used, 1) if some), default=1)
    return max(1, _paths(_in_use(cell)))


def grow(cell: Cell | None, by: str) -> tuple[Cell, ...]:
    """All cells one level larger that keep `cell`'s operations; the smallest for None.

    By nodes they are 5, 25 and 125, and a child whose new edges are all `none` is its parent. By paths the
    first level has 84.

    Raises ValueError for an unknown progression.
    """
    if _known(by) == "nodes":
        size = 0 if cell is None else level(cell, by)
        return _filled(cell, frozenset(_NODES[size]), OPERATIONS) if size < len(_NODES) else ()
    used = frozenset() if cell is None else _in_use(cell)
    return tuple(child for edges in _larger(used) for child in _filled(cell, edges - used, OPERATIONS[1:]))


def _known(by: str) -> str:
    if by not in PROGRESSIONS:
        raise ValueError(f"unknown progression {by!r}; choose from {', '.join(PROGRESSIONS)}")
    return by


def _filled(cell: Cell | None, edges: Edges, operations: tuple[str, ...]) -> tuple[Cell, ...]:
    ops = ["none"] * len(EDGES) if cell is None else list(cell.ops)
    children = []
    for added in product(operations, repeat=len(edges)):
        for place, op in zip(sorted(edges), added, strict=True):
            ops[place] = op
        children.append(Cell(tuple(ops)))
    return tuple(children)


def _in_use(cell: Cell) -> Edges:
    return frozenset(edge for route in ROUTES if all(cell.ops[e] != "none" for e in route) for edge in route)


def _paths(edges: Edges) -> int:
    inner = {node for edge in edges for node in EDGES[edge]} - {0, 3}
    return len(edges) - len(inner)


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
