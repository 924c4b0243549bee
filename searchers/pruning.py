"""TE-NAS: prune an untrained supernet by trainability and expressivity (Chen et al., 2021, algorithm 1).

The search is independent of any network library. A `Judge` measures how the condition number of the neural
tangent kernel (kappa) and the number of linear regions change when one operation is removed;
`nasgauge.harness.proxies.judge.Judge` does so with PyTorch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.cells import OPERATIONS, Cell
from nasgauge.spaces.errors import NasgaugeError

K = TypeVar("K")

Choices = tuple[tuple[str, ...], ...]
"""The operations that each edge still has."""

NB201_SUPERNET: Final[Choices] = (OPERATIONS[1:],) * 6
"""The supernet at the start of a search: `none` is removed before the first round, as in the released code."""


class UnknownRule(NasgaugeError, ValueError):
    """The name of a rule that does not exist."""


class Comparison(NamedTuple):
    """Kappa and linear regions of a supernet and of a smaller one; one value for each repeat."""

    full_kappa: tuple[float, ...]
    """Of the supernet."""
    kappa: tuple[float, ...]
    """Of the smaller one."""
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
    """How a judge measures kappa and the number of linear regions."""

    batch: int
    """Images in the batch of the tangent kernel."""
    region_samples: int
    """Crops of 3 x 3 pixels and one channel on which activation patterns are counted."""
    repeats: int = 3
    """Repetitions of each measurement."""
    fresh_weights: bool
    """Draw new weights for each repeat (the paper), or new images alone (the released code)."""
    kappa_initialisation: str
    """Initialisation of the kernel's network, by its name in `nasgauge.harness.network.initialise`."""
    region_initialisation: str
    """Initialisation of the network whose regions are counted."""


