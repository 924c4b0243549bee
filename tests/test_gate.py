"""The gate: what it says of what it sees, what its error rates are, and that nothing bad passes for good."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from nasgauge.data.tables import AccuracyTable, Column, NotInTable, View
from nasgauge.gate import commands
from nasgauge.gate.baseline import BadBaseline, BadSettings, Baseline, load, margins, save
from nasgauge.gate.commands import Bounds, against, seeds_for
from nasgauge.gate.compare import Report, UnpairedSeeds, compare
from nasgauge.gate.measure import Measured, Saturated, Truth, accuracies, truth
from nasgauge.gate.render import junit, markdown
from nasgauge.gate.verdicts import (
    ALPHA,
    MISS,
    POWER,
    Difference,
    Verdict,
    Word,
    judge,
    paired,
    seeds_needed,
    two_sample,
)
from nasgauge.gate.work import Run
from nasgauge.harness.search.failures import SearcherFailed
from nasgauge.harness.search.specs import InvalidOption, Searchable, UnknownSearcher

Array = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).parent / "baselines" / "nb201.json"
"""The project's own, which its continuous integration runs the gate against."""

# --- verdicts


def difference(mean: float, error: float) -> Difference:
    return Difference("two-sample", mean, error, 200.0, 10 * error)


@pytest.mark.parametrize(
    ("mean", "error", "word"),
    [
        (0.0, 0.0, "same"),  # identical runs
        (0.0, 0.1, "same"),
        (-0.3, 0.01, "same"),  # surely a loss, and as surely a smaller one than the margin of 1
        (-0.3, 0.3, "same"),
        (-0.6, 0.5, "cannot tell"),
        (0.0, 1.0, "cannot tell"),
        (-1.0, 0.2, "worse"),
        (-2.0, 0.0, "worse"),
        (0.5, 0.1, "better"),
        (0.5, 0.0, "better"),
    ],
)
def test_a_verdict_is_about_the_margin(mean: float, error: float, word: str) -> None:
    assert judge([difference(mean, error)], [1.0])[0].word == word


def test_many_comparisons_make_an_alarm_harder_and_a_pass_no_easier() -> None:
    alone = judge([difference(-0.9, 0.4)], [0.1])[0]
    among = judge([difference(-0.9, 0.4)] + [difference(0.0, 0.4)] * 30, [0.1] * 31)[0]
    assert (alone.word, among.word) == ("worse", "cannot tell")
    assert among.p_worse == pytest.approx(31 * alone.p_worse)
    assert among.p_inferior == alone.p_inferior
    assert among.seeds_needed > alone.seeds_needed


def test_pairs_see_what_two_samples_do_not() -> None:
    rng = np.random.default_rng(0)
    then = rng.normal(90, 1, 100)
    now = then - 0.1 + rng.normal(0, 0.05, 100)
    assert judge([paired(then, now)], [0.05])[0].word == "worse"
    assert judge([two_sample(then, now)], [0.05])[0].word == "cannot tell"
    assert two_sample(then, now).mean == pytest.approx(paired(then, now).mean)


def test_the_tests_are_those_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    then, now = rng.normal(90, 1, 40), rng.normal(89.8, 2, 60)
    welch = stats.ttest_ind(now, then, equal_var=False, alternative="less")
    assert two_sample(then, now).below(0) == pytest.approx(welch.pvalue)
    student = stats.ttest_rel(now[:40], then, alternative="greater")
    assert paired(then, now[:40]).above(0) == pytest.approx(student.pvalue)
    low, high = two_sample(then, now).bound()
    interval = stats.ttest_ind(now, then, equal_var=False).confidence_interval(1 - 2 * ALPHA)
    assert (low, high) == pytest.approx((interval.low, interval.high))


# --- error rates, on the real distributions of the stored baseline


@pytest.fixture(scope="module")
def stored() -> Baseline:
    return load(BASELINE)


