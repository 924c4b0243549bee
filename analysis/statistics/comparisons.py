"""Comparison of two searchers: unpaired tests, effect sizes, and the runs needed to detect a difference.

Arrays in, numbers out. Nothing here pairs runs, and the two groups may differ in size. Runs of two searchers with the same seed
begin with the same generator, so they may be positively correlated; the tests are conservative then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from string import ascii_letters
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from nasgauge.analysis.statistics.runs import FEW, expanded_tails, resampled_means, sd

Array = NDArray[np.float64]

LEAST: Final = 10
"""Runs that each group must have for a p value."""
ASYMPTOTIC: Final = 30
"""Runs from which on the rank test's p value is Student's approximation."""
PERMUTATIONS: Final = 19_999
RANK_TEST_EFFICIENCY: Final = 3 / np.pi
"""Asymptotic relative efficiency of rank tests to the t test for normal data (Hodges and Lehmann, 1956)."""


@dataclass(frozen=True)
class Comparison:
    """A group of runs against another, independent one."""

    n: int
    """Runs of the first group."""
    n_against: int
    difference: float
    """Mean of the first group less that of the second, percentage points."""
    error: float
    """Standard error of the difference; NaN with fewer than two runs in a group, as the next four."""
    low: float
    """Lower end of the difference's 95 % interval, corrected for the family; see `corrected_interval`."""
    high: float
    single_low: float
    """Lower end of its 95 % bootstrap interval as if it were the only comparison."""
    single_high: float
    p: float
    """Of the two-sided Brunner-Munzel test; NaN with fewer than `LEAST` runs in a group."""
    a12: float
    """Probability of improvement (Vargha-Delaney A12)."""
    a12_low: float
    """Lower end of its 95 % interval, corrected for the family by Bonferroni."""
    a12_high: float
    seeds: float
    """Runs of each searcher that detect the observed difference; see `seeds_needed`."""


def compare(ours: Array, theirs: Array, rng: np.random.Generator, *, family: int = 1) -> Comparison:
    """Compare the final accuracies of two groups of runs, one run or more each, as one of `family` comparisons."""
    difference = float(ours.mean() - theirs.mean())
    error, single_low, single_high = difference_interval(ours, theirs, rng)
    low, high = corrected_interval(ours, theirs, family)
    effect, least, most = a12_interval(ours, theirs, level=1 - 0.05 / family)
    return Comparison(
        n=len(ours),
        n_against=len(theirs),
        difference=difference,
        error=error,
        low=low,
        high=high,
        single_low=single_low,
        single_high=single_high,
        p=rank_p(ours, theirs),
        a12=effect,
        a12_low=least,
        a12_high=most,
        seeds=seeds_needed(ours, theirs, difference),
    )


