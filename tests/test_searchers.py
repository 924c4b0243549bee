"""The contract of every searcher in the registry, and what each algorithm is known to do."""

import json
import math
import os
import subprocess
import sys
import textwrap
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.conformance.landscape import Landscape
from nasgauge.data.plugins import built_in
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import InvalidOption, Spec, UnknownSearcher
from nasgauge.searchers.evolution import Evolution
from nasgauge.searchers.reinforce import Reinforce
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

SEARCHERS = built_in("nasgauge.searchers")
space = NB201()
BEST = Cell(("nor_conv_3x3",) * 6)


def trace(spec: str, table: AccuracyTable, seed: int, queries: int = 60) -> list[str]:
    found = Spec.parse(spec)
    searcher = found.make(space, np.random.default_rng(seed))
    oracle = Landscape() if found.asks_epochs else Table(table, "toy")
    return [str(step.cell) for step in run(searcher, oracle, Budget(queries))]


@pytest.mark.parametrize("name", SEARCHERS)
def test_same_seed_same_search(name: str, toy: AccuracyTable) -> None:
    assert trace(name, toy, seed=0) == trace(name, toy, seed=0) != trace(name, toy, seed=1)


def test_the_hash_seed_of_the_process_does_not_matter(toy: AccuracyTable, toy_file: Path) -> None:
    script = textwrap.dedent(f"""
        import json
        from nasgauge.data.tables import AccuracyTable
        from pathlib import Path
        from test_searchers import SEARCHERS, trace
        table = AccuracyTable.load(Path({str(toy_file)!r}))
        print(json.dumps({{name: trace(name, table, seed=3) for name in sorted(SEARCHERS)}}))
    """)
    tests = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(tests)}
    printed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=tests
    )
    assert json.loads(printed.stdout) == {name: trace(name, toy, seed=3) for name in SEARCHERS}


@pytest.mark.parametrize("name", ["evolution", "local", "reinforce"])  # those with surrogates: test_pnas.py
def test_the_learners_beat_random_on_the_toy(name: str, toy: AccuracyTable) -> None:
    """Of 300 queries over 20 seeds; the best cell has six convolutions."""

    def reached(spec: str) -> float:
        return float(
            np.mean(
                [
                    max(Cell.parse(c).ops.count("nor_conv_3x3") for c in trace(spec, toy, s, 300))
                    for s in range(20)
                ]
            )
        )

    spec = "reinforce:learning_rate=0.1" if name == "reinforce" else name
    assert reached(spec) > reached("random") + 0.5


def test_random_search_is_the_space_s_own_drawing(toy: AccuracyTable) -> None:
    rng = np.random.default_rng(5)
    assert trace("random", toy, seed=5) == [str(space.sample(rng)) for _ in range(60)]


def test_evolution_mutates_the_winner_of_a_tournament_and_the_oldest_dies(toy: AccuracyTable) -> None:
    """With a tournament as large as can be, the parent is nearly always the best of those alive."""
    cells = [
        Cell.parse(text) for text in trace("evolution:population=8:tournament=60", toy, seed=2, queries=80)
    ]
    alive: deque[Cell] = deque(cells[:8], maxlen=8)
    for child in cells[8:]:
        best = max(cell.ops.count("nor_conv_3x3") for cell in alive)
        parents = [cell for cell in alive if cell.ops.count("nor_conv_3x3") == best]
        assert any(child in space.neighbours(parent) for parent in parents)
        alive.append(child)


def test_steepest_local_search_climbs_to_the_best_neighbour_and_starts_anew(toy: AccuracyTable) -> None:
    cells = [Cell.parse(text) for text in trace("local:climb=steepest", toy, seed=0, queries=25 * 8)]
    centre, place, climbed = cells[0], 1, 0
    while centre != BEST:
        batch = cells[place : place + 24]
        assert batch == list(space.neighbours(centre))
        centre, place, climbed = (
            max(batch, key=lambda c: c.ops.count("nor_conv_3x3")),
            place + 24,
            climbed + 1,
        )
    assert climbed == 6 - cells[0].ops.count("nor_conv_3x3")
    assert cells[place : place + 24] == list(space.neighbours(BEST))
    assert cells[place + 24] not in space.neighbours(BEST)


