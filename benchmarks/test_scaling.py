"""How a campaign would scale: units measured here, handed out to simulated workers."""

import heapq
import time
from pathlib import Path

import numpy as np

from nasgauge.harness.engines import Local
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.schedule import Kind, Schedule

SEARCHERS = ("random", "evolution", "local", "reinforce", "pnas", "tenas", "bananas")
UNITS = 300
"""Units of ten seeds of each searcher: 1,000 seeds on three datasets."""


def nothing(_task: int) -> None:
    """A task that costs what it costs to hand it out."""


def makespan(costs: dict[Kind, float], workers: int, overhead: float) -> float:
    """Seconds that a campaign takes with equally fast workers; one process hands out tasks, one after another."""
    schedule = Schedule([(kind, kind) for _ in range(UNITS) for kind in costs])
    free = [(0.0, worker) for worker in range(workers)]
    known: list[tuple[float, Kind, int]] = []
    handed, last = 0.0, 0.0
    for task in schedule:
        begin, worker = heapq.heappop(free)
        handed = max(handed, begin) + overhead
        while known and known[0][0] <= handed:
            _, kind, count = heapq.heappop(known)
            schedule.took(kind, count, costs[kind] * count)
        end = handed + costs[task[0]] * len(task)
        heapq.heappush(known, (end, task[0], len(task)))
        heapq.heappush(free, (end, worker))
        last = max(last, end)
    return last


def test_scaling(tmp_path: Path) -> None:
    costs = {}
    for name in SEARCHERS:
        first, second = (
            Campaign.on_table(
                tmp_path / name,
                [name],
                "nb201",
                datasets=["cifar10"],
                seeds=seeds,
                rules=Rules(budget=Budget(200)),
            )
            for seeds in (10, 20)
        )
        list(first.run(workers=1))  # opens the table
        start = time.process_time()
        list(second.run(workers=1))
        costs[Kind(name, "cifar10")] = time.process_time() - start
        print(f"{name}: {costs[Kind(name, 'cifar10')]:.2f} s a unit of ten runs")  # noqa: T201
    engine = Local(2)
    list(engine.run(nothing, range(20)))
    start = time.process_time()
    list(engine.run(nothing, range(500)))
    overhead = (time.process_time() - start) / 500
    alone = UNITS * sum(costs.values())
    print(  # noqa: T201
        f"overhead of a task {overhead * 1e3:.2f} ms; largest unit {max(costs.values()):.2f} s; alone {alone:.0f} s"
    )
    ups = {workers: alone / makespan(costs, workers, overhead) for workers in (2, 10, 100, 1000)}
    print("speed-up", {workers: round(float(up), 1) for workers, up in ups.items()})  # noqa: T201
    assert np.all(np.diff(list(ups.values())) > 0)
