"""`nasgauge data`: what tables there are, and how to get one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress

    from nasgauge.data.tables import AccuracyTable

app = typer.Typer(help="List, describe, fetch and import tables of accuracies.", no_args_is_help=True)


@app.command("list")
def list_tables() -> None:
    """All tables by name, and which are on this machine."""
    from nasgauge.data.index_lists import SPLIT_FILES, splits_folder
    from nasgauge.data.sources import SOURCES, imported_tables, table_path

    say = console.out().print
    for source in SOURCES.values():
        ready = not source.files or table_path(source.name).is_file()
        size = sum(file.size for file in source.files) / 1e6
        state = "ready" if ready else f"not here; get {size:.1f} MB with: nasgauge data fetch {source.name}"
        say(f"{source.name}  {source.title} ({state})", markup=False)
        say(f"  answers: {source.answers}", markup=False)
        say(f"  from {source.origin}; licence: {source.licence}", markup=False)
    kept = all((splits_folder() / file.name).is_file() for file in SPLIT_FILES)
    state = "ready" if kept else "not here; get 0.6 MB with: nasgauge data fetch splits"
    say(f"splits  which images the benchmark trains, validates and tests on ({state})", markup=False)
    for name in imported_tables():
        say(f"{name}  imported from an official file (ready)", markup=False)
    say("official files come in with: nasgauge data import PATH")


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Name of a table, or a .npz file.", metavar="NAME")],
) -> None:
    """Size, licence and origin of a table, and what it can and cannot answer."""
    from nasgauge.data.sources import SOURCES, NotFetched, open_curves, open_table

    say = console.out().print
    source = SOURCES.get(name)
    if source is not None:
        say(f"{source.title}\norigin: {source.origin}\nlicence: {source.licence}", markup=False)
        say(f"answers: {source.answers}", markup=False)
        for file in source.files:
            say(f"file: {file.address} ({file.size / 1e6:.1f} MB, {file.licence})", markup=False)
    try:
        table = open_table(name)
    except NotFetched as error:
        say(str(error), markup=False)
        return
    _describe(table)
    curves = open_curves(name)
    if curves is not None:
        say(f"learning curves: {len(curves.columns)} for each of {len(curves.rows)} cells", markup=False)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="nb201, or splits.", metavar="NAME")],
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="Import from this folder instead of downloading.", metavar="DIR"),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address of a folder that has the files.", envvar="NASGAUGE_MIRROR"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds without a byte after which to try again.")] = 20.0,
) -> None:
    """Make a table from its published files, whose checksums are known; `splits`: lists of images to train on.

    Example:

      nasgauge data fetch nb201
    """
    from nasgauge.data.index_lists import SPLIT_FILES, fetch_splits, keep_splits
    from nasgauge.data.sources import SOURCES, build_nb201, fetch_nb201, open_table, table_path

    if name == "splits":
        if folder is not None:
            kept = keep_splits(folder)
        else:
            with _progress("bytes") as progress:
                bar = progress.add_task(name, total=sum(file.size for file in SPLIT_FILES))
                kept = fetch_splits(
                    mirror=mirror, timeout=timeout, progress=lambda count: progress.advance(bar, count)
                )
        console.out().print(f"{len(SPLIT_FILES)} lists of images, kept in {kept}", markup=False)
        return
    if name not in SOURCES:
        open_table(name)  # an unknown name, or a file, or a table that was imported
        raise console.BadOption(f"{name} is not fetched; choose from nb201, splits")
    if not SOURCES[name].files:
        table = open_table(name)
        console.out().print(f"table {name} needs no download: {len(table.columns)} columns")
        return
    if folder is not None:
        table = build_nb201(folder)
    else:
        with _progress("bytes") as progress:
            bar = progress.add_task(name, total=sum(file.size for file in SOURCES[name].files))
            table = fetch_nb201(
                mirror=mirror, timeout=timeout, progress=lambda count: progress.advance(bar, count)
            )
    console.out().print(
        f"table {name}: {len(table.columns)} columns, kept in {table_path(name)}", markup=False
    )


@app.command("import")
def import_table(
    path: Annotated[
        Path,
        typer.Argument(help="NAS-Bench-201-v1_*.pth, a NATS-tss-v1_0-*-simple folder, or its .pbz2 file."),
    ],
    name: Annotated[str, typer.Option(help="Name to keep it by; from the file's own name by default.")] = "",
    curves: Annotated[bool, typer.Option(help="Keep learning curves too (1.2 GB for all cells).")] = True,
    partial: Annotated[bool, typer.Option("--partial", help="Accept a file that lacks cells.")] = False,
) -> None:
    """Import an official file: every fidelity, split, seed and time, and learning curves.

    Example:

      nasgauge data import NAS-Bench-201-v1_1-096897.pth && nasgauge bench -t NAS-Bench-201-v1_1-096897
    """
    from nasgauge.data.sources import keep_official, table_path

    chosen = name or path.name.removesuffix(".pth").removesuffix(".pickle.pbz2")
    with _progress("cells") as progress:
        bar = progress.add_task("cells", total=None)
        table = keep_official(
            path,
            chosen,
            curves=curves,
            partial=partial,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    _describe(table)
    console.out().print(f"table {chosen}, kept in {table_path(chosen)}", markup=False)


def _describe(table: "AccuracyTable") -> None:
    import numpy as np

    say = console.out().print
    size = sum(values.nbytes for values in table.columns.values()) / 1e6
    say(f"table {table.name}, sha256 {table.sha256[:12]}, {size:.1f} MB in memory", markup=False)
    say(f"cannot answer: {table.limits}", markup=False)
    for dataset, view in table.views.items():
        note = f" ({view.warning})" if view.warning else ""
        say(
            f"{dataset}: searchers are told {view.search}, the report gives {view.report}{note}", markup=False
        )
    for column, values in table.columns.items():
        known = int((~np.isnan(values)).sum())
        say(f"  {column}: {known} cells", markup=False)


def _progress(unit: str) -> "Progress":
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn())
    return Progress(*columns, console=console.err())
