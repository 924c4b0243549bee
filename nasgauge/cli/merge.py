"""`nasgauge merge`: several results folders as one."""

from pathlib import Path
from typing import Annotated

import typer

from nasgauge.cli import console, options


def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders of bench or search.", metavar="FOLDER...")
    ],
    out: options.Out,
) -> None:
    """Merge results folders into a new one; they must have the same table, search metric, repeats and budget.

    Example:

      nasgauge bench --seeds 50 --out results/a

      nasgauge bench --seeds 50 --first-seed 50 --out results/b

      nasgauge merge results/a results/b --out results/both
    """
    from nasgauge.merging import merge as merged

    settings = merged(folders, out)
    console.out().print(
        f"{len(folders)} folders merged into {out}: {', '.join(settings.datasets)}, {settings.seed_range}; draw "
        f"them with: nasgauge report {out}",
        markup=False,
    )
