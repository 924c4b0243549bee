"""`nasgauge train`: train cells with a recipe."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasgauge.harness.records.trainings import Epoch, TrainingRecord
    from nasgauge.harness.training import Machine, TrainingUnit
    from nasgauge.spaces.architectures import Architecture


def train(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official strings.", metavar="CELL...")
    ] = None,
    top: Annotated[
        int, typer.Option(help="Train the K cells that are most often the final incumbent in --from.")
    ] = 0,
    results: Annotated[
        Path | None, typer.Option("--from", help="Results folder of nasgauge bench or search.")
    ] = None,
    dataset: Annotated[
        str,
        typer.Option("--dataset", "-d", help="cifar10-valid, cifar10, cifar100, ImageNet16-120 or made-up."),
    ] = "cifar10-valid",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the published files of the dataset; the cache by default.", metavar="DIR"
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="nb201-12, nb201-200, long or tiny.")
    ] = "nb201-12",
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs; that of the recipe by default.", min=1)
    ] = None,
    seeds: Annotated[str, typer.Option(help="Random seeds, comma-separated.")] = "777",
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of the training records; rerun the same command to resume."),
    ] = Path("results/trained"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32, bf16 or 16.")] = "auto",
    workers: Annotated[
        int,
        typer.Option("--workers", "-j", help="Parallel trainings; 0: one per GPU, or one on a CPU.", min=0),
    ] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads per worker.", min=1)] = None,
    processes: Annotated[
        int, typer.Option(help="Processes of data-parallel training, each with its own device.", min=1)
    ] = 1,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    evaluate_every: Annotated[
        int, typer.Option(help="Epochs between evaluations; the last epoch is always evaluated.", min=1)
    ] = 1,
    checkpoint_every: Annotated[int, typer.Option(help="Epochs between checkpoints.", min=1)] = 1,
) -> None:
    """Train cells with a recipe and write one training record per cell and seed, with one row per epoch.

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
        f"{len(cells)} cells, {len(units)} trainings with {chosen.name} on {dataset}; {len(units) - len(todo)} are "
        f"done; records in {out}",
        markup=False,
    )
    if todo:
        _train(out, todo, machines(machine, workers), images, evaluate_every, checkpoint_every)
    _show([unit.finished(out) for unit in units])


def _cells(texts: "Sequence[str]", top: int, results: Path | None) -> "list[Architecture]":
    from nasgauge.spaces.architectures import architecture

    if bool(texts) == bool(top) or bool(top) != bool(results):
        raise console.BadOption("give cells, or --top K --from RESULTS")
    if results is None:
        return list(dict.fromkeys(architecture(text) for text in texts))
    from nasgauge.api.results import most_frequent

    if top < 1:
        raise console.BadOption(f"--top {top} is too small; give at least 1")
    return most_frequent(results, top)


def _numbers(seeds: str) -> list[int]:
    parts = [part.strip() for part in seeds.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise console.BadOption(
            f"--seeds {seeds!r} is not understood; give comma-separated numbers, as in 777,888,999"
        )
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
    from nasgauge.harness.training.many import PACKAGES, train_units

    def say(epoch: Epoch) -> None:
        progress.console.print(_line(epoch), markup=False)

    with console.progress() as progress:
        bar = progress.add_task("epochs", total=sum(unit.recipe.epochs for unit in units))

        def watch() -> None:  # other processes train: read progress from their records
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
                provenance(*PACKAGES),
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
