"""The commands `nasgauge score cells` and `tenas`: zero-cost proxies and TE-NAS searches."""

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE
from nasgauge.spaces.cells import Cell

if TYPE_CHECKING:
    from nasgauge.data.tables import AccuracyTable
    from nasgauge.spaces.block_genotypes import Genotype

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
    out: options.Out = options.RESULTS / "scores",
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder of CIFAR-10 files.")] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    workers: options.Workers = 1,
    engine: options.Engine = "local",
    address: options.Address = "",
    storage: options.Storage = "",
) -> None:
    """Compute zero-cost proxies of cells on the benchmark's full network; kappa and regions on TE-NAS's small ones.

    The two numbers before a score are the draw of weights and the draw of the batch. A score that is not finite ranks last,
    and the reason stands beside it. With --all, the scores are written to --out, and flops, params and l2_norm are
    computed for every cell of the classes.

    Examples:

      nasgauge score cells "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|" -p params,naswot

      nasgauge score cells --all --images cifar10 --draws 2 --crossed 300
    """
    import torch

    from nasgauge.data.images import open_images
    from nasgauge.data.storage import Store
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.registry import proxies
    from nasgauge.harness.proxies.score_files import Recipe, UnfitScores, gather, not_finite, read
    from nasgauge.harness.proxies.scores import Scorer, classes, members, score_cells
    from nasgauge.spaces.nb201 import NB201

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    only = {"--resume": resume, "--count": count, "--crossed": crossed is not None, "--share": share != "1/1"}
    only |= {
        "--workers": workers != 1,
        "--engine": engine != "local",
        "--address": address,
        "--storage": storage,
    }
    if unused := [option for option, given in only.items() if given and not every]:
        raise console.BadOption(f"{', '.join(unused)} does nothing without --all; leave it out, or add --all")
    part, parts = _share(share)
    torch.set_num_threads(1)  # the kernels are too small to profit from threads
    named = proxies(names.split(",") if names else ())
    opened, place = open_images(images), open_device(device)
    recipe = Recipe(images=images, images_md5=opened.md5() if every else "", draws=draws)
    if every:
        where, store = options.engine_of(engine, address, workers), Store.of(out, storage)
        store.check()
        store.bring()
        store.mark()
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
                engine=where,
                store=store,
            ):
                console.err().print(f"{done} of {total} {folder}")
        scored = gather(out, out / "scores.parquet")
        store.keep(out / "scores.parquet")
        for (proxy, reason), ranks in not_finite(read(out / "scores.parquet")[1]).items():
            example = NB201()[ranks[0]]
            console.err().print(
                f"{proxy}: {len(ranks)} cells rank last: {reason}; {example} is one", markup=False
            )
        console.out().print(f"{scored} cells in {out / 'scores.parquet'}")
        return
    scorer = Scorer(recipe, opened, place, named)
    for cell in chosen:
        console.out().print(console.named(cell), markup=False)
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
        str,
        typer.Option(
            help="The algorithm of the public code with the paper's numbers (released-paper-settings), or as it is (released)."
        ),
    ] = "released-paper-settings",
    rule: Annotated[
        str,
        typer.Option(
            help="How the two measures order the removals: rank-sum (TE-NAS), kappa, regions, min-rank, max-rank, raw-sum, "
            "absolute; several separated by commas, or all."
        ),
    ] = "rank-sum",
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

    Each search is added to searches.json in the folder --out; seeds that it holds are skipped. Accuracies are those of
    the table. Workers are threads; each evaluates one candidate at a time.

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
    from nasgauge.harness.proxies.judge import DARTS_NETWORKS, NB201_NETWORKS, Judge, Known
    from nasgauge.harness.records.provenance import processor
    from nasgauge.searchers.pruning import PRESETS, RULES, Round, UnknownRule, cell_of, prune
    from nasgauge.searchers.pruning_darts import DARTS_BATCH, genotype_of, prune_darts
    from nasgauge.searchers.tenas import SearchFile, StoredSearch

    if preset not in PRESETS or space not in ("nb201", "darts"):
        raise typer.BadParameter(f"presets are {', '.join(PRESETS)}; spaces are nb201, darts")
    rules = RULES if rule == "all" else tuple(rule.split(","))
    if unknown := set(rules) - set(RULES):
        raise UnknownRule(f"unknown rule {', '.join(sorted(unknown))}; choose from {', '.join(RULES)}, all")
    if space == "darts" and (table != DEFAULT_TABLE or rule != "rank-sum"):
        raise typer.BadParameter("--table and --rule do not apply to the space darts; leave them out")
    figures = None if space == "darts" else open_table(table)
    workers = workers if workers > 0 else os.cpu_count() or 1
    file = (out or options.RESULTS / ("tenas" if space == "nb201" else "tenas-darts")) / "searches.json"
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
    changed += " --space darts" if darts else ""
    kept = SearchFile(
        space="darts" if darts else "nb201",
        command=f"nasgauge score tenas --preset PRESET --first-seed SEED --images {images}{changed}",
        images=images,
        image_count=0 if pixels is None else len(pixels),
        image_md5="" if pixels is None else pixels.md5(),
        machine=f"{processor()}, {os.cpu_count()} cores" + ("" if place.type == "cpu" else f", {place}"),
        workers=workers,
        torch=torch.__version__,
        settings={preset: settings},
    )
    kept = kept.resumed(file)
    ended: dict[str, list[Cell]] = {}
    for seed in range(first_seed, first_seed + seeds):
        known: Known = {}  # what the rules of this seed share
        for rule in rules:
            stored = kept.by_seed(preset, rule).get(seed)
            if stored is not None:
                console.err().print(f"seed {seed}, {rule}, is in {file}", markup=False)
                if not darts:
                    ended.setdefault(rule, []).append(Cell.parse(stored.cell))
                continue
            clock = time.perf_counter()
            console.err().print(f"seed {seed}" + (f", {rule}" if rules != ("rank-sum",) else ""))
            judge = Judge(
                settings,
                seed,
                images=pixels,
                workers=workers,
                device=place,
                space=DARTS_NETWORKS if darts else NB201_NETWORKS,
                rule=rule,
                known=known,
            )
            final: Cell | Genotype
            if darts:
                search = prune_darts(judge, on_round=show)
                final = genotype_of(search.choices)
                shown = [str(final), _size(final)]
            else:
                search = prune(judge, rule=rule, on_round=show, clock=judge.clock)
                final = cell_of(search.choices)
                ended.setdefault(rule, []).append(final)
                shown = [console.named(final)]
                if figures is not None:
                    shown += [
                        f"{d} {figures.value(final, view.report):.2f}" for d, view in figures.views.items()
                    ]
            shown.append(f"({search.seconds:.0f} CPU s, {time.perf_counter() - clock:.0f} s)")
            console.out().print("  ".join(shown), markup=False)
            kept = kept.with_search(StoredSearch.of(preset, seed, search, final, rule))
            with replacing(file) as opened:
                opened.write(kept.to_json().encode())
    if figures is not None and seeds > 1:
        spent = {
            rule: [kept.by_seed(preset, rule)[seed].seconds for seed in range(first_seed, first_seed + seeds)]
            for rule in ended
        }
        _accuracies(ended, spent, figures)
    console.out().print(f"the searches are in {file}", markup=False)


