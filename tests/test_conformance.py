"""The conformance kit: our own searchers keep every law, and a searcher that breaks one is caught at it."""

import random
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nasgauge.conformance import golden, laws
from nasgauge.conformance.check import check
from nasgauge.conformance.landscape import Landscape
from nasgauge.conformance.trial import Broken, Trial, Watched
from nasgauge.data.plugins import built_in
from nasgauge.harness.search.specs import UnknownSearcher
from nasgauge.pytest_plugin import conformance
from nasgauge.searchers.evolution import Evolution
from nasgauge.searchers.random_search import RandomSearch
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

GOLDEN = Path(__file__).parent / "baselines" / "golden.json"


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The planted searchers on the path, and global generators that are put back."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    numpy, python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    yield
    np.random.set_state(numpy)  # noqa: NPY002
    random.setstate(python)


QUICK = ("evolution", "local", "random", "reinforce")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in built_in("nasgauge.searchers")
    ],
)
def test_our_own_searchers_keep_every_law(name: str) -> None:
    assert [str(finding) for finding in check(name, time_limit=300)] == [f"{law}: kept" for law in laws.LAWS]


test_the_laws_as_pytest_functions = conformance("random")


def test_a_class_is_checked_like_its_name() -> None:
    """With fewer queries than the law `budget` would like to have."""
    assert {finding.word for finding in check(RandomSearch, queries=4)} == {"kept"}


def broken_laws(target: str, queries: int = 30) -> dict[str, str]:
    """What is found in one process: law -> evidence."""
    trial = Trial(target, queries)
    sys.addaudithook(trial.hook)
    trial.load()
    broken: dict[str, str] = {}
    try:
        base = laws.runs(trial)
        for _, law in laws.IN_ONE_PROCESS:
            try:
                law(trial, base)
            except Broken as found:
                broken.setdefault(found.law, found.evidence)
    except Broken as found:
        broken[found.law] = found.evidence
    return broken


@pytest.mark.parametrize(
    ("searcher", "law", "evidence"),
    [
        ("Raises", "runs", "tell number 1 raised KeyError: 'lost'"),
        ("AsksNothing", "runs", "the first ask returned nothing"),
        ("AsksText", "valid cells", "ask number 1 returned '|"),
        ("AsksForgery", "valid cells", "at place 0, no cell"),
        ("AsksForever", "valid cells", "returned <itertools.cycle object"),
        ("Unseeded", "same seed", "and once more it is |"),
        ("GlobalNumpy", "no global generator", "ask number 1 moved the global generator of numpy"),
        ("GlobalRandom", "no global generator", "ask number 1 moved the global generator of random"),
        (
            "OneAtATime",
            "batches",
            "given 2 results at a time: ask number 2 raised RuntimeError: tell me first",
        ),
        ("AsksTooMuch", "budget", "returned 31250 cells at once, the space has 15625"),
        ("EvaluatesItself", "budget", "21 cells were evaluated in a run that paid for 1 queries"),
        ("KnowsTheBudget", "budget", "query 1 was |"),
        ("SeesTest", "validation only", "all other figures changed"),
        ("ReadsFile", "validation only", "ask number 1 opened "),
        ("MinimisesHalf", "costs", "it has minimise, and no tell_costs"),
        ("TakesOneCost", "costs", "with 2 costs: tell_costs number 1 raised ValueError: too many values"),
        ("DrawsByCosts", "costs", "with 1 cost once more it is |"),
        ("HoldsGenerator", "picklable", "it cannot be pickled: TypeError"),
        ("Forgets", "picklable", "pickled after 15 queries it is |"),
    ],
)
def test_a_broken_law_is_named_with_the_evidence(
    searcher: str, law: str, evidence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "figures.npy", np.zeros(3))
    monkeypatch.setenv("PLANTED_FILE", str(tmp_path / "figures.npy"))
    broken = broken_laws(f"planted:{searcher}")
    assert law in broken
    assert evidence in broken[law]


def test_an_answer_that_was_never_evaluated_is_no_valid_cell() -> None:
    trial = Trial("planted:AnswersUnseen", 30)
    trial.load()
    searcher = Watched(trial, trial.make())
    searcher.tell(searcher.ask()[0], 50.0)
    with pytest.raises(Broken, match=r"the answer after tell number 1 is Cell.* never evaluated"):
        searcher.recommend()


def test_a_law_keeper_breaks_nothing_in_one_process() -> None:
    assert broken_laws("planted:Healthy") == broken_laws("planted:Surrogate") == {}


@pytest.mark.parametrize(
    ("searcher", "law", "evidence"),
    [
        ("HashOrder", "any process", "in another process, with another hash seed,"),
        ("Elsewhere", "resume", "query 16 was "),
        ("Hangs", "runs", "it hangs: no end within 4 seconds"),
        ("Dies", "runs", "its process ended with exit code -9"),
        ("Leaves", "runs", "its process ended with exit code 0"),
        ("RaisesWhenMade", "runs", "TypeError: no such option"),
    ],
)
def test_what_only_another_process_shows(searcher: str, law: str, evidence: str) -> None:
    limit = 4 if searcher == "Hangs" else 60
    found = {finding.law: finding for finding in check(f"planted:{searcher}", queries=30, time_limit=limit)}
    assert found[law].word == "broken"
    assert evidence in found[law].evidence
    others = {finding.word for finding in found.values() if finding.law not in (law, "resume")}
    assert others == ({"not tried"} if law == "runs" else {"kept"})


def test_without_pickling_there_is_nothing_to_resume() -> None:
    words = {finding.law: finding.word for finding in check("planted:HoldsGenerator", queries=10)}
    assert (words.pop("picklable"), words.pop("resume")) == ("broken", "not tried")
    assert set(words.values()) == {"kept"}


