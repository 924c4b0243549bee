"""`bench` and `search`: run searchers on a table."""

import json
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console
from nasgauge.cli.report import draw, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from nasgauge.data.tables import AccuracyTable
    from nasgauge.harness.records.results import Reference, Settings
    from nasgauge.harness.search.oracle import Table
    from nasgauge.harness.search.runner import Budget
    from nasgauge.harness.training import Machine

DEFAULT_SEARCHERS = "random,evolution,local,reinforce,pnas,tenas"


class Asked(StrEnum):
    """Who answers a search's queries."""

    table = "table"
    train = "train"


class Repeats(StrEnum):
    """What a repeated query costs."""

    charge = "charge"
    free = "free"


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
    Repeats, typer.Option(help="Queries of a cell, or of a structural twin, that was seen before.")
]
_Signal = Annotated[
    str,
    typer.Option(help="What searchers are told, as fidelity/split/seeds: 12/valid/mean, 200@25/valid/777."),
]
_Workers = Annotated[int, typer.Option("--workers", "-j", help="Processes; -1: one for each core.")]


def bench(
    out: _Out = Path("results/bench"),
    table: _Table = "bundled",
    dataset: _Dataset = "",
    searchers: Annotated[
        str, typer.Option("--searchers", "-s", help="Names by comma, with options as name:option=value.")
    ] = DEFAULT_SEARCHERS,
    seeds: _Seeds = 100,
    budget: _Budget = "200",
    signal: _Signal = "",
    repeats: _Repeats = Repeats.charge,
    workers: _Workers = -1,
) -> None:
    """Run several searchers on a table and draw their efficiency curves.

    Examples:

      nasgauge bench

      nasgauge bench --searchers random,evolution:population=50 --seeds 500 --out results/population
    """
    _run(out, table, dataset, signal, searchers, seeds, budget, repeats, workers)
    show(draw(out))