class Family:
    """All comparisons of the stored baseline, to draw families of runs from."""

    def __init__(self, baseline: Baseline) -> None:
        entries = [entry for searcher in baseline.searchers.values() for entry in searcher.datasets.values()]
        self.samples = [accuracies(entry.runs) for entry in entries]  # (runs, budgets) of each searcher
        self.margins = [margin for entry in entries for margin in entry.margins]
        self.names = list(baseline.searchers)

    def draw(self, rng: np.random.Generator, seeds: int) -> list[Array]:
        """The runs of a searcher keep their budgets together, as real ones do."""
        return [sample[rng.integers(len(sample), size=seeds)] for sample in self.samples]

    def code(
        self, then: list[Array], now: list[Array], test: Callable[[Array, Array], Difference]
    ) -> tuple[int, list[Verdict]]:
        verdicts = judge(
            [test(a, b) for x, y in zip(then, now, strict=True) for a, b in zip(x.T, y.T, strict=True)],
            self.margins,
        )
        words = {verdict.word for verdict in verdicts}
        return 1 if "worse" in words else 2 if "cannot tell" in words else 0, verdicts


def rates(
    family: Family,
    repeats: int,
    spoil: Callable[[list[Array], np.random.Generator], list[Array]],
    *,
    seeds: int,
    same: float | None = None,
) -> Array:
    """Shares of exit codes 0, 1 and 2; `same` is the share of runs that are alike, of a paired test."""
    rng = np.random.default_rng(20)
    counts = np.zeros(3)
    for _ in range(repeats):
        then, now = family.draw(rng, seeds), family.draw(rng, seeds)
        if same is not None:
            alike = rng.random(seeds) < same
            now = [np.where(alike[:, None], a, b) for a, b in zip(then, now, strict=True)]
        code, _ = family.code(then, spoil(now, rng), two_sample if same is None else paired)
        counts[code] += 1
    return counts / repeats


def slack(rate: float, repeats: int) -> float:
    """Three standard errors of a simulated rate."""
    return float(3 * np.sqrt(rate * (1 - rate) / repeats))


def nothing(now: list[Array], rng: np.random.Generator) -> list[Array]:  # noqa: ARG001 - as the others
    return now


def lose_the_margin(
    family: Family, comparison: int
) -> Callable[[list[Array], np.random.Generator], list[Array]]:
    """One comparison of the family loses exactly its margin, in every run."""
    searcher, budget = divmod(comparison, family.samples[0].shape[1])

    def spoil(now: list[Array], rng: np.random.Generator) -> list[Array]:  # noqa: ARG001 - as the others
        loss = np.zeros(now[searcher].shape[1])
        loss[budget] = family.margins[comparison]
        return [runs - loss if place == searcher else runs for place, runs in enumerate(now)]

    return spoil


def fail_at_times(family: Family, searcher: int) -> Callable[[list[Array], np.random.Generator], list[Array]]:
    """One searcher loses its margins on average, by runs that fail badly: a tenth of them, all the loss."""
    width = family.samples[0].shape[1]
    loss = 10 * np.array(family.margins[searcher * width : (searcher + 1) * width])

    def spoil(now: list[Array], rng: np.random.Generator) -> list[Array]:
        fails = rng.random(len(now[searcher])) < 0.1
        return [runs - fails[:, None] * loss if place == searcher else runs for place, runs in enumerate(now)]

    return spoil


def check_error_rates(family: Family, repeats: int, seeds: int) -> dict[str, Array]:
    """False alarms of at most 5 %, passes of at least 95 %, alarm at a planted loss of at least 95 %."""
    found: dict[str, Array] = {}
    for same in (None, 0.0, 0.7):
        design = "two-sample" if same is None else f"paired, {same:.0%} of runs alike"
        untouched = rates(family, repeats, nothing, seeds=seeds, same=same)
        assert untouched[1] <= ALPHA + slack(ALPHA, repeats), design
        assert untouched[0] >= POWER - slack(POWER, repeats), design
        found[f"untouched, {design}"] = untouched
    for comparison in range(len(family.margins)):
        spoiled = rates(family, repeats, lose_the_margin(family, comparison), seeds=seeds)
        assert spoiled[1] >= POWER - slack(POWER, repeats), comparison
        assert spoiled[0] <= MISS + slack(MISS, repeats), comparison
        found[f"comparison {comparison} lost its margin"] = spoiled
    return found


