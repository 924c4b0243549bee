"""A whole report: every figure with its numbers, and bad input drawn for what is there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_regressions.dataframe_regression import DataFrameRegressionFixture

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.report.report import Report, report
from nasgauge.analysis.report.studies import Extras, extra_sections
from nasgauge.analysis.results.campaign import NoResults, load
from nasgauge.analysis.statistics.curves import UnknownCost
from nasgauge.cli.studies import UnreadableStudy, gather
from nasgauge.harness.records.results import OtherCampaign, Unit
from nasgauge.harness.records.steps import read, write
from nasgauge.searchers.tenas import SHIPPED, SearchFile
from nasgauge.spaces.nb201 import NB201

FIRST = Unit("random", "toy", 0, 9).file


@pytest.fixture(scope="module")
def made(campaign_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("made") / "out"
    shutil.copytree(campaign_folder, folder)
    return report(folder)


@pytest.fixture
def copy(campaign_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(campaign_folder, tmp_path / "out")
    return tmp_path / "out"


def test_every_figure_has_a_pdf_a_png_and_the_csv_behind_it(made: Report) -> None:
    names = {path.name for path in made.files}
    for stem in ("efficiency-toy", "regret-second", "top-toy", "profile", "iqm", "operations-toy"):
        assert {f"{stem}.pdf", f"{stem}.png", f"{stem}.csv"} <= names
    for stem in ("final", "reach", "comparisons", "together", "cells", "beside-tenas", "runs"):
        assert {f"{stem}.csv", f"{stem}.md", f"{stem}.tex"} <= names
    assert all(path.is_file() for path in made.files)
    page = made.page.read_text()
    assert all(f'href="{name}"' in page for name in names - {"report.html"})


@pytest.mark.parametrize(
    "name", ["final", "comparisons", "together", "reach", "efficiency-second", "regret-toy"]
)
def test_the_numbers_behind_the_figures(
    made: Report, name: str, dataframe_regression: DataFrameRegressionFixture
) -> None:
    numbers = pd.read_csv(made.page.parent / f"{name}.csv").replace(np.inf, 1e99)
    dataframe_regression.check(numbers, default_tolerance={"rtol": 1e-4, "atol": 1e-8})


def test_the_curve_in_the_file_is_the_mean_over_runs_of_the_leaders(made: Report) -> None:
    runs = load(made.page.parents[1]).runs["second", "local"]
    curve = pd.read_csv(made.page.parent / "efficiency-second.csv")
    assert curve["local mean"].iloc[-1] == pytest.approx(runs.final.mean(), rel=1e-5)
    assert (curve["local low"] <= curve["local mean"] + 1e-9).all()


def test_a_report_of_the_same_folder_has_the_same_bytes(made: Report) -> None:
    before = {path: path.read_bytes() for path in made.files if path.suffix in (".csv", ".md", ".tex")}
    report(made.page.parents[1], figures=False)
    assert {path: path.read_bytes() for path in before} == before


def test_the_summary_says_who_won_and_how_sure_that_is(made: Report) -> None:
    assert len(made.verdicts) == 2
    assert all("Holm-corrected p" in text and "95 % interval" in text for text in made.verdicts)
    page = made.page.read_text()
    assert "No critical-difference diagram: with 2 datasets and 3 searchers" in page
    assert "computed, not trained" in page  # the table's limits


def test_missing_seeds_are_told_and_pairs_made_of_what_both_have(made: Report) -> None:
    assert made.notes == ("local on second has 10 of 12 seeds",)
    pairs = pd.read_csv(made.page.parent / "comparisons.csv")
    second = pairs[
        (pairs["dataset"] == "second") & ((pairs["searcher"] == "local") | (pairs["against"] == "local"))
    ]
    assert (second["pairs"] == 10).all()
    assert (pairs[pairs["dataset"] == "toy"]["pairs"] == 12).all()


def test_a_damaged_file_is_named_and_the_rest_is_drawn(copy: Path) -> None:
    (copy / FIRST).write_bytes((copy / FIRST).read_bytes()[:200])
    found = report(copy, figures=False)
    assert any(FIRST in note and "damaged" in note for note in found.notes)
    assert "random on toy has 2 of 12 seeds" in found.notes
    assert FIRST in found.page.read_text()


def test_a_file_of_another_table_is_left_out_and_named(copy: Path) -> None:
    record = read(copy / FIRST)
    write(copy / FIRST, record.header.model_copy(update={"table_sha256": "0" * 64}), record.steps)
    assert any("belongs to another campaign" in note for note in load(copy).notes)


def test_steps_without_accuracy_are_told_and_do_not_spoil_the_means(copy: Path) -> None:
    record = read(copy / FIRST)
    test = record.steps.test.copy()
    test[record.steps.seed == 3] = np.nan
    validation = record.steps.validation.copy()
    validation[5] = np.nan
    steps = replace(record.steps, test=test, validation=validation)
    write(copy / FIRST, record.header.model_copy(update={"digest": ""}), steps)
    found = report(copy, figures=False)
    assert any("1 steps without a validation accuracy" in note for note in found.notes)
    assert any("1 runs with a leader without reported accuracy" in note for note in found.notes)
    row = found.final[(found.final["searcher"] == "random") & (found.final["dataset"] == "toy")].iloc[0]
    assert row["runs"] == 11
    assert np.isfinite(row["mean"])
    curve = pd.read_csv(copy / "report" / "efficiency-toy.csv")
    assert np.isfinite(curve["random mean"]).any()


def test_one_seed_has_no_interval_and_the_page_says_why(copy: Path) -> None:
    for path in copy.glob("*.parquet"):
        record = read(path)
        if record.header.searcher == "local" and record.header.seeds == (0, 9):
            path.unlink()
            continue
        if record.header.seeds == (0, 9):
            path.unlink()
            continue
        kept = record.steps.seed == 10
        steps = replace(
            record.steps,
            **{
                name: getattr(record.steps, name)[kept]
                for name in vars(record.steps)
                if isinstance(getattr(record.steps, name), np.ndarray)
            },
        )
        write(path, record.header.model_copy(update={"digest": ""}), steps)
    found = report(copy, figures=False)
    assert any("one seed: no interval can be given" in note for note in found.notes)
    assert found.final["low"].isna().all()
    assert "one run is too few to say how sure that is" in found.verdicts[0]
    assert "no interval can be given" in found.page.read_text()


def test_an_interrupted_campaign_is_drawn_for_what_is_there(copy: Path) -> None:
    for path in copy.glob("*@second@*.parquet"):
        path.unlink()
    found = report(copy, figures=False)
    assert "random on second has no readable run" in found.notes
    assert found.final["dataset"].unique().tolist() == ["toy"]


def test_an_empty_folder_is_an_error(copy: Path, tmp_path: Path) -> None:
    for path in copy.glob("*.parquet"):
        path.unlink()
    with pytest.raises(NoResults, match="no readable result file"):
        report(copy, figures=False)
    with pytest.raises(OtherCampaign, match="holds no campaign"):
        report(tmp_path / "nowhere")


def test_other_clocks_and_averages(copy: Path) -> None:
    found = report(copy, clock="overhead", average="median", figures=False)
    assert (found.page.parent / "regret-toy-overhead.csv").is_file()
    assert "evolution:population=10 median" in pd.read_csv(found.page.parent / "efficiency-toy-overhead.csv")
    settings = json.loads(found.page.read_text().partition('id="data">')[2].partition("</script>")[0])
    chart = next(chart for chart in settings["charts"] if chart["kind"] == "efficiency")
    assert "queries" in chart["clocks"], "the page has every clock that is known"


def test_a_clock_that_the_table_does_not_know_is_an_error(copy: Path) -> None:
    for path in copy.glob("*.parquet"):
        record = read(path)
        steps = replace(record.steps, seconds=np.full(len(record.steps.seed), np.nan))
        write(path, record.header.model_copy(update={"digest": ""}), steps)
    with pytest.raises(UnknownCost, match="what a query costs in seconds"):
        report(copy, clock="seconds", figures=False)


@pytest.fixture
def score_file(tmp_path: Path) -> Path:
    """As scores of proxies are kept: some repeats, one undefined."""
    rng = np.random.default_rng(0)
    space = NB201()
    rows = []
    for rank in rng.choice(15_625, size=250, replace=False).tolist():
        threes = space[rank].ops.count("nor_conv_3x3")
        for repeat in range(2):
            rows.append((rank, "kappa", repeat, -float(np.exp(3 - threes + rng.normal()))))
            rows.append((rank, "regions", repeat, threes + rng.normal()))
    rows[0] = (*rows[0][:3], np.nan)
    frame = pd.DataFrame(rows, columns=["rank", "proxy", "repeat", "value"])
    frame.to_parquet(tmp_path / "scores.parquet", index=False)
    return tmp_path / "scores.parquet"


@pytest.fixture
def search_file(tmp_path: Path) -> Path:
    first = {"searches": SearchFile.read(SHIPPED).searches[:1]}
    path = tmp_path / "searches.json"
    path.write_text(SearchFile.read(SHIPPED).model_copy(update=first).to_json())
    return path


def test_studies_join_the_page(copy: Path, score_file: Path, search_file: Path, tmp_path: Path) -> None:
    trials = pd.DataFrame(
        [("mlp", n, "larger", 0.3 + n / 500 + t / 50) for n in (16, 64) for t in range(5)],
        columns=["surrogate", "fitted", "tested", "kendall"],
    )
    trials.to_parquet(tmp_path / "trials.parquet")
    extras = gather(copy, str(score_file), str(tmp_path / "trials.parquet"), str(search_file))
    found = report(copy, extras=extras, figures=False)
    ranks = pd.read_csv(copy / "report" / "ranks.csv")
    assert set(ranks["score"]) == {"kappa", "regions", "rank sum", "flops", "params"}
    kappa = ranks[(ranks["score"] == "kappa") & (ranks["dataset"] == "toy")].iloc[0]
    assert (kappa["cells"], kappa["undefined"]) == (249, 1)
    assert kappa["low"] < kappa["tau"] < kappa["high"]
    assert kappa["tau"] > 0.2
    names = {path.name for path in found.files}
    assert {"tau-by-dataset.csv", "ranks-second-flops.csv", "pruning-paper-settings-seed-0.csv"} <= names
    drawn: list[Path] = []
    one = replace(extras, ranks=extras.ranks[:1])
    extra_sections(one, Inks(tmp_path), np.random.default_rng(0), drawn)
    names = {path.name for path in drawn if path.read_bytes()}
    assert {"tau-toy.pdf", "ranks-toy-rank-sum.png", "tau-between.pdf", "preference-toy.pdf"} <= names
    assert {"surrogates-larger.png", "pruning-paper-settings-seed-0.pdf"} <= names
    page = found.page.read_text()
    assert "the noise ceiling is unknown" in page
    assert "after round 3" in page


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("scores.parquet", "", "is not a .parquet or .csv table"),
        ("scores.csv", "a,b\n1,2\n", "has no column cell or rank"),
        ("scores.csv", "cell,kappa\n|x|,2\n", "malformed cell"),
        ("scores.csv", "rank,kappa\n1,good\n", "has no column of numbers"),
        ("gone.csv", None, "there is no file"),
    ],
)
def test_files_that_hold_no_scores_are_one_line(
    campaign_folder: Path, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableStudy, match=says):
        gather(campaign_folder, str(tmp_path / name), "", "")


def test_no_study_is_no_section(campaign_folder: Path) -> None:
    assert gather(campaign_folder, "", "", "") == Extras()
