"""TE-NAS's search on the DARTS block space: operations first, then two inputs for each node."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from nasgauge.searchers.pruning import (
    Choices,
    Comparison,
    Judge,
    Removal,
    Round,
    Search,
    prune,
    rank,
    without,
)
from nasgauge.spaces import block_genotypes as genotypes


def prune_inputs(judge: Judge, choices: Choices, groups: Sequence[Sequence[int]], *, keep: int = 2) -> Round:
    """Keep `keep` input edges of each node, one group of edges after the other: the last stage on the DARTS space.

    Each edge of a group is removed alone, and the edges that rank last are kept. Kappa is compared with that of
    the network before the group; the released code compares with the network before the first group, which
    changes no more than the rounding.

    A round without any group to prune has NaN for kappa and regions.
    """
    clock = time.process_time()
    removed: list[Removal] = []
    first: Comparison | None = None
    for group in groups:
        candidates = [Removal(edge, operation) for edge in group for operation in choices[edge]]
        if len(candidates) <= keep:
            continue
        comparisons = judge(choices, [without(choices, removal) for removal in candidates])
        first = first or comparisons[0]
        for removal in rank(dict(zip(candidates, comparisons, strict=True)))[:-keep]:
            choices = without(choices, removal)
            removed.append(removal)
    return Round(
        kappa=float(np.mean(first.full_kappa)) if first else math.nan,
        regions=float(np.mean(first.full_regions)) if first else math.nan,
        removed=tuple(removed),
        seconds=time.process_time() - clock,
    )


DARTS_SUPERNET: Final[Choices] = (genotypes.OPERATIONS,) * (2 * genotypes.EDGES_IN_CELL)
"""The supernet at the start: the 14 edges of the normal cell, then those of the reduction cell."""

DARTS_GROUPS: Final = tuple(
    tuple(place + offset for place, (_, into) in enumerate(genotypes.EDGES) if into == node)
    for offset in (0, genotypes.EDGES_IN_CELL)
    for node in range(2, 2 + genotypes.NODES)
)
"""The input edges of each node of both cells."""

DARTS_BATCH: Final = 14
DARTS_PER_ROUND: Final = 3
"""Images of a kernel and operations removed per edge and round: the released code's settings for CIFAR-10.

For ImageNet it uses 24 images and 2 operations.
"""


def prune_darts(
    judge: Judge,
    start: Choices = DARTS_SUPERNET,
    *,
    done: Sequence[Round] = (),
    per_round: int = DARTS_PER_ROUND,
    on_round: Callable[[Round], None] | None = None,
) -> Search:
    """Search the DARTS space: prune to one operation for each edge, then to two input edges for each node.

    `done` are the first rounds of an interrupted search. The input edges are its last round.
    """
    search = prune(judge, start, done=done, per_round=per_round, on_round=on_round)
    last = prune_inputs(judge, search.choices, DARTS_GROUPS)
    if not last.removed:
        return search  # also its last round was done
    if on_round is not None:
        on_round(last)
    return Search(start=start, rounds=(*search.rounds, last))


def genotype_of(choices: Choices) -> genotypes.Genotype:
    """The genotype of choices with two input edges for each node."""
    arms = [
        [
            (operation, source)
            for mix, (source, _) in zip(cell, genotypes.EDGES, strict=True)
            for operation in mix
        ]
        for cell in (choices[: genotypes.EDGES_IN_CELL], choices[genotypes.EDGES_IN_CELL :])
    ]
    return genotypes.Genotype(tuple(arms[0]), tuple(arms[1]))
