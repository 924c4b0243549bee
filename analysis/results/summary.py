"""The tables of a campaign: final accuracies, comparisons of searchers, all datasets together."""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name
from nasgauge.analysis.results.random_equivalents import exact_mean
from nasgauge.analysis.results.recommendations import Finals, Recommendations, finals
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.aggregates import improvement, iqm, iqm_interval, normalised, profile
from nasgauge.analysis.statistics.comparisons import (
    LEAST,
    compare,
    corrected_interval,
    holm,
    one_sample_p,
    rank_p,
    seeds_needed,
)
from nasgauge.analysis.statistics.recommendations import Rule
from nasgauge.analysis.statistics.runs import Band, bootstrap_mean, sd

Array = NDArray[np.float64]

BASELINE: Final = "random"
ALPHA: Final = 0.05
"""Level of significance."""
PLANNED: Final = 0.1
"""Percentage points for which the runs needed are planned."""
FEW: Final = f"n < {LEAST}"
"""Stands in tables where there are too few runs for a p value."""
_NORMAL: Final = 3.92
"""Width of a 95 % interval in standard errors, for normal data."""


def final_table(
    campaign: Campaign, found: Recommendations, rule: Rule, rng: np.random.Generator
) -> pd.DataFrame:
    """A row for each dataset and searcher: reported accuracy of the recommended cells over runs, percent.

    `mean` to `regret` are of the cells that `rule` recommends; `incumbent` and `smoothed` are the means under
    either rule. `low` and `high`: the 95 % interval of the mean. `over random`: difference from the mean
    of random search, with its 95 % interval corrected for all such rows of the table. `p`: Brunner-Munzel test
    against random search, Holm over all of the table; NaN below ten runs, and then `why no p` says so. Where no
    random search was run, the difference is from the exact one and p that of a one-sample t test. A searcher
    without a run has n = 0 and no figures.
    """
    rows = []
    ends = finals(found, rule)
    family = sum(key[1] != BASELINE for key in ends)
    for dataset in campaign.datasets:
        known = campaign.references.get(dataset)
        optimum = np.nan if known is None else known.optimum
        baseline = ends.get((dataset, BASELINE))
        block = []
        for searcher in campaign.on(dataset):
            final = ends[dataset, searcher]
            made = found[dataset, searcher][-1]
            many = len(final) > 1
            low, high = bootstrap_mean(final[:, None], rng)[:, 0] if many else (np.nan, np.nan)
            exact = exact_mean(campaign, dataset, campaign.runs[dataset, searcher])
            against = np.nan if searcher == BASELINE else exact if baseline is None else baseline
            over, p = _over(final, against, family)
            few = np.isnan(p) and np.isfinite(over[0])
            block.append(
                {
                    "dataset": dataset,
                    "searcher": searcher,
                    "n": len(final),
                    "mean": final.mean(),
                    "low": low,
                    "high": high,
                    "sd": sd(final),
                    "error": sd(final) / np.sqrt(len(final)),
                    "median": np.median(final),
                    "best": final.max(),
                    "regret": optimum - final.mean(),
                    **dict(zip(("over random", "over low", "over high"), over, strict=True)),
                    "p": p,
                    "why no p": FEW if few else "",
                    "incumbent": made.incumbent.mean(),
                    "smoothed": np.nan if made.smoothed is None else made.smoothed.mean(),
                }
            )
        rows += sorted(block, key=lambda row: -float(row["mean"]))
        rows += [
            {"dataset": dataset, "searcher": searcher, "n": 0, "why no p": "no runs"}
            for key, searcher in campaign.without_runs
            if key == dataset
        ]
    frame = pd.DataFrame(rows)
    frame["p"] = holm(frame["p"].to_numpy(np.float64))
    return frame


def _over(final: Array, against: Array | float, family: int) -> tuple[tuple[float, float, float], float]:
    """Difference from random search with its corrected interval, and p; `against`: runs of it, its exact mean, or NaN."""
    difference = float(final.mean() - np.mean(against))
    if isinstance(against, np.ndarray):
        return (difference, *corrected_interval(final, against, family)), rank_p(final, against)
    if len(final) < 2 or np.isnan(difference):
        return (difference, np.nan, np.nan), np.nan
    reach = sd(final) / np.sqrt(len(final)) * stats.t.ppf(1 - ALPHA / 2 / family, len(final) - 1)
    return (difference, difference - reach, difference + reach), one_sample_p(final, against)


