"""What every searcher recommends at the end of its runs and before, by each rule, and the table of that."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.recommendations import NotSmoothed, Rule, own, recommended
from nasgauge.analysis.statistics.runs import bootstrap_mean, sd

Array = NDArray[np.float64]
Finals = Mapping[tuple[str, str], Array]
"""Reported accuracy of each run's recommended cell, (runs,), percent, by (dataset, searcher)."""

_SHARES: Final = (0.25, 0.5, 1.0)
"""Of the longest run of a dataset, at which recommendations are compared."""


class Recommended(NamedTuple):
    """Reported accuracy of the cells that one searcher's runs recommend, (runs,) each, percent."""

    queries: int
    """Charged queries after which they are recommended."""
    incumbent: Array
    """NaN where the run had not begun: never, at the end."""
    smoothed: Array | None
    """None where cells are not of NAS-Bench-201."""
    own: Array | None
    """By the searcher's own estimate; None where it records none."""


Recommendations = Mapping[tuple[str, str], tuple[Recommended, ...]]
"""By (dataset, searcher), after growing numbers of queries; the last is the end of the runs."""


def recommendations(campaign: Campaign) -> Recommendations:
    """The recommended cells of every run under every rule."""
    found = {}
    for dataset in campaign.datasets:
        last = longest(campaign, dataset)
        points = sorted({max(round(share * last), 1) for share in _SHARES})
        for searcher, runs in campaign.on(dataset).items():
            rows = np.arange(len(runs.seeds))

            def by(rule: Rule, at: float) -> Array:
                values: Array = runs.test[rows, recommended(runs, rule, at)]  # noqa: B023 - called at once
                return values

            made = []
            for point in points:
                try:
                    smoothed = by("smoothed", point)
                except NotSmoothed:
                    smoothed = None
                made.append(Recommended(point, by("incumbent", point), smoothed, own(runs, point)))
            found[dataset, searcher] = tuple(made)
    return found


def longest(campaign: Campaign, dataset: str) -> int:
    """Charged queries of the longest run on a dataset."""
    return max(runs.longest for runs in campaign.on(dataset).values())


def finals(found: Recommendations, rule: Rule) -> Finals:
    """Reported accuracy at the end of all runs under one rule.

    Raises NotSmoothed.
    """
    if rule == "incumbent":
        return {key: made[-1].incumbent for key, made in found.items()}
    ends = {key: made[-1].smoothed for key, made in found.items()}
    known = {key: values for key, values in ends.items() if values is not None}
    if len(known) < len(ends):
        raise NotSmoothed(
            "smoothed recommendations need cells of NAS-Bench-201, and these are of another space; "
            "choose --recommend incumbent"
        )
    return known


def recommendation_table(found: Recommendations, of: str, rng: np.random.Generator) -> Table:
    """A row for each dataset, searcher and number of queries: both common rules, and the searcher's own.

    `gain` is within a run, so its interval resamples runs whole.
    """
    rows = []
    for (dataset, searcher), made in found.items():
        for one in made:
            row = {
                "dataset": dataset,
                "searcher": searcher,
                "queries": one.queries,
                "n": len(one.incumbent),
                "incumbent": one.incumbent.mean(),
                "error": _error(one.incumbent),
            }
            for name, other in (("smoothed", one.smoothed), ("own", one.own)):
                gain = np.array([]) if other is None else other - one.incumbent
                many = len(gain) > 1
                low, high = bootstrap_mean(gain[:, None], rng)[:, 0] if many else (np.nan, np.nan)
                row |= {
                    name: np.nan if other is None else other.mean(),
                    f"{name} gain": gain.mean() if gain.size else np.nan,
                    f"{name} low": low,
                    f"{name} high": high,
                    f"{name} error": _error(gain),
                }
            rows.append(row)
    frame = pd.DataFrame(rows)
    figures = dict.fromkeys(("incumbent", "smoothed", "own"), "error")
    gains = {
        f"{name} {end}": f"{name} error" for name in ("smoothed", "own") for end in ("gain", "low", "high")
    }
    return Table(
        "recommended",
        f"Test accuracy of the recommended cell by two common rules, % ({of})",
        frame,
        note="incumbent: the evaluated cell with the highest search metric. smoothed: the evaluated cell with the "
        "highest posterior mean of one Gaussian process for all searchers; its kernel and noise were chosen on "
        "CIFAR-10 with random search, evolution and local search, so the other datasets are held out. own: the "
        "recommendation that the searcher records itself, which other searchers do not have: compare it within a "
        "row only. gain, low, high: mean difference from the incumbent in points and its 95 % interval "
        "over the n runs.",
        errors=figures | gains,
        shown=[name for name in frame.columns if "error" not in name],
    )


def _error(values: Array) -> float:
    """Standard error of the mean; NaN for fewer than two."""
    return sd(values) / float(np.sqrt(max(len(values), 1)))
