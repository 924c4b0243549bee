"""Trainings of several lengths: what is asked, charged and compared, and the searchers that ask for them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.nonparametric.kernel_density import KDEMultivariate
from typer.testing import CliRunner

import nasgauge as ng
from nasgauge.analysis.results.campaign import load
from nasgauge.analysis.statistics.curves import align, top_mean
from nasgauge.analysis.statistics.recommendations import recommended
from nasgauge.cli import app
from nasgauge.conformance.landscape import Landscape
from nasgauge.conformance.laws import fidelities as keeps_to_fidelities
from nasgauge.conformance.trial import Broken, Trial
from nasgauge.data.curves import RANK, Curves
from nasgauge.data.tables import AccuracyTable, Column, NotInTable, View
from nasgauge.gate.work import describe_one
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.packed import pack, unpacked
from nasgauge.harness.records.recipes import recipe_named
from nasgauge.harness.records.steps import Evaluation, Step, gather
from nasgauge.harness.search.campaign import Campaign, InvalidCampaign
from nasgauge.harness.search.failures import SearcherFailed
from nasgauge.harness.search.fidelities import Ladder
from nasgauge.harness.search.oracle import LeakyQuery, SearchMetric
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import InvalidOption, Spec
from nasgauge.harness.search.units import generators
from nasgauge.searchers.asha import ASHA
from nasgauge.searchers.bohb import BOHB
from nasgauge.searchers.densities import Density
from nasgauge.searchers.hyperband import Hyperband, bracket, rungs
from nasgauge.spaces.cells import N_CELLS, Cell, InvalidCell
from nasgauge.spaces.fidelities import At
from nasgauge.spaces.genotype_spaces import GenotypeSpace
from nasgauge.spaces.nb201 import NB201, TransNAS

space = NB201()
RANKS = np.arange(N_CELLS, dtype=float)
CELL, OTHER = space[1000], space[1001]
CHOOSERS = ("asha", "bohb", "hyperband")
SEEDS = (777, 888)


@pytest.fixture(scope="module")
def table() -> AccuracyTable:
    """After e epochs the accuracy is rank / 200 + e / 1000, less or more 0.01 by seed; an epoch takes 2 s, a pass 5 s."""
    columns = {Column("cifar10", 200, "test", "mean"): RANKS / 200}
    for epochs in (12, 200):
        base = RANKS / 200 + epochs / 1000
        columns[Column("cifar10-valid", epochs, "valid", "mean")] = base
        columns[Column("cifar10-valid", epochs, "train", "mean", "seconds")] = np.full(N_CELLS, 2.0)
        columns[Column("cifar10-valid", epochs, "valid", "mean", "seconds")] = np.full(N_CELLS, 5.0)
    for shift, seed in zip((-0.01, 0.01), SEEDS, strict=True):
        columns[Column("cifar10-valid", 200, "valid", seed)] = RANKS / 200 + 0.2 + shift
    view = View(Column("cifar10-valid", 200, "valid", "random"), Column("cifar10", 200, "test", "mean"))
    return AccuracyTable(
        name="toy", limits="made up", source_sha256="", columns=columns, views={"cifar10": view}
    )


@pytest.fixture(scope="module")
def curves() -> Curves:
    """The curves that end at the table's 200 epochs."""
    names = [f"cifar10-valid/200/valid/{seed}/accuracy" for seed in SEEDS]
    rows = np.zeros(N_CELLS, dtype=[(RANK, "i4"), *((name, "f8", (200,)) for name in names)])
    rows[RANK] = np.arange(N_CELLS)
    for shift, name in zip((-0.01, 0.01), names, strict=True):
        rows[name] = RANKS[:, None] / 200 + np.arange(1, 201) / 1000 + shift
    return Curves(rows)


@pytest.fixture(scope="module")
def curved(table: AccuracyTable, curves: Curves) -> Ladder:
    return Ladder(table, "cifar10", curves=curves)


# --- what a training of some length costs


