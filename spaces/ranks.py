"""Ranks of cells by several scores: one definition for all parts of the package."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def rank_sum(*scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the ranks by several scores, (cells,) each; the highest score has the highest rank.

    The combination of condition number and linear regions by TE-NAS (Chen et al., 2021, section 3.3). Equal
    scores share the mean of their ranks. A cell without one of the scores (NaN) has no sum (NaN), and is not
    counted in the ranks of that score; to rank such cells last, give -inf.

    >>> rank_sum(np.array([-9.0, -2.0, -2.0]), np.array([50.0, 90.0, np.nan])).tolist()
    [2.0, 4.5, nan]
    """
    total = np.sum([stats.rankdata(score, nan_policy="omit") for score in scores], axis=0)
    return np.asarray(total, dtype=np.float64)
