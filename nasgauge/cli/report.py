"""`report`: figures, tables and one page of a results folder."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options
from nasgauge.data.storage import Store

if TYPE_CHECKING:
    from nasgauge.analysis.report.report import Report
    from nasgauge.analysis.report.studies import Extras
    from nasgauge.analysis.statistics.recommendations import Rule

_PRINTED = ("dataset", "searcher", "n", "mean", "low", "high", "regret", "p")


class Recommend(StrEnum):
    """The rule that chooses the final cell of every run."""

    incumbent = "incumbent"
    smoothed = "smoothed"


class Average(StrEnum):
    """The average over runs."""

    mean = "mean"
    median = "median"


def report(
    folder: Annotated[Path, typer.Argument(help="A results folder of bench or search.")],
    clock: Annotated[
        str,
        typer.Option(
            help="Cost axis of figures in files: queries, epochs, seconds, overhead (the searcher's own seconds) or "
            "total (both seconds); the page has all."
        ),
    ] = "queries",
    average: Annotated[Average, typer.Option(help="Average over runs in curves.")] = Average.mean,
    recommend: Annotated[
        Recommend,
        typer.Option(
            help="Final cell of every run in tables and tests: the incumbent by search metric, or the best by a "
            "smoothed search metric."
        ),
    ] = Recommend.incumbent,
    ours: Annotated[
        str,
        typer.Option(
            help="Compare this searcher with each other one, a smaller family of tests than all pairs."
        ),
    ] = "",
    venue: Annotated[
        str, typer.Option(help="Column width and fonts of a venue: icml2024, neurips2024, cvpr2024, …")
    ] = "page",
    figures: Annotated[
        bool, typer.Option(help="Write PDF and PNG files, which take most of the time.")
    ] = True,
    objective: Annotated[
        str,
        typer.Option(
            help="Accuracy against these, joined with +: flops, params, memory, latency@DEVICE, energy@DEVICE; by default the "
            "objectives and constraints of the searchers."
        ),
    ] = "",
    scores: Annotated[
        str,
        typer.Option(
            help="File of cells' scores (.parquet or .csv), or 'shipped': their agreement with accuracy."
        ),
    ] = "",
    predictors: Annotated[
        str, typer.Option(help="Files of nasgauge score predictors (trials.parquet), comma-separated.")
    ] = "",
    pruning: Annotated[
        str, typer.Option(help="File of TE-NAS searches (.json), or shipped: 3 of each preset.")
    ] = "",
    trained: Annotated[
        Path | None,
        typer.Option(help="Records of nasgauge train: retrained cells beside the table.", metavar="DIR"),
    ] = None,
    curves: Annotated[
        str, typer.Option(help="With --trained: table of learning curves to draw beside ours.")
    ] = "",
    workers: options.Workers = -1,
    storage: options.Storage = "",
) -> None:
    """Make the figures, tables and report page of a results folder, or of a copy that is made there of --storage.

    Examples:

      nasgauge report results/bench

      nasgauge report results/bench --clock seconds --average median --venue icml2024

      nasgauge report results/bench --recommend smoothed

      nasgauge report results/bench --scores shipped

      nasgauge report results/bench --objective latency@edgegpu+params
    """
    Store.of(folder, storage).bring()
    extras = None
    if curves and not trained:
        raise console.BadOption(
            "--curves does nothing without --trained; leave it out, or add --trained FOLDER"
        )
    if scores or predictors or pruning or trained:
        from nasgauge.cli.studies import gather

        extras = gather(folder, scores, predictors, pruning, trained, curves)
    show(
        draw(
            folder,
            clock=clock,
            average=average.value,
            recommend=recommend.value,
            ours=ours,
            venue=venue,
            figures=figures,
            extras=extras,
            objective=objective,
            workers=workers,
        )
    )


def draw(
    folder: Path,
    *,
    clock: str = "queries",
    average: str = "mean",
    recommend: "Rule" = "incumbent",
    ours: str = "",
    venue: str = "page",
    figures: bool = True,
    extras: "Extras | None" = None,
    objective: str = "",
    workers: int = 1,
) -> "Report":
    """Make the report of a folder."""
    from dataclasses import replace
    from functools import partial

    from nasgauge.analysis.report.report import report as make
    from nasgauge.analysis.report.studies import Extras
    from nasgauge.analysis.statistics.curves import CLOCKS
    from nasgauge.pareto import known_of

    for known in CLOCKS:
        if clock == known:
            return make(
                folder,
                clock=known,
                average=average,
                recommend=recommend,
                ours=ours,
                venue=venue,
                figures=figures,
                workers=workers,
                extras=replace(extras or Extras(), pareto=partial(known_of, folder, objective=objective)),
            )
    raise console.BadOption(f"--clock {clock} is unknown; choose from {', '.join(CLOCKS)}")


def show(made: "Report") -> None:
    """Print the final accuracies, the comparison, notes on missing runs, and where the files are."""
    from dataclasses import replace

    from nasgauge.analysis.results.names import printable

    say = console.out().print
    final = replace(
        made.final, shown=(*_PRINTED, "smoothed" if made.recommend == "incumbent" else "incumbent")
    )
    other = final.columns[-1]
    console.table(
        final.title,
        final.columns,
        list(final.rows()),
        left=("dataset", "searcher"),
        optional=(other, "low", "high", "regret"),
    )
    say(
        "low, high: 95 % interval of the mean over n runs; regret: to the table's best cell; p: "
        "Brunner-Munzel test against random, unpaired, Holm over this table; last column: mean by the other rule"
    )
    for text in made.verdicts:
        say(printable(text), markup=False)
    for note in made.notes:
        say(f"note: {printable(note)}", markup=False)
    say(f"{len(made.files)} files in {made.page.parent}; open {made.page}", markup=False)