def _accuracies(
    ended: dict[str, list[Cell]], seconds: dict[str, list[float]], table: "AccuracyTable"
) -> None:
    """Print mean and sample standard deviation of accuracy and of CPU seconds over the searches of each rule."""
    import numpy as np

    rows = []
    for rule, cells in ended.items():
        values = [[table.value(cell, view.report) for cell in cells] for view in table.views.values()]
        spread = [f"{np.mean(each):.2f} ± {np.std(each, ddof=1):.2f}" for each in [*values, seconds[rule]]]
        rows.append((rule, str(len(cells)), str(len(set(cells))), *spread))
    console.table(
        "Test accuracy in percent and CPU seconds of a search, mean ± standard deviation",
        ("rule", "searches", "distinct cells", *table.views, "CPU s"),
        rows,
        left=("rule",),
        optional=("distinct cells", "searches"),
    )


def _size(genotype: "Genotype") -> str:
    """Parameters of the final CIFAR-10 network, beside those of the published genotype."""
    from dataclasses import replace

    import torch

    from nasgauge.harness.network import network_of, parameters
    from nasgauge.harness.records.recipes import RECIPES
    from nasgauge.harness.training.units import skeleton_of
    from nasgauge.spaces.architectures import PUBLISHED

    skeleton = replace(skeleton_of(RECIPES["tenas-cifar"], 10, 32), auxiliary=False)
    with torch.device("meta"):
        ours, theirs = (
            parameters(network_of(each, skeleton)) for each in (genotype, PUBLISHED["tenas-cifar10"])
        )
    return f"{ours:,} parameters with tenas-cifar, the published genotype {theirs:,}"


def _share_one_arena() -> None:
    """Make all threads share one malloc arena of glibc. Two threads then need 1.43 GB instead of 1.65 GB."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
