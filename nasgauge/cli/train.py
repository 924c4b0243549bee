"""`nasgauge train`: train cells with a recipe."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nasgauge.spaces.architectures import Architecture


def train(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Cells as official strings, genotypes, or names: pnasnet5, tenas-imagenet, …",
            metavar="CELL...",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(help="Train the K cells that are most often the final incumbent in --from.")
    ] = 0,
    results: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Results folder of bench or search, or file of nasgauge score tenas --out."
        ),
    ] = None,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", help="cifar10-valid, cifar10, cifar100, ImageNet16-120, imagenet or made-up."
        ),
    ] = "cifar10-valid",
    images: Annotated[
        str,
        typer.Option(
            help="Folder with the published files of the dataset; for imagenet, the folder that holds train and val.",
            metavar="FOLDER",
            show_default="the cache",
        ),
    ] = "",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            help="A name (nasgauge recipes).",
        ),
    ] = "nb201-12",
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs; that of the recipe by default.", min=1)
    ] = None,
    seeds: Annotated[int, options.seeds_option("Trainings of each cell, a seed each.")] = 1,
    first_seed: options.FirstSeed = 777,
    out: options.Out = options.RESULTS / "trained",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32, bf16 or 16.")] = "auto",
    workers: Annotated[
        int, options.workers_option("Trainings at once; -1: one for each GPU, or one on a CPU.")
    ] = -1,
    engine: options.Engine = "local",
    address: options.Address = "",
    storage: options.Storage = "",
    threads: Annotated[int | None, typer.Option(help="CPU threads per worker.", min=1)] = None,
    processes: Annotated[
        int,
        typer.Option(
            help="Processes of data-parallel training, each with its own device; torchrun sets them itself.",
            min=1,
        ),
    ] = 1,
    per_device: Annotated[
        int | None,
        typer.Option(
            help="Images of a batch that a device computes at once; the gradients of the others are accumulated. All by "
            "default.",
            min=1,
        ),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(help="Processes that read image files; one for each CPU core by default.", min=0),
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    evaluate_every: Annotated[
        int, typer.Option(help="Epochs between evaluations; the last epoch is always evaluated.", min=1)
    ] = 1,
    checkpoint_every: Annotated[int, typer.Option(help="Epochs between checkpoints.", min=1)] = 1,
    checkpoint_steps: Annotated[
        int, typer.Option(help="Steps between checkpoints within an epoch; 0: none.", min=0)
    ] = 500,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out image files that cannot be decoded.")
    ] = False,
    evaluate: Annotated[
        Path | None,
        typer.Option(help="Evaluate these weights, or this checkpoint, instead of training.", metavar="FILE"),
    ] = None,
    fake_data: Annotated[
        float,
        typer.Option(
            help="Measure the speed of training steps on random images for so many seconds instead of training.",
            metavar="SECONDS",
            min=0,
        ),
    ] = 0.0,
) -> None:
    """Train cells with a recipe and write one training record per cell and seed, with one row per epoch.

    The same command resumes an interrupted training.

    Examples:

      nasgauge train "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|" --recipe tiny

      nasgauge train --top 5 --from results/bench --seeds 3

      nasgauge score bridge results/trained --table nb201

      torchrun --nproc-per-node 8 -m nasgauge train pnasnet5 -d imagenet --images /data/ILSVRC2012 -r pnas-mobile
    """
    from nasgauge.api import training
    from nasgauge.harness.training import Habits, Machine

    machine = Machine(
        device=device,
        precision=precision,
        threads=threads,
        processes=processes,
        per_device=per_device,
        readers=readers,
        compiled=compiled,
    )
    cells = _cells(texts or [], top, results)
    if fake_data:
        for cell in cells:
            speed = training.measure_throughput(
                cell, recipe=recipe, epochs=epochs, dataset=dataset, machine=machine, seconds=fake_data
            )
            _say(
                f"{cell}: {speed.images_per_second:,.1f} images/s, {1000 * speed.step:,.1f} ms a step, "
                f"{speed.peak_memory / 1e9:.2f} GB; the recipe would take {speed.hours:,.1f} h at this speed"
            )
        return
    if evaluate is not None:
        if len(cells) != 1:
            raise console.BadOption(f"--evaluate takes one cell, not {len(cells)}")
        found = training.evaluate(
            evaluate,
            cells[0],
            recipe=recipe,
            epochs=epochs,
            dataset=dataset,
            images=Path(images) if images else None,
            machine=machine,
            skip_damaged=skip_damaged,
        )
        for row in found.itertuples():
            _say(f"{row.part}: loss {row.loss:.4f}, top-1 {row.top1:.2f} %, top-5 {row.top5:.2f} %")
        return
    trained = training.train(
        cells,
        recipe=recipe,
        epochs=epochs,
        dataset=dataset,
        seeds=range(first_seed, first_seed + seeds),
        images=Path(images) if images else None,
        out=out,
        workers=max(workers, 0),
        engine=options.engine_text(engine, address),
        storage=storage,
        machine=machine,
        habits=Habits(
            evaluate_every=evaluate_every,
            checkpoint_every=checkpoint_every,
            checkpoint_steps=checkpoint_steps,
        ),
        skip_damaged=skip_damaged,
    )
    _show(trained)


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


def _say(line: str) -> None:
    from nasgauge.harness.training.machine import is_first_process

    if is_first_process():
        console.out().print(line, markup=False)


def _show(trained: "pd.DataFrame") -> None:
    from nasgauge.harness.training.machine import is_first_process
    from nasgauge.spaces.architectures import architecture, short_name
    from nasgauge.spaces.cells import Cell

    rows = []
    for (cell, seed), epochs in trained.groupby(["cell", "seed"], sort=False):
        last = epochs.iloc[-1]
        figures = (last["train_accuracy"], last["valid_accuracy"], last["test_accuracy"])
        texts = ("" if isnan(figure) else f"{figure:.2f}" for figure in figures)
        found = architecture(str(cell))
        index = str(console.index_of(found)) if isinstance(found, Cell) else ""
        names = (index, short_name(found), str(seed), str(len(epochs)))
        rows.append((*names, *texts, f"{epochs['seconds'].sum():.0f}", str(cell)))
    if is_first_process():
        console.table(
            "accuracy in percent",
            ("index", "code", "seed", "epochs", "train", "valid", "test", "seconds", "cell"),
            rows,
            left=("code", "cell"),
            optional=("cell", "train", "seconds"),
        )
