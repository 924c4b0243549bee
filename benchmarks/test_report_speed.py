"""Speed and memory of large reports: 1.8 million steps, and 100,000 runs.

`pytest benchmarks/test_report_speed.py --benchmark-only`; seconds and memory are in `extra_info`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.data.sources import open_table
from nasgauge.harness.records.claims import claim
from nasgauge.harness.records.results import Settings, plan
from nasgauge.harness.records.steps import Header, Steps, write
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.reference import reference as reference_of
from nasgauge.harness.search.runner import Budget
from nasgauge.spaces.nb201 import NB201

SEARCHERS = ("evolution", "local", "mine", "other", "random", "reinforce")
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


def make(out: Path, searchers: int, datasets: int, seeds: int, queries: int) -> None:
    """A results folder of random draws from the shipped table, each searcher a little luckier than the one before."""
    table = open_table("nb201")
    oracle = Table(table, "cifar10")
    settings = Settings(
        table="nb201", table_sha256=table.sha256, limits=table.limits, datasets=DATASETS[:datasets], seeds=seeds,
        budget=f"{queries} queries",
    )  # fmt: skip
    reference = reference_of(oracle, Budget(queries))
    claim(out, settings, dict.fromkeys(settings.datasets, reference))
    rng = np.random.default_rng(0)
    order = np.argsort(oracle.test)
    cells = tuple(str(cell) for cell in NB201())
    for unit in plan(settings, SEARCHERS[:searchers]):
        count = unit.runs * queries
        luck = 1 + SEARCHERS.index(unit.searcher)
        cell = order[(rng.random(count) ** (1 / luck) * len(order)).astype(int)].astype(np.int32)
        test = oracle.test[cell]
        used, place = np.unique(cell, return_inverse=True)
        steps = Steps(
            seed=np.repeat(np.arange(unit.first, unit.last + 1, dtype=np.int32), queries),
            query=np.tile(np.arange(1, queries + 1, dtype=np.int32), unit.runs),
            cell=place.astype(np.int32),
            cells=tuple(cells[rank] for rank in used.tolist()),
            answer=np.full(count, -1, dtype=np.int32),
            validation=test + rng.normal(scale=0.3, size=count),
            test=test,
            epochs=np.full(count, 12.0),
            seconds=rng.uniform(60, 200, size=count),
            charged=np.ones(count, dtype=np.bool_),
            overhead=rng.exponential(1e-3, size=count),
            fidelity=np.zeros(count, dtype=np.int32),
        )
        header = Header(
            argv=("nasgauge",), commit="", versions={}, table="nb201", table_sha256=table.sha256,
            limits=table.limits, dataset=unit.dataset, metric="s", report="r", warning="", searcher=unit.searcher,
            settings={}, budget=settings.budget, repeats="charge", seeds=(unit.first, unit.last),
        )  # fmt: skip
        write(out / unit.file, header, steps)


CODE = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from nasgauge.analysis.report.report import report
made = report(Path(sys.argv[1]))
seconds = time.perf_counter() - start
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
page = made.page.stat().st_size / 1e6
print(json.dumps({"seconds": seconds, "CPU seconds": time.process_time(), "MB": memory, "page MB": page}))
"""


SIZES = {
    "1,800,000 steps": (6, 3, 500, 200),
    "10,000 runs": (5, 2, 1000, 50),
    "100,000 runs": (5, 2, 10_000, 50),
    "100,000 runs of one searcher": (1, 1, 100_000, 10),
}
"""Searchers, datasets, seeds and queries."""


@pytest.mark.parametrize("size", SIZES)
def test_a_report(benchmark: Any, size: str, tmp_path: Path) -> None:
    make(tmp_path / "out", *SIZES[size])

    def whole() -> dict[str, float]:
        command = [sys.executable, "-c", CODE, str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    benchmark.extra_info |= benchmark.pedantic(whole, rounds=1, iterations=1)
