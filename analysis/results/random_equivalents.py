"""Equivalent random-search queries of a searcher's result, and its queries to match random search."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.sample_efficiency import equivalent
from nasgauge.analysis.statistics.curves import Runs, on_grid
from nasgauge.analysis.statistics.runs import bootstrap_mean, expanded_tails, resampled_means

Array = NDArray[np.float64]


def first_reach(curves: Array, target: float) -> Array:
    """The number of queries at which each curve reaches a target; (curves, queries) to (curves,).

    >>> first_reach(np.array([[1.0, 2.0], [0.0, 1.0]]), 2.0).tolist()
    [2.0, inf]
    """
    there = curves >= target
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def exact_mean(campaign: Campaign, dataset: str, runs: Runs) -> float:
    """Mean accuracy of exact random search after as many queries as these runs; NaN where it is unknown.

    A searcher that chooses training lengths is compared with as many trainings of the longest of them as cost the same epochs.
    """
    reference = campaign.references.get(dataset)
    if reference is None or campaign.settings.repeats != "charge":
        return float("nan")
    curve = reference.random
    full = int(runs.fidelity.max(initial=0))
    spent = runs.spent["epochs" if full else "queries"]
    made = np.floor(np.where(np.isfinite(spent), spent, 0).max(axis=1) / (full or 1) + 1e-9)
    if made.min() < 1:
        return float("nan")
    return (
        float(np.interp(made, curve.queries, curve.mean).mean())
        if made.max() <= curve.queries[-1]
        else float("nan")
    )


def reach_table(campaign: Campaign, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each dataset and searcher.

    `equivalent queries`: of an exact random search, for the searcher's mean accuracy at its end. `to match
    random`: the searcher's own queries, for what exact random search reaches at the end of the dataset's
    longest run. Each with a 95 % interval over runs. Empty where repeated queries are free, for the exact
    curve charges them. Searchers that choose training lengths are left out, for their queries do not cost the same.
    """
    rows = []
    if campaign.settings.repeats != "charge":
        return pd.DataFrame()
    for dataset in campaign.datasets:
        if dataset not in campaign.references:
            continue
        random = campaign.references[dataset].random
        whole = {name: runs for name, runs in campaign.on(dataset).items() if not runs.fidelity.any()}
        if not whole:
            continue
        end = max(runs.longest for runs in whole.values())
        target = float(np.interp(end, random.queries, random.mean))
        for searcher, runs in whole.items():
            last = runs.longest
            curves = on_grid(runs, "queries", np.arange(1.0, last + 1))
            mean = curves.mean(axis=0)
            final = np.array([mean[-1], np.nan, np.nan])
            own = np.array([first_reach(mean[None], target)[0], np.nan, np.nan])
            if len(curves) > 1:
                final[1:] = bootstrap_mean(curves[:, -1:], rng)[:, 0]
                reached = first_reach(resampled_means(curves, rng), target)
                own[1:] = np.quantile(reached, expanded_tails(len(curves)), method="nearest")
            worth = [np.nan if np.isnan(value) else equivalent(random, value) for value in final.tolist()]
            rows.append(
                {"dataset": dataset, "searcher": searcher, "n": len(curves), "queries": last}
                | dict(zip(("equivalent queries", "low", "high"), worth, strict=True))
                | {"ratio": worth[0] / last}
                | dict(zip(("to match random", "match low", "match high"), own.tolist(), strict=True))
                | {"known": float(random.queries[-1]), "known ratio": random.queries[-1] / last}
                | {"last": float(last)}
            )
    return pd.DataFrame(rows)
