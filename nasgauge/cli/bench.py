"""`bench` and `search`: run searchers on a table, or on real training."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console
from nasgauge.cli.report import show
from nasgauge.data import DEFAULT_TABLE

if TYPE_CHECKING:
    from nasgauge.harness.search.campaign import Campaign, Rules

DEFAULT_SEARCHERS = "random,evolution,local,reinforce,pnas,tenas"


class Asked(StrEnum):
    """What evaluates cells."""

    table = "table"
    train = "train"


class Repeats(StrEnum):
    """What a repeated query costs."""

    charge = "charge"
    free = "free"


class ProtocolName(StrEnum):
    """Search metric and budget together."""

    default = "nb201-200"
    paper = "nb201-12"


_Out = Annotated[
    Path, typer.Option("--out", "-o", help="Results folder; running again goes on where it stopped.")
]
_Table = Annotated[str, typer.Option("--table", "-t", help="Name of a table, or a .npz file.")]
_Dataset = Annotated[
    str, typer.Option("--dataset", "-d", help="Datasets, by comma; all that the table has by default.")
]
_Seeds = Annotated[int, typer.Option("--seeds", "-n", help="Runs of each searcher: seeds 0 to N-1.")]
_Budget = Annotated[
    str, typer.Option("--budget", "-b", help="Of each run: 200 (queries), '1200 epochs' or 12000s.")
]
_Repeats = Annotated[
    Repeats, typer.Option(help="Cost of a query of a cell, or of a structural duplicate, evaluated before.")
]
_Metric = Annotated[
    str,
    typer.Option(
        "--metric",
        help="Search metric as fidelity/split/seeds: 200/valid/mean, 200/valid/777, 12/valid/mean.",
    ),
]
_Protocol = Annotated[
    ProtocolName,
    typer.Option(
        help="Metric and budget together: nb201-12 is 12-epoch validation accuracy and 12,000 s, as in the paper."
    ),
]
_Workers = Annotated[int, typer.Option("--workers", "-j", help="Processes; -1: one for each core.")]


def bench(
    out: _Out = Path("results/bench"),
    table: _Table = DEFAULT_TABLE,
    dataset: _Dataset = "",
    searchers: Annotated[
        str, typer.Option("--searchers", "-s", help="Names by comma, with options as name:option=value.")
    ] = DEFAULT_SEARCHERS,
    seeds: _Seeds = 100,
    budget: _Budget = "",
    metric: _Metric = "",
    protocol: _Protocol = ProtocolName.default,
    repeats: _Repeats = Repeats.charge,
    workers: _Workers = -1,
) -> None:
    """Run several searchers on a table and draw their efficiency curves.

    Examples:

      nasgauge bench

      nasgauge bench --searchers random,evolution:population=50 --seeds 500 --out results/population

      nasgauge bench --protocol nb201-12 --out results/paper
    """
    from nasgauge.api.results import Results

    _on_table(out, searchers, table, dataset, seeds, _rules(protocol, metric, budget, repeats), workers)
    show(Results(out).report())


def search(
    searcher: Annotated[str, typer.Argument(help="Name of a searcher, with options as name:option=value.")],
    out: _Out = Path("results/search"),
    oracle: Annotated[Asked, typer.Option(help="Look cells up in a table, or train them.")] = Asked.table,
    table: _Table = DEFAULT_TABLE,
    dataset: _Dataset = "",
    seeds: _Seeds = 10,
    budget: _Budget = "",
    metric: _Metric = "",
    protocol: _Protocol = ProtocolName.default,
    repeats: _Repeats = Repeats.charge,
    workers: _Workers = -1,
    space: Annotated[
        str, typer.Option(help="Of --oracle train: nb201, darts or pnas, with options as pnas:blocks=3.")
    ] = "nb201",
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="Of --oracle train: tiny, nb201-12, …")
    ] = "tiny",
    device: Annotated[str, typer.Option(help="Of --oracle train: auto, cpu, cuda, …")] = "auto",
    precision: Annotated[str, typer.Option(help="Of --oracle train: auto, 32, bf16 or 16.")] = "auto",
    images: Annotated[
        Path | None, typer.Option(help="Of --oracle train: folder with the dataset's files.", metavar="DIR")
    ] = None,
) -> None:
    """Run one searcher on a table, or on real training; results are one file for each block of seeds.

    Examples:

      nasgauge search evolution --seeds 20

      nasgauge search local:climb=steepest --budget 100 && nasgauge report results/search

      nasgauge search pnas --oracle train --recipe tiny --seeds 1 --budget "60 epochs" --out results/real

      nasgauge search pnas:beam=16 --space pnas:blocks=3 --oracle train --seeds 1 --out results/blocks
    """
    rules = _rules(protocol, metric, budget, repeats)
    if oracle is Asked.table:
        if space != "nb201":
            raise console.BadOption(f"a table has cells of nb201 only; add --oracle train to search {space}")
        _on_table(out, searcher, table, dataset, seeds, rules, workers)
    else:
        from nasgauge.harness.records.recipes import recipe_named
        from nasgauge.harness.search.campaign import Campaign
        from nasgauge.harness.training import Machine

        campaign = Campaign.on_training(
            out,
            searcher.split(","),
            recipe_named(recipe),
            space=space,
            dataset=dataset or "cifar10-valid",
            images=str(images or ""),
            seeds=seeds,
            rules=rules,
            machine=Machine(device=device, precision=precision),
        )
        _run(campaign, max(workers, 1))
    console.out().print(f"results are in {out}; draw them with: nasgauge report {out}", markup=False)


def _rules(protocol: ProtocolName, metric: str, budget: str, repeats: Repeats) -> "Rules":
    from nasgauge.harness.search.campaign import Rules
    from nasgauge.harness.search.runner import Budget
    from nasgauge.protocols import PROTOCOLS

    preset = PROTOCOLS[protocol.value]
    by_default = "" if protocol is ProtocolName.default else str(preset.metric)  # a table knows its own
    return Rules(
        budget=Budget.parse(budget) if budget else preset.budget,
        metric=metric or by_default,
        repeats=repeats.value,
    )


def _on_table(
    out: Path, searchers: str, table: str, dataset: str, seeds: int, rules: "Rules", workers: int
) -> None:
    from nasgauge.harness.search.campaign import Campaign

    campaign = Campaign.on_table(
        out,
        searchers.split(","),
        table,
        datasets=dataset.split(",") if dataset else (),
        seeds=seeds,
        rules=rules,
    )
    _run(campaign, workers)


def _run(campaign: "Campaign", workers: int) -> None:
    from nasgauge.api.searching import run_campaign

    if workers == 0:
        raise console.BadOption("--workers 0 runs nothing; give a number, or -1 for one a core")
    say = console.err().print
    for note in campaign.notes:
        say(note, markup=False)
    settings = campaign.settings
    say(f"budget {settings.budget}, repeated queries: {settings.repeats}, {settings.seed_range}")
    todo = campaign.missing()
    if kept := campaign.runs - sum(unit.runs for unit in todo):
        say(f"{kept} finished runs are kept")
    run_campaign(campaign, todo, workers=workers)