def test_lengths_of_a_table_without_curves_are_trainings_of_their_own(table: AccuracyTable) -> None:
    ladder = Ladder(table, "cifar10")
    oracle = ladder.for_run(np.random.default_rng(0))
    short, full, again = (oracle.evaluate(At(CELL, epochs)) for epochs in (12, 200, 200))

    assert ladder.fidelities == (12, 200)
    assert short == Evaluation(CELL.rank / 200 + 0.012, CELL.rank / 200, 12.0, 29.0)
    assert (full.epochs, full.seconds) == (again.epochs, again.seconds) == (200.0, 405.0)
    assert ladder.metric == "cifar10-valid/200/valid/random/accuracy, after 12, 200 epochs, trained anew"


def test_a_curve_is_continued_and_the_difference_charged(curved: Ladder) -> None:
    oracle = curved.for_run(np.random.default_rng(0))
    first, further, last = (oracle.evaluate(At(CELL, epochs)) for epochs in (7, 22, 200))
    sizes = [CELL.rank / 200 + epochs / 1000 for epochs in (7, 22, 200)]
    shifts = [one.validation - size for one, size in zip((first, further, last), sizes, strict=True)]

    assert (len(curved.fidelities), curved.continues) == (200, True)
    assert [one.epochs for one in (first, further, last)] == [7, 15, 178]
    assert [one.seconds for one in (first, further, last)] == pytest.approx([19, 35, 361])  # each with a pass
    assert abs(shifts[0]) == pytest.approx(0.01)
    assert shifts == pytest.approx([shifts[0]] * 3), "a training that is continued keeps its seed"


def test_a_length_that_is_done_begins_another_training(curved: Ladder) -> None:
    oracle = curved.for_run(np.random.default_rng(0))
    charged = [oracle.evaluate(At(cell, epochs)).epochs for cell, epochs in (
        (CELL, 22), (OTHER, 22), (CELL, 22), (CELL, 66), (CELL, 7), (OTHER, 200), (CELL, 22),
    )]  # fmt: skip
    assert charged == [22, 22, 22, 44, 7, 178, 15]


def test_repeats_of_a_length_are_free_where_repeats_are(table: AccuracyTable, tmp_path: Path) -> None:
    class Twice(Hyperband[Cell]):
        def ask(self) -> list[At[Cell]]:
            return [At(CELL, 12), At(CELL, 12), At(CELL, 200)]

    results = ng.search(Twice, table, budget=4, seeds=1, repeats="free", out=tmp_path, progress=False)
    assert results.frame()["charged"].tolist()[:6] == [True, False, True, False, False, False]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([7, 22, 66, 200])), min_size=1, max_size=30))
def test_what_is_charged_adds_up_to_the_trainings(curved: Ladder, asked: list[tuple[int, int]]) -> None:
    oracle = curved.for_run(np.random.default_rng(0))
    charged = sum(oracle.evaluate(At(space[place], epochs)).epochs for place, epochs in asked)
    left: dict[int, int] = {}
    trained = 0
    for place, epochs in asked:
        if epochs <= left.get(place, 0):
            trained += left[place]
        left[place] = epochs
    assert charged == trained + sum(left.values())


