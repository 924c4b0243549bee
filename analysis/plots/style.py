"""One style for all figures, and one colour, marker and dash for each searcher.

The colours are Okabe and Ito's and Tol's colour-blind safe palettes.
"""

import inspect
import re
import zlib
from typing import Any, Final, NamedTuple

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
}
"""One style for all figures: embedded fonts, no frame, a light grid."""

OWN: Final = "page"
"""Our own sizes and fonts instead of a venue's."""

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
_MARKERS: Final = {
    "random": "o",
    "evolution": "s",
    "local": "^",
    "reinforce": "v",
    "pnas": "D",
    "pnas-ucb": "P",
    "tenas": "X",
}
_SPARE_MARKERS: Final = ("<", ">", "p", "h", "*", "d", "8")
_DASHES: Final = ("6,2", "2,2", "6,2,2,2", "10,3")

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


def look(searcher: str) -> Look:
    """A searcher's look: colour and marker by its name, the dash by its options.

    >>> look("evolution"), look("evolution:population=50").colour
    (Look(colour='#0072B2', marker='s', dash=''), '#0072B2')
    """
    name, _, options = searcher.partition(":")
    code = zlib.crc32(name.encode())
    return Look(
        _COLOURS.get(name) or _SPARE[code % len(_SPARE)],
        _MARKERS.get(name) or _SPARE_MARKERS[code % len(_SPARE_MARKERS)],
        _DASHES[zlib.crc32(options.encode()) % len(_DASHES)] if options else "",
    )


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
    fonts["font.family"] = [name for name in fonts["font.family"] if name in _GENERIC] or ["serif"]
    return STYLE | kept | fonts | {"text.usetex": False}
