"""The command `nasgauge score tenas`: TE-NAS searches."""

import ctypes
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE
from nasgauge.spaces.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nasgauge.data.tables import AccuracyTable
    from nasgauge.harness.proxies.judge import Judge
    from nasgauge.searchers.pruning import Round
    from nasgauge.searchers.tenas import SearchFile
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
    seeds: Annotated[int, options.seeds_option("Searches by each rule, a seed each.")] = 1,
    first_seed: options.FirstSeed = 0,
    images: Annotated[str, typer.Option(help=options.IMAGES + "; or noise.")] = "sample",
    workers: Annotated[
        int, options.workers_option("Threads of a search, one candidate each; -1: one for each core.")
    ] = -1,
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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            show_default="results/tenas or results/tenas-darts",
            help="Folder of searches.json. Run again to resume; seeds and rules may be added.",
        ),
    ] = None,
) -> None:
    """Run TE-NAS searches: print the operations removed in each round, and the final cell or genotype of each seed.

    Each search is added to searches.json in the folder --out; seeds that it holds are skipped, and an interrupted search
    goes on after its last round. Accuracies are those of the table.

    Examples:

      nasgauge score tenas --seeds 3

      nasgauge bench --searchers random,tenas:searches=results/tenas/searches.json --seeds 3
    """
    import os
    from dataclasses import replace
    from functools import partial

    import torch

    from nasgauge.data.images import open_images
    from nasgauge.data.sources import open_table
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.judge import DARTS_NETWORKS, NB201_NETWORKS, Judge, Known
    from nasgauge.harness.records.lock import locked
    from nasgauge.harness.records.provenance import processor
    from nasgauge.searchers.pruning import PRESETS, RULES, UnknownRule
    from nasgauge.searchers.pruning_darts import DARTS_BATCH
    from nasgauge.searchers.tenas import SearchFile

    darts = space == "darts"
    if preset not in PRESETS or space not in ("nb201", "darts"):
        raise typer.BadParameter(f"presets are {', '.join(PRESETS)}; spaces are nb201, darts")
    rules = RULES if rule == "all" else tuple(rule.split(","))
    if unknown := set(rules) - set(RULES):
        raise UnknownRule(f"unknown rule {', '.join(sorted(unknown))}; choose from {', '.join(RULES)}, all")
    if darts and (table != DEFAULT_TABLE or rule != "rank-sum"):
        raise typer.BadParameter("--table and --rule do not apply to the space darts; leave them out")
    figures = None if darts else open_table(table)
    workers = workers if workers > 0 else os.cpu_count() or 1
    file = (out or options.RESULTS / ("tenas-darts" if darts else "tenas")) / "searches.json"
    pixels = None if images == "noise" else open_images(images)
    usual = PRESETS[preset]
    settings = replace(
        usual,
        batch=batch or (DARTS_BATCH if darts else usual.batch),
        repeats=measurements or usual.repeats,
    )
    place = open_device(device)
    if workers > 1:
        _share_one_arena()
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
    with locked(file.parent):
        searches = _Searches(file, kept.resumed(file), preset, figures)
        judge_of = partial(
            Judge,
            settings,
            images=pixels,
            workers=workers,
            device=place,
            space=DARTS_NETWORKS if darts else NB201_NETWORKS,
        )
        for seed in range(first_seed, first_seed + seeds):
            known: Known = {}  # what the rules of this seed share
            for each in rules:
                if seed in searches.kept.by_seed(preset, each):
                    console.err().print(f"seed {seed}, {each}, is in {file}", markup=False)
                else:
                    console.err().print(f"seed {seed}" + (f", {each}" if rules != ("rank-sum",) else ""))
                    searches.add(judge_of(seed, rule=each, known=known))
        if figures is not None and seeds > 1:
            _accuracies(searches, rules, range(first_seed, first_seed + seeds), figures)
    console.out().print(f"the searches are in {file}", markup=False)


class _Searches:
    """The file of searches, to which every round is added when it has ended."""

    def __init__(self, file: Path, kept: "SearchFile", preset: str, figures: "AccuracyTable | None") -> None:
        self.file = file
        self.kept = kept
        self.preset = preset
        self.figures = figures

    def add(self, judge: "Judge") -> None:
        """Search with this judge, print and store the result; an interrupted search goes on."""
        import time

        from nasgauge.searchers.pruning import cell_of, prune
        from nasgauge.searchers.pruning_darts import genotype_of, prune_darts
        from nasgauge.searchers.tenas import StoredSearch

        clock = time.perf_counter()
        done = self.kept.rounds(self.preset, judge.rule, judge.seed)
        judge.rounds = len(done)
        if done:
            console.err().print(f"  goes on after round {len(done)}")
        final: Cell | Genotype
        with self._shown(judge) as show:
            if self.figures is None:
                search = prune_darts(judge, done=done, on_round=show)
                final = genotype_of(search.choices)
                shown = [str(final), _size(final)]
            else:
                search = prune(judge, done=done, rule=judge.rule, on_round=show, clock=judge.clock)
                final = cell_of(search.choices)
                figures = self.figures
                shown = [console.named(final)]
                shown += [f"{d} {figures.value(final, view.report):.2f}" for d, view in figures.views.items()]
        shown.append(f"({search.seconds:.0f} CPU s, {time.perf_counter() - clock:.0f} s)")
        console.out().print("  ".join(shown), markup=False)
        self._write(
            self.kept.with_search(StoredSearch.of(self.preset, judge.seed, search, final, judge.rule))
        )

    @contextmanager
    def _shown(self, judge: "Judge") -> "Iterator[Callable[[Round], None]]":
        """A bar of the kernels of each round; a function that prints and stores a round."""
        with console.progress() as progress:
            bar = progress.add_task("kernels", total=None)
            judge.on_kernel = lambda computed, of: progress.update(bar, completed=computed, total=of)

            def show(step: "Round") -> None:
                gone = ", ".join(f"{removal.edge}:{removal.operation}" for removal in step.removed)
                console.err().print(
                    f"  kappa {step.kappa:.1f}, regions {step.regions:.0f}, removes {gone} ({step.seconds:.1f} CPU s)"
                )
                progress.reset(bar, total=None)
                self._write(self.kept.with_round(self.preset, judge.rule, judge.seed, step))

            yield show
            progress.remove_task(bar)

    def _write(self, kept: "SearchFile") -> None:
        from nasgauge.data.atomic import replacing

        self.kept = kept
        with replacing(self.file) as opened:
            opened.write(kept.to_json().encode())


def _accuracies(
    searches: _Searches, rules: "Sequence[str]", seeds: "Sequence[int]", table: "AccuracyTable"
) -> None:
    """Print mean and sample standard deviation of accuracy and of CPU seconds over the searches of each rule."""
    import numpy as np

    rows = []
    for rule in rules:
        found = [searches.kept.by_seed(searches.preset, rule)[seed] for seed in seeds]
        cells = [Cell.parse(search.cell) for search in found]
        values = [[table.value(cell, view.report) for cell in cells] for view in table.views.values()]
        seconds = [search.seconds for search in found]
        spread = [f"{np.mean(each):.2f} ± {np.std(each, ddof=1):.2f}" for each in [*values, seconds]]
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