PRESETS: Final[Mapping[str, Settings]] = MappingProxyType(
    {
        "released-paper-settings": Settings(
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
"""Settings by name. Both are run by the algorithm of the released code (github.com/VITA-Group/TENAS).

- `released-paper-settings`: a mixture, the algorithm of the released code with batch, samples, repeats and Kaiming
  initialisation as the paper prints them (appendix A). Algorithm 1 of the paper ranks absolute changes of kappa and
  regions (the rule `absolute`), the released code relative changes rounded to 3 decimals, with shared ranks; the
  paper keeps `none` among the operations, the released code removes it first.
- `released`: the settings of the released code as it runs. Its Kaiming initialisation is never applied (its
  launcher and its initialiser disagree on a name), so PyTorch's default initialisation is used, and repeats do not
  draw new weights.
"""


RULES: Final = ("rank-sum", "kappa", "regions", "min-rank", "max-rank", "raw-sum", "absolute")
"""How the changes of kappa and regions are joined into one order of removal; see `rank`."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of a search."""

    kappa: float
    """Condition number of the supernet before the round, mean over repeats."""
    regions: float
    """Linear regions of the supernet before the round, mean over repeats."""
    removed: tuple[Removal, ...]
    """The operations that the round removes, in order of edges."""
    seconds: float
    """CPU seconds of this process during the round, all threads together (`time.process_time`).

    Unlike wall seconds they hardly change on a busy machine. Time on an accelerator is not in them.
    """


@dataclass(frozen=True, kw_only=True)
class Search:
    """A finished search."""

    start: Choices
    """The supernet before the first round."""
    rounds: tuple[Round, ...]

    @property
    def states(self) -> tuple[Choices, ...]:
        """The supernet at the start and after each round."""
        states = [self.start]
        for step in self.rounds:
            states.append(reduce(without, step.removed, states[-1]))
        return tuple(states)

    @property
    def choices(self) -> Choices:
        """The operations left at the end: one for each edge."""
        return self.states[-1]

    @property
    def seconds(self) -> float:
        """CPU seconds of all rounds: the whole cost of the search, which trains and queries nothing."""
        return sum(step.seconds for step in self.rounds)


def prune(
    judge: Judge,
    start: Choices = NB201_SUPERNET,
    *,
    done: Sequence[Round] = (),
    per_round: int = 1,
    rule: str = "rank-sum",
    on_round: Callable[[Round], None] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> Search:
    """Remove `per_round` operations from every undecided edge, round by round, until each edge has one.

    Algorithm 1 of Chen et al. (2021) as the released code implements it. `rule` is one of `RULES`, which `rank`
    describes. `done` are the first rounds of an interrupted search, which goes on after them. `on_round` is called after
    each round. `clock` gives the CPU seconds that are charged to the rounds.

    Raises UnknownRule.
    """
    rounds = list(done)
    choices = Search(start=start, rounds=tuple(done)).choices
    while any(len(operations) > 1 for operations in choices):
        start_of_round = clock()
        candidates = [
            Removal(edge, operation)
            for edge, operations in enumerate(choices)
            if len(operations) > 1
            for operation in operations
        ]
        comparisons = judge(choices, [without(choices, removal) for removal in candidates])
        count = min(per_round, min(len(operations) for operations in choices if len(operations) > 1) - 1)
        taken: dict[int, list[Removal]] = {}
        for removal in rank(dict(zip(candidates, comparisons, strict=True)), rule):
            of_edge = taken.setdefault(removal.edge, [])
            if len(of_edge) < count:
                of_edge.append(removal)
        removed = tuple(removal for edge in sorted(taken) for removal in taken[edge])
        choices = reduce(without, removed, choices)
        rounds.append(
            Round(
                kappa=float(np.mean(comparisons[0].full_kappa)),
                regions=float(np.mean(comparisons[0].full_regions)),
                removed=removed,
                seconds=clock() - start_of_round,
            )
        )
        if on_round is not None:
            on_round(rounds[-1])
    return Search(start=start, rounds=tuple(rounds))


def rank(comparisons: Mapping[K, Comparison], rule: str = "rank-sum") -> list[K]:
    """Sort removals: first what should be removed first.

    The removal that lowers kappa most is first in one ranking, the one that loses fewest regions first in the
    other. As in the released code, relative changes are rounded to 3 decimals, their means over repeats sorted by
    3 significant digits, and equal means share a rank. Equal values of a rule keep the order of kappa. An undefined
    change (NaN) is ranked last; an infinite kappa, of a kernel without full rank, counts as the largest float, as there.

    The rules are those of tables 4 and 5 of Chen et al. (2021), and algorithm 1 as printed:

    - `rank-sum`: the sum of the two ranks, TE-NAS itself.
    - `kappa`, `regions`: one ranking alone.
    - `min-rank`, `max-rank`: the smaller or the larger of the two ranks.
    - `raw-sum`: relative loss of regions minus relative decrease of kappa.
    - `absolute`: the sum of two ranks by absolute changes, neither rounded nor shared.

    Raises UnknownRule.

    >>> better = Comparison((100.0,), (50.0,), (40.0,), (40.0,))
    >>> worse = Comparison((100.0,), (90.0,), (40.0,), (20.0,))
    >>> rank({"a": worse, "b": better})
    ['b', 'a']
    """
    if rule not in RULES:
        raise UnknownRule(f"unknown rule {rule!r}; choose from {', '.join(RULES)}")
    exact = rule == "absolute"
    change = _absolute if exact else _relative
    kappa = {key: _defined(change(c.full_kappa, c.kappa), -np.inf) for key, c in comparisons.items()}
    regions = {key: _defined(change(c.full_regions, c.regions), np.inf) for key, c in comparisons.items()}
    digits = float if exact else _significant
    by_kappa = sorted(kappa, key=lambda key: -digits(kappa[key]))
    by_regions = sorted(regions, key=lambda key: digits(regions[key]))
    ranks = _places if exact else _dense
    kappa_rank, region_rank = ranks(by_kappa, kappa), ranks(by_regions, regions)
    scores: Mapping[str, Callable[[K], float]] = {
        "kappa": lambda key: kappa_rank[key],
        "regions": lambda key: region_rank[key],
        "min-rank": lambda key: min(kappa_rank[key], region_rank[key]),
        "max-rank": lambda key: max(kappa_rank[key], region_rank[key]),
        "raw-sum": lambda key: regions[key] - kappa[key],
    }
    return sorted(by_kappa, key=scores.get(rule, lambda key: kappa_rank[key] + region_rank[key]))


def without(choices: Choices, removal: Removal) -> Choices:
    """The choices without one operation of one edge."""
    left = tuple(operation for operation in choices[removal.edge] if operation != removal.operation)
    return (*choices[: removal.edge], left, *choices[removal.edge + 1 :])


def cell_of(choices: Choices) -> Cell:
    """The NAS-Bench-201 cell of choices with one operation for each edge."""
    return Cell(tuple(operation for (operation,) in choices))


def _relative(full: Sequence[float], pruned: Sequence[float]) -> list[float]:
    with np.errstate(all="ignore"):
        return [round(float(change), 3) for change in _differences(full, pruned) / _finite(full)]


def _absolute(full: Sequence[float], pruned: Sequence[float]) -> list[float]:
    with np.errstate(all="ignore"):
        return [float(change) for change in _differences(full, pruned)]


def _differences(full: Sequence[float], pruned: Sequence[float]) -> NDArray[np.float64]:
    return _finite(full) - _finite(pruned)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Infinite ones become the largest float, as in TE-NAS's public code: leaving an infinite kappa ranks first."""
    return np.nan_to_num(np.array(values, np.float64), nan=np.nan)


def _defined(changes: Sequence[float], undefined: float) -> float:
    """The mean over repeats."""
    mean = float(np.mean(changes))
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


def _places(ordered: Sequence[K], _values: Mapping[K, float]) -> dict[K, int]:
    return {key: place for place, key in enumerate(ordered)}
