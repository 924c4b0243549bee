"""`nasgauge score final`: the papers' final networks beside ours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from collections.abc import Mapping


def final(
    trained: Annotated[
        Path | None, typer.Argument(help="Folder of training records, as nasgauge train writes it.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Forward multiply-adds a second of your device in training: the images/s of nasgauge train ARCHITECTURE "
            "-d DATASET -r RECIPE --fake-data 60 times the multiply-adds of the network. By default, published speeds of "
            "one V100 or RTX 3090.",
            min=1,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables as files.")] = None,
) -> None:
    """Print the tables of PNAS and TE-NAS on CIFAR-10 and ImageNet, with our trainings beside them.

    A network that was not trained has the command that trains it, and the GPU hours that this would take.

    Examples:

      nasgauge score final

      nasgauge score final results/trained --out results/final
    """
    from nasgauge.analysis.results.final_networks import FINAL_TABLES, final_table
    from nasgauge.cli.bridge import NoTrainings
    from nasgauge.harness.records.trainings import read

    paths = sorted(trained.glob("*.parquet")) if trained else []
    if trained and not paths:
        raise NoTrainings(f"{trained} holds no training records; nasgauge train --out {trained} makes them")
    records = [read(path) for path in paths]
    known = sizes()
    for published in FINAL_TABLES:
        table = final_table(published, known, records, rate)
        console.out().print(table.markdown, markup=False)
        if out is not None:
            table.save(out)
    if out is not None:
        console.out().print(f"written to {out}", markup=False)


def sizes() -> "Mapping[tuple[str, str], tuple[int, int]]":
    """Parameters, without the auxiliary head, and multiply-adds of our rows, by architecture and recipe."""
    from dataclasses import replace

    import torch

    from nasgauge.analysis.results.final_networks import FINAL_TABLES
    from nasgauge.harness.network import flops, network_of, parameters
    from nasgauge.harness.records.recipes import RECIPES
    from nasgauge.harness.training.units import skeleton_of
    from nasgauge.spaces.architectures import PUBLISHED

    found = {}
    for table in FINAL_TABLES:
        for row in table.rows:
            if not row.architecture:
                continue
            recipe = RECIPES[row.recipe]
            side, classes = recipe.side or 32, 10 if table.dataset == "cifar10" else 1000
            with torch.device("meta"):
                network = network_of(
                    PUBLISHED[row.architecture], replace(skeleton_of(recipe, classes, side), auxiliary=False)
                )
            size = parameters(network), flops(network, (3, side, side))
            found[row.architecture, row.recipe] = size
    return found
