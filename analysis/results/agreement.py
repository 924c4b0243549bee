"""Tables of how well proxies rank cells, and published figures beside ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd


class Published(NamedTuple):
    """A published rank correlation of a proxy with accuracy on NAS-Bench-201; its sign is that of ours."""

    source: str
    proxy: str
    dataset: str
    """Empty where the source does not say."""
    measure: str
    """`tau` or `spearman`."""
    value: float
    conditions: str
    confirmed: bool
    """Whether it was read in the source."""


_TENAS: Final = "Chen et al., 2021 (TE-NAS)"
_ZERO_COST: Final = "Abdelfattah et al., 2021, notebook of the released code"
_MINIBATCH: Final = (
    "15,625 cells, one batch of 64 images of the dataset, default weights, undefined scores left out"
)
_DEEPLITE: Final = "deeplite-torch-zoo, pull request 323"
_RANDOM: Final = "500 random cells, otherwise not stated"

PUBLISHED: Final = (
    Published(_TENAS, "kappa", "", "tau", 0.42, "figure 1; cells, dataset and draws not stated", True),
    Published(_TENAS, "regions", "", "tau", 0.50, "figure 3; dataset and draws not stated", True),
    Published(_TENAS, "kappa + regions", "", "tau", 0.64, "figure 9; dataset and draws not stated", True),
    *(
        Published(_ZERO_COST, proxy, dataset, "spearman", rho, _MINIBATCH, True)
        for dataset, row in {
            "cifar10": (0.594, 0.596, 0.514, 0.360, 0.737, 0.731),
            "cifar100": (0.637, 0.637, 0.547, 0.385, 0.763, 0.704),
            "ImageNet16-120": (0.578, 0.578, 0.549, 0.327, 0.751, 0.701),
        }.items()
        for proxy, rho in zip(
            ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"), row, strict=True
        )
    ),
    *(
        Published(_DEEPLITE, proxy, "cifar100", "tau", tau, _RANDOM, True)
        for proxy, tau in {
            "flops": 0.567, "params": 0.531, "jacov": 0.561, "synflow": 0.548, "zico": 0.538, "l2_norm": 0.499,
            "snip": 0.412, "fisher": 0.354, "grasp": 0.307, "grad_norm": 0.301, "plain": -0.190,
        }.items()
    ),
)  # fmt: skip
"""The zero-cost figures are absolute values in their source."""

HEADS: Final = {
    "tau": "tau",
    "spearman": "Spearman",
    "partial_tau": "tau given FLOPs",
    "tau_within_flops": "tau at equal FLOPs",
    "tau_best_10": "tau, best 10 %",
    "tau_best_1": "tau, best 1 %",
    "precision_10": "precision, 10 %",
    "precision_1": "precision, 1 %",
}
"""Headings of the measures in tables."""
_OTHER: Final = {"images": "other images", "weights": "other weights", "weights and images": "both"}


def frame(rows: Iterable[NamedTuple], seconds: Mapping[str, float]) -> pd.DataFrame:
    """A row for each figure, with a column for each field of a `Row` of the study, and the seconds of one draw.

    `seconds`: CPU seconds of a cell, by proxy.
    """
    found = pd.DataFrame(list(rows))
    return found.assign(seconds=found["proxy"].map(seconds))


def chosen(frame: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """The figures over all scored cells, or classes, highest tau first; extra draws of a subset are left out."""
    mine = frame[frame["over"] == over]
    mine = mine[mine["cells"] == mine.groupby("proxy")["cells"].transform("max")]
    taus = mine[mine["measure"] == "tau"].groupby(["proxy", "draws"])["value"].mean()
    order = [(proxy, draws) for proxy, draws in taus.sort_values(ascending=False).index]
    place = [order.index(key) for key in zip(mine["proxy"], mine["draws"], strict=True)]
    return mine.iloc[np.argsort(place, kind="stable")]


def repeated(frame: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """For each proxy, the figures on the cells that it was scored on with all its draws: of one, and of the mean."""
    mine = frame[frame["over"] == over]
    part = mine[mine["cells"] == mine.groupby("proxy")["cells"].transform("min")]
    several: pd.DataFrame = part[part.groupby("proxy")["draws"].transform("max") > 1]
    return several


def taus(part: pd.DataFrame, measure: str = "tau") -> pd.DataFrame:
    """A row for each proxy and number of draws: the figure on each dataset with its interval as text, and seconds."""
    kept = part[part["measure"] == measure]
    table = _texts(kept, "dataset", list(dict.fromkeys(kept["dataset"])))
    seconds = table["draws"] * table["proxy"].map(part.groupby("proxy")["seconds"].first())
    table.insert(2, str(part["over"].iloc[0]), table["proxy"].map(part.groupby("proxy")["cells"].first()))
    return table.assign(seconds=seconds.map("{:.2f}".format, na_action="ignore"))


def beyond(part: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """A row for each proxy and number of draws, a column for each measure beside tau, on one dataset."""
    table = _texts(part[part["dataset"] == dataset], "measure", list(HEADS)[1:])
    return table.rename(columns=HEADS)


def both(frame: pd.DataFrame, *, over: str) -> pd.DataFrame:
    """For the proxies with several draws on the same cells: tau of one and of the mean, and what a draw changes.

    `draws_sd`: the standard deviation of the tau of a single draw from what the draws have in common for all cells.
    """
    part = repeated(frame, over=over)
    kept = part[(part["measure"] == "tau") & (part["draws"] == 1)]
    table = taus(part).drop(columns="seconds")
    spread = kept.groupby("proxy")["draws_sd"].mean()
    texts = [
        f"{spread[name]:.3f}" if n == 1 else ""
        for name, n in zip(table["proxy"], table["draws"], strict=True)
    ]
    return table.assign(draws_sd=texts)


def between_draws(redraws: Iterable[NamedTuple]) -> pd.DataFrame:
    """A row for each proxy, steadiest first: tau between two draws that differ in images, in weights, or in both."""
    found = pd.DataFrame(list(redraws))
    if found.empty:
        return found
    columns = list(dict.fromkeys(found["other"]))
    table = _texts(found.rename(columns={"tau": "value"}), "other", columns, index=["proxy"])
    table.insert(1, "classes", table["proxy"].map(found.groupby("proxy")["classes"].first()))
    steadiness = table["proxy"].map(found.groupby("proxy")["tau"].min())
    return table.iloc[np.argsort(-steadiness, kind="stable")].rename(columns=_OTHER)


def _texts(
    part: pd.DataFrame, by: str, columns: Sequence[str], index: Sequence[str] = ("proxy", "draws")
) -> pd.DataFrame:
    text = [
        "" if np.isnan(value) else f"{value:.3f}" + ("" if low == high else f" [{low:.3f}, {high:.3f}]")
        for value, low, high in zip(part["value"], part["low"], part["high"], strict=True)
    ]
    wide = part.assign(text=text).pivot_table(
        index=list(index), columns=by, values="text", aggfunc="first", sort=False
    )
    return wide.reindex(columns=list(columns)).reset_index()


def beside_published(frame: pd.DataFrame, published: Sequence[Published] = PUBLISHED) -> pd.DataFrame:
    """A row for each published figure and dataset, with ours over all cells: of a single draw, and of the mean.

    A figure whose source does not state the dataset is shown beside each of ours.
    """
    mine = chosen(frame, over="cells")
    rows = []
    for theirs in published:
        same = mine[(mine["proxy"] == theirs.proxy) & (mine["measure"] == theirs.measure)]
        for dataset in [theirs.dataset] if theirs.dataset else dict.fromkeys(same["dataset"]):
            ours = same[same["dataset"] == dataset]
            one, mean = ours[ours["draws"] == 1], ours[ours["draws"] > 1]
            rows.append(
                {
                    "proxy": theirs.proxy,
                    "dataset": dataset,
                    "measure": HEADS[theirs.measure],
                    "published": f"{theirs.value:.3f}",
                    "one draw": _text(one),
                    "mean of draws": _text(mean),
                    "source": theirs.source + ("" if theirs.confirmed else " (not confirmed)"),
                    "conditions": theirs.conditions,
                }
            )
    return pd.DataFrame(rows)


def _text(row: pd.DataFrame) -> str:
    return (
        f"{row['value'].iloc[0]:.3f} [{row['low'].iloc[0]:.3f}, {row['high'].iloc[0]:.3f}]"
        if len(row)
        else ""
    )


def tables(frame: pd.DataFrame, redraws: Iterable[NamedTuple] = ()) -> dict[str, pd.DataFrame]:
    """All tables of the study, by title; `redraws`: each `Redraw` of it."""
    found = {}
    for over in dict.fromkeys(frame["over"]):
        part = chosen(frame, over=over)
        found[f"Kendall's tau with test accuracy, over {over}"] = taus(part)
        for dataset in dict.fromkeys(part["dataset"]):
            found[f"Beyond FLOPs, and among the best: {dataset}, over {over}"] = beyond(part, dataset)
        several = both(frame, over=over)
        if len(several):
            found[f"One draw and the mean of several, on the same {over}"] = several
    if len(steady := between_draws(redraws)):
        found["Kendall's tau between two draws of a score, over classes"] = steady
    if "cells" in set(frame["over"]):
        found["Published figures beside ours"] = beside_published(frame)
    return found


def latex(tables: Mapping[str, pd.DataFrame]) -> str:
    """The tables for a paper, each under its title as a comment."""
    return "\n".join(f"% {title}\n{_latex(table)}" for title, table in tables.items())


def _escaped(value: object) -> str:
    return str(value).replace("_", r"\_").replace("%", r"\%")


def page(tables: Mapping[str, pd.DataFrame], notes: Sequence[str]) -> str:
    """The tables as a page of Markdown."""
    parts = ["# Agreement of zero-cost proxies with test accuracy", *notes]
    for title, table in tables.items():
        parts += [f"## {title}", markdown(table).rstrip()]
    return "\n\n".join(parts) + "\n"


def _latex(table: pd.DataFrame) -> str:
    escaped = table.fillna("").map(_escaped).rename(columns=_escaped)
    text: str = escaped.to_latex(index=False, escape=False)
    return text


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown.

    >>> print(markdown(pd.DataFrame({"proxy": ["naswot"], "tau": [0.5]})), end="")
    | proxy | tau |
    |---|---|
    | naswot | 0.5 |
    """
    lines = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    lines += [
        ["" if pd.isna(value) else str(value) for value in row] for row in table.itertuples(index=False)
    ]
    rule = "|" + "---|" * table.shape[1]
    texts = [rule if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(texts) + "\n"
