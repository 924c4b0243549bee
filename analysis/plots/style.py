"""One style for all figures, and one colour, marker and dash for each searcher.

The colours are Okabe and Ito's and Tol's colour-blind safe palettes.
"""

import inspect
import re
from collections import Counter
from collections.abc import Iterable
from itertools import cycle
from typing import Any, Final, NamedTuple

from nasgauge.analysis.results.names import base_name
from nasgauge.spaces.errors import NasgaugeError

STYLE: Final[dict[Any, Any]] = {
    "figure.figsize": (5.6, 3.6),
    "figure.dpi": 160,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "text.parse_math": False,  # a name may contain a dollar sign
}
"""One style for all figures: embedded fonts, no frame, a light grid."""

SMALLEST: Final = 7
"""Points of the smallest text in a figure."""

OWN: Final = "page"
"""Our own sizes and fonts instead of a venue's."""

_KNOWN: Final = {
    "random": ("#777777", "o"),
    "evolution": ("#0072B2", "s"),
    "local": ("#009E73", "^"),
    "reinforce": ("#D55E00", "v"),
    "pnas": ("#CC79A7", "D"),
    "pnas-ucb": ("#882255", "P"),
    "pnas-published": ("#AA4499", "d"),
    "tenas": ("#E69F00", "X"),
    "bananas": ("#999933", "p"),
    "smbo": ("#44AA99", "<"),
    "tpe": ("#332288", ">"),
    "nsga2": ("#661100", "8"),
    "nevergrad": ("#117733", "h"),
    "evolution-published": ("#1B4F72", "H"),
    "reinforce-published": ("#B8860B", "x"),
    "hyperband": ("#56B4E9", "*"),
    "bohb": ("#4B0092", "1"),
    "asha": ("#A0522D", "2"),
    "npenas": ("#C2185B", "3"),
    "gp": ("#7F6A00", "|"),
}
"""Colour and marker of the built-in searchers, the same in every campaign."""
_SPARE: Final = (
    "#8C6BB1", "#F06292", "#7CB342", "#6D4C41", "#DDAA33", "#2E86AB", "#A23B72", "#5D6D7E", "#C0392B",
)  # fmt: skip
_SPARE_MARKERS: Final = ("+", "4")
_DASHES: Final = ("", "6,2", "2,2", "6,2,2,2", "10,3", "6,2,2,2,2,2", "1,1", "12,2,2,2")


def ink(colour: Iterable[float]) -> str:
    """Black or white, whichever has the higher contrast with a colour of channels from 0 to 1 (WCAG 2.2).

    >>> ink((0.9, 0.6, 0.2)), ink((0.35, 0.25, 0.55))
    ('black', 'white')
    """
    red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in colour)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


FAINT: Final = "#c4c4c4"
"""Of curves that another panel has in colour."""

OPERATION_COLOURS: Final = {
    "none": "#BBBBBB",
    "skip_connect": "#777777",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#E69F00",
}
OPERATION_NAMES: Final = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1×1",
    "nor_conv_3x3": "conv 3×3",
    "avg_pool_3x3": "pool 3×3",
}


_WANTED: Final = {"column": "half", "usetex": False}
"""Arguments of tueplots' bundles, each of which takes some."""


_GENERIC: Final = ("serif", "sans-serif")
"""Font families for which matplotlib ships a font, used where the venue's is not installed."""


class UnknownVenue(NasgaugeError, LookupError):
    """A conference or journal without a bundle in tueplots."""


class Look(NamedTuple):
    """Colour, marker and dash of a searcher in every figure."""

    colour: str
    marker: str
    dash: str
    """Lengths of dash and gap in points, by comma; empty for a solid line."""

    @property
    def line(self) -> Any:
        """The dash as matplotlib takes it."""
        return (0, tuple(float(part) for part in self.dash.split(","))) if self.dash else "-"


def looks(searchers: Iterable[str]) -> dict[str, Look]:
    """A look for each searcher of a campaign; no two have the same colour and dash.

    A built-in searcher has its own colour and marker in every campaign, and one with options the colour of its
    name and another dash and marker. Others get what is left, in order of their names; past the palette the
    colours begin again with other dashes.

    >>> found = looks(["evolution", "evolution:population=50", "mine:A", "mine:B"])
    >>> found["evolution"], found["evolution:population=50"].dash, found["mine:A"] == found["mine:B"]
    (Look(colour='#0072B2', marker='s', dash=''), '6,2', False)
    """
    shown = sorted(set(searchers), key=lambda name: (name not in _KNOWN, name))
    free = [*_SPARE_MARKERS, *(mark for name, (_, mark) in _KNOWN.items() if name not in shown)]
    marks = cycle(free)
    spare = cycle(_SPARE)
    colours = {name: colour for name, (colour, _) in _KNOWN.items()}
    turns: Counter[str] = Counter()
    found = {}
    for searcher in shown:
        base = base_name(searcher)
        colour = colours[base] if base in colours else colours.setdefault(base, next(spare))
        marker = _KNOWN[searcher][1] if searcher in _KNOWN else next(marks)
        found[searcher] = Look(colour, marker, _dash(turns[colour]))
        turns[colour] += 1
    return found


def _dash(turn: int) -> str:
    """The dash of the searcher that is the `turn`-th of its colour; beyond the listed ones longer and longer."""
    return _DASHES[turn] if turn < len(_DASHES) else f"{4 * (turn - len(_DASHES)) + 14},2"


def venues() -> list[str]:
    """Venues with a bundle of column widths and fonts in tueplots, and our own."""
    from tueplots import bundles

    bundled = inspect.getmembers(bundles, inspect.isfunction)
    known = [name for name, _ in bundled if re.fullmatch(r"[a-z]+\d{4}", name)]
    return [OWN, *known]


def style(venue: str = OWN) -> dict[Any, Any]:
    """The matplotlib settings of a venue: column width and font sizes; LaTeX is not needed.

    Where the venue's font is not installed, a similar one that ships with matplotlib is used.

    Raises UnknownVenue.
    """
    if venue == OWN:
        return STYLE
    known = venues()
    if venue not in known:
        raise UnknownVenue(f"unknown venue {venue!r}; choose from {', '.join(known)}")
    from tueplots import bundles

    bundle = getattr(bundles, venue)
    offered = inspect.signature(bundle).parameters
    theirs = bundle(**{name: value for name, value in _WANTED.items() if name in offered})
    kept = {name: value for name, value in theirs.items() if not name.startswith(("text.", "figure.const"))}
    family = kept.get("font.family", [])
    fonts = {
        "font.family": [family] if isinstance(family, str) else [*family],
        "font.serif": [*kept.get("font.serif", ["Times New Roman", "Times"]), "STIXGeneral", "DejaVu Serif"],
        "font.sans-serif": [*kept.get("font.sans-serif", []), "DejaVu Sans"],
    }
    generic = [name for name in fonts["font.family"] if name in _GENERIC] or ["serif"]
    fonts["font.family"] = [*generic, "DejaVu Sans"]  # the last has the signs that a venue's font lacks
    sizes = {
        name: max(value, SMALLEST)
        for name, value in kept.items()
        if name.endswith("size") and isinstance(value, int | float)
    }
    return STYLE | kept | sizes | fonts | {"text.usetex": False}
