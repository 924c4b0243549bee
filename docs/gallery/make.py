"""Regenerate the gallery from the table and the scores in the package: `python docs/gallery/make.py`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nasgauge.cli.studies import SHIPPED_SCORES, SHIPPED_SEARCHES
from nasgauge.data.sources import table_path

HERE = Path(__file__).resolve().parent
CAPTIONS = {
    "efficiency-cifar10": "Test accuracy of the incumbent against queries: mean of 100 runs with a 95 % band, "
    "the exact random-search curve and the best cell.",
    "regret-cifar10": "Mean regret against queries: percentage points below the best cell, on a log axis.",
    "top-cifar10": "Mean test accuracy of the 1, 5 and 25 best cells found so far by the search metric, against queries.",
    "profile": "Performance profile: share of runs whose final normalised score (0: mean of all cells, 1: the best "
    "cell) is above a threshold, with a 95 % band.",
    "iqm": "Interquartile mean of the final normalised scores, with its 95 % interval.",
    "operations-cifar10": "Operations on each edge of the final incumbents; an edge leads from one of the four nodes of "
    "a cell to a later one.",
    "tau-cifar10": "Kendall's tau of zero-cost proxies with test accuracy over one cell of each structural class, mean of "
    "all draws; FLOPs and parameters are baselines.",
    "ranks-cifar10-rank-sum": "Rank sum of TE-NAS against test accuracy: a point for each structural class, 100 is the best "
    "score; yellow where points lie close together, and the least accurate cells lie below the axis.",
    "ranks-cifar10-kappa": "Condition number of the neural tangent kernel against test accuracy, likewise; 100 is the "
    "lowest number.",
    "ranks-cifar10-regions": "Number of linear regions against test accuracy, likewise; 100 is the highest number.",
    "tau-between": "Kendall's tau between pairs of proxies.",
    "preference-cifar10": "Shares of operations in the best 10 % of cells, by accuracy and by each proxy.",
    "pruning-released-paper-settings-seed-0": "A TE-NAS search: the supernet and its remaining operations "
    "after each round, dotted: those just removed; kappa and number of regions before the next round.",
    "bridge-accuracy": "Retraining check: cells trained for 12 epochs against the table `nb201`, with 95 % prediction intervals.",
    "bridge-curves-cifar10-valid-12": "Learning curves of these trainings and of the official records.",
}
TRAINED = HERE.parent / "trained"
CURVES = (
    "NATS-tss-v1_0-3ffb9-simple"  # three official records, imported with `nasgauge data import --partial`
)


def nasgauge(*arguments: str) -> None:
    """Run the command line."""
    code = "from nasgauge.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=HERE.parents[1])


def main() -> None:
    """Run the default campaign and its report, and copy the figures."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bench"
        nasgauge("bench", "--out", str(out))
        studies = [("--scores", SHIPPED_SCORES), ("--pruning", SHIPPED_SEARCHES)]
        options = [text for name, path in studies if path.is_file() for text in (name, "shipped")]
        if options:
            nasgauge("report", str(out), *options)
        curves = ["--curves", CURVES] if table_path(CURVES).is_file() else []
        nasgauge("score", "bridge", str(TRAINED), "--out", str(out / "report"), *curves)
        lines = [
            "# Gallery",
            "",
            "Made by `python docs/gallery/make.py` from the table `nb201`: the search metric is the 200-epoch validation",
            "accuracy of one training seed drawn at each query, the reported accuracy the mean 200-epoch test accuracy.",
            "Proxy scores are those in the package: of the benchmark's full network, kappa and regions of TE-NAS's small ones",
            "([details](../results/proxies.md)).",
            "",
        ]
        for name, caption in CAPTIONS.items():
            picture = out / "report" / f"{name}.png"
            if picture.is_file():
                shutil.copy(picture, HERE / picture.name)
                lines += [f"![{name}]({picture.name})", "", caption, ""]
        (HERE / "README.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
