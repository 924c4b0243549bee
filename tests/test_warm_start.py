"""Searches that begin with the cells that a zero-cost proxy ranks highest."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import InvalidOption, Spec
from nasgauge.harness.search.units import generators
from nasgauge.harness.search.warm_start import Scores, WarmStart
from nasgauge.searchers.local_search import LocalSearch
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201, TransNAS

SPACE = NB201()


class ByRank:
    """An oracle whose accuracies follow the number of the cell."""

    def evaluate(self, cell: Cell) -> Evaluation:
        return Evaluation(cell.rank / 200, cell.rank / 200, 12.0, 100.0)


class Listener:
    """Asks for given cells and keeps what it is told."""

    def __init__(self, *batches: list[Cell]) -> None:
        self.batches = list(batches)
        self.told: list[tuple[Cell, float]] = []

    def ask(self) -> list[Cell]:
        return self.batches.pop(0) if self.batches else []

    def tell(self, cell: Cell, accuracy: float) -> None:
        self.told.append((cell, accuracy))


def started(searcher: Listener, *, cells: int = 10, pool: int = 1000) -> WarmStart[Cell]:
    return WarmStart(searcher, SPACE, np.random.default_rng(0), proxy="naswot", cells=cells, pool=pool)


def test_the_first_queries_are_the_best_of_the_pool_by_the_proxy() -> None:
    scores = Scores.of("naswot")
    every = len(scores.ranks_N)
    asked = started(Listener(), cells=5, pool=every).ask()
    best = scores.ranks_N[np.argsort(-scores.values_N, kind="stable")]
    assert {cell.rank for cell in asked} == set(best[:5].tolist())


def test_the_searcher_is_told_in_ascending_order_before_it_asks() -> None:
    searcher = Listener([SPACE[7]], [SPACE[8]])
    steps = list(run(started(searcher, cells=4, pool=300), ByRank(), Budget(20)))
    assert [step.cell for step in steps[4:]] == [SPACE[7], SPACE[8]]
    values = [value for _, value in searcher.told[:4]]
    assert values == sorted(values) == sorted(step.evaluation[0] for step in steps[:4])
    assert [cell for cell, _ in searcher.told[4:]] == [SPACE[7], SPACE[8]]


def test_a_warm_cell_is_answered_once_without_a_query_and_in_order() -> None:
    warm = started(Listener(), cells=2, pool=300).ask()
    batch = [warm[0], SPACE[7], warm[1], warm[1], SPACE[8]]
    searcher = Listener([warm[0]], batch)
    steps = list(run(started(searcher, cells=2, pool=300), ByRank(), Budget(20)))
    assert [step.cell for step in steps] == [*warm, warm[0], SPACE[7], warm[1], SPACE[8]]
    assert [cell for cell, _ in searcher.told[2:]] == [warm[0], *batch]


@pytest.mark.parametrize("name", ["pnas", "smbo", "bananas", "npenas:epochs=2"])
def test_a_warm_cell_that_is_asked_for_counts_once_in_the_fit(name: str) -> None:
    rng, _ = generators(0)
    searcher = Spec.parse(f"{name}:warm=flops:warm_cells=60:warm_pool=60").make(SPACE, rng)
    assert isinstance(searcher, WarmStart)
    warm = searcher.ask()
    for cell in warm:
        searcher.tell(cell, float(cell.rank))
    inner: Any = searcher.searcher
    fit = inner.ranking.cells if hasattr(inner, "ranking") else inner._results
    assert len(fit) == len(warm) == 60
    for cell in warm[:5]:  # as when it asks for them itself
        inner.tell(cell, float(cell.rank))
    assert len(fit) == 60
    inner.tell(warm[0], float(warm[0].rank) + 1)  # another training of the cell
    assert len(fit) == 61


def test_the_seconds_of_the_pool_are_charged_once() -> None:
    scores = Scores.of("naswot")
    every = len(scores.ranks_N)
    searcher = started(Listener([SPACE[7]]), cells=2, pool=every)
    assert searcher.search_seconds == 0
    steps = list(run(searcher, ByRank(), Budget(1e9, "seconds")))
    assert steps[0].evaluation.seconds == pytest.approx(100 + scores.seconds_N.sum())
    assert [step.evaluation.seconds for step in steps[1:]] == [100, 100]


@pytest.mark.parametrize(
    "text",
    [
        "pnas:warm=naswot",
        "evolution:warm=synflow",
        "local:warm=kappa+regions",
        "reinforce:warm=naswot",
        "random:warm=flops",
    ],
)
def test_a_warm_searcher_repeats_itself_and_reads_back(text: str) -> None:
    spec = Spec.parse(f"{text}:warm_pool=60")
    assert Spec.parse(str(spec)) == spec

    def cells(seed: int) -> list[Cell]:
        rng, _ = generators(seed)
        return [step.cell for step in islice(run(spec.make(SPACE, rng), ByRank(), Budget(40)), 40)]

    assert cells(1) == cells(1)
    assert cells(1)[:10] != cells(2)[:10]
    assert len(cells(1)) == 40


def test_a_warm_start_changes_what_a_searcher_does_next() -> None:
    """Local search goes on from the best of the warm cells, and the evolution's parents are warm cells."""
    for text in ("local", "evolution"):
        rng, _ = generators(0)
        steps = list(
            run(Spec.parse(f"{text}:warm=naswot:warm_pool=60").make(SPACE, rng), ByRank(), Budget(11))
        )
        warm, (after,) = steps[:10], steps[10:]
        best = max(warm, key=lambda step: step.evaluation[0]).cell
        parents = [best] if text == "local" else [step.cell for step in warm]
        assert any(after.cell in SPACE.neighbours(parent) for parent in parents)


