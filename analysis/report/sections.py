"""The sections of a campaign's report: what they draw, save and say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.plots.comparisons import draw_intervals, draw_profile
from nasgauge.analysis.plots.efficiency import draw_accuracy, draw_regret, draw_top
from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.report.page import Chart, Section
from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.efficiency_curves import (
    AXES,
    TOP,
    Efficiency,
    Top,
    efficiency,
    known_clocks,
    top,
)
from nasgauge.analysis.results.published import NASBENCH201, TENAS_TABLE_1, beside, pnas_efficiency
from nasgauge.analysis.results.summary import no_diagram, profiles
from nasgauge.analysis.results.tables import Table
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
    """Efficiency curves of every dataset, and those of the leading cells; figures in files against `clock`."""
    charts = []
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
        caption = (
            f"{average.capitalize()} over {_many(one.runs.values())}, with its 95 % interval where there is "
            "more than one. The leader is chosen by the search signal; its test accuracy is shown."
        )
        charts.append(
            Chart(
                f"efficiency-{dataset}",
                "efficiency",
                dataset,
                caption,
                {
                    "clocks": {name: _clock(found) for name, found in drawn.items()},
                    "unknown": {name: why for name, why in known.items() if why},
                    "optimum": one.optimum,
                    "references": one.references,
                },
                _names(saved),
                inks.provenance,
            )
        )
    for dataset in campaign.datasets:
        leading = top(campaign, dataset)
        saved = _save_top(inks, campaign, leading)
        files += saved
        charts.append(
            Chart(
                f"top-{dataset}",
                "top",
                f"{dataset}: the 1, 5 and 25 leading cells",
                "Mean test accuracy of the 1 (solid), 5 (dashed) and 25 (dotted) cells that lead on the search signal, "
                "mean over runs (the measure of Liu et al., 2018).",
                {"grid": leading.grid, "curves": leading.curves},
                _names(saved),
                inks.provenance,
            )
        )
    return Section(
        "efficiency",
        "Efficiency",
        "Test accuracy of the validation leader against what was spent. Curves are steps: between two "
        "evaluations nothing is known.",
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
    title = f"{one.dataset} ({campaign.table}): {one.average} of {_many(one.runs.values())}"

    def accuracy(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_accuracy(ax, one.grid, one.bands, random=one.random, references=one.references)
        ax.set(xlabel=AXES[one.clock], ylabel="test accuracy of the leader, %", title=title)

    def regret(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_regret(ax, one.grid, one.bands, optimum=one.optimum, random=one.random)
        ax.set(xlabel=AXES[one.clock], ylabel="points below the best cell", title=title)

    gaps = one.table.copy()
    for column in gaps.columns[1:]:
        gaps[column] = one.optimum - gaps[column]
    gaps = gaps.rename(columns=lambda name: _swapped(str(name)))
    return [
        *inks.save(f"efficiency-{one.dataset}{suffix}", accuracy, one.table),
        *inks.save(f"regret-{one.dataset}{suffix}", regret, gaps),
    ]


def _swapped(column: str) -> str:
    """The low end of an accuracy is the high end of a regret."""
    for one, other in ((" low", " high"), (" high", " low")):
        if column.endswith(one):
            return column.removesuffix(one) + other
    return column


def _save_top(inks: Inks, campaign: Campaign, leading: Top) -> list[Path]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(TOP))
        draw_top(axes, leading.grid, leading.curves)
        axes[1].set(xlabel=AXES["queries"])
        axes[0].set(ylabel="mean test accuracy, %")
        figure.suptitle(f"{leading.dataset}, table {campaign.table}: mean of the leading cells")

    return inks.save(f"top-{leading.dataset}", draw, leading.table, aspect=(1.6, 0.9))


def statistics_sections(
    campaign: Campaign,
    inks: Inks,
    made: Mapping[str, Table],
    normal: dict[str, list[Any]],
    rng: np.random.Generator,
    files: list[Path],
) -> list[Section]:
    """Final accuracies, comparisons of pairs, and all datasets together."""
    sections = [
        Section("results", "Results", tables=[made[name] for name in ("final", "reach") if name in made])
    ]
    if "comparisons" in made:
        sections.append(
            Section("comparisons", "How sure", notes=[no_diagram(campaign)], tables=[made["comparisons"]])
        )
    if not normal:
        return sections
    together = made["together"].frame
    rows = [
        (str(name), float(centre), float(low), float(high))
        for name, centre, low, high in together[["searcher", "iqm", "low", "high"]].to_numpy().tolist()
    ]
    levels, bands = profiles(normal, rng)
    saved = inks.save("profile", lambda figure: _ink_profile(figure, levels, bands), _profile(levels, bands))
    points = inks.save(
        "iqm",
        lambda figure: _ink_intervals(figure, rows),
        pd.DataFrame(rows, columns=["searcher", "iqm", "low", "high"]),
        aspect=(1.0, 0.35 + 0.1 * len(rows)),
    )
    files += [*saved, *points]
    sections.append(
        Section(
            "together",
            "All datasets together" if len(campaign.datasets) > 1 else "Distribution",
            "Final accuracies, normalised: 0 is what one random cell scores on average, 1 the best cell.",
            charts=[
                Chart(
                    "iqm", "intervals", "Interquartile mean", "With its 95 % interval, stratified by dataset.",
                    {"rows": rows, "axis": "normalised score"}, _names(points), inks.provenance,
                ),
                Chart(
                    "profile", "profile", "Performance profile",
                    "Share of runs that end above a score; a curve further up and right is better.",
                    {"levels": levels, "bands": {name: band._asdict() for name, band in bands.items()}},
                    _names(saved), inks.provenance,
                ),
            ],
            tables=[made["together"]],
        )
    )  # fmt: skip
    return sections


def _ink_profile(figure: Figure, levels: Any, bands: dict[str, Band]) -> None:
    ax = figure.add_subplot()
    draw_profile(ax, levels, bands)
    ax.set(xlabel="normalised score", title="Performance profile, 95 % band")


def _ink_intervals(figure: Figure, rows: Sequence[tuple[str, float, float, float]]) -> None:
    ax = figure.add_subplot()
    draw_intervals(ax, rows)
    ax.set(xlabel="interquartile mean of the normalised score, 95 % interval")


def _profile(levels: Any, bands: dict[str, Band]) -> pd.DataFrame:
    columns = {"score": levels}
    for name, band in bands.items():
        columns |= {f"{name} {part}": values for part, values in band._asdict().items()}
    return pd.DataFrame(columns)


def papers_section(campaign: Campaign) -> Section:
    """Published tables with our rows."""
    return Section(
        "papers",
        "Beside the papers",
        "Published figures beside ours. They were not made under the same conditions: read the notes.",
        tables=[beside(TENAS_TABLE_1, campaign), beside(NASBENCH201, campaign), pnas_efficiency()],
    )


def runs_section(campaign: Campaign) -> Section:
    """Settings, seeds, versions and commits of every group of result files."""
    rows = [
        {
            "dataset": dataset,
            "searcher": searcher,
            "seeds": f"{min(h.seeds[0] for h in headers)}–{max(h.seeds[1] for h in headers)}",
            "files": len(headers),
            "settings": ", ".join(f"{name}={value}" for name, value in headers[0].settings.items()),
            "commit": ", ".join(sorted({h.commit[:12] + "+" * h.commit.endswith("+") for h in headers})),
            "versions": ", ".join(f"{name} {number}" for name, number in headers[0].versions.items()),
            "digest of the first file": headers[0].digest[:12],
        }
        for (dataset, searcher), headers in campaign.headers.items()
    ]
    return Section(
        "provenance",
        "Where it comes from",
        "Every result file carries the command, settings, seeds and versions that made it, and a digest of its "
        "steps. A commit with + had changes that were not committed.",
        tables=[Table("runs", "Runs", pd.DataFrame(rows))],
    )


def _many(counts: Any) -> str:
    values = sorted(set(counts))
    return " to ".join(map(str, dict.fromkeys([values[0], values[-1]]))) + (
        " run" if values == [1] else " runs"
    )


def _names(files: Sequence[Path]) -> list[str]:
    return [path.name for path in files]
