"""Retrained cells beside the table's own trainings of them: is the difference explained by noise?

With the same network and recipe, a new training differs from the table's by the noise of training alone.
That noise is estimated from the table: from the seeds of a cell or, where the table has means only, from
cells that are the same network and were each trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from nasgauge.analysis.statistics.correlation import kendall
from nasgauge.analysis.statistics.ranks import Tau, tau_interval
from nasgauge.analysis.statistics.runs import RESAMPLES, bootstrap_mean

Array = NDArray[np.float64]

LEVEL: Final = 0.95
_WINDOW: Final = 600
"""Degrees of freedom that the noise near one accuracy is pooled over."""
_FEW: Final = 20
"""Cells up to which a resample may be constant, for which BCa is undefined."""


class Fidelity(NamedTuple):
    """Dataset, training length and images of the figures compared.

    >>> str(Fidelity("cifar10-valid", 12, "valid"))
    'cifar10-valid, 12 epochs, valid'
    """

    dataset: str
    epochs: int
    split: str

    def __str__(self) -> str:
        return f"{self.dataset}, {self.epochs} epochs, {self.split}"


class Noise(NamedTuple):
    """Spread of single trainings of one network about their mean."""

    sd: float
    """Percentage points."""
    freedom: float
    """Degrees of freedom of the sd."""


@dataclass(frozen=True)
class Retrained:
    """One training of a cell."""

    cell: str
    dataset: str
    epochs: int
    seed: int
    accuracy: Mapping[str, float]
    """Final accuracy by split, percent; measured splits only."""
    curves: Mapping[str, Array] = field(default_factory=dict)
    """`train loss` and others by epoch, (epochs,); NaN where an epoch was not measured."""


@dataclass(frozen=True)
class TableFigure:
    """The table's figure of one cell."""

    cell: str
    fidelity: Fidelity
    mean: float
    """Over its trainings, percent."""
    runs: int
    """How many they are."""
    noise: Noise
    seeds: Mapping[int, float] = field(default_factory=dict)
    """Single trainings, where the table has them."""


@dataclass(frozen=True)
class OfficialCurve:
    """A learning curve of the table."""

    cell: str
    dataset: str
    epochs: int
    seed: int
    what: str
    """`train loss` and others, as in `Retrained.curves`."""
    values: Array


@dataclass(frozen=True)
class Bridge:
    """Retrained cells, and the table's figures and curves of them."""

    table: str
    runs: Sequence[Retrained]
    figures: Sequence[TableFigure]
    curves: Sequence[OfficialCurve] = ()
    notes: Sequence[str] = ()
    """Figures that cannot be compared, and why."""


def noise_at(values: Array, group: NDArray[np.int64], runs: Array, at: float) -> Noise:
    """Noise of a single training near the accuracy `at`, pooled over groups of equal networks.

    `values`, `group`, `runs`: (n,); value i is the mean of runs[i] trainings of network group[i]. The
    variance of training changes with accuracy, so groups are taken from the nearest in accuracy outwards
    until they have 600 degrees of freedom, or all.

    >>> noise_at(np.array([70.0, 72.0, 80.0]), np.array([0, 0, 1]), np.ones(3), at=71.0)
    Noise(sd=1.4142135623730951, freedom=1.0)
    """
    known = np.isfinite(values)
    values, group, runs = values[known], np.unique(group[known], return_inverse=True)[1], runs[known]
    mean = np.bincount(group, values * runs) / np.bincount(group, runs)
    squares = np.bincount(group, runs * (values - mean[group]) ** 2)
    freedom = np.bincount(group) - 1
    order = np.argsort(np.abs(mean - at), kind="stable")
    order = order[freedom[order] > 0]
    reached = np.cumsum(freedom[order])
    near = order[: np.searchsorted(reached, _WINDOW) + 1]
    total = int(freedom[near].sum())
    sd = float(np.sqrt(squares[near].sum() / total)) if total else float("nan")
    return Noise(sd, float(total))


def compare(bridge: Bridge) -> pd.DataFrame:
    """A row for each cell and fidelity that both have, sorted by the table's accuracy.

    `low` and `high` are the 95 % prediction interval for the mean of m new trainings, given the mean of the
    table's n: mean ± t sd √(1/m + 1/n).
    """
    rows = []
    for figure in bridge.figures:
        ours = [
            run.accuracy[figure.fidelity.split]
            for run in bridge.runs
            if (run.cell, run.dataset, run.epochs) == (figure.cell, *figure.fidelity[:2])
            and figure.fidelity.split in run.accuracy
        ]
        if not ours:
            continue
        error = figure.noise.sd * np.sqrt(1 / len(ours) + 1 / figure.runs)
        reach = float(_t(figure.noise.freedom) * error)
        mean = float(np.mean(ours))
        rows.append(
            {
                "fidelity": str(figure.fidelity),
                "cell": figure.cell,
                "table": figure.mean,
                "table's runs": figure.runs,
                "table's seeds": " ".join(f"{value:.2f}" for _, value in sorted(figure.seeds.items())),
                "ours": mean,
                "our runs": len(ours),
                "difference": mean - figure.mean,
                "low": figure.mean - reach,
                "high": figure.mean + reach,
                "inside": _inside(mean, figure.mean, reach),
                "sd": figure.noise.sd,
                "freedom": figure.noise.freedom,
            }
        )
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    return frame.sort_values(["fidelity", "table"], kind="stable").reset_index(drop=True)


