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
    """Leave each node `keep` of its input edges, one group of edges after the other (the DARTS space's end).

    Every edge of a group is taken away alone; those that rank last stay. Kappa is compared with the network
    as it is before the group; the public code compares with the one before the first group, which differs
    in rounding alone.
    """
    clock = time.perf_counter()
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
        choices=choices,
        seconds=time.perf_counter() - clock,
    )


DARTS_SUPERNET: Final[Choices] = (genotypes.OPERATIONS,) * (2 * genotypes.EDGES_IN_CELL)
"""Where the search of the DARTS space starts: the normal cell's 14 edges, then the reduction cell's."""

DARTS_GROUPS: Final = tuple(
    tuple(place + offset for place, (_, into) in enumerate(genotypes.EDGES) if into == node)
    for offset in (0, genotypes.EDGES_IN_CELL)
    for node in range(2, 2 + genotypes.NODES)
)
"""The edges into each node of both cells."""

DARTS_BATCH: Final = 14
DARTS_PER_ROUND: Final = 3
"""The public code's settings for CIFAR-10; for ImageNet 24 images and 2 operations a round."""


def prune_darts(
    judge: Judge,
    start: Choices = DARTS_SUPERNET,
    *,
    per_round: int = DARTS_PER_ROUND,
    on_round: Callable[[Round], None] | None = None,
) -> Search:
    """Search the DARTS block space: operations first, until one an edge; then two inputs for each node."""
    search = prune(judge, start, per_round=per_round, on_round=on_round)
    last = prune_inputs(judge, search.choices, DARTS_GROUPS)
    if on_round is not None:
        on_round(last)
    return Search(rounds=(*search.rounds, last))


def genotype_of(choices: Choices) -> genotypes.Genotype:
    """The genotype that a search of the DARTS space ended in."""
    arms = [
        [
            (operation, source)
            for mix, (source, _) in zip(cell, genotypes.EDGES, strict=True)
            for operation in mix
        ]
        for cell in (choices[: genotypes.EDGES_IN_CELL], choices[genotypes.EDGES_IN_CELL :])
    ]
    return genotypes.Genotype(tuple(arms[0]), tuple(arms[1]))
