"""`train`: cells trained for real."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasgauge.harness.records.trainings import Epoch, TrainingRecord
    from nasgauge.harness.training import Machine, TrainingUnit
    from nasgauge.spaces.cells import Cell


def train(
    texts: Annotated[list[str] | None, typer.Argument(help="Cells.", metavar="CELL...")] = None,
    top: Annotated[int, typer.Option(help="Train the K cells that most runs of --from end with.")] = 0,
    results: Annotated[Path | None, typer.Option("--from", help="Results folder of bench or search.")] = None,
    dataset: Annotated[
        str,
        typer.Option("--dataset", "-d", help="cifar10-valid, cifar10, cifar100, ImageNet16-120, made-up."),
    ] = "cifar10-valid",
    images: Annotated[
        Path | None, typer.Option(help="Folder with the dataset's published files.", metavar="DIR")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="nb201-12, nb201-200, long or tiny.")
    ] = "nb201-12",
    epochs: Annotated[int | None, typer.Option(help="Other than the recipe's own.", min=1)] = None,
    seeds: Annotated[str, typer.Option(help="By comma.")] = "777",
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of the records; running again goes on where it stopped."),
    ] = Path("results/trained"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32, bf16 or 16.")] = "auto",
    workers: Annotated[
        int, typer.Option("--workers", "-j", help="Cells at once; 0: one a GPU, or one on a CPU.", min=0)
    ] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each worker.", min=1)] = None,
    processes: Annotated[
        int, typer.Option(help="Processes, each with a device, that share a cell's batches.", min=1)
    ] = 1,
    compiled: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    evaluate_every: Annotated[int, typer.Option(help="Epochs; the last is always evaluated.", min=1)] = 1,
    checkpoint_every: Annotated[int, typer.Option(help="Epochs.", min=1)] = 1,
) -> None:
    """Train cells by a recipe: one record for each cell and seed, a row an epoch.

    Examples:

      nasgauge train "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|" --recipe tiny

      nasgauge train --top 5 --from results/bench --seeds 777,888,999

      nasgauge score bridge results/trained --table nb201
    """
    from nasgauge.harness.records.recipes import recipe_named
    from nasgauge.harness.training import Machine, TrainingUnit
    from nasgauge.harness.training.many import machines

    machine = Machine(
        device=device, precision=precision, threads=threads, processes=processes, compiled=compiled
    )
    chosen = recipe_named(recipe, epochs=epochs)
    cells = _cells(texts or [], top, results)
    units = [TrainingUnit(cell, dataset, chosen, seed) for cell in cells for seed in _numbers(seeds)]
    todo = [unit for unit in units if unit.finished(out) is None]
    console.err().print(
        f"{len(cells)} cells, {len(units)} trainings by {chosen.name} on {dataset}; {len(units) - len(todo)} are "
        f"done; records in {out}",
        markup=False,
    )
    if todo:
        _train(out, todo, machines(machine, workers), images, evaluate_every, checkpoint_every)
    _show([unit.finished(out) for unit in units])


def _cells(texts: "Sequence[str]", top: int, results: Path | None) -> "list[Cell]":
    from nasgauge.spaces.cells import Cell

    if bool(texts) == bool(top) or bool(top) != bool(results):
        raise console.BadOption("give cells, or --top K --from RESULTS")
    if results is None:
        return list(dict.fromkeys(Cell.parse(text) for text in texts))
    from nasgauge.analysis.report.incumbents import winners
    from nasgauge.analysis.results.campaign import load

    if top < 1:
        raise console.BadOption(f"--top {top} trains nothing; give at least 1")
    return winners(load(results), top)


def _numbers(seeds: str) -> list[int]:
    parts = [part.strip() for part in seeds.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise console.BadOption(f"--seeds {seeds!r} is not understood; give numbers by comma, as 777,888,999")
    return list(dict.fromkeys(map(int, parts)))


def _train(
    out: Path,
    units: "Sequence[TrainingUnit]",
    places: "Sequence[Machine]",
    images: Path | None,
    evaluate_every: int,
    checkpoint_every: int,
) -> None:
    from threading import Event, Thread

    from nasgauge.harness.records.provenance import provenance
    from nasgauge.harness.records.trainings import Epoch
    from nasgauge.harness.training.many import train_units

    def say(epoch: Epoch) -> None:
        progress.console.print(_line(epoch), markup=False)

    with console.progress() as progress:
        bar = progress.add_task("epochs", total=sum(unit.recipe.epochs for unit in units))

        def watch() -> None:  # other processes train: their records tell
            while not over.wait(1.0):
                progress.update(bar, completed=sum(unit.epochs_done(out) for unit in units))

        over, alone = Event(), len(places) == 1
        watcher = Thread(target=watch, daemon=True)
        if not alone:
            watcher.start()
        try:
            for unit in train_units(
                out,
                units,
                places,
                provenance("torch", "torchvision", "lightning-fabric", "numpy"),
                images=images,
                evaluate_every=evaluate_every,
                checkpoint_every=checkpoint_every,
                on_epoch=say,
                on_step=lambda share: progress.advance(bar, share),
            ):
                progress.console.print(f"{unit.cell} seed {unit.seed} is done", markup=False)
        finally:
            over.set()


def _line(epoch: "Epoch") -> str:
    held_out = "" if isnan(epoch.valid_accuracy) else f", valid {epoch.valid_accuracy:.2f} %"
    tested = "" if isnan(epoch.test_accuracy) else f", test {epoch.test_accuracy:.2f} %"
    return (
        f"epoch {epoch.epoch}: train loss {epoch.train_loss:.3f}, accuracy {epoch.train_accuracy:.2f} %"
        f"{held_out}{tested} ({epoch.images_per_second:.0f} images/s)"
    )


def _show(records: "Sequence[TrainingRecord | None]") -> None:
    from rich.table import Table

    shown = Table("seed", "recipe", "train", "valid", "test", "seconds", title="accuracy in percent")
    shown.add_column("cell", overflow="fold")
    for record in records:
        if record is None:
            continue
        last, header = record.epochs[-1], record.header
        spent = sum(epoch.seconds for epoch in record.epochs)
        figures = (last.train_accuracy, last.valid_accuracy, last.test_accuracy)
        texts = ("" if isnan(figure) else f"{figure:.2f}" for figure in figures)
        shown.add_row(str(header.seed), header.recipe.name, *texts, f"{spent:.0f}", header.cell)
    console.out().print(shown)
