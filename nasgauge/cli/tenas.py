"""The command `nasgauge score tenas`: TE-NAS searches."""

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
