"""Sample efficiency in the manner of PNAS, Table 2: evaluations that other searchers need for the same accuracy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.efficiency import (
    Array,
    Ratio,
    evaluations_for,
    queries_of,
    speed_up,
    top_means,
)
from nasgauge.analysis.statistics.runs import bootstrap_mean
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.results import Curve, Settings
from nasgauge.harness.records.steps import Steps
from nasgauge.spaces.errors import NasgaugeError

TOPS: Final = (1, 5, 25)

PAPER: Final = ((1, 0.9183, 1160, 5808), (5, 0.9161, 1160, 4100), (25, 0.9136, 1160, 3654))
"""Liu et al. (2018), Table 2, B = 5: top, its mean accuracy, models of PNAS, models of NAS (reinforcement)."""


class Line(NamedTuple):
    """One other searcher at one target."""

    dataset: str
    ours: str
    rival: str
    target: str
    """`top 5`: mean search metric of a run's five best cells, each counted once. `reported`: reported accuracy of its incumbent.
    `answer`: that of the cell that the searcher itself recommends, the incumbent where it records none."""
    evaluations: int
    """Ours: charged queries."""
    accuracy: float
    """Mean over our runs after these, percent."""
    rival_needs: float
    """Infinite if the other does not reach it within its own evaluations."""
    rival_made: int
    """Evaluations in the other's runs."""
    speed_up: Ratio
    """The other's over ours; where the other does not reach it, its last evaluation is counted: a lower bound."""


class Answer(NamedTuple):
    """The searcher's own recommended cell beside the incumbent of the same runs."""

    dataset: str
    searcher: str
    queries: int
    by_metric: float
    """Mean reported accuracy of the incumbent, percent."""
    by_searcher: float
    """That of the cell that the searcher recommends."""
    gain_low: float
    """Lower end of the 95 % bootstrap interval of the difference, which is within a run."""
    gain_high: float
    random_by_metric: float
    """Equivalent random-search queries; infinite beyond the known curve."""
    random_by_searcher: float


Group = Mapping[tuple[str, str], Sequence[Steps]]


class NoRuns(NasgaugeError, LookupError):
    """A results folder with nothing to compare."""


class NotComparable(NasgaugeError, ValueError):
    """Results of other tables or search metrics."""


def check_comparable(ours: Settings, rivals: Settings) -> None:
    """Raise NotComparable unless two campaigns have the same table, search metric and charge for repeated queries."""
    for name in ("table", "table_sha256", "metric", "search_on", "repeats"):
        one, other = getattr(ours, name), getattr(rivals, name)
        if one != other:
            raise NotComparable(
                f"the folders differ in {name}: {one or 'default'} and {other or 'default'}; search again with the same one"
            )


def steps_of(folder: Path) -> dict[tuple[str, str], list[Steps]]:
    """The steps of a results folder by (dataset, searcher).

    Files without steps, of runs that could not make one, are left out.

    Raises OtherCampaign; NoRuns for a folder with no or with damaged result files, or without a step.
    """
    records, damaged = records_of(folder)
    if damaged or not records:
        raise NoRuns(damaged[0] if damaged else f"{folder} has no result files; run nasgauge bench first")
    found: dict[tuple[str, str], list[Steps]] = {}
    for record in records:
        if record.steps.charged.any():
            found.setdefault((record.header.dataset, record.header.searcher), []).append(record.steps)
    if not found:
        raise NoRuns(f"no run in {folder} made a query; give a larger budget")
    return found


def compare(
    ours: Group, rivals: Group, evaluations: Sequence[int], rng: np.random.Generator, *, resamples: int = 1000
) -> list[Line]:
    """Every other searcher against each of ours after some numbers of evaluations, dataset by dataset."""
    lines = []
    curves = {key: _curves(parts) for key, parts in rivals.items()}
    for (dataset, name), parts in ours.items():
        for target, mine in _curves(parts).items():
            for at in evaluations:
                if at > mine.shape[1] or np.isnan(mine[:, at - 1]).any():
                    continue
                accuracy = float(mine[:, at - 1].mean())
                for (other_dataset, rival), found in curves.items():
                    if other_dataset != dataset or target not in found:
                        continue
                    theirs = found[target]
                    lines.append(
                        Line(
                            dataset=dataset,
                            ours=name,
                            rival=rival,
                            target=target,
                            evaluations=at,
                            accuracy=accuracy,
                            rival_needs=evaluations_for(theirs.mean(0), accuracy),
                            rival_made=theirs.shape[1],
                            speed_up=speed_up(mine, theirs, at, rng, resamples=resamples),
                        )
                    )
    return lines


