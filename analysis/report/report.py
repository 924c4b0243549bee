"""From a results folder to figures, the numbers behind them, tables, and a page that shows them all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.style import OWN, style
from nasgauge.analysis.report.incumbents import cells_section, named_cells
from nasgauge.analysis.report.page import Card, Page, render
from nasgauge.analysis.report.sections import (
    curves_section,
    papers_section,
    runs_section,
    statistics_sections,
)
from nasgauge.analysis.report.studies import Extras, extra_sections
from nasgauge.analysis.results.campaign import Campaign, load
from nasgauge.analysis.results.efficiency_curves import known_clocks
from nasgauge.analysis.results.files import save_text
from nasgauge.analysis.results.random_equivalents import reach_table
from nasgauge.analysis.results.summary import (
    aggregate_table,
    comparison_table,
    final_table,
    scores,
    tables,
    verdicts,
)
from nasgauge.analysis.statistics.curves import Clock, UnknownCost

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
    figures: bool = True,
    seed: int = 0,
    extras: Extras = Extras(),  # noqa: B008 - frozen
) -> Report:
    """Make `report/` in a results folder: the page, figures (PDF, PNG, CSV) and tables (CSV, MD, TEX).

    The page shows every clock that the table knows; figures in files are against `clock`. `average`: mean or
    median over runs. `figures`: False leaves out the PDF and PNG files, which take most of the time. `seed` is
    for resampling. `extras`: other studies, on the same page.
    Raises OtherCampaign, NoResults, UnknownCost, UnknownVenue.
    """
    rc = style(venue)
    campaign = load(folder)
    rng = np.random.default_rng(seed)
    for dataset in campaign.datasets:
        if why := known_clocks(campaign, dataset)[clock]:
            raise UnknownCost(why)
    inks = Inks(folder / FOLDER, rc, _provenance(campaign, seed), figures)
    inks.folder.mkdir(exist_ok=True)
    files: list[Path] = []
    final = final_table(campaign, rng)
    comparisons = comparison_table(campaign, rng)
    normal = scores(campaign)
    together = aggregate_table(normal, rng)
    made = tables(campaign, final, reach_table(campaign, rng), comparisons, together)
    sections = [
        curves_section(campaign, inks, clock, average, rng, files),
        *statistics_sections(campaign, inks, made, normal, rng, files),
        cells_section(campaign, inks, files),
        papers_section(campaign),
        *extra_sections(extras, inks, rng, files),
        runs_section(campaign),
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
    path = inks.folder / PAGE
    save_text(path, render(page))
    return Report(path, (path, *files), final, tuple(said), campaign.notes)


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
        times = "" if one.seconds == "none" else f"; simulated seconds: {one.seconds}"
        facts.append((dataset, f"searched on {one.metric}, reported on {one.report}{times}"))
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
            Card(
                str(dataset), f"{first.searcher} {first['mean']:.2f} %", f"{sure}; regret {first.regret:.2f}"
            )
        )
    return cards
