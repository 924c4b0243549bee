"""What a searcher's result is worth in queries: of random search, and of its own for random's accuracy."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.sample_efficiency import equivalent
from nasgauge.analysis.statistics.curves import on_grid
from nasgauge.analysis.statistics.runs import RESAMPLES, bootstrap_mean

Array = NDArray[np.float64]


def first_reach(curves: Array, target: float) -> Array:
    """The number of queries at which each curve reaches a target; (curves, queries) to (curves,).

    >>> first_reach(np.array([[1.0, 2.0], [0.0, 1.0]]), 2.0).tolist()
    [2.0, inf]
    """
    there = curves >= target
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def reach_table(campaign: Campaign, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each dataset and searcher.

    `random queries`: of an exact random search for the searcher's mean accuracy at its end. `to random's`:
    its own queries for what exact random search reaches at the longest run's end. Each with a 95 % interval
    over runs; none where repeated queries are free, for then random search is another one.
    """
    rows = []
    if campaign.settings.repeats != "charge":
        return pd.DataFrame()
    for dataset in campaign.datasets:
        if dataset not in campaign.references:
            continue
        random = campaign.references[dataset].random
        for searcher, runs in campaign.on(dataset).items():
            last = int(runs.spent["queries"][np.isfinite(runs.spent["queries"])].max())
            curves = on_grid(runs, "queries", np.arange(1.0, last + 1))
            target = float(np.interp(last, random.queries, random.mean))
            mean = curves.mean(axis=0)
            final = np.array([mean[-1], np.nan, np.nan])
            own = np.array([first_reach(mean[None], target)[0], np.nan, np.nan])
            if len(curves) > 1:
                final[1:] = bootstrap_mean(curves[:, -1:], rng)[:, 0]
                weights = rng.multinomial(len(curves), np.full(len(curves), 1 / len(curves)), size=RESAMPLES)
                reached = first_reach(weights / len(curves) @ curves, target)
                own[1:] = np.quantile(reached, [0.025, 0.975], method="nearest")
            worth = [np.nan if np.isnan(value) else equivalent(random, value) for value in final.tolist()]
            rows.append(
                {"dataset": dataset, "searcher": searcher, "queries": last}
                | dict(zip(("random queries", "random low", "random high"), worth, strict=True))
                | {"times": worth[0] / last}
                | dict(zip(("to random's", "own low", "own high"), own.tolist(), strict=True))
            )
    return pd.DataFrame(rows)
