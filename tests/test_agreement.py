"""Statistics of how scores rank cells: by hand, by brute force, and on planted data."""

from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from nasgauge.analysis.statistics.agreement import MEASURES, Draws, Row, agreement
from nasgauge.analysis.statistics.correlation import (
    kendall,
    kendall_among_best,
    kendall_resampled,
    kendall_within,
    partial_kendall,
    precision,
)
from nasgauge.analysis.statistics.crossed import crossed_interval, resamples
from nasgauge.analysis.statistics.redraws import redraws
from nasgauge.data.sources import open_table
from nasgauge.spaces.costs import multiply_adds, of_every_cell, parameters

# --- the statistics


def test_partial_tau_by_hand() -> None:
    """Six pairs: one exchange with the second, none with the third, one of the second with the third."""
    one, other, given = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), np.array([1.0, 2, 4, 3])
    assert kendall(one, other) == pytest.approx(4 / 6)
    assert kendall(one, given) == pytest.approx(4 / 6)
    assert kendall(other, given) == pytest.approx(2 / 6)
    by_hand = (4 / 6 - 4 / 6 * 2 / 6) / np.sqrt((1 - 16 / 36) * (1 - 4 / 36))
    assert partial_kendall(one, other, given) == pytest.approx(by_hand)
    assert np.isnan(partial_kendall(one, other, one))
    assert np.isnan(partial_kendall(one, other, np.ones(4)))


def test_what_only_follows_from_flops_has_no_partial_tau() -> None:
    rng = np.random.default_rng(0)
    flops = rng.normal(size=4000)
    score, accuracy = flops + rng.normal(size=4000), flops + rng.normal(size=4000)
    assert kendall(score, accuracy) > 0.3
    # a known property of the coefficient: it is near 0 then, not 0
    assert 0 < partial_kendall(score, accuracy, flops) < 0.15
    binned = np.digitize(flops, np.quantile(flops, np.linspace(0, 1, 201)))
    assert abs(kendall_within(score, accuracy, binned)) < 0.05


def test_tau_within_groups_counts_the_pairs_of_each_group() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.integers(6, size=60).astype(float), rng.integers(6, size=60).astype(float)
    groups = rng.integers(4, size=60)
    balance = left_one = left_other = 0
    for i, j in combinations(range(60), 2):
        if groups[i] == groups[j]:
            a, b = np.sign(one[i] - one[j]), np.sign(other[i] - other[j])
            balance, left_one, left_other = balance + a * b, left_one + abs(a), left_other + abs(b)
    expected = balance / np.sqrt(left_one * left_other)
    assert kendall_within(one, other, groups) == pytest.approx(expected)
    assert kendall_within(one, other, np.zeros(60)) == pytest.approx(kendall(one, other))
    assert np.isnan(kendall_within(one, other, np.arange(60)))


def test_precision_is_the_expectation_over_orders_of_tied_cells() -> None:
    score, true, top = np.array([2.0, 1, 1, 1, 0, 0]), np.array([5.0, 5, 5, 1, 9, 0]), 3
    found = []
    for order in permutations(range(6)):
        for other in (order, order[::-1]):
            mine = sorted(order, key=lambda cell: -score[cell])[:top]
            best = sorted(other, key=lambda cell: -true[cell])[:top]
            found.append(({*mine}, {*best}))
    chosen = np.array([[cell in mine for cell in range(6)] for mine, _ in found]).mean(axis=0)
    wanted = np.array([[cell in best for cell in range(6)] for _, best in found]).mean(axis=0)
    assert precision(score, true, top) == pytest.approx(chosen @ wanted / top)
    assert precision(score, true, 10) == pytest.approx(1)


def test_tau_among_the_best_sees_the_best_alone() -> None:
    true = np.arange(20.0)
    score = np.where(true >= 18, -true, true)
    assert kendall_among_best(score, true, 0.1) == pytest.approx(-1)
    assert kendall_among_best(score, true, 1) < 1


def test_resampled_tau_is_that_of_the_resample() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.integers(5, size=40).astype(float), rng.normal(size=40)
    one[0] = -np.inf
    times = rng.integers(3, size=(5, 40))
    expected = [kendall(np.repeat(one, row), np.repeat(other, row)) for row in times]
    assert kendall_resampled(one, other, times) == pytest.approx(expected)


# --- the crossed bootstrap


def _planted(
    rng: np.random.Generator, common: float, cells: int = 50, levels: int = 6
) -> tuple[float, tuple[float, float], tuple[float, float], float]:
    """A mean over cells whose true value is 0, its crossed interval, that over cells, and the sd from draws."""
    own, noise = rng.normal(size=cells), 0.5 * rng.normal(size=(levels, levels, cells))
    weights, batches = common * rng.normal(size=(2, levels))
    values = own + weights[:, None, None] + batches[None, :, None] + noise
    rows = np.stack(list(resamples(np.arange(cells), rng, 120)))
    each = values[..., rows].mean(axis=-1).transpose(2, 0, 1)[..., None]
    found = crossed_interval(each[:, 0, 0], values.mean(axis=-1)[..., None], each, rng)
    low, high = np.quantile(each[:, 0, 0, 0], [0.025, 0.975])
    crossed = float(found.low[0]), float(found.high[0])
    return values[0, 0].mean(), crossed, (low, high), float(found.draws_sd[0])


