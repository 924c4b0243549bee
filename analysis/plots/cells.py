"""Drawings of NAS-Bench-201 cells and supernets: four nodes in a row, an arc for each operation."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from nasgauge.analysis.plots.layout import legend_below, title
from nasgauge.analysis.plots.style import OPERATION_COLOURS, OPERATION_NAMES, SMALLEST
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell

Choices = tuple[tuple[str, ...], ...]

WIDTH: Final = 3.0
_RADIUS: Final = 0.2
_STRAND: Final = 0.085
"""Between the arcs of one edge."""
_HEIGHTS: Final = {(0, 1): 0.0, (1, 2): 0.0, (2, 3): 0.0, (0, 2): 0.62, (1, 3): -0.62, (0, 3): 1.15}
"""How far the middle of an edge lies above the row of nodes: no two edges cross."""
NODES: Final = ("in", "1", "2", "out")
EDGE_NAMES: Final = tuple(f"{NODES[source]} → {NODES[target]}" for source, target in EDGES)


class Arc(NamedTuple):
    """One operation on one edge: a quadratic Bézier curve and where its name goes."""

    operation: str
    start: tuple[float, float]
    control: tuple[float, float]
    end: tuple[float, float]
    label: tuple[float, float]


def arcs(choices: Choices, *, fixed: bool = False) -> list[Arc]:
    """The arcs of a cell, or of a supernet with several operations on an edge; `none` has no arc.

    `fixed`: each operation has its own place on an edge, whether or not others are present.

    >>> [arc.operation for arc in arcs((("nor_conv_3x3",), ("none",), (), (), (), ("skip_connect",)))]
    ['nor_conv_3x3', 'skip_connect']
    """
    found = []
    for (source, target), kept in zip(EDGES, choices, strict=True):
        shown = [operation for operation in OPERATIONS if operation in kept and operation != "none"]
        middle = _HEIGHTS[source, target]
        for place, operation in enumerate(shown):
            step = OPERATIONS.index(operation) - 2.5 if fixed else place - (len(shown) - 1) / 2
            height = middle + step * _STRAND
            start, end = (float(source), 0.0), (float(target), 0.0)
            centre = (source + target) / 2
            label = (centre, height if middle else 0.19)
            found.append(Arc(operation, start, (centre, 2 * height), end, label))
    return found


def of(cell: Cell) -> Choices:
    """A cell as choices, one operation an edge."""
    return tuple((operation,) for operation in cell.ops)


def draw_cell(
    ax: Axes, choices: Choices, *, names: bool = True, fixed: bool = False, title: str = ""
) -> None:
    """A cell, each operation an arc in its colour, by its name if `names`; an edge of `none` is not drawn."""
    for arc in arcs(choices, fixed=fixed):
        path = Path([arc.start, arc.control, arc.end], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        colour = OPERATION_COLOURS[arc.operation]
        ax.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=1.8, zorder=1))
        if names:
            ax.text(
                *arc.label, OPERATION_NAMES[arc.operation], fontsize=SMALLEST, ha="center", va="center",
                color="#222222", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4}, zorder=3,
            )  # fmt: skip
    for place, name in enumerate(NODES):
        ax.add_patch(Circle((place, 0), _RADIUS, facecolor="white", edgecolor="#222222", lw=1.0, zorder=4))
        ax.text(place, 0, name, fontsize=SMALLEST, ha="center", va="center", zorder=5, color="#222222")
    ax.set_xlim(-0.3, WIDTH + 0.3)
    ax.set_ylim(-0.85, 1.4)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(title, fontsize=SMALLEST, loc="center", pad=1)


def draw_shrinking(axes: Sequence[Axes], rounds: Sequence[Choices], titles: Sequence[str]) -> None:
    """A supernet as it is pruned, an Axes for each round; removed operations are thin dotted lines."""
    for place, (ax, choices, text) in enumerate(zip(axes, rounds, titles, strict=True)):
        draw_cell(ax, choices, names=False, fixed=True, title=text)
        if place:
            kept = {(arc.start, arc.end, arc.operation) for arc in arcs(choices, fixed=True)}
            for arc in arcs(rounds[place - 1], fixed=True):
                if (arc.start, arc.end, arc.operation) not in kept:
                    path = Path([arc.start, arc.control, arc.end], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
                    colour = OPERATION_COLOURS[arc.operation]
                    ax.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=0.8, ls=":", alpha=0.6))


def operation_handles(operations: Iterable[str] = OPERATIONS[1:]) -> list[Line2D]:
    """Legend entries of the operations."""
    return [
        Line2D([], [], color=OPERATION_COLOURS[name], lw=2.5, label=OPERATION_NAMES[name])
        for name in operations
    ]


def shares(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Share of each operation on each edge, (edges, operations).

    >>> shares([Cell(("none",) * 6), Cell(("skip_connect",) * 6)])[0].tolist()
    [0.5, 0.5, 0.0, 0.0, 0.0]
    """
    counts = np.array(
        [[sum(cell.ops[edge] == name for cell in cells) for name in OPERATIONS] for edge in range(len(EDGES))]
    )
    return counts / max(len(cells), 1)


def draw_preference(ax: Axes, share: NDArray[np.float64], rows: Sequence[str] = EDGE_NAMES) -> None:
    """Share of each operation by edge or another group, as stacked bars; `share`: (rows, operations).

    Without a legend: see `draw_preferences`.
    """
    left = np.zeros(len(rows))
    for place, name in enumerate(OPERATIONS):
        values = share[:, place]
        ax.barh(
            np.arange(len(rows)), values, left=left, color=OPERATION_COLOURS[name],
            label=OPERATION_NAMES[name], height=0.72, edgecolor="white", lw=0.6,
        )  # fmt: skip
        left = left + values
    ax.set_yticks(range(len(rows)), rows)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the cells")
    ax.grid(visible=False)


def draw_preferences(
    figure: Figure, share: NDArray[np.float64], rows: Sequence[str] = EDGE_NAMES, *, of: str
) -> None:
    """A whole figure of `draw_preference`, with its title and legend."""
    ax = figure.add_subplot()
    draw_preference(ax, share, rows)
    title(figure, of)
    legend_below(
        figure, [Patch(color=OPERATION_COLOURS[name], label=OPERATION_NAMES[name]) for name in OPERATIONS]
    )
