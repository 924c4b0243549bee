"""Search metrics, what a query costs, and references, on a table whose right answers are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasgauge.data.curves import RANK, Curves
from nasgauge.data.tables import AccuracyTable, Column, NotInTable, Split, View
from nasgauge.harness.search.oracle import Fidelity, InvalidMetric, LeakyQuery, SearchMetric, Table
from nasgauge.harness.search.units import generators
from nasgauge.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from nasgauge.spaces.cells import N_CELLS
from nasgauge.spaces.nb201 import NB201
from nasgauge.studies.yardsticks import yardstick

RANKS = np.arange(N_CELLS, dtype=float)
EVEN = RANKS % 2 == 0
CELL = NB201()[1000]


@pytest.fixture(scope="module")
def table() -> AccuracyTable:
    """Every accuracy is rank / 200, with a mark for its split and seed; cells of odd rank lack seed 888."""
    columns = {}
    for dataset in ("cifar10-valid", "cifar100"):
        for epochs in (12, 200):
            splits: tuple[Split, ...] = ("valid", "valtest") if dataset == "cifar100" else ("valid",)
            for mark, split in enumerate(splits):
                base = RANKS / 200 + mark / 10 + epochs / 1000
                columns[Column(dataset, epochs, split, 777)] = base - 0.01
                columns[Column(dataset, epochs, split, 888)] = np.where(EVEN, base + 0.01, np.nan)
                columns[Column(dataset, epochs, split, "mean")] = np.where(EVEN, base, base - 0.01)
    for dataset in ("cifar10", "cifar100"):
        columns[Column(dataset, 200, "test", 777)] = RANKS / 200
        columns[Column(dataset, 200, "test", 888)] = np.where(EVEN, RANKS / 200 + 1, np.nan)
        columns[Column(dataset, 200, "test", "mean")] = np.where(EVEN, RANKS / 200 + 0.5, RANKS / 200)
    return AccuracyTable(
        name="toy",
        limits="made up",
        source_sha256="",
        columns=columns,
        views={
            "cifar10": View(
                Column("cifar10-valid", 12, "valid", "mean"), Column("cifar10", 200, "test", "mean")
            ),
            "cifar100": View(
                Column("cifar100", 12, "valid", "mean"), Column("cifar100", 200, "test", "mean")
            ),
        },
    )


@pytest.fixture(scope="module")
def curves() -> Curves:
    """Accuracy after epoch e is e; as in the official records, cifar100 has no validation over 200 epochs."""
    names = [
        "cifar10-valid/200/valid/777/accuracy",
        "cifar100/200/valtest/777/accuracy",
        "cifar100/12/valid/777/accuracy",
    ]
    kinds = [(name, "f8", (int(name.split("/")[1]),)) for name in names]
    rows = np.zeros(N_CELLS, dtype=[(RANK, "i4"), *kinds])
    rows[RANK] = np.arange(N_CELLS)
    for name, _, (length,) in kinds:
        rows[name] = np.arange(1, length + 1)
    return Curves(rows)


# Splits: validation to the searcher, test to the report, mixtures by their name or not at all


def test_a_signal_chooses_fidelity_split_and_seed(table: AccuracyTable) -> None:
    oracle = Table(table, "cifar10", metric=SearchMetric.parse("200/valid/777"))

    assert oracle.metric == "cifar10-valid/200/valid/777/accuracy"
    answer = oracle.evaluate(CELL)
    assert answer.validation == pytest.approx(CELL.rank / 200 + 0.2 - 0.01)
    assert answer.test == pytest.approx(CELL.rank / 200 + 0.5)
    assert answer.epochs == 200


def test_test_accuracy_is_no_signal() -> None:
    with pytest.raises(
        LeakyQuery, match="test accuracy cannot be the search metric; choose from valid, valtest"
    ):
        SearchMetric.parse("12/test/mean")


def test_curves_that_mix_validation_and_test_go_by_that_name_alone(
    table: AccuracyTable, curves: Curves
) -> None:
    with pytest.raises(LeakyQuery, match="validation and test images together; ask for 200@25/valtest/777"):
        Table(table, "cifar100", metric=SearchMetric.parse("200@25/valid/777"), curves=curves)

    oracle = Table(table, "cifar100", metric=SearchMetric.parse("200@25/valtest/777"), curves=curves)
    assert oracle.validation[0] == 25
    assert oracle.view.warning == "the search metric is measured on valtest images"


def test_clean_curves_need_no_such_name(table: AccuracyTable, curves: Curves) -> None:
    at_25 = Table(table, "cifar10", metric=SearchMetric.parse("200@25/valid/777"), curves=curves)
    at_3 = Table(table, "cifar100", metric=SearchMetric.parse("12@3"), curves=curves)

    assert (at_25.validation[0], at_25.evaluate(CELL).epochs, at_25.view.warning) == (25, 25, "")
    assert (at_3.validation[0], at_3.evaluate(CELL).epochs) == (3, 3)
    assert at_3.metric == "cifar100/12/valid/mean/accuracy, epoch 3"


def test_cifar10_has_no_mixture(table: AccuracyTable) -> None:
    with pytest.raises(LeakyQuery, match="choose the split valid"):
        Table(table, "cifar10", metric=SearchMetric.parse("12/valtest"))


@pytest.mark.parametrize("text", ["", "12@", "@3", "twelve", "12/valid/mean/more", "12/val", "12/valid/some"])
def test_a_signal_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidMetric):
        SearchMetric.parse(text)


@pytest.mark.parametrize(
    ("signal", "says"),
    [
        ("90", "has no cifar10-valid/90/valid/mean/accuracy; it has"),
        ("12/valid/999", "has no cifar10-valid/12/valid/999/accuracy"),
        ("12@3", "has no learning curves; choose a fidelity without @3"),
        ("12/valid/888", "lacks 7812 cells"),
    ],
)
def test_what_the_table_cannot_answer_is_refused_when_the_oracle_is_made(
    table: AccuracyTable, signal: str, says: str
) -> None:
    with pytest.raises(NotInTable, match=says):
        Table(table, "cifar10", metric=SearchMetric.parse(signal))


def test_an_epoch_beyond_the_run_is_refused(table: AccuracyTable, curves: Curves) -> None:
    with pytest.raises(NotInTable, match="no epoch 13; choose from 1 to 12"):
        Table(table, "cifar100", metric=SearchMetric.parse("12@13"), curves=curves)


# Seeds: the mean, one, or drawn by the run


def test_random_seeds_are_drawn_from_the_runs_own_generator(table: AccuracyTable) -> None:
    oracle = Table(table, "cifar10", metric=SearchMetric.parse("12/valid/random"))

    def heard(run: int) -> list[float]:
        ready = oracle.for_run(generators(run)[1])
        return [ready.evaluate(CELL).validation for _ in range(40)]

    base = CELL.rank / 200 + 0.012
    assert sorted({round(value, 6) for value in heard(0)}) == [round(base - 0.01, 6), round(base + 0.01, 6)]
    assert heard(0) == heard(0) != heard(1)
    with pytest.raises(InvalidMetric, match=r"use for_run\(rng\)"):
        oracle.evaluate(CELL)


def test_a_seed_that_a_cell_was_not_trained_with_is_never_drawn(table: AccuracyTable) -> None:
    odd = NB201()[1001]
    ready = Table(table, "cifar10", metric=SearchMetric.parse("12/valid/random")).for_run(generators(0)[1])

    heard = {ready.evaluate(odd).validation for _ in range(40)}
    assert heard == {1001 / 200 + 0.012 - 0.01}


def test_nothing_is_drawn_where_there_is_nothing_to_draw(table: AccuracyTable) -> None:
    oracle = Table(table, "cifar10")

    assert oracle.for_run(generators(0)[1]) is oracle


def test_a_table_of_means_alone_cannot_be_drawn_from(table: AccuracyTable) -> None:
    means = {column: values for column, values in table.columns.items() if column.seed == "mean"}
    bare = AccuracyTable(name="bare", limits="", source_sha256="", columns=means, views=table.views)

    with pytest.raises(NotInTable, match="no single seeds of cifar10-valid/12/valid/mean/accuracy"):
        Table(bare, "cifar10", metric=SearchMetric.parse("12/valid/random"))


# References: optimum, rank, percentile and regret, of means and of single seeds


def test_yardsticks_under_the_mean(table: AccuracyTable) -> None:
    means = yardstick(table, "cifar10")

    assert means.cells == N_CELLS
    assert means.optimum == 15624 / 200 + 0.5
    assert means.rank(means.optimum) == 1
    assert means.percentile(means.optimum) == 100
    assert means.regret(means.optimum - 2) == 2
    assert means.rank(-1.0) == N_CELLS + 1


def test_yardsticks_under_a_seed_count_its_cells_alone(table: AccuracyTable) -> None:
    seed = yardstick(table, "cifar10", 888)

    assert seed.cells == 7813
    assert seed.optimum == 15624 / 200 + 1


def test_yardsticks_under_random_seeds_count_every_cell_once(table: AccuracyTable) -> None:
    random = yardstick(table, "cifar10", "random")

    assert random.cells == pytest.approx(N_CELLS)
    assert random.optimum == 15624 / 200 + 1  # what a lucky draw can give: above the best mean
    # 78.0 of the best cell's own bad draw: its other draw is better by half a cell
    assert random.rank(15624 / 200 + 0.999) == pytest.approx(1.5)


def test_rank_and_percentile_take_many_accuracies_at_once(table: AccuracyTable) -> None:
    means = yardstick(table, "cifar10")
    values = table.column(Column("cifar10", 200, "test", "mean"))

    by_hand = [(values > value).sum() + 1 for value in values[:50]]
    assert means.rank(values[:50]).tolist() == by_hand
    assert means.percentile(values[:50]) == pytest.approx(100 * (1 - (np.array(by_hand) - 1) / N_CELLS))


# Seconds: measured in the table, or not known


def timed(table: AccuracyTable, epochs: int, **seconds: float) -> AccuracyTable:
    times = {
        Column("cifar100", epochs, split, "mean", "seconds"): np.full(N_CELLS, value)  # type: ignore[arg-type]
        for split, value in seconds.items()
    }
    return replace(table, columns={**table.columns, **times})


def test_a_query_costs_its_training_and_one_validation_pass(table: AccuracyTable) -> None:
    oracle = Table(timed(table, 12, train=10.0, valid=0.5), "cifar100")

    assert (oracle.times, oracle.evaluate(CELL).seconds) == ("table", 120.5)


def test_without_validation_seconds_a_query_costs_its_training(table: AccuracyTable) -> None:
    oracle = Table(timed(table, 12, train=10.0), "cifar100", metric=SearchMetric.parse("12"))

    assert (oracle.times, oracle.evaluate(CELL).seconds) == ("table", 120)


def test_seconds_of_an_epoch_hold_for_runs_of_any_length(table: AccuracyTable) -> None:
    assert Table(timed(table, 200, train=10.0), "cifar100").evaluate(CELL).seconds == 120


def test_seconds_that_the_table_does_not_have_are_not_known(table: AccuracyTable) -> None:
    oracle = Table(timed(table, 12, train=10.0), "cifar10")

    assert oracle.times == "none"
    assert np.isnan(oracle.seconds).all()


# Protocols


def test_the_default_protocol_is_the_default_of_the_table(nb201: AccuracyTable) -> None:
    assert next(iter(PROTOCOLS)) == DEFAULT_PROTOCOL
    for dataset in nb201.views:
        named = Table(nb201, dataset, metric=PROTOCOLS[DEFAULT_PROTOCOL].metric)
        assert named.view == Table(nb201, dataset).view
        assert named.view.warning == ""


def test_a_query_of_a_protocol_costs_what_its_documentation_says(nb201: AccuracyTable) -> None:
    means = {
        name: [Table(nb201, d, metric=protocol.metric).seconds.mean().round() for d in nb201.views]
        for name, protocol in PROTOCOLS.items()
    }
    assert means == {"nb201-200": [1828, 3656, 11092], "nb201-12": [110, 219, 666]}


@pytest.mark.parametrize("text", ["200/valid/mean", "200/valid/777", "200/valid/888", "12"])
def test_fixed_seeds_and_means_stay_available(nb201: AccuracyTable, text: str) -> None:
    oracle = Table(nb201, "cifar100", metric=SearchMetric.parse(text))
    expected = nb201.column(SearchMetric.parse(text).column("cifar100"))

    assert oracle.evaluate(CELL).validation == expected[CELL.rank]


def test_a_query_of_the_shipped_table_draws_one_of_the_cell_s_seeds(nb201: AccuracyTable) -> None:
    """As likely each; cells with two seeds and with three."""
    oracle = Table(nb201, "cifar10")
    third = nb201.column(Column("cifar10-valid", 200, "valid", 999))
    for cell, seeds in ((NB201()[int(np.isnan(third).argmax())], 2), (NB201()[int((third > 0).argmax())], 3)):
        ready = oracle.for_run(generators(0)[1])
        drawn = [ready.evaluate(cell) for _ in range(600)]
        values, counts = np.unique([one.validation for one in drawn], return_counts=True)
        assert len(values) == seeds
        assert counts.min() > 600 / seeds - 80
        assert {one.test for one in drawn} == {nb201.value(cell, oracle.view.report)}


def test_fidelities_have_one_text() -> None:
    assert [str(Fidelity.parse(text)) for text in ("12", "200", "200@25")] == ["12", "200", "200@25"]


def test_curves_come_back_from_their_file(curves: Curves, tmp_path: Path) -> None:
    np.save(tmp_path / "toy.curves.npy", curves.rows)

    again = Curves.load(tmp_path / "toy.curves.npy")
    assert again.curve(CELL, Column.parse("cifar100/12/valid/777/accuracy")).tolist() == list(range(1, 13))
    with pytest.raises(NotInTable, match="there are curves of cifar10-valid/200/valid"):
        again.curve(CELL, Column.parse("cifar100/200/valid/777/accuracy"))
