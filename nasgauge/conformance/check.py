"""Test a searcher against all laws, in separate processes with time limits."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nasgauge.conformance.laws import IN_ONE_PROCESS, LAWS
from nasgauge.conformance.trial import Broken, compare
from nasgauge.harness.search.specs import Searchable, UnknownSearcher, text_of

QUERIES: Final = 60
TIME_LIMIT: Final = 60.0
"""Seconds for one process."""

Word = Literal["kept", "broken", "not tried"]


@dataclass(frozen=True)
class Finding:
    """The result of one law."""

    law: str
    word: Word
    evidence: str
    """How it was broken, or why it was not tried; empty if it was kept."""

    def __str__(self) -> str:
        return f"{self.law}: {self.word}" + (f": {self.evidence}" if self.evidence else "")


@dataclass(frozen=True)
class _Told:
    """What a process reported."""

    cells: list[str] | None
    broken: Mapping[str, str]
    begun: Sequence[str]
    """Laws that it began to try."""


def check(
    searcher: Searchable, *, queries: int = QUERIES, time_limit: float = TIME_LIMIT
) -> tuple[Finding, ...]:
    """Findings for all `LAWS`, in order.

    `searcher` is a name or `module:Class`, with options, or a class that can be imported.

    Raises UnknownSearcher.
    """
    target = text_of(searcher)
    with tempfile.TemporaryDirectory() as folder:
        attempt = _Attempt(target, queries, time_limit, Path(folder))
        first = attempt.part("laws", "runs", hash_seed=1)
        broken, untried = dict(first.broken), dict[str, str]()
        if first.cells is None:
            untried = dict.fromkeys(LAWS, "a plain run already failed")
        else:
            late = [law for law, _ in IN_ONE_PROCESS if law not in first.begun]
            untried |= dict.fromkeys(late, f"the process ended at the law {first.begun[-1]}")
            again = attempt.part("again", "any process", hash_seed=2)
            _add(broken, "any process", again, first.cells, "in another process, with another hash seed,")
            if len(first.cells) == 1:
                untried["resume"] = "the search ended after one query"
            elif "picklable" not in broken:
                stopped = attempt.part("interrupted", "resume", hash_seed=3)
                if stopped.broken:
                    _add(broken, "resume", stopped, first.cells, "")
                else:
                    untried.pop("picklable", None)
                    resumed = attempt.part("resumed", "resume", hash_seed=4)
                    _add(broken, "resume", resumed, first.cells, "killed and resumed in another process")
            if "picklable" in broken:
                untried.setdefault("resume", "there is no checkpoint without pickling")
    return tuple(_finding(law, broken, untried) for law in LAWS)


def _add(broken: dict[str, str], law: str, told: _Told, cells: list[str], how: str) -> None:
    for name, evidence in told.broken.items():
        broken.setdefault(name, evidence)
    if told.cells is not None:
        try:
            compare(law, cells, told.cells, how)
        except Broken as difference:
            broken.setdefault(law, difference.evidence)


def _finding(law: str, broken: Mapping[str, str], untried: Mapping[str, str]) -> Finding:
    if law in broken:
        return Finding(law, "broken", broken[law])
    return Finding(law, "not tried" if law in untried else "kept", untried.get(law, ""))


@dataclass(frozen=True)
class _Attempt:
    target: str
    queries: int
    time_limit: float
    folder: Path

    def part(self, part: str, law: str, *, hash_seed: int) -> _Told:
        """Run one process and read what it reported, however it ended.

        Raises UnknownSearcher.
        """
        report = self.folder / f"{part}.jsonl"
        job = {
            "target": self.target,
            "queries": self.queries,
            "part": part,
            "law": law,
            "checkpoint": str(self.folder / "checkpoint"),
            "disturb": hash_seed,
        }
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        how = ""
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "nasgauge.conformance.child", json.dumps(job), str(report)],
                env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.time_limit,
                check=False,
            )
            last = done.stderr.strip().splitlines()[-1:] or ["no word on stderr"]
            how = f"its process ended with exit code {done.returncode}: {last[0]}"
            killed_itself = part == "interrupted" and done.returncode == -9
        except subprocess.TimeoutExpired:
            how = f"it hangs: no end within {self.time_limit:g} seconds"
            killed_itself = False
        lines: list[dict[str, Any]] = (
            [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        )
        for line in lines:
            if "unknown" in line:
                raise UnknownSearcher(line["unknown"])
        broken: dict[str, str] = {}
        for line in lines:
            if "broken" in line:
                broken.setdefault(line["law"], line["broken"])
        begun = [line["begins"] for line in lines if "begins" in line]
        if not killed_itself and not any("done" in line for line in lines):
            broken.setdefault(begun[-1] if begun else law, how)
        cells = next((line["cells"] for line in lines if "cells" in line), None)
        return _Told(cells, broken, begun)
