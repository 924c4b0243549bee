"""Recommended cells: one rule for every searcher, whatever it was and whether or not it records its own."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nasgauge.analysis.statistics.curves import Runs, align
from nasgauge.analysis.statistics.recommendations import MOST, NotSmoothed, own, recommended, smooth
from nasgauge.harness.records.steps import Evaluation, Step, gather
from nasgauge.spaces.nb201 import NB201

space = NB201()


def run(ranks: list[int], metric: list[float], answers: list[int] | None = None) -> list[Step[object]]:
    """Steps whose reported accuracy is the cell's rank."""
    own_cells = [None if answers is None else space[rank] for rank in answers or ranks]
    return [
        Step(space[rank], Evaluation(value, float(rank), 1.0, 1.0), True, 0.0, cell)
        for rank, value, cell in zip(ranks, metric, own_cells, strict=True)
    ]


def aligned(*runs: list[Step[object]]) -> Runs:
    return align([gather(enumerate(runs))])


def noisy(queries: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, and accuracies that grow with the 3x3 convolutions, with and without the noise of training."""
    rng = np.random.default_rng(seed)
    ranks = rng.integers(len(space), size=queries)
    truth = np.array([float(space[rank].ops.count("nor_conv_3x3")) for rank in ranks])
    return ranks, truth + rng.normal(scale=1.5, size=queries), truth


def test_smoothing_finds_better_cells_than_the_noisy_incumbent() -> None:
    gains = []
    for seed in range(150):
        ranks, metric, truth = noisy(100, seed)
        gains.append(truth[smooth(ranks, metric).argmax()] - truth[metric.argmax()])
    assert np.mean(gains) > 3 * np.std(gains) / math.sqrt(len(gains))


def test_smoothing_knows_no_unit_and_equals_the_textbook_posterior() -> None:
    ranks, metric, _ = noisy(60, 0)
    mean = smooth(ranks, metric)
    assert smooth(ranks, 7 * metric - 3) == pytest.approx(mean)
    raised = np.maximum(metric, np.median(metric))
    scaled = (raised - raised.mean()) / raised.std()
    apart = np.array(
        [[sum(a != b for a, b in zip(space[i].ops, space[j].ops, strict=True)) for j in ranks] for i in ranks]
    )
    kernel = np.exp(-apart / 4)
    assert mean == pytest.approx(kernel @ np.linalg.solve(kernel + 0.1 * np.eye(60), scaled))


def test_only_what_was_evaluated_in_time_is_recommended() -> None:
    ranks, metric, _ = noisy(80, 1)
    runs = aligned(run(ranks.tolist(), metric.tolist()), run(ranks.tolist()[:5], metric.tolist()[:5]))
    whole = recommended(runs, "smoothed")
    assert recommended(runs, "smoothed", 10)[0] < 10
    assert whole[1] < 5, "a run that ended keeps its recommendation"
    assert recommended(runs, "smoothed", 10)[1] == whole[1]
    assert recommended(runs, "incumbent", 10).tolist() == [metric[:10].argmax(), metric[:5].argmax()]
    early = aligned(run(ranks.tolist()[:10], metric.tolist()[:10]))
    assert recommended(early, "smoothed")[0] == recommended(runs, "smoothed", 10)[0]


def test_reported_accuracy_has_no_say() -> None:
    ranks, metric, _ = noisy(50, 2)
    runs = aligned(run(ranks.tolist(), metric.tolist()))
    other = replace(runs, test=-runs.test)
    assert recommended(runs, "smoothed").tolist() == recommended(other, "smoothed").tolist()


def test_steps_without_a_search_metric_are_left_out_and_one_step_is_its_own_recommendation() -> None:
    undefined = run([3, 4, 5], [math.nan, 1.0, 2.0])
    assert recommended(aligned(undefined), "smoothed")[0] in (1, 2)
    assert recommended(aligned(run([9], [1.0])), "smoothed").tolist() == [0]
    assert recommended(aligned(run([9, 8], [math.nan, math.nan])), "smoothed").tolist() == [0]


def test_a_constant_search_metric_gives_the_incumbent() -> None:
    assert recommended(aligned(run([1, 2, 3, 4], [1.0, 5.0, 5.0, 5.0])), "smoothed").tolist() == [1]


def test_a_long_run_is_smoothed_over_its_best_evaluations() -> None:
    ranks, metric, _ = noisy(2 * MOST, 3)
    found = int(recommended(aligned(run(ranks.tolist(), metric.tolist())), "smoothed")[0])
    assert metric[found] >= np.sort(metric)[-MOST]


def test_a_searchers_own_recommendation_is_kept_apart() -> None:
    assert own(aligned(run([1, 2], [1.0, 2.0]))) is None
    runs = aligned(run([1, 2, 3], [1.0, 3.0, 2.0], [1, 1, 3]), run([7], [1.0], [7]))
    found = own(runs)
    assert found is not None
    assert found.tolist() == [3.0, 7.0]
    early = own(runs, 2)
    assert early is not None
    assert early.tolist() == [1.0, 7.0]
    assert runs.final.tolist() == [2.0, 7.0]


def test_cells_of_another_space_are_refused_in_one_line() -> None:
    steps = [Step("block", Evaluation(v, v, 1.0, 1.0), True, 0.0) for v in (1.0, 2.0)]
    runs = align([gather([(0, steps)])])
    assert recommended(runs, "incumbent").tolist() == [1]
    with pytest.raises(NotSmoothed, match="need cells of NAS-Bench-201"):
        recommended(runs, "smoothed")
