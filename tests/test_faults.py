"""Searchers that raise, exit, hang, die or return garbage stop nothing but themselves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from planted import square_or_die

from nasgauge.analysis.results.campaign import load
from nasgauge.harness.engines import Local, Lost
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.failures import SearcherFailed, UnitsFailed
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.specs import Searchable, Spec
from nasgauge.verification import verify

NASGAUGE = (sys.executable, "-c", "from nasgauge.cli import main; main()")
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))


def campaign(folder: Path, table: Path, *searchers: Searchable, seeds: int = 20) -> Campaign:
    return Campaign.on_table(folder, searchers, table, seeds=seeds, rules=Rules(budget=Budget(20)))


def run(made: Campaign, *, workers: int = 2, time_limit: float = 60.0) -> UnitsFailed:
    """Run a campaign in which something fails."""
    with pytest.raises(UnitsFailed) as raised:
        list(made.run(workers=workers, time_limit=time_limit))
    return raised.value


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Raises", r"KeyError: 'lost' \(planted.py, line \d+, in tell\)"),
        ("Leaves", r"SystemExit: 0 \(planted.py, line \d+, in tell\)"),
        ("AsksText", "the searcher asked for a str; ask for Cells"),
        ("AsksForgery", "rank"),
        ("AsksNone", "ask returned None; return a list of cells"),
        ("AsksEmptyIterator", "ask returned something without cells that is not empty"),
        ("RecommendsOthers", "which the run has not evaluated"),
        ("ChargesBackwards", "search_seconds shrank by 10"),
        ("ChargesNaN", "search_seconds grew by nan; it is the sum so far, a finite number"),
        ("AsksNothing", "the first ask returned no cell, so the run has no query"),
        ("Panics", r"Panic: index out of bounds \(planted.py"),
        ("RaisesUnprintable", r"Unprintable: its text cannot be shown \(planted.py"),
    ],
)
def test_what_a_searcher_does_wrong_is_told_and_others_go_on(
    name: str, reason: str, toy_file: Path, tmp_path: Path
) -> None:
    made = campaign(tmp_path, toy_file, f"planted:{name}", "random")
    error = run(made, workers=1)
    assert {failure.unit.searcher for failure in error.failures} == {f"planted:{name}"}
    for failure in error.failures:
        assert failure.reason == failure.reason.strip()
        assert re.search(reason, failure.reason), failure.reason
    assert load(tmp_path).searchers == ["random"]
    assert "20 runs failed, 20 others were made and are kept" in str(error)
    assert [unit.searcher for unit in made.missing()] == [f"planted:{name}"] * 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Hangs", "hangs: no step within 2 seconds"),
        ("HangsForGood", "hangs: no step within 2 seconds"),
        ("Dies", r"its process ended with SIGKILL(-9)"),
        ("Exits", r"its process ended with"),
    ],
)
def test_a_searcher_that_hangs_or_dies_stops_nothing_else(
    name: str, reason: str, toy_file: Path, tmp_path: Path
) -> None:
    made = campaign(tmp_path, toy_file, f"planted:{name}", "random", seeds=60)
    error = run(made, time_limit=2)
    assert {failure.unit.searcher for failure in error.failures} == {f"planted:{name}"}
    assert sum(failure.unit.runs for failure in error.failures) == 60
    assert reason in error.failures[0].reason
    assert [unit.searcher for unit in made.missing()] == [f"planted:{name}"] * 6


def test_the_runs_before_a_failing_one_are_kept(toy_file: Path, tmp_path: Path) -> None:
    made = campaign(tmp_path, toy_file, "planted:RaisesForFive", seeds=10)
    error = run(made, workers=1)
    assert str(error).startswith("5 runs failed, 5 others were made and are kept")
    assert [(unit.first, unit.last) for unit in made.missing()] == [(5, 9)]
    assert verify(tmp_path).runs == 5


def test_a_budget_that_a_later_run_finds_too_small_is_its_own_failure(toy_file: Path, tmp_path: Path) -> None:
    made = campaign(tmp_path, toy_file, "planted:NeedsMoreLater", "random", seeds=10)
    error = run(made, workers=1)
    assert "20 queries is less than the 100 queries" in error.failures[0].reason
    assert "random" in load(tmp_path).searchers


def test_a_file_of_a_smaller_budget_is_no_result_of_a_process_that_died(
    toy_file: Path, tmp_path: Path
) -> None:
    def made(budget: int) -> Campaign:
        rules = Rules(budget=Budget(budget))
        return Campaign.on_table(tmp_path, ["planted:DiesAtThirteen"], toy_file, seeds=2, rules=rules)

    list(made(10).run(workers=2))
    error = run(made(20))
    assert [failure.unit.runs for failure in error.failures] == [2]


def test_memory_that_a_searcher_takes_is_its_own_failure(toy_file: Path, tmp_path: Path) -> None:
    error = run(campaign(tmp_path, toy_file, "planted:EatsMemory", "random"))
    assert {failure.reason.partition(":")[0] for failure in error.failures} == {"MemoryError"}
    assert load(tmp_path).searchers == ["random"]


@pytest.mark.parametrize(
    ("name", "reason"), [("LeavesWhenMade", "SystemExit: 3"), ("RaisesWhenMade", "TypeError")]
)
def test_a_searcher_that_cannot_be_made_is_told_before_anything_runs(name: str, reason: str) -> None:
    with pytest.raises(
        SearcherFailed, match=rf"searcher planted:{name} cannot be made: {reason}.*planted\.py, line"
    ):
        Spec.of(f"planted:{name}")


def test_a_searcher_that_hangs_when_it_is_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasgauge.harness.search.specs.TIME_LIMIT", 1.0)
    with pytest.raises(SearcherFailed, match="cannot be made: hangs: no step within 1 seconds"):
        Spec.of("planted:HangsWhenMade")


def test_units_that_failed_are_tried_again_and_nothing_else(toy_file: Path, tmp_path: Path) -> None:
    module = tmp_path / "mended.py"
    module.write_text(
        "from planted import Random\n\n\nclass Mine(Random):\n    def ask(self):\n        raise OSError('no')\n"
    )
    out = tmp_path / "out"

    def search() -> "subprocess.CompletedProcess[str]":
        command = [*NASGAUGE, "search", "mended:Mine,random", "-o", str(out)]
        command += ["-t", str(toy_file), "-n", "12", "-b", "20", "-j", "2"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    first = search()
    assert first.returncode == 1, first.stderr
    assert (
        "mended:Mine failed: OSError: no (mended.py, line 6, in ask); on toy seeds 0 to 9, toy seeds 10 to 11"
        in first.stderr
    )
    assert "error: 12 runs failed, 12 others were made and are kept" in first.stderr
    assert "Traceback" not in first.stderr
    written = {path.name: path.stat().st_mtime_ns for path in out.glob("random*.parquet")}
    module.write_text("from planted import Healthy as Mine\n")
    second = search()
    assert second.returncode == 0, second.stderr
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("random*.parquet")} == written
    assert load(out).searchers == ["mended:Mine", "random"]


# --- engines


@pytest.mark.parametrize("always", [False, True])
def test_a_task_whose_process_ends_is_run_again_alone_and_then_lost(always: bool, tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path), always) for number in range(12)]
    results = {number: result for (number, _, _), result in Local(2).run(square_or_die, tasks)}
    assert {n: r for n, r in results.items() if n != 3} == {n: n**2 for n in range(12) if n != 3}
    if always:
        assert isinstance(results[3], Lost)
        assert "9" in results[3].reason
    else:
        assert results[3] == 9


def alive(pids: Sequence[int]) -> list[int]:
    return [
        pid
        for pid in pids
        if Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_stop_when_their_parent_is_killed_alone(toy_file: Path, tmp_path: Path) -> None:
    command = [*NASGAUGE, "search", "planted:Sleeping", "-t", str(toy_file), "-o", str(tmp_path)]
    process = subprocess.Popen([*command, "-n", "2000", "-b", "5000", "-j", "2"], stderr=subprocess.DEVNULL)

    def children() -> list[int]:
        return [
            int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]

    while not list(tmp_path.glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.05)
    pids = children()
    assert len(alive(pids)) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    end = time.monotonic() + 10
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert alive(pids) == []
