"""Make the gallery again, from the embedded table and what scores ship: `python docs/gallery/make.py`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.cli.studies import SHIPPED_SCORES, SHIPPED_SEARCHES

from data.sources import table_path

HERE = Path(__file__).resolve().parent
CAPTIONS = {
    "efficiency-cifar10": "Test accuracy of the validation leader against queries: mean of 100 runs, 95 % band, "
    "with the exact random-search curve and the best cell.",
    "regret-cifar10": "The same as points below the best cell, on a log axis.",
    "top-cifar10": "Mean accuracy of the 1, 5 and 25 leading cells.",
    "profile": "Share of runs that end above a normalised score.",
    "iqm": "Interquartile mean of the normalised scores.",
    "operations-cifar10": "What the cells that searches end with carry on each edge.",
    "tau-cifar10": "Kendall's tau of zero-cost scores with test accuracy, FLOPs and parameters as baselines.",
    "ranks-cifar10-rank-sum": "TE-NAS's rank sum against test accuracy.",
    "ranks-cifar10-kappa": "The condition number of the tangent kernel against test accuracy.",
    "ranks-cifar10-regions": "The number of linear regions against test accuracy.",
    "tau-between": "Kendall's tau between the scores.",
    "preference-cifar10": "Operations of the best tenth of cells, by accuracy and by score.",
    "pruning-paper-seed-0": "A TE-NAS search, round by round.",
    "bridge-accuracy": "Cells trained here for 12 epochs beside the table `nb201`, with 95 % prediction intervals.",
    "bridge-curves-cifar10-valid-12": "Their epochs beside those of the official records.",
}
TRAINED = HERE.parent / "trained"
CURVES = (
    "NATS-tss-v1_0-3ffb9-simple"  # three official records, imported with `nasgauge data import --partial`
)


def nasgauge(*arguments: str) -> None:
    """Run the command line."""
    code = "from harness.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=HERE.parents[1])


def main() -> None:
    """Run the default bench, report it, and keep the pictures."""
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
            "Made by `python docs/gallery/make.py` from the table `bundled`, whose one figure",
        ]
        lines += ["for each cell is both search signal and report.", ""]
        for name, caption in CAPTIONS.items():
            picture = out / "report" / f"{name}.png"
            if picture.is_file():
                shutil.copy(picture, HERE / picture.name)
                lines += [f"![{name}]({picture.name})", "", caption, ""]
        (HERE / "README.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
