"""Proxy scores of many cells by a fixed recipe, computed in resumable blocks."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import torch

from nasgauge.data.images import ImageSet, augmented, crops
from nasgauge.data.storage import Store
from nasgauge.harness.engines import HERE, Engine, whole
from nasgauge.harness.network import Network, Skeleton, build, choices_of
from nasgauge.harness.network.inputs import exact_float32
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.batch import Batch, Passes, generator_of
from nasgauge.harness.proxies.judge import KAPPA, REGIONS
from nasgauge.harness.proxies.registry import Proxy, proxies
from nasgauge.harness.proxies.score_files import (
    LARGEST,
    Recipe,
    Score,
    UnfitScores,
    difference,
    read,
    write,
)
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.searchers.threads import torch_threads
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.features import live_edges
from nasgauge.spaces.nb201 import NB201

NO_PATH: Final = "no path from input to output"


@cache
def members() -> Mapping[int, tuple[int, ...]]:
    """The structural classes of NAS-Bench-201: lowest rank of a class to the ranks of all its cells.

    >>> len(members()), sum(map(len, members().values()))
    (6466, 15625)
    """
    space = NB201()
    alike: dict[str, list[int]] = {}
    for cell in space:
        alike.setdefault(space.canonical(cell), []).append(cell.rank)
    return MappingProxyType({ranks[0]: tuple(ranks) for ranks in alike.values()})


@cache
def classes() -> tuple[int, ...]:
    """The lowest rank of each structural class, in a fixed random order, so that every prefix is a uniform sample.

    >>> len(classes()), classes() == tuple(sorted(classes()))
    (6466, False)
    """
    order = np.random.default_rng(201).permutation(np.array(list(members())))
    return tuple(order.tolist())


_TENAS: Final = ("kappa", "regions")  # on networks of their own, with repeats


def _crossed(draws: int) -> list[tuple[int, int]]:
    return [(weights, batch) for weights in range(draws) for batch in range(draws)]


class Scorer:
    """Scores cells with a recipe on one device, without using PyTorch's global generator.

    `named` maps names to proxies; all installed ones by default.

    Operations that lie on no path from input to output are left out of the networks, so cells of one structural class
    have the same scores up to the draw of weights; `flops`, `params` and `l2_norm` count them, as the benchmark does.

    >>> from nasgauge.data.images import made_up
    >>> recipe = Recipe(kappa_batch=2, repeats=1, region_samples=50, channels=2, cells=1, batch=4)
    >>> scorer = Scorer(recipe, made_up(20, np.random.default_rng(0)), named=proxies(["kappa", "params"]))
    >>> [(score.proxy, score.weights) for score in scorer.score(Cell(("skip_connect",) * 6))]
    [('kappa', 0), ('params', 0)]
    """

    def __init__(
        self,
        recipe: Recipe,
        images: ImageSet,
        device: torch.device | str = "cpu",
        named: Mapping[str, Proxy] | None = None,
    ) -> None:
        self.named = proxies() if named is None else named
        self.device = exact_float32(torch.device(device))
        self.recipe = replace(recipe, device=self.device.type)
        self._classes = images.classes
        self._workspace = Workspace()
        times = range(max(recipe.repeats, recipe.draws))
        self._kappa_images = [augmented(images, recipe.kappa_batch, self._generator(0, r))[0] for r in times]
        self._pieces = [crops(images, recipe.region_samples, self._generator(1, r)) for r in times]
        self._batches = [
            augmented(images, recipe.batch, self._generator(2, draw)) for draw in range(recipe.draws)
        ]

    def score(self, cell: Cell, draws: int | None = None) -> list[Score]:
        """The scores of a cell by every proxy, for `draws` draws of weights times as many batches; by default all."""
        draws = self.recipe.draws if draws is None else draws
        scores: list[Score] = []
        with torch_threads(1):
            for name, draw in product(_TENAS, self._repeated(draws)):
                if name in self.named:
                    scores.append(self._score(cell, name, draw, partial(self._of_tenas, cell, name, *draw)))
            for weights, batch in _crossed(draws):
                scores += self._on_benchmark(cell, weights, batch)
        return scores

    def due(self, draws: int) -> Iterator[tuple[str, int, int]]:
        """What `score` computes: names of proxies with draws of weights and of the batch."""
        for name in self.named:
            for weights, batch in self._repeated(draws) if name in _TENAS else _crossed(draws):
                yield name, weights, batch

    def _repeated(self, draws: int) -> list[tuple[int, int]]:
        return sorted({*_crossed(draws), *((repeat, repeat) for repeat in range(self.recipe.repeats))})

    def _score(
        self, cell: Cell, name: str, draw: tuple[int, int], measure: Callable[[], tuple[float, float]]
    ) -> Score:
        proxy = self.named[name]
        if not proxy.needs_path or NB201().is_connected(cell):
            value, seconds = measure()
            reason = "" if abs(value) <= LARGEST else proxy.not_finite
        else:
            value, seconds, reason = math.nan, 0.0, NO_PATH
        return Score(cell.rank, name, *draw, value, reason, seconds)

    def _of_tenas(self, cell: Cell, name: str, weights: int, batch: int) -> tuple[float, float]:
        start, recipe = time.process_time(), self.recipe
        if name == "kappa":
            skeleton = replace(KAPPA, classes=self._classes)
            network = self._build(
                live(cell), skeleton, self._generator(3, weights), recipe.kappa_initialisation
            )
            value = -kappa(network, self._kappa_images[batch].to(self.device), self._workspace)
        else:
            network = self._build(
                live(cell), REGIONS, self._generator(4, weights), recipe.region_initialisation
            )
            value = float(regions(network, self._pieces[batch].to(self.device)))
        return value, time.process_time() - start

    def _on_benchmark(self, cell: Cell, weights: int, batch: int) -> Iterator[Score]:
        """The scores by all proxies but TE-NAS's, which share the passes of one network."""
        recipe = self.recipe
        skeleton = Skeleton(channels=recipe.channels, cells=recipe.cells, classes=self._classes)
        images, labels = (each.to(self.device) for each in self._batches[batch])
        images = images.contiguous(memory_format=torch.channels_last)  # about 1.7 times as fast on a CPU

        @cache
        def network_of(which: Cell) -> Network:
            drawn = self._build(which, skeleton, self._generator(5, weights), recipe.initialisation)
            return drawn.to(memory_format=torch.channels_last)

        passes: dict[tuple[int, bool], Passes] = {}

        def measure(name: str, proxy: Proxy) -> tuple[float, float]:
            size, noise = recipe.batch_of(name), self._generator(6, weights, batch)
            network = network_of(live(cell) if proxy.needs_path else cell)
            shared = passes.setdefault((size, proxy.needs_path), Passes(network))
            inputs = Batch(images[:size], labels[:size], noise, shared)
            return shared.measure(partial(proxy, network, inputs))

        for name, proxy in self.named.items():
            if name not in _TENAS:
                yield self._score(cell, name, (weights, batch), partial(measure, name, proxy))

    def _build(self, cell: Cell, skeleton: Skeleton, generator: torch.Generator, how: str) -> Network:
        return build(choices_of(cell), skeleton, generator, initialisation=how, device=self.device)

    def _generator(self, *role: int) -> torch.Generator:
        return generator_of(self.recipe.seed, *role)