def test_it_cries_wolf_rarely_and_catches_a_loss_of_the_margin(stored: Baseline) -> None:
    """With as many seeds as the power computation asks for; the slow test repeats it more often."""
    check_error_rates(Family(stored), repeats=150, seeds=max(seeds_for(stored).values()))


@pytest.mark.slow
def test_error_rates_with_many_repeats(stored: Baseline) -> None:
    for name, (passed, alarmed, unclear) in check_error_rates(
        Family(stored), repeats=2000, seeds=max(seeds_for(stored).values())
    ).items():
        sys.stderr.write(f"{name}: passed {passed:.4f}, alarmed {alarmed:.4f}, unclear {unclear:.4f}\n")


def test_with_too_few_seeds_it_neither_cries_wolf_nor_passes_a_loss(stored: Baseline) -> None:
    """Then it cannot tell; the two errors stay what they were."""
    family, repeats, seeds = Family(stored), 300, 20
    untouched = rates(family, repeats, nothing, seeds=seeds)
    assert untouched[1] <= ALPHA + slack(ALPHA, repeats)
    assert untouched[2] > 0.5
    spoiled = rates(family, repeats, lose_the_margin(family, 3), seeds=seeds)
    assert spoiled[0] <= MISS + slack(MISS, repeats)


def test_a_loss_by_rare_failures_does_not_pass(stored: Baseline) -> None:
    """A tenth of the runs carry all the loss: the spread grows with it, so alarm is rarer, but no pass."""
    family, repeats = Family(stored), 300
    for searcher in range(len(family.names)):
        spoiled = rates(
            family, repeats, fail_at_times(family, searcher), seeds=max(seeds_for(stored).values())
        )
        assert spoiled[0] <= MISS + slack(MISS, repeats)


@pytest.mark.parametrize(("seeds", "passed"), [(400, 0.54), (100, 0.85)])
def test_failures_that_no_run_has_are_not_seen(seeds: int, passed: float) -> None:
    """A loss of 83.8 points in 0.15 % of the runs passes as often as docs/gate.md says."""
    rng, then = np.random.default_rng(0), 93.8 + np.random.default_rng(1).normal(0, 0.25, seeds)
    words = []
    for _ in range(400):
        now = then - 83.8 * (rng.random(seeds) < 0.125 / 83.8)
        words.append(judge([paired(then, now)], [0.125])[0].word)
    assert np.mean(np.array(words) == "same") == pytest.approx(passed, abs=slack(passed, 400))


@pytest.mark.parametrize("comparisons", [1, 8, 30])
@pytest.mark.parametrize("seeds", [20, 40])
def test_what_cannot_be_told_needs_more_seeds_than_there_are(seeds: int, comparisons: int) -> None:
    others = [Difference("paired", 0.0, 0.0, seeds - 1.0, 0.0)] * (comparisons - 1)
    unclear = 0
    for spread, mean in product(np.linspace(0.5, 2.0, 46).tolist(), np.linspace(-1.0, 0.0, 51).tolist()):
        ours = Difference("paired", mean, spread / seeds**0.5, seeds - 1.0, spread)
        verdict = judge([ours, *others], [1.0] * comparisons)[0]
        if verdict.word == "cannot tell":
            unclear += 1
            assert verdict.seeds_needed > seeds, (spread, mean)
    assert unclear


def test_seeds_needed_grow_with_spread_margin_and_family() -> None:
    assert seeds_needed(1.0, 0.1, 8) > seeds_needed(0.5, 0.1, 8) > seeds_needed(0.5, 0.2, 8)
    assert seeds_needed(1.0, 0.1, 80) > seeds_needed(1.0, 0.1, 8)
    assert seeds_needed(0.0, 0.1, 8) == 20


