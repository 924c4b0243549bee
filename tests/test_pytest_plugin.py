"""The pytest plugin as somebody with a searcher uses it: a folder of their own, and pytest in a new process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasgauge.gate.commands import Bounds, update

ROOT = Path(__file__).resolve().parents[1]

TESTS = """
from nasgauge.pytest_plugin import conformance
from mine import Mine

def test_search_is_not_worse(nasgauge_gate):
    report = nasgauge_gate(speed=False, workers=1)
    assert {comparison.searcher for comparison in report.comparisons} == {"mine:Mine"}

def test_the_same_cells_as_ever(nasgauge_golden):
    nasgauge_golden(Mine)

test_mine_keeps_the_laws = conformance(Mine, queries=20)
"""
SETTINGS = "[pytest]\nnasgauge_baseline = stored/base.json\nnasgauge_golden = stored/golden.json\n"


class Theirs:
    """A repository with one searcher and its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "test_mine.py").write_text(TESTS)
        (folder / "pytest.ini").write_text(SETTINGS)
        self.edit("Surrogate")

    def edit(self, name: str) -> None:
        (self.folder / "mine.py").write_text(f"import planted\n\nclass Mine(planted.{name}):\n    pass\n")

    def pytest(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        path = [str(self.folder), str(ROOT / "tests")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        command = [sys.executable, "-m", "pytest", "-p", "nasgauge.pytest_plugin", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "-rA", *arguments],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    made = Theirs(tmp_path)
    for folder in (ROOT / "tests", tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return made


def test_a_repository_gates_itself(theirs: Theirs) -> None:
    settings: dict[str, object] = {"seeds": 40, "budgets": (100,)}
    update(theirs.folder / "stored" / "base.json", settings, ["mine:Mine"], bounds=Bounds(workers=1))
    code, output = theirs.pytest("-k", "cells_as", "--nasgauge-update-golden")
    assert code == 0, output
    assert (
        len(json.loads((theirs.folder / "stored" / "golden.json").read_text())["cells"]["mine:Mine"]) == 100
    )
    code, output = theirs.pytest()
    assert code == 0, output
    assert "14 passed" in output  # twelve laws, the gate, the golden trajectory

    theirs.edit("ShuffledSurrogate")  # which asks for the same 20 cells before it learns
    code, output = theirs.pytest("-k", "worse or cells_as")
    assert code == 1
    assert "2 failed" in output
    assert re.search(r"cell \d+ of mine:Mine was \|", output)
    assert "worse: mine:Mine on cifar10 after 100 queries" in output

    theirs.edit("HoldsGenerator")
    code, output = theirs.pytest("-k", "laws or cells_as")
    assert code == 1
    assert "mine:Mine picklable: broken: it cannot be pickled" in output
    assert "cell 11 of mine:Mine was |" in output
    assert "2 failed, 10 passed, 1 skipped" in output


def test_what_cannot_be_told_fails(theirs: Theirs) -> None:
    code, output = theirs.pytest("-k", "worse or cells_as", "--nasgauge-baseline", "elsewhere.json")
    assert code == 1
    assert "cannot tell: there is no baseline elsewhere.json" in output
    assert "cannot tell: there is no file" in output
    (theirs.folder / "pytest.ini").unlink()
    code, output = theirs.pytest("-k", "worse or cells_as")
    assert code == 1
    assert "2 failed" in output
    assert "give --nasgauge-golden FILE, or set nasgauge_golden in pytest's settings" in output
    assert "give --nasgauge-baseline FILE, or set nasgauge_baseline in pytest's settings" in output


def test_a_golden_file_and_a_searcher_that_are_none_are_one_line(theirs: Theirs) -> None:
    (theirs.folder / "stored").mkdir()
    (theirs.folder / "stored" / "golden.json").write_text("[]")
    code, output = theirs.pytest("-k", "cells_as", "--nasgauge-update-golden")
    assert (code, "Traceback" in output, "golden.py" in output) == (1, False, False)
    assert "cannot tell: " in output
    assert "golden.json holds no golden trajectories" in output
    tests = theirs.folder / "test_mine.py"
    tests.write_text(TESTS.replace("conformance(Mine, queries=20)", "conformance('mine:Yours')"))
    code, output = theirs.pytest("-k", "laws and runs")
    assert (code, "check.py" in output) == (1, False)
    assert "cannot tell: there is no searcher mine:Yours" in output


def test_the_plugin_is_found_by_its_entry_point() -> None:
    """And costs a session that does not use it nothing but its own import."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"nasgauge": "nasgauge.pytest_plugin"}
    script = "import sys, nasgauge.pytest_plugin; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "nasgauge.gate", "searchers"} & set(loaded)
