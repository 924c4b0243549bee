"""The section of retrained cells, and its files."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.layout import legend_below
from nasgauge.analysis.plots.retraining import bridge_handles, draw_bridge, draw_training, training_handles
from nasgauge.analysis.report.page import Picture, Section
from nasgauge.analysis.results.names import dataset_name, shortened
from nasgauge.analysis.results.retraining import Bridge, compare, summarise, training_curves
from nasgauge.analysis.results.tables import Table

_INCHES: Final = 1.75
"""Least width of a panel."""
_WHATS: Final = {
    "train loss": "train loss",
    "train accuracy": "train accuracy, %",
    "valid accuracy": "valid accuracy, %",
    "test accuracy": "test accuracy, %",
}


def bridge_section(bridge: Bridge, inks: Inks, rng: np.random.Generator, files: list[Path]) -> Section:
    """Every retrained cell beside the table's figures of it."""
    rows = compare(bridge)
    notes = list(bridge.notes)
    if rows.empty:
        return Section(
            "bridge", "Retrained cells", notes=[*notes, "No training can be compared with the table."]
        )
    for fidelity in rows.loc[rows["inside"] == "unknown", "fidelity"].unique():
        notes.append(
            f"{fidelity}: the table has one training per network, so the noise of training is unknown."
        )
    summary = summarise(rows, rng)
    pictures = [_accuracies(bridge, rows, summary, inks, files)]
    curves = training_curves(bridge)
    if curves.empty:
        notes.append(f"Table {bridge.table} has no learning curves of these cells.")
    else:
        for dataset, epochs in dict.fromkeys(zip(curves["dataset"], curves["epochs"], strict=True)):
            part = curves[(curves["dataset"] == dataset) & (curves["epochs"] == epochs)]
            pictures.append(_curves(dataset, epochs, part, inks, files))
    return Section(
        "bridge",
        "Retrained cells",
        "Cells trained here beside the table's own trainings of them. A difference in network or recipe shows as "
        "points outside the prediction interval.",
        pictures=pictures,
        tables=[summary_table(summary), rows_table(rows)],
        notes=notes,
    )


def summary_table(summary: pd.DataFrame) -> Table:
    """One line for each fidelity."""
    return Table(
        "bridge-summary",
        "Retrained cells against the table",
        summary,
        dict.fromkeys(("tau", "tau low", "tau high"), 3),
        "cells: n. inside: cells within the 95 % prediction interval. by noise alone: the mean absolute difference "
        "that the noise of training explains. low, high: 95 % interval of the mean difference over cells. "
        "tau: Kendall's, with its 95 % bootstrap interval over cells. separated pairs: the table's means differ by "
        "more than their 95 % interval; kept: ours differ in the same direction.",
        caption="Retrained cells against the table: accuracy, mean difference and Kendall's tau with 95 % intervals.",
    )


def rows_table(rows: pd.DataFrame) -> Table:
    """One line for each cell and fidelity."""
    return Table(
        "bridge",
        "Every retrained cell",
        rows[[name for name in rows.columns if name not in ("freedom", "cell")] + ["cell"]],
        note="low, high: 95 % prediction interval for the mean of our runs, table mean ± t × sd × sqrt(1/our runs + "
        "1/table's runs). sd: of a single training, pooled over the table's cells of about this accuracy: between "
        "seeds, or, where the table has means only, between cells that are the same network.",
    )


def _accuracies(
    bridge: Bridge, rows: pd.DataFrame, summary: pd.DataFrame, inks: Inks, files: list[Path]
) -> Picture:
    panels = [(str(name), part) for name, part in rows.groupby("fidelity", sort=False)]
    corners = {line["fidelity"]: _corner(line) for line in summary.to_dict("records")}
    wide = min(len(panels), _columns(inks))
    high = -(-len(panels) // wide)

    def draw(figure: Figure) -> None:
        axes = np.atleast_1d(figure.subplots(high, wide, squeeze=False)).ravel()
        for ax, (name, part) in zip(axes, panels, strict=False):
            draw_bridge(ax, part)
            ax.set_title(f"{name}\n{corners[name]}")
            ax.set(xlabel=f"table {bridge.table}, %", ylabel="retrained, %")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        legend_below(figure, bridge_handles(rows))

    shape = (1.0, 0.3 + 1.1 * high * min(1.5 / wide, 1.0))
    saved = inks.save("bridge-accuracy", draw, rows, aspect=shape)
    files += saved
    return Picture(
        "Accuracy of retrained cells",
        "Each point is a cell. Grey: 95 % prediction interval for the mean of our runs, given the same network and "
        "recipe as the table's; dashed: equality.",
        inks.svg(draw, aspect=shape),
        inks.links(saved),
        inks.provenance,
    )


def _columns(inks: Inks) -> int:
    """Panels beside each other in the width of a figure, at most three."""
    return min(max(int(inks.rc["figure.figsize"][0] / _INCHES), 1), 3)


def _corner(line: dict[Any, Any]) -> str:
    if not np.isfinite(line["tau"]):
        return f"{line['mean difference']:+z.2f} points"
    interval = f" [{line['tau low']:.2f}, {line['tau high']:.2f}]" if np.isfinite(line["tau low"]) else ""
    return f"τ = {line['tau']:.2f}{interval}\nmean difference {line['mean difference']:+z.2f}"


def _curves(dataset: str, epochs: int, curves: pd.DataFrame, inks: Inks, files: list[Path]) -> Picture:
    both = curves.groupby("what")["whose"].nunique()
    whats = [what for what in _WHATS if both.get(what) == len(("ours", "table"))][: _columns(inks)]
    cells = [(str(cell), part) for cell, part in curves.groupby("cell", sort=False)]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(cells), len(whats), squeeze=False)
        for axes, (cell, part) in zip(grid, cells, strict=True):
            draw_training(list(axes), part, whats)
            axes[0].set_title(shortened(cell, 60))
            for ax, what in zip(axes, whats, strict=True):
                ax.set_ylabel(_WHATS[what])
        for ax in grid[-1]:
            ax.set_xlabel("epoch")
        legend_below(figure, training_handles())

    shape = (1.0, 0.25 + 0.55 * len(cells))
    saved = inks.save(f"bridge-curves-{dataset}-{epochs}", draw, curves, aspect=shape)
    files += saved
    return Picture(
        f"Learning curves on {dataset_name(dataset)}, {epochs} epochs",
        "Ours in blue, the table's seeds in grey. Training loss and accuracy are means over the augmented images of an "
        "epoch, during which the weights change.",
        inks.svg(draw, aspect=shape),
        inks.links(saved),
        inks.provenance,
    )
