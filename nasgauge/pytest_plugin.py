"""Fixtures and tests for authors of searchers: the gate, golden trajectories and the laws.

    def test_search_is_not_worse(nasgauge_gate):
        nasgauge_gate()

    def test_the_same_cells_as_ever(nasgauge_golden):
        nasgauge_golden("my_pkg:MySearcher")

    test_my_searcher = conformance("my_pkg:MySearcher")    # from nasgauge.pytest_plugin import conformance

A searcher is given by name, as `module:Class`, or as a class; for the gate and the laws, one that another process can import.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    from nasgauge.conformance.check import Finding
    from nasgauge.gate.compare import Report
    from nasgauge.harness.search.specs import Searchable


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line, and the same as settings of pytest's own file."""
    group = parser.getgroup("nasgauge", "search quality")
    group.addoption("--nasgauge-baseline", metavar="FILE", help="baseline that nasgauge_gate compares with")
    group.addoption("--nasgauge-golden", metavar="FILE", help="golden trajectories of nasgauge_golden")
    group.addoption("--nasgauge-update-golden", action="store_true", help="store golden trajectories anew")
    parser.addini("nasgauge_baseline", "file of --nasgauge-baseline, from the folder of this setting")
    parser.addini("nasgauge_golden", "file of --nasgauge-golden, from the folder of this setting")


@pytest.fixture
def nasgauge_gate(request: pytest.FixtureRequest) -> "Callable[..., Report]":
    """Run the baseline's searchers, or those that are named, and fail if search is worse or the seeds cannot decide.

    Takes searchers, and by keyword `seeds`, `first_seed`, `speed`, `time_limit` and `workers`. Name all
    searchers in one call: false alarms are bounded over the comparisons of a call. Without a baseline the test fails.
    """

    def gate(
        *searchers: "Searchable",
        speed: bool = True,
        time_limit: float = 120.0,
        workers: int = -1,
        **asked: int,
    ) -> "Report":
        from nasgauge.gate.commands import Bounds, against
        from nasgauge.gate.render import markdown

        path = _file(request.config, "nasgauge_baseline")
        bounds = Bounds(time_limit=time_limit, workers=workers)
        try:
            report = against(path, asked, searchers, bounds=bounds, speed=speed)
        except NasgaugeError as error:
            pytest.fail(f"cannot tell: {error}", pytrace=False)
        if report.code:
            pytest.fail(markdown(report), pytrace=False)
        return report

    return gate


@pytest.fixture
def nasgauge_golden(request: pytest.FixtureRequest) -> "Callable[..., None]":
    """Fail if a searcher asks for other cells than the stored ones.

    Takes a searcher, and by keyword `length`, the number of cells: by default 100, or twice the cells that the
    searcher evaluates before it learns anything, if that is more.
    """

    def golden(searcher: "Searchable", *, length: int | None = None) -> None:
        from nasgauge.conformance import golden

        path = _file(request.config, "nasgauge_golden")
        evidence = ""
        try:
            if request.config.getoption("--nasgauge-update-golden"):
                golden.store(path, searcher, length)
            else:
                evidence = golden.moved(path, searcher, length)
        except NasgaugeError as error:
            pytest.fail(f"cannot tell: {error}", pytrace=False)
        if evidence:
            pytest.fail(evidence, pytrace=False)

    return golden


def conformance(
    searcher: "Searchable", *, queries: int = 60, time_limit: float = 60.0
) -> Callable[[str], None]:
    """A test function with a case for each law; all cases share one run of the kit."""
    from nasgauge.conformance.laws import LAWS
    from nasgauge.harness.search.specs import text_of

    @pytest.mark.parametrize("law", LAWS)
    def test_law(law: str) -> None:
        try:
            found = _findings(searcher, queries, time_limit)[law]
        except NasgaugeError as error:
            pytest.fail(f"cannot tell: {error}", pytrace=False)
        if found.word == "broken":
            pytest.fail(f"{text_of(searcher)} {found}", pytrace=False)
        if found.word == "not tried":
            pytest.skip(found.evidence)

    return test_law


@cache
def _findings(searcher: "Searchable", queries: int, time_limit: float) -> "dict[str, Finding]":
    from nasgauge.conformance.check import check

    return {finding.law: finding for finding in check(searcher, queries=queries, time_limit=time_limit)}


def _file(config: pytest.Config, name: str) -> Path:
    given: Any = config.getoption(f"--{name.replace('_', '-')}")
    if given:
        return Path(given)
    setting: Any = config.getini(name)
    if not setting:
        pytest.fail(
            f"cannot tell: no file was named; give --{name.replace('_', '-')} FILE, or set {name} in pytest's settings",
            pytrace=False,
        )
    return Path(config.inipath.parent if config.inipath else config.rootpath) / str(setting)
