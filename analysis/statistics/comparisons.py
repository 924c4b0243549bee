"""Is one searcher better than another: tests of runs paired by seed, sizes of effects, seeds needed.

Arrays in, numbers out. A run is paired with the other searcher's run of the same seed, on one dataset.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from nasgauge.analysis.statistics.runs import bootstrap_mean, paired_p

Array = NDArray[np.float64]

PERMUTATIONS: Final = 4999
SIGNED_RANK_EFFICIENCY: Final = 3 / np.pi
"""Of the Wilcoxon signed-rank test to the t test, for normal differences (Hodges and Lehmann, 1956)."""


@dataclass(frozen=True)
class Comparison:
    """Our runs against theirs, paired by seed."""

    pairs: int
    difference: float
    """Mean of ours less theirs, in points."""
    low: float
    """Of the 95 % bootstrap interval of the difference; NaN with fewer than two pairs."""
    high: float
    wilcoxon: float
    """Two-sided p of the signed-rank test."""
    permutation: float
    """Two-sided p of the sign-flip test of the mean difference."""
    a12: float
    """Chance that a run of ours beats one of theirs, a tie counting half (Vargha and Delaney, 2000)."""
    seeds: float
    """Seeds that find the observed mean difference at 5 % with a power of 80 %; see `seeds_needed`."""


def compare(ours: Array, theirs: Array, rng: np.random.Generator) -> Comparison:
    """Compare the final accuracies of runs paired by seed; (pairs,) each."""
    apart = ours - theirs
    effect = a12(ours, theirs)
    if len(apart) < 2:
        nan = float("nan")
        return Comparison(len(apart), float(apart.mean()), nan, nan, nan, nan, effect, nan)
    low, high = bootstrap_mean(apart[:, None], rng)[:, 0]
    return Comparison(
        pairs=len(apart),
        difference=float(apart.mean()),
        low=float(low),
        high=float(high),
        wilcoxon=paired_p(ours, theirs),
        permutation=flip_p(apart, rng),
        a12=effect,
        seeds=seeds_needed(apart, float(apart.mean())),
    )


def flip_p(differences: Array, rng: np.random.Generator) -> float:
    """Two-sided permutation test of a zero mean: each difference keeps or flips its sign, (pairs,).

    Exact where there are no more than `PERMUTATIONS` sign patterns.

    >>> flip_p(np.ones(4), np.random.default_rng(0))
    0.125
    """
    if not differences.any():
        return 1.0
    found = stats.permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        rng=rng,
    )
    return float(found.pvalue)


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
    """Chance that one of ours is greater than one of theirs, a tie counting half; any lengths.

    >>> a12(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    0.625
    """
    ordered = np.sort(theirs)
    below = np.searchsorted(ordered, ours, side="left")
    not_above = np.searchsorted(ordered, ours, side="right")
    return float((below + not_above).mean() / (2 * len(theirs)))


def seeds_needed(differences: Array, target: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Pairs of runs after which a signed-rank test finds a mean difference of `target` points.

    From the spread of the observed differences, (pairs,), by the power of the paired t test and the
    asymptotic efficiency of the signed-rank test; a plan, not a promise. Infinite for a target of zero.

    >>> seeds_needed(np.array([-1.0, 0.0, 1.0] * 20), 0.5)
    25.0
    """
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread == 0:
        return float("nan")
    size = abs(target) / spread
    if size < 1e-4:
        return float("inf")
    if size > 3:  # beyond what the solver takes: the smallest number of pairs that can reach 5 %
        return 6.0
    pairs = TTestPower().solve_power(effect_size=size, alpha=alpha, power=power)
    return float(max(np.ceil(float(np.squeeze(pairs)) / SIGNED_RANK_EFFICIENCY), 6))


def critical_difference(searchers: int, datasets: int, *, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks over datasets (Demšar, 2006, section 3.2.2).

    >>> round(critical_difference(3, 3), 2)
    1.91
    """
    q = stats.studentized_range.ppf(1 - alpha, searchers, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(searchers * (searchers + 1) / (6 * datasets)))
