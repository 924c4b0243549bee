"""NAS-Bench-201 cells as values: one text, checked when made (Dong and Yang, 2020, section 2.1).

A cell has four nodes; node 0 is its input and node 3 its output. Each of the six edges carries one of
five operations, and a node is the sum of what its incoming edges deliver.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Final

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The five operations, in the order of the benchmark's own code."""

EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The six edges (from node, to node), in the order of the official string."""

ROUTES: Final = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Every way from node 0 to node 3, as places in `EDGES`."""

N_CELLS: Final = 15_625
"""How many cells there are."""

STRIDES: Final = (3125, 625, 125, 25, 5, 1)
"""How far the next operation of `OPERATIONS` on each of `EDGES` moves `Cell.rank`."""

_OPS_TO_RANK: Final = {ops: rank for rank, ops in enumerate(product(OPERATIONS, repeat=len(EDGES)))}
_TEXT: Final = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


class InvalidCell(ValueError):
    """A text, a tuple of operations or a tuple of codes that is no cell."""


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """A NAS-Bench-201 cell; `str` gives its official text and `parse` reads it back.

    >>> cell = Cell.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    >>> cell.ops
    ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'skip_connect')
    >>> Cell.parse(str(cell)) == cell
    True
    >>> Cell(("conv",) * 6)
    Traceback (most recent call last):
    ...
    nasgauge.spaces.cells.InvalidCell: unknown operation 'conv'; choose from none, skip_connect, nor_conv_1x1, \
nor_conv_3x3, avg_pool_3x3
    """

    ops: tuple[str, ...]
    """The operation of each of `EDGES`."""
    rank: int = field(init=False, repr=False, compare=False)
    """The cell's place in lexicographic order of operations, 0 to 15,624."""

    def __post_init__(self) -> None:
        rank = _OPS_TO_RANK.get(self.ops)
        if rank is None:
            raise InvalidCell(_complaint(self.ops))
        object.__setattr__(self, "rank", rank)

    def __hash__(self) -> int:
        return self.rank

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Read the official text, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

        Raises InvalidCell.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise InvalidCell(
                f"malformed cell {text!r}; write it as |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
                f"with op one of {', '.join(OPERATIONS)}"
            )
        return cls(match.groups())

    def __str__(self) -> str:
        a, b, c, d, e, f = self.ops
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@cache
def all_cells() -> tuple[Cell, ...]:
    """The 15,625 cells by `Cell.rank`, made once.

    >>> all_cells()[-1].ops[0], len(all_cells())
    ('avg_pool_3x3', 15625)
    """
    return tuple(Cell(ops) for ops in _OPS_TO_RANK)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How another tool writes a cell as six integers."""

    operations: tuple[str, ...]
    """The operation of each code."""
    edges: tuple[tuple[int, int], ...]
    """The edge of each place."""

    def cell(self, codes: Sequence[int]) -> Cell:
        """The cell that `codes` stand for.

        Raises InvalidCell.
        """
        if len(codes) != len(EDGES) or not all(0 <= code < len(self.operations) for code in codes):
            raise InvalidCell(
                f"{tuple(codes)} is no cell; give {len(EDGES)} codes from 0 to {len(self.operations) - 1}"
            )
        by_edge = {edge: self.operations[code] for edge, code in zip(self.edges, codes, strict=True)}
        return Cell(tuple(by_edge[edge] for edge in EDGES))

    def codes(self, cell: Cell) -> tuple[int, ...]:
        """The six codes of `cell`."""
        by_edge = dict(zip(EDGES, cell.ops, strict=True))
        return tuple(self.operations.index(by_edge[edge]) for edge in self.edges)


_BY_SOURCE_NODE: Final = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_NASLIB_OPERATIONS: Final = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")

ENCODINGS: Final = MappingProxyType(
    {
        "analog-nasbench": Encoding(operations=_NASLIB_OPERATIONS, edges=_BY_SOURCE_NODE),
        "meco": Encoding(operations=OPERATIONS, edges=EDGES),
        "naslib": Encoding(operations=_NASLIB_OPERATIONS, edges=_BY_SOURCE_NODE),
    }
)
"""The integer encodings of other tools, by the tool's name.

>>> cell = ENCODINGS["naslib"].cell((0, 0, 0, 4, 3, 2))
>>> str(cell)
'|skip_connect~0|+|skip_connect~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|'
>>> ENCODINGS["meco"].codes(cell)
(1, 1, 4, 1, 2, 3)
"""


def _complaint(ops: object) -> str:
    if not isinstance(ops, tuple) or len(ops) != len(EDGES):
        return f"a cell is a tuple of {len(EDGES)} operations, one for each edge; got {ops!r}"
    unknown = next(op for op in ops if op not in OPERATIONS)
    return f"unknown operation {unknown!r}; choose from {', '.join(OPERATIONS)}"
