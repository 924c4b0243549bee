"""The predictor study and the efficiency study: their statistics by hand, and their commands on the toy."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nasgauge.analysis.results.predictors import PAPER_COLUMN, latex, summary
from nasgauge.analysis.results.sample_efficiency import NotComparable, answers, check_comparable, compare
from nasgauge.analysis.statistics.correlation import agreement, kendall_interval
from nasgauge.analysis.statistics.efficiency import evaluations_for, queries_of, speed_up, top_means
from nasgauge.cli import app
from nasgauge.data.tables import AccuracyTable, Column
from nasgauge.harness.engines import Local
from nasgauge.harness.records.results import Curve, Settings, write_json
from nasgauge.harness.records.steps import Evaluation, Step, gather
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.fidelities import At
from nasgauge.spaces.nb201 import NB201
from nasgauge.studies.predictors import InvalidStudy, Protocol, ceilings, network, seed_columns, sizes, trials

space = NB201()
rng = np.random.default_rng


# statistics by hand


def test_agreement_of_a_perfect_and_of_a_reversed_ranking() -> None:
    true = np.array([10.0, 20.0, 30.0, 40.0])
    perfect, reversed_ = agreement(true, true, top=2), agreement(-true, true, top=2)
    best = {"spearman": 1, "kendall": 1, "weighted_tau": 1, "precision": 1, "regret": 0}
    assert perfect == pytest.approx(best)
    assert reversed_["kendall"] == -1
    assert reversed_["precision"] == 0
    assert reversed_["regret"] == 20, "the two thought best are 10 and 20; the best is 40"


def test_agreement_by_hand() -> None:
    """Of six pairs, one is in the wrong order; the top two hold one of the true top two."""
    found = agreement(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]), top=2)
    assert found["kendall"] == pytest.approx(4 / 6)
    assert found["spearman"] == pytest.approx(0.8)
    assert found["precision"] == 0.5
    assert found["regret"] == 0


def test_weighted_tau_minds_the_good_cells_most() -> None:
    true = np.arange(8.0)
    best_two, worst_two = true.copy(), true.copy()
    best_two[[6, 7]] = best_two[[7, 6]]
    worst_two[[0, 1]] = worst_two[[1, 0]]
    one, other = agreement(best_two, true, top=2), agreement(worst_two, true, top=2)
    assert one["kendall"] == other["kendall"]
    assert one["weighted_tau"] < other["weighted_tau"]


def test_a_constant_prediction_has_no_correlation() -> None:
    assert np.isnan(agreement(np.ones(5), np.arange(5.0), top=2)["kendall"])


def test_the_interval_of_tau_holds_the_tau_of_a_known_relation() -> None:
    """Kendall's tau of two normals with correlation r is 2/pi asin(r)."""
    draw = rng(0)
    inside = 0
    for _ in range(30):
        one = draw.standard_normal(80)
        other = 0.7 * one + np.sqrt(1 - 0.7**2) * draw.standard_normal(80)
        low, high = kendall_interval(one, other, draw, resamples=100)
        inside += low < 2 / np.pi * np.arcsin(0.7) < high
    assert inside >= 25, "95 % of 30 are 28"


def test_means_of_the_best_so_far() -> None:
    values = np.array([[3.0, 1.0, 2.0, 5.0]])
    assert top_means(values, 1).tolist() == [[3, 3, 3, 5]]
    assert top_means(values, 2)[:, 1:].tolist() == [[2, 2.5, 4]]


def test_evaluations_and_their_ratio() -> None:
    ours, theirs = np.array([[1.0, 2.0, 3.0]] * 4), np.array([[0.0] * 5 + [3.0] * 4] * 4)
    assert evaluations_for(ours.mean(0), 3.0) == 3
    assert evaluations_for(theirs.mean(0), 9.0) == np.inf
    assert speed_up(ours, theirs, 3, rng(0)) == (2.0, 2.0, 2.0)
    assert speed_up(ours, theirs - 1, 3, rng(0)).value == 3, (
        "theirs never get there: at least nine over three"
    )


