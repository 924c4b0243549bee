"""From proxy scores to tables and figures of their agreement with accuracy; kappa and regions at several settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasgauge.analysis.results.agreement import between_draws, frame, latex, page, tables
from nasgauge.analysis.statistics.agreement import Draws, agreement
from nasgauge.analysis.statistics.correlation import kendall
from nasgauge.cli import main
from nasgauge.data.images import made_up
from nasgauge.data.sources import open_table
from nasgauge.harness.proxies.score_files import Recipe, Score, UnfitScores, write
from nasgauge.harness.proxies.scores import classes, members
from nasgauge.harness.proxies.sizes import Plan, Value, measure
from nasgauge.harness.proxies.sizes import read as read_settings
from nasgauge.spaces.nb201 import NB201
from nasgauge.studies.agreement import RANK_SUM, draws_of, redrawn
from nasgauge.studies.settings import settings

# --- from scores to tables


def _scores(count: int, crossed: int) -> list[Score]:
    """Made-up scores of the first classes, with draws as they ship; kappa and regions know the accuracy, naswot not."""
    rng = np.random.default_rng(0)
    accuracy = open_table("nb201").column(open_table("nb201").view("cifar10").report)
    found = []
    for place, rank in enumerate(classes()[:count]):
        both = {(0, 0), (0, 1), (1, 0), (1, 1)} if place < crossed else {(0, 0)}
        for name in ("kappa", "regions", "naswot"):
            for draw in sorted(both if name == "naswot" else both | {(1, 1), (2, 2)}):
                value = accuracy[rank] + rng.normal()
                if name == "kappa":
                    value = -np.exp(10 - value / 10)
                found.append(Score(rank, name, *draw, rng.normal() if name == "naswot" else value, "", 0.5))
        for cell in members()[rank]:  # one proxy of every cell
            found.append(Score(cell, "l2_norm", 0, 0, accuracy[cell], "", 0.5))
    return found


def test_two_draws_of_a_score_are_compared_where_they_are_crossed() -> None:
    """Of made-up scores of which naswot is noise; the three repeats of kappa on all classes are not crossed."""
    found = {
        (row.proxy, row.other): row for row in redrawn(_scores(60, 30), np.random.default_rng(0), count=50)
    }
    assert {proxy for proxy, _ in found} == {"kappa", "regions", RANK_SUM, "naswot"}
    assert {row.classes for row in found.values()} == {30}
    assert [found["naswot", other].pairs for other in ("images", "weights", "weights and images")] == [2] * 3
    assert abs(found["naswot", "images"].tau) < 0.25 < found["regions", "images"].tau
    table = between_draws(found.values())
    assert list(table.columns) == ["proxy", "classes", "other images", "other weights", "both"]
    assert table["proxy"].iloc[-1] == "naswot"
    row = found["regions", "weights"]
    shown = table.set_index("proxy").loc["regions", "other weights"]
    assert shown == f"{row.tau:.3f} [{row.low:.3f}, {row.high:.3f}]"


def test_cells_share_the_score_of_their_class_but_for_proxies_of_every_cell() -> None:
    (every, sizes), (scored, proxies) = draws_of(_scores(20, 5))
    assert every.all()
    assert {proxy.name for proxy in sizes} == {"flops", "params"}
    cells = np.concatenate([members()[rank] for rank in classes()[:20]])
    assert set(np.flatnonzero(scored)) == set(cells.tolist())
    by_name = {(proxy.name, proxy.values.shape[:2]): proxy.at(cells) for proxy in proxies}
    assert by_name.keys() == {
        ("kappa", (3, 1)), ("kappa", (2, 2)), ("regions", (3, 1)), ("regions", (2, 2)), (RANK_SUM, (3, 1)),
        (RANK_SUM, (2, 2)), ("naswot", (2, 2)), ("l2_norm", (1, 1)),
    }  # fmt: skip
    big = next(rank for rank in classes()[:20] if len(members()[rank]) > 1)
    own = np.isin(cells, members()[big])
    assert len(set(by_name["kappa", (3, 1)].values[0, 0, own])) == 1
    accuracy = open_table("nb201").column(open_table("nb201").view("cifar10").report)
    assert by_name["l2_norm", (1, 1)].values[0, 0, own].tolist() == accuracy[cells[own]].tolist()
    assert by_name["naswot", (2, 2)].everywhere.tolist() == [[True, False], [False, False]]
    repeated = by_name["kappa", (2, 2)].repeated
    assert set(cells[repeated]) == {cell for rank in classes()[:5] for cell in members()[rank]}


def test_each_proxy_is_measured_on_the_cells_that_it_was_scored_on() -> None:
    few = {rank for first in classes()[:10] for rank in (first, *members()[first])}
    scores = [score for score in _scores(20, 5) if score.proxy != "naswot" or score.rank in few]
    _, (most, proxies), (fewer, (naswot,)) = draws_of(scores)
    assert naswot.name == "naswot"
    assert set(np.flatnonzero(fewer)) == few < set(np.flatnonzero(most))
    assert {proxy.name for proxy in proxies} == {"kappa", "regions", RANK_SUM, "l2_norm"}
    with pytest.raises(UnfitScores, match="no scores of proxies"):
        draws_of([Score(0, "flops", 0, 0, 1.0, "", 0.1)])


def test_no_interval_leaves_what_a_figure_can_be() -> None:
    """One draw ranks all cells right and the other all wrong: so far apart, two draws make a wide interval."""
    truth = np.arange(200.0)
    draws = Draws("naswot", np.stack([truth, -truth])[:, None])
    found = agreement(
        [draws], {"cifar10": truth}, np.zeros(200), np.arange(200), np.random.default_rng(0), count=40
    )
    ends = {row.measure: (row.low, row.high) for row in found if row.draws == 1}
    assert ends["precision_10"] == (0, 1)
    assert ends["tau"] == (-1, 1)


def test_the_command_writes_tables_and_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "scores.parquet", _scores(40, 30), Recipe(images="made up"))
    arguments = ["--scores", str(tmp_path / "scores.parquet"), "--out", str(tmp_path), "--resamples", "20"]
    arguments += ["--over", "classes"]
    monkeypatch.setattr("sys.argv", ["nasgauge", "score", "agreement", *arguments])
    with pytest.raises(SystemExit, match="0"):
        main()
    said = capsys.readouterr().out
    assert "Kendall's tau with test accuracy, over classes" in said
    assert "images='made up'" in (tmp_path / "agreement.md").read_text()
    kept = pd.read_csv(tmp_path / "agreement.csv")
    tau = kept[(kept["dataset"] == "cifar10") & (kept["measure"] == "tau")]
    value = tau.set_index(["proxy", "cells", "draws"])["value"]
    assert value["kappa", 40, 3] > value["kappa", 40, 1] > value["naswot", 40, 1]
    assert value["kappa", 30, 4] > value["kappa", 30, 1]
    assert value["one training", 6466, 1] > 0.8 > value["flops", 6466, 1] > 0.5
    assert (tau["low"] <= tau["value"]).mean() > 0.9
    assert kept[kept["proxy"] == "kappa"]["seconds"].tolist()[0] == 0.5
    assert r"given FLOPs" in (tmp_path / "agreement.tex").read_text()
    assert (tmp_path / "agreement.pdf").stat().st_size > 5000


def test_published_figures_stand_beside_ours_with_their_conditions() -> None:
    rng = np.random.default_rng(0)
    truth = {"cifar10": rng.normal(size=60), "cifar100": rng.normal(size=60)}
    kappa = Draws("kappa", -np.exp(rng.normal(size=(3, 1, 60))), geometric=True)
    snip = Draws("snip", truth["cifar10"][None, None])
    rows = agreement([kappa, snip], truth, np.ones(60), np.arange(60), rng, over="cells", count=20)
    found = tables(frame(rows, {"snip": 0.5}))
    beside: Any = found["Published figures beside ours"].set_index(["proxy", "dataset", "measure"])
    unstated = beside.loc[("kappa", "cifar100", "tau")]
    assert unstated["published"] == "0.420"
    assert unstated["mean of draws"].startswith(
        f"{kendall(kappa.averaged(np.ones((3, 1), bool)), truth['cifar100']):.3f} ["
    )
    assert beside.loc[("snip", "cifar10", "Spearman"), "one draw"].startswith("1.000")
    assert beside.loc[("snip", "ImageNet16-120", "Spearman"), "one draw"] == ""
    assert beside["conditions"].str.len().min() > 10
    text = page(found, ["a note"])
    assert "| snip | 1 | 60 | 1.000" in text
    assert "a note" in text
    assert r"tau, best 10 \%" in latex(found)
    assert r"kappa & 3 & 60 &" in latex(found)


# --- batch size and repeats


def test_settings_resume_and_refuse_another_plan(tmp_path: Path) -> None:
    images = made_up(20, np.random.default_rng(0))
    plan = Plan(images_md5=images.md5(), batches=(2, 4), samples=(20,), repeats=2)
    path = tmp_path / "settings.parquet"
    for done in measure(classes()[:3], images, plan, path):
        assert done[1] == 3
        if done[0] == 2:
            break
    first = read_settings(path, plan)
    assert list(measure(classes()[:3], images, plan, path)) == [(1, 3), (2, 3), (3, 3)]
    kept = read_settings(path, plan)
    assert kept[: len(first)] == first
    assert len(kept) == 3 * 2 * 3
    with pytest.raises(UnfitScores, match=r'"repeats": 2.*"repeats": 3'):
        list(measure(classes()[:3], images, replace(plan, repeats=3), path))
    path.write_bytes(b"PAR1")
    with pytest.raises(UnfitScores, match="not a file of kappa and regions"):
        read_settings(path)


def test_the_mean_of_repeats_ranks_better_than_one() -> None:
    rng = np.random.default_rng(2)
    truth = np.zeros(len(NB201()))
    ranks = classes()[:60]
    truth[list(ranks)] = np.linspace(0, 3, 60)
    values = [
        Value(rank, proxy, 8, repeat, -np.exp(-score) if proxy == "kappa" else score, 0.25)
        for rank in ranks
        for proxy in ("kappa", "regions")
        for repeat in range(3)
        for score in (truth[rank] + 0.8 * rng.normal(),)
    ]
    found = {(row.proxy, row.averaged): row for row in settings(values, {"toy": truth}, rng, count=50)}
    for proxy in ("kappa", "regions"):
        taus = [found[proxy, averaged].tau for averaged in (1, 2, 3)]
        assert taus == sorted(taus)
        assert found[proxy, 1].low < taus[0] < found[proxy, 1].high
    assert found["kappa", 3].seconds == pytest.approx(0.75)
    scores = np.array([[v.value for v in values if (v.proxy, v.repeat) == ("kappa", r)] for r in range(3)])
    mean = -np.exp(np.log(-scores).mean(axis=0))
    assert found["kappa", 3].tau == pytest.approx(kendall(mean, truth[list(ranks)]))


@pytest.mark.parametrize(("name", "repeats"), [("naswot", 0), ("kappa", 3)])
def test_crossed_draws_of_all_cells_are_shown_once_and_as_crossed(name: str, repeats: int) -> None:
    draws = {(w, b) for w in range(2) for b in range(2)} | {(r, r) for r in range(repeats)}
    scores = [Score(rank, name, *draw, -1.0 - rank, "", 0.1) for rank in classes()[:60] for draw in draws]
    found = [each.values.shape[:2] for _, group in draws_of(scores) for each in group if each.name == name]
    assert found == [(2, 2)]
