"""`bench` and `search`: run searchers on a table, or on real training."""

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options
from nasgauge.cli.report import show

if TYPE_CHECKING:
    from pathlib import Path

    from nasgauge.harness.search.campaign import Campaign

DEFAULT_SEARCHERS = "random,evolution,local,reinforce,pnas,tenas"


class Asked(StrEnum):
    """What evaluates cells."""

    table = "table"
    train = "train"


@options.takes_run(seeds=100)
def bench(run: options.Run, searchers: options.Searchers = DEFAULT_SEARCHERS) -> None:
    """Run several searchers on a table and draw their efficiency curves.

    Examples:

      nasgauge bench

      nasgauge bench --searchers random,evolution:population=50 --seeds 500 --out results/population

      nasgauge bench --protocol nb201-12 --search-on cifar10

      nasgauge bench -s random,nsga2 --objective latency@edgegpu --constraint "params<=0.5"
    """
    from nasgauge.api.results import Results

    folder = run.folder("bench")
    _run(_on_table(run, searchers, folder), run)
    show(Results(folder).report(objective=run.objective, workers=run.workers))


@options.takes_run(seeds=10)
def search(
    run: options.Run,
    searcher: Annotated[
        str, typer.Argument(help="Name (nasgauge searchers) or module:Class, with options as :option=value.")
    ],
    oracle: Annotated[Asked, typer.Option(help="Look cells up in a table, or train them.")] = Asked.table,
    space: Annotated[
        str,
        typer.Option(
            help="Of --oracle train: nb201, darts or pnas, with options as pnas:blocks=3.",
            show_default="nb201",
        ),
    ] = "",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", "-r", help="Of --oracle train: a name (nasgauge recipes).", show_default="tiny"
        ),
    ] = "",
    device: Annotated[
        str, typer.Option(help="Of --oracle train: auto, cpu, cuda, …", show_default="auto")
    ] = "",
    precision: Annotated[
        str, typer.Option(help="Of --oracle train: auto, 32, bf16 or 16.", show_default="auto")
    ] = "",
    images: Annotated[
        str, typer.Option(help="Of --oracle train: folder with the dataset's files.", metavar="FOLDER")
    ] = "",
) -> None:
    """Run one searcher on a table, or on real training; results are one file for each block of seeds.

    Examples:

      nasgauge search evolution --seeds 20

      nasgauge search local:climb=steepest --budget 100

      nasgauge search pnas --oracle train --recipe tiny --seeds 1 --budget "60 epochs"

      nasgauge search pnas:beam=16 --space pnas:blocks=3 --oracle train --seeds 1
    """
    from nasgauge.data import DEFAULT_TABLE

    training = {
        "--space": space,
        "--recipe": recipe,
        "--device": device,
        "--precision": precision,
        "--images": images,
    }
    if oracle is Asked.table:
        if unused := [name for name, value in training.items() if value]:
            raise console.BadOption(
                f"{', '.join(unused)} does nothing where cells are looked up; leave it out, or add --oracle train"
            )
        folder = run.folder(f"search-{searcher}")
        _run(_on_table(run, searcher, folder), run)
    else:
        from nasgauge.harness.records.recipes import recipe_named
        from nasgauge.harness.search.campaign import Campaign
        from nasgauge.harness.training import Machine

        if run.table != DEFAULT_TABLE:
            raise console.BadOption("--table does nothing where cells are trained; leave it out")
        folder = run.folder("-".join(filter(None, ["search", searcher, space, "trained", recipe or "tiny"])))
        campaign = Campaign.on_training(
            folder,
            run.aimed(searcher),
            recipe_named(recipe or "tiny"),
            space=space or "nb201",
            dataset=run.dataset or "cifar10-valid",
            images=images,
            seeds=run.chosen_seeds,
            rules=run.rules(),
            machine=Machine(device=device or "auto", precision=precision or "auto"),
            storage=run.storage,
        )
        _run(campaign, replace(run, workers=max(run.workers, 1)))
    console.out().print(f"results are in {folder}; draw them with: nasgauge report {folder}", markup=False)


def _on_table(run: options.Run, searchers: str, folder: "Path") -> "Campaign":
    from nasgauge.harness.search.campaign import Campaign

    return Campaign.on_table(
        folder,
        run.aimed(searchers),
        run.table,
        datasets=run.dataset.split(",") if run.dataset else (),
        seeds=run.chosen_seeds,
        rules=run.rules(),
        storage=run.storage,
    )


def _run(campaign: "Campaign", run: options.Run) -> None:
    from nasgauge.api.searching import run_campaign
    from nasgauge.harness.engines import parse_engine

    say = console.err().print
    for note in campaign.notes:
        say(note, markup=False)
    settings = campaign.settings
    say(f"budget {settings.budget}, repeated queries: {settings.repeats}, {settings.seed_range}")
    todo = campaign.missing()
    if again := campaign.again(todo):
        say(again)
    if kept := campaign.runs - sum(unit.runs for unit in todo):
        say(f"{kept} finished runs are kept")
    text = options.engine_text(run.engine, run.address)
    run_campaign(
        campaign,
        todo,
        workers=run.workers,
        engine=None if text == "local" else parse_engine(text),
        time_limit=run.step_limit,
    )
