"""Genotypes: a normal and a reduction cell, in the form of the DARTS repository (Liu et al., 2019: DARTS, section 2.1).

A cell has two inputs, nodes 0 and 1: the outputs of the cell before the previous one and of the previous one. Each
further node is the sum of two arms. An arm applies an operation to an earlier node. The output of the cell is the
concatenation of some nodes.
"""

import ast
import re
from dataclasses import dataclass
from typing import Any, Final

from nasgauge.spaces.block_cells import Arm, BlockCell
from nasgauge.spaces.errors import NasgaugeError

OPERATIONS: Final = (
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "avg_pool_3x3",
    "max_pool_3x3",
)
"""The seven operations of the DARTS search space. The search also has `none`, which no genotype keeps."""

ALL_OPERATIONS: Final = (*OPERATIONS, "sep_conv_7x7", "conv_7x1_1x7")
"""Those and the operations of older spaces, NASNet's and PNAS's."""

NODES: Final = 4
EDGES: Final = tuple((source, node) for node in range(2, 2 + NODES) for source in range(node))
"""The 14 edges (source, target) of a cell of the DARTS search space."""
EDGES_IN_CELL: Final = len(EDGES)

Arms = tuple[tuple[str, int], ...]

_PNAS_NAMES: Final = {"skip_connect": "identity", "conv_7x1_1x7": "conv_1x7_7x1"}
"""Operations that the PNAS space names otherwise."""


class InvalidGenotype(NasgaugeError, ValueError):
    """Raised for a text or arms that do not describe a genotype."""


@dataclass(frozen=True, slots=True)
class Genotype:
    """A normal and a reduction cell.

    `str(genotype)` is the format of the DARTS repository and of its successors. `Genotype.parse` is its inverse. By
    default a cell concatenates all its nodes.

    Raises InvalidGenotype.

    >>> one = (("sep_conv_3x3", 0), ("skip_connect", 1)) * 4
    >>> Genotype.parse(str(Genotype(one, one))) == Genotype(one, one)
    True
    """

    normal: Arms
    """The arms (operation, source node), two for each node in order."""
    reduce: Arms
    """The same for the reduction cell."""
    normal_concat: tuple[int, ...] = ()
    """The nodes that are the output of the normal cell."""
    reduce_concat: tuple[int, ...] = ()
    """The nodes that are the output of the reduction cell."""

    def __post_init__(self) -> None:
        for kind in ("normal", "reduce"):
            arms = getattr(self, kind)
            _check(kind, arms)
            concat = getattr(self, f"{kind}_concat") or tuple(range(2, 2 + len(arms) // 2))
            if len(set(concat)) != len(concat) or not set(concat) <= set(range(2, 2 + len(arms) // 2)):
                raise InvalidGenotype(
                    f"{kind}_concat {list(concat)} must name different nodes from 2 to {1 + len(arms) // 2}"
                )
            object.__setattr__(self, f"{kind}_concat", concat)

    @classmethod
    def parse(cls, text: str) -> "Genotype":
        """Parse `Genotype(normal=[('op', input), …], normal_concat=…, reduce=[…], reduce_concat=…)`.

        A list of nodes may be written as `range(2, 6)`; without it, all nodes are concatenated.

        Raises InvalidGenotype.

        >>> Genotype.parse("Genotype(normal=[('conv', 0), ('skip_connect', 1)], reduce=[])")
        Traceback (most recent call last):
        ...
        nasgauge.spaces.block_genotypes.InvalidGenotype: unknown operation 'conv' in normal; choose from skip_connect, \
sep_conv_3x3, sep_conv_5x5, dil_conv_3x3, dil_conv_5x5, avg_pool_3x3, max_pool_3x3, sep_conv_7x7, conv_7x1_1x7
        """
        try:
            call = ast.parse(text.strip(), mode="eval").body
            assert isinstance(call, ast.Call)
            given = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
            normal, reduce = (
                tuple((str(op), int(source)) for op, source in given.pop(kind)) for kind in _KINDS
            )
            concats = {name: tuple(map(int, given[name])) for name in given}
        except (AssertionError, KeyError, SyntaxError, TypeError, ValueError) as error:
            raise InvalidGenotype(f"malformed genotype {_short(text)!r}; write it as {_EXAMPLE}") from error
        if unknown := concats.keys() - {"normal_concat", "reduce_concat"}:
            raise InvalidGenotype(f"a genotype has no {', '.join(sorted(unknown))}; write it as {_EXAMPLE}")
        return cls(normal, reduce, **concats)

    @classmethod
    def of(cls, cell: BlockCell) -> "Genotype":
        """The genotype whose normal and reduction cell are the same cell of the PNAS space.

        >>> str(Genotype.of(BlockCell.parse("identity(h1)+sep_conv_7x7(h2)")))
        "Genotype(normal=[('skip_connect', 1), ('sep_conv_7x7', 0)], normal_concat=[2], \
reduce=[('skip_connect', 1), ('sep_conv_7x7', 0)], reduce_concat=[2])"
        """
        ours = {theirs: name for name, theirs in _PNAS_NAMES.items()}
        arms = tuple(
            (ours.get(operator, operator), _exchanged(source))
            for block in cell.blocks
            for source, operator in block
        )
        return cls(arms, arms)

    def blocks(self) -> BlockCell:
        """The cell of the PNAS space that is both cells: the inverse of `of`.

        Raises InvalidGenotype if the two cells differ, or do not concatenate all nodes; InvalidCell for an operation
        that the space does not have.

        >>> cell = BlockCell.parse("identity(h1)+sep_conv_7x7(h2)")
        >>> Genotype.of(cell).blocks() == cell
        True
        """
        if self != Genotype(self.normal, self.normal):
            raise InvalidGenotype(
                "the normal and the reduction cell differ, or leave nodes out; a cell of the PNAS space is both"
            )
        arms = [Arm(_exchanged(source), _PNAS_NAMES.get(op, op)) for op, source in self.normal]
        return BlockCell(tuple(zip(arms[::2], arms[1::2], strict=True)))

    def __str__(self) -> str:
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={list(self.normal_concat)}, "
            f"reduce={list(self.reduce)}, reduce_concat={list(self.reduce_concat)})"
        )


_KINDS: Final = ("normal", "reduce")
_EXAMPLE: Final = "Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=…, reduce=[…], reduce_concat=…)"


def _check(kind: str, arms: Arms) -> None:
    if not arms or len(arms) % 2:
        raise InvalidGenotype(f"{kind} has {len(arms)} arms; give two for each node")
    for place, (operation, source) in enumerate(arms):
        if operation not in ALL_OPERATIONS:
            raise InvalidGenotype(
                f"unknown operation {operation!r} in {kind}; choose from {', '.join(ALL_OPERATIONS)}"
            )
        if not 0 <= source < 2 + place // 2:
            raise InvalidGenotype(
                f"arm {place} of {kind} reads {source}; node {2 + place // 2} may read 0 to {1 + place // 2}"
            )


def _literal(node: ast.expr) -> Any:
    """A list of literals, or a range of whole numbers."""
    text = ast.unparse(node)
    span = re.fullmatch(r"range\((\d+), (\d+)\)", text)
    return range(int(span[1]), int(span[2])) if span else ast.literal_eval(text)


def _exchanged(source: int) -> int:
    """A node's number in the other form: the PNAS space counts the previous cell first."""
    return 1 - source if source < 2 else source


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
