"""No legend, label or title of a figure lies over a curve, another text or the figure's edge, at any venue's size."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from nasgauge.analysis.plots.cells import draw_preferences
from nasgauge.analysis.plots.comparisons import draw_intervals, draw_profiles, draw_significance
from nasgauge.analysis.plots.efficiency import draw_accuracy, draw_best_cells, draw_efficiency
from nasgauge.analysis.plots.layout import key, labelled, legend_below, spread, title
from nasgauge.analysis.plots.ranks import draw_heat, draw_sizes, draw_taus
from nasgauge.analysis.plots.style import SMALLEST, looks, style, venues
from nasgauge.analysis.results.efficiency_curves import Efficiency
from nasgauge.analysis.statistics.runs import Band

NAMES = (
    "random", "evolution", "local", "mine:Mine", "mine:Mine:population=40", "reinforce", "evolution:population=50",
    "evolution:population=100,tournament=20", "pnas", "bananas", "smbo", "tpe", "tenas", "my_module:WithAVeryLongName",
    r"mine:Odd:s=$\foo$[/x]",
)  # fmt: skip
GRID = np.unique(np.geomspace(1, 200, 60).round())
COUNTS = (1, 6, 15)


def bands(count: int, *, found: bool = False) -> dict[str, Band]:
    rng = np.random.default_rng(0)
    made = {}
    for place, name in enumerate(NAMES[:count]):
        centre = 94.37 - (3 + rng.random()) * GRID ** -(0.3 + 0.05 * place)
        if found and place == 0:
            centre[40:] = 94.37
        made[name] = Band(centre, centre - 0.4, centre + 0.2)
    return made


def efficiency(count: int) -> Efficiency:
    return Efficiency(
        "ImageNet16-120", "queries", "mean", GRID, bands(count, found=True), dict.fromkeys(NAMES[:count], 100), 94.37,
        94.2, 94.37 - 4 * GRID**-0.4,
    )  # fmt: skip


def accuracy(figure: Figure, count: int) -> None:
    draw_efficiency(figure, efficiency(count), looks(NAMES), of="ImageNet16-120, table nb201, n = 100")


def regret(figure: Figure, count: int) -> None:
    draw_efficiency(
        figure, efficiency(count), looks(NAMES), of="ImageNet16-120, table nb201, n = 100", regret=True
    )


def best(figure: Figure, count: int) -> None:
    curves = {name: {k: band.centre - k / 50 for k in (1, 5, 25)} for name, band in bands(count).items()}
    draw_best_cells(figure, GRID, curves, looks(NAMES), of="ImageNet16-120, table nb201")


def profile(figure: Figure, count: int) -> None:
    levels = np.linspace(0.5, 1, 50)
    made = {
        name: Band(*(np.clip((1 - levels) * (2 - place / 20) + shift, 0, 1) for shift in (0, -0.05, 0.05)))
        for place, name in enumerate(NAMES[:count])
    }
    draw_profiles(figure, levels, made, looks(NAMES), of="CIFAR-10, CIFAR-100; table nb201; n = 100")


def intervals(figure: Figure, count: int) -> None:
    ax = figure.add_subplot()
    draw_intervals(
        ax, [(name, 0.9 - k / 50, 0.88 - k / 50, 0.92 - k / 50) for k, name in enumerate(NAMES[:count])]
    )
    ax.set_xlabel("normalised score")
    title(figure, "CIFAR-10, CIFAR-100; table nb201; n = 100: interquartile mean, 95 % interval")


def significance(figure: Figure, count: int) -> None:
    effect = pd.DataFrame(np.full((count, count), 0.75), NAMES[:count], NAMES[:count])
    draw_significance(figure.add_subplot(), effect, effect > 0.5)


def taus(figure: Figure, count: int) -> None:
    ax = figure.add_subplot()
    rows = [(name, 0.6 - k / 30, 0.55 - k / 30, 0.65 - k / 30) for k, name in enumerate(NAMES[:count])]
    draw_taus(ax, rows, ceiling=0.92, published={"random": 0.5}, legend=False)
    title(figure, "ImageNet16-120: agreement of scores with accuracy")
    legend_below(figure, labelled(ax))


def sizes(figure: Figure, count: int) -> None:
    ax = figure.add_subplot()
    rows = [
        (name, n, 0.3 + k / 50, 0.2, 0.4)
        for k, name in enumerate(NAMES[: min(count, 6)])
        for n in (32, 64, 128)
    ]
    frame = pd.DataFrame(rows, columns=["surrogate", "fitted", "mean", "low", "high"])
    draw_sizes(ax, frame, legend=False)
    title(figure, "Surrogates")
    key([ax])


def heat(figure: Figure, count: int) -> None:
    draw_heat(figure.add_subplot(), pd.DataFrame(np.eye(count), NAMES[:count], NAMES[:count]))
    title(figure, "Tau between two scores")


def preferences(figure: Figure, count: int) -> None:
    draw_preferences(
        figure, np.full((6, 5), 0.2), of=f"CIFAR-10, table nb201: final incumbents of {count} runs"
    )


FIGURES = {
    draw.__name__: draw
    for draw in (accuracy, regret, best, profile, intervals, significance, taus, sizes, heat, preferences)
}
ASPECTS: dict[str, Callable[[int], float]] = {
    "intervals": lambda count: 0.4 + 0.09 * count,
    "significance": lambda count: 0.4 + 0.09 * count,
    "taus": lambda count: 0.45 + 0.07 * count,
    "heat": lambda count: 0.7 + 0.08 * count,
}


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    unseen = {
        id(tick.label1)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not ax.axison
        or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in unseen
    ]


def inside(box: Bbox, points: np.ndarray) -> np.ndarray:
    within: np.ndarray = (
        (points[:, 0] > box.x0) & (points[:, 0] < box.x1) & (points[:, 1] > box.y0) & (points[:, 1] < box.y1)
    )
    return within


def faults(figure: Figure, *, numbers: bool) -> list[str]:
    """What is covered; `numbers`: texts inside the axes are the data themselves."""
    figure.draw_without_rendering()
    found = []
    shown = texts(figure)
    frames = [ax.get_window_extent() for ax in figure.axes if ax.axison]
    words = [
        (text, box)
        for text, box in shown
        if not any(f.x0 <= box.x0 and box.x1 <= f.x1 and f.y0 <= box.y0 and box.y1 <= f.y1 for f in frames)
    ]
    if not numbers:
        found += [f"{text!r} is inside the axes" for text, box in shown if (text, box) not in words]
    edge = figure.bbox.padded(1.5)
    found += [
        f"{text!r} leaves the figure"
        for text, box in words
        if box.x0 < edge.x0 or box.x1 > edge.x1 or box.y0 < edge.y0 or box.y1 > edge.y1
    ]
    found += [
        f"{one!r} lies over {other!r}"
        for (one, a), (other, b) in combinations(words, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 2.5
    ]
    boxes = [("a legend", legend.get_window_extent()) for ax in figure.axes if (legend := ax.get_legend())]
    boxes += [("a legend", legend.get_window_extent()) for legend in figure.legends]
    for ax in figure.axes:
        frame = ax.get_window_extent()
        for line in ax.lines:
            points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=np.float64))
            points = points[np.isfinite(points).all(axis=1) & inside(frame.padded(1), points)]
            found += [f"{name} covers a curve" for name, box in boxes if inside(box.padded(-1), points).any()]
    return found


def sizes_of_venues() -> list[object]:
    """One venue of each size and font; the others are minutes of work and look the same."""
    kinds: dict[str, str] = {}
    for venue in venues():
        look = {key: value for key, value in style(venue).items() if "size" in key or "family" in key}
        kinds.setdefault(repr(sorted(look.items())), venue)
    fast = ("page", "cvpr2024")
    return [pytest.param(name, marks=[] if name in fast else [pytest.mark.slow]) for name in kinds.values()]


@pytest.mark.parametrize("venue", sizes_of_venues())
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_covered_at_any_venues_size(venue: str, name: str) -> None:
    with rc_context(style(venue)):
        for count in COUNTS:
            width, height = style(venue)["figure.figsize"]
            aspect = ASPECTS[name](count) if name in ASPECTS else 1.0
            figure = Figure(figsize=(width, height * aspect), layout="constrained")
            FIGURES[name](figure, count)
            assert faults(figure, numbers=name in ("heat", "significance")) == [], f"{count} searchers"
            assert figure.get_size_inches()[0] == width
            sizes = [float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_text()]
            smallest = min(sizes)
            assert smallest >= SMALLEST - 0.01


def test_the_check_itself_sees_a_legend_over_a_curve() -> None:
    figure = Figure(layout="constrained")
    ax = figure.add_subplot()
    ax.plot(GRID, GRID, label="a curve")
    ax.legend(loc="center")
    assert any("covers a curve" in text for text in faults(figure, numbers=True))
    assert any("is inside the axes" in text for text in faults(figure, numbers=False))


def test_a_legend_can_be_left_to_the_caller_and_otherwise_stands_right_of_the_axes() -> None:
    ax: Axes = Figure(layout="constrained").add_subplot()
    draw_accuracy(ax, GRID, bands(2), references={}, legend=False)
    assert ax.get_legend() is None
    draw_accuracy(ax, GRID, bands(2), references={})
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x0 > ax.get_window_extent().x1


def test_fifteen_curves_are_three_panels_each_with_all_curves() -> None:
    figure = Figure(layout="constrained")
    accuracy(figure, 15)
    assert len(figure.axes) == 3
    assert [
        len([line for line in ax.lines if line.get_drawstyle() == "steps-post"]) for ax in figure.axes
    ] == [15] * 3
    few = Figure(layout="constrained")
    accuracy(few, 6)
    assert len(few.axes) == 1


def test_a_curve_that_leaves_the_axis_is_said_to() -> None:
    figure = Figure(layout="constrained")
    regret(figure, 3)
    assert "▼ optimum in every run" in [line.get_label() for line in figure.axes[0].lines]
    other = Figure(layout="constrained")
    accuracy(other, 3)
    assert "are not shown" in other.get_suptitle()


def test_labels_are_spread_without_leaving_their_order() -> None:
    made = spread([0.9, 0.88, 0.1, 0.05, 0.0], 0.1)
    assert made == sorted(made, reverse=True)
    assert min(np.diff(made[::-1])) >= 0.1 - 1e-9
    assert min(made) >= 0
