"""The public API: `import nasgauge as ng`."""

import doctest
import inspect
import math
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nasgauge as ng
from nasgauge.analysis.statistics.curves import align
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.results import OtherCampaign
from nasgauge.harness.records.seeds import InvalidSeeds
from nasgauge.harness.records.steps import read, write
from nasgauge.harness.search.campaign import InvalidCampaign
from nasgauge.harness.search.specs import UnknownSearcher
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

PUBLIC = {
    "AccuracyTable",
    "Cell",
    "NasgaugeError",
    "Results",
    "bench",
    "check",
    "open_results",
    "open_table",
    "score",
    "search",
    "train",
}


class FirstCells:
    """A user's searcher: the cells of the space, one after another."""

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:  # noqa: ARG002 - as every searcher
        self.cells = iter(space)

    def ask(self) -> list[Cell]:
        return [next(self.cells)]

    def tell(self, cell: Cell, accuracy: float) -> None:
        pass


def test_the_public_names_are_these() -> None:
    assert set(ng.__all__) == PUBLIC, "a change of the public API is a decision: say why in CHANGELOG.md"
    assert set(dir(ng)) >= PUBLIC


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        ng.serach  # noqa: B018 - the access is what is tried


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_everything_public_is_documented_with_an_example(name: str) -> None:
    value = getattr(ng, name)
    methods = {
        f"{name}.{key}": method
        for key, method in vars(value).items()
        if inspect.isclass(value)
        and not key.startswith("_")
        and inspect.isfunction(method)
        and value.__module__.startswith("nasgauge.api")
    }
    finder = doctest.DocTestFinder(recurse=False)
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        methods[name] = value
    for where, thing in methods.items():
        assert any(test.examples for test in finder.find(thing, where)), f"{where} has no example"


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys, nasgauge; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not {"torch", "pandas", "matplotlib", "numpy", "scipy"} & set(done.stdout.split())


def test_a_class_is_searched_with(toy: AccuracyTable) -> None:
    results = ng.search(FirstCells, toy, budget=5, seeds=2, progress=False)
    frame = results.frame()
    assert frame["cell"].tolist() == [str(NB201()[place]) for place in range(5)] * 2
    assert frame["seed"].tolist() == [0] * 5 + [1] * 5
    assert results.folder.is_dir()


