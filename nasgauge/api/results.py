"""The results of a campaign: frames, comparisons, figures and the report."""

import shutil
import weakref
from collections import Counter
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from nasgauge.analysis.results.campaign import Campaign, load
from nasgauge.analysis.results.recommendations import Recommendations, finals, recommendations
from nasgauge.analysis.results.summary import comparison_table, final_table
from nasgauge.analysis.statistics.curves import Clock, ranked
from nasgauge.analysis.statistics.recommendations import Rule
from nasgauge.api.choices import Average, check_choice
from nasgauge.harness.records.folders import records_of
from nasgauge.searchers.tenas import SearchFile
from nasgauge.spaces.architectures import Architecture, architecture
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.objectives import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nasgauge.analysis.report.report import Report
    from nasgauge.analysis.results.pareto import TradeOff


class NoSuchRuns(NasgaugeError, LookupError):
    """A searcher or a dataset that the results do not have."""


class Results:
    """The finished runs of a campaign.

    Returned by `nasgauge.search`, `nasgauge.bench` and `nasgauge.open_results`. Accuracies are in percent.
    Intervals are 95 % intervals over runs: Student's with fewer than eight, otherwise bootstrap intervals, resampled with
    the generator of seed 0, so the same results give the same numbers.

    Examples
    --------
    >>> import nasgauge as ng
    >>> results = ng.bench(["random", "local"], dataset="cifar10", seeds=3, budget=20, progress=False)
    >>> results.searchers
    ['local', 'random']
    >>> sorted(results.summary()["n"])
    [3, 3]
    """

    def __init__(self, folder: Path, *, temporary: bool = False) -> None:
        self.folder = folder
        self._temporary = temporary
        if temporary:  # the folder is removed with these results
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._campaign: Campaign = load(folder)

    @property
    def searchers(self) -> list[str]:
        """Names of the searchers."""
        return self._campaign.searchers

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets."""
        return self._campaign.datasets

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or damaged in the folder, a line each."""
        return self._campaign.notes

    def frame(self) -> pd.DataFrame:
        """One row for each query of each run.

        Columns: `dataset`, `searcher`, `seed`, `query` (from 1), `cell`, `metric` (the search metric that the
        searcher observed), `test` (the reported accuracy), `epochs` and `seconds` (the cost of the query),
        `charged`, `overhead` (measured seconds of the searcher before the query), `fidelity` (the epochs after which
        the metric was measured, where the searcher chooses them; 0 elsewhere), `incumbent` (the reported accuracy of
        the cell with the best metric so far, among those of the highest fidelity so far).

        >>> import nasgauge as ng
        >>> frame = ng.search("random", dataset="cifar10", seeds=1, budget=5, progress=False).frame()
        >>> frame["query"].tolist()
        [1, 2, 3, 4, 5]
        """
        parts = []
        for record in records_of(self.folder)[0]:
            steps = record.steps
            part = pd.DataFrame(
                {
                    "dataset": record.header.dataset,
                    "searcher": record.header.searcher,
                    "seed": steps.seed,
                    "query": steps.query,
                    "cell": np.array(steps.cells, dtype=object)[steps.cell],
                    "metric": steps.validation,
                    "test": steps.test,
                    "epochs": steps.epochs,
                    "seconds": steps.seconds,
                    "charged": steps.charged,
                    "overhead": steps.overhead,
                    "fidelity": steps.fidelity,
                }
            )
            metric = pd.Series(ranked(steps.validation, steps.fidelity)).fillna(-np.inf)
            before = metric.groupby(part["seed"]).cummax().groupby(part["seed"]).shift()
            leads = metric.gt(before) | before.isna()
            part["incumbent"] = part["test"].where(leads).groupby(part["seed"]).ffill()
            parts.append(part)
        return pd.concat(parts, ignore_index=True).sort_values(
            ["dataset", "searcher", "seed", "query"], ignore_index=True
        )

    def summary(self, *, recommend: Rule = "incumbent") -> pd.DataFrame:
        """One row for each dataset and searcher: reported accuracy at the end of the budget, over runs.

        `recommend` is the rule that chooses each run's final cell, the same for every searcher:
        `"incumbent"`, the cell with the best search metric, or `"smoothed"`, the best posterior mean of one
        Gaussian process fitted to the run's evaluations. The columns `incumbent` and `smoothed` give both means.

        >>> import nasgauge as ng
        >>> results = ng.search("random", dataset="cifar10", seeds=3, budget=20, progress=False)
        >>> results.summary()[["searcher", "n"]].to_dict("records")
        [{'searcher': 'random', 'n': 3}]
        """
        check_choice("recommend", recommend, get_args(Rule))
        return final_table(self._campaign, self._recommended, recommend, np.random.default_rng(0))

    @cached_property
    def _recommended(self) -> Recommendations:
        return recommendations(self._campaign)

    def compare(self, searcher: str, against: str, *, recommend: Rule = "incumbent") -> pd.DataFrame:
        """One row for each dataset: how one searcher compares with another at the end of the budget.

        Runs of different searchers are independent, so the tests and intervals are those of two independent
        samples. Raises NoSuchRuns.

        >>> import nasgauge as ng
        >>> results = ng.bench(["random", "local"], dataset="cifar10", seeds=3, budget=20, progress=False)
        >>> results.compare("local", "random")["dataset"].tolist()
        ['cifar10']
        """
        check_choice("recommend", recommend, get_args(Rule))
        for name in (searcher, against):
            if name not in self.searchers:
                raise NoSuchRuns(f"no runs of {name!r}; choose from {', '.join(self.searchers)}")
        ends = finals(self._recommended, recommend)
        return comparison_table(self._campaign, ends, np.random.default_rng(0), [(searcher, against)])

    def plot_efficiency(
        self,
        dataset: str | None = None,
        *,
        ax: "Axes | None" = None,
        clock: Clock = "queries",
        average: Average = "mean",
    ) -> "Axes":
        """Draw the accuracy of the incumbent against cost, with the 95 % band of each searcher.

        `dataset` may be left out where there is one. A new figure is made without `ax`. Raises NoSuchRuns,
        and UnknownCost if the table does not know the cost on this clock.

        >>> import nasgauge as ng
        >>> results = ng.search("random", dataset="cifar10", seeds=3, budget=20, progress=False)
        >>> results.plot_efficiency("cifar10").get_xlabel()
        'queries'
        """
        from matplotlib.figure import Figure

        from nasgauge.analysis.plots.efficiency import draw_accuracy
        from nasgauge.analysis.results.efficiency_curves import AXES, efficiency

        check_choice("clock", clock, get_args(Clock))
        check_choice("average", average, get_args(Average))
        chosen = self._chosen(dataset)
        axes = ax if ax is not None else Figure(figsize=(6.4, 4.0), layout="constrained").add_subplot()
        numbers = efficiency(self._campaign, chosen, clock, np.random.default_rng(0), average=average)
        draw_accuracy(axes, numbers.grid, numbers.bands, random=numbers.random, references=numbers.references)
        axes.set_xlabel(AXES[clock])
        axes.set_ylabel(f"{chosen} test accuracy (%)")
        return axes

    def transfer(self, *, recommend: Rule = "incumbent") -> pd.DataFrame:
        """One row for each searcher, source and target: searched on one dataset, reported on another.

        The cells that runs recommend are looked up on every dataset of the table; nothing is searched again. `change` is
        the mean less that of the searches on the target itself, with its 95 % interval.

        Raises NoTransfer where cells are trained or the table has one dataset.

        >>> import nasgauge as ng
        >>> results = ng.search("random", dataset=["cifar10", "cifar100"], seeds=3, budget=20, progress=False)
        >>> len(results.transfer().query("searcher == 'random'"))
        6
        """
        from nasgauge.transfer import transfer_of

        check_choice("recommend", recommend, get_args(Rule))
        return transfer_of(self.folder, self._campaign, recommend)

    def pareto(self, objective: str) -> pd.DataFrame:
        """One row for each dataset and searcher, and the table's exact front: accuracy against one objective.

        `hypervolume` is in percent of the exact front's, with its 95 % interval; the last columns are the
        mean reported accuracy of each run's best cell within a limit. See `nasgauge.spaces.objectives`.

        Raises UnknownObjective, NoCosts.

        >>> import nasgauge as ng
        >>> results = ng.bench(["random", "nsga2"], dataset="cifar10", seeds=2, budget=20, objective="params", progress=False)
        >>> results.pareto("params")["searcher"].tolist()[-1]
        'exact front'
        """
        from nasgauge.analysis.results.pareto import trade_off_frame

        frames = [trade_off_frame(found) for found in self._trade_offs(objective)]
        return pd.concat(frames, ignore_index=True)

    def plot_pareto(self, objective: str, dataset: str | None = None, *, ax: "Axes | None" = None) -> "Axes":
        """Draw accuracy against an objective: every cell, the exact front, and what the runs found within each limit.

        `dataset` may be left out where there is one. Raises NoSuchRuns, UnknownObjective, NoCosts.

        >>> import nasgauge as ng
        >>> results = ng.search("random", dataset="cifar10", seeds=2, budget=20, progress=False)
        >>> results.plot_pareto("latency@fpga").get_xlabel()
        'latency on fpga, ms'
        """
        from matplotlib.figure import Figure

        from nasgauge.analysis.plots.pareto import draw_front

        chosen = self._chosen(dataset)
        axes = ax if ax is not None else Figure(figsize=(6.4, 4.0), layout="constrained").add_subplot()
        draw_front(
            axes, next(found for found in self._trade_offs(objective) if found.known.dataset == chosen)
        )
        return axes

    def _trade_offs(self, objective: str) -> "list[TradeOff]":
        from nasgauge.analysis.results.pareto import trade_off
        from nasgauge.pareto import known_of

        if not objective:
            Objective.parse("")  # raises: here one is needed
        rng = np.random.default_rng(0)
        return [
            trade_off(self._campaign, known, rng)
            for known in known_of(self.folder, self._campaign, objective)
        ]

    def _chosen(self, dataset: str | None) -> str:
        chosen = dataset or (self.datasets[0] if len(self.datasets) == 1 else "")
        if chosen not in self.datasets:
            raise NoSuchRuns(f"no runs on {dataset!r}; choose the dataset from {', '.join(self.datasets)}")
        return chosen

    def report(self, objective: str = "", **options: Any) -> "Report":
        """Write the report into `folder / "report"`: one HTML page, figures (PDF, PNG) and tables (CSV, TeX).

        `options` are those of `nasgauge.analysis.report.report.report`: `clock`, `average`, `recommend`, `ours`, `venue`,
        `figures`, `extras`, `workers`. `objective`: what accuracy is drawn against, several joined with `+`; by default the
        objectives of the searchers and of their constraints. Results that are kept in memory only have no folder to write to.

        Raises NoSuchRuns, UnknownCost, UnknownVenue, UnknownObjective, NoCosts.

        >>> import nasgauge as ng, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = ng.bench("random", dataset="cifar10", seeds=2, budget=10, out=folder, progress=False)
        ...     results.report(figures=False).page.name
        'report.html'
        """
        from nasgauge.analysis.report.report import report
        from nasgauge.analysis.report.studies import Extras
        from nasgauge.pareto import known_of

        if self._temporary:
            raise NoSuchRuns('these results have no folder; search with out="results/NAME" to write a report')
        for name, allowed in (("clock", Clock), ("average", Average), ("recommend", Rule)):
            if name in options:
                check_choice(name, options[name], get_args(allowed))
        known = partial(known_of, self.folder, objective=objective)
        return report(
            self.folder, extras=replace(options.pop("extras", None) or Extras(), pareto=known), **options
        )

    def __repr__(self) -> str:
        runs = sum(len(found.seeds) for found in self._campaign.runs.values())
        return f"<Results: {', '.join(self.searchers)} on {', '.join(self.datasets)}, {runs} runs>"

    def _repr_html_(self) -> str:
        table: str = self.summary().round(3).to_html(index=False)
        return table


def most_frequent(results: Path, count: int) -> list[Architecture]:
    """What most runs of a results folder end with, or most searches of a file of `nasgauge score tenas --out`.

    All searchers and datasets are counted together; ties are in order of their texts.

    Raises OtherCampaign, UnreadableSearches.

    >>> from nasgauge.searchers.tenas import SHIPPED
    >>> len(most_frequent(SHIPPED, 3))
    3
    """
    if results.suffix == ".json":
        ends = Counter(search.cell for search in SearchFile.read(results).searches)
    else:
        ends = Counter(text for runs in load(results).runs.values() for text in runs.final_cells)
    return [architecture(text) for text in sorted(ends, key=lambda text: (-ends[text], text))[:count]]


def open_results(folder: str | Path) -> Results:
    """The results in a folder that `nasgauge bench` or `nasgauge search` made.

    Raises OtherCampaign or NoResults, subclasses of `nasgauge.NasgaugeError`, if there are none.

    >>> import nasgauge as ng, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ng.bench("random", dataset="cifar10", seeds=2, budget=10, out=folder, progress=False)
    ...     ng.open_results(folder)
    <Results: random on cifar10, 2 runs>
    """
    return Results(Path(folder))
