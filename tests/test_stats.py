"""Statistics against libraries, simulations and answers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pytest_regressions.num_regression import NumericRegressionFixture
from scipy import stats

from nasgauge.analysis.results.random_equivalents import first_reach
from nasgauge.analysis.results.sample_efficiency import equivalent
from nasgauge.analysis.statistics import comparisons
from nasgauge.analysis.statistics.aggregates import improvement, iqm, iqm_interval, profile
from nasgauge.analysis.statistics.comparisons import (
    LEAST,
    a12,
    a12_interval,
    compare,
    critical_difference,
    difference_interval,
    holm,
    rank_p,
    seeds_needed,
)
from nasgauge.analysis.statistics.correlation import kendall
from nasgauge.analysis.statistics.ranks import (
    Study,
    _jackknife,
    between,
    ceiling,
    rank_table,
    tau_interval,
    top_taus,
)
from nasgauge.analysis.statistics.runs import MANY, band, bootstrap_mean, median_interval, resampled_means
from nasgauge.harness.records.results import Curve
from nasgauge.harness.search.reference import random_search
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201
from nasgauge.spaces.ranks import rank_sum


def runs(seed: int, mean: float, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, size=count)


def test_the_interval_of_the_median_covers_it_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).exponential(size=(25, 4000))
    low, high = median_interval(samples)
    assert 0.95 <= np.mean((low <= math.log(2)) & (math.log(2) <= high)) < 0.99


def test_a_band_has_no_interval_for_one_run_nor_before_every_run_has_begun() -> None:
    rng = np.random.default_rng(0)
    values = np.array([[np.nan, 1.0, 2.0], [0.0, 3.0, 4.0]])
    for average in ("mean", "median"):
        found = band(values, rng, average=average)
        assert np.isnan(found.centre[0])
        assert np.isnan(found.low[0])
        assert found.centre[1:].tolist() == [2.0, 3.0]
        assert (found.low[1:] <= found.centre[1:]).all()
    alone = band(values[1:], rng)
    assert alone.centre.tolist() == [0.0, 3.0, 4.0]
    assert np.isnan(alone.low).all()


def test_many_runs_that_have_not_all_begun_have_no_mean_yet() -> None:
    values = np.random.default_rng(0).normal(size=(MANY + 1, 3))
    values[7, 0] = np.nan
    means = resampled_means(values, np.random.default_rng(0), resamples=50)
    assert np.isnan(means[:, 0]).all()
    assert np.isfinite(means[:, 1:]).all()


def test_a12_is_what_mann_and_whitney_count() -> None:
    ours, theirs = runs(0, 0.3).round(1), runs(1, 0.0, 30).round(1)
    counted = stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    assert a12(ours, theirs) == pytest.approx(counted)
    assert a12(ours, ours) == 0.5


def test_a_comparison_in_numbers(num_regression: NumericRegressionFixture) -> None:
    found = compare(runs(0, 0.5), runs(1, 0.0, 30), np.random.default_rng(0))
    num_regression.check({name: [float(value)] for name, value in vars(found).items()})


def test_one_run_has_no_interval_and_nine_have_no_p_value() -> None:
    rng = np.random.default_rng(0)
    one = compare(np.array([2.0]), runs(1, 0.0), rng)
    assert (one.n, one.n_against) == (1, 40)
    assert all(math.isnan(value) for value in (one.low, one.high, one.error, one.p, one.seeds))
    nine = compare(runs(0, 9.0, 9), runs(1, 0.0), rng)
    assert math.isnan(nine.p)
    assert nine.low > 5
    assert compare(runs(0, 9.0, 10), runs(1, 0.0), rng).p < 0.001


def test_equal_runs_do_not_differ() -> None:
    found = compare(np.ones(10), np.ones(12), np.random.default_rng(0))
    assert (found.p, found.difference, found.a12) == (1.0, 0.0, 0.5)


def test_the_order_of_the_seeds_changes_nothing() -> None:
    ours, theirs = runs(0, 0.5), runs(1, 0.0)
    one, other = (compare(ours, part, np.random.default_rng(0)) for part in (theirs, theirs[::-1]))
    assert one.p == other.p
    assert (one.difference, one.a12) == pytest.approx((other.difference, other.a12))


def test_separated_groups_have_the_p_value_of_the_permutation_test() -> None:
    ours, theirs = np.arange(10.0), np.arange(10.0) + 20
    assert rank_p(ours, theirs) == pytest.approx(stats.mannwhitneyu(ours, theirs, method="exact").pvalue)


@pytest.fixture
def _few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "PERMUTATIONS", 999)
    monkeypatch.setattr(comparisons, "_permutations", comparisons._permutations.__wrapped__)


@pytest.mark.usefixtures("_few_permutations")
def test_the_rank_test_keeps_its_level_where_sizes_and_spreads_differ() -> None:
    rng = np.random.default_rng(1)
    p = [rank_p(rng.normal(scale=3, size=10), rng.normal(size=40)) for _ in range(800)]
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.075


@pytest.mark.parametrize(("n", "m"), [(10, 14), (20, 20), (29, 40)])
def test_few_runs_have_the_p_value_of_the_permutation_test(n: int, m: int) -> None:
    """As scipy's own permutation test gives it with Brunner and Munzel's statistic; values are tied."""
    rng = np.random.default_rng(n)
    ours, theirs = rng.normal(0.7, 1.0, size=n).round(1), rng.normal(size=m).round(1)
    reference = stats.permutation_test(
        (ours, theirs), lambda x, y: stats.brunnermunzel(x, y).statistic, n_resamples=499, rng=rng
    )
    assert rank_p(ours, theirs) == pytest.approx(reference.pvalue, abs=0.04)
    assert rank_p(ours, theirs) == pytest.approx(rank_p(theirs[::-1], ours), abs=0.005)


@pytest.mark.usefixtures("_few_permutations")
def test_small_p_values_of_few_runs_are_as_rare_as_they_say() -> None:
    """Student's approximation is below 0.001 four times as often as it should be with ten runs in a group."""
    rng = np.random.default_rng(4)
    p = np.array([rank_p(rng.normal(size=10), rng.normal(size=10)) for _ in range(2000)])
    assert (p < 0.005).mean() < 0.0075


