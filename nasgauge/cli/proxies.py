"""Zero-cost proxies of cells, their agreement with accuracy, and TE-NAS searches: part of `nasgauge score`."""

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from nasgauge.cli import console

_M_ARENA_MAX: Final = -8  # of glibc's malloc.h


def cells(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official texts.", metavar="CELL…")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All 6,466 structural classes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    count: Annotated[
        int | None, typer.Option(help="With --all: only so many classes, a uniform sample.", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="With --all: the folder of the scores.")] = Path("scores"),
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder.")] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Score cells by every proxy; with --all keep the scores in files that a later run goes on with."""
    import torch

    from nasgauge.data.images import open_images
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.scores import Recipe, Scorer, UnfitScores, gather, score_classes
    from nasgauge.spaces.cells import Cell

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    torch.set_num_threads(1)  # the kernels are small: more threads only wait for one another
    scorer = Scorer(Recipe(images=images), open_images(images), open_device(device))
    if every:
        if any(out.glob("part-*.parquet")) and not resume:
            raise UnfitScores(f"{out} already holds scores; add --resume to go on, or give another folder")
        for done, total in score_classes(scorer, out, count):
            console.err().print(f"{done} of {total} classes")
        scored = gather(out, out / "scores.parquet")
        console.out().print(f"{scored} classes in {out / 'scores.parquet'}")
        return
    for cell in chosen:
        console.out().print(str(cell), markup=False)
        for score in scorer.score(cell):
            value = f"{score.value:.6g}" if not score.reason else f"undefined: {score.reason}"
            console.out().print(
                f"  {score.proxy:10} {score.repeat} {value}  ({score.seconds:.2f} s)", markup=False
            )


def tenas(
    preset: Annotated[
        str, typer.Option(help="paper-settings, or released: those of the released code.")
    ] = "paper-settings",
    seeds: Annotated[int, typer.Option(help="How many searches.", min=1)] = 1,
    first: Annotated[int, typer.Option(help="Seed of the first search.", min=0)] = 0,
    images: Annotated[str, typer.Option(help="sample, cifar10, a folder, or noise.")] = "sample",
    workers: Annotated[int, typer.Option(help="Threads, each for a candidate.", min=1)] = 1,
    batch: Annotated[
        int | None, typer.Option(help="Images of a kernel, unlike the preset (in darts, 14).", min=2)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Of every measurement, unlike the preset.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    space: Annotated[str, typer.Option(help="nb201, or darts.")] = "nb201",
    table: Annotated[str | None, typer.Option(help="Look the cells up in this table.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Add each search to this JSON file; seeds that it holds are skipped.")
    ] = None,
) -> None:
    """Search by TE-NAS, live: rounds, what they remove, and the cell or genotype of each seed."""
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
    if space == "darts" and (table or out):
        raise typer.BadParameter("there is no table of the DARTS space, and its searches are not kept")
    figures = open_table(table) if table else None
    pixels = None if images == "noise" else open_images(images)
    darts, usual = space == "darts", PRESETS[preset]
    settings = replace(
        usual,
        batch=batch or (DARTS_BATCH if darts else usual.batch),
        repeats=repeats or usual.repeats,
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
        f" --{name} {value}" for name, value in (("batch", batch), ("repeats", repeats)) if value
    )
    kept = SearchFile(
        command=f"nasgauge score tenas --preset PRESET --first SEED --images {images}{changed}",
        images=images,
        image_count=0 if pixels is None else len(pixels),
        image_md5="" if pixels is None else pixels.md5(),
        machine=f"{processor()}, {os.cpu_count()} cores" + ("" if place.type == "cpu" else f", {place}"),
        workers=workers,
        torch=torch.__version__,
        settings={preset: settings},
    )
    if out is not None:
        kept = kept.resumed(out)
    for seed in range(first, first + seeds):
        if seed in kept.by_seed(preset):
            console.err().print(f"seed {seed} is in {out}", markup=False)
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
        console.out().print("  ".join([str(ended), *found, spent]), markup=False)
        if out is not None:
            kept = kept.with_search(StoredSearch.of(preset, seed, search))
            with replacing(out) as file:
                file.write(kept.to_json().encode())


def _share_one_arena() -> None:
    """Where glibc is, threads get their memory from one place: 1.43 GB instead of 1.65 for two of them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def agreement(
    table: Annotated[str, typer.Option("--table", "-t", help="The table of accuracies.")] = "bundled",
    scores: Annotated[Path | None, typer.Option(help="A file of scores, or those that ship.")] = None,
    over: Annotated[
        Literal["classes", "cells"],
        typer.Option(help="What counts once: a structural class, or each of its cells."),
    ] = "classes",
    out: Annotated[Path | None, typer.Option(help="Keep the figures in this CSV file.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
) -> None:
    """How well each proxy ranks cells: Kendall's tau with test accuracy, 95 % interval over classes."""
    import numpy as np
    from rich.table import Table

    from nasgauge.data.atomic import replacing
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.agreement import agreements
    from nasgauge.harness.proxies.scores import read, shipped

    figures = open_table(table)
    accuracies = {dataset: figures.column(view.report) for dataset, view in figures.views.items()}
    recipe, kept = read(scores) if scores else shipped()
    found = agreements(kept, accuracies, np.random.default_rng(seed), over=over)
    shown = Table("proxy", *accuracies, title=f"Kendall's tau on {found[0].cells} {over}")
    for proxy in dict.fromkeys(row.proxy for row in found):
        rows = [row for row in found if row.proxy == proxy]
        shown.add_row(proxy, *(f"{row.tau:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in rows))
    console.out().print(shown)
    console.out().print(str(recipe), markup=False)
    if out is not None:
        lines = [",".join(found[0]._fields), *(",".join(map(str, row)) for row in found)]
        with replacing(out) as file:
            file.write(("\n".join(lines) + "\n").encode())
