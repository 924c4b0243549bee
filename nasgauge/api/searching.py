"""Searches on a table, or on real training, for the public API."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import mkdtemp
from threading import Event, Thread
from typing import Any, get_args

from nasgauge.api.choices import check_choice
from nasgauge.api.progress import Bar, progress_bar
from nasgauge.api.results import Results
from nasgauge.data.sources import DEFAULT_TABLE
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.engines import Engine, parse_engine
from nasgauge.harness.records.results import TRAINED, Unit
from nasgauge.harness.search.campaign import Campaign, InvalidCampaign, Rules
from nasgauge.harness.search.failures import TIME_LIMIT
from nasgauge.harness.search.runner import Budget, Repeats
from nasgauge.harness.search.specs import Searchable
from nasgauge.pareto import aimed

TableLike = str | Path | AccuracyTable
"""A table, its name, or the path of a `.npz` file."""


def search(
    searcher: Searchable,
    table: TableLike = DEFAULT_TABLE,
    *,
    dataset: str | Iterable[str] | None = None,
    budget: int | str = 200,
    seeds: int | range = 10,
    **options: Any,
) -> Results:
    """Run one searcher on a table.

    Parameters
    ----------
    searcher
        A name with options (`"evolution:population=50"`), `"module:Class"`, or a class with `ask` and `tell`.
    table
        A table, its name, or the path of a `.npz` file.
    dataset
        One or several of the table's datasets; all by default.
    budget
        Of each run: a number of queries, or a text as `"1200 epochs"`, `"12000 seconds"`.
    seeds
        A number of runs, seeds 0 to n-1, or a range.
    options
        `metric`, `search_on`, `objective`, `constraint`, `repeats`, `out`, `workers`, `progress`, as for `bench`;
        `workers` is 1 by default.

    Raises
    ------
    nasgauge.NasgaugeError
        For input that cannot be run; nothing is written then.

    Examples
    --------
    >>> import nasgauge as ng
    >>> class Mine:
    ...     "The first cells of the space, one after another."
    ...     def __init__(self, space, rng):
    ...         self.cells = iter(space)
    ...     def ask(self):
    ...         return [next(self.cells)]
    ...     def tell(self, cell, accuracy):
    ...         pass
    >>> results = ng.search(Mine, "nb201", dataset="cifar100", budget=20, seeds=range(2), progress=False)
    >>> len(results.frame()), results.datasets
    (40, ['cifar100'])
    """
    return bench([searcher], table, dataset=dataset, budget=budget, seeds=seeds, **{"workers": 1, **options})


def bench(
    searchers: Searchable | Iterable[Searchable],
    table: TableLike = DEFAULT_TABLE,
    *,
    dataset: str | Iterable[str] | None = None,
    budget: int | str = 200,
    seeds: int | range = 100,
    metric: str = "",
    search_on: str = "",
    objective: str = "",
    constraint: str = "",
    repeats: Repeats = "charge",
    out: str | Path | None = None,
    workers: int = -1,
    engine: str = "local",
    storage: str = "",
    progress: bool = True,
) -> Results:
    """Run several searchers on the same table, each with the same seeds and budget.

    Parameters
    ----------
    searchers
        Names, classes, or both; see `search`.
    table, dataset, budget, seeds
        See `search`.
    metric
        The search metric as `fidelity/split/seeds`, such as `"200/valid/777"` or `"12/valid/mean"`. By
        default that of the table: for `nb201`, the 200-epoch validation accuracy of one training seed, drawn
        at each query.
    search_on
        A dataset to search on, whatever datasets are reported: with `"cifar10"`, every run searches on CIFAR-10,
        and its cells' accuracies are reported on each `dataset`, as in the tables of the NAS-Bench-201 paper. By
        default a search on each dataset.
    objective
        What searchers that take objectives (`"nsga2"`) minimise beside accuracy: `"flops"`, `"params"`, `"memory"`,
        `"latency@edgegpu"`, `"energy@fpga"`; several joined with `+`. See `nasgauge.spaces.objectives`.
    constraint
        What every cell must keep, such as `"latency@edgegpu<=5"`; several joined with `+`. A cell that does not is
        refused before its query, and costs nothing.
    repeats
        `"charge"`: every query costs. `"free"`: a query of a cell that was evaluated before in this run, or of
        a structural duplicate, costs nothing.
    out
        Folder of the results. What is there is kept, so an interrupted campaign goes on, and seeds,
        datasets and searchers can be added. With a larger budget, the runs are made again from their seeds, and
        begin with the same queries. By default the results are kept in memory only.
    workers
        Processes; -1 for one a core. Results do not depend on it.
    engine
        Where searches run: `"local"`, `"ray"`, `"dask"` or `"slurm"`, with options by comma, such as
        `"ray,address=auto"` or `"slurm,partition=cpu,minutes=60"`. Results do not depend on it.
    storage
        A URL where the files are kept (`"s3://bucket/path"`, `"gs://…"`, a path), so that machines need not share a
        file system; `out` becomes a copy of it.
    progress
        Show a progress bar.

    Raises
    ------
    nasgauge.NasgaugeError
        For input that cannot be run; nothing is written then.

    Examples
    --------
    >>> import nasgauge as ng
    >>> results = ng.bench(["random", "evolution"], dataset="cifar10", seeds=2, budget=20, progress=False)
    >>> results.frame().groupby("searcher").size().to_dict()
    {'evolution': 40, 'random': 40}
    """
    check_choice("repeats", repeats, get_args(Repeats))
    folder = Path(mkdtemp(prefix="nasgauge-") if out is None else out)
    try:
        campaign = Campaign.on_table(
            folder,
            aimed(several(searchers), objective, constraint),
            table,
            datasets=() if dataset is None else (dataset,) if isinstance(dataset, str) else tuple(dataset),
            seeds=seeds,
            rules=Rules(
                budget=Budget.parse(str(budget)), metric=metric, search_on=search_on, repeats=repeats
            ),
            storage=storage,
        )
        elsewhere = None if engine == "local" else parse_engine(engine)
        run_campaign(campaign, workers=workers, engine=elsewhere, progress=progress)
        return Results(folder, temporary=out is None)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def several(searchers: Searchable | Iterable[Searchable]) -> tuple[Searchable, ...]:
    """One searcher or several, as several."""
    if isinstance(searchers, str) or callable(searchers) or not isinstance(searchers, Iterable):
        return (searchers,)
    return tuple(searchers)


def run_campaign(
    campaign: Campaign,
    todo: Sequence[Unit] | None = None,
    *,
    workers: int = -1,
    engine: Engine | None = None,
    time_limit: float = TIME_LIMIT,
    progress: bool = True,
) -> None:
    """Run what a campaign lacks, with a progress bar that counts runs.

    `todo` is `campaign.missing()` where the caller has it already, for the bar alone: another process may write until the
    folder is locked. `engine` and `time_limit` are those of `Campaign.run`.

    Raises what `Campaign.missing` and `Campaign.run` raise.
    """
    if workers == 0:
        raise InvalidCampaign("0 workers run nothing; give a number, or -1 for one a core")
    todo = campaign.missing() if todo is None else todo
    total = campaign.runs
    left = sum(unit.runs for unit in todo)
    with progress_bar("runs", total, done=total - left, shown=progress) as bar:
        watched = campaign.settings.training is not None and todo
        with _count_trainings(campaign.folder / TRAINED, bar) if watched else nullcontext():
            for unit in campaign.run(workers=workers, engine=engine, time_limit=time_limit):
                bar.advance(unit.runs)


@contextmanager
def _count_trainings(records: Path, bar: Bar) -> Iterator[None]:
    """Meanwhile the bar shows how many cells were trained: a run of them can take hours."""
    over = Event()

    def watch() -> None:
        while not over.wait(2.0):
            bar.describe(f"{sum(1 for _ in records.glob('*.parquet'))} cells trained, runs")

    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
