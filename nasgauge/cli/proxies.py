"""The commands `nasgauge score cells`, `agreement` and `tenas`: zero-cost proxies and TE-NAS searches."""

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasgauge.data.tables import AccuracyTable
    from nasgauge.searchers.tenas import StoredSearch

_M_ARENA_MAX: Final = -8  # from glibc's malloc.h


def cells(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official strings.", metavar="CELL…")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Score one cell of each of the 6,466 structural classes.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(help="With --all: number of classes, a uniform sample.", min=1)
    ] = None,
    out: options.Out = options.RESULTS / "scores",
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder of CIFAR-10 files.")] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Compute all zero-cost proxies of cells. With --all, write the scores to files and support resuming.

    Examples:

      nasgauge score cells "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"

      nasgauge score cells --all --count 100 --out results/scores
    """
    import torch

    from nasgauge.data.images import open_images
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.score_files import Recipe, UnfitScores, gather
    from nasgauge.harness.proxies.scores import Scorer, score_classes
    from nasgauge.spaces.cells import Cell

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    torch.set_num_threads(1)  # the kernels are too small to profit from threads
    scorer = Scorer(Recipe(images=images), open_images(images), open_device(device))
    if every:
        if any(out.glob("part-*.parquet")) and not resume:
            raise UnfitScores(f"{out} already holds scores; add --resume to continue, or give another folder")
        for done, total in score_classes(scorer, out, count):
            console.err().print(f"{done} of {total} classes")
        scored = gather(out, out / "scores.parquet")
        console.out().print(f"{scored} classes in {out / 'scores.parquet'}")
        return
    for cell in chosen:
        console.out().print(console.named(cell), markup=False)
        for score in scorer.score(cell):
            value = f"{score.value:.6g}" if not score.reason else f"undefined: {score.reason}"
            console.out().print(
                f"  {score.proxy:10} {score.repeat} {value}  ({score.seconds:.2f} s)", markup=False
            )


def tenas(
    preset: Annotated[
        str, typer.Option(help="paper-settings, or released for the settings of the public code.")
    ] = "paper-settings",
    seeds: options.Seeds = 1,
    first_seed: options.FirstSeed = 0,
    images: Annotated[
        str, typer.Option(help="sample, cifar10, a folder of CIFAR-10 files, or noise.")
    ] = "sample",
    workers: options.Workers = -1,
    batch: Annotated[
        int | None,
        typer.Option(help="Images per kernel; by default that of the preset, 14 for darts.", min=2),
    ] = None,
    measurements: Annotated[
        int | None, typer.Option(help="Repeats of every measurement; by default those of the preset.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    space: Annotated[str, typer.Option(help="Search space: nb201 or darts.")] = "nb201",
    table: options.Table = DEFAULT_TABLE,
    out: options.OutByName = None,
) -> None:
    """Run TE-NAS searches: print the operations removed in each round, and the final cell or genotype of each seed.

    The searches of NAS-Bench-201 are added to searches.json in the folder --out; seeds that it holds are skipped.
    Accuracies are those of the table. Workers are threads; each evaluates one candidate at a time.

    Examples:

      nasgauge score tenas --seeds 3

      nasgauge bench --searchers random,tenas:searches=results/tenas/searches.json --seeds 3
    """
    import os
    import time
    from dataclasses import replace

    import torch

    from nasgauge.data.atomic import replacing
    from nasgauge.data.images import open_images
    from nasgauge.data.sources import open_table
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.judge import DARTS_NETWORKS, NB201_NETWORKS, Judge
    from nasgauge.harness.records.provenance import processor
    from nasgauge.searchers.pruning import PRESETS, Round, cell_of, prune
    from nasgauge.searchers.pruning_darts import DARTS_BATCH, genotype_of, prune_darts
    from nasgauge.searchers.tenas import SearchFile, StoredSearch

    if preset not in PRESETS or space not in ("nb201", "darts"):
        raise typer.BadParameter(f"presets are {', '.join(PRESETS)}; spaces are nb201, darts")
    if space == "darts" and (table != DEFAULT_TABLE or out):
        raise typer.BadParameter("--table and --out do not apply to the space darts; leave them out")
    figures = None if space == "darts" else open_table(table)
    file = None if space == "darts" else (out or options.RESULTS / "tenas") / "searches.json"
    workers = workers if workers > 0 else os.cpu_count() or 1
    pixels = None if images == "noise" else open_images(images)
    darts, usual = space == "darts", PRESETS[preset]
    settings = replace(
        usual,
        batch=batch or (DARTS_BATCH if darts else usual.batch),
        repeats=measurements or usual.repeats,
    )
    place = open_device(device)
    if workers > 1:
        _share_one_arena()

    def show(step: Round) -> None:
        gone = ", ".join(f"{removal.edge}:{removal.operation}" for removal in step.removed)
        console.err().print(
            f"  kappa {step.kappa:.1f}, regions {step.regions:.0f}, removes {gone} ({step.seconds:.1f} CPU s)"
        )

    changed = "".join(
        f" --{name} {value}" for name, value in (("batch", batch), ("measurements", measurements)) if value
    )
    kept = SearchFile(
        command=f"nasgauge score tenas --preset PRESET --first-seed SEED --images {images}{changed}",
        images=images,
        image_count=0 if pixels is None else len(pixels),
        image_md5="" if pixels is None else pixels.md5(),
        machine=f"{processor()}, {os.cpu_count()} cores" + ("" if place.type == "cpu" else f", {place}"),
        workers=workers,
        torch=torch.__version__,
        settings={preset: settings},
    )
    if file is not None:
        kept = kept.resumed(file)
    for seed in range(first_seed, first_seed + seeds):
        if seed in kept.by_seed(preset):
            console.err().print(f"seed {seed} is in {file}", markup=False)
            continue
        clock = time.perf_counter()
        console.err().print(f"seed {seed}")
        judge = Judge(
            settings,
            seed,
            images=pixels,
            workers=workers,
            device=place,
            space=DARTS_NETWORKS if darts else NB201_NETWORKS,
        )
        search = (prune_darts if darts else prune)(judge, on_round=show)
        choices, spent = search.choices, f"({search.seconds:.0f} CPU s, {time.perf_counter() - clock:.0f} s)"
        ended = genotype_of(choices) if darts else cell_of(choices)
        found = []
        if figures is not None:
            cell = cell_of(choices)
            found = [f"{d} {figures.value(cell, view.report):.2f}" for d, view in figures.views.items()]
        shown = str(ended) if darts else console.named(cell_of(choices))
        console.out().print("  ".join([shown, *found, spent]), markup=False)
        if file is not None:
            kept = kept.with_search(StoredSearch.of(preset, seed, search))
            with replacing(file) as opened:
                opened.write(kept.to_json().encode())
    if figures is not None:
        chosen = [kept.by_seed(preset)[seed] for seed in range(first_seed, first_seed + seeds)]
        console.out().print(_together(figures, chosen), markup=False)
        console.out().print(f"the searches are in {file}", markup=False)


def _together(table: "AccuracyTable", searches: "Sequence[StoredSearch]") -> str:
    """Mean and standard deviation of the searches' accuracies and seconds, over searches."""
    import numpy as np

    from nasgauge.spaces.cells import Cell

    found = {
        f"{name} %": np.array([table.value(Cell.parse(one.cell), view.report) for one in searches])
        for name, view in table.views.items()
    } | {"CPU s": np.array([one.seconds for one in searches])}
    texts = [
        f"{name} {values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")
        for name, values in found.items()
    ]
    return f"{len(searches)} searches, mean ± sd: {', '.join(texts)}"


