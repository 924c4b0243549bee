"""The defaults of the built-in searchers, chosen on CIFAR-10's validation accuracy: `python benchmarks/tuning.py`.

Each setting runs on CIFAR-10 alone and observes the default search metric, the validation accuracy of one training
seed. It is scored by the incumbent's mean validation accuracy over all training seeds after 50, 100 and 200 queries;
no test accuracy is read, and no other dataset. A searcher's default is the setting with the highest mean of the three,
or the published setting where that is not distinguishable from it (two standard errors of the difference).
"""

import argparse
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

import nasgauge as ng

BUDGETS: Final = (50, 100, 200)
GRIDS: Final[Mapping[str, Mapping[str, tuple[object, ...]]]] = {
    "pnas": {
        "tokens": ("paths", "operations"),
        "beam": (32, 64, 128, 256),
        "batch": (8, 16, 32),
    },
    "evolution": {"population": (10, 20, 30, 50, 100), "tournament": (3, 5, 10)},
    "reinforce": {"learning_rate": (0.02, 0.05, 0.1, 0.2, 0.5), "momentum": (0.5, 0.9)},
    "local": {"climb": ("first", "steepest")},
    "smbo": {"initial": (10, 20), "batch": (5, 10, 20), "explore": ("none", "ucb")},
    "bananas": {"initial": (10, 20), "batch": (5, 10), "parents": (5, 10)},
}


def settings(searcher: str) -> list[str]:
    """All settings of a searcher's grid, as texts."""
    grid = GRIDS[searcher]
    return [
        ":".join([searcher, *(f"{key}={value}" for key, value in zip(grid, values, strict=True))])
        for values in product(*grid.values())
    ]


def scores(results: ng.Results, truth: np.ndarray) -> pd.DataFrame:
    """Mean and standard error of the incumbents' mean validation accuracy, a row for each setting."""
    frame = results.frame().sort_values(["searcher", "seed", "query"])
    runs = frame.groupby(["searcher", "seed"])["metric"]
    leads = frame["metric"].gt(
        runs.cummax().groupby([frame["searcher"], frame["seed"]]).shift(fill_value=-np.inf)
    )
    ranks = frame.loc[leads, "cell"].map(lambda cell: ng.Cell.parse(cell).rank)
    frame["truth"] = pd.Series(truth[ranks.to_numpy()], index=ranks.index)
    frame["truth"] = frame.groupby(["searcher", "seed"])["truth"].ffill()
    # a search that ended earlier keeps its incumbent
    wide = frame.pivot_table(index=["searcher", "seed"], columns="query", values="truth")
    at = wide.reindex(columns=range(1, max(BUDGETS) + 1)).ffill(axis=1)[list(BUDGETS)]
    at["mean"] = at.mean(axis=1)
    found = at.groupby("searcher").agg(["mean", "sem"])
    found.columns = pd.Index(
        [str(pair[0]) + ("" if pair[1] == "mean" else " se") for pair in found.columns.to_flat_index()]
    )
    return found.sort_values("mean", ascending=False)


def main() -> None:
    """Read the options, run the grids and write a table for each searcher."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searchers", default=",".join(GRIDS), help="searchers, separated by commas")
    parser.add_argument("--seeds", type=int, default=100, help="runs of each setting")
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1: one for each core")
    parser.add_argument("--out", type=Path, default=Path("results/tuning"), help="folder for runs and tables")
    options = parser.parse_args()
    table = ng.open_table("nb201")
    truth = table.column(table.view("cifar10").expected)
    for name in options.searchers.split(","):
        results = ng.bench(
            settings(name), table, dataset="cifar10", budget=max(BUDGETS), seeds=options.seeds,
            workers=options.workers, out=options.out / name,
        )  # fmt: skip
        found = scores(results, truth)
        found.to_csv(options.out / f"{name}.csv", float_format="%.3f")
        print(found.round(3).to_string())  # noqa: T201


if __name__ == "__main__":
    main()
