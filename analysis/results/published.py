"""Published figures, each with its source and whether it was checked against the paper, beside ours.

A `confirmed` number was read in the source named; the others are quoted from memory of the paper and are
printed as unconfirmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.sample_efficiency import PAPER as PNAS_TABLE_2
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.runs import sd

DATASETS: Final = {"cifar10": "C10", "cifar100": "C100", "ImageNet16-120": "IN16"}
"""The benchmark's names and those of the tables' columns."""
DISPLAYED: Final = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
"""Datasets whose names in sentences differ."""


CONFIRMED: Final = "confirmed"
UNCONFIRMED: Final = "unconfirmed"


class Figure(NamedTuple):
    """Mean and standard deviation of a test accuracy, percent; NaN where none is printed."""

    mean: float
    sd: float = float("nan")


@dataclass(frozen=True)
class Row:
    """A method's line of a published table."""

    method: str
    figures: tuple[Figure, Figure, Figure]
    """Of CIFAR-10, CIFAR-100 and ImageNet16-120."""
    seconds: float
    """GPU seconds of the search; NaN where none are printed."""
    status: str = CONFIRMED
    """Whether it was read in a copy of the paper, or which of its figures were."""
    searcher: str = ""
    """Ours, to be put beside it."""


@dataclass(frozen=True)
class Published:
    """A published table of accuracies on NAS-Bench-201."""

    name: str
    title: str
    source: str
    rows: Sequence[Row]
    note: str = ""


_NAN: Final = float("nan")


def _row(
    method: str,
    figures: Sequence[float],
    seconds: float = _NAN,
    status: str = CONFIRMED,
    searcher: str = "",
) -> Row:
    """A row from mean, sd, mean, sd, mean, sd; or from three means."""
    pairs = (
        [(f, _NAN) for f in figures] if len(figures) == 3 else list(zip(*[iter(figures)] * 2, strict=True))
    )
    one, two, three = (Figure(*pair) for pair in pairs)
    return Row(method, (one, two, three), seconds, status, searcher)


TENAS_TABLE_1: Final = Published(
    name="beside-tenas",
    title="Beside TE-NAS, Table 1: test accuracy on NAS-Bench-201, %",
    source="Chen et al. (2021), Table 1",
    rows=(
        _row("ResNet", (93.97, 70.86, 43.63)),
        _row("RSPS", (87.66, 1.69, 58.33, 4.34, 31.14, 3.88), 8007.13),
        _row("ENAS", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 13314.51),
        _row("DARTS, 1st order", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 10889.87),
        _row("DARTS, 2nd order", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 29901.67),
        _row("GDAS", (93.61, 0.09, 70.70, 0.30, 41.84, 0.90), 28925.91),
        _row("NAS without training", (91.78, 1.45, 67.05, 2.89, 37.07, 6.39), 4.8),
        _row("TE-NAS", (93.9, 0.47, 71.24, 0.56, 42.38, 0.46), 1558, searcher="tenas"),
        _row("optimal", (94.37, 73.51, 47.31), searcher="optimum"),
    ),
    note="The paper's TE-NAS searches on each dataset, its other methods on CIFAR-10 alone; our tenas rows are stored "
    "searches on CIFAR-10 images.",
)

NASBENCH201: Final = Published(
    name="beside-nasbench201",
    title="Beside NAS-Bench-201: its baselines under 12,000 simulated seconds, test accuracy, %",
    source="Dong and Yang (2020), the table of ten algorithms",
    rows=(
        _row("RSPS", (87.66, 1.69, 58.33, 4.34, 31.14, 3.88), 7587.12, "accuracies confirmed"),
        _row("DARTS-V1", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 10889.87),
        _row("DARTS-V2", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 29901.67),
        _row("ENAS", (54.30, 0.00, 15.61, 0.00, 16.32, 0.00), 13314.51),
        _row("GDAS", (93.51, 0.13, 70.61, 0.26, 41.84, 0.90), 28925.91, "seconds confirmed"),
        _row("SETN", (86.19, 4.63, 56.87, 7.77, 31.90, 4.07), 31009.81, UNCONFIRMED),
        _row("REA", (93.92, 0.30, 71.84, 0.99, 45.54, 1.03), 0.02, UNCONFIRMED, "evolution-published"),
        _row("RS", (93.70, 0.36, 71.04, 1.07, 44.57, 1.25), 0.01, UNCONFIRMED, "random"),
        _row("REINFORCE", (93.85, 0.37, 71.71, 1.09, 45.24, 1.18), 0.12, UNCONFIRMED, "reinforce-published"),
        _row("BOHB", (93.61, 0.52, 70.85, 1.28, 44.42, 1.49), 3.59, UNCONFIRMED, "bohb"),
        _row("ResNet", (93.97, 70.86, 43.63)),
        _row("optimal", (94.37, 73.51, 47.31), searcher="optimum"),
    ),
    note=("The paper searched on CIFAR-10 alone, with about 100 cells of 12 epochs each."),
)