def _share_one_arena() -> None:
    """Make all threads share one malloc arena of glibc. Two threads then need 1.43 GB instead of 1.65 GB."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def agreement(
    table: options.Table = DEFAULT_TABLE,
    scores: Annotated[str, typer.Option(help="File of scores.", show_default="shipped")] = "",
    over: Annotated[
        Literal["classes", "cells"],
        typer.Option(help="Unit of the statistics: a structural class, or each of its cells."),
    ] = "classes",
    out: options.Out = options.RESULTS / "agreement",
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.", min=0)] = 0,
) -> None:
    """Kendall's tau of each proxy with test accuracy, with a 95 % bootstrap interval over structural classes.

    Example:

      nasgauge score agreement --table nb201
    """
    import numpy as np
    from rich.table import Table

    from nasgauge.data.atomic import replacing
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.score_files import read, shipped
    from nasgauge.studies.agreement import agreements

    figures = open_table(table)
    accuracies = {dataset: figures.column(view.report) for dataset, view in figures.views.items()}
    recipe, kept = read(Path(scores)) if scores else shipped()
    found = agreements(kept, accuracies, np.random.default_rng(seed), over=over)
    shown = Table("proxy", *accuracies, title=f"Kendall's tau on {found[0].cells} {over}")
    for proxy in dict.fromkeys(row.proxy for row in found):
        rows = [row for row in found if row.proxy == proxy]
        shown.add_row(proxy, *(f"{row.tau:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in rows))
    console.out().print(shown)
    console.out().print(str(recipe), markup=False)
    lines = [",".join(found[0]._fields), *(",".join(map(str, row)) for row in found)]
    with replacing(out / "agreement.csv") as file:
        file.write(("\n".join(lines) + "\n").encode())
    console.out().print(f"written to {out / 'agreement.csv'}", markup=False)