# --- what is refused


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        (At(CELL, 50), NotInTable, "no accuracy of cifar10-valid after 50 epochs; choose from 12, 200"),
        (CELL, InvalidCell, r"asked for a Cell; ask for At\(cell, epochs\)"),
        (At("a cell", 12), InvalidCell, "asked for a str"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    table: AccuracyTable, curved: Ladder, asked: At[Cell], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Ladder(table, "cifar10").for_run(np.random.default_rng(0)).evaluate(asked)
    if asked != At(CELL, 50):
        with pytest.raises(error, match=says):
            curved.for_run(np.random.default_rng(0)).evaluate(asked)


def test_one_length_is_not_enough(table: AccuracyTable) -> None:
    with pytest.raises(NotInTable, match="has accuracies after 12 epochs alone on cifar10-valid"):
        Ladder(table, "cifar10", metric=SearchMetric.parse("12"))


def test_curves_that_mix_validation_and_test_are_not_taken_for_validation() -> None:
    official = ng.open_table("nb201")
    assert Ladder(official, "cifar100").fidelities == (12, 200)
    with pytest.raises(LeakyQuery):
        Ladder(official, "cifar10", metric=SearchMetric.parse("200/valtest"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hyperband", "-t", "transnas"], "has accuracies after unstated epochs alone"),
        (["asha", "--metric", "12"], "has accuracies after 12 epochs alone"),
        (["bohb:lowest=50"], "lowest=50 is no training length that there is; choose from 12, 200"),
        (["hyperband:eta=1"], "eta must be at least 2, not 1"),
        (["hyperband:warm=naswot"], "warm cannot do so, leave it out"),
        (["bohb:top=0"], "top must be in 1 to 99"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["search", *arguments, "-n", "1", "-o", str(out), "-j", "1"])
    assert isinstance(done.exception, ng.NasgaugeError) or done.exit_code == 2
    assert says in " ".join(f"{done.output} {done.exception}".split())
    assert not out.exists()


def test_the_gate_leaves_such_searchers_out() -> None:
    with pytest.raises(SearcherFailed, match="hyperband asks for training lengths"):
        describe_one("hyperband")


# --- what is compared


def steps(*figures: tuple[int, float, float]) -> list[Step[At[Cell]]]:
    """From epochs, search metric and reported accuracy."""
    return [
        Step(At(space[place], epochs), Evaluation(metric, test, float(epochs), 1.0), True, 0.0)
        for place, (epochs, metric, test) in enumerate(figures)
    ]


def test_the_incumbent_is_the_best_after_the_most_epochs_so_far() -> None:
    runs = align([gather([(0, steps((12, 70, 1), (12, 80, 2), (200, 60, 3), (12, 90, 4), (200, 61, 5)))])])
    assert runs.incumbent.tolist() == [[1, 2, 3, 3, 5]]
    assert runs.fidelity.tolist() == [[12, 12, 200, 12, 200]]
    assert runs.paid("epochs").tolist() == [[12, 24, 224, 236, 436]]


def test_the_best_cells_and_the_smoothed_one_are_fully_trained_ones() -> None:
    runs = align([gather([(0, steps((12, 99, 1), (200, 60, 3), (12, 98, 4), (200, 61, 5)))])])
    assert top_mean(runs, 2)[0, -1] == 4
    assert recommended(runs, "smoothed").tolist() == [3]
    assert recommended(runs, "smoothed", 1).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([3, 12, 200]), st.integers(0, 9), st.integers(0, 99)), min_size=1))
def test_the_incumbent_is_what_a_plain_loop_says(figures: list[tuple[int, int, int]]) -> None:
    best, seen = (0, -1.0, 0.0), []
    for epochs, metric, test in figures:
        if (epochs, metric) > best[:2]:
            best = (epochs, metric, test)
        seen.append(best[2])
    assert align([gather([(0, steps(*figures))])]).incumbent.tolist() == [seen]


def test_a_frame_a_file_and_a_packed_file_say_the_length(tmp_path: Path) -> None:
    results = ng.search(
        "hyperband", dataset="cifar10", budget="1500 epochs", seeds=2, out=tmp_path, progress=False
    )
    frame = results.frame()
    assert Counter(frame["fidelity"])[12] == 2 * 2 * 17
    assert (frame["fidelity"] == frame["epochs"]).all()
    ends = frame.groupby("seed").last()
    assert ends["incumbent"].tolist() == align_final(tmp_path)
    (record,) = list(unpacked(packed(tmp_path)))
    assert record.steps.fidelity.tolist() == frame["fidelity"].tolist()


def align_final(folder: Path) -> object:
    return load(folder).runs["cifar10", "hyperband"].final.tolist()