def answers(
    ours: Group, queries: Sequence[int], random: Mapping[str, Curve], rng: np.random.Generator
) -> list[Answer]:
    """Both ways to choose the final cell after some numbers of queries, and their equivalent random-search queries.

    `random`: the closed-form curve of each dataset.
    """
    found = []
    for (dataset, name), parts in ours.items():
        made = queries_of(parts, _longest(parts))
        for query in queries:
            if query > made.incumbent.shape[1]:
                continue
            one, other = made.incumbent[:, query - 1], made.answer[:, query - 1]
            many = len(one) > 1
            low, high = bootstrap_mean((other - one)[:, None], rng)[:, 0] if many else (np.nan, np.nan)
            means = float(one.mean()), float(other.mean())
            paid = [equivalent(random[dataset], mean) if dataset in random else np.nan for mean in means]
            found.append(Answer(dataset, name, query, *means, float(low), float(high), *paid))
    return found


def equivalent(random: Curve, accuracy: float) -> float:
    """The fewest queries after which random search has a mean of at least `accuracy`; infinite beyond its curve.

    >>> equivalent(Curve(queries=(1, 2, 4), mean=(50.0, 60.0, 70.0), sd=(1.0, 1.0, 1.0)), 65.0)
    4.0
    """
    reached = [
        float(query) for query, mean in zip(random.queries, random.mean, strict=True) if mean >= accuracy
    ]
    return min(reached, default=float("inf"))


def frame(lines: Sequence[Line] | Sequence[Answer]) -> pd.DataFrame:
    """A row for each line, the three numbers of a speed-up in columns of their own."""
    table = pd.DataFrame(lines)
    if "speed_up" in table:
        parts = pd.DataFrame(table.pop("speed_up").tolist(), columns=["speed_up", "low", "high"])
        table = pd.concat([table, parts], axis=1)
    return table


def latex(lines: pd.DataFrame) -> str:
    """The layout of the paper's Table 2, with the paper's rows below ours; what is not reached is a bound."""
    names = ["dataset", "ours", "rival", "target", "accuracy", "evaluations", "rival_needs", "speed_up"]
    paper = [
        (
            "CIFAR-10, own space",
            "PNAS (paper)",
            "NAS (paper)",
            f"top {top}",
            100 * mean,
            pnas,
            nas,
            nas / pnas,
        )
        for top, mean, pnas, nas in PAPER
    ]
    both = pd.DataFrame(paper, columns=names)
    if len(lines):
        both = pd.concat([lines[[*names, "low", "high", "rival_made"]], both], ignore_index=True)
    reached = np.isfinite(both["rival_needs"])
    made = both["rival_made"] if "rival_made" in both else both["rival_needs"]
    both["rival_needs"] = [
        f"{needs:,.0f}" if there else f">{most:,.0f}"
        for needs, there, most in zip(both["rival_needs"], reached, made, strict=True)
    ]
    both["speed_up"] = [
        ("" if there else "≥") + f"{ratio:.2f}"
        for ratio, there in zip(both["speed_up"], reached, strict=True)
    ]
    shown = [name for name in (*names, "low", "high") if name in both]
    caption = (
        "Evaluations of other searchers for the same accuracy, after Liu et al. (2018), Table 2, whose rows are last. "
        "> and ≥: bounds, the other searcher did not reach it."
    )
    return Table("efficiency", caption, both, shown=shown, caption=caption).latex


def _curves(parts: Sequence[Steps]) -> dict[str, Array]:
    made = queries_of(parts, _longest(parts))
    curves = {f"top {top}": top_means(made.distinct, top) for top in TOPS}
    return {**curves, "reported": made.incumbent, "answer": made.answer}


def _longest(parts: Sequence[Steps]) -> int:
    """Charged queries of the longest run."""
    return max(int(np.unique(part.seed[part.charged], return_counts=True)[1].max()) for part in parts)
