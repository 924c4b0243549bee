"""A whole report: every figure with its numbers, and bad input drawn for what is there."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_regressions.dataframe_regression import DataFrameRegressionFixture

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.report.glossary import GLOSSARY
from nasgauge.analysis.report.report import Report, report
from nasgauge.analysis.report.studies import Extras, extra_sections
from nasgauge.analysis.results.campaign import NoResults, load
from nasgauge.analysis.statistics.curves import UnknownCost
from nasgauge.cli.studies import UnreadableStudy, gather
from nasgauge.harness.records.results import OtherCampaign, Unit
from nasgauge.harness.records.steps import gather as steps_of
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
    stems = (
        "efficiency-toy",
        "regret-second",
        "top-toy",
        "profile",
        "iqm",
        "operations-toy",
        "significance-toy",
    )
    for stem in stems:
        assert {f"{stem}.pdf", f"{stem}.png", f"{stem}.csv"} <= names
    for stem in ("final", "recommended", "reach", "comparisons", "cells", "runs"):
        assert {f"{stem}.csv", f"{stem}.md"} <= names
        assert f"{stem}.tex" not in names, "a long diagnostic table is no table for a paper"
    for stem in ("paper", "ranking", "together", "beside-tenas"):
        assert {f"{stem}.csv", f"{stem}.md", f"{stem}.tex"} <= names
    assert all(path.is_file() for path in made.files)
    page = made.page.read_text()
    assert all(f'href="{name}"' in page for name in names - {"report.html"})


@pytest.mark.parametrize(
    "name",
    ["final", "recommended", "comparisons", "together", "reach", "efficiency-second", "regret-toy"],
)
def test_the_numbers_behind_the_figures(
    made: Report, name: str, dataframe_regression: DataFrameRegressionFixture
) -> None:
    numbers = pd.read_csv(made.page.parent / f"{name}.csv").replace(np.inf, 1e99)
    dataframe_regression.check(numbers, default_tolerance={"rtol": 1e-4, "atol": 1e-8})


def test_the_curve_in_the_file_is_the_mean_over_runs_of_the_incumbents(made: Report) -> None:
    runs = load(made.page.parents[1]).runs["second", "local"]
    curve = pd.read_csv(made.page.parent / "efficiency-second.csv")
    assert curve["local mean"].iloc[-1] == pytest.approx(runs.final.mean(), rel=1e-5)
    assert (curve["local low"] <= curve["local mean"] + 1e-9).all()


def test_a_report_of_the_same_folder_has_the_same_bytes(made: Report) -> None:
    before = {path: path.read_bytes() for path in made.files if path.suffix in (".csv", ".md", ".tex")}
    report(made.page.parents[1], figures=False)
    assert {path: path.read_bytes() for path in before} == before


def test_figures_have_the_same_bytes_from_other_processes(made: Report) -> None:
    before = {path: path.read_bytes() for path in made.files if path.suffix in (".pdf", ".png")}
    assert len(before) / 2 > 8, "fewer are rendered in this process"
    report(made.page.parents[1], workers=2)
    assert {path: path.read_bytes() for path in before} == before


def test_the_summary_gives_the_highest_mean_and_its_comparison(made: Report) -> None:
    assert len(made.verdicts) == 2
    assert all("Holm-corrected p" in text and "95 % interval" in text for text in made.verdicts)
    assert all("Vargha-Delaney A12" in text and "n = 12" in text for text in made.verdicts)
    page = made.page.read_text()
    assert "No test over datasets: with 2 datasets and 3 searchers" in page
    assert "computed, not trained" in page  # the table's limits


def test_every_table_and_caption_counts_the_runs_that_are_there(made: Report) -> None:
    assert made.notes == ("local on second: 10 of 12 runs",)
    pairs = pd.read_csv(made.page.parent / "comparisons.csv")
    counts = {
        (row["dataset"], row[name]): row[count]
        for row in pairs.to_dict("records")
        for name, count in (("searcher", "n"), ("against", "n against"))
    }
    assert counts.pop(("second", "local")) == 10
    assert set(counts.values()) == {12}
    for name in ("final", "recommended", "reach", "runs"):
        frame = pd.read_csv(made.page.parent / f"{name}.csv")
        missing = (frame["dataset"] == "second") & (frame["searcher"] == "local")
        assert set(frame["n"][missing]) == {10}
        assert set(frame["n"][~missing]) == {12}
    page = made.page.read_text()
    assert "second, table " in page
    assert "n = 12 (local 10)" in page


def test_both_rules_stand_beside_each_other_for_every_searcher(made: Report, copy: Path) -> None:
    final = made.final.frame
    assert np.isfinite(final[["incumbent", "smoothed"]].to_numpy()).all()
    assert final["mean"].tolist() == final["incumbent"].tolist()
    smoothed = report(copy, recommend="smoothed", figures=False)
    other = smoothed.final.frame
    assert other["mean"].tolist() == other["smoothed"].tolist()
    key = ["dataset", "searcher"]
    both = final.merge(other, on=key)
    assert both["smoothed_x"].tolist() == both["smoothed_y"].tolist()
    assert (both["mean_x"] != both["mean_y"]).any()
    table = pd.read_csv(copy / "report" / "recommended.csv")
    assert sorted(set(table["queries"])) == [8, 15, 30]
    assert table["own"].isna().all(), "none of these searchers records its own"


def test_a_seed_in_two_files_counts_once_and_a_searcher_without_runs_is_listed(copy: Path) -> None:
    record = read(copy / FIRST)
    again = record.steps.seed >= 5
    rows = {name: values[again] for name, values in vars(record.steps).items() if name != "cells"}
    half = record.header.model_copy(update={"seeds": (5, 9), "digest": ""})
    write(copy / Unit("random", "toy", 5, 9).file, half, replace(record.steps, **rows))
    before = load(copy)
    assert "random on toy: 5 seeds are in two files; the first file of each is used" in before.notes
    assert before.runs["toy", "random"].seeds.tolist() == list(range(12))
    for path in copy.glob("local@toy@*.parquet"):
        record = read(path)
        write(
            path, record.header.model_copy(update={"digest": ""}), steps_of([(seed, []) for seed in range(3)])
        )
    found = report(copy, figures=False)
    assert "local on toy: no runs" in found.notes
    table = found.final.frame
    row = table[(table["dataset"] == "toy") & (table["searcher"] == "local")].iloc[0]
    assert row["n"] == 0
    assert np.isnan(row["mean"])
    assert "no runs" in found.final.markdown
    assert np.isfinite(table["mean"]).sum() == len(table) - 1


def test_runs_of_one_query_are_flat_and_fewer_than_ten_have_no_p_value(copy: Path) -> None:
    for path in copy.glob("local@*.parquet"):
        record = read(path)
        kept = (record.steps.query == 1) & (record.steps.seed < 4)
        rows = {name: values[kept] for name, values in vars(record.steps).items() if name != "cells"}
        write(path, record.header.model_copy(update={"digest": ""}), replace(record.steps, **rows))
    found = report(copy, figures=False)
    row = found.final.frame[found.final.frame["searcher"] == "local"].iloc[0]
    assert row["n"] == 4
    assert np.isnan(row["p"])
    line = next(text for text in found.final.markdown.splitlines() if "local" in text)
    assert "n < 10" in line
    curve = pd.read_csv(found.page.parent / "efficiency-toy.csv")["local mean"]
    assert curve.notna().all()
    assert curve.nunique() == 1
    reach = pd.read_csv(found.page.parent / "reach.csv")
    assert reach[reach["searcher"] == "local"]["to match random"].tolist() == [np.inf, np.inf]


def test_the_family_of_tests_is_the_table(made: Report) -> None:
    for name in ("final", "comparisons"):
        page = (made.page.parent / f"{name}.md").read_text()
        tests = pd.read_csv(made.page.parent / f"{name}.csv")["p"].notna().sum()
        assert f"Holm over the {tests} tests of this table" in page.replace("\n", " ")


def test_the_page_ends_with_a_glossary_and_uses_no_retired_words(made: Report) -> None:
    page = made.page.read_text()
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert body.index('<section id="glossary">') > body.index('id="provenance"')
    assert body.count("<dt>", body.index('<section id="glossary">')) == len(GLOSSARY)
    assert "Statistical comparison" in body
    for word in ("leader", "signal", "Mind:", "How sure", "paired by seed, with", "yardstick", "-0.00"):
        assert word not in re.sub(r"runs are not paired by seed|search metric \S+", "", body), word


def test_a_damaged_file_is_named_and_the_rest_is_drawn(copy: Path) -> None:
    (copy / FIRST).write_bytes((copy / FIRST).read_bytes()[:200])
    found = report(copy, figures=False)
    assert any(FIRST in note and "damaged" in note for note in found.notes)
    assert "random on toy: 2 of 12 runs" in found.notes
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
    assert any("1 steps have no search metric" in note for note in found.notes)
    assert any("1 runs with an incumbent without reported accuracy" in note for note in found.notes)
    final = found.final.frame
    row = final[(final["searcher"] == "random") & (final["dataset"] == "toy")].iloc[0]
    assert row["n"] == 11
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
    assert any("one run, so no interval can be given" in note for note in found.notes)
    assert found.final.frame["low"].isna().all()
    assert "one run is too few to compare it with" in found.verdicts[0]
    assert "no interval can be given" in found.page.read_text()


def test_an_interrupted_campaign_is_drawn_for_what_is_there(copy: Path) -> None:
    for path in copy.glob("*@second@*.parquet"):
        path.unlink()
    found = report(copy, figures=False)
    assert found.final.frame["dataset"].unique().tolist() == ["toy"]


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
    shipped = SearchFile.read(SHIPPED)
    first = shipped.by_seed("released-paper-settings")[0]
    path = tmp_path / "searches.json"
    path.write_text(shipped.model_copy(update={"searches": (first,)}).to_json())
    return path


def test_studies_join_the_page(copy: Path, score_file: Path, search_file: Path, tmp_path: Path) -> None:
    trials = pd.DataFrame(
        [
            ("mlp", b, n, "larger", b / 10 + n / 500 + t / 50)
            for b in (1, 3)
            for n in (16, 64)
            for t in range(5)
        ],
        columns=["surrogate", "size", "fitted", "tested", "kendall"],
    )
    files = [tmp_path / dataset / "trials.parquet" for dataset in ("cifar10", "cifar100")]
    for file in files:  # files of before have no dataset, but their own folder
        file.parent.mkdir()
        trials.to_parquet(file)
    extras = gather(copy, str(score_file), ",".join(map(str, files)), str(search_file))
    found = report(copy, extras=extras, figures=False)
    ranks = pd.read_csv(copy / "report" / "ranks.csv")
    assert set(ranks["score"]) == {"kappa", "regions", "rank sum", "flops", "params"}
    kappa = ranks[(ranks["score"] == "kappa") & (ranks["dataset"] == "toy")].iloc[0]
    assert (kappa["cells"], kappa["undefined"]) == (249, 1)
    assert kappa["low"] < kappa["tau"] < kappa["high"]
    assert kappa["tau"] > 0.2
    names = {path.name for path in found.files}
    assert {
        "tau-by-dataset.csv",
        "ranks-second-flops.csv",
        "pruning-released-paper-settings-seed-0.csv",
    } <= names
    drawn: list[Path] = []
    one = replace(extras, ranks=extras.ranks[:1])
    extra_sections(one, Inks(tmp_path), np.random.default_rng(0), drawn)
    names = {path.name for path in drawn if path.read_bytes()}
    assert {"tau-toy.pdf", "ranks-toy-rank-sum.png", "tau-between.pdf", "preference-toy.pdf"} <= names
    sizes = pd.read_csv(tmp_path / "surrogates-cifar100-larger.csv")
    assert sizes[["size", "fitted", "repeats"]].to_numpy().tolist() == [
        [size, fitted, 5] for size in (1, 3) for fitted in (16, 64)
    ]
    assert {"surrogates-cifar10-larger.png", "pruning-released-paper-settings-seed-0.pdf"} <= names
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
