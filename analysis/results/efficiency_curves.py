"""The numbers behind efficiency figures: every searcher's band on a common grid of a clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.statistics.curves import CLOCKS, Clock, UnknownCost, grid_of, on_grid, top_mean
from nasgauge.analysis.statistics.runs import Band, band

Array = NDArray[np.float64]

AXES: Final[Mapping[Clock, str]] = {
    "queries": "queries",
    "epochs": "training epochs",
    "seconds": "simulated GPU seconds",
    "overhead": "measured seconds of the searcher",
    "total": "simulated GPU seconds and the searcher's own",
}
TOP: Final = (1, 5, 25)
"""The numbers of best cells in Liu et al. (2018), Table 2."""


@dataclass(frozen=True)
class Efficiency:
    """What is drawn of one dataset on one clock."""

    dataset: str
    clock: Clock
    average: str
    grid: Array
    bands: Mapping[str, Band]
    """Reported accuracy of the incumbent, percent, by searcher."""
    runs: Mapping[str, int]
    """How many, by searcher."""
    optimum: float
    limit: float
    """Reported accuracy of the cell with the highest search metric, the incumbent of an unlimited search."""
    random: Array | None
    """Exact random search on the same grid; None where it is unknown on this clock."""

    @property
    def references(self) -> dict[str, float]:
        """Horizontal lines: the best cell, and the cell with the highest search metric if it is another one."""
        if np.isnan(self.optimum):
            return {}
        lines = {"best cell": self.optimum}
        if self.optimum - self.limit > 0.005:
            lines["highest search metric"] = self.limit
        return lines

    @property
    def table(self) -> pd.DataFrame:
        """The saved numbers."""
        columns: dict[str, Array] = {self.clock: self.grid}
        for searcher, of in self.bands.items():
            columns |= {f"{searcher} {self.average}": of.centre}
            columns |= {f"{searcher} low": of.low, f"{searcher} high": of.high}
        if self.random is not None:
            columns["random search, exact"] = self.random
        return pd.DataFrame(columns)


def efficiency(
    campaign: Campaign, dataset: str, clock: Clock, rng: np.random.Generator, *, average: str = "mean"
) -> Efficiency:
    """Curves of all searchers on a dataset.

    Raises UnknownCost.
    """
    runs = campaign.on(dataset)
    grid = grid_of(list(runs.values()), clock)
    reference = campaign.references.get(dataset)
    return Efficiency(
        dataset=dataset,
        clock=clock,
        average=average,
        grid=grid,
        bands={name: band(on_grid(found, clock, grid), rng, average=average) for name, found in runs.items()},
        runs={name: len(found.seeds) for name, found in runs.items()},
        optimum=np.nan if reference is None else reference.optimum,
        limit=np.nan if reference is None else reference.leader,
        random=_exact(campaign, dataset, clock, grid) if average == "mean" else None,
    )


def _exact(campaign: Campaign, dataset: str, clock: Clock, grid: Array) -> Array | None:
    """The exact curve where every query is charged and costs the same on this clock."""
    reference = campaign.references.get(dataset)
    if reference is None or campaign.settings.repeats != "charge" or clock in ("overhead", "total"):
        return None
    runs = campaign.on(dataset).values()
    costs = {found.cost(clock) for found in runs}
    if clock == "queries" and any(found.fidelity.any() for found in runs):
        return None  # a query may be a short training
    if len(costs) > 1 or None in costs:
        return None
    cost = costs.pop() or 1.0
    curve = reference.random
    queries = np.floor(grid / cost + 1e-9)
    values = np.interp(queries, curve.queries, curve.mean)
    return np.where((queries < 1) | (queries > curve.queries[-1]), np.nan, values)


@dataclass(frozen=True)
class Top:
    """Mean reported accuracy of the best cells by search metric, Liu et al. (2018), section 5.3."""

    dataset: str
    grid: Array
    curves: Mapping[str, Mapping[int, Array]]
    """Mean over runs, by searcher and by number of cells."""

    @property
    def table(self) -> pd.DataFrame:
        """The saved numbers."""
        columns = {"queries": self.grid}
        for searcher, lines in self.curves.items():
            columns |= {f"{searcher} top {count}": curve for count, curve in lines.items()}
        return pd.DataFrame(columns)


def top(campaign: Campaign, dataset: str) -> Top:
    """The curves of the 1, 5 and 25 best cells of each searcher against queries."""
    runs = campaign.on(dataset)
    grid = grid_of(list(runs.values()), "queries")
    return Top(
        dataset,
        grid,
        {
            name: {
                count: on_grid(found, "queries", grid, top_mean(found, count)).mean(axis=0) for count in TOP
            }
            for name, found in runs.items()
        },
    )


def known_clocks(campaign: Campaign, dataset: str) -> dict[Clock, str]:
    """The clocks, each with why it cannot be drawn; an empty text where it can."""
    found: dict[Clock, str] = {}
    for clock in CLOCKS:
        try:
            grid_of(list(campaign.on(dataset).values()), clock)
        except UnknownCost as error:
            found[clock] = str(error)
        else:
            found[clock] = ""
    return found
