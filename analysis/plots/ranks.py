"""Figures of scores against accuracies, and of correlations."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from nasgauge.analysis.plots.layout import labelled, legend_right
from nasgauge.analysis.plots.style import SMALLEST, Look, ink, looks
from nasgauge.analysis.results.names import shortened

Array = NDArray[np.float64]

_WIDE = 30
"""Characters of column names that fit beside each other."""
_CEILING = "noise ceiling (one training)"


def draw_ranks(ax: Axes, score: Array, truth: Array, *, bins: int = 70) -> None:
    """Accuracy against a score, (cells,) both, points coloured by local density."""
    known = ~(np.isnan(score) | np.isnan(truth))
    x, y = score[known], truth[known]
    if not len(x):
        ax.annotate("no cell has this score", (0.5, 0.5), xycoords="axes fraction", ha="center")
        return
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=bins)
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, bins - 1)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, bins - 1)
    density = np.log(counts[column, row])
    order = np.argsort(density, kind="stable")
    ax.scatter(x[order], y[order], c=density[order], s=3, cmap="viridis", lw=0, rasterized=True, alpha=0.8)
    floor = float(np.quantile(y, 0.02))
    room = float(y.max()) - floor or 1.0
    ax.set_ylim(floor - 0.05 * room, float(y.max()) + 0.05 * room)


def draw_taus(
    ax: Axes,
    rows: Sequence[tuple[str, float, float, float]],
    *,
    ceiling: float,
    published: Mapping[str, float],
    legend: bool = True,
) -> None:
    """Tau of each score with its interval, best on top; the noise ceiling as a line where it is known.

    `published`: taus of papers, by score, as hollow marks. `legend`: one right of the Axes.
    """
    for place, (name, tau, low, high) in enumerate(rows):
        baseline = name in ("flops", "params")
        colour = "#777777" if baseline else "#0072B2"
        if np.isfinite(low):
            ax.plot([low, high], [place, place], color=colour, lw=2.2, alpha=0.6, solid_capstyle="round")
        ax.plot([tau], [place], marker="s" if baseline else "o", color=colour, ms=4.5)
    known = [(published[name], place) for place, (name, *_) in enumerate(rows) if name in published]
    if known:
        ax.plot(
            *zip(*known, strict=True),
            marker="D",
            mfc="none",
            mec="#D55E00",
            ms=5,
            ls="none",
            label="published",
        )
    if np.isfinite(ceiling):
        ax.axvline(ceiling, color="black", lw=0.9, ls=":", label=f"{_CEILING} {ceiling:.2f}")
    ax.axvline(0, color="#999999", lw=0.6)
    ax.set_yticks(range(len(rows)), [shortened(name, 28) for name, *_ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    if legend and labelled(ax):
        legend_right(ax)


def draw_heat(ax: Axes, values: pd.DataFrame) -> None:
    """Correlations as a matrix, each with its number; blank where undefined."""
    grid = values.to_numpy(dtype=np.float64)
    image = ax.imshow(grid, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    many = grid.shape[1] > 8
    for row, column in zip(*np.nonzero(np.isfinite(grid)), strict=True):
        value = grid[row, column]
        text = f"{value:z.2f}"
        ax.text(
            column, row, text.replace("0.", ".").replace("1.00", "1") if many else text, ha="center", va="center",
            fontsize=SMALLEST, color=ink(image.to_rgba(value)[:3]),
        )  # fmt: skip
    rotation = 90 if sum(len(str(name)) for name in values.columns) > _WIDE else 0
    ax.set_xticks(
        range(grid.shape[1]), [shortened(str(name), 20) for name in values.columns], rotation=rotation
    )
    ax.set_yticks(range(grid.shape[0]), [shortened(str(name), 20) for name in values.index])
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)


def draw_sizes(
    ax: Axes, frame: pd.DataFrame, shown: Mapping[str, Look] | None = None, *, legend: bool = True
) -> None:
    """Tau against the number of fitted cells of one size, a line for each surrogate, bars: 5 % to 95 % of repeats.

    The surrogates are drawn a little beside each other, so that bars do not cover each other. `legend`: one right of the Axes.
    """
    styles = shown or looks(frame["surrogate"].astype(str))
    parts = list(frame.groupby("surrogate"))
    for place, (name, part) in enumerate(parts):
        look = styles[str(name)]
        x = part["fitted"].to_numpy(dtype=np.float64) * 1.03 ** (place - (len(parts) - 1) / 2)
        mean, low, high = (part[column].to_numpy(dtype=np.float64) for column in ("mean", "low", "high"))
        ax.vlines(x, low, high, color=look.colour, alpha=0.5, lw=1.5)
        ax.plot(
            x,
            mean,
            color=look.colour,
            marker=look.marker,
            ms=4,
            lw=1.5,
            ls=look.line,
            label=shortened(str(name)),
        )
    ax.set_xscale("log")
    ax.set_xticks(sorted(set(frame["fitted"])), minor=False)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    if legend:
        legend_right(ax)
