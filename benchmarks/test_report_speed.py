"""Speed and memory of a large report: 6 searchers × 3 datasets × 500 seeds × 200 queries, 1.8 million steps.

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
SEEDS, QUERIES = 500, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random draws from the shipped table, each searcher a little luckier than the one before."""
    out = tmp_path_factory.mktemp("report") / "out"
    table = open_table("nb201")
    oracle = Table(table, "cifar10")
    settings = Settings(
        table="nb201", table_sha256=table.sha256, limits=table.limits, datasets=DATASETS, seeds=SEEDS,
        budget=f"{QUERIES} queries",
    )  # fmt: skip
    reference = reference_of(oracle, Budget(QUERIES))
    claim(out, settings, dict.fromkeys(DATASETS, reference))
    rng = np.random.default_rng(0)
    order = np.argsort(oracle.test)
    cells = tuple(str(cell) for cell in NB201())
    for unit in plan(settings, SEARCHERS):
        count = (unit.last - unit.first + 1) * QUERIES
        luck = 1 + SEARCHERS.index(unit.searcher)
        cell = order[(rng.random(count) ** (1 / luck) * len(order)).astype(int)].astype(np.int32)
        test = oracle.test[cell]
        used, place = np.unique(cell, return_inverse=True)
        steps = Steps(
            seed=np.repeat(np.arange(unit.first, unit.last + 1, dtype=np.int32), QUERIES),
            query=np.tile(np.arange(1, QUERIES + 1, dtype=np.int32), count // QUERIES),
            cell=place.astype(np.int32),
            cells=tuple(cells[rank] for rank in used.tolist()),
            answer=np.full(count, -1, dtype=np.int32),
            validation=test + rng.normal(scale=0.3, size=count),
            test=test,
            epochs=np.full(count, 12.0),
            seconds=rng.uniform(60, 200, size=count),
            charged=np.ones(count, dtype=np.bool_),
            overhead=rng.exponential(1e-3, size=count),
        )
        header = Header(
            argv=("nasgauge",), commit="", versions={}, table="nb201", table_sha256=table.sha256,
            limits=table.limits, dataset=unit.dataset, metric="s", report="r", warning="", searcher=unit.searcher,
            settings={}, budget=settings.budget, repeats="charge", seeds=(unit.first, unit.last),
        )  # fmt: skip
        write(out / unit.file, header, steps)
    return out


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


def test_a_report_of_1_800_000_steps(benchmark: Any, folder: Path) -> None:
    def whole() -> dict[str, float]:
        command = [sys.executable, "-c", CODE, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    benchmark.extra_info |= benchmark.pedantic(whole, rounds=1, iterations=1)
