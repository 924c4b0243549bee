"""Figures of statistics: performance profiles, interquartile means, significance of differences."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasgauge.analysis.plots.layout import groups, labelled, legend_above, legend_right, stacked, title
from nasgauge.analysis.plots.style import FAINT, SMALLEST, Look, ink, looks
from nasgauge.analysis.results.names import shortened
from nasgauge.analysis.statistics.runs import Band

Array = NDArray[np.float64]


def draw_profile(
    ax: Axes,
    levels: Array,
    bands: Mapping[str, Band],
    *,
    shown: Mapping[str, Look] | None = None,
    only: Collection[str] | None = None,
    legend: bool = True,
) -> None:
    """Share of runs above each normalised score, with its band; further right and up is better.

    `only`: the searchers in colour; the others are thin grey lines. `legend`: one right of the Axes.
    """
    shown = looks(bands) if shown is None else shown
    for searcher, band in bands.items():
        if only is not None and searcher not in only:
            ax.plot(levels, band.centre, color=FAINT, lw=0.7, drawstyle="steps-pre", zorder=1)
            continue
        look = shown[searcher]
        ax.fill_between(levels, band.low, band.high, color=look.colour, alpha=0.15, lw=0, step="pre")
        ax.plot(
            levels, band.centre, color=look.colour, lw=1.5, ls=look.line, label=shortened(searcher),
            drawstyle="steps-pre", marker=look.marker, ms=3.5, markevery=0.12,
        )  # fmt: skip
    ax.set_ylim(0, 1.02)
    ax.set_xlim(levels[0], levels[-1])
    if legend:
        legend_right(ax)


def draw_profiles(
    figure: Figure, levels: Array, bands: Mapping[str, Band], shown: Mapping[str, Look], *, of: str
) -> None:
    """A whole figure of performance profiles: up to seven in a panel, in the order of `bands`."""
    parts = groups(list(bands))
    axes = stacked(figure, len(parts))
    title(figure, f"{of}: share of runs above, 95 % band{'; grey: the other panels' * (len(axes) > 1)}")
    axes[-1].set_xlabel("normalised score")
    for ax, part in zip(axes, parts, strict=True):
        draw_profile(ax, levels, bands, shown=shown, only=part if len(parts) > 1 else None, legend=False)
        ax.set_ylabel("share of runs")
        legend_above(ax, labelled(ax))


def draw_intervals(
    ax: Axes, rows: Sequence[tuple[str, float, float, float]], *, shown: Mapping[str, Look] | None = None
) -> None:
    """A point with its interval for each searcher: (searcher, centre, low, high), best on top."""
    shown = looks(name for name, *_ in rows) if shown is None else shown
    for place, (searcher, centre, low, high) in enumerate(rows):
        look = shown[searcher]
        ax.plot([low, high], [place, place], color=look.colour, lw=2.2, alpha=0.6, solid_capstyle="round")
        ax.plot([centre], [place], marker=look.marker, color=look.colour, ms=5.5)
    ax.set_yticks(range(len(rows)), [shortened(searcher, 28) for searcher, *_ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def draw_significance(ax: Axes, effect: pd.DataFrame, significant: pd.DataFrame) -> None:
    """Probability that a run of the row's searcher ends higher than one of the column's, percent, coloured if significant.

    `effect`, `significant`: square, rows and columns in order of the mean; NaN on the diagonal.
    """
    values = effect.to_numpy(dtype=np.float64)
    marked = significant.to_numpy(dtype=bool)
    image = ax.imshow(np.where(marked, values, np.nan), cmap="PuOr", vmin=-0.2, vmax=1.2, aspect="auto")
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        ax.text(
            column, row, f"{100 * values[row, column]:.0f}", ha="center", va="center", fontsize=SMALLEST,
            color=ink(image.to_rgba(values[row, column])[:3]) if marked[row, column] else "#767676",
        )  # fmt: skip
    names = [shortened(str(name), 16) for name in effect.index]
    ax.set_yticks(range(len(names)), [f"{name}  {place}" for place, name in enumerate(names, 1)])
    ax.set_xticks(range(len(names)), [str(place) for place in range(1, len(names) + 1)], fontsize=SMALLEST)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
