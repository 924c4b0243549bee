"""Keys and titles of figures, placed beside the axes so that they never cover data."""

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

MOST: Final = 7
"""Curves of a panel."""
_WIDEST: Final = 0.36
"""Share of a figure's width that labels beside the axes may take."""
_LINE: Final = (0.0, 0.05, 0.17)
"""Inches from the right edge of an Axes: the line from a curve's end to its label."""
_COMPACT: Final[Mapping[str, Any]] = {
    "borderpad": 0.2, "handlelength": 2.2, "columnspacing": 1.0, "labelspacing": 0.25, "handletextpad": 0.5,
}  # fmt: skip
_SHORTEST: Final = 20
"""Characters of a title's line."""


def groups(names: Sequence[str], most: int = MOST) -> list[list[str]]:
    """Names in as few groups of at most `most` as there must be, of nearly equal sizes.

    >>> [len(group) for group in groups([str(n) for n in range(15)])]
    [5, 5, 5]
    """
    count = max(-(-len(names) // most), 1)
    size = -(-len(names) // count)
    return [list(names[start : start + size]) for start in range(0, max(len(names), 1), size)]


def stacked(figure: Figure, count: int, share: float = 0.78) -> list[Axes]:
    """Axes below each other with common scales, each a share of the figure's height, which grows."""
    if count > 1:
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height * share * count)
    axes: list[Axes] = list(figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False)[:, 0])
    return axes


def title(figure: Figure, text: str) -> None:
    """A title that is broken into lines no wider than the figure."""
    text = re.sub(r"(?<=\d) (?=%)|(?<= =) |(?<=\w) (?==)", "\xa0", text)
    put = figure.suptitle(text, x=0.01, ha="left", fontsize="medium", parse_math=False)
    width = len(text)
    while _width(put) > 0.97 * figure.bbox.width and width > _SHORTEST:
        width -= 2
        put.set_text(textwrap.fill(text, width))


def pictures_of(figure: Figure, count: int, *, inches: float = 1.6, height: float = 1.05) -> list[Axes]:
    """Axes for small pictures, as many beside each other as the figure is wide, in rows of about equal length."""
    width = float(figure.get_size_inches()[0])
    rows = -(-count // max(int(width / inches), 1))
    columns = -(-count // rows)
    figure.set_size_inches(width, rows * height * width / columns / 1.5 + 0.4)
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes[count:]:
        ax.set_axis_off()
    return axes[:count]


def key(axes: Sequence[Axes]) -> None:
    """Name the curves of Axes: beside their ends where there is room on all, otherwise in legends above them."""
    made = [_label_ends(ax, labelled(ax)) for ax in axes]
    if all(made):
        return
    for artist in (artist for part in made for artist in part):
        artist.remove()
    for ax in axes:
        legend_above(ax, labelled(ax))


def legend_above(ax: Axes, handles: Sequence[Artist]) -> None:
    """A legend above an Axes with as many columns as the figure is wide; the figure grows by its height."""
    figure = _figure(ax)
    figure.draw_without_rendering()
    left = ax.get_window_extent().x0 - figure.bbox.x0
    _fit(
        figure,
        left,
        lambda n: ax.legend(
            handles=handles, ncols=n, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.3, **_COMPACT
        ),
        len(handles),
    )


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend below all Axes of a figure, which grows by its height."""
    _fit(
        figure,
        0,
        lambda n: figure.legend(handles=handles, ncols=n, loc="outside lower left", **_COMPACT),
        len(handles),
    )


def _fit(figure: Figure, left: float, make: Callable[[int], Legend], most: int) -> None:
    """Make a legend with as many columns as fit beside `left` pixels; the figure grows by its height."""
    for columns in range(most, 0, -1):
        legend = _literal(make(columns))
        extent = legend.get_window_extent()
        if extent.width <= figure.bbox.width - left or columns == 1:
            break
        legend.remove()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + extent.height / figure.dpi)


def labelled(ax: Axes) -> list[Line2D]:
    """The lines of an Axes that a legend names."""
    return [line for line in ax.lines if not str(line.get_label()).startswith("_")]


def legend_right(ax: Axes) -> None:
    """A legend right of an Axes of the caller's own; a figure without a layout is saved with `bbox_inches="tight"`."""
    _literal(ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0))


def _literal(legend: Legend) -> Legend:
    """The same legend, its texts as they are: a dollar sign in a name begins no formula."""
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def _label_ends(ax: Axes, handles: Sequence[Line2D]) -> list[Artist]:
    """Labels right of an Axes, each at the height of its curve's end or as near as the others let it; or none."""
    figure = _figure(ax)
    right = figure.dpi_scale_trans + ScaledTranslation(1, 0, ax.transAxes)  # type: ignore[arg-type]  # inches from the right
    place = blended_transform_factory(right, ax.transAxes)
    size = rcParams["legend.fontsize"]
    texts = [
        ax.text(
            _LINE[-1] + 0.03,
            0.5,
            str(handle.get_label()),
            transform=place,
            va="center_baseline",
            fontsize=size,
            parse_math=False,
        )
        for handle in handles
    ]
    figure.draw_without_rendering()
    box = ax.get_window_extent()
    gap = 1.15 * float(texts[0].get_fontsize()) * figure.dpi / 72 / box.height
    widest = max(_width(text) for text in texts) + _LINE[-1] * figure.dpi
    if widest > _WIDEST * figure.bbox.width or gap * (len(texts) - 1) > 1.05:
        for text in texts:
            text.remove()
        return []
    heights = ax.transAxes.inverted().transform(
        ax.transData.transform([(ax.get_xlim()[1], _end(handle)) for handle in handles])
    )
    wanted = np.clip(heights[:, 1], 0, 1).tolist()
    made: list[Artist] = list(texts)
    for text, handle, end, at in zip(texts, handles, wanted, spread(wanted, gap), strict=True):
        text.set_y(at)
        line = Line2D(
            _LINE, [end, at, at], transform=place, clip_on=False, color=handle.get_color(), lw=1.2,
            ls=handle.get_linestyle(), marker=handle.get_marker(), ms=handle.get_markersize(), markevery=[2],
        )  # fmt: skip
        line.set_in_layout(False)
        ax.add_artist(line)
        made.append(line)
    return made


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights at least `gap` apart and near the wanted ones, which are between 0 and 1.

    >>> spread([0.5, 0.5], 0.2)
    [0.5, 0.3]
    """
    order = sorted(range(len(wanted)), key=lambda place: -wanted[place])
    made = [wanted[place] for place in order]
    for place in range(1, len(made)):
        made[place] = min(made[place], made[place - 1] - gap)
    if made and made[-1] < 0:
        made[-1] = 0.0
        for place in range(len(made) - 2, -1, -1):
            made[place] = max(made[place], made[place + 1] + gap)
    found = [0.0] * len(wanted)
    for place, at in zip(order, made, strict=True):
        found[place] = round(at, 6)
    return found


def _end(line: Line2D) -> float:
    """The last value of a curve, in data units."""
    values = np.asarray(line.get_ydata(), dtype=np.float64)
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else 0.0


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def _width(text: Text) -> float:
    return float(text.get_window_extent().width)
