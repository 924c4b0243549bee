"""`report`: figures, tables and one page of a results folder."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from nasgauge.analysis.report.report import Report
    from nasgauge.analysis.report.studies import Extras

_PRINTED = ("dataset", "searcher", "runs", "mean", "low", "high", "sd", "regret", "p")


class Average(StrEnum):
    """The middle of several runs."""

    mean = "mean"
    median = "median"


def report(
    folder: Annotated[Path, typer.Argument(help="A results folder of bench or search.")],
    clock: Annotated[
        str,
        typer.Option(help="Cost axis of the files: queries, epochs, seconds or overhead; the page has all."),
    ] = "queries",
    average: Annotated[Average, typer.Option(help="Of several runs.")] = Average.mean,
    venue: Annotated[
        str, typer.Option(help="Column width and fonts of a venue: icml2024, neurips2024, cvpr2024, …")
    ] = "page",
    figures: Annotated[
        bool, typer.Option(help="PDF and PNG files; without them the page and tables are made in no time.")
    ] = True,
    scores: Annotated[
        str,
        typer.Option(help="File of cells' scores (.parquet or .csv), or shipped: ranks against the table."),
    ] = "",
    trials: Annotated[
        str, typer.Option(help="Files of `nasgauge score predictors` (trials.parquet), by comma.")
    ] = "",
    pruning: Annotated[
        str, typer.Option(help="File of TE-NAS searches (.json), or shipped: 3 of each preset.")
    ] = "",
    trained: Annotated[
        Path | None,
        typer.Option(help="Records of nasgauge train: trained cells beside the table.", metavar="DIR"),
    ] = None,
    curves: Annotated[
        str, typer.Option(help="With --trained: the table of learning curves to draw beside ours.")
    ] = "",
) -> None:
    """Draw the figures, tables and the page of a results folder again.

    Examples:

      nasgauge report results/bench

      nasgauge report results/bench --clock seconds --average median --venue icml2024

      nasgauge report results/bench --scores shipped
    """
    extras = None
    if scores or trials or pruning or trained:
        from nasgauge.cli.studies import gather

        extras = gather(folder, scores, trials, pruning, trained, curves)
    show(draw(folder, clock=clock, average=average.value, venue=venue, figures=figures, extras=extras))


def draw(
    folder: Path,
    *,
    clock: str = "queries",
    average: str = "mean",
    venue: str = "page",
    figures: bool = True,
    extras: "Extras | None" = None,
) -> "Report":
    """Make the report of a folder."""
    from nasgauge.analysis.report.report import report as make
    from nasgauge.analysis.report.studies import Extras
    from nasgauge.analysis.statistics.curves import CLOCKS

    for known in CLOCKS:
        if clock == known:
            return make(
                folder,
                clock=known,
                average=average,
                venue=venue,
                figures=figures,
                extras=extras or Extras(),
            )
    raise console.BadOption(f"--clock {clock} is unknown; choose from {', '.join(CLOCKS)}")


def show(made: "Report") -> None:
    """Print who won, what is missing, and where everything is."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid

    from nasgauge.analysis.results.tables import cell_text

    say = console.out().print
    grid = Grid(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title="test accuracy of the last validation leader, %",
        title_justify="left",
    )
    shown = made.final[list(_PRINTED)]
    for column in shown.columns:
        left = column in ("dataset", "searcher")
        grid.add_column(column, justify="left" if left else "right", no_wrap=True, min_width=4)
    for row in shown.itertuples(index=False):
        grid.add_row(
            *(cell_text(value, -1 if name == "p" else 2) for name, value in zip(_PRINTED, row, strict=True))
        )
    say(grid)
    say("low, high: 95 % interval of the mean; regret: to the table's best cell; p: Wilcoxon against random,")
    say("paired by seed, with Holm's correction")
    for text in made.verdicts:
        say(text, markup=False)
    for note in made.notes:
        say(f"note: {note}", markup=False)
    say(f"{len(made.files)} files in {made.page.parent}; begin with {made.page}", markup=False)