TENAS_CORRELATIONS: Final[Mapping[str, float]] = {"kappa": -0.42, "regions": 0.50, "rank sum": -0.64}
"""Kendall's tau with test accuracy on NAS-Bench-201: Chen et al. (2021), Figures 1, 3 and 9; confirmed."""


def beside(published: Published, campaign: Campaign) -> Table:
    """A published table with our row below that of the same method, and our other searchers at its end."""
    rows = []
    placed = set()
    for row in published.rows:
        mark = "" if row.status == CONFIRMED else "†"
        rows.append(
            _line(row.method + mark, "published", row.figures, row.seconds, row.status, published.source)
        )
        ours = [
            name for name in campaign.searchers if row.searcher and name.partition(":")[0] == row.searcher
        ]
        if row.searcher == "optimum":
            rows.append(_optimum(campaign))
        for name in ours:
            rows.append(_ours(campaign, name))
            placed.add(name)
    rows += [_ours(campaign, name) for name in campaign.searchers if name not in placed]
    return Table(
        published.name,
        published.title,
        pd.DataFrame(rows),
        {"GPU s": 2},
        f"{published.note} Ours: {_searched(campaign)}; mean of the last incumbent over n runs, and measured CPU "
        "seconds of the search itself, without training. sd: over runs. status: confirmed figures were read in a copy "
        "of the paper; †: some or all figures of the row are quoted from memory.",
        errors={name: f"{name} error" for name in DATASETS.values()},
        shown=[name for name in rows[0] if not name.endswith(" error")],
        caption=f"{published.source}, beside this campaign (table {campaign.table}): test accuracy, %. †: not confirmed.",
    )


def pnas_efficiency() -> Table:
    """Table 2 of Liu et al. (2018) as published; confirmed figures only."""
    frame = pd.DataFrame(PNAS_TABLE_2, columns=["top", "accuracy", "PNAS models", "RL models"])
    frame["ratio"] = frame["RL models"] / frame["PNAS models"]
    return Table(
        "published-pnas-2",
        "PNAS, Table 2, as published: models trained for the same mean accuracy of the best cells",
        frame,
        {"accuracy": 4, "ratio": 1},
        "Liu et al. (2018), cells of five blocks on CIFAR-10, another space than NAS-Bench-201. Confirmed (a "
        "textbook's copy of the table); ratio: computed here. Ours: nasgauge score efficiency.",
    )


def _line(
    method: str,
    kind: str,
    figures: Sequence[Figure],
    seconds: float,
    status: str,
    source: str,
    counts: Sequence[int] = (0, 0, 0),
) -> dict[str, object]:
    """`counts`: runs behind the figures; 0 where a paper's digits are printed as they are."""
    line: dict[str, object] = {"method": method, "from": kind}
    for name, figure, count in zip(DATASETS.values(), figures, counts, strict=True):
        error = figure.sd / np.sqrt(count) if count else _NAN
        line |= {name: figure.mean, f"{name} sd": figure.sd, f"{name} error": error}
    return line | {"GPU s": float(seconds), "status": status, "source": source}


def _searched(campaign: Campaign) -> str:
    where = campaign.settings.search_on
    return f"searched on {DISPLAYED.get(where, where)} alone" if where else "searched on each dataset"


def _ours(campaign: Campaign, searcher: str) -> dict[str, object]:
    figures = []
    counts = []
    seconds = [
        runs.spent["overhead"][np.arange(len(runs.lengths)), runs.lengths - 1]
        for dataset in DATASETS
        if (runs := campaign.runs.get((dataset, searcher))) is not None
    ]
    for dataset in DATASETS:
        runs = campaign.runs.get((dataset, searcher))
        final = np.array([]) if runs is None else runs.final
        counts.append(len(final))
        figures.append(Figure(float(final.mean()) if final.size else _NAN, sd(final)))
    made = [count for count in counts if count]
    n = "/".join(map(str, made if len(set(made)) > 1 else made[:1])) or "0"
    source = f"table {campaign.table}, n = {n}, {campaign.settings.budget}"
    spent = float(np.concatenate(seconds).mean()) if seconds else _NAN
    return _line(searcher, "ours", figures, spent, "measured", source, counts)


def _optimum(campaign: Campaign) -> dict[str, object]:
    known = campaign.references
    figures = [Figure(known[name].optimum if name in known else _NAN) for name in DATASETS]
    return _line("best cell", "ours", figures, _NAN, "measured", f"table {campaign.table}")
