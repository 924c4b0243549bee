"""The page: one HTML file that needs no network."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nasgauge.analysis.plots.cells import WIDTH, arcs, of
from nasgauge.analysis.plots.style import OPERATION_COLOURS, OPERATION_NAMES, looks
from nasgauge.analysis.results.names import slug
from nasgauge.analysis.results.tables import Table
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import NasgaugeError

_TEMPLATES: Final = Path(__file__).parent / "templates"


class NoPlotly(NasgaugeError, LookupError):
    """The package plotly is installed without its JavaScript file."""


@dataclass(frozen=True)
class Chart:
    """An interactive figure: its kind, of those in the page's script, and its numbers."""

    name: str
    """Of its element."""
    kind: str
    title: str
    caption: str
    data: Mapping[str, Any]
    files: Sequence[str] = ()
    """Files beside the page: the figure for papers, and its numbers."""
    provenance: str = ""


@dataclass(frozen=True)
class Picture:
    """A static figure, as SVG text."""

    title: str
    caption: str
    svg: str
    files: Sequence[str] = ()
    provenance: str = ""

    @property
    def name(self) -> str:
        """Of its element."""
        return slug(self.title)


@dataclass(frozen=True)
class Section:
    """A heading with its figures, tables and notes."""

    name: str
    title: str
    intro: str = ""
    charts: Sequence[Chart] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Card:
    """A figure of the summary."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Page:
    """The contents of the page."""

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    """What was run and on which table: name and text."""
    warnings: Sequence[str]
    cards: Sequence[Card]
    verdicts: Sequence[str]
    notes: Sequence[str]
    """What is missing or damaged."""
    sections: Sequence[Section]
    searchers: Sequence[str]
    cells: Sequence[str] = field(default_factory=tuple)
    """Official texts of all cells that the page names, each drawn on hover."""
    glossary: Mapping[str, str] = field(default_factory=dict)
    """Terms and their meaning, at the end of the page."""


def render(page: Page) -> str:
    """The page as HTML, plotly's script inline.

    Raises NoPlotly.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["groupby_stem"] = lambda files: [
        (stem, list(group)) for stem, group in groupby(files, lambda name: name.rpartition(".")[0])
    ]
    charts = [chart for section in page.sections for chart in section.charts]
    data = {
        "charts": [{"name": chart.name, "kind": chart.kind} | dict(chart.data) for chart in charts],
        "looks": {name: look._asdict() for name, look in looks(page.searchers).items()},
        "cells": {text: drawing(Cell.parse(text)) for text in page.cells},
    }
    return environment.get_template("page.html").render(
        page=page,
        data=as_json(data),
        plotly=plotly_script() if charts else "",
        operations=[(OPERATION_NAMES[name], colour) for name, colour in OPERATION_COLOURS.items()],
    )


def drawing(cell: Cell) -> str:
    """A cell as a small SVG text; its colours are the page's.

    >>> drawing(Cell(("nor_conv_3x3",) * 6)).count("<path")
    6
    """
    lines = []
    for arc in arcs(of(cell)):
        (ax, ay), (bx, by), (cx, cy) = arc.start, arc.control, arc.end
        lines.append(
            f'<path d="M{ax:g} {-ay:g}Q{bx:g} {-by:g} {cx:g} {-cy:g}" fill="none" '
            f'stroke="{OPERATION_COLOURS[arc.operation]}" stroke-width=".05"/>'
        )
        x, y = arc.label
        lines.append(f'<text x="{x:g}" y="{-y + 0.05:g}">{OPERATION_NAMES[arc.operation]}</text>')
    nodes = "".join(
        f'<circle cx="{place}" cy="0" r=".13"/><text x="{place}" y=".05">{name}</text>'
        for place, name in enumerate(("in", "1", "2", "out"))
    )
    return f'<svg viewBox="-.3 -1.45 {WIDTH + 0.6:g} 2.4" class="cell">{"".join(lines)}{nodes}</svg>'


def as_json(data: object) -> str:
    """JSON that is safe in a script element; numbers with six significant digits, NaN as null.

    >>> as_json({"a": np.array([1.0, np.nan]), "b": "</script>"})
    '{"a":[1.0,null],"b":"\\\\u003c/script>"}'
    """
    text = json.dumps(_plain(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@cache
def plotly_script() -> str:
    """Plotly's JavaScript, as its Python package ships it; the package itself is not imported.

    Raises NoPlotly.
    """
    found = importlib.util.find_spec("plotly")
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    for place in places:
        script = place / "package_data" / "plotly.min.js"
        if script.is_file():
            return script.read_text(encoding="utf-8").replace("</script", "<\\/script")
    raise NoPlotly(
        "the JavaScript file of plotly is missing; install it again: pip install --force-reinstall plotly"
    )
