"""All searchers after 50, 100 and 200 queries under both rules, as Markdown: `python benchmarks/searchers_table.py FOLDER`.

Of a bench of 200 queries on three datasets. Means are those of the report's `recommended.csv`, intervals are 95 %
bootstrap intervals of the mean over runs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from nasgauge.analysis.results.campaign import load
from nasgauge.analysis.results.names import dataset_name
from nasgauge.analysis.results.recommendations import Recommendations, recommendations
from nasgauge.analysis.statistics.runs import bootstrap_mean


def main() -> None:
    """Read the folder and print a table for each rule and dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    campaign = load(parser.parse_args().folder)
    found = recommendations(campaign)
    lines: list[str] = []
    for rule in ("incumbent", "smoothed"):
        for dataset in campaign.datasets:
            lines += [f"**{dataset_name(dataset)}, {rule}**", "", *_table(found, dataset, rule), ""]
    lines += ["| searcher | CPU seconds of a run, without its queries |", "|---|--:|"]
    for name in sorted({name for _, name in found}):
        spent = [campaign.on(dataset)[name].spent["overhead"] for dataset in campaign.datasets]
        ends = np.concatenate([np.where(np.isfinite(each), each, 0).max(axis=1) for each in spent])
        lines.append(f"| `{name}` | {ends.mean():.2g} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _table(found: Recommendations, dataset: str, rule: str) -> list[str]:
    ends = {name: made for (key, name), made in found.items() if key == dataset}
    ordered = sorted(ends.items(), key=lambda item: -getattr(item[1][-1], rule).mean())
    queries = [made.queries for made in ordered[0][1]]
    lines = [
        f"| searcher | n | {' | '.join(f'{count} queries' for count in queries)} |",
        f"|---|--:|{'--:|' * len(queries)}",
    ]
    for name, made in ordered:
        cells = []
        for one in made:
            values = getattr(one, rule)
            low, high = bootstrap_mean(values[:, None], np.random.default_rng(0))[:, 0]
            cells.append(f"{values.mean():.2f} [{low:.2f}, {high:.2f}]")
        lines.append(f"| `{name}` | {len(made[-1].incumbent)} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