def test_laws_behind_the_one_that_ended_the_process_are_not_called_kept() -> None:
    found = {finding.law: finding for finding in check("planted:DiesInBatches", queries=10)}
    assert found["batches"].evidence.startswith("its process ended with exit code 7")
    late = ("budget", "validation only", "costs", "fidelities")
    for law in late:
        assert (found[law].word, found[law].evidence) == ("not tried", "the process ended at the law batches")
    assert {found[law].word for law in found if law not in ("batches", *late)} == {"kept"}


def test_a_search_of_one_query_has_no_middle_to_be_resumed_from() -> None:
    for searcher, queries in (("planted:AsksOnce", 10), ("random", 1)):
        found = {finding.law: finding for finding in check(searcher, queries=queries)}
        assert str(found.pop("resume")) == "resume: not tried: the search ended after one query"
        assert {finding.word for finding in found.values()} == {"kept"}


@pytest.mark.parametrize("name", ["figures.csv", "meta.pickle.pbz2", "scores.json.gz", "nb201_zen.zip"])
def test_a_file_of_figures_is_seen_by_its_ending(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"figures")
    monkeypatch.setenv("PLANTED_FILE", str(tmp_path / name))
    assert f"opened {tmp_path / name}" in broken_laws("planted:OpensFile")["validation only"]


def test_a_file_that_is_read_on_import_is_seen_under_a_constraint_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "figures.npy", np.zeros(3))
    (tmp_path / "imports_figures.py").write_text(
        "import numpy as np\nfrom planted import Healthy\n"
        f"np.load({str(tmp_path / 'figures.npy')!r})\n"
        "class Mine(Healthy):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = broken_laws("imports_figures:Mine:constraint=params<=0.9")
    assert "importing it opened " in broken["validation only"]


def test_who_is_no_searcher_is_told() -> None:
    with pytest.raises(UnknownSearcher, match="there is no searcher planted:Nobody"):
        check("planted:Nobody")


def test_the_landscape_tells_the_same_and_knows_better() -> None:
    told, never = NB201()[7], NB201()[8]
    plain, other = Landscape(), Landscape(known=[told])
    assert plain.evaluate(told).validation == other.evaluate(told).validation
    assert plain.evaluate(told).test != other.evaluate(told).test
    assert plain.evaluate(never).validation != other.evaluate(never).validation
    best = max(NB201(), key=lambda cell: plain.evaluate(cell).validation)
    assert best == Cell(("nor_conv_3x3",) * 6)


def test_the_command_line_names_the_law_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from nasgauge.searchers.random_search import RandomSearch\n"
        "class Mine(RandomSearch):\n"
        "    def tell(self, cell, accuracy):\n"
        "        raise ValueError('no')\n"
    )
    root = str(Path(__file__).resolve().parents[1])
    run = f"import sys; sys.path.insert(1, {root!r}); from nasgauge.cli import main; main()"

    def nasgauge(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", run, "check", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = nasgauge("mine:Mine")
    assert done.returncode == 1
    assert "runs: it is made from" in done.stdout
    assert "tell number 1 raised ValueError: no" in done.stdout
    assert "mine:Mine breaks: runs" in done.stdout
    for arguments, says in (
        (("mine:Yours",), "error: there is no searcher mine:Yours"),
        (("random", "--queries", "0"), "error: --queries 0 is too few"),
        (("random", "--time-limit", "0"), "error: --time-limit 0 is too short"),
    ):
        done = nasgauge(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr


@pytest.mark.parametrize("name", QUICK)
def test_our_searchers_ask_for_the_cells_they_always_asked_for(name: str) -> None:
    """A moved trajectory is a decision: store it anew with --nasgauge-update-golden, and say why."""
    assert golden.moved(GOLDEN, name) == ""


def test_a_moved_trajectory_is_shown_at_its_first_cell(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    golden.store(path, "evolution")
    golden.store(path, "local")
    assert golden.moved(path, "evolution") == golden.moved(path, "local") == ""
    path.write_text(path.read_text().replace(golden.trajectory("local")[4], str(NB201()[0])))
    assert golden.moved(path, "local").startswith("cell 5 of local was |none~0|")
    assert golden.moved(path, "evolution") == ""


class Inverted(Evolution[Cell]):
    """Evolution whose tournaments the worst cell wins."""

    def tell(self, cell: Cell, accuracy: float) -> None:
        super().tell(cell, -accuracy)


@pytest.mark.parametrize("population", [10, 60])
def test_a_trajectory_is_long_enough_to_show_an_inverted_tournament(population: int) -> None:
    right, wrong = (
        golden.trajectory(partial(searcher, population=population)) for searcher in (Evolution, Inverted)
    )
    assert right[:population] == wrong[:population]
    assert right != wrong


def test_the_length_of_a_trajectory_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    golden.store(path, "evolution", length=7)
    assert golden.moved(path, "evolution", length=7) == ""
    assert "has 7 cells, this one 8; if another length was meant" in golden.moved(path, "evolution", length=8)
    with pytest.raises(golden.BadGolden, match="a trajectory of 0 cells shows nothing"):
        golden.store(path, "evolution", length=0)


def test_a_file_without_golden_trajectories_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    with pytest.raises(golden.BadGolden, match="there is no file"):
        golden.moved(path, "random")
    for content in ("", "[]", '{"format": 9, "seed": 0}', '{"cells": {}}'):
        path.write_text(content)
        with pytest.raises(golden.BadGolden):
            golden.store(path, "random")
        assert path.read_text() == content
    golden.store(tmp_path / "other.json", "random")
    with pytest.raises(golden.BadGolden, match="holds no trajectory of local"):
        golden.moved(tmp_path / "other.json", "local")
