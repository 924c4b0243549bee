"""The space of DARTS: a normal and a reduction cell of four nodes with two inputs each (Liu et al., 2019, section 2.1)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.block_genotypes import NODES, OPERATIONS, Arms, Genotype
from nasgauge.spaces.features import Code, Layout
from nasgauge.spaces.graphs import Node, flat, of_arms

_SOURCES: Final = NODES + 1
"""Nodes that an arm may read: two inputs and all nodes but the last."""
_PAIRS: Final = tuple(tuple(combinations(range(2 + node), 2)) for node in range(NODES))
"""For each node, the pairs of earlier nodes that it may read."""
_CELL_NODES: Final = 2 + 3 * NODES
"""Of the graph of one cell: two inputs, and two arms and a sum for each node."""
_LABELS: Final = 3 + len(OPERATIONS)
"""Of the nodes of one cell: a sum, two inputs, the operations."""
_CODES: Final = ("one_hot", "path", "tokens", "operations", "structure", "graph")


class GenotypeSpace:
    """Genotypes whose nodes read two different earlier nodes: about 1.1e18.

    A decision is the pair of nodes that a node reads, or one of its two operations. There is no way to grow.

    >>> space = GenotypeSpace()
    >>> len(space.decisions), len(space.neighbours(space.decide((0,) * 24)))
    (24, 128)
    """

    progressions: Final[tuple[str, ...]] = ()
    decisions: Final[tuple[int, ...]] = 2 * tuple(
        options for pairs in _PAIRS for options in (len(pairs), len(OPERATIONS), len(OPERATIONS))
    )

    def __init__(self) -> None:
        layout = Layout(2 * NODES, 4, _SOURCES + len(OPERATIONS))
        nodes = 2 * _CELL_NODES + 1
        graph = Layout(nodes, 1 + nodes, 2 * _LABELS + 1)
        self.layouts: Mapping[Code, Layout] = {"tokens": layout, "operations": layout, "graph": graph}

    def decide(self, choices: tuple[int, ...]) -> Genotype:
        """The genotype with the given pair of inputs and two operations of each node, normal cell first."""
        cells: list[Arms] = []
        for half in (choices[: 3 * NODES], choices[3 * NODES :]):
            arms: list[tuple[str, int]] = []
            for node, pairs in enumerate(_PAIRS):
                pair, one, other = half[3 * node : 3 * node + 3]
                first, second = pairs[pair]
                arms += [(OPERATIONS[one], first), (OPERATIONS[other], second)]
            cells.append(tuple(arms))
        return Genotype(cells[0], cells[1])

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A genotype drawn uniformly."""
        return self.decide(tuple(int(rng.integers(options)) for options in self.decisions))

    def mutate(self, cell: Genotype, rng: np.random.Generator) -> Genotype:
        """Change one decision, drawn uniformly, to another option, drawn uniformly."""
        choices = list(self._choices(cell))
        changeable = [place for place, options in enumerate(self.decisions) if options > 1]
        place = changeable[int(rng.integers(len(changeable)))]
        shift = 1 + int(rng.integers(self.decisions[place] - 1))
        choices[place] = (choices[place] + shift) % self.decisions[place]
        return self.decide(tuple(choices))

    def neighbours(self, cell: Genotype) -> tuple[Genotype, ...]:
        """All genotypes that differ in one decision, in a fixed order."""
        choices = self._choices(cell)
        return tuple(
            self.decide((*choices[:place], other, *choices[place + 1 :]))
            for place, options in enumerate(self.decisions)
            for other in range(options)
            if other != choices[place]
        )

    def level(self, cell: Genotype, by: str) -> int:  # noqa: ARG002
        """Raises ValueError: there is no way to grow."""
        raise ValueError(_FULL)

    def grow(self, cell: Genotype | None, by: str) -> tuple[Genotype, ...]:  # noqa: ARG002
        """Raises ValueError: there is no way to grow."""
        raise ValueError(_FULL)

    def is_connected(self, cell: Genotype) -> bool:  # noqa: ARG002 - the question is the space's
        """True: every node reads the inputs in the end, and all nodes are the output."""
        return True

    def canonical(self, cell: Genotype) -> str:
        """For each cell, the multiset of what its nodes compute, written out from the inputs.

        Genotypes with the same text differ only in the order of nodes and arms.
        """
        texts = []
        for arms in (cell.normal, cell.reduce):
            written = ["0", "1"]
            for one, other in zip(arms[::2], arms[1::2], strict=True):
                written.append(
                    "+".join(sorted(f"{name}({written[source]})" for name, source in (one, other)))
                )
            texts.append(" | ".join(sorted(written[2:])))
        return " || ".join(texts)

    def features(self, cells: Sequence[Genotype], code: Code = "tokens") -> NDArray[np.float64]:
        """Features of many genotypes, (genotypes, features).

        `tokens` and `operations`: for each node, two inputs and two operations, see `layouts`. `one_hot`: those, one-hot.
        `path`: how often each operation reads each node, in either cell. `structure`: the latter two. `graph`: see
        `nasgauge.spaces.graphs`; both cells side by side, with labels of their own, lead into one output.

        Raises ValueError for an unknown code.
        """
        if code not in _CODES:
            raise ValueError(f"unknown encoding {code!r}; choose from {', '.join(_CODES)}")
        if code == "graph":
            return np.array([flat(_graph_nodes(cell)) for cell in cells])
        quads = np.array([_quads(cell) for cell in cells], dtype=np.intp).reshape(len(cells), 2 * NODES, 4)
        if code in self.layouts:
            return quads.reshape(len(cells), -1).astype(np.float64)
        vocabulary = self.layouts["tokens"].vocabulary
        one_hot = np.eye(vocabulary + 1)[quads.reshape(len(cells), -1)][..., 1:].reshape(len(cells), -1)
        if code == "one_hot":
            return one_hot
        counts = np.zeros((len(cells), 2, _SOURCES, len(OPERATIONS)))
        rows, nodes = np.indices((len(cells), 2 * NODES))
        for source, operation in ((0, 2), (1, 3)):
            place = (rows, nodes // NODES, quads[..., source] - 1, quads[..., operation] - 1 - _SOURCES)
            np.add.at(counts, place, 1)
        read = counts.reshape(len(cells), -1)
        return read if code == "path" else np.hstack([one_hot, read])

    def _choices(self, cell: Genotype) -> tuple[int, ...]:
        choices: list[int] = []
        for arms in (cell.normal, cell.reduce):
            for pairs, one, other in zip(_PAIRS, arms[::2], arms[1::2], strict=True):
                (first, source), (second, last) = sorted((one, other), key=lambda arm: arm[1])
                choices += [pairs.index((source, last)), OPERATIONS.index(first), OPERATIONS.index(second)]
        return tuple(choices)


_FULL: Final = "genotypes do not grow; choose a searcher that is not progressive, or the space pnas or nb201"


def _quads(cell: Genotype) -> list[list[int]]:
    return [
        [1 + i1, 1 + i2, 1 + _SOURCES + OPERATIONS.index(o1), 1 + _SOURCES + OPERATIONS.index(o2)]
        for arms in (cell.normal, cell.reduce)
        for (o1, i1), (o2, i2) in zip(arms[::2], arms[1::2], strict=True)
    ]


def _graph_nodes(cell: Genotype) -> list[Node]:
    nodes: list[Node] = []
    for number, arms in enumerate((cell.normal, cell.reduce)):
        pairs = [(OPERATIONS.index(operation), source) for operation, source in arms]
        of_cell = of_arms(pairs, inputs=2, first=4, place=len(nodes))
        nodes += [(label + number * _LABELS, sources) for label, sources in of_cell]
    sums = [place for place, (label, _) in enumerate(nodes) if label in (1, 1 + _LABELS)]
    return [*nodes, (2 * _LABELS + 1, sums)]
