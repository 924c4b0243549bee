"""`nasgauge data`: what tables there are, and how to get one."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console

app = typer.Typer(help="List, describe, fetch and import tables of accuracies.", no_args_is_help=True)


@app.command("list")
def list_tables() -> None:
    """All tables by name, and which are on this machine."""
    from data.sources import SOURCES, table_path

    for source in SOURCES.values():
        ready = not source.files or table_path(source.name).is_file()
        state = "ready" if ready else f"nasgauge data fetch {source.name}"
        console.out().print(f"[bold]{source.name}[/]  {source.title}  ({state})")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="The table to make.", metavar="NAME")],
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="Import from this folder instead of downloading.", metavar="DIR"),
    ] = None,
) -> None:
    """Make a table from its published files, whose checksums are known."""
    from data.sources import build_nb201, table_path

    table = build_nb201(folder or Path())
    console.out().print(f"table {table.name}: {len(table.columns)} columns, kept in {table_path(name)}")
