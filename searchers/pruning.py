"""TE-NAS's search: prune a supernet by trainability and expressivity, untrained (Chen et al., 2021).

The search knows no network: it is handed a `Judge` that says how the condition number of the tangent kernel
(kappa) and the number of linear regions change when one operation is taken away.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import numpy as np

from nasgauge.spaces.cells import OPERATIONS, Cell

K = TypeVar("K")

Choices = tuple[tuple[str, ...], ...]
"""For each edge, the operations that it still has."""

NB201_SUPERNET: Final[Choices] = (OPERATIONS[1:],) * 6
"""Where the search starts: `none` is taken away before the first round."""


class Comparison(NamedTuple):
    """A network and what is left of it, measured side by side; one figure for each repeat."""

    full_kappa: tuple[float, ...]
    kappa: tuple[float, ...]
    full_regions: tuple[float, ...]
    regions: tuple[float, ...]


Judge = Callable[[Choices, Sequence[Choices]], Sequence[Comparison]]
"""Compares a supernet with each of several smaller ones."""


class Removal(NamedTuple):
    """One operation of one edge."""

    edge: int
    operation: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a judge measures: TE-NAS's networks on a batch of images."""

    batch: int
    """Images of a kernel."""
    region_samples: int
    repeats: int = 3
    fresh_weights: bool
    """Draw the weights anew for each repeat (the paper), or only other images (the public code)."""
    kappa_initialisation: str
    region_initialisation: str


PRESETS: Final[Mapping[str, Settings]] = MappingProxyType(
    {
        "paper": Settings(
            batch=32,
            region_samples=5000,
            fresh_weights=True,
            kappa_initialisation="kaiming_fan_out",
            region_initialisation="kaiming_fan_in",
        ),
        "released": Settings(
            batch=72,
            region_samples=3000,
            fresh_weights=False,
            kappa_initialisation="default",
            region_initialisation="default",
        ),
    }
)
"""What the paper describes, and what the public code does: its initialisation is never applied."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of a search."""

    kappa: float
    """Of the supernet before the round, mean over repeats."""
    regions: float
    removed: tuple[Removal, ...]
    choices: Choices
    """What is left."""
    seconds: float
    """Measured."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A finished search and how it went."""

    rounds: tuple[Round, ...]

    @property
    def choices(self) -> Choices:
        """One operation for each edge."""
        return self.rounds[-1].choices

    @property
    def seconds(self) -> float:
        """What the search cost: measured seconds, for it spends no queries."""
        return sum(step.seconds for step in self.rounds)


def prune(
    judge: Judge,
    start: Choices = NB201_SUPERNET,
    *,
    per_round: int = 1,
    on_round: Callable[[Round], None] | None = None,
) -> Search:
    """Take `per_round` operations from every open edge in each round until each has one (algorithm 1).

    As in the public code: relative changes rounded to 3 decimals, their means sorted by 3 significant
    digits, equal means share a rank, and what prunes best for kappa goes first among equal sums of ranks.
    """
    rounds: list[Round] = []
    choices = start
    while any(len(operations) > 1 for operations in choices):
        clock = time.perf_counter()
        candidates = [
            Removal(edge, operation)
            for edge, operations in enumerate(choices)
            if len(operations) > 1
            for operation in operations
        ]
        comparisons = judge(choices, [without(choices, removal) for removal in candidates])
        count = min(per_round, min(len(operations) for operations in choices if len(operations) > 1) - 1)
        taken: dict[int, list[Removal]] = {}
        for removal in rank(dict(zip(candidates, comparisons, strict=True))):
            of_edge = taken.setdefault(removal.edge, [])
            if len(of_edge) < count:
                of_edge.append(removal)
        removed = tuple(removal for edge in sorted(taken) for removal in taken[edge])
        for removal in removed:
            choices = without(choices, removal)
        rounds.append(
            Round(
                kappa=float(np.mean(comparisons[0].full_kappa)),
                regions=float(np.mean(comparisons[0].full_regions)),
                removed=removed,
                choices=choices,
                seconds=time.perf_counter() - clock,
            )
        )
        if on_round is not None:
            on_round(rounds[-1])
    return Search(rounds=tuple(rounds))


def rank(comparisons: Mapping[K, Comparison]) -> list[K]:
    """What to prune, best first: by the sum of two ranks.

    First in kappa is whose loss lowers kappa most, first in regions whose loss costs fewest regions. A
    change that is not a number (a kernel without rank) comes last.

    >>> better = Comparison((100.0,), (50.0,), (40.0,), (40.0,))
    >>> worse = Comparison((100.0,), (90.0,), (40.0,), (20.0,))
    >>> rank({"a": worse, "b": better})
    ['b', 'a']
    """
    kappa = {key: _change(c.full_kappa, c.kappa, -np.inf) for key, c in comparisons.items()}
    regions = {key: _change(c.full_regions, c.regions, np.inf) for key, c in comparisons.items()}
    by_kappa = sorted(kappa, key=lambda key: -_significant(kappa[key]))
    by_regions = sorted(regions, key=lambda key: _significant(regions[key]))
    kappa_rank, region_rank = _dense(by_kappa, kappa), _dense(by_regions, regions)
    return sorted(by_kappa, key=lambda key: kappa_rank[key] + region_rank[key])


def without(choices: Choices, removal: Removal) -> Choices:
    """The choices less one operation."""
    left = tuple(operation for operation in choices[removal.edge] if operation != removal.operation)
    return (*choices[: removal.edge], left, *choices[removal.edge + 1 :])


def cell_of(choices: Choices) -> Cell:
    """The cell that a search of NAS-Bench-201 ended in."""
    return Cell(tuple(operation for (operation,) in choices))


def _change(full: Sequence[float], pruned: Sequence[float], undefined: float) -> float:
    with np.errstate(all="ignore"):
        changes = (np.array(full) - np.array(pruned)) / np.array(full)
    mean = float(np.mean([round(float(change), 3) for change in changes]))
    return undefined if np.isnan(mean) else mean


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def _dense(ordered: Sequence[K], values: Mapping[K, float]) -> dict[K, int]:
    ranks: dict[K, int] = {}
    place = 0
    for before, key in zip([None, *ordered], ordered, strict=False):
        if before is not None and values[key] != values[before]:
            place += 1
        ranks[key] = place
    return ranks