# --- margins


def test_a_share_is_one_of_random_search_s_regret_or_of_the_searcher_s_own_if_that_is_larger() -> None:
    scale = Truth("", optimum=94.0, random=(93.0, 93.6))
    good = (Run(0, "", (93.8, 94.0)), Run(1, "", (93.6, 94.0)))
    bad = (Run(0, "", (92.0, 92.0)), Run(1, "", (91.0, 92.0)))
    assert margins("25%", scale, good) == (0.25, 0.1)
    assert margins("25%", scale, bad) == (0.625, 0.5)
    assert margins("0.3", scale, good) == margins("0.3", scale, bad) == (0.3, 0.3)


@pytest.mark.parametrize("text", ["", "-1", "0", "0%", "many", "25 percent", "nan", "%"])
def test_a_margin_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"write 0\.1"):
        update(tmp_path / "base.json", {"margin": text})


def test_a_margin_that_is_rounded_to_nothing_is_refused_before_any_run(base: Path, toy_file: Path) -> None:
    ended: list[int] = []
    bounds = Bounds(workers=1, advance=lambda runs, _: ended.append(runs))
    settings: dict[str, object] = {"table": str(toy_file), "seeds": 20, "budgets": (10,), "margin": "0.0001%"}
    with pytest.raises(BadSettings, match=r"margin 0.0001% is below 0.0001 points on toy after 10 queries"):
        update(base, settings, ["random"], bounds=bounds)
    assert (ended, base.exists()) == ([], False)


def test_a_table_of_fewer_cells_than_nas_bench_201_is_gated(base: Path) -> None:
    found = truth("transnas", "jigsaw", [5])
    assert found.random[0] < found.optimum < 100
    update(base, {"table": "transnas", "seeds": 20, "budgets": (5,)}, ["random"], ["jigsaw"], bounds=ONE)
    assert against(base, {}, bounds=ONE, speed=False).code == 0


def test_a_budget_with_which_random_search_finds_the_best_cell_is_refused(toy_file: Path) -> None:
    with pytest.raises(Saturated, match="random search finds the best cell of toy within 900000 queries"):
        truth(str(toy_file), "toy", [10, 900_000])


# --- a searcher of somebody's, before and after a change


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