def test_crossed_intervals_cover_the_truth_where_intervals_over_cells_do_not() -> None:
    rng = np.random.default_rng(5)
    crossed, over_cells = [], []
    for _ in range(150):
        _, (low, high), (plain_low, plain_high), _ = _planted(rng, common=0.3)
        crossed.append(low <= 0 <= high)
        over_cells.append(plain_low <= 0 <= plain_high)
    assert 0.89 <= np.mean(crossed) <= 0.99
    assert np.mean(over_cells) < 0.65


def test_the_variance_of_draws_is_that_which_was_planted() -> None:
    rng = np.random.default_rng(6)
    variances = [_planted(rng, common=0.3)[3] ** 2 for _ in range(150)]
    assert np.mean(variances) == pytest.approx(2 * 0.3**2, rel=0.15)
    alone = [_planted(rng, common=0.0)[3] for _ in range(40)]
    assert np.median(alone) < 0.05


def test_a_mean_of_draws_varies_less_with_them() -> None:
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(4, 1, 1))
    still = np.zeros((4000, 1)), draws, np.tile(draws, (4000, 1, 1, 1))
    one = crossed_interval(*still, rng)
    four = crossed_interval(*still, rng, averaged=(4, 1))
    assert one.draws_sd[0] == pytest.approx(draws.std(ddof=1))
    assert four.draws_sd[0] == pytest.approx(one.draws_sd[0] / 2)
    assert four.high[0] - four.low[0] < one.high[0] - one.low[0]
    fixed = crossed_interval(still[0], draws[:1], still[2][:, :1], rng)
    assert fixed.low[0] == fixed.high[0] == 0
    unknown = crossed_interval(still[0], np.full_like(draws, np.nan), np.full_like(still[2], np.nan), rng)
    assert unknown.low[0] == unknown.high[0] == 0
    assert np.isnan(unknown.draws_sd[0])


def test_tau_between_draws_tells_noise_of_weights_from_noise_of_images() -> None:
    """Two normal scores with correlation r have tau 2 asin(r) / π: here r is 1 / 2 with other weights, 1 with other images."""
    rng = np.random.default_rng(3)
    cells = 4000
    of_weights = rng.normal(size=cells) + rng.normal(size=(2, 1, cells))
    values = np.repeat(of_weights, 2, axis=1)
    known = np.ones(values.shape, dtype=bool)
    known[1, 1, 500:] = False  # the other cells have fewer draws, so they do not count
    values[:, :, 500:] = 0
    found = {row.other: row for row in redraws(Draws("planted", values, known), rng)}
    assert {row.classes for row in found.values()} == {500}
    assert found["images"].tau == found["images"].low == 1
    for other in ("weights", "weights and images"):
        assert found[other].low < 1 / 3 < found[other].high
    spread = found["weights"].high - found["weights"].low
    assert 0.05 < spread < 0.15  # 3.9 standard errors of about .025
    assert list(redraws(Draws("one draw", values[:1, :1]), rng)) == []


def test_clusters_are_resampled_whole() -> None:
    clusters = np.array([0, 0, 1, 2, 2, 2])
    for rows in resamples(clusters, np.random.default_rng(0), 20):
        times = np.bincount(rows, minlength=6)
        assert times[0] == times[1]
        assert times[3] == times[4] == times[5]
        assert times[[0, 2, 3]].sum() == 3


# --- agreement


def _rows(
    *proxies: Draws, truth: NDArray[np.float64], classes: np.ndarray | None = None, over: str = "cells"
) -> dict[tuple[str, int, int, str], Row]:
    found = agreement(
        proxies,
        {"toy": truth},
        np.asarray(np.arange(len(truth)) % 3, dtype=np.float64),
        np.arange(len(truth)) if classes is None else classes,
        np.random.default_rng(0),
        over=over,  # type: ignore[arg-type] # given as a literal
        count=20,
    )
    return {(row.proxy, row.cells, row.draws, row.measure): row for row in found}


def test_flops_and_parameters_rank_all_cells_as_is_known() -> None:
    """Kendall's tau over all 15,625 cells, as computed elsewhere from the benchmark's own FLOPs."""
    table = open_table("nb201")
    accuracies = {name: table.column(view.report) for name, view in table.views.items()}
    flops, size = (of_every_cell(cost, "cifar10") for cost in (multiply_adds, parameters))
    proxies = [Draws(name, values[None, None]) for name, values in (("flops", flops), ("params", size))]
    rng, classes = np.random.default_rng(0), np.arange(len(flops))
    found = list(agreement(proxies, accuracies, flops, classes, rng, over="cells", count=2))
    for name in ("flops", "params"):
        taus = [row.value for row in found if (row.proxy, row.measure) == (name, "tau")]
        assert np.round(taus, 3).tolist() == [0.578, 0.553, 0.520]
    beyond = [row.value for row in found if row.measure in ("partial_tau", "tau_within_flops")]
    assert np.isnan(beyond).all()


