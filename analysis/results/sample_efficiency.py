"""How many evaluations others need for what one searcher reaches: PNAS, Table 2, from results folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from nasgauge.analysis.statistics.efficiency import (
    Array,
    Ratio,
    evaluations_for,
    incumbents,
    matrices,
    speed_up,
    top_means,
)
from nasgauge.harness.records.results import Curve, records_of
from nasgauge.harness.records.steps import Steps
from nasgauge.spaces.errors import NasgaugeError

TOPS: Final = (1, 5, 25)

PAPER: Final = ((1, 0.9183, 1160, 5808), (5, 0.9161, 1160, 4100), (25, 0.9136, 1160, 3654))
"""Liu et al., 2018, Table 2, B = 5: top, its mean accuracy, models of PNAS, models of NAS (reinforcement)."""


class Line(NamedTuple):
    """One rival at one target."""

    dataset: str
    ours: str
    rival: str
    target: str
    """`top 5`: mean signal of a run's five best cells. `reported`: reported accuracy of its leader on the
    signal. `answer`: that of the searcher's own answer, which is the leader where it gives none."""
    evaluations: int
    """Ours."""
    accuracy: float
    """Mean over our runs after these, percent."""
    rival_needs: float
    """Infinite if the rival never gets there within its own evaluations."""
    rival_made: int
    """Evaluations that the rival's runs have."""
    speed_up: Ratio
    """Rival's over ours; where the rival never gets there, counted as if its last evaluation had."""


class Answer(NamedTuple):
    """What the final answer is worth when the searcher chooses it itself."""

    dataset: str
    searcher: str
    queries: int
    by_signal: float
    """Mean reported accuracy of the cell with the best signal, percent."""
    by_searcher: float
    """That of the searcher's own answer."""
    gain_low: float
    """Ends of the 95 % interval of the difference, paired by run."""
    gain_high: float
    random_by_signal: float
    """Queries of an exact random search for the same mean reported accuracy; infinite: never, as far as the
    curve of the rivals' folder goes."""
    random_by_searcher: float


Group = Mapping[tuple[str, str], Sequence[Steps]]


class NoRuns(NasgaugeError, LookupError):
    """A results folder in which there is nothing to compare."""


def steps_of(folder: Path) -> dict[tuple[str, str], list[Steps]]:
    """The steps of a results folder by (dataset, searcher).

    Raises OtherCampaign; NoRuns for a folder with no or with damaged result files.
    """
    records, damaged = records_of(folder)
    if damaged or not records:
        raise NoRuns(damaged[0] if damaged else f"{folder} has no result files; run nasgauge bench first")
    found: dict[tuple[str, str], list[Steps]] = {}
    for record in records:
        found.setdefault((record.header.dataset, record.header.searcher), []).append(record.steps)
    return found


def compare(
    ours: Group, rivals: Group, evaluations: Sequence[int], rng: np.random.Generator, *, resamples: int = 1000
) -> list[Line]:
    """Every rival against every searcher of ours after some numbers of evaluations, dataset by dataset."""
    lines = []
    curves = {key: _curves(parts) for key, parts in rivals.items()}
    for (dataset, name), parts in ours.items():
        for target, mine in _curves(parts).items():
            for at in evaluations:
                if at > mine.shape[1] or np.isnan(mine[0, at - 1]):
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
    """The two ways to choose the final cell, at some numbers of queries, and what random search pays for it.

    `random` is the closed-form curve of each dataset.
    """
    found = []
    for (dataset, name), parts in ours.items():
        signal, report, answer = matrices(parts, _longest(parts))
        leader = incumbents(signal, report)
        for query in queries:
            if query > signal.shape[1]:
                continue
            one, other = leader[:, query - 1], answer[:, query - 1]
            drawn = rng.integers(len(one), size=(2000, len(one)))
            low, high = np.quantile((other - one)[drawn].mean(1), [0.025, 0.975])
            means = float(one.mean()), float(other.mean())
            paid = [equivalent(random[dataset], mean) if dataset in random else np.nan for mean in means]
            found.append(Answer(dataset, name, query, *means, float(low), float(high), *paid))
    return found


def equivalent(random: Curve, accuracy: float) -> float:
    """The fewest queries after which random search reports at least `accuracy` in the mean; else infinite.

    >>> equivalent(Curve(queries=(1, 2, 4), mean=(50.0, 60.0, 70.0), sd=(1.0, 1.0, 1.0)), 65.0)
    4.0
    """
    reached = [
        float(query) for query, mean in zip(random.queries, random.mean, strict=True) if mean >= accuracy
    ]
    return min(reached, default=float("inf"))


def frame(lines: Sequence[Line] | Sequence[Answer]) -> pd.DataFrame:
    """A row for each line; the three numbers of a speed-up are columns of their own."""
    table = pd.DataFrame(lines)
    if "speed_up" in table:
        parts = pd.DataFrame(table.pop("speed_up").tolist(), columns=["speed_up", "low", "high"])
        table = pd.concat([table, parts], axis=1)
    return table


def latex(lines: pd.DataFrame) -> str:
    """The layout of the paper's Table 2, with the paper's rows below ours."""
    names = ["dataset", "ours", "rival", "target", "accuracy", "evaluations", "rival_needs", "speed_up"]
    ours = lines[[*names, "low", "high"]] if len(lines) else pd.DataFrame(columns=[*names, "low", "high"])
    paper = pd.DataFrame(
        [
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
        ],
        columns=names,
    )
    both = pd.concat([part for part in (ours, paper) if len(part)], ignore_index=True)
    text: str = both.to_latex(index=False, float_format="%.2f", na_rep="--", escape=True)
    return text


def _curves(parts: Sequence[Steps]) -> dict[str, Array]:
    signal, report, answer = matrices(parts, _longest(parts))
    curves = {f"top {top}": top_means(signal, top) for top in TOPS if signal.shape[1] >= top}
    return {**curves, "reported": incumbents(signal, report), "answer": answer}


def _longest(parts: Sequence[Steps]) -> int:
    return max(int(part.query.max()) for part in parts)