Install = Callable[[str], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a planted class where `mine:Mine` is found, as an edit of its source would."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(name: str) -> str:
        (folder / "mine.py").write_text(f"from planted import {name} as Mine\n")
        return "mine:Mine"

    return install


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base.json"


QUICK: dict[str, object] = {"seeds": 40, "budgets": (50, 120)}


ONE = Bounds(workers=1)


def update(
    path: Path,
    asked: Mapping[str, object],
    searchers: Sequence[Searchable] = (),
    datasets: Sequence[str] = (),
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
) -> Baseline:
    """A baseline on one dataset whose figures have no noise, unless another table is asked for."""
    stored = path.exists()
    asked = asked if stored else {"table": "bundled", **asked}
    return commands.update(path, asked, searchers, datasets, bounds)


def words(report: Report) -> set[Word]:
    return {comparison.verdict.word for comparison in report.comparisons}


def test_untouched_runs_are_identical_and_pass(install: Install, base: Path) -> None:
    made = update(base, QUICK, [install("Healthy"), "random"])
    assert load(base) == made
    report = against(base, {})
    assert report.code == 0
    assert {c.identical for c in report.comparisons} == {40}
    assert {c.verdict.difference.mean for c in report.comparisons} == {0.0}
    assert {s.word for s in report.speeds} == {"same"}
    assert report.summary == "not worse: all 4 comparisons"
    fewer = against(base, {"seeds": 20}, ["random"])
    assert (fewer.code, {c.seeds for c in fewer.comparisons}) == (0, {20})


@pytest.mark.parametrize(
    ("before", "after", "settings"),
    [
        ("Healthy", "NoSelection", {"seeds": 200, "budgets": (150,)}),
        ("Surrogate", "ShuffledSurrogate", QUICK),
        ("PNAS", "ShuffledPNAS", QUICK),
    ],
)
def test_a_planted_regression_is_named(
    before: str, after: str, settings: dict[str, object], install: Install, base: Path
) -> None:
    update(base, settings, [install(before), "random"])
    install(after)
    report = against(base, {}, speed=False)
    assert report.code == 1
    assert "worse: mine:Mine on cifar10 after" in report.summary
    verdicts = {(c.searcher, c.verdict.word) for c in report.comparisons}
    assert ("mine:Mine", "worse") in verdicts
    assert ("random", "same") in verdicts
    assert ("random", "worse") not in verdicts


@pytest.mark.parametrize("slow", ["TwiceAsSlow", "Sleeping"])
def test_a_slower_searcher_is_named_although_it_finds_the_same(
    slow: str, install: Install, base: Path
) -> None:
    update(base, QUICK, [install("Healthy"), "local"])
    install(slow)
    report = against(base, {})
    assert (report.code, words(report)) == (1, {"same"})
    assert report.summary == "slower: mine:Mine on cifar10"
    assert {speed.searcher: speed.word for speed in report.speeds} == {"mine:Mine": "slower", "local": "same"}
    assert against(base, {}, speed=False).code == 0


def test_a_change_that_only_draws_otherwise_is_judged_by_its_pairs(install: Install, base: Path) -> None:
    update(base, {"seeds": 60, "budgets": (100,), "margin": "0.3"}, [install("Healthy")], bounds=ONE)
    install("Refactored")
    report = against(base, {}, bounds=ONE)
    assert report.comparisons[0].identical == 0
    assert report.comparisons[0].verdict.difference.design == "paired"
    assert words(report) == {"same"}


def test_fresh_seeds_are_two_samples_and_mixed_seeds_are_refused(install: Install, base: Path) -> None:
    update(base, {"seeds": 60, "budgets": (100,), "margin": "0.3"}, [install("Healthy")], bounds=ONE)
    report = against(base, {"first_seed": 60}, bounds=ONE)
    assert report.comparisons[0].verdict.difference.design == "two-sample"
    assert words(report) == {"same"}
    ended: list[int] = []
    bounds = Bounds(workers=1, advance=lambda runs, _: ended.append(runs))
    for asked in ({"first_seed": 30}, {"seeds": 61}):
        with pytest.raises(UnpairedSeeds, match="take all of them from the baseline, or none"):
            against(base, asked, bounds=bounds)
    assert ended == []  # said before anything was run


def test_too_few_seeds_cannot_tell_and_say_how_many_are_needed(install: Install, base: Path) -> None:
    update(base, {"seeds": 20, "budgets": (50,), "margin": "1%"}, [install("Healthy")], bounds=ONE)
    report = against(base, {"first_seed": 100}, bounds=ONE)
    assert report.code == 2
    needed = report.comparisons[0].verdict.seeds_needed
    assert needed > 1000
    assert f"about {needed} seeds are needed" in report.summary
    with pytest.raises(BadSettings, match="19 seeds are too few to decide anything; give at least 20"):
        against(base, {"seeds": 19})


def test_changed_options_are_noted(base: Path) -> None:
    update(base, {"seeds": 20, "budgets": (20,)}, ["evolution"], bounds=ONE)
    content = load(base)
    then = content.searchers["evolution"].model_copy(update={"options": {"population": 50, "elders": 3}})
    save(base, content.model_copy(update={"searchers": {"evolution": then}}))
    notes = against(base, {}, bounds=ONE).notes
    assert "option population of evolution was 50, is 10" in notes
    assert "option elders of evolution was 3, is absent" in notes


# --- what is wrong is told, and the stored baseline stays as it is


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Raises", "searcher mine:Mine failed: KeyError: 'lost' (planted.py, line"),
        ("RaisesWhenMade", "searcher mine:Mine cannot be made: TypeError: no such option (planted.py, line"),
        ("AsksNothing", "searcher mine:Mine asked for nothing: its run of seed 0 has no step"),
        ("AsksText", "searcher mine:Mine failed: the searcher asked for a str"),
        ("Hangs", "searcher mine:Mine on toy, seeds 0 to 9, hangs: it did not end within 3 seconds"),
        ("HangsWhenMade", "searcher mine:Mine hangs: it did not end within 3 seconds"),
        ("Dies", "searcher mine:Mine on toy, seeds 0 to 9, ended its process with exit code -9"),
        ("Leaves", "searcher mine:Mine failed: SystemExit: 0"),
    ],
)
def test_a_searcher_without_results_fails_gate_and_update(
    name: str, says: str, install: Install, base: Path, golden_baseline: bytes
) -> None:
    base.write_bytes(golden_baseline)
    install(name)
    bounds = Bounds(time_limit=3, workers=1)
    report = against(base, {"seeds": 20}, bounds=bounds)
    assert report.code == 1
    assert says in report.summary
    if name not in ("Hangs", "HangsWhenMade"):
        with pytest.raises(SearcherFailed, match="no baseline was stored"):
            update(base, {}, bounds=bounds)
    assert base.read_bytes() == golden_baseline