def test_every_proxy_has_the_same_cells_for_its_pool() -> None:
    """Sizes are known of every cell, other scores of one of each structural class."""
    assert np.array_equal(Scores.of("flops").ranks_N, Scores.of("naswot").ranks_N)
    assert np.array_equal(Scores.of("l2_norm").ranks_N, Scores.of("kappa").ranks_N)


def test_steepest_ascent_goes_on_from_the_best_warm_cell_with_all_its_neighbours() -> None:
    searcher = LocalSearch(SPACE, np.random.default_rng(0), climb="steepest")
    for rank in (3, 5, 9, 400):  # as a warm start tells them, the best last
        searcher.tell(SPACE[rank], float(rank))
    neighbours = searcher.ask()
    assert neighbours == list(SPACE.neighbours(SPACE[400]))
    for cell in neighbours[:-1]:
        searcher.tell(cell, 1.0)
        assert searcher.ask() == neighbours
    searcher.tell(neighbours[-1], 900.0)
    assert searcher.ask() == list(SPACE.neighbours(neighbours[-1]))


def test_a_warm_start_stays_in_a_space_that_has_a_part_of_the_cells() -> None:
    space = TransNAS()
    rng, _ = generators(0)
    searcher = Spec.parse("local:warm=params:warm_cells=20").make(space, rng)
    assert set(searcher.ask()) <= set(space)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local:warm=nonsense", "no shipped scores of a proxy 'nonsense'; choose from .*naswot"),
        ("local:warm_cells=3", "warm_cells needs a proxy, warm=naswot for example"),
        ("local:warm=naswot:warm_cells=0", "warm_cells must be at least 1 and at most warm_pool"),
        ("local:warm=naswot:warm_cells=9999:warm_pool=9999", "the .* cells with scores of naswot, not 9999"),
        ("local:worm=naswot", "its options: climb, and warm, warm_cells, warm_pool"),
    ],
)
def test_an_impossible_warm_start_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Spec.parse(text)


def test_settings_of_a_cold_searcher_are_as_before() -> None:
    assert Spec.parse("evolution").settings() == {"population": 10, "tournament": 10}
