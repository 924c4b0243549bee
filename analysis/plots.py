"""Drawing functions: the Axes first, computed numbers next; nothing is saved and no pyplot is touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

Array = NDArray[np.float64]

STYLE: Final[dict[Any, Any]] = {
    "figure.figsize": (7.0, 4.3),
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
"""One style for all figures: fonts that embed, no frame, a light grid."""

_COLOURS: Final = {
    "random": "#777777",
    "evolution": "#0072B2",
    "local": "#009E73",
    "reinforce": "#D55E00",
    "pnas": "#CC79A7",
    "pnas-ucb": "#882255",
    "tenas": "#E69F00",
}
_SPARE: Final = ("#56B4E9", "#332288", "#117733", "#AA4499", "#999933", "#661100")


@dataclass(frozen=True)
class Band:
    """A searcher's curve: mean and interval over runs, (points,) each."""

    mean: Array
    low: Array
    high: Array
    runs: int


def colour(searcher: str) -> str:
    """A searcher's colour, the same in every figure; options do not change it."""
    name = searcher.partition(":")[0]
    return _COLOURS.get(name) or _SPARE[sum(map(ord, name)) % len(_SPARE)]


def draw_efficiency(
    ax: Axes,
    grid: Array,
    bands: Mapping[str, Band],
    *,
    random: Array | None,
    optimum: float,
) -> None:
    """Mean accuracy of the validation leader against cost on a log axis, a 95 % band for each searcher.

    `random`: the exact random-search curve on the same grid, if there is one. Curves may begin with NaN.
    The axis of accuracy is cut where the worst curve is after a twentieth of the cost: what is below is
    the luck of the first draws.
    """
    for searcher, band in sorted(bands.items(), key=lambda item: -item[1].mean[-1]):
        ax.fill_between(grid, band.low, band.high, step="post", color=colour(searcher), alpha=0.2, lw=0)
        ax.step(grid, band.mean, where="post", color=colour(searcher), lw=1.7, label=searcher)
    curves = [band.mean for band in bands.values()]
    if random is not None:
        curves.append(random)
        ax.plot(grid, random, color="black", lw=1.1, ls=(0, (4, 2)), label="random search, exact")
    ax.axhline(optimum, color="black", lw=0.8, ls=":")
    ax.annotate(
        f"optimum {optimum:.2f}", (0.005, optimum), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", fontsize=8,
    )  # fmt: skip
    early = np.searchsorted(grid, grid[-1] / 20)
    floor = float(
        np.nanmin([curve[early:][np.isfinite(curve[early:])].min(initial=optimum) for curve in curves])
    )
    ax.set_ylim(floor, optimum + 0.08 * (optimum - floor))
    ax.set_xscale("log")
    ax.set_xlim(max(grid[0], grid[-1] / 100), grid[-1])
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if grid[-1] >= 100 else "{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(loc="lower right")
