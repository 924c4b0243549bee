"""Figures of statistics: performance profiles, interquartile means, differences with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from nasgauge.analysis.plots.style import look
from nasgauge.analysis.statistics.runs import Band

Array = NDArray[np.float64]


def draw_profile(ax: Axes, levels: Array, bands: Mapping[str, Band]) -> None:
    """Share of runs above each normalised score, with its band; further right and up is better."""
    for searcher, band in bands.items():
        shown = look(searcher)
        ax.fill_between(levels, band.low, band.high, color=shown.colour, alpha=0.18, lw=0, step="pre")
        ax.plot(
            levels, band.centre, color=shown.colour, lw=1.6, ls=shown.line, label=searcher,
            drawstyle="steps-pre", marker=shown.marker, ms=3.5, markevery=0.12,
        )  # fmt: skip
    ax.set_ylim(0, 1.02)
    ax.set_xlim(levels[0], levels[-1])
    ax.set_ylabel("share of runs above")
    ax.legend(loc="lower left")


def draw_intervals(ax: Axes, rows: Sequence[tuple[str, float, float, float]]) -> None:
    """A point with its interval for each searcher: (searcher, centre, low, high), best on top."""
    for place, (searcher, centre, low, high) in enumerate(rows):
        shown = look(searcher)
        ax.plot([low, high], [place, place], color=shown.colour, lw=2.2, alpha=0.6, solid_capstyle="round")
        ax.plot([centre], [place], marker=shown.marker, color=shown.colour, ms=6)
    ax.set_yticks(range(len(rows)), [searcher for searcher, *_ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
