"""Efficiency curves: accuracy or regret of the incumbent against cost."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from nasgauge.analysis.plots.layout import (
    MOST,
    groups,
    key,
    legend_below,
    legend_right,
    stacked,
    title,
)
from nasgauge.analysis.plots.style import FAINT, Look, looks
from nasgauge.analysis.results.efficiency_curves import AXES, Efficiency
from nasgauge.analysis.results.names import shortened
from nasgauge.analysis.statistics.runs import Band

Array = NDArray[np.float64]

_MARKS: Final = 8
"""Markers on a curve."""
_EXACT: Final = "random search, exact"
_DOTTED: Final = (":", "-.")
"""Of the reference lines."""


def draw_accuracy(
    ax: Axes,
    grid: Array,
    bands: Mapping[str, Band],
    *,
    random: Array | None = None,
    references: Mapping[str, float],
    shown: Mapping[str, Look] | None = None,
    only: Collection[str] | None = None,
    legend: bool = True,
) -> None:
    """Accuracy against cost on a log axis, a 95 % band for each searcher, in order of the last values.

    `random`: the exact random-search curve on the same grid, if there is one. `references`: accuracies of
    horizontal lines, by name. `shown`: the look of each searcher. `only`: the searchers in colour; the others are
    thin grey lines. `legend`: one right of the Axes. Curves may begin with NaN. The accuracy axis begins at the
    lowest curve's value after a twentieth of the cost, for earlier values depend on the first draws.
    """
    ordered = sorted(bands, key=lambda name: -bands[name].centre[-1])
    _curves(ax, grid, {name: bands[name] for name in ordered}, shown, only)
    curves = [band.centre for band in bands.values()]
    if random is not None:
        curves.append(random)
        _exact(ax, grid, random)
    top = max(
        [*references.values(), *(curve[-1] for curve in curves if np.isfinite(curve[-1]))], default=100.0
    )
    early = np.searchsorted(grid, grid[-1] / 20)
    floor = min(float(curve[early:][np.isfinite(curve[early:])].min(initial=top)) for curve in curves)
    room = top - floor or 1.0
    ax.set_ylim(floor - 0.02 * room, top + 0.05 * room)
    for (name, value), dash in zip(
        sorted(references.items(), key=lambda pair: -pair[1]), _DOTTED, strict=False
    ):
        ax.axhline(value, color="black", lw=0.8, ls=dash, zorder=1, label=f"{name} {value:.2f}")
    cost_axis(ax, grid)
    if legend:
        legend_right(ax)


def draw_regret(
    ax: Axes,
    grid: Array,
    bands: Mapping[str, Band],
    *,
    optimum: float,
    random: Array | None = None,
    shown: Mapping[str, Look] | None = None,
    only: Collection[str] | None = None,
    legend: bool = True,
) -> None:
    """Points below the optimum on a log axis against cost on a log axis; the bands are of accuracy.

    A curve that leaves the axis at the bottom has reached the optimum in every run: a triangle marks the place,
    and the legend says so. Otherwise as `draw_accuracy`.
    """
    gaps = {
        name: Band(optimum - band.centre, optimum - band.high, optimum - band.low)
        for name, band in sorted(bands.items(), key=lambda item: item[1].centre[-1])
    }
    known = [gap.centre for gap in gaps.values()]
    if random is not None:
        known.append(optimum - random)
        _exact(ax, grid, known[-1])
    _curves(ax, grid, gaps, shown, only)
    values = np.concatenate(known)
    above = values[values > 1e-9]
    ax.set_yscale("log", nonpositive="clip")
    if above.size:
        ax.set_ylim(float(above.min()) / 1.4, float(above.max()) * 1.1)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    cost_axis(ax, grid)
    _leaving(ax, grid, {name: gaps[name] for name in gaps if only is None or name in only}, shown)
    if legend:
        legend_right(ax)


def draw_efficiency(
    figure: Figure, one: Efficiency, shown: Mapping[str, Look], *, of: str, regret: bool = False
) -> None:
    """A whole figure of one dataset: up to seven curves in one panel, more in panels below each other.

    Each panel has every curve, its own in colour and the others' in grey. `of`: dataset, table and runs, for the
    title.
    """
    order = sorted(one.bands, key=lambda name: -one.bands[name].centre[-1])
    parts = groups(order)
    axes = stacked(figure, len(parts))
    for ax, part in zip(axes, parts, strict=True):
        only = part if len(parts) > 1 else None
        if regret:
            draw_regret(
                ax,
                one.grid,
                one.bands,
                optimum=one.optimum,
                random=one.random,
                shown=shown,
                only=only,
                legend=False,
            )
        else:
            draw_accuracy(
                ax, one.grid, one.bands, random=one.random, references=one.references, shown=shown, only=only,
                legend=False,
            )  # fmt: skip
    what = "regret, percentage points" if regret else "test accuracy, %"
    axes[-1].set_xlabel(AXES[one.clock])
    if len(axes) > 1:
        figure.supylabel(what, fontsize=axes[0].yaxis.label.get_fontsize())
    else:
        axes[0].set_ylabel(what)
    floor = axes[0].get_ylim()[0]
    lowest = min((float(np.nanmin(band.centre)) for band in one.bands.values()), default=floor)
    cut = f"; values below {floor:.1f} % are not shown" if lowest < floor and not regret else ""
    others = "; grey: the other panels" if len(axes) > 1 else ""
    title(figure, f"{of}: incumbent, {one.average} and 95 % interval{others}{cut}")
    key(axes)


def draw_top(
    axes: Sequence[Axes],
    grid: Array,
    curves: Mapping[str, Mapping[int, Array]],
    *,
    shown: Mapping[str, Look] | None = None,
    only: Collection[str] | None = None,
) -> None:
    """Mean accuracy of the k best cells so far, an Axes for each k, on one scale; without a legend."""
    ends = [
        line
        for lines in curves.values()
        for curve in lines.values()
        if (line := curve[np.isfinite(curve)]).size
    ]
    nothing = np.full_like(grid, np.nan)
    counts = sorted({k for lines in curves.values() for k in lines})
    for place, (ax, count) in enumerate(zip(axes, counts, strict=True)):
        bands = {name: Band(lines[count], nothing, nothing) for name, lines in sorted(curves.items())}
        _curves(ax, grid, bands, shown, only)
        cost_axis(ax, grid, (1,))
        if ends:
            top, floor = (
                max(float(line.max()) for line in ends),
                float(np.quantile(np.concatenate(ends), 0.1)),
            )
            ax.set_ylim(floor, top + 0.06 * ((top - floor) or 1.0))
        ax.set_title(f"top {count}", loc="right")
        if place:
            ax.tick_params(labelleft=False)


def draw_best_cells(
    figure: Figure,
    grid: Array,
    curves: Mapping[str, Mapping[int, Array]],
    shown: Mapping[str, Look],
    *,
    of: str,
) -> None:
    """A whole figure of the k best cells: the seven highest searchers at the end in colour, the others in grey."""
    counts = sorted({k for lines in curves.values() for k in lines})
    best = sorted(curves, key=lambda name: -np.nan_to_num(curves[name][counts[0]][-1]))[:MOST]
    axes = list(figure.subplots(1, len(counts)))
    draw_top(axes, grid, curves, shown=shown, only=best)
    axes[len(axes) // 2].set_xlabel(AXES["queries"])
    axes[0].set_ylabel("test accuracy, %")
    rest = len(curves) - len(best)
    others = f"; grey: {rest} other searcher{'s' * (rest > 1)}" if rest else ""
    title(figure, f"{of}: mean over runs of the best cells by search metric{others}")
    by_name = {str(line.get_label()): line for line in axes[0].lines}
    legend_below(figure, [by_name[shortened(name)] for name in best])


def cost_axis(ax: Axes, grid: Array, digits: Sequence[int] = (1, 2, 5)) -> None:
    """A log axis with plain numbers from a hundredth of the cost, with ticks at `digits` times powers of ten."""
    ax.set_xscale("log")
    last = float(grid[-1])
    first = max(float(grid[0]), last / 100)
    ax.set_xlim(*((first, last) if first < last else (last / 2, last * 2)))
    ax.xaxis.set_major_locator(LogLocator(subs=digits))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if last >= 100 else "{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _exact(ax: Axes, grid: Array, values: Array) -> None:
    ax.plot(grid, values, color="black", lw=1.0, ls=(0, (4, 2)), label=_EXACT, zorder=3)


def _curves(
    ax: Axes,
    grid: Array,
    bands: Mapping[str, Band],
    shown: Mapping[str, Look] | None,
    only: Collection[str] | None,
) -> None:
    """A band and a step line for each searcher; those not in `only` are thin, grey and without a band."""
    shown = looks(bands) if shown is None else shown
    marks = np.unique(np.searchsorted(grid, np.geomspace(max(grid[0], grid[-1] / 80), grid[-1], _MARKS)))
    places = np.minimum(marks, len(grid) - 1).tolist()
    for searcher, band in bands.items():
        if only is not None and searcher not in only:
            ax.plot(grid, band.centre, drawstyle="steps-post", color=FAINT, lw=0.7, zorder=2)
            continue
        look = shown[searcher]
        if np.isfinite(band.low).any():
            ax.fill_between(grid, band.low, band.high, step="post", color=look.colour, alpha=0.15, lw=0)
        ax.plot(
            grid, band.centre, drawstyle="steps-post", color=look.colour, lw=1.5, ls=look.line,
            label=shortened(searcher), marker=look.marker, ms=3.5, markevery=places, zorder=4,
        )  # fmt: skip


def _leaving(ax: Axes, grid: Array, gaps: Mapping[str, Band], shown: Mapping[str, Look] | None) -> None:
    """A triangle on the lower edge where a regret reaches zero."""
    shown = looks(gaps) if shown is None else shown
    low = ax.get_ylim()[0]
    label = "▼ optimum in every run"
    for name, gap in gaps.items():
        zero = np.flatnonzero(gap.centre <= 1e-9)
        if zero.size:
            ax.plot(
                [grid[zero[0]]], [low], ls="none", marker="v", ms=5, color=shown[name].colour, clip_on=False, zorder=5,
                label=label,
            )  # fmt: skip
            label = "_more"
