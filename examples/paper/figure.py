"""The figure and the table of `paper.tex`: searchers that search on CIFAR-10, reported on three datasets.

    python figure.py [SEEDS] [QUERIES]

Runs that `results/` holds are kept, so the script can be interrupted, and later run with more seeds.
"""

import shutil
import sys
from pathlib import Path

import nasgauge as ng

SEARCHERS = ["random", "evolution", "local"]  # yours: a name of your package, or "my_module:MySearcher"


def main(seeds: int = 100, queries: int = 200) -> None:
    """Run what is missing, write the report in NeurIPS style, and copy what the paper includes."""
    results = ng.bench(SEARCHERS, search_on="cifar10", seeds=seeds, budget=queries, out="results")
    report = results.report(venue="neurips2024", ours="local")
    folder = report.page.parent
    shutil.copy(folder / "paper.tex", "table.tex")
    shutil.copy(folder / "neurips2024" / "efficiency-cifar10.pdf", "efficiency.pdf")
    for name in ("table.tex", "efficiency.pdf"):
        sys.stdout.write(f"wrote {Path(name)}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