def test_other_searchers_are_compared_beside_one_that_fails(install: Install, base: Path) -> None:
    mine = install("Healthy")
    update(base, {"seeds": 20, "budgets": (10,)}, [mine, "random"], bounds=ONE)
    install("Leaves")
    report = against(base, {}, bounds=ONE)
    assert [comparison.searcher for comparison in report.comparisons] == ["random"]
    assert report.code == 1
    assert "SystemExit: 0 (planted.py, line" in report.summary
    assert "failed: searcher mine:Mine failed" in markdown(report)
    suite = ElementTree.fromstring(junit(report))[0]
    assert suite.get("failures") == "1"


@pytest.fixture(scope="module")
def golden_baseline(tmp_path_factory: pytest.TempPathFactory, toy_file: Path) -> Iterator[bytes]:
    """A baseline of `mine:Mine` on the toy table, when it was healthy."""
    folder = tmp_path_factory.mktemp("golden")
    (folder / "mine.py").write_text("from planted import Healthy as Mine\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        settings: dict[str, object] = {"table": str(toy_file), "seeds": 20, "budgets": (10,)}
        update(folder / "base.json", settings, ["mine:Mine"])
        yield (folder / "base.json").read_bytes()


def test_a_baseline_has_a_line_for_each_run(golden_baseline: bytes) -> None:
    lines = golden_baseline.decode().splitlines()
    runs = [line for line in lines if line.strip().startswith("[")]
    assert len(runs) == 20
    assert json.loads(runs[0].strip().rstrip(","))[0] == 0
    assert len(lines) < 70


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace('"margins": [', '"margins": [9'), "was altered"),
        (lambda text: text.replace("[0, ", "[0,  "), None),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2, this version reads 1"),
        (lambda text: text[: len(text) // 2], "is no baseline"),
        (lambda _: "", "is no baseline"),
        (lambda _: "[]", "is no baseline"),
        (lambda _: "\xff\xfe", "is no baseline"),
        (lambda _: '{"format": 1}', "is no baseline"),
        (lambda _: "# README", "is no baseline"),
    ],
)
def test_an_altered_baseline_is_refused_by_gate_and_update(
    damage: Callable[[str], str], says: str | None, base: Path, golden_baseline: bytes
) -> None:
    base.write_text(damage(golden_baseline.decode()), encoding="latin-1")
    if says is None:  # spaces are no alteration
        load(base)
        return
    before = base.read_bytes()
    with pytest.raises(BadBaseline, match=says):
        against(base, {})
    with pytest.raises(BadBaseline, match=says):
        update(base, {"seeds": 20, "budgets": (10,)}, ["random"])
    assert base.read_bytes() == before


