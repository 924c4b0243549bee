"""Proxy scores of many cells by a fixed recipe, computed in resumable blocks."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasgauge.data.images import ImageSet, augmented, crops
from nasgauge.harness.network import Choices, Skeleton, build, choices_of
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.judge import KAPPA, REGIONS
from nasgauge.harness.proxies.registry import Proxy, proxies
from nasgauge.harness.proxies.score_files import Recipe, Score, UnfitScores, read, write
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

NO_PATH: Final = "no path from input to output"
NOT_FINITE: Final = "not a finite number"

_FROM_WEIGHTS: Final = (
    "flops",
    "l2_norm",
    "params",
)  # defined even for cells without a path from input to output


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


class Scorer:
    """Scores cells with a recipe on one device, without using PyTorch's global generator.

    `named` maps names to proxies; all installed ones by default.

    >>> from nasgauge.data.images import made_up
    >>> recipe = Recipe(kappa_batch=2, kappa_repeats=1, region_samples=50, region_repeats=1, channels=2, batch=4)
    >>> scorer = Scorer(recipe, made_up(20, np.random.default_rng(0)))
    >>> scores = scorer.score(Cell(("skip_connect",) * 6))
    >>> len(scores), scores[0].proxy
    (15, 'kappa')
    """

    def __init__(
        self,
        recipe: Recipe,
        images: ImageSet,
        device: torch.device | str = "cpu",
        named: Mapping[str, Proxy] | None = None,
    ) -> None:
        self.named = proxies() if named is None else named
        self.recipe = recipe
        self.device = torch.device(device)
        self._workspace = Workspace()
        self._kappa_images = [
            augmented(images, recipe.kappa_batch, self._generator(0, r))[0]
            for r in range(recipe.kappa_repeats)
        ]
        self._pieces = [
            crops(images, recipe.region_samples, self._generator(1, r)) for r in range(recipe.region_repeats)
        ]
        self._batch = augmented(images, recipe.batch, self._generator(2, 0))

    def score(self, cell: Cell) -> list[Score]:
        """The scores of a cell by every proxy in `PROXIES`, with all repeats."""
        scores: list[Score] = []
        recipe, choices = self.recipe, choices_of(cell)
        connected = NB201().is_connected(cell)

        def add(proxy: str, repeat: int, measure: Callable[[], float]) -> None:
            start = time.perf_counter()
            value = measure() if connected or not self.named[proxy].needs_path else math.nan
            seconds = time.perf_counter() - start
            reason = "" if math.isfinite(value) else NOT_FINITE if connected else NO_PATH
            scores.append(Score(cell.rank, proxy, repeat, math.nan if reason else value, reason, seconds))

        for repeat, images in enumerate(self._kappa_images if "kappa" in self.named else ()):
            add("kappa", repeat, lambda r=repeat, x=images: self._kappa(choices, r, x))  # type: ignore[misc] # defaults bind the loop's values
        for repeat, pieces in enumerate(self._pieces if "regions" in self.named else ()):
            add("regions", repeat, lambda r=repeat, x=pieces: self._regions(choices, r, x))  # type: ignore[misc] # likewise
        skeleton = Skeleton(channels=recipe.channels, cells=1)
        network = build(
            choices, skeleton, self._generator(5), initialisation=recipe.initialisation, device=self.device
        )
        images, labels = self._batch
        for name, proxy in self.named.items():
            if name not in ("kappa", "regions"):
                batch = Batch(images.to(self.device), labels.to(self.device), self._generator(6))
                add(name, 0, lambda p=proxy, b=batch: p(network, b))  # type: ignore[misc] # likewise
        return scores

    def _kappa(self, choices: Choices, repeat: int, images: Tensor) -> float:
        network = build(
            choices,
            KAPPA,
            self._generator(3, repeat),
            initialisation=self.recipe.kappa_initialisation,
            device=self.device,
        )
        return -kappa(network, images.to(self.device), self._workspace)

    def _regions(self, choices: Choices, repeat: int, pieces: Tensor) -> float:
        network = build(
            choices,
            REGIONS,
            self._generator(4, repeat),
            initialisation=self.recipe.region_initialisation,
            device=self.device,
        )
        return float(regions(network, pieces.to(self.device)))

    def _generator(self, *role: int) -> torch.Generator:
        entropy = np.random.SeedSequence([self.recipe.seed, *role]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(entropy[0] >> 1))


def score_classes(
    scorer: Scorer, folder: Path, count: int | None = None, *, in_file: int = 25
) -> Iterator[tuple[int, int]]:
    """Score the first `count` structural classes of `classes`, or all of them, and write the scores to `folder`.

    Writes one file per `in_file` classes and skips files that exist. After each file, yields the number of classes
    done and the total.

    Raises UnfitScores if the folder holds scores of another recipe.
    """
    ranks = classes()[:count]
    for start in range(0, len(ranks), in_file):
        part = folder / f"part-{start:05d}.parquet"
        block = ranks[start : start + in_file]
        if not (part.is_file() and _covers(part, scorer.recipe, block)):
            space = NB201()
            write(part, [score for rank in block for score in scorer.score(space[rank])], scorer.recipe)
        yield min(start + in_file, len(ranks)), len(ranks)


def mean_by_cell(scores: Sequence[Score], proxy: str) -> dict[int, float]:
    """Mean over repeats of one proxy, by the rank of the cell; the geometric mean for `kappa`.

    The mean is NaN where any repeat is NaN.

    >>> mean_by_cell([Score(7, "kappa", 0, -1.0, "", 0.1), Score(7, "kappa", 1, -4.0, "", 0.1)], "kappa")
    {7: -2.0}
    """
    values: dict[int, list[float]] = {}
    for score in scores:
        if score.proxy == proxy:
            values.setdefault(score.rank, []).append(score.value)
    if proxy == "kappa":
        return {rank: -float(np.exp(np.mean(np.log(np.negative(kept))))) for rank, kept in values.items()}
    return {rank: float(np.mean(kept)) for rank, kept in values.items()}


def nan_last(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace NaN by minus infinity, so that undefined scores rank last and are tied.

    >>> nan_last(np.array([3.0, np.nan, -1.0])).tolist()
    [3.0, -inf, -1.0]
    """
    return np.where(np.isnan(values), -np.inf, values)


def _covers(part: Path, recipe: Recipe, ranks: tuple[int, ...]) -> bool:
    found, scores = read(part)
    if found != recipe:
        raise UnfitScores(f"{part} was made by another recipe; give another folder, or move this one away")
    return set(ranks) <= {score.rank for score in scores}
