"""Cells as graphs whose nodes are operations, the code `graph`: for each node its label, and which nodes feed it.

A row of features is (nodes, 1 + nodes): a label from 1, then 1 for every node that leads into this one, else 0.
Graphs of a space have the same number of nodes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Node = tuple[int, Sequence[int]]
"""A label from 1, and the places of the nodes that lead into it."""


def flat(nodes: Sequence[Node]) -> NDArray[np.float64]:
    """One graph as a row of features, (nodes * (1 + nodes),).

    >>> flat([(1, ()), (3, (0,))]).tolist()
    [1.0, 0.0, 0.0, 3.0, 1.0, 0.0]
    """
    row = np.zeros((len(nodes), 1 + len(nodes)))
    for place, (label, sources) in enumerate(nodes):
        row[place, 0] = label
        row[place, [1 + source for source in sources]] = 1
    return row.reshape(-1)


def of_arms(arms: Sequence[tuple[int, int]], *, inputs: int, first: int, place: int = 0) -> list[Node]:
    """The nodes of a cell whose steps are sums of two arms: inputs, then for each step two arms and their sum.

    `arms`: (operation, source) of each arm, two a step; a source is an input or, from `inputs` on, an earlier
    step. Labels: 1 for a sum, 2 on for the inputs, `first` on for the operations. `place`: nodes before these.

    >>> of_arms([(0, 0), (1, 1)], inputs=2, first=4)
    [(2, ()), (3, ()), (4, (0,)), (5, (1,)), (1, (2, 3))]
    """
    nodes: list[Node] = [(2 + number, ()) for number in range(inputs)]

    def node_of(source: int) -> int:
        return place + (source if source < inputs else inputs + 3 * (source - inputs) + 2)

    for operation, source in arms:
        nodes.append((first + operation, (node_of(source),)))
        if len(nodes) % 3 == (inputs + 2) % 3:
            nodes.append((1, (place + len(nodes) - 2, place + len(nodes) - 1)))
    return nodes
