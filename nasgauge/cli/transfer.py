"""`nasgauge transfer`: search on one dataset, report on another."""

from pathlib import Path
from typing import Annotated

import typer

from nasgauge.cli import console
from nasgauge.cli.report import Recommend


def transfer(
    folder: Annotated[Path, typer.Argument(help="A results folder of bench or search on a table.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the table.", metavar="FOLDER", show_default="FOLDER/transfer"
        ),
    ] = None,
    recommend: Annotated[
        Recommend,
        typer.Option(help="Final cell of every run: the incumbent, or the best by a smoothed search metric."),
    ] = Recommend.incumbent,
) -> None:
    """Report the cells that searches on each dataset recommend on every dataset of the table, as a matrix.

    Nothing is searched again. Cells are transferred, not weights.

    Examples:

      nasgauge bench --seeds 100 --out results/bench

      nasgauge transfer results/bench
    """
    from nasgauge.analysis.results.campaign import load
    from nasgauge.analysis.results.files import own_folder, save_csv
    from nasgauge.analysis.results.transfer import transfer_table
    from nasgauge.transfer import transfer_of

    campaign = load(folder)
    frame = transfer_of(folder, campaign, recommend.value)
    table = transfer_table(
        frame, f"{recommend.value} after {campaign.settings.budget}, table {campaign.table}"
    )
    chosen = own_folder(out or folder / "transfer")
    saved = table.save(chosen)
    save_csv(chosen / "transfer.csv", frame)
    console.table(table.title, table.columns, list(table.rows()), left=("searcher", "searched on"))
    for note in campaign.notes:
        console.out().print(f"note: {note}", markup=False)
    names = ", ".join(path.name for path in saved)
    console.out().print(f"written to {chosen}: {names}; transfer.csv has intervals", markup=False)
