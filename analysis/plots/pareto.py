"""Accuracy against an objective, and hypervolume against queries."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasgauge.analysis.plots.efficiency import cost_axis
from nasgauge.analysis.plots.layout import legend_below, legend_right, title
from nasgauge.analysis.plots.style import Look, looks
from nasgauge.analysis.results.names import dataset_name, shortened
from nasgauge.analysis.results.pareto import TradeOff

_CLOUD = "#d9d9d9"


def draw_front(
    ax: Axes, found: TradeOff, shown: Mapping[str, Look] | None = None, *, legend: bool = True
) -> None:
    """Every cell as a dot, the exact front as a black line, and each searcher's best accuracy within a limit.

    The accuracy axis begins where a quarter of the limits are reached by every searcher, or the exact front.
    `legend`: one right of the Axes.
    """
    known = found.known
    ax.plot(known.figures, known.accuracy, ".", ms=1, color=_CLOUD, zorder=0, rasterized=True)
    ax.step(found.limits, found.exact, where="post", color="black", lw=1.2, zorder=3, label="exact front")
    styles = shown or looks(found.within)
    for name, one in found.within.items():
        look = styles[name]
        ax.step(
            found.limits, one.centre, where="post", color=look.colour, ls=look.line, lw=1.3, zorder=2, label=shortened(name)
        )  # fmt: skip
        ax.fill_between(found.limits, one.low, one.high, step="post", color=look.colour, alpha=0.18, lw=0)
    top = float(np.nanmax(found.exact))
    reached = [values[np.isfinite(values)] for values in (one.centre for one in found.within.values())]
    lowest = min([float(np.quantile(values, 0.1)) for values in reached if len(values)] or [top - 5])
    ax.set_ylim(lowest - 0.15 * (top - lowest), top + 0.05 * (top - lowest))
    ax.set(xlabel=known.objective.label, ylabel="test accuracy, %")
    if legend:
        legend_right(ax)


def draw_volumes(ax: Axes, found: TradeOff, shown: Mapping[str, Look] | None = None) -> None:
    """Mean hypervolume against queries on a log axis, a 95 % band for each searcher."""
    styles = shown or looks(found.volumes)
    early = int(np.searchsorted(found.grid, found.grid[-1] / 20))
    lowest = 100.0
    for name, one in found.volumes.items():
        look = styles[name]
        ax.plot(found.grid, one.centre, color=look.colour, ls=look.line, lw=1.3)
        ax.fill_between(found.grid, one.low, one.high, color=look.colour, alpha=0.18, lw=0)
        lowest = min(lowest, float(np.nanmin(one.centre[early:], initial=100.0)))
    ax.set_ylim(lowest - 0.03 * (100.5 - lowest), 100 + 0.02 * (100.5 - lowest))
    ax.axhline(100, color="black", lw=1.2)
    ax.set(ylabel="hypervolume, % of the exact front's")
    cost_axis(ax, found.grid)
    ax.set_xlabel("queries")


def draw_trade_off(figure: Figure, found: TradeOff, shown: Mapping[str, Look]) -> None:
    """Both beside each other, with one key below."""
    left, right = figure.subplots(1, 2)
    draw_front(left, found, shown, legend=False)
    draw_volumes(right, found, shown)
    title(figure, f"{dataset_name(found.known.dataset)}: accuracy and {found.known.objective.label}")
    order = sorted(found.volumes, key=lambda name: -found.volumes[name].centre[-1])
    handles = [
        Line2D([], [], color=shown[name].colour, ls=shown[name].line, label=shortened(name, 60))
        for name in order
    ]
    legend_below(figure, [Line2D([], [], color="black", label="exact front"), *handles])
