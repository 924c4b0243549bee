"""Figures of retrained cells: accuracy beside the table's, and learning curves."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

OURS: Final = "#0072B2"
OUTSIDE: Final = "#D55E00"
THEIRS: Final = "#9a9a9a"


def draw_bridge(ax: Axes, rows: pd.DataFrame) -> None:
    """Accuracy of retrained cells against the table's, a point for each cell; dashed line: equality.

    `rows`: columns table, ours, low, high, inside, and table's seeds (numbers as a text). Bars:
    prediction interval of a new training; ticks: the table's seeds.
    """
    x, y = (rows[name].to_numpy(np.float64) for name in ("table", "ours"))
    low, high = (rows[name].to_numpy(np.float64) for name in ("low", "high"))
    ends = np.concatenate([x, y, low[np.isfinite(low)], high[np.isfinite(high)]])
    room = 0.06 * (np.ptp(ends) or 2.0)
    limits = (float(ends.min() - room), float(ends.max() + room))
    ax.plot(limits, limits, color="black", lw=0.8, ls=(0, (4, 3)), zorder=1)
    ax.vlines(x, low, high, color=THEIRS, lw=5, alpha=0.4, zorder=2)
    for place, seeds in zip(x, rows["table's seeds"], strict=True):
        values = [float(text) for text in str(seeds).split()]
        ax.plot(
            [place] * len(values), values, ls="none", marker="_", ms=7, mew=1.2, color="#555555", zorder=3
        )
    outside = (rows["inside"] == "no").to_numpy()
    ax.plot(x[~outside], y[~outside], ls="none", marker="o", ms=5, color=OURS, mec="white", mew=0.6, zorder=4)
    ax.plot(
        x[outside], y[outside], ls="none", marker="D", ms=5, color=OUTSIDE, mec="white", mew=0.6, zorder=4
    )
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))


def bridge_handles(rows: pd.DataFrame) -> list[Artist]:
    """Legend entries of `draw_bridge`, for the marks that occur."""
    handles: list[Artist] = [
        Patch(color=THEIRS, alpha=0.4, lw=0, label="95 % prediction interval"),
        _mark("o", OURS, "retrained"),
    ]
    if (rows["inside"] == "no").any():
        handles.append(_mark("D", OUTSIDE, "outside"))
    if rows["table's seeds"].astype(bool).any():
        handles.append(Line2D([], [], marker="_", ls="none", ms=7, color="#555555", label="table's seeds"))
    return [*handles, Line2D([], [], color="black", lw=0.8, ls=(0, (4, 3)), label="equality")]


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], ls="none", ms=5, mec="white", marker=marker, color=colour, label=label)


def draw_training(axes: Sequence[Axes], rows: pd.DataFrame, whats: Sequence[str]) -> None:
    """Learning curves of one cell, an Axes for each of `whats`: ours in colour over the table's in grey.

    `rows`: columns what, whose, seed, epoch, value.
    """
    for ax, what in zip(axes, whats, strict=True):
        for (whose, _), part in rows[rows["what"] == what].groupby(["whose", "seed"], sort=True):
            ours = whose == "ours"
            ax.plot(
                part["epoch"], part["value"], color=OURS if ours else THEIRS, lw=1.5 if ours else 1.2,
                marker="o" if len(part) <= 20 else "", ms=2.6, zorder=3 if ours else 2,
            )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4))


def training_handles() -> list[Line2D]:
    """Legend entries of `draw_training`."""
    return [
        Line2D([], [], color=OURS, marker="o", ms=2.6, label="retrained"),
        Line2D([], [], color=THEIRS, marker="o", ms=2.6, label="the table's seeds"),
    ]
