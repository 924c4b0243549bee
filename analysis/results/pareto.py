"""The trade-off between accuracy and one objective: what runs found, beside the exact front of the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.curves import Runs, grid_of, on_grid, ranked
from nasgauge.analysis.statistics.pareto import front, hypervolume, hypervolumes, within
from nasgauge.analysis.statistics.runs import Band, band
from nasgauge.spaces.cells import Cell, all_cells
from nasgauge.spaces.objectives import Objective

Array = NDArray[np.float64]

_LIMITS: Final = 120
"""Limits at which the best accuracy within them is drawn."""
_SHARES: Final = (0.1, 0.25, 0.5)
"""Shares of all cells that are within the limits of the table's columns."""


@dataclass(frozen=True)
class Known:
    """What is known of all cells: one objective, and the reported accuracy, on one dataset."""

    dataset: str
    objective: Objective
    figures: Array
    """Of the objective, in its unit, (15625,) by `Cell.rank`; NaN where there is none."""
    accuracy: Array
    """Reported, percent, (15625,); NaN outside of the table's space."""
    sha256: str = ""
    """Of the table of latency and energy; empty for an analytic objective."""


@dataclass(frozen=True)
class TradeOff:
    """Accuracy against one objective on one dataset, for all searchers of a campaign."""

    known: Known
    front: pd.DataFrame
    """The exact front of the table: `cell`, `accuracy` and the objective, by rising cost."""
    worst: tuple[float, float]
    """The reference point of hypervolumes: the lowest accuracy and the worst figure of any cell."""
    grid: Array
    """Queries."""
    volumes: Mapping[str, Band]
    """By searcher: mean hypervolume over runs, percent of the exact front's, at each point of `grid`."""
    limits: Array
    """Of the objective, from the strictest."""
    within: Mapping[str, Band]
    """By searcher: mean reported accuracy of each run's best cell within each limit; NaN where a run has none."""
    exact: Array
    """The highest reported accuracy of any cell within each limit."""
    runs: Mapping[str, int]

    @property
    def name(self) -> str:
        """Of its files."""
        return f"pareto-{self.known.dataset}-{self.known.objective}".replace("@", "-").replace("/", "-")

    @property
    def caption(self) -> str:
        """What the hypervolume is measured with."""
        accuracy, figure = self.worst
        return (
            f"Hypervolume in percent of the exact front's, reference point {accuracy:.4g} % and {figure:.4g} "
            f"{self.known.objective.unit} (the worst of any cell). A run's front is chosen by the search metric, and measured "
            "by reported accuracy"
        )


def trade_off(campaign: Campaign, known: Known, rng: np.random.Generator) -> TradeOff:
    """What the runs of a campaign found on one dataset; 95 % intervals of means over runs."""
    sign = known.objective.sign
    cost, accuracy = known.figures * sign, known.accuracy
    inside = np.isfinite(accuracy) & np.isfinite(cost)
    worst = float(accuracy[inside].min()), float(cost[inside].max())
    best = front(accuracy, cost)
    whole = hypervolume(accuracy, cost, worst)
    limits = _limits(cost[inside])
    exact = within(accuracy, accuracy, cost, limits)
    found = campaign.on(known.dataset)
    grid = grid_of([*found.values()], "queries")
    volumes, kept = {}, {}
    for name, runs in found.items():
        prices = _costs(runs, cost)
        metric = ranked(runs.validation, runs.fidelity)
        each = np.stack([
            hypervolumes(*rows, worst) for rows in zip(metric, runs.test, prices, strict=True)
        ])  # fmt: skip
        volumes[name] = band(on_grid(runs, "queries", grid, 100 * each / whole), rng)
        ends = [within(*rows, limits) for rows in zip(metric, runs.test, prices, strict=True)]
        kept[name] = band(np.stack(ends), rng)
    frame = pd.DataFrame(
        {
            "cell": [str(all_cells()[rank]) for rank in best.tolist()],
            "accuracy": accuracy[best],
            str(known.objective): known.figures[best],
        }
    )
    return TradeOff(
        known, frame, (worst[0], sign * worst[1]), grid, volumes, sign * limits, kept, exact,
        {name: len(runs.seeds) for name, runs in found.items()},
    )  # fmt: skip


def trade_off_frame(found: TradeOff) -> pd.DataFrame:
    """A row for each searcher at the end of the budget, best hypervolume first, and one for the exact front."""
    known = found.known
    cost = known.figures[np.isfinite(known.accuracy) & np.isfinite(known.figures)] * known.objective.sign
    limits = {share: float(np.quantile(cost, share)) for share in _SHARES}
    places = {
        share: int(np.searchsorted(found.limits * known.objective.sign, limit, "right")) - 1
        for share, limit in limits.items()
    }
    heads = {
        share: f"{'≤' if known.objective.sign > 0 else '≥'} {found.limits[place]:.3g} {known.objective.unit}"
        for share, place in places.items()
    }
    rows = [
        {
            "dataset": known.dataset,
            "objective": str(known.objective),
            "searcher": name,
            "n": float(found.runs[name]),
            "hypervolume": volume.centre[-1],
            "low": volume.low[-1],
            "high": volume.high[-1],
        }
        | {heads[share]: found.within[name].centre[place] for share, place in places.items()}
        for name, volume in sorted(found.volumes.items(), key=lambda pair: -pair[1].centre[-1])
    ]
    rows.append(
        {
            "dataset": known.dataset, "objective": str(known.objective), "searcher": "exact front", "n": np.nan,
            "hypervolume": 100.0, "low": np.nan, "high": np.nan,
        }
        | {heads[share]: found.exact[place] for share, place in places.items()}
    )  # fmt: skip
    return pd.DataFrame(rows)


def trade_off_table(found: TradeOff) -> Table:
    """The frame as a table of the page, and of a paper."""
    frame = trade_off_frame(found).drop(columns=["dataset", "objective"])
    name = f"{dataset_name(found.known.dataset)}: accuracy and {found.known.objective.label}"
    note = (
        f"{found.caption}; low, high: 95 % interval of the mean over n runs. Other columns: mean reported accuracy "
        "of each run's best cell, by search metric, within a limit that about 10, 25 and 50 % of all cells keep."
    )
    return Table(found.name, name, frame, {"n": 0}, note, ruled=[len(frame) - 1], caption=f"{name}. {note}")


def _costs(runs: Runs, cost: Array) -> Array:
    """The cost of each step's cell, (runs, steps); NaN after the end of a run."""
    by_place = np.append(cost[[Cell.parse(text).rank for text in runs.cells]], np.nan)
    return by_place[runs.cell]


def _limits(cost: Array) -> Array:
    """Costs from the least to the most, close together where there are many cells."""
    return np.unique(np.quantile(cost, np.linspace(0, 1, _LIMITS), method="inverted_cdf"))