def test_a_class_of_a_script_is_searched_with_in_several_processes(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        textwrap.dedent("""
            import nasgauge as ng

            class Mine:
                def __init__(self, space, rng):
                    self.space, self.rng = space, rng
                def ask(self):
                    return [self.space.sample(self.rng)]
                def tell(self, cell, accuracy):
                    pass

            if __name__ == "__main__":
                results = ng.bench([Mine, "random"], dataset="cifar10", seeds=20, budget=5, workers=2, progress=False)
                print(len(results.frame()), *results.searchers)
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["200", "__main__:Mine", "random"]


def test_frames_agree_with_the_summary(toy: AccuracyTable) -> None:
    results = ng.bench(["random", "local"], toy, seeds=4, budget=30, workers=1, progress=False)
    last = results.frame().groupby(["searcher", "seed"])["incumbent"].last().groupby("searcher").mean()
    summary = results.summary().set_index("searcher")
    pd.testing.assert_series_equal(
        summary["mean"].sort_index(), last.sort_index(), check_names=False, check_dtype=False
    )


def test_queries_without_a_metric_do_not_end_the_list_of_incumbents(
    toy: AccuracyTable, tmp_path: Path
) -> None:
    ng.search("random", toy, seeds=1, budget=5, workers=1, progress=False, out=tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.parquet")
    record = read(file)
    metric, test = np.array([math.nan, 50, math.nan, 60, 55]), np.arange(5.0)
    steps = replace(record.steps, validation=metric, test=test)
    write(file, record.header.model_copy(update={"digest": ""}), steps)
    frame = ng.open_results(tmp_path / "out").frame()
    assert frame["incumbent"].tolist() == align([steps]).incumbent[0].tolist() == [0, 1, 1, 3, 3]


def test_a_comparison_names_both(toy: AccuracyTable) -> None:
    results = ng.bench(["random", "local"], toy, seeds=12, budget=60, workers=1, progress=False)
    row = results.compare("local", "random").iloc[0]
    assert (row["searcher"], row["against"]) == ("local", "random")
    assert row["difference"] > 0
    other = results.compare("random", "local").iloc[0]
    assert other["difference"] == pytest.approx(-row["difference"])
    with pytest.raises(ng.NasgaugeError, match="no runs of 'pnas'; choose from local, random"):
        results.compare("pnas", "random")


def test_a_figure_is_drawn_on_the_users_axes(toy: AccuracyTable) -> None:
    from matplotlib.figure import Figure

    results = ng.bench(["random", "local"], toy, seeds=3, budget=30, workers=1, progress=False)
    axes = Figure().add_subplot()
    assert results.plot_efficiency("toy", ax=axes) is axes
    assert {"random", "local"} <= {line.get_label() for line in axes.get_lines()}
    with pytest.raises(ng.NasgaugeError, match="no runs on 'cifar10'; choose the dataset from toy"):
        results.plot_efficiency("cifar10")


def test_results_and_tables_show_in_a_notebook(toy: AccuracyTable) -> None:
    results = ng.search("random", toy, seeds=2, budget=5, progress=False)
    assert "<table" in results._repr_html_()
    assert "<table" in toy._repr_html_()
    assert repr(results) == "<Results: random on toy, 2 runs>"


def test_a_campaign_grows(toy: AccuracyTable, tmp_path: Path) -> None:
    def run(**changes: object) -> ng.Results:
        settings: dict[str, object] = {"seeds": 3, "budget": 10, "workers": 1, "progress": False}
        return ng.bench(**{"searchers": "random", "table": toy, "out": tmp_path, **settings, **changes})  # type: ignore[arg-type] # by keyword

    run()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    grown = run(seeds=12, searchers=["random", "local"])
    assert {key: len(runs.seeds) for key, runs in grown._campaign.runs.items()} == {
        ("toy", "random"): 12,
        ("toy", "local"): 12,
    }
    assert all((tmp_path / name).read_bytes() == data for name, data in before.items())
    whole = ng.bench(["random", "local"], toy, seeds=12, budget=10, workers=1, progress=False)
    measured = ["overhead"]
    pd.testing.assert_frame_equal(grown.frame().drop(columns=measured), whole.frame().drop(columns=measured))
    with pytest.raises(OtherCampaign, match="holds runs of 10 queries, more than 9 queries"):
        run(budget=9)


def test_a_folder_is_opened_again(toy: AccuracyTable, tmp_path: Path) -> None:
    made = ng.bench("random", toy, seeds=range(5, 8), budget=10, out=tmp_path / "a", progress=False)
    opened = ng.open_results(tmp_path / "a")
    pd.testing.assert_frame_equal(made.frame(), opened.frame())
    assert sorted(set(opened.frame()["seed"])) == [5, 6, 7]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"searchers": "evolutoin"}, UnknownSearcher, "did you mean"),
        ({"searchers": []}, InvalidCampaign, "no searcher was given"),
        ({"searchers": Path}, UnknownSearcher, "no ask"),
        ({"seeds": 0}, InvalidSeeds, "seeds 0 run nothing"),
        (
            {"seeds": 10**20},
            InvalidSeeds,
            "are too many or too large; give at most 1000000, none above 2147483647",
        ),
        ({"seeds": range(2**31, 2**31 + 1)}, InvalidSeeds, "none above 2147483647"),
        ({"budget": 10**20}, ng.NasgaugeError, r"1e\+20 queries is too large; give at most 1e\+15"),
        ({"budget": 0.5}, ng.NasgaugeError, "does not pay for one query"),
        ({"budget": "lots"}, ng.NasgaugeError, "'lots' is not understood"),
        ({"dataset": "cifar11"}, ng.NasgaugeError, "no dataset 'cifar11'"),
        ({"metric": "200/test"}, ng.NasgaugeError, "test accuracy"),
        ({"workers": 0}, InvalidCampaign, "0 workers run nothing"),
        ({"repeats": "x"}, ng.NasgaugeError, "repeats must be one of charge, free"),
    ],
)
def test_wrong_input_is_a_documented_exception_and_writes_nothing(
    change: dict[str, object], error: type[Exception], message: str, toy: AccuracyTable, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"searchers": "random", "table": toy, "seeds": 1, "out": tmp_path / "out"}
    with pytest.raises(error, match=message):
        ng.bench(**{**settings, **change}, progress=False)  # type: ignore[arg-type] # wrong on purpose
    assert not (tmp_path / "out").exists()


def test_words_that_mean_nothing_are_refused_with_those_that_do(toy: AccuracyTable) -> None:
    """In place of being taken for a default, or of a traceback from inside."""
    results = ng.search("random", table=toy, seeds=2, budget=10, progress=False)
    word: Any = "x"
    with pytest.raises(ng.NasgaugeError, match="recommend must be one of incumbent, smoothed, not 'x'"):
        results.summary(recommend=word)
    with pytest.raises(ng.NasgaugeError, match="incumbent, smoothed"):
        results.compare("random", "random", recommend=word)
    with pytest.raises(ng.NasgaugeError, match="clock must be one of queries, epochs, seconds"):
        results.plot_efficiency(clock=word)
    with pytest.raises(ng.NasgaugeError, match="average must be one of mean, median"):
        results.plot_efficiency(average=word)
    with pytest.raises(ng.NasgaugeError, match="choose from flops, params"):
        results.pareto("")
    with pytest.raises(ng.NasgaugeError, match="queries must be at least 2"):
        ng.check("random", queries=0)


@pytest.mark.torch
def test_one_proxy_needs_no_list_and_no_cells_have_no_scores() -> None:
    assert ng.score([], proxies="params", progress=False).columns.tolist()[:2] == ["cell", "proxy"]


@pytest.mark.torch
def test_trainings_do_not_go_into_a_folder_of_searches(toy: AccuracyTable, tmp_path: Path) -> None:
    ng.search("random", table=toy, seeds=1, budget=5, out=tmp_path, progress=False)
    with pytest.raises(OtherCampaign, match="holds the results of searches; give another folder"):
        ng.train(Cell(("skip_connect",) * 6), dataset="made-up", recipe="tiny", out=tmp_path, progress=False)


def test_a_table_with_an_infinite_accuracy_is_refused(toy: AccuracyTable) -> None:
    column = toy.views["toy"].search
    wrong = replace(toy, columns={**toy.columns, column: np.where(np.arange(15625) == 7, np.inf, 1.0)})
    with pytest.raises(ng.NasgaugeError, match="lacks 1 cells"):
        ng.search("random", table=wrong, seeds=1, budget=5, progress=False)


def test_results_in_memory_have_no_folder_to_report_to(toy: AccuracyTable) -> None:
    results = ng.search("random", toy, seeds=1, budget=5, progress=False)
    with pytest.raises(ng.NasgaugeError, match='search with out="results/NAME"'):
        results.report()
