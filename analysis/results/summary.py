"""The tables of a campaign: final accuracies, comparisons of searchers, all datasets together."""

from dataclasses import asdict
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.aggregates import improvement, iqm, iqm_interval, normalised, profile
from nasgauge.analysis.statistics.comparisons import compare, critical_difference, holm, seeds_needed
from nasgauge.analysis.statistics.curves import Runs
from nasgauge.analysis.statistics.runs import Band, bootstrap_mean, paired_p

Array = NDArray[np.float64]

BASELINE: Final = "random"
PLANNED: Final = 0.1
"""Points of accuracy for which the seeds needed are planned."""


def final_table(campaign: Campaign, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each dataset and searcher: accuracy of the last validation leaders, over runs, in percent.

    `low` and `high` are of the 95 % bootstrap interval of the mean. `p` is of a Wilcoxon signed-rank test
    against random search, paired by seed, with Holm's correction for the searchers of a dataset.
    """
    rows = []
    for dataset in campaign.datasets:
        found = campaign.on(dataset)
        baseline = found.get(BASELINE)
        p = [
            np.nan if baseline is None or searcher == BASELINE else _paired(runs, baseline)
            for searcher, runs in found.items()
        ]
        known = campaign.references.get(dataset)
        optimum = np.nan if known is None else known.optimum
        block = []
        for (searcher, runs), corrected in zip(found.items(), holm(np.array(p)), strict=True):
            final = runs.final
            many = len(final) > 1
            low, high = bootstrap_mean(final[:, None], rng)[:, 0] if many else (np.nan, np.nan)
            block.append(
                {
                    "dataset": dataset,
                    "searcher": searcher,
                    "runs": len(final),
                    "mean": final.mean(),
                    "low": low,
                    "high": high,
                    "sd": final.std(ddof=1) if many else np.nan,
                    "median": np.median(final),
                    "best": final.max(),
                    "regret": optimum - final.mean(),
                    "p": corrected,
                }
            )
        rows += sorted(block, key=lambda row: -float(row["mean"]))
    return pd.DataFrame(rows)


def comparison_table(campaign: Campaign, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each dataset and pair of searchers; p values are Holm's over the pairs of a dataset."""
    rows = []
    for dataset in campaign.datasets:
        block = []
        for one, other in combinations(_by_mean(campaign, dataset), 2):
            ours, theirs = _pairs(campaign.runs[dataset, one], campaign.runs[dataset, other])
            if len(ours):
                found = compare(ours, theirs, rng)
                plan = seeds_needed(ours - theirs, PLANNED)
                block.append(
                    {"dataset": dataset, "searcher": one, "against": other}
                    | asdict(found)
                    | {f"seeds for {PLANNED}": plan}
                )
        for test in ("wilcoxon", "permutation"):
            corrected = holm(np.array([float(row[test]) for row in block]))
            for row, p in zip(block, corrected, strict=True):
                row[test] = p
        rows += block
    return pd.DataFrame(rows)


def scores(campaign: Campaign) -> dict[str, list[Array]]:
    """Normalised final scores, by searcher, an array for each dataset; those of every dataset alone.

    None where the best accuracy of a dataset is not known, as of cells that are trained here.
    """
    found: dict[str, list[Array]] = {}
    if not all(dataset in campaign.references for dataset in campaign.datasets):
        return found
    for searcher in campaign.searchers:
        runs = [campaign.runs.get((dataset, searcher)) for dataset in campaign.datasets]
        values = []
        for dataset, aligned in zip(campaign.datasets, runs, strict=True):
            if aligned is None:
                break
            reference = campaign.references[dataset]
            values.append(
                normalised(aligned.final, chance=reference.random.mean[0], optimum=reference.optimum)
            )
        else:
            if all(part.size > 1 for part in values):
                found[searcher] = values
    return found


def aggregate_table(found: dict[str, list[Array]], rng: np.random.Generator) -> pd.DataFrame:
    """A row for each searcher: interquartile mean of the normalised scores over all datasets and runs.

    `improvement` is the chance that its run beats one of the runner-up (for the first), of the first (for
    the others), on a dataset drawn at random.
    """
    rows = []
    order = sorted(found, key=lambda searcher: -iqm_of(found[searcher]))
    for searcher in order:
        low, high = iqm_interval(found[searcher], rng)
        rows.append({"searcher": searcher, "iqm": iqm_of(found[searcher]), "low": low, "high": high})
        if len(order) > 1:
            rival = order[1] if searcher == order[0] else order[0]
            chance, least, most = improvement(found[searcher], found[rival], rng)
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


def verdicts(final: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """Who won on each dataset, and how sure that is, in a sentence."""
    said = []
    for dataset, rows in final.groupby("dataset", sort=False):
        first = rows.iloc[0]
        text = f"{dataset}: {first.searcher} leads with {first['mean']:.2f} %"
        if np.isfinite(first.low):
            text += f" (95 % interval {first.low:.2f} to {first.high:.2f}, {first.runs} runs)"
        pair = comparisons[comparisons["dataset"] == dataset] if len(comparisons) else comparisons
        pair = pair[pair["searcher"] == first.searcher] if len(pair) else pair
        if not len(pair):
            said.append(f"{text}; there is nothing to compare it with.")
            continue
        rival = pair.iloc[0]
        if not np.isfinite(rival.wilcoxon):
            said.append(f"{text}; one run is too few to say how sure that is.")
            continue
        tests = (rival.wilcoxon < 0.05, rival.permutation < 0.05)
        sure = "ahead of" if all(tests) else "perhaps ahead of" if any(tests) else "not told apart from"
        text += (
            f"; {sure} {rival.against} (difference {rival.difference:+.2f} points, {rival.low:+.2f} to "
            f"{rival.high:+.2f}; Holm-corrected p: signed-rank {_p(rival.wilcoxon)}, sign-flip "
            f"{_p(rival.permutation)}; a run of it beats one of {rival.against} in {rival.a12:.0%} of cases)."
        )
        if not all(tests) and np.isfinite(rival.seeds):
            text += f" About {rival.seeds:,.0f} seeds would settle a difference of this size."
        said.append(text)
    return said


def no_diagram(campaign: Campaign) -> str:
    """Why there is no critical-difference diagram."""
    searchers, datasets = len(campaign.searchers), len(campaign.datasets)
    if searchers < 3:
        return ""
    critical = critical_difference(searchers, datasets)
    return (
        f"No critical-difference diagram: with {datasets} dataset{'s' * (datasets > 1)} and {searchers} "
        f"searchers, mean ranks would have to differ by {critical:.2f}, of {searchers - 1} that are possible; "
        "tests paired by seed on each dataset say more."
    )


def tables(
    campaign: Campaign,
    final: pd.DataFrame,
    reached: pd.DataFrame,
    comparisons: pd.DataFrame,
    together: pd.DataFrame,
) -> dict[str, Table]:
    """The campaign's tables, with what a reader must know of each column."""
    settings = campaign.settings
    of = f"table {campaign.table}, {settings.budget}"
    made = [
        Table(
            "final",
            f"Test accuracy of the last validation leader, % ({of})",
            final,
            {"p": -1},
            "Interval: 95 %, bootstrap over runs. Regret: points below the table's best cell. p: Wilcoxon "
            "against random, paired by seed, Holm over the searchers of a dataset.",
        )
    ]
    if len(reached):
        made.append(
            Table(
                "reach",
                f"What the results are worth in queries ({of})",
                reached,
                dict.fromkeys(reached.columns[3:], 0) | {"times": 1},
                "random queries: after which exact random search has the searcher's final mean accuracy; times: over "
                "its own queries. to random's: queries after which its mean reaches what exact random search has at "
                "the end of the budget. 95 % intervals over runs; ∞: not within the known curve.",
            )
        )
    if len(comparisons):
        made.append(
            Table(
                "comparisons",
                f"Searchers compared, runs paired by seed ({of})",
                comparisons,
                {"wilcoxon": -1, "permutation": -1, "seeds": 0, f"seeds for {PLANNED}": 0},
                "Difference of means in points, 95 % bootstrap interval. p values: Holm over the pairs of a "
                "dataset. a12: chance that a run of the first beats one of the second. seeds: pairs of runs "
                "that find the observed mean difference (or 0.1 points) at 5 % with a power of 80 %.",
            )
        )
    if len(together):
        made.append(
            Table(
                "together",
                f"All {len(campaign.datasets)} datasets together ({of})",
                together,
                dict.fromkeys(together.columns[1:], 3),
                "Interquartile mean of scores normalised to 0 for a random cell and 1 for the best; interval: "
                "bootstrap stratified by dataset. improvement: chance that a run beats one of `against`.",
            )
        )
    return {table.name: table for table in made}


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _by_mean(campaign: Campaign, dataset: str) -> list[str]:
    found = campaign.on(dataset)
    return sorted(found, key=lambda searcher: -found[searcher].final.mean())


def _pairs(ours: Runs, theirs: Runs) -> tuple[Array, Array]:
    _, mine, other = np.intersect1d(ours.seeds, theirs.seeds, return_indices=True)
    return ours.final[mine], theirs.final[other]


def _paired(ours: Runs, theirs: Runs) -> float:
    one, two = _pairs(ours, theirs)
    return paired_p(one, two) if len(one) > 1 else np.nan
