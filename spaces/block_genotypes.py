"""Genotypes of the DARTS block space: two cells of four nodes with two inputs each (Liu et al., 2019: DARTS)."""

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
"""The seven operations; the eighth of the search, `none`, never stays."""

NODES: Final = 4
EDGES: Final = tuple((source, node) for node in range(2, 2 + NODES) for source in range(node))
"""The 14 edges (from, into) of a cell; 0 and 1 are the outputs of the cell before the last and of the last."""
EDGES_IN_CELL: Final = len(EDGES)

Arms = tuple[tuple[str, int], ...]


class InvalidGenotype(NasgaugeError, ValueError):
    """A text or arms that are no genotype."""


@dataclass(frozen=True, slots=True)
class Genotype:
    """A normal and a reduction cell; `str` gives the text that DARTS's followers exchange.

    >>> one = (("sep_conv_3x3", 0), ("skip_connect", 1)) * 4
    >>> Genotype.parse(str(Genotype(one, one))) == Genotype(one, one)
    True
    """

    normal: Arms
    """Eight arms (operation, input), two for each node in order."""
    reduce: Arms

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
        """Read `Genotype(normal=[('op', input), …], normal_concat=…, reduce=[…], reduce_concat=…)`.

        Raises InvalidGenotype.
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
