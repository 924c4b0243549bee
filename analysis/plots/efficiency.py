"""Efficiency curves: accuracy or regret of the incumbent against cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from nasgauge.analysis.plots.style import look
from nasgauge.analysis.statistics.runs import Band

Array = NDArray[np.float64]

_MARKS = 8
"""Markers on a curve."""


def draw_accuracy(
    ax: Axes,
    grid: Array,
    bands: Mapping[str, Band],
    *,
    random: Array | None = None,
    references: Mapping[str, float],
) -> None:
    """Accuracy against cost on a log axis, a 95 % band for each searcher, in order of the last values.

    `random`: the exact random-search curve on the same grid, if there is one. `references`: accuracies of
    horizontal lines, by name. Curves may begin with NaN. The accuracy axis begins at the lowest curve's value
    after a twentieth of the cost, for earlier values depend on the first draws.
    """
    for searcher, band in sorted(bands.items(), key=lambda item: -item[1].centre[-1]):
        _curve(ax, grid, searcher, band)
    curves = [band.centre for band in bands.values()]
    if random is not None:
        curves.append(random)
        ax.plot(grid, random, color="black", lw=1.0, ls=(0, (4, 2)), label="random search, exact", zorder=3)
    top = max(
        [*references.values(), *(curve[-1] for curve in curves if np.isfinite(curve[-1]))], default=100.0
    )
    early = np.searchsorted(grid, grid[-1] / 20)
    floor = min(float(curve[early:][np.isfinite(curve[early:])].min(initial=top)) for curve in curves)
    room = top - floor or 1.0
    ax.set_ylim(floor - 0.02 * room, top + 0.14 * room)
    _references(ax, references, room)
    cost_axis(ax, grid)
    ax.legend(loc="best")


def draw_regret(
    ax: Axes, grid: Array, bands: Mapping[str, Band], *, optimum: float, random: Array | None = None
) -> None:
    """Points below the optimum on a log axis against cost on a log axis; the bands are of accuracy.

    A curve that leaves the axes at the bottom has reached the optimum in every run.
    """
    shown: list[float] = []
    for searcher, band in sorted(bands.items(), key=lambda item: item[1].centre[-1]):
        regret = Band(optimum - band.centre, optimum - band.high, optimum - band.low)
        _curve(ax, grid, searcher, regret)
        shown += regret.centre[regret.centre > 0].tolist()
    if random is not None:
        gap = optimum - random
        ax.plot(grid, gap, color="black", lw=1.0, ls=(0, (4, 2)), label="random search, exact", zorder=3)
        shown += gap[gap > 0].tolist()
    ax.set_yscale("log", nonpositive="clip")
    if shown:
        ax.set_ylim(min(shown) / 1.4, max(shown) * 1.1)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    cost_axis(ax, grid)
    ax.legend(loc="lower left")


def draw_top(axes: Sequence[Axes], grid: Array, curves: Mapping[str, Mapping[int, Array]]) -> None:
    """Mean accuracy of the k best cells so far, an Axes for each k, on one scale."""
    ends = [
        line
        for lines in curves.values()
        for curve in lines.values()
        if (line := curve[np.isfinite(curve)]).size
    ]
    for place, (ax, count) in enumerate(
        zip(axes, sorted({k for lines in curves.values() for k in lines}), strict=True)
    ):
        for searcher, lines in sorted(curves.items()):
            nothing = np.full_like(grid, np.nan)
            _curve(ax, grid, searcher, Band(lines[count], nothing, nothing))
        cost_axis(ax, grid)
        if ends:
            top, floor = (
                max(float(line.max()) for line in ends),
                float(np.quantile(np.concatenate(ends), 0.1)),
            )
            ax.set_ylim(floor, top + 0.06 * ((top - floor) or 1.0))
        ax.set_title(f"top {count}")
        if place:
            ax.tick_params(labelleft=False)
    axes[0].legend(loc="lower right")


def cost_axis(ax: Axes, grid: Array) -> None:
    """A log axis with plain numbers, from a hundredth of the cost."""
    ax.set_xscale("log")
    last = float(grid[-1])
    first = max(float(grid[0]), last / 100)
    ax.set_xlim(*((first, last) if first < last else (last / 2, last * 2)))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if last >= 100 else "{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _curve(ax: Axes, grid: Array, searcher: str, band: Band) -> None:
    shown = look(searcher)
    if np.isfinite(band.low).any():
        ax.fill_between(grid, band.low, band.high, step="post", color=shown.colour, alpha=0.18, lw=0)
    marks = np.unique(np.searchsorted(grid, np.geomspace(max(grid[0], grid[-1] / 80), grid[-1], _MARKS)))
    ax.plot(
        grid, band.centre, drawstyle="steps-post", color=shown.colour, lw=1.6, ls=shown.line, label=searcher,
        marker=shown.marker, ms=3.5, markevery=np.minimum(marks, len(grid) - 1).tolist(), zorder=4,
    )  # fmt: skip


def _references(ax: Axes, references: Mapping[str, float], room: float) -> None:
    """Horizontal lines; of two close ones the lower is labelled below its line."""
    near = 0.09 * room
    values = sorted(references.values())
    for name, value in references.items():
        ax.axhline(value, color="black", lw=0.8, ls=":", zorder=1)
        below = any(0 < other - value < near for other in values)
        ax.annotate(
            f"{name} {value:.2f}", (0.01, value), xycoords=("axes fraction", "data"),
            xytext=(0, -2 if below else 2), textcoords="offset points", fontsize=7,
            va="top" if below else "bottom", color="#444444",
        )  # fmt: skip
