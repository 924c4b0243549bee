"""The section of a report on accuracy and objectives beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.pareto import draw_trade_off
from nasgauge.analysis.plots.style import looks
from nasgauge.analysis.report.page import Picture, Section
from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.files import save_csv
from nasgauge.analysis.results.names import slug
from nasgauge.analysis.results.pareto import Known, TradeOff, trade_off, trade_off_table


def pareto_sections(
    campaign: Campaign, studies: Sequence[Known], inks: Inks, rng: np.random.Generator, files: list[Path]
) -> list[Section]:
    """A figure and a table for each objective on each dataset, and the cells of the exact front as CSV; none for none."""
    if not studies:
        return []
    shown = looks(campaign.searchers)
    pictures, tables, notes = [], [], []
    for known in studies:
        found = trade_off(campaign, known, rng)

        def draw(figure: Figure, found: TradeOff = found) -> None:
            draw_trade_off(figure, found, shown)

        saved = inks.save(f"{found.name}-curves", draw, _numbers(found), aspect=(1.6, 1.0))
        path = inks.folder / f"{slug(found.name)}-front.csv"
        save_csv(path, found.front)
        files += [*saved, path]
        table = trade_off_table(found)
        tables.append(table)
        missing = int((np.isnan(known.figures) & np.isfinite(known.accuracy)).sum())
        without = f" {missing:,} cells have no such figure and are left out." if missing else ""
        caption = (
            "Left: a dot for each cell; for each limit of the objective, the highest reported accuracy (exact front) and the "
            "mean reported accuracy of each run's best cell within it, by search metric. Right: "
            f"{found.caption[0].lower()}{found.caption[1:]}. Bands: pointwise 95 % intervals of means.{without}"
        )
        pictures.append(
            Picture(table.title, caption, inks.svg(draw, aspect=(1.6, 1.0)), inks.links([*saved, path]))
        )
        if (
            known.sha256
            and (note := f"Latency and energy: table hw, sha256 {known.sha256[:16]}.") not in notes
        ):
            notes.append(note)
    intro = (
        "Searchers without an objective only maximise accuracy; what they evaluated on the way has costs too."
    )
    return [
        Section(
            "pareto",
            "Accuracy and objectives beside it",
            intro,
            pictures=pictures,
            tables=tables,
            notes=notes,
        )
    ]


def _numbers(found: TradeOff) -> pd.DataFrame:
    """Both panels, a row a point: `curve` is hypervolume or within."""
    parts = [
        pd.DataFrame(
            {"curve": curve, "searcher": name, "at": at, "mean": one.centre, "low": one.low, "high": one.high}
        )
        for curve, at, bands in (
            ("hypervolume by queries, %", found.grid, found.volumes),
            (f"accuracy within {found.known.objective.label}", found.limits, found.within),
        )
        for name, one in bands.items()
    ]
    exact = pd.DataFrame(
        {
            "curve": f"accuracy within {found.known.objective.label}",
            "searcher": "exact front",
            "at": found.limits,
            "mean": found.exact,
        }
    )
    return pd.concat([*parts, exact], ignore_index=True)
