"""The table of a predictor study, beside the paper's."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from nasgauge.analysis.statistics.correlation import MEASURES

PAPER: Final[Mapping[str, Mapping[tuple[int, str], float]]] = MappingProxyType(
    {
        name: MappingProxyType(
            {
                (size, tested): rho
                for (size, tested), rho in zip(
                    [(b, tested) for b in (1, 2, 3, 4) for tested in ("fit", "larger")], row, strict=True
                )
            }
        )
        for name, row in {
            "mlp": (0.938, 0.113, 0.857, 0.450, 0.714, 0.469, 0.641, 0.444),
            "lstm": (0.970, 0.198, 0.996, 0.424, 0.693, 0.401, 0.787, 0.413),
            "mlp-ensemble": (0.975, 0.164, 0.786, 0.532, 0.634, 0.504, 0.645, 0.468),
            "lstm-ensemble": (0.972, 0.164, 0.906, 0.418, 0.801, 0.465, 0.579, 0.424),
        }.items()
    }
)
"""Spearman correlations of Liu et al. (2018), Table 1, quoted from memory and not checked against the paper.

They are of the paper's own search space and protocol (10,000 trained cells a size)."""

PAPER_COLUMN: Final = "paper (unchecked)"


def summary(rows: Iterable[Any], ceilings: Iterable[Any]) -> pd.DataFrame:
    """A row for each surrogate, size and tested set: means over trials, agreement of two trainings, the paper's Spearman rho."""
    frame = pd.DataFrame(list(rows))
    columns = ["fitted", "cells", *MEASURES, "kendall_low", "kendall_high"]
    keys = ["surrogate", "size", "tested"]
    means = frame.groupby(keys, sort=False)[columns].mean().reset_index()
    means["tested_size"] = means["size"] + (means["tested"] == "larger")
    noise = pd.DataFrame(list(ceilings))
    for kind, part in noise.groupby("kind"):
        taus = part.set_index("size")["kendall"]
        means[f"ceiling_{kind}"] = means["tested_size"].map(taus)
    means[PAPER_COLUMN] = [
        PAPER.get(name, {}).get((size, tested), float("nan"))
        for name, size, tested in zip(means["surrogate"], means["size"], means["tested"], strict=True)
    ]
    order = {"fit": 0, "same": 1, "larger": 2}
    return means.sort_values(
        ["size", "tested", "kendall"],
        ascending=[True, True, False],
        key=lambda column: column.map(order) if column.name == "tested" else column,
        ignore_index=True,
    )


def latex(means: pd.DataFrame) -> str:
    """The layout of the paper's Table 1: surrogates by sizes, Spearman on fitted and on larger cells.

    The paper's own rows are below ours, marked as unchecked.
    """
    wanted = means[means["tested"] != "same"]
    theirs = wanted[wanted[PAPER_COLUMN].notna()]
    theirs = theirs.assign(surrogate=theirs["surrogate"] + f" ({PAPER_COLUMN.replace(' (', ', ')}")
    parts = [(wanted, "spearman"), (theirs, PAPER_COLUMN)]
    wide = pd.concat(
        [
            part.pivot_table(index="surrogate", columns=["size", "tested"], values=values, sort=False)
            for part, values in parts
            if len(part)
        ]
    ).sort_index(axis=1, level="size", sort_remaining=False)
    heads = {"fit": r"$\rho_{%d}$", "larger": r"$\tilde\rho_{%d}$"}
    pairs = zip(wide.columns.get_level_values(0), wide.columns.get_level_values(1), strict=True)
    wide.columns = pd.Index([heads[tested] % (size + (tested == "larger")) for size, tested in pairs])
    text: str = wide.to_latex(float_format="%.3f", na_rep="--", escape=False)
    return text
