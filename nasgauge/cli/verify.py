"""`verify`: whether a results folder is what was written, and what comes out again."""

from pathlib import Path
from typing import Annotated

import typer

from nasgauge.cli import console, options


def verify(
    folder: Annotated[Path, typer.Argument(help="A results folder of bench or search.")],
    rerun: Annotated[int, typer.Option(help="Randomly chosen units to run again.", min=0)] = 0,
    seed: Annotated[int, options.seed_option("Seed of that choice.")] = 0,
    trust: Annotated[
        str, typer.Option(help="Searchers module:Class that may be imported and run again, by comma.")
    ] = "",
    workers: options.Workers = -1,
    storage: options.Storage = "",
) -> None:
    """Check the checksum of every file of a results folder: exit code 0 all fit, 1 not.

    Examples:

      nasgauge verify results/bench

      nasgauge verify results/bench --rerun 20
    """
    from nasgauge.data.storage import Store
    from nasgauge.harness.engines import Local
    from nasgauge.verification import verify

    Store.of(folder, storage).bring()
    trusted = tuple(trust.split(",")) if trust else ()
    found = verify(folder, rerun=rerun, seed=seed, trusted=trusted, engine=Local(workers))
    say = console.out().print
    for line in found.problems:
        say(f"problem: {line}", markup=False)
    for line in found.notes:
        say(f"note: {line}", markup=False)
    word = f"{len(found.problems)} problems" if found.problems else "all checksums fit"
    again = f"; {found.rerun} units were run again" if rerun else ""
    say(f"{found.files} files, {found.runs} runs: {word}{again}", markup=False)
    raise typer.Exit(1 if found.problems else 0)
