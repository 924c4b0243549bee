"""Ranks of cells by several scores: one definition for all parts of the package."""

import math

import numpy as np
from numpy.typing import NDArray


def rank_sum(*scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the ranks by several scores, (cells,) each; the highest score has the highest rank.

    The combination of condition number and linear regions by TE-NAS (Chen et al., 2021, section 3.3). Equal
    scores share the mean of their ranks. A cell without one of the scores (NaN) has no sum (NaN), and is not
    counted in the ranks of that score; to rank such cells last, give -inf.

    >>> rank_sum(np.array([-9.0, -2.0, -2.0]), np.array([50.0, 90.0, np.nan])).tolist()
    [2.0, 4.5, nan]
    """
    from scipy import stats  # here, since a search starts without it

    total = np.sum([stats.rankdata(score, nan_policy="omit") for score in scores], axis=0)
    return np.asarray(total, dtype=np.float64)


def last(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores by which cells can be ranked: infinitely bad ones come after all others, undefined ones at the end, tied.

    Undefined are NaN and, since higher is better, infinity: what overflowed.

    >>> last(np.array([2.0, np.nan, -np.inf, np.inf])).tolist()
    [2.0, -inf, -1.7976931348623157e+308, -inf]
    """
    undefined = np.isnan(scores) | (scores == np.inf)
    return np.where(undefined, -np.inf, np.maximum(scores, np.finfo(np.float64).min))


def comparable(accuracy: float) -> float:
    """The accuracy, or minus infinity for a training that failed (NaN): it is the worst, and every comparison says so."""
    return accuracy if math.isfinite(accuracy) else -math.inf
