"""What a search has spent: queries, training epochs, simulated seconds, and its own measured seconds."""

from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from nasgauge.analysis.statistics.curves import align
from nasgauge.data.tables import AccuracyTable, Column, View
from nasgauge.harness.records.steps import Record, Step, gather, read
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.runner import Budget, InvalidBudget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.cells import N_CELLS, Cell
from nasgauge.spaces.nb201 import NB201


@pytest.fixture(scope="module")
def table() -> AccuracyTable:
    """Two seeds of 12-epoch validation, a point apart; an epoch takes 5 to 15 seconds."""
    rng = np.random.default_rng(0)
    first = rng.uniform(10, 90, N_CELLS)
    search = Column("cifar10-valid", 12, "valid", "mean")
    report = Column("cifar10", 200, "test", "mean")
    return AccuracyTable(
        name="two-seeds",
        limits="made up",
        source_sha256="",
        columns={
            search: first + 0.5,
            Column("cifar10-valid", 12, "valid", 111): first,
            Column("cifar10-valid", 12, "valid", 777): first + 1,
            report: first + 5,
            replace(search, split="train", metric="seconds"): rng.uniform(5, 15, N_CELLS),
        },
        views={"cifar10": View(search, report)},
    )


@pytest.fixture(scope="module")
def file(table: AccuracyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "two-seeds.npz"
    table.save(path)
    return path


def spent(table: AccuracyTable, budget: str, searcher: str = "random") -> list[Step[Cell]]:
    oracle = Table(table, "cifar10")
    made = Spec.parse(searcher).make(NB201(), np.random.default_rng(1))
    return list(run(made, oracle, Budget.parse(budget)))


def test_a_budget_in_seconds_ends_before_the_query_that_would_overrun_it(table: AccuracyTable) -> None:
    costs = Table(table, "cifar10").seconds
    steps = spent(table, "12000s")

    paid = list(accumulate(step.evaluation.seconds for step in steps))
    assert [step.evaluation.seconds for step in steps] == [costs[step.cell.rank] for step in steps]
    assert paid[-1] <= 12_000 < paid[-1] + costs.max()
    assert len(steps) == pytest.approx(100, abs=15)


def test_a_budget_in_epochs_buys_whole_trainings(table: AccuracyTable) -> None:
    assert len(spent(table, "1200 epochs")) == 100
    assert len(spent(table, "1199 epochs")) == 99


def test_a_clock_that_the_table_does_not_know_is_refused() -> None:
    unstated = Column("cifar10", None, "test", "single")
    bare = AccuracyTable(
        name="bare",
        limits="",
        source_sha256="",
        columns={unstated: np.arange(float(N_CELLS))},
        views={"cifar10": View(unstated, unstated)},
    )

    assert Table(bare, "cifar10").times == "none"
    with pytest.raises(InvalidBudget, match="give the budget in queries"):
        spent(bare, "12000s")


def test_the_four_clocks_of_a_record_are_sums_of_its_steps(table: AccuracyTable) -> None:
    steps = spent(table, "30")
    clocks = align([gather([(1, steps)])]).spent

    assert clocks["queries"][0].tolist() == list(range(1, 31))
    assert clocks["epochs"][0].tolist() == [12.0 * n for n in range(1, 31)]
    assert clocks["seconds"][0].tolist() == pytest.approx(
        list(accumulate(step.evaluation.seconds for step in steps))
    )
    assert clocks["overhead"][0].tolist() == pytest.approx(list(accumulate(step.overhead for step in steps)))


def campaign(file: Path, out: Path, *, metric: str, workers: int) -> dict[str, Record]:
    made = Campaign.on_table(
        out,
        ["random", "evolution"],
        file,
        datasets=["cifar10"],
        seeds=20,
        rules=Rules(budget=Budget(30), metric=metric),
    )
    assert len(list(made.run(workers=workers))) == 4
    return {path.name: read(path) for path in sorted(out.glob("*.parquet"))}


def test_noise_is_the_same_with_any_number_of_workers(file: Path, tmp_path: Path) -> None:
    one = campaign(file, tmp_path / "one", metric="12/valid/random", workers=1)
    two = campaign(file, tmp_path / "two", metric="12/valid/random", workers=2)

    assert {name: record.header.digest for name, record in one.items()} == {
        name: record.header.digest for name, record in two.items()
    }


def test_a_header_says_what_the_searcher_observed_and_where_the_seconds_are_from(
    file: Path, tmp_path: Path
) -> None:
    records = campaign(file, tmp_path / "noisy", metric="12/valid/random", workers=1)

    header = next(iter(records.values())).header
    assert header.metric == "cifar10-valid/12/valid/random/accuracy"
    assert header.seconds == "table"


def test_the_searcher_is_told_a_single_seed_and_the_report_stays_the_mean(file: Path, tmp_path: Path) -> None:
    table = AccuracyTable.load(file)
    record = next(iter(campaign(file, tmp_path / "noisy", metric="12/valid/random", workers=1).values()))

    steps = record.steps
    mean = Table(table, "cifar10", metric=SearchMetric.parse("12")).validation
    rank = np.array([Cell.parse(text).rank for text in steps.cells])[steps.cell]
    offsets = np.round(steps.validation - mean[rank], 6)
    assert sorted(set(offsets.tolist())) == [-0.5, 0.5]
    assert np.array_equal(steps.test, table.column(Column("cifar10", 200, "test", "mean"))[rank])
