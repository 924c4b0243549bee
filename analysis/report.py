"""From a results folder to figures, the numbers behind them, tables, and a page that shows them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.campaign import Campaign, load
from analysis.curves import Clock, UnknownCost
from analysis.efficiency import AXES, Efficiency, Top, efficiency, known_clocks, top
from analysis.figures import Inks
from analysis.found import cells_section, named_cells
from analysis.page import Card, Chart, Page, Section, render
from analysis.paper import NASBENCH201, TENAS_TABLE_1, beside, pnas_efficiency
from analysis.plots.comparisons import draw_intervals, draw_profile
from analysis.plots.efficiency import draw_accuracy, draw_regret, draw_top
from analysis.stats import Band
from analysis.style import OWN, style
from analysis.summary import (
    aggregate_table,
    comparison_table,
    final_table,
    no_diagram,
    profiles,
    scores,
    tables,
    verdicts,
)
from analysis.tables import Table, save_text

FOLDER: Final = "report"
PAGE: Final = "report.html"


@dataclass(frozen=True)
class Report:
    """What a report made."""

    page: Path
    files: tuple[Path, ...]
    final: pd.DataFrame
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]


def report(
    folder: Path,
    *,
    clock: Clock = "queries",
    average: str = "mean",
    venue: str = OWN,
    seed: int = 0,
    extra: Sequence[Section] = (),
) -> Report:
    """Make `report/` in a results folder: the page, figures (PDF, PNG, CSV) and tables (CSV, MD, TEX).

    The page shows every clock that the table knows; figures in files are against `clock`. `average`: mean or
    median over runs. `seed` is for resampling. `extra`: sections of other studies, after the campaign's own.
    Raises OtherCampaign, NoResults, UnknownCost, UnknownVenue.
    """
    rc = style(venue)
    campaign = load(folder)
    rng = np.random.default_rng(seed)
    for dataset in campaign.datasets:
        if why := known_clocks(campaign, dataset)[clock]:
            raise UnknownCost(why)
    inks = Inks(folder / FOLDER, rc, _provenance(campaign, seed))
    inks.folder.mkdir(exist_ok=True)
    files: list[Path] = []
    final = final_table(campaign, rng)
    comparisons = comparison_table(campaign, rng)
    normal = scores(campaign)
    together = aggregate_table(normal, rng)
    sections = [
        _curves(campaign, inks, clock, average, rng, files),
        *_statistics(campaign, inks, tables(campaign, final, comparisons, together), normal, rng, files),
        cells_section(campaign, inks, files),
        _papers(campaign),
        *extra,
        _runs(campaign),
    ]
    for section in sections:
        for table in section.tables:
            files += table.save(inks.folder)
    said = verdicts(final, comparisons)
    page = Page(
        title=f"{len(campaign.searchers)} searchers on {campaign.table}",
        subtitle=f"{', '.join(campaign.datasets)} · {campaign.settings.budget} a run · "
        f"seeds 0 to {campaign.settings.seeds - 1}",
        facts=_facts(campaign),
        warnings=_warnings(campaign),
        cards=_cards(final),
        verdicts=said,
        notes=campaign.notes,
        sections=sections,
        searchers=campaign.searchers,
        cells=named_cells(sections),
    )
    path = save_text(inks.folder / PAGE, render(page))
    return Report(path, (path, *files), final, tuple(said), campaign.notes)


def _curves(
    campaign: Campaign,
    inks: Inks,
    clock: Clock,
    average: str,
    rng: np.random.Generator,
    files: list[Path],
) -> Section:
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
                "Mean test accuracy of the cells that lead on the search signal, mean over runs (the measure of "
                "Liu et al., 2018).",
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
    title = f"{one.dataset}, table {campaign.table}: {one.average} of {_many(one.runs.values())}, 95 % band"

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
    lines = {"best cell": campaign.references[leading.dataset].optimum}

    def draw(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_top(ax, leading.grid, leading.curves, references=lines)
        ax.set(xlabel=AXES["queries"], ylabel="mean test accuracy, %")
        ax.set_title(f"{leading.dataset}, table {campaign.table}: the 1, 5 and 25 leading cells")

    return inks.save(f"top-{leading.dataset}", draw, leading.table)


def _statistics(
    campaign: Campaign,
    inks: Inks,
    made: Sequence[Table],
    normal: dict[str, list[Any]],
    rng: np.random.Generator,
    files: list[Path],
) -> list[Section]:
    sections = [Section("results", "Results", tables=made[:1])]
    if len(made) > 1:
        sections.append(Section("comparisons", "How sure", notes=[no_diagram(campaign)], tables=made[1:2]))
    if not normal:
        return sections
    together = made[-1].frame
    rows = [
        (row.searcher, float(row.iqm), float(row.low), float(row.high)) for row in together.itertuples()
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
            tables=made[2:],
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


def _papers(campaign: Campaign) -> Section:
    return Section(
        "papers",
        "Beside the papers",
        "Published figures beside ours. They were not made under the same conditions: read the notes.",
        tables=[beside(TENAS_TABLE_1, campaign), beside(NASBENCH201, campaign), pnas_efficiency()],
    )


def _runs(campaign: Campaign) -> Section:
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


def _provenance(campaign: Campaign, seed: int) -> str:
    headers = [header for group in campaign.headers.values() for header in group]
    commits = sorted({header.commit[:12] or "no commit" for header in headers})
    return (
        f"Table {campaign.table}, sha256 {campaign.settings.table_sha256[:16]}; {len(headers)} result files of "
        f"{', '.join(campaign.searchers)}, seeds 0 to {campaign.settings.seeds - 1}, budget "
        f"{campaign.settings.budget}, repeated queries {campaign.settings.repeats}; commit {', '.join(commits)}; "
        f"resampling seed {seed}."
    )


def _facts(campaign: Campaign) -> list[tuple[str, str]]:
    settings = campaign.settings
    header = next(iter(campaign.headers.values()))[0]
    facts = [
        ("table", f"{campaign.table}, sha256 {settings.table_sha256[:16]}"),
        ("its limits", settings.limits),
        ("budget", f"{settings.budget} a run; repeated queries: {settings.repeats}"),
        ("made by", " ".join(["nasgauge", *header.argv[1:]])),
    ]
    for dataset in campaign.datasets:
        one = next(headers[0] for (key, _), headers in campaign.headers.items() if key == dataset)
        facts.append((dataset, f"searched on {one.signal}, reported on {one.report}"))
    return facts


def _warnings(campaign: Campaign) -> list[str]:
    found: dict[str, list[str]] = {}
    for (dataset, _), headers in campaign.headers.items():
        if headers[0].warning and dataset not in found.setdefault(headers[0].warning, []):
            found[headers[0].warning].append(dataset)
    return [f"{', '.join(datasets)}: {warning}." for warning, datasets in found.items()]


def _cards(final: pd.DataFrame) -> list[Card]:
    cards = []
    for dataset, rows in final.groupby("dataset", sort=False):
        first = rows.iloc[0]
        sure = f"{first.low:.2f} to {first.high:.2f}" if np.isfinite(first.low) else "one run: no interval"
        cards.append(
            Card(str(dataset), f"{first.searcher} {first['mean']:.2f} %", f"{sure}; regret {first.regret:.2f}")
        )
    return cards


def _many(counts: Any) -> str:
    values = sorted(set(counts))
    return " to ".join(map(str, dict.fromkeys([values[0], values[-1]]))) + (
        " run" if values == [1] else " runs"
    )


def _names(files: Sequence[Path]) -> list[str]:
    return [path.name for path in files]
