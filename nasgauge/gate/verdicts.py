"""Worse, same, better or cannot tell: tests of mean differences against a margin.

Three questions are put to each comparison; all tests are one-sided, on means, by Student's t:

- *Is it worse than before?* H0: the mean did not fall. Holm over all comparisons, so that a family in which
  nothing changed has a false alarm with a probability of at most about `ALPHA`.
- *Is it better than before?* Likewise, Holm over all comparisons.
- *Is it not worse by the margin?* H0: the mean fell by the margin or more (non-inferiority). Each at level
  `MISS`: a family passes only when all of its H0 are rejected, which is an intersection-union test, so that
  one comparison that lost the margin or more lets it pass with a probability of at most about `MISS` (Berger, 1982).

These probabilities hold approximately, with hundreds of seeds and for losses that many runs have. Where the mean loss is the
margin of 0.125 points and all other runs are unchanged, a paired comparison of 400, 100 and 20 seeds passes with these
simulated probabilities: .54, .85 and .97 for a loss of 83.8 points in 0.15 % of the runs; .08, .54 and .89 for 20 points in
0.6 %; .06, .08 and .60 for 5 points in 2.5 %. A shift of all runs passes in 1.8 to 3.0 % with 400 new seeds.

A loss that is shown to be smaller than the margin is no alarm, even if it is shown to be real: shown
non-inferiority comes before shown loss. What is neither is "cannot tell".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

Array = NDArray[np.float64]
Word = Literal["worse", "same", "better", "cannot tell"]
Design = Literal["paired", "two-sample"]

ALPHA: Final = 0.05
"""Probability, at most and about, of a false alarm in the family."""
MISS: Final = 0.025
"""Probability, at most and about, of passing a loss of the margin: half of what `POWER` leaves for all ways to miss it."""
POWER: Final = 0.95
"""Probability that `seeds_needed` is made for: of alarm at a loss of the margin, of passing without one."""
MIN_SEEDS: Final = 20
"""Fewer runs do not show the spread of a skewed accuracy, so they decide nothing."""


@dataclass(frozen=True)
class Difference:
    """Mean accuracy now minus mean accuracy then, percentage points."""

    design: Design
    mean: float
    error: float
    """Standard error of the mean difference."""
    freedom: float
    """Degrees of freedom of the standard error."""
    spread: float
    """Standard deviation that one seed on both sides contributes: error = spread / sqrt(seeds)."""

    def below(self, value: float) -> float:
        """p of H0: the true difference is at least `value`."""
        if self.error == 0:
            return float(self.mean >= value)
        return float(stdtr(self.freedom, (self.mean - value) / self.error))

    def above(self, value: float) -> float:
        """p of H0: the true difference is at most `value`."""
        if self.error == 0:
            return float(self.mean <= value)
        return float(stdtr(self.freedom, (value - self.mean) / self.error))

    def bound(self, level: float = ALPHA) -> tuple[float, float]:
        """Lower and upper confidence bound, each one-sided at `level`."""
        width = float(-stdtrit(self.freedom, level)) * self.error if self.error else 0.0
        return self.mean - width, self.mean + width


def paired(then: Array, now: Array) -> Difference:
    """Runs of the same seeds, (runs,) each, in the same order.

    >>> paired(np.array([93.0, 94.0]), np.array([93.0, 94.0])).below(0)
    1.0
    """
    gain = now - then
    spread = float(gain.std(ddof=1))
    return Difference(
        "paired", float(gain.mean()), spread / math.sqrt(len(gain)), float(len(gain) - 1), spread
    )


def two_sample(then: Array, now: Array) -> Difference:
    """Runs of other seeds, (runs,) and (runs,); variances may differ (Welch, 1947)."""
    parts = [(float(side.var(ddof=1)), len(side)) for side in (then, now)]
    variances = [variance / n for variance, n in parts]
    total = sum(variances)
    weights = sum(v**2 / (n - 1) for v, (_, n) in zip(variances, parts, strict=True))
    return Difference(
        "two-sample",
        float(now.mean() - then.mean()),
        math.sqrt(total),
        total**2 / weights if total else float(len(then) + len(now) - 2),
        math.sqrt(sum(variance for variance, _ in parts)),
    )


@dataclass(frozen=True)
class Verdict:
    """What the tests say of one comparison."""

    word: Word
    difference: Difference
    margin: float
    p_worse: float
    """Adjusted by Holm over the family."""
    p_better: float
    """Adjusted by Holm over the family."""
    p_inferior: float
    """Of H0: the loss is the margin or more; not adjusted, see above."""
    seeds_needed: int


def judge(differences: Sequence[Difference], margins: Sequence[float]) -> list[Verdict]:
    """Verdicts of a family of comparisons; margins in percentage points, positive."""
    worse = holm([difference.below(0) for difference in differences])
    better = holm([difference.above(0) for difference in differences])
    verdicts = []
    for difference, margin, p_worse, p_better in zip(differences, margins, worse, better, strict=True):
        p_inferior = difference.above(-margin)
        word: Word = "cannot tell"
        if p_better <= ALPHA:
            word = "better"
        elif p_inferior <= MISS:
            word = "same"
        elif p_worse <= ALPHA:
            word = "worse"
        needed = seeds_needed(difference.spread, margin, len(differences))
        verdicts.append(Verdict(word, difference, margin, p_worse, p_better, p_inferior, needed))
    return verdicts


def seeds_needed(spread: float, margin: float, comparisons: int) -> int:
    """Seeds on each side for a family of `comparisons` to keep its promises.

    With them, a family without a change passes with probability `POWER`, and a comparison that lost the
    margin raises the alarm with at least that: both ask for the same distance between "no loss" and "the
    margin", in standard errors. Student's quantiles, with Bonferroni over the family, so that runs which
    cannot tell are always fewer.

    >>> seeds_needed(spread=0.3, margin=0.1, comparisons=8)
    182
    """
    levels = np.array([MISS, (1 - POWER) / comparisons])
    needed = max(MIN_SEEDS, math.ceil((float(ndtri(levels).sum()) * spread / margin) ** 2))
    while (float(stdtrit(needed - 1, levels).sum()) * spread / margin) ** 2 > needed:
        needed += 1
    return needed


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