def packed(folder: Path) -> Path:
    path = folder / "packed" / "results.parquet"
    pack(path, records_of(folder)[0])
    return path


def test_a_plain_search_has_the_same_file_as_ever(tmp_path: Path) -> None:
    results = ng.search("random", dataset="cifar10", budget=5, seeds=1, out=tmp_path, progress=False)
    assert (results.frame()["fidelity"] == 0).all()
    (path,) = tmp_path.glob("*.parquet")
    assert "fidelity" not in pq.read_schema(path).names


# --- the searchers


def asked_by(name: str, lengths: tuple[int, ...], budget: str = "5000 epochs") -> list[At[Cell]]:
    searcher: Any = Spec.of(name).make(space, np.random.default_rng(0), lengths)
    return [step.cell for step in run(searcher, Landscape(), Budget.parse(budget))]


def test_hyperband_makes_the_paper_s_brackets() -> None:
    """Li et al. (2018), algorithm 1 with R = 81 and eta = 3."""
    made = asked_by("hyperband", (1, 3, 9, 27, 81), "1902 epochs")
    for first, length in enumerate((1, 3, 9, 27, 81)):
        sizes = bracket((1, 3, 9, 27, 81), first)
        assert [at.epochs for at in made[: sum(sizes)]] == [
            epochs for epochs, size in zip((1, 3, 9, 27, 81)[first:], sizes, strict=True) for _ in range(size)
        ], length
        made = made[sum(sizes) :]
    assert not made or made[0].epochs == 1


def test_a_bracket_promotes_its_best() -> None:
    made = asked_by("hyperband", (12, 200), "404 epochs")
    short, full = made[:17], made[17]
    best = max(short, key=lambda at: Landscape().evaluate(at).validation)
    assert full == At(best.cell, 200)


