"""The commands `nasgauge score cells`, `agreement` and `tenas`: zero-cost proxies and TE-NAS searches."""

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from nasgauge.cli import console
from nasgauge.data import DEFAULT_TABLE

_M_ARENA_MAX: Final = -8  # from glibc's malloc.h


def cells(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official strings.", metavar="CELL…")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Score one cell of each of the 6,466 structural classes.")
    ] = False,
    names: Annotated[
        str, typer.Option("--proxies", "-p", help="Comma-separated names; all installed ones by default.")
    ] = "",
    draws: Annotated[
        int, typer.Option(help="Draws of weights; each is combined with as many draws of the batch.", min=1)
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(help="With --all: number of classes, a uniform sample.", min=1)
    ] = None,
    crossed: Annotated[
        int | None,
        typer.Option(help="With --all: number of classes that get all draws; the others get one.", min=0),
    ] = None,
    share: Annotated[
        str, typer.Option(help="With --all: K/N, to score the K-th of N parts, as in 1/2 and 2/2.")
    ] = "1/1",
    out: Annotated[Path, typer.Option(help="With --all: folder of the scores.")] = Path("scores"),
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder of CIFAR-10 files.")] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Compute zero-cost proxies of cells on the benchmark's full network; kappa and regions on TE-NAS's small ones.

    The two numbers before a score are the draw of weights and the draw of the batch. A score that is not finite ranks last,
    and the reason stands beside it. With --all, the scores are written to files, and flops, params and l2_norm are
    computed for every cell of the classes.

    Examples:

      nasgauge score cells "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|" -p params,naswot

      nasgauge score cells --all --images cifar10 --draws 2 --crossed 300
    """
    import torch

    from nasgauge.data.images import open_images
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.registry import proxies
    from nasgauge.harness.proxies.score_files import Recipe, UnfitScores, gather, not_finite, read
    from nasgauge.harness.proxies.scores import Scorer, classes, members, score_cells
    from nasgauge.spaces.cells import Cell
    from nasgauge.spaces.nb201 import NB201

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    part, parts = _share(share)
    torch.set_num_threads(1)  # the kernels are too small to profit from threads
    named = proxies(names.split(",") if names else ())
    opened, place = open_images(images), open_device(device)
    recipe = Recipe(images=images, images_md5=opened.md5() if every else "", draws=draws)
    if every:
        if any(out.rglob("part-*.parquet")) and not (resume or parts > 1):
            raise UnfitScores(f"{out} already holds scores; add --resume to continue, or give another folder")
        firsts = classes()[:count]
        for folder, needs_path, ranks in (
            ("classes", True, firsts),
            ("cells", False, sorted(rank for first in firsts for rank in members()[first])),
        ):
            some = {name: proxy for name, proxy in named.items() if proxy.needs_path is needs_path}
            if not some:
                continue
            for done, total in score_cells(
                Scorer(recipe, opened, place, some),
                out / folder,
                ranks,
                crossed=len(ranks) if crossed is None else crossed,
                share=(part - 1, parts),
            ):
                console.err().print(f"{done} of {total} {folder}")
        scored = gather(out, out / "scores.parquet")
        for (proxy, reason), ranks in not_finite(read(out / "scores.parquet")[1]).items():
            example = NB201()[ranks[0]]
            console.err().print(
                f"{proxy}: {len(ranks)} cells rank last: {reason}; {example} is one", markup=False
            )
        console.out().print(f"{scored} cells in {out / 'scores.parquet'}")
        return
    scorer = Scorer(recipe, opened, place, named)
    for cell in chosen:
        console.out().print(str(cell), markup=False)
        for score in scorer.score(cell):
            text = f"{score.value:.6g}"
            if score.proxy in _IN_MILLIONS:
                text = f"{score.value / 1e6:.{_IN_MILLIONS[score.proxy]}f} M"
            if score.reason:
                text += f": {score.reason}"
            draw = f"{score.weights},{score.batch}"
            console.out().print(f"  {score.proxy:11} {draw} {text}  ({score.seconds:.2f} s)", markup=False)


_IN_MILLIONS: Final = {"flops": 2, "params": 6}
"""Proxies printed in millions, as the benchmark does, and their decimals."""


def _share(text: str) -> tuple[int, int]:
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise typer.BadParameter(f"--share {text!r} is not understood; give K/N with 1 <= K <= N, as in 1/2")
    return part, parts


def tenas(
    preset: Annotated[
        str, typer.Option(help="paper-settings, or released for the settings of the public code.")
    ] = "paper-settings",
    seeds: Annotated[int, typer.Option(help="Number of searches.", min=1)] = 1,
    first: Annotated[int, typer.Option(help="Random seed of the first search.", min=0)] = 0,
    images: Annotated[
        str, typer.Option(help="sample, cifar10, a folder of CIFAR-10 files, or noise.")
    ] = "sample",
    workers: Annotated[int, typer.Option(help="Threads; each evaluates one candidate at a time.", min=1)] = 1,
    batch: Annotated[
        int | None,
        typer.Option(help="Images per kernel; by default that of the preset, 14 for darts.", min=2),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Repeats of every measurement; by default those of the preset.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    space: Annotated[str, typer.Option(help="Search space: nb201 or darts.")] = "nb201",
    table: Annotated[
        str | None, typer.Option(help="Table to look up the accuracy of the final cells in.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Add each search to this JSON file; seeds that it holds are skipped.")
    ] = None,
) -> None:
    """Run TE-NAS searches: print the operations removed in each round, and the final cell or genotype of each seed."""
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
        raise typer.BadParameter("--table and --out do not apply to the space darts; leave them out")
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
    """Make all threads share one malloc arena of glibc. Two threads then need 1.43 GB instead of 1.65 GB."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def agreement(
    table: Annotated[
        str, typer.Option("--table", "-t", help="Name of a table, or a .npz file.")
    ] = DEFAULT_TABLE,
    scores: Annotated[
        Path | None, typer.Option(help="File of scores; those of the package by default.")
    ] = None,
    over: Annotated[
        Literal["classes", "cells"],
        typer.Option(help="Unit of the statistics: a structural class, or each of its cells."),
    ] = "classes",
    out: Annotated[Path | None, typer.Option(help="CSV file for the correlations.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.", min=0)] = 0,
) -> None:
    """Kendall's tau of each proxy with test accuracy, with a 95 % bootstrap interval over structural classes."""
    import numpy as np
    from rich.table import Table

    from nasgauge.data.atomic import replacing
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.score_files import read, shipped
    from nasgauge.studies.agreement import agreements

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
