"""What a search has spent: queries, training epochs, simulated seconds, and its own measured seconds."""

import math
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import pytest

from nasgauge.analysis.results.campaign import NoResults, load
from nasgauge.analysis.statistics.curves import align
from nasgauge.data.tables import AccuracyTable, Column, View
from nasgauge.harness.records.steps import Evaluation, Record, Step, gather, read
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.runner import Budget, InvalidBudget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.searchers.tenas import stored
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


# --- searchers that charge their own seconds, and runs without steps


class Measuring:
    """Spends 100 seconds before its first query and 50 before its third; asks for the same two cells in turn."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(self) -> list[Cell]:
        self.asked += 1
        return [Cell.parse(CELLS[self.asked % 2])]

    def tell(self, cell: Cell, accuracy: float) -> None:
        pass

    @property
    def search_seconds(self) -> float:
        return 150.0 if self.asked >= 3 else 100.0


CELLS = tuple(f"|{op}~0|+|none~0|{op}~1|+|none~0|none~1|{op}~2|" for op in ("nor_conv_3x3", "skip_connect"))


def test_what_a_searcher_charges_is_in_the_seconds_of_its_next_charged_query(table: AccuracyTable) -> None:
    oracle = Table(table, "cifar10")
    price = [oracle.evaluate(Cell.parse(text)).seconds for text in CELLS]
    steps = list(run(Measuring(), oracle, Budget(4)))
    assert [step.evaluation.seconds for step in steps] == [price[1] + 100, price[0], price[1] + 50, price[0]]
    assert [step.evaluation.epochs for step in steps] == [12] * 4

    limits = (price[1] + 100, sum(price) + 100, sum(price) + price[1] + 150)
    for bought, limit in enumerate(limits, 1):  # a microsecond more: sums of floats depend on their order
        assert len(list(run(Measuring(), oracle, Budget(limit + 1e-6, "seconds")))) == bought
        assert len(list(run(Measuring(), oracle, Budget(limit - 1, "seconds")))) == bought - 1


def test_free_repeats_do_not_pay_for_the_search(table: AccuracyTable) -> None:
    """The 50 seconds come before a repeat; no query is charged after it, so no step is."""
    oracle = Table(table, "cifar10")
    steps = islice(run(Measuring(), oracle, Budget(9), repeats="free", canonical=str), 6)
    price = [oracle.evaluate(Cell.parse(text)).seconds for text in CELLS]
    assert [step.evaluation.seconds for step in steps if step.charged] == [price[1] + 100, price[0]]
    assert align([gather([(0, list(steps))])]).spent["seconds"].size == 0


def test_an_oracle_is_not_asked_when_the_search_alone_overruns_the_budget() -> None:
    class Never:
        def evaluate(self, cell: Cell) -> Evaluation:
            raise AssertionError(f"{cell} was evaluated")

    assert list(run(Measuring(), Never(), Budget(99, "seconds"))) == []


def test_unknown_seconds_stay_unknown() -> None:
    class Untimed:
        def evaluate(self, cell: Cell) -> Evaluation:
            return Evaluation(float(cell.rank), 0.0, 12.0, math.nan)

    steps = list(run(Measuring(), Untimed(), Budget(3)))
    assert np.isnan([step.evaluation.seconds for step in steps]).all()


def test_a_stored_search_costs_its_seconds(table: AccuracyTable) -> None:
    oracle, search = Table(table, "cifar10"), stored()[1]
    query = oracle.evaluate(Cell.parse(search.cell)).seconds
    (step,) = spent(table, "10", "tenas")
    assert str(step.cell) == search.cell
    assert step.evaluation.seconds == pytest.approx(query + search.seconds, rel=1e-12)
    assert len(spent(table, f"{query + search.seconds + 1}s", "tenas")) == 1
    assert spent(table, f"{query + search.seconds - 1}s", "tenas") == []
    assert spent(table, f"{search.seconds - 1}s", "tenas") == []


@pytest.mark.parametrize(("budget", "ran"), [("5", len(stored())), ("1s", 0)])
def test_runs_without_steps_are_absent(file: Path, tmp_path: Path, budget: str, ran: int) -> None:
    """Of seeds without a stored search, and of searches that the budget does not pay for."""
    seeds = len(stored()) + 25
    rules = Rules(budget=Budget.parse(budget))
    made = Campaign.on_table(tmp_path, ["tenas"], file, datasets=["cifar10"], seeds=seeds, rules=rules)
    units = made.missing()
    assert sorted(made.run(workers=1)) == sorted(units)
    assert made.missing() == []
    assert len(read(tmp_path / units[-1].file).steps.seed) == 0
    if ran == 0:
        with pytest.raises(NoResults, match="tenas on cifar10: no runs"):
            load(tmp_path)
        return
    campaign = load(tmp_path)
    runs = campaign.runs["cifar10", "tenas"]
    assert runs.seeds.tolist() == list(range(ran))
    assert runs.lengths.tolist() == [1] * ran
    assert runs.final_cells == [stored()[seed].cell for seed in range(ran)]
    assert f"tenas on cifar10: {ran} of {seeds} runs" in campaign.notes


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


def test_the_searcher_observes_a_single_seed_and_the_report_stays_the_mean(
    file: Path, tmp_path: Path
) -> None:
    table = AccuracyTable.load(file)
    record = next(iter(campaign(file, tmp_path / "noisy", metric="12/valid/random", workers=1).values()))

    steps = record.steps
    mean = Table(table, "cifar10", metric=SearchMetric.parse("12")).validation
    rank = np.array([Cell.parse(text).rank for text in steps.cells])[steps.cell]
    offsets = np.round(steps.validation - mean[rank], 6)
    assert sorted(set(offsets.tolist())) == [-0.5, 0.5]
    assert np.array_equal(steps.test, table.column(Column("cifar10", 200, "test", "mean"))[rank])