def test_asha_promotes_the_share_that_the_lengths_allow() -> None:
    made = asked_by("asha", (1, 3, 9), "600 epochs")
    counts = Counter(at.epochs for at in made)
    assert counts[1] // 3 <= counts[3] < counts[1] / 2, "one that was promoted early stays so"
    assert counts[3] // 3 <= counts[9] < counts[3] / 2
    results: dict[int, list[float]] = {1: [], 3: []}
    seen: dict[At[Cell], float] = {}
    for at in made:
        accuracy = Landscape().evaluate(at).validation
        if at.epochs > 1:
            below = at.epochs // 3
            order = sorted(results[below], reverse=True)
            assert seen[At(at.cell, below)] >= order[len(order) // 3 - 1], "only the best third is promoted"
        seen[at] = accuracy
        if at.epochs < 9:
            results[at.epochs].append(accuracy)


def test_bohb_learns_what_hyperband_does_not() -> None:
    means = {}
    for name in ("hyperband", "bohb"):
        made = asked_by(name, (12, 200), "20000 epochs")
        late = [at for at in made if at.epochs == 12][-100:]
        means[name] = np.mean([Landscape().evaluate(at).validation for at in late])
    assert means["bohb"] > means["hyperband"] + 5


@pytest.mark.parametrize("name", CHOOSERS)
@pytest.mark.parametrize("where", [TransNAS(), GenotypeSpace()])
def test_other_spaces_are_searched_too(name: str, where: TransNAS | GenotypeSpace) -> None:
    searcher: Any = Spec.of(name).make(where, np.random.default_rng(0), (12, 200))
    lengths = set()
    for turn in range(60):
        for asked in searcher.ask():
            searcher.tell(asked, float(turn))
            assert type(asked.cell) is type(where.sample(np.random.default_rng(0)))
            lengths.add(asked.epochs)
    assert lengths == {12, 200}


@pytest.mark.parametrize("searcher", [ASHA, BOHB, Hyperband])
def test_a_failed_training_is_the_worst(searcher: type[Hyperband[Cell]]) -> None:
    made = searcher(space, np.random.default_rng(0), fidelities=(12, 200))
    promoted = None
    for turn in range(60):
        for asked in made.ask():
            if asked.epochs == 200 and promoted is None and turn > 15:
                promoted = asked.cell
            good = asked.cell.ops[0] != "none"
            made.tell(asked, 80.0 if good else float("nan"))
    assert promoted is not None
    assert promoted.ops[0] != "none"


def test_rungs_are_found_whatever_the_lengths() -> None:
    assert rungs((12, 200), 3) == (12, 200)
    assert rungs((5, 6, 7), 3) == (7,)
    assert rungs(range(1, 201), 4, lowest=3) == (3, 12, 50, 200)
    with pytest.raises(
        ValueError, match="lowest=300 is no training length that there is; choose from 1 to 200"
    ):
        rungs(range(1, 201), 3, lowest=300)


@pytest.mark.filterwarnings("ignore:After 0.17:FutureWarning")  # statsmodels's own
def test_the_density_is_statsmodels_s_where_the_data_have_every_option() -> None:
    rng = np.random.default_rng(0)
    data = np.vstack([rng.integers(4, size=(30, 3)), np.arange(4)[:, None].repeat(3, 1)])
    theirs = KDEMultivariate(data, "uuu", bw="normal_reference")
    ours = Density(data, (4, 4, 4), 1e-3)
    points = rng.integers(4, size=(20, 3))
    theirs.bw = np.minimum(theirs.bw, 0.75)
    assert ours.bandwidth_D == pytest.approx(theirs.bw, rel=1e-2)
    theirs.bw = ours.bandwidth_D
    assert ours(points) == pytest.approx(theirs.pdf(points))


def test_draws_follow_the_density() -> None:
    density = Density(np.array([[0, 2], [0, 1], [1, 2]]), (2, 3), 0.05)
    drawn = density.sample(40_000, np.random.default_rng(0))
    assert drawn.max(axis=0).tolist() == [1, 2]
    assert np.bincount(drawn[:, 0])[0] / 40_000 == pytest.approx(
        (2 / 3) * (1 - density.bandwidth_D[0]) + density.bandwidth_D[0] / 2, abs=0.01
    )


# --- the law


class Stubborn(Hyperband[Cell]):
    """Asks for 12 epochs, whatever it was given."""

    def ask(self) -> list[At[Cell]]:
        return [at._replace(epochs=12) for at in super().ask()]


def test_a_searcher_that_ignores_what_it_was_given_breaks_a_law() -> None:
    trial = Trial(f"{Stubborn.__module__}:Stubborn", 30)
    trial.spec = Spec.of(Stubborn)
    with pytest.raises(Broken, match=r"given|epochs that it was not given"):
        keeps_to_fidelities(trial, [])


def test_plain_searchers_have_no_such_law() -> None:
    trial = Trial("random", 30)
    trial.load()
    keeps_to_fidelities(trial, [])


def test_training_here_has_one_length(tmp_path: Path) -> None:
    with pytest.raises(InvalidCampaign, match="hyperband asks for several training lengths"):
        Campaign.on_training(tmp_path, ["hyperband"], recipe_named("tiny"), machine=None)  # type: ignore[arg-type]


def test_options_are_those_of_the_searcher_alone() -> None:
    assert Spec.of("hyperband").settings() == {"eta": 3, "lowest": 0}
    assert Spec.of("hyperband").asks_epochs
    assert not Spec.of("random").asks_epochs
    with pytest.raises(InvalidOption, match="has no option 'fidelities'; its options: eta, lowest"):
        Spec.of("hyperband:fidelities=3")


def test_the_same_seed_gives_the_same_search_on_curves(curved: Ladder) -> None:
    def searched() -> list[tuple[object, ...]]:
        searcher_rng, oracle_rng = generators(3)
        searcher: Any = Spec.of("hyperband").make(space, searcher_rng, curved.fidelities[6::15])
        made = run(searcher, curved.for_run(oracle_rng), Budget(3000, "epochs"))
        return [step[:3] for step in made]

    assert searched() == searched()
