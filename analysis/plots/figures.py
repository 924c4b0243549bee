"""Files of a figure: PDF and PNG for papers, and a CSV of its numbers, with provenance in the metadata."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from nasgauge.analysis.plots.style import STYLE
from nasgauge.analysis.results.files import save_csv
from nasgauge.analysis.results.names import slug
from nasgauge.data.atomic import replacing


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is ready to be rendered; it can be sent to another process."""

    path: Path
    """Of its files, without an ending."""
    figure: Figure
    rc: dict[Any, Any]
    provenance: str


def render(drawing: Drawing) -> None:
    """Lay a figure out and write its PNG and PDF, which takes some ten times as long as drawing it."""
    with rc_context(drawing.rc):
        png = FigureCanvasAgg(drawing.figure)
        with replacing(drawing.path.with_name(f"{drawing.path.name}.png")) as file:
            png.print_png(file, metadata={"Software": None, "Description": drawing.provenance})  # type: ignore[no-untyped-call]
        drawing.figure.set_layout_engine("none")  # it is laid out
        pdf = FigureCanvasPdf(drawing.figure)
        with replacing(drawing.path.with_name(f"{drawing.path.name}.pdf")) as file:
            pdf.print_pdf(file, metadata={"CreationDate": None, "Subject": drawing.provenance})  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Inks:
    """Folder, style and provenance of a report's figures."""

    folder: Path
    rc: dict[Any, Any] = field(default_factory=lambda: STYLE)
    provenance: str = ""
    """Runs, table and versions behind the figures, written to the files' metadata."""
    page: Path | None = None
    """The page's folder; None: `folder`."""
    drawn: bool = True
    """False: only the CSV files are written."""
    later: list[Drawing] | None = None
    """Where figures wait for whoever renders them; None: they are rendered at once."""

    def save(
        self,
        name: str,
        draw: Callable[[Figure], None],
        numbers: pd.DataFrame,
        *,
        aspect: tuple[float, float] = (1.0, 1.0),
    ) -> list[Path]:
        """Draw a figure into `name.pdf` and `name.png`, and its numbers into `name.csv`.

        `name` is made safe as a file name. `aspect`: width and height as multiples of the style's.
        """
        name = slug(name)
        files = [self.folder / f"{name}.csv"]
        save_csv(files[0], numbers)
        if not self.drawn:
            return files
        drawing = Drawing(self.folder / name, self._figure(draw, aspect), self.rc, self.provenance)
        if self.later is None:
            render(drawing)
        else:
            self.later.append(drawing)
        files += [self.folder / f"{name}.pdf", self.folder / f"{name}.png"]
        return files

    def links(self, files: Sequence[Path]) -> list[str]:
        """The files as the page names them."""
        return [path.relative_to(self.page or self.folder).as_posix() for path in files]

    def svg(self, draw: Callable[[Figure], None], *, aspect: tuple[float, float] = (1.0, 1.0)) -> str:
        """A figure as SVG text for a page."""
        with rc_context({**self.rc, "svg.fonttype": "none", "svg.hashsalt": "nasgauge"}):
            figure = self._figure(draw, aspect)
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]

    def _figure(self, draw: Callable[[Figure], None], aspect: tuple[float, float]) -> Figure:
        with rc_context(self.rc):
            width, height = self.rc["figure.figsize"]
            figure = Figure(figsize=(width * aspect[0], height * aspect[1]), layout="constrained")
            draw(figure)
            return figure