def test_the_interval_of_the_speed_up_is_as_wide_as_the_runs_differ() -> None:
    draw = rng(0)
    ours = np.repeat(np.arange(20.0)[None], 30, axis=0)
    theirs = np.sort(draw.integers(0, 20, (30, 400)).astype(float), axis=1) + draw.normal(0, 3, (30, 1))
    ratio = speed_up(ours, theirs, 15, draw)
    assert ratio.low < ratio.value < ratio.high


def steps_of(seed: int, validation: list[float], test: list[float], answers: list[int | None]) -> object:
    cells = [space[rank] for rank in range(len(validation))]
    return gather(
        [
            (
                seed,
                [
                    Step(cell, Evaluation(v, t, 1.0, 1.0), True, 0.0, None if a is None else cells[a])
                    for cell, v, t, a in zip(cells, validation, test, answers, strict=True)
                ],
            )
        ]
    )


def test_the_incumbent_and_the_searcher_s_own_recommendation() -> None:
    """The second cell has the best metric by luck; the searcher stays with the first."""
    part, again = (steps_of(seed, [50.0, 60.0, 55.0], [90.0, 70.0, 80.0], [None, 0, 0]) for seed in (0, 1))
    made = queries_of([part], 3)  # type: ignore[list-item]
    assert made.distinct.tolist() == [[50, 60, 55]]
    assert made.incumbent.tolist() == [[90, 70, 70]]
    assert made.answer.tolist() == [[90, 90, 90]]
    curve = Curve(queries=(1, 8, 64), mean=(60.0, 75.0, 85.0), sd=(1.0, 1.0, 1.0))
    [found] = answers({("toy", "pnas"): [part, again]}, [3], {"toy": curve}, rng(0))  # type: ignore[list-item]
    assert (found.by_metric, found.by_searcher, found.gain_low) == (70, 90, 20)
    assert (found.random_by_metric, found.random_by_searcher) == (8, np.inf)


def test_a_run_that_ended_early_repeats_its_last_step() -> None:
    parts = [steps_of(0, [1.0, 2.0], [1.0, 2.0], [None] * 2), steps_of(1, [3.0], [3.0], [None])]
    made = queries_of(parts, 2)  # type: ignore[arg-type]
    assert made.incumbent.tolist() == [[1, 2], [3, 3]]
    assert made.distinct.tolist() == [[1, 2], [3, -np.inf]]


def test_a_cell_counts_once_among_the_best_and_only_after_the_longest_training() -> None:
    """The second query repeats the first cell, the third is shorter, the fourth has no metric, the fifth is free."""
    cells = [space[rank] for rank in (0, 0, 1, 2, 3, 4)]
    metric = [50.0, 70.0, 90.0, math.nan, 80.0, 60.0]
    lengths = [200, 200, 12, 200, 200, 200]
    steps = [
        Step(At(cell, epochs), Evaluation(v, v, 1.0, 1.0), place != 4, 0.0)
        for place, (cell, v, epochs) in enumerate(zip(cells, metric, lengths, strict=True))
    ]
    made = queries_of([gather([(0, steps)])], 5)
    assert made.distinct.tolist() == [[50, -np.inf, -np.inf, -np.inf, 60]]
    assert top_means(made.distinct, 2)[0, -2:].tolist() == pytest.approx([math.nan, 55], nan_ok=True)
    assert made.incumbent.tolist() == [[50, 70, 70, 70, 70]]


def test_results_of_other_metrics_are_not_compared() -> None:
    ours = Settings(
        table="nb201", table_sha256="a", limits="", datasets=("cifar10",), seeds=1, budget="50 queries"
    )
    check_comparable(ours, ours.model_copy(update={"budget": "10000 queries", "seeds": 20}))
    with pytest.raises(NotComparable, match="differ in metric: default and 12/valid/mean; search again"):
        check_comparable(ours, ours.model_copy(update={"metric": "12/valid/mean"}))


def test_a_rival_is_compared_on_the_datasets_that_both_have() -> None:
    ours = {("a", "pnas"): [steps_of(0, [1.0, 4.0], [1.0, 4.0], [None] * 2)]}
    rivals = {
        ("a", "random"): [steps_of(0, [1.0, 1, 1, 1, 1, 4], [1.0] * 5 + [4.0], [None] * 6)],
        ("b", "random"): [steps_of(0, [1.0], [1.0], [None])],
    }
    lines = compare(ours, rivals, [2, 9], rng(0))  # type: ignore[arg-type]
    assert [(line.target, line.evaluations, line.rival_needs) for line in lines] == [
        ("top 1", 2, 6),
        ("reported", 2, 6),
        ("answer", 2, 6),
    ]
    assert lines[0].speed_up.value == 3


