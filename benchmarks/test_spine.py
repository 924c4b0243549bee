"""Speed of the main job: `pytest benchmarks --benchmark-only`; rates are in `extra_info` and in README."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.steps import gather
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.nb201 import NB201

space = NB201()


@pytest.fixture(scope="module")
def table() -> AccuracyTable:
    return open_table("bundled")


@pytest.fixture(scope="module")
def oracle(table: AccuracyTable) -> Table:
    return Table(table, "cifar10")


def in_a_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_load_the_cached_table(benchmark: Any, table: AccuracyTable) -> None:
    """Goal: under 50 ms, and under 30 MB more than the imports take."""
    benchmark(open_table, table.name)
    grown = in_a_process(
        "import re, nasgauge.data.sources\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "before = peak(); table = nasgauge.data.sources.open_table('bundled'); print(peak() - before)"
    )
    benchmark.extra_info["peak memory grown, MB"] = float(grown)


def test_scalar_queries(benchmark: Any, oracle: Table) -> None:
    """Goal: at least 200,000 a second."""
    cells = list(space)

    def every_cell() -> None:
        evaluate = oracle.evaluate
        for cell in cells:
            evaluate(cell)

    benchmark(every_cell)
    benchmark.extra_info["queries/s"] = len(cells) / benchmark.stats["min"]


def test_vectorised_look_up_of_every_cell(benchmark: Any, oracle: Table) -> None:
    """Goal: under 1 ms for all 15,625."""
    ranks = np.random.default_rng(0).permutation(len(space))
    benchmark(lambda: (oracle.validation[ranks], oracle.test[ranks]))


@pytest.mark.parametrize("name", ["random", "local", "evolution", "reinforce"])
def test_steps_through_runner_and_records(benchmark: Any, oracle: Table, name: str) -> None:
    """Goal: at least 30,000 steps a second for random, local and evolution."""
    spec, runs, queries = Spec.parse(name), 50, 200

    def search() -> None:
        steps = gather(
            (seed, list(run(spec.make(space, np.random.default_rng(seed)), oracle, Budget(queries))))
            for seed in range(runs)
        )
        assert len(steps.seed) == runs * queries

    benchmark(search)
    benchmark.extra_info["steps/s"] = runs * queries / benchmark.stats["min"]


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def test_help(benchmark: Any) -> None:
    """Goal: under 0.5 s, in a new process."""
    benchmark.pedantic(
        in_a_process,
        args=(
            "import sys; sys.argv = ['nasgauge', '--help']\nfrom nasgauge.cli import app; app(standalone_mode=False)",
        ),
        rounds=5,
        warmup_rounds=1,
    )
    benchmark.extra_info["of which Python itself, s"] = min(
        seconds(lambda: in_a_process("pass")) for _ in range(5)
    )


def test_the_default_bench(benchmark: Any, tmp_path: Path) -> None:
    """Goal: under 60 s on 2 cores, figures drawn."""
    code = f"from nasgauge.cli import app; app(['bench', '--out', {str(tmp_path / 'out')!r}], standalone_mode=False)"
    benchmark.pedantic(in_a_process, args=(code,), rounds=1)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    benchmark.extra_info["largest process, MB"] = children