def test_intervals_of_two_groups_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    truth = stats.norm.cdf(1 / math.sqrt(2))
    covered = []
    for _ in range(500):
        ours, theirs = rng.normal(1.0, 1.0, size=10), rng.normal(0.0, 1.0, size=20)
        _, low, high = difference_interval(ours, theirs, rng)
        _, least, most = a12_interval(ours, theirs)
        covered.append((low <= 1.0 <= high, least <= truth <= most))
    of_means, of_a12 = np.mean(covered, axis=0)
    assert 0.93 < of_means < 0.99
    assert 0.93 < of_a12 < 0.99


def test_the_interval_of_a_mean_of_few_runs_is_wide_enough() -> None:
    rng = np.random.default_rng(3)
    for count in (2, 3, 5, 7, 9):
        low, high = bootstrap_mean(rng.normal(size=(count, 2000)), rng)
        assert 0.92 < np.mean((low <= 0) & (high >= 0)) < 0.98


def test_intervals_of_all_datasets_together_are_wider_for_few_runs() -> None:
    rng = np.random.default_rng(4)
    level, covered = np.zeros(1), []
    for _ in range(300):
        scores = [rng.normal(size=5) for _ in range(3)]
        low, high = iqm_interval(scores, rng)
        share = profile(scores, level, rng)
        covered.append((low <= 0 <= high, share.low[0] <= 0.5 <= share.high[0]))
    assert (np.mean(covered, axis=0) > 0.92).all()


