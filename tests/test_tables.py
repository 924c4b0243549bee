"""Tables and names: what is printed, what is escaped, and that LaTeX with booktabs alone compiles it."""

import csv
import json
import math
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.report.report import report
from nasgauge.analysis.results.campaign import Campaign, load
from nasgauge.analysis.results.files import MADE, NotOurFolder, save_csv
from nasgauge.analysis.results.names import dataset_name, printable, searcher_names, shortened, slug
from nasgauge.analysis.results.paper import UnknownSearcher, paper_table, ranking
from nasgauge.analysis.results.recommendations import Finals, finals, recommendations
from nasgauge.analysis.results.summary import comparison_table, final_table
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.results.verdicts import verdicts
from nasgauge.analysis.statistics.comparisons import (
    corrected_interval,
    difference_interval,
    letters,
    one_sample_p,
)
from nasgauge.analysis.statistics.runs import sd
from nasgauge.harness.records.results import Unit
from nasgauge.harness.records.steps import read, write
from nasgauge.spaces.checksums import opened, sealed

NASTY = '$x_1 & 50% #{}~^\\ [y] *z* "q" <b> | ± ≥ † `t`'


def ends_of(campaign: Campaign) -> Finals:
    return finals(recommendations(campaign), "incumbent")


@pytest.fixture(scope="module")
def campaign(campaign_folder: Path) -> Campaign:
    return load(campaign_folder)


def compared(campaign: Campaign, ends: Finals) -> pd.DataFrame:
    return comparison_table(campaign, ends, np.random.default_rng(0))


def test_the_paper_table_has_a_row_for_each_searcher_and_a_column_for_each_dataset(
    campaign: Campaign,
) -> None:
    ends = ends_of(campaign)
    table = paper_table(campaign, ends, compared(campaign, ends), "incumbent")
    assert table.columns == ["Searcher", "toy", "second"]
    assert table.frame["Searcher"].tolist()[-1] == "Best cell"
    assert set(table.frame["Searcher"]) == {
        "Random search",
        "Regularized evolution (population=10)",
        "Local search",
        "Best cell",
    }
    values = ends["toy", "random"]
    assert f"{values.mean():.2f} ± {values.std(ddof=1):.2f}" in table.frame["toy"].tolist()
    assert r"\label{tab:paper}" in table.latex
    assert "Holm's correction for 6 comparisons" in table.caption


def test_the_best_is_bold_only_if_it_differs_from_every_other(campaign: Campaign) -> None:
    rng = np.random.default_rng(0)
    close = {key: 90 + rng.normal(size=12) for key in ends_of(campaign)}
    far = {key: values + 20 * (key[1] == "local") for key, values in close.items()}
    assert not paper_table(campaign, close, compared(campaign, close), "incumbent").bold
    table = paper_table(campaign, far, compared(campaign, far), "incumbent")
    place = table.frame["searcher"].tolist().index("local")
    assert set(table.bold) == {(place, "toy"), (place, "second")}
    assert table.latex.count(r"\textbf{") == 2
    assert table.markdown.count("**") == 2 + 4
    one = comparison_table(campaign, far, rng, [("local", "random")])
    assert not paper_table(campaign, far, one, "incumbent").bold, "it was not compared with every other"


def test_a_higher_mean_is_not_bold_where_runs_tend_to_be_lower(campaign: Campaign) -> None:
    """One searcher is always good; its rival is better, but fails in 15 % of runs, which decides the means alone."""
    rng = np.random.default_rng(0)
    steady = 94.2 + rng.normal(0, 0.02, 100)
    rival = np.where(np.arange(100) < 15, 93.0, 94.3) + rng.normal(0, 0.02, 100)
    ends = {key: steady if key[1] == "local" else rival - (key[1] == "random") for key in ends_of(campaign)}
    found = compared(campaign, ends)
    pair = found[(found["searcher"] == "local") & (found["against"] != "random")]
    assert (pair["difference"] > 0).all()
    assert (pair["A12"] < 0.2).all()
    assert (pair["p"] < 0.001).all()
    assert not paper_table(campaign, ends, found, "incumbent").bold
    final = pd.DataFrame(
        {"dataset": "toy", "searcher": ["local", pair["against"].iloc[0]], "mean": [94.2, 94.1], "n": 100}
    )
    (said,) = verdicts(final.assign(error=0.01, low=math.nan, high=math.nan), found)
    assert "the mean is higher, but a run tends to be lower" in said


