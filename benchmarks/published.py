"""Published rows of NAS-Bench-201's baselines beside ours: `python benchmarks/published.py`.

As in the benchmark's paper, searchers observe 12-epoch CIFAR-10 validation accuracy, and the incumbent at the
end of the budget is reported at 200 epochs on the three datasets. One thing differs: the table has means over
the seeds of the 12-epoch trainings, where the paper drew one trial for each query. Seconds are measured ones of
training; the paper also charges one pass over the validation images.
"""

import argparse
from typing import Final

import numpy as np

import nasgauge as ng

DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")
PUBLISHED: Final = {
    "random": ((93.70, 0.36), (71.04, 1.07), (44.57, 1.25)),
    "evolution-published": ((93.92, 0.30), (71.84, 0.99), (45.54, 1.03)),
    "reinforce-published": ((93.85, 0.37), (71.71, 1.09), (45.24, 1.18)),
}
"""Mean and standard deviation of test accuracy, as cited from Dong and Yang (2020), table 5."""


def study(table: ng.AccuracyTable, budget: str, seeds: int, workers: int) -> None:
    """Run the three baselines and print two lines for each, ours and the published one."""
    found = ng.bench(
        list(PUBLISHED), table, dataset="cifar10", metric="12/valid/mean", budget=budget, seeds=seeds, workers=workers
    )  # fmt: skip
    frame = found.frame()
    best = frame.loc[frame.groupby(["searcher", "seed"])["metric"].idxmax()]
    reports = np.stack([table.column(table.view(name).report) for name in DATASETS], axis=1)
    print(f"\nbudget {budget}, {seeds} runs each")  # noqa: T201
    for searcher, published in PUBLISHED.items():
        rows = best[best["searcher"] == searcher]
        ours = reports[[ng.Cell.parse(cell).rank for cell in rows["cell"]]]
        queries = frame[frame["searcher"] == searcher].groupby("seed").size().mean()
        shown = "  ".join(f"{m:6.2f} ± {s:4.2f}" for m, s in zip(ours.mean(0), ours.std(0), strict=True))
        cited = "  ".join(f"{m:6.2f} ± {s:4.2f}" for m, s in published)
        print(f"{searcher:19s} ours      {shown}  ({queries:.0f} queries)")  # noqa: T201
        print(f"{'':19s} published {cited}")  # noqa: T201


def main() -> None:
    """Read the options and run the study at 100 queries and at 12,000 seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=500, help="runs of each searcher")
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1: one for each core")
    options = parser.parse_args()
    table = ng.open_table("nb201")
    print("test accuracy after 200 epochs: " + ", ".join(DATASETS))  # noqa: T201
    for budget in ("100 queries", "12000 seconds"):
        study(table, budget, options.seeds, options.workers)


if __name__ == "__main__":
    main()
