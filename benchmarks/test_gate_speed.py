"""Speed of the gate, and of the searchers that it watches.

Compare two commits on one machine, and fail on a step that takes half as long again:

    pytest benchmarks/test_gate_speed.py --benchmark-only --benchmark-save=before
    pytest benchmarks/test_gate_speed.py --benchmark-only --benchmark-compare --benchmark-compare-fail=min:50%
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.conformance.check import check
from nasgauge.conformance.landscape import Landscape
from nasgauge.gate.commands import Bounds, against, update
from nasgauge.gate.verdicts import judge, two_sample
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.nb201 import NB201

QUARTET = ("random", "evolution", "local", "reinforce")


@pytest.mark.parametrize("name", QUARTET)
def test_a_search(benchmark: Any, name: str) -> None:
    """One run of 150 queries on a computed landscape: nothing but the searcher and the loop."""
    spec, landscape = Spec.parse(name), Landscape()
    benchmark(lambda: list(run(spec.make(NB201(), np.random.default_rng(0)), landscape, Budget(150))))


def test_verdicts(benchmark: Any) -> None:
    """Of 24 comparisons of 300 runs."""
    rng = np.random.default_rng(0)
    sides = rng.normal(93, 0.3, (24, 2, 300))
    benchmark(lambda: judge([two_sample(then, now) for then, now in sides], [0.1] * 24))


def test_gate(benchmark: Any, tmp_path: Path) -> None:
    """Goal: four searchers × two datasets × 100 seeds × 150 queries under 2 minutes on 2 cores."""
    base = tmp_path / "base.json"
    settings: dict[str, object] = {"table": "nb201", "seeds": 100, "budgets": (150,)}
    update(base, settings, QUARTET, ("cifar100", "ImageNet16-120"), Bounds(workers=2))
    report = benchmark.pedantic(against, args=(base, {}), kwargs={"bounds": Bounds(workers=2)}, rounds=1)
    assert {comparison.seeds for comparison in report.comparisons} == {100}
    assert len(report.comparisons) == 8


def test_conformance(benchmark: Any) -> None:
    """All laws of one searcher, in four processes."""
    benchmark.pedantic(check, args=("evolution",), rounds=3)
