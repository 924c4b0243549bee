"""Searches under constraints, and with objectives beside accuracy."""

from pathlib import Path

import numpy as np
import pytest

import nasgauge as ng
from nasgauge.data.figures import NoCosts, figures, met
from nasgauge.data.plugins import built_in
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import InvalidOption, Spec, open_space
from nasgauge.searchers.aims import PATIENCE, Aimed, CostSearcher
from nasgauge.searchers.optuna_samplers import NSGA2
from nasgauge.spaces.cells import N_CELLS, Cell
from nasgauge.spaces.nb201 import NB201
from nasgauge.spaces.objectives import InvalidConstraint, Objective, UnknownObjective, constraints

SPACE = NB201()
NO_COSTS = np.empty((N_CELLS, 0))


class ByRank:
    """An oracle whose accuracies follow the number of the cell."""

    def evaluate(self, cell: Cell) -> Evaluation:
        return Evaluation(cell.rank / 200, cell.rank / 200, 12.0, 100.0)


class Listener:
    """Asks for given cells and keeps what it is told."""

    def __init__(self, *batches: list[Cell]) -> None:
        self.batches = list(batches)
        self.told: list[tuple[int, float, tuple[float, ...]]] = []

    def ask(self) -> list[Cell]:
        return self.batches.pop(0) if self.batches else []

    def tell(self, cell: Cell, accuracy: float) -> None:
        self.told.append((cell.rank, accuracy, ()))

    def minimise(self, costs: int) -> None:
        self.costs = costs

    def tell_costs(self, cell: Cell, accuracy: float, costs: tuple[float, ...]) -> None:
        self.told.append((cell.rank, accuracy, costs))


def cells(*ranks: int) -> list[Cell]:
    return [SPACE[rank] for rank in ranks]


def allowing(*ranks: int) -> np.ndarray:
    return np.isin(np.arange(N_CELLS), ranks)


def test_refused_cells_are_not_queried_and_told_in_their_turn_as_the_worst_so_far() -> None:
    searcher = Listener(cells(1, 2000, 2, 1000, 3), cells(4), cells(2000))
    steps = list(run(Aimed(searcher, allowing(2000, 1000), NO_COSTS), ByRank(), Budget(9)))

    assert [step.cell.rank for step in steps] == [2000, 1000, 2000]
    assert searcher.told == [
        (1, 0.0, ()), (2000, 10.0, ()), (2, 10.0, ()), (1000, 5.0, ()), (3, 5.0, ()), (4, 5.0, ()), (2000, 10.0, ()),
    ]  # fmt: skip


def test_a_search_that_asks_for_nothing_that_is_allowed_ends() -> None:
    class Stubborn(Listener):
        asked = 0

        def ask(self) -> list[Cell]:
            self.asked += 1
            return cells(1, 2)

    searcher = Stubborn()
    assert list(run(Aimed(searcher, allowing(7), NO_COSTS), ByRank(), Budget(5))) == []
    assert searcher.asked == PATIENCE // 2


def test_costs_are_told_in_place_of_accuracy_alone() -> None:
    costs = np.stack([np.arange(N_CELLS), -np.arange(N_CELLS)], axis=1).astype(np.float64)
    costs[5] = np.inf
    searcher = Listener(cells(1, 200, 5, 9))
    list(run(Aimed(searcher, allowing(200, 5), costs), ByRank(), Budget(9)))

    assert searcher.costs == 2
    assert searcher.told == [
        (1, 0.0, (np.inf, np.inf)), (200, 1.0, (200.0, -200.0)), (5, 0.025, (np.inf, np.inf)),
        (9, 0.025, (np.inf, np.inf)),
    ]  # fmt: skip


def test_a_refused_recommendation_is_the_incumbent() -> None:
    class Recommends(Listener):
        def recommend(self) -> Cell:
            return SPACE[1]

    steps = list(run(Aimed(Recommends(cells(1, 7)), allowing(7), NO_COSTS), ByRank(), Budget(5)))
    assert [step.answer for step in steps] == [None]