def comparison_table(
    campaign: Campaign,
    ends: Finals,
    rng: np.random.Generator,
    pairs: Sequence[tuple[str, str]] = (),
) -> pd.DataFrame:
    """A row for each dataset and pair of searchers; intervals and p values are corrected for all rows.

    `low`, `high`: Welch's interval at Bonferroni's level; p: Holm's correction. `single low`, `single high`: the
    95 % bootstrap interval of the pair alone. Without `pairs` all are compared, the better mean first.
    """
    chosen = []
    for dataset in campaign.datasets:
        order = sorted(campaign.on(dataset), key=lambda searcher: -ends[dataset, searcher].mean())
        both = [pair for pair in pairs if set(pair) <= set(order)]
        chosen += [(dataset, one, other) for one, other in (both if pairs else combinations(order, 2))]
    rows = []
    for dataset, one, other in chosen:
        ours, theirs = ends[dataset, one], ends[dataset, other]
        found = compare(ours, theirs, rng, family=len(chosen))
        rows.append(
            {
                "dataset": dataset,
                "searcher": one,
                "n": found.n,
                "against": other,
                "n against": found.n_against,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "single low": found.single_low,
                "single high": found.single_high,
                "error": found.error,
                "p": found.p,
                "why no p": "" if np.isfinite(found.p) else FEW,
                "A12": found.a12,
                "A12 low": found.a12_low,
                "A12 high": found.a12_high,
                "runs to detect": found.seeds,
                f"runs for {PLANNED}": seeds_needed(ours, theirs, PLANNED),
            }
        )
    frame = pd.DataFrame(rows)
    if rows:
        frame["p"] = holm(frame["p"].to_numpy(np.float64))
    return frame


def scores(campaign: Campaign, ends: Finals) -> dict[str, list[Array]]:
    """Normalised final scores by searcher, an array for each dataset; of searchers with two runs on each.

    Empty where the best accuracy of a dataset is unknown, as where cells are trained.
    """
    if not all(dataset in campaign.references for dataset in campaign.datasets):
        return {}
    found: dict[str, list[Array]] = {}
    for searcher in campaign.searchers:
        values = [
            normalised(ends[dataset, searcher], chance=known.random.mean[0], optimum=known.optimum)
            for dataset, known in ((name, campaign.references[name]) for name in campaign.datasets)
            if (dataset, searcher) in ends
        ]
        if len(values) == len(campaign.datasets) and all(part.size > 1 for part in values):
            found[searcher] = values
    return found


def aggregate_table(found: dict[str, list[Array]], rng: np.random.Generator) -> pd.DataFrame:
    """A row for each searcher: interquartile mean of the normalised scores over all datasets and runs.

    `improvement` is the probability of improvement over `against`, the mean of A12 over datasets: over the
    second for the first searcher, over the first for the others.
    """
    rows = []
    order = sorted(found, key=lambda searcher: -iqm_of(found[searcher]))
    for searcher in order:
        low, high = iqm_interval(found[searcher], rng)
        count = sum(len(part) for part in found[searcher])
        rows.append(
            {
                "searcher": searcher,
                "n": count,
                "iqm": iqm_of(found[searcher]),
                "low": low,
                "high": high,
                "error": (high - low) / _NORMAL,
            }
        )
        if len(order) > 1:
            rival = order[1] if searcher == order[0] else order[0]
            chance, least, most = improvement(found[searcher], found[rival])
            rows[-1] |= {
                "against": rival,
                "improvement": chance,
                "improvement low": least,
                "improvement high": most,
            }
    return pd.DataFrame(rows)


def iqm_of(values: list[Array]) -> float:
    """Interquartile mean of a searcher's scores."""
    return iqm(np.concatenate(values))


def profiles(
    found: dict[str, list[Array]], rng: np.random.Generator, *, points: int = 200
) -> tuple[Array, dict[str, Band]]:
    """Levels of the normalised score, and each searcher's share of runs above them."""
    pooled = np.concatenate([part for values in found.values() for part in values])
    levels = np.linspace(float(np.quantile(pooled, 0.01)), min(1.0, float(pooled.max())) + 1e-9, points)
    return levels, {searcher: profile(values, levels, rng) for searcher, values in found.items()}


