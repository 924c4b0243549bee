"""The loop: budgets, the cost of repeats, and what a searcher observes."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import STALL, Budget, InvalidBudget, run
from nasgauge.searchers.random_search import RandomSearch
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

space = NB201()


class Priced:
    """An oracle whose queries take 3 epochs and 10 seconds."""

    def evaluate(self, cell: Cell) -> Evaluation:
        return Evaluation(float(cell.rank), 0.0, 3.0, 10.0)


class Listening:
    """Asks for the same cells over and over, and remembers what it observes."""

    def __init__(self, *batch: Cell) -> None:
        self.batch = batch
        self.observed: list[tuple[Cell, float]] = []

    def ask(self) -> tuple[Cell, ...]:
        return self.batch

    def tell(self, cell: Cell, accuracy: float) -> None:
        self.observed.append((cell, accuracy))


def test_a_searcher_observes_validation_alone(toy: AccuracyTable) -> None:
    best = Cell(("nor_conv_3x3",) * 6)
    searcher = Listening(best)
    steps = list(run(searcher, Table(toy, "toy"), Budget(3)))
    assert [step.evaluation.test for step in steps] == [60.0] * 3
    assert searcher.observed == [(best, 6.0)] * 3


@pytest.mark.parametrize(
    ("budget", "steps"), [("7", 7), ("20 epochs", 6), ("21 epochs", 7), ("75s", 7), ("9 seconds", 0)]
)
def test_a_query_that_would_overrun_is_not_counted(budget: str, steps: int) -> None:
    searcher = RandomSearch(space, np.random.default_rng(0))
    assert len(list(run(searcher, Priced(), Budget.parse(budget)))) == steps


def test_a_batch_is_cut_where_the_budget_ends() -> None:
    searcher = Listening(*(space[rank] for rank in range(10)))
    assert [step.cell.rank for step in run(searcher, Priced(), Budget(13))] == [*range(10), 0, 1, 2]
    assert len(searcher.observed) == 13


def test_an_empty_batch_ends_the_run() -> None:
    assert list(run(Listening(), Priced(), Budget(5))) == []


def test_free_repeats_are_answered_with_the_first_figures() -> None:
    """Twins have figures of their own in the table, but a free query must not buy a second opinion."""
    one = Cell(("nor_conv_3x3", "none", "none", "none", "skip_connect", "none"))
    twin = Cell(("skip_connect", "none", "none", "none", "nor_conv_3x3", "none"))
    other = space[0]
    assert space.canonical(one) == space.canonical(twin)

    def search(canonical: Callable[[Cell], str] | None) -> list[tuple[bool, float]]:
        searcher = Listening(one, twin, one, other)
        steps = run(searcher, Priced(), Budget(2), repeats="free", canonical=canonical)
        return [(step.charged, step.evaluation.validation) for step in steps][:4]

    r = float(one.rank)
    assert search(space.canonical) == [(True, r), (False, r), (False, r), (True, 0.0)]
    assert search(None) == [(True, r), (True, float(twin.rank)), (False, r)]


def test_a_searcher_that_asks_for_nothing_new_ends() -> None:
    steps = list(run(Listening(space[5]), Priced(), Budget(2), repeats="free"))
    assert len(steps) == 1 + STALL


def test_overhead_is_the_searcher_s_own_time() -> None:
    steps = list(run(RandomSearch(space, np.random.default_rng(0)), Priced(), Budget(50)))
    assert all(0 < step.overhead < 10 for step in steps)


def test_a_cost_that_nobody_knows_is_not_a_budget(toy: AccuracyTable) -> None:
    searcher = RandomSearch(space, np.random.default_rng(0))
    with pytest.raises(InvalidBudget, match="does not say what a query costs in seconds"):
        list(run(searcher, Table(toy, "toy"), Budget(100, "seconds")))
    assert len(list(run(searcher, Table(toy, "toy"), Budget(120, "epochs")))) == 10


@given(st.one_of(st.floats(max_value=0), st.just(math.inf), st.just(math.nan)))
def test_a_budget_that_buys_nothing_is_refused(amount: float) -> None:
    with pytest.raises(InvalidBudget, match="give a positive number"):
        Budget(amount)


@pytest.mark.parametrize("text", ["", "many", "200 parsecs", "12 000 h", "queries"])
def test_a_budget_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidBudget, match="write 200"):
        Budget.parse(text)


@given(
    st.floats(min_value=1e-3, max_value=1e9), st.sampled_from(["", " queries", " epochs", "s", " seconds"])
)
def test_a_budget_s_text_reads_back(amount: float, unit: str) -> None:
    budget = Budget.parse(f"{amount:.10g}{unit}")
    assert Budget.parse(str(budget)) == budget