# the protocol


def test_every_network_is_in_one_size_alone() -> None:
    everything = [cell for cells in sizes().values() for cell in cells]
    assert len({network(cell) for cell in everything}) == len(everything) == 5775
    assert {size: len(cells) for size, cells in sizes().items()} == {1: 40, 2: 496, 3: 2108, 4: 3131}


def test_unused_edges_and_the_name_of_a_lone_node_are_no_difference() -> None:
    one = Cell(("nor_conv_3x3", "avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "none"))
    other = Cell(("avg_pool_3x3", "nor_conv_3x3", "none", "skip_connect", "none", "nor_conv_1x1"))
    assert network(one) == network(other)


def figures() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([40 + 5.0 * cell.ops.count("nor_conv_3x3") for cell in space])


def test_all_surrogates_are_fitted_on_the_same_cells_and_tested_on_three_sets() -> None:
    protocol = Protocol(surrogates=("forest", "gp"), cells=60, trials=1, resamples=5)
    rows = [row for part in trials(figures(), protocol, seed=1) for row in part]
    for name in ("forest", "gp"):
        mine = [(row.size, row.tested, row.fitted, row.cells) for row in rows if row.surrogate == name]
        assert mine == [
            (1, "fit", 40, 40),
            (1, "larger", 40, 496),
            *((2, "fit", 60, 60), (2, "same", 60, 436), (2, "larger", 60, 2108)),
            *((3, "fit", 60, 60), (3, "same", 60, 2048), (3, "larger", 60, 3131)),
            *((4, "fit", 60, 60), (4, "same", 60, 3071)),
        ]
    forest = [row for row in rows if row.surrogate == "forest"]
    assert all(row.spearman > 0.99 for row in forest if row.tested == "fit")
    assert all(row.spearman > 0.5 for row in forest if row.tested == "larger" and row.size > 1)


@pytest.mark.slow
def test_a_study_does_not_depend_on_the_number_of_workers() -> None:
    protocol = Protocol(surrogates=("forest",), cells=30, trials=1, resamples=5)
    once = list(trials(figures(), protocol, seed=2))
    assert list(trials(figures(), protocol, seed=2, engine=Local(2))) == once
    assert list(trials(figures(), protocol, seed=3)) != once


def test_the_ceiling_is_the_tau_of_two_trainings() -> None:
    """Where twins were given the same figure it is 1; where each was trained by chance alone, 0."""
    texts = {network(cell): place for place, cell in enumerate(space)}
    same = np.array([float(texts[network(cell)]) for cell in space])
    noise = rng(0).normal(size=len(space))
    assert [c.kendall for c in ceilings(same, [], rng(0))] == pytest.approx([1.0] * 4)
    apart = [c for c in ceilings(noise, [same, -same], rng(0)) if c.size > 1]
    assert all(abs(c.kendall) < 0.15 for c in apart if c.kind == "twins")
    assert all(c.kendall == pytest.approx(-1) for c in apart if c.kind == "seeds")


def test_the_seeds_of_a_mean_are_found_in_the_table() -> None:
    mean = Column("cifar10", 200, "test", "mean")
    columns = {column: figures() for column in (mean, Column("cifar10", 12, "test", 1))}
    columns[Column("cifar10", 200, "test", 777)] = figures() + 1
    table = AccuracyTable(name="t", limits="", source_sha256="", columns=columns, views={})
    [found] = seed_columns(table, mean)
    assert found[0] == figures()[0] + 1


def test_the_table_stands_beside_the_paper_s() -> None:
    protocol = Protocol(surrogates=("mlp", "forest"), cells=30, trials=1, resamples=5)
    rows = [row for part in trials(figures(), protocol) for row in part]
    means = summary(rows, ceilings(figures(), [], rng(0)))
    mlp = means[(means["surrogate"] == "mlp") & (means["tested"] == "larger")].set_index("size")
    assert mlp[PAPER_COLUMN].to_dict() == {1: 0.113, 2: 0.450, 3: 0.469}
    assert means[means["surrogate"] == "forest"][PAPER_COLUMN].isna().all()
    lines = latex(means).splitlines()
    assert lines[2].count(r"\rho_{") == 7
    assert [line.split(" & ")[0] for line in lines[5:-2]] in (
        ["forest", "mlp", "mlp (paper, unchecked)"],
        ["mlp", "forest", "mlp (paper, unchecked)"],
    )
    assert lines[-3].split(" & ")[1:4] == ["0.938", "0.113", "0.857"]
    assert "paper" not in latex(means[means["surrogate"] == "forest"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"surrogates": ("tree",)}, "unknown surrogate 'tree'; choose from boosting"),
        ({"cells": 1}, "at least 2 cells, 1 trial and a top of 1"),
        ({"trials": 0}, "trials=0"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidStudy, match=message):
        Protocol(**settings)  # type: ignore[arg-type]


# the commands


def test_score_predictors_writes_its_tables(toy_file: Path, tmp_path: Path) -> None:
    command = ["score", "predictors", "-t", str(toy_file), "-o", str(tmp_path), "--surrogates", "forest"]
    done = CliRunner().invoke(app, [*command, "--cells", "30", "--trials", "1", "-j", "1"])
    assert done.exit_code == 0, done.output
    rows = pd.read_parquet(tmp_path / "trials.parquet")
    assert set(rows["tested"]) == {"fit", "same", "larger"}
    assert set(rows["dataset"]) == {"toy"}
    assert (tmp_path / "predictors.tex").read_text().startswith(r"\begin{tabular}")
    assert len(pd.read_csv(tmp_path / "predictors.csv")) == len(rows)


def test_score_efficiency_compares_two_results_folders(toy_file: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    shared = ["-t", str(toy_file), "-n", "4", "-j", "1"]
    for name, searcher, budget in (("ours", "pnas:surrogate=forest", "60"), ("rivals", "random", "600")):
        made = runner.invoke(app, ["search", searcher, *shared, "-b", budget, "-o", str(tmp_path / name)])
        assert made.exit_code == 0, made.output
    folders = [str(tmp_path / name) for name in ("ours", "rivals")]
    command = ["score", "efficiency", *folders, "-o", str(tmp_path / "out"), "--at"]
    done = runner.invoke(app, [*command, "99"])
    assert "give fewer with --at" in str(done.exception)
    assert not (tmp_path / "out").exists()
    done = runner.invoke(app, [*command, "30,60"])
    assert done.exit_code == 0, done.output
    lines = pd.read_csv(tmp_path / "out" / "efficiency.csv")
    last = lines[lines["evaluations"] == 60].set_index("target")
    assert last.index.tolist() == ["top 1", "top 5", "top 25", "reported", "answer"]
    assert (last.loc["top 1":"top 25", "speed_up"] > 3).all()
    assert pd.read_csv(tmp_path / "out" / "answers.csv")["queries"].tolist() == [30, 60]
    assert "5,808" in (tmp_path / "out" / "efficiency.tex").read_text()


def test_a_search_that_is_refused_leaves_no_result_file(toy_file: Path, tmp_path: Path) -> None:
    command = [
        "search",
        "pnas",
        "-t",
        str(toy_file),
        "-n",
        "2",
        "-b",
        "3",
        "-j",
        "1",
        "-o",
        str(tmp_path / "o"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    assert "less than the 4 queries" in str(done.exception)
    assert not list((tmp_path / "o").glob("*.parquet"))
    assert not list((tmp_path / "o").glob(".partial-*"))


def test_an_empty_results_folder_is_told(tmp_path: Path) -> None:
    settings = {"table": "t", "table_sha256": "", "limits": "", "datasets": ["a"], "seeds": 1, "budget": "5"}
    write_json(tmp_path / "campaign.json", Settings.model_validate(settings))
    done = CliRunner().invoke(app, ["score", "efficiency", str(tmp_path), str(tmp_path)])
    assert "has no result files" in str(done.exception)


@pytest.mark.parametrize("options", [("--at", "0"), ("--at", "9,-1"), ("--seed", "-1")])
def test_evaluations_and_seeds_that_cannot_be_are_refused(options: tuple[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["score", "efficiency", str(tmp_path), str(tmp_path), *options])
    assert isinstance(done.exception, (SystemExit, NasgaugeError))
