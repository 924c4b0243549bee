"""The figure and the table of docs/fidelity.md from their results: `python docs/results/fidelity/make.py FOLDER`."""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.plots.efficiency import draw_accuracy
from nasgauge.analysis.plots.style import STYLE, looks
from nasgauge.analysis.results.campaign import Campaign, load
from nasgauge.analysis.results.names import dataset_name, searcher_names
from nasgauge.analysis.statistics.curves import grid_of, on_grid
from nasgauge.analysis.statistics.runs import band, bootstrap_mean

HERE = Path(__file__).resolve().parent
DRAWN = ("random", "pnas", "hyperband", "bohb", "asha")
AT = (4_000, 10_000, 20_000, 40_000)
"""Epochs at which the table compares."""


def figure(campaign: Campaign) -> Figure:
    """Accuracy of the incumbent against training epochs, a panel for each dataset."""
    drawn = Figure(figsize=(9.6, 3.5), layout="constrained")
    names, shown = searcher_names(DRAWN), looks(DRAWN)
    axes = drawn.subplots(1, len(campaign.datasets))
    for ax, dataset in zip(axes, campaign.datasets, strict=True):
        runs = {name: campaign.runs[dataset, name] for name in DRAWN}
        grid = grid_of(list(runs.values()), "epochs")
        rng = np.random.default_rng(0)
        bands = {name: band(on_grid(found, "epochs", grid), rng) for name, found in runs.items()}
        best = {"best cell": campaign.references[dataset].optimum}
        draw_accuracy(ax, grid, bands, references=best, shown=shown, legend=False)
        ax.set_title(dataset_name(dataset))
        ax.set_xlabel("training epochs")
        ax.set_xticks([500, 2_000, 10_000, 40_000])
    axes[0].set_ylabel("test accuracy of the incumbent (%)")
    lines = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    drawn.legend(
        [lines[name] for name in DRAWN], [names[name] for name in DRAWN], loc="outside lower center", ncols=5
    )
    return drawn


def table(campaign: Campaign) -> pd.DataFrame:
    """Mean and 95 % bootstrap interval after so many epochs, and the searcher's own CPU seconds of a run."""
    rows = []
    for dataset in campaign.datasets:
        for name, runs in campaign.on(dataset).items():
            values = on_grid(runs, "epochs", np.array(AT, dtype=float))
            low, high = bootstrap_mean(values, np.random.default_rng(0))
            own = runs.spent["overhead"][np.arange(len(runs.lengths)), runs.lengths - 1].mean()
            for place, epochs in enumerate(AT):
                rows.append(
                    {
                        "dataset": dataset, "searcher": name, "n": len(values), "epochs": epochs,
                        "mean": values[:, place].mean(), "low": low[place], "high": high[place], "own seconds": own,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def main(folder: Path) -> None:
    """Write both, and print the table as the page has it."""
    campaign = load(folder)
    with matplotlib.rc_context(STYLE):
        figure(campaign).savefig(HERE / "accuracy-epochs.png")
    numbers = table(campaign).round(3)
    numbers.to_csv(HERE / "accuracy-epochs.csv", index=False)
    last = numbers[numbers["epochs"] == AT[-1]]
    for name, rows in last.groupby("searcher"):
        cells = " | ".join(
            f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in _tuples(rows)
        )
        sys.stdout.write(f"| `{name}` | {rows['n'].iloc[0]} | {cells} | {rows['own seconds'].mean():.1f} |\n")
    for name, rows in numbers.groupby("searcher"):
        cells = " | ".join(
            " / ".join(f"{row['mean']:.2f}" for row in _tuples(rows[rows["epochs"] == epochs]))
            for epochs in AT
        )
        sys.stdout.write(f"| `{name}` | {cells} |\n")


def _tuples(rows: pd.DataFrame) -> "list[pd.Series]":
    return [row for _, row in rows[["mean", "low", "high"]].iterrows()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