def live(cell: Cell) -> Cell:
    """The cell with `none` in place of every operation on no path from input to output.

    >>> live(Cell(("nor_conv_3x3", "none", "none", "skip_connect", "none", "none"))).ops
    ('none', 'none', 'none', 'skip_connect', 'none', 'none')
    """
    kept = live_edges()[cell.rank]
    return Cell(tuple(op if on else "none" for op, on in zip(cell.ops, kept, strict=True)))


def score_cells(
    scorer: Scorer,
    folder: Path,
    ranks: Sequence[int],
    *,
    in_file: int = 25,
    crossed: int = 0,
    share: tuple[int, int] = (0, 1),
    engine: Engine = HERE,
    store: Store | None = None,
) -> Iterator[tuple[int, int]]:
    """Score the cells of these ranks, in this order, and write the scores to `folder`.

    Writes one file per `in_file` cells and skips files that have the scores already, so an interrupted scoring continues, and
    one of other proxies or of more draws adds to them. The first
    `crossed` cells are scored with all draws of the recipe, the others with one. With `share` (k, n), only every n-th
    file is written, beginning with the k-th, so n processes can divide the work. A file is a task of `engine`, whose
    processes write into `folder`, or where `store`, which contains it, keeps its files. After each file, yields the
    number of cells done and the total.

    Raises UnfitScores if the folder holds scores of another recipe, StorageFailed, TaskLost.
    """
    place, processes = share
    folder = folder.absolute()
    store = Store(store.folder.absolute(), store.url) if store else Store(folder)
    starts = range(place * in_file, len(ranks), processes * in_file)
    blocks = [Block(start, tuple(ranks[start : start + in_file])) for start in starts]
    total, done, todo = sum(len(block.ranks) for block in blocks), 0, []
    for block in blocks:
        if not _due(scorer, folder / block.file, block, crossed):
            done += len(block.ranks)
            yield done, total
        else:
            todo.append(block)
    under = folder.relative_to(store.folder)
    score = partial(_score_block, scorer, store, under, crossed)
    with closing(whole(engine.run(score, todo))) as results:
        for block, _ in results:
            done += len(block.ranks)
            yield done, total
    store.bring()