def difference_interval(
    ours: Array, theirs: Array, rng: np.random.Generator, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Standard error of the difference of two means, and its bootstrap interval; NaN below two runs.

    Each group is resampled on its own; the percentiles are expanded for the smaller one. With fewer than `FEW` runs in a
    group it is Welch's t interval.

    >>> difference_interval(np.ones(5), np.zeros(4), np.random.default_rng(0))
    (0.0, 1.0, 1.0)
    """
    least = min(len(ours), len(theirs))
    if least < 2:
        return (float("nan"),) * 3
    error = np.hypot(sd(ours) / np.sqrt(len(ours)), sd(theirs) / np.sqrt(len(theirs)))
    if least < FEW:
        return float(error), *corrected_interval(ours, theirs, 1, level=level)
    drawn = (resampled_means(ours[:, None], rng) - resampled_means(theirs[:, None], rng))[:, 0]
    low, high = np.quantile(drawn, expanded_tails(least, level))
    return float(error), float(low), float(high)


def corrected_interval(ours: Array, theirs: Array, tests: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two means, one of a family of `tests` that all hold at once with `level`.

    Welch's t interval at Bonferroni's level: a bootstrap of 2,000 has no quantiles that far out. NaN with fewer
    than two runs in a group.

    >>> [round(end, 2) for end in corrected_interval(np.array([1.0, 2.0, 3.0]), np.zeros(3), 1)]
    [-0.48, 4.48]
    """
    if min(len(ours), len(theirs)) < 2:
        return float("nan"), float("nan")
    difference = float(ours.mean() - theirs.mean())
    if sd(ours) == sd(theirs) == 0:
        return difference, difference
    squares = np.array([sd(ours) ** 2 / len(ours), sd(theirs) ** 2 / len(theirs)])
    freedom = squares.sum() ** 2 / (squares**2 / (len(ours) - 1, len(theirs) - 1)).sum()
    half = stats.t.ppf(1 - (1 - level) / max(tests, 1) / 2, freedom) * np.sqrt(squares.sum())
    return difference - float(half), difference + float(half)


def one_sample_p(ours: Array, mean: float) -> float:
    """Two-sided p value of Student's t test that runs have a known mean; NaN with fewer than `LEAST` runs.

    >>> one_sample_p(np.arange(10.0), 4.5)
    1.0
    """
    if len(ours) < LEAST:
        return float("nan")
    return float(ours.mean() == mean) if sd(ours) == 0 else float(stats.ttest_1samp(ours, mean).pvalue)


def letters(order: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: two share a letter unless they are different.

    Insertion and absorption (Piepho, 2004, "An algorithm for a letter-based representation of all-pairwise
    comparisons"). `order`: best first, for the letters' order.

    >>> letters(["x", "y", "z"], [("x", "z")])
    {'x': 'a', 'y': 'ab', 'z': 'b'}
    """
    groups = [frozenset(order)]
    for one, other in different:
        split = [part - {name} if {one, other} <= part else part for part in groups for name in (one, other)]
        distinct = list(dict.fromkeys(split))
        groups = [part for part in distinct if not any(part < larger for larger in distinct)]
    places = {name: place for place, name in enumerate(order)}
    groups.sort(key=lambda part: sorted(places[name] for name in part))
    return {name: "".join(_letter(n) for n, part in enumerate(groups) if name in part) for name in order}


def _letter(place: int) -> str:
    """a to z, then A to Z, then a2 and so on."""
    turn, place = divmod(place, len(ascii_letters))
    return ascii_letters[place] + (str(turn + 1) if turn else "")


def rank_p(ours: Array, theirs: Array) -> float:
    """Two-sided p value of the Brunner-Munzel test that neither group tends to be higher.

    Unlike the Mann-Whitney test it does not take equal spreads for granted. NaN with fewer than `LEAST` runs
    in a group. With fewer than `ASYMPTOTIC` it is a permutation test, whose smallest p is 1 in 10,000 unless
    no run of one group reaches any of the other: Student's approximation gives too small values far out, where
    a correction for many comparisons looks.

    >>> rank_p(np.arange(10.0), np.arange(10.0) + 0.5) > 0.5, rank_p(np.arange(9.0), np.arange(10.0))
    (True, nan)
    """
    least = min(len(ours), len(theirs))
    if least < LEAST:
        return float("nan")
    if np.ptp(np.concatenate([ours, theirs])) == 0:
        return 1.0
    if a12(ours, theirs) in (0.0, 1.0):
        return 2 / comb(len(ours) + len(theirs), len(ours))
    return (
        _permuted_p(ours, theirs) if least < ASYMPTOTIC else float(stats.brunnermunzel(ours, theirs).pvalue)
    )


def _permuted_p(ours: Array, theirs: Array) -> float:
    """The permutation test with Brunner and Munzel's statistic (Neubert and Brunner, 2007).

    The permutations come from a generator of their own: p depends on the runs alone.
    """
    order = np.argsort(np.concatenate([ours, theirs]), kind="stable")
    values = np.concatenate([ours, theirs])[order]
    first, last = (np.searchsorted(values, values, side=side) for side in ("left", "right"))

    def statistic(labels: NDArray[np.bool_]) -> Array:
        """Of each row of labels in the order of the values, True for one of ours, (rows, runs)."""
        means, spread = [], np.zeros(len(labels))
        for group in (labels, ~labels):
            others = np.zeros((len(labels), len(values) + 1), np.float32)
            np.cumsum(~group, axis=1, out=others[:, 1:])
            below = ((others[:, first] + others[:, last]) / 2)[group].reshape(len(labels), -1)  # a tie: half
            means.append(below.mean(axis=1) / (len(values) - below.shape[1]))
            spread += below.shape[1] * below.var(axis=1, ddof=1)
        found: Array = (means[0] - means[1]) / np.sqrt(np.maximum(spread, 1e-6))
        return found

    seen = statistic((order < len(ours))[None])[0]
    null = statistic(_permutations(len(ours), len(theirs)))
    tail = min((null >= seen - 1e-6).sum(), (null <= seen + 1e-6).sum())
    return min(1.0, 2 * (float(tail) + 1) / (PERMUTATIONS + 1))


@lru_cache(maxsize=8)
def _permutations(ours: int, theirs: int) -> NDArray[np.bool_]:
    """Which of the sorted runs are ours, (PERMUTATIONS, runs)."""
    labels = np.tile(np.arange(ours + theirs) < ours, (PERMUTATIONS, 1))
    return np.random.default_rng(0).permuted(labels, axis=1)


def holm(p: Array) -> Array:
    """Holm's correction of a family of p values, (tests,); NaN stays NaN and is not counted.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).round(3).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    corrected = np.full_like(p, np.nan)
    known = ~np.isnan(p)
    if known.any():
        corrected[known] = multipletests(p[known], method="holm")[1]
    return corrected


def a12(ours: Array, theirs: Array) -> float:
    """Probability that one of ours is higher than one of theirs, a tie counting half; any lengths.

    Vargha and Delaney (2000): the probability of improvement.

    >>> a12(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    0.625
    """
    ordered = np.sort(theirs)
    below = np.searchsorted(ordered, ours, side="left")
    not_above = np.searchsorted(ordered, ours, side="right")
    return float((below + not_above).mean() / (2 * len(theirs)))


def a12_interval(ours: Array, theirs: Array, *, level: float = 0.95) -> tuple[float, float, float]:
    """A12 and its interval by method 5 of Newcombe (2006), which has a width at 0 and at 1 too.

    The interval holds every probability whose own standard error (Hanley and McNeil, 1982) explains the
    observed one.

    >>> [round(end, 3) for end in a12_interval(np.ones(10), np.zeros(10))]
    [1.0, 0.8, 1.0]
    """
    m, n = len(ours), len(theirs)
    value = a12(ours, theirs)
    z = stats.norm.ppf((1 + level) / 2)
    extra = (m + n) / 2 - 1

    def beyond(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return float((theta - value) ** 2 - z**2 * theta * (1 - theta) * spread / (m * n))

    low = 0.0 if value == 0 else float(optimize.brentq(beyond, 0.0, value - 1e-9))
    high = 1.0 if value == 1 else float(optimize.brentq(beyond, value + 1e-9, 1.0))
    return value, low, high


def seeds_needed(
    ours: Array, theirs: Array, target: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Runs of each of two searchers after which a rank test detects a difference of `target` points.

    From the spread within the observed groups, by the power of the unpaired t test and the asymptotic
    efficiency of rank tests: an estimate for planning, never below `LEAST`. Infinite for a target of zero,
    NaN where the spread is zero or unknown.

    >>> seeds_needed(np.array([-1.0, 0.0, 1.0] * 20), np.array([-1.0, 0.0, 1.0] * 20), 0.5)
    46.0
    """
    if min(len(ours), len(theirs)) < 2:
        return float("nan")
    spread = float(np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2))
    if spread == 0:
        return float("nan")
    size = abs(target) / spread
    if size < 1e-4:
        return float("inf")
    if size > 3:  # beyond what the solver takes
        return float(LEAST)
    runs = TTestIndPower().solve_power(effect_size=size, alpha=alpha, power=power)
    return float(max(np.ceil(float(np.squeeze(runs)) / RANK_TEST_EFFICIENCY), LEAST))


def critical_difference(searchers: int, datasets: int, *, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks over datasets (Demšar, 2006, section 3.2.2).

    >>> round(critical_difference(3, 3), 2)
    1.91
    """
    q = stats.studentized_range.ppf(1 - alpha, searchers, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(searchers * (searchers + 1) / (6 * datasets)))