_COLUMNS: Final = (
    "fidelity", "cell", "table", "table's runs", "table's seeds", "ours", "our runs", "difference", "low", "high",
    "inside", "sd", "freedom",
)  # fmt: skip


def _inside(ours: float, table: float, reach: float) -> str:
    if not np.isfinite(reach):
        return "unknown"
    return "yes" if abs(ours - table) <= reach else "no"


def summarise(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A row for each fidelity: differences from the table, and the agreement of the two rankings.

    `by noise alone`: the mean absolute difference that noise explains. Pairs are separated if the table's
    means differ by more than their 95 % interval, and kept if ours differ in the same direction.
    """
    found = []
    for fidelity, part in rows.groupby("fidelity", sort=False):
        table, ours, difference = (
            part[name].to_numpy(np.float64) for name in ("table", "ours", "difference")
        )
        error = part["sd"] * np.sqrt(1 / part["our runs"] + 1 / part["table's runs"])
        low, high = bootstrap_mean(difference[:, None], rng)[:, 0] if len(part) > 1 else (np.nan, np.nan)
        tau = agreement(ours, table, rng)
        separated, kept = pairs(part)
        found.append(
            {
                "fidelity": fidelity,
                "cells": len(part),
                "inside": int((part["inside"] == "yes").sum()),
                "mean |difference|": float(np.abs(difference).mean()),
                "by noise alone": float(np.sqrt(2 / np.pi) * error.mean()),
                "mean difference": float(difference.mean()),
                "low": float(low),
                "high": float(high),
                "tau": tau.value,
                "tau low": tau.low,
                "tau high": tau.high,
                "separated pairs": separated,
                "kept": kept,
            }
        )
    return pd.DataFrame(found)


def agreement(ours: Array, table: Array, rng: np.random.Generator) -> Tau:
    """Kendall's tau-b with its bootstrap interval over cells, (cells,) both.

    Up to 20 cells it is the percentile interval without constant resamples; beyond, that of `tau_interval`.
    NaN with fewer than four cells, and where one order equals the other or its reverse.

    >>> agreement(np.arange(4.0), np.arange(4.0), np.random.default_rng(0))
    Tau(value=1.0, low=nan, high=nan)
    """
    n = len(ours)
    value = kendall(ours, table) if n > 1 and np.ptp(ours) and np.ptp(table) else float("nan")
    if n < 4 or not abs(value) < 1:
        return Tau(value, float("nan"), float("nan"))
    if n > _FEW:
        return tau_interval(ours, table, rng)
    drawn = rng.integers(n, size=(RESAMPLES, n))
    taus = [kendall(ours[d], table[d]) for d in drawn if np.ptp(ours[d]) and np.ptp(table[d])]
    low, high = np.quantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Tau(value, float(low), float(high))


def pairs(part: pd.DataFrame) -> tuple[int, int]:
    """Pairs of cells that the table separates, and how many of them ours order in the same way."""
    table, runs, sd, freedom, ours = (
        part[name].to_numpy(np.float64) for name in ("table", "table's runs", "sd", "freedom", "ours")
    )
    one, other = np.triu_indices(len(part), 1)
    known = np.minimum(freedom[one], freedom[other])
    reach = _t(known) * np.sqrt(sd[one] ** 2 / runs[one] + sd[other] ** 2 / runs[other])
    separated = np.abs(table[one] - table[other]) > reach  # false where the noise is unknown
    kept = separated & ((table[one] - table[other]) * (ours[one] - ours[other]) > 0)
    return int(separated.sum()), int(kept.sum())


def training_curves(bridge: Bridge) -> pd.DataFrame:
    """Curves of the cells that both have, a row for each epoch: cell, dataset, epochs, what, whose, seed, epoch,
    value.
    """
    official = {(curve.cell, curve.dataset, curve.epochs) for curve in bridge.curves}
    kept: list[tuple[str, str, int, str, str, int, Array]] = [
        (c.cell, c.dataset, c.epochs, c.what, "table", c.seed, c.values) for c in bridge.curves
    ]
    kept += [
        (run.cell, run.dataset, run.epochs, what, "ours", run.seed, values)
        for run in bridge.runs
        for what, values in run.curves.items()
        if (run.cell, run.dataset, run.epochs) in official
    ]
    known = {(cell, dataset, epochs) for cell, dataset, epochs, _, whose, *_ in kept if whose == "ours"}
    names = ["cell", "dataset", "epochs", "what", "whose", "seed"]
    parts = [
        pd.DataFrame(
            {**dict(zip(names, head, strict=True)), "epoch": np.arange(1, len(values) + 1), "value": values}
        )
        for *head, values in kept
        if tuple(head[:3]) in known
    ]
    empty = pd.DataFrame(columns=[*names, "epoch", "value"])
    return pd.concat(parts, ignore_index=True).dropna(subset="value") if parts else empty


def _t(freedom: Array | float) -> Array:
    """Quantile of Student's t distribution for a two-sided interval; NaN for zero degrees of freedom."""
    return np.asarray(stats.t.ppf((1 + LEVEL) / 2, freedom), dtype=np.float64)