QUICK = ("evolution", "local", "random", "reinforce", "nsga2")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in built_in("nasgauge.searchers")
        if name != "tenas"
    ],
)
def test_every_searcher_keeps_a_constraint(name: str) -> None:
    text = "latency@fpga<=4+params>=0.2"
    searcher = Spec.parse(f"{name}:constraint={text}").make(
        SPACE, np.random.default_rng(0), dataset="cifar10"
    )
    steps = list(run(searcher, ByRank(), Budget(60)))

    assert len(steps) == 60
    assert met(constraints(text), "cifar10")[[step.cell.rank for step in steps]].all()


def test_nsga2_finds_better_trade_offs_with_the_objective_than_without() -> None:
    def median_cost(text: str) -> float:
        values = figures(Objective.parse("params"), "cifar10")
        made = Spec.parse(text).make(SPACE, np.random.default_rng(1), dataset="cifar10")
        steps = list(run(made, ByRank(), Budget(300)))
        return float(np.median([values[step.cell.rank] for step in steps[-100:]]))

    assert isinstance(NSGA2(SPACE, np.random.default_rng(0)), CostSearcher)
    with_objective = median_cost("nsga2:population=20:objective=params")
    assert with_objective < 0.7 * median_cost("nsga2:population=20")
    assert median_cost("nsga2:population=20:objective=params/max") > with_objective


def test_warm_starts_draw_among_the_cells_that_are_allowed() -> None:
    text = "random:warm=naswot:warm_cells=5:constraint=params<=0.3"
    searcher = Spec.parse(text).make(SPACE, np.random.default_rng(0), dataset="cifar10")
    steps = list(run(searcher, ByRank(), Budget(12)))
    assert met(constraints("params<=0.3"), "cifar10")[[step.cell.rank for step in steps]].all()
    assert len(steps) == 12


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("random:objective=params", InvalidOption, "takes no objective beside accuracy.* choose nsga2"),
        ("nsga2:objective=speed", UnknownObjective, "unknown objective 'speed'"),
        ("nsga2:objective=params/up", UnknownObjective, "has no direction 'up'"),
        ("random:constraint=params", InvalidOption, "option constraint takes|is not understood"),
        ("random:constraint=params<=x", ValueError, "is not understood"),
    ],
)
def test_bad_aims_are_refused_when_they_are_read(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises((error, InvalidConstraint), match=said):
        Spec.parse(text)


def test_what_no_cell_meets_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(InvalidConstraint, match=r"no cell meets params<=0\.01"):
        ng.search("random:constraint=params<=0.01", out=folder, seeds=1, budget=5, progress=False)
    with pytest.raises(NoCosts, match="class_object"):
        ng.search("random:constraint=params<=1", "transnas", out=folder, seeds=1, budget=5, progress=False)
    assert not folder.exists()


def test_other_spaces_have_no_figures() -> None:
    with pytest.raises(InvalidOption, match="need cells of nb201"):
        Spec.parse("random:constraint=params<=1").make(
            open_space("pnas"), np.random.default_rng(0), dataset="cifar10"
        )


def test_results_do_not_depend_on_workers_and_figures_are_those_of_the_searched_dataset() -> None:
    texts = ["nsga2:objective=latency@edgegpu:constraint=energy@fpga<=20", "random:constraint=flops<=40"]
    frames = [
        ng.bench(texts, dataset="ImageNet16-120", search_on="cifar10", seeds=2, budget=30, workers=workers, progress=False)
        .frame()
        .drop(columns="overhead")
        for workers in (1, 2)
    ]  # fmt: skip
    assert frames[0].equals(frames[1])
    ranks = [Cell.parse(text).rank for text in frames[0][frames[0].searcher == texts[1]].cell]
    assert met(constraints("flops<=40"), "cifar10")[ranks].all()
