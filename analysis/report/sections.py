"""The sections of a campaign's report: figures, tables and captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.plots.comparisons import draw_intervals, draw_profiles, draw_significance
from nasgauge.analysis.plots.efficiency import draw_best_cells, draw_efficiency
from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.layout import title
from nasgauge.analysis.plots.style import Look, looks
from nasgauge.analysis.report.page import Chart, Section
from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.efficiency_curves import (
    AXES,
    Efficiency,
    Top,
    efficiency,
    known_clocks,
    top,
)
from nasgauge.analysis.results.names import dataset_name, printable, slug
from nasgauge.analysis.results.paper import Matrix
from nasgauge.analysis.results.published import NASBENCH201, TENAS_TABLE_1, beside, pnas_efficiency
from nasgauge.analysis.results.summary import profiles
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.results.verdicts import no_test_over_datasets
from nasgauge.analysis.statistics.curves import Clock
from nasgauge.analysis.statistics.runs import Band


def curves_section(
    campaign: Campaign,
    inks: Inks,
    clock: Clock,
    average: str,
    rng: np.random.Generator,
    files: list[Path],
) -> Section:
    """Efficiency curves of every dataset, and those of the best cells; figures in files are against `clock`."""
    charts = []
    runs_of = {
        dataset: {name: len(runs.seeds) for name, runs in campaign.on(dataset).items()}
        for dataset in campaign.datasets
    }
    for dataset in campaign.datasets:
        known = known_clocks(campaign, dataset)
        drawn = {
            name: efficiency(campaign, dataset, name, rng, average=average)
            for name, why in known.items()
            if not why
        }
        one = drawn[clock]
        saved = _save_efficiency(inks, campaign, one)
        files += saved
        interval = "bootstrap" if average == "mean" else "order-statistic"
        caption = (
            f"Test accuracy of the incumbent, the cell with the highest search metric: {average} over runs with a "
            f"pointwise 95 % {interval} interval; {dataset_name(dataset)}, table {campaign.table}, {_counts(runs_of[dataset])}."
            + " Highest search metric: of a search that has made every evaluation."
            * (len(one.references) > 1)
        )
        charts.append(
            Chart(
                f"efficiency-{slug(dataset)}",
                "efficiency",
                dataset_name(dataset),
                caption,
                {
                    "clocks": {name: _clock(found) for name, found in drawn.items()},
                    "unknown": {name: why for name, why in known.items() if why},
                    "optimum": one.optimum,
                    "references": one.references,
                },
                inks.links(saved),
                inks.provenance,
            )
        )
    for dataset in campaign.datasets:
        best = top(campaign, dataset)
        saved = _save_top(inks, campaign, best)
        files += saved
        charts.append(
            Chart(
                f"top-{slug(dataset)}",
                "top",
                f"{dataset_name(dataset)}: the 1, 5 and 25 best cells",
                "Mean test accuracy of the 1 (solid), 5 (dashed) and 25 (dotted) cells with the highest search metric "
                f"(Liu et al., 2018), mean over runs, no interval; {dataset_name(dataset)}, table {campaign.table}, "
                f"{_counts(runs_of[dataset])}.",
                {"grid": best.grid, "curves": best.curves},
                inks.links(saved),
                inks.provenance,
            )
        )
    return Section(
        "efficiency",
        "Efficiency",
        "Test accuracy of the incumbent against cost. A curve is constant between evaluations, and after the last "
        "one of a run.",
        charts=charts,
    )


def _clock(one: Efficiency) -> dict[str, Any]:
    return {
        "axis": AXES[one.clock],
        "grid": one.grid,
        "bands": {name: band._asdict() for name, band in one.bands.items()},
        "random": one.random,
    }


def _save_efficiency(inks: Inks, campaign: Campaign, one: Efficiency) -> list[Path]:
    suffix = "" if one.clock == "queries" else f"-{one.clock}"
    of = f"{dataset_name(one.dataset)}, table {printable(campaign.table)}, {_counts(one.runs)}"
    shown = looks(campaign.searchers)

    def accuracy(figure: Figure) -> None:
        draw_efficiency(figure, one, shown, of=of)

    def regret(figure: Figure) -> None:
        draw_efficiency(figure, one, shown, of=of, regret=True)

    gaps = one.table.copy()
    for column in gaps.columns[1:]:
        gaps[column] = one.optimum - gaps[column]
    gaps = gaps.rename(columns=lambda name: _swapped(str(name)))
    return [
        *inks.save(f"efficiency-{one.dataset}{suffix}", accuracy, one.table),
        *inks.save(f"regret-{one.dataset}{suffix}", regret, gaps),
    ]


def _swapped(column: str) -> str:
    """The lower end of an accuracy is the upper end of a regret."""
    for one, other in ((" low", " high"), (" high", " low")):
        if column.endswith(one):
            return column.removesuffix(one) + other
    return column


def _save_top(inks: Inks, campaign: Campaign, best: Top) -> list[Path]:
    of = f"{dataset_name(best.dataset)}, table {printable(campaign.table)}"
    shown = looks(campaign.searchers)

    def draw(figure: Figure) -> None:
        draw_best_cells(figure, best.grid, best.curves, shown, of=of)

    return inks.save(f"top-{best.dataset}", draw, best.table)


def statistics_sections(
    campaign: Campaign,
    inks: Inks,
    made: Mapping[str, Table],
    matrices: Mapping[str, Matrix],
    normal: dict[str, list[Any]],
    rng: np.random.Generator,
    files: list[Path],
) -> list[Section]:
    """Final accuracies, comparisons of pairs, and all datasets together."""
    sections = [
        Section(
            "results",
            "Results",
            tables=[made[name] for name in ("paper", "final", "recommended", "reach") if name in made],
        )
    ]
    if "comparisons" in made:
        sections.append(
            Section(
                "comparisons",
                "Statistical comparison",
                notes=[note for note in [no_test_over_datasets(campaign)] if note],
                charts=[_significance(campaign, inks, *item, files) for item in matrices.items()],
                tables=[made[name] for name in ("ranking", "comparisons") if name in made],
            )
        )
    if not normal:
        return sections
    together = made["together"].frame
    rows = [
        (str(name), float(centre), float(low), float(high))
        for name, centre, low, high in together[["searcher", "iqm", "low", "high"]].to_numpy().tolist()
    ]
    levels, bands = profiles({name: normal[name] for name, *_ in rows}, rng)
    runs = {name: sum(len(part) for part in parts) for name, parts in normal.items()}
    of = f"{', '.join(map(dataset_name, campaign.datasets))}; table {printable(campaign.table)}; {_counts(runs)}"
    shown = looks(campaign.searchers)
    saved = inks.save(
        "profile",
        lambda figure: draw_profiles(figure, levels, bands, shown, of=of),
        _profile(levels, bands),
    )
    points = inks.save(
        "iqm",
        lambda figure: _ink_intervals(figure, rows, shown, of),
        pd.DataFrame(rows, columns=["searcher", "iqm", "low", "high"]),
        aspect=(1.0, 0.4 + 0.09 * len(rows)),
    )
    files += [*saved, *points]
    sections.append(
        Section(
            "together",
            "All datasets together" if len(campaign.datasets) > 1 else "Distribution",
            "Normalised score: 0 is the mean accuracy of a random cell, 1 that of the best cell.",
            charts=[
                Chart(
                    "iqm", "intervals", "Interquartile mean",
                    f"Interquartile mean over runs and datasets, 95 % bootstrap interval stratified by dataset; {of}.",
                    {"rows": rows, "axis": "normalised score"}, inks.links(points), inks.provenance,
                ),
                Chart(
                    "profile", "profile", "Performance profile",
                    f"Share of runs with a final score above the level, with its pointwise 95 % bootstrap interval, stratified "
                    f"by dataset; higher is better; {of}.",
                    {"levels": levels, "bands": {name: band._asdict() for name, band in bands.items()}},
                    inks.links(saved), inks.provenance,
                ),
            ],
            tables=[made["together"]],
        )
    )  # fmt: skip
    return sections


def _significance(campaign: Campaign, inks: Inks, dataset: str, found: Matrix, files: list[Path]) -> Chart:
    """All pairs on a dataset."""
    of = f"{dataset_name(dataset)}, table {printable(campaign.table)}"

    def draw(figure: Figure) -> None:
        draw_significance(figure.add_subplot(), *found)
        title(
            figure,
            f"{of}: probability of improvement of the row over the column, %; coloured: significant at 5 %",
        )

    saved = inks.save(
        f"significance-{dataset}",
        draw,
        found.effect.reset_index(),
        aspect=(1.0, 0.45 + 0.085 * len(found.effect)),
    )
    files += saved
    return Chart(
        f"significance-{slug(dataset)}",
        "heat",
        f"{dataset_name(dataset)}: significance of all pairs",
        f"Probability that a run of the row's searcher ends higher than one of the column's (A12), best mean first; "
        f"coloured where the Holm-corrected p is below 5 %; {of}.",
        {
            "x": list(found.effect.columns), "y": list(found.effect.index), "text": found.effect.to_numpy(),
            "z": (2 * found.effect - 1).where(found.significant).to_numpy(), "searchers": True,
        },
        inks.links(saved),
        inks.provenance,
    )  # fmt: skip


def _ink_intervals(
    figure: Figure, rows: Sequence[tuple[str, float, float, float]], shown: Mapping[str, Look], of: str
) -> None:
    ax = figure.add_subplot()
    draw_intervals(ax, rows, shown=shown)
    ax.set(xlabel="normalised score")
    title(figure, f"{of}: interquartile mean, 95 % interval")


def _profile(levels: Any, bands: dict[str, Band]) -> pd.DataFrame:
    columns = {"score": levels}
    for name, band in bands.items():
        columns |= {f"{name} {part}": values for part, values in band._asdict().items()}
    return pd.DataFrame(columns)


def papers_section(campaign: Campaign) -> Section:
    """Published tables with our rows beside the same methods."""
    return Section(
        "papers",
        "Beside the papers",
        "Published figures beside ours. Conditions differ; see the note below each table.",
        tables=[beside(TENAS_TABLE_1, campaign), beside(NASBENCH201, campaign), pnas_efficiency()],
    )


def runs_section(campaign: Campaign) -> Section:
    """Runs, seeds, settings, versions and commits of every group of result files."""
    rows = [
        {
            "dataset": dataset,
            "searcher": searcher,
            "n": len(campaign.runs[dataset, searcher].seeds) if (dataset, searcher) in campaign.runs else 0,
            "seeds": f"{min(h.seeds[0] for h in headers)}–{max(h.seeds[1] for h in headers)}",
            "files": len(headers),
            "settings": ", ".join(
                f"{key}={value}" for key, value in headers[0].settings.items() if value != ""
            ),
            "commit": ", ".join(sorted({h.commit[:12] + "+" * h.commit.endswith("+") for h in headers})),
            "versions": ", ".join(f"{name} {number}" for name, number in headers[0].versions.items()),
            "digest of the first file": headers[0].digest[:12],
        }
        for dataset in campaign.settings.datasets
        for (key, searcher), headers in campaign.headers.items()
        if key == dataset
    ]
    return Section(
        "provenance",
        "Provenance",
        "Every result file records the command, settings, seeds and versions that made it, and a digest of its "
        "steps. A commit with + had uncommitted changes. n: runs in the files.",
        tables=[Table("runs", "Runs", pd.DataFrame(rows))],
    )


def _counts(runs: Mapping[str, int]) -> str:
    """Runs of each searcher, in short where they are equally many.

    >>> _counts({"random": 10, "local": 10}), _counts({"random": 10, "tenas": 4})
    ('n = 10', 'n = 10 (tenas 4)')
    """
    most = max(runs.values(), default=0)
    fewer = ", ".join(f"{name} {count}" for name, count in runs.items() if count < most)
    return f"n = {most}" + (f" ({fewer})" if fewer else "")