def test_ours_are_last_and_named(campaign: Campaign) -> None:
    ends = ends_of(campaign)
    table = paper_table(campaign, ends, compared(campaign, ends), "incumbent", ours="random")
    assert table.frame["Searcher"].tolist()[-2] == "Random search (ours)"
    assert table.latex.count(r"\midrule") == 3
    names = searcher_names(["a:Net", "b:Net", "pnas"])
    assert len(set(names.values())) == 3
    assert names["pnas"] == "PNAS"
    assert dataset_name("cifar10") == "CIFAR-10"


LATEX = shutil.which("pdflatex")
FINDER = shutil.which("kpsewhich")
BOOKTABS = (
    FINDER and subprocess.run([FINDER, "booktabs.sty"], capture_output=True, check=False).returncode == 0
)


@pytest.mark.skipif(not (LATEX and BOOKTABS), reason="needs LaTeX: apt-get install texlive-latex-recommended")
def test_every_latex_table_compiles_with_booktabs_alone(campaign_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(campaign_folder, tmp_path / "out")
    made = report(tmp_path / "out", figures=False)
    tables = [path for path in made.files if path.suffix == ".tex"]
    assert tables
    nasty = Table(
        "nasty",
        NASTY,
        pd.DataFrame({NASTY: [NASTY, "[x]"], "n": [1.0, -0.001]}),
        caption=NASTY,
        bold={(0, "n")},
    )
    text = "\n".join([*(path.read_text() for path in tables), nasty.latex])
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[utf8]{inputenc}\n"
        f"\\begin{{document}}\n{text}\n\\end{{document}}\n"
    )
    command = [str(LATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").is_file()


def test_markdown_escapes_html_and_a_spreadsheet_gets_no_formula(tmp_path: Path) -> None:
    table = Table("t", "<script>", pd.DataFrame({"x": ["<img src=x>", "a|b\nc"]}))
    assert "\\<script>" in table.markdown
    assert "\\<img" in table.markdown
    assert "a\\|b c" in table.markdown
    save_csv(
        tmp_path / "t.csv",
        pd.DataFrame({"=cmd|' /C calc'!A0": ["=1+1", "-2", "@x", "plain"], "n": [-1.5, 2, 3, 4]}),
    )
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert rows[0][0].startswith("'=")
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'-2", "'@x", "plain"]
    assert rows[1][1] == "-1.5"


def test_a_bound_is_printed_as_one_and_no_cell_is_negative_zero() -> None:
    frame = pd.DataFrame({"needs": [np.inf, 12.0], "made": [40.0, 40.0], "gap": [-0.0001, 0.0]})
    table = Table("t", "T", frame, {"needs": 0}, bounds={"needs": "made"}, shown=["needs", "gap"])
    assert list(table.rows()) == [[">40", "0.00"], ["12", "0.00"]]
    assert sd(np.full(7, 94.37)) == 0.0
    assert np.isnan(sd(np.array([1.0])))


@given(st.text())
def test_a_name_from_a_file_is_never_a_path(text: str) -> None:
    made = slug(text)
    assert made
    assert Path(made).name == made
    assert made not in (".", "..")
    assert not made.startswith("-")
    assert len(made) < 100


@given(st.text(), st.text())
def test_different_names_of_odd_characters_have_different_files(one: str, other: str) -> None:
    plain = not (set(one + other) & set(" ,-"))
    assert one == other or slug(one) != slug(other) or not plain


def test_names_are_shown_on_one_line_without_escapes() -> None:
    assert printable("a\x1b[2J\nb") == "a�[2J b"
    assert len(shortened("x" * 100)) == 40


@pytest.mark.parametrize("name", ["/../../../victim", "../up", "a/b", "..", "/etc/x"])
def test_a_figure_named_like_a_path_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    inks = Inks(folder)
    files = inks.save(f"efficiency-{name}", lambda figure: None, pd.DataFrame({"x": [1.0]}))  # noqa: ARG005 - empty
    assert {path.parent for path in files} == {folder}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(files)


@pytest.mark.parametrize("dataset", ["..", "<b>", "\x1b[2J", "=1+1"])
def test_a_dataset_of_any_name_is_drawn_inside_the_report(
    campaign_folder: Path, tmp_path: Path, dataset: str
) -> None:
    out = tmp_path / "deep" / "out"
    shutil.copytree(campaign_folder, out)
    for name in ("campaign.json", "reference.json"):
        content = opened((out / name).read_bytes())
        text = json.dumps(content).replace('"toy"', json.dumps(dataset))
        (out / name).write_text(json.dumps(sealed(json.loads(text))))
    for path in sorted(out.glob("*@toy@*.parquet")):
        renamed(path, dataset=dataset)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    made = report(out, figures=False)
    assert dataset in set(made.final.frame["dataset"])
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all((out / "report") in path.parents for path in (*new, *made.files))
    assert "<b>:" not in made.page.read_text()


def renamed(path: Path, **changes: str) -> None:
    """A result file with another searcher or dataset, as a stranger could make it."""
    record = read(path)
    header = record.header.model_copy(update=changes)
    unit = Unit(header.searcher, header.dataset, *header.seeds)
    for old in path.parent.glob(f"{path.stem}*"):
        old.unlink()
    write(path.parent / unit.file, header, record.steps)


def test_a_report_that_is_a_link_is_not_followed(campaign_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(campaign_folder, tmp_path / "out")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out" / "report").symlink_to(elsewhere)
    with pytest.raises(NotOurFolder, match="is a link, not a folder"):
        report(tmp_path / "out", figures=False)
    (tmp_path / "out" / "report").unlink()
    (tmp_path / "out" / "report").mkdir()
    (tmp_path / "out" / "report" / "icml2024").symlink_to(elsewhere)
    with pytest.raises(NotOurFolder, match="icml2024 is a link"):
        report(tmp_path / "out", venue="icml2024", figures=False)
    assert not list(elsewhere.iterdir())


def test_options_with_brackets_and_dollars_crash_neither_figures_nor_page(
    campaign_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(campaign_folder, tmp_path / "out")
    odd = ["mine:A:s=[/x]", r"mine:A:s=$\foo$", "=1+1"]
    for searcher, path in zip(odd, sorted((tmp_path / "out").glob("*@toy@00000*.parquet")), strict=True):
        renamed(path, searcher=searcher)
    made = report(tmp_path / "out")
    assert {path.suffix for path in made.files} >= {".pdf", ".png", ".tex", ".md"}
    assert any(r"\$" in path.read_text() for path in made.files if path.suffix == ".tex")


def test_stale_files_are_removed_and_a_venue_has_its_own_folder(
    campaign_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(campaign_folder, out)
    report(out, figures=False, clock="overhead")
    report(out, figures=False, venue="icml2024")
    assert (out / "report" / "icml2024" / "efficiency-toy.csv").is_file()
    assert (out / "report" / "regret-toy-overhead.csv").is_file(), "the results are the same"
    assert 'href="icml2024/efficiency-toy.csv"' in (out / "report" / "report.html").read_text()
    (out / "report" / "mine.csv").write_text("my own")
    for path in out.glob("*@toy@*.parquet"):
        path.unlink()
    report(out, figures=False)
    left = {
        path.relative_to(out / "report").as_posix() for path in (out / "report").rglob("*") if path.is_file()
    }
    assert not {name for name in left if "toy" in name}
    assert {"mine.csv", MADE, "efficiency-second.csv"} <= left


def test_a_list_of_files_from_a_stranger_removes_nothing_outside(
    campaign_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(campaign_folder, out)
    report(out, figures=False)
    (tmp_path / "victim.csv").write_text("x")
    names = ["../../victim.csv", str(tmp_path / "victim.csv"), "a/../../../victim.csv"]
    (out / "report" / MADE).write_text(json.dumps({"of": "", "files": names}))
    report(out, figures=False)
    assert (tmp_path / "victim.csv").is_file()


def test_corrected_intervals_widen_with_the_family_and_hold_the_plain_one_for_a_family_of_one() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1, 1, 40), rng.normal(0, 1, 40)
    single, many = (corrected_interval(ours, theirs, tests) for tests in (1, 100))
    assert many[0] < single[0] < single[1] < many[1]
    _, low, high = difference_interval(ours, theirs, rng)
    assert np.allclose(single, (low, high), atol=0.06)
    assert corrected_interval(np.ones(3), np.zeros(4), 9) == (1.0, 1.0)


def test_simultaneous_intervals_cover_all_true_differences_at_once() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        groups = rng.normal(size=(5, 20))
        ends = [corrected_interval(a, b, 10) for a, b in combinations(groups, 2)]
        hits += all(low <= 0 <= high for low, high in ends)
    assert hits >= 0.92 * 200


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    )
)
def test_two_share_a_letter_exactly_if_they_are_not_different(
    drawn: tuple[int, set[tuple[int, int]]],
) -> None:
    count, edges = drawn
    names = [f"s{place}" for place in range(count)]
    apart = {(names[a], names[b]) for a, b in edges if a != b}
    found = letters(names, apart)
    for one, other in combinations(names, 2):
        different = (one, other) in apart or (other, one) in apart
        assert bool(set(found[one]) & set(found[other])) != different
    assert all(found.values())


def test_the_ranking_shares_places_between_equal_means(campaign: Campaign) -> None:
    ends = {key: np.full(12, 90.0) for key in ends_of(campaign)}
    frame = ranking(campaign, ends, compared(campaign, ends))
    assert set(frame["toy"]) == {"1 a"}
    assert frame["mean rank"].tolist() == [2.0] * 3


def test_ours_against_each_is_a_smaller_family(campaign_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(campaign_folder, tmp_path / "out")
    made = report(tmp_path / "out", ours="local", figures=False)
    pairs = pd.read_csv(made.page.parent / "comparisons.csv")
    assert set(pairs["searcher"]) == {"local"}
    assert len(pairs) == 4
    assert "corrected by Bonferroni for the 4 rows" in (made.page.parent / "comparisons.md").read_text()
    assert not list(made.page.parent.glob("significance*"))
    with pytest.raises(
        UnknownSearcher, match="no run of 'pnas'; choose from evolution:population=10, local, random"
    ):
        report(tmp_path / "out", ours="pnas", figures=False)


def test_a_searcher_that_is_alone_is_compared_with_exact_random_search(
    campaign_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(campaign_folder, out)
    for path in out.glob("*.parquet"):
        if not path.name.startswith("local@toy"):
            path.unlink()
    made = report(out, figures=False)
    assert "1 searcher on two toys" in made.page.read_text()
    assert "difference from exact random search" in made.verdicts[0]
    row = made.final.frame.iloc[0]
    campaign = load(out)
    exact = np.interp(30, campaign.references["toy"].random.queries, campaign.references["toy"].random.mean)
    final = campaign.runs["toy", "local"].final
    assert row["over random"] == pytest.approx(final.mean() - exact)
    assert row["p"] == pytest.approx(one_sample_p(final, float(exact)))
    assert row["over low"] < row["over random"] < row["over high"]


def test_a_verdict_is_about_the_next_searcher_that_the_first_was_compared_with() -> None:
    """With `--ours`, ours stands on the left of every comparison, also where another has the highest mean."""
    final = pd.DataFrame(
        {"dataset": "toy", "searcher": ["best", "mine", "last"], "mean": [3.0, 2.0, 1.0], "n": 30}
    )
    final = final.assign(error=0.01, low=math.nan, high=math.nan)
    pair = {
        "dataset": "toy",
        "searcher": "mine",
        "against": "best",
        "n": 20,
        "n against": 30,
        "difference": -1.0,
    }
    pair |= {"low": -1.5, "high": -0.2, "error": 0.1, "p": 0.01, "A12": 0.3, "A12 low": 0.2, "A12 high": 0.4}
    rows = [
        pair | {"runs to detect": 5.0},
        pair | {"against": "last", "difference": 1.0, "runs to detect": 5.0},
    ]
    (said,) = verdicts(final, pd.DataFrame(rows))
    assert "best has the highest mean" in said
    assert "difference from mine (n = 20): 1.0 points (0.2 to 1.5)" in said
    assert "probability of improvement 0.70 (0.60 to 0.80" in said
    (said,) = verdicts(final, pd.DataFrame(rows[1:]))
    assert said.endswith("highest mean, 3.00 %.")


def test_one_run_alone_has_neither_interval_nor_p(campaign: Campaign) -> None:
    runs = campaign.runs["toy", "local"].only(np.arange(12) == 0)
    alone = replace(campaign, runs={("toy", "local"): runs})
    final = final_table(alone, recommendations(alone), "incumbent", np.random.default_rng(0))
    assert np.isnan(final["over low"].iloc[0])
    assert "one run is too few" in verdicts(final, pd.DataFrame())[0]


def test_one_run_of_random_search_is_not_its_exact_mean(campaign: Campaign) -> None:
    one = campaign.runs["toy", "random"].only(np.arange(12) == 0)
    runs = {("toy", "local"): campaign.runs["toy", "local"], ("toy", "random"): one}
    few = replace(campaign, runs=runs)
    final = final_table(few, recommendations(few), "incumbent", np.random.default_rng(0)).set_index(
        "searcher"
    )
    local, means = final.loc["local"], final["mean"]
    assert local["over random"] == pytest.approx(means["local"] - means["random"])
    assert final.loc["local", ["over low", "over high", "p"]].isna().all()
    assert local["why no p"] == "n < 10"


def test_the_total_clock_adds_the_searchers_own_seconds(campaign: Campaign) -> None:
    runs = campaign.runs["toy", "local"]
    fed = replace(runs, spent={**runs.spent, "seconds": runs.spent["queries"] * 10})
    assert fed.paid("total") == pytest.approx(fed.spent["seconds"] + fed.spent["overhead"])
    assert fed.paid("queries") is fed.spent["queries"]
