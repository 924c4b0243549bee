"""The published rows of NAS-Bench-201's baselines, and ours on the table `nb201`, beside each other.

    nasgauge data fetch nb201
    python benchmarks/published.py

As in the benchmark's paper, a search sees 12-epoch CIFAR-10 validation accuracy alone, and the cell that
leads when the budget is spent is reported at 200 epochs on the three datasets. Two things differ: the
exports hold means over seeds where the paper drew one trial for each query, and their seconds are modelled
(`nasgauge.spaces.costs`), so a budget of 12,000 seconds is about, not exactly, the paper's.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.results import Settings, plan
from nasgauge.harness.records.steps import read
from nasgauge.harness.search.campaign import execute
from nasgauge.spaces.cells import Cell

DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")
PUBLISHED: Final = {
    "random": ((93.70, 0.36), (71.04, 1.07), (44.57, 1.25)),
    "evolution": ((93.92, 0.30), (71.84, 0.99), (45.54, 1.03)),
    "reinforce": ((93.85, 0.37), (71.71, 1.09), (45.24, 1.18)),
}
"""Mean and standard deviation of test accuracy, as cited from Dong and Yang (2020), table 5."""


def leaders(folder: Path, searcher: str) -> tuple[list[Cell], list[int]]:
    """The cell with the best validation accuracy of each run, and the number of its queries."""
    cells, queries = [], []
    for path in sorted(folder.glob(f"{searcher}@*.parquet")):
        steps = read(path).steps
        for seed in np.unique(steps.seed):
            places = np.flatnonzero(steps.seed == seed)
            best = places[int(steps.validation[places].argmax())]
            cells.append(Cell.parse(steps.cells[int(steps.cell[best])]))
            queries.append(len(places))
    return cells, queries


def finals(table: AccuracyTable, cells: list[Cell]) -> NDArray[np.float64]:
    """Reported accuracy of each cell on each of `DATASETS`, (cells, datasets), percent."""
    ranks = [cell.rank for cell in cells]
    return np.stack([table.column(table.view(name).report)[ranks] for name in DATASETS], axis=1)


def study(table: AccuracyTable, budget: str, seeds: int, workers: int) -> None:
    """Run the three baselines and print a line for each, ours and the published one."""
    settings = Settings(
        table="nb201",
        table_sha256=table.sha256,
        limits=table.limits,
        datasets=("cifar10",),
        seeds=seeds,
        budget=budget,
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        for _ in execute(folder, settings, plan(settings, PUBLISHED), workers=workers):
            pass
        print(f"\nbudget {budget}, {seeds} runs each, {time.perf_counter() - start:.0f} s")  # noqa: T201
        for searcher, published in PUBLISHED.items():
            cells, queries = leaders(folder, searcher)
            ours = finals(table, cells)
            shown = "  ".join(f"{m:6.2f} ± {s:4.2f}" for m, s in zip(ours.mean(0), ours.std(0), strict=True))
            cited = "  ".join(f"{m:6.2f} ± {s:4.2f}" for m, s in published)
            print(f"{searcher:10s} ours      {shown}  ({np.mean(queries):.0f} queries)")  # noqa: T201
            print(f"{'':10s} published {cited}")  # noqa: T201


def main() -> None:
    """Read the options and run the study at 100 queries and at 12,000 modelled seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=500, help="runs of each searcher")
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1: one for each core")
    options = parser.parse_args()
    table = open_table("nb201")
    print("test accuracy after 200 epochs: " + ", ".join(DATASETS))  # noqa: T201
    for budget in ("100 queries", "12000 seconds"):
        study(table, budget, options.seeds, options.workers)


if __name__ == "__main__":
    main()
