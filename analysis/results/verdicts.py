"""What the tables of a campaign say, in sentences."""

import numpy as np
import pandas as pd

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name
from nasgauge.analysis.results.summary import ALPHA, FEW
from nasgauge.analysis.results.tables import cell_text, decimals
from nasgauge.analysis.statistics.comparisons import critical_difference


def verdicts(final: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """The highest mean of each dataset and its comparison with the next one that it was compared with, a sentence each.

    A searcher that is alone is compared with random search.
    """
    said = []
    for dataset, rows in final.groupby("dataset", sort=False):
        first = rows.iloc[0]
        digits = decimals(first.error)
        text = f"{dataset_name(str(dataset))}: {first.searcher} has the highest mean, {cell_text(first['mean'], digits)} %"
        if np.isfinite(first.low):
            text += f" (95 % interval {cell_text(first.low, digits)} to {cell_text(first.high, digits)}, n = {first.n})"
        pair = comparisons[comparisons["dataset"] == dataset] if len(comparisons) else comparisons
        found = _seen_from(str(first.searcher), pair) if len(pair) else pair
        met = set(found["against"]) if len(found) else set[str]()
        rival = next((name for name in rows["searcher"] if name in met), None)
        if rival is not None:
            said.append(text + _against(found[found["against"] == rival].iloc[0], len(comparisons)))
        elif (rows["n"] > 0).sum() > 1:
            said.append(f"{text}.")
        else:
            said.append(text + _alone(first))
    return said


def _seen_from(first: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of one searcher, with it on the left of each."""
    other = pairs[pairs["against"] == first]
    turned = {
        "searcher": other["against"],
        "against": other["searcher"],
        "n": other["n against"],
        "n against": other["n"],
        "difference": -other["difference"],
        "low": -other["high"],
        "high": -other["low"],
        "A12": 1 - other["A12"],
        "A12 low": 1 - other["A12 high"],
        "A12 high": 1 - other["A12 low"],
    }
    return pd.concat([pairs[pairs["searcher"] == first], other.assign(**turned)])


def _alone(row: "pd.Series[float]") -> str:
    """The comparison with exact random search, in words."""
    if not np.isfinite(row["over random"]):
        return "; there is no other searcher to compare it with."
    digits = decimals(row.error)
    text = f"; difference from exact random search: {cell_text(row['over random'], digits)} points"
    if not np.isfinite(row["over low"]):
        return f"{text}; one run is too few for an interval."
    text += f" ({cell_text(row['over low'], digits)} to {cell_text(row['over high'], digits)})"
    return (
        f"{text}; {_significance(row.p, 't test')}"
        if np.isfinite(row.p)
        else f"{text}; {FEW}, so no p value is given."
    )


def _significance(p: float, test: str) -> str:
    word = "significant" if p < ALPHA else "not significant"
    return f"{word} at 5 % ({test}, Holm-corrected p {_p(p)})."


def _against(row: "pd.Series[float]", family: int) -> str:
    """The comparison with the next searcher, in words."""
    rival = f"{row.against} (n = {row['n against']})"
    if not np.isfinite(row.low):
        return f"; one run is too few to compare it with {rival}."
    digits = decimals(row.error)
    low, high = (cell_text(row[end], digits) for end in ("low", "high"))
    text = (
        f"; difference from {rival}: {cell_text(row.difference, digits)} points ({low} to {high}), probability of "
        f"improvement {row.A12:.2f} ({row['A12 low']:.2f} to {row['A12 high']:.2f}, Vargha-Delaney A12); intervals and p "
        f"are corrected for {family} comparison{'s' * (family > 1)}"
    )
    if not np.isfinite(row.p):
        return f"{text}; {FEW}, so no p value is given."
    if row.difference * (row.A12 - 0.5) < 0:
        return (
            f"{text}; the two disagree: the mean is higher, but a run tends to be lower, and the test is of the latter: "
            f"{_significance(row.p, 'Brunner-Munzel')}"
        )
    text += f"; {_significance(row.p, 'Brunner-Munzel')}"
    if row.p >= ALPHA and np.isfinite(row["runs to detect"]):
        text += f" About {row['runs to detect']:,.0f} runs of each would detect a difference of this size."
    return text


def no_test_over_datasets(campaign: Campaign) -> str:
    """Why nothing is tested over datasets."""
    searchers, datasets = len(campaign.searchers), len(campaign.datasets)
    if searchers < 3:
        return ""
    critical = critical_difference(searchers, datasets)
    return (
        f"No test over datasets: with {datasets} dataset{'s' * (datasets > 1)} and {searchers} searchers, two mean "
        f"ranks would have to differ by {critical:.2f}, and {searchers - 1} is the largest possible difference. "
        "The tests below compare runs on each dataset instead."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