def test_holm_is_never_smaller_than_the_plain_p_and_keeps_what_is_unknown() -> None:
    plain = np.array([0.2, 0.01, np.nan, 0.04])
    corrected = holm(plain)
    assert np.isnan(corrected[2])
    assert (corrected[[0, 1, 3]] >= plain[[0, 1, 3]]).all()
    assert corrected[1] == pytest.approx(0.03)


def test_the_runs_planned_detect_the_difference_in_about_four_of_five_campaigns() -> None:
    rng = np.random.default_rng(2)
    needed = int(seeds_needed(runs(0, 0.0, 400), runs(1, 0.0, 400), 0.5))
    p = [rank_p(rng.normal(0.5, 1.0, size=needed), rng.normal(size=needed)) for _ in range(400)]
    assert 0.72 < np.mean(np.array(p) < 0.05) < 0.9
    assert seeds_needed(runs(0, 0.0), runs(1, 0.0), 0.0) == math.inf
    assert seeds_needed(runs(0, 0.0), runs(1, 0.0), 9.0) == LEAST
    assert math.isnan(seeds_needed(np.ones(5), np.ones(5), 1.0))


def test_three_datasets_cannot_fill_a_critical_difference_diagram() -> None:
    assert critical_difference(8, 3) == pytest.approx(6.06, abs=0.01)
    assert critical_difference(10, 3) == pytest.approx(7.82, abs=0.01)


def test_the_interquartile_mean_leaves_the_ends_out() -> None:
    scores = np.arange(8.0)
    assert iqm(scores) == 3.5
    low, high = iqm_interval([scores, scores], np.random.default_rng(0))
    assert low < 3.5 < high


def test_a_profile_falls_from_one_to_nothing() -> None:
    levels = np.array([-1.0, 0.5, 9.0])
    found = profile([np.array([0.0, 1.0]), np.array([1.0, 1.0])], levels, np.random.default_rng(0))
    assert found.centre.tolist() == [1.0, 0.75, 0.0]
    assert (found.low <= found.centre).all()
    assert (found.centre <= found.high).all()


def test_the_probability_of_improvement_is_the_mean_of_a12() -> None:
    ours, theirs = [runs(0, 0.5), runs(1, 0.0)], [runs(2, 0.0), runs(3, 0.0)]
    value, low, high = improvement(ours, theirs)
    assert value == pytest.approx(np.mean([a12(*pair) for pair in zip(ours, theirs, strict=True)]))
    assert low < value < high


def test_the_jackknife_of_tau_is_tau_without_each_cell() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, size=(2, 40)).astype(float)
    without = [kendall(np.delete(one, cell), np.delete(other, cell)) for cell in range(40)]
    assert _jackknife(one, other) == pytest.approx(without)


def test_the_fast_interval_of_tau_agrees_with_the_bootstrap_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=180)
    score = truth + rng.normal(size=180)
    whole = tau_interval(score, truth, rng)
    monkeypatch.setattr("nasgauge.analysis.statistics.ranks.FEW", 10)
    fast = tau_interval(score, truth, rng)
    assert fast.value == whole.value
    assert (fast.low, fast.high) == pytest.approx((whole.low, whole.high), abs=0.04)


@pytest.mark.parametrize("count", [80, 300])
def test_cells_of_one_class_count_once_in_the_interval_of_tau(count: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=count)
    score = truth + rng.normal(size=count)
    once = tau_interval(score, truth, np.random.default_rng(0))
    thrice, same = (np.repeat(values, 3) for values in (score, truth))
    classes = np.repeat(np.arange(count), 3)
    assert tau_interval(thrice, same, np.random.default_rng(0), classes) == pytest.approx(once, abs=0.002)
    narrow = tau_interval(thrice, same, np.random.default_rng(0))
    assert narrow.high - narrow.low < 0.7 * (once.high - once.low)


