"""The final incumbents: which cells, how often, and the operations on their edges."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from nasgauge.analysis.plots.cells import EDGE_NAMES, draw_preferences, shares
from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.style import OPERATION_COLOURS, OPERATION_NAMES
from nasgauge.analysis.report.page import Chart, Section
from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name, printable, slug
from nasgauge.analysis.results.tables import Table
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell, InvalidCell

_LISTED = 3
"""Cells of each searcher."""


def cells_section(campaign: Campaign, inks: Inks, files: list[Path]) -> Section:
    """The most frequent final incumbents of each searcher, and the operations of all of them."""
    charts = []
    for dataset in campaign.datasets:
        ends = [text for runs in campaign.on(dataset).values() for text in runs.final_cells]
        cells = _parsed(ends)
        if not cells:
            continue
        share = shares(cells)
        of = f"{dataset_name(dataset)}, table {printable(campaign.table)}: final incumbents of {len(cells)} runs"
        saved = inks.save(
            f"operations-{dataset}",
            partial(draw_preferences, share=share, of=of),
            _numbers(share),
            aspect=(1.0, 0.75),
        )
        files += saved
        charts.append(
            Chart(
                f"operations-{slug(dataset)}",
                "bars",
                f"{dataset_name(dataset)}: operations of the final incumbents",
                f"Share of the final incumbents with each operation, by edge; {dataset_name(dataset)}, "
                f"table {campaign.table}, n = {len(cells)} runs of all searchers.",
                {
                    "edges": EDGE_NAMES,
                    "parts": [
                        {
                            "name": OPERATION_NAMES[name],
                            "colour": OPERATION_COLOURS[name],
                            "share": share[:, place],
                        }
                        for place, name in enumerate(OPERATIONS)
                    ],
                },
                inks.links(saved),
                inks.provenance,
            )
        )
    table = Table(
        "cells",
        f"Final incumbents (table {campaign.table})",
        found_table(campaign),
        note=f"The {_LISTED} most frequent final incumbents of each searcher, and the table's best cell. n: runs that "
        "end with the cell, of how many. Hover over a cell to see it drawn.",
    )
    return Section("cells", "Final incumbents", charts=charts, tables=[table])


def found_table(campaign: Campaign) -> pd.DataFrame:
    """A row for each dataset, searcher and frequent final incumbent."""
    rows = []
    for dataset in campaign.datasets:
        if reference := campaign.references.get(dataset):
            rows.append(
                {
                    "dataset": dataset,
                    "searcher": "best cell",
                    "cell": reference.optimum_cell,
                    "n": "",
                    "test accuracy": reference.optimum,
                }
            )
        for searcher, runs in campaign.on(dataset).items():
            accuracy = dict(zip(runs.final_cells, runs.final.tolist(), strict=True))
            for text, count in Counter(runs.final_cells).most_common(_LISTED):
                rows.append(
                    {
                        "dataset": dataset,
                        "searcher": searcher,
                        "cell": text,
                        "n": f"{count} of {len(runs.seeds)}",
                        "test accuracy": accuracy[text],
                    }
                )
    return pd.DataFrame(rows)


def named_cells(sections: Sequence[Section]) -> list[str]:
    """Every cell that a table of the page names."""
    texts = {
        text
        for section in sections
        for table in section.tables
        if "cell" in table.frame
        for text in table.frame["cell"]
    }
    return sorted(str(cell) for cell in _parsed(sorted(texts)))


def _parsed(texts: Sequence[str]) -> list[Cell]:
    """Those that are cells of NAS-Bench-201; a campaign on another space has none."""
    cells = []
    for text in texts:
        try:
            cells.append(Cell.parse(text))
        except InvalidCell:
            continue
    return cells


def _numbers(share: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(share, columns=list(OPERATIONS))
    frame.insert(0, "edge", [f"{source}-{target}" for source, target in EDGES])
    return frame
