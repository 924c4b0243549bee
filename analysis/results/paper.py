"""What a paper prints: one table of searchers by datasets, a ranking with ties grouped, a matrix of significance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name, is_own, printable, searcher_names
from nasgauge.analysis.results.recommendations import Finals
from nasgauge.analysis.results.summary import ALPHA
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.comparisons import letters
from nasgauge.analysis.statistics.recommendations import Rule
from nasgauge.analysis.statistics.runs import sd
from nasgauge.spaces.errors import NasgaugeError


class UnknownSearcher(NasgaugeError, LookupError):
    """A searcher that a campaign does not have."""


class Matrix(NamedTuple):
    """All pairs of searchers on one dataset, rows and columns in order of the mean."""

    effect: pd.DataFrame
    """Probability that a run of the row's searcher ends higher than one of the column's (A12)."""
    significant: pd.DataFrame
    """Whether the corrected p is below 5 %."""


def pairs_of(campaign: Campaign, ours: str) -> list[tuple[str, str]]:
    """One searcher against each other one.

    Raises UnknownSearcher.
    """
    if ours not in campaign.searchers:
        known = ", ".join(map(printable, campaign.searchers))
        raise UnknownSearcher(f"there is no run of {printable(ours)!r}; choose from {known}")
    return [(ours, other) for other in campaign.searchers if other != ours]


def paper_table(
    campaign: Campaign, ends: Finals, comparisons: pd.DataFrame, rule: Rule, ours: str = ""
) -> Table:
    """Searchers by datasets, mean ± standard deviation of the reported accuracy; ours last, then the best cell.

    In bold: the highest mean of a dataset, if runs of this searcher tend to be significantly higher than those of every
    other one.
    """
    names = searcher_names(campaign.searchers, ours)
    heads = _heads(campaign.datasets)
    ranks = ranking(campaign, ends, comparisons)
    place = dict(zip(ranks["searcher"], ranks["mean rank"], strict=True))
    order = sorted(campaign.searchers, key=lambda name: (_is_ours(name, ours), -place[name]))
    rows = [
        {"Searcher": names[name], "searcher": name}
        | {heads[key]: _figure(ends.get((key, name), np.array([]))) for key in campaign.datasets}
        for name in order
    ]
    bold = {
        (order.index(best), heads[dataset])
        for dataset in campaign.datasets
        if (best := significantly_best(comparisons, ends, dataset))
    }
    ruled = [place for place, name in enumerate(order) if place and _is_ours(name, ours)][:1]
    known = campaign.references
    if all(dataset in known for dataset in campaign.datasets):
        ruled.append(len(rows))
        best_cells = {heads[key]: f"{known[key].optimum:.2f}" for key in campaign.datasets}
        rows.append({"Searcher": "Best cell", "searcher": "", **best_cells})
    counts = {len(ends[key]) for key in ends}
    many = f"{min(counts)} runs" if len(counts) == 1 else f"{min(counts)} to {max(counts)} runs"
    family = int(comparisons["p"].notna().sum()) if len(comparisons) else 0
    tested = (
        " Bold: the highest mean, with runs that tend to be significantly higher than those of every other searcher "
        f"(Brunner-Munzel test, p < {ALPHA} after Holm's correction for {family} comparisons){'' if bold else '; none is'}."
        if family
        else ""
    )
    caption = (
        f"Test accuracy (%) of the {rule} cell after {campaign.settings.budget}, table {campaign.table}: mean ± standard "
        f"deviation over {many} of each searcher.{tested}"
    )
    return Table(
        "paper", "Test accuracy, %: mean ± standard deviation", pd.DataFrame(rows), note=caption, bold=bold,
        shown=["Searcher", *heads.values()], ruled=ruled, caption=caption,
    )  # fmt: skip


def significantly_best(comparisons: pd.DataFrame, ends: Finals, dataset: str) -> str:
    """The searcher with the highest mean, if its runs tend to be significantly higher than every other's; otherwise empty.

    The test is of ranks and two-sided, and its direction is that of A12. A searcher that fails badly in a few runs can have
    the lower mean although its runs tend to be higher.
    """
    means = {name: values.mean() for (key, name), values in ends.items() if key == dataset}
    if not len(comparisons) or len(means) < 2:
        return ""
    best = max(means, key=lambda name: means[name])
    rows = comparisons[(comparisons["dataset"] == dataset) & (comparisons["searcher"] == best)]
    above = (rows["p"] < ALPHA) & (rows["A12"] > 0.5)
    return best if len(rows) == len(means) - 1 and bool(above.all()) else ""


def ranking(campaign: Campaign, ends: Finals, comparisons: pd.DataFrame) -> pd.DataFrame:
    """A row for each searcher, best mean rank first: rank and letters on each dataset; a shared letter is a tie.

    The letters are a compact letter display of the corrected p values; none where not all pairs were compared.
    """
    columns: dict[str, dict[str, object]] = {}
    ranks: dict[str, list[float]] = {name: [] for name in campaign.searchers}
    for dataset in campaign.datasets:
        order = sorted(campaign.on(dataset), key=lambda name: -ends[dataset, name].mean())
        part = comparisons[comparisons["dataset"] == dataset] if len(comparisons) else comparisons
        whole = len(part) == len(order) * (len(order) - 1) // 2
        apart = (
            part[part["p"] < ALPHA][["searcher", "against"]].itertuples(index=False, name=None)
            if len(part)
            else ()
        )
        shared = letters(order, apart) if whole else dict.fromkeys(order, "")
        values = [-ends[dataset, name].mean() for name in order]
        lowest, shares = stats.rankdata(values, "min"), stats.rankdata(values)
        columns[dataset] = {
            name: f"{rank} {shared[name]}".strip()
            for name, rank in zip(order, lowest.astype(int).tolist(), strict=True)
        }
        for name, rank in zip(order, shares.tolist(), strict=True):
            ranks[name].append(rank)
    frame = pd.DataFrame({"searcher": campaign.searchers})
    for dataset, column in columns.items():
        frame[dataset] = frame["searcher"].map(column)
    frame["mean rank"] = [
        float(np.mean(ranks[name])) if ranks[name] else np.nan for name in frame["searcher"]
    ]
    return frame.sort_values("mean rank", ignore_index=True)


def ranking_table(campaign: Campaign, ends: Finals, comparisons: pd.DataFrame) -> Table:
    """The ranking as a table of the page."""
    note = (
        "Rank by mean on each dataset, with a compact letter display: searchers that share a letter are not significantly "
        f"different at 5 % (Brunner-Munzel, Holm over the {len(comparisons)} comparisons below). Few runs give long ties."
    )
    frame = ranking(campaign, ends, comparisons).rename(columns=_heads(campaign.datasets))
    return Table(
        "ranking", "Ranking with ties grouped", frame, {"mean rank": 1}, note,
        caption=f"Rank of each searcher by mean test accuracy (table {campaign.table}); a shared letter: not significantly "
        "different at 5 %.",
    )  # fmt: skip


def matrix(campaign: Campaign, ends: Finals, comparisons: pd.DataFrame, dataset: str) -> Matrix:
    """The comparisons of all pairs on a dataset."""
    order = sorted(campaign.on(dataset), key=lambda name: -ends[dataset, name].mean())
    effect = pd.DataFrame(np.nan, order, order)
    significant = pd.DataFrame(False, order, order)
    for row in comparisons[comparisons["dataset"] == dataset].to_dict("records"):
        one, other = row["searcher"], row["against"]
        effect.loc[one, other], effect.loc[other, one] = row["A12"], 1 - row["A12"]
        significant.loc[one, other] = significant.loc[other, one] = row["p"] < ALPHA
    return Matrix(effect, significant)


def _is_ours(searcher: str, ours: str) -> bool:
    return searcher == ours if ours else is_own(searcher)


def _heads(datasets: Sequence[str]) -> Mapping[str, str]:
    """Datasets as papers write them, each another name."""
    names = [dataset_name(dataset) for dataset in datasets]
    return {
        key: name if names.count(name) == 1 else printable(key)
        for key, name in zip(datasets, names, strict=True)
    }


def _figure(values: np.ndarray) -> str:
    if not values.size:
        return "–"
    return f"{values.mean():.2f}" + (f" ± {sd(values):.2f}" if len(values) > 1 else "")
