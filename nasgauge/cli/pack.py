"""`pack`: many result files as one."""

from pathlib import Path
from typing import Annotated

import typer

from nasgauge.cli import console


def pack(folder: Annotated[Path, typer.Argument(help="A results folder of bench or search.")]) -> None:
    """Put all result files of a folder into one, FOLDER/packed/results.parquet; everything reads it as before.

    Examples:

      nasgauge pack results/bench

      duckdb -c "SELECT searcher, avg(test) FROM 'results/bench/packed/results.parquet' GROUP BY ALL"
    """
    from nasgauge.harness.records.packed import packed_file
    from nasgauge.harness.records.packing import pack_folder

    count = pack_folder(folder)
    path = packed_file(folder)
    console.out().print(f"{path}: {count} units, {path.stat().st_size / 1e6:.1f} MB", markup=False)
