"""The space of PNAS: cells of up to five blocks, grown a block at a time (Liu et al., 2018, section 3.1)."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.block_cells import CELL_INPUTS, OPERATORS, Arm, Block, BlockCell, arms
from nasgauge.spaces.features import Code, Layout
from nasgauge.spaces.graphs import Node, flat, of_arms

_CODES: Final = ("one_hot", "path", "tokens", "operations", "structure", "graph")
_FIRST_LABEL: Final = 2 + len(CELL_INPUTS)
"""Of an operator in a graph; the output has the last label."""
_OPERATOR_PLACE: Final = {operator: place for place, operator in enumerate(OPERATORS)}


class BlockSpace:
    """Cells of `blocks` blocks; smaller ones are met only while growing.

    There are 136, 300, 528, 820 and 1,176 different first to fifth blocks, as the order of a block's arms
    does not matter.

    >>> space = BlockSpace()
    >>> len(space.grow(None)), len(space.grow(space.grow(None)[0]))
    (136, 300)
    """

    progressions: Final[tuple[str, ...]] = ("blocks",)

    def __init__(self, blocks: int = 5) -> None:
        if blocks < 1:
            raise ValueError(f"a cell needs at least one block, not {blocks}")
        self.blocks = blocks
        layout = Layout(blocks, 4, len(CELL_INPUTS) + blocks - 1 + len(OPERATORS))
        nodes = len(CELL_INPUTS) + 3 * blocks + 1
        graph = Layout(nodes, 1 + nodes, _FIRST_LABEL + len(OPERATORS))
        self.layouts: Mapping[Code, Layout] = {"tokens": layout, "operations": layout, "graph": graph}
        self._vocabulary = layout.vocabulary
        self.decisions = tuple(
            options
            for place in range(blocks)
            for options in (len(CELL_INPUTS) + place,) * 2 + (len(OPERATORS),) * 2
        )

    def decide(self, choices: tuple[int, ...]) -> BlockCell:
        """The cell with the given inputs (two a block) and operators (two a block), block by block."""
        quads = [choices[place : place + 4] for place in range(0, len(choices), 4)]
        return BlockCell(tuple((Arm(i1, OPERATORS[o1]), Arm(i2, OPERATORS[o2])) for i1, i2, o1, o2 in quads))

    def sample(self, rng: np.random.Generator) -> BlockCell:
        """A cell of full size, each block drawn uniformly from all different ones."""
        pick = [_different(place)[int(rng.integers(len(_different(place))))] for place in range(self.blocks)]
        return BlockCell(tuple(pick))

    def mutate(self, cell: BlockCell, rng: np.random.Generator) -> BlockCell:
        """Change one input or one operator, each as likely as any other."""
        changes = self.neighbours(cell)
        return changes[int(rng.integers(len(changes)))]

    def neighbours(self, cell: BlockCell) -> tuple[BlockCell, ...]:
        """All cells that differ in one input or one operator of one arm, in a fixed order."""
        found: dict[BlockCell, None] = {}
        for place, block in enumerate(cell.blocks):
            for kept, (source, operator) in ((block[1], block[0]), (block[0], block[1])):
                others = [Arm(source, other) for other in OPERATORS if other != operator]
                others += [
                    Arm(other, operator) for other in range(len(CELL_INPUTS) + place) if other != source
                ]
                for arm in others:
                    changed = (*cell.blocks[:place], (kept, arm), *cell.blocks[place + 1 :])
                    found.setdefault(BlockCell(changed))
        return tuple(found)

    def level(self, cell: BlockCell, by: str = "blocks") -> int:
        """The number of blocks."""
        self._known(by)
        return len(cell.blocks)

    def grow(self, cell: BlockCell | None, by: str = "blocks") -> tuple[BlockCell, ...]:
        """The cell with every different block added; the one-block cells for None."""
        self._known(by)
        blocks = () if cell is None else cell.blocks
        if len(blocks) >= self.blocks:
            return ()
        return tuple(BlockCell((*blocks, block)) for block in _different(len(blocks)))

    def canonical(self, cell: BlockCell) -> str:
        """The multiset of what the blocks compute, each written out from the cell's inputs.

        Cells with the same text differ only in the order of blocks and arms.

        >>> space = BlockSpace()
        >>> one = BlockCell.parse("identity(h1)+identity(h2) | avg_pool_3x3(h1)+identity(h1)")
        >>> other = BlockCell.parse("avg_pool_3x3(h1)+identity(h1) | identity(h1)+identity(h2)")
        >>> space.canonical(one) == space.canonical(other)
        True
        """
        written = list(CELL_INPUTS)
        for block in cell.blocks:
            written.append("+".join(sorted(f"{operator}({written[source]})" for source, operator in block)))
        return " | ".join(sorted(written[len(CELL_INPUTS) :]))

    def is_connected(self, cell: BlockCell) -> bool:  # noqa: ARG002 - the question is the space's
        """True: every block reads the cell's inputs in the end, and all blocks are its output."""
        return True

    def features(self, cells: Sequence[BlockCell], code: Code = "tokens") -> NDArray[np.float64]:
        """Features of many cells, (cells, features).

        `tokens` and `operations`: the paper's four for each block, two inputs and two operators, see `layouts`.
        `one_hot`: those tokens, one-hot. `path`: how often each operator reads each input. `structure`: the latter
        two and the number of blocks. `graph`: see `nasgauge.spaces.graphs`; of cells of full size only.

        Raises ValueError for an unknown code.
        """
        if code not in _CODES:
            raise ValueError(f"unknown encoding {code!r}; choose from {', '.join(_CODES)}")
        if code == "graph":
            return np.array([flat(_nodes(cell)) for cell in cells])
        tokens = self._tokens(cells)
        if code in self.layouts:
            return tokens.astype(np.float64)
        one_hot = np.eye(self._vocabulary + 1)[tokens][..., 1:].reshape(len(cells), -1)
        if code == "one_hot":
            return one_hot
        inputs = len(CELL_INPUTS) + self.blocks - 1
        quads = tokens.reshape(len(cells), self.blocks, 4)
        counts = np.zeros((len(cells), inputs * len(OPERATORS)))
        rows, places = np.nonzero(quads[..., 0])
        for source, operator in ((0, 2), (1, 3)):
            there = quads[rows, places]
            pair = (there[:, source] - 1) * len(OPERATORS) + there[:, operator] - inputs - 1
            np.add.at(counts, (rows, pair), 1)
        if code == "path":
            return counts
        sizes = np.array([[len(cell.blocks)] for cell in cells], dtype=np.float64)
        return np.hstack([one_hot, counts, sizes])

    def _tokens(self, cells: Sequence[BlockCell]) -> NDArray[np.intp]:
        first_operator = len(CELL_INPUTS) + self.blocks  # tokens of inputs are 1 to this less 1
        place = _OPERATOR_PLACE
        rows = np.zeros((len(cells), 4 * self.blocks), dtype=np.intp)
        for row, cell in zip(rows, cells, strict=True):
            row[: 4 * len(cell.blocks)] = [
                token
                for (i1, o1), (i2, o2) in cell.blocks
                for token in (i1 + 1, i2 + 1, first_operator + place[o1], first_operator + place[o2])
            ]
        return rows

    def _known(self, by: str) -> None:
        if by not in self.progressions:
            raise ValueError(f"unknown progression {by!r}; choose from {', '.join(self.progressions)}")


def _nodes(cell: BlockCell) -> list[Node]:
    """The nodes of a cell's graph, and the output, into which all blocks lead."""
    arms = [(_OPERATOR_PLACE[operator], source) for block in cell.blocks for source, operator in block]
    nodes = of_arms(arms, inputs=len(CELL_INPUTS), first=_FIRST_LABEL)
    sums = [place for place, (label, _) in enumerate(nodes) if label == 1]
    return [*nodes, (_FIRST_LABEL + len(OPERATORS), sums)]


@cache
def _different(place: int) -> tuple[Block, ...]:
    """All blocks that may stand at a place (from 0), the order of arms aside."""
    return tuple(combinations_with_replacement(arms(place), 2))
