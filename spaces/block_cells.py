"""Cells made of blocks: the search space of PNAS (Liu et al., 2018, section 3.1).

A cell is a list of up to B blocks. A block is the sum of two arms. An arm applies an operator to one input: the
output of the previous cell, the output of the cell before that, or an earlier block of the same cell. The
cell's output is the concatenation of all block outputs.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from nasgauge.spaces.cells import InvalidCell

OPERATORS: Final = (
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "conv_1x7_7x1",
    "identity",
    "avg_pool_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
)
"""The eight operators of the paper."""

CELL_INPUTS: Final = ("h1", "h2")
"""Names of inputs 0 and 1: the output of the previous cell, and of the cell before that."""

_ARM: Final = re.compile(r"(\w+)\((h1|h2|b\d+)\)")


class Arm(NamedTuple):
    """An operator applied to an input.

    >>> str(Arm(0, "identity")), str(Arm(2, "sep_conv_3x3"))
    ('identity(h1)', 'sep_conv_3x3(b1)')
    """

    source: int
    """0 and 1 are `CELL_INPUTS`; 2 is the first block of the same cell, 3 the second, and so on."""
    operator: str

    def __str__(self) -> str:
        return f"{self.operator}({input_name(self.source)})"


Block = tuple[Arm, Arm]


@dataclass(frozen=True, order=True, slots=True)
class BlockCell:
    """A cell of the PNAS search space.

    The arms of a block are sorted, because their sum does not depend on the order. `str(cell)` and
    `BlockCell.parse` are inverses. The constructor raises InvalidCell.

    >>> cell = BlockCell.parse("max_pool_3x3(h2)+sep_conv_5x5(h2) | identity(h1)+sep_conv_3x3(b1)")
    >>> str(cell)
    'max_pool_3x3(h2)+sep_conv_5x5(h2) | identity(h1)+sep_conv_3x3(b1)'
    >>> BlockCell.parse("sep_conv_5x5(h2)+max_pool_3x3(h2)") == BlockCell(cell.blocks[:1])
    True
    >>> BlockCell.parse("identity(b1)+identity(h1)")
    Traceback (most recent call last):
    ...
    nasgauge.spaces.cells.InvalidCell: block 1 reads b1; it may read h1, h2
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise InvalidCell("a cell needs at least one block")
        for place, block in enumerate(self.blocks):
            if len(block) != 2:
                raise InvalidCell(f"block {place + 1} has {len(block)} arms; a block has two")
            for source, operator in block:
                if operator not in OPERATORS:
                    raise InvalidCell(f"unknown operator {operator!r}; choose from {', '.join(OPERATORS)}")
                if not 0 <= source < len(CELL_INPUTS) + place:
                    allowed = ", ".join(map(input_name, range(len(CELL_INPUTS) + place)))
                    raise InvalidCell(f"block {place + 1} reads {input_name(source)}; it may read {allowed}")
        if any(one > other for one, other in self.blocks):
            object.__setattr__(self, "blocks", tuple(_in_order(block) for block in self.blocks))

    @classmethod
    def parse(cls, text: str) -> "BlockCell":
        """Parse `operator(input)+operator(input) | …`, with blocks separated by bars.

        Raises InvalidCell.

        >>> len(BlockCell.parse("identity(h1)+identity(h2) | identity(b1)+max_pool_3x3(h1)").blocks)
        2
        """
        blocks = []
        for part in text.split("|"):
            arms = [_ARM.fullmatch(arm.strip()) for arm in part.split("+")]
            if len(arms) != 2 or arms[0] is None or arms[1] is None:
                raise InvalidCell(
                    f"malformed block {part.strip()!r}; write it as operator(input)+operator(input) with "
                    "inputs h1, h2, b1, b2, …"
                )
            blocks.append((_arm(arms[0]), _arm(arms[1])))
        return cls(tuple(blocks))

    def __str__(self) -> str:
        return " | ".join(f"{one}+{other}" for one, other in self.blocks)


def input_name(source: int) -> str:
    """The name of an input in the text of a cell.

    >>> [input_name(source) for source in range(4)]
    ['h1', 'h2', 'b1', 'b2']
    """
    cell_inputs = len(CELL_INPUTS)
    return CELL_INPUTS[source] if 0 <= source < cell_inputs else f"b{source - cell_inputs + 1}"


def arms(place: int) -> Iterable[Arm]:
    """All arms that block `place` (counted from 0) may use, sorted: 8 operators for each of its 2 + `place` inputs.

    >>> [len(list(arms(place))) for place in range(3)]
    [16, 24, 32]
    """
    return sorted(Arm(source, op) for source in range(len(CELL_INPUTS) + place) for op in OPERATORS)


def _arm(match: re.Match[str]) -> Arm:
    operator, name = match.groups()
    if name in CELL_INPUTS:
        return Arm(CELL_INPUTS.index(name), operator)
    return Arm(int(name[1:]) + len(CELL_INPUTS) - 1, operator)


def _in_order(block: Block) -> Block:
    one, other = block
    return (one, other) if one <= other else (other, one)
