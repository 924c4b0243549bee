"""NAS-Bench-201 cells as immutable, validated values (Dong and Yang, 2020, section 2.1).

A cell has four nodes. Node 0 is its input and node 3 its output. Each of the six edges applies one of five
operations to its source node, and a node is the sum of its incoming edges.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Final

from nasgauge.spaces.errors import NasgaugeError

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The five operations, in the order of the official NAS-Bench-201 code."""

EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The six edges (source node, target node), in the order of the official string."""

ROUTES: Final = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The paths from node 0 to node 3, as indices into `EDGES`."""

N_CELLS: Final = 15_625
"""Number of cells: five operations on six edges."""

STRIDES: Final = (3125, 625, 125, 25, 5, 1)
"""How far the next operation of `OPERATIONS` on each of `EDGES` moves `Cell.rank`."""

_OPS_TO_RANK: Final = {ops: rank for rank, ops in enumerate(product(OPERATIONS, repeat=len(EDGES)))}
_TEXT: Final = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


class InvalidCell(NasgaugeError, ValueError):
    """Raised for a text, a tuple of operations or a tuple of codes that does not describe a cell.

    >>> Cell.parse("|conv~0|")
    Traceback (most recent call last):
    ...
    nasgauge.spaces.cells.InvalidCell: malformed cell '|conv~0|'; write it as |op~0|+|op~0|op~1|+|op~0|op~1|op~2| \
with op one of none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3
    """


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """A NAS-Bench-201 cell.

    `str(cell)` is the official string and `Cell.parse` is its inverse. Cells are hashable and ordered by their
    operation names. The constructor raises InvalidCell.

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
        """Parse the official string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

        Raises InvalidCell.

        >>> Cell.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|").ops
        ('none', 'none', 'none', 'skip_connect', 'none', 'none')
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
    """A representation of a cell as six integers, as used by another tool.

    >>> encoding = Encoding(operations=OPERATIONS, edges=EDGES)
    >>> encoding.codes(encoding.cell((0, 1, 2, 3, 4, 0)))
    (0, 1, 2, 3, 4, 0)
    """

    operations: tuple[str, ...]
    """The operation that each code stands for."""
    edges: tuple[tuple[int, int], ...]
    """The edge at each position of the sequence."""

    def cell(self, codes: Sequence[int]) -> Cell:
        """Decode six integers.

        Raises InvalidCell.

        >>> ENCODINGS["meco"].cell((3, 0, 1, 0, 0, 1)).ops
        ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'skip_connect')
        """
        if len(codes) != len(EDGES) or not all(0 <= code < len(self.operations) for code in codes):
            raise InvalidCell(
                f"{tuple(codes)} is not a cell; give {len(EDGES)} codes from 0 to {len(self.operations) - 1}"
            )
        by_edge = {edge: self.operations[code] for edge, code in zip(self.edges, codes, strict=True)}
        return Cell(tuple(by_edge[edge] for edge in EDGES))

    def codes(self, cell: Cell) -> tuple[int, ...]:
        """Encode a cell as six integers.

        >>> ENCODINGS["naslib"].codes(Cell(("none",) * 6))
        (1, 1, 1, 1, 1, 1)
        """
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
"""Integer encodings by the name of the tool that uses them.

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