def test_what_the_baseline_was_not_made_with_is_refused(
    base: Path, golden_baseline: bytes, toy_file: Path, tmp_path: Path
) -> None:
    base.write_bytes(golden_baseline)
    cases: list[tuple[dict[str, object], list[str], list[str], str]] = [
        ({"budgets": (10, 20)}, [], [], "was made with budgets (10,), not (10, 20)"),
        ({"margin": "0.1"}, [], [], "was made with margin 25%, not 0.1"),
        ({"table": "nb201"}, [], [], "was made with table "),
        ({}, ["random"], [], "has no searcher random, it has mine:Mine"),
        ({}, [], ["cifar10"], "has no dataset cifar10, it has toy"),
        ({"first_seed": -1}, [], [], "first_seed: Input should be greater than or equal to 0"),
        ({"budgets": (20, 10)}, [], [], "are not ascending numbers of queries"),
        ({"budgets": ()}, [], [], "are not ascending numbers of queries"),
    ]
    for asked, searchers, datasets, says in cases:
        with pytest.raises(BadSettings) as raised:
            against(base, asked, searchers, datasets)
        assert says in str(raised.value)
    with pytest.raises(UnknownSearcher):
        update(tmp_path / "new.json", {"table": str(toy_file)}, ["evo"])
    with pytest.raises(InvalidOption):
        update(tmp_path / "new.json", {"table": str(toy_file)}, ["evolution:population=0"])
    with pytest.raises(NotInTable):
        update(tmp_path / "new.json", {"table": str(toy_file)}, ["random"], ["cifar11"])
    with pytest.raises(BadBaseline, match=r"there is no baseline .* make it with: nasgauge gate --update"):
        against(tmp_path / "new.json", {})
    assert not (tmp_path / "new.json").exists()
    assert base.read_bytes() == golden_baseline


def test_another_table_under_the_same_name_is_refused(base: Path, tmp_path: Path, toy: AccuracyTable) -> None:
    path = tmp_path / "table.npz"
    toy.save(path)
    update(base, {"table": str(path), "seeds": 20, "budgets": (10,)}, ["random"], bounds=ONE)
    before = base.read_bytes()
    search, report = Column("toy", 12, "valid", "mean"), Column("toy", 200, "test", "mean")
    changed = dict(toy.columns)
    changed[report] = changed[report] + 0.5
    AccuracyTable(
        name="toy", limits="", source_sha256="", columns=changed, views={"toy": View(search, report)}
    ).save(path)
    with pytest.raises(BadBaseline, match=r"was made on another table: .* has other figures of toy now"):
        against(base, {}, bounds=ONE)
    assert base.read_bytes() == before


def test_update_keeps_the_settings_that_are_stored(base: Path, golden_baseline: bytes) -> None:
    base.write_bytes(golden_baseline)
    made = update(base, {"seeds": 25}, ["random", "local"])
    assert (made.settings.seeds, made.settings.budgets, list(made.searchers)) == (
        25,
        (10,),
        ["random", "local"],
    )


# --- reports


@pytest.fixture(scope="module")
def mixed(stored: Baseline) -> Report:
    """Random search's stored runs handed in as evolution's, and a searcher that became slower."""
    measured = {
        (name, "cifar10"): Measured(stored.searchers[other].datasets["cifar10"].runs, speed)
        for name, other, speed in (("evolution", "random", 2.0), ("local", "local", 50.0))
    }
    options: dict[str, dict[str, object]] = {
        "evolution": {"population": 11, "tournament": 3},
        "local": {"climb": "first"},
    }
    return compare(stored, measured, options)


def test_a_searcher_that_became_faster_is_noted_and_passes(stored: Baseline) -> None:
    entry = stored.searchers["local"].datasets["cifar10"]
    measured = {("local", "cifar10"): Measured(entry.runs, entry.speed / 1.6)}
    options = {"local": stored.searchers["local"].options}
    report = compare(stored, measured, options)
    assert (report.code, report.notes) == (0, ("faster, or random search itself became slower: local",))
    silent = compare(stored, measured, options, speed=False)
    assert (silent.notes, silent.speeds) == ((), ())