def test_undefined_scores_rank_last_and_infinite_condition_numbers_before_them() -> None:
    truth = np.arange(60.0)
    values = np.array([[-1.0 - np.arange(60.0)[::-1]]])
    values[0, 0, 0], values[0, 0, 1:3] = np.nan, -np.inf
    found = _rows(Draws("kappa", values, geometric=True), truth=truth)
    row = found["kappa", 60, 1, "tau"]
    assert row.value == pytest.approx(kendall(np.r_[0.0, 1.0, 1.0, np.arange(3.0, 60)], truth))
    assert row.undefined == 3
    twice = Draws("kappa", np.concatenate([values, 4 * values]), geometric=True)
    mean = twice.averaged(np.ones((2, 1), dtype=bool))
    assert mean[0] == -np.inf < mean[1] == mean[2] < mean[3:].min()
    assert mean[3:] == pytest.approx(2 * values[0, 0, 3:])


def test_a_single_draw_and_the_mean_of_several_are_apart() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=400)
    values = truth + 2 * rng.normal(size=(2, 2, 400))
    values[1, 1, 300:] = np.nan
    known = np.ones(values.shape, dtype=bool)
    known[0, 1, 300:] = known[1, :, 300:] = False
    found = _rows(Draws("naswot", values, known), truth=truth)
    assert {(cells, draws) for _, cells, draws, _ in found} == {(400, 1), (300, 1), (300, 4)}
    assert found["naswot", 400, 1, "tau"].value == pytest.approx(kendall(values[0, 0], truth))
    taus = [kendall(values[w, v, :300], truth[:300]) for w in (0, 1) for v in (0, 1)]
    assert found["naswot", 300, 1, "tau"].value == pytest.approx(np.mean(taus))
    mean = found["naswot", 300, 4, "tau"]
    assert mean.value == pytest.approx(kendall(values[..., :300].mean(axis=(0, 1)), truth[:300]))
    assert mean.value > max(taus)
    assert mean.low < mean.value < mean.high
    assert {row.undefined for row in found.values()} == {0}


def test_over_classes_the_first_cell_counts_and_over_cells_each() -> None:
    truth = np.r_[1.0, np.full(5, 9.0), 3.0, 2.0]
    classes = np.r_[np.zeros(6, dtype=int), 1, 2]
    scores = Draws("naswot", np.r_[np.full(6, -3.0), -2.0, -1.0][None, None])
    assert _rows(scores, truth=truth, classes=classes, over="classes")[
        "naswot", 3, 1, "tau"
    ].value == pytest.approx(1 / 3)
    each = _rows(scores, truth=truth, classes=classes)["naswot", 8, 1, "tau"]
    assert each.value < 0
    assert each.classes == 3


def test_a_rank_sum_is_of_the_ranks_among_the_cells_in_question() -> None:
    one = Draws("kappa", np.array([[[-4.0, -3.0, -2.0, -1.0]], [[-1.0, -2.0, -3.0, -4.0]]]), geometric=True)
    other = Draws("regions", np.array([[[9.0, 8.0, 7.0, 6.0]], [[9.0, 9.0, 9.0, 9.0]]]))
    both = Draws.rank_sum("sum", one, other)
    assert both.values.tolist() == [[[5.0, 5.0, 5.0, 5.0]], [[6.5, 5.5, 4.5, 3.5]]]
    assert both.at(np.array([0, 3])).values.tolist() == [[[3.0, 3.0]], [[3.5, 2.5]]]
    mean = both.averaged(np.ones((2, 1), dtype=bool))
    assert mean.tolist() == [3.5 + 4, 1.5 + 3, 1.5 + 2, 3.5 + 1]


def test_few_cells_have_no_figures_among_the_best() -> None:
    truth = np.random.default_rng(0).normal(size=100)
    found = _rows(Draws("naswot", truth[None, None]), truth=truth)
    assert {measure for *_, measure in found} == set(MEASURES)
    assert np.isnan(found["naswot", 100, 1, "tau_best_10"].value)
    assert np.isnan(found["naswot", 100, 1, "precision_1"].value)


def test_resamples_of_other_sizes_keep_the_figures_among_the_best() -> None:
    rng = np.random.default_rng(0)
    truth, classes = rng.normal(size=210), np.repeat(np.arange(105), np.tile([1, 3, 2], 35))
    found = _rows(Draws("naswot", (truth + rng.normal(size=210))[None, None]), truth=truth, classes=classes)
    row = found["naswot", 210, 1, "tau_best_10"]
    assert row.low < row.value < row.high