def test_a_table_of_scores_knows_the_classes_of_its_cells() -> None:
    rng = np.random.default_rng(0)
    texts = [str(cell) for cell in NB201()][3_000:4_000]
    first = Study("cifar10", np.empty(1000), {}, np.empty((0, 1000)), texts)
    count = len({NB201().canonical(Cell.parse(text)) for text in texts})
    assert first.classes.max() + 1 == count < 400
    truth, noise = rng.normal(size=(2, count))[:, first.classes]
    study = replace(first, truth=truth, scores={"noisy": truth + noise})
    widths = [
        np.ptp(rank_table([one], np.random.default_rng(0))[["low", "high"]].iloc[0])
        for one in (study, replace(study, cells=()))
    ]
    assert widths[0] > 1.2 * widths[1]


def test_tau_of_equal_orders_is_one_and_has_no_interval() -> None:
    """scipy rounds tau of five cells in the same order to a little below 1."""
    for cells in range(3, 40):
        order = np.arange(float(cells))
        assert tau_interval(order, -order, np.random.default_rng(0))[0] == -1
        assert np.isnan(tau_interval(order, order, np.random.default_rng(0))[1:]).all()


def test_tau_of_a_constant_has_no_interval() -> None:
    found = tau_interval(np.ones(5), np.arange(5.0), np.random.default_rng(0))
    assert all(math.isnan(value) for value in found)


def test_the_noise_ceiling_leaves_out_trainings_that_were_not_made() -> None:
    seeds = np.array([[1.0, 2.0, 3.0, np.nan], [1.0, 3.0, 2.0, 4.0], [3.0, 2.0, 1.0, 0.0]])
    assert ceiling(seeds, np.arange(4.0)) == pytest.approx((1 + 2 / 3 - 1) / 3)
    assert math.isnan(ceiling(seeds[:0], np.arange(4.0)))


def test_the_noise_ceiling_is_that_of_a_single_training() -> None:
    """A score of one training is at the line, and above the agreement of two such trainings."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    seeds = truth + 0.5 * rng.normal(size=(2, 500))
    assert ceiling(seeds, truth) == pytest.approx(kendall(seeds[0], truth), abs=0.03)
    assert ceiling(seeds, truth) > kendall(*seeds) + 0.05


def test_tau_among_the_best_looks_at_the_truly_best() -> None:
    truth = np.arange(100.0)
    score = np.where(truth < 90, truth, -truth)
    assert top_taus(score, truth) == pytest.approx({5: -1.0, 10: -1.0, 25: kendall(score[75:], truth[75:])})


def test_ranks_add_up_ties_share_and_what_is_undefined_stays_so() -> None:
    assert rank_sum(np.array([1.0, 2.0, np.nan]), np.array([5.0, 4.0, 3.0]))[:2].tolist() == [4.0, 4.0]
    assert np.isnan(rank_sum(np.array([1.0, np.nan]), np.array([1.0, 2.0]))[1])
    assert rank_sum(np.array([7.0, 7.0, -np.inf])).tolist() == [2.5, 2.5, 1.0]


def test_scores_are_compared_where_both_are_known() -> None:
    table = between({"a": np.array([1.0, 2, 3, 4]), "b": np.array([np.nan, 3, 2, 1])})
    assert table.loc["a", "b"] == -1.0


def test_random_search_is_worth_its_own_queries() -> None:
    signal = np.random.default_rng(0).normal(size=500)
    queries = np.arange(1, 200)
    curve = random_search(signal, signal, queries)
    known = Curve(queries=tuple(queries.tolist()), mean=tuple(curve.mean), sd=tuple(curve.sd))
    assert equivalent(known, curve.mean[99]) == 100
    assert equivalent(known, signal.max() + 1) == math.inf


def test_the_first_query_to_reach_a_target() -> None:
    curves = np.array([[np.nan, 1.0, 3.0], [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]])
    assert first_reach(curves, 3.0).tolist() == [3.0, 1.0, math.inf]
