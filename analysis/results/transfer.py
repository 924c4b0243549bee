"""Search on one dataset, report on another: the cells that runs recommend, looked up on every dataset of the table.

What is transferred is the cell, not its weights: it is trained anew on the target.
"""

from collections.abc import Hashable, Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name, searcher_names
from nasgauge.analysis.results.recommendations import longest
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.comparisons import difference_interval
from nasgauge.analysis.statistics.curves import Runs
from nasgauge.analysis.statistics.recommendations import Rule, recommended
from nasgauge.analysis.statistics.runs import bootstrap_mean, sd
from nasgauge.spaces.cells import Cell

Array = NDArray[np.float64]

BEST: Final = "best cell of the source"
"""The row of the cell with the highest reported accuracy on the source."""


def transfer(
    campaign: Campaign, accuracy: Mapping[str, Array], rng: np.random.Generator, *, rule: Rule = "incumbent"
) -> pd.DataFrame:
    """A row for each searcher, source and target, and for the best cell of each source.

    `accuracy`: reported on each target, (15625,) by `Cell.rank`, percent. Columns: `searcher`, `source`, `target`, `n`,
    `mean`, `low`, `high` (95 % interval), `sd`, `change` (mean less that of the searches on the target itself)
    and its interval, `change low`, `change high`; NaN where there are no such searches, or fewer than two runs.

    Raises NotSmoothed.
    """
    sources = [campaign.settings.search_on] if campaign.settings.search_on else campaign.datasets
    ends: dict[tuple[str, str], NDArray[np.intp]] = {}
    for searcher in campaign.searchers:
        for source in sources:
            of = campaign.datasets[0] if campaign.settings.search_on else source
            if (of, searcher) in campaign.runs:
                ends[searcher, source] = _cells(campaign.runs[of, searcher], rule, longest(campaign, of))
    rows = []
    for (searcher, source), ranks in ends.items():
        for target, figures in accuracy.items():
            values = figures[ranks]
            own = figures[ends[searcher, target]] if (searcher, target) in ends else np.array([])
            rows.append(
                _row(searcher, source, target, values, own if source != target else np.array([]), rng)
            )
    for source in sources:
        if source in accuracy:
            best = np.array([np.nanargmax(accuracy[source])])
            for target, figures in accuracy.items():
                top = np.array([np.nanmax(figures)]) if source != target else np.array([])
                rows.append(_row(BEST, source, target, figures[best], top, rng))
    return pd.DataFrame(rows)


def transfer_table(frame: pd.DataFrame, of: str) -> Table:
    """The frame as a matrix, mean ± standard deviation: a row for each searcher and source, a column for each target.

    `of`: budget, rule and table, for the caption.
    """
    names = searcher_names([name for name in dict.fromkeys(frame["searcher"]) if name != BEST], "")
    rows: list[dict[str, str]] = []
    ruled: list[int] = []
    for searcher, part in frame.groupby("searcher", sort=False):
        ruled += [len(rows)] if rows else []
        for source, cells in part.groupby("source", sort=False):
            rows.append(
                {"searcher": names.get(str(searcher), BEST), "searched on": dataset_name(str(source))}
                | {dataset_name(str(row["target"])): _figure(row) for row in cells.to_dict("records")}
            )
    title = "Test accuracy, %: searched on one dataset (rows), reported on another (columns)"
    caption = f"{title}. Mean ± standard deviation over runs; {of}. Cells are transferred, not weights."
    return Table("transfer", title, pd.DataFrame(rows), note=caption, ruled=ruled, caption=caption)


def _cells(runs: Runs, rule: Rule, at: float) -> NDArray[np.intp]:
    """`Cell.rank` of each run's recommended cell, (runs,)."""
    steps = recommended(runs, rule, at)
    places = runs.cell[np.arange(len(runs.seeds)), steps]
    return np.array([Cell.parse(runs.cells[place]).rank for place in places.tolist()], dtype=np.intp)


def _row(
    searcher: str, source: str, target: str, values: Array, own: Array, rng: np.random.Generator
) -> dict[str, object]:
    low, high = bootstrap_mean(values[:, None], rng)[:, 0] if len(values) > 1 else (np.nan, np.nan)
    _, lower, upper = difference_interval(values, own, rng)  # other runs than these
    return {
        "searcher": searcher,
        "source": source,
        "target": target,
        "n": len(values),
        "mean": values.mean(),
        "low": low,
        "high": high,
        "sd": sd(values),
        "change": values.mean() - own.mean() if len(own) else np.nan,
        "change low": lower,
        "change high": upper,
    }


def _figure(row: Mapping[Hashable, object]) -> str:
    mean, spread = float(str(row["mean"])), float(str(row["sd"]))
    return f"{mean:.2f}" + (f" ± {spread:.2f}" if np.isfinite(spread) else "")
