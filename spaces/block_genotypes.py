"""Genotypes of the DARTS search space (Liu et al., 2019: DARTS, section 2.1).

A genotype has a normal and a reduction cell. Each cell has four intermediate nodes with two inputs each.
"""

import ast
import re
from dataclasses import dataclass
from typing import Final

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
"""The seven operations of a genotype. The search also has `none`, which no genotype keeps."""

NODES: Final = 4
EDGES: Final = tuple((source, node) for node in range(2, 2 + NODES) for source in range(node))
"""The 14 edges (source, target) of a cell. Nodes 0 and 1 are the outputs of the two previous cells, c_(k-2) and c_(k-1)."""
EDGES_IN_CELL: Final = len(EDGES)

Arms = tuple[tuple[str, int], ...]


class InvalidGenotype(NasgaugeError, ValueError):
    """Raised for a text or arms that do not describe a genotype."""


@dataclass(frozen=True, slots=True)
class Genotype:
    """A normal and a reduction cell.

    `str(genotype)` is the format of the DARTS repository and of its successors. `Genotype.parse` is its inverse.
    The constructor raises InvalidGenotype.

    >>> one = (("sep_conv_3x3", 0), ("skip_connect", 1)) * 4
    >>> Genotype.parse(str(Genotype(one, one))) == Genotype(one, one)
    True
    """

    normal: Arms
    """Eight arms (operation, source node), two for each intermediate node in order."""
    reduce: Arms
    """The same for the reduction cell."""

    def __post_init__(self) -> None:
        for arms in (self.normal, self.reduce):
            if len(arms) != 2 * NODES:
                raise InvalidGenotype(f"a cell has {2 * NODES} arms, not {len(arms)}")
            for place, (operation, source) in enumerate(arms):
                if operation not in OPERATIONS:
                    raise InvalidGenotype(
                        f"unknown operation {operation!r}; choose from {', '.join(OPERATIONS)}"
                    )
                if not 0 <= source < 2 + place // 2:
                    raise InvalidGenotype(
                        f"arm {place} reads {source}; node {2 + place // 2} may read 0 to {1 + place // 2}"
                    )

    @classmethod
    def parse(cls, text: str) -> "Genotype":
        """Parse `Genotype(normal=[('op', input), …], normal_concat=…, reduce=[…], reduce_concat=…)`.

        Raises InvalidGenotype.

        >>> Genotype.parse("Genotype(normal=[], reduce=[])")
        Traceback (most recent call last):
        ...
        nasgauge.spaces.block_genotypes.InvalidGenotype: a cell has 8 arms, not 0
        """
        found = {name: re.search(rf"\b{name}=(\[[^\]]*\])", text) for name in ("normal", "reduce")}
        try:
            cells = {name: tuple(ast.literal_eval(match[1])) for name, match in found.items() if match}
            return cls(cells["normal"], cells["reduce"])
        except (KeyError, SyntaxError, TypeError) as error:
            raise InvalidGenotype(f"malformed genotype {text!r}; write it as {_EXAMPLE}") from error

    def __str__(self) -> str:
        concat = list(range(2, 2 + NODES))
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={concat}, "
            f"reduce={list(self.reduce)}, reduce_concat={concat})"
        )


_EXAMPLE: Final = "Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=…, reduce=[…], reduce_concat=…)"
