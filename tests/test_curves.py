"""From steps to curves: the incumbent, no look-ahead, and statistics against known answers."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasgauge.analysis.statistics.comparisons import rank_p
from nasgauge.analysis.statistics.curves import UnknownCost, align, grid_of, on_grid, top_mean
from nasgauge.analysis.statistics.runs import bootstrap_mean
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.steps import Evaluation, Step, gather
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.reference import random_search
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.harness.search.units import generators
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

space = NB201()


def steps(*figures: tuple[float, float], charged: bool = True, seconds: float = 2.0) -> list[Step[object]]:
    return [Step("cell", Evaluation(v, t, 12.0, seconds), charged, 0.25) for v, t in figures]


def run_of(spec: Spec, oracle: Table, seed: int) -> Iterator[Step[Cell]]:
    searcher_rng, oracle_rng = generators(seed)
    return run(spec.make(space, searcher_rng), oracle.for_run(oracle_rng), Budget(200))


def test_the_incumbent_is_chosen_by_search_metric_and_reported_by_test() -> None:
    runs = align([gather([(0, steps((1, 50), (3, 40), (2, 90), (3, 80), (4, 10)))])])
    assert runs.incumbent.tolist() == [[50, 40, 40, 40, 10]]
    assert runs.final.tolist() == [10]


def test_runs_of_several_files_are_put_in_order_of_seeds() -> None:
    runs = align([gather([(7, steps((1, 7)))]), gather([(3, steps((1, 3), (2, 4)))])])
    assert runs.seeds.tolist() == [3, 7]
    assert runs.incumbent.tolist() == [[3, 4], [7, 7]]
    assert runs.spent["queries"].tolist() == [[1, 2], [1, math.inf]]


def test_clocks_add_up_what_was_charged() -> None:
    free = steps((5, 9), charged=False)
    runs = align([gather([(0, [*steps((1, 1), (2, 2)), *free, *steps((3, 3))])])])
    assert runs.spent["queries"].tolist() == [[1, 2, 2, 3]]
    assert runs.spent["epochs"].tolist() == [[12, 24, 24, 36]]
    assert runs.spent["seconds"].tolist() == [[2, 4, 4, 6]]
    assert runs.spent["overhead"].tolist() == [[0.25, 0.5, 0.75, 1.0]]


def test_a_clock_that_nobody_knows_never_ends() -> None:
    runs = align([gather([(0, steps((1, 1), seconds=math.nan))])])
    assert runs.spent["seconds"].tolist() == [[math.inf]]


def test_a_curve_is_a_step_function_without_look_ahead() -> None:
    runs = align([gather([(0, steps((1, 10), (2, 20)))])])
    grid = np.array([1.9, 2.0, 3.999, 4.0, 100.0])
    assert on_grid(runs, "seconds", grid).tolist()[0][1:] == [10, 10, 20, 20]
    assert math.isnan(on_grid(runs, "seconds", grid)[0, 0])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), min_size=1, max_size=30))
def test_the_incumbent_is_what_a_plain_loop_says(figures: list[tuple[float, float]]) -> None:
    leader, seen = (-1.0, 0.0), []
    for validation, test in figures:
        leader = (validation, test) if validation > leader[0] else leader
        seen.append(leader[1])
    assert align([gather([(0, steps(*figures))])]).incumbent.tolist() == [seen]


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.floats(0.01, 3), min_size=1, max_size=8), min_size=1, max_size=4),
    st.lists(st.floats(0, 12), min_size=1, max_size=6, unique=True),
)
def test_all_runs_on_a_grid_at_once_are_what_each_is_alone(
    costs: list[list[float]], points: list[float]
) -> None:
    parts = [
        gather(
            [(seed, [Step("cell", Evaluation(i, 10 * i, 1, cost), True, 0) for i, cost in enumerate(run)])]
        )
        for seed, run in enumerate(costs)
    ]
    grid = np.sort(np.array(points))
    found = on_grid(align(parts), "seconds", grid)
    for row, paid in zip(found, costs, strict=True):
        done = np.searchsorted(np.cumsum(paid), grid, side="right")
        expected = np.where(done == 0, np.nan, 10.0 * (done - 1))
        np.testing.assert_array_equal(row, expected)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=25), st.integers(1, 3))
def test_the_leading_cells_are_what_a_plain_loop_says(figures: list[tuple[int, int]], count: int) -> None:
    """A cell is told by its signal here, and counts once."""
    run = [Step(f"cell {v}", Evaluation(v, 7 * v + 1, 1, 1), True, 0.0) for v, _ in figures]
    seen: set[int] = set()
    expected = []
    for value, _ in figures:
        seen.add(value)
        best = sorted(seen, reverse=True)[:count]
        expected.append(float(np.mean([7 * v + 1 for v in best])) if len(best) == count else np.nan)
    np.testing.assert_allclose(top_mean(align([gather([(0, run)])]), count)[0], expected)


def test_a_cell_without_a_validation_figure_never_leads_over_one_that_has_it() -> None:
    runs = align([gather([(0, steps((math.nan, 99), (1, 10), (math.nan, 99), (2, 20)))])])
    assert runs.incumbent.tolist() == [[99, 10, 10, 20]]


def test_a_cell_without_a_validation_figure_is_not_among_the_best() -> None:
    figures = [(math.nan, 99), (1, 10), (3, 30), (2, 20)]
    run = [Step(f"cell {test}", Evaluation(value, test, 1, 1), True, 0.0) for value, test in figures]
    found = top_mean(align([gather([(0, run)])]), 2)[0]
    np.testing.assert_array_equal(found, [math.nan, math.nan, 20, 25])


def test_the_last_incumbent_is_named() -> None:
    run = [Step(name, Evaluation(v, v, 1, 1), True, 0.0) for name, v in (("a", 1.0), ("b", 3.0), ("c", 2.0))]
    assert align([gather([(0, run)]), gather([(1, run[:1])])]).final_cells == ["b", "a"]


def test_a_common_cost_is_known_if_every_query_costs_it() -> None:
    runs = align([gather([(0, steps((1, 1), (2, 2)))]), gather([(1, steps((1, 1)))])])
    assert (runs.cost("epochs"), runs.cost("seconds"), runs.cost("queries")) == (12.0, 2.0, 1.0)
    dear = align([gather([(0, [*steps((1, 1)), *steps((2, 2), seconds=9.0)])])])
    assert dear.cost("seconds") is None


def test_a_grid_ends_with_the_longest_run_and_refuses_a_clock_that_nobody_knows() -> None:
    short, long = (align([gather([(0, steps(*((i, i) for i in range(n))))])]) for n in (3, 50))
    assert grid_of([short, long], "queries")[[0, -1]].tolist() == [1, 50]
    assert grid_of([short, long], "epochs")[-1] == pytest.approx(600)
    with pytest.raises(UnknownCost, match="what a query costs in seconds"):
        grid_of([align([gather([(0, steps((1, 1), seconds=math.nan))])])], "seconds")


@settings(max_examples=30)
@given(arrays(np.float64, st.integers(1, 6), elements=st.integers(0, 3)), st.integers(1, 4))
def test_the_exact_random_curve_is_the_mean_over_all_draws(signal: np.ndarray, n: int) -> None:
    """Every sequence of n draws of a small table, each as likely."""
    report = np.arange(len(signal), dtype=np.float64) ** 2
    draws = np.stack(np.meshgrid(*[np.arange(len(signal))] * n, indexing="ij"), axis=-1).reshape(-1, n)
    leaders = draws[np.arange(len(draws)), signal[draws].argmax(axis=1)]
    curve = random_search(signal, report, np.array([n]))
    assert curve.mean[0] == pytest.approx(report[leaders].mean())
    assert curve.sd[0] == pytest.approx(report[leaders].std(), abs=1e-6)


def test_simulated_random_search_lies_in_its_band_around_the_exact_curve(nb201: AccuracyTable) -> None:
    """400 runs at every one of 200 queries; the band of 4.4 standard errors holds all of them by chance
    but once in 500 times."""
    oracle = Table(nb201, "cifar10")
    spec = Spec.parse("random")
    runs = align([gather((s, list(run_of(spec, oracle, s))) for s in range(400))])
    exact = random_search(*oracle.draws, np.arange(1, 201))
    error = np.abs(runs.incumbent.mean(axis=0) - exact.mean) / (exact.sd / math.sqrt(400))
    assert error.max() < 4.4


def test_evolution_beats_random_search_on_the_shipped_table(nb201: AccuracyTable) -> None:
    """At 200 queries, 40 seeds each."""
    oracle = Table(nb201, "cifar10")

    def final(name: str) -> np.ndarray:
        spec = Spec.parse(name)
        return align([gather((s, list(run_of(spec, oracle, s))) for s in range(40))]).final

    evolution, random = final("evolution"), final("random")
    assert evolution.mean() > random.mean()
    assert rank_p(evolution, random) < 0.01


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(40, 500))  # 500 experiments of 40 runs
    low, high = bootstrap_mean(samples, rng, resamples=1000)
    assert 0.90 < np.mean((low < 0) & (high > 0)) < 0.97