def tables(
    campaign: Campaign,
    rule: Rule,
    final: pd.DataFrame,
    reached: pd.DataFrame,
    comparisons: pd.DataFrame,
    together: pd.DataFrame,
) -> dict[str, Table]:
    """The campaign's tables, each with what its columns mean, its intervals and its family of tests."""
    of = described(campaign)
    over = ("over random", "over low", "over high")
    spread = ("mean", "low", "high", "median", "best", "regret", "incumbent", "smoothed", *over)
    made = [
        Table(
            "final",
            f"Test accuracy of the recommended cell ({rule}), % ({of})",
            final,
            {"p": -1},
            "n: independent runs. low, high: 95 % interval of the mean over runs (bootstrap; Student's t below 8 runs). "
            "regret: points below the table's best cell. p: Brunner-Munzel test against random search, unpaired, "
            f"Holm over the {int(final['p'].notna().sum())} tests of this table; none below {LEAST} runs; where random "
            "search was not run, the one-sample t test against the exact mean. over random: difference from its mean; over "
            "low, over high: the 95 % interval of that (Welch), corrected by Bonferroni for the same family. mean to p: "
            f"of the {rule} cell. incumbent: mean of the cell with the highest search metric; smoothed: mean of the "
            "cell with the highest smoothed search metric, one rule for all searchers.",
            errors=dict.fromkeys(spread, "error"),
            reasons={"p": "why no p"},
            shown=_without(final, "error", "why no p"),
        )
    ]
    if len(reached):
        made.append(
            Table(
                "reach",
                f"Equivalent random-search queries ({of})",
                reached,
                dict.fromkeys(reached.columns[4:], 0) | {"ratio": 1},
                bounds=dict.fromkeys(("equivalent queries", "low", "high"), "known")
                | {"ratio": "known ratio"}
                | dict.fromkeys(("to match random", "match low", "match high"), "last"),
                shown=_without(reached, "known", "known ratio", "last"),
                note="n: runs. equivalent queries: after which exact random search has the mean accuracy of the searcher's "
                "final incumbent, 95 % bootstrap interval over runs; ratio: over its own queries. to match random: "
                "queries after which the searcher's mean reaches what exact random search has at the end of the "
                "longest run, 95 % bootstrap interval over runs. >: a bound, not reached within so many queries.",
            )
        )
    if len(comparisons):
        made.append(
            Table(
                "comparisons",
                f"Searchers compared, {rule} cell ({of})",
                comparisons,
                {"p": -1, "runs to detect": 0, f"runs for {PLANNED}": 0},
                "n: independent runs; runs are not paired by seed. difference: of means, points; low, high: its 95 % "
                f"interval (Welch), corrected by Bonferroni for the {len(comparisons)} rows of this table; the file has the "
                "bootstrap interval of each pair alone too. p: Brunner-Munzel test, Holm over the "
                f"{int(comparisons['p'].notna().sum())} tests of this table; none below {LEAST} runs. A12: probability "
                "of improvement (Vargha and Delaney) with its interval (Newcombe, method 5) for the same family. "
                f"runs to detect: of each searcher, for the observed difference (or {PLANNED} points) at 5 % with a power of 80 "
                "%, before any correction.",
                errors=dict.fromkeys(("difference", "low", "high"), "error"),
                reasons={"p": "why no p"},
                shown=_without(comparisons, "error", "why no p", "single low", "single high"),
            )
        )
    if len(together):
        made.append(
            Table(
                "together",
                f"All {len(campaign.datasets)} datasets together, {rule} cell ({of})",
                together,
                dict.fromkeys(("iqm", "low", "high"), 3),
                "n: runs on all datasets. iqm: interquartile mean of scores normalised to 0 for a random cell and 1 "
                "for the best; 95 % bootstrap interval, stratified by dataset. improvement: probability of "
                "improvement over the searcher in the column against, mean of A12 over datasets, with its 95 % interval "
                "(Newcombe, combined over datasets).",
                errors=dict.fromkeys(("iqm", "low", "high"), "error"),
                shown=_without(together, "error"),
                caption=f"Interquartile mean of the normalised score over {len(campaign.datasets)} "
                f"dataset{'s' * (len(campaign.datasets) > 1)} (table {campaign.table}), with its 95 % interval.",
            )
        )
    return {table.name: table for table in made}


def described(campaign: Campaign) -> str:
    """Dataset, table and budget, for titles."""
    return f"{', '.join(map(dataset_name, campaign.datasets))}; table {campaign.table}; {campaign.settings.budget}"


def _without(frame: pd.DataFrame, *names: str) -> list[str]:
    return [name for name in frame.columns if name not in names]
