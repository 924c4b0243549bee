"""From a results folder to figures, the numbers behind them, and tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.curves import Clock, Runs, align, on_grid
from analysis.plots import STYLE, Band, draw_efficiency
from analysis.stats import bootstrap_mean, paired_p
from harness.atomic import replacing
from harness.records import Header, Record
from harness.results import Reference, Settings, records_of, references_of, settings_of

Array = NDArray[np.float64]

BASELINE: Final = "random"
_POINTS: Final = 400
_AXIS: Final[Mapping[Clock, str]] = {
    "queries": "queries of the table",
    "epochs": "training epochs",
    "seconds": "simulated GPU seconds",
    "overhead": "measured seconds of the searcher",
}


class NoResults(LookupError):
    """A folder without a single readable result file."""


@dataclass(frozen=True)
class Campaign:
    """A results folder in memory."""

    settings: Settings
    references: Mapping[str, Reference]
    headers: Mapping[tuple[str, str], Header]
    runs: Mapping[tuple[str, str], Runs]
    """By (dataset, searcher)."""
    notes: tuple[str, ...]
    """What is missing or damaged, in words."""


@dataclass(frozen=True)
class Report:
    """What a report made."""

    files: tuple[Path, ...]
    final: pd.DataFrame
    notes: tuple[str, ...]


def load(folder: Path) -> Campaign:
    """Read all result files of a folder; what is damaged or missing is told, and the rest is used.

    Raises OtherCampaign, NoResults.
    """
    settings = settings_of(folder)
    records, notes = records_of(folder)
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.header.dataset, record.header.searcher].append(record)
    if not groups:
        found = f": {'; '.join(notes)}" if notes else ""
        raise NoResults(f"{folder} holds no readable result file{found}; run the campaign first")
    runs = {key: align([record.steps for record in group]) for key, group in sorted(groups.items())}
    for (dataset, searcher), aligned in runs.items():
        absent = settings.seeds - len(aligned.seeds)
        if absent:
            notes.append(f"{searcher} on {dataset} has {len(aligned.seeds)} of {settings.seeds} seeds")
        if len(aligned.seeds) == 1:
            notes.append(f"{searcher} on {dataset} has one seed: no interval can be given")
    return Campaign(
        settings=settings,
        references=references_of(folder),
        headers={key: group[0].header for key, group in groups.items()},
        runs=runs,
        notes=tuple(notes),
    )


def report(folder: Path, *, clock: Clock = "queries", seed: int = 0) -> Report:
    """Draw a folder's efficiency curves (PDF, PNG, CSV) and write its final table (CSV) into it.

    `seed` is for the bootstrap. Raises OtherCampaign, NoResults.
    """
    campaign = load(folder)
    rng = np.random.default_rng(seed)
    final = final_table(campaign)
    files = [_save_csv(folder / "final.csv", final)]
    for dataset in dict.fromkeys(dataset for dataset, _ in campaign.runs):
        files += _efficiency(folder, campaign, dataset, clock, rng)
    return Report(tuple(files), final, campaign.notes)


def final_table(campaign: Campaign) -> pd.DataFrame:
    """A row for each dataset and searcher: accuracy of the last validation leaders, over runs, in percent.

    `p` is of a Wilcoxon signed-rank test against random search, paired by seed.
    """
    rows = []
    for (dataset, searcher), runs in campaign.runs.items():
        optimum = campaign.references[dataset].optimum
        final = runs.final
        baseline = campaign.runs.get((dataset, BASELINE))
        rows.append(
            {
                "dataset": dataset,
                "searcher": searcher,
                "runs": len(final),
                "mean": final.mean(),
                "sd": final.std(ddof=1) if len(final) > 1 else np.nan,
                "median": np.median(final),
                "best": final.max(),
                "regret": optimum - final.mean(),
                "p": np.nan if baseline is None or searcher == BASELINE else _paired(runs, baseline),
            }
        )
    return pd.DataFrame(rows).sort_values(["dataset", "mean"], ascending=[True, False], ignore_index=True)


def _paired(ours: Runs, theirs: Runs) -> float:
    common, mine, other = np.intersect1d(ours.seeds, theirs.seeds, return_indices=True)
    return paired_p(ours.final[mine], theirs.final[other]) if len(common) > 1 else np.nan


def _efficiency(
    folder: Path, campaign: Campaign, dataset: str, clock: Clock, rng: np.random.Generator
) -> list[Path]:
    runs = {searcher: runs for (key, searcher), runs in campaign.runs.items() if key == dataset}
    reference = campaign.references[dataset]
    header = campaign.headers[dataset, next(iter(runs))]
    grid = _grid(list(runs.values()), clock)
    bands = {searcher: _band(on_grid(aligned, clock, grid), rng) for searcher, aligned in runs.items()}
    exact = clock == "queries" and campaign.settings.repeats == "charge"
    random = np.interp(grid, reference.random.queries, reference.random.mean) if exact else None
    numbers = pd.DataFrame({clock: grid})
    for searcher, band in bands.items():
        for name in ("mean", "low", "high"):
            numbers[f"{searcher} {name}"] = getattr(band, name)
    if random is not None:
        numbers["random search, exact"] = random
    name = f"efficiency-{dataset}" + ("" if clock == "queries" else f"-{clock}")
    with rc_context(STYLE):
        figure = Figure(layout="constrained")
        ax = figure.add_subplot()
        draw_efficiency(ax, grid, bands, random=random, optimum=reference.optimum)
        ax.set_xlabel(_AXIS[clock])
        ax.set_ylabel("test accuracy of the validation leader, %")
        counts = sorted({band.runs for band in bands.values()})
        many = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]])))
        ax.set_title(
            f"{dataset}, table {header.table}: mean of {many} runs, 95 % band", fontsize=10, loc="left"
        )
        if header.warning:
            figure.text(0.01, -0.03, f"Note: {header.warning}.", fontsize=7.5, color="#555555")
        return [
            _save_csv(folder / f"{name}.csv", numbers),
            *(_save_figure(figure, folder / f"{name}.{kind}") for kind in ("pdf", "png")),
        ]


def _grid(runs: Sequence[Runs], clock: Clock) -> Array:
    spent = [aligned.spent[clock] for aligned in runs]
    finite = [values[np.isfinite(values)] for values in spent]
    if any(values.size == 0 for values in finite):
        raise NoResults(f"this table does not say what a query costs in {clock}; choose another clock")
    last = max(float(values.max()) for values in finite)
    if clock == "queries":
        return np.unique(np.geomspace(1, last, _POINTS).round())
    first = min(float(values[:, 0].min()) for values in spent)
    return np.geomspace(max(first, last / 1e4), last, _POINTS)


def _band(values: Array, rng: np.random.Generator) -> Band:
    mean = values.mean(axis=0)
    if len(values) == 1:
        return Band(mean, mean, mean, 1)
    whole = np.isfinite(mean)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    low[whole], high[whole] = bootstrap_mean(values[:, whole], rng)
    return Band(mean, low, high, len(values))


def _save_csv(path: Path, numbers: pd.DataFrame) -> Path:
    with replacing(path) as file:
        file.write(numbers.to_csv(index=False, float_format="%.6g").encode())
    return path


def _save_figure(figure: Figure, path: Path) -> Path:
    kind = path.suffix[1:]
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    with replacing(path) as file:
        figure.savefig(file, format=kind, bbox_inches="tight", metadata=undated)
    return path
