"""How well scores of untrained cells rank them by test accuracy: scores, costs and a table joined for the statistics."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.agreement import Draws
from nasgauge.harness.proxies.score_files import Score
from nasgauge.harness.proxies.scores import members

Array = NDArray[np.float64]

RANK_SUM: Final = "kappa + regions"


def draws_of(scores: Sequence[Score]) -> list[Draws]:
    by_class = members()
    n = 15625
    per: dict[str, dict[int, dict[int, float]]] = {}
    for s in scores:
        per.setdefault(s.proxy, {}).setdefault(s.repeat, {})[s.rank] = s.value
    ranks = sorted(per["params"]["0" and 0])
    cells = np.concatenate([by_class[r] for r in ranks])
    classes = np.concatenate([[i] * len(by_class[r]) for i, r in enumerate(ranks)])
    out = []
    for name, reps in per.items():
        vals = np.array([[[d[r] for r in ranks]] for d in reps.values()])[..., classes]
        out.append(Draws(name, vals, geometric=name == "kappa"))
    return out, cells, classes