def test_markdown_names_what_is_worse(mixed: Report) -> None:
    page = markdown(mixed)
    assert page.startswith("## Search quality on table nb201: fail\n\nworse: evolution on cifar10 after ")
    assert "**worse**" in page
    assert "**slower**" in page
    assert "Note: option population of evolution was 10, is 11." in page
    table = [line for line in page.splitlines() if line.startswith(("| evolution", "| local"))]
    assert len(table) == len(mixed.comparisons) + len(mixed.speeds)


def test_junit_counts_and_names_what_is_worse(mixed: Report) -> None:
    suite = ElementTree.fromstring(junit(mixed).partition("\n")[2])[0]
    failed = {(case.get("classname"), case.get("name")) for case in suite if case.find("failure") is not None}
    assert ("evolution.cifar10", "after 150 queries") in failed
    assert ("local.cifar10", "speed") in failed
    assert suite.get("failures") == str(len(failed))
    assert suite.get("tests") == str(len(mixed.comparisons) + len(mixed.speeds))
    assert suite.get("errors") == "0"


def test_what_a_searcher_says_is_written_whatever_its_characters(mixed: Report) -> None:
    said = "searcher mine:Mine failed: ValueError: \x1b[31mred\x1b[0m, \x00 and \udc80"
    report = replace(mixed, failures=(said,))
    suite = ElementTree.fromstring(junit(report).encode())[0]
    assert suite[0].find("failure").get("message").startswith("failed: searcher mine:Mine failed: ValueError")  # type: ignore[union-attr]
    assert "red" in markdown(report).encode().decode()


# --- the command line, and the project's own gate


def nasgauge(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from nasgauge.cli import main; main()", "gate", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_project_s_own_searchers_pass_their_gate(tmp_path: Path) -> None:
    """On the embedded table; the first seeds of the stored ones (`tox -e gate` runs all)."""
    page, suite = tmp_path / "gate.md", tmp_path / "gate.xml"
    done = nasgauge(
        "--baseline", str(BASELINE), "--seeds", "30", "--markdown", str(page), "--junit", str(suite)
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "pass: not worse: all 8 comparisons"
    assert page.read_text().startswith("## Search quality on table nb201: pass")
    assert ElementTree.parse(suite).getroot()[0].get("failures") == "0"


def test_exit_codes_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_bytes((Path(__file__).parent / "planted.py").read_bytes())
    mine = tmp_path / "mine.py"
    mine.write_text("from planted import Surrogate as Mine\n")
    common = ("--baseline", "b.json")
    done = nasgauge(
        *common, "--update", "-t", "bundled", "-s", "mine:Mine", "-n", "40", "--budgets", "100", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "b.json: 1 searchers, cifar10, seeds 0 to 39, after 100 queries" in done.stdout
    mine.write_text("from planted import ShuffledSurrogate as Mine  # otherwise\n")
    done = nasgauge(*common, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "fail: worse: mine:Mine on cifar10 after 100 queries"
    before = (tmp_path / "b.json").read_bytes()
    for arguments, says in (
        (("--budgets", "50"), "was made with budgets (100,), not (50,)"),
        (("--budgets", "fifty"), "--budgets 'fifty' is not understood"),
        (("-n", "5"), "5 seeds are too few to decide anything; give at least 20"),
        (("-j", "0"), "--workers 0 runs nothing"),
        (("--time-limit", "0"), "--time-limit 0 is too short"),
    ):
        done = nasgauge(*common, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith("error: ")
        assert says in done.stderr
    assert (tmp_path / "b.json").read_bytes() == before
    assert nasgauge("--baseline", "none.json", cwd=tmp_path).returncode == 2


@pytest.mark.slow
def test_an_untouched_checkout_passes_with_fresh_seeds(stored: Baseline) -> None:
    """At least 19 times of 20, speed included."""
    seeds = stored.settings.seeds
    codes = [against(BASELINE, {"first_seed": seeds * (k + 1)}).code for k in range(20)]
    assert codes.count(0) >= 19, codes
