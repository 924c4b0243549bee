"""Accuracy against an objective: fronts, hypervolumes, the report and the command line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasgauge as ng
from nasgauge.analysis.results.campaign import load
from nasgauge.analysis.results.names import shortened
from nasgauge.analysis.results.pareto import trade_off
from nasgauge.analysis.statistics.pareto import front, hypervolume, hypervolumes, within
from nasgauge.cli import app
from nasgauge.data.figures import NoCosts, figures
from nasgauge.pareto import aimed, known_of
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.objectives import Objective, UnknownObjective

Points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=25)


def arrays(points: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    accuracy, cost = np.array(points, dtype=np.float64).T
    return accuracy, cost


# Statistics


@given(Points)
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, int]]) -> None:
    accuracy, cost = arrays(points)
    kept = front(accuracy, cost)
    better = (accuracy[:, None] >= accuracy) & (cost[:, None] <= cost)
    strictly = better & ((accuracy[:, None] > accuracy) | (cost[:, None] < cost))
    expected = {
        (a, c)
        for a, c, dominated in zip(accuracy, cost, np.atleast_1d(strictly.any(axis=0)), strict=True)
        if not dominated
    }
    assert [(accuracy[k], cost[k]) for k in kept] == sorted(expected, key=lambda point: point[1])


@given(Points)
def test_the_hypervolume_is_the_number_of_dominated_squares(points: list[tuple[int, int]]) -> None:
    accuracy, cost = arrays(points)
    squares = [(a, c) for a in range(12) for c in range(12)]
    dominated = sum(any(x >= a + 1 and y <= c for x, y in points) for a, c in squares)
    assert hypervolume(accuracy, cost, (0.0, 12.0)) == dominated


@given(Points)
def test_a_run_that_sees_what_is_reported_ends_with_the_hypervolume_of_all_and_never_loses(
    points: list[tuple[int, int]],
) -> None:
    accuracy, cost = arrays(points)
    found = hypervolumes(accuracy, accuracy, cost, (0.0, 12.0))
    assert found[-1] == hypervolume(accuracy, cost, (0.0, 12.0))
    assert (np.diff(found) >= 0).all()


@given(Points, Points)
def test_the_best_within_a_limit_is_that_of_a_plain_loop(
    seen: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    metric, cost = arrays(seen)
    reported = np.resize(arrays(other)[0], len(metric))
    limits = np.arange(-1, 14, dtype=np.float64)
    for limit, value in zip(limits, within(metric, reported, cost, limits), strict=True):
        inside = [k for k in range(len(cost)) if cost[k] <= limit]
        if not inside:
            assert np.isnan(value)
        else:
            top = max(metric[k] for k in inside)
            assert value in {reported[k] for k in inside if metric[k] == top}


def test_cells_without_a_figure_are_on_no_front() -> None:
    accuracy, cost = np.array([99.0, 90.0, 80.0]), np.array([np.nan, 2.0, np.inf])
    assert front(accuracy, cost).tolist() == [1]
    assert hypervolume(accuracy, cost, (0.0, 3.0)) == 90.0
    assert within(accuracy, accuracy, cost, np.array([5.0])).tolist() == [90.0]
    assert hypervolumes(accuracy, accuracy, cost, (0.0, 3.0)).tolist() == [0.0, 90.0, 90.0]


def test_the_front_is_chosen_by_what_was_seen_and_measured_by_what_is_reported() -> None:
    seen, reported, cost = np.array([80.0, 95.0]), np.array([90.0, 85.0]), np.array([1.0, 1.0])
    assert hypervolumes(seen, reported, cost, (0.0, 2.0)).tolist() == [90.0, 85.0]


# A campaign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pareto")
    ng.bench(
        ["random", "nsga2:population=10"], dataset="cifar10", seeds=4, budget=60, objective="params",
        constraint="flops<=150", out=folder, workers=1, progress=False,
    )  # fmt: skip
    return folder


def test_objectives_go_to_those_that_take_them_and_constraints_to_all() -> None:
    own = "nsga2:objective=flops"
    assert [str(one) for one in aimed(["random", own, "nsga2"], "params", "flops<=90")] == [
        "random:constraint=flops<=90",
        "nsga2:constraint=flops<=90:objective=flops",
        "nsga2:constraint=flops<=90:objective=params",
    ]
    assert aimed(["random"]) == ["random"]


def test_a_folder_knows_its_own_objectives_and_those_of_its_constraints(folder: Path) -> None:
    assert [str(known.objective) for known in known_of(folder, load(folder))] == ["params", "flops"]
    assert [str(known.objective) for known in known_of(folder, load(folder), "energy@fpga/max")] == [
        "energy@fpga/max"
    ]


def test_the_exact_front_and_its_reference_point(folder: Path) -> None:
    (known,) = known_of(folder, load(folder), "latency@edgetpu")
    found = trade_off(load(folder), known, np.random.default_rng(0))
    cost = figures(Objective.parse("latency@edgetpu"), "cifar10")
    exact = found.front

    assert found.worst[0] == pytest.approx(np.nanmin(known.accuracy[np.isfinite(cost)]))
    assert found.worst[1] == np.nanmax(cost)
    assert exact["accuracy"].is_monotonic_increasing
    assert exact["latency@edgetpu"].is_monotonic_increasing
    rank = Cell.parse(exact["cell"].iloc[3]).rank
    assert known.accuracy[rank] == exact["accuracy"].iloc[3]
    better = (known.accuracy > exact["accuracy"].iloc[3]) & (cost <= exact["latency@edgetpu"].iloc[3])
    assert not better.any()


def test_runs_are_below_the_exact_front(folder: Path) -> None:
    for known in known_of(folder, load(folder), "params+params/max"):
        found = trade_off(load(folder), known, np.random.default_rng(0))
        for name, volume in found.volumes.items():
            assert (volume.centre[np.isfinite(volume.centre)] <= 100).all()
            inside = np.isfinite(found.within[name].centre)
            assert (found.within[name].centre[inside] <= found.exact[inside] + 1e-9).all()
        assert (np.diff(found.limits) * known.objective.sign > 0).all()


def test_the_api_has_the_frame_and_the_figure(folder: Path) -> None:
    results = ng.open_results(folder)
    frame = results.pareto("params")
    assert set(frame["searcher"]) == {*results.searchers, "exact front"}
    assert (frame["low"].dropna() <= frame["hypervolume"][frame["low"].notna()]).all()
    axes = results.plot_pareto("params")
    assert axes.get_xlabel() == "params, M"
    legend = axes.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {
        "exact front",
        *map(shortened, results.searchers),
    }


def test_the_report_has_a_section_with_its_files(folder: Path) -> None:
    made = ng.open_results(folder).report(figures=False)
    names = {path.name for path in made.files}
    for objective in ("flops", "params"):
        stem = f"pareto-cifar10-{objective}"
        for name in (
            f"{stem}-curves.csv",
            f"{stem}-front.csv",
            f"{stem}.csv",
            f"{stem}.tex",
        ):
            assert name in names
    page = made.page.read_text(encoding="utf-8")
    assert "Accuracy and objectives beside it" in page
    assert "exact front" in page


def test_a_report_without_objectives_has_no_such_section(tmp_path: Path) -> None:
    results = ng.search("random", dataset="cifar10", seeds=2, budget=8, out=tmp_path, progress=False)
    assert "objectives beside it" not in results.report(figures=False).page.read_text(encoding="utf-8")
    assert "objectives beside it" in results.report("memory", figures=False).page.read_text(encoding="utf-8")


def test_tasks_without_figures_are_refused(tmp_path: Path) -> None:
    ng.search("random", "transnas", dataset="jigsaw", seeds=2, budget=8, out=tmp_path, progress=False)
    with pytest.raises(NoCosts, match="no figures are known on jigsaw"):
        known_of(tmp_path, load(tmp_path), "params")
    assert known_of(tmp_path, load(tmp_path)) == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--objective", "speed"], "unknown objective 'speed'"),
        (["--objective", "params/up"], "has no direction 'up'"),
        (["--constraint", "params<=0.01"], "no cell meets params<=0.01 on cifar10"),
        (["--constraint", "params"], "is not understood"),
    ],
)
def test_bad_aims_end_a_command_before_anything_is_written(
    options: list[str], said: str, tmp_path: Path
) -> None:
    from nasgauge.spaces.errors import NasgaugeError

    out = tmp_path / "out"
    with pytest.raises(NasgaugeError, match=said):
        app(
            ["bench", "-s", "random", "-d", "cifar10", "-n", "1", "-o", str(out), *options],
            standalone_mode=False,
        )
    assert not out.exists()


def test_an_unknown_objective_of_a_report_is_refused(folder: Path) -> None:
    with pytest.raises(UnknownObjective):
        app(["report", str(folder), "--objective", "latency@phone"], standalone_mode=False)