class Block(NamedTuple):
    """The cells of a file, by rank."""

    start: int
    ranks: tuple[int, ...]

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"part-{self.start:05d}.parquet"


def _score_block(scorer: Scorer, store: Store, under: Path, crossed: int, block: Block) -> None:
    with store.elsewhere() as own:
        path = own.folder / under / block.file
        kept = {score[:4]: score for score in read(path)[1]} if path.is_file() else {}
        for rank, draws in _draws(scorer, block, crossed):
            kept |= {score[:4]: score for score in scorer.score(NB201()[rank], draws)}
        write(path, kept.values(), scorer.recipe)
        own.keep(path)


def _draws(scorer: Scorer, block: Block, crossed: int) -> Iterator[tuple[int, int]]:
    """The cells of a block, and with how many draws of weights and of batches each is scored."""
    for place, rank in enumerate(block.ranks, block.start):
        yield rank, scorer.recipe.draws if place < crossed else 1


def _due(scorer: Scorer, part: Path, block: Block, crossed: int) -> bool:
    """Whether scores of a block are missing in its file.

    Raises UnfitScores for a file of another recipe.
    """
    if not part.is_file():
        return True
    recipe, scores = read(part)
    if recipe != scorer.recipe:
        raise UnfitScores(
            f"{difference(part, recipe, 'this scoring', scorer.recipe)}; give another folder, or move this one away"
        )
    there = {score[:4] for score in scores}
    wanted = ((rank, *what) for rank, draws in _draws(scorer, block, crossed) for what in scorer.due(draws))
    return not there.issuperset(wanted)


def by_draw(scores: Iterable[Score], proxy: str) -> dict[tuple[int, int], dict[int, float]]:
    """Scores of one proxy: draw of weights and draw of the batch to the scores by the rank of the cell.

    >>> by_draw([Score(7, "snip", 0, 1, 2.0, "", 0.1)], "snip")
    {(0, 1): {7: 2.0}}
    """
    found: dict[tuple[int, int], dict[int, float]] = {}
    for score in scores:
        if score.proxy == proxy:
            found.setdefault((score.weights, score.batch), {})[score.rank] = score.value
    return found


def mean_by_cell(
    scores: Iterable[Score], proxy: str, draws: Iterable[tuple[int, int]] | None = None
) -> dict[int, float]:
    """Mean over draws of one proxy, by the rank of the cell; the geometric mean for `kappa`.

    `draws` are pairs of a draw of weights and a draw of the batch; by default those that every scored cell has, so that
    all means are of equally many. The mean is NaN where any draw is NaN.

    >>> scores = [Score(7, "kappa", 0, 0, -1.0, "", 0.1), Score(7, "kappa", 1, 1, -4.0, "", 0.1)]
    >>> mean_by_cell(scores, "kappa"), mean_by_cell(scores, "kappa", [(1, 1)])
    ({7: -2.0}, {7: -4.0})
    """
    found = by_draw(scores, proxy)
    every = max(map(len, found.values()), default=0)
    chosen = [draw for draw in found if len(found[draw]) == every] if draws is None else list(draws)
    ranks = set.intersection(*(set(found.get(draw, ())) for draw in chosen)) if chosen else set()
    values = {rank: np.array([found[draw][rank] for draw in chosen]) for rank in sorted(ranks)}
    if proxy == "kappa":
        return {rank: -float(np.exp(np.mean(np.log(-kept)))) for rank, kept in values.items()}
    return {rank: float(np.mean(kept)) for rank, kept in values.items()}