def test_first_improvement_goes_to_the_first_better_neighbour(toy: AccuracyTable) -> None:
    cells = [Cell.parse(text) for text in trace("local", toy, seed=0, queries=40)]
    centre = cells[0]
    for cell in cells[1:]:
        if centre == BEST:
            break
        assert cell in space.neighbours(centre)
        if cell.ops.count("nor_conv_3x3") > centre.ops.count("nor_conv_3x3"):
            centre = cell


def test_reinforce_settles_on_what_is_rewarded(toy: AccuracyTable) -> None:
    cells = [Cell.parse(text) for text in trace("reinforce:learning_rate=0.1", toy, seed=0, queries=500)]
    convolutions = [cell.ops.count("nor_conv_3x3") for cell in cells]
    assert np.mean(convolutions[:20]) < 2.5
    assert np.mean(convolutions[-50:]) > 5


def test_reinforce_rewards_each_cell_of_a_batch_for_its_own_operations() -> None:
    searcher = Reinforce(space, np.random.default_rng(0), learning_rate=1.0)
    cells = [searcher.ask()[0] for _ in range(3)]
    for cell, accuracy in zip(cells, (50.0, 90.0, 90.0), strict=True):
        searcher.tell(cell, accuracy)
        if accuracy > 50:
            break
    drawn = [searcher.ask()[0] for _ in range(40)]
    assert sum(map(shared, drawn, [cells[1]] * 40)) > sum(map(shared, drawn, [cells[2]] * 40))


def test_evolution_never_mutates_a_cell_that_failed_to_train_before_one_that_did_not() -> None:
    searcher = Evolution(space, np.random.default_rng(0), population=2, tournament=60)
    failed, good = space[7], space[4000]
    searcher.tell(failed, math.nan)
    searcher.tell(good, 50.0)
    assert all(searcher.ask()[0] in space.neighbours(good) for _ in range(20))


def shared(one: Cell, other: Cell) -> int:
    """The number of edges with the same operation."""
    return sum(a == b for a, b in zip(one.ops, other.ops, strict=True))


@pytest.mark.parametrize("text", ["local", "local:climb=steepest", "reinforce", "bananas"])
def test_a_training_that_failed_is_the_worst_and_not_the_best(text: str) -> None:
    """Half of the cells give no accuracy (NaN), and the search goes on to good ones."""
    searcher = Spec.parse(text).make(space, np.random.default_rng(0))
    found, waiting = [], deque[Any]()
    for _ in range(250):
        waiting = waiting or deque(searcher.ask())
        asked = waiting.popleft()
        cell = getattr(asked, "cell", asked)
        failed = cell.rank % 2 == 1
        searcher.tell(asked, math.nan if failed else Landscape().evaluate(cell).validation)
        found.append(cell)
    values = [Landscape().evaluate(cell).validation for cell in found if cell.rank % 2 == 0]
    every = [Landscape().evaluate(cell).validation for cell in space if cell.rank % 2 == 0]
    assert max(values) > np.quantile(every, 0.99)
    assert len(set(found)) > 60


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("evolutoin", UnknownSearcher, "did you mean evolution"),
        ("", UnknownSearcher, "choose from asha, bananas"),
        ("evolution:pop=3", InvalidOption, "its options: population, tournament"),
        ("evolution:population=many", InvalidOption, "population takes a value like 10, not 'many'"),
        ("evolution:population=0", InvalidOption, "must be at least 1"),
        ("local:climb=down", InvalidOption, "climb must be one of first, steepest"),
        ("random:x=1", InvalidOption, "its options: none"),
        ("reinforce:momentum=1", InvalidOption, r"momentum in \[0, 1\)"),
    ],
)
def test_a_wrong_name_or_option_is_told(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Spec.parse(text)


@pytest.mark.parametrize("text", ["random", "evolution:population=50", "local:climb=steepest"])
def test_a_spec_s_text_reads_back(text: str) -> None:
    assert str(Spec.parse(text)) == text