def search(
    searcher: Annotated[str, typer.Argument(help="Name of a searcher, with options as name:option=value.")],
    out: _Out = Path("results/search"),
    oracle: Annotated[Asked, typer.Option(help="Look cells up in a table, or train them.")] = Asked.table,
    table: _Table = "bundled",
    dataset: _Dataset = "",
    seeds: _Seeds = 10,
    budget: _Budget = "200",
    signal: _Signal = "",
    repeats: _Repeats = Repeats.charge,
    workers: _Workers = -1,
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
    """
    if oracle is Asked.table:
        _run(out, table, dataset, signal, searcher, seeds, budget, repeats, workers)
    else:
        if signal:
            raise console.BadOption("--signal chooses a table's column; with --oracle train give --recipe")
        _run_trained(
            out, dataset, images, searcher, seeds, budget, repeats, workers, (recipe, device, precision)
        )
    console.out().print(f"results are in {out}; draw them with: nasgauge report {out}", markup=False)


def _run(
    out: Path,
    table: str,
    dataset: str,
    signal: str,
    searchers: str,
    seeds: int,
    budget: str,
    repeats: Repeats,
    workers: int,
) -> None:
    from nasgauge.data.sources import open_curves, open_table
    from nasgauge.harness.records.results import SETTINGS_FILE, Settings
    from nasgauge.harness.search.campaign import generators
    from nasgauge.harness.search.oracle import SearchMetric, Table
    from nasgauge.harness.search.runner import Budget, cost
    from nasgauge.spaces.nb201 import NB201

    specs = _checked(searchers, seeds, workers)
    money = Budget.parse(budget)
    opened = open_table(table)
    told = SearchMetric.parse(signal) if signal else None
    oracles = {
        name: Table(opened, name, metric=told, curves=open_curves(table))
        for name in (dict.fromkeys(dataset.split(",")) if dataset else opened.views)
    }
    for oracle in oracles.values():
        cost(oracle.for_run(generators(0)[1]).evaluate(NB201()[0]), money.clock)
    settings = Settings(
        table=table,
        table_sha256=opened.sha256,
        limits=opened.limits,
        datasets=tuple(oracles),
        seeds=seeds,
        budget=str(money),
        signal=str(told or ""),
        repeats=repeats.value,
    )
    _announce(opened, oracles)
    begun = (out / SETTINGS_FILE).is_file()  # its references are there too
    references = {} if begun else {name: _reference(oracle, money) for name, oracle in oracles.items()}
    _execute(out, settings, references, specs, workers)


def _run_trained(
    out: Path,
    dataset: str,
    images: Path | None,
    searcher: str,
    seeds: int,
    budget: str,
    repeats: Repeats,
    workers: int,
    how: tuple[str, str, str],
) -> None:
    from nasgauge.harness.records.provenance import provenance
    from nasgauge.harness.records.recipes import recipe_named
    from nasgauge.harness.records.results import TRAINED, Settings, TrainingSettings
    from nasgauge.harness.search.runner import Budget, left_for_one
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.trainer import open_trainer

    specs = _checked(searcher, seeds, workers)
    money = Budget.parse(budget)
    recipe, device, precision = how
    chosen = recipe_named(recipe)
    machine = Machine(device=device, precision=precision).resolved()
    training = TrainingSettings(recipe=chosen, images=str(images or ""))
    dataset = dataset or "cifar10-valid"
    trainer = open_trainer(out / TRAINED, dataset, training, machine, json.dumps(provenance()))
    left_for_one(trainer, money)
    settings = Settings(
        table=f"trained by {chosen.name}",
        table_sha256=trainer.sha256,
        limits=f"cells are trained here, with seed {training.seed} by {chosen}",
        datasets=(dataset,),
        seeds=seeds,
        budget=str(money),
        repeats=repeats.value,
        training=training,
    )
    say = console.err().print
    say(f"{settings.limits}, on {machine.device} in precision {machine.precision}", markup=False)
    if trainer.warning:
        say(f"note: {trainer.warning}", markup=False)
    _execute(out, settings, {}, specs, max(workers, 1), machine)


def _checked(searchers: str, seeds: int, workers: int) -> tuple[str, ...]:
    from nasgauge.harness.search.specs import Spec

    if seeds < 1:
        raise console.BadOption(f"--seeds {seeds} runs nothing; give at least 1")
    if workers == 0:
        raise console.BadOption("--workers 0 does nothing; give a number, or -1 for one a core")
    return tuple(dict.fromkeys(str(Spec.parse(text)) for text in searchers.split(",")))


def _execute(
    out: Path,
    settings: "Settings",
    references: "dict[str, Reference]",
    specs: tuple[str, ...],
    workers: int,
    machine: "Machine | None" = None,
) -> None:
    from nasgauge.harness.records.results import TRAINED, claim, missing, plan
    from nasgauge.harness.search.campaign import execute
    from nasgauge.harness.search.specs import Spec

    claim(out, settings, references)
    units = plan(settings, specs)
    todo = missing(out, units, {text: Spec.parse(text).settings() for text in specs})
    say = console.err().print
    say(f"budget {settings.budget}, repeated queries: {settings.repeats}, seeds 0 to {settings.seeds - 1}")
    if len(todo) < len(units):
        say(f"{len(units) - len(todo)} finished units are kept")
    if todo:
        with console.progress() as progress:
            total = sum(unit.last - unit.first + 1 for unit in units)
            done = total - sum(unit.last - unit.first + 1 for unit in todo)
            bar = progress.add_task("runs", total=total, completed=done)
            with _counting(out / TRAINED, progress, bar) if settings.training else nullcontext():
                for unit in execute(out, settings, todo, workers=workers, machine=machine):
                    progress.advance(bar, unit.last - unit.first + 1)


@contextmanager
def _counting(trained: Path, progress: "Progress", bar: "TaskID") -> "Iterator[None]":
    """Meanwhile the bar tells how many cells were trained: a run of them can take hours."""
    over = Event()

    def watch() -> None:
        while not over.wait(2.0):
            count = sum(1 for _ in trained.glob("*.parquet"))
            progress.update(bar, description=f"{count} cells trained, runs")

    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _reference(oracle: "Table", budget: "Budget") -> "Reference":
    import numpy as np

    from nasgauge.analysis.statistics.runs import random_search
    from nasgauge.harness.records.results import Curve, Reference
    from nasgauge.spaces.nb201 import NB201

    # far beyond the budget too: how many random queries a better searcher's result is worth
    longest = int(max(budget.amount, 100_000) if budget.clock == "queries" else 100_000)
    queries = np.unique(np.geomspace(1, longest, 1000).round().astype(np.int64))
    curve = random_search(*oracle.draws, queries)
    best = int(oracle.test.argmax())
    return Reference(
        optimum=float(oracle.test[best]),
        optimum_cell=str(NB201()[best]),
        leader=float(oracle.test[int(oracle.validation.argmax())]),
        random=Curve(
            queries=tuple(queries.tolist()), mean=tuple(curve.mean.tolist()), sd=tuple(curve.sd.tolist())
        ),
    )


def _announce(table: "AccuracyTable", oracles: "dict[str, Table]") -> None:
    say = console.err().print
    say(f"table {table.name} ({table.sha256[:12]}): {table.limits}", markup=False)
    for name, oracle in oracles.items():
        warning = f"; note: {oracle.view.warning}" if oracle.view.warning else ""
        times = "" if oracle.times == "none" else f"; simulated seconds: {oracle.times}"
        say(f"{name}: signal {oracle.metric}, reported {oracle.view.report}{times}{warning}", markup=False)
